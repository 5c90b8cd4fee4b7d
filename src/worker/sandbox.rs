//! The seal on files, ports and signals (Landlock): from here on a worker sees its document roots and nothing else.
//! Process: worker, on its last steps before the first client. Trusts: its configuration. Blocks: never.
//! It binds the calling thread and the threads that this starts later, so it comes before the helper threads do.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use crate::config::Sandbox;
use crate::sys::landlock::kernel_abi;

/// The oldest interface whose rules for files leave no way out: before it, links across folders were not covered.
/// Linux 5.19; Debian 12 has it.
const REQUIRED_ABI: u32 = 2;
/// Since this one TCP is covered (Linux 6.7).
const NETWORK_ABI: u32 = 4;
/// Since this one signals and abstract Unix sockets are covered (Linux 6.12).
const SCOPE_ABI: u32 = 6;

/// What the seal of this worker enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    files: Result<Files, String>,
    system_calls: Result<usize, String>,
}

/// What Landlock enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files {
    abi: u32,
    roots: usize,
    /// How many of them may be written.
    writable: usize,
}

/// A document root, and what is needed of it.
#[derive(Debug, Clone, Copy)]
pub struct Root<'r> {
    /// Any descriptor of it.
    pub fd: BorrowedFd<'r>,
    /// May a client of its site change anything?
    pub can_write: bool,
    /// And make folders on the way to a new file?
    pub makes_folders: bool,
}

/// Why a worker can't be sealed as its configuration wants.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The kernel has no Landlock, or it is switched off.
    #[error(
        "this kernel has no Landlock, or it is switched off: Linux 5.19 or newer is needed, with landlock among the \
         modules of its lsm= parameter; sandbox = \"best-effort\" serves without it"
    )]
    NoLandlock,
    /// The kernel's Landlock is too old.
    #[error(
        "this kernel's Landlock (ABI {0}) can't forbid links and renames across folders: ABI {REQUIRED_ABI} is needed \
         (Linux 5.19); sandbox = \"best-effort\" serves with what there is"
    )]
    TooOld(u32),
    /// Somebody forbids the calls of Landlock. That says nothing of the kernel.
    #[error(
        "Landlock is refused ({0}): a system call filter of the service manager or container forbids it; allow \
         landlock_create_ruleset, landlock_add_rule and landlock_restrict_self"
    )]
    Refused(io::Error),
    /// The rules were not taken.
    #[error("the Landlock rules were not taken: {0}")]
    Rules(#[from] RulesetError),
    /// They were taken and are not enforced.
    #[error("the Landlock rules for files are not enforced")]
    NotEnforced,
    /// The system call filter was not taken.
    #[error("the system call filter was not taken: {0}")]
    Filter(String),
}

