//! What a supervisor is handed at its start: sockets by the service manager, or all of it by the supervisor before an
//! upgrade.
//! Process: supervisor. Trusts: who started it. Blocks: for a moment, until its predecessor has spoken.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::listeners::{Listening, Passed};
use super::notify;
use super::record::{Outcomes, PidFile, Record};
use crate::sys::lock_file::LockFile;
use crate::sys::packet::{Packet, PacketEnd};
use crate::sys::process::ProcessId;
use crate::sys::socket::Listener;

/// Names the line to the predecessor: `PID:DESCRIPTOR`. With the process id, for children of ours must not take it.
pub(super) const UPGRADE_VARIABLE: &str = "FILESERV_UPGRADE";

/// The predecessor sends everything before it does anything else.
const PATIENCE: Duration = Duration::from_secs(10);
/// All lines together: a hundred sockets with long names.
const PARCEL_LIMIT_BYTES: usize = 64 * 1024;
/// More sockets than that are a mistake, and more than fit a packet.
const SOCKETS_LIMIT: usize = 64;

/// What there was.
#[derive(Debug, Default)]
pub(super) struct Handed {
    /// Sockets that serve an address of the configuration already.
    pub(super) kept: Vec<Listening>,
    /// Sockets of the service manager.
    pub(super) passed: Vec<Passed>,
    /// The supervisor that serves until this one does.
    pub(super) predecessor: Option<PacketEnd>,
    pub(super) pid_file: Option<PidFile>,
    pub(super) outcomes: Outcomes,
    /// The number of the last generation.
    pub(super) generation: u64,
}

impl Handed {
    /// Takes what this process was started with; asked once.
    ///
    /// # Errors
    /// What makes no sense.
    pub(super) fn receive() -> io::Result<Self> {
        let wrong = |what: &str, error: &io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
        if let Some(line) = predecessor().map_err(|error| wrong(UPGRADE_VARIABLE, &error))? {
            let mut buffer = vec![0; PARCEL_LIMIT_BYTES];
            let Packet::Bytes(count, fds) = line.receive_within(PATIENCE, &mut buffer)? else {
                return Err(io::Error::other("the supervisor that is to be upgraded says nothing"));
            };
            let text = std::str::from_utf8(buffer.get(..count).unwrap_or_default()).map_err(io::Error::other)?;
            let handed = Self::unpack(text, fds).map_err(|error| wrong("what was handed over", &error))?;
            return Ok(Self { predecessor: Some(line), ..handed });
        }
        let passed = notify::passed().map_err(|error| wrong("LISTEN_FDS", &error))?;
        if passed.len() > SOCKETS_LIMIT {
            return Err(io::Error::other(format!("{} sockets were passed; {SOCKETS_LIMIT} at most", passed.len())));
        }
        let adopt = |(number, name): (i32, String)| {
            let listener = Listener::adopt_passed(number).map_err(|error| {
                wrong(&format!("the socket {name:?} that was passed as descriptor {number}"), &error)
            })?;
            Ok(Passed { name, listener: Arc::new(listener) })
        };
        Ok(Self { passed: passed.into_iter().map(adopt).collect::<io::Result<_>>()?, ..Self::default() })
    }

