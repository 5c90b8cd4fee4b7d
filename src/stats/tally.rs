//! What a worker counts during one wake, before it goes to the shared board: plain additions on the hot path.
//! Process: worker.

use super::Board;
use crate::message::Status;

/// Counts since the last publication.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections accepted.
    pub accepted: u64,
    /// Requests answered.
    pub requests: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Uploads committed.
    pub uploads: u64,
    /// Small files answered from the cache.
    pub cache_hits: u64,
    /// Small files read from the file system.
    pub cache_misses: u64,
    /// Connections and requests refused, because their client had too many.
    pub refused: u64,
    /// Connections ended by a timeout.
    pub timeouts: u64,
    /// Connections ended by an error.
    pub aborts: u64,
    /// Answers by class, 1xx first.
    classes: [u64; 5],
}

impl Tally {
    /// Counts one answer.
    pub fn count_answer(&mut self, status: Status) {
        self.requests += 1;
        if let Some(class) = self.classes.get_mut(usize::from(status.class()).wrapping_sub(1)) {
            *class += 1;
        }
    }

    /// Counts a `100 Continue`.
    pub fn count_interim(&mut self) {
        let [interim, ..] = &mut self.classes;
        *interim += 1;
    }

    /// Adds everything to the worker's board and starts again from zero.
    pub fn publish(&mut self, board: &Board) {
        let counts = std::mem::take(self);
        let [class_1, class_2, class_3, class_4, class_5] = counts.classes;
        let pairs = [
            (&board.accepted, counts.accepted),
            (&board.requests, counts.requests),
            (&board.received_bytes, counts.received_bytes),
            (&board.sent_bytes, counts.sent_bytes),
            (&board.uploads, counts.uploads),
            (&board.cache_hits, counts.cache_hits),
            (&board.cache_misses, counts.cache_misses),
            (&board.refused, counts.refused),
            (&board.timeouts, counts.timeouts),
            (&board.aborts, counts.aborts),
            (&board.status_1xx, class_1),
            (&board.status_2xx, class_2),
            (&board.status_3xx, class_3),
            (&board.status_4xx, class_4),
            (&board.status_5xx, class_5),
        ];
        for (counter, amount) in pairs.into_iter().filter(|(_, amount)| *amount > 0) {
            Board::add(counter, amount);
        }
    }
}