/// Restricts this thread and all that it will start: files beneath the roots may be read, and written where a root says
/// so (a root within a root that may be written is written with it: the rules of the kernel only add up); no TCP port may be bound or
/// connected to; no process outside may be sent a signal or reached by an abstract socket.
///
/// # Errors
/// With `Sandbox::Required` whatever keeps the rules for files from being enforced; otherwise none.
pub fn seal_filesystem(roots: &[Root<'_>], mode: Sandbox) -> Result<Seal, SealError> {
    let files = match mode {
        Sandbox::Off => Err("switched off".to_owned()),
        Sandbox::Required => Ok(restrict(roots, REQUIRED_ABI)?),
        Sandbox::BestEffort => restrict(roots, 1).map_err(|error| error.to_string()),
    };
    Ok(Seal { files, system_calls: Err("none yet".to_owned()) })
}

fn restrict(roots: &[Root<'_>], required: u32) -> Result<Files, SealError> {
    let abi = match kernel_abi() {
        Ok(Some(abi)) if abi >= required => abi,
        Ok(Some(abi)) => return Err(SealError::TooOld(abi)),
        Ok(None) => return Err(SealError::NoLandlock),
        Err(error) => return Err(SealError::Refused(error)),
    };
    match enforce(roots)?.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {
            let writable = roots.iter().filter(|root| root.can_write).count();
            Ok(Files { abi, roots: roots.len(), writable })
        }
        RulesetStatus::NotEnforced => Err(SealError::NotEnforced),
    }
}

/// Every right that the kernel knows is handled, that is: forbidden unless a rule allows it. What the kernel is too old
/// to know is left out (the crate's best effort), for `restrict` has seen that it knows enough.
fn enforce(roots: &[Root<'_>]) -> Result<RestrictionStatus, RulesetError> {
    // Up to ABI 8: ABI 9 would also forbid to send to /dev/log by its path, which the syslog log does with a socket
    // that was made before the seal, and there is no other socket to send from (the system call filter sees to that).
    let all_files = AccessFs::from_all(ABI::V8);
    let rules = roots.iter().map(|root| Ok::<_, RulesetError>(PathBeneath::new(root.fd, rights(root))));
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all_files)?
        .handle_access(AccessNet::from_all(ABI::V8))?
        .scope(Scope::from_all(ABI::V8))?
        .create()?
        .add_rules(rules)?
        .restrict_self()
}

/// What a worker may do beneath a root. To write means: make a new file, write it, put it in the place of another in
/// the same folder, remove it; and to make a folder, if the configuration says that. Not to make links, devices or
/// sockets, not to cut a file off (a file is replaced whole or not at all), not to run a program.
fn rights(root: &Root<'_>) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile;
    match root {
        Root { can_write: false, .. } => read,
        Root { makes_folders: false, .. } => read | write,
        Root { makes_folders: true, .. } => read | write | AccessFs::MakeDir,
    }
}

impl Seal {
    /// Notes what came of the system call filter: how many calls it allows.
    ///
    /// # Errors
    /// With `Sandbox::Required` that the filter wasn't taken; otherwise none.
    pub fn add_filter(&mut self, filter: Result<usize, SealError>, mode: Sandbox) -> Result<(), SealError> {
        self.system_calls = match (filter, mode) {
            (Err(error), Sandbox::Required) => return Err(error),
            (filter, _) => filter.map_err(|error| error.to_string()),
        };
        Ok(())
    }
}

impl fmt::Display for Seal {
    /// One line of words for the start-up log and `/stats`: what is enforced, and by name what is not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.files {
            Ok(files) => files.fmt(f)?,
            Err(reason) => write!(f, "NO Landlock ({reason})")?,
        }
        match &self.system_calls {
            Ok(count) => write!(f, "; seccomp: {count} system calls, no new process, program or socket"),
            Err(reason) => write!(f, "; NO seccomp ({reason})"),
        }
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { abi, roots, writable } = *self;
        write!(f, "Landlock ABI {abi}: files beneath ")?;
        match roots {
            1 => f.write_str("the root may be read")?,
            _ => write!(f, "{roots} roots may be read")?,
        }
        match writable {
            0 => {}
            _ if writable == roots => f.write_str(" and written")?,
            _ => write!(f, ", beneath {writable} of them written")?,
        }
        let said = |since, words, missing| if self.abi >= since { words } else { missing };
        f.write_str(said(NETWORK_ABI, ", no TCP bind or connect", ", TCP left to seccomp"))?;
        f.write_str(said(SCOPE_ABI, ", no signal or abstract socket to others", ", signals left to seccomp"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::open_root;
    use crate::sys::process::{Ended, fork, wait};
    use std::fs::{self, File, OpenOptions};
    use std::io::{ErrorKind, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;
    use std::process::ExitCode;

    /// The seal can't be taken off, so each test has a process of its own.
    fn sealed(can_write: bool, test: impl FnOnce(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old"), "old").unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        let root = open_root(folder.path()).unwrap();
        let child = fork(|| {
            let seal =
                seal_filesystem(&[Root { fd: root.as_fd(), can_write, makes_folders: false }], Sandbox::Required)
                    .unwrap();
            assert!(seal.files.is_ok());
            test(folder.path());
            ExitCode::SUCCESS
        });
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
    }

    fn denied<T>(outcome: io::Result<T>) -> bool {
        outcome.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    fn make(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    #[test]
    fn reader_reads_beneath_its_root_and_nothing_else() {
        sealed(false, |root| {
            assert_eq!(fs::read(root.join("old")).unwrap(), b"old");
            assert_eq!(fs::read_dir(root).unwrap().count(), 2);
            assert!(denied(fs::read("/etc/passwd")));
            assert!(denied(fs::read_dir("/")));
            assert!(denied(File::create(root.join("old"))));
            assert!(denied(make(&root.join("new"))));
            assert!(denied(fs::remove_file(root.join("old"))));
            assert!(denied(fs::rename(root.join("old"), root.join("new"))));
        });
    }

    #[test]
    fn writer_replaces_files_in_their_folder_and_nothing_else() {
        sealed(true, |root| {
            let mut new = make(&root.join("new")).unwrap();
            new.write_all(b"new").unwrap();
            new.sync_all().unwrap();
            fs::rename(root.join("new"), root.join("old")).unwrap();
            assert_eq!(fs::read(root.join("old")).unwrap(), b"new");
            make(&root.join("sub/temporary")).unwrap();
            fs::hard_link(root.join("sub/temporary"), root.join("sub/named")).unwrap();
            fs::remove_file(root.join("sub/temporary")).unwrap();
            assert!(denied(fs::create_dir(root.join("folder"))));
            assert!(denied(fs::remove_dir(root.join("sub"))));
            assert!(denied(std::os::unix::fs::symlink("/", root.join("link"))));
            assert!(denied(std::os::unix::net::UnixListener::bind(root.join("socket"))));
            assert!(denied(File::create("/tmp/outside")));
            let moved = fs::rename(root.join("sub/named"), root.join("named")).unwrap_err();
            assert_eq!(moved.kind(), ErrorKind::CrossesDevices);
        });
    }

    #[test]
    fn network_and_signals_are_denied_where_the_kernel_can() {
        let abi = kernel_abi().unwrap().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        sealed(false, |_| {
            if abi >= NETWORK_ABI {
                assert!(denied(std::net::TcpStream::connect(port)));
                assert!(denied(std::net::TcpListener::bind("127.0.0.1:0")));
            }
            if abi >= SCOPE_ABI {
                assert_eq!(nix::sys::signal::kill(nix::unistd::getppid(), None), Err(nix::errno::Errno::EPERM));
            }
        });
    }

    #[test]
    fn socket_made_before_still_reaches_a_syslog_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        sealed(false, |_| {
            socket.send_to(b"line", &path).unwrap();
        });
        let mut line = [0; 8];
        assert_eq!(daemon.recv(&mut line).unwrap(), 4);
    }

    #[test]
    fn without_a_seal_it_says_so() {
        let seal = seal_filesystem(&[], Sandbox::Off).unwrap();
        assert_eq!(seal.to_string(), "NO Landlock (switched off); NO seccomp (none yet)");
    }

    #[test]
    fn words_name_what_an_older_kernel_lacks() {
        let words_of = |abi, roots, writable| {
            let mut seal = Seal { files: Ok(Files { abi, roots, writable }), system_calls: Err(String::new()) };
            seal.add_filter(Ok(70), Sandbox::Required).unwrap();
            seal.to_string()
        };
        let words = |abi| words_of(abi, 1, 0);
        assert!(words(2).contains("TCP left to seccomp, signals left to seccomp; seccomp: 70"), "{}", words(2));
        assert!(words(4).contains("no TCP bind or connect, signals left to seccomp"), "{}", words(4));
        assert!(words(6).contains("no TCP bind or connect, no signal or abstract socket"), "{}", words(6));
        assert!(words(6).contains(": files beneath the root may be read, no TCP"), "{}", words(6));
        assert!(words_of(6, 1, 1).contains("the root may be read and written, no TCP"));
        assert!(words_of(6, 3, 1).contains("3 roots may be read, beneath 1 of them written, no TCP"));
    }

    #[test]
    fn each_root_has_its_own_rights() {
        let [reading, writing] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let roots = [&reading, &writing].map(|folder| open_root(folder.path()).unwrap());
        let child = fork(|| {
            let roots = [(&roots[0], false), (&roots[1], true)];
            let roots = roots.map(|(root, can_write)| Root { fd: root.as_fd(), can_write, makes_folders: false });
            seal_filesystem(&roots, Sandbox::Required).unwrap();
            assert_eq!(fs::read_dir(reading.path()).unwrap().count(), 0);
            assert!(denied(make(&reading.path().join("new"))));
            make(&writing.path().join("new")).unwrap();
            ExitCode::SUCCESS
        });
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
    }
}
