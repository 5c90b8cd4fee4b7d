//! Provider `content_upload`: PUT creates or overwrites, POST updates what exists.
//! Process: worker, sealed; files are made, and the commit runs, on helper threads, but where there is no disk to wait
//! for. Fails with: 400, 411, 413, 415, 507, and as `commit`.
//! A small content is put into a file when all of it is there. A large one goes to a temporary beside its target and takes
//! the target's name only when it is complete. So a reader sees the old file or the new one, whole.

use std::io::Write;
use std::sync::Arc;

use super::Context;
use super::birth::Birth;
use super::commit::{Commit, Content, Then, write_refusal};
use super::folder::Folder;
use super::folders::Making;
use super::room::Room;
use super::target::{Destination, Rules, Target};
use super::temporary::Temporary;
use super::verify::{ReadBack, Verification};
use crate::message::{
    BodyFraming, BodySink, Digest, FieldName, Fields, Finish, Handled, Job, Provided, Receive, Refusal, Request,
    Response, Status, Work, Worked,
};

/// Up to this much is kept in memory until it is complete: who sends it slowly has no temporary for it, and who sends it at
/// once needs none before its end.
const SMALL_BYTES: u64 = 16 * 1024;

/// Looks at everything that can be known before the content is sent, and makes the sink for it.
///
/// # Errors
/// Whatever would make the upload fail later: better before the client has sent a gigabyte.
#[doc(alias = "content_upload")]
pub fn upload(ctx: &mut Context<'_>, request: &Request<'_>) -> Provided {
    refuse_what_is_no_whole(request)?;
    insist_on_framing(request)?;
    let destination = Target::to_write(ctx, request)?;
    let limit_bytes = ctx.config.limits.body_bytes.min(ctx.site.quotas.file_bytes(&request.path));
    let length = match request.framing {
        BodyFraming::Chunked => None,
        BodyFraming::None => Some(0),
        BodyFraming::Length(length) => Some(length),
    };
    let target = match destination {
        Destination::There(target) => target,
        Destination::Missing(making, rules) => return upload_below(ctx, request, making, rules, length, limit_bytes),
    };
    // The answer to a short content waits until it has come; the commit decides before it makes a file.
    let is_small = length.is_some_and(|length| length <= SMALL_BYTES.min(limit_bytes)) && !request.expects_continue;
    let before = if is_small { None } else { target.decide()? };
    let verification = Verification::of(request.fields, ctx.config.cache.digests > 0)?;
    if length.is_some_and(|length| length > limit_bytes) {
        return Err(Refusal::too_long(limit_bytes));
    }
    let Target { folder, rules, .. } = target;
    let commit = Commit::of(ctx, &request.path, rules)?;
    let birth = Birth::of(ctx);
    let min_free = ctx.config.uploads.min_free;
    if is_small {
        // Without a floor the write itself finds out whether there is room.
        if min_free > 0 {
            Room::check(&folder, length, min_free)?;
        }
        let sink = Small { folder, birth, commit, verification, content: Vec::new() };
        return Ok(Handled::Receive(Receive { sink: Box::new(sink), limit_bytes, interim: None }));
    }
    commit.quotas.check(length.unwrap_or(0).saturating_sub(before.map_or(0, |before| before.size)))?;
    let room = Room::check(&folder, length, min_free)?;
    let is_in_memory = folder.is_in_memory();
    let beginning = Box::new(Beginning { folder, birth, length, room, commit, verification, limit_bytes });
    if is_in_memory { beginning.begin().map(Handled::Receive) } else { Ok(Handled::Prepare(beginning)) }
}

