//! How long a peer may still take over content, if it is to keep its least rate: arithmetic without a clock.
//! Process: worker. Pure.
//!
//! Content begins with a credit of time, the lag; each byte adds what it may take at the least rate, and the credit is
//! never more than the lag. So over any stretch of time a peer moves at least `rate * (time - lag)` bytes: one on a bad
//! line may pause, and one that only wants to hold its place can't live on what it sent before.

use std::time::Duration;

/// What is asked of a peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Least {
    /// Bytes a second; 0 asks for nothing.
    pub(super) bytes_per_second: u64,
    /// How far it may fall behind.
    pub(super) lag: Duration,
}

/// Until when the credit of a peer lasts, in microseconds on the clock of `Desk::monotonic_ms`: at the highest rate a
/// small packet earns less than a millisecond.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace(u64);

impl Pace {
    /// The content begins.
    pub(super) fn begin(now_ms: u64, least: Least) -> Self {
        Self(if least.bytes_per_second == 0 { u64::MAX } else { full(now_ms, least.lag) })
    }

    /// So many bytes were moved.
    pub(super) fn earn(&mut self, bytes: u64, now_ms: u64, least: Least) {
        if let Some(earned) = bytes.saturating_mul(1_000_000).checked_div(least.bytes_per_second) {
            self.0 = self.0.saturating_add(earned).min(full(now_ms, least.lag));
        }
    }

    /// So much time does not count.
    pub(super) fn forgive(&mut self, ms: u64) {
        self.0 = self.0.saturating_add(ms.saturating_mul(1000));
    }

    /// When the credit ends, on the clock of `Desk::monotonic_ms`.
    pub(super) fn end_ms(self) -> u64 {
        self.0 / 1000
    }
}

fn full(now_ms: u64, lag: Duration) -> u64 {
    now_ms.saturating_mul(1000).saturating_add(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Least = Least { bytes_per_second: 256, lag: Duration::from_secs(60) };

    /// A peer that moves `bytes` every `interval_ms`; when it is cut, within a day.
    fn cut_ms(bytes: u64, interval_ms: u64) -> Option<u64> {
        let mut pace = Pace::begin(0, LEAST);
        for now_ms in (interval_ms..86_400_000).step_by(usize::try_from(interval_ms).unwrap()) {
            if pace.end_ms() <= now_ms {
                return Some(pace.end_ms());
            }
            pace.earn(bytes, now_ms, LEAST);
        }
        None
    }

    #[test]
    fn who_keeps_the_rate_goes_on_and_who_drips_is_cut() {
        assert_eq!(cut_ms(256, 1000), None);
        assert_eq!(cut_ms(1, 3), None, "in however small pieces");
        assert_eq!(cut_ms(1024 * 20, 20_000), None, "1 KiB a second, after pauses of 20 seconds");
        let drips = cut_ms(1, 10_000).unwrap();
        assert!((60_000..61_000).contains(&drips), "{drips}");
        let half = cut_ms(128, 1000).unwrap();
        assert!((119_000..=121_000).contains(&half), "{half}");
    }

    #[test]
    fn what_was_moved_before_is_no_credit_for_ever() {
        let mut pace = Pace::begin(0, LEAST);
        pace.earn(1 << 40, 1000, LEAST);
        assert_eq!(pace.end_ms(), 61_000);
        pace.earn(u64::MAX, u64::MAX, LEAST);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let none = Least { bytes_per_second: 0, ..LEAST };
        let mut pace = Pace::begin(5, none);
        pace.earn(0, 100, none);
        assert_eq!(pace.end_ms(), u64::MAX / 1000);
    }
}
