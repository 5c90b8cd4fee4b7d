//! A worker's fair share of the connections, by what the boards show of the others.
//! Process: worker, sealed. Trusts: nothing. Blocks: never.
//! A board may lie, so it only decides how eagerly a worker accepts: one whose neighbours claim to hold nothing at all
//! still takes a connection every few milliseconds.

use std::sync::atomic::Ordering::Relaxed;

use crate::content::Now;
use crate::stats::{Board, WorkerState};

/// A worker that has shown no heartbeat for so long hangs, and nobody waits for it to take its share.
const STALE_MS: u64 = 3_000;

/// How many connections a worker of this generation may hold without leaving the next ones to the others: the mean, and
/// a little more, so that workers of about the same load do not yield to each other all the time.
pub(super) fn fair_share(own: &Board, slots: &[&'static Board], now: Now) -> u64 {
    let generation = own.generation.load(Relaxed);
    let now_ms = now.unix_seconds.saturating_mul(1000);
    let is_peer = |board: &&&Board| {
        let shown_ms = board.heartbeat.load(Relaxed).max(board.ready_since.load(Relaxed).saturating_mul(1000));
        WorkerState::from_number(board.state.load(Relaxed)) == WorkerState::Serving
            && board.generation.load(Relaxed) == generation
            && shown_ms.saturating_add(STALE_MS) >= now_ms
    };
    let held = slots.iter().filter(is_peer).map(|board| board.connections.load(Relaxed));
    let (workers, connections) = held.fold((0_u64, 0_u64), |(n, sum), held| (n + 1, sum.saturating_add(held)));
    let mean = connections.div_ceil(workers.max(1));
    mean.saturating_add(mean / 16).saturating_add(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { unix_seconds: 1_000, nanoseconds: 0 };

    fn board(connections: u64) -> &'static Board {
        let board = Board::default();
        board.take_over(1, 7);
        board.state.store(WorkerState::Serving as u64, Relaxed);
        board.ready_since.store(NOW.unix_seconds, Relaxed);
        board.connections.store(connections, Relaxed);
        Box::leak(Box::new(board))
    }

    #[test]
    fn the_share_is_little_more_than_the_mean() {
        for (held, share) in [
            (&[5][..], 7),
            (&[0, 0], 2),
            (&[2, 0], 3),
            (&[3, 0], 4),
            (&[40, 24], 36),
            (&[5000, 5000], 5314),
            (&[u64::MAX, u64::MAX], u64::MAX / 2 + 1 + (1 << 59) + 2),
        ] {
            let slots: Vec<_> = held.iter().map(|held| board(*held)).collect();
            assert_eq!(fair_share(slots[0], &slots, NOW), share, "{held:?}");
        }
    }

    #[test]
    fn who_does_not_accept_has_no_share() {
        let (own, hangs, drains, old) = (board(40), board(0), board(0), board(0));
        hangs.ready_since.store(NOW.unix_seconds - 4, Relaxed);
        drains.state.store(WorkerState::Draining as u64, Relaxed);
        old.generation.store(6, Relaxed);
        assert_eq!(fair_share(own, &[own, hangs, drains, old], NOW), 44);
    }
}
