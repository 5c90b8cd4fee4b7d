//! The end of a request that brought content: its digests are checked, its offset is told; and the last one makes the
//! file, by the same commit as every upload.
//! Process: worker, sealed; on helper threads, digests a piece at a time. Blocks: as the disk does.
//! Fails with: 400, and as `commit`. What fails with 503 or 507 can be tried again, for others make room; all else ends
//! the upload, for the client would get the same answer once more.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::id::Kind;
use super::offset::acknowledge;
use super::part::Part;
use super::record::MODE;
use super::sink::{Intent, inconsistent};
use crate::content::birth::give_group;
use crate::content::checks::{Check, Checked, mismatch};
use crate::content::commit::{Content, write_refusal};
use crate::content::error;
use crate::content::temporary::Temporary;
use crate::message::{
    Digest, FieldName, Finish, Job, PIECE_BYTES, Refusal, Response, Status, Value, Work, Worked, boolean_text,
};
use crate::sys::file;

/// How much is copied in one piece of work.
const COPIED_BYTES: u64 = 1024 * 1024;

/// A request whose content is there.
pub(super) struct Finishing {
    part: Part,
    intent: Intent,
    /// Where its content began.
    start: u64,
    /// Digests to be made, the next one first.
    checks: std::collections::VecDeque<Check>,
    /// The last digest that was made; of the whole, if one was wanted.
    digest: Option<Digest>,
    copying: Option<Temporary>,
    copied: u64,
    buf: Vec<u8>,
}

impl Finishing {
    /// Begins. `claimed`: could everything be read that was said of digests?
    pub(super) fn begin(part: Part, intent: Intent, start: u64, claimed: Result<(), Refusal>) -> Finish {
        if let Err(refusal) = claimed {
            return Finish::Job(Box::new(move || Worked::Done(Err(cut_back(part, start, refusal)))));
        }
        // One that is shorter than was told is refused at its end: nobody need digest the whole for that.
        let makes_file = intent.commit.is_some() && !part.is_short();
        let checks = intent.announced.checks(start..part.offset, &part.record, makes_file);
        let finishing = Box::new(Self {
            part,
            intent,
            start,
            checks: checks.into(),
            digest: None,
            copying: None,
            copied: 0,
            buf: Vec::new(),
        });
        let is_ready = finishing.checks.is_empty() && !finishing.must_copy().unwrap_or(true);
        if is_ready { Finish::Job(finishing.end()) } else { Finish::Work(finishing) }
    }

    /// Is there something to be left out of the file that shall be made?
    fn must_copy(&self) -> io::Result<bool> {
        if self.intent.commit.is_some() && !self.part.is_short() { self.part.has_excess() } else { Ok(false) }
    }

    fn check(mut self: Box<Self>, check: Check) -> Result<Worked, Refusal> {
        let failed = |error: io::Error| write_refusal(&error);
        // What writes need not be able to read.
        let name = self.part.place.id.name(Kind::Part);
        let file = file::open_entry(self.part.place.folder.as_fd(), name.as_bytes()).map_err(failed)?;
        match check.advance(&file, &mut self.buf).map_err(failed)? {
            Checked::More(check) => self.checks.push_front(check),
            Checked::Made(digest) => self.digest = Some(digest),
            Checked::Wrong(claim, got) => return Ok(self.refuse(&claim, &got)),
        }
        Ok(Worked::More(self))
    }

    fn refuse(self: Box<Self>, claim: &crate::message::Claim, got: &Digest) -> Worked {
        let Self { part, mut intent, start, .. } = *self;
        if claim.field == FieldName::ContentDigest {
            let refusal = mismatch(claim, got, "It was not appended.");
            return Worked::Block(Box::new(move || Worked::Done(Err(cut_back(part, start, refusal)))));
        }
        let refusal = mismatch(claim, got, "Nothing was stored, and the upload is given up.");
        Worked::Block(Box::new(move || {
            intent.charge.give_back(&part.place);
            part.place.sync_removal();
            Worked::Done(Ok(over(error(&refusal, intent.error_form))))
        }))
    }

    /// A part that is longer than what counts of it becomes one that is not. No worker may cut a file off (a log could
    /// be emptied that way), so it is copied; this happens once in an upload, whatever its client does.
    fn copy(mut self: Box<Self>) -> io::Result<Worked> {
        let folder = &self.part.place.folder;
        let temporary = match self.copying.take() {
            Some(temporary) => temporary,
            None => Temporary::create(folder.clone(), MODE)?,
        };
        let name = self.part.place.id.name(Kind::Part);
        let source = file::open_entry(folder.as_fd(), name.as_bytes())?;
        let end = self.part.offset.min(self.copied + COPIED_BYTES);
        while self.copied < end {
            let count = usize::try_from(end - self.copied).unwrap_or(usize::MAX).min(PIECE_BYTES);
            self.buf.resize(count, 0);
            source.read_exact_at(&mut self.buf, self.copied)?;
            temporary.file().write_all_at(&self.buf, self.copied)?;
            self.copied += count as u64;
        }
        if self.copied < self.part.offset {
            self.copying = Some(temporary);
            return Ok(Worked::More(self));
        }
        Ok(Worked::Block(Box::new(move || match self.install(temporary) {
            Ok(installed) => installed.end_now(),
            Err(error) => Worked::Done(Err(write_refusal(&error))),
        })))
    }

