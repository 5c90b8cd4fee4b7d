//! How much is stored below a folder: what a quota is held against.
//! Process: worker, sealed; on a helper thread. Trusts: nothing. Blocks: as walking the folders does.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::quota::is_ledger;
use super::resumable::{UploadId, await_landing};
use super::temporary::is_temporary;
use crate::sys::directory::Directory;
use crate::sys::file::{self, FileKind};

/// The size of all regular files below a folder, with what has come of uploads in several requests, which may stay for
/// days; but without the temporaries of others, and without our own notes.
///
/// # Errors
/// As getdents64(2); WouldBlock if a piece that is charged is not written for too long.
pub(super) fn stored_bytes(top: &File) -> io::Result<u64> {
    let mut sum: u64 = 0;
    let mut pending = vec![b"/".to_vec()];
    while let Some(path) = pending.pop() {
        let Ok(folder) = file::open_beneath(top.as_fd(), &path) else { continue };
        let Ok(mut entries) = folder.try_clone().and_then(Directory::read) else { continue };
        while let Some(name) = entries.next_name()? {
            // Held while the size is asked for.
            let _landed = await_landing(&folder, &name)?;
            // What is gone again counts for nothing.
            let Ok(identity) = entries.identity_of(&name) else { continue };
            match identity.kind {
                FileKind::Regular if counts(&name) => {
                    sum = sum.saturating_add(identity.size);
                }
                FileKind::Directory => pending.push([&path, name.as_slice(), b"/"].concat()),
                FileKind::Regular | FileKind::Symlink | FileKind::Special => {}
            }
        }
    }
    Ok(sum)
}

/// Is a file of this name one that takes of a quota?
fn counts(name: &[u8]) -> bool {
    !is_temporary(name) && !is_ledger(name) && !UploadId::is_record(name)
}
