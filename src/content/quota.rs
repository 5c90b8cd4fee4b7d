//! Quotas: how much is stored below a path, right across workers, generations and restarts.
//! Process: worker, sealed; `Ledgers` on a helper thread. Trusts: nothing of a client. Fails with: 500, 503, 507.
//!
//! The sum stands in `.fileserv-quota` in the folder of the quota, whose lock is held from the decision to the rename.
//! What is added is written before the rename (of an upload in several requests: before each piece of its part) and what
//! is given back after it, so that a worker that dies between them has counted too much, never too little. Others change
//! files, too, and a power cut may take a sum back: so a sum is counted anew when it is old, and before anybody is refused
//! because of it.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Context;
use super::commit::write_refusal;
use super::stored::stored_bytes;
use super::temporary::is_still_named;
use crate::message::{FieldName, Refusal, Status, Value};
use crate::sys::file;

/// The name of the file with the sum. It is hidden, and no name of a temporary.
const LEDGER: &str = ".fileserv-quota";
/// A sum is counted anew after so long.
const STALE_SECONDS: u64 = 3600;
/// But one that was counted so lately is believed even against somebody.
const FRESH_SECONDS: u64 = 5;
/// The sum and the time of the count, each in decimal digits with a line feed, padded with blanks.
const LEDGER_BYTES: usize = 42;

/// The quotas with a sum that hold for a target, from the root down.
#[derive(Default)]
pub(super) struct Quotas(Vec<Quota>);

struct Quota {
    path: String,
    limit: u64,
    folder: File,
    /// Device and inode of the folder.
    place: (u64, u64),
}

impl Quotas {
    /// Those of this decoded path, whose folder is there: then those of the quotas are, too.
    ///
    /// # Errors
    /// When a folder can't be opened.
    pub(super) fn of(ctx: &Context<'_>, path: &[u8]) -> Result<Self, Refusal> {
        WantedQuotas::of(ctx, path).open(ctx.root)
    }

    /// One at this folder.
    #[cfg(test)]
    pub(super) fn for_test(folder: File, limit: u64) -> Self {
        let mut quotas = Self::default();
        quotas.add("/in/", limit, folder).unwrap();
        quotas
    }

    /// Adds one. Two paths may lead to one folder, by a symbolic link: it has one sum, whose lock can be had only once, and
    /// the smaller limit holds.
    fn add(&mut self, path: &str, limit: u64, folder: File) -> Result<(), Refusal> {
        let identity = file::identity(&folder).map_err(|error| super::refuse_open(&error))?;
        let place = (identity.device, identity.inode);
        let quota = Quota { path: path.to_owned(), limit, folder, place };
        match self.0.iter_mut().find(|other| other.place == place) {
            Some(other) if other.limit <= limit => {}
            Some(other) => *other = quota,
            None => self.0.push(quota),
        }
        Ok(())
    }

    /// Would so many more bytes fit, as far as that is known without counting? What neither the limit alone nor a count
    /// of just now rules out is decided at commit.
    ///
    /// # Errors
    /// 507 if they would not.
    pub(super) fn check(&self, more: u64) -> Result<(), Refusal> {
        for quota in &self.0 {
            let known =
                file::open_entry(quota.folder.as_fd(), LEDGER.as_bytes()).ok().and_then(|file| Sum::read(&file));
            let used = known.filter(|sum| sum.is_younger(FRESH_SECONDS)).map_or(0, |sum| sum.bytes);
            if used.saturating_add(more) > quota.limit {
                return Err(quota.refuse(used, more));
            }
        }
        Ok(())
    }

    /// Is there no sum to keep?
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Locks the sums, and counts those anew that are not known well enough, which may take as long as walking the
    /// folders.
    ///
    /// # Errors
    /// 500 if a sum can't be kept; 503 if what is stored can't be counted.
    pub(super) fn try_lock(&self) -> Result<Tried<Ledgers<'_>>, Refusal> {
        let mut ledgers = Vec::with_capacity(self.0.len());
        for quota in &self.0 {
            match Ledger::open(quota)? {
                Tried::Locked(ledger) => ledgers.push(ledger),
                Tried::Busy => return Ok(Tried::Busy),
                Tried::HeldUp => return Ok(Tried::HeldUp),
            }
        }
        Ok(Tried::Locked(Ledgers(ledgers)))
    }
}

/// What comes of a try to lock something.
pub(super) enum Tried<T> {
    Locked(T),
    /// Somebody else has it, mostly for some microseconds.
    Busy,
    /// It must be counted first, and that has waited in vain, as long as it may, for a piece of an upload that is under way:
    /// who tries again at once keeps his thread from all else.
    HeldUp,
}

/// The quotas that will hold for a target, as far as they are known before its folder is there.
pub(super) struct WantedQuotas(Vec<(String, u64)>);

