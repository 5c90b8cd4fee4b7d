//! The event loop of a worker: one wait, then every connection that has something to do gets a turn.
//! Process: worker, sealed. Blocks: in `Epoll::wait` only, which a ticker ends each second for deadlines and heartbeat.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering::Relaxed;

use slab::Slab;

use super::acceptor::Acceptor;
use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, Step, Token};
use super::desk::{Desk, TURN_BYTES};
use super::intake::Intake;
use super::offload::Outcome;
use super::sweep::Sweeper;
use super::vitals::{TICK_MS, Vitals};
use crate::stats::Board;
use crate::sys::control::WorkerEnd;
use crate::sys::epoll::{EVENTS_A_WAIT, Epoll, Event};

/// Tokens above every connection's: the high half of a connection's token is an index, never this large.
const CONTROL: u64 = u64::MAX;
const HELPERS: u64 = u64::MAX - 1;
const TICKER: u64 = u64::MAX - 2;
/// Listener number n has the token `FIRST_LISTENER - n`.
pub(super) const FIRST_LISTENER: u64 = u64::MAX - 3;
/// For what no connection has wished for.
const NOBODY: Token = Token { key: u32::MAX, serial: u32::MAX };
const LOWEST_SPECIAL: u64 = u64::MAX - 0xffff;

/// The buffer into which every connection receives.
const BUFFER_BYTES: usize = 256 * 1024;
/// The smallest turn of a download: its first, in a wake with others, and however little is left of what all of them send
/// in one.
const SMALLEST_TURN_BYTES: usize = 256 * 1024;
/// A wake that brings as many events as it can has more behind it: so many in a row go before the downloads.
const FULL_WAKES: u8 = 8;

/// Why the loop runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It takes connections.
    Serving,
    /// It finishes what it has, until this time on the monotonic clock (ms).
    Draining { until_ms: u64, closes_idle: bool },
}

/// Everything a worker has while it serves.
pub(super) struct EventLoop {
    pub(super) epoll: Epoll,
    pub(super) acceptor: Acceptor,
    pub(super) connections: Slab<Connection>,
    /// Who wants another turn without waiting for an event.
    queue: VecDeque<Token>,
    /// The same for those that send files: theirs come last.
    downloads: VecDeque<Token>,
    /// Full wakes since the downloads had their turns.
    full_wakes: u8,
    pub(super) desk: Desk,
    #[doc(alias = "TMP_BUF")]
    pub(super) buffer: Box<[u8]>,
    pub(super) intake: Intake,
    pub(super) sweeper: Option<Sweeper>,
    pub(super) board: &'static Board,
    pub(super) vitals: Vitals,
    pub(super) phase: Phase,
    /// Events since a listener was among them.
    pub(super) events_without_accept: usize,
    /// Is one among those of this wake?
    pub(super) has_accepted: bool,
    pub(super) next_serial: u32,
    /// Has a second passed?
    is_tick_due: bool,
}

impl EventLoop {
    /// Sets everything up; nothing is accepted before `run`.
    pub(super) fn new(
        epoll: Epoll,
        acceptor: Acceptor,
        desk: Desk,
        sweeper: Option<Sweeper>,
        board: &'static Board,
        vitals: Vitals,
    ) -> Self {
        Self {
            epoll,
            acceptor,
            connections: Slab::new(),
            queue: VecDeque::new(),
            downloads: VecDeque::new(),
            full_wakes: 0,
            desk,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            intake: Intake::default(),
            sweeper,
            board,
            vitals,
            phase: Phase::Serving,
            events_without_accept: 0,
            has_accepted: false,
            next_serial: 0,
            is_tick_due: true,
        }
    }

    /// Starts to wait for orders, helper threads, ticks and connections.
    pub(super) fn join(&mut self, control: &WorkerEnd) -> io::Result<()> {
        self.epoll.add_input(control, CONTROL)?;
        self.epoll.add_input(self.desk.offload.waker(), HELPERS)?;
        self.epoll.add_input(&self.vitals.ticker, TICKER)?;
        self.acceptor.join(&self.epoll)
    }

