//! What a process keeps of its starter or parent: descriptors, standard ones first, and the environment.
//! Process: supervisor at its start, and a worker in its first steps. Privileges: none. Blocks: never.
#![allow(unsafe_code, reason = "close_range, dup3 and the list of variables have no safe form")]

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{FcntlArg, fcntl};

/// Standard input is no longer what the starter left there: a folder there would be a way round the seal.
///
/// # Errors
/// As open(2) and dup2(2).
pub fn leave_standard_input() -> io::Result<()> {
    let null = std::fs::File::open("/dev/null")?;
    Ok(nix::unistd::dup2_stdin(null)?)
}

/// Standard output and error, where they are terminals, are open for writing only from here on: the starter left them open
/// for reading as well, and who logs there could read what is typed. It works while this process may open the terminal,
/// that is as its user or as root; where it may not (after `su`, as somebody else) they stay as they are.
///
/// # Errors
/// As dup2(2).
pub fn forbid_reading_of_terminals() -> io::Result<()> {
    let own = |fd: BorrowedFd<'_>| {
        let can_read = fcntl(fd, FcntlArg::F_GETFL).is_ok_and(|flags| flags & libc::O_ACCMODE != libc::O_WRONLY);
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let open = || std::fs::File::options().write(true).custom_flags(libc::O_NOCTTY).open(path).ok();
        (can_read && fd.is_terminal()).then(open).flatten()
    };
    if let Some(terminal) = own(io::stdout().as_fd()) {
        nix::unistd::dup2_stdout(terminal)?;
    }
    if let Some(terminal) = own(io::stderr().as_fd()) {
        nix::unistd::dup2_stderr(terminal)?;
    }
    Ok(())
}

/// Standard output and error are no longer what the starter left there: a terminal is open for reading as well. Standard
/// output leads nowhere, standard error to `errors` (for the last words of a panic or of the C library), or nowhere.
///
/// # Errors
/// As open(2) and dup3(2).
pub fn leave_standard_output(errors: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let null = std::fs::File::options().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    lead_standard_error(errors.unwrap_or(null.as_fd()))
}

/// Leads standard error to `errors`: by dup3(2), the one of its family that the seal lets pass.
///
/// # Errors
/// As dup3(2).
pub fn lead_standard_error(errors: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both are numbers of open files, and nobody owns standard error: it is only ever borrowed.
    let outcome = unsafe { libc::dup3(errors.as_raw_fd(), libc::STDERR_FILENO, libc::O_CLOEXEC) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes every descriptor above standard error but `keep`. For a forked child only, before it goes on to code that
/// knows no others: it leaves the parent's pipes, sockets and whatever the starter left open behind, known or not.
/// The parent's values that own them must not be used any more, which holds because the child never returns to it.
///
/// # Errors
/// As close_range(2).
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).collect();
    keep.sort_unstable();
    let mut first: u32 = 3;
    for kept in keep.into_iter().filter(|fd| *fd >= 3) {
        if first < kept {
            close_range(first, kept - 1)?;
        }
        first = first.max(kept + 1);
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: the arguments are plain numbers; the caller of `close_all_but` answers for the owners.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Leaves no word of the environment: neither for this process nor in its memory, where /proc/PID/environ shows it. For a
/// forked child that has no other thread yet, and reads no variable any more.
pub fn clear_environment() {
    // The list and its texts were made by the kernel or by setenv(3), in memory that may be written; each text ends with a
    // zero, and the list with a null pointer.
    // SAFETY: no other thread is there that could change the list meanwhile.
    let mut entry = unsafe { environ };
    while !entry.is_null() {
        // SAFETY: the list goes on up to a null pointer, and this is not behind it.
        let text = unsafe { *entry };
        if text.is_null() {
            break;
        }
        // SAFETY: it is a text, see above.
        let length = unsafe { libc::strlen(text) };
        // SAFETY: so long is the text, and nobody reads it any more.
        unsafe { std::ptr::write_bytes(text, 0, length) };
        // SAFETY: what stood here was not the end.
        entry = unsafe { entry.add(1) };
    }
    // SAFETY: as for reading the list.
    unsafe { libc::clearenv() };
}

unsafe extern "C" {
    /// The list of variables (environ(7)).
    static mut environ: *mut *mut libc::c_char;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Ended, fork, wait};
    use std::fs::File;
    use std::process::ExitCode;

    #[test]
    fn child_keeps_only_what_it_is_told_to_keep() {
        let kept = File::open("/dev/null").unwrap();
        let stray = File::open("/").unwrap();
        let child = fork(|| {
            if close_all_but(&[kept.as_fd()]).is_err() {
                return ExitCode::from(2);
            }
            let open = |file: &File| nix::sys::stat::fstat(file).is_ok();
            ExitCode::from(u8::from(!open(&kept) || open(&stray)))
        });
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
    }

    #[test]
    fn standard_output_and_error_are_no_longer_those_of_the_starter() {
        let (mut reader, errors) = io::pipe().unwrap();
        let null = nix::sys::stat::stat("/dev/null").unwrap().st_rdev;
        let is_null = |fd: BorrowedFd<'_>| nix::sys::stat::fstat(fd).is_ok_and(|it| it.st_rdev == null);
        let child = fork(|| {
            let led = leave_standard_output(Some(errors.as_fd())).is_ok()
                && is_null(io::stdout().as_fd())
                && io::Write::write_all(&mut io::stderr(), b"last words").is_ok();
            let left = leave_standard_output(None).is_ok() && is_null(io::stderr().as_fd());
            ExitCode::from(u8::from(!led || !left))
        });
        drop(errors);
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "last words");
    }

    #[test]
    fn nothing_is_left_of_an_environment() {
        let child = fork(|| {
            // Not by std::env: at the fork another thread of the tests may have held its lock.
            let left =
                || std::fs::read("/proc/self/environ").map(|bytes| bytes.iter().filter(|byte| **byte != 0).count());
            assert_ne!(left().unwrap(), 0);
            clear_environment();
            assert_eq!(left().unwrap(), 0);
            ExitCode::SUCCESS
        });
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
    }
}
