//! Box `recv_request`: bytes come in, and heads are parsed.
//! Process: worker, sealed. Trusts: nothing. Blocks: never.

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, Input};
use super::desk::Desk;
use super::transport::Transferred;
use crate::http::{self, Parsed};
use crate::message::Fields;

/// Formatted replies are sent when they are this many, even if more requests wait.
const OUT_BATCH_BYTES: usize = 64 * 1024;

impl Connection {
    /// `RecvHead`: answers the next request that has arrived in full, or receives more.
    #[doc(alias = "recv_request")]
    pub(super) fn recv_head(&mut self, buffer: &mut [u8], input: &mut Input, desk: &mut Desk) -> Flow {
        // Who does not take its replies gets no more of them.
        if !self.unsent.is_empty() || desk.out.len() > OUT_BATCH_BYTES {
            let flow = self.flush(desk, false);
            if !matches!(flow, Flow::Next) {
                return flow;
            }
        }
        let limits = desk.head_limits();
        if !input.is_empty() {
            let mut fields = Fields::default();
            match http::parse(input.bytes(buffer), limits, &mut fields) {
                Ok(Parsed::Complete(head, used)) => {
                    let unread = *input;
                    input.consume(used);
                    self.head_begun = false;
                    let is_last = input.is_empty() && !self.can_receive;
                    let flow = self.handle(&head, &fields, is_last, desk);
                    if self.awaits_verdict() {
                        *input = unread;
                    }
                    return flow;
                }
                Ok(Parsed::Incomplete) => self.begin_head(desk),
                Err(refusal) => {
                    input.consume(usize::MAX / 2);
                    return self.refuse_unparsed(&refusal, desk);
                }
            }
        }
        // No more than a head can take: what follows a large request belongs to the kernel's buffer, not to ours.
        let room = limits.head_bytes.saturating_sub(input.end - input.start).max(1);
        match self.receive(buffer, input, room, desk) {
            // Who sends no more may still be reading: every answer goes out before the connection is closed.
            Flow::Close(CloseReason::ClientDone) => self.close_when_sent(desk),
            flow @ (Flow::Next | Flow::Yield | Flow::Wait | Flow::Close(_)) => flow,
        }
    }

    /// The deadline of a head runs from its first byte, however slowly the others come.
    fn begin_head(&mut self, desk: &Desk) {
        if !self.head_begun {
            self.head_begun = true;
            self.set_deadline(desk, desk.config.timeouts.head);
        }
    }

    /// Receives up to `room` bytes behind those that are there.
    pub(super) fn receive(&mut self, buffer: &mut [u8], input: &mut Input, room: usize, desk: &mut Desk) -> Flow {
        if !self.can_receive {
            return Flow::Wait;
        }
        buffer.copy_within(input.start..input.end, 0);
        *input = Input { start: 0, end: input.end - input.start, ..*input };
        let limit = input.end.saturating_add(room).min(buffer.len());
        let Some(free) = buffer.get_mut(input.end..limit) else { return Flow::Close(CloseReason::Aborted) };
        let wanted = free.len();
        match self.transport.receive(free) {
            Transferred::Bytes(count) => {
                input.end += count;
                self.note_received(count, wanted, input, desk);
                Flow::Next
            }
            Transferred::Later => {
                self.can_receive = false;
                Flow::Wait
            }
            Transferred::End => Flow::Close(CloseReason::ClientDone),
            Transferred::Broken => Flow::Close(CloseReason::Aborted),
        }
    }

    /// So many bytes have come, of so many that were wanted.
    pub(super) fn note_received(&mut self, count: usize, wanted: usize, input: &mut Input, desk: &mut Desk) {
        input.received += count;
        desk.tally.received_bytes += count as u64;
        desk.cache.fall_behind();
        desk.folders.fall_behind();
        // A short read has emptied the socket (epoll(7)); what comes later makes an event of its own.
        self.can_receive = count == wanted || self.peer_hung_up;
    }

    /// Reads what a client still sends after our last word, until it notices.
    pub(super) fn linger(&mut self, buffer: &mut [u8], input: &mut Input) -> Flow {
        *input = Input::default();
        if !self.can_receive {
            return Flow::Wait;
        }
        match self.transport.receive(buffer) {
            // Others first: this client gets nothing more whatever it sends.
            Transferred::Bytes(_) => Flow::Yield,
            Transferred::Later => {
                self.can_receive = false;
                Flow::Wait
            }
            Transferred::End | Transferred::Broken => Flow::Close(CloseReason::Answered),
        }
    }
}
