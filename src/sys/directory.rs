//! Reading a folder, name by name, from a descriptor that was opened beneath a root.
//! Process: any. Privileges: the caller's; landlock bounds a sealed worker. Blocks: as the disk does.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::dir::{Dir, OwningIter};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::file::{Identity, identity, identity_of_entry};

/// An open folder and the place in it.
pub struct Directory(OwningIter);

impl Directory {
    /// Starts to read this folder.
    ///
    /// # Errors
    /// ENOTDIR if it is none.
    pub fn read(folder: File) -> io::Result<Self> {
        Ok(Self(Dir::from_fd(OwnedFd::from(folder))?.into_iter()))
    }

    /// The next name, in the order of the file system; `.` and `..` are left out. `None` at the end.
    ///
    /// # Errors
    /// As getdents64(2).
    pub fn next_name(&mut self) -> io::Result<Option<Vec<u8>>> {
        for entry in self.0.by_ref() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                return Ok(Some(name.to_vec()));
            }
        }
        Ok(None)
    }

    /// What the entry of this name is; a symlink is not followed.
    ///
    /// # Errors
    /// As fstatat(2); ENOENT if the entry has gone meanwhile.
    pub fn identity_of(&self, name: &[u8]) -> io::Result<Identity> {
        // SAFETY: the iterator owns the descriptor and can't be dropped while `self` is borrowed.
        let folder = unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) };
        identity_of_entry(folder, name)
    }
}

/// Asks what a path is, following symlinks as long as they stay beneath `root`. It is opened with O_PATH, so neither a
/// device nor a FIFO notices, and no right to read it is needed.
///
/// # Errors
/// As openat2(2): ENOENT, ENOTDIR, EACCES; EXDEV or ELOOP when the path leads out of the root.
pub fn identity_beneath(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Identity> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let path = path.strip_prefix(b"/").unwrap_or(path);
    identity(openat2(root, Path::new(OsStr::from_bytes(path)), how)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::{FileKind, open_beneath, open_root};
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_come_once_and_links_stay_beneath_the_root() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"abc").unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        symlink("../a", folder.path().join("b/inside")).unwrap();
        symlink("/etc/passwd", folder.path().join("b/outside")).unwrap();
        let root = open_root(folder.path()).unwrap();

        let mut directory = Directory::read(open_beneath(root.as_fd(), b"/").unwrap()).unwrap();
        let mut names = Vec::new();
        while let Some(name) = directory.next_name().unwrap() {
            names.push(name);
        }
        names.sort();
        assert_eq!(names, [b"a", b"b"]);
        assert_eq!(directory.identity_of(b"a").unwrap().size, 3);

        assert_eq!(identity_beneath(root.as_fd(), b"/b/inside").unwrap().kind, FileKind::Regular);
        identity_beneath(root.as_fd(), b"/b/outside").unwrap_err();
        let directory = Directory::read(open_beneath(root.as_fd(), b"/b/").unwrap()).unwrap();
        assert_eq!(directory.identity_of(b"outside").unwrap().kind, FileKind::Symlink);
        assert!(Directory::read(open_beneath(root.as_fd(), b"/a").unwrap()).is_err());
    }
}
