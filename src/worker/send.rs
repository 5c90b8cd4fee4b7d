//! Box `send_response`: heads and bodies go out, as much at a time as the socket takes.
//! Process: worker, sealed. Blocks: never; `sendfile` may wait for a disk that has not read the file yet.

use std::io::Write;
use std::net::IpAddr;

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, State};
use super::desk::Desk;
use super::exchange::{Asked, Awaiting, Sending, Then};
use super::offload::Task;
use super::transport::Transferred;
use crate::content::{self, ErrorForm};
use crate::http::{self, Facts, Head, Reply};
use crate::log::RequestLine;
use crate::message::{Body, BodySource, FieldName, Fields, Progress, Refusal, Request, Response};

/// A body up to this size is copied behind its head, so that many replies go out in one call.
const COPIED_BODY_BYTES: usize = 16 * 1024;

impl Connection {
    /// Answers a request whose bytes are still in the buffer: the hot path, without an allocation.
    pub(super) fn reply_now(
        &mut self,
        response: Response,
        facts: Facts,
        request: &Request<'_>,
        head: &Head<'_>,
        is_last: bool,
        desk: &mut Desk,
    ) -> Flow {
        // A client that wanted to close, and has sent nothing more, need not be waited for.
        let unless_kept = if facts.client_closes && is_last { Then::Close } else { Then::Linger };
        self.reply(response, facts, unless_kept, Some(log_line(request, head)), desk)
    }

    /// The same for an answer that comes before content which will not be read.
    pub(super) fn reply_and_linger(
        &mut self,
        response: Response,
        facts: Facts,
        request: &Request<'_>,
        head: &Head<'_>,
        desk: &mut Desk,
    ) -> Flow {
        self.reply(response, facts, Then::Linger, Some(log_line(request, head)), desk)
    }

    /// Answers a request whose bytes are gone.
    pub(super) fn answer(&mut self, asked: &Asked, answer: Result<Response, Refusal>, desk: &mut Desk) -> Flow {
        let response = answer.unwrap_or_else(|refusal| content::error(&refusal, asked.error_form));
        let facts = Facts { keep_alive: asked.facts.keep_alive && !desk.is_draining, ..asked.facts };
        let line = asked.for_log.as_ref().map(|words| words.line(NOTHING_KNOWN));
        self.reply(response, facts, Then::Linger, line, desk)
    }

    /// Answers bytes that are no request.
    pub(super) fn refuse_unparsed(&mut self, refusal: &Refusal, desk: &mut Desk) -> Flow {
        let response = content::error(refusal, ErrorForm::default());
        self.reply(response, Facts::OF_NO_REQUEST, Then::Linger, Some(NOTHING_KNOWN), desk)
    }

    /// Answers a head that makes no request.
    pub(super) fn refuse_head(
        &mut self,
        head: &Head<'_>,
        fields: &Fields<'_>,
        refusal: &Refusal,
        desk: &mut Desk,
    ) -> Flow {
        let response = content::error(refusal, ErrorForm::of(fields));
        let line = RequestLine {
            request: Some(head.line.as_bytes()),
            referer: fields.first(FieldName::Referer),
            user_agent: fields.first(FieldName::UserAgent),
            ..NOTHING_KNOWN
        };
        let facts = Facts { method: head.known_method(), ..Facts::OF_NO_REQUEST };
        self.reply(response, facts, Then::Linger, Some(line), desk)
    }

    /// Formats a response. A small body goes out with its head; for any other the state changes to `SendReply`.
    /// `unless_kept` is what happens after a reply that ends the connection.
    fn reply(
        &mut self,
        response: Response,
        facts: Facts,
        unless_kept: Then,
        line: Option<RequestLine<'_>>,
        desk: &mut Desk,
    ) -> Flow {
        let status = response.status;
        desk.tally.count_answer(status);
        let fixed = facts.fields.and_then(|id| desk.config.sites.get(facts.site).fields.get(id));
        let Reply { body, is_chunked, keep_alive } = http::format(response, facts, fixed, &desk.date, &mut desk.out);
        let then = if keep_alive { Then::Next } else { unless_kept };
        let line = line.filter(|_| desk.access_log.is_on());
        let line = line.map(|line| fill_in(line, self.client, status.code(), desk));
        let copied = match &body {
            Body::Empty => Some(&[][..]),
            Body::Bytes(bytes) => Some(bytes.as_slice()),
            Body::Prepared { prepared, offset, length } => prepared.content.get(*offset..offset + length),
            Body::File { .. } | Body::Source { .. } | Body::Parts(_) => None,
        };
        if then == Then::Next
            && let Some(content) = copied.filter(|content| content.len() <= COPIED_BODY_BYTES)
        {
            desk.out.extend_from_slice(content);
            if let Some(line) = line {
                desk.access_log.write(&line, content.len() as u64);
            }
            return self.next_request(desk);
        }
        let log = line.map(|line| desk.access_log.begin(&line));
        self.begin_sending(desk);
        self.state = State::SendReply(Box::new(Sending::new(body, is_chunked, then, log)));
        Flow::Next
    }

