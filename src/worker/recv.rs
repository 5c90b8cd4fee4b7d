//! Box `recv_request`: bytes come in, heads are parsed, contents go to their sinks.
//! Process: worker, sealed. Trusts: nothing. Blocks: never.

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, Input, State};
use super::desk::Desk;
use super::exchange::{Asked, AskedForLog, Awaiting, Coming, Decoder, Receiving, Taker};
use super::offload::Task;
use super::transport::Transferred;
use crate::content::{self, ErrorForm};
use crate::http::{self, ChunkedDecoder, Facts, Head, Parsed, Piece};
use crate::message::{BodyFraming, Fields, Finish, Handled, Refusal, Request, Status};

/// How much content that nobody wants is read and dropped so that the connection can go on.
pub(super) const DISCARD_LIMIT_BYTES: u64 = 1024 * 1024;
/// How much content a connection may bring in one turn.
const RECEIVED_A_TURN_BYTES: usize = 256 * 1024;
/// How much is received besides the data of the current chunk.
const BETWEEN_CHUNKS_BYTES: usize = 4 * 1024;
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
                    input.consume(used);
                    self.head_begun = false;
                    let is_last = input.is_empty() && !self.can_receive;
                    return self.handle(&head, &fields, is_last, desk);
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
                input.received += count;
                desk.tally.received_bytes += count as u64;
                // A short read has emptied the socket (epoll(7)); what comes later makes an event of its own.
                self.can_receive = count == wanted || self.peer_hung_up;
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

    /// A head is complete: through the pipeline with it. `is_last`: nothing has come behind it.
    fn handle(&mut self, head: &Head<'_>, fields: &Fields<'_>, is_last: bool, desk: &mut Desk) -> Flow {
        self.requests = self.requests.saturating_add(1);
        if self.is_trusted
            && let Err(refusal) = self.introduce_request(fields, desk)
        {
            return self.refuse_head(head, fields, &refusal, desk);
        }
        let request = match http::validate(head, fields) {
            Ok(request) => request,
            Err(refusal) => return self.refuse_head(head, fields, &refusal, desk),
        };
        let may_go_on = !desk.is_draining && self.requests < desk.config.limits.requests_per_connection;
        let site = desk.hosts.site_of(request.host);
        let facts = Facts {
            method: request.method,
            version: request.version,
            keep_alive: request.keep_alive && may_go_on,
            client_closes: !request.keep_alive,
            site,
            fields: desk.config.sites.get(site).fields.find(&request.path),
        };
        let handled = http::handle_request(&mut desk.context(site), &request);
        match (handled, request.framing) {
            (Handled::Reply(response), BodyFraming::None) => {
                self.reply_now(response, facts, &request, head, is_last, desk)
            }
            (Handled::Reply(response), _) => {
                self.discard_then(Finish::Reply(Ok(response)), facts, &request, head, desk)
            }
            (Handled::Await(job), BodyFraming::None) => {
                self.start(Task::Job(job), asked(&request, head, facts, desk), desk)
            }
            (Handled::Await(job), _) => self.discard_then(Finish::Job(job), facts, &request, head, desk),
            (Handled::Work(work), BodyFraming::None) => {
                self.start(Task::Work(work), asked(&request, head, facts, desk), desk)
            }
            (Handled::Work(work), _) => self.discard_then(Finish::Work(work), facts, &request, head, desk),
            (Handled::Prepare(work), _) => {
                let asked = asked(&request, head, facts, desk);
                self.prepare(Task::Prepare(work), asked, Coming::of(&request), desk)
            }
            (Handled::Receive(receive), BodyFraming::None) => {
                let asked = asked(&request, head, facts, desk);
                self.finish_body(receive.sink.finish(&Fields::default()), asked, desk)
            }
            (Handled::Receive(receive), _) => {
                let asked = asked(&request, head, facts, desk);
                self.start_body(Taker::Sink(receive.sink), receive.limit_bytes, Coming::of(&request), asked, desk)
            }
        }
    }

    /// The answer is known before the content has come. A short content is read and dropped; for a long one, or one
    /// that waits for our word, the answer goes out at once and ends the connection.
    fn discard_then(
        &mut self,
        finish: Finish,
        facts: Facts,
        request: &Request<'_>,
        head: &Head<'_>,
        desk: &mut Desk,
    ) -> Flow {
        let is_short = request.framing.length().is_none_or(|length| length <= DISCARD_LIMIT_BYTES);
        // An answer that is the connection's last anyway is not held back either.
        let is_last = matches!(&finish, Finish::Reply(Ok(response)) if response.ends_connection);
        if is_short && !is_last && !request.expects_continue {
            let asked = asked(request, head, facts, desk);
            return self.start_body(Taker::Nobody(finish), DISCARD_LIMIT_BYTES, Coming::of(request), asked, desk);
        }
        let facts = Facts { keep_alive: false, ..facts };
        match finish {
            Finish::Reply(Ok(response)) => self.reply_and_linger(response, facts, request, head, desk),
            Finish::Reply(Err(refusal)) => {
                let response = content::error(&refusal, ErrorForm::of(request.fields));
                self.reply_and_linger(response, facts, request, head, desk)
            }
            Finish::Job(job) => self.start(Task::Job(job), asked(request, head, facts, desk), desk),
            Finish::Work(work) => self.start(Task::Work(work), asked(request, head, facts, desk), desk),
        }
    }

    pub(super) fn start_body(
        &mut self,
        taker: Taker,
        room: u64,
        coming: Coming,
        asked: Asked,
        desk: &mut Desk,
    ) -> Flow {
        let decoder = match coming.framing {
            BodyFraming::Length(length) => Decoder::Length(length),
            BodyFraming::None => Decoder::Length(0),
            BodyFraming::Chunked if taker.wants_trailers() => {
                Decoder::Chunked(ChunkedDecoder::keeping_trailers(desk.config.limits.head_bytes))
            }
            BodyFraming::Chunked => Decoder::Chunked(ChunkedDecoder::default()),
        };
        let owes_continue = coming.expects_continue;
        self.state = State::RecvBody(Box::new(Receiving { taker, decoder, room, owes_continue, asked }));
        self.begin_pace(desk, desk.config.timeouts.body, desk.least_receiving());
        Flow::Next
    }

    /// `RecvBody`: hands what has arrived to the sink, or receives more.
    pub(super) fn recv_body(&mut self, buffer: &mut [u8], input: &mut Input, desk: &mut Desk) -> Flow {
        let State::RecvBody(receiving) = &mut self.state else { return Flow::Close(CloseReason::Aborted) };
        if input.is_empty() {
            if receiving.owes_continue {
                receiving.owes_continue = false;
                desk.tally.count_interim();
                desk.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            // Earlier replies, and the permission to go on, must not wait for the content.
            if let flow @ (Flow::Close(_) | Flow::Yield) = self.flush(desk, false) {
                return flow;
            }
            if input.received > RECEIVED_A_TURN_BYTES {
                return Flow::Yield;
            }
            let room = receiving_room(&self.state, buffer.len());
            return match self.receive(buffer, input, room, desk) {
                Flow::Next => {
                    let received = (input.end - input.start) as u64;
                    self.pace.earn(received, desk.monotonic_ms, desk.least_receiving());
                    self.set_paced_deadline(desk, desk.config.timeouts.body);
                    Flow::Next
                }
                Flow::Close(_) => Flow::Close(CloseReason::Aborted),
                flow @ (Flow::Yield | Flow::Wait) => flow,
            };
        }
        receiving.owes_continue = false;
        match take_content(receiving, input, buffer) {
            Ok(Taken::More) => Flow::Next,
            Ok(Taken::All) => self.complete_body(desk),
            Err(refusal) => {
                input.consume(usize::MAX / 2);
                self.refuse_body(&refusal, desk)
            }
        }
    }

    /// All content has come.
    fn complete_body(&mut self, desk: &mut Desk) -> Flow {
        let State::RecvBody(receiving) = std::mem::replace(&mut self.state, State::RecvHead) else {
            return Flow::Close(CloseReason::Aborted);
        };
        let Receiving { taker, decoder, asked, .. } = *receiving;
        let mut trailers = Fields::default();
        match http::parse_trailers(decoder.trailer_section(), desk.head_limits(), &mut trailers) {
            Ok(()) => self.finish_body(taker.finish(&trailers), asked, desk),
            Err(refusal) => self.refuse_content(taker, asked, &refusal, desk),
        }
    }

    pub(super) fn finish_body(&mut self, finish: Finish, asked: Asked, desk: &mut Desk) -> Flow {
        match finish {
            Finish::Reply(answer) => self.answer(&asked, answer, desk),
            Finish::Job(job) => self.start(Task::Job(job), asked, desk),
            Finish::Work(work) => self.start(Task::Work(work), asked, desk),
        }
    }

    /// Has a helper thread do what the answer needs.
    pub(super) fn start(&mut self, task: Task, asked: Asked, desk: &mut Desk) -> Flow {
        if desk.offload.submit(self.token, task) {
            return self.await_job(Awaiting::Answer(asked), desk);
        }
        self.answer(&asked, Err(busy()), desk)
    }

    /// Content that can't be taken: what follows it can't be found any more.
    pub(super) fn refuse_body(&mut self, refusal: &Refusal, desk: &mut Desk) -> Flow {
        let State::RecvBody(receiving) = std::mem::replace(&mut self.state, State::RecvHead) else {
            return Flow::Close(CloseReason::Aborted);
        };
        let Receiving { taker, asked, .. } = *receiving;
        self.refuse_content(taker, asked, refusal, desk)
    }

    fn refuse_content(&mut self, taker: Taker, mut asked: Asked, refusal: &Refusal, desk: &mut Desk) -> Flow {
        asked.facts.keep_alive = false;
        match taker {
            // Content that nobody takes changes nothing of the answer, however long it is.
            Taker::Nobody(finish) if refusal.status == Status::CONTENT_TOO_LARGE => {
                self.finish_body(finish, asked, desk)
            }
            Taker::Nobody(_) => self.answer(&asked, Err(refusal.clone()), desk),
            Taker::Sink(sink) => {
                desk.offload.forget(self.token, sink);
                self.answer(&asked, Err(refusal.clone()), desk)
            }
        }
    }

    /// The connection ends: what was received of an upload is given up.
    pub(super) fn abandon_body(&mut self, desk: &Desk) {
        if let State::RecvBody(receiving) = std::mem::replace(&mut self.state, State::Linger)
            && let Taker::Sink(sink) = receiving.taker
        {
            desk.offload.forget(self.token, sink);
        }
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

/// How much content to receive at once: no more than belongs to it, where that is known.
fn receiving_room(state: &State, buffer_bytes: usize) -> usize {
    match state {
        State::RecvBody(receiving) => match receiving.decoder {
            Decoder::Length(left) => usize::try_from(left).unwrap_or(usize::MAX).min(buffer_bytes),
            // A little more than the chunk, for what stands between two; not so much that requests behind the content
            // would pile up in our memory.
            Decoder::Chunked(ref decoder) => {
                let left = usize::try_from(decoder.left_in_chunk()).unwrap_or(usize::MAX);
                left.saturating_add(BETWEEN_CHUNKS_BYTES).min(buffer_bytes)
            }
        },
        State::RecvProxy | State::RecvHead | State::AwaitJob(_) | State::SendReply(_) | State::Linger => 0,
    }
}

/// Is the content complete?
enum Taken {
    More,
    All,
}

/// Hands one run of content to the sink.
fn take_content(receiving: &mut Receiving, input: &mut Input, buffer: &[u8]) -> Result<Taken, Refusal> {
    let bytes = input.bytes(buffer);
    let (content, used, is_end) = match &mut receiving.decoder {
        Decoder::Length(left) => {
            let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            *left -= take as u64;
            (bytes.get(..take).unwrap_or_default(), take, *left == 0)
        }
        Decoder::Chunked(decoder) => match decoder.next(bytes)? {
            Piece::Content(content, used) => (content, used, false),
            Piece::More => (&[][..], bytes.len(), false),
            Piece::End(used) => (&[][..], used, true),
        },
    };
    let Some(room) = receiving.room.checked_sub(content.len() as u64) else {
        let detail = "The content is longer than what is taken here.";
        return Err(Refusal::closing(Status::CONTENT_TOO_LARGE, detail));
    };
    receiving.room = room;
    if !content.is_empty() {
        receiving.taker.take(content)?;
    }
    input.consume(used);
    Ok(if is_end { Taken::All } else { Taken::More })
}

/// What must outlive the bytes of this request.
fn asked(request: &Request<'_>, head: &Head<'_>, facts: Facts, desk: &Desk) -> Asked {
    let for_log = desk.access_log.is_on().then(|| Box::new(AskedForLog::of(request, head.line)));
    Asked { facts, error_form: ErrorForm::of(request.fields), for_log }
}

/// The helper threads have more to do than they can.
pub(super) fn busy() -> Refusal {
    use crate::message::{FieldName, Value};
    Refusal::new(Status::SERVICE_UNAVAILABLE, "The server is busy; try again in a moment.")
        .with_field(FieldName::RetryAfter, Value::Number(1))
}
