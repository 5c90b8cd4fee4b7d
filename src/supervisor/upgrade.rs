//! Another binary in the place of this one, on SIGUSR2: it is started beside, takes the sockets over, and when it serves
//! the old supervisor lets its workers drain and ends. Until then nothing has changed, and whatever goes wrong is logged.
//! Process: supervisor, both the old and the new one. Trusts: the binary, as it was trusted at the start. Blocks: never.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::generation::Farewell;
use super::handed::Handed;
use super::leave::{KILL_INTERVAL, patience};
use super::record::Task;
use super::{Phase, Supervisor, notify};
use crate::log::Level;
use crate::sys::packet::{self, Packet, PacketEnd};
use crate::sys::process::{self, Ended, ProcessId};

/// A new binary that does not serve after so long is killed: it is longer than a worker may take to be ready.
const SERVE_LIMIT: Duration = Duration::from_secs(60);

/// One that has said why it can't serve lets its workers go, which is bounded, and may be so much longer about it.
const END_LIMIT: Duration = Duration::from_secs(5);

/// A new supervisor, as the old one sees it.
pub(super) struct Successor {
    pid: ProcessId,
    line: PacketEnd,
    /// Then it is killed, if it does not serve.
    until: Instant,
    /// It has said why it can't serve, and is ending.
    has_failed: bool,
    /// It serves: this supervisor only finishes what it has.
    pub(super) serves: bool,
}

/// What the new one says: it serves; it can't; what it was asked to do meanwhile.
const SERVES: u8 = b'R';
const FAILED: u8 = b'F';
const STOP: u8 = b'S';
const QUIT: u8 = b'Q';
/// What the old one says: take over; the same, and a reload was asked for; that again, as often as it is.
const GO: u8 = b'G';
const GO_AND_RELOAD: u8 = b'H';
/// And this, when another upgrade was asked for.
const UPGRADE: u8 = b'U';

impl Successor {
    /// When patience with it ends. None with one that serves: it ends when it likes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.serves).then_some(self.until)
    }
}

/// The old supervisor, as the new one sees it.
pub(super) struct Predecessor {
    pub(super) line: PacketEnd,
    /// It has said that this one is the service now.
    has_let_go: bool,
}

impl Predecessor {
    pub(super) fn new(line: PacketEnd) -> Self {
        Self { line, has_let_go: false }
    }
}

/// Tells the old supervisor why this one can't serve.
pub(super) fn say_failed(line: &PacketEnd, why: &str) {
    const LIMIT_BYTES: usize = 2000;
    let why = why.get(..why.floor_char_boundary(LIMIT_BYTES)).unwrap_or_default();
    // If it is gone there is nobody to tell.
    let _ = line.send(&[&[FAILED], why.as_bytes()].concat(), &[]);
}

impl Supervisor {
    /// SIGUSR2. One at a time, but none is forgotten: the binary may be another one by now, and somebody may wait for it.
    pub(super) fn want_upgrade(&mut self) {
        match &self.successor {
            // As with a reload, the new one is meant.
            Some(successor) if successor.serves => drop(successor.line.send(&[UPGRADE], &[])),
            Some(_) => {
                self.upgrade_wanted = true;
                self.logs.error(Level::Notice, format_args!("an upgrade is under way: another one follows it"));
            }
            None => self.upgrade_wanted = true,
        }
    }

    /// Begins an upgrade if one is wanted and no reload goes on.
    pub(super) fn begin_upgrade_if_due(&mut self, now: Instant) {
        if !self.is_quiet() || !std::mem::take(&mut self.upgrade_wanted) {
            return;
        }
        self.record.begin(Task::Upgrade);
        notify::status("upgrading");
        match self.start_successor(now) {
            Ok(successor) => {
                let (path, pid) = (self.program.path.display(), successor.pid);
                self.logs.error(Level::Notice, format_args!("upgrading: {path} is started as process {pid}"));
                self.successor = Some(successor);
            }
            Err(error) => self.upgrade_failed(&format!("can't start {}: {error}", self.program.path.display())),
        }
    }

