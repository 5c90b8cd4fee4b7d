//! Box `send_response`: heads and bodies go out, as much at a time as the socket takes.
//! Process: worker, sealed. Blocks: never; `sendfile` may wait for a disk that has not read the file yet.

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, State};
use super::desk::Desk;
use super::exchange::{Sending, Then};
use super::transport::Transferred;
use crate::message::Body;

impl Connection {
    /// Sends everything that is formatted. `Next`: it is out; `Wait`: the rest is kept in `unsent`.
    pub(super) fn flush(&mut self, desk: &mut Desk, more: bool) -> Flow {
        if !self.unsent.is_empty() {
            self.unsent.append(&mut desk.out);
            return self.flush_unsent(desk, more);
        }
        let mut sent = 0;
        while let Some(rest) = desk.out.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.transport.send(rest, more) {
                Transferred::Bytes(count) => sent += count,
                Transferred::Later => {
                    self.can_send = false;
                    self.unsent.extend_from_slice(rest);
                    desk.out.clear();
                    self.note_sent(sent, desk);
                    self.begin_unsent(desk);
                    return Flow::Wait;
                }
                Transferred::End | Transferred::Broken => {
                    desk.out.clear();
                    return Flow::Close(CloseReason::Aborted);
                }
            }
        }
        self.note_sent(sent, desk);
        desk.out.clear();
        Flow::Next
    }

    fn flush_unsent(&mut self, desk: &mut Desk, more: bool) -> Flow {
        if !self.can_send {
            return Flow::Wait;
        }
        let mut sent = 0;
        let flow = loop {
            let Some(rest) = self.unsent.get(sent..).filter(|rest| !rest.is_empty()) else { break Flow::Next };
            match self.transport.send(rest, more) {
                Transferred::Bytes(count) => sent += count,
                Transferred::Later => {
                    self.can_send = false;
                    break Flow::Wait;
                }
                Transferred::End | Transferred::Broken => break Flow::Close(CloseReason::Aborted),
            }
        };
        self.note_sent(sent, desk);
        if matches!(flow, Flow::Next) {
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..sent);
        }
        if sent > 0 {
            self.renew_deadline(desk);
        }
        flow
    }

    /// `SendReply`: the head, then the body, as much as the socket takes and as fairness allows.
    #[doc(alias = "send_response")]
    pub(super) fn send_reply(&mut self, desk: &mut Desk) -> Flow {
        let State::SendReply(sending) = &mut self.state else { return Flow::Close(CloseReason::Aborted) };
        while matches!(sending.body, Body::Empty) && sending.next_part(&mut desk.out) {}
        if matches!(sending.body, Body::Bytes(_) | Body::Prepared { .. }) && self.unsent.is_empty() {
            return self.send_memory(desk);
        }
        // Without anything behind it, the kernel would hold the head back for 200 ms.
        let is_file = matches!(sending.body, Body::File { length: 1.., .. });
        match self.flush(desk, is_file) {
            Flow::Next => {}
            flow @ (Flow::Wait | Flow::Yield | Flow::Close(_)) => return flow,
        }
        let State::SendReply(sending) = &mut self.state else { return Flow::Close(CloseReason::Aborted) };
        match std::mem::take(&mut sending.body) {
            Body::Empty | Body::Parts(_) => self.finish_reply(desk),
            body @ (Body::Bytes(_) | Body::Prepared { .. }) => {
                sending.body = body;
                self.send_memory(desk)
            }
            body @ Body::File { .. } => {
                sending.body = body;
                self.send_file(desk)
            }
            Body::Source { source, length } => self.request_piece(source, length, desk),
        }
    }

    /// The client sends nothing more: what is owed to it goes out, then the connection is closed.
    pub(super) fn close_when_sent(&mut self, desk: &Desk) -> Flow {
        if self.unsent.is_empty() && desk.out.is_empty() {
            return Flow::Close(CloseReason::ClientDone);
        }
        self.begin_sending(desk);
        self.state = State::SendReply(Box::new(Sending::new(Body::Empty, false, Then::Close, None)));
        Flow::Next
    }

    /// A body is with the kernel: the reply is over, unless it has another part.
    fn end_body(&mut self, desk: &mut Desk) -> Flow {
        match &mut self.state {
            State::SendReply(sending) if !sending.rest.is_empty() => {
                sending.body = Body::Empty;
                Flow::Next
            }
            State::SendReply(_)
            | State::RecvProxy
            | State::RecvHead
            | State::RecvBody(_)
            | State::AwaitJob(_)
            | State::Linger => self.finish_reply(desk),
        }
    }

    /// The last byte of a reply is with the kernel.
    fn finish_reply(&mut self, desk: &mut Desk) -> Flow {
        self.log_reply(desk);
        let State::SendReply(sending) = std::mem::replace(&mut self.state, State::RecvHead) else {
            return Flow::Close(CloseReason::Aborted);
        };
        match sending.then {
            Then::Next => self.next_request(desk),
            Then::Close => Flow::Close(CloseReason::Answered),
            Then::Linger => self.start_linger(desk),
        }
    }

    /// A body in memory goes out behind its head, both in one call.
    fn send_memory(&mut self, desk: &mut Desk) -> Flow {
        let State::SendReply(sending) = &mut self.state else { return Flow::Close(CloseReason::Aborted) };
        let taken = sending.taken;
        let content = match &sending.body {
            Body::Bytes(bytes) => bytes.get(taken..),
            Body::Prepared { prepared, offset, length } => prepared.content.get(offset + taken..offset + length),
            Body::Empty | Body::File { .. } | Body::Source { .. } | Body::Parts(_) => None,
        };
        let content = content.unwrap_or_default();
        if content.is_empty() && desk.out.is_empty() {
            return self.end_body(desk);
        }
        match self.transport.send_both(&desk.out, content) {
            Transferred::Bytes(count) => {
                let of_head = count.min(desk.out.len());
                sending.taken += count - of_head;
                sending.sent_bytes += (count - of_head) as u64;
                desk.out.drain(..of_head);
                self.note_sent(count, desk);
                self.set_paced_deadline(desk, desk.config.timeouts.send);
                Flow::Next
            }
            Transferred::Later => {
                self.can_send = false;
                self.unsent.append(&mut desk.out);
                Flow::Wait
            }
            Transferred::End | Transferred::Broken => Flow::Close(CloseReason::Aborted),
        }
    }

    /// A file goes out without passing through our memory, one turn's share at a time.
    fn send_file(&mut self, desk: &mut Desk) -> Flow {
        let State::SendReply(sending) = &mut self.state else { return Flow::Close(CloseReason::Aborted) };
        let Body::File { file, offset, length } = &mut sending.body else { return Flow::Next };
        if *length == 0 {
            return self.end_body(desk);
        }
        let share = usize::try_from(*length).unwrap_or(usize::MAX).min(desk.turn_bytes);
        match self.transport.send_file(file, *offset, share) {
            Transferred::Bytes(count) => {
                *offset += count as u64;
                *length = length.saturating_sub(count as u64);
                sending.sent_bytes += count as u64;
                let is_done = *length == 0;
                self.note_sent(count, desk);
                self.set_paced_deadline(desk, desk.config.timeouts.send);
                // A full share means that the socket would take more: others first.
                if count == share && !is_done { Flow::Yield } else { Flow::Next }
            }
            Transferred::Later => {
                self.can_send = false;
                Flow::Wait
            }
            // The file has become shorter. The head promised more, so only a close tells the truth; never pad.
            Transferred::End => Flow::Close(CloseReason::ContentLost),
            Transferred::Broken => Flow::Close(CloseReason::Aborted),
        }
    }
}
