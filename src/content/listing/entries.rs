//! The entries of a folder: read a bounded number at a time into their order, then taken out one by one.
//! Process: worker, sealed, on a helper thread. Trusts: no name. Blocks: as the disk does.
//! Fails with: errors of the disk.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::content::is_hidden;
use crate::sys::directory::Directory;
use crate::sys::file::{FileKind, Identity, identity_beneath};

/// Names looked at in one piece of work: a system call or two each, so well below 1 ms on a warm cache.
const NAMES_A_PIECE: usize = 128;

/// The most entries that are kept: 50 bytes and a name each, so about 20 MB for the largest listing. A folder of more is read by
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

/// An entry that waits for its turn; its name is kept with all others.
#[derive(Debug, Clone, Copy)]
struct Item {
    is_file: bool,
    /// Where it stands among its like; those of equal rank stand by name.
    rank: u64,
    /// Where its name begins among all names, and how long it is.
    start: usize,
    len: usize,
    size: u64,
    modified: u64,
}

/// Entries in order: a heap, for it costs little at any one time, where sorting once would cost much at once. All names
/// lie in one buffer, so that a listing that nobody waits for any more is dropped at once, whatever its length: that
/// happens on the event loop.
#[derive(Debug, Default)]
pub(super) struct Entries {
    sort: Sort,
    order: Order,
    /// The item at `i` comes before those at `2i + 1` and `2i + 2`.
    heap: Vec<Item>,
    names: Vec<u8>,
    is_cut: bool,
}

impl Entries {
    /// Takes the first of the remaining entries.
    pub(super) fn take_first(&mut self) -> Option<Entry> {
        let last = self.heap.len().checked_sub(1)?;
        self.heap.swap(0, last);
        let Item { is_file, size, modified, .. } = *self.heap.last()?;
        let name = self.name(last)?.into();
        self.heap.pop();
        self.sink();
        Some(Entry { name, is_folder: !is_file, size, modified })
    }

    /// Were there more entries than are ever kept?
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn is_full(&self) -> bool {
        self.heap.len() >= ENTRY_LIMIT
    }

    fn add(&mut self, name: &[u8], identity: &Identity) {
        let is_file = identity.kind != FileKind::Directory;
        let key = match self.sort {
            Sort::Name => 0,
            Sort::Size => {
                if is_file {
                    identity.size
                } else {
                    0
                }
            }
            // Nanoseconds, for files that were written in one second are in an order too.
            Sort::Time => u64::try_from(identity.modified).unwrap_or(0),
        };
        let rank = if self.order == Order::Descending { u64::MAX - key } else { key };
        let (start, size, modified) = (self.names.len(), identity.size, identity.modified_seconds());
        self.names.extend_from_slice(name);
        self.heap.push(Item { is_file, rank, start, len: name.len(), size, modified });
        self.rise();
    }

    fn name(&self, index: usize) -> Option<&[u8]> {
        let item = self.heap.get(index)?;
        self.names.get(item.start..item.start + item.len)
    }

    /// Does one item come before another? What is not there comes after everything.
    fn is_before(&self, one: usize, other: usize) -> bool {
        let (Some(a), Some(b)) = (self.heap.get(one), self.heap.get(other)) else { return one < other };
        let by_name = self.name(one).cmp(&self.name(other));
        let is_reversed = self.sort == Sort::Name && self.order == Order::Descending;
        let by_name = if is_reversed { by_name.reverse() } else { by_name };
        (a.is_file, a.rank).cmp(&(b.is_file, b.rank)).then(by_name).is_lt()
    }

    /// Lets the last item rise to its place.
    fn rise(&mut self) {
        let mut index = self.heap.len().saturating_sub(1);
        while index > 0 {
            let parent = (index - 1) / 2;
            if !self.is_before(index, parent) {
                return;
            }
            self.heap.swap(index, parent);
            index = parent;
        }
    }

    /// Lets the first item sink to its place.
    fn sink(&mut self) {
        let mut index = 0;
        loop {
            let (left, right) = (2 * index + 1, 2 * index + 2);
            let child = if self.is_before(right, left) { right } else { left };
            if child >= self.heap.len() || !self.is_before(child, index) {
                return;
            }
            self.heap.swap(child, index);
            index = child;
        }
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
            self.entries.add(&name, &identity);
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
        Identity { device: 0, inode: 0, kind, mode: 0, size, modified, changed: 0, links: 1, uid: 0, gid: 0 }
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
            entries.add(name.as_bytes(), &identity(kind, size, modified));
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

    #[test]
    fn a_heap_is_a_sorted_list() {
        let mut entries = Entries::default();
        // A multiplication by an odd number is a permutation: each name once, in no order.
        let names: Vec<String> = (0..1024_u32).map(|n| format!("{:04}", n * 389 % 1024)).collect();
        for name in &names {
            entries.add(name.as_bytes(), &identity(FileKind::Regular, 0, 0));
        }
        for expected in 0..1024 {
            assert_eq!(*entries.take_first().unwrap().name, *format!("{expected:04}").as_bytes());
        }
        assert!(entries.take_first().is_none());
    }
}
