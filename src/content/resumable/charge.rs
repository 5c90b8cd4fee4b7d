//! What an upload under way takes of the quotas: its bytes are charged before they are written, so that what is never
//! completed can't fill what no file may.
//! Process: worker, sealed; on helper threads. Trusts: nothing. Blocks: as counting a quota does. Fails with: 500, 503, 507.
//! A count that comes between the charge of a piece and its write waits for that (`flight.rs`), or it would miss it.
//! Where somebody else has the sums for long, because he counts, the content goes on for a while and is charged later: no
//! thread waits for that. Only of such content can more be stored than fits, until it is refused or expires.

use std::time::{Duration, Instant};

use super::flight::Flight;
use super::part::Place;
use crate::content::commit::write_refusal;
use crate::content::quota::{Quotas, refuse_uncounted};
use crate::message::Refusal;

/// So much may be written before it is charged: the sums are held for less time than this takes to come.
const UNCHARGED_BYTES: u64 = 8 << 20;
/// Before it comes to that the sums are tried for so often: who does not count has them for less than this in all.
const TRIES_A_PIECE: u32 = 50;
const PAUSE_OF_A_PIECE: Duration = Duration::from_millis(1);
/// After so long at the end of a request the client is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries at the end of a request.
pub(super) const PAUSE: Duration = Duration::from_millis(16);

/// The share of one upload in the sums.
pub(super) struct Charge {
    quotas: Quotas,
    /// So many bytes of the upload are in the sums.
    counted: u64,
    /// Since when the end of the request waits for the sums.
    waits_since: Option<Instant>,
}

impl Charge {
    /// That of an upload of which so many bytes are stored.
    pub(super) fn new(quotas: Quotas, counted: u64) -> Self {
        Self { quotas, counted, waits_since: None }
    }

    /// The same where so many bytes were there before.
    pub(super) fn go_on_from(&mut self, stored: u64) {
        self.counted = stored;
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
        self.quotas.try_lock()?.map_or(Ok(()), |mut ledgers| ledgers.insist_on_room(more))
    }

    /// Lets the upload grow up to this offset, by a write that is over when what is given is dropped.
    ///
    /// # Errors
    /// 507 if that is too much; 503 if nobody could tell for too long.
    pub(super) fn cover(&mut self, end: u64, place: &Place) -> Result<Option<Flight>, Refusal> {
        match self.try_cover(end, Some(place))? {
            Covered::Yes(flight) => Ok(flight),
            Covered::Later if end.saturating_sub(self.counted) <= UNCHARGED_BYTES => Ok(None),
            Covered::Later => Err(refuse_uncounted()),
        }
    }

    /// Charges what is left at the end of a request; false if that must be tried again after a pause.
    ///
    /// # Errors
    /// As `cover`.
    pub(super) fn settle(&mut self, end: u64) -> Result<bool, Refusal> {
        let is_settled = matches!(self.try_cover(end, None)?, Covered::Yes(_));
        if !is_settled && self.waits_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(refuse_uncounted());
        }
        Ok(is_settled)
    }

    /// `place`: of an upload that is about to be written to.
    fn try_cover(&mut self, end: u64, place: Option<&Place>) -> Result<Covered, Refusal> {
        let more = end.saturating_sub(self.counted);
        if more == 0 || !self.is_kept() {
            return Ok(Covered::Yes(None));
        }
        let mut tries = if place.is_some() { TRIES_A_PIECE } else { 1 };
        let mut ledgers = loop {
            tries -= 1;
            match self.quotas.try_lock()? {
                Some(ledgers) => break ledgers,
                None if tries == 0 => return Ok(Covered::Later),
                None => std::thread::sleep(PAUSE_OF_A_PIECE),
            }
        };
        ledgers.charge(0, more)?;
        // As long as the sums are locked nobody counts, and from here on a count waits.
        let flight = place.map(Flight::begin).transpose().inspect_err(|_| ledgers.refund(more, 0));
        let flight = flight.map_err(|error| write_refusal(&error))?.flatten();
        drop(ledgers);
        self.counted = end;
        Ok(Covered::Yes(flight))
    }

    /// The upload is gone. If the sums can't be had they are too large until they are counted anew.
    pub(super) fn give_back(&mut self) {
        if self.counted > 0
            && let Ok(Some(mut ledgers)) = self.quotas.try_lock()
        {
            ledgers.refund(self.counted, 0);
        }
        self.counted = 0;
    }

    /// The quotas, for the commit, and how much of the content is in their sums.
    pub(super) fn into_parts(self) -> (Quotas, u64) {
        (self.quotas, self.counted)
    }
}

/// Is what is written next in the sums?
enum Covered {
    Yes(Option<Flight>),
    /// Somebody else has them.
    Later,
}