    /// Puts the copy in the place of the part, whose lock it has from its birth.
    fn install(mut self: Box<Self>, mut temporary: Temporary) -> io::Result<Box<Self>> {
        let file: File = temporary.file().try_clone()?;
        if self.part.place.durability == crate::config::Durability::Full {
            file.sync_all()?;
        }
        temporary.replace(self.part.place.id.name(Kind::Part).as_bytes())?;
        self.part.file = file;
        Ok(self)
    }

    fn end(self: Box<Self>) -> Job {
        Box::new(move || self.end_now())
    }

    fn end_now(mut self: Box<Self>) -> Worked {
        if self.intent.commit.is_none() {
            return match self.intent.charge.settle(&mut self.part) {
                Ok(None) => Worked::Done(self.acknowledge()),
                Ok(Some(pause)) => Worked::Later(pause, self.end()),
                Err(refusal) => Worked::Done(Err(refusal)),
            };
        }
        self.complete().unwrap_or_else(|refusal| Worked::Done(Err(refusal)))
    }

    /// More will come: tells how far the upload is.
    fn acknowledge(self: Box<Self>) -> Result<Response, Refusal> {
        let Self { mut part, intent, .. } = *self;
        acknowledge(&part)?;
        if part.record.counted.is_some() {
            let failed = |error: io::Error| write_refusal(&error);
            part.record.counted = part.has_excess().map_err(failed)?.then_some(part.offset);
            part.write_record().map_err(failed)?;
        }
        let response = match intent.address {
            Some(address) => Response::new(Status::CREATED).with_field(FieldName::Location, address),
            None => Response::new(Status::NO_CONTENT),
        };
        Ok(response
            .with_field(FieldName::UploadComplete, boolean_text(false))
            .with_field(FieldName::UploadOffset, Value::Number(part.offset))
            .with_field(FieldName::UploadLimit, intent.limit.to_string())
            .with_field(FieldName::CacheControl, "no-store"))
    }

    /// That was the last of it: makes the file.
    fn complete(self: Box<Self>) -> Result<Worked, Refusal> {
        let Self { mut part, intent, digest, .. } = *self;
        let failed = |error: io::Error| write_refusal(&error);
        if part.is_short() {
            acknowledge(&part)?;
            return Err(inconsistent("The upload is shorter than the length that was told for it."));
        }
        let Some(mut commit) = intent.commit else { return Err(Refusal::not_found()) };
        (commit.quotas, commit.counted_bytes) = intent.charge.into_parts();
        // From here on the upload is complete if its content has its name no more.
        part.record.complete(part.offset);
        part.write_record().map_err(failed)?;
        file::set_mode(&part.file, intent.birth.mode).map_err(failed)?;
        give_group(&part.file, intent.birth.group).map_err(failed)?;
        let bytes = part.offset;
        let Part { place, file, .. } = part;
        let content = Temporary::adopt(place.folder.clone(), place.id.name(Kind::Part), file);
        let then = move |answer: Result<Response, Refusal>| match answer {
            Ok(mut response) => {
                if let Some(digest) = digest {
                    response.fields.push(FieldName::ReprDigest, digest.field_value());
                }
                Ok(over(response))
            }
            Err(refusal) if matches!(refusal.status, Status::SERVICE_UNAVAILABLE | Status::INSUFFICIENT_STORAGE) => {
                Err(refusal)
            }
            Err(refusal) => {
                place.remove();
                Ok(over(error(&refusal, intent.error_form)))
            }
        };
        Ok(commit.run(Content::Written(content, bytes), Box::new(then)))
    }
}

impl Work for Finishing {
    fn advance(mut self: Box<Self>) -> Worked {
        if let Some(check) = self.checks.pop_front() {
            return self.check(check).unwrap_or_else(|refusal| Worked::Done(Err(refusal)));
        }
        if !self.must_copy().unwrap_or(false) {
            return Worked::Block(self.end());
        }
        self.copy().unwrap_or_else(|error| Worked::Done(Err(write_refusal(&error))))
    }
}

/// Content that must not count: the upload ends again where it ended before.
fn cut_back(mut part: Part, start: u64, refusal: Refusal) -> Refusal {
    part.offset = start;
    part.record.counted = Some(start);
    match part.sync().and_then(|()| part.write_record()) {
        Ok(()) => refusal,
        Err(error) => {
            part.remove();
            write_refusal(&error)
        }
    }
}

/// The answer of the resource itself: nothing is to be resumed.
fn over(response: Response) -> Response {
    response.with_field(FieldName::UploadComplete, boolean_text(true))
}
