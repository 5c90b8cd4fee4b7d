//! Provider `content_readfile`: a small file, read whole and kept with its field lines ready, in one send with the head.
//! Process: worker, sealed. Blocks: never; what is not in memory is left to `sendfile`.

use std::fs::File;
use std::sync::Arc;

use super::Context;
use super::files::validators_of;
use crate::message::{Digests, FieldName, Prepared, Response, Value, write_line, write_representation_lines};
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
    let mut field_lines = Vec::with_capacity(192);
    let content_type = ctx.media_types.of_name(name);
    write_line(FieldName::ContentType, &Value::Text(content_type.clone()), &mut field_lines);
    write_representation_lines(validators_of(&identity, ctx.now), true, &mut field_lines);
    let (field_lines, content, digests) = (field_lines.into(), content.into(), Digests::default());
    let prepared = Arc::new(Prepared { field_lines, content_type, content, digests });
    Some(ctx.cache.keep_small(ctx.root, key, identity, prepared, ctx.now))
}
