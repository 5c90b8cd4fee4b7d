//! Another process, held by a descriptor so that its id can't come to mean a third one (pidfd_open(2), Linux 5.3).
//! Process: who asks by `--signal`. Privileges: to signal a process of another user, root's. Blocks: never.
#![allow(unsafe_code, reason = "pidfd_open and pidfd_send_signal have no safe form")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

/// A process that is no child of ours, held so that its id can't come to mean another one.
#[derive(Debug)]
pub struct Held(OwnedFd);

/// What another process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// SIGHUP.
    Hangup,
    /// SIGTERM.
    Terminate,
    /// SIGQUIT.
    Quit,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
}

impl Held {
    /// The process that has this id now.
    ///
    /// # Errors
    /// As pidfd_open(2): ESRCH when there is none.
    pub fn find(number: u32) -> io::Result<Self> {
        // SAFETY: the arguments are plain numbers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, number, 0) };
        let fd = i32::try_from(Errno::result(fd)?).map_err(io::Error::other)?;
        // SAFETY: the kernel has just made this descriptor, and nobody else knows its number.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The id of the user who runs it; `None` once it has ended. It is the real one: who has that may signal it anyhow.
    /// The owner of its folder in `/proc` would be root for one that is not dumpable.
    ///
    /// # Errors
    /// As reading `/proc`; `InvalidData` if there is no such line.
    pub fn user(&self, number: u32) -> io::Result<Option<u32>> {
        let status = std::fs::read_to_string(format!("/proc/{number}/status"));
        // As long as the held one lives, the number is its own.
        if self.ends_within(Duration::ZERO)? {
            return Ok(None);
        }
        let status = status?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let real = line.and_then(|line| line.split_whitespace().next()).and_then(|uid| uid.parse().ok());
        real.map(Some).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// As pidfd_send_signal(2): ESRCH when it is gone, EPERM when it is somebody else's.
    pub fn tell(&self, what: Telling) -> io::Result<()> {
        let signal = match what {
            Telling::Hangup => libc::SIGHUP,
            Telling::Terminate => libc::SIGTERM,
            Telling::Quit => libc::SIGQUIT,
            Telling::User1 => libc::SIGUSR1,
            Telling::User2 => libc::SIGUSR2,
        };
        let (fd, nobody) = (self.0.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: a null pointer for the details is what the call takes for "as kill(2) does".
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, nobody, 0) };
        Errno::result(result)?;
        Ok(())
    }

    /// Waits until it has ended, but not longer than that; `false` if it has not.
    ///
    /// # Errors
    /// As poll(2).
    pub fn ends_within(&self, limit: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, super::poll::timeout(Some(limit))) {
            Ok(count) => Ok(count > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Ended, fork, wait};
    use nix::sys::signal::Signal;
    use std::process::ExitCode;

    #[test]
    fn held_process_is_told_and_seen_to_end() {
        let (told, tell) = std::os::unix::net::UnixStream::pair().unwrap();
        let child = fork(move || {
            // SIGUSR1 is ignored in a child; this one takes it back.
            // SAFETY: the default disposition runs no code of ours.
            if unsafe { nix::sys::signal::signal(Signal::SIGUSR1, nix::sys::signal::SigHandler::SigDfl) }.is_err() {
                return ExitCode::FAILURE;
            }
            let _ = std::io::Write::write_all(&mut &tell, b"!");
            loop {
                nix::unistd::pause();
            }
        });
        let child = child.unwrap();
        std::io::Read::read_exact(&mut &told, &mut [0]).unwrap();
        let held = Held::find(child.number()).unwrap();
        assert!(!held.ends_within(Duration::ZERO).unwrap());
        assert_eq!(held.user(child.number()).unwrap(), Some(nix::unistd::getuid().as_raw()));
        held.tell(Telling::User1).unwrap();
        assert!(held.ends_within(Duration::from_secs(60)).unwrap());
        assert_eq!(held.user(child.number()).unwrap(), None);
        assert_eq!(wait(child).unwrap(), Ended::Killed(libc::SIGUSR1));
        assert_eq!(held.tell(Telling::Hangup).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