    /// The reply is out: the client may think about the next request.
    fn next_request(&mut self, desk: &mut Desk) -> Flow {
        self.state = State::RecvHead;
        // The next request of a proxy may be another client's.
        if self.is_trusted {
            self.dismiss(&mut desk.clients);
        }
        self.set_deadline(desk, desk.config.timeouts.idle);
        Flow::Next
    }

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

    /// Asks a helper thread for the next piece of a body.
    fn request_piece(&mut self, source: Box<dyn BodySource>, length: Option<u64>, desk: &mut Desk) -> Flow {
        let State::SendReply(mut sending) = std::mem::replace(&mut self.state, State::RecvHead) else {
            return Flow::Close(CloseReason::Aborted);
        };
        // While the source is away the body holds only its length.
        sending.body = Body::Source { source: Box::new(Away), length };
        if desk.offload.submit(self.token, Task::Piece(source)) {
            return self.await_job(Awaiting::Piece(*sending), desk);
        }
        self.state = State::SendReply(sending);
        Flow::Close(CloseReason::Overloaded)
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

    /// A piece has come: format it, and send it on.
    pub(super) fn take_piece(
        &mut self,
        mut sending: Sending,
        source: Box<dyn BodySource>,
        bytes: &[u8],
        progress: Progress,
        desk: &mut Desk,
    ) -> Flow {
        let length = sending.body.length();
        sending.sent_bytes += bytes.len() as u64;
        let is_end = progress == Progress::End;
        if length.is_some_and(|length| sending.sent_bytes > length || (is_end && sending.sent_bytes < length)) {
            self.state = State::SendReply(Box::new(sending));
            return Flow::Close(CloseReason::ContentLost);
        }
        if !sending.is_chunked {
            self.unsent.extend_from_slice(bytes);
        } else if !bytes.is_empty() {
            // Writing to a vector can't fail.
            let _ = write!(self.unsent, "{:x}\r\n", bytes.len());
            self.unsent.extend_from_slice(bytes);
            self.unsent.extend_from_slice(b"\r\n");
        }
        if is_end && sending.is_chunked {
            self.unsent.extend_from_slice(b"0\r\n\r\n");
        }
        sending.body = if is_end { Body::Empty } else { Body::Source { source, length } };
        // What the helper thread took is not for the client to make good.
        self.begin_sending(desk);
        self.state = State::SendReply(Box::new(sending));
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

    /// Writes the log line of a reply that is over.
    fn log_reply(&mut self, desk: &mut Desk) {
        if let State::SendReply(sending) = &mut self.state
            && let Some(line) = sending.log.take()
        {
            desk.access_log.finish(&line, sending.sent_bytes);
        }
    }

    /// Writes the log line of whatever was under way when the connection ended.
    pub(super) fn log_end(&mut self, desk: &mut Desk) {
        match &mut self.state {
            State::SendReply(_) => self.log_reply(desk),
            State::AwaitJob(awaiting) => match &mut **awaiting {
                Awaiting::Piece(sending) => {
                    if let Some(line) = sending.log.take() {
                        desk.access_log.finish(&line, sending.sent_bytes);
                    }
                }
                Awaiting::Answer(asked) | Awaiting::Taker(asked, _) => log_unanswered(asked, self.client, desk),
            },
            State::RecvBody(receiving) => log_unanswered(&receiving.asked, self.client, desk),
            State::RecvProxy | State::RecvHead | State::Linger => {}
        }
    }
}

/// A request whose client was gone before its answer: 499, as nginx's users know it.
fn log_unanswered(asked: &Asked, client: Option<IpAddr>, desk: &mut Desk) {
    const CLIENT_CLOSED_REQUEST: u16 = 499;
    if let Some(words) = &asked.for_log {
        let line = fill_in(words.line(NOTHING_KNOWN), client, CLIENT_CLOSED_REQUEST, desk);
        desk.access_log.write(&line, 0);
    }
}

/// Adds to a line what the worker knows.
fn fill_in<'r>(line: RequestLine<'r>, client: Option<IpAddr>, status: u16, desk: &Desk) -> RequestLine<'r> {
    RequestLine { client, unix_seconds: desk.now.unix_seconds, status, ..line }
}

/// Stands for a source that is with a helper thread.
struct Away;

impl BodySource for Away {
    fn fill(&mut self, _out: &mut Vec<u8>) -> std::io::Result<Progress> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// What the access log says of bytes that are no request; the rest is filled in when the answer is known.
const NOTHING_KNOWN: RequestLine<'static> =
    RequestLine { client: None, unix_seconds: 0, request: None, status: 0, referer: None, user_agent: None };

fn log_line<'r>(request: &'r Request<'_>, head: &'r Head<'_>) -> RequestLine<'r> {
    RequestLine {
        request: Some(head.line.as_bytes()),
        referer: request.field(FieldName::Referer),
        user_agent: request.field(FieldName::UserAgent),
        ..NOTHING_KNOWN
    }
}
