//! The content of one request on its way to the end of an upload. What has come stays, however the request ends.
//! Process: worker, sealed. Trusts: nothing. Blocks: as write(2) does. Fails with: 400, 409, 413, 503, 507.

use super::charge::Charge;
use super::digests::Announced;
use super::finish::Finishing;
use super::offset::acknowledge;
use super::part::Part;
use super::progress::{Progress, version_for_interim};
use crate::content::birth::Birth;
use crate::content::commit::{Commit, write_refusal};
use crate::content::quota::Quotas;
use crate::content::room::Room;
use crate::content::{Context, ErrorForm};
use crate::message::{BodySink, FieldName, Fields, Finish, Interim, Problem, Refusal, Request, Status, UploadLimit};

/// What a request wants, as far as it must be known when its content is there.
pub(super) struct Intent {
    /// What makes a file of the whole, if the content is the last of it.
    pub(super) commit: Option<Commit>,
    /// The address of the upload, if the request began it.
    pub(super) address: Option<String>,
    /// Its share in the quotas.
    pub(super) charge: Charge,
    /// The iteration of the draft in which it is told how far it is.
    pub(super) version: Option<u64>,
    pub(super) announced: Announced,
    pub(super) limit: UploadLimit,
    pub(super) error_form: ErrorForm,
    pub(super) birth: Birth,
}

impl Intent {
    /// That of a request to an upload that has begun.
    ///
    /// # Errors
    /// When a folder with a quota can't be opened.
    pub(super) fn of(
        ctx: &Context<'_>,
        request: &Request<'_>,
        mut commit: Option<Commit>,
        announced: Announced,
        limit: UploadLimit,
    ) -> Result<Self, Refusal> {
        let (error_form, birth, version) =
            (ErrorForm::of(request.fields), Birth::of(ctx), version_for_interim(request));
        // The commit gets them back at the end.
        let quotas = match &mut commit {
            Some(commit) => std::mem::take(&mut commit.quotas),
            None => Quotas::of(ctx, &request.path)?,
        };
        let charge = Charge::new(quotas, 0);
        Ok(Self { commit, address: None, charge, version, announced, limit, error_form, birth })
    }
}

/// Takes the content.
pub(super) struct Sink {
    part: Part,
    intent: Intent,
    room: Room,
    progress: Progress,
    /// Where the content of this request began.
    start: u64,
}

impl Sink {
    /// For content that belongs at the end of this upload.
    pub(super) fn new(part: Part, intent: Intent, room: Room) -> Box<Self> {
        let start = part.offset;
        let progress = Progress::new(intent.version, start);
        Box::new(Self { part, intent, room, progress, start })
    }
}

impl BodySink for Sink {
    fn may_block(&self) -> bool {
        // To keep a sum may mean to count it.
        !self.part.place.folder.is_in_memory() || self.intent.charge.is_kept()
    }

    fn keeps_what_has_come(&self) -> bool {
        true
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        if self.is_superseded() {
            return Err(Refusal::closing(Status::CONFLICT, "A later request has taken the place of this one."));
        }
        let end = self.part.offset.saturating_add(chunk.len() as u64);
        if self.part.record.length.is_some_and(|length| end > length) {
            // Which of the two the client meant can't be known: the upload is over (draft section 4.4.2).
            self.intent.charge.give_back(&self.part.place);
            let detail = "The content goes beyond the length that was told for this upload, which is given up.";
            return Err(inconsistent(detail));
        }
        check_size(&self.intent.limit, self.start, end)?;
        self.room.secure(&self.part.file, end - self.start)?;
        let flight = self.intent.charge.cover(end, &mut self.part)?;
        self.part.append(chunk).map_err(|error| write_refusal(&error))?;
        drop(flight);
        if self.progress.is_due(end) {
            acknowledge(&self.part)?;
            self.progress.note(end);
        }
        Ok(())
    }

    fn interim(&mut self) -> Option<Box<Interim>> {
        self.progress.interim()
    }

    fn wants_trailers(&self) -> bool {
        true
    }

    fn is_superseded(&self) -> bool {
        self.part.is_wanted()
    }

    fn finish(self: Box<Self>, trailers: &Fields<'_>) -> Finish {
        let Self { part, mut intent, start, .. } = *self;
        let claimed = intent.announced.claim(trailers);
        Finishing::begin(part, intent, start, claimed)
    }
}

/// 400 for lengths that do not agree.
pub(super) fn inconsistent(detail: &'static str) -> Refusal {
    Refusal::new(Status::BAD_REQUEST, detail).of_kind(Problem::InconsistentUploadLength)
}

/// May an upload that ended at `start` go on up to `end`, within one request?
///
/// # Errors
/// 413, with the limits (draft section 4.1.4).
pub(super) fn check_size(limit: &UploadLimit, start: u64, end: u64) -> Result<(), Refusal> {
    let detail = if end > limit.most_bytes {
        format!("An upload may have {} bytes here.", limit.most_bytes)
    } else if end - start > limit.most_append_bytes {
        format!("One request may bring {} bytes here; the rest can be appended.", limit.most_append_bytes)
    } else {
        return Ok(());
    };
    Err(with_limit(Refusal::new(Status::CONTENT_TOO_LARGE, detail), limit))
}

/// The same refusal, and the limits that would have to be kept.
pub(super) fn with_limit(refusal: Refusal, limit: &UploadLimit) -> Refusal {
    refusal.with_field(FieldName::UploadLimit, limit.to_string().into())
}
