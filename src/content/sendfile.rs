//! Provider `content_sendfile`: a regular file of any size, from the page cache to the socket without a copy.
//! Process: worker, sealed. Blocks: never here; `send_response` asks what is in memory.

use std::fs::File;

use super::Context;
use super::files::label;
use crate::message::{OpenFile, Response};
use crate::sys::file::Identity;

/// The whole file, kept open under this key; what of it is sent, `http` decides. `name` tells its media type.
#[doc(alias = "content_sendfile")]
pub fn sendfile(ctx: &mut Context<'_>, key: &[u8], name: &[u8], file: File, identity: Identity) -> Response {
    let file = OpenFile::labelled(file, label(ctx, name, &identity));
    ctx.cache.keep_large(ctx.root, key, identity, file, ctx.now)
}
