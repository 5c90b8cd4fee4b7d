//! The error log: what went wrong, and the life of the server, a line each, from any thread.
//! Process: both. Blocks: never. A line that can't be written is counted, and the next one tells of it.
//!
//! A line reads `fileserv[PID]: LEVEL: message`. Only a regular file gets the time before it (RFC 3339, UTC): a
//! terminal is read now, and the journal and syslog write their own. To the journal the level is also told as `<N>`.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use ::syslog::Severity;

use super::{Sink, push_escaped, stamp};
use crate::sys::output::Output;

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something that should work doesn't.
    Error,
    /// It works, but not as it should, or not for long.
    Warning,
    /// A normal event that an operator wants to see: started, reloaded, stopped.
    Notice,
    /// Details.
    Info,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
        }
    }

    fn severity(self) -> Severity {
        match self {
            Self::Error => Severity::LOG_ERR,
            Self::Warning => Severity::LOG_WARNING,
            Self::Notice => Severity::LOG_NOTICE,
            Self::Info => Severity::LOG_INFO,
        }
    }
}

/// The error log of a process.
#[derive(Debug)]
pub(super) struct ErrorLog {
    sink: Sink,
    head: Head,
    /// Lines lost since the last one that got through.
    lost: AtomicU64,
    /// All lines lost.
    drops: AtomicU64,
    /// When a refused request was told of, of the grave ones and of the others: who may cause the latter hides none of the
    /// former.
    refused: [Told; 2],
}

/// In which second one of its kind was told of last, and how many were not since.
#[derive(Debug, Default)]
struct Told {
    second: AtomicU64,
    left_out: AtomicU64,
}

/// What stands before `fileserv[PID]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Nothing,
    Time,
    Priority,
}

impl ErrorLog {
    pub(super) fn new(sink: Sink) -> Self {
        let head = match &sink {
            Sink::Output(output) if output.is_regular() => Head::Time,
            Sink::Output(output) if is_journal(output) => Head::Priority,
            Sink::Off | Sink::Output(_) | Sink::Syslog(_) => Head::Nothing,
        };
        Self { sink, head, lost: AtomicU64::new(0), drops: AtomicU64::new(0), refused: Default::default() }
    }

    pub(super) fn sink(&self) -> &Sink {
        &self.sink
    }

    pub(super) fn drops(&self) -> u64 {
        self.drops.load(Relaxed)
    }

    pub(super) fn line(&self, level: Level, message: fmt::Arguments<'_>) {
        let lost = self.lost.swap(0, Relaxed);
        let outcome = match &self.sink {
            Sink::Off => Ok(()),
            Sink::Syslog(syslog) => {
                let text = text(level, message, lost);
                syslog.send(level.severity(), String::from_utf8_lossy(&text))
            }
            Sink::Output(output) => {
                let mut line = self.head(level).into_bytes();
                line.extend_from_slice(&text(level, message, lost));
                line.push(b'\n');
                whole(output.write(&line), line.len())
            }
        };
        if outcome.is_err() {
            self.lost.fetch_add(lost + 1, Relaxed);
            self.drops.fetch_add(1, Relaxed);
        }
    }

    /// Tells of a request that was refused because of an error of the system: one in a second, since clients can cause as
    /// many as they like.
    pub(super) fn refused(&self, status: u16, detail: &str, error: &io::Error, request: &str) {
        let is_grave = matches!(status, 500 | 507);
        let [grave, others] = &self.refused;
        let (level, told) = if is_grave { (Level::Error, grave) } else { (Level::Warning, others) };
        let now = unix_seconds();
        if told.second.swap(now, Relaxed) == now {
            told.left_out.fetch_add(1, Relaxed);
            return;
        }
        match told.left_out.swap(0, Relaxed) {
            0 => self.line(level, format_args!("{status}: {detail} {error}: {request}")),
            more => self.line(level, format_args!("{status}: {detail} {error}: {request} (and {more} not told of)")),
        }
    }

    fn head(&self, level: Level) -> String {
        let pid = std::process::id();
        match self.head {
            Head::Nothing => format!("fileserv[{pid}]: "),
            Head::Time => format!("{} fileserv[{pid}]: ", stamp::rfc3339(unix_seconds())),
            Head::Priority => format!("<{}>fileserv[{pid}]: ", level.severity() as u8),
        }
    }
}

