//! The locks of a change: the sums of the quotas, then the folder. Waiting for them holds no thread for long.
//! Process: worker, sealed. Blocks: for a millisecond, once; then it is asked for again later. Where there is a quota, as
//! counting it does. Fails with: 500, 503.
//! Somebody has them for some milliseconds. Who has them for longer is no worker that is well, and must not take the
//! helper threads with him, or the other uploads: from then on each look is one try.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commit::write_refusal;
use super::folder::{Folder, FolderLock};
use super::quota::{Ledgers, Quotas, Tried};
use crate::message::{FieldName, Refusal, Status, Value, Worked};

/// After so long the client is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);
/// So often a helper thread looks, once, before it turns to other work, after pauses that begin with this and double:
/// one millisecond in all.
const LOOKS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_micros(30);
/// The pauses without a thread begin with this and double up to that.
const FIRST_ABSENCE: Duration = Duration::from_millis(1);
const LONGEST_ABSENCE: Duration = Duration::from_millis(32);
/// A count that was held up has taken a thread as long as this, so it gets none for as long.
pub(super) const AFTER_A_COUNT: Duration = Duration::from_secs(1);

/// Waits, on a helper thread, for the lock of a file that nobody has for longer than one write takes: a second at most. False
/// if somebody has it still.
///
/// # Errors
/// As flock(2): some file systems have no locks.
pub(super) fn lock_patiently(file: &File) -> io::Result<bool> {
    const TRIES: usize = 1000;
    const PAUSE: Duration = Duration::from_millis(1);
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// So often a look tries where there are no quotas, with pauses of about a microsecond. Another worker that makes a small
/// file in memory has the lock for some ten: to wait for that costs the loop less than the way to a helper thread and back.
/// And who has waited for long looks rarely: it should not take him luck to find the moment between two others.
const TRIES_A_LOOK: u32 = 12;
const SPINS_A_PAUSE: u32 = 20;

/// What is held while a target is changed.
pub(super) struct Held<'q> {
    pub(super) lock: FolderLock,
    pub(super) ledgers: Ledgers<'q>,
}

/// What is done when the locks are there, or can't be had.
pub(super) type Change = Box<dyn FnOnce(Result<Held<'_>, Refusal>) -> Worked + Send>;

/// The locks that a change needs.
pub(super) struct Locks {
    folder: Arc<Folder>,
    quotas: Quotas,
    begun: Instant,
    absence: Duration,
}

impl Locks {
    /// Those of a target in this folder.
    pub(super) fn new(folder: Arc<Folder>, quotas: Quotas) -> Self {
        Self { folder, quotas, begun: Instant::now(), absence: FIRST_ABSENCE }
    }

    /// Does this once the locks are there: at once if they are free, else later, on a helper thread.
    pub(super) fn change(self, change: Change) -> Worked {
        let (pause, looks) = match self.look() {
            Ok(Tried::Locked(held)) => return change(Ok(held)),
            Ok(Tried::Busy) => (Duration::ZERO, LOOKS),
            Ok(Tried::HeldUp) => (AFTER_A_COUNT, 1),
            Err(refusal) => return change(Err(refusal)),
        };
        Worked::Later(pause, Box::new(move || self.wait(change, looks)))
    }

    fn wait(mut self, change: Change, looks: u32) -> Worked {
        let mut absence = self.absence;
        for look in 0..looks {
            match self.look() {
                Ok(Tried::Locked(held)) => return change(Ok(held)),
                Ok(Tried::Busy) if looks == 1 => {}
                Ok(Tried::Busy) => std::thread::sleep(FIRST_PAUSE * 2_u32.pow(look)),
                Ok(Tried::HeldUp) => {
                    absence = AFTER_A_COUNT;
                    break;
                }
                Err(refusal) => return change(Err(refusal)),
            }
        }
        if self.begun.elapsed() > PATIENCE {
            let refusal =
                Refusal::new(Status::SERVICE_UNAVAILABLE, "The folder of this file is busy; try again in a moment.");
            return change(Err(refusal.with_field(FieldName::RetryAfter, Value::Number(1))));
        }
        self.absence = (self.absence * 2).min(LONGEST_ABSENCE);
        Worked::Later(absence, Box::new(move || self.wait(change, 1)))
    }

    fn look(&self) -> Result<Tried<Held<'_>>, Refusal> {
        let ledgers = match self.quotas.try_lock()? {
            Tried::Locked(ledgers) => ledgers,
            Tried::Busy => return Ok(Tried::Busy),
            Tried::HeldUp => return Ok(Tried::HeldUp),
        };
        // Who has sums to hold is on a thread that may wait, and must not keep them from others meanwhile.
        let tries = if self.quotas.is_empty() { TRIES_A_LOOK } else { 1 };
        for attempt in 0..tries {
            if attempt > 0 {
                (0..SPINS_A_PAUSE).for_each(|_| std::hint::spin_loop());
            }
            if let Some(lock) = self.folder.try_lock().map_err(|error| write_refusal(&error))? {
                return Ok(Tried::Locked(Held { lock, ledgers }));
            }
        }
        Ok(Tried::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Response;

    /// A piece of an upload that hangs holds up the count, once for each job: not as often as a free lock would be tried.
    #[test]
    fn count_that_is_held_up_is_tried_once_and_later_again() {
        let root = tempfile::tempdir().unwrap();
        let [part, record] = ["part", "record"].map(|kind| root.path().join(format!(".fileserv-{:032}.{kind}", 1)));
        std::fs::write(part, "stored").unwrap();
        let piece = File::create(record).unwrap();
        piece.lock().unwrap();
        let open = || File::open(root.path()).unwrap();
        let folder = Folder::of(open(), false).unwrap().unwrap();
        let locks = Locks::new(folder, Quotas::for_test(open(), 100));
        let change = |held: Result<Held<'_>, Refusal>| Worked::Done(held.map(|_| Response::new(Status::NO_CONTENT)));
        let mut worked = locks.change(Box::new(change));
        for _ in 0..2 {
            let Worked::Later(pause, job) = worked else { panic!("a count went through") };
            assert_eq!(pause, AFTER_A_COUNT, "a thread is free for as long as it was taken");
            worked = job();
        }
        piece.unlock().unwrap();
        let Worked::Later(_, job) = worked else { panic!("a count went through") };
        assert!(matches!(job(), Worked::Done(Ok(_))));
    }

    #[test]
    fn who_comes_again_for_too_long_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let open = || Folder::of(File::open(root.path()).unwrap(), false).unwrap().unwrap();
        let other = open();
        let _held = other.try_lock().unwrap().unwrap();
        let begun = Instant::now().checked_sub(PATIENCE).unwrap();
        let locks = Locks { begun, ..Locks::new(open(), Quotas::default()) };
        let change = |held: Result<Held<'_>, Refusal>| Worked::Done(held.map(|_| Response::new(Status::NO_CONTENT)));
        let Worked::Later(Duration::ZERO, job) = locks.change(Box::new(change)) else { panic!("not another look") };
        let Worked::Done(Err(refusal)) = job() else { panic!("not refused") };
        assert_eq!(refusal.status, Status::SERVICE_UNAVAILABLE);
    }
}
