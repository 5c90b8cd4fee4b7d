//! How much is stored below a folder: what a quota is held against.
//! Process: worker, sealed; on a helper thread. Trusts: nothing. Blocks: as walking the folders does.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::quota::is_ledger;
use super::resumable::{UploadId, await_landing};
use super::temporary::is_temporary;
use crate::sys::directory::Directory;
use crate::sys::failure::OpenFailure;
use crate::sys::file::{self, FileKind};

/// The size of all regular files below a folder, with what has come of uploads in several requests, which may stay for
/// days (but of that only what its uploader does not yet have to charge); without the temporaries of others, and without
/// our own notes. What the service may not see belongs to nobody whom a quota could refuse.
///
/// # Errors
/// As openat2(2) and getdents64(2); WouldBlock if a piece that is charged is not written for too long.
pub(super) fn stored_bytes(top: &File) -> io::Result<u64> {
    let mut sum: u64 = 0;
    let mut pending = vec![b"/".to_vec()];
    while let Some(path) = pending.pop() {
        let Some(folder) = seen(file::open_beneath(top.as_fd(), &path))? else { continue };
        let mut entries = Directory::read(folder.try_clone()?)?;
        while let Some(name) = entries.next_name()? {
            // Held while the size is asked for.
            let landed = await_landing(&folder, &name)?;
            let Some(identity) = seen(entries.identity_of(&name))? else { continue };
            match identity.kind {
                FileKind::Regular if counts(&name) => {
                    let charged = landed.and_then(|landed| landed.charged).unwrap_or(u64::MAX);
                    sum = sum.saturating_add(identity.size.min(charged));
                }
                FileKind::Directory => pending.push([&path, name.as_slice(), b"/"].concat()),
                FileKind::Regular | FileKind::Symlink | FileKind::Special => {}
            }
        }
    }
    Ok(sum)
}

/// What is gone again counts for nothing, nor does what may not be seen; `None` for both.
fn seen<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        Ok(seen) => Ok(Some(seen)),
        Err(error) => match OpenFailure::of(&error) {
            OpenFailure::Absent | OpenFailure::Forbidden => Ok(None),
            OpenFailure::Exhausted | OpenFailure::Broken => Err(error),
        },
    }
}

/// Is a file of this name one that takes of a quota?
fn counts(name: &[u8]) -> bool {
    !is_temporary(name) && !is_ledger(name) && !UploadId::is_record(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A count that passed over a folder for want of a descriptor would let in as much again.
    #[test]
    fn only_what_is_gone_or_forbidden_is_passed_over() {
        let [absent, forbidden, broken, exhausted] = [2, 13, 5, 24];
        let look = |number| seen::<()>(Err(io::Error::from_raw_os_error(number)));
        assert!([absent, forbidden].map(look).iter().all(|looked| matches!(looked, Ok(None))));
        assert!([broken, exhausted].map(look).iter().all(Result::is_err));
    }
}
