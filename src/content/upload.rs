//! Provider `content_upload`: PUT creates or overwrites, POST updates what exists.
//! Process: worker, sealed; the commit runs on a helper thread. Fails with: 400, 403, 404, 409, 412, 413, 500, 507.
//! The content goes to a temporary beside its target and takes the target's name only when it is complete:
//! a reader sees the old file or the new one, whole.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::files::validators_of;
use super::page::link;
use super::served::refuse_exhausted;
use super::temporary::Temporary;
use super::{Context, Now, refuse_open};
use crate::config::{Durability, Verb, Verbs};
use crate::message::{
    BodySink, ETag, FieldName, Finish, Handled, Method, Preconditions, Provided, Receive, Refusal, Request, Response,
    Status, Validators, Value, Verdict,
};
use crate::sys::failure::{OpenFailure, WriteFailure};
use crate::sys::file::{self, FileKind, Identity};

/// Looks at everything that can be known before the content is sent, and makes the sink for it.
///
/// # Errors
/// Whatever would make the upload fail later: better before the client has sent a gigabyte.
#[doc(alias = "content_upload")]
pub fn upload(ctx: &mut Context<'_>, request: &Request<'_>) -> Provided {
    if request.fields.contains(FieldName::ContentRange) {
        let detail = "A part of a file can't be uploaded: send the whole without Content-Range.";
        return Err(Refusal::new(Status::BAD_REQUEST, detail));
    }
    let limit_bytes = ctx.config.limits.body_bytes;
    if request.framing.length().is_some_and(|length| length > limit_bytes) {
        return Err(Refusal::closing(Status::CONTENT_TOO_LARGE, format!("At most {limit_bytes} bytes are taken.")));
    }
    let (folder_path, name) = split(&request.path)?;
    let folder = open_folder(ctx, folder_path)?;
    let rules = Rules {
        method: request.method,
        verbs: ctx.config.access.verbs(&request.path),
        preconditions: Preconditions::of(request.fields),
    };
    rules.decide(current(&folder, name)?.as_ref(), ctx.now)?;
    let temporary =
        Temporary::create(Arc::new(folder), ctx.config.uploads.mode).map_err(|error| write_refusal(&error))?;
    if let Some(length) = request.framing.length() {
        file::reserve(temporary.file(), length).map_err(|error| write_refusal(&error))?;
    }
    let commit = Commit {
        name: name.to_vec(),
        location: link(&request.path),
        durability: ctx.config.uploads.durability,
        now: ctx.now,
        rules,
    };
    Ok(Handled::Receive(Receive { sink: Box::new(Sink { temporary, commit }), limit_bytes }))
}

/// The folder and the last name of a path.
pub(super) fn split(path: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let slash = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
    let (folder, name) = path.split_at(slash.min(path.len()));
    if name.is_empty() {
        return Err(Refusal::new(Status::CONFLICT, "This is a folder: add the name of the file to the address."));
    }
    // NAME_MAX of every Linux file system.
    if name.len() > 255 {
        return Err(Refusal::new(Status::BAD_REQUEST, "The name of the file is longer than 255 bytes."));
    }
    Ok((folder, name))
}

/// Opens the folder of a target that is to be changed.
pub(super) fn open_folder(ctx: &Context<'_>, path: &[u8]) -> Result<File, Refusal> {
    let no_folder = || Refusal::new(Status::CONFLICT, "The folder of this file does not exist.");
    let folder = file::open_beneath(ctx.root, path).map_err(|error| match OpenFailure::of(&error) {
        OpenFailure::Absent => no_folder(),
        OpenFailure::Forbidden | OpenFailure::Exhausted | OpenFailure::Broken => refuse_open(&error),
    })?;
    let kind = file::identity(&folder).map_err(|error| refuse_open(&error))?.kind;
    if kind == FileKind::Directory { Ok(folder) } else { Err(no_folder()) }
}

/// What has the target's name now. Only a regular file can be updated or removed.
pub(super) fn current(folder: &File, name: &[u8]) -> Result<Option<Identity>, Refusal> {
    match file::identity_of_entry(folder.as_fd(), name) {
        Ok(identity) if identity.kind == FileKind::Regular => Ok(Some(identity)),
        Ok(_) => Err(Refusal::new(Status::CONFLICT, "Something that is not a regular file has this name.")),
        Err(error) if OpenFailure::of(&error) == OpenFailure::Absent => Ok(None),
        Err(error) => Err(refuse_open(&error)),
    }
}

