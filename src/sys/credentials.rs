//! Who the process is: the change from root to the service user, once and for ever, and the capabilities that stay.
//! Process: supervisor at its start, then each worker. Privileges: CAP_SETUID, CAP_SETGID, CAP_SETPCAP. Blocks: never.
//! The order of the steps is the point; see capabilities(7) before changing it.
#![allow(unsafe_code, reason = "prctl(2) for securebits and the bounding set has no safe form")]

use std::io;

use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{Group, Uid, User};

use super::account::Account;

/// Why the process can't become, or stay, who it should be.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// No such user.
    #[error("there is no user {0:?}; name one that exists, or make this one")]
    NoUser(String),
    /// No such group.
    #[error("there is no group {0:?}; name one that exists, or make this one")]
    NoGroup(String),
    /// The service must not run as root.
    #[error("user {0:?} is root: choose an ordinary user, for workers must not be able to do everything")]
    IsRoot(String),
    /// Only root can become another.
    #[error("only root can become {0}; start as root, or as that one")]
    NotRoot(String),
    /// A step failed.
    #[error("{step}: {source}")]
    Step {
        /// Which one, and what it may lack.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Root could be regained, or a capability was left.
    #[error("privileges were not given up: {0}")]
    NotGivenUp(&'static str),
}

/// What the process kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// May it bind ports below 1024 (on a reload)?
    pub bind_service: bool,
    /// Is the bounding set empty? It can't be emptied without root.
    pub bounding_empty: bool,
}

pub(super) type Outcome<T> = Result<T, CredentialsError>;

/// Capability numbers are 64 at most, for a set is 64 bits (capabilities(7)).
const CAPABILITIES_LIMIT: libc::c_ulong = 64;

/// The effective user id of this process.
#[must_use]
pub fn user_id() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Is this process root?
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// From root to `account`, keeping nothing but CAP_NET_BIND_SERVICE, and proves that there is no way back.
///
/// # Errors
/// The first step that failed; the process must not go on then.
pub fn become_account(account: &Account) -> Outcome<Kept> {
    // 1. Root's number alone gives no capability any more, after an exec neither; locked.
    set_securebits()?;
    // 2. Into the inheritable set while the bounding set still has it; the ambient set needs it there.
    set(CapSet::Inheritable, &bind_service())?;
    // 3. No exec, of whatever file, can ever give a capability. Needs CAP_SETPCAP, so now or never.
    empty_bounding_set()?;
    // 4. The change of user shall not take the permitted set away.
    nix::sys::prctl::set_keepcaps(true).map_err(|errno| step("keep capabilities", errno))?;
    // 5. Groups, then gid, then uid, each real, effective and saved; the file system ids follow the effective ones.
    nix::unistd::setgroups(&account.groups).map_err(|errno| step("setgroups(2), needs CAP_SETGID", errno))?;
    nix::unistd::setresgid(account.gid, account.gid, account.gid)
        .map_err(|errno| step("setresgid(2), needs CAP_SETGID", errno))?;
    nix::unistd::setresuid(account.uid, account.uid, account.uid)
        .map_err(|errno| step("setresuid(2), needs CAP_SETUID", errno))?;
    // 6. Only this one stays; and ambient, which setresuid cleared, so that an upgrade by exec keeps it.
    keep_only(&bind_service())?;
    // 7. No exec of a set-user-id file gives anything.
    nix::sys::prctl::set_no_new_privs().map_err(|errno| step("no_new_privs", errno))?;
    // 8. And now insist.
    insist_not_root()?;
    insist(CapSet::Bounding, &CapsHashSet::new())?;
    Ok(Kept { bind_service: true, bounding_empty: true })
}

