//! What a worker keeps of the files that are asked for: small ones whole, large ones open, and names of none.
//! Process: worker, sealed. Blocks: as opening a file does, where something is not kept.
//! Nothing is used before `watch` has said, or a look at the file system, that it is still true.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use foldhash::quality::RandomState;
use lru::LruCache;

use super::files::is_settled;
use super::watch::{Proof, Watch, is_absent};
use super::{ENCODED_KEY, Now};
use crate::message::{Body, OpenFile, Prepared, Response};
use crate::sys::file::{Identity, open_beneath};
use crate::sys::watcher::Watcher;
use crate::sys::{failure, limits};

/// Large files that are kept open: the pictures of a page that many look at. They cost a descriptor each, and the room of
/// one that was removed.
const OPEN_FILES: NonZeroUsize = NonZeroUsize::new(512).unwrap();
/// What part of the files that a worker may have open; the others are for clients.
const SHARE_OF_FILES: usize = 8;
/// Names of no file that are kept; more than a site links to in vain, and too few for a scanner to fill the memory.
const MISSING_NAMES: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Longer ones are looked for each time.
const MISSING_NAME_BYTES: usize = 512;

/// What one worker keeps. A key is the descriptor of the root and the path beneath it: two sites may have different files
/// at one path.
pub struct Cache {
    small: Map<Small>,
    large: Map<Large>,
    missing: Map<Proof>,
    /// What the small files weigh.
    bytes: usize,
    bytes_limit: usize,
    file_bytes_limit: usize,
    watch: Watch,
    /// Where the key of a look-up is made, so that none costs an allocation.
    key: Vec<u8>,
}

/// Every request is looked up in one, so the hash is a quick one, seeded anew in each process. Who finds out the seed makes
/// look-ups slow with names that he chooses: those of no file, a list short enough to walk, and where he may make files,
/// theirs.
type Map<V> = LruCache<Box<[u8]>, V, RandomState>;

/// A small file as it was when it was read.
struct Small {
    identity: Identity,
    proof: Proof,
    prepared: Arc<Prepared>,
    /// Was it read within a second of its last change? A write gives its time before its bytes, and may have stopped
    /// between them: then there are other bytes behind the same time.
    is_early: bool,
}

/// A large file as it was when it was opened.
struct Large {
    identity: Identity,
    proof: Proof,
    file: Arc<OpenFile>,
    /// Has anybody asked for it since the last look?
    is_used: bool,
}

impl Cache {
    /// An empty cache with the configured bounds. What it keeps is compared at each use, until there is a watcher.
    #[must_use]
    pub fn new(config: &crate::config::Cache) -> Self {
        Self {
            small: LruCache::unbounded_with_hasher(RandomState::default()),
            large: bounded(open_files()),
            missing: bounded(MISSING_NAMES),
            bytes: 0,
            bytes_limit: config.bytes,
            file_bytes_limit: config.file_bytes,
            watch: Watch::new(None),
            key: Vec::new(),
        }
    }

    /// From now on changes are told, if there is somebody to tell them, and anything may be kept.
    pub fn hear_from(&mut self, watcher: Option<Watcher>) {
        self.watch = Watch::new(watcher.filter(|_| self.bytes_limit > 0));
    }

    /// Something was received, maybe a request for what has changed this moment: whatever happened until now is heard
    /// before anything is used.
    pub fn fall_behind(&mut self) {
        self.watch.fall_behind();
    }

