//! What an upload under way takes of the quotas: its bytes are charged before they are written, so that what is never
//! completed can't fill what no file may.
//! Process: worker, sealed; on helper threads. Trusts: nothing. Blocks: as counting a quota does. Fails with: 500, 503, 507.
//! A count that comes between the charge of a piece and its write waits for that (`flight.rs`), or it would miss it.
//! Where somebody else has the sums for long, because he counts, the content goes on for a while and is charged later: no
//! thread waits for that. The record says from where on (`Record::charged`) before such a piece is written, and a count
//! stops there: so what is not charged is never taken for charged, however the request ends, nor charged twice. Only of
//! such content can more be stored than fits, until it is refused or expires.

use std::io;
use std::time::{Duration, Instant};

use super::flight::Flight;
use super::part::{Part, Place};
use crate::content::commit::write_refusal;
use crate::content::locks::AFTER_A_COUNT;
use crate::content::quota::{Ledgers, Quotas, Tried, refuse_uncounted};
use crate::message::Refusal;

/// So much of an upload may be written before it is charged: the sums are held for less time than this takes to come.
const UNCHARGED_BYTES: u64 = 8 << 20;
/// Before it comes to that the sums are tried for so often: who does not count has them for less than this in all.
const TRIES_A_PIECE: u32 = 50;
const PAUSE_OF_A_PIECE: Duration = Duration::from_millis(1);
/// After so long at the end of a request the client is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries at the end of a request.
const PAUSE: Duration = Duration::from_millis(16);

/// The share of one upload in the sums.
pub(super) struct Charge {
    quotas: Quotas,
    /// So many bytes of the upload are in the sums.
    counted: u64,
    /// Since when the end of the request waits for the sums.
    waits_since: Option<Instant>,
    /// A count was held up: before then there is no use in another one.
    held_up_until: Option<Instant>,
}

impl Charge {
    /// That of an upload of which so many bytes are stored.
    pub(super) fn new(quotas: Quotas, counted: u64) -> Self {
        Self { quotas, counted, waits_since: None, held_up_until: None }
    }

    /// The same where so many bytes were charged before.
    pub(super) fn go_on_from(&mut self, charged: u64) {
        self.counted = charged;
    }

    /// Is there a sum to keep?
    pub(super) fn is_kept(&self) -> bool {
        !self.quotas.is_empty()
    }

    /// Could the upload grow up to this offset? Asked before the content comes; if nobody can tell just now, it may try.
    ///
    /// # Errors
    /// 507 if it couldn't.
    pub(super) fn check(&self, end: u64) -> Result<(), Refusal> {
        let more = end.saturating_sub(self.counted);
        if more == 0 || !self.is_kept() {
            return Ok(());
        }
        match self.quotas.try_lock()? {
            Tried::Locked(mut ledgers) => ledgers.insist_on_room(more),
            Tried::Busy | Tried::HeldUp => Ok(()),
        }
    }

    /// Lets the upload grow up to this offset, by a write that is over when what is given is dropped.
    ///
    /// # Errors
    /// 507 if that is too much; 503 if nobody could tell for too long.
    pub(super) fn cover(&mut self, end: u64, part: &mut Part) -> Result<Option<Flight>, Refusal> {
        if !self.owes(end) {
            return Ok(None);
        }
        let Some(mut ledgers) = try_lock(&self.quotas, &mut self.held_up_until, TRIES_A_PIECE)? else {
            if end.saturating_sub(self.counted) > UNCHARGED_BYTES {
                return Err(refuse_uncounted());
            }
            return self.go_on_uncharged(part).map(|()| None);
        };
        self.counted = catch_up(&mut ledgers, self.counted, part)?;
        let more = end.saturating_sub(self.counted);
        ledgers.charge(0, more)?;
        // As long as the sums are locked nobody counts, and from here on a count waits.
        let flight = Flight::begin(&part.place).inspect_err(|_| ledgers.refund(more, 0));
        self.counted = self.counted.max(end);
        flight.map_err(|error| flight_refusal(&error))
    }

