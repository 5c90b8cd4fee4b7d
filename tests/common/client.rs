//! A client that sends any bytes in any pieces and reads replies strictly: what RFC 9110 and 9112 forbid, it refuses.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::queue::Queues;
use super::{HANG, until};

/// A connection to the server.
pub(crate) struct Client {
    stream: TcpStream,
    /// Received, not yet read.
    buffer: Vec<u8>,
}

/// A final response.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Reply {
    /// As a person wants to see it when a test has failed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let begin = &self.body[..self.body.len().min(200)];
        write!(f, "{} {:?} and {} bytes: {}", self.status, self.fields, self.body.len(), String::from_utf8_lossy(begin))
    }
}

impl Reply {
    /// The value of a field that stands once; `None` if it doesn't stand at all.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} stands once: {:?}", self.fields);
        Some(value)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Does the server say that it will close?
    pub(crate) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// The socket itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes to a server that may already have answered and closed.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends bytes in two pieces, the second only when the server's kernel has the first.
    pub(crate) fn send_split(&mut self, bytes: &[u8], at: usize) {
        let (first, second) = bytes.split_at(at);
        self.send(first);
        self.await_taken();
        self.send(second);
    }

    /// Sends one byte at a time, each acknowledged before the next.
    pub(crate) fn send_slowly(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send([*byte]);
            self.await_taken();
        }
    }

    /// Waits until the worker has read what was sent: until then the next piece might be read together with it.
    fn await_taken(&self) {
        let [server, client] = [self.stream.peer_addr(), self.stream.local_addr()].map(Result::unwrap);
        let queues = Queues::open();
        until("the worker has read what was sent", || queues.unread(server, client) == 0);
    }

    /// One request with its body and the fields given; `Host` and `Content-Length` are added.
    pub(crate) fn request(&mut self, method: &str, target: &str, fields: &[&str], body: &[u8]) -> Reply {
        self.send(head(method, target, fields, body));
        self.send(body);
        self.reply(method)
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.request("GET", target, &[], b"")
    }

    pub(crate) fn get_with(&mut self, target: &str, fields: &[&str]) -> Reply {
        self.request("GET", target, fields, b"")
    }

    /// The final response to a request of this method; interim ones are refused.
    pub(crate) fn reply(&mut self, method: &str) -> Reply {
        let (status, fields) = self.head();
        assert!(status >= 200, "an interim response was not asked for: {status}");
        let mut reply = Reply { status, fields, body: Vec::new() };
        assert!(reply.field("date").is_some_and(|date| date.len() == 29 && date.ends_with(" GMT")), "{reply:?}");
        let length = reply.field("content-length").map(|value| {
            assert!(value.bytes().all(|b| b.is_ascii_digit()), "{value}");
            value.parse::<usize>().unwrap()
        });
        let coding = reply.field("transfer-encoding").map(str::to_owned);
        assert!(length.is_none() || coding.is_none(), "Content-Length beside Transfer-Encoding: {reply:?}");
        if status == 204 {
            assert!(length.is_none() && coding.is_none(), "RFC 9110 section 8.6 forbids a length here: {reply:?}");
        } else if method == "HEAD" || status == 304 {
            // The head is all there is.
        } else if let Some(length) = length {
            reply.body = self.take(length);
        } else if let Some(coding) = coding {
            assert_eq!(coding, "chunked");
            reply.body = self.chunks();
        } else {
            assert!(reply.closes(), "a body without a length ends with the connection: {reply:?}");
            reply.body = self.rest();
        }
        reply
    }

    /// The same for a connection that may break. Only for bodies with a length.
    pub(crate) fn try_reply(&mut self, method: &str) -> std::io::Result<Reply> {
        while !self.has_whole_reply() {
            let mut piece = [0; 65536];
            match self.stream.read(&mut piece)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                got => self.buffer.extend_from_slice(&piece[..got]),
            }
        }
        Ok(self.reply(method))
    }

    fn has_whole_reply(&self) -> bool {
        let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let length = head.split("\r\ncontent-length: ").nth(1).map_or("0", |rest| rest.lines().next().unwrap());
        self.buffer.len() >= end + 4 + length.parse::<usize>().unwrap()
    }

    /// An interim response of this status.
    pub(crate) fn interim(&mut self, status: u16) {
        assert_eq!(self.head().0, status);
    }

    /// The same, with its fields.
    pub(crate) fn interim_reply(&mut self, status: u16) -> Reply {
        let (found, fields) = self.head();
        assert_eq!(found, status, "{fields:?}");
        Reply { status, fields, body: Vec::new() }
    }

    /// Insists that the server closes now, orderly, and sends nothing more.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest()), "", "nothing more comes");
    }

    /// All bytes up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.buffer)
    }

    /// Does the connection hold still: neither a byte nor an end?
    pub(crate) fn is_quiet(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let quiet = matches!(self.stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).unwrap();
        quiet && self.buffer.is_empty()
    }

    fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let line = self.line();
        let (version, rest) = line.split_at(9);
        assert_eq!(version, "HTTP/1.1 ", "{line}");
        let (code, reason) = rest.split_at(3);
        assert!(code.bytes().all(|b| b.is_ascii_digit()) && reason.len() > 1 && reason.starts_with(' '), "{line}");
        let mut fields = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return (code.parse().unwrap(), fields);
            }
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("a field line: {line:?}"));
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{line}");
            assert!(value == value.trim() && !value.bytes().any(|b| b.is_ascii_control()), "{line:?}");
            fields.push((name.to_owned(), value.to_owned()));
        }
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                let text = line.strip_suffix(b"\r\n").expect("a line ends with CRLF");
                assert!(!text.contains(&b'\r'));
                return String::from_utf8(text.to_vec()).unwrap();
            }
            let more = self.receive();
            assert!(more, "the connection ended within a head: {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = self.line();
            assert!(!size.is_empty() && size.bytes().all(|b| b.is_ascii_hexdigit()), "{size:?}");
            let size = usize::from_str_radix(&size, 16).unwrap();
            if size == 0 {
                assert_eq!(self.line(), "", "no trailer was asked for");
                return body;
            }
            body.extend(self.take(size));
            assert_eq!(self.line(), "", "a chunk ends with CRLF");
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            let more = self.receive();
            assert!(more, "the body ended after {} of {length} bytes", self.buffer.len());
        }
        self.buffer.drain(..length).collect()
    }

    fn receive(&mut self) -> bool {
        let mut piece = [0; 65536];
        // A wait with a limit is not begun anew after a signal (signal(7)).
        let got = loop {
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                got => break got.unwrap(),
            }
        };
        self.buffer.extend_from_slice(&piece[..got]);
        got > 0
    }
}

/// The head of a request, with `Host`, and with `Content-Length` for a body.
pub(crate) fn head(method: &str, target: &str, fields: &[&str], body: &[u8]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
    let sized = fields.iter().any(|field| field.to_ascii_lowercase().starts_with("transfer-encoding"));
    if !sized && (!body.is_empty() || matches!(method, "PUT" | "POST")) {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    for field in fields {
        head += field;
        head += "\r\n";
    }
    head + "\r\n"
}
