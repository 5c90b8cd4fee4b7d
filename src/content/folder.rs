//! A folder in which targets are changed: open for as long as it is in use, and the lock of all commits in it.
//! Process: worker, sealed. Trusts: nothing of a path. Blocks: as opening a folder does. Fails with: 403, 404, 503.

use std::cell::{Cell, RefCell};
use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bare::Bare;
use super::refuse_open;
use crate::message::Refusal;
use crate::sys::file::{self, FileKind, Identity};

/// More than this are not kept open: each holds a descriptor.
const KEPT_FOLDERS: usize = 32;

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    file: File,
    /// Device and inode.
    place: (u64, u64),
    is_in_memory: bool,
    /// Its files without attributes, where change times tell all changes and the folder is kept open.
    bare: Option<Bare>,
    /// Does somebody in this worker have the lock? All of them share the open file to which flock(2) gives it.
    is_locked: AtomicBool,
}

impl Folder {
    /// Opens the folder at this path beneath a root.
    ///
    /// # Errors
    /// 404 for what is no folder.
    pub(super) fn open(root: BorrowedFd<'_>, path: &[u8]) -> Result<Arc<Self>, Refusal> {
        Self::open_with(root, path, false)
    }

    fn open_with(root: BorrowedFd<'_>, path: &[u8], stamps_tell: bool) -> Result<Arc<Self>, Refusal> {
        let file = file::open_beneath(root, path).map_err(|error| refuse_open(&error))?;
        Self::of(file, stamps_tell).map_err(|error| refuse_open(&error))?.ok_or_else(Refusal::not_found)
    }

    /// This open file; `None` if it is no folder.
    ///
    /// # Errors
    /// As fstat(2).
    pub(super) fn of(file: File, stamps_tell: bool) -> io::Result<Option<Arc<Self>>> {
        let identity = file::identity(&file)?;
        if identity.kind != FileKind::Directory {
            return Ok(None);
        }
        let (place, is_in_memory) = ((identity.device, identity.inode), file::is_in_memory(&file));
        let bare = (is_in_memory && stamps_tell).then(Bare::default);
        Ok(Some(Arc::new(Self { file, place, is_in_memory, bare, is_locked: AtomicBool::new(false) })))
    }

    /// Is it of a file system that has no disk to wait for?
    pub(super) fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }

    /// Its files without attributes; `None` where change times don't tell all changes, or where the folder is not kept open.
    /// Where they do, whoever asks for those of a file sees to it that its next change has another one.
    pub(super) fn bare(&self) -> Option<&Bare> {
        self.bare.as_ref()
    }

    /// Takes the lock of all commits in this folder, in every worker of every generation; `None` if somebody has it.
    /// flock(2) ends with its holder, however that ends.
    ///
    /// # Errors
    /// As flock(2).
    pub(super) fn try_lock(self: &Arc<Self>) -> io::Result<Option<FolderLock>> {
        if self.is_locked.swap(true, Ordering::Acquire) {
            return Ok(None);
        }
        match self.file.try_lock() {
            Ok(()) => Ok(Some(FolderLock(self.clone()))),
            Err(error) => {
                self.is_locked.store(false, Ordering::Release);
                match error {
                    TryLockError::WouldBlock => Ok(None),
                    TryLockError::Error(error) => Err(error),
                }
            }
        }
    }
}

/// An open folder is a file that can be locked for commits.
impl Deref for Folder {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The lock of all commits in a folder; given back when it is dropped.
pub(super) struct FolderLock(Arc<Folder>);

impl FolderLock {
    /// What is locked.
    pub(super) fn folder(&self) -> &Arc<Folder> {
        &self.0
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // It can fail only for a descriptor that is none.
        let _ = self.0.file.unlock();
        self.0.is_locked.store(false, Ordering::Release);
    }
}

/// The folders in which a worker has changed something in the last seconds, so that the next upload need not open its own
/// anew. Whether the path still leads there is asked for each request, but only once for those that have come before it is
/// asked: for each of them that is between its coming and its answer.
#[derive(Debug, Default)]
pub struct OpenFolders {
    kept: RefCell<Vec<Kept>>,
    /// How often something has come from clients.
    receipts: Cell<u64>,
    /// Do change times on a file system in memory tell every change?
    stamps_tell: bool,
}

#[derive(Debug)]
struct Kept {
    /// The root beneath which it was opened: those of a worker stay as they are.
    root: RawFd,
    path: Box<[u8]>,
    folder: Arc<Folder>,
    /// Behind which receipt the path was last seen to lead there.
    seen_behind: u64,
    /// Was it asked for since `forget_unused`?
    is_used: bool,
}

impl OpenFolders {
    /// None yet. `stamps_tell`: do change times on a file system in memory tell every change?
    #[must_use]
    pub fn new(stamps_tell: bool) -> Self {
        Self { stamps_tell, ..Self::default() }
    }

