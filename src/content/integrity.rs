//! The digests of RFC 9530: known ones from memory, others made on a helper thread, a piece at a time, before the reply
//! begins, as they stand in its head.
//! Process: worker, sealed. Trusts: nothing. Blocks: the helper, as the disk does. Fails with: nothing; a digest that
//! can't be made true is left out.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use arrayvec::ArrayVec;
use lru::LruCache;

use super::files::is_settled;
use super::{Context, Now};
use crate::message::{
    Algorithm, Body, Digest, Digests, FieldName, Handled, Hasher, PIECE_BYTES, Prepared, Response, Work, Worked,
};
use crate::sys::file::{Identity, identity};

/// What is digested in one piece of work: about 1 ms where the processor has no instructions for it.
const DIGESTED_BYTES: usize = 512 * 1024;

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
    let mut digesting = Digesting { response, wanted, current: None, known: ctx.known_digests.clone(), now: ctx.now };
    if digesting.take_known() { Handled::Reply(digesting.response) } else { Handled::Work(Box::new(digesting)) }
}

/// A response that waits for its digests.
struct Digesting {
    response: Response,
    /// The fields that are still missing, the next one last.
    wanted: ArrayVec<Wanted, 2>,
    /// The digest in the making.
    current: Option<Making>,
    known: KnownDigests,
    /// When the request came.
    now: Now,
}

impl Digesting {
    /// Adds all fields whose digest is known. True if none is left.
    fn take_known(&mut self) -> bool {
        while let Some(next) = self.wanted.last() {
            let place = Place::of(&next.of);
            let known = match &place {
                Place::Prepared(prepared) => prepared.digests.find(next.algorithm),
                Place::File(_, state) => self.known.find(&key(state), next.algorithm),
                Place::Nowhere => None,
            };
            let Some(digest) = known else { return false };
            self.response.fields.push(next.name, digest.field_value());
            self.wanted.pop();
        }
        true
    }

