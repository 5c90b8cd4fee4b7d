//! Provider `content_readfile`: a small file, read whole and kept with its field lines ready, in one send with the head.
//! Process: worker, sealed. Blocks: never; what is not in memory is left to `sendfile`.

use std::fs::File;
use std::sync::Arc;

use super::Context;
use super::files::label;
use crate::message::{Digests, Prepared, Response};
use crate::sys::file::{self, Identity};
use crate::sys::page_cache;

/// Reads a small file and keeps it under this key; `name` tells its media type. `None` if it changed under our hands,
/// or is not in memory: then `sendfile` sends what is there.
#[doc(alias = "content_readfile")]
pub fn readfile(ctx: &mut Context<'_>, key: &[u8], name: &[u8], file: &File, identity: Identity) -> Option<Response> {
    let mut content = vec![0; usize::try_from(identity.size).ok()?];
    page_cache::read_whole_now(file, &mut content).ok()?;
    if file::identity(file).ok()? != identity {
        return None;
    }
    let label = label(ctx, name, &identity);
    let prepared = Arc::new(Prepared { label, content: content.into(), digests: Digests::default() });
    Some(ctx.cache.keep_small(ctx.root, key, identity, prepared, ctx.now))
}
