//! The access log: one line a request in the combined format, gathered in memory and written once a wake.
//! Process: worker. Trusts: nothing of a request. Blocks: never: lines that can't be written are dropped and counted.

use std::io::Write;
use std::net::IpAddr;

use ::syslog::Severity;

use super::stamp::CommonStamp;
use super::{Logs, Sink, push_escaped};
use crate::sys::output::Output;

/// From here on the buffer is written before the wake ends; what is in it are whole lines.
const BUFFER_BYTES: usize = 60 * 1024;

/// What a line tells of a request, besides how much of the answer was sent.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'r> {
    /// The client's address; `None` for a Unix socket.
    pub client: Option<IpAddr>,
    /// The user who has logged in.
    pub user: Option<&'r str>,
    /// When the request came.
    pub unix_seconds: u64,
    /// The request line as it was received, without its line end; `None` when there was none to be read.
    pub request: Option<&'r [u8]>,
    /// The status that was sent.
    pub status: u16,
    /// The `Referer` field.
    pub referer: Option<&'r [u8]>,
    /// The `User-Agent` field.
    pub user_agent: Option<&'r [u8]>,
}

/// A line that waits for the end of its answer.
#[derive(Debug, Default)]
pub struct Line {
    text: Vec<u8>,
    /// Where the number of bytes goes.
    gap: usize,
}

/// The access log of a worker's loop.
#[derive(Debug)]
pub struct AccessLog {
    logs: Logs,
    buffer: Vec<u8>,
    stamp: CommonStamp,
    drops: u64,
    /// Does what was last written end within a line? Then the next write begins with a line end of its own.
    torn: bool,
}

impl AccessLog {
    /// Takes its part of the logs.
    #[must_use]
    pub fn new(logs: &Logs) -> Self {
        let mut log = Self { logs: logs.clone(), buffer: Vec::new(), stamp: CommonStamp::new(), drops: 0, torn: false };
        log.reserve();
        log
    }

    /// Goes on with logs that have been opened anew: what is gathered still goes to the old ones.
    pub fn reopen(&mut self, logs: &Logs) {
        self.flush();
        self.logs = logs.clone();
        self.torn = false;
        self.reserve();
    }

