//! Folders on the way to a new file: made where the configuration says so, and brought to stable storage with the file.
//! Process: worker, sealed; on helper threads, for both wait for the disk. Trusts: nothing. Fails with: 400, 403, 409, 507.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::Context;
use super::commit::write_refusal;
use super::folder::Folder;
use super::quota::{Quotas, WantedQuotas};
use super::syncs::FolderSyncs;
use super::target::no_folder;
use crate::message::{Refusal, Status, Work, Worked};
use crate::sys::failure::{OpenFailure, WriteFailure};
use crate::sys::file::{self, FileKind};

/// More than this for one file is no tree that somebody wants.
const MADE_AT_ONCE: usize = 32;
/// No folder is made deeper than this: what stands below it costs everybody who walks the tree.
const DEPTH_LIMIT: usize = 64;
/// `NAME_MAX` of every Linux file system.
pub(super) const NAME_LIMIT_BYTES: usize = 255;

/// The folder of a target that is not there, and that a helper thread will make.
pub(super) struct Making {
    root: OwnedFd,
    path: Vec<u8>,
    mode: u32,
    group: Option<u32>,
    /// The quotas that will hold in it: their folders may be missing, too.
    quotas: WantedQuotas,
}

/// What is done in a folder that was made.
type Then = Box<dyn FnOnce(Arc<Folder>, Quotas) -> Result<Worked, Refusal> + Send>;

impl Making {
    /// What will make the folder at this path.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub(super) fn of(ctx: &Context<'_>, path: &[u8]) -> Result<Self, Refusal> {
        let root = ctx.root.try_clone_to_owned().map_err(|error| write_refusal(&error))?;
        let mode = folder_mode(ctx.config.uploads.mode);
        let quotas = WantedQuotas::of(ctx, path);
        Ok(Self { root, path: path.to_vec(), mode, group: ctx.config.uploads.group, quotas })
    }

    /// The work that makes it and then does this in it.
    pub(super) fn before(
        self,
        then: impl FnOnce(Arc<Folder>, Quotas) -> Result<Worked, Refusal> + Send + 'static,
    ) -> Box<dyn Work> {
        Box::new(MakingFirst { making: self, then: Box::new(then) })
    }

    /// Makes every folder of the path that is not there, and opens the last. An upload that fails later leaves them: a
    /// neighbour may have found them by then.
    fn make(&self) -> Result<Arc<Folder>, Refusal> {
        let depth = prefixes(&self.path).count();
        if depth > DEPTH_LIMIT {
            let detail = format!("This file would lie {depth} folders deep; the limit is {DEPTH_LIMIT}.");
            return Err(Refusal::new(Status::BAD_REQUEST, detail));
        }
        // From the deepest up to the first that is there.
        let mut missing: Vec<&[u8]> = prefixes(&self.path).collect();
        let is_there = |prefix: &&[u8]| file::identity_beneath(self.root.as_fd(), prefix).is_ok();
        let there = missing.iter().rposition(is_there).map_or(0, |at| at + 1);
        missing.drain(..there);
        if missing.len() > MADE_AT_ONCE {
            let detail =
                format!("{} folders would have to be made for this file; the limit is {MADE_AT_ONCE}.", missing.len());
            return Err(Refusal::new(Status::CONFLICT, detail));
        }
        missing.into_iter().try_for_each(|path| self.make_one(path))?;
        self.open(&self.path)
    }

    fn make_one(&self, path: &[u8]) -> Result<(), Refusal> {
        let bare = path.strip_suffix(b"/").unwrap_or(path);
        let slash = memchr::memrchr(b'/', bare).map_or(0, |at| at + 1);
        let (parent, name) = bare.split_at(slash);
        if name.len() > NAME_LIMIT_BYTES {
            return Err(Refusal::new(Status::BAD_REQUEST, "The name of a folder is longer than 255 bytes."));
        }
        let parent = self.open(parent)?;
        match file::make_folder(parent.as_fd(), name, self.mode) {
            Ok(()) => self.give_group(path),
            // Another upload was quicker.
            Err(error) if WriteFailure::of(&error) == WriteFailure::Taken => Ok(()),
            Err(error) => Err(write_refusal(&error)),
        }
    }

    /// Opens a folder that was made, or that was there before: what else has its name is in the way.
    fn open(&self, path: &[u8]) -> Result<Arc<Folder>, Refusal> {
        Folder::open(self.root.as_fd(), path)
            .map_err(|refusal| if refusal.status == Status::NOT_FOUND { no_folder(true) } else { refusal })
    }

    fn give_group(&self, path: &[u8]) -> Result<(), Refusal> {
        let Some(group) = self.group else { return Ok(()) };
        let folder = self.open(path)?;
        file::set_owner(&*folder, None, Some(group)).map_err(|error| write_refusal(&error))
    }
}

/// A folder that must be made before anything else.
struct MakingFirst {
    making: Making,
    then: Then,
}

impl Work for MakingFirst {
    fn advance(self: Box<Self>) -> Worked {
        let Self { making, then } = *self;
        let made = making.make().and_then(|folder| Ok((folder, making.quotas.open(making.root.as_fd())?)));
        made.and_then(|(folder, quotas)| then(folder, quotas)).unwrap_or_else(|refusal| Worked::Done(Err(refusal)))
    }
}

/// Who may read the files of a folder may also go into it.
fn folder_mode(file_mode: u32) -> u32 {
    file_mode | (file_mode & 0o444) >> 2
}

/// `/a/b/` comes from `/`, and `/` itself is there: the path of each folder on the way, from the root down.
fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
    ends.filter_map(move |end| path.get(..end))
}

/// The folders above that of a target. Where folders are made, anybody may have made them just now.
pub(super) struct Ancestors {
    root: OwnedFd,
    /// Of the target's folder.
    path: Vec<u8>,
}

impl Ancestors {
    /// Those above the folder with this path; none where no folders are made.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub(super) fn of(ctx: &Context<'_>, path: &[u8]) -> Result<Option<Self>, Refusal> {
        if !ctx.config.uploads.make_folders || path == b"/" {
            return Ok(None);
        }
        let root = ctx.root.try_clone_to_owned().map_err(|error| write_refusal(&error))?;
        Ok(Some(Self { root, path: path.to_vec() }))
    }

    /// Brings the entry of each folder on the way to stable storage: it stands in the folder above.
    pub(super) fn sync(&self, syncs: &FolderSyncs) -> io::Result<()> {
        let above = std::iter::once(&b"/"[..]).chain(prefixes(&self.path).filter(|prefix| *prefix != self.path));
        // Nobody has made one deeper than that here.
        for path in above.take(DEPTH_LIMIT) {
            let folder = match file::open_beneath(self.root.as_fd(), path) {
                Ok(folder) => folder,
                // One that may be entered but not read is older than this server's work in it, and the file is stored:
                // only a sync that fails may say otherwise.
                Err(error) if matches!(OpenFailure::of(&error), OpenFailure::Forbidden | OpenFailure::Absent) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if file::identity(&folder)?.kind == FileKind::Directory {
                syncs.sync(&folder)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_down_folder_by_folder() {
        let of = |path: &'static str| prefixes(path.as_bytes()).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(of("/a/bc/"), [b"/a/".to_vec(), b"/a/bc/".to_vec()]);
        assert_eq!(of("/").len(), 0);
    }

    #[test]
    fn a_folder_may_be_entered_by_whom_it_may_be_read() {
        for (file, folder) in [(0o644, 0o755), (0o640, 0o750), (0o600, 0o700), (0o664, 0o775)] {
            assert_eq!(folder_mode(file), folder, "{file:o}");
        }
    }
}