    /// How many files and folders are watched.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.watch.marks()
    }

    /// Once a second: closes files that nobody asks for, so that a removed one gives its room back, and takes what the
    /// kernel has to tell, before it is too much.
    ///
    /// The files are given to whoever can drop them without anybody waiting: the last close of one that was removed gives up
    /// its room.
    #[must_use]
    pub fn tick(&mut self) -> Vec<Arc<OpenFile>> {
        self.watch.fall_behind();
        self.watch.catch_up();
        self.watch.tidy(self.small.len() + self.large.len() + self.missing.len());
        let mut unused = Vec::new();
        while self.large.peek_lru().is_some_and(|(_, oldest)| !oldest.is_used) {
            unused.extend(self.large.pop_lru().map(|(_, large)| large.file));
        }
        for (_, large) in self.large.iter_mut() {
            large.is_used = false;
        }
        unused
    }

    /// Is this file small enough to be read at once?
    #[must_use]
    pub fn takes(&self, identity: &Identity) -> bool {
        usize::try_from(identity.size).is_ok_and(|size| size <= self.file_bytes_limit && size < self.bytes_limit)
    }

    /// The file kept for this key (a path, or a path behind `ENCODED_KEY`) and the time of its last change in nanoseconds
    /// since the epoch, if its file is still the one that was read or opened.
    #[must_use]
    pub fn lookup(&mut self, root: BorrowedFd<'_>, key: &[u8], now: Now) -> Option<(Body, i128)> {
        self.watch.catch_up();
        self.key.clear();
        push_key(root, key, &mut self.key);
        let path = key.strip_prefix(&[ENCODED_KEY]).unwrap_or(key);
        if let Some(small) = self.small.get_mut(self.key.as_slice()) {
            let may_lack_bytes =
                small.is_early && (!is_young(&small.identity, now) || self.watch.has_heard_of_files(&small.proof));
            if !may_lack_bytes && self.watch.is_same(&mut small.proof, root, path, &small.identity, small.is_early, now)
            {
                return Some((whole(small.prepared.clone()), small.identity.modified));
            }
            self.forget_small();
        } else if let Some(large) = self.large.get_mut(self.key.as_slice()) {
            if self.watch.is_same(&mut large.proof, root, path, &large.identity, false, now) {
                large.is_used = true;
                return Some((large.body(), large.identity.modified));
            }
            self.large.pop(self.key.as_slice());
        }
        None
    }

    /// Opens a file or folder as `open_beneath` does, unless it is known that nothing is there.
    ///
    /// # Errors
    /// As `open_beneath`.
    pub fn open(&mut self, root: BorrowedFd<'_>, path: &[u8], now: Now) -> io::Result<File> {
        self.watch.catch_up();
        self.key.clear();
        push_key(root, path, &mut self.key);
        let proof = self.missing.get_mut(self.key.as_slice());
        if proof.is_some_and(|proof| self.watch.is_missing(proof, now)) {
            return Err(failure::absent());
        }
        let outcome = open_beneath(root, path);
        if is_absent(&outcome) && self.watch.is_on() && path.len() <= MISSING_NAME_BYTES {
            self.note_missing(root, path, now);
        }
        outcome
    }

    /// A name that is asked for twice is watched.
    fn note_missing(&mut self, root: BorrowedFd<'_>, path: &[u8], now: Now) {
        match self.missing.get_mut(self.key.as_slice()) {
            Some(proof) => self.watch.believe_missing(proof, root, path, now),
            None => {
                self.missing.put(self.key.as_slice().into(), Proof::default());
            }
        }
    }

    /// Forgets the small file whose key was made last.
    fn forget_small(&mut self) {
        if let Some((key, small)) = self.small.pop_entry(self.key.as_slice()) {
            self.bytes = self.bytes.saturating_sub(weight(&key, &small.prepared));
        }
    }

    /// Keeps a small file.
    fn insert(&mut self, root: BorrowedFd<'_>, key: &[u8], small: Small) {
        self.key.clear();
        push_key(root, key, &mut self.key);
        self.forget_small();
        self.bytes += weight(&self.key, &small.prepared);
        self.small.put(self.key.as_slice().into(), small);
        while self.bytes > self.bytes_limit
            && let Some((key, oldest)) = self.small.pop_lru()
        {
            self.bytes = self.bytes.saturating_sub(weight(&key, &oldest.prepared));
        }
    }

    /// The answer that holds a small file, which is kept, unless it was written this moment: then it can change again
    /// without new time stamps.
    pub(super) fn keep_small(
        &mut self,
        root: BorrowedFd<'_>,
        key: &[u8],
        identity: Identity,
        prepared: Arc<Prepared>,
        now: Now,
    ) -> Response {
        if is_settled(&identity, now) {
            let is_early = is_young(&identity, now);
            let small = Small { identity, proof: Proof::default(), prepared: prepared.clone(), is_early };
            self.insert(root, key, small);
        }
        Response::with_file(whole(prepared))
    }

    /// The answer that holds a file that is sent from where it lies, and is kept open, under the same condition.
    pub(super) fn keep_large(
        &mut self,
        root: BorrowedFd<'_>,
        key: &[u8],
        identity: Identity,
        file: OpenFile,
        now: Now,
    ) -> Response {
        let large = Large { identity, proof: Proof::default(), file: Arc::new(file), is_used: true };
        let response = Response::with_file(large.body());
        if is_settled(&identity, now) && self.bytes_limit > 0 {
            self.key.clear();
            push_key(root, key, &mut self.key);
            self.large.put(self.key.as_slice().into(), large);
        }
        response
    }
}

impl Large {
    fn body(&self) -> Body {
        whole_file(self.file.clone(), self.identity.size)
    }
}

/// Did it change within the last second?
pub(super) fn is_young(identity: &Identity, now: Now) -> bool {
    now.unix_nanoseconds() - identity.changed < 1_000_000_000
}

/// All of an open file of so many bytes.
pub(super) fn whole_file(file: Arc<OpenFile>, length: u64) -> Body {
    Body::File { file, offset: 0, length }
}

/// All of a small file.
fn whole(prepared: Arc<Prepared>) -> Body {
    let length = prepared.content.len();
    Body::Prepared { prepared, offset: 0, length }
}

/// Bounded, but without the room for all of it from the start.
fn bounded<V>(limit: NonZeroUsize) -> Map<V> {
    let mut map = LruCache::unbounded_with_hasher(RandomState::default());
    map.resize(limit);
    map
}

/// A worker's roots stay open as long as it lives, so the number of a descriptor means one root.
fn push_key(root: BorrowedFd<'_>, key_of_root: &[u8], key: &mut Vec<u8>) {
    key.extend_from_slice(&root.as_raw_fd().to_ne_bytes());
    key.extend_from_slice(key_of_root);
}