    fn end(&mut self, name: FieldName, digest: Digest, place: &Place) {
        match place {
            Place::Prepared(prepared) => prepared.digests.note(digest),
            Place::File(file, state) => {
                // What was read is of one state only if that is still the same.
                if !identity(&**file).is_ok_and(|now| key(&now) == key(state)) {
                    return;
                }
                if is_settled(state, self.now) {
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
        let mut making = match self.current.take() {
            Some(making) => making,
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
    File(Arc<File>, Identity),
    Nowhere,
}

impl Place {
    fn of(body: &Body) -> Self {
        match body {
            Body::Prepared { prepared, offset: 0, length } if *length == prepared.content.len() => {
                Self::Prepared(prepared.clone())
            }
            Body::File { file, offset: 0, length } => match identity(&**file) {
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
    hasher: Hasher,
    /// What is still to be read, from the front.
    rest: VecDeque<Body>,
    place: Place,
    buf: Vec<u8>,
}

impl Making {
    fn new(wanted: Wanted) -> Self {
        let place = Place::of(&wanted.of);
        let rest = if let Body::Parts(parts) = wanted.of { parts } else { VecDeque::from([wanted.of]) };
        Self { name: wanted.name, hasher: Hasher::new(wanted.algorithm), rest, place, buf: Vec::new() }
    }

    /// Digests one piece of work. False at the end.
    fn digest_more(&mut self) -> io::Result<bool> {
        let mut room = DIGESTED_BYTES;
        while room > 0 {
            let Some(front) = self.rest.front_mut() else { return Ok(false) };
            let piece = room.min(PIECE_BYTES);
            let taken = match front {
                Body::File { file, offset, length } => {
                    let count = usize::try_from(*length).unwrap_or(usize::MAX).min(piece);
                    self.buf.resize(count, 0);
                    file.read_exact_at(&mut self.buf, *offset)?;
                    self.hasher.update(&self.buf);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tests::World;
    use crate::message::Status;
    use std::io::Write;

    fn digest(content: &[u8]) -> Digest {
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(content);
        hasher.finish()
    }

    fn file_of(content: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        // Time stamps of this moment would not be kept.
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        Arc::new(file)
    }

    fn whole(file: &Arc<File>) -> Body {
        Body::File { file: file.clone(), offset: 0, length: identity(&**file).unwrap().size }
    }

    /// A moment at which every file of the tests has been what it is for long.
    fn context(world: &World) -> Context<'_> {
        let mut ctx = world.context();
        ctx.now.unix_seconds = 100_000_000_000;
        ctx
    }

    fn want(ctx: &Context<'_>, of: Body) -> Handled {
        let wanted = Wanted { name: FieldName::ReprDigest, algorithm: Algorithm::Sha512, of };
        add_digests(ctx, Response::new(Status::OK), ArrayVec::from_iter([wanted]))
    }

    /// The digest that comes of it, and in how many pieces of work it was made.
    fn finish(handled: Handled) -> (Option<String>, usize) {
        let mut pieces = 0;
        let mut work = match handled {
            Handled::Reply(response) => return (field(&response), 0),
            Handled::Work(work) => work,
            Handled::Receive(_) | Handled::Await(_) | Handled::Prepare(_) => panic!("no such thing was asked for"),
        };
        loop {
            match work.advance() {
                Worked::More(more) => work = more,
                Worked::Done(response) => return (field(&response.unwrap()), pieces),
                Worked::Block(_) | Worked::Ready(_) => panic!("digests are all that was asked for"),
            }
            pieces += 1;
        }
    }

    fn field(response: &Response) -> Option<String> {
        match response.fields.find(FieldName::ReprDigest) {
            Some(crate::message::Value::Text(text)) => Some(text.to_string()),
            _ => None,
        }
    }

    #[test]
    fn a_file_is_digested_once_and_in_pieces() {
        let world = World::new(std::path::Path::new("."));
        let ctx = context(&world);
        let content = vec![7; 3 * DIGESTED_BYTES + 1];
        let file = file_of(&content);
        assert_eq!(finish(want(&ctx, whole(&file))), (Some(digest(&content).field_value()), 4));
        assert_eq!(finish(want(&ctx, whole(&file))), (Some(digest(&content).field_value()), 0));
        // Another state of the file is another file.
        file.write_all_at(b"x", 0).unwrap();
        let changed = [b"x", &content[1..]].concat();
        assert_eq!(finish(want(&ctx, whole(&file))).0, Some(digest(&changed).field_value()));
    }

    #[test]
    fn what_is_in_memory_keeps_its_digest_and_parts_have_their_own() {
        let world = World::new(std::path::Path::new("."));
        let ctx = context(&world);
        let prepared = Arc::new(Prepared {
            field_lines: Box::default(),
            content_type: "a/b".into(),
            content: Box::from(&b"0123456789"[..]),
            digests: Digests::default(),
        });
        let body = || Body::Prepared { prepared: prepared.clone(), offset: 0, length: 10 };
        assert_eq!(finish(want(&ctx, body())), (Some(digest(b"0123456789").field_value()), 1));
        assert_eq!(finish(want(&ctx, body())), (Some(digest(b"0123456789").field_value()), 0));
        let part = body().part(2, 3).unwrap();
        assert_eq!(finish(want(&ctx, part)).0, Some(digest(b"234").field_value()));
        let file = file_of(b"abcdef");
        let parts = VecDeque::from([Body::Bytes(b"<".to_vec()), whole(&file).part(1, 2).unwrap(), body()]);
        assert_eq!(finish(want(&ctx, Body::Parts(parts))).0, Some(digest(b"<bc0123456789").field_value()));
        assert_eq!(finish(want(&ctx, Body::Empty)).0, Some(digest(b"").field_value()));
        assert_eq!(finish(want(&ctx, whole(&file_of(b"")))).0, Some(digest(b"").field_value()));
    }

    #[test]
    fn a_file_that_changes_meanwhile_has_no_digest() {
        let world = World::new(std::path::Path::new("."));
        let ctx = context(&world);
        for change in [|file: &File| file.set_len(10).unwrap(), |file: &File| file.write_all_at(b"x", 0).unwrap()] {
            let file = file_of(&vec![7; 2 * DIGESTED_BYTES]);
            let Handled::Work(work) = want(&ctx, whole(&file)) else { panic!("nothing is known") };
            let Worked::More(work) = work.advance() else { panic!("one piece is not all") };
            change(&file);
            assert_eq!(finish(Handled::Work(work)).0, None);
        }
    }

    #[test]
    fn a_file_that_may_still_change_unnoticed_is_digested_each_time() {
        let world = World::new(std::path::Path::new("."));
        let mut ctx = world.context();
        ctx.now.unix_seconds = 0;
        let file = file_of(b"abc");
        for _ in 0..2 {
            assert_eq!(finish(want(&ctx, whole(&file))), (Some(digest(b"abc").field_value()), 1));
        }
    }

    #[test]
    fn no_more_are_kept_than_the_limit() {
        let known = KnownDigests::new(2);
        for inode in 0..3 {
            known.note((0, inode, 0, 0, 0), digest(b"a"));
        }
        let has = |inode| known.find(&(0, inode, 0, 0, 0), Algorithm::Sha512).is_some();
        assert_eq!([has(0), has(1), has(2)], [false, true, true]);
    }
}
