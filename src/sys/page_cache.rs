//! Which bytes of a file are in memory, so that reading or sending them does not wait for a disk (preadv2(2)).
//! Process: worker, sealed. Privileges: none. Blocks: never, but as `Residence::Near` says.
#![allow(unsafe_code, reason = "preadv2 has no safe form")]

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, fstatfs};

/// What is known of some bytes of a file before they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residence {
    /// They are in memory.
    Memory {
        /// And so is the byte behind them.
        goes_on: bool,
    },
    /// The first one is, and the last one is not.
    Begins,
    /// They are not, or nobody can tell: to read them may wait for a disk, or for another program or machine.
    Elsewhere,
    /// The file system can't tell, for any of its files, but is one that is read without asking.
    Near,
}

/// Where are these bytes? Asked of the first and of the last one, as a call for each page would cost more than to send
/// them: the kernel reads ahead and forgets in larger runs. Of many, two more are asked that nobody can foresee: a client
/// can have any two places read, and then ask for all between them. The byte behind the last one is asked for in the same
/// call, so that who goes on from there need not ask for the first one again (`begins`).
#[must_use]
pub fn residence(file: &File, offset: u64, count: usize, begins: bool) -> Residence {
    let last = offset.saturating_add(count.saturating_sub(1) as u64);
    let is_one_page = offset / SMALLEST_PAGE_BYTES == last / SMALLEST_PAGE_BYTES;
    let asks_first = !begins && !is_one_page;
    if asks_first && let Some(answer) = unless_in_memory(file, read_now(file, &mut [0], offset)) {
        return answer;
    }
    if count >= MANY_BYTES {
        for place in two_places(offset, last) {
            match unless_in_memory(file, read_now(file, &mut [0], place)) {
                None => {}
                Some(Residence::Elsewhere) => return Residence::Begins,
                Some(answer) => return answer,
            }
        }
    }
    let seen = read_now(file, &mut [0; 2], last);
    let goes_on = matches!(seen, Ok(2..));
    match unless_in_memory(file, seen) {
        None => Residence::Memory { goes_on },
        Some(Residence::Elsewhere) if !is_one_page => Residence::Begins,
        Some(answer) => answer,
    }
}

/// One in each half of the bytes from `first` to `last`, other ones each time.
fn two_places(first: u64, last: u64) -> [u64; 2] {
    static UNKNOWN_TO_ALL: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let half = (last - first) / 2;
    let number = UNKNOWN_TO_ALL.hash_one(ASKED.fetch_add(1, Ordering::Relaxed));
    let [one, other] = [number & 0xffff_ffff, number >> 32].map(|number| first + number % half.max(1));
    [one, other + half]
}

/// What a read that was not to wait says, unless it has brought something.
fn unless_in_memory(file: &File, seen: io::Result<usize>) -> Option<Residence> {
    match seen {
        Ok(1..) => None,
        Err(error) if error.kind() == io::ErrorKind::Unsupported && is_near(file) => Some(Residence::Near),
        // 0: behind the end; or as Linux 5.9 and 5.10 say that they would have to wait.
        Ok(0) | Err(_) => Some(Residence::Elsewhere),
    }
}

/// From so many bytes on, two calls more cost little: it is asked some times a second, and not for each reply.
const MANY_BYTES: usize = 32 * 1024;
/// No page is smaller, on any machine.
const SMALLEST_PAGE_BYTES: u64 = 4096;

/// Reads a small file from its begin, if all of it can be had without waiting.
///
/// # Errors
/// `WouldBlock` if not, `Unsupported` if the file system can't tell, `UnexpectedEof` if it is shorter; as pread(2).
pub fn read_whole_now(file: &File, content: &mut [u8]) -> io::Result<()> {
    match read_now(file, content, 0) {
        Ok(count) if count == content.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) if error.kind() == io::ErrorKind::Unsupported && is_near(file) => {
            std::os::unix::fs::FileExt::read_exact_at(file, content, 0)
        }
        Err(error) => Err(error),
    }
}

