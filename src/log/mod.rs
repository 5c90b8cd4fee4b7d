//! Logs: one line a request, and the life of the server. What can't be written at once is dropped and counted.
//! Process: both. The supervisor opens them (again on SIGUSR1); a sealed worker gets the descriptors and can't open any.

mod access;
mod error;
mod stamp;
mod syslog;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Log, LogTarget};
use crate::sys::output::Output;

pub use access::{AccessLog, Line, RequestLine};
use error::ErrorLog;
pub use error::Level;
use syslog::Syslog;

/// The open logs of a process. A clone is the same logs: descriptors are shared, and so are the counts of lost lines.
#[derive(Debug, Clone)]
pub struct Logs(Arc<Open>);

#[derive(Debug)]
struct Open {
    access: Sink,
    error: ErrorLog,
}

/// The logs of a process as they were opened last, for a thread that outlives a rotation: one that kept older ones would
/// keep a file that an operator has removed, and its room on the disk.
#[derive(Debug, Clone)]
pub struct LatestLogs(Arc<Mutex<Logs>>);

/// An open log target.
#[derive(Debug)]
enum Sink {
    Off,
    Output(Output),
    Syslog(Syslog),
}

/// Why the logs can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A log file.
    #[error("cannot open the log {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Standard output or standard error.
    #[error("cannot log to {name}: {source}")]
    Inherited {
        /// Which of the two.
        name: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The socket from which syslog is spoken to.
    #[error("cannot make a socket for syslog: {0}")]
    Syslog(io::Error),
    /// Descriptors came that don't belong to this configuration.
    #[error("descriptors of logs came that do not fit the configuration")]
    Mismatch,
}

impl Logs {
    /// Opens what the configuration names, for the user that the process is now: as a sealed worker's logs can be
    /// opened again only by the supervisor as the service user, a start as root must not succeed where that would fail.
    ///
    /// # Errors
    /// The first log that can't be opened.
    pub fn open(config: &Log) -> Result<Self, LogError> {
        let access = Sink::open(&config.access)?;
        let error = ErrorLog::new(Sink::open(&config.error)?);
        Ok(Self(Arc::new(Open { access, error })))
    }

    /// The descriptors of all logs that have one, in the order in which `from_fds` wants them.
    #[must_use]
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        [&self.0.access, self.0.error.sink()].into_iter().filter_map(Sink::fd).collect()
    }

    /// Where a message can be written that does not come by this type: what the error log writes to, unless it is syslog,
    /// which takes no such text.
    #[must_use]
    pub fn raw_error(&self) -> Option<BorrowedFd<'_>> {
        match self.0.error.sink() {
            Sink::Output(output) => Some(output.as_fd()),
            Sink::Off | Sink::Syslog(_) => None,
        }
    }

    /// The folder of the syslog daemon's socket, if that is logged to and there is one. The socket itself is another one
    /// after each start of the daemon.
    #[must_use]
    pub fn daemon_folder(&self) -> Option<OwnedFd> {
        [&self.0.access, self.0.error.sink()].into_iter().find_map(|sink| match sink {
            Sink::Syslog(syslog) => syslog.folder().ok(),
            Sink::Off | Sink::Output(_) => None,
        })
    }

    /// The same logs in a process that was handed their descriptors.
    ///
    /// # Errors
    /// `Mismatch` unless the descriptors are as many as the configuration has open logs.
    pub fn from_fds(config: &Log, fds: Vec<OwnedFd>) -> Result<Self, LogError> {
        let mut fds = fds.into_iter();
        let access = Sink::from_fds(&config.access, &mut fds)?;
        let error = ErrorLog::new(Sink::from_fds(&config.error, &mut fds)?);
        if fds.next().is_some() {
            return Err(LogError::Mismatch);
        }
        Ok(Self(Arc::new(Open { access, error })))
    }

    /// The same logs with descriptors of their own.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn duplicate(&self, config: &Log) -> io::Result<Self> {
        let fds = self.fds().into_iter().map(|fd| fd.try_clone_to_owned()).collect::<io::Result<_>>()?;
        Self::from_fds(config, fds).map_err(io::Error::other)
    }

    /// Writes one line to the error log, from any thread.
    pub fn error(&self, level: Level, message: std::fmt::Arguments<'_>) {
        self.0.error.line(level, message);
    }

    /// Tells of a request that was refused because of an error of the system: one in a second of those that are grave,
    /// and one of the others, and how many there were besides.
    pub fn refused(&self, status: u16, detail: &str, error: &io::Error, request: &str) {
        self.0.error.refused(status, detail, error, request);
    }

    /// How many lines of the error log were lost since it was opened.
    #[must_use]
    pub fn error_drops(&self) -> u64 {
        self.0.error.drops()
    }

    fn access(&self) -> &Sink {
        &self.0.access
    }
}

