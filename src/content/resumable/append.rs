//! Going on with an upload (draft section 4.4): PATCH with `application/partial-upload`.
//! Process: worker, sealed; the upload is looked for on a helper thread. Fails with: 400, 404, 409, 413, 415, 503, 507.

use super::create::whole_length;
use super::digests::Announced;
use super::opening::{Opening, busy};
use super::part::{Found, Part};
use super::record::Record;
use super::sink::{Intent, Sink, check_size, inconsistent, with_limit};
use super::{UploadId, limit, place};
use crate::content::Context;
use crate::content::commit::{Commit, write_refusal};
use crate::content::room::Room;
use crate::content::target::Rules;
use crate::message::{
    FieldName, Handled, Method, PARTIAL_UPLOAD, Preconditions, Problem, Provided, Receive, Refusal, Request, Status,
    UploadState, Value, Worked,
};

/// Looks at what the request says of itself, and then at the upload.
pub(super) fn append(ctx: &Context<'_>, request: &Request<'_>, id: UploadId) -> Provided {
    check_media_type(request)?;
    let state = UploadState::of(request.fields);
    let missing = |field, what| {
        let detail = format!("{field} is missing, or is not {what}: an upload goes on only with it.");
        Refusal::new(Status::BAD_REQUEST, detail)
    };
    let offset = state.offset.ok_or_else(|| missing("Upload-Offset", "a whole number such as 0"))?;
    let is_last = state.is_complete.ok_or_else(|| missing("Upload-Complete", "?0 or ?1"))?;
    let content_bytes = request.framing.length();
    let limit = limit(ctx, &request.path);
    check_size(&limit, offset, offset.saturating_add(content_bytes.unwrap_or(0)))?;
    if !is_last && content_bytes.is_some_and(|bytes| bytes < limit.least_append_bytes) {
        let detail = format!("A request that is not the last must bring {} bytes.", limit.least_append_bytes);
        return Err(with_limit(Refusal::new(Status::BAD_REQUEST, detail), &limit));
    }
    let place = place(ctx, request, id)?;
    Room::check(&place.folder, content_bytes, ctx.config.uploads.min_free)?;
    let room = Room::check(&place.folder, None, ctx.config.uploads.min_free)?;
    let commit = if is_last { Some(commit(ctx, request)?) } else { None };
    let announced = Announced::of(request.fields, ctx.config.cache.digests > 0)?;
    let intent = Intent::of(ctx, request, commit, announced, limit)?;
    let appending = Appending { state, offset, is_last, content_bytes, intent, room };
    Ok(Handled::Prepare(Opening::new(place, move |found| match found {
        Found::Open(part) => appending.begin(part),
        Found::Complete(record, _) => Worked::Done(Err(appending.refuse_complete(&record))),
        Found::Busy => Worked::Done(Err(busy())),
    })))
}

/// Another type would be another way to change a file.
fn check_media_type(request: &Request<'_>) -> Result<(), Refusal> {
    let value = request.field(FieldName::ContentType).unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(PARTIAL_UPLOAD.as_bytes()) {
        return Ok(());
    }
    let detail = format!("What is appended to an upload has the Content-Type {PARTIAL_UPLOAD}.");
    let refusal = Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, detail);
    Err(refusal.with_field(FieldName::AcceptPatch, PARTIAL_UPLOAD.into()))
}

/// What will make a file of the upload. The verbs are those of this request: who lost a right meanwhile has lost it.
fn commit(ctx: &Context<'_>, request: &Request<'_>) -> Result<Commit, Refusal> {
    let verbs = ctx.site.access.verbs(&request.path, &request.visitor);
    // Method and preconditions are those of the request that began the upload.
    let rules = Rules { method: Method::Put, verbs, preconditions: Preconditions::default() };
    Commit::of(ctx, &request.path, rules)
}

/// A request that wants to go on.
struct Appending {
    state: UploadState,
    offset: u64,
    is_last: bool,
    content_bytes: Option<u64>,
    intent: Intent,
    room: Room,
}

impl Appending {
    fn begin(mut self, mut part: Part) -> Worked {
        self.intent.charge.go_on_from(part.charged);
        match self.check(&mut part) {
            Ok(()) => {
                let Self { mut intent, room, .. } = self;
                if let Some(commit) = &mut intent.commit {
                    commit.rules.method = part.record.method();
                    commit.rules.preconditions = part.record.preconditions();
                }
                let sink = Sink::new(part, intent, room);
                Worked::Ready(Receive { sink, limit_bytes: u64::MAX, interim: None })
            }
            Err(refusal) => Worked::Done(Err(refusal)),
        }
    }

    /// Does the content fit to the upload? A length that is new is remembered.
    fn check(&self, part: &mut Part) -> Result<(), Refusal> {
        if self.offset != part.offset {
            super::offset::acknowledge(part)?;
            return Err(mismatching_offset(part.offset, self.offset));
        }
        let known = part.record.length;
        let length = whole_length(&self.state, self.is_last, part.offset, self.content_bytes, known)?;
        check_size(&self.intent.limit, length.unwrap_or(0), length.unwrap_or(0))?;
        if length != known {
            part.record.length = length;
            part.write_record().map_err(|error| write_refusal(&error))?;
        }
        self.intent.charge.check(part.offset.saturating_add(self.content_bytes.unwrap_or(0)))
    }

    /// Draft section 4.4.2: more content contradicts the length; none at all comes too late.
    fn refuse_complete(&self, record: &Record) -> Refusal {
        if self.content_bytes == Some(0) {
            let detail = "This upload is complete: the file is stored.";
            return Refusal::new(Status::BAD_REQUEST, detail)
                .of_kind(Problem::CompletedUpload)
                .with_field(FieldName::UploadOffset, Value::Number(record.length.unwrap_or(0)));
        }
        inconsistent("This upload is complete: nothing can be appended to it.")
    }
}

fn mismatching_offset(expected: u64, provided: u64) -> Refusal {
    let detail = format!("The upload has {expected} bytes, but the content begins at {provided}.");
    Refusal::new(Status::CONFLICT, detail)
        .of_kind(Problem::MismatchingUploadOffset { expected, provided })
        .with_field(FieldName::UploadOffset, Value::Number(expected))
}