/// The same where folders must be made first, which waits for the disk, and for which nothing is kept in memory.
fn upload_below(
    ctx: &Context<'_>,
    request: &Request<'_>,
    making: Making,
    rules: Rules,
    length: Option<u64>,
    limit_bytes: u64,
) -> Provided {
    let verification = Verification::of(request.fields, ctx.config.cache.digests > 0)?;
    if length.is_some_and(|length| length > limit_bytes) {
        return Err(Refusal::too_long(limit_bytes));
    }
    let mut commit = Commit::without_quotas(ctx, &request.path, rules)?;
    let (birth, min_free) = (Birth::of(ctx), ctx.config.uploads.min_free);
    Ok(Handled::Prepare(making.before(move |folder, quotas| {
        commit.quotas = quotas;
        commit.quotas.check(length.unwrap_or(0))?;
        let room = Room::check(&folder, length, min_free)?;
        let beginning = Beginning { folder, birth, length, room, commit, verification, limit_bytes };
        Ok(Box::new(beginning).advance())
    })))
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

/// Makes a content with this digest the file.
fn store(commit: Commit, content: Content, digest: Option<Digest>, run: fn(Commit, Content, Then) -> Worked) -> Worked {
    let then = move |answer: Result<Response, Refusal>| {
        let mut response = answer?;
        if let Some(digest) = digest {
            response.fields.push(FieldName::ReprDigest, digest.field_value());
        }
        Ok(response)
    };
    run(commit, content, Box::new(then))
}

/// Takes a content that is small.
struct Small {
    folder: Arc<Folder>,
    birth: Birth,
    commit: Commit,
    verification: Verification,
    content: Vec<u8>,
}

impl BodySink for Small {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        self.content.extend_from_slice(chunk);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &Fields<'_>) -> Finish {
        let Self { folder, birth, commit, mut verification, content } = *self;
        verification.update(&content);
        let digest = match verification.finish() {
            Ok(digest) => digest,
            Err(refusal) => return Finish::Reply(Err(refusal)),
        };
        let is_quick = commit.is_quick(&folder);
        let content = Content::Small(folder, birth, content);
        if !is_quick {
            return Finish::Job(commit_later(commit, content, digest));
        }
        match store(commit, content, digest, Commit::run_in_loop) {
            Worked::Done(answer) => Finish::Reply(answer),
            Worked::Block(job) | Worked::Later(_, job) => Finish::Job(job),
            other @ (Worked::More(_) | Worked::Ready(_)) => Finish::Job(Box::new(move || other)),
        }
    }
}

/// An upload whose temporary is about to be made.
struct Beginning {
    folder: Arc<Folder>,
    birth: Birth,
    length: Option<u64>,
    room: Room,
    commit: Commit,
    verification: Verification,
    limit_bytes: u64,
}

impl Beginning {
    fn begin(self: Box<Self>) -> Result<Receive, Refusal> {
        let Self { folder, birth, length, mut room, commit, verification, limit_bytes } = *self;
        let temporary = birth.create(&folder).map_err(|error| write_refusal(&error))?;
        // The first stretch only: a client that announces much and sends nothing must not have much.
        room.secure(temporary.file(), length.unwrap_or(0).min(1))?;
        let sink = Box::new(Sink { temporary, commit, room, verification, stored_bytes: 0 });
        Ok(Receive { sink, limit_bytes, interim: None })
    }
}

impl Work for Beginning {
    fn advance(self: Box<Self>) -> Worked {
        self.begin().map_or_else(|refusal| Worked::Done(Err(refusal)), Worked::Ready)
    }
}

/// Takes a large content. Dropped before its end, it takes the temporary with it.
struct Sink {
    temporary: Temporary,
    commit: Commit,
    room: Room,
    verification: Verification,
    stored_bytes: u64,
}

impl BodySink for Sink {
    fn may_block(&self) -> bool {
        !self.temporary.folder().is_in_memory()
    }

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
        let Self { temporary, commit, mut verification, stored_bytes, .. } = *self;
        let claimed = verification.claim(trailers);
        // The temporary is removed on a helper thread, too.
        if let Err(refusal) = claimed {
            return Finish::Job(give_up(temporary, refusal));
        }
        let then = move |temporary, digest: Result<_, Refusal>| match digest {
            Ok(digest) => commit_later(commit, Content::Written(temporary, stored_bytes), digest),
            Err(refusal) => give_up(temporary, refusal),
        };
        ReadBack::begin(temporary, stored_bytes, verification, Box::new(then))
    }
}

fn commit_later(commit: Commit, content: Content, digest: Option<Digest>) -> Job {
    Box::new(move || store(commit, content, digest, Commit::run))
}

fn give_up(temporary: Temporary, refusal: Refusal) -> Job {
    Box::new(move || {
        drop(temporary);
        Worked::Done(Err(refusal))
    })
}