/// How many files may be kept open.
fn open_files() -> NonZeroUsize {
    NonZeroUsize::new(limits::open_files() / SHARE_OF_FILES).map_or(NonZeroUsize::MIN, |some| some.min(OPEN_FILES))
}

/// What an entry costs: its parts, and about what the map and the allocator add.
fn weight(key: &[u8], prepared: &Prepared) -> usize {
    const OVERHEAD_BYTES: usize = 512;
    key.len() + prepared.label.lines_to_end().len() + prepared.content.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Digests, Label};
    use crate::sys::file::identity;
    use std::os::fd::AsFd;

    const LIMITS: crate::config::Cache = crate::config::Cache { bytes: 10_000, file_bytes: 5_000, digests: 0 };

    fn entry(bytes: usize) -> Small {
        let folder = tempfile::tempfile().unwrap();
        let (content, digests) = (vec![0; bytes].into(), Digests::default());
        Small {
            identity: identity(&folder).unwrap(),
            proof: Proof::default(),
            prepared: Arc::new(Prepared { label: Label::default(), content, digests }),
            is_early: false,
        }
    }

    #[test]
    fn bytes_that_were_read_while_they_were_written_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "old").unwrap();
        let root = File::open(folder.path()).unwrap();
        let state = identity(File::open(folder.path().join("file")).unwrap()).unwrap();
        let after = |milliseconds: i128| {
            let time = state.changed + milliseconds * 1_000_000;
            let (seconds, nanoseconds) = (time / 1_000_000_000, time % 1_000_000_000);
            Now { unix_seconds: seconds.try_into().unwrap(), nanoseconds: nanoseconds.try_into().unwrap() }
        };
        let mut cache = Cache::new(&LIMITS);
        let is_kept = |cache: &mut Cache, read: i128, asked: i128| {
            cache.keep_small(root.as_fd(), b"/file", state, entry(3).prepared, after(read));
            cache.lookup(root.as_fd(), b"/file", after(asked)).is_some()
        };
        assert!(is_kept(&mut cache, 100, 900), "until the second is over");
        assert!(!is_kept(&mut cache, 100, 1_100), "then they are read again");
        assert!(is_kept(&mut cache, 1_200, 60_000), "and that is enough");
        cache.hear_from(Watcher::new().ok());
        if cache.watch.is_on() {
            let other = folder.path().join("other");
            std::fs::write(&other, "x").unwrap();
            let state = identity(File::open(&other).unwrap()).unwrap();
            cache.keep_small(root.as_fd(), b"/other", state, entry(1).prepared, after(2_000));
            for _ in 0..3 {
                assert!(cache.lookup(root.as_fd(), b"/other", after(2_000)).is_some(), "it is watched");
            }
            assert!(is_kept(&mut cache, 100, 200));
            assert!(cache.lookup(root.as_fd(), b"/file", after(300)).is_some());
            // Which file was written is not told, and the times of this one are what they were.
            std::fs::write(&other, "y").unwrap();
            cache.fall_behind();
            assert!(cache.lookup(root.as_fd(), b"/file", after(400)).is_none());
        }
    }

    #[test]
    fn nothing_is_kept_or_watched_where_the_cache_is_off() {
        let folder = tempfile::tempdir().unwrap();
        let root = File::open(folder.path()).unwrap();
        let now = |unix_seconds| Now { unix_seconds, nanoseconds: 0 };
        for (bytes, kept) in [(0, 0), (1, 1)] {
            let mut cache = Cache::new(&crate::config::Cache { bytes, ..LIMITS });
            cache.hear_from(Watcher::new().ok());
            if cache.watch.is_on() || bytes == 0 {
                for second in 1..4 {
                    assert!(is_absent(&cache.open(root.as_fd(), b"/nothing", now(second))));
                }
                assert_eq!(cache.missing.len(), kept, "{bytes} bytes");
                assert_eq!(cache.watched().min(1), kept, "{bytes} bytes");
            }
        }
    }

    #[test]
    fn the_cache_stays_within_its_bounds_and_drops_the_least_used() {
        let mut cache = Cache::new(&LIMITS);
        let (root, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let key = |root: &File, path: &[u8]| {
            let mut key = Vec::new();
            push_key(root.as_fd(), path, &mut key);
            key
        };
        let [a, b] = [b"/a", b"/b"].map(|path| key(&root, path));
        cache.insert(root.as_fd(), b"/a", entry(4_000));
        cache.insert(root.as_fd(), b"/b", entry(4_000));
        assert!(cache.small.get(a.as_slice()).is_some());
        assert!(!cache.small.contains(key(&other, b"/a").as_slice()), "the other site's file");
        cache.insert(root.as_fd(), b"/c", entry(4_000));
        assert!(cache.bytes <= 10_000);
        assert!(cache.small.contains(a.as_slice()) && !cache.small.contains(b.as_slice()));
        cache.insert(root.as_fd(), b"/a", entry(10));
        cache.insert(root.as_fd(), b"/c", entry(10));
        cache.forget_small();
        assert_eq!(cache.bytes, weight(&a, &entry(10).prepared));
    }
}