/// Reads what is in memory of the bytes from `offset`. For what is not, the kernel begins to read ahead.
///
/// # Errors
/// `WouldBlock` if the first byte is not in memory, `Unsupported` if the file system can't tell; as pread(2).
pub fn read_now(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
    let run = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: the one run describes `room`, which is writable and borrowed for as long as the call takes.
    let count = unsafe { libc::preadv2(file.as_raw_fd(), &raw const run, 1, offset, libc::RWF_NOWAIT) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Is this a file system that keeps all it has in memory, or one of layers, whose files nearly always lie on a local
/// disk? Containers serve their images from the latter: each large file through a helper thread would cost them more than
/// a rare wait does.
fn is_near(file: &File) -> bool {
    fstatfs(file).is_ok_and(|it| matches!(it.filesystem_type(), TMPFS_MAGIC | OVERLAYFS_SUPER_MAGIC))
}

/// Lets the kernel begin to read bytes that will be wanted soon.
pub fn read_ahead(file: &File, offset: u64, length: u64) {
    if let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) {
        // It is advice: who does not take it, reads them later.
        let _ = posix_fadvise(file, offset, length, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A file on a disk, of which nothing is in memory; `None` where this system's temporary files are in memory only.
    fn forgotten(bytes: usize) -> Option<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; bytes]).unwrap();
        file.sync_all().unwrap();
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
        (residence(&file, 0, 1, false) == Residence::Elsewhere).then_some(file)
    }

    #[test]
    fn bytes_are_elsewhere_until_they_were_read() {
        const BYTES: usize = 8 << 20;
        let Some(file) = forgotten(BYTES) else { return eprintln!("no temporary file leaves memory here") };
        let half = BYTES as u64 / 2;
        let mut content = vec![0; BYTES];
        assert_eq!(read_whole_now(&file, &mut content).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(residence(&file, half, 1 << 20, false), Residence::Elsewhere);
        assert_eq!(residence(&file, half, 1 << 20, true), Residence::Begins);
        assert_eq!(residence(&file, half, 1, false), Residence::Elsewhere, "one page is asked for once");
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut content, 0).unwrap();
        assert_eq!(residence(&file, half, 1 << 20, false), Residence::Memory { goes_on: true });
        assert_eq!(residence(&file, half, 1, false), Residence::Memory { goes_on: true });
        assert_eq!(residence(&file, half, BYTES / 2, false), Residence::Memory { goes_on: false });
        assert_eq!(residence(&file, half, BYTES / 2 + 1, false), Residence::Begins, "behind the end");
        content.fill(0);
        read_whole_now(&file, &mut content).unwrap();
        assert!(content.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_gap_between_two_places_that_were_read_is_found() {
        for bytes in [1 << 20, 100 << 10] {
            let Some(file) = forgotten(bytes) else { return eprintln!("no temporary file leaves memory here") };
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM).unwrap();
            for place in [0, bytes as u64 - 1] {
                std::os::unix::fs::FileExt::read_exact_at(&file, &mut [0], place).unwrap();
            }
            // Each look asks in other places; of the smaller file it finds nothing but what was read once in 150 times.
            let looks = (0..5).map(|_| residence(&file, 0, bytes, false));
            assert!(looks.into_iter().any(|answer| answer == Residence::Begins), "{bytes}");
        }
    }

    #[test]
    fn a_file_system_in_memory_is_near() {
        let Ok(mut file) = tempfile::tempfile_in("/dev/shm") else { return eprintln!("there is no /dev/shm here") };
        file.write_all(b"hello").unwrap();
        // Some kernel may learn to tell.
        assert_ne!(residence(&file, 0, 5, false), Residence::Elsewhere);
        let mut content = [0; 5];
        read_whole_now(&file, &mut content).unwrap();
        assert_eq!(&content, b"hello");
    }
}