/// Started without root: stays who it is, and drops what can be dropped. CAP_NET_BIND_SERVICE stays if it was given.
///
/// # Errors
/// The first step that failed; and `NotRoot` if `user` or `group` is another than the process has.
pub fn stay(user: Option<&str>, group: Option<&str>) -> Outcome<Kept> {
    if let Some(name) = user {
        let user = User::from_name(name).map_err(|errno| step("look up the user", errno))?;
        if user.map(|user| user.uid) != Some(nix::unistd::getuid()) {
            return Err(CredentialsError::NotRoot(format!("user {name:?}")));
        }
    }
    if let Some(name) = group {
        let group = Group::from_name(name).map_err(|errno| step("look up the group", errno))?;
        if group.map(|group| group.gid) != Some(nix::unistd::getgid()) {
            return Err(CredentialsError::NotRoot(format!("group {name:?}")));
        }
    }
    let permitted = caps::read(None, CapSet::Permitted).map_err(|error| caps_step("read the capabilities", error))?;
    let kept: CapsHashSet = permitted.intersection(&bind_service()).copied().collect();
    // A service manager may give CAP_SETPCAP to an ordinary user; without it this fails, and that is no error.
    let bounding_empty = set(CapSet::Inheritable, &kept).is_ok() && empty_bounding_set().is_ok();
    keep_only(&kept)?;
    nix::sys::prctl::set_no_new_privs().map_err(|errno| step("no_new_privs", errno))?;
    insist_not_root()?;
    Ok(Kept { bind_service: !kept.is_empty(), bounding_empty })
}

/// A worker's part: all sets but the bounding one, which the supervisor has emptied, are empty from now on.
///
/// # Errors
/// If a capability is left.
pub fn drop_everything() -> Outcome<()> {
    keep_only(&CapsHashSet::new())?;
    nix::sys::prctl::set_no_new_privs().map_err(|errno| step("no_new_privs", errno))
}

/// Permitted = effective = inheritable = ambient = `kept`, and looks whether it is so.
fn keep_only(kept: &CapsHashSet) -> Outcome<()> {
    caps::clear(None, CapSet::Ambient).map_err(|error| caps_step("clear the ambient set", error))?;
    // Effective before permitted, for it must never be the larger one.
    set(CapSet::Effective, kept)?;
    set(CapSet::Permitted, kept)?;
    set(CapSet::Inheritable, kept)?;
    for capability in kept {
        caps::raise(None, CapSet::Ambient, *capability).map_err(|error| caps_step("raise the ambient set", error))?;
    }
    for which in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        insist(which, kept)?;
    }
    insist_ambient(kept)
}

fn bind_service() -> CapsHashSet {
    CapsHashSet::from_iter([Capability::CAP_NET_BIND_SERVICE])
}

fn set(which: CapSet, capabilities: &CapsHashSet) -> Outcome<()> {
    caps::set(None, which, capabilities).map_err(|error| caps_step("capset(2)", error))
}

fn insist(which: CapSet, expected: &CapsHashSet) -> Outcome<()> {
    let left = caps::read(None, which).map_err(|error| caps_step("read the capabilities", error))?;
    if left == *expected {
        Ok(())
    } else {
        Err(CredentialsError::NotGivenUp("a capability set is not as it should be"))
    }
}

/// Nothing is ambient that is not permitted and inheritable as well (capabilities(7)), and of those sets the kernel has just
/// said that they are `kept`: so only these are asked for, and not forty one by one.
fn insist_ambient(kept: &CapsHashSet) -> Outcome<()> {
    for capability in kept {
        let is_ambient = caps::has_cap(None, CapSet::Ambient, *capability)
            .map_err(|error| caps_step("read the capabilities", error))?;
        if !is_ambient {
            return Err(CredentialsError::NotGivenUp("a capability is not ambient, as it should be"));
        }
    }
    Ok(())
}

/// Tries to become root again, in each way, and insists that it fails.
fn insist_not_root() -> Outcome<()> {
    let root = Uid::from_raw(0);
    let regained = nix::unistd::setresuid(root, root, root).is_ok()
        || nix::unistd::seteuid(root).is_ok()
        || nix::unistd::setuid(root).is_ok();
    let ids = nix::unistd::getresuid().map_err(|errno| step("getresuid(2)", errno))?;
    if regained || [ids.real, ids.effective, ids.saved].iter().any(|uid| uid.is_root()) {
        return Err(CredentialsError::NotGivenUp("the process could become root again"));
    }
    Ok(())
}

fn set_securebits() -> Outcome<()> {
    // KEEP_CAPS stays unlocked for step 4; an exec clears it.
    let bits = libc::SECBIT_NOROOT | libc::SECBIT_NOROOT_LOCKED | libc::SECBIT_NO_SETUID_FIXUP_LOCKED;
    // SAFETY: the arguments are plain numbers.
    let result = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits) };
    checked(result, "securebits, needs CAP_SETPCAP")
}

