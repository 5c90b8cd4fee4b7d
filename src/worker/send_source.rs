//! Bodies that helper threads make, a piece at a time: asked for when the client has taken the piece before.
//! Process: worker, sealed. Blocks: never.

use std::io::Write;

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, State};
use super::desk::Desk;
use super::exchange::{Awaiting, Sending};
use super::handle::busy;
use super::offload::Task;
use crate::message::{Body, BodySource, Method, Progress, Refusal, Response};

impl Connection {
    /// Has the first piece of a body made before its head is written, if helper threads make it; was that so? As long as
    /// nothing is out, the answer can still be another.
    ///
    /// # Errors
    /// 503 if the helper threads have more to do than they can.
    pub(super) fn begin_source(&self, response: &mut Response, method: Method, desk: &Desk) -> Result<bool, Refusal> {
        if method == Method::Head || !response.status.may_have_content() {
            return Ok(false);
        }
        let Body::Source { source, .. } = &mut response.body else { return Ok(false) };
        let source = std::mem::replace(source, Box::new(Away));
        if desk.offload.submit(self.token, Task::Piece(source)) { Ok(true) } else { Err(busy()) }
    }

    /// Asks a helper thread for the next piece of a body.
    pub(super) fn request_piece(&mut self, source: Box<dyn BodySource>, length: Option<u64>, desk: &mut Desk) -> Flow {
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
}

/// Stands for a source that is with a helper thread.
struct Away;

impl BodySource for Away {
    fn fill(&mut self, _out: &mut Vec<u8>) -> std::io::Result<Progress> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
