//! Box `process_connection`: one client, as a small state machine. The state alone decides what is waited for.
//! Process: worker, sealed. Trusts: nothing. Blocks: never.
//! `recv.rs` holds the half that takes requests, `send.rs` the half that gives replies.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use super::close_reason::CloseReason;
use super::desk::Desk;
use super::exchange::{Awaiting, Receiving, Sending};
use super::pace::Pace;
use super::transport::Transport;
use crate::message::Body;
use crate::sys::epoll::Event;

/// How many steps (heads, pieces of content, pieces of a reply) a connection takes before others have their turn.
const STEPS_A_TURN: usize = 64;
/// How long a client may take to notice that we have stopped sending.
const LINGER_MS: u64 = 5_000;
/// Which connection, over all connections this worker ever had: a late event or outcome never hits its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    /// Index in the table of connections.
    pub(super) key: u32,
    /// Counts the users of that index.
    pub(super) serial: u32,
}

impl Token {
    /// As epoll carries it.
    pub(super) fn number(self) -> u64 {
        u64::from(self.key) << 32 | u64::from(self.serial)
    }

    /// From what epoll carried.
    pub(super) fn from_number(number: u64) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "the two halves of the number")]
        let (key, serial) = ((number >> 32) as u32, number as u32);
        Self { key, serial }
    }
}

/// What a connection is doing. What is rare or large is boxed: an idle connection is only this enum's smallest part.
pub(super) enum State {
    /// Waits for the header of the PROXY protocol.
    RecvProxy,
    /// Waits for a request head, or has a part of one.
    #[doc(alias = "IS_NEW")]
    RecvHead,
    /// Takes the content of a request.
    #[doc(alias = "RECV_NEW_FILE_CONTENT")]
    RecvBody(Box<Receiving>),
    /// A helper thread works.
    AwaitJob(Box<Awaiting>),
    /// Sends a reply.
    #[doc(alias = "SEND_HTTP_HEAD")]
    #[doc(alias = "SEND_HTTP_BODY")]
    SendReply(Box<Sending>),
    /// Has sent its last reply and waits for the client to close.
    Linger,
}

/// What a step has done.
pub(super) enum Flow {
    /// Take the next step.
    Next,
    /// The turn is over, but there is more to do: others first.
    Yield,
    /// Nothing can be done before the loop says so.
    Wait,
    /// The connection is over.
    Close(CloseReason),
}

/// What the loop does with a connection after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Gives it another turn after the others.
    Again,
    /// Waits for an event, an outcome or its deadline.
    Wait,
    /// Drops it.
    Close(CloseReason),
}

/// One client.
pub(super) struct Connection {
    /// The socket.
    pub(super) transport: Transport,
    /// Who is at the other end, as far as a PROXY header has told; `None` on a Unix socket.
    pub(super) peer: Option<IpAddr>,
    /// Whom the requests come from: the peer, or whom it names if it is trusted.
    pub(super) client: Option<IpAddr>,
    /// Is the peer's word about the client taken?
    pub(super) is_trusted: bool,
    /// Is this one of the client's connections that are counted?
    pub(super) is_counted: bool,
    /// Its name in the loop.
    pub(super) token: Token,
    pub(super) state: State,
    /// May the transport have bytes? False once it said `Later` and no event came since.
    pub(super) can_receive: bool,
    /// May the transport take bytes? Likewise.
    pub(super) can_send: bool,
    /// Has the peer stopped sending? Then a short read does not mean that nothing follows: the end does.
    pub(super) peer_hung_up: bool,
    /// Has the loop put it on its list of those that want another turn?
    pub(super) is_queued: bool,
    /// Does the loop watch it? A connection that ends in the turn in which it was accepted is never watched.
    pub(super) is_watched: bool,
    /// Has a part of a head come, so that the head's own deadline runs?
    pub(super) head_begun: bool,
    /// Requests so far.
    pub(super) requests: u32,
    /// When to give up waiting, on the clock of `Desk::monotonic_ms`.
    pub(super) deadline_ms: u64,
    /// How long the content under way may still take, whoever sends it.
    pub(super) pace: Pace,
    /// Bytes that the transport has taken, less those that the peer is known to have.
    pub(super) in_flight_bytes: u32,
    /// Received and not yet consumed.
    pub(super) received: Vec<u8>,
    /// Formatted, but not yet taken by the transport.
    pub(super) unsent: Vec<u8>,
}

/// The received bytes that a turn works on: a window of the loop's shared buffer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Input {
    /// First byte not yet consumed.
    pub(super) start: usize,
    /// First byte not yet received.
    pub(super) end: usize,
    /// How many bytes have come in this turn.
    pub(super) received: usize,
}

impl Input {
    /// The bytes themselves.
    pub(super) fn bytes(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Is everything consumed?
    pub(super) fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Takes bytes off the front.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }
}

