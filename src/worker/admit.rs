//! The event loop takes connections: how many a wake, and when it leaves the next ones to the other workers.
//! Process: worker, sealed. Trusts: nothing. Blocks: never.

use super::acceptor::Accepted;
use super::connection::{Connection, Flow, State, Token};
use super::event_loop::{EventLoop, FIRST_LISTENER};
use super::share::fair_share;
use super::transport::Transport;
use crate::sys::socket::Peer;

/// For each so many events of a wake one more connection is taken of each listener: the longer the wake, the longer it is
/// until the next one.
const EVENTS_AN_ACCEPT: usize = 8;

/// A worker without others leaves none to anybody; those that it has are not to wait longer than for this many.
const ACCEPTS_OF_ONE: usize = 32;

/// How many connections a wake with this many events takes of each listener, where there are so many workers.
pub(super) fn accepts_a_wake(events: usize, workers: u16) -> usize {
    if workers == 1 { ACCEPTS_OF_ONE } else { 1 + events / EVENTS_AN_ACCEPT }
}

impl EventLoop {
    /// Takes one connection a wake, so that the other workers get their share. A wake that is full of other work takes
    /// more: who had time for them would have taken them already. Whoever holds more than its share leaves the next ones
    /// to the others.
    pub(super) fn accept(&mut self, listener: u64) {
        let number = usize::try_from(FIRST_LISTENER - listener).unwrap_or(usize::MAX);
        for _ in 0..self.accepts_a_wake {
            let Some(accepted) = self.acceptor.accept(number, &self.epoll, self.connections.len()) else { return };
            self.admit(accepted);
            for waiting in self.acceptor.pause_if_full(&self.epoll, self.connections.len()) {
                self.admit(waiting);
            }
            if self.has_more_than_its_share() {
                return self.acceptor.yield_to_others(&self.epoll, self.desk.monotonic_ms);
            }
        }
    }

    pub(super) fn has_more_than_its_share(&self) -> bool {
        self.connections.len() as u64 > fair_share(self.board, &self.desk.boards.slots, self.desk.now)
    }

    pub(super) fn admit(&mut self, accepted: Accepted) {
        let Accepted { socket, peer, proxy_protocol } = accepted;
        let entry = self.connections.vacant_entry();
        let Ok(key) = u32::try_from(entry.key()) else { return };
        self.next_serial = self.next_serial.wrapping_add(1);
        let token = Token { key, serial: self.next_serial };
        let state = if proxy_protocol { State::RecvProxy } else { State::RecvHead };
        let connection = entry.insert(Connection::new(Transport::Plain(socket), state, token, &self.desk));
        connection.peer = match peer {
            Peer::Tcp(address) => Some(address),
            Peer::Unix => None,
        };
        let flow = if proxy_protocol { Flow::Next } else { connection.introduce(connection.peer, &mut self.desk) };
        self.desk.tally.accepted += 1;
        self.show_connections();
        if let Flow::Close(reason) = flow {
            return self.close(token, reason);
        }
        // The request is often there already: then a short connection never costs an epoll_ctl.
        self.turn(token);
    }
}