    /// Charges what is left at the end of a request; a pause if that must be tried again after it.
    ///
    /// # Errors
    /// As `cover`.
    pub(super) fn settle(&mut self, part: &mut Part) -> Result<Option<Duration>, Refusal> {
        if !self.owes(part.offset) {
            return Ok(None);
        }
        if let Some(mut ledgers) = try_lock(&self.quotas, &mut self.held_up_until, 1)? {
            self.counted = catch_up(&mut ledgers, self.counted, part)?;
            return Ok(None);
        }
        if self.waits_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(refuse_uncounted());
        }
        Ok(Some(PAUSE))
    }

    /// Is the upload, up to this offset, not in the sums that it should be in?
    fn owes(&self, end: u64) -> bool {
        end > self.counted && self.is_kept()
    }

    /// Notes from where on nothing is charged, before that is written.
    fn go_on_uncharged(&self, part: &mut Part) -> Result<(), Refusal> {
        if part.record.charged.is_some() {
            return Ok(());
        }
        // Who counts asks for the size while he has the record, and must not find this piece with what it said before.
        let _flight = Flight::begin(&part.place).map_err(|error| flight_refusal(&error))?;
        part.record.charged = Some(self.counted);
        part.write_record().map_err(|error| write_refusal(&error))
    }

    /// Takes the upload away, which a power cut may undo. If the sums can't be had they are too large until they are counted
    /// anew; had behind its end, they might have been counted without it, and would then be too small.
    pub(super) fn give_back(&mut self, place: &Place) {
        let ledgers = if self.counted > 0 { self.quotas.try_lock().ok() } else { None };
        place.unlink();
        if let Some(Tried::Locked(mut ledgers)) = ledgers {
            ledgers.refund(self.counted, 0);
        }
        self.counted = 0;
    }

    /// The quotas, for the commit, and how much of the content is in their sums.
    pub(super) fn into_parts(self) -> (Quotas, u64) {
        (self.quotas, self.counted)
    }
}

/// The sums; `None` if so many tries don't get them.
fn try_lock<'q>(
    quotas: &'q Quotas,
    held_up_until: &mut Option<Instant>,
    mut tries: u32,
) -> Result<Option<Ledgers<'q>>, Refusal> {
    if held_up_until.is_some_and(|until| Instant::now() < until) {
        return Ok(None);
    }
    loop {
        tries -= 1;
        match quotas.try_lock()? {
            Tried::Locked(ledgers) => return Ok(Some(ledgers)),
            Tried::Busy if tries == 0 => return Ok(None),
            Tried::Busy => std::thread::sleep(PAUSE_OF_A_PIECE),
            Tried::HeldUp => {
                *held_up_until = Instant::now().checked_add(AFTER_A_COUNT);
                return Ok(None);
            }
        }
    }
}

/// Charges what was written uncharged, by this request or one before; how much of the upload is in the sums then.
fn catch_up(ledgers: &mut Ledgers<'_>, counted: u64, part: &mut Part) -> Result<u64, Refusal> {
    if part.record.charged.is_none() {
        return Ok(counted);
    }
    let stored = part.size().map_err(|error| write_refusal(&error))?.max(counted);
    ledgers.charge(counted, stored)?;
    // If this fails, the sums may be too large.
    part.record.charged = None;
    part.write_record().map_err(|error| write_refusal(&error))?;
    Ok(stored)
}

/// 503 if somebody else has the record for too long.
fn flight_refusal(error: &io::Error) -> Refusal {
    if error.kind() == io::ErrorKind::WouldBlock { refuse_uncounted() } else { write_refusal(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// Each try would take a thread for as long as a count waits for the piece that hangs.
    #[test]
    fn a_count_that_is_held_up_is_no_lock_to_try_again_at_once() {
        let root = tempfile::tempdir().unwrap();
        let [part, record] = ["part", "record"].map(|kind| root.path().join(format!(".fileserv-{:032}.{kind}", 1)));
        std::fs::write(part, "stored").unwrap();
        let piece = File::create(record).unwrap();
        piece.lock().unwrap();
        let quotas = Quotas::for_test(File::open(root.path()).unwrap(), 100);
        let mut held_up_until = None;
        assert!(try_lock(&quotas, &mut held_up_until, TRIES_A_PIECE).unwrap().is_none());
        assert!(held_up_until.is_some());
        piece.unlock().unwrap();
        let mut later = Instant::now().checked_add(Duration::from_secs(3600));
        assert!(try_lock(&quotas, &mut later, TRIES_A_PIECE).unwrap().is_none(), "nobody counts before that");
        assert!(try_lock(&quotas, &mut None, TRIES_A_PIECE).unwrap().is_some());
    }
}
