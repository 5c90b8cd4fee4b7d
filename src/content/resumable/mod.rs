//! Resumable uploads (draft-ietf-httpbis-resumable-upload-12): a file that comes in several requests, over days,
//! workers and restarts, and appears only when the last of them is complete.
//! Process: worker, sealed. Trusts: nothing. Blocks: on helper threads only.
//! An upload is addressed as its target with `?upload=ID`, so that all rules for the target hold for it. It consists of
//! `.fileserv-ID.part` (the content up to now) and `.fileserv-ID.record` (what the client said of it), beside the
//! target. Both there: it can go on. A complete record alone: it has become the target.

mod append;
mod cancel;
mod charge;
mod create;
mod digests;
mod expire;
mod finish;
mod flight;
mod id;
mod offset;
mod opening;
mod part;
mod progress;
mod record;
mod sink;

use std::sync::Arc;

use super::Context;
use super::folder::Folder;
use super::page::link;
use super::target::{open_folder, split};
use crate::message::{FieldName, Method, MethodSet, PARTIAL_UPLOAD, Provided, Refusal, Request, Response, UploadLimit};
use part::Place;

pub use create::{begins_upload, create};
pub(super) use expire::expire_entry;
pub(super) use flight::await_landing;
pub use id::UploadId;

/// What can be done with an upload.
pub const UPLOAD_METHODS: MethodSet =
    MethodSet::of(&[Method::Get, Method::Head, Method::Options, Method::Patch, Method::Delete]);

/// Answers a request to an upload that has begun.
///
/// # Errors
/// 404 for an upload that is not, or not any more; and as the file of each method says.
pub fn resume(ctx: &Context<'_>, request: &Request<'_>, id: UploadId) -> Provided {
    match request.method {
        Method::Get | Method::Head => offset::tell(ctx, request, id),
        Method::Patch => append::append(ctx, request, id),
        Method::Delete => cancel::cancel(ctx, request, id),
        // `route` has answered them.
        Method::Options | Method::Put | Method::Post | Method::Trace | Method::Connect => {
            Err(Refusal::method_not_allowed(request.method, UPLOAD_METHODS))
        }
    }
}

/// Says in an answer to OPTIONS that uploads may come in several requests, and within which limits.
#[must_use]
pub fn offer(ctx: &Context<'_>, request: &Request<'_>, response: Response) -> Response {
    response
        .with_field(FieldName::AcceptPatch, PARTIAL_UPLOAD)
        .with_field(FieldName::UploadLimit, limit(ctx, &request.path).to_string())
}

/// The limits of an upload to this path that is changed now.
fn limit(ctx: &Context<'_>, path: &[u8]) -> UploadLimit {
    let most_append_bytes = ctx.config.limits.body_bytes;
    let resumable = &ctx.config.resumable;
    let most_bytes = if resumable.bytes == 0 { most_append_bytes } else { resumable.bytes };
    UploadLimit {
        most_bytes: most_bytes.min(ctx.site.quotas.file_bytes(path)),
        most_append_bytes,
        least_append_bytes: resumable.min_append_bytes,
        seconds: resumable.expiry.as_secs(),
    }
}

/// Where the upload of this request is.
fn place(ctx: &Context<'_>, request: &Request<'_>, id: UploadId) -> Result<Place, Refusal> {
    let (folder_path, name) = split(&request.path)?;
    Ok(place_in(ctx, name, id)(open_folder(ctx, folder_path)?))
}

/// The same in a folder that is open, or will be.
fn place_in(ctx: &Context<'_>, name: &[u8], id: UploadId) -> impl FnOnce(Arc<Folder>) -> Place + Send + use<> {
    let (target, durability, now) = (link(name), ctx.config.uploads.durability, ctx.now);
    let expiry_seconds = ctx.config.resumable.expiry.as_secs();
    move |folder| Place { folder, id, target, durability, expiry_seconds, now }
}
