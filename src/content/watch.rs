//! What is known of a file stays true until the kernel tells of a change: what it has told is read before anything that
//! is kept is used, and after the last bytes of a request have come, so no answer is older than its request.
//! Process: worker, sealed. Trusts: nothing of a path. Blocks: as opening a file does, once a second and file at most.
//! Watched are the file itself and every folder from the root down to it, so that neither can be exchanged unseen. What
//! the kernel does not tell of (asynchronous writes, mounts, layers below; splice before Linux 6.5) is found by a
//! comparison in every second, and writes to mapped memory when they give the file another time.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::Now;
use crate::sys::file::{
    FileKind, Identity, identity, identity_at, identity_of_entry, identity_of_path, open_beneath, open_entry,
};
use crate::sys::watcher::{Watcher, tells_of_all_changes};

/// The changes that one worker hears of.
pub(super) struct Watch {
    /// `None` where the kernel tells nothing: everything is compared at each use.
    watcher: Option<Watcher>,
    /// Has anything been received since the watch was last read?
    is_behind: bool,
    heard: Heard,
    /// Folders that are watched with all above them, by root and path.
    folders: HashSet<Box<[u8]>>,
    /// Those of them that also tell which names come into them.
    gaps: HashSet<Box<[u8]>>,
    /// What has a mark, or had one until it was removed, by device and inode.
    marked: HashSet<(u64, u64)>,
    /// The second in which the kernel took no more marks.
    full_at: Option<u64>,
}

/// How long no mark is tried after the kernel has taken none. Its table is shared by all processes of the user, so it
/// does not help to give up one's own.
const REST_SECONDS: u64 = 10;

/// How often something was heard of; only whether it is the same as before matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Heard {
    files: u32,
    names: u32,
    folders: u32,
}

/// Why something kept is believed to be true still.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Proof {
    /// What had been heard when it was last compared; `None`: it is not watched.
    heard: Option<Heard>,
    /// The second in which that was, or in which it was tried in vain to watch it.
    second: u64,
    /// How often a file that is not watched was compared, but for the first time in each second.
    comparisons: u8,
}

/// A file is watched at this one of the comparisons that a mark would have spared, which are those behind the first of each
/// second. A mark costs as much as six of them: for a file that is asked for once a second it would never pay. If it can't
/// be watched, that is tried again after 256 more.
const COMPARISONS_BEFORE_MARK: u8 = 2;