    /// Serves until there is an order to end and nothing is left to finish.
    #[doc(alias = "event_loop")]
    pub(super) fn run(&mut self, control: &WorkerEnd) -> io::Result<()> {
        while !self.is_over() {
            let waiting = self.queue.len() + self.downloads.len();
            let timeout = if waiting == 0 { self.acceptor.wait_ms().unwrap_or(TICK_MS) } else { 0 };
            let timeout = self.desk.offload.shorten_wait(timeout);
            // A wait that is as long as from tick to tick needs no end of its own.
            let count = self.epoll.wait((timeout < TICK_MS).then_some(timeout))?;
            self.vitals.read_clock(&mut self.desk);
            let connections = &self.connections;
            let is_there = |token: Token| connections.get(token.key as usize).is_some_and(|it| it.token == token);
            self.desk.offload.resume_paused(is_there);
            if self.acceptor.is_yielding() {
                let have_caught_up = !self.has_more_than_its_share();
                self.acceptor.end_yield(&self.epoll, self.desk.monotonic_ms, have_caught_up);
            }
            if std::mem::take(&mut self.has_accepted) {
                self.events_without_accept = 0;
            }
            self.events_without_accept = self.events_without_accept.saturating_add(count);
            // Who begins to send a file goes on behind all others.
            self.desk.turn_bytes = if count > 1 { SMALLEST_TURN_BYTES } else { TURN_BYTES };
            let queued = self.queue.len();
            self.take_in(count);
            for index in 0..count {
                if let Some(event) = self.epoll.event(index) {
                    self.dispatch(index, event, control);
                }
            }
            self.give_turns(queued);
            while let Some(token) = self.desk.budget.next() {
                if let Some(connection) = self.find(token) {
                    connection.look_for_room();
                    self.queue_up(token);
                }
            }
            let others_wait = count == EVENTS_A_WAIT && self.full_wakes < FULL_WAKES;
            self.full_wakes = if others_wait { self.full_wakes + 1 } else { 0 };
            if !others_wait {
                self.give_downloads_turns();
            }
            if std::mem::take(&mut self.is_tick_due) {
                self.tick();
            }
            self.desk.access_log.flush();
            self.desk.tally.publish(self.board);
        }
        // The time is over for whoever is left: sinks remove their temporaries, and what was sent is logged.
        for token in self.tokens(|_| true) {
            self.close(token, CloseReason::ShutDown);
        }
        self.desk.access_log.flush();
        self.desk.tally.publish(self.board);
        self.vitals.publish(self.board, &self.desk, &self.desk.logs);
        Ok(())
    }

    fn dispatch(&mut self, index: usize, event: Event, control: &WorkerEnd) {
        match event.token {
            CONTROL => self.obey(control),
            HELPERS => self.collect_outcomes(),
            TICKER => {
                self.vitals.ticker.clear();
                self.is_tick_due = true;
            }
            listener @ LOWEST_SPECIAL.. => self.accept(listener),
            number => {
                let token = Token::from_number(number);
                if self.intake.has(index) {
                    self.turn_with_taken(token, index);
                } else if let Some(connection) = self.find(token) {
                    connection.note(event);
                    if event.broken {
                        self.process_or_drop_broken(token);
                    } else if connection.sends_file() {
                        self.queue_up(token);
                    } else {
                        self.turn(token);
                    }
                }
            }
        }
    }

    pub(super) fn find(&mut self, token: Token) -> Option<&mut Connection> {
        self.connections.get_mut(token.key as usize).filter(|connection| connection.token == token)
    }

    /// A broken connection is noticed by its next call; one that waits for a helper thread makes none.
    fn process_or_drop_broken(&mut self, token: Token) {
        let waits = self.find(token).is_some_and(|connection| connection.awaits_job());
        if waits {
            self.close(token, CloseReason::Aborted);
        } else {
            self.turn(token);
        }
    }