impl LatestLogs {
    /// These, until they are followed by others.
    #[must_use]
    pub fn new(logs: Logs) -> Self {
        Self(Arc::new(Mutex::new(logs)))
    }

    /// The logs of this moment, for one line or a few.
    #[must_use]
    pub fn now(&self) -> Logs {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everybody who asks from now on gets these.
    pub fn follow(&self, logs: Logs) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = logs;
    }
}

impl Sink {
    fn open(target: &LogTarget) -> Result<Self, LogError> {
        let inherited = |name, fd: BorrowedFd<'_>| {
            Output::inherit(fd).map(Self::Output).map_err(|source| LogError::Inherited { name, source })
        };
        match target {
            LogTarget::Off => Ok(Self::Off),
            LogTarget::Stdout => inherited("standard output", io::stdout().as_fd()),
            LogTarget::Stderr => inherited("standard error", io::stderr().as_fd()),
            LogTarget::File(path) => Self::file(path),
            LogTarget::Syslog => Syslog::open().map(Self::Syslog).map_err(LogError::Syslog),
        }
    }

    fn file(path: &Path) -> Result<Self, LogError> {
        Output::append(path).map(Self::Output).map_err(|source| LogError::File { path: path.to_owned(), source })
    }

    fn from_fds(target: &LogTarget, fds: &mut impl Iterator<Item = OwnedFd>) -> Result<Self, LogError> {
        if *target == LogTarget::Off {
            return Ok(Self::Off);
        }
        let fd = fds.next().ok_or(LogError::Mismatch)?;
        if *target == LogTarget::Syslog {
            return Ok(Self::Syslog(Syslog::from_fd(fd)));
        }
        Output::from_fd(fd).map(Self::Output).map_err(|_| LogError::Mismatch)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Off => None,
            Self::Output(output) => Some(output.as_fd()),
            Self::Syslog(syslog) => Some(syslog.as_fd()),
        }
    }
}

/// Appends bytes that a client chose, or may have chosen, so that they can neither end a line nor a quoted string,
/// nor speak to the terminal of whoever reads the log.
fn push_escaped(out: &mut Vec<u8>, text: &[u8], is_plain: impl Fn(u8) -> bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    // Nearly all texts are plain. That is asked of every byte, without an end at the first odd one: so the compiler asks it
    // of many at a time.
    if text.iter().fold(true, |are_plain, &byte| are_plain & is_plain(byte)) {
        return out.extend_from_slice(text);
    }
    let mut rest = text;
    while let Some(first_odd) = rest.iter().position(|&byte| !is_plain(byte)) {
        let (plain, tail) = rest.split_at(first_odd);
        out.extend_from_slice(plain);
        let Some((&odd, tail)) = tail.split_first() else { break };
        out.extend_from_slice(&[b'\\', b'x', digit(odd >> 4), digit(odd & 0xF)]);
        rest = tail;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_make_the_same_logs_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("error.log");
        let config = Log { access: LogTarget::Off, error: LogTarget::File(path.clone()) };
        let first = Logs::open(&config).unwrap();
        assert_eq!(first.fds().len(), 1, "a log that is off has no descriptor");
        let second = first.duplicate(&config).unwrap();
        drop(first);
        second.error(Level::Notice, format_args!("here"));
        assert!(std::fs::read_to_string(&path).unwrap().ends_with(": notice: here\n"));
    }

    #[test]
    fn nobody_keeps_logs_that_were_followed_by_others() {
        let config = Log { access: LogTarget::Off, error: LogTarget::Stderr };
        let first = Logs::open(&config).unwrap();
        let old = Arc::downgrade(&first.0);
        let latest = LatestLogs::new(first);
        let elsewhere = latest.clone();
        latest.follow(Logs::open(&config).unwrap());
        assert!(old.upgrade().is_none());
        elsewhere.now().error(Level::Info, format_args!("a line of a test"));
    }

    #[test]
    fn descriptors_must_fit_the_configuration() {
        let config = Log { access: LogTarget::Stdout, error: LogTarget::Stderr };
        assert!(matches!(Logs::from_fds(&config, Vec::new()), Err(LogError::Mismatch)));
        let off = Log { access: LogTarget::Off, error: LogTarget::Off };
        let fd = io::stderr().as_fd().try_clone_to_owned().unwrap();
        assert!(matches!(Logs::from_fds(&off, vec![fd]), Err(LogError::Mismatch)));
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_named() {
        let config = Log { access: LogTarget::File("/proc/nowhere/access.log".into()), error: LogTarget::Off };
        let message = Logs::open(&config).unwrap_err().to_string();
        assert!(message.starts_with("cannot open the log /proc/nowhere/access.log: "), "{message}");
    }
}
