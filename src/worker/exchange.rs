//! One request and its answer, as far as it must outlive the turn in which it began: its content coming in, a job
//! awaited, its reply going out. A connection without one owns next to nothing.
//! Process: worker.

use std::collections::VecDeque;
use std::sync::Arc;

use super::gathered::Gathered;
use super::in_memory::InMemory;
use crate::content::ErrorForm;
use crate::http::{ChunkedDecoder, Facts};
use crate::log::{Line, RequestLine};
use crate::message::{Body, BodyFraming, BodySink, FieldName, Fields, Finish, Interim, Refusal, Request, Status};

/// What of a request is needed to answer and log it when its bytes are gone.
pub(super) struct Asked {
    /// For `format`.
    pub(super) facts: Facts,
    /// How the client likes its errors.
    pub(super) error_form: ErrorForm,
    /// What the access log says of it; `None` if there is no access log.
    pub(super) for_log: Option<Box<AskedForLog>>,
}

/// The client's words that the access log repeats.
pub(super) struct AskedForLog {
    /// Method, target and version.
    pub(super) request: String,
    /// `Referer`.
    pub(super) referer: Option<Box<[u8]>>,
    /// `User-Agent`.
    pub(super) user_agent: Option<Box<[u8]>>,
    /// Who asked.
    pub(super) user: Option<Arc<str>>,
}

impl AskedForLog {
    /// Copies them.
    pub(super) fn of(request: &Request<'_>, line: &[u8]) -> Self {
        let copy = |name| request.field(name).map(Box::from);
        Self {
            request: String::from_utf8_lossy(line).into_owned(),
            referer: copy(FieldName::Referer),
            user_agent: copy(FieldName::UserAgent),
            user: request.visitor.user.clone(),
        }
    }

    /// The same as the log takes it.
    pub(super) fn line<'r>(&'r self, template: RequestLine<'r>) -> RequestLine<'r> {
        RequestLine {
            request: Some(self.request.as_bytes()),
            referer: self.referer.as_deref(),
            user_agent: self.user_agent.as_deref(),
            user: self.user.as_deref(),
            ..template
        }
    }
}

/// The content of a request on its way in.
pub(super) struct Receiving {
    /// Who takes it.
    pub(super) taker: Taker,
    /// Where it ends.
    pub(super) decoder: Decoder,
    /// How many more bytes of content are taken, and how many in all.
    pub(super) room: u64,
    pub(super) limit_bytes: u64,
    /// Must `100 Continue` be sent before anything comes?
    pub(super) owes_continue: bool,
    /// Received, for a taker that may block and takes it on a helper thread.
    pub(super) gathered: Gathered,
    /// Does it come so fast that it is worth a room of its own?
    pub(super) is_fast: bool,
    /// Since when the rest is left in the socket, for want of memory.
    pub(super) starves_since_ms: Option<u64>,
    /// Does the budget know that it needs memory?
    pub(super) awaits_room: bool,
    /// Whose content it is.
    pub(super) asked: Asked,
}

/// Who takes content.
pub(super) enum Taker {
    /// A provider.
    Sink(Box<dyn BodySink>),
    /// A provider whose sink is with a helper thread.
    Away,
    /// Nobody: the answer is known, and waits for the content to be over, so that it does not depend on how the bytes
    /// are split.
    Nobody(Finish),
}

impl Taker {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// As the sink's.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        match self {
            Self::Sink(sink) => sink.take(chunk),
            Self::Away | Self::Nobody(_) => Ok(()),
        }
    }

    /// May it have to wait for a disk?
    pub(super) fn may_block(&self) -> bool {
        match self {
            Self::Sink(sink) => sink.may_block(),
            Self::Away | Self::Nobody(_) => false,
        }
    }

    /// Does what has come stay, however the request ends? Then it must not wait for more.
    pub(super) fn keeps_what_has_come(&self) -> bool {
        match self {
            Self::Sink(sink) => sink.keeps_what_has_come(),
            Self::Away | Self::Nobody(_) => false,
        }
    }

    /// What is the client to be told before the answer?
    pub(super) fn interim(&mut self) -> Option<Box<Interim>> {
        match self {
            Self::Sink(sink) => sink.interim(),
            Self::Away | Self::Nobody(_) => None,
        }
    }

    /// Does a later request want its place?
    pub(super) fn is_superseded(&self) -> bool {
        match self {
            Self::Sink(sink) => sink.is_superseded(),
            Self::Away | Self::Nobody(_) => false,
        }
    }

    /// Does it look at trailers?
    pub(super) fn wants_trailers(&self) -> bool {
        match self {
            Self::Sink(sink) => sink.wants_trailers(),
            Self::Away | Self::Nobody(_) => false,
        }
    }

    /// All has come, with these trailers.
    pub(super) fn finish(self, trailers: &Fields<'_>) -> Finish {
        match self {
            Self::Sink(sink) => sink.finish(trailers),
            Self::Nobody(finish) => finish,
            // It is back before its content is complete.
            Self::Away => Finish::Reply(Err(Refusal::new(Status::INTERNAL_SERVER_ERROR, "The content was lost."))),
        }
    }
}