    /// The other side of `receive`: the lines, and the descriptors of those in capitals, in their order.
    pub(super) fn pack<'d>(
        kept: &'d [Listening],
        passed: &'d [Passed],
        record: &'d Record,
        generation: u64,
    ) -> (String, Vec<BorrowedFd<'d>>) {
        let mut text = format!("generation {generation}\n");
        let mut fds = Vec::new();
        for Passed { name, listener } in passed {
            text.push_str(&format!("PASSED {name}\n"));
            fds.push(listener.as_fd());
        }
        let is_passed = |listener: &Arc<Listener>| passed.iter().any(|it| Arc::ptr_eq(&it.listener, listener));
        for (listen, listener) in kept.iter().filter(|(_, listener)| !is_passed(listener)) {
            text.push_str(&format!("LISTEN {}\n", listen.address));
            fds.push(listener.as_fd());
        }
        if let Some(PidFile { path, lock, journal }) = &record.file {
            text.push_str(&format!("PID {}\nJOURNAL\n", path.display()));
            fds.extend([lock.as_fd(), journal.as_fd()]);
        }
        text.push_str(&record.outcomes.text());
        (text, fds)
    }

    fn unpack(text: &str, fds: Vec<OwnedFd>) -> io::Result<Self> {
        let mut fds = fds.into_iter();
        let mut handed = Self::default();
        let (mut pid, mut journal) = (None, None);
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            // A word in capitals has a descriptor; one that this version doesn't know is passed over with it.
            let has_fd = word.bytes().all(|byte| byte.is_ascii_uppercase());
            let fd = if has_fd {
                Some(fds.next().ok_or_else(|| io::Error::other("descriptors are missing"))?)
            } else {
                None
            };
            match (word, fd) {
                ("generation", None) => handed.generation = rest.parse().map_err(io::Error::other)?,
                ("PASSED", Some(fd)) => {
                    handed.passed.push(Passed { name: rest.to_owned(), listener: Arc::new(Listener::adopt(fd)?) });
                }
                ("LISTEN", Some(fd)) => {
                    let listen = rest.parse().map_err(io::Error::other)?;
                    handed.kept.push((listen, Arc::new(Listener::adopt(fd)?)));
                }
                ("PID", Some(fd)) => pid = Some((PathBuf::from(rest), LockFile::from_fd(fd)?)),
                ("JOURNAL", Some(fd)) => journal = Some(LockFile::from_fd(fd)?),
                _ => {}
            }
        }
        handed.pid_file = pid.zip(journal).map(|((path, lock), journal)| PidFile { path, lock, journal });
        handed.outcomes = Outcomes::parse(text).unwrap_or_default();
        Ok(handed)
    }
}

/// The line that a supervisor left to this process, if this is an upgrade.
fn predecessor() -> io::Result<Option<PacketEnd>> {
    let Some(value) = std::env::var_os(UPGRADE_VARIABLE) else { return Ok(None) };
    let value = value.to_string_lossy();
    let (pid, number) = value.split_once(':').unwrap_or_default();
    if pid != ProcessId::own().to_string() {
        return Ok(None);
    }
    PacketEnd::from_exec(number.parse().map_err(io::Error::other)?).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::listeners::{listen, place};
    use crate::supervisor::record::Task;

    #[test]
    fn all_that_is_packed_is_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let unix = format!("unix:{}", folder.path().join("a socket").display());
        let mut kept = listen(&["127.0.0.1:0".parse().unwrap(), unix.parse().unwrap()], &[], &[]).unwrap();
        let passed = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let passed = [Passed { name: "http".to_owned(), listener: Arc::new(passed) }];
        kept.push(("systemd".parse().unwrap(), Arc::clone(&passed[0].listener)));
        let file = PidFile::take(&folder.path().join("a.pid")).unwrap();
        let mut record = Record::new(Some(file), Outcomes::default());
        record.begin(Task::Upgrade);
        let (text, fds) = Handed::pack(&kept, &passed, &record, 7);
        let fds = fds.iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect();
        let handed = Handed::unpack(&format!("NEWER what\n{text}"), fds);
        assert!(handed.is_err(), "a descriptor less than lines that want one");

        let mut fds: Vec<OwnedFd> =
            Handed::pack(&kept, &passed, &record, 7).1.iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect();
        fds.insert(0, std::fs::File::open("/dev/null").unwrap().into());
        let handed = Handed::unpack(&format!("NEWER what\n{text}"), fds).unwrap();
        assert_eq!((handed.generation, handed.kept.len(), handed.passed.len()), (7, 2, 1));
        assert_eq!(handed.kept[0].0.to_string(), "127.0.0.1:0");
        assert_eq!(place(&handed.kept[0].1), place(&kept[0].1));
        assert_eq!(handed.kept[1].0.to_string(), unix);
        assert_eq!(place(&handed.passed[0].listener), place(&passed[0].listener));
        assert_eq!(handed.outcomes, record.outcomes);
        drop(record);
        let file = handed.pid_file.unwrap();
        assert!(LockFile::look(&file.path).unwrap().is_locked().unwrap(), "the lock has come along");
    }
}
