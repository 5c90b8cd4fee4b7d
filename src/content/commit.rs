//! The steps that make a content the file of its target: sync, lock, compare, rename, sync the folder; then the answer.
//! Process: worker, sealed; on a helper thread, but for what can't block. Fails with: 403, 404, 409, 412, 500, 503, 507.
//! What was decided before the content came is decided again here, under the lock of the folder.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::Context;
use super::attributes::Old;
use super::birth::{Birth, give_group, give_time};
use super::files::tag_of;
use super::folder::Folder;
use super::folders::Ancestors;
use super::locks::{Held, Locks};
use super::page::link;
use super::quota::Quotas;
use super::served::{refuse_exhausted, tell_operator};
use super::syncs::FolderSyncs;
use super::target::{Rules, current, split};
use super::temporary::Temporary;
use crate::config::Durability;
use crate::log::{Level, Logs};
use crate::message::{FieldName, Refusal, Response, Status, Value, Worked};
use crate::sys::attributes;
use crate::sys::failure::WriteFailure;
use crate::sys::file::{self, Identity};

/// A file that is larger is not given up in the event loop: its pages take their time, also where there is no disk.
const QUICKLY_GIVEN_UP_BYTES: u64 = 1 << 20;

/// The refusal for a failed write, the same wherever it fails.
pub(super) fn write_refusal(error: &io::Error) -> Refusal {
    let (status, detail) = match WriteFailure::of(error) {
        WriteFailure::Exhausted => return refuse_exhausted().because_of(error),
        WriteFailure::NoRoom => (Status::INSUFFICIENT_STORAGE, "There is not enough room for this file."),
        WriteFailure::TooLarge => {
            return Refusal::new(Status::CONTENT_TOO_LARGE, "The file system takes no file of this size.");
        }
        WriteFailure::Forbidden => (Status::FORBIDDEN, "The server has no right to write here."),
        // Both only in a race: somebody else made, removed or moved what was looked at a moment ago.
        WriteFailure::Taken => {
            return Refusal::new(Status::PRECONDITION_FAILED, "Somebody else has just made this file.");
        }
        WriteFailure::Absent => {
            return Refusal::new(Status::CONFLICT, "The folder of this file does not exist any more.");
        }
        WriteFailure::Broken => (Status::INTERNAL_SERVER_ERROR, "The file could not be stored."),
    };
    Refusal::new(status, detail).because_of(error)
}

/// The refusal where the change of the file at this path was made, but could not be brought to stable storage. What was
/// there before is gone, and the operator has a disk that fails.
pub(super) fn unsynced_refusal(logs: &Logs, path: &[u8], detail: &'static str) -> impl FnOnce(io::Error) -> Refusal {
    move |error| {
        let shown = link(path);
        logs.error(Level::Error, format_args!("can't sync the folder of {shown}: {error}"));
        Refusal::new(Status::INTERNAL_SERVER_ERROR, detail)
    }
}

/// A complete content that is to have a name.
pub(super) enum Content {
    /// It is in a file, with so many bytes.
    Written(Temporary, u64),
    /// It is small, and not in a file yet.
    Small(Arc<Folder>, Birth, Vec<u8>),
}

impl Content {
    fn folder(&self) -> &Arc<Folder> {
        match self {
            Self::Written(temporary, _) => temporary.folder(),
            Self::Small(folder, ..) => folder,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Written(_, bytes) => *bytes,
            Self::Small(_, _, content) => content.len() as u64,
        }
    }
}

/// What is done with the answer before it is given.
pub(super) type Then = Box<dyn FnOnce(Result<Response, Refusal>) -> Result<Response, Refusal> + Send>;

/// What makes a complete content the target.
pub(super) struct Commit {
    /// The target's path, decoded.
    path: Vec<u8>,
    durability: Durability,
    pub(super) rules: Rules,
    pub(super) quotas: Quotas,
    /// So much of the content is in their sums already: what came of an upload in several requests.
    pub(super) counted_bytes: u64,
    /// The folders above the target's, where somebody may just have made them.
    ancestors: Option<Ancestors>,
    syncs: FolderSyncs,
    logs: Logs,
    /// Does the event loop wait for it? Then nothing of it may take long.
    is_in_loop: bool,
}

