//! The temporary file of an upload: made beside its target, gone unless it is installed, swept if its worker died.
//! Process: worker, sealed. Names are `.fileserv-<32 hex>.new`: only this exact pattern is ever taken for ours.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use super::folder::Folder;
use super::locks::lock_patiently;
use super::quota::is_ledger;
use super::resumable::{UploadId, expire_entry};
use crate::sys::directory::Directory;
use crate::sys::file::{self, FileKind};
use crate::sys::random;

const PREFIX: &str = ".fileserv-";
const SUFFIX: &str = ".new";
const DIGITS: usize = 32;

/// A file that has no reader yet. Dropped, it is removed.
pub(super) struct Temporary {
    folder: Arc<Folder>,
    name: String,
    file: File,
    /// Does its name outlive this, as the target's or because it was adopted?
    is_kept: bool,
}

impl Temporary {
    /// Makes one in `folder`. It is locked as long as it is open, which tells a sweep that somebody still writes it.
    ///
    /// # Errors
    /// As openat(2).
    pub(super) fn create(folder: Arc<Folder>, mode: u32) -> io::Result<Self> {
        const TRIES: usize = 4;
        for _ in 0..TRIES {
            let name = new_name()?;
            let file = file::create_new(folder.as_fd(), &name, mode)?;
            match file.try_lock() {
                Ok(()) if is_still_named(&folder, &name, &file) => {
                    return Ok(Self { folder, name, file, is_kept: false });
                }
                // A sweep came between the two calls: it has removed the file, or is about to.
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    let _ = file::remove_entry(folder.as_fd(), name.as_bytes());
                    return Err(error);
                }
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Makes one for as long as the caller has the lock of the folder, which keeps a sweep away as well.
    ///
    /// # Errors
    /// As openat(2).
    pub(super) fn create_under_lock(folder: Arc<Folder>, mode: u32) -> io::Result<Self> {
        let name = new_name()?;
        let file = file::create_new(folder.as_fd(), &name, mode)?;
        Ok(Self { folder, name, file, is_kept: false })
    }

    /// Takes over a file that has such a name already, and that is locked: what came of an upload in several requests.
    /// It is not removed if it can't be installed.
    pub(super) fn adopt(folder: Arc<Folder>, name: String, file: File) -> Self {
        Self { folder, name, file, is_kept: true }
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The folder it lies in.
    pub(super) fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// Gives it its real name, over the file that has it now.
    ///
    /// # Errors
    /// As renameat(2); the temporary is still one then.
    pub(super) fn replace(&mut self, target: &[u8]) -> io::Result<()> {
        file::rename_over(self.folder.as_fd(), &self.name, target)?;
        self.is_kept = true;
        Ok(())
    }

    /// Gives it its real name, unless something has it.
    ///
    /// # Errors
    /// EEXIST if the name is taken; the temporary is still one then.
    pub(super) fn install_new(&mut self, target: &[u8]) -> io::Result<()> {
        file::rename_to_new(self.folder.as_fd(), &self.name, target)?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_kept {
            // If this fails, the next sweep takes it: the lock goes with the descriptor.
            let _ = file::remove_entry(self.folder.as_fd(), self.name.as_bytes());
        }
    }
}

/// A name that nobody has: 128 random bits, drawn once, and a count. Nobody need be unable to guess it, for it is made
/// exclusively.
fn new_name() -> io::Result<String> {
    static FIRST: OnceLock<u128> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let first = match FIRST.get() {
        Some(first) => *first,
        None => {
            let drawn = u128::from_ne_bytes(random::bytes()?);
            *FIRST.get_or_init(|| drawn)
        }
    };
    let number = first.wrapping_add(COUNT.fetch_add(1, Relaxed).into());
    Ok(name_of(number))
}

/// By hand: `format!` with its machinery takes as long as a system call, and each small upload needs a name.
fn name_of(number: u128) -> String {
    let mut name = String::with_capacity(PREFIX.len() + DIGITS + SUFFIX.len());
    name.push_str(PREFIX);
    let digits = number.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    name.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
    name.push_str(SUFFIX);
    name
}

/// Is this the name of a temporary of ours?
pub(super) fn is_temporary(name: &[u8]) -> bool {
    name.strip_prefix(PREFIX.as_bytes())
        .and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()))
        .is_some_and(|hex| hex.len() == DIGITS && hex.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)))
}

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Temporaries of dead workers.
    pub abandoned: usize,
    /// Uploads that nobody went on with.
    pub expired: usize,
}

