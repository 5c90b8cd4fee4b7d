//! Provider `content_upload`: PUT creates or overwrites, POST updates what exists.
//! Process: worker, sealed; the commit runs on a helper thread. Fails with: 400, 411, 415, 507, and as `commit`.
//! The content goes to a temporary beside its target and takes the target's name only when it is complete:
//! a reader sees the old file or the new one, whole.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::Context;
use super::commit::{Commit, Rules, current, give_group, open_or_make_folder, split, write_refusal};
use super::room::Room;
use super::temporary::Temporary;
use super::verify::Verification;
use crate::message::{
    BodyFraming, BodySink, FieldName, Fields, Finish, Handled, Preconditions, Provided, Receive, Refusal, Request,
    Status,
};

/// Looks at everything that can be known before the content is sent, and makes the sink for it.
///
/// # Errors
/// Whatever would make the upload fail later: better before the client has sent a gigabyte.
#[doc(alias = "content_upload")]
pub fn upload(ctx: &mut Context<'_>, request: &Request<'_>) -> Provided {
    refuse_what_is_no_whole(request)?;
    insist_on_framing(request)?;
    let (folder_path, name) = split(&request.path)?;
    let rules = Rules {
        method: request.method,
        verbs: ctx.site.access.verbs(&request.path, &request.visitor),
        preconditions: Preconditions::of(request.fields),
    };
    let folder = open_or_make_folder(ctx, folder_path, &rules)?;
    let before = current(&folder, name)?;
    rules.decide(before.as_ref())?;
    let verification = Verification::of(request.fields, ctx.config.cache.digests > 0)?;
    let limit_bytes = ctx.config.limits.body_bytes.min(ctx.site.quotas.file_bytes(&request.path));
    // One that is too long for `limit_bytes` is refused for that, once the sink says how much it takes.
    let announced = request.framing.length().filter(|length| *length <= limit_bytes);
    let commit = Commit::of(ctx, &request.path, rules)?;
    commit.quotas.check(announced.unwrap_or(0).saturating_sub(before.map_or(0, |before| before.size)))?;
    let length = if request.framing == BodyFraming::Chunked { None } else { Some(announced.unwrap_or(0)) };
    let mut room = Room::check(&folder, length, ctx.config.uploads.min_free)?;
    let temporary = make_temporary(ctx, folder).map_err(|error| write_refusal(&error))?;
    // The first stretch only: a client that announces much and sends nothing must not have much.
    room.secure(temporary.file(), length.unwrap_or(0).min(1))?;
    let sink = Sink { temporary, commit, room, verification, stored_bytes: 0 };
    Ok(Handled::Receive(Receive { sink: Box::new(sink), limit_bytes, interim: None }))
}

/// The file that will be the target, with the mode and the group of new files.
fn make_temporary(ctx: &Context<'_>, folder: File) -> io::Result<Temporary> {
    let temporary = Temporary::create(Arc::new(folder), ctx.config.uploads.mode)?;
    give_group(temporary.file(), ctx.config.uploads.group)?;
    Ok(temporary)
}

/// A file is stored as the bytes that come, all of them at once.
pub(super) fn refuse_what_is_no_whole(request: &Request<'_>) -> Result<(), Refusal> {
    if request.fields.contains(FieldName::ContentRange) {
        let detail = "A part of a file can't be uploaded: send the whole without Content-Range.";
        return Err(Refusal::new(Status::BAD_REQUEST, detail));
    }
    // Stored as it is, it would be served as something that it is not.
    let is_coded = |coding: &[u8]| !coding.eq_ignore_ascii_case(b"identity");
    if request.fields.elements(FieldName::ContentEncoding).any(is_coded) {
        let detail =
            "A file is stored as it is sent: send it without Content-Encoding, packed under a name of its own.";
        let refusal = Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, detail);
        return Err(refusal.with_field(FieldName::AcceptEncoding, "identity".into()));
    }
    Ok(())
}

/// A request that says nothing of its content has none (RFC 9112 section 6.3), but whoever wants to empty a file says so:
/// a content that was forgotten must not cost the file that is there.
fn insist_on_framing(request: &Request<'_>) -> Result<(), Refusal> {
    if request.framing == BodyFraming::None && !request.fields.contains(FieldName::ContentLength) {
        let detail = "Say how long the file is, with Content-Length (0 makes an empty one), or send it in chunks.";
        return Err(Refusal::new(Status::LENGTH_REQUIRED, detail));
    }
    Ok(())
}

/// Takes the content. Dropped before its end, it takes the temporary with it.
struct Sink {
    temporary: Temporary,
    commit: Commit,
    room: Room,
    verification: Verification,
    stored_bytes: u64,
}

impl BodySink for Sink {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        let end = self.stored_bytes + chunk.len() as u64;
        self.room.secure(self.temporary.file(), end)?;
        self.verification.update(chunk);
        self.temporary.file().write_all(chunk).map_err(|error| write_refusal(&error))?;
        self.stored_bytes = end;
        Ok(())
    }

    fn wants_trailers(&self) -> bool {
        true
    }

    fn finish(self: Box<Self>, trailers: &Fields<'_>) -> Finish {
        let Self { temporary, commit, mut verification, .. } = *self;
        let claimed = verification.claim(trailers);
        // Whatever comes of it, the temporary is removed or renamed on a helper thread.
        Finish::Job(Box::new(move || {
            claimed?;
            let digest = verification.finish(temporary.file())?;
            let mut response = commit.run(temporary)?;
            if let Some(digest) = digest {
                response.fields.push(FieldName::ReprDigest, digest.field_value());
            }
            Ok(response)
        }))
    }
}
