//! The entries of a folder: read a bounded number at a time into their order, then taken out one by one.
//! Process: worker, sealed, on a helper thread. Trusts: no name. Blocks: as the disk does.
//! Fails with: errors of the disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::content::is_hidden;
use crate::sys::directory::{Directory, identity_beneath};
use crate::sys::file::{FileKind, Identity};

/// Names looked at in one piece of work: a system call or two each, so well below 1 ms on a warm cache.
const NAMES_A_PIECE: usize = 256;

/// The most entries that are kept: about 100 bytes each, so 20 MB for the largest listing. A folder of more is read by
/// a program that knows its names, not by this page.
const ENTRY_LIMIT: usize = 200_000;

/// What the entries are in order of; folders always come before files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    /// Bytewise.
    #[default]
    Name,
    /// Folders have none, so they are by name.
    Size,
    /// The time of the last change.
    Time,
}

/// In which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// The least, or the oldest, first.
    #[default]
    Ascending,
    /// The greatest, or the newest, first; those that are alike by name all the same.
    Descending,
}

/// An entry that is shown.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Box<[u8]>,
    pub(super) is_folder: bool,
    /// Bytes of a file.
    pub(super) size: u64,
    /// In seconds since the epoch.
    pub(super) modified: u64,
}

/// The place of an entry: its rank, and its name among those of equal rank.
type Place = (u64, Box<[u8]>);

/// Entries in order. A map that is ordered at all times costs a little more than sorting once, but it never costs much
/// at once, and it gives memory back while it is written out.
#[derive(Debug, Default)]
pub(super) struct Entries {
    sort: Sort,
    order: Order,
    /// With size and time of the last change.
    folders: BTreeMap<Place, (u64, u64)>,
    files: BTreeMap<Place, (u64, u64)>,
    is_cut: bool,
}

impl Entries {
    /// Takes the first of the remaining entries.
    pub(super) fn take_first(&mut self) -> Option<Entry> {
        let from_the_end = (self.sort, self.order) == (Sort::Name, Order::Descending);
        let take = |map: &mut BTreeMap<Place, (u64, u64)>| if from_the_end { map.pop_last() } else { map.pop_first() };
        let folder = take(&mut self.folders);
        let is_folder = folder.is_some();
        let ((_, name), (size, modified)) = folder.or_else(|| take(&mut self.files))?;
        Some(Entry { name, is_folder, size, modified })
    }

    /// Were there more entries than are ever kept?
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn is_full(&self) -> bool {
        self.folders.len() + self.files.len() >= ENTRY_LIMIT
    }

    fn add(&mut self, name: Vec<u8>, identity: &Identity) {
        let is_folder = identity.kind == FileKind::Directory;
        let modified = identity.modified_seconds();
        let key = match self.sort {
            Sort::Name => 0,
            Sort::Size if is_folder => 0,
            Sort::Size => identity.size,
            // Nanoseconds, for files that were written in one second are in an order too.
            Sort::Time => u64::try_from(identity.modified).unwrap_or(0),
        };
        let is_by_key_descending = self.sort != Sort::Name && self.order == Order::Descending;
        let rank = if is_by_key_descending { u64::MAX - key } else { key };
        let map = if is_folder { &mut self.folders } else { &mut self.files };
        map.insert((rank, name.into()), (identity.size, modified));
    }
}

/// A folder that is being read.
pub(super) struct Reader {
    directory: Directory,
    root: OwnedFd,
    /// The folder's path, with a slash at its end.
    path: Vec<u8>,
    entries: Entries,
}

impl Reader {
    pub(super) fn new(folder: File, root: OwnedFd, path: &[u8], sort: Sort, order: Order) -> io::Result<Self> {
        let path = [path.strip_suffix(b"/").unwrap_or(path), b"/"].concat();
        let entries = Entries { sort, order, ..Entries::default() };
        Ok(Self { directory: Directory::read(folder)?, root, path, entries })
    }

    /// Reads on; gives the entries when all have been read.
    pub(super) fn read(&mut self) -> io::Result<Option<Entries>> {
        for _ in 0..NAMES_A_PIECE {
            let Some(name) = self.directory.next_name()? else { return Ok(Some(std::mem::take(&mut self.entries))) };
            let Some(identity) = self.shown(&name) else { continue };
            if self.entries.is_full() {
                self.entries.is_cut = true;
                return Ok(Some(std::mem::take(&mut self.entries)));
            }
            self.entries.add(name, &identity);
        }
        Ok(None)
    }

    /// The root that the folder lies beneath.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The path of an entry of this folder.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        [&self.path, name].concat()
    }

    /// What is behind a name, if it is to be shown: what would be served at its address. An entry that has gone
    /// meanwhile, or may not be asked about, is left out like a symlink that leads nowhere.
    fn shown(&self, name: &[u8]) -> Option<Identity> {
        let is_root = self.path == b"/";
        // In any other folder than the root the well-known name is hidden like the rest, so the path counts too.
        let path = self.path_of(name);
        if name.starts_with(b".") && (!is_root || is_hidden(&path)) {
            return None;
        }
        let identity = self.directory.identity_of(name).ok()?;
        let identity = match identity.kind {
            FileKind::Symlink => identity_beneath(self.root.as_fd(), &path).ok()?,
            FileKind::Regular | FileKind::Directory | FileKind::Special => identity,
        };
        matches!(identity.kind, FileKind::Regular | FileKind::Directory).then_some(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(kind: FileKind, size: u64, modified: i128) -> Identity {
        Identity { device: 0, inode: 0, kind, mode: 0, size, modified, changed: 0, links: 1, uid: 0 }
    }

    fn ordered(sort: Sort, order: Order) -> String {
        let mut entries = Entries { sort, order, ..Entries::default() };
        let (file, folder) = (FileKind::Regular, FileKind::Directory);
        for (name, kind, size, modified) in [
            ("b", file, 3, 1),
            ("a", file, 3, -5),
            ("c", file, 1, 3),
            ("d", file, u64::MAX, 2),
            ("Y", folder, 9, 8),
            ("X", folder, 8, 9),
        ] {
            entries.add(name.into(), &identity(kind, size, modified));
        }
        std::iter::from_fn(|| entries.take_first()).map(|entry| String::from_utf8(entry.name.into()).unwrap()).collect()
    }

    #[test]
    fn every_order_has_folders_first_and_ties_by_name() {
        assert_eq!(ordered(Sort::Name, Order::Ascending), "XYabcd");
        assert_eq!(ordered(Sort::Name, Order::Descending), "YXdcba");
        assert_eq!(ordered(Sort::Size, Order::Ascending), "XYcabd");
        assert_eq!(ordered(Sort::Size, Order::Descending), "XYdabc");
        assert_eq!(ordered(Sort::Time, Order::Ascending), "YXabdc");
        assert_eq!(ordered(Sort::Time, Order::Descending), "XYcdba");
    }
}
