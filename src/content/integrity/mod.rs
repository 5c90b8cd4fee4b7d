//! The digests of RFC 9530: known ones from memory, others made on a helper thread, a piece at a time, before the reply
//! begins, as they stand in its head.
//! Process: worker, sealed. Trusts: nothing. Blocks: the helper, as the disk does. Fails with: nothing; a digest that
//! can't be made true is left out.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use lru::LruCache;

use super::cache::is_young;
use super::files::is_settled;
use super::{Context, Now};
use crate::message::{
    Algorithm, Body, Digest, Digests, FieldName, Handled, Hasher, OpenFile, PIECE_BYTES, Prepared, Response, Work,
    Worked,
};
use crate::sys::file::{Identity, identity};

/// What is digested in one piece of work: about 1 ms where the processor has no instructions for it.
const DIGESTED_BYTES: usize = 512 * 1024;

/// How many answers of a worker may wait for their digests at a time; more go out without them, as RFC 9530 section 4
/// allows. Each reads a whole file, and costs its client a line.
const DIGESTING_AT_A_TIME: usize = 8;
/// After so long an answer goes out without what is still missing.
const PATIENCE: Duration = Duration::from_secs(300);

/// The state of a file: nothing that can be read through it changes without one of these.
type Key = (u64, u64, u64, i128, i128);

/// Digests of whole files, shared by the loop and the helper threads of a worker.
#[derive(Clone)]
pub struct KnownDigests(Arc<Mutex<LruCache<Key, Digests>>>);

impl KnownDigests {
    /// None yet, and later no more than `limit` files' (about 250 bytes each).
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = std::num::NonZeroUsize::new(limit).unwrap_or(std::num::NonZeroUsize::MIN);
        // The map grows as it is filled: a limit that is never reached costs nothing.
        let mut entries = LruCache::unbounded();
        entries.resize(limit);
        Self(Arc::new(Mutex::new(entries)))
    }

    fn find(&self, key: &Key, algorithm: Algorithm) -> Option<Digest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.find(algorithm)
    }

    fn note(&self, key: Key, digest: Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(key, Digests::default).note(digest);
    }
}

/// A field that is wanted, and of what.
pub struct Wanted {
    /// `Repr-Digest` or `Content-Digest`.
    pub name: FieldName,
    /// By what.
    pub algorithm: Algorithm,
    /// The whole representation, or the content of this very answer.
    pub of: Body,
}

/// Adds these fields to a response: at once where all digests are known, else when they have been made.
#[must_use]
pub fn add_digests(ctx: &Context<'_>, response: Response, wanted: ArrayVec<Wanted, 2>) -> Handled {
    let known = ctx.known_digests.clone();
    let begun = Instant::now();
    let mut digesting = Digesting { response, wanted, current: None, known, now: ctx.now, begun };
    // Every other owner of the known digests is an answer that waits.
    let are_too_many = Arc::strong_count(&ctx.known_digests.0) > 1 + DIGESTING_AT_A_TIME;
    if digesting.take_known() || are_too_many {
        Handled::Reply(digesting.response)
    } else {
        Handled::Work(Box::new(digesting))
    }
}

/// A response that waits for its digests.
struct Digesting {
    response: Response,
    /// The fields that are still missing, the next one last.
    wanted: ArrayVec<Wanted, 2>,
    /// The digest in the making.
    current: Option<Making>,
    known: KnownDigests,
    /// When the request came, by the clock of the files.
    now: Now,
    begun: Instant,
}

impl Digesting {
    /// Adds all fields whose digest is known. True if none is left.
    fn take_known(&mut self) -> bool {
        while let Some(next) = self.wanted.last() {
            let Some(digest) = self.find(&Place::of(&next.of), next.algorithm) else { return false };
            self.response.fields.push(next.name, digest.field_value());
            self.wanted.pop();
        }
        true
    }

    fn find(&self, place: &Place, algorithm: Algorithm) -> Option<Digest> {
        match place {
            Place::Prepared(prepared) => prepared.digests.find(algorithm),
            Place::File(_, state) => self.known.find(&key(state), algorithm),
            Place::Nowhere => None,
        }
    }

