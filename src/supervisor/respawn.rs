//! When a dead worker is replaced: a policy, and nothing else.
//! Process: supervisor. Pure.

use std::time::Duration;

/// Nobody waits longer than this for a worker that fails at every start: what was wrong may be right by now.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long to wait before the next start, after so many starts in a row that never came to ready. A worker that died
/// later counts as none: its clients wait, so it is replaced at once.
pub(super) fn pause(bad_starts: u32) -> Duration {
    match bad_starts.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_one_second_to_sixty() {
        let seconds = [0, 1, 2, 4, 8, 16, 32, 60, 60, 60];
        for (bad_starts, seconds) in (0..).zip(seconds) {
            assert_eq!(pause(bad_starts), Duration::from_secs(seconds), "after {bad_starts}");
        }
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