/// Every capability that the kernel knows, not only those that had a name when this was built.
fn empty_bounding_set() -> Outcome<()> {
    for capability in 0..CAPABILITIES_LIMIT {
        // SAFETY: the arguments are plain numbers.
        let has = unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability) };
        if has < 0 {
            // The first that this kernel doesn't know; there are none behind it.
            return Ok(());
        }
        if has == 0 {
            // After an upgrade all are gone already, and nobody may drop any.
            continue;
        }
        // SAFETY: as above.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability) };
        checked(result, "empty the bounding set, needs CAP_SETPCAP")?;
    }
    Ok(())
}

fn checked(result: libc::c_int, name: &'static str) -> Outcome<()> {
    if result == 0 { Ok(()) } else { Err(CredentialsError::Step { step: name, source: io::Error::last_os_error() }) }
}

pub(super) fn step(step: &'static str, errno: nix::errno::Errno) -> CredentialsError {
    CredentialsError::Step { step, source: errno.into() }
}

fn caps_step(step: &'static str, error: caps::errors::CapsError) -> CredentialsError {
    CredentialsError::Step { step, source: io::Error::other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Ended, fork, wait};
    use std::process::ExitCode;

    fn in_child(test: impl FnOnce()) {
        let child = fork(|| {
            test();
            ExitCode::SUCCESS
        });
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
    }

    /// A line of /proc/self/status: what the kernel says, not what a library says.
    fn status(name: &str) -> String {
        let all = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    const NONE: &str = "0000000000000000";
    const NET_BIND_SERVICE: &str = "0000000000000400";

    #[test]
    fn root_becomes_nobody_and_keeps_one_capability() {
        if !is_root() {
            eprintln!("could not run: needs root");
            return;
        }
        in_child(|| {
            let account = Account::find(Some("nobody"), None).unwrap();
            let kept = become_account(&account).unwrap();
            assert_eq!(kept, Kept { bind_service: true, bounding_empty: true });
            let (uid, gid) = (account.uid, account.gid);
            assert_eq!(status("Uid"), format!("{uid} {uid} {uid} {uid}"));
            assert_eq!(status("Gid"), format!("{gid} {gid} {gid} {gid}"));
            assert_eq!(status("Groups"), gid.to_string());
            for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(status(name), NET_BIND_SERVICE, "{name}");
            }
            assert_eq!(status("CapBnd"), NONE);
            assert_eq!(status("NoNewPrivs"), "1");
            // SAFETY: the arguments are plain numbers.
            let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS) };
            let wanted = libc::SECBIT_NOROOT | libc::SECBIT_NOROOT_LOCKED | libc::SECBIT_NO_SETUID_FIXUP_LOCKED;
            assert_eq!(bits & wanted, wanted, "root is nobody special any more, and it stays so");
            // What the new program of an upgrade does, which is started so.
            assert_eq!(stay(Some("nobody"), None).unwrap(), kept);
            drop_everything().unwrap();
            for name in ["CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"] {
                assert_eq!(status(name), NONE, "{name}");
            }
        });
    }

    #[test]
    fn one_capability_is_enough_to_bind_and_not_to_read() {
        if !is_root() {
            eprintln!("could not run: needs root");
            return;
        }
        in_child(|| {
            become_account(&Account::find(Some("nobody"), None).unwrap()).unwrap();
            // Busy is fine, forbidden is not.
            let bound = std::net::TcpListener::bind("127.0.0.1:1009");
            assert_ne!(bound.err().map(|error| error.kind()), Some(io::ErrorKind::PermissionDenied));
            assert_eq!(std::fs::read("/etc/shadow").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            drop_everything().unwrap();
            let bound = std::net::TcpListener::bind("127.0.0.1:1010");
            assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        });
    }

    #[test]
    fn ordinary_user_stays_and_says_that_the_bounding_set_stays() {
        in_child(|| {
            if is_root() {
                let nobody = Account::find(Some("nobody"), None).unwrap();
                nix::unistd::setgroups(&[]).unwrap();
                nix::unistd::setresgid(nobody.gid, nobody.gid, nobody.gid).unwrap();
                nix::unistd::setresuid(nobody.uid, nobody.uid, nobody.uid).unwrap();
            }
            assert!(matches!(stay(Some("root"), None), Err(CredentialsError::NotRoot(_))));
            assert!(matches!(stay(None, Some("root")), Err(CredentialsError::NotRoot(_))));
            assert_eq!(stay(None, None).unwrap(), Kept { bind_service: false, bounding_empty: false });
            for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(status(name), NONE, "{name}");
            }
            assert_eq!(status("NoNewPrivs"), "1");
        });
    }
}