impl Watch {
    pub(super) fn new(watcher: Option<Watcher>) -> Self {
        Self {
            watcher,
            is_behind: true,
            heard: Heard::default(),
            folders: HashSet::new(),
            gaps: HashSet::new(),
            marked: HashSet::new(),
            full_at: None,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.watcher.is_some()
    }

    pub(super) fn marks(&self) -> usize {
        self.marked.len()
    }

    /// Something was received: a change may have come before it.
    pub(super) fn fall_behind(&mut self) {
        self.is_behind = true;
    }

    /// Hears what happened before the last bytes came.
    pub(super) fn catch_up(&mut self) {
        if !std::mem::take(&mut self.is_behind) {
            return;
        }
        let Some(watcher) = &mut self.watcher else { return };
        let Ok(changes) = watcher.changes() else {
            self.watcher = None;
            return self.disbelieve();
        };
        let heard = &mut self.heard;
        heard.files = heard.files.wrapping_add(u32::from(changes.files));
        heard.names = heard.names.wrapping_add(u32::from(changes.names));
        if changes.folders {
            self.disbelieve();
        }
    }

    /// Believes nothing any more: for when a folder on the way to files is another one. Marks stay where they are: they
    /// cost memory of the kernel and may tell too much, no more, while to take all away takes milliseconds.
    fn disbelieve(&mut self) {
        self.heard.folders = self.heard.folders.wrapping_add(1);
        self.folders.clear();
        self.gaps.clear();
    }

    /// Lets go of the marks of files that are kept no longer, when they are more than half of all.
    pub(super) fn tidy(&mut self, kept: usize) {
        const SPARE_MARKS: usize = 1024;
        if self.marked.len() > 2 * kept + SPARE_MARKS {
            self.disbelieve();
            self.marked.clear();
            // If it fails, marks stay, and only their count is wrong.
            let _ = self.watcher.as_ref().map(Watcher::clear);
        }
    }

    /// Does the path still name the file that it named when this was its state?
    ///
    /// The comparison follows symlinks without `RESOLVE_BENEATH`; that can't let anything out, for it opens nothing, and
    /// what it is compared with (inode, size, both times) was opened beneath the root.
    ///
    /// `at_once`: is it to be watched from now on, however seldom it is asked for?
    pub(super) fn is_same(
        &mut self,
        proof: &mut Proof,
        root: BorrowedFd<'_>,
        path: &[u8],
        state: &Identity,
        at_once: bool,
        now: Now,
    ) -> bool {
        let same = |heard: Heard| heard.files == self.heard.files && heard.folders == self.heard.folders;
        if proof.second == now.unix_seconds && proof.heard.is_some_and(same) {
            return true;
        }
        let is_same = identity_at(root, path).is_ok_and(|found| found == *state);
        if is_same {
            self.believe(proof, root, path, state, at_once, now);
        }
        is_same
    }

    /// Has any file been heard of since this proof was made? Not so before there is one.
    pub(super) fn has_heard_of_files(&self, proof: &Proof) -> bool {
        proof.heard.is_some_and(|heard| heard.files != self.heard.files)
    }

    /// Is a name still missing that was missing when it was last looked for?
    pub(super) fn is_missing(&self, proof: &Proof, now: Now) -> bool {
        let same = |heard: Heard| heard.names == self.heard.names && heard.folders == self.heard.folders;
        proof.second == now.unix_seconds && proof.heard.is_some_and(same)
    }

    /// A file has just been compared and is the same: watches it if it is asked for often, so that it need not be compared
    /// at its next use.
    fn believe(
        &mut self,
        proof: &mut Proof,
        root: BorrowedFd<'_>,
        path: &[u8],
        same: &Identity,
        at_once: bool,
        now: Now,
    ) {
        let second = now.unix_seconds;
        if proof.heard.is_some_and(|heard| heard.folders == self.heard.folders) {
            // It and all above it are watched since before the comparison.
            *proof = Proof { heard: Some(self.heard), second, comparisons: 0 };
            return;
        }
        let is_first = proof.second != second;
        let comparisons = proof.comparisons.wrapping_add(u8::from(!is_first));
        *proof = Proof { heard: None, second, comparisons };
        if (at_once && is_first) || (!is_first && comparisons == COMPARISONS_BEFORE_MARK) {
            self.try_to_watch(proof, now, |watch| watch.watch_file(root, path, same));
        }
    }

    /// A name has just been looked for in vain: watches the place where it would come to be.
    pub(super) fn believe_missing(&mut self, proof: &mut Proof, root: BorrowedFd<'_>, path: &[u8], now: Now) {
        let same = |heard: Heard| heard.names == self.heard.names && heard.folders == self.heard.folders;
        if proof.heard.is_some_and(same) {
            proof.second = now.unix_seconds;
        } else if proof.second != now.unix_seconds {
            // Where watching fails, or is told of changes all the time, it is not to cost more than it saves.
            self.try_to_watch(proof, now, |watch| watch.watch_gap(root, path));
        }
    }

    fn try_to_watch(&mut self, proof: &mut Proof, now: Now, watch: impl FnOnce(&mut Self) -> io::Result<bool>) {
        let rests = self.full_at.is_some_and(|second| second.abs_diff(now.unix_seconds) < REST_SECONDS);
        if self.watcher.is_none() || rests {
            return;
        }
        // What is heard of from here on may be newer than what is seen.
        let heard = self.heard;
        let is_watched = watch(self).unwrap_or_else(|error| {
            if error.kind() == ErrorKind::StorageFull {
                self.full_at = Some(now.unix_seconds);
            }
            false
        });
        (proof.heard, proof.second) = (is_watched.then_some(heard), now.unix_seconds);
    }

    /// Watches a file and all above it; false if that can't be done, or the path has come to name another file.
    fn watch_file(&mut self, root: BorrowedFd<'_>, path: &[u8], same: &Identity) -> io::Result<bool> {
        let (folder, _) = split(path);
        if !self.folders.contains(key(root, folder).as_slice()) && !matches!(self.walk(root, folder)?, Way::Whole(_)) {
            return Ok(false);
        }
        let file = open_beneath(root, path)?;
        // Another file system may be mounted over a single file.
        if !tells_of_all_changes(file.as_fd())? {
            return Ok(false);
        }
        let state = self.mark(&file, |watcher, file| watcher.watch_file(file))?;
        // Seen after it was marked, by the name alone: neither another file nor a link to this one stands there.
        Ok(state == *same && identity_of_path(root, path)? == *same)
    }

    /// Watches the folder in which the first missing name of a path would come to be, and all above it.
    fn watch_gap(&mut self, root: BorrowedFd<'_>, path: &[u8]) -> io::Result<bool> {
        let (folder, name) = split(path);
        let (place, name) = match self.walk(root, folder)? {
            Way::Whole(place) => (place, name),
            Way::EndsAt(place, name) => (place, name),
            Way::Strange => return Ok(false),
        };
        if !self.gaps.contains(place.key.as_slice()) {
            self.mark(&place.folder, |watcher, folder| watcher.watch_folder(folder, true))?;
            self.gaps.insert(place.key.into());
        }
        Ok(is_absent(&identity_of_entry(place.folder.as_fd(), name)))
    }

    /// Goes down to a folder, a name at a time, and watches each on the way. That a folder stands where its name says is
    /// seen after it was marked, so that whatever happens to it later is heard.
    fn walk<'p>(&mut self, root: BorrowedFd<'_>, path: &'p [u8]) -> io::Result<Way<'p>> {
        let mut place = Place { folder: open_beneath(root, b"/")?, key: key(root, b"/") };
        if !self.folders.contains(place.key.as_slice()) {
            if !tells_of_all_changes(place.folder.as_fd())? {
                return Ok(Way::Strange);
            }
            self.mark(&place.folder, |watcher, folder| watcher.watch_folder(folder, false))?;
            self.folders.insert(place.key.as_slice().into());
        }
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            place = match self.step(place, name)? {
                Step::Below(below) => below,
                Step::End(place) => return Ok(Way::EndsAt(place, name)),
                Step::Strange => return Ok(Way::Strange),
            };
        }
        Ok(Way::Whole(place))
    }