    /// Is there a log at all? If not, nobody needs to make lines.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self.logs.access(), Sink::Off)
    }

    /// How many lines were lost.
    #[must_use]
    pub fn drops(&self) -> u64 {
        self.drops
    }

    /// Gathers a line whose answer has been sent. It allocates nothing.
    pub fn write(&mut self, entry: &RequestLine<'_>, sent_bytes: u64) {
        if !self.is_on() {
            return;
        }
        push_prefix(&mut self.buffer, self.stamp.text(entry.unix_seconds), entry);
        push_number(&mut self.buffer, sent_bytes);
        push_suffix(&mut self.buffer, entry);
        self.flush_if_full();
    }

    /// Keeps what a line needs of a request whose bytes will be gone when its answer has been sent.
    pub fn begin(&mut self, entry: &RequestLine<'_>) -> Line {
        if !self.is_on() {
            return Line::default();
        }
        let mut text = Vec::with_capacity(192);
        push_prefix(&mut text, self.stamp.text(entry.unix_seconds), entry);
        let gap = text.len();
        push_suffix(&mut text, entry);
        Line { text, gap }
    }

    /// Gathers a line that was begun.
    pub fn finish(&mut self, line: &Line, sent_bytes: u64) {
        let Some((prefix, suffix)) = line.text.split_at_checked(line.gap) else { return };
        if suffix.is_empty() {
            return;
        }
        self.buffer.extend_from_slice(prefix);
        push_number(&mut self.buffer, sent_bytes);
        self.buffer.extend_from_slice(suffix);
        self.flush_if_full();
    }

    /// Writes what is gathered: once a wake.
    pub fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let lost = match self.logs.access() {
            Sink::Off => 0,
            Sink::Syslog(syslog) => lines(&self.buffer)
                .filter(|line| syslog.send(Severity::LOG_INFO, String::from_utf8_lossy(line)).is_err())
                .count(),
            Sink::Output(output) => write_lines(output, &mut self.buffer, &mut self.torn),
        };
        self.drops += lost as u64;
        self.buffer.clear();
    }

    fn flush_if_full(&mut self) {
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush();
        }
    }

    fn reserve(&mut self) {
        if self.is_on() {
            self.buffer.reserve(BUFFER_BYTES + 4096);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// `ADDRESS - USER [TIME] "REQUEST" STATUS `; who has not logged in is `-`. A name is one word here, whatever it is.
fn push_prefix(out: &mut Vec<u8>, time: &[u8], entry: &RequestLine<'_>) {
    match entry.client {
        Some(address) => push_address(out, address),
        None => out.extend_from_slice(b"unix:"),
    }
    out.extend_from_slice(b" - ");
    let is_plain = |byte: u8| matches!(byte, b'!'..=b'~') && byte != b'"' && byte != b'\\';
    push_escaped(out, entry.user.unwrap_or("-").as_bytes(), is_plain);
    out.extend_from_slice(b" [");
    out.extend_from_slice(time);
    out.extend_from_slice(b"] ");
    push_quoted(out, entry.request);
    out.push(b' ');
    push_number(out, entry.status);
    out.push(b' ');
}

/// ` "REFERER" "USER AGENT"` and the line end.
fn push_suffix(out: &mut Vec<u8>, entry: &RequestLine<'_>) {
    out.push(b' ');
    push_quoted(out, entry.referer);
    out.push(b' ');
    push_quoted(out, entry.user_agent);
    out.push(b'\n');
}

/// A client's text in quotes: printable ASCII as it is, everything else, quotes and backslashes as `\xHH`.
fn push_quoted(out: &mut Vec<u8>, text: Option<&[u8]>) {
    out.push(b'"');
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    push_escaped(out, text.unwrap_or(b"-"), is_plain);
    out.push(b'"');
}

/// As its `Display` shows it. Without the machinery of `write!` for the four numbers of most, which takes longer than all the
/// rest of a line.
fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let [first, rest @ ..] = v4.octets();
            push_number(out, first);
            for octet in rest {
                out.push(b'.');
                push_number(out, octet);
            }
        }
        IpAddr::V6(v6) => {
            // Writing to memory can't fail.
            let _ = write!(out, "{v6}");
        }
    }
}

fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The lines without their ends.
fn lines(buffer: &[u8]) -> impl Iterator<Item = &[u8]> {
    buffer.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// Writes whole lines, as many at once as the output takes without tearing them, and says how many were lost.
fn write_lines(output: &Output, buffer: &mut Vec<u8>, torn: &mut bool) -> usize {
    if *torn {
        buffer.insert(0, b'\n');
    }
    let mut rest = buffer.as_slice();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(whole_lines(rest, output.whole_bytes()));
        let taken = output.write(part).unwrap_or_default();
        let (written, unwritten) = part.split_at(taken.min(part.len()));
        if let Some(&last) = written.last() {
            *torn = last != b'\n';
        }
        if !unwritten.is_empty() {
            // No room, a full disk, nobody who reads: the lines after it would meet the same.
            return lines(unwritten).count() + lines(after).count();
        }
        rest = after;
    }
    0
}

