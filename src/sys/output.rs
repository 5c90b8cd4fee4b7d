//! Where log lines go: files, pipes, terminals and sockets, written without ever waiting for a reader.
//! Process: any. Privileges: none. Blocks: never, but as a disk does.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};

/// POSIX's PIPE_BUF on Linux: so much is written to a pipe whole or not at all, also beside other writers.
const PIPE_BYTES: usize = 4096;

/// Permission bits of a new log: clients' addresses are nobody's business but the group's.
const LOG_MODE: u32 = 0o640;

/// An open descriptor for lines.
#[derive(Debug)]
pub struct Output {
    fd: OwnedFd,
    kind: Kind,
}

/// How a descriptor is written without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Takes everything; only the disk can make it wait.
    Regular,
    /// Non-blocking by its open file description.
    Pipe,
    /// The description may be shared with strangers, but a single send can be told not to wait.
    Socket,
    /// The description may be shared with the shell: ask for room before each write.
    Device,
}

impl Output {
    /// Opens a file for appending and makes it where it doesn't exist.
    ///
    /// # Errors
    /// As open(2); ENXIO for a named pipe that nobody reads.
    pub fn append(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().append(true).create(true).mode(LOG_MODE).custom_flags(flags.bits()).open(path)?;
        Self::from_fd(OwnedFd::from(file))
    }

    /// A descriptor that this process was started with, standard output or standard error.
    ///
    /// A pipe or terminal is opened anew, so that O_NONBLOCK stays ours: set on the inherited description it would
    /// give EAGAIN to whoever shares that. Where this isn't permitted (a pipe made by root, after the change of user)
    /// a pipe is set non-blocking all the same: it is shared with fewer strangers than a terminal. A regular file is
    /// not opened anew: its description carries the offset at which the starting shell will go on.
    ///
    /// # Errors
    /// As dup(2), fstat(2) and fcntl(2); EBADF when the descriptor is closed.
    pub fn inherit(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let own = fd.try_clone_to_owned()?;
        let kind = Kind::of(own.as_fd())?;
        match kind {
            Kind::Regular | Kind::Socket => Ok(Self { fd: own, kind }),
            Kind::Pipe | Kind::Device => match reopen(own.as_fd()) {
                Ok(fd) => Ok(Self { fd, kind }),
                Err(_) => Self::from_fd(own),
            },
        }
    }

    /// A descriptor that was an `Output` in another process, or has just been opened.
    ///
    /// # Errors
    /// As fstat(2) and fcntl(2).
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let kind = Kind::of(fd.as_fd())?;
        if kind == Kind::Pipe {
            let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
            if !flags.contains(OFlag::O_NONBLOCK) {
                fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
            }
        }
        Ok(Self { fd, kind })
    }

    /// Is it a regular file, which outlives the process and is read later?
    #[must_use]
    pub fn is_regular(&self) -> bool {
        self.kind == Kind::Regular
    }

    /// How many bytes one write may have so that it is taken whole or not at all.
    #[must_use]
    pub fn whole_bytes(&self) -> usize {
        match self.kind {
            Kind::Regular => usize::MAX,
            Kind::Pipe | Kind::Socket | Kind::Device => PIPE_BYTES,
        }
    }

    /// Device and inode, by which the journal names the socket that it reads.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn device_and_inode(&self) -> io::Result<(u64, u64)> {
        let stat = fstat(&self.fd)?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// Writes once and says how many bytes were taken.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; else as write(2).
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let written = match self.kind {
                Kind::Regular | Kind::Pipe => nix::unistd::write(&self.fd, bytes),
                Kind::Socket => send(self.fd.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL),
                Kind::Device => room(self.fd.as_fd()).and_then(|()| nix::unistd::write(&self.fd, bytes)),
            };
            match written {
                Err(Errno::EINTR) => {}
                outcome => return Ok(outcome?),
            }
        }
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Kind {
    fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let format = SFlag::from_bits_truncate(fstat(fd)?.st_mode & SFlag::S_IFMT.bits());
        Ok(if format == SFlag::S_IFREG {
            Self::Regular
        } else if format == SFlag::S_IFIFO {
            Self::Pipe
        } else if format == SFlag::S_IFSOCK {
            Self::Socket
        } else {
            Self::Device
        })
    }
}

/// The same pipe or terminal with an open file description of our own.
fn reopen(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok(OpenOptions::new().write(true).custom_flags(flags.bits()).open(path)?.into())
}

/// Has a terminal room for a line? One stopped with Ctrl-S has none.
fn room(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
    match poll(&mut fds, PollTimeout::ZERO)? {
        0 => Err(Errno::EAGAIN),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_full_pipe_never_waits_and_keeps_its_shared_description_blocking() {
        let (mut reader, writer) = io::pipe().unwrap();
        let output = Output::inherit(writer.as_fd()).unwrap();
        while output.write(&[b'x'; 4096]).is_ok() {}
        assert_eq!(output.write(b"y").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let flags = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK), "whoever shares this end still waits as it expects to");
        reader.read_exact(&mut [0; 4096]).unwrap();
        assert_eq!(output.write(b"y").unwrap(), 1);
    }

    #[test]
    fn a_full_socket_never_waits() {
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let output = Output::from_fd(writer.into()).unwrap();
        while output.write(&[b'x'; 4096]).is_ok() {}
        assert_eq!(output.write(b"y").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(reader);
        assert_eq!(output.write(b"y").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_file_is_appended_to_and_closed_to_strangers() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for text in ["one\n", "two\n"] {
            let output = Output::append(&path).unwrap();
            assert!(output.is_regular());
            assert_eq!(output.write(text.as_bytes()).unwrap(), 4);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        let mode = std::fs::File::open(&path).unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "neither executable, nor writable by the group, nor open to others");
    }
}
