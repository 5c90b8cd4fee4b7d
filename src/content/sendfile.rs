//! Provider `content_sendfile`: a regular file of any size, from the page cache to the socket without a copy.
//! Process: worker, sealed. Blocks: never here; `send_response` asks what is in memory.

use std::fs::File;
use std::sync::Arc;

use super::Context;
use super::files::validators_of;
use crate::message::{Body, Response, Status, Value};
use crate::sys::file::Identity;

/// The whole file; what of it is sent, `http` decides. `name` tells its media type.
#[doc(alias = "content_sendfile")]
pub fn sendfile(ctx: &Context<'_>, name: &[u8], file: File, identity: &Identity) -> Response {
    let body = Body::File { file: Arc::new(file), offset: 0, length: identity.size };
    let mut response = Response::with_body(Status::OK, Value::Text(ctx.media_types.of_name(name)), body);
    response.validators = validators_of(identity, ctx.now);
    response.accepts_ranges = true;
    response
}