impl WantedQuotas {
    /// Those of this decoded path.
    pub(super) fn of(ctx: &Context<'_>, path: &[u8]) -> Self {
        Self(ctx.site.quotas.of(path).filter_map(|quota| Some((quota.path.clone(), quota.bytes?))).collect())
    }

    /// The same, when the folder is there.
    ///
    /// # Errors
    /// When a folder can't be opened.
    pub(super) fn open(&self, root: BorrowedFd<'_>) -> Result<Quotas, Refusal> {
        let mut quotas = Quotas(Vec::new());
        for (path, limit) in &self.0 {
            let opened = file::open_beneath(root, path.as_bytes());
            quotas.add(path, *limit, opened.map_err(|error| super::refuse_open(&error))?)?;
        }
        Ok(quotas)
    }
}

impl Quota {
    fn refuse(&self, used: u64, more: u64) -> Refusal {
        let Self { path, limit, .. } = self;
        let left = limit.saturating_sub(used);
        let detail = format!("The quota of {path} is {limit} bytes; {left} are left, and this file needs {more} more.");
        Refusal::new(Status::INSUFFICIENT_STORAGE, detail)
    }
}

/// 503: what is stored is not known just now.
pub(super) fn refuse_uncounted() -> Refusal {
    let detail = "How much is stored here can't be told just now; try again in a moment.";
    Refusal::new(Status::SERVICE_UNAVAILABLE, detail).with_field(FieldName::RetryAfter, Value::Number(1))
}

/// The locked sums of all quotas that hold for a target.
pub(super) struct Ledgers<'q>(Vec<Ledger<'q>>);

impl Ledgers<'_> {
    /// Decides on a target that had `before` bytes and shall have `after`, and notes what it adds.
    ///
    /// # Errors
    /// 507 if that is too much, even after counting anew.
    pub(super) fn charge(&mut self, before: u64, after: u64) -> Result<(), Refusal> {
        let more = after.saturating_sub(before);
        if more == 0 {
            return Ok(());
        }
        self.insist_on_room(more)?;
        for ledger in &mut self.0 {
            ledger.sum.bytes = ledger.sum.bytes.saturating_add(more);
            ledger.write().map_err(|error| write_refusal(&error))?;
        }
        Ok(())
    }

    /// Would so much more fit?
    ///
    /// # Errors
    /// 507 if it would not, even after counting anew.
    pub(super) fn insist_on_room(&mut self, more: u64) -> Result<(), Refusal> {
        self.0.iter_mut().try_for_each(|ledger| ledger.insist_on_room(more))
    }

    /// Gives back what a target that had `before` bytes and has `after` no longer takes.
    pub(super) fn refund(&mut self, before: u64, after: u64) {
        let less = before.saturating_sub(after);
        for ledger in self.0.iter_mut().filter(|_| less > 0) {
            ledger.sum.bytes = ledger.sum.bytes.saturating_sub(less);
            // If this fails the sum is too large until it is counted anew.
            let _ = ledger.write();
        }
    }
}

/// One locked sum.
struct Ledger<'q> {
    quota: &'q Quota,
    file: File,
    sum: Sum,
}

impl<'q> Ledger<'q> {
    fn open(quota: &'q Quota) -> Result<Tried<Self>, Refusal> {
        let refuse = |error: io::Error| write_refusal(&error);
        // Another one has it if a sweep came between the opening and the lock.
        loop {
            let file = file::open_or_create(quota.folder.as_fd(), LEDGER, 0o600).map_err(refuse)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Tried::Busy),
                Err(TryLockError::Error(error)) => return Err(refuse(error)),
            }
            if !is_still_named(&quota.folder, LEDGER, &file) {
                continue;
            }
            let known = Sum::read(&file).filter(|sum| sum.is_younger(STALE_SECONDS));
            let mut ledger = Self { quota, file, sum: known.unwrap_or_default() };
            return Ok(if known.is_some() || ledger.count()? { Tried::Locked(ledger) } else { Tried::HeldUp });
        }
    }

    fn insist_on_room(&mut self, more: u64) -> Result<(), Refusal> {
        let is_full = |sum: &Sum, limit| sum.bytes.saturating_add(more) > limit;
        let is_doubtful = is_full(&self.sum, self.quota.limit) && !self.sum.is_younger(FRESH_SECONDS);
        if is_doubtful && !self.count()? {
            return Err(refuse_uncounted());
        }
        if is_full(&self.sum, self.quota.limit) { Err(self.quota.refuse(self.sum.bytes, more)) } else { Ok(()) }
    }

    /// Adds up what is there now; false if a piece of an upload that is under way holds that up for too long.
    fn count(&mut self) -> Result<bool, Refusal> {
        let bytes = match stored_bytes(&self.quota.folder) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // A sum without what could not be seen would let in too much.
            Err(_) => return Err(refuse_uncounted()),
        };
        self.sum = Sum { bytes, counted: now() };
        self.write().map_err(|error| write_refusal(&error))?;
        Ok(true)
    }

    fn write(&self) -> io::Result<()> {
        let Sum { bytes, counted } = self.sum;
        self.file.write_all_at(format!("{bytes:>20}\n{counted:>20}\n").as_bytes(), 0)
    }
}

