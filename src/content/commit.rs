//! Changing a folder: what decides whether a target may be changed, and the steps that change it.
//! Process: worker, sealed; `Commit::run` on a helper thread. Fails with: 403, 404, 409, 412, 500, 503, 507.
//! What is decided before the content comes is decided again at commit, under the lock of the folder.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};

use super::files::tag_of;
use super::folders::{self, Ancestors, NAME_LIMIT_BYTES};
use super::page::link;
use super::quota::Quotas;
use super::served::refuse_exhausted;
use super::syncs::FolderSyncs;
use super::temporary::Temporary;
use super::{Context, attributes, refuse_open};
use crate::config::{Durability, Verb, Verbs};
use crate::log::Logs;
use crate::message::{
    FieldName, HttpDate, Method, Preconditions, Refusal, Response, Status, Validators, Value, Verdict,
};
use crate::sys::failure::{OpenFailure, WriteFailure};
use crate::sys::file::{self, FileKind, Identity};

/// The folder and the last name of a path.
pub(super) fn split(path: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let slash = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
    let (folder, name) = path.split_at(slash.min(path.len()));
    if name.is_empty() {
        return Err(Refusal::new(Status::CONFLICT, "This is a folder: add the name of the file to the address."));
    }
    if name.len() > NAME_LIMIT_BYTES {
        return Err(Refusal::new(Status::BAD_REQUEST, "The name of the file is longer than 255 bytes."));
    }
    Ok((folder, name))
}

/// Opens the folder of a target that is to be changed. Where there is none, there is no target.
pub(super) fn open_folder(ctx: &Context<'_>, path: &[u8]) -> Result<File, Refusal> {
    let folder = file::open_beneath(ctx.root, path).map_err(|error| refuse_open(&error))?;
    let kind = file::identity(&folder).map_err(|error| refuse_open(&error))?.kind;
    if kind == FileKind::Directory { Ok(folder) } else { Err(Refusal::not_found()) }
}

/// Opens the folder of a target that is to be uploaded; makes it where the configuration says so. What can't be created
/// without it is a conflict (RFC 9110 section 15.5.10).
pub(super) fn open_or_make_folder(ctx: &Context<'_>, path: &[u8], rules: &Rules) -> Result<File, Refusal> {
    match open_folder(ctx, path) {
        Err(refusal) if refusal.status == Status::NOT_FOUND => {
            rules.decide(None)?;
            if ctx.config.uploads.make_folders { folders::make(ctx, path) } else { Err(no_folder()) }
        }
        folder => folder,
    }
}

/// 409: the way to the target is not there, or leads through something that is no folder.
pub(super) fn no_folder() -> Refusal {
    Refusal::new(Status::CONFLICT, "The folder of this file does not exist.")
}

/// Gives a file the group of new ones, where they have one of their own.
pub(super) fn give_group(file: &File, group: Option<u32>) -> io::Result<()> {
    group.map_or(Ok(()), |group| file::set_owner(file, None, Some(group)))
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
    pub(super) fn decide(&self, current: Option<&Identity>) -> Result<(), Refusal> {
        if current.is_none() && self.method == Method::Post {
            return Err(Refusal::new(Status::NOT_FOUND, "POST updates a file that exists; PUT would create this one."));
        }
        let verb = if current.is_some() { Verb::Replace } else { Verb::Create };
        if !self.verbs.contains(verb) {
            let what = if current.is_some() { "Files may not be replaced here." } else { "No new files here." };
            return Err(Refusal::lacking(verb, what));
        }
        self.check_preconditions(current)
    }

    /// 412 with the current tag, so that the client can see what it would overwrite.
    pub(super) fn check_preconditions(&self, current: Option<&Identity>) -> Result<(), Refusal> {
        let validators = current.map(|identity| Validators {
            // Under the lock no upload is under way, so the tag says all there is to say: it is strong.
            etag: Some(tag_of(identity)),
            last_modified: Some(HttpDate::from_unix_seconds(identity.modified_seconds())),
        });
        match self.preconditions.evaluate(self.method, validators) {
            Verdict::Proceed => Ok(()),
            Verdict::NotModified | Verdict::Failed => {
                let detail = "The file is not in the state that the precondition names.";
                let refusal = Refusal::new(Status::PRECONDITION_FAILED, detail);
                Err(match current {
                    Some(identity) => refusal.with_field(FieldName::ETag, Value::Tag(tag_of(identity))),
                    None => refusal,
                })
            }
        }
    }
}

/// What makes a complete temporary the target.
pub(super) struct Commit {
    /// The target's name in its folder.
    pub(super) name: Vec<u8>,
    /// The target's address, for `Location`.
    pub(super) location: String,
    pub(super) durability: Durability,
    pub(super) rules: Rules,
    pub(super) quotas: Quotas,
    /// The folders above the target's, where somebody may just have made them.
    pub(super) ancestors: Option<Ancestors>,
    pub(super) syncs: FolderSyncs,
    pub(super) logs: Logs,
}

