//! Provider `content_sendfile`: a regular file of any size, from the page cache to the socket without a copy.
//! Process: worker, sealed. Blocks: never here; `send_response` asks what is in memory.

use std::fs::File;
use std::sync::Arc;

use super::Context;
use super::cache::whole_file;
use super::files::label;
use crate::message::{OpenFile, Response};
use crate::sys::file::Identity;

/// What becomes of the file after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is kept open under its key.
    Open,
    /// It is closed: by its next use it is in memory, and is kept whole.
    Not,
}

/// The whole file; what of it is sent, `http` decides. `name` tells its media type.
#[doc(alias = "content_sendfile")]
pub fn sendfile(
    ctx: &mut Context<'_>,
    key: &[u8],
    name: &[u8],
    file: File,
    identity: Identity,
    keep: Keep,
) -> Response {
    let file = OpenFile::labelled(file, label(ctx, name, &identity));
    match keep {
        Keep::Open => ctx.cache.keep_large(ctx.root, key, identity, file, ctx.now),
        Keep::Not => Response::with_file(whole_file(Arc::new(file), identity.size)),
    }
}