    fn end(&mut self, name: FieldName, digest: Digest, place: &Place) {
        match place {
            Place::Prepared(prepared) => prepared.digests.note(digest),
            Place::File(file, state) => {
                // What was read is of one state only if that is still the same.
                if !identity(&***file).is_ok_and(|now| key(&now) == key(state)) {
                    return;
                }
                // And one that is as young as this may be written to still, behind times that it has got already.
                if is_settled(state, self.now) && !is_young(state, self.now) {
                    self.known.note(key(state), digest);
                }
            }
            Place::Nowhere => {}
        }
        self.response.fields.push(name, digest.field_value());
    }
}

impl Work for Digesting {
    fn advance(mut self: Box<Self>) -> Worked {
        if self.begun.elapsed() > PATIENCE {
            return Worked::Done(Ok(self.response));
        }
        let mut making = match self.current.take() {
            Some(making) => {
                // Somebody else may have asked for the same, and earlier.
                if let Some(digest) = self.find(&making.place, making.algorithm) {
                    self.response.fields.push(making.name, digest.field_value());
                    return Worked::More(self);
                }
                making
            }
            None if self.take_known() => return Worked::Done(Ok(self.response)),
            None => match self.wanted.pop() {
                Some(next) => Making::new(next),
                None => return Worked::Done(Ok(self.response)),
            },
        };
        match making.digest_more() {
            Ok(true) => self.current = Some(making),
            Ok(false) => self.end(making.name, making.hasher.finish(), &making.place),
            // The file has become shorter, or can't be read: the answer goes out and will end as such a file does.
            Err(_) => {}
        }
        Worked::More(self)
    }
}

/// Where a digest is kept, if it is one of a whole representation.
enum Place {
    Prepared(Arc<Prepared>),
    File(Arc<OpenFile>, Identity),
    Nowhere,
}

impl Place {
    fn of(body: &Body) -> Self {
        match body {
            Body::Prepared { prepared, offset: 0, length } if *length == prepared.content.len() => {
                Self::Prepared(prepared.clone())
            }
            Body::File { file, offset: 0, length } => match identity(&***file) {
                Ok(state) if state.size == *length => Self::File(file.clone(), state),
                Ok(_) | Err(_) => Self::Nowhere,
            },
            Body::Empty
            | Body::Bytes(_)
            | Body::Prepared { .. }
            | Body::File { .. }
            | Body::Source { .. }
            | Body::Parts(_) => Self::Nowhere,
        }
    }
}

fn key(state: &Identity) -> Key {
    (state.device, state.inode, state.size, state.modified, state.changed)
}

/// A digest in the making.
struct Making {
    name: FieldName,
    algorithm: Algorithm,
    hasher: Hasher,
    /// What is still to be read, from the front.
    rest: VecDeque<Body>,
    place: Place,
}

impl Making {
    fn new(wanted: Wanted) -> Self {
        let place = Place::of(&wanted.of);
        let Wanted { name, algorithm, of } = wanted;
        let rest = if let Body::Parts(parts) = of { parts } else { VecDeque::from([of]) };
        Self { name, algorithm, hasher: Hasher::new(algorithm), rest, place }
    }

    /// Digests one piece of work. False at the end.
    fn digest_more(&mut self) -> io::Result<bool> {
        let mut room = DIGESTED_BYTES;
        // Not kept from piece to piece: many may wait for their turn.
        let mut buf = Vec::new();
        while room > 0 {
            let Some(front) = self.rest.front_mut() else { return Ok(false) };
            let piece = room.min(PIECE_BYTES);
            let taken = match front {
                Body::File { file, offset, length } => {
                    let count = usize::try_from(*length).unwrap_or(usize::MAX).min(piece);
                    buf.resize(count, 0);
                    file.read_exact_at(&mut buf, *offset)?;
                    self.hasher.update(&buf);
                    (*offset, *length) = (*offset + count as u64, *length - count as u64);
                    count
                }
                Body::Prepared { prepared, offset, length } => {
                    let count = piece.min(*length);
                    self.hasher.update(prepared.content.get(*offset..*offset + count).unwrap_or_default());
                    (*offset, *length) = (*offset + count, *length - count);
                    count
                }
                Body::Bytes(bytes) => {
                    let rest = bytes.split_off(bytes.len().min(piece));
                    let piece = std::mem::replace(bytes, rest);
                    self.hasher.update(&piece);
                    piece.len()
                }
                Body::Empty => 0,
                Body::Source { .. } | Body::Parts(_) => return Err(io::ErrorKind::Unsupported.into()),
            };
            if taken == 0 {
                self.rest.pop_front();
            }
            room -= taken;
        }
        Ok(true)
    }
}
