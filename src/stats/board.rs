//! The layout of a board: plain counters, no pointers, any bytes are a valid board.
//! Process: both. Trusts: nothing that it reads. Blocks: never.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! numbers {
    ($(#[$about:meta])* $name:ident: $($(#[$doc:meta])* $field:ident,)*) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        #[repr(C)]
        pub struct $name {
            $($(#[$doc])* pub $field: AtomicU64,)*
        }
    };
}

numbers! {
    /// What the supervisor says of the service as a whole; no worker can write it.
    Service:
    /// Generation of the configuration that serves.
    generation,
    /// Workers that it shall have.
    workers_wanted,
    /// Workers that it has, and that have said ready.
    workers_ready,
    /// Workers of older generations, or replaced ones, that finish what they have begun.
    workers_draining,
    /// 1 while a reload that was asked for waits for them.
    reload_waits,
    /// Starts of workers in a row that never came to ready, at the place that has the most of them.
    failed_starts,
    /// Workers killed because their heartbeat stood still.
    hung,
    /// Workers that were replaced because they had served or grown enough.
    retired,
    /// Log lines that the supervisor could not write.
    log_drops,
    /// Reloads that took effect.
    reloads,
    /// Reloads that changed nothing, as their configuration was wrong.
    failed_reloads,
}

numbers! {
    /// The counters of one worker slot. They live in shared memory, outlive the worker, and its successor goes on with them.
    Board:
    /// Process id of the worker that writes here; 0 when nobody does.
    pid,
    /// Generation of its configuration.
    generation,
    /// A `WorkerState` as a number.
    state,
    /// When this worker said that it was ready, in seconds since the epoch.
    ready_since,
    /// Advances at least once a second while the loop turns, in milliseconds since the epoch.
    heartbeat,
    /// Connections accepted.
    accepted,
    /// Connections open now.
    connections,
    /// Clients that have connections open now.
    clients,
    /// Connections and requests refused, because their client had too many.
    refused,
    /// Requests answered.
    requests,
    /// Bytes received.
    received_bytes,
    /// Bytes sent.
    sent_bytes,
    /// Answers 1xx.
    status_1xx,
    /// Answers 2xx.
    status_2xx,
    /// Answers 3xx.
    status_3xx,
    /// Answers 4xx.
    status_4xx,
    /// Answers 5xx.
    status_5xx,
    /// Uploads that were committed.
    uploads,
    /// Small files answered from the cache.
    cache_hits,
    /// Small files read from the file system.
    cache_misses,
    /// Files and folders of which the kernel tells the worker that they change; 0 where it tells nothing.
    cache_watched,
    /// Connections ended by a timeout.
    timeouts,
    /// Connections ended by an error of the socket or a client that went away in the middle.
    aborts,
    /// Resident memory of the worker in bytes, read once a second.
    resident_bytes,
    /// Memory of the worker's own, not shared with others, in bytes, read once a second.
    private_bytes,
    /// Log lines that could not be written.
    log_drops,
    /// How often a worker of this slot died unasked.
    deaths,
}

impl Board {
    /// A new worker begins to write here. What its predecessors counted stays.
    pub fn take_over(&self, pid: u32, generation: u64) {
        self.pid.store(pid.into(), Relaxed);
        self.generation.store(generation, Relaxed);
        self.state.store(WorkerState::Starting as u64, Relaxed);
    }

    /// The worker has ended; `unasked`: it died. What it counted stays, what was true of it only while it lived does not.
    /// For the supervisor, which has reaped it.
    pub fn leave(&self, unasked: bool) {
        let of_the_worker =
            [&self.pid, &self.state, &self.ready_since, &self.heartbeat, &self.resident_bytes, &self.private_bytes];
        for fact in of_the_worker.into_iter().chain([&self.connections, &self.clients, &self.cache_watched]) {
            fact.store(0, Relaxed);
        }
        if unasked {
            self.deaths.fetch_add(1, Relaxed);
        }
    }

    /// Adds to a counter of the caller's own board.
    pub fn add(counter: &AtomicU64, amount: u64) {
        // The only writer is the worker itself, so a plain load and store would do; fetch_add keeps the counters right
        // for the moment in which a successor starts while the last writes of a killed one become visible.
        counter.fetch_add(amount, Relaxed);
    }
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum WorkerState {
    /// Nobody writes this board.
    Free = 0,
    /// Forked, not yet ready.
    Starting = 1,
    /// Accepting connections.
    Serving = 2,
    /// Finishing what it has.
    Draining = 3,
}

impl WorkerState {
    /// The state of this number; a number that makes no sense is `Free`, for a board is never trusted.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Starting,
            2 => Self::Serving,
            3 => Self::Draining,
            _ => Self::Free,
        }
    }

    /// One word for a person.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

/// The boards of all slots, as one process sees them.
pub struct Boards {
    /// When the supervisor started, in seconds since the epoch.
    pub started: u64,
    /// What the supervisor says of the whole.
    pub service: &'static Service,
    /// What the seal of this worker enforces, in one line of words.
    pub seal: String,
    /// Every slot's board; a slot that was never used is all zeros.
    pub slots: Vec<&'static Board>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_stay_and_facts_go_with_the_worker() {
        let board = Board::default();
        board.take_over(77, 3);
        Board::add(&board.requests, 5);
        Board::add(&board.connections, 2);
        assert_eq!(WorkerState::from_number(board.state.load(Relaxed)), WorkerState::Starting);
        board.leave(true);
        board.leave(false);
        let now = [&board.pid, &board.state, &board.connections, &board.requests, &board.deaths, &board.generation];
        assert_eq!(now.map(|field| field.load(Relaxed)), [0, 0, 0, 5, 1, 3]);
    }
}