    /// Something has come from a client, or from a helper thread after some time: for that, the paths must be asked again.
    /// What is changed in the loop itself need not say so: it puts files in their places, and moves no folder.
    pub fn fall_behind(&self) {
        self.receipts.set(self.receipts.get().wrapping_add(1));
    }

    /// The folder at this path beneath a root.
    ///
    /// # Errors
    /// 404 for what is no folder.
    pub(super) fn open(&self, root: BorrowedFd<'_>, path: &[u8]) -> Result<Arc<Folder>, Refusal> {
        let mut kept = self.kept.borrow_mut();
        let receipts = self.receipts.get();
        let is_it = |it: &Kept| it.root == root.as_raw_fd() && *it.path == *path;
        if let Some(at) = kept.iter().position(is_it)
            && let Some(found) = kept.get_mut(at)
        {
            // To ask beneath the root would be to open it. A link that leads out of the root leads to this folder only if that
            // was moved out, and there Landlock lets nobody change anything.
            let is_there = |now: Identity| (now.device, now.inode) == found.folder.place;
            if found.seen_behind == receipts || file::identity_at(root, path).is_ok_and(is_there) {
                (found.seen_behind, found.is_used) = (receipts, true);
                return Ok(found.folder.clone());
            }
            kept.swap_remove(at);
        }
        let will_be_kept = kept.len() < KEPT_FOLDERS;
        // What is known of the files is worth its memory only where somebody may come back for it.
        let folder = Folder::open_with(root, path, self.stamps_tell && will_be_kept)?;
        if will_be_kept {
            let root = root.as_raw_fd();
            kept.push(Kept { root, path: path.into(), folder: folder.clone(), seen_behind: receipts, is_used: true });
        }
        Ok(folder)
    }

    /// Closes those that were not asked for since the last call: an open folder keeps its file system from being unmounted.
    pub fn forget_unused(&self) {
        self.kept.borrow_mut().retain_mut(|kept| std::mem::take(&mut kept.is_used));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::open_root;

    #[test]
    fn folder_is_locked_once_in_a_worker_and_between_workers() {
        let place = tempfile::tempdir().unwrap();
        let open = || Folder::of(File::open(place.path()).unwrap(), false).unwrap().unwrap();
        let (ours, of_another_worker) = (open(), open());
        let lock = ours.try_lock().unwrap().unwrap();
        assert!(ours.try_lock().unwrap().is_none());
        assert!(of_another_worker.try_lock().unwrap().is_none());
        drop(lock);
        let lock = of_another_worker.try_lock().unwrap();
        assert!(lock.is_some() && ours.try_lock().unwrap().is_none());
        drop(lock);
        assert!(ours.try_lock().unwrap().is_some(), "a refused try leaves nothing locked");
    }

    #[test]
    fn kept_folder_is_the_one_at_its_path_now() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir(at("a")).unwrap();
        let root = open_root(place.path()).unwrap();
        let folders = OpenFolders::default();
        let open = || {
            folders.fall_behind();
            folders.open(root.as_fd(), b"/a/")
        };
        let first = open().unwrap();
        assert!(Arc::ptr_eq(&first, &open().unwrap()));
        std::fs::rename(at("a"), at("b")).unwrap();
        let asked = folders.open(root.as_fd(), b"/a/").unwrap();
        assert!(Arc::ptr_eq(&first, &asked), "what has come before the path was asked need not ask again");
        assert!(open().is_err());
        std::fs::create_dir(at("a")).unwrap();
        assert_ne!(open().unwrap().place, first.place);
        std::fs::remove_dir(at("a")).unwrap();
        std::os::unix::fs::symlink("b", at("a")).unwrap();
        assert_eq!(open().unwrap().place, first.place);
        folders.forget_unused();
        assert_eq!(folders.kept.borrow().len(), 1);
        folders.forget_unused();
        assert_eq!(folders.kept.borrow().len(), 0);
    }
}