    /// Goes from a folder that is watched to one in it.
    fn step(&mut self, Place { folder, mut key }: Place, name: &[u8]) -> io::Result<Step> {
        let below = match open_entry(folder.as_fd(), name) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Step::End(Place { folder, key })),
            outcome => outcome?,
        };
        key.push(b'/');
        key.extend_from_slice(name);
        if self.folders.contains(key.as_slice()) {
            return Ok(Step::Below(Place { folder: below, key }));
        }
        if identity(&below)?.kind != FileKind::Directory || !tells_of_all_changes(below.as_fd())? {
            return Ok(Step::Strange);
        }
        let state = self.mark(&below, |watcher, folder| watcher.watch_folder(folder, false))?;
        let there = identity_of_entry(folder.as_fd(), name)?;
        if (there.device, there.inode) != (state.device, state.inode) {
            return Ok(Step::Strange);
        }
        self.folders.insert(key.as_slice().into());
        Ok(Step::Below(Place { folder: below, key }))
    }

    /// Sets a mark, and says in what state the file or folder is since then.
    fn mark(&mut self, what: &File, set: impl FnOnce(&Watcher, &File) -> io::Result<()>) -> io::Result<Identity> {
        let watcher = self.watcher.as_ref().ok_or(ErrorKind::Unsupported)?;
        set(watcher, what)?;
        let state = identity(what)?;
        self.marked.insert((state.device, state.inode));
        Ok(state)
    }
}

/// A folder, and its key in the sets of those that are watched.
struct Place {
    folder: File,
    key: Vec<u8>,
}

/// How far a path of folders goes.
enum Way<'p> {
    /// To its end; this is the last one.
    Whole(Place),
    /// To this folder, which lacks this name.
    EndsAt(Place, &'p [u8]),
    /// To something that is no folder of a file system that tells of all changes; maybe a symbolic link.
    Strange,
}

/// The same for one name.
enum Step {
    Below(Place),
    /// It is not there.
    End(Place),
    Strange,
}

/// Is nothing there?
pub(super) fn is_absent<T>(outcome: &io::Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// A path as its folder and its last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let name_at = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    path.split_at(name_at)
}

/// The root's descriptor and the path of a folder, without a slash at its end.
fn key(root: BorrowedFd<'_>, folder: &[u8]) -> Vec<u8> {
    [&root.as_raw_fd().to_ne_bytes(), folder.strip_suffix(b"/").unwrap_or(folder)].concat()
}
