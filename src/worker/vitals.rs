//! The worker's clock, its heartbeat and its size.
//! Process: worker, sealed. The memory figures come from a descriptor that was opened before the seal.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::desk::Desk;
use crate::content::Now;
use crate::stats::Board;

/// What a worker knows of time and of itself.
pub(super) struct Vitals {
    started: Instant,
    /// `/proc/self/statm`; absent where /proc is.
    statm: Option<File>,
    page_bytes: u64,
}

impl Vitals {
    /// Opens what the seal would forbid to open.
    pub(super) fn open() -> Self {
        Self {
            started: Instant::now(),
            statm: File::open("/proc/self/statm").ok(),
            page_bytes: crate::sys::limits::page_bytes(),
        }
    }

    /// The wall clock.
    pub(super) fn now() -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { unix_seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
    }

    /// Reads both clocks, once a wake; the text of the date is made once a second.
    pub(super) fn read_clock(&self, desk: &mut Desk) {
        let now = Self::now();
        if now.unix_seconds != desk.now.unix_seconds {
            desk.date = now.date().imf_fixdate();
        }
        desk.now = now;
        desk.monotonic_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    }

    /// Shows that the loop turns, and how much memory it has.
    pub(super) fn publish(&self, board: &Board, desk: &Desk) {
        let milliseconds = desk.now.unix_seconds * 1000 + u64::from(desk.now.nanoseconds / 1_000_000);
        board.heartbeat.store(milliseconds, Relaxed);
        board.log_drops.store(desk.access_log.drops(), Relaxed);
        if let Some(pages) = self.resident_pages() {
            board.resident_bytes.store(pages * self.page_bytes, Relaxed);
        }
    }

    /// The second number of statm (proc(5)).
    fn resident_pages(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        std::str::from_utf8(text.get(..length)?).ok()?.split(' ').nth(1)?.parse().ok()
    }
}