/// The refusal for a failed write, the same wherever it fails.
pub(super) fn write_refusal(error: &io::Error) -> Refusal {
    let (status, detail) = match WriteFailure::of(error) {
        WriteFailure::Exhausted => return refuse_exhausted(),
        WriteFailure::NoRoom => (Status::INSUFFICIENT_STORAGE, "There is not enough room for this file."),
        WriteFailure::TooLarge => (Status::CONTENT_TOO_LARGE, "The file system takes no file of this size."),
        WriteFailure::Forbidden => (Status::FORBIDDEN, "The server has no right to write here."),
        // Both only in a race: somebody else made, removed or moved what was looked at a moment ago.
        WriteFailure::Taken => (Status::PRECONDITION_FAILED, "Somebody else has just made this file."),
        WriteFailure::Absent => (Status::CONFLICT, "The folder of this file does not exist any more."),
        WriteFailure::Broken => (Status::INTERNAL_SERVER_ERROR, "The file could not be stored."),
    };
    Refusal::new(status, detail)
}

/// What decides whether a target may be changed: once before the content, and again at commit.
pub(super) struct Rules {
    pub(super) method: Method,
    pub(super) verbs: Verbs,
    pub(super) preconditions: Preconditions,
}

impl Rules {
    /// May the target, as it is now, be changed by this request?
    pub(super) fn decide(&self, current: Option<&Identity>, now: Now) -> Result<(), Refusal> {
        if current.is_none() && self.method == Method::Post {
            return Err(Refusal::new(Status::NOT_FOUND, "POST updates a file that exists; PUT would create this one."));
        }
        let verb = if current.is_some() { Verb::Replace } else { Verb::Create };
        if !self.verbs.contains(verb) {
            let what = if current.is_some() { "Files may not be replaced here." } else { "No new files here." };
            return Err(Refusal::new(Status::FORBIDDEN, what));
        }
        self.check_preconditions(current, now)
    }

    /// 412 with the current tag, so that the client can see what it would overwrite.
    pub(super) fn check_preconditions(&self, current: Option<&Identity>, now: Now) -> Result<(), Refusal> {
        // Under the lock no upload is under way, so the tag says all there is to say: as strong as it can be.
        let validators = current.map(|identity| {
            let now = validators_of(identity, now);
            Validators { etag: now.etag.map(ETag::strengthened), ..now }
        });
        match self.preconditions.evaluate(self.method, validators) {
            Verdict::Proceed => Ok(()),
            Verdict::NotModified | Verdict::Failed => {
                let refusal = Refusal::new(
                    Status::PRECONDITION_FAILED,
                    "The file is not in the state that the precondition names.",
                );
                Err(match validators.and_then(|validators| validators.etag) {
                    Some(etag) => refusal.with_field(FieldName::ETag, Value::Tag(etag)),
                    None => refusal,
                })
            }
        }
    }
}

/// Takes the content. Dropped before its end, it takes the temporary with it.
struct Sink {
    temporary: Temporary,
    commit: Commit,
}

impl BodySink for Sink {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        self.temporary.file().write_all(chunk).map_err(|error| write_refusal(&error))
    }

    fn finish(self: Box<Self>) -> Finish {
        let Self { temporary, commit } = *self;
        Finish::Job(Box::new(move || commit.run(temporary)))
    }
}

/// What makes a complete temporary the target.
struct Commit {
    name: Vec<u8>,
    location: String,
    durability: Durability,
    now: Now,
    rules: Rules,
}

impl Commit {
    /// Sync, lock, compare, rename, sync the folder; then, and only then, the answer.
    fn run(self, temporary: Temporary) -> Result<Response, Refusal> {
        let failed = |error: io::Error| write_refusal(&error);
        if self.durability == Durability::Full {
            // A failed fsync is never tried again: the kernel may have dropped the pages that it could not write.
            temporary.file().sync_all().map_err(failed)?;
        }
        let lock = lock_folder(temporary.folder())?;
        let before = current(&lock, &self.name)?;
        self.rules.decide(before.as_ref(), self.now)?;
        let stored = temporary.file().try_clone().map_err(failed)?;
        match before {
            Some(before) => {
                file::set_mode(&stored, before.mode & 0o777).map_err(failed)?;
                temporary.replace(&self.name).map_err(failed)?;
            }
            None => temporary.install_new(&self.name).map_err(failed)?,
        }
        if self.durability == Durability::Full {
            lock.sync_all().map_err(failed)?;
        }
        let validators = validators_of(&file::identity(&stored).map_err(failed)?, self.now);
        let status = if before.is_some() { Status::NO_CONTENT } else { Status::CREATED };
        let mut response = Response::new(status);
        if before.is_none() {
            response.fields.push(FieldName::Location, self.location);
        }
        // What fileserv stored has a new inode, so its tag is strong at once.
        response.validators.etag = validators.etag.map(ETag::strengthened);
        Ok(response)
    }
}

/// The lock of all commits in a folder, in every worker of every generation: flock(2) on a descriptor of its own.
pub(super) fn lock_folder(folder: &File) -> Result<File, Refusal> {
    let lock = file::reopen_folder(folder.as_fd()).map_err(|error| write_refusal(&error))?;
    lock.lock().map_err(|error| write_refusal(&error))?;
    Ok(lock)
}
