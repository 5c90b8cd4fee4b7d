//! What an update keeps of the file that it replaces: permissions, owner, group, extended attributes.
//! Process: worker, sealed; on a helper thread. Trusts: nothing. Fails with: what fchmod(2) says; all else is done as far
//! as the service user may, and what could not be kept of the attributes is told in the error log.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use crate::log::{Level, Logs};
use crate::sys::attributes;
use crate::sys::file::{self, Identity};

/// Gives `new` what the file `name` in `folder`, which is `old`, has. `shown`: its address, for the log.
pub(super) fn keep(folder: &File, name: &[u8], old: &Identity, new: &File, shown: &str, logs: &Logs) -> io::Result<()> {
    let now = file::identity(new)?;
    // An ordinary user can give a file to no other user, and to a group only if it belongs to it.
    if (old.uid, old.gid) != (now.uid, now.gid) && file::set_owner(new, Some(old.uid), Some(old.gid)).is_err() {
        let _ = file::set_owner(new, None, Some(old.gid));
    }
    // After the owner, whose change takes bits away; and never a set-user-id bit for what a client has sent.
    let mode = old.mode & 0o777;
    if mode != now.mode {
        file::set_mode(new, mode)?;
    }
    let copied = file::open_entry(folder.as_fd(), name).and_then(|old| attributes::copy(&old, new));
    match copied {
        Ok(lost) => {
            for (name, error) in lost {
                logs.error(
                    Level::Warning,
                    format_args!("the update of {shown} has lost its attribute {name:?}: {error}"),
                );
            }
        }
        Err(error) => {
            let words = "may have lost extended attributes, which can't be read";
            logs.error(Level::Warning, format_args!("the update of {shown} {words}: {error}"));
        }
    }
    Ok(())
}
