//! Bytes of a file that are not in memory: a helper thread reads them, so that the loop never waits for a disk.
//! Process: worker, sealed. Blocks: `Fetch::read` only, on a helper thread.
//! They come through our memory, a piece at a time. Meanwhile the kernel reads ahead, and what it has read by then
//! `send_file` sends without a copy, as ever.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::close_reason::CloseReason;
use super::connection::{Connection, Flow, State};
use super::desk::Desk;
use super::exchange::{Awaiting, Sending};
use super::offload::Task;
use crate::message::{Body, OpenFile, PIECE_BYTES};
use crate::sys::page_cache;

/// How much the kernel is asked to read for a client at a time: enough that a disk is busy while we send, and little
/// enough that ten thousand clients don't push each other's bytes out of memory again.
const AHEAD_BYTES: u64 = 2 * 1024 * 1024;

/// A part of a file that somebody waits for.
pub(super) struct Fetch {
    file: Arc<OpenFile>,
    offset: u64,
    length: u64,
}

impl Fetch {
    /// Reads its first piece; nothing if the file has become shorter.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        page_cache::read_ahead(&self.file, self.offset, self.length.min(AHEAD_BYTES));
        let mut piece = vec![0; usize::try_from(self.length).unwrap_or(usize::MAX).min(PIECE_BYTES)];
        let count = loop {
            match self.file.read_at(&mut piece, self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        piece.truncate(count);
        Ok(piece)
    }
}

impl Connection {
    /// Has a helper thread read the next piece of the file that is being sent.
    pub(super) fn fetch(&mut self, desk: &Desk) -> Flow {
        let State::SendReply(sending) = std::mem::replace(&mut self.state, State::RecvHead) else {
            return Flow::Close(CloseReason::Aborted);
        };
        if let Body::File { file, offset, length } = &sending.body {
            let fetch = Fetch { file: file.clone(), offset: *offset, length: *length };
            if desk.offload.submit(self.token, Task::Fetch(fetch)) {
                return self.await_job(Awaiting::Fetch(*sending), desk);
            }
        }
        self.state = State::SendReply(sending);
        Flow::Close(CloseReason::Overloaded)
    }

    /// The piece has come, or can't be had.
    pub(super) fn take_fetched(&mut self, mut sending: Sending, read: io::Result<Vec<u8>>, desk: &Desk) -> Flow {
        let piece = read.unwrap_or_default();
        if let Body::File { offset, length, .. } = &mut sending.body {
            *offset += piece.len() as u64;
            *length = length.saturating_sub(piece.len() as u64);
        }
        sending.sent_bytes += piece.len() as u64;
        // What the helper thread took is not for the client to make good.
        self.begin_sending(desk);
        self.state = State::SendReply(Box::new(sending));
        if piece.is_empty() {
            // The head promised more, so only a close tells the truth; never pad.
            return Flow::Close(CloseReason::ContentLost);
        }
        if self.unsent.is_empty() {
            self.unsent = piece;
        } else {
            self.unsent.extend_from_slice(&piece);
        }
        Flow::Next
    }
}
