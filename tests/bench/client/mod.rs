//! The clients. One request and its answer; load and bulk have their files. A head is read by httparse, and every
//! answer's status and length are looked at: what is counted has been answered rightly.

pub(crate) mod bulk;
pub(crate) mod load;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Nobody is waited for longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// What a head says.
struct Head {
    bytes: usize,
    status: u16,
    length: usize,
    closes: bool,
    etag: Option<String>,
}

/// One request on a connection of its own.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let (head, mut body) = read_head(&mut stream)?;
    // More may have come: of what was asked in one piece, only the first is looked at.
    body.truncate(head.length);
    let mut rest = stream.take(u64::try_from(head.length.saturating_sub(body.len())).expect("a length"));
    rest.read_to_end(&mut body)?;
    Ok(Answer { status: head.status, etag: head.etag, body })
}

/// A GET of this path, with these field lines.
pub(crate) fn get(path: &str, fields: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{fields}\r\n").into_bytes()
}

/// Runs it on a thread that stays on one core, and so do the threads that it starts.
pub(crate) fn on_core<T: Send>(core: usize, work: impl FnOnce() -> T + Send) -> T {
    let pinned = || {
        let thread = nix::unistd::gettid().to_string();
        let mut taskset = Command::new("taskset");
        taskset.args(["-cp", &core.to_string(), &thread]).stdout(Stdio::null());
        assert!(taskset.status().is_ok_and(|status| status.success()), "taskset: there is no core {core}");
        work()
    };
    std::thread::scope(|scope| scope.spawn(pinned).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The head, and what of the body came with it.
fn read_head(stream: &mut TcpStream) -> io::Result<(Head, Vec<u8>)> {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read.extend_from_slice(&piece[..length]);
        if let Some(head) = parse_head(&read) {
            let body = read.split_off(head.bytes);
            return Ok((head, body));
        }
    }
}

/// None: it is not complete.
fn parse_head(bytes: &[u8]) -> Option<Head> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes);
    let parsed = parsed.unwrap_or_else(|error| panic!("no HTTP ({error}):\n{}", String::from_utf8_lossy(bytes)));
    let httparse::Status::Complete(bytes) = parsed else { return None };
    let field = |name: &str| {
        let found = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.map(|field| String::from_utf8_lossy(field.value))
    };
    let status = response.code.unwrap_or(0);
    let length = match status {
        204 | 304 => 0,
        _ => field("Content-Length").and_then(|length| length.parse().ok()).expect("an answer with its length"),
    };
    let closes = field("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let etag = field("ETag").map(std::borrow::Cow::into_owned);
    Some(Head { bytes, status, length, closes, etag })
}
