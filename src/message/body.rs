//! Bodies: all that `send_response` knows how to send, and the two traits for bodies made or taken piece by piece.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{Digests, Fields, Interim, Label, Receive, Refusal, Response};

/// One piece of work: about what a source appends, or a sink is handed, in one call.
pub const PIECE_BYTES: usize = 64 * 1024;

/// The content of a response.
#[derive(Default)]
pub enum Body {
    /// No content.
    #[default]
    Empty,
    /// Content made for this response.
    Bytes(Vec<u8>),
    /// A part of a representation that a cache holds ready.
    Prepared {
        /// The whole representation.
        prepared: Arc<Prepared>,
        /// First byte to send.
        offset: usize,
        /// How many bytes to send.
        length: usize,
    },
    /// A part of a regular file, sent by the kernel.
    File {
        /// The open file; its own position is not used.
        file: Arc<OpenFile>,
        /// First byte to send.
        offset: u64,
        /// How many bytes to send.
        length: u64,
    },
    /// Content made a piece at a time by a helper thread.
    Source {
        /// Who makes it.
        source: Box<dyn BodySource>,
        /// How many bytes it will make, where that is known before.
        length: Option<u64>,
    },
    /// Several of the above, one after the other; none of them is a `Source` or again `Parts`.
    Parts(VecDeque<Body>),
}

impl Body {
    /// How many bytes of content there are; `None` if that shows only while they are made.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Prepared { length, .. } => Some(*length as u64),
            Self::File { length, .. } => Some(*length),
            Self::Source { length, .. } => *length,
            Self::Parts(parts) => parts.iter().try_fold(0, |sum: u64, part| sum.checked_add(part.length()?)),
        }
    }

    /// The field lines of the representation that it is a part of, where they are held ready.
    #[must_use]
    pub fn label(&self) -> Option<&Label> {
        match self {
            Self::Prepared { prepared, .. } => Some(&prepared.label),
            Self::File { file, .. } => file.label.as_ref(),
            Self::Empty | Self::Bytes(_) | Self::Source { .. } | Self::Parts(_) => None,
        }
    }

    /// The same content once more, `Bytes` copied; `None` where it can be made only once.
    #[must_use]
    pub fn share(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(_) | Self::Prepared { .. } | Self::File { .. } => self.part(0, self.length()?),
            Self::Source { .. } => None,
            Self::Parts(parts) => parts.iter().map(Self::share).collect::<Option<_>>().map(Self::Parts),
        }
    }

    /// Keeps only a part of it, as `part` gives one; false where that can't be had. What has several owners is not shared
    /// with one more for that.
    #[must_use]
    pub fn narrow(&mut self, offset: u64, length: u64) -> bool {
        let is_within = |whole: u64| offset.checked_add(length).is_some_and(|end| end <= whole);
        if let Self::File { offset: first, length: whole, .. } = self
            && is_within(*whole)
            && let Some(start) = first.checked_add(offset)
        {
            (*first, *whole) = (start, length);
            return true;
        }
        let Some(part) = self.part(offset, length) else { return false };
        *self = part;
        true
    }

    /// `length` bytes of it from `offset`, both within its bounds; `None` where a part can't be had without the rest.
    /// Only `Bytes` are copied.
    #[must_use]
    pub fn part(&self, offset: u64, length: u64) -> Option<Self> {
        if offset.checked_add(length)? > self.length()? {
            return None;
        }
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).ok()?;
                let end = start.checked_add(usize::try_from(length).ok()?)?;
                Some(Self::Bytes(bytes.get(start..end)?.to_vec()))
            }
            Self::Prepared { prepared, offset: before, .. } => Some(Self::Prepared {
                prepared: prepared.clone(),
                offset: before.checked_add(usize::try_from(offset).ok()?)?,
                length: usize::try_from(length).ok()?,
            }),
            Self::File { file, offset: before, .. } => {
                Some(Self::File { file: file.clone(), offset: before.checked_add(offset)?, length })
            }
            Self::Empty | Self::Source { .. } | Self::Parts(_) => None,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Empty => "Empty",
            Self::Bytes(_) => "Bytes",
            Self::Prepared { .. } => "Prepared",
            Self::File { .. } => "File",
            Self::Source { .. } => "Source",
            Self::Parts(_) => "Parts",
        };
        write!(f, "Body::{name}({:?})", self.length())
    }
}

