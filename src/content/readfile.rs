//! Provider `content_readfile`: a small file, read whole and kept with its field lines ready, in one send with the head.
//! Process: worker, sealed. Blocks: never; what is not in memory is left to `sendfile`.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;

use super::Context;
use super::files::label;
use crate::message::{Digests, Prepared, Response};
use crate::sys::file::{self, Identity};
use crate::sys::page_cache;

/// Why a small file was not read; `sendfile` sends what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is not in memory, or changed under our hands. By its next use it is there.
    Elsewhere,
    /// Its file system can't tell what is in memory.
    Untold,
}

/// Reads a small file and keeps it under this key; `name` tells its media type.
///
/// # Errors
/// Why it could not be read without waiting.
#[doc(alias = "content_readfile")]
pub fn readfile(
    ctx: &mut Context<'_>,
    key: &[u8],
    name: &[u8],
    file: &File,
    identity: Identity,
) -> Result<Response, Unread> {
    let mut content = vec![0; usize::try_from(identity.size).map_err(|_| Unread::Elsewhere)?];
    page_cache::read_whole_now(file, &mut content)
        .map_err(|error| if error.kind() == ErrorKind::Unsupported { Unread::Untold } else { Unread::Elsewhere })?;
    if file::identity(file).ok() != Some(identity) {
        return Err(Unread::Elsewhere);
    }
    let label = label(ctx, name, &identity);
    let prepared = Arc::new(Prepared { label, content: content.into(), digests: Digests::default() });
    Ok(ctx.cache.keep_small(ctx.root, key, identity, prepared, ctx.now))
}
