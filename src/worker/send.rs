//! Box `send_response`: heads and bodies go out, as much at a time as the socket takes.
//! Process: worker, sealed. Blocks: never; what of a file is not in memory, a helper thread reads (`fetch.rs`).

use std::fs::File;

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, State};
use super::desk::Desk;
use super::exchange::{Sending, Then};
use super::in_memory;
use super::transport::Transferred;
use crate::message::{Body, PIECE_BYTES};
use crate::sys::page_cache;

/// A part of a file up to this size is copied behind the head before it: that costs less than a second call to send, and
/// to read it tells at once whether it is in memory.
pub(super) const COPIED_PART_BYTES: u64 = 16 * 1024;

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
        while sending.gather(&mut desk.out) {}
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
        if let State::SendReply(sending) = &mut self.state
            && std::mem::take(&mut sending.is_corked)
        {
            self.transport.cork(false);
        }
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
        if !self.can_send {
            return Flow::Wait;
        }
        // A turn may end one file and begin the next, which was asked for behind it.
        if desk.turn_left_bytes == 0 {
            return Flow::Yield;
        }
        let residence = |offset, count, begins| in_memory::residence(file, offset, count, begins, desk.monotonic_ms);
        let ready = sending.in_memory.ready(residence, *offset, *length, desk.turn_left_bytes, desk.monotonic_ms);
        let Some(share) = ready else { return self.fetch(desk) };
        match self.transport.send_file(file, *offset, share) {
            Transferred::Bytes(count) => {
                *offset += count as u64;
                *length = length.saturating_sub(count as u64);
                sending.sent_bytes += count as u64;
                desk.turn_left_bytes = desk.turn_left_bytes.saturating_sub(count);
                // A full share means that the socket would take more: others first.
                let has_more = count == share && *length > 0;
                // And each share would end with a segment that is not full.
                if has_more && !std::mem::replace(&mut sending.is_corked, true) {
                    self.transport.cork(true);
                }
                self.note_sent(count, desk);
                self.set_paced_deadline(desk, desk.config.timeouts.send);
                if has_more { Flow::Yield } else { Flow::Next }
            }
            Transferred::Later => {
                sending.in_memory.forget();
                self.can_send = false;
                Flow::Wait
            }
            // The file has become shorter. The head promised more, so only a close tells the truth; never pad.
            Transferred::End => Flow::Close(CloseReason::ContentLost),
            Transferred::Broken => Flow::Close(CloseReason::Aborted),
        }
    }
}

impl Sending {
    /// Adds to `out` what is little and at hand: the lines between two parts, a small part of a file. Was there anything?
    fn gather(&mut self, out: &mut Vec<u8>) -> bool {
        if out.len() >= PIECE_BYTES {
            return false;
        }
        match &self.body {
            Body::Empty => self.next_part(out),
            Body::File { length: 1..=COPIED_PART_BYTES, .. } => self.copy_part(out),
            Body::File { .. } | Body::Bytes(_) | Body::Prepared { .. } | Body::Source { .. } | Body::Parts(_) => false,
        }
    }

    /// Copies the rest of a part of a file, if all of it is in memory.
    fn copy_part(&mut self, out: &mut Vec<u8>) -> bool {
        let Body::File { file, offset, length } = &self.body else { return false };
        let is_whole = append_part(file, *offset, *length, out);
        if is_whole {
            self.sent_bytes += length;
            self.body = Body::Empty;
        }
        is_whole
    }
}

/// Appends a part of a file to `out`, if all of it is in memory.
pub(super) fn append_part(file: &File, offset: u64, length: u64, out: &mut Vec<u8>) -> bool {
    let (begin, length) = (out.len(), usize::try_from(length).unwrap_or(0));
    out.resize(begin + length, 0);
    let room = out.get_mut(begin..).unwrap_or_default();
    let is_whole = page_cache::read_now(file, room, offset).is_ok_and(|count| count == length);
    if !is_whole {
        out.truncate(begin);
    }
    is_whole
}
