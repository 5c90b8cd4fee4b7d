//! Provider `content_readfile`: small files from a bounded cache, with their field lines ready, in one send with the head.
//! Process: worker, sealed. Blocks: reading a small file that is not in the page cache.
//! A cached file is compared with the file system at each use (one fstatat), so that nothing stale is ever sent.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use lru::LruCache;

use super::files::{is_settled, validators_of};
use super::{Context, ENCODED_KEY};
use crate::message::{
    Body, Digests, FieldName, Prepared, Response, Status, Validators, Value, write_line, write_representation_lines,
};
use crate::sys::file::{self, Identity};

/// The small files of one worker.
pub struct Cache {
    entries: LruCache<Box<[u8]>, Entry>,
    /// What the entries weigh.
    bytes: usize,
    bytes_limit: usize,
    file_bytes_limit: usize,
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
        let entry = self.entries.get(key)?;
        let path = key.strip_prefix(&[ENCODED_KEY]).unwrap_or(key);
        if file::identity_at(root, path).is_ok_and(|now| now == entry.identity) {
            return Some((response_of(entry.prepared.clone(), entry.validators), entry.identity));
        }
        self.forget(key);
        None
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some((key, entry)) = self.entries.pop_entry(key) {
            self.bytes = self.bytes.saturating_sub(weight(&key, &entry.prepared));
        }
    }

    fn insert(&mut self, key: &[u8], entry: Entry) {
        self.forget(key);
        self.bytes += weight(key, &entry.prepared);
        self.entries.put(key.into(), entry);
        while self.bytes > self.bytes_limit
            && let Some((key, oldest)) = self.entries.pop_lru()
        {
            self.bytes = self.bytes.saturating_sub(weight(&key, &oldest.prepared));
        }
    }
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

/// Reads a small file and keeps it under this key; `name` tells its media type. `None` if it changed under our hands:
/// then `sendfile` sends what is there.
#[doc(alias = "content_readfile")]
pub fn readfile(ctx: &mut Context<'_>, key: &[u8], name: &[u8], file: &File, identity: Identity) -> Option<Response> {
    let mut content = vec![0; usize::try_from(identity.size).ok()?];
    file.read_exact_at(&mut content, 0).ok()?;
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
        ctx.cache.insert(key, Entry { identity, validators, prepared: prepared.clone() });
    }
    Some(response_of(prepared, validators))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        cache.insert(b"/a", entry(4_000));
        cache.insert(b"/b", entry(4_000));
        assert!(cache.entries.get(&b"/a"[..]).is_some());
        cache.insert(b"/c", entry(4_000));
        assert!(cache.bytes <= 10_000);
        assert!(cache.entries.contains(&b"/a"[..]) && !cache.entries.contains(&b"/b"[..]));
        cache.insert(b"/a", entry(10));
        cache.forget(b"/c");
        assert_eq!(cache.bytes, weight(b"/a", &entry(10).prepared));
    }
}
