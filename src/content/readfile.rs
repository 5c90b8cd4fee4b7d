//! Provider `content_readfile`: a small file, read whole and kept with its field lines ready, in one send with the head.
//! Process: worker, sealed. Blocks: reading a small file that is not in the page cache.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::Context;
use super::files::validators_of;
use crate::message::{Digests, FieldName, Prepared, Response, Value, write_line, write_representation_lines};
use crate::sys::file::{self, Identity};

/// Reads a small file and keeps it under this key; `name` tells its media type. `None` if it changed under our hands:
/// then `sendfile` sends what is there.
#[doc(alias = "content_readfile")]
pub fn readfile(ctx: &mut Context<'_>, key: &[u8], name: &[u8], file: &File, identity: Identity) -> Option<Response> {
    let mut content = vec![0; usize::try_from(identity.size).ok()?];
    file.read_exact_at(&mut content, 0).ok()?;
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
