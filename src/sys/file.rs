//! Files beneath a root: open first, then ask the descriptor.
//! Process: any. Privileges: the caller's; landlock bounds a sealed worker. Blocks: as the disk does.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

/// What the kernel says of an open file or a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Device of the file system.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Kind of file.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content, in nanoseconds since the epoch.
    pub modified: i128,
    /// Last change of content or inode, in nanoseconds since the epoch.
    pub changed: i128,
    /// Number of names.
    pub links: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A folder.
    Directory,
    /// A symbolic link (only from `identity_of_entry`).
    Symlink,
    /// Device, FIFO or socket: never served.
    Special,
}

impl Identity {
    fn of(stat: &FileStat) -> Self {
        const NANOSECONDS: i128 = 1_000_000_000;
        let format = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        let kind = if format == SFlag::S_IFREG {
            FileKind::Regular
        } else if format == SFlag::S_IFDIR {
            FileKind::Directory
        } else if format == SFlag::S_IFLNK {
            FileKind::Symlink
        } else {
            FileKind::Special
        };
        #[allow(clippy::useless_conversion, reason = "64-bit ARM counts links with 32 bits")]
        let links = u64::from(stat.st_nlink);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            kind,
            mode: stat.st_mode & 0o7777,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: i128::from(stat.st_mtime) * NANOSECONDS + i128::from(stat.st_mtime_nsec),
            changed: i128::from(stat.st_ctime) * NANOSECONDS + i128::from(stat.st_ctime_nsec),
            links,
            uid: stat.st_uid,
            gid: stat.st_gid,
        }
    }

    /// Last change of the content in whole seconds since the epoch; before it counts as the epoch.
    #[must_use]
    pub fn modified_seconds(&self) -> u64 {
        u64::try_from(self.modified / 1_000_000_000).unwrap_or(0)
    }
}

/// Opens a document root as a place to start from: it can be neither read nor written through this descriptor.
///
/// # Errors
/// As open(2); ENOTDIR if it is no folder.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(path, flags, Mode::empty())?)
}

/// A path relative to a root as the kernel wants it: without the leading `/`, and `.` for the root itself.
fn relative(path: &[u8]) -> &Path {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    Path::new(OsStr::from_bytes(if path.is_empty() { b"." } else { path }))
}

