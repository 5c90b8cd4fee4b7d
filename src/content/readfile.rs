//! Provider `content_readfile`: small files from a bounded cache, with their field lines ready, in one send with the head.
//! Process: worker, sealed. Blocks: never; what is not in memory is left to `sendfile`.
//! A cached file is compared with the file system at each use (one fstatat), so that nothing stale is ever sent.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use lru::LruCache;

use super::files::{is_settled, validators_of};
use super::{Context, ENCODED_KEY};
use crate::message::{
    Body, Digests, FieldName, Prepared, Response, Status, Validators, Value, write_line, write_representation_lines,
};
use crate::sys::file::{self, Identity};
use crate::sys::page_cache;

/// The small files of one worker.
pub struct Cache {
    /// By the descriptor of the root and the path beneath it: two sites may have different files at one path.
    entries: LruCache<Box<[u8]>, Entry>,
    /// What the entries weigh.
    bytes: usize,
    bytes_limit: usize,
    file_bytes_limit: usize,
    /// Where the key of a look-up is made, so that none costs an allocation.
    key: Vec<u8>,
}

/// A file as it was when it was read.
struct Entry {
    identity: Identity,
    validators: Validators,
    prepared: Arc<Prepared>,
}

impl Cache {
    /// An empty cache with the configured bounds.
    #[must_use]
    pub fn new(config: &crate::config::Cache) -> Self {
        Self {
            entries: LruCache::unbounded(),
            bytes: 0,
            bytes_limit: config.bytes,
            file_bytes_limit: config.file_bytes,
            key: Vec::new(),
        }
    }

    /// Is this file small enough to be read at once?
    #[must_use]
    pub fn takes(&self, identity: &Identity) -> bool {
        usize::try_from(identity.size).is_ok_and(|size| size <= self.file_bytes_limit && size < self.bytes_limit)
    }

    /// The cached answer for this key (a path, or a path behind `ENCODED_KEY`) and the state of the file, if that is
    /// still the one that was read.
    ///
    /// The question follows symlinks without `RESOLVE_BENEATH`; that can't let anything out, for it opens nothing, and
    /// what it is compared with (inode, size, both times) was opened beneath the root.
    #[must_use]
    pub fn lookup(&mut self, root: BorrowedFd<'_>, key: &[u8]) -> Option<(Response, Identity)> {
        self.key.clear();
        push_key(root, key, &mut self.key);
        let entry = self.entries.get(self.key.as_slice())?;
        let path = key.strip_prefix(&[ENCODED_KEY]).unwrap_or(key);
        if file::identity_at(root, path).is_ok_and(|now| now == entry.identity) {
            return Some((response_of(entry.prepared.clone(), entry.validators), entry.identity));
        }
        let key = std::mem::take(&mut self.key);
        self.forget(&key);
        self.key = key;
        None
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some((key, entry)) = self.entries.pop_entry(key) {
            self.bytes = self.bytes.saturating_sub(weight(&key, &entry.prepared));
        }
    }

    fn insert(&mut self, root: BorrowedFd<'_>, key_of_root: &[u8], entry: Entry) {
        let mut key = Vec::with_capacity(size_of::<RawFd>() + key_of_root.len());
        push_key(root, key_of_root, &mut key);
        self.forget(&key);
        self.bytes += weight(&key, &entry.prepared);
        self.entries.put(key.into(), entry);
        while self.bytes > self.bytes_limit
            && let Some((key, oldest)) = self.entries.pop_lru()
        {
            self.bytes = self.bytes.saturating_sub(weight(&key, &oldest.prepared));
        }
    }
}

/// A worker's roots stay open as long as it lives, so the number of a descriptor means one root.
fn push_key(root: BorrowedFd<'_>, key_of_root: &[u8], key: &mut Vec<u8>) {
    key.extend_from_slice(&root.as_raw_fd().to_ne_bytes());
    key.extend_from_slice(key_of_root);
}

/// What an entry costs: its parts, and about what the map and the allocator add.
fn weight(key: &[u8], prepared: &Prepared) -> usize {
    const OVERHEAD_BYTES: usize = 384;
    key.len() + prepared.field_lines.len() + prepared.content.len() + OVERHEAD_BYTES
}

fn response_of(prepared: Arc<Prepared>, validators: Validators) -> Response {
    let mut response = Response::new(Status::OK);
    response.validators = validators;
    response.accepts_ranges = true;
    let length = prepared.content.len();
    response.body = Body::Prepared { prepared, offset: 0, length };
    response
}

/// Reads a small file and keeps it under this key; `name` tells its media type. `None` if it changed under our hands,
/// or is not in memory: then `sendfile` sends what is there.
#[doc(alias = "content_readfile")]
pub fn readfile(ctx: &mut Context<'_>, key: &[u8], name: &[u8], file: &File, identity: Identity) -> Option<Response> {
    let mut content = vec![0; usize::try_from(identity.size).ok()?];
    page_cache::read_whole_now(file, &mut content).ok()?;
    if file::identity(file).ok()? != identity {
        return None;
    }
    let validators = validators_of(&identity, ctx.now);
    let mut field_lines = Vec::with_capacity(192);
    let content_type = ctx.media_types.of_name(name);
    write_line(FieldName::ContentType, &Value::Text(content_type.clone()), &mut field_lines);
    write_representation_lines(validators, true, &mut field_lines);
    let (field_lines, content, digests) = (field_lines.into(), content.into(), Digests::default());
    let prepared = Arc::new(Prepared { field_lines, content_type, content, digests });
    // A file that was written this moment can change again without new time stamps: it is served, but not kept.
    if is_settled(&identity, ctx.now) {
        ctx.cache.insert(ctx.root, key, Entry { identity, validators, prepared: prepared.clone() });
    }
    Some(response_of(prepared, validators))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn entry(bytes: usize) -> Entry {
        let folder = tempfile::tempfile().unwrap();
        let (content, digests) = (vec![0; bytes].into(), Digests::default());
        Entry {
            identity: file::identity(&folder).unwrap(),
            validators: Validators::default(),
            prepared: Arc::new(Prepared { field_lines: Box::default(), content_type: "".into(), content, digests }),
        }
    }

    #[test]
    fn the_cache_stays_within_its_bounds_and_drops_the_least_used() {
        let mut cache = Cache::new(&crate::config::Cache { bytes: 10_000, file_bytes: 5_000, digests: 0 });
        let (root, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let key = |root: &File, path: &[u8]| {
            let mut key = Vec::new();
            push_key(root.as_fd(), path, &mut key);
            key
        };
        let [a, b, c] = [b"/a", b"/b", b"/c"].map(|path| key(&root, path));
        cache.insert(root.as_fd(), b"/a", entry(4_000));
        cache.insert(root.as_fd(), b"/b", entry(4_000));
        assert!(cache.entries.get(a.as_slice()).is_some());
        assert!(!cache.entries.contains(key(&other, b"/a").as_slice()), "the other site's file");
        cache.insert(root.as_fd(), b"/c", entry(4_000));
        assert!(cache.bytes <= 10_000);
        assert!(cache.entries.contains(a.as_slice()) && !cache.entries.contains(b.as_slice()));
        cache.insert(root.as_fd(), b"/a", entry(10));
        cache.forget(&c);
        assert_eq!(cache.bytes, weight(&a, &entry(10).prepared));
    }
}