    fn start_successor(&self, now: Instant) -> io::Result<Successor> {
        let (line, far_end) = packet::pair()?;
        let current = self.current.as_ref();
        let kept = current.map(|generation| generation.offer.listeners.as_slice()).unwrap_or_default();
        let number = current.map_or(0, |generation| generation.offer.number);
        let (text, fds) = Handed::pack(kept, &self.passed, &self.record, number);
        line.send(text.as_bytes(), &fds)?;
        let program = &self.program;
        let pid = process::fork(move || {
            let error = program.exec(&far_end);
            say_failed(&far_end, &format!("can't run {}: {error}", program.path.display()));
            ExitCode::FAILURE
        })?;
        Ok(Successor { pid, line, until: now + SERVE_LIMIT, has_failed: false, serves: false })
    }

    /// Hears what the new supervisor says, and gives up on one that hangs.
    pub(super) fn attend_successor(&mut self, now: Instant) {
        let mut buffer = [0; 4096];
        while let Some(successor) = &mut self.successor {
            let Ok(Packet::Bytes(count, _)) = successor.line.receive(&mut buffer) else { break };
            match buffer.get(..count).and_then(|bytes| bytes.split_first()) {
                Some((&SERVES, _)) => self.hand_over(now),
                Some((&FAILED, words)) if !successor.serves => {
                    successor.has_failed = true;
                    // Its workers may have taken connections: it lets them drain.
                    let drain = self.current.as_ref().map(|current| patience(current, Farewell::Drain));
                    successor.until = now + drain.unwrap_or_default() + END_LIMIT;
                    let words = String::from_utf8_lossy(words).into_owned();
                    self.upgrade_failed(&words);
                }
                Some((&STOP, _)) => self.stop(now),
                Some((&QUIT, _)) => self.quit(now),
                Some(_) | None => {}
            }
        }
        if let Some(successor) = &mut self.successor
            && successor.deadline().is_some_and(|until| until <= now)
        {
            let pid = successor.pid;
            process::kill(pid);
            successor.until = now + KILL_INTERVAL;
            if std::mem::replace(&mut successor.has_failed, true) {
                let words = format_args!("the new server, process {pid}, has failed and does not end: killed");
                self.logs.error(Level::Warning, words);
            } else {
                self.upgrade_failed(&format!("the new server does not serve after {SERVE_LIMIT:?}"));
            }
        }
    }

    fn hand_over(&mut self, now: Instant) {
        let Some(successor) = &mut self.successor else { return };
        let go = if std::mem::take(&mut self.reload_wanted) { GO_AND_RELOAD } else { GO };
        notify::main_process(successor.pid);
        if let Err(error) = successor.line.send(&[go], &[]) {
            // It died in this moment: its death will be told like that of any other.
            return self.logs.error(Level::Error, format_args!("the new server does not listen: {error}"));
        }
        successor.serves = true;
        if std::mem::take(&mut self.upgrade_wanted) {
            // If it died in this moment, nobody is left who could.
            let _ = successor.line.send(&[UPGRADE], &[]);
        }
        let words = format_args!("process {} serves now; this one finishes its last requests", successor.pid);
        self.logs.error(Level::Notice, words);
        self.phase = Phase::Relieved;
        // The files are the new one's, who has their descriptors, and with them the lock.
        self.record.file = None;
        if let Some(current) = self.current.take() {
            self.see_off(current, Farewell::Drain, now);
        }
    }

    /// SIGHUP. Who asks may have found this process a moment before it was relieved: then the new one is meant.
    pub(super) fn want_reload(&mut self) {
        match &self.successor {
            // One that is gone is told by its death.
            Some(successor) if successor.serves => drop(successor.line.send(&[GO_AND_RELOAD], &[])),
            Some(_) | None => self.reload_wanted = true,
        }
    }