/// How names beneath a root are resolved: symlinks may be followed as long as they stay beneath it (openat2(2)).
fn beneath(flags: OFlag) -> OpenHow {
    OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

/// Opens a file or folder beneath `root` for reading. A FIFO does not block: ask the descriptor what it is.
///
/// # Errors
/// As openat2(2): ENOENT, ENOTDIR, EACCES; EXDEV or ELOOP when the path leads out of the root.
pub fn open_beneath(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<File> {
    open_patiently(root, path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
}

/// Asks what a path is, following symlinks as long as they stay beneath `root`. It is opened with O_PATH, so neither a
/// device nor a FIFO notices, and no right to read it is needed.
///
/// # Errors
/// As openat2(2): ENOENT, ENOTDIR, EACCES; EXDEV or ELOOP when the path leads out of the root.
pub fn identity_beneath(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Identity> {
    identity(open_patiently(root, path, OFlag::O_PATH)?)
}

fn open_patiently(root: BorrowedFd<'_>, path: &[u8], flags: OFlag) -> io::Result<File> {
    // EAGAIN: a name on the way was renamed while `..` of a symlink was checked; openat2(2) says to try again.
    const TRIES: usize = 4;
    let mut tries = 0;
    loop {
        match openat2(root, relative(path), beneath(flags)) {
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) if tries < TRIES => tries += 1,
            outcome => return Ok(File::from(outcome?)),
        }
    }
}

/// Can anything be opened beneath this root at all? A kernel before 5.6, or a filter that somebody else has put on this
/// process, has no openat2(2).
///
/// # Errors
/// As openat2(2): ENOSYS, EPERM.
pub fn probe_beneath(root: BorrowedFd<'_>) -> io::Result<()> {
    Ok(openat2(root, ".", beneath(OFlag::O_PATH)).map(drop)?)
}

/// Asks a descriptor what it is.
///
/// # Errors
/// As fstat(2).
pub fn identity(file: impl AsFd) -> io::Result<Identity> {
    Ok(Identity::of(&fstat(file)?))
}

/// Asks what a path beneath `root` is now, following symlinks. It opens nothing, so it may only be used to *compare*
/// with the identity of a file that was opened by `open_beneath`.
///
/// # Errors
/// As fstatat(2).
pub fn identity_at(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Identity> {
    Ok(Identity::of(&fstatat(root, relative(path), AtFlags::empty())?))
}

/// The same, but of a symlink at the end of the path itself.
///
/// # Errors
/// As fstatat(2).
pub fn identity_of_path(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Identity> {
    Ok(Identity::of(&fstatat(root, relative(path), AtFlags::AT_SYMLINK_NOFOLLOW)?))
}

/// Asks what an entry of an open folder is, not following a symlink.
///
/// # Errors
/// As fstatat(2).
pub fn identity_of_entry(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<Identity> {
    Ok(Identity::of(&fstatat(folder, OsStr::from_bytes(name), AtFlags::AT_SYMLINK_NOFOLLOW)?))
}

/// Opens a folder again, so that a lock on the new descriptor is its own.
///
/// # Errors
/// As openat(2).
pub fn reopen_folder(folder: BorrowedFd<'_>) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(File::from(nix::fcntl::openat(folder, ".", flags, Mode::empty())?))
}

/// Makes a file that did not exist, to be written, and read back. `name` is one name, without slashes.
///
/// # Errors
/// As openat(2): EEXIST, ENOSPC, EACCES, EROFS.
pub fn create_new(folder: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(File::from(nix::fcntl::openat(folder, name, flags, Mode::from_bits_truncate(mode))?))
}

/// Opens a file to be read and written, made if it is not there, never following a symlink.
///
/// # Errors
/// As openat(2): ELOOP for a symlink.
pub fn open_or_create(folder: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(File::from(nix::fcntl::openat(folder, name, flags, Mode::from_bits_truncate(mode))?))
}

/// Opens one entry of a folder, never following a symlink.
///
/// # Errors
/// As openat(2): ELOOP for a symlink.
pub fn open_entry(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    Ok(File::from(nix::fcntl::openat(folder, OsStr::from_bytes(name), flags, Mode::empty())?))
}

/// Opens one entry of a folder to be read and written, never following a symlink.
///
/// # Errors
/// As openat(2): ELOOP for a symlink.
pub fn open_entry_to_write(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    Ok(File::from(nix::fcntl::openat(folder, OsStr::from_bytes(name), flags, Mode::empty())?))
}

/// How many bytes an ordinary user may still write to the file system of an open folder.
///
/// # Errors
/// As fstatvfs(3).
pub fn free_bytes(folder: &File) -> io::Result<u64> {
    let free = nix::sys::statvfs::fstatvfs(folder)?;
    Ok(free.blocks_available().saturating_mul(free.fragment_size()))
}

/// Is this on a file system that has no disk to wait for?
#[must_use]
pub fn is_in_memory(file: &File) -> bool {
    use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
    fstatfs(file).is_ok_and(|it| it.filesystem_type() == TMPFS_MAGIC)
}

/// Reserves room on the disk for a part of a file, whose size stays as it is. False where that can't be had, or costs
/// more than it brings: a file system in memory fills what it reserves with zeros.
///
/// # Errors
/// ENOSPC, EDQUOT and EFBIG of fallocate(2): there is no such room.
pub fn reserve(file: &File, offset: u64, length: u64) -> io::Result<bool> {
    use nix::errno::Errno;
    use nix::fcntl::{FallocateFlags, fallocate};
    if is_in_memory(file) {
        return Ok(false);
    }
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else {
        return Err(Errno::EFBIG.into());
    };
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, length) {
        Ok(()) => Ok(true),
        Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => Err(errno.into()),
        Err(_) => Ok(false),
    }
}

/// Sets the owner and the group of an open file, each if it is given.
///
/// # Errors
/// As fchown(2): EPERM for an owner that is another user, or a group that this process does not belong to.
pub fn set_owner(file: impl AsFd, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    Ok(nix::unistd::fchown(file, uid.map(nix::unistd::Uid::from_raw), gid.map(nix::unistd::Gid::from_raw))?)
}

/// Makes a folder in an open one. `name` is one name, without slashes.
///
/// # Errors
/// As mkdirat(2): EEXIST, ENOSPC, EACCES.
pub fn make_folder(parent: BorrowedFd<'_>, name: &[u8], mode: u32) -> io::Result<()> {
    Ok(nix::sys::stat::mkdirat(parent, OsStr::from_bytes(name), Mode::from_bits_truncate(mode))?)
}

/// Sets the permission bits of an open file.
///
/// # Errors
/// As fchmod(2).
pub fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    Ok(nix::sys::stat::fchmod(file, Mode::from_bits_truncate(mode))?)
}

/// Moves an entry over another name in the same folder.
///
/// # Errors
/// As renameat(2).
pub fn rename_over(folder: BorrowedFd<'_>, from: &str, to: &[u8]) -> io::Result<()> {
    Ok(nix::fcntl::renameat(folder, from, folder, OsStr::from_bytes(to))?)
}

/// Gives an entry another name in the same folder, unless that name is taken.
///
/// # Errors
/// As renameat2(2) and linkat(2): EEXIST.
pub fn rename_to_new(folder: BorrowedFd<'_>, from: &str, to: &[u8]) -> io::Result<()> {
    use nix::errno::Errno;
    use nix::fcntl::{RenameFlags, renameat2};
    let to = OsStr::from_bytes(to);
    match renameat2(folder, from, folder, to, RenameFlags::RENAME_NOREPLACE) {
        // Distributed file systems lack the flag, but linkat refuses a name that exists everywhere.
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            nix::unistd::linkat(folder, from, folder, to, AtFlags::empty())?;
            Ok(nix::unistd::unlinkat(folder, from, nix::unistd::UnlinkatFlags::NoRemoveDir)?)
        }
        outcome => Ok(outcome?),
    }
}

/// Removes an entry that is no folder.
///
/// # Errors
/// As unlinkat(2).
pub fn remove_entry(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(nix::unistd::unlinkat(folder, OsStr::from_bytes(name), nix::unistd::UnlinkatFlags::NoRemoveDir)?)
}

/// Lets the modes that the configuration names be the modes that files get.
pub fn clear_umask() {
    nix::sys::stat::umask(Mode::empty());
}