/// A representation held ready to be sent: its content, and its field lines as `format` would write them.
#[derive(Debug)]
pub struct Prepared {
    /// The field lines.
    pub label: Label,
    /// The content.
    pub content: Box<[u8]>,
    /// Its digests, as soon as somebody has asked for them.
    pub digests: Digests,
}

/// An open file, and the field lines of what it holds if they are held ready.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    label: Option<Label>,
    /// What the replies with it have found out about its place in memory.
    pub seen: Seen,
}

/// Up to where a file was in memory when somebody last looked, and when that was. Only one thread looks.
#[derive(Debug, Default)]
pub struct Seen {
    until: AtomicU64,
    at_ms: AtomicU64,
}

impl Seen {
    /// All before `until` was in memory at this time.
    pub fn note(&self, until: u64, at_ms: u64) {
        self.until.store(until, Relaxed);
        self.at_ms.store(at_ms, Relaxed);
    }

    /// What was noted last: up to where, and when; zeros if nothing was.
    #[must_use]
    pub fn last(&self) -> (u64, u64) {
        (self.until.load(Relaxed), self.at_ms.load(Relaxed))
    }
}

impl OpenFile {
    /// A file that is sent more than once.
    #[must_use]
    pub fn labelled(file: File, label: Label) -> Self {
        Self { file, label: Some(label), seen: Seen::default() }
    }
}

impl From<File> for OpenFile {
    fn from(file: File) -> Self {
        Self { file, label: None, seen: Seen::default() }
    }
}

impl Deref for OpenFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

/// Content made a bounded piece at a time, on a helper thread, never on the event loop.
pub trait BodySource: Send {
    /// Appends the next piece (about [`PIECE_BYTES`], nothing at all if it only worked) to `out`.
    ///
    /// # Errors
    /// An error ends the connection: the head has been sent, so there is no other way to tell the client.
    fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<Progress>;
}

/// Has a source more to give?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Call again.
    More,
    /// That was the last piece.
    End,
}

/// Takes the content of a request. Dropped without `finish`, it leaves nothing behind.
pub trait BodySink: Send {
    /// Takes the next bytes, at most a receive buffer full: on the event loop, unless it may block.
    ///
    /// # Errors
    /// A refusal ends the transfer and is answered at once.
    fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal>;

    /// May `take` have to wait for a disk? Then it is called on a helper thread.
    fn may_block(&self) -> bool {
        false
    }

    /// Does what has come stay, however the request ends? Then it is handed over as it comes, and not gathered first.
    fn keeps_what_has_come(&self) -> bool {
        false
    }

    /// Shall it leave, because a later request wants its place? Asked once a second, whether anything comes or not.
    fn is_superseded(&self) -> bool {
        false
    }

    /// What the client is to be told before the answer. Asked after each piece.
    fn interim(&mut self) -> Option<Box<Interim>> {
        None
    }

    /// Does it look at the fields behind the content? Otherwise they are read and dropped.
    fn wants_trailers(&self) -> bool {
        false
    }

    /// The content is complete: answer, or say what has to be done for the answer. `trailers`: the fields behind the
    /// content, where there are any and they are wanted.
    fn finish(self: Box<Self>, trailers: &Fields<'_>) -> Finish;
}

/// Work for a helper thread that may block.
pub type Job = Box<dyn FnOnce() -> Worked + Send>;

/// Work for helper threads, a bounded piece at a time, that ends in an answer: what computes for long, but must be done
/// before the head can be written.
pub trait Work: Send {
    /// Does about as much as takes one millisecond.
    fn advance(self: Box<Self>) -> Worked;
}

/// What a piece of work has come to.
pub enum Worked {
    /// There is more of it; others first.
    More(Box<dyn Work>),
    /// The answer.
    Done(Result<Response, Refusal>),
    /// What is left may block for longer.
    Block(Job),
    /// What is left can't be done yet: it waits for somebody else, and is tried again after this pause.
    Later(Duration, Job),
    /// The content may come now. For `Handled::Prepare` only.
    Ready(Receive),
}

/// What a sink says when its content is complete.
pub enum Finish {
    /// The answer is known.
    Reply(Result<Response, Refusal>),
    /// The answer needs work that may block.
    Job(Job),
    /// The answer needs work that takes long.
    Work(Box<dyn Work>),
}
