//! Waiting for a helper thread, and what its outcome leads to.
//! Process: worker, sealed. Blocks: never.

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, State};
use super::desk::Desk;
use super::exchange::{Asked, Awaiting};
use super::offload::Outcome;
use crate::message::{FieldName, Method, Response, Status, Value, boolean_text};

/// How long a helper thread may work on one task; a file system that hangs must not hold connections for ever.
pub(super) const JOB_MS: u64 = 600_000;

impl Connection {
    /// Starts to wait for a helper thread.
    pub(super) fn await_job(&mut self, awaiting: Awaiting, desk: &Desk) -> Flow {
        self.deadline_ms = desk.monotonic_ms + JOB_MS;
        self.state = State::AwaitJob(Box::new(awaiting));
        Flow::Wait
    }

    /// A helper thread has finished.
    pub(super) fn take_outcome(&mut self, outcome: Outcome, desk: &mut Desk) -> Flow {
        let State::AwaitJob(awaiting) = std::mem::replace(&mut self.state, State::RecvHead) else {
            return Flow::Close(CloseReason::Aborted);
        };
        match (*awaiting, outcome) {
            (Awaiting::Answer(asked), Outcome::Answer(answer)) => {
                count_upload(&asked, answer.as_ref().ok(), desk);
                self.answer(&asked, answer, desk)
            }
            // To the end of the queue with it: others have work for the helper threads too.
            (Awaiting::Answer(asked), Outcome::More(task)) => self.start(task, asked, desk),
            (Awaiting::Taker(asked, coming), Outcome::More(task)) => self.prepare(task, asked, coming, desk),
            (Awaiting::Taker(asked, coming), Outcome::Ready(receive)) => self.take_ready(receive, asked, coming, desk),
            (Awaiting::Taker(asked, coming), Outcome::Answer(answer)) => {
                self.answer_unprepared(answer, asked, coming, desk)
            }
            (Awaiting::Sink { receiving, is_end, since_ms }, Outcome::Taken(sink, taken)) => {
                self.take_back(receiving, since_ms, is_end, sink, taken, desk)
            }
            (Awaiting::Piece(sending), Outcome::Piece { source, bytes, progress: Ok(progress) }) => {
                self.take_piece(sending, source, &bytes, progress, desk)
            }
            // The head promised a body that can't be had: only a close tells the truth.
            (Awaiting::Piece(sending), Outcome::Piece { progress: Err(_), .. }) => {
                self.state = State::SendReply(Box::new(sending));
                Flow::Close(CloseReason::ContentLost)
            }
            (Awaiting::Fetch(sending), Outcome::Fetched(read)) => self.take_fetched(sending, read, desk),
            (
                Awaiting::Answer(_)
                | Awaiting::Taker(..)
                | Awaiting::Sink { .. }
                | Awaiting::Piece(_)
                | Awaiting::Fetch(_)
                | Awaiting::Verdict(_),
                _,
            ) => Flow::Close(CloseReason::Aborted),
        }
    }

    /// Does a helper thread work for it?
    pub(super) fn awaits_job(&self) -> bool {
        matches!(self.state, State::AwaitJob(_))
    }
}

/// Counts an upload that was committed.
pub(super) fn count_upload(asked: &Asked, answer: Option<&Response>, desk: &mut Desk) {
    let is_upload = matches!(asked.facts.method, Method::Put | Method::Post | Method::Patch);
    let is_stored = answer.is_some_and(|it| {
        let is_part = it.fields.find(FieldName::UploadComplete) == Some(&Value::from(boolean_text(false)));
        matches!(it.status, Status::CREATED | Status::NO_CONTENT) && !is_part
    });
    desk.tally.uploads += u64::from(is_upload && is_stored);
}