/// Removes what dead workers left below these folders beneath `root`: files of exactly our name pattern, of our user, that nobody locks; and
/// what is remembered of quotas; and uploads in several requests that were changed last before `expired`, in seconds
/// since the epoch. A folder that can't be read is passed over, and `pass_over` hears of it if it is one of `starts`, or if
/// something in it should go and can't be locked.
pub fn sweep(
    root: impl AsFd,
    starts: &[&str],
    our_uid: u32,
    expired: u64,
    mut pass_over: impl FnMut(&str, &io::Error),
) -> Swept {
    let mut swept = Swept::default();
    let mut report = |path: &[u8], error: &io::Error| {
        pass_over(&String::from_utf8_lossy(path), error);
        false
    };
    let start_at = |path: &[u8]| starts.iter().find(|start| start.as_bytes() == path);
    // A path a pending folder, not a descriptor: a deep or wide tree must not use up the descriptors.
    let mut pending: Vec<Vec<u8>> = starts.iter().map(|start| start.as_bytes().to_vec()).collect();
    while let Some(path) = pending.pop() {
        let folder = match file::open_beneath(root.as_fd(), &path) {
            Ok(folder) => folder,
            Err(error) => {
                if start_at(&path).is_some() {
                    report(&path, &error);
                }
                continue;
            }
        };
        let Ok(mut entries) = folder.try_clone().and_then(Directory::read) else { continue };
        while let Ok(Some((name, may_be_folder))) = entries.next_entry() {
            if is_temporary(&name) {
                let outcome = sweep_entry(&folder, &name, our_uid);
                swept.abandoned += usize::from(outcome.unwrap_or_else(|error| report(&path, &error)));
            } else if UploadId::is_name(&name) {
                swept.expired += usize::from(expire_entry(&folder, &name, our_uid, expired));
            } else if is_ledger(&name) {
                // Who died may have noted what it never stored, and a power cut may have undone a note: it is counted
                // anew when it is needed.
                sweep_entry(&folder, &name, our_uid).unwrap_or_else(|error| report(&path, &error));
            } else if may_be_folder && entries.identity_of(&name).is_ok_and(|it| it.kind == FileKind::Directory) {
                let below = [&path, name.as_slice(), b"/"].concat();
                // What is a start has its own turn.
                if start_at(&below).is_none() {
                    pending.push(below);
                }
            }
        }
    }
    swept
}

/// Removes one abandoned temporary: lock it, make sure that the name still means the locked file, unlink. What is made
/// under the lock of its folder has none of its own. The last close frees its room, so it comes after the lock.
fn sweep_entry(folder: &File, name: &[u8], our_uid: u32) -> io::Result<bool> {
    let Ok(file) = file::open_entry(folder.as_fd(), name) else { return Ok(false) };
    let Ok(identity) = file::identity(&file) else { return Ok(false) };
    if identity.kind != FileKind::Regular || identity.uid != our_uid {
        return Ok(false);
    }
    // Who has it for long is met again by the next sweep.
    let lock = file::reopen_folder(folder.as_fd())?;
    if !lock_patiently(&lock)? {
        return Ok(false);
    }
    match file.try_lock() {
        Ok(()) => Ok(is_still_named(folder, name, &file) && file::remove_entry(folder.as_fd(), name).is_ok()),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Does the name still mean the open file?
pub(super) fn is_still_named(folder: &File, name: impl AsRef<[u8]>, file: &File) -> bool {
    let named = file::identity_of_entry(folder.as_fd(), name.as_ref());
    let open = file::identity(file);
    named.is_ok_and(|named| open.is_ok_and(|open| (named.device, named.inode) == (open.device, open.inode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_our_pattern_and_tells_its_number() {
        for number in [0, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, u128::MAX] {
            let name = name_of(number);
            assert_eq!(name, format!(".fileserv-{number:032x}.new"));
            assert!(is_temporary(name.as_bytes()));
        }
    }

    #[test]
    fn only_the_exact_pattern_is_ours() {
        let hex = "0123456789abcdef0123456789abcdef";
        assert!(is_temporary(format!(".fileserv-{hex}.new").as_bytes()));
        for other in [
            format!(".fileserv-{hex}.new2"),
            format!("fileserv-{hex}.new"),
            format!(".fileserv-{}.new", &hex[1..]),
            format!(".fileserv-{}.new", hex.to_uppercase()),
            ".fileserv-.new".to_owned(),
            "report.new".to_owned(),
        ] {
            assert!(!is_temporary(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_sweep_leaves_what_is_made_under_the_lock_of_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::of(File::open(root.path()).unwrap(), false).unwrap().unwrap();
        let opened = file::open_root(root.path()).unwrap();
        let uid = file::identity(&opened).unwrap().uid;
        let lock = folder.try_lock().unwrap().unwrap();
        let mut live = Temporary::create_under_lock(folder.clone(), 0o644).unwrap();
        assert_eq!(sweep(&opened, &["/"], uid, 0, |_, _| {}), Swept::default());
        // Its worker dies.
        live.is_kept = true;
        drop((live, lock));
        assert_eq!(sweep(&opened, &["/"], uid, 0, |_, _| {}), Swept { abandoned: 1, expired: 0 });
    }

    #[test]
    fn a_sweep_takes_the_abandoned_and_leaves_the_rest() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        let abandoned = below.join(".fileserv-0123456789abcdef0123456789abcdef.new");
        std::fs::write(&abandoned, "half").unwrap();
        std::fs::write(below.join("thesis.new"), "a user's").unwrap();
        let folder = Folder::of(File::open(&below).unwrap(), false).unwrap().unwrap();
        let live = Temporary::create(folder, 0o644).unwrap();

        let opened = file::open_root(root.path()).unwrap();
        let uid = file::identity(&opened).unwrap().uid;
        let mut passed_over = Vec::new();
        let starts = ["/", "/a/", "/none/"];
        let swept = sweep(&opened, &starts, uid, 0, |start, _| passed_over.push(start.to_owned()));
        assert_eq!(swept, Swept { abandoned: 1, expired: 0 });
        assert_eq!(passed_over, ["/none/"], "and the others go on");
        let mut names: Vec<_> = std::fs::read_dir(&below).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [live.name.as_str(), "thesis.new"]);
        drop(live);
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1);
    }
}
