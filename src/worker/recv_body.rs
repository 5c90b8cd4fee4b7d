//! The content of a request comes in and goes to its sink, or to nobody.
//! Process: worker, sealed. Trusts: nothing. Blocks: as its sink does.

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, Input, State};
use super::desk::Desk;
use super::exchange::{Asked, Coming, Decoder, Receiving, Taker};
use crate::http::{self, ChunkedDecoder, Piece};
use crate::message::{BodyFraming, Fields, PIECE_BYTES, Refusal, Status};

/// How much content a connection may bring in one turn.
const RECEIVED_A_TURN_BYTES: usize = 256 * 1024;
/// How much is received besides the data of the current chunk.
const BETWEEN_CHUNKS_BYTES: usize = 4 * 1024;

impl Connection {
    /// Starts to take content of at most `room` bytes.
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
        self.state = State::RecvBody(Box::new(Receiving {
            taker,
            decoder,
            room,
            limit_bytes: room,
            owes_continue,
            gathered: desk.budget.gather(),
            is_fast: false,
            starves_since_ms: None,
            awaits_room: false,
            asked,
        }));
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
            if let Some(interim) = receiving.taker.interim() {
                desk.tally.count_interim();
                http::format_interim(&interim, &mut desk.out);
            }
            // Earlier replies, and the permission to go on, must not wait for the content.
            if let flow @ (Flow::Close(_) | Flow::Yield) = self.flush(desk, false) {
                return flow;
            }
            if input.received > RECEIVED_A_TURN_BYTES {
                return Flow::Yield;
            }
            if let flow @ (Flow::Wait | Flow::Close(_) | Flow::Yield) = self.find_room(desk) {
                return flow;
            }
            if self.comes_fast() {
                return self.receive_gathered(input, desk);
            }
            let room = receiving_room(&self.state, buffer.len());
            return match self.receive(buffer, input, room, desk) {
                Flow::Next => {
                    let received = input.end - input.start;
                    self.note_content(received, desk);
                    Flow::Next
                }
                Flow::Close(_) => Flow::Close(CloseReason::Aborted),
                flow @ (Flow::Yield | Flow::Wait) => flow,
            };
        }
        receiving.owes_continue = false;
        match take_content(receiving, input, buffer) {
            Ok(taken) if is_worth_a_trip(receiving, taken, input) => self.hand_over(taken == Taken::All, desk),
            Ok(Taken::More) => Flow::Next,
            Ok(Taken::All) => self.complete_body(desk),
            Err(refusal) => {
                input.consume(usize::MAX / 2);
                self.refuse_body(&refusal, desk)
            }
        }
    }

    /// So much content has come at once.
    pub(super) fn note_content(&mut self, received: usize, desk: &Desk) {
        self.pace.earn(received as u64, desk.monotonic_ms, desk.least_receiving());
        self.set_paced_deadline(desk, desk.config.timeouts.body);
        if let State::RecvBody(receiving) = &mut self.state {
            receiving.is_fast = received >= PIECE_BYTES;
        }
    }

    /// All content has come, and the fields behind it.
    pub(super) fn complete_body(&mut self, desk: &mut Desk) -> Flow {
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

    /// Content that can't be taken: what follows it can't be found any more.
    pub(super) fn refuse_body(&mut self, refusal: &Refusal, desk: &mut Desk) -> Flow {
        let State::RecvBody(receiving) = std::mem::replace(&mut self.state, State::RecvHead) else {
            return Flow::Close(CloseReason::Aborted);
        };
        let Receiving { taker, asked, .. } = *receiving;
        self.refuse_content(taker, asked, refusal, desk)
    }

    /// Does content come for a place that a later request wants?
    pub(super) fn is_superseded(&self) -> bool {
        match &self.state {
            State::RecvBody(receiving) => receiving.taker.is_superseded(),
            State::RecvProxy | State::RecvHead | State::AwaitJob(_) | State::SendReply(_) | State::Linger => false,
        }
    }

    /// Ends for a later request what its client has given up.
    pub(super) fn give_way(&mut self, desk: &mut Desk) -> Flow {
        let refusal = Refusal::closing(Status::CONFLICT, "A later request has taken the place of this one.");
        self.refuse_body(&refusal, desk)
    }

    fn refuse_content(&mut self, taker: Taker, mut asked: Asked, refusal: &Refusal, desk: &mut Desk) -> Flow {
        asked.facts.keep_alive = false;
        match taker {
            // Content that nobody takes changes nothing of the answer, however long it is.
            Taker::Nobody(finish) if refusal.status == Status::CONTENT_TOO_LARGE => {
                self.finish_body(finish, asked, desk)
            }
            Taker::Away | Taker::Nobody(_) => self.answer(&asked, Err(refusal.clone()), desk),
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

/// Shall a helper thread take what was gathered? A trip costs more than to write a few bytes, and so does a call: where
/// little comes at a time, several receives make one piece.
fn is_worth_a_trip(receiving: &Receiving, taken: Taken, input: &Input) -> bool {
    match receiving.gathered.bytes().len() {
        0 => false,
        PIECE_BYTES.. => taken == Taken::All || input.is_empty(),
        _ => taken == Taken::All || (input.is_empty() && receiving.taker.keeps_what_has_come()),
    }
}

/// Is the content complete?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let detail = format!("The content is longer than the {} bytes that are taken here.", receiving.limit_bytes);
        return Err(Refusal::closing(Status::CONTENT_TOO_LARGE, detail));
    };
    receiving.room = room;
    if receiving.taker.may_block() {
        receiving.gathered.add(content);
    } else if !content.is_empty() {
        receiving.taker.take(content)?;
    }
    input.consume(used);
    Ok(if is_end { Taken::All } else { Taken::More })
}