/// The length of as many whole lines as `limit` bytes hold, or of the first one if it is longer than that.
fn whole_lines(lines: &[u8], limit: usize) -> usize {
    let window = lines.get(..limit).unwrap_or(lines);
    let last_end = window.iter().rposition(|&byte| byte == b'\n');
    last_end.or_else(|| lines.iter().position(|&byte| byte == b'\n')).map_or(lines.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};
    use std::os::fd::AsFd;
    use std::path::Path;

    use super::*;
    use crate::config::{Log, LogTarget};

    const ENTRY: RequestLine<'_> = RequestLine {
        client: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        user: None,
        unix_seconds: 784_111_777,
        request: Some(b"GET /index.html HTTP/1.1"),
        status: 200,
        referer: None,
        user_agent: Some(b"curl/8"),
    };

    fn log_to(path: &Path) -> AccessLog {
        let config = Log { access: LogTarget::File(path.to_owned()), error: LogTarget::Off };
        AccessLog::new(&Logs::open(&config).unwrap())
    }

    fn log_to_pipe(writer: &io::PipeWriter) -> AccessLog {
        let config = Log { access: LogTarget::Stdout, error: LogTarget::Off };
        let fd = writer.as_fd().try_clone_to_owned().unwrap();
        AccessLog::new(&Logs::from_fds(&config, vec![fd]).unwrap())
    }

    #[test]
    fn both_ways_of_logging_write_the_combined_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = log_to(&path);
        log.write(&ENTRY, 12);
        let line = log.begin(&ENTRY);
        log.finish(&line, 12);
        log.flush();
        let expected =
            "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /index.html HTTP/1.1\" 200 12 \"-\" \"curl/8\"\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{expected}{expected}"));
        assert_eq!(log.drops(), 0);
    }

    #[test]
    fn addresses_are_written_as_they_show_themselves() {
        for text in ["127.0.0.1", "0.10.200.255", "255.255.255.255", "::1", "2001:db8::ff00:42:8329"] {
            let mut out = Vec::new();
            push_address(&mut out, text.parse().unwrap());
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn no_client_can_forge_a_line_or_a_quote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = log_to(&path);
        let evil = RequestLine {
            client: None,
            request: None,
            status: 400,
            referer: Some(b"a\" \"b\r\n1.2.3.4 - -"),
            user_agent: Some(b"\\x41 \x1b[31m \xc3\xbc \x7f\0"),
            ..ENTRY
        };
        log.write(&evil, 0);
        drop(log);
        let expected = concat!(
            r#"unix: - - [06/Nov/1994:08:49:37 +0000] "-" 400 0 "a\x22 \x22b\x0D\x0A1.2.3.4 - -" "#,
            r#""\x5Cx41 \x1B[31m \xC3\xBC \x7F\x00""#,
            "\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected, "a log that is dropped is written first");
    }

    #[test]
    fn lines_gathered_before_a_rotation_go_to_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        let mut log = log_to(&old);
        log.write(&ENTRY, 1);
        let config = Log { access: LogTarget::File(new.clone()), error: LogTarget::Off };
        log.reopen(&Logs::open(&config).unwrap());
        log.write(&ENTRY, 2);
        log.flush();
        assert!(std::fs::read_to_string(&old).unwrap().contains(" 200 1 "));
        assert!(std::fs::read_to_string(&new).unwrap().contains(" 200 2 "));
    }

    #[test]
    fn a_full_pipe_loses_whole_lines_and_counts_them() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = log_to_pipe(&writer);
        let length = {
            let line = log.begin(&ENTRY);
            line.text.len() + 1
        };
        const LINES: usize = 5000;
        for _ in 0..LINES {
            log.write(&ENTRY, 7);
        }
        log.flush();
        let lost = usize::try_from(log.drops()).unwrap();
        assert!(lost > 0 && lost < LINES, "a pipe holds some of them, not all: {lost}");
        let mut text = vec![0; LINES * length];
        let got = reader.read(&mut text).unwrap();
        assert_eq!(got, (LINES - lost) * length, "what arrived and what was lost are whole lines");
        log.write(&ENTRY, 7);
        log.flush();
        assert_eq!(reader.read(&mut text).unwrap(), length);
    }

    #[test]
    fn a_torn_line_does_not_swallow_the_next() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = log_to_pipe(&writer);
        // Too long for a pipe to take whole: what fits is written, the rest is lost.
        let long = vec![b'a'; 100_000];
        log.write(&RequestLine { request: Some(&long), ..ENTRY }, 7);
        assert_eq!(log.drops(), 1);
        let mut text = vec![0; 200_000];
        let got = reader.read(&mut text).unwrap();
        assert!(!text[..got].contains(&b'\n'));
        log.write(&ENTRY, 7);
        log.flush();
        let got = reader.read(&mut text).unwrap();
        assert!(text[..got].starts_with(b"\n127.0.0.1 ") && text[..got].ends_with(b"\n"));
        assert_eq!(log.drops(), 1);
    }

    #[test]
    fn a_log_that_is_off_costs_nothing() {
        let mut log = AccessLog::new(&Logs::open(&Log { access: LogTarget::Off, error: LogTarget::Off }).unwrap());
        assert!(!log.is_on());
        log.write(&ENTRY, 1);
        let line = log.begin(&ENTRY);
        log.finish(&line, 1);
        log.flush();
        assert_eq!((log.buffer.capacity(), line.text.capacity(), log.drops()), (0, 0, 0));
    }
}
