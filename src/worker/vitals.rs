//! The worker's clock, its heartbeat and its size.
//! Process: worker, sealed. The memory figures come from a descriptor that was opened before the seal.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::desk::Desk;
use crate::content::Now;
use crate::http::CommonLines;
use crate::log::Logs;
use crate::stats::Board;
use crate::sys::epoll::Ticker;

/// The time between two looks at all deadlines, and between two beats of the heart.
pub(super) const TICK_MS: u16 = 1000;

/// What a worker knows of time and of itself.
pub(super) struct Vitals {
    started: Instant,
    /// Wakes the loop for them.
    pub(super) ticker: Ticker,
    /// `/proc/self/statm`; absent where /proc is.
    statm: Option<File>,
    page_bytes: u64,
    /// How many lost log lines stand on the board already: its counter outlives workers.
    drops_told: Cell<u64>,
}

impl Vitals {
    /// Opens what the seal would forbid to open.
    ///
    /// # Errors
    /// EMFILE.
    pub(super) fn open(logs: &Logs) -> io::Result<Self> {
        Ok(Self {
            started: Instant::now(),
            ticker: Ticker::new(Duration::from_millis(TICK_MS.into()))?,
            statm: File::open("/proc/self/statm").ok(),
            page_bytes: crate::sys::limits::page_bytes(),
            // What was lost before the fork is the supervisor's to tell.
            drops_told: Cell::new(logs.error_drops()),
        })
    }

    /// The wall clock.
    pub(super) fn now() -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { unix_seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
    }

    /// Reads both clocks, once a wake; the lines with the date are made once a second.
    pub(super) fn read_clock(&self, desk: &mut Desk) {
        let now = Self::now();
        if now.unix_seconds != desk.now.unix_seconds {
            desk.common_lines = CommonLines::of(now.date());
        }
        desk.now = now;
        desk.monotonic_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    }

    /// Shows that the loop turns, and how much memory it has.
    pub(super) fn publish(&self, board: &Board, desk: &Desk, logs: &Logs) {
        let milliseconds = desk.now.unix_seconds * 1000 + u64::from(desk.now.nanoseconds / 1_000_000);
        board.heartbeat.store(milliseconds, Relaxed);
        self.publish_drops(board, desk.access_log.drops() + logs.error_drops());
        if let Some((resident, shared)) = self.pages() {
            board.resident_bytes.store(resident * self.page_bytes, Relaxed);
            board.private_bytes.store(resident.saturating_sub(shared) * self.page_bytes, Relaxed);
        }
    }

    /// The error log was opened anew, and counts what it loses from nothing.
    pub(super) fn begin_drops(&self, desk: &Desk) {
        self.drops_told.set(desk.access_log.drops());
    }

    /// Adds to the board what was lost since the last time.
    fn publish_drops(&self, board: &Board, drops: u64) {
        let told = self.drops_told.replace(drops);
        Board::add(&board.log_drops, drops.saturating_sub(told));
    }

    /// The second and the third number of statm (proc(5)): resident pages, and those of them that files or other
    /// processes share.
    fn pages(&self) -> Option<(u64, u64)> {
        let mut text = [0; 128];
        let length = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        let mut numbers = std::str::from_utf8(text.get(..length)?).ok()?.split(' ').skip(1);
        let mut next = || numbers.next()?.parse().ok();
        Some((next()?, next()?))
    }
}