    /// A child has ended: was it the new supervisor?
    pub(super) fn bury_successor(&mut self, pid: ProcessId, ended: Ended) {
        let Some(successor) = self.successor.take_if(|successor| successor.pid == pid) else { return };
        if successor.serves {
            let words = format_args!("the new server, process {pid}, {ended}, and this one is on its way out");
            return self.logs.error(Level::Error, words);
        }
        if !successor.has_failed {
            // Its last words may have come with its death. That it served is of no use any more.
            let mut buffer = [0; 4096];
            let why = std::iter::from_fn(|| match successor.line.receive(&mut buffer) {
                Ok(Packet::Bytes(count, _)) => Some(buffer.get(..count).unwrap_or_default().to_vec()),
                Ok(Packet::Empty | Packet::Closed) | Err(_) => None,
            });
            let why = why.filter_map(|said| Some(String::from_utf8_lossy(said.strip_prefix(&[FAILED])?).into_owned()));
            let why = why.last().unwrap_or_else(|| format!("the new server {ended} before it served"));
            self.upgrade_failed(&why);
        }
    }

    fn upgrade_failed(&mut self, why: &str) {
        self.logs.error(Level::Error, format_args!("the upgrade changes nothing: {why}"));
        self.record.finish(Task::Upgrade, why);
        notify::ready("serving; the last upgrade failed, see the log");
    }

    /// This supervisor is the new one, and all its workers serve.
    pub(super) fn say_serves(&mut self) {
        match &self.predecessor {
            // It answers, or its end is the answer.
            Some(predecessor) => drop(predecessor.line.send(&[SERVES], &[])),
            None => {
                // The old one died before this one could take over: then it does so now.
                self.record.take_over();
                if self.record.is_busy(Task::Upgrade) {
                    self.record.finish(Task::Upgrade, "");
                }
                notify::ready(&self.status);
            }
        }
    }

    /// Hears what the old supervisor says, if this one is new.
    pub(super) fn attend_predecessor(&mut self) {
        let mut buffer = [0; 16];
        while let Some(predecessor) = &mut self.predecessor {
            let said = predecessor.line.receive(&mut buffer);
            let is_gone = !matches!(said, Ok(Packet::Bytes(..) | Packet::Empty));
            let letter = buffer.first().copied().filter(|_| matches!(said, Ok(Packet::Bytes(1, _))));
            let lets_go = matches!(letter, Some(GO | GO_AND_RELOAD));
            // It comes again when the old one is asked after it has let go.
            self.reload_wanted |= letter == Some(GO_AND_RELOAD);
            self.upgrade_wanted |= letter == Some(UPGRADE);
            // An old supervisor that is gone has nothing to hand over any more, but who is not ready can't take it yet.
            let is_due = lets_go || (is_gone && self.phase == Phase::Serving);
            if is_due && !std::mem::replace(&mut predecessor.has_let_go, true) {
                self.record.take_over();
                self.record.finish(Task::Upgrade, "");
                notify::ready(&self.status);
            }
            if is_gone {
                self.predecessor = None;
            } else if !matches!(said, Ok(Packet::Bytes(..))) {
                return;
            }
        }
    }

    /// What this supervisor is told concerns the old one's last requests, too.
    pub(super) fn pass_on(&self, farewell: Farewell) {
        let letter = match farewell {
            Farewell::Stop => STOP,
            Farewell::Drain | Farewell::Quit => QUIT,
        };
        if let Some(predecessor) = &self.predecessor {
            let _ = predecessor.line.send(&[letter], &[]);
        }
    }

    /// Service ends: a new supervisor that does not serve yet shall not begin.
    pub(super) fn give_up_successor(&mut self) {
        if let Some(successor) = self.successor.take_if(|successor| !successor.serves) {
            process::kill(successor.pid);
            self.record.finish(Task::Upgrade, "the server was told to stop");
        }
    }

    /// The lines on which the other supervisor may speak.
    pub(super) fn supervisor_lines(&self) -> impl Iterator<Item = std::os::fd::BorrowedFd<'_>> {
        // A new one that serves or has failed closes its end when it ends, and the death is told by a signal.
        let successor = self.successor.as_ref().map(|successor| &successor.line);
        let lines = successor.into_iter().chain(self.predecessor.as_ref().map(|predecessor| &predecessor.line));
        lines.map(std::os::fd::AsFd::as_fd)
    }
}
