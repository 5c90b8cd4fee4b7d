//! Folders brought to stable storage, several uploads at once by one call: whoever renames in a folder while another
//! one syncs it waits for that to end, and then one of all who waited syncs for all of them.
//! Process: worker, sealed; helper threads. Blocks: as the disk does. Fails with: what fsync(2) says, never tried again.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::sys::file::identity;

/// The syncs that are under way in a worker.
#[derive(Clone, Default)]
pub struct FolderSyncs(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// By device and inode.
    folders: Mutex<HashMap<(u64, u64), Rounds>>,
    ended: Condvar,
}

/// The syncs of one folder, one after the other.
#[derive(Default)]
struct Rounds {
    /// How many have begun, and how many have ended: one more has begun than ended while one is under way.
    begun: u64,
    ended: u64,
    /// The last that failed, and its error number.
    failed: Option<(u64, i32)>,
    /// Who is interested in them.
    users: usize,
}

impl FolderSyncs {
    /// Returns when a sync of this folder has succeeded that began after this call: what was changed before is on
    /// stable storage.
    ///
    /// # Errors
    /// As fsync(2), for everybody whom the sync would have served.
    pub(super) fn sync(&self, folder: &File) -> io::Result<()> {
        self.sync_by(folder, File::sync_all)
    }

    fn sync_by(&self, folder: &File, sync: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let identity = identity(folder)?;
        let key = (identity.device, identity.inode);
        let mut folders = self.folders();
        let rounds = folders.entry(key).or_default();
        rounds.users += 1;
        let wanted = rounds.begun + 1;
        let outcome = loop {
            let rounds = folders.entry(key).or_default();
            if let Some(outcome) = rounds.outcome_of(wanted) {
                break outcome;
            }
            if rounds.begun > rounds.ended {
                folders = self.0.ended.wait(folders).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            rounds.begun = wanted;
            drop(folders);
            let outcome = sync(folder);
            folders = self.folders();
            let rounds = folders.entry(key).or_default();
            rounds.ended = wanted;
            if let Err(error) = &outcome {
                rounds.failed = Some((wanted, error.raw_os_error().unwrap_or_default()));
            }
            self.0.ended.notify_all();
            break outcome;
        };
        let rounds = folders.entry(key).or_default();
        rounds.users -= 1;
        if rounds.users == 0 {
            folders.remove(&key);
        }
        outcome
    }

    /// A panic aborts the process, so the lock is never poisoned.
    fn folders(&self) -> MutexGuard<'_, HashMap<(u64, u64), Rounds>> {
        self.0.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rounds {
    /// What came of this sync or a later one; `None` if it has not ended. One that failed may have taken the word of
    /// what the others waited for with it, so it counts for all up to it.
    fn outcome_of(&self, wanted: u64) -> Option<io::Result<()>> {
        match self.failed {
            Some((failed, number)) if failed >= wanted => Some(Err(io::Error::from_raw_os_error(number))),
            Some(_) | None => (self.ended >= wanted).then_some(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc::sync_channel;

    #[test]
    fn those_who_wait_for_one_sync_share_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let folder = File::open(folder.path()).unwrap();
        let (syncs, count) = (FolderSyncs::default(), AtomicUsize::new(0));
        let (begun, has_begun) = sync_channel(0);
        let (end, may_end) = sync_channel::<()>(0);
        std::thread::scope(|scope| {
            let (first_syncs, first_folder) = (&syncs, &folder);
            scope.spawn(move || {
                let first = first_syncs.sync_by(first_folder, |_| {
                    begun.send(()).unwrap();
                    may_end.recv().unwrap();
                    Ok(())
                });
                first.unwrap();
            });
            has_begun.recv().unwrap();
            for _ in 0..5 {
                scope.spawn(|| {
                    let shared = syncs.sync_by(&folder, |_| {
                        count.fetch_add(1, SeqCst);
                        Err(io::Error::from_raw_os_error(5))
                    });
                    assert_eq!(shared.unwrap_err().raw_os_error(), Some(5), "it failed for all of them");
                });
            }
            while syncs.folders().values().map(|rounds| rounds.users).sum::<usize>() < 6 {
                std::thread::yield_now();
            }
            end.send(()).unwrap();
        });
        assert_eq!(count.load(SeqCst), 1);
        assert!(syncs.folders().is_empty());
        syncs.sync(&folder).unwrap();
    }
}
