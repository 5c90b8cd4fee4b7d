//! Whom the service runs as, looked up in the user database.
//! Process: supervisor at its start. Privileges: none, though a database may want root. Blocks: as the database does.

use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Group, Uid, User};

use super::credentials::{CredentialsError, Outcome, is_root, step};

/// The user that the service runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub(super) name: String,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
}

/// Users to run as when the configuration names none, best first.
const DEFAULT_USERS: [&str; 2] = ["fileserv", "nobody"];

impl Account {
    /// The account of these names, or the default ones where they are `None`.
    ///
    /// # Errors
    /// A name that doesn't exist, or that is root's.
    pub fn find(user: Option<&str>, group: Option<&str>) -> Outcome<Self> {
        let look_up = |name: &str| User::from_name(name).map_err(|errno| step("look up the user", errno));
        let user = match user {
            Some(name) => look_up(name)?.ok_or_else(|| CredentialsError::NoUser(name.into()))?,
            None => {
                let mut found = None;
                for name in DEFAULT_USERS {
                    found = found.map_or_else(|| look_up(name), |user| Ok(Some(user)))?;
                }
                found.ok_or_else(|| CredentialsError::NoUser(DEFAULT_USERS.join(" or ")))?
            }
        };
        if user.uid.is_root() {
            return Err(CredentialsError::IsRoot(user.name));
        }
        let gid = match group {
            None => user.gid,
            Some(name) => {
                let group = Group::from_name(name).map_err(|errno| step("look up the group", errno))?;
                group.ok_or_else(|| CredentialsError::NoGroup(name.into()))?.gid
            }
        };
        let c_name = CString::new(user.name.as_str()).map_err(|_| CredentialsError::NoUser(user.name.clone()))?;
        let groups =
            nix::unistd::getgrouplist(&c_name, gid).map_err(|errno| step("look up the user's groups", errno))?;
        Ok(Self { name: user.name, uid: user.uid, gid, groups })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The id of the group with this name.
///
/// # Errors
/// When the user database can't be read.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

/// Does the service, once it runs as this user and group, belong to that group? `None` if there is no such user.
#[must_use]
pub fn belongs_to(user: Option<&str>, group: Option<&str>, gid: u32) -> Option<bool> {
    let gid = Gid::from_raw(gid);
    if is_root() || user.is_some() {
        return Account::find(user, group).ok().map(|account| account.gid == gid || account.groups.contains(&gid));
    }
    let own = nix::unistd::getgroups().ok()?;
    Some(nix::unistd::getegid() == gid || own.contains(&gid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Ended, fork, wait};
    use std::process::ExitCode;

    #[test]
    fn root_and_strangers_are_no_service_users() {
        // In a child: a fork must not happen while another thread is in the user database.
        let child = fork(|| {
            assert!(matches!(Account::find(Some("root"), None), Err(CredentialsError::IsRoot(_))));
            assert!(matches!(Account::find(Some("no-such-user"), None), Err(CredentialsError::NoUser(_))));
            assert!(matches!(Account::find(Some("nobody"), Some("no-such-group")), Err(CredentialsError::NoGroup(_))));
            assert!(DEFAULT_USERS.contains(&Account::find(None, None).unwrap().name()));
            ExitCode::SUCCESS
        });
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
    }
}