impl Connection {
    /// A connection that was just accepted; it begins in `RecvHead` or `RecvProxy`.
    pub(super) fn new(transport: Transport, state: State, token: Token, desk: &Desk) -> Self {
        let mut connection = Self {
            transport,
            peer: None,
            client: None,
            is_trusted: false,
            is_counted: false,
            token,
            state,
            can_receive: true,
            can_send: true,
            peer_hung_up: false,
            is_queued: false,
            is_watched: false,
            head_begun: false,
            requests: 0,
            deadline_ms: 0,
            pace: Pace::default(),
            in_flight_bytes: 0,
            received: Vec::new(),
            unsent: Vec::new(),
        };
        // The first request has as long as its head; only between two requests may a client think.
        connection.set_deadline(desk, desk.config.timeouts.head);
        connection
    }

    /// Takes note of what the loop has heard.
    pub(super) fn note(&mut self, event: Event) {
        self.can_receive |= event.readable;
        self.can_send |= event.writable;
        self.peer_hung_up |= event.hung_up;
    }

    /// Gives the connection one turn: as many steps as are possible now, up to a bound.
    #[doc(alias = "process_connection")]
    pub(super) fn process(&mut self, buffer: &mut [u8], desk: &mut Desk) -> Step {
        self.process_taken(&[], buffer, desk)
    }

    /// The same with bytes that were received before its turn (`intake.rs`); then it had kept none.
    pub(super) fn process_taken(&mut self, taken: &[u8], buffer: &mut [u8], desk: &mut Desk) -> Step {
        desk.turn_left_bytes = desk.turn_bytes;
        let bytes = if taken.is_empty() { self.received.as_slice() } else { taken };
        let mut input = Input { end: bytes.len().min(buffer.len()), received: taken.len(), ..Input::default() };
        if let (Some(room), Some(bytes)) = (buffer.get_mut(..input.end), bytes.get(..input.end)) {
            room.copy_from_slice(bytes);
        }
        let mut flow = Flow::Yield;
        for _ in 0..STEPS_A_TURN {
            flow = self.step(buffer, &mut input, desk);
            if !matches!(flow, Flow::Next) {
                break;
            }
        }
        let step = match flow {
            Flow::Next | Flow::Yield => Step::Again,
            Flow::Wait => Step::Wait,
            Flow::Close(reason) => Step::Close(reason),
        };
        self.keep(input.bytes(buffer));
        self.end_turn(step, desk)
    }

    /// One step of the state machine. Every variant is named: a new state can't be forgotten here.
    fn step(&mut self, buffer: &mut [u8], input: &mut Input, desk: &mut Desk) -> Flow {
        match self.state {
            State::RecvProxy => self.recv_proxy(buffer, input, desk),
            State::RecvHead => self.recv_head(buffer, input, desk),
            State::RecvBody(_) => self.recv_body(buffer, input, desk),
            State::AwaitJob(_) => Flow::Wait,
            State::SendReply(_) => self.send_reply(desk),
            State::Linger => self.linger(buffer, input),
        }
    }

    /// Keeps what a turn left over. Mostly that is nothing, and then no memory is kept either.
    fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            if self.received.capacity() > 0 {
                self.received = Vec::new();
            }
        } else {
            self.received.clear();
            self.received.extend_from_slice(rest);
        }
    }

    /// Sends what the turn has formatted, whatever the turn ended with.
    fn end_turn(&mut self, step: Step, desk: &mut Desk) -> Step {
        match (self.flush(desk, false), step) {
            (Flow::Close(reason), Step::Again | Step::Wait) => Step::Close(reason),
            // Replies that the client does not take hold further requests back, but not content that is on its way.
            (Flow::Wait, Step::Again) if !matches!(self.state, State::RecvBody(_)) => Step::Wait,
            (_, step) => step,
        }
    }

    /// Is a file on its way to the client?
    pub(super) fn sends_file(&self) -> bool {
        matches!(&self.state, State::SendReply(sending) if matches!(sending.body, Body::File { .. }))
    }

    /// Is it between two requests, with nothing owed to either side?
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::RecvHead | State::RecvProxy) && self.received.is_empty() && self.unsent.is_empty()
    }

    /// Starts to wait for the client to close.
    pub(super) fn start_linger(&mut self, desk: &Desk) -> Flow {
        self.transport.shut_down_sending();
        self.deadline_ms = desk.monotonic_ms + LINGER_MS;
        self.state = State::Linger;
        Flow::Next
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 160, "{} bytes", size_of::<Connection>());
    }

    #[test]
    fn tokens_survive_epoll() {
        let token = Token { key: 7, serial: u32::MAX };
        assert_eq!(Token::from_number(token.number()), token);
    }
}
