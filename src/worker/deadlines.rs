//! The deadlines of a connection: what each wait may take, and what happens when it has taken longer.
//! Process: worker, sealed. Trusts: nothing. Blocks: never.
//! Content has two in either direction: one from piece to piece, and one that its least rate sets (`pace.rs`). What the
//! kernel has taken of a reply, the client need not have: before one is given up, the kernel is asked what the client
//! has acknowledged since. So a slow client on a large socket buffer is seen to move, and one that does not is too.

use std::time::Duration;

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, State};
use super::desk::Desk;
use super::pace::{Least, Pace};
use crate::message::{Refusal, Status};

impl Connection {
    /// Has the deadline passed? Then the client is told where it still can be.
    pub(super) fn expire(&mut self, desk: &mut Desk) -> Flow {
        match self.state {
            State::RecvHead if self.unsent.is_empty() && !self.head_begun => Flow::Close(CloseReason::Idle),
            State::RecvHead if self.unsent.is_empty() => {
                self.received = Vec::new();
                CloseReason::TimedOut.count(&mut desk.tally);
                let refusal = Refusal::closing(Status::REQUEST_TIMEOUT, "The request head did not come in time.");
                self.refuse_unparsed(&refusal, desk)
            }
            State::RecvBody(_) => {
                CloseReason::TimedOut.count(&mut desk.tally);
                let refusal = Refusal::closing(Status::REQUEST_TIMEOUT, "The content did not come in time.");
                self.refuse_body(&refusal, desk)
            }
            State::RecvHead | State::SendReply(_) => self.look_at_flight(desk),
            State::RecvProxy | State::AwaitJob(_) => Flow::Close(CloseReason::TimedOut),
            State::Linger => Flow::Close(CloseReason::Answered),
        }
    }

    /// Gives the current wait its end.
    pub(super) fn set_deadline(&mut self, desk: &Desk, wait: Duration) {
        let wait_ms = wait.as_secs().saturating_mul(1000).saturating_add(wait.subsec_millis().into());
        self.deadline_ms = desk.monotonic_ms.saturating_add(wait_ms);
    }

    /// Content begins: it has this long between two pieces, and its pace to keep.
    pub(super) fn begin_pace(&mut self, desk: &Desk, wait: Duration, least: Least) {
        self.pace = Pace::begin(desk.monotonic_ms, least);
        self.set_paced_deadline(desk, wait);
    }

    /// A piece has come or gone: gives the wait for the next one its end.
    pub(super) fn set_paced_deadline(&mut self, desk: &Desk, wait: Duration) {
        self.set_deadline(desk, wait);
        self.deadline_ms = self.deadline_ms.min(self.pace.end_ms());
    }

    /// A reply begins to wait for the client, or a piece of it does.
    pub(super) fn begin_sending(&mut self, desk: &Desk) {
        self.begin_pace(desk, desk.config.timeouts.send, desk.least_sending());
    }

    /// The transport takes no more of the replies that are formatted. In `RecvHead` no reply has begun a pace of its own.
    pub(super) fn begin_unsent(&mut self, desk: &Desk) {
        if matches!(self.state, State::RecvHead) {
            self.pace = Pace::begin(desk.monotonic_ms, desk.least_sending());
        }
        self.renew_deadline(desk);
    }

    /// The deadline of what it waits for now, after the transport took some bytes, or none.
    pub(super) fn renew_deadline(&mut self, desk: &Desk) {
        let timeouts = &desk.config.timeouts;
        match self.state {
            State::RecvHead if !self.unsent.is_empty() => self.set_paced_deadline(desk, timeouts.send),
            State::RecvHead if !self.head_begun => self.set_deadline(desk, timeouts.idle),
            State::SendReply(_) => self.set_paced_deadline(desk, timeouts.send),
            // Their deadlines have nothing to do with sending.
            State::RecvProxy | State::RecvHead | State::RecvBody(_) | State::AwaitJob(_) | State::Linger => {}
        }
    }

    /// The transport has taken so many bytes.
    pub(super) fn note_sent(&mut self, bytes: usize, desk: &mut Desk) {
        desk.tally.sent_bytes += bytes as u64;
        self.in_flight_bytes = self.in_flight_bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// The deadline of a reply has passed: has the client got anything since the kernel was last asked?
    fn look_at_flight(&mut self, desk: &Desk) -> Flow {
        let given_up = Flow::Close(CloseReason::TimedOut);
        let Some(in_flight) = self.transport.unacknowledged() else { return given_up };
        let before = std::mem::replace(&mut self.in_flight_bytes, in_flight);
        match before.checked_sub(in_flight) {
            Some(0) => return given_up,
            // It has everything: what comes next begins anew.
            Some(_) if in_flight == 0 => self.pace = Pace::begin(desk.monotonic_ms, desk.least_sending()),
            Some(taken) => self.pace.earn(taken.into(), desk.monotonic_ms, desk.least_sending()),
            // A Unix socket counts the kernel's own memory too; now that is known, and the next look will tell.
            None => {}
        }
        self.set_paced_deadline(desk, desk.config.timeouts.send);
        if self.deadline_ms > desk.monotonic_ms { Flow::Wait } else { given_up }
    }
}
