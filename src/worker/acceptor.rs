//! Taking connections: a fair share of them, and none when there is no room.
//! Process: worker, sealed. Blocks: never.

use std::io;
use std::os::fd::OwnedFd;

use super::event_loop::FIRST_LISTENER;
use crate::heritage::Entrance;
use crate::sys::epoll::Epoll;
use crate::sys::socket::{Listener, Peer};

/// With EPOLLEXCLUSIVE the kernel wakes the worker that was added first as long as it waits; adding oneself again
/// after so many connections puts one at the end of the line.
const ACCEPTS_UNTIL_REJOIN: u32 = 16;

/// How long a worker that holds more than its share leaves new connections to the others at most: long enough for another
/// to be scheduled on a busy machine (5 ms were too few), and without harm, for whoever connects meanwhile wakes another.
const YIELD_MS: u64 = 20;
/// How often it looks whether the others have caught up.
const YIELD_LOOK_MS: u16 = 1;

/// How many connections may be taken beyond the limit by a worker that leaves the listeners.
const OVER_THE_LIMIT: usize = 64;

/// A connection that was taken.
pub(super) struct Accepted {
    pub(super) socket: OwnedFd,
    pub(super) peer: Peer,
    /// Does a header of the PROXY protocol come first?
    pub(super) proxy_protocol: bool,
}

/// Takes a connection that waits at an entrance.
fn accept(entrance: &Entrance) -> io::Result<Option<Accepted>> {
    let accepted = entrance.listener.accept()?;
    Ok(accepted.map(|(socket, peer)| Accepted { socket, peer, proxy_protocol: entrance.proxy_protocol }))
}

/// The listeners, as one worker sees them.
pub(super) struct Acceptor {
    entrances: Vec<Entrance>,
    connections_limit: usize,
    accepted: u32,
    membership: Membership,
}

/// Is the worker among those that wait at the listeners?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    /// It is.
    Member,
    /// It has left them to the others until this time on the monotonic clock (ms).
    Yielding(u64),
    /// Its table is full, the system has run out of something, or it has not joined yet.
    Away,
}

impl Acceptor {
    /// Nothing is accepted before `join`.
    pub(super) fn new(entrances: Vec<Entrance>, connections_limit: usize) -> Self {
        Self { entrances, connections_limit, accepted: 0, membership: Membership::Away }
    }

    /// Waits for connections on every listener.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub(super) fn join(&mut self, epoll: &Epoll) -> io::Result<()> {
        for (token, listener) in self.with_tokens() {
            epoll.add_listener(listener, token)?;
        }
        self.membership = Membership::Member;
        Ok(())
    }

    fn with_tokens(&self) -> impl Iterator<Item = (u64, &Listener)> {
        (0..).map(|number: u64| FIRST_LISTENER - number).zip(self.entrances.iter().map(|it| &it.listener))
    }

    fn remove_all(&mut self, epoll: &Epoll) {
        for entrance in &self.entrances {
            epoll.remove(&entrance.listener);
        }
        self.membership = Membership::Away;
    }

    fn is_member(&self) -> bool {
        self.membership == Membership::Member
    }

    /// Takes one connection from a listener that has one. Leaves the listeners when the system has run out of
    /// something: then the kernel's queue holds the clients, or another worker takes them.
    pub(super) fn accept(&mut self, number: usize, epoll: &Epoll, connections: usize) -> Option<Accepted> {
        // An event may be older than the leaving.
        let entrance = self.entrances.get(number).filter(|_| self.is_member())?;
        let accepted = match accept(entrance) {
            Ok(accepted) => accepted?,
            Err(_) => {
                self.remove_all(epoll);
                return None;
            }
        };
        self.accepted += 1;
        if self.accepted >= ACCEPTS_UNTIL_REJOIN && connections + 1 < self.connections_limit {
            self.accepted = 0;
            self.rejoin(epoll);
        }
        Some(accepted)
    }

    /// Leaves until there is room, if the table is full. What waits at this moment is taken along, up to a bound: the
    /// kernel may have woken this worker for it, and nobody else.
    pub(super) fn pause_if_full(&mut self, epoll: &Epoll, connections: usize) -> Vec<Accepted> {
        if !self.is_member() || connections < self.connections_limit {
            return Vec::new();
        }
        self.remove_all(epoll);
        self.entrances.iter().flat_map(waiting).take(OVER_THE_LIMIT).collect()
    }

    /// Leaves the next connections to the others for a moment. Whoever was woken for one takes it first, so that none is
    /// left for which nobody was woken.
    pub(super) fn yield_to_others(&mut self, epoll: &Epoll, monotonic_ms: u64) {
        if self.is_member() {
            self.remove_all(epoll);
            self.membership = Membership::Yielding(monotonic_ms + YIELD_MS);
        }
    }

    /// Has the worker left the listeners to the others?
    pub(super) fn is_yielding(&self) -> bool {
        matches!(self.membership, Membership::Yielding(_))
    }

    /// Joins again when the others have caught up, or had their time.
    pub(super) fn end_yield(&mut self, epoll: &Epoll, monotonic_ms: u64, have_caught_up: bool) {
        if matches!(self.membership, Membership::Yielding(until_ms) if have_caught_up || until_ms <= monotonic_ms) {
            self.rejoin(epoll);
        }
    }

    /// How long the loop may wait, if that is less than usual.
    pub(super) fn wait_ms(&self) -> Option<u16> {
        self.is_yielding().then_some(YIELD_LOOK_MS)
    }

    fn rejoin(&mut self, epoll: &Epoll) {
        self.remove_all(epoll);
        // If the kernel has no memory for it now, `try_again` will do it.
        if self.join(epoll).is_err() {
            self.remove_all(epoll);
        }
    }

    /// A connection was closed: is there room again?
    pub(super) fn has_room(&mut self, epoll: &Epoll, connections: usize) {
        // An eighth of the table must be free, so that a full worker does not join and leave at every connection.
        if self.membership == Membership::Away
            && self.connections_limit > 0
            && connections < self.connections_limit - self.connections_limit / 8
        {
            self.try_again(epoll, connections);
        }
    }

    /// Joins again if the worker had left and there is room.
    pub(super) fn try_again(&mut self, epoll: &Epoll, connections: usize) {
        if self.membership == Membership::Away && connections < self.connections_limit {
            self.rejoin(epoll);
        }
    }

    /// Leaves for good. A connection for which the kernel has just woken this worker, and nobody else, would hang, and
    /// one on a socket that nobody keeps would be reset: so what waits now is taken along, as far as there is room.
    pub(super) fn leave(&mut self, epoll: &Epoll, connections: usize) -> Vec<Accepted> {
        self.remove_all(epoll);
        let room = self.connections_limit.saturating_sub(connections).max(OVER_THE_LIMIT);
        self.connections_limit = 0;
        let entrances = std::mem::take(&mut self.entrances);
        entrances.iter().flat_map(waiting).take(room).collect()
    }
}

/// The connections that wait at an entrance now.
fn waiting(entrance: &Entrance) -> impl Iterator<Item = Accepted> {
    std::iter::from_fn(|| accept(entrance).ok().flatten())
}