impl Commit {
    /// What will make the file at this decoded path.
    pub(super) fn of(ctx: &Context<'_>, path: &[u8], rules: Rules) -> Result<Self, Refusal> {
        let (folder_path, name) = split(path)?;
        Ok(Self {
            name: name.to_vec(),
            location: link(path),
            durability: ctx.config.uploads.durability,
            rules,
            quotas: Quotas::of(ctx, path)?,
            ancestors: Ancestors::of(ctx, folder_path)?,
            syncs: ctx.syncs.clone(),
            logs: ctx.logs.clone(),
        })
    }

    /// Sync, lock, compare, rename, sync the folder; then, and only then, the answer.
    pub(super) fn run(self, temporary: Temporary) -> Result<Response, Refusal> {
        let failed = |error: io::Error| write_refusal(&error);
        // A time of its own tells it from whatever the name stood for before, also within one tick of the file
        // system's clock: its tag is strong from the first moment. Where that can't be had, time will tell them apart.
        let _ = temporary.file().set_modified(SystemTime::now());
        let seen = current(temporary.folder(), &self.name)?;
        self.keep_attributes(&temporary, seen.as_ref()).map_err(failed)?;
        self.sync_file(&temporary).map_err(failed)?;
        let mut ledgers = self.quotas.lock()?;
        let lock = lock_folder(temporary.folder())?;
        let before = current(&lock, &self.name)?;
        self.rules.decide(before.as_ref())?;
        // Somebody else's update, or a change of permissions, came in between.
        if before != seen {
            self.keep_attributes(&temporary, before.as_ref()).map_err(failed)?;
            self.sync_file(&temporary).map_err(failed)?;
        }
        let (folder, stored) = (temporary.folder().clone(), temporary.file().try_clone().map_err(failed)?);
        let size = file::identity(&stored).map_err(failed)?.size;
        let replaced_size = before.map_or(0, |before| before.size);
        ledgers.charge(replaced_size, size)?;
        match before {
            Some(_) => temporary.replace(&self.name),
            None => temporary.install_new(&self.name),
        }
        .inspect_err(|_| ledgers.refund(size, replaced_size))
        .map_err(failed)?;
        ledgers.refund(replaced_size, size);
        // The rename has changed the inode's times, so they are asked for now; the next update would change them again.
        let etag = tag_of(&file::identity(&stored).map_err(failed)?);
        // The others need not wait for the disk: a sync serves all who have renamed before it.
        drop((lock, ledgers));
        self.sync_folders(&folder).map_err(failed)?;
        let mut response = match before {
            Some(_) => Response::new(Status::NO_CONTENT),
            None => Response::new(Status::CREATED).with_field(FieldName::Location, self.location),
        };
        response.validators.etag = Some(etag);
        Ok(response)
    }

    fn keep_attributes(&self, temporary: &Temporary, before: Option<&Identity>) -> io::Result<()> {
        let Some(before) = before else { return Ok(()) };
        attributes::keep(temporary.folder(), &self.name, before, temporary.file(), &self.location, &self.logs)
    }

    /// A sync that failed is never tried again: the kernel may have dropped the pages that it could not write.
    fn sync_file(&self, temporary: &Temporary) -> io::Result<()> {
        match self.durability {
            Durability::Full => temporary.file().sync_all(),
            Durability::None => Ok(()),
        }
    }

    fn sync_folders(&self, folder: &File) -> io::Result<()> {
        if self.durability == Durability::None {
            return Ok(());
        }
        self.syncs.sync(folder)?;
        self.sync_ancestors()
    }

    /// Brings the folders that were made on the way to stable storage.
    pub(super) fn sync_ancestors(&self) -> io::Result<()> {
        match self.durability {
            Durability::Full => self.ancestors.as_ref().map_or(Ok(()), |ancestors| ancestors.sync(&self.syncs)),
            Durability::None => Ok(()),
        }
    }
}

/// The lock of all commits in a folder, in every worker of every generation.
pub(super) fn lock_folder(folder: &File) -> Result<File, Refusal> {
    lock(file::reopen_folder(folder.as_fd()).map_err(|error| write_refusal(&error))?)
}

/// Locks a file or folder that was opened for this lock alone: flock(2) belongs to the open file, so it holds between
/// all workers and generations, and ends with whoever holds it. That is some milliseconds; somebody who holds it for
/// longer is no worker that is well, and must not take the helper threads with him.
pub(super) fn lock(file: File) -> Result<File, Refusal> {
    const LIMIT: Duration = Duration::from_secs(10);
    const LONGEST_PAUSE: Duration = Duration::from_millis(10);
    let begin = Instant::now();
    let mut pause = Duration::from_micros(50);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(write_refusal(&error)),
            Err(TryLockError::WouldBlock) if begin.elapsed() < LIMIT => std::thread::sleep(pause),
            Err(TryLockError::WouldBlock) => {
                let refusal = Refusal::new(Status::SERVICE_UNAVAILABLE, "The folder of this file is busy.");
                return Err(refusal.with_field(FieldName::RetryAfter, Value::Number(1)));
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
