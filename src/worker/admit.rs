//! The event loop takes connections: how many a wake, and when it leaves the next ones to the other workers.
//! Process: worker, sealed. Trusts: nothing. Blocks: never.

use super::acceptor::Accepted;
use super::connection::{Connection, Flow, State, Token};
use super::event_loop::{EventLoop, FIRST_LISTENER};
use super::share::fair_share;
use super::transport::Transport;
use crate::sys::socket::Peer;

/// For each so many events since the listener was told of last, one more connection is taken of it: where thousands of
/// connections are ready, it has its turn behind all of them (epoll(7)), many wakes later.
const EVENTS_AN_ACCEPT: usize = 8;
/// More events do not count: those that are served are not to wait for hundreds of new ones.
const EVENTS_THAT_COUNT: usize = 512;

/// A worker without others leaves none to anybody; those that it has are not to wait longer than for this many.
const ACCEPTS_OF_ONE: usize = 32;

/// How many connections are taken of a listener after so many events, where there are so many workers.
fn accepts_after(events: usize, workers: u16) -> usize {
    if workers == 1 { ACCEPTS_OF_ONE } else { 1 + events.min(EVENTS_THAT_COUNT) / EVENTS_AN_ACCEPT }
}

impl EventLoop {
    /// Takes one connection, so that the other workers get their share. A loop that is full of other work takes more: who
    /// had time for them would have taken them already. Whoever holds more than its share leaves the next ones to the
    /// others.
    pub(super) fn accept(&mut self, listener: u64) {
        let number = usize::try_from(FIRST_LISTENER - listener).unwrap_or(usize::MAX);
        self.has_accepted = true;
        for _ in 0..accepts_after(self.events_without_accept, self.desk.config.workers) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_are_taken_the_longer_nobody_was() {
        let of_two = [0, 7, 8, 64, 512, 5000].map(|events| accepts_after(events, 2));
        assert_eq!(of_two, [1, 1, 2, 9, 65, 65]);
        assert_eq!(accepts_after(0, 1), ACCEPTS_OF_ONE);
    }
}
