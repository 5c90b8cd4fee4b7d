//! The entries of a folder: read a bounded number at a time into their order, then taken out one by one.
//! Process: worker, sealed, on a helper thread. Trusts: no name. Blocks: as the disk does.
//! Fails with: errors of the disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::content::is_hidden;
use crate::sys::directory::Directory;
use crate::sys::file::{FileKind, Identity, identity_beneath};

/// Names looked at in one piece of work: a system call or two each, so well below 1 ms on a warm cache.
const NAMES_A_PIECE: usize = 256;

/// The most entries that are kept: about 100 bytes each, so 20 MB for the largest listing. A folder of more is read by
/// a program that knows its names, not by this page.
const ENTRY_LIMIT: usize = 200_000;

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

/// The place of an entry: is it a file (folders are `false`, so that they come first), and its name, bytewise.
type Place = (bool, Box<[u8]>);

/// Entries in order. A map that is ordered at all times costs a little more than sorting once, but it never costs much
/// at once, and it gives memory back while it is written out.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// With size and time of the last change.
    ordered: BTreeMap<Place, (u64, u64)>,
    is_cut: bool,
}

impl Entries {
    /// Takes the first of the remaining entries.
    pub(super) fn take_first(&mut self) -> Option<Entry> {
        let ((is_file, name), (size, modified)) = self.ordered.pop_first()?;
        Some(Entry { name, is_folder: !is_file, size, modified })
    }

    /// Were there more entries than are ever kept?
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn add(&mut self, name: Vec<u8>, identity: &Identity) {
        let is_file = identity.kind != FileKind::Directory;
        self.ordered.insert((is_file, name.into()), (identity.size, identity.modified_seconds()));
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
    pub(super) fn new(folder: File, root: OwnedFd, path: &[u8]) -> io::Result<Self> {
        let path = [path.strip_suffix(b"/").unwrap_or(path), b"/"].concat();
        Ok(Self { directory: Directory::read(folder)?, root, path, entries: Entries::default() })
    }

    /// Reads on; gives the entries when all have been read.
    pub(super) fn read(&mut self) -> io::Result<Option<Entries>> {
        for _ in 0..NAMES_A_PIECE {
            let Some(name) = self.directory.next_name()? else { return Ok(Some(std::mem::take(&mut self.entries))) };
            let Some(identity) = self.shown(&name) else { continue };
            if self.entries.ordered.len() == ENTRY_LIMIT {
                self.entries.is_cut = true;
                return Ok(Some(std::mem::take(&mut self.entries)));
            }
            self.entries.add(name, &identity);
        }
        Ok(None)
    }

    /// What is behind a name, if it is to be shown: what would be served at its address. An entry that has gone
    /// meanwhile, or may not be asked about, is left out like a symlink that leads nowhere.
    fn shown(&self, name: &[u8]) -> Option<Identity> {
        let is_root = self.path == b"/";
        // In any other folder than the root the well-known name is hidden like the rest, so the path counts too.
        let path = [&self.path, name].concat();
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
