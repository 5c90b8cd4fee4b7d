//! Requests are received from all ready connections before the first of them is answered: what happened to the files
//! until then is asked once for all of them (`content/watch.rs`), and not once for each.
//! Process: worker, sealed. Trusts: nothing. Blocks: never.

use std::ops::Range;

use super::connection::{Connection, State, Token};
use super::desk::Desk;
use super::event_loop::EventLoop;
use super::transport::Transferred;
use crate::sys::epoll::Event;

/// Room for what a wake receives before it answers. Who finds none receives when it has its turn.
const INTAKE_BYTES: usize = 256 * 1024;

/// What was received before its turn.
#[derive(Default)]
pub(super) struct Intake {
    /// Made when it is first wanted.
    buffer: Box<[u8]>,
    /// By the number of the event, where its bytes are; an empty range where there are none.
    taken: Vec<Range<usize>>,
}

impl Intake {
    /// Was something received for this event?
    pub(super) fn has(&self, index: usize) -> bool {
        self.taken.get(index).is_some_and(|range| !range.is_empty())
    }
}

impl Connection {
    /// Receives the beginning of a request, if one may come now and nothing of it is here yet.
    fn take_in(&mut self, event: Event, room: &mut [u8], desk: &mut Desk) -> usize {
        let waits = matches!(self.state, State::RecvHead) && self.is_idle() && !self.is_queued;
        if !waits || event.broken || !event.readable {
            return 0;
        }
        let wanted = room.len();
        // Any other outcome is its turn's to find again.
        let Transferred::Bytes(count) = self.transport.receive(room) else { return 0 };
        self.note(event);
        self.can_receive = count == wanted || self.peer_hung_up;
        desk.tally.received_bytes += count as u64;
        count
    }
}

impl EventLoop {
    /// Receives for all events of this wake, where there are several.
    pub(super) fn take_in(&mut self, count: usize) {
        self.intake.taken.clear();
        if count < 2 {
            return;
        }
        if self.intake.buffer.is_empty() {
            self.intake.buffer = vec![0; INTAKE_BYTES].into_boxed_slice();
        }
        let head_bytes = self.desk.config.limits.head_bytes;
        let mut start = 0;
        for index in 0..count {
            let token = self.epoll.event(index).map(|event| (event, Token::from_number(event.token)));
            let room = self.intake.buffer.get_mut(start..start + head_bytes);
            let mut end = start;
            if let (Some((event, token)), Some(room)) = (token, room)
                && let Some(connection) = self.connections.get_mut(token.key as usize).filter(|it| it.token == token)
            {
                end += connection.take_in(event, room, &mut self.desk);
            }
            self.intake.taken.push(start..end);
            start = end;
        }
        if start > 0 {
            self.desk.cache.fall_behind();
            self.desk.folders.fall_behind();
        }
    }

    /// One turn for a connection whose bytes were taken in.
    pub(super) fn turn_with_taken(&mut self, token: Token, index: usize) {
        let range = self.intake.taken.get(index).cloned().unwrap_or_default();
        let Some(connection) = self.connections.get_mut(token.key as usize).filter(|it| it.token == token) else {
            return;
        };
        let taken = self.intake.buffer.get(range).unwrap_or_default();
        let step = connection.process_taken(taken, &mut self.buffer, &mut self.desk);
        self.after(token, step);
    }
}