impl Commit {
    /// What will make the file at this decoded path.
    pub(super) fn of(ctx: &Context<'_>, path: &[u8], rules: Rules) -> Result<Self, Refusal> {
        Ok(Self { quotas: Quotas::of(ctx, path)?, ..Self::without_quotas(ctx, path, rules)? })
    }

    /// The same where the folder is not there yet; the quotas are filled in when it is.
    pub(super) fn without_quotas(ctx: &Context<'_>, path: &[u8], rules: Rules) -> Result<Self, Refusal> {
        let (folder_path, _) = split(path)?;
        let durability = ctx.config.uploads.durability;
        Ok(Self {
            path: path.to_vec(),
            durability,
            rules,
            quotas: Quotas::default(),
            counted_bytes: 0,
            ancestors: if durability == Durability::Full { Ancestors::of(ctx, folder_path)? } else { None },
            syncs: ctx.syncs.clone(),
            logs: ctx.logs.clone(),
            is_in_loop: false,
        })
    }

    /// The target's name in its folder.
    fn name(&self) -> &[u8] {
        split(&self.path).map_or(&[], |(_, name)| name)
    }

    /// Can all be done at once, without waiting for anything: is there neither a disk nor a sum to be kept?
    pub(super) fn is_quick(&self, folder: &Folder) -> bool {
        self.durability == Durability::None && self.quotas.is_empty() && folder.is_in_memory()
    }

    /// The same as `run`, in the event loop: for what `is_quick`.
    pub(super) fn run_in_loop(self, content: Content, then: Then) -> Worked {
        Self { is_in_loop: true, ..self }.run(content, then)
    }

    /// Sync, lock, compare, rename, sync the folder; then, and only then, the answer.
    pub(super) fn run(mut self, content: Content, then: Then) -> Worked {
        let prepared = match self.prepare(content) {
            Ok(prepared) => prepared,
            Err(refusal) => return Worked::Done(then(Err(self.told(refusal)))),
        };
        let locks = Locks::new(prepared.content.folder().clone(), std::mem::take(&mut self.quotas));
        locks.change(Box::new(move |held| match held {
            Ok(held) => self.install(prepared, held, then),
            Err(refusal) => Worked::Done(then(Err(self.told(refusal)))),
        }))
    }

    /// Everything that can be done before anybody has to be kept out.
    fn prepare(&self, content: Content) -> Result<Prepared, Refusal> {
        let failed = |error: io::Error| write_refusal(&error);
        // What nobody waits for to be stored, and what no disk has to take, is written faster under the lock than it is kept
        // from a sweep.
        if matches!(content, Content::Small(..))
            && self.durability == Durability::None
            && content.folder().is_in_memory()
        {
            return Ok(Prepared { content, seen: None });
        }
        // No disk has to work for what may not be.
        let seen = current(content.folder(), self.name())?;
        self.rules.decide(seen.as_ref())?;
        let freed = seen.map_or(0, |seen| seen.size).saturating_add(self.counted_bytes);
        self.quotas.check(content.bytes().saturating_sub(freed))?;
        let (temporary, bytes) = match content {
            Content::Written(temporary, bytes) => (temporary, bytes),
            Content::Small(folder, birth, bytes) => {
                let temporary = birth.create(&folder).map_err(failed)?;
                temporary.file().write_all(&bytes).map_err(failed)?;
                (temporary, bytes.len() as u64)
            }
        };
        give_time(&temporary);
        self.keep_attributes(&temporary, seen.as_ref()).map_err(failed)?;
        self.sync_file(&temporary).map_err(failed)?;
        Ok(Prepared { content: Content::Written(temporary, bytes), seen })
    }

    /// Under the locks: may it be done, and can it be done here?
    fn install(self, prepared: Prepared, held: Held<'_>, then: Then) -> Worked {
        let decided = current(held.lock.folder(), self.name())
            .and_then(|before| self.rules.decide(before.as_ref()).map(|()| before));
        match decided {
            Ok(Some(before)) if self.is_in_loop && before.size > QUICKLY_GIVEN_UP_BYTES => {
                drop(held);
                let elsewhere = Self { is_in_loop: false, ..self };
                Worked::Block(Box::new(move || elsewhere.run(prepared.content, then)))
            }
            Ok(before) => {
                let replaced = self.replace(prepared, before, held);
                Worked::Done(then(replaced.map_err(|refusal| self.told(refusal))))
            }
            Err(refusal) => {
                // A large content is given up without anybody waiting for it.
                drop(held);
                Worked::Done(then(Err(self.told(refusal))))
            }
        }
    }