    /// One turn for one connection.
    pub(super) fn turn(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token.key as usize).filter(|it| it.token == token) else {
            return;
        };
        let step = connection.process(&mut self.buffer, &mut self.desk);
        self.after(token, step);
    }

    /// What a turn led to.
    pub(super) fn after(&mut self, token: Token, step: Step) {
        if let Step::Close(reason) = step {
            return self.close(token, reason);
        }
        let closes_idle = matches!(self.phase, Phase::Draining { closes_idle: true, .. });
        let Some(connection) = self.connections.get_mut(token.key as usize) else { return };
        if closes_idle && connection.is_idle() {
            return self.close(token, CloseReason::ShutDown);
        }
        if !connection.is_watched {
            if self.epoll.add_connection(&*connection, token.number()).is_err() {
                return self.close(token, CloseReason::Overloaded);
            }
            connection.is_watched = true;
        }
        if step == Step::Again {
            self.queue_up(token);
        }
    }

    /// Another turn for this connection, without waiting for an event.
    fn queue_up(&mut self, token: Token) {
        let Some(connection) = self.find(token) else { return };
        if std::mem::replace(&mut connection.is_queued, true) {
            return;
        }
        let queue = if connection.sends_file() { &mut self.downloads } else { &mut self.queue };
        queue.push_back(token);
    }

    /// Downloads get their turns after all others have had theirs, each at most one, until together they have sent what
    /// one may: so a small request waits for that, some 100 µs, and not for a turn of every download there is.
    fn give_downloads_turns(&mut self) {
        let before = self.desk.tally.sent_bytes;
        for _ in 0..self.downloads.len() {
            let sent = usize::try_from(self.desk.tally.sent_bytes - before).unwrap_or(usize::MAX);
            let Some(left) = TURN_BYTES.checked_sub(sent).filter(|left| *left > 0) else { break };
            let Some(token) = self.downloads.pop_front() else { break };
            if let Some(connection) = self.find(token) {
                connection.is_queued = false;
                // Who comes after one whose socket was soon full has the rest; less than this is not worth its calls.
                self.desk.turn_bytes = left.max(SMALLEST_TURN_BYTES);
                self.turn(token);
            }
        }
    }

    /// Those that were queued before this wake get their next turn; who queues up now waits for the next wake.
    fn give_turns(&mut self, queued: usize) {
        for _ in 0..queued {
            let Some(token) = self.queue.pop_front() else { break };
            if let Some(connection) = self.find(token) {
                connection.is_queued = false;
                self.turn(token);
            }
        }
    }

    pub(super) fn close(&mut self, token: Token, reason: CloseReason) {
        if self.find(token).is_none() {
            return;
        }
        let mut connection = self.connections.remove(token.key as usize);
        connection.log_end(&mut self.desk);
        connection.abandon_body(&self.desk);
        connection.dismiss(&mut self.desk.clients);
        reason.count(&mut self.desk.tally);
        self.show_connections();
        // Dropping it closes the socket, which also takes it out of epoll.
        drop(connection);
        self.acceptor.has_room(&self.epoll, self.connections.len());
    }

    pub(super) fn show_connections(&self) {
        self.board.connections.store(self.connections.len() as u64, Relaxed);
        self.board.clients.store(self.desk.clients.len() as u64, Relaxed);
    }

    fn collect_outcomes(&mut self) {
        self.desk.offload.waker().clear();
        while let Some((token, outcome)) = self.desk.offload.next_outcome() {
            // Its thread may have changed a file, which the requests behind this one must find changed.
            self.desk.cache.fall_behind();
            self.desk.folders.fall_behind();
            // It may own a temporary; what was waiting for a lock never gets it.
            if !matches!(outcome, Outcome::Verdict { .. }) && self.find(token).is_none() {
                self.desk.offload.forget(token, outcome);
                continue;
            }
            let outcome = match outcome {
                Outcome::Verdict { verdict, failure } => {
                    self.hear_verdict(verdict, failure);
                    continue;
                }
                Outcome::Later(pause, job) => {
                    self.desk.offload.pause(token, pause, job);
                    continue;
                }
                outcome @ (Outcome::Answer(_)
                | Outcome::More(_)
                | Outcome::Ready(_)
                | Outcome::Taken(..)
                | Outcome::Piece { .. }
                | Outcome::Fetched(_)) => outcome,
            };
            let Some(connection) = self.connections.get_mut(token.key as usize).filter(|it| it.token == token) else {
                continue;
            };
            match connection.take_outcome(outcome, &mut self.desk) {
                Flow::Close(reason) => self.close(token, reason),
                Flow::Next | Flow::Yield | Flow::Wait => self.turn(token),
            }
        }
    }

    pub(super) fn tokens(&self, wanted: impl Fn(&Connection) -> bool) -> Vec<Token> {
        self.connections.iter().filter(|(_, it)| wanted(it)).map(|(_, it)| it.token).collect()
    }

    fn is_over(&self) -> bool {
        match self.phase {
            Phase::Serving => false,
            Phase::Draining { until_ms, .. } => self.connections.is_empty() || self.desk.monotonic_ms >= until_ms,
        }
    }

    /// Once a second: deadlines, heartbeat, memory, and listeners that were left when something had run out.
    fn tick(&mut self) {
        self.vitals.publish(self.board, &self.desk, &self.desk.logs);
        let unused = self.desk.cache.tick();
        if !unused.is_empty() {
            self.desk.offload.forget(NOBODY, unused);
        }
        self.board.cache_watched.store(self.desk.cache.watched() as u64, Relaxed);
        if self.phase == Phase::Serving {
            self.acceptor.try_again(&self.epoll, self.connections.len());
        }
        self.desk.folders.forget_unused();
        self.desk.budget.shrink();
        self.end(|connection| connection.is_superseded(), Connection::give_way);
        if self.desk.budget.is_awaited() {
            self.end(Connection::has_gathered, Connection::hand_over_early);
        }
        let now = self.desk.monotonic_ms;
        self.end(|connection| connection.deadline_ms <= now, Connection::expire);
    }

    /// Lets those who waited in vain have their last word.
    fn end(&mut self, wanted: impl Fn(&Connection) -> bool, how: fn(&mut Connection, &mut Desk) -> Flow) {
        for token in self.tokens(wanted) {
            let Some(connection) = self.connections.get_mut(token.key as usize) else { continue };
            match how(connection, &mut self.desk) {
                Flow::Close(reason) => self.close(token, reason),
                Flow::Next | Flow::Yield | Flow::Wait => self.turn(token),
            }
        }
    }
}
