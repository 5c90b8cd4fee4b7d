//! Messages to the local syslog daemon. The one door to the `syslog` crate.
//! Process: any; the socket is made before the seal. Blocks: never: what a full or absent daemon doesn't take is dropped.
//!
//! The crate only writes the words. Its own connection would be dead after the daemon is restarted, and would wait
//! for a full one; ours is an unconnected datagram socket, and each message is sent to the path anew.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use ::syslog::{Facility, Formatter3164, LogFormat, Severity};

use crate::sys::file::open_root;

/// Where the local daemon listens, journald as well as rsyslog.
const SYSLOG_PATH: &str = "/dev/log";

/// A socket to speak to syslog from.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: UnixDatagram,
    daemon: PathBuf,
}

impl Syslog {
    pub(super) fn open() -> io::Result<Self> {
        Self::open_to(Path::new(SYSLOG_PATH))
    }

    fn open_to(daemon: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, daemon: daemon.to_owned() })
    }

    /// A socket made by `open` in another process; O_NONBLOCK has come with it.
    pub(super) fn from_fd(fd: OwnedFd) -> Self {
        Self { socket: UnixDatagram::from(fd), daemon: PathBuf::from(SYSLOG_PATH) }
    }

    /// The folder in which the daemon makes its socket: /dev/log is often a link to it.
    pub(super) fn folder(&self) -> io::Result<OwnedFd> {
        let beside = |path: &Path| path.parent().unwrap_or(Path::new("/")).to_owned();
        match std::fs::read_link(&self.daemon) {
            Ok(target) => open_root(&beside(&beside(&self.daemon).join(target))),
            Err(_) => open_root(&beside(&self.daemon)),
        }
    }

    /// Sends one message, whole or not at all.
    pub(super) fn send(&self, severity: Severity, message: impl fmt::Display) -> io::Result<()> {
        // Made for each message: a worker has another process id than the supervisor that opened the socket.
        let formatter = Formatter3164 {
            facility: Facility::LOG_DAEMON,
            hostname: None,
            process: String::from("fileserv"),
            pid: std::process::id(),
        };
        let mut datagram = Vec::with_capacity(256);
        formatter.format(&mut datagram, severity, message).map_err(io::Error::other)?;
        self.socket.send_to(&datagram, &self.daemon).map(|_| ())
    }
}

impl AsFd for Syslog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(daemon: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = daemon.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_restarted_daemon_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let first = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::open_to(&path).unwrap();
        syslog.send(Severity::LOG_NOTICE, "one").unwrap();
        let message = receive(&first);
        // Facility daemon is 3, notice is 5: 3 × 8 + 5.
        assert!(message.starts_with("<29>"), "{message}");
        assert!(message.ends_with(&format!(" fileserv[{}]: one", std::process::id())), "{message}");

        drop(first);
        assert!(syslog.send(Severity::LOG_NOTICE, "nobody hears").is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(syslog.send(Severity::LOG_NOTICE, "nobody hears").is_err());

        let second = UnixDatagram::bind(&path).unwrap();
        syslog.send(Severity::LOG_ERR, "two").unwrap();
        assert!(receive(&second).ends_with(": two"));
    }

    #[test]
    fn a_daemon_that_does_not_read_never_makes_us_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::open_to(&path).unwrap();
        let full = (0..1_000_000).find_map(|_| syslog.send(Severity::LOG_INFO, "x").err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        while receive(&daemon).ends_with(": x") {
            if syslog.send(Severity::LOG_INFO, "room again").is_ok() {
                return;
            }
        }
        panic!("a daemon that reads again is heard again");
    }
}
