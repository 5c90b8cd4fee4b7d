//! A small file that a process keeps open and locked as long as it lives, as a sign for others.
//! Process: supervisor, opened as root where it was started so; and who asks by `--signal`. Blocks: never.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FlockArg, OFlag};

use super::credentials::user_id;

/// Nobody but its owner may open it: whoever can read a file can also lock it, and so keep a server from starting.
const MODE: u32 = 0o600;

/// The largest content that is read.
const LIMIT_BYTES: usize = 4096;

/// The open file. The lock belongs to the open file and not to the process: whoever is handed the descriptor holds it
/// too, and it ends with the last of them.
#[derive(Debug)]
pub struct LockFile(File);

impl LockFile {
    /// Opens the file, and makes it where it doesn't exist. The caller may be root and the folder somebody else's, so a
    /// symbolic link, a second name of another file, and what is no regular file are refused.
    ///
    /// # Errors
    /// As open(2); `InvalidInput` for what is no file of this kind.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(MODE).custom_flags(flags.bits());
        let file = Self::checked(options.open(path)?)?;
        let (owner, own) = (file.owner()?, user_id());
        // Who owns a file can lock it, and say in it whom a signal is meant for. What is root's was made for this user.
        if owner != own && owner != 0 {
            let words = format!("it belongs to the user {owner}, and not to {own}, who starts the server; remove it");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        Ok(file)
    }

    /// Opens a file that somebody else keeps, to ask.
    ///
    /// # Errors
    /// As open(2).
    pub fn look(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        Self::checked(OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?)
    }

    /// A descriptor of such a file that was handed over.
    ///
    /// # Errors
    /// As fstat(2); `InvalidInput` for what is no such file.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Self::checked(File::from(fd))
    }

    fn checked(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.nlink() > 1 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file with one name"));
        }
        Ok(Self(file))
    }

    /// The id of the user whom it belongs to.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn owner(&self) -> io::Result<u32> {
        Ok(self.0.metadata()?.uid())
    }

    /// Locks it for as long as it is open; `false` if somebody else holds the lock.
    ///
    /// # Errors
    /// As flock(2).
    pub fn try_lock(&self) -> io::Result<bool> {
        self.flock(FlockArg::LockExclusiveNonblock)
    }

    /// Does somebody else hold the lock?
    ///
    /// # Errors
    /// As flock(2).
    pub fn is_locked(&self) -> io::Result<bool> {
        let is_free = self.flock(FlockArg::LockSharedNonblock)?;
        if is_free {
            self.flock(FlockArg::Unlock)?;
        }
        Ok(!is_free)
    }

    #[allow(deprecated, reason = "nix's other form unlocks when it is dropped; this lock outlives its holder's values")]
    fn flock(&self, how: FlockArg) -> io::Result<bool> {
        match nix::fcntl::flock(self.0.as_raw_fd(), how) {
            Ok(()) => Ok(true),
            Err(Errno::EWOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The content, as far as it is of interest.
    ///
    /// # Errors
    /// As pread(2).
    pub fn read(&self) -> io::Result<String> {
        let mut buffer = [0; LIMIT_BYTES];
        let count = self.0.read_at(&mut buffer, 0)?;
        Ok(String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned())
    }

    /// Replaces the content.
    ///
    /// # Errors
    /// As pwrite(2) and ftruncate(2).
    pub fn write(&self, text: &str) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.write_all_at(text.as_bytes(), 0)
    }
}

impl AsFd for LockFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_goes_along_with_the_descriptor_and_ends_with_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let first = LockFile::open(&path).unwrap();
        assert!(first.try_lock().unwrap());
        first.write("12345\n").unwrap();
        first.write("7\n").unwrap();
        let handed = LockFile::from_fd(first.as_fd().try_clone_to_owned().unwrap()).unwrap();
        drop(first);
        let other = LockFile::look(&path).unwrap();
        assert!(other.is_locked().unwrap());
        assert_eq!(other.read().unwrap(), "7\n");
        assert!(!LockFile::open(&path).unwrap().try_lock().unwrap());
        drop(handed);
        // Other tests fork, and their children have the lock until they close what is not theirs.
        while other.is_locked().unwrap() {
            std::thread::yield_now();
        }
        assert!(LockFile::open(&path).unwrap().try_lock().unwrap());
    }

    #[test]
    fn trap_in_a_foreign_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "data").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        assert_eq!(LockFile::open(&link).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        let second = folder.path().join("second");
        std::fs::hard_link(&precious, &second).unwrap();
        assert_eq!(LockFile::open(&second).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(LockFile::open(folder.path()).is_err());
    }
}
