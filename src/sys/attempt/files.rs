//! Attempts on files by their paths, as an attacker would make them.
//! Process: a worker of `--check-sandbox`. Trusts: nothing. Blocks: never.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{NONE, attempts};

/// Everybody's right to run a file, and the owner's name with it.
const SETUID: libc::mode_t = 0o4755;
const NOW: *const libc::c_void = NONE;

attempts! {
    /// openat(2) to read a file, relative to a folder.
    fn open_at(folder: BorrowedFd<'_>, path: &CStr) = SYS_openat(folder.as_raw_fd(), path.as_ptr(), libc::O_RDONLY);

    /// openat2(2) with no rule for how names are resolved.
    fn open_anyhow(folder: BorrowedFd<'_>, path: &CStr) =
        SYS_openat2(folder.as_raw_fd(), path.as_ptr(), std::ptr::from_ref(&FREELY), std::mem::size_of::<libc::open_how>());

    /// openat(2) to write a file that is there.
    fn open_to_write(path: &CStr) = SYS_openat(libc::AT_FDCWD, path.as_ptr(), libc::O_WRONLY);

    /// openat(2) that makes a file.
    fn make_file(path: &CStr) = SYS_openat(libc::AT_FDCWD, path.as_ptr(), libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 0o600);

    /// openat(2) that makes a file without a name in a folder: it is gone with its descriptor.
    fn make_nameless(folder: BorrowedFd<'_>) =
        SYS_openat(folder.as_raw_fd(), c".".as_ptr(), libc::O_WRONLY | libc::O_TMPFILE, 0o600);

    /// openat(2) that makes a set-user-id file.
    fn make_setuid(path: &CStr) =
        SYS_openat(libc::AT_FDCWD, path.as_ptr(), libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, SETUID);

    /// fchmod(2) that makes an open file set-user-id.
    fn become_setuid(file: BorrowedFd<'_>) = SYS_fchmod(file.as_raw_fd(), SETUID);

    /// mknodat(2): a device that is another name of /dev/null.
    fn make_device(path: &CStr) =
        SYS_mknodat(libc::AT_FDCWD, path.as_ptr(), libc::S_IFCHR | 0o600, libc::makedev(1, 3));

    /// mknodat(2): a named pipe.
    fn make_pipe(path: &CStr) = SYS_mknodat(libc::AT_FDCWD, path.as_ptr(), libc::S_IFIFO | 0o600, 0_usize);

    /// mkdirat(2).
    fn make_folder(path: &CStr) = SYS_mkdirat(libc::AT_FDCWD, path.as_ptr(), 0o700);

    /// symlinkat(2): a link to the root of the system.
    fn make_link_to_root(path: &CStr) = SYS_symlinkat(c"/".as_ptr(), libc::AT_FDCWD, path.as_ptr());

    /// linkat(2): one more name of a file.
    fn link(old: &CStr, new: &CStr) = SYS_linkat(libc::AT_FDCWD, old.as_ptr(), libc::AT_FDCWD, new.as_ptr(), 0);

    /// renameat2(2).
    fn rename(old: &CStr, new: &CStr) = SYS_renameat2(libc::AT_FDCWD, old.as_ptr(), libc::AT_FDCWD, new.as_ptr(), 0);

    /// unlinkat(2) of a file.
    fn remove(path: &CStr) = SYS_unlinkat(libc::AT_FDCWD, path.as_ptr(), 0);

    /// truncate(2) to the length of no byte.
    fn truncate(path: &CStr) = SYS_truncate(path.as_ptr(), 0_usize);

    /// ftruncate(2) of an open file.
    fn truncate_open(file: BorrowedFd<'_>) = SYS_ftruncate(file.as_raw_fd(), 0_usize);

    /// pwritev2(2) with RWF_NOAPPEND (Linux 6.9): writes over the first byte of a file that is appended to.
    fn overwrite(file: BorrowedFd<'_>) =
        SYS_pwritev2(file.as_raw_fd(), [ONE_BYTE; 1].as_ptr(), 1_usize, 0_usize, 0_usize, RWF_NOAPPEND);

    /// fallocate(2) that cuts the first block out of an open file.
    fn punch_hole(file: BorrowedFd<'_>) = SYS_fallocate(
        file.as_raw_fd(),
        libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
        0_usize,
        4096_usize
    );

    /// fchmodat(2).
    fn chmod(path: &CStr) = SYS_fchmodat(libc::AT_FDCWD, path.as_ptr(), 0o600);

    /// fchownat(2) to the owner that it has.
    fn chown(path: &CStr) = SYS_fchownat(libc::AT_FDCWD, path.as_ptr(), -1, -1, 0);

    /// utimensat(2): the present time.
    fn set_times(path: &CStr) = SYS_utimensat(libc::AT_FDCWD, path.as_ptr(), NOW, 0);

    /// fchmod(2).
    fn chmod_open(file: BorrowedFd<'_>) = SYS_fchmod(file.as_raw_fd(), 0o600);

    /// fchown(2) to the owner that it has.
    fn chown_open(file: BorrowedFd<'_>) = SYS_fchown(file.as_raw_fd(), -1, -1);

    /// utimensat(2) without a path: the present time, of an open file.
    fn set_times_open(file: BorrowedFd<'_>) = SYS_utimensat(file.as_raw_fd(), NONE, NOW, 0);

    /// fsetxattr(2).
    fn set_attribute_open(file: BorrowedFd<'_>) =
        SYS_fsetxattr(file.as_raw_fd(), c"user.fileserv.check".as_ptr(), c"x".as_ptr(), 1_usize, 0);

    /// setxattr(2).
    fn set_attribute(path: &CStr) =
        SYS_setxattr(path.as_ptr(), c"user.fileserv.check".as_ptr(), c"x".as_ptr(), 1_usize, 0);

    /// listxattr(2).
    fn list_attributes(path: &CStr) =
        SYS_listxattr(path.as_ptr(), [0_u8; 256].as_mut_ptr(), 256_usize);

    /// inotify_init1(2): what happens to files elsewhere can be watched.
    fn watch_files() = SYS_inotify_init1(libc::O_CLOEXEC);

    /// fanotify_init(2).
    fn watch_all_files() = SYS_fanotify_init(libc::FAN_REPORT_FID, 0);

    /// fanotify_mark(2) of a path: what happens there is told.
    fn watch_path(group: BorrowedFd<'_>, path: &CStr) = SYS_fanotify_mark(
        group.as_raw_fd(), libc::FAN_MARK_ADD, libc::FAN_CREATE | libc::FAN_ONDIR, libc::AT_FDCWD, path.as_ptr());

    /// fanotify_mark(2) of an open file or folder.
    fn watch_open(group: BorrowedFd<'_>, folder: BorrowedFd<'_>) = SYS_fanotify_mark(
        group.as_raw_fd(), libc::FAN_MARK_ADD, libc::FAN_CREATE | libc::FAN_ONDIR, folder.as_raw_fd(), NONE);

    /// name_to_handle_at(2): a name that works without a path.
    fn handle_of(path: &CStr) =
        SYS_name_to_handle_at(libc::AT_FDCWD, path.as_ptr(), handle().as_mut_ptr(), [0_i32; 1].as_mut_ptr(), 0);

    /// open_by_handle_at(2).
    fn open_handle(folder: BorrowedFd<'_>) =
        SYS_open_by_handle_at(folder.as_raw_fd(), handle().as_mut_ptr(), libc::O_RDONLY);

    /// fcntl(2) F_SETOWN: the kernel is to send SIGIO to a process.
    fn send_signals_to(file: BorrowedFd<'_>, pid: u32) = SYS_fcntl(file.as_raw_fd(), libc::F_SETOWN, pid);

    /// fcntl(2) F_SETSIG: and another signal in its place.
    fn choose_signal(file: BorrowedFd<'_>) = SYS_fcntl(file.as_raw_fd(), F_SETSIG, 0);

    /// fcntl(2) F_SETLEASE: others are held up when they open the file.
    fn lease(file: BorrowedFd<'_>) = SYS_fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK);

    /// fcntl(2) F_SETFL: neither non-blocking nor appending, for all who share the open file.
    fn clear_flags(file: BorrowedFd<'_>) = SYS_fcntl(file.as_raw_fd(), libc::F_SETFL, 0);

    /// ioctl(2) FIONBIO: blocking, for all who share the open file.
    fn make_blocking(file: BorrowedFd<'_>) = SYS_ioctl(file.as_raw_fd(), libc::FIONBIO, [0_i32; 1].as_ptr());

    /// ioctl(2) FIOASYNC: signals when something can be read.
    fn ask_for_signals(file: BorrowedFd<'_>) = SYS_ioctl(file.as_raw_fd(), libc::FIOASYNC, [1_i32; 1].as_ptr());

    /// ioctl(2) TIOCSTI: types into a terminal.
    fn type_into(terminal: BorrowedFd<'_>) = SYS_ioctl(terminal.as_raw_fd(), libc::TIOCSTI, c"x".as_ptr());

    /// ioctl(2) FS_IOC_GETFLAGS: what a file system's own calls do.
    fn ask_for_flags(file: BorrowedFd<'_>) =
        SYS_ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, [0_u64; 1].as_mut_ptr());
}

/// libc does not name it for every C library; fcntl(2) has it the same everywhere but on processors of the last century.
const F_SETSIG: libc::c_int = 10;
/// libc does not name it for every C library.
const RWF_NOAPPEND: libc::c_int = 0x20;
const ONE_BYTE: libc::iovec = libc::iovec { iov_base: c"x".as_ptr().cast_mut().cast(), iov_len: 1 };
// SAFETY: it is made of numbers, and zeros are the default (openat2(2)).
const FREELY: libc::open_how = unsafe { std::mem::zeroed() };

/// fchmodat2(2), Linux 6.6; libc does not name it for every processor, but its number is the same on all.
///
/// # Errors
/// Whatever the kernel says.
pub fn chmod_newly(path: &CStr) -> io::Result<()> {
    const FCHMODAT2: libc::c_long = 452;
    // SAFETY: numbers, and a text that ends with a zero.
    let outcome = unsafe { libc::syscall(FCHMODAT2, libc::AT_FDCWD, path.as_ptr(), 0o600, 0) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Room for a file handle: its length, its kind, and 128 bytes (`MAX_HANDLE_SZ`); aligned as its integers are.
fn handle() -> [u32; 34] {
    let mut handle = [0; 34];
    if let Some(length) = handle.first_mut() {
        *length = 128;
    }
    handle
}

/// A file descriptor of a device that is a terminal's other end; typing into it harms nobody.
///
/// # Errors
/// As open(2).
pub fn own_terminal() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/ptmx")
}
