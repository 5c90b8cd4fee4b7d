//! Files that are known to have no extended attributes: whoever updates one need not open it to ask for them, which costs as
//! much as to write the new one.
//! Process: worker, sealed. Trusts: the change time, so it is only for file systems on which that tells every change from
//! the one before (`sys/stamps.rs`): a file that has the same one still has no attributes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::file::Identity;

/// So many files are known in a folder. A file system in memory counts its inodes, so those that were made last have a
/// place each.
const PLACES: usize = 4096;

/// What is known of the files of a folder: inode and change time, each at the place of its inode.
#[derive(Debug, Default)]
pub(super) struct Bare(Mutex<Vec<(u64, i64)>>);

impl Bare {
    /// Is this file, as it is, known to have none?
    pub(super) fn contains(&self, file: &Identity) -> bool {
        self.known().get(place_of(file)).is_some_and(|known| Some(*known) == entry_of(file))
    }

    /// This file, as it is, has none.
    pub(super) fn note(&self, file: &Identity) {
        let mut known = self.known();
        known.resize(PLACES, (0, 0));
        if let (Some(place), Some(entry)) = (known.get_mut(place_of(file)), entry_of(file)) {
            *place = entry;
        }
    }

    /// A panic aborts the process, so the lock is never poisoned.
    fn known(&self) -> MutexGuard<'_, Vec<(u64, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place_of(file: &Identity) -> usize {
    #[allow(clippy::cast_possible_truncation, reason = "the lowest bits are meant")]
    let low = file.inode as usize;
    low % PLACES
}

/// `None` for a file of the year 2262, and then there is no entry for it.
fn entry_of(file: &Identity) -> Option<(u64, i64)> {
    Some((file.inode, i64::try_from(file.changed).ok()?))
}