/// `LEVEL: message` without anything that could end the line: a message may quote a client.
fn text(level: Level, message: fmt::Arguments<'_>, lost: u64) -> Vec<u8> {
    let mut raw = Vec::with_capacity(128);
    // Writing to memory can't fail; a Display that fails leaves the rest of its own words out.
    let _ = write!(raw, "{}: {message}", level.name());
    if lost > 0 {
        let _ = write!(raw, " ({lost} lines before this one were lost)");
    }
    let mut text = Vec::with_capacity(raw.len());
    push_escaped(&mut text, &raw, |byte| !byte.is_ascii_control());
    text
}

fn whole(written: io::Result<usize>, length: usize) -> io::Result<()> {
    if written? == length { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// The journal tells by JOURNAL_STREAM which socket it reads (systemd.exec(5)); a redirected one is not the journal.
fn is_journal(output: &Output) -> bool {
    let Some((device, inode)) = std::env::var("JOURNAL_STREAM").ok().and_then(|stream| journal_stream(&stream)) else {
        return false;
    };
    output.device_and_inode().is_ok_and(|is| is == (device, inode))
}

fn journal_stream(text: &str) -> Option<(u64, u64)> {
    let (device, inode) = text.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_line_has_a_time_and_no_message_can_forge_a_second_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = ErrorLog::new(Sink::file(&path).unwrap());
        log.line(Level::Warning, format_args!("cannot open {}", "a\nfileserv[1]: error: \u{1b}[2Jü"));
        let text = std::fs::read_to_string(&path).unwrap();
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
        let pid = std::process::id();
        let message = "cannot open a\\x0Afileserv[1]: error: \\x1B[2Jü";
        assert_eq!(rest, format!("fileserv[{pid}]: warning: {message}\n"));
    }

    #[test]
    fn lost_lines_are_told_of() {
        let (mut reader, writer) = io::pipe().unwrap();
        let output = Output::inherit(writer.as_fd()).unwrap();
        while output.write(&[b'x'; 4096]).is_ok() {}
        let log = ErrorLog::new(Sink::Output(output));
        log.line(Level::Error, format_args!("one"));
        log.line(Level::Error, format_args!("two"));
        assert_eq!(log.drops(), 2);
        let mut pipe = [0; 1 << 16];
        let full = reader.read(&mut pipe).unwrap();
        assert!(pipe[..full].iter().all(|&byte| byte == b'x'));
        log.line(Level::Info, format_args!("three"));
        log.line(Level::Info, format_args!("four"));
        let length = reader.read(&mut pipe).unwrap();
        let pid = std::process::id();
        let expected =
            format!("fileserv[{pid}]: info: three (2 lines before this one were lost)\nfileserv[{pid}]: info: four\n");
        assert_eq!(String::from_utf8_lossy(&pipe[..length]), expected);
    }

    #[test]
    fn refused_requests_are_told_of_once_a_second_and_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let log = ErrorLog::new(Sink::Output(Output::inherit(writer.as_fd()).unwrap()));
        let error = io::Error::from_raw_os_error(5);
        for _ in 0..100 {
            log.refused(500, "It could not be stored.", &error, "/a");
        }
        drop((log.refused[0].second.swap(0, Relaxed), writer));
        log.refused(403, "No.", &error, "/b");
        log.refused(507, "No room.", &error, "/c");
        drop(log);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let pid = std::process::id();
        let first = "error: 500: It could not be stored. Input/output error (os error 5): /a";
        assert!(text.starts_with(&format!("fileserv[{pid}]: {first}\n")), "{text}");
        assert!(text.contains("]: warning: 403: No. Input/output error (os error 5): /b\n"), "not held back by others");
        assert!(text.lines().last().unwrap().contains("error: 507: No room. "), "{text}");
        let left_out = text
            .lines()
            .filter_map(|line| line.split_once("(and ")?.1.split_once(" not told of)")?.0.parse::<usize>().ok());
        assert_eq!(left_out.sum::<usize>() + text.lines().count(), 102, "{text}");
    }

    #[test]
    fn the_journal_is_known_by_its_stream() {
        assert_eq!(journal_stream("9:12345"), Some((9, 12345)));
        for wrong in ["", "9", "9:", "a:b", "9:1:2"] {
            assert_eq!(journal_stream(wrong), None, "{wrong}");
        }
    }
}
