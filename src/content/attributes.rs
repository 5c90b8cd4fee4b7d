//! What an update keeps of the file that it replaces: permissions, owner, group, extended attributes.
//! Process: worker, sealed; on a helper thread. Trusts: nothing. Fails with: what fchmod(2) says; all else is done as far
//! as the service user may, and what could not be kept of the attributes is told in the error log.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::folder::Folder;
use super::page::link;
use crate::log::{Level, Logs};
use crate::sys::attributes;
use crate::sys::file::{self, Identity};

/// A file that is about to be replaced.
pub(super) struct Old<'o> {
    pub(super) folder: &'o Folder,
    pub(super) name: &'o [u8],
    pub(super) identity: &'o Identity,
    /// Its path, for the log.
    pub(super) path: &'o [u8],
    pub(super) logs: &'o Logs,
}

impl Old<'_> {
    /// Gives a new file, which is `now`, what this one has.
    pub(super) fn keep(&self, new: &File, now: &Identity) -> io::Result<()> {
        let old = self.identity;
        // An ordinary user can give a file to no other user, and to a group only if it belongs to it.
        if (old.uid, old.gid) != (now.uid, now.gid) && file::set_owner(new, Some(old.uid), Some(old.gid)).is_err() {
            let _ = file::set_owner(new, None, Some(old.gid));
        }
        // After the owner, whose change takes bits away; and never a set-user-id bit for what a client has sent.
        let mode = old.mode & 0o777;
        if mode != now.mode {
            file::set_mode(new, mode)?;
        }
        if self.folder.bare().is_none_or(|bare| !bare.contains(old)) {
            self.copy_attributes(new);
        }
        Ok(())
    }

    fn copy_attributes(&self, new: &File) {
        let copied = file::open_entry(self.folder.as_fd(), self.name).and_then(|old| attributes::copy(&old, new));
        let shown = || link(self.path);
        match copied {
            Ok(lost) => {
                for (name, error) in lost {
                    let words = format_args!("the update of {} has lost its attribute {name:?}: {error}", shown());
                    self.logs.error(Level::Warning, words);
                }
            }
            Err(error) => {
                let words = "may have lost extended attributes, which can't be read";
                self.logs.error(Level::Warning, format_args!("the update of {} {words}: {error}", shown()));
            }
        }
    }
}