/// What is known of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum {
    bytes: u64,
    /// When all of it was counted, in seconds since the epoch.
    counted: u64,
}

impl Sum {
    fn read(file: &File) -> Option<Self> {
        let mut text = [0; LEDGER_BYTES];
        file.read_exact_at(&mut text, 0).ok()?;
        let mut numbers = std::str::from_utf8(&text).ok()?.lines().map(|line| line.trim_start().parse().ok());
        Some(Self { bytes: numbers.next()??, counted: numbers.next()?? })
    }

    /// A clock that was set back makes it old.
    fn is_younger(&self, seconds: u64) -> bool {
        now().checked_sub(self.counted).is_some_and(|age| age < seconds)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Is this the name of our notes on a quota?
pub(super) fn is_ledger(name: &[u8]) -> bool {
    name == LEDGER.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(folder: &std::path::Path, limit: u64) -> Quotas {
        Quotas::for_test(File::open(folder).unwrap(), limit)
    }

    fn lock(quotas: &Quotas) -> Ledgers<'_> {
        match quotas.try_lock().unwrap() {
            Tried::Locked(ledgers) => ledgers,
            Tried::Busy | Tried::HeldUp => panic!("somebody has them"),
        }
    }

    #[test]
    fn two_paths_to_one_folder_have_one_sum_and_the_smaller_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut quotas = quotas(folder.path(), 100);
        for (path, limit) in [("/link/", 50), ("/other/", 70)] {
            quotas.add(path, limit, File::open(folder.path()).unwrap()).unwrap();
        }
        assert_eq!(quotas.0.len(), 1);
        let refusal = lock(&quotas).charge(0, 51).unwrap_err();
        assert!(refusal.detail.contains("quota of /link/ is 50 bytes"), "{}", refusal.detail);
    }

    #[test]
    fn a_sum_is_counted_once_kept_and_counted_again_before_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/a"), [0; 53]).unwrap();
        std::fs::write(folder.path().join(".fileserv-0123456789abcdef0123456789abcdef.new"), [0; 500]).unwrap();
        // What has come of an upload in several requests counts, what is remembered of it does not.
        std::fs::write(folder.path().join(".fileserv-0123456789abcdef0123456789abcdef.part"), [0; 7]).unwrap();
        std::fs::write(folder.path().join(".fileserv-0123456789abcdef0123456789abcdef.record"), [0; 500]).unwrap();
        let quotas = quotas(folder.path(), 100);
        assert!(quotas.check(100).is_ok());
        assert_eq!(quotas.check(101).unwrap_err().status, Status::INSUFFICIENT_STORAGE, "without any count");
        let mut ledgers = lock(&quotas);
        ledgers.charge(0, 30).unwrap();
        assert_eq!(ledgers.0[0].sum.bytes, 90);
        let refusal = ledgers.charge(5, 25).unwrap_err();
        assert_eq!(refusal.status, Status::INSUFFICIENT_STORAGE);
        assert!(refusal.detail.contains("quota of /in/ is 100 bytes; 10 are left, and this file needs 20 more"));
        ledgers.refund(60, 50);
        ledgers.charge(5, 25).unwrap();
        drop(ledgers);
        assert_eq!(quotas.check(1).unwrap_err().status, Status::INSUFFICIENT_STORAGE);
        assert!(quotas.check(0).is_ok());
        // What is remembered is from a while ago, and somebody has tidied up.
        let mut ledgers = lock(&quotas);
        ledgers.0[0].sum.counted -= FRESH_SECONDS;
        ledgers.0[0].write().unwrap();
        drop(ledgers);
        std::fs::remove_file(folder.path().join("sub/a")).unwrap();
        std::fs::remove_file(folder.path().join(".fileserv-0123456789abcdef0123456789abcdef.part")).unwrap();
        assert!(quotas.check(100).is_ok(), "an old sum refuses nobody");
        lock(&quotas).charge(0, 100).unwrap();
        assert!(lock(&quotas).charge(0, 1).is_err());
    }

    #[test]
    fn a_sum_that_cant_be_read_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LEDGER), "nonsense").unwrap();
        std::fs::write(folder.path().join("a"), "abc").unwrap();
        let quotas = quotas(folder.path(), 100);
        assert_eq!(lock(&quotas).0[0].sum.bytes, 3);
        let text = std::fs::read(folder.path().join(LEDGER)).unwrap();
        assert_eq!(text.len(), LEDGER_BYTES);
    }
}
