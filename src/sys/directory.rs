//! Reading a folder, name by name, from a descriptor that was opened beneath a root.
//! Process: any. Privileges: the caller's; landlock bounds a sealed worker. Blocks: as the disk does.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::dir::{Dir, OwningIter, Type};

use super::file::{Identity, identity_of_entry};

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
        Ok(self.next_entry()?.map(|(name, _)| name))
    }

    /// The same, and whether it may be a folder: true also where only a look at it would tell.
    ///
    /// # Errors
    /// As getdents64(2).
    pub fn next_entry(&mut self) -> io::Result<Option<(Vec<u8>, bool)>> {
        for entry in self.0.by_ref() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let may_be_folder = entry.file_type().is_none_or(|kind| kind == Type::Directory);
                return Ok(Some((name.to_vec(), may_be_folder)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::{FileKind, identity_beneath, open_beneath, open_root};
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