    /// A refusal of which the operator has heard, if it is his affair.
    fn told(&self, refusal: Refusal) -> Refusal {
        tell_operator(&self.logs, Some(&self.path), &refusal);
        Refusal { os_error: None, ..refusal }
    }

    /// The rename, and what must be known of the file before another one takes its place.
    fn replace(&self, prepared: Prepared, before: Option<Identity>, held: Held<'_>) -> Result<Response, Refusal> {
        let failed = |error: io::Error| write_refusal(&error);
        let (bytes, is_written) = (prepared.content.bytes(), matches!(prepared.content, Content::Written(..)));
        // Declared before the locks, so that it is dropped behind them: to give up a large one takes its time.
        let mut temporary;
        let Held { lock, mut ledgers } = held;
        temporary = match prepared.content {
            Content::Written(temporary, _) => temporary,
            Content::Small(folder, birth, bytes) => {
                self.write(folder, birth, &bytes, before.as_ref()).map_err(failed)?
            }
        };
        // Somebody else's update, or a change of permissions, came in between. What was just written has seen it.
        if is_written && before != prepared.seen {
            self.keep_attributes(&temporary, before.as_ref())
                .and_then(|()| self.sync_file(&temporary))
                .map_err(failed)?;
        }
        let replaced_bytes = before.map_or(0, |before| before.size).saturating_add(self.counted_bytes);
        ledgers.charge(replaced_bytes, bytes)?;
        match before {
            Some(_) => temporary.replace(self.name()),
            None => temporary.install_new(self.name()),
        }
        .inspect_err(|_| ledgers.refund(bytes, replaced_bytes))
        .map_err(failed)?;
        ledgers.refund(replaced_bytes, bytes);
        // The rename has changed the inode's times, so they are asked for now; the next update would change them again.
        let identity = file::identity(temporary.file()).map_err(failed)?;
        let etag = tag_of(&identity);
        // Asked behind the rename: from now on whoever gives it one changes its time.
        if let Some(bare) = temporary.folder().bare().filter(|_| attributes::has_none(temporary.file())) {
            bare.note(&identity);
        }
        // The others need not wait for the disk: a sync serves all who have renamed before it.
        drop((lock, ledgers));
        let detail =
            "The new content of this file is there, but the disk has not confirmed it: a crash may take it back.";
        self.sync_folders(temporary.folder())
            .map_err(unsynced_refusal(&self.logs, &self.path, detail))
            .map_err(|refusal| refusal.with_field(FieldName::ETag, Value::Tag(etag)))?;
        let mut response = match before {
            Some(_) => Response::new(Status::NO_CONTENT),
            None => Response::new(Status::CREATED).with_field(FieldName::Location, link(&self.path)),
        };
        response.validators.etag = Some(etag);
        Ok(response)
    }

    /// Puts a small content into a file that lacks nothing but its name.
    fn write(
        &self,
        folder: Arc<Folder>,
        birth: Birth,
        bytes: &[u8],
        before: Option<&Identity>,
    ) -> io::Result<Temporary> {
        let mode = before.map_or(birth.mode, |before| before.mode & 0o777);
        let temporary = Temporary::create_under_lock(folder, mode)?;
        give_group(temporary.file(), birth.group)?;
        temporary.file().write_all(bytes)?;
        let now = file::identity(temporary.file())?;
        // Where change times tell all changes, that was asked for one, so the rename gives it another, and the two times of
        // the file differ without a call.
        if temporary.folder().bare().is_none() {
            give_time(&temporary);
        }
        if let Some(before) = before {
            self.old(temporary.folder(), before).keep(temporary.file(), &now)?;
        }
        Ok(temporary)
    }

    fn keep_attributes(&self, temporary: &Temporary, before: Option<&Identity>) -> io::Result<()> {
        let Some(before) = before else { return Ok(()) };
        self.old(temporary.folder(), before).keep(temporary.file(), &file::identity(temporary.file())?)
    }

    fn old<'o>(&'o self, folder: &'o Folder, identity: &'o Identity) -> Old<'o> {
        Old { folder, name: self.name(), identity, path: &self.path, logs: &self.logs }
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

/// A content that waits for the lock.
struct Prepared {
    content: Content,
    /// What had the target's name, and gave the new file what an update keeps.
    seen: Option<Identity>,
}