/// The two ways in which content is framed.
pub(super) enum Decoder {
    /// So many bytes are left.
    Length(u64),
    /// Until the last chunk.
    Chunked(ChunkedDecoder),
}

impl Decoder {
    /// The trailer section, where there is one and it was kept.
    pub(super) fn trailer_section(&self) -> &[u8] {
        match self {
            Self::Length(_) => &[],
            Self::Chunked(decoder) => decoder.trailer_section(),
        }
    }
}

/// What a helper thread is working for.
pub(super) enum Awaiting {
    /// The answer to this request.
    Answer(Asked),
    /// Who takes the content of this request, which the client may be sending already.
    Taker(Asked, Coming),
    /// The sink of this content, which takes a piece of it; is that the last one?
    Sink { receiving: Box<Receiving>, is_end: bool, since_ms: u64 },
    /// The next piece of this reply.
    Piece(Sending),
    /// The next piece of the file that is this reply's body: it is not in memory.
    Fetch(Sending),
    /// The word about a password; then the head of this request is read again.
    Verdict(Asked),
}

/// Content that is to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coming {
    /// Where it ends.
    pub(super) framing: BodyFraming,
    /// Does the client wait for `100 Continue`?
    pub(super) expects_continue: bool,
}

impl Coming {
    /// That of this request.
    pub(super) fn of(request: &Request<'_>) -> Self {
        Self { framing: request.framing, expects_continue: request.expects_continue }
    }
}

/// A reply on its way out; its head has been formatted.
pub(super) struct Sending {
    /// What is still to be sent after the bytes that are formatted; never `Parts`.
    pub(super) body: Body,
    /// What comes after that: the other parts of a body in parts.
    pub(super) rest: VecDeque<Body>,
    /// How much of `body` the transport has taken, if it is one in memory.
    pub(super) taken: usize,
    /// What of the file that `body` is a part of is known to be in memory.
    pub(super) in_memory: InMemory,
    /// Does the transport hold back what does not fill a segment?
    pub(super) is_corked: bool,
    /// Does each piece need a chunk around it?
    pub(super) is_chunked: bool,
    /// What comes after the reply.
    pub(super) then: Then,
    /// The line of the access log, lacking the bytes sent.
    pub(super) log: Option<Line>,
    /// Bytes of content that the transport has taken, or that are formatted.
    pub(super) sent_bytes: u64,
}

impl Sending {
    /// A reply of which nothing but the head is formatted yet.
    pub(super) fn new(body: Body, is_chunked: bool, then: Then, log: Option<Line>) -> Self {
        // Starting before the first of all parts, so that there is one way to go on from part to part.
        let (body, rest) = if let Body::Parts(parts) = body { (Body::Empty, parts) } else { (body, VecDeque::new()) };
        Self {
            body,
            rest,
            taken: 0,
            in_memory: InMemory::default(),
            is_corked: false,
            is_chunked,
            then,
            log,
            sent_bytes: 0,
        }
    }

    /// Goes on to the next part; false if there is none. Parts in memory are the few lines between other parts: they are
    /// added to `out`, so that one segment holds them and the head before them.
    pub(super) fn next_part(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(body) = self.rest.pop_front() else { return false };
        self.taken = 0;
        self.in_memory.forget();
        self.body = if let Body::Bytes(bytes) = &body {
            out.extend_from_slice(bytes);
            self.sent_bytes += bytes.len() as u64;
            Body::Empty
        } else {
            body
        };
        true
    }
}

/// What a connection does after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Waits for the next request.
    Next,
    /// Closes: the client knows that this was the last reply and sends nothing more.
    Close,
    /// Says that it sends no more, and reads on until the client has noticed. A close with unread bytes would be a
    /// reset, and a reset can take the reply away from a client that has not read it yet (RFC 9112 section 9.6).
    Linger,
}
