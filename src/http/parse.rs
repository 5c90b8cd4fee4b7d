//! Box `http_parse`: the bytes of a head become a `Head` and its `Fields`. The one door to `httparse`.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 400, 414, 431, 505.
//! RFC 9112 sections 2 to 5. What httparse lets through and the RFC does not is refused here and in `validate`.

use std::ops::Range;

use crate::message::{FIELD_LIMIT, Fields, Method, Refusal, Status};

/// Empty lines before a request line that are skipped (RFC 9112 section 2.2 asks for at least one).
const LEADING_EMPTY_LINES: usize = 4;

/// How much of a head is taken.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// The whole head in bytes; more is 431.
    pub head_bytes: usize,
    /// The target in bytes; more is 414.
    pub target_bytes: usize,
    /// Field lines; more is 431.
    pub fields: usize,
}

/// What the bytes so far hold.
#[derive(Debug)]
pub enum Parsed<'b> {
    /// Not a whole head yet. That is not an error.
    Incomplete,
    /// A head, and how many bytes it took.
    Complete(Head<'b>, usize),
}

/// A head whose lines are well-formed; whether they make sense together is for `validate` to say.
#[derive(Debug)]
pub struct Head<'b> {
    /// The whole request line, for the log.
    pub line: &'b str,
    /// The method as it was sent.
    pub method: &'b str,
    /// The target as it was sent: visible ASCII.
    pub target: &'b str,
    /// The minor version: 0, or 1 for every higher 1.x (RFC 9110 section 2.5).
    pub minor_version: u8,
}

impl Head<'_> {
    /// The method if it is a known one, else GET: all that matters of it for a refusal is whether it is HEAD.
    #[must_use]
    pub fn known_method(&self) -> Method {
        Method::from_name(self.method).unwrap_or(Method::Get)
    }
}

/// Reads one head from the start of `bytes`; its field lines go to `fields`.
///
/// The answer depends on the bytes alone and never on how many of them came at once: lines are judged in order.
///
/// # Errors
/// A closing refusal, for after a malformed head nobody knows where the next request starts.
#[doc(alias = "http_parse")]
pub fn parse<'b>(bytes: &'b [u8], limits: HeadLimits, fields: &mut Fields<'b>) -> Result<Parsed<'b>, Refusal> {
    let Some(start) = skip_empty_lines(bytes)? else { return Ok(Parsed::Incomplete) };
    let head = bytes.get(start..).unwrap_or_default();
    let Some(lines) = find_lines(head, limits)? else { return Ok(Parsed::Incomplete) };
    parse_fields(head.get(lines.fields).unwrap_or_default(), lines.count, limits, fields)?;
    Ok(Parsed::Complete(lines.head, start + lines.bytes))
}

/// A head cut into its lines.
struct Lines<'b> {
    /// What the request line says.
    head: Head<'b>,
    /// Where the field lines are, with the blank line behind them.
    fields: Range<usize>,
    /// How many they are.
    count: usize,
    /// How long all of it is.
    bytes: usize,
}

/// How many leading bytes are empty lines; `None` if that can't be told yet.
fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut start = 0;
    for _ in 0..LEADING_EMPTY_LINES {
        match bytes.get(start..).unwrap_or_default() {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => start += 2,
            [b'\n' | b'\r', ..] => return Err(bare_line_ending()),
            _ => return Ok(Some(start)),
        }
    }
    match bytes.get(start) {
        None => Ok(None),
        Some(b'\r' | b'\n') => Err(Refusal::closing(Status::BAD_REQUEST, "Too many empty lines before a request.")),
        Some(_) => Ok(Some(start)),
    }
}

fn bare_line_ending() -> Refusal {
    Refusal::closing(Status::BAD_REQUEST, "A line of the request head must end with CRLF, not with LF or CR alone.")
}

/// Walks the lines up to the blank one. Every line feed must follow a carriage return (RFC 9112 section 2.2 lets a
/// recipient take a bare LF; a proxy in front that doesn't would see other requests than we do).
fn find_lines(head: &[u8], limits: HeadLimits) -> Result<Option<Lines<'_>>, Refusal> {
    // The longest request line that can hold an allowed target: method, two spaces and version are at most this long.
    const AROUND_TARGET_BYTES: usize = 64;
    let mut request_line = None;
    let (mut line_start, mut count) = (0, 0);
    loop {
        let rest = head.get(line_start..).unwrap_or_default();
        let found = memchr::memchr(b'\n', rest);
        let line_bytes = found.unwrap_or(rest.len());
        if request_line.is_none() && line_bytes > limits.target_bytes + AROUND_TARGET_BYTES {
            return Err(target_too_long(limits));
        }
        if line_start + line_bytes >= limits.head_bytes {
            let detail = format!("The request head is longer than {} bytes.", limits.head_bytes);
            return Err(Refusal::closing(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, detail));
        }
        let Some(line_feed) = found else { return Ok(None) };
        let Some(line) = rest.get(..line_feed).and_then(|line| line.strip_suffix(b"\r")) else {
            return Err(bare_line_ending());
        };
        let next = line_start + line_feed + 1;
        match request_line.take() {
            // Judged as soon as it is there, so that a wrong one is answered before its fields arrive.
            None => request_line = Some((parse_request_line(line, limits)?, next)),
            Some((head, fields_start)) if line.is_empty() => {
                return Ok(Some(Lines { head, fields: fields_start..next, count, bytes: next }));
            }
            more => {
                count += 1;
                request_line = more;
            }
        }
        line_start = next;
    }
}

fn target_too_long(limits: HeadLimits) -> Refusal {
    let detail = format!("The request target is longer than {} bytes.", limits.target_bytes);
    Refusal::closing(Status::URI_TOO_LONG, detail)
}

/// `method SP target SP HTTP/d.d` (RFC 9112 section 3).
fn parse_request_line(line: &[u8], limits: HeadLimits) -> Result<Head<'_>, Refusal> {
    let malformed = |detail| Refusal::closing(Status::BAD_REQUEST, detail);
    let Ok(line) = std::str::from_utf8(line) else {
        return Err(malformed("The request line holds bytes that are not ASCII; percent-encode them."));
    };
    let Some((method, target, version)) = split_in_three(line) else {
        return Err(malformed("The request line must be: method, one space, target, one space, HTTP/1.1."));
    };
    if method.is_empty() || !method.bytes().all(is_token_byte) {
        return Err(malformed("The method must be a token, such as GET."));
    }
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(malformed(
            "The request target must be visible ASCII without '#'; percent-encode other characters.",
        ));
    }
    let minor_version = parse_version(version)?;
    if target.len() > limits.target_bytes {
        return Err(target_too_long(limits));
    }
    Ok(Head { line, method, target, minor_version })
}

/// The parts between exactly two spaces. On the hot path: `str::split` takes several times as long for a line so short.
fn split_in_three(line: &str) -> Option<(&str, &str, &str)> {
    let first = memchr::memchr(b' ', line.as_bytes())?;
    let last = memchr::memrchr(b' ', line.as_bytes())?;
    let (method, target, version) = (line.get(..first)?, line.get(first + 1..last)?, line.get(last + 1..)?);
    memchr::memchr(b' ', target.as_bytes()).is_none().then_some((method, target, version))
}

/// Only major version 1 is spoken here; a higher minor one is read as 1.1.
fn parse_version(version: &str) -> Result<u8, Refusal> {
    match version.as_bytes() {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => Ok(u8::from(*minor != b'0')),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Refusal::closing(Status::HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.1 and HTTP/1.0 are spoken here."))
        }
        _ => Err(Refusal::closing(Status::BAD_REQUEST, "The request line must end with HTTP/1.1 or HTTP/1.0.")),
    }
}

/// A byte of a token (RFC 9110 section 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The fields of a trailer section, which ends with its blank line; nothing at all is no section (RFC 9112 section
/// 7.1.2).
///
/// # Errors
/// As for the fields of a head.
pub fn parse_trailers<'b>(section: &'b [u8], limits: HeadLimits, fields: &mut Fields<'b>) -> Result<(), Refusal> {
    if section.is_empty() { Ok(()) } else { parse_fields(section, FIELD_LIMIT, limits, fields) }
}

/// Reads this many field lines. Most heads have few, and room for as many as are allowed costs more to make than they
/// to read.
fn parse_fields<'b>(bytes: &'b [u8], count: usize, limits: HeadLimits, fields: &mut Fields<'b>) -> Result<(), Refusal> {
    const FEW: usize = 16;
    if count <= FEW {
        read_lines(bytes, &mut [httparse::EMPTY_HEADER; FEW], limits, fields)
    } else {
        read_lines(bytes, &mut [httparse::EMPTY_HEADER; FIELD_LIMIT], limits, fields)
    }
}

/// Field lines by httparse: it refuses obs-fold, white space before the colon, and control characters.
fn read_lines<'b>(
    bytes: &'b [u8],
    room: &mut [httparse::Header<'b>],
    limits: HeadLimits,
    fields: &mut Fields<'b>,
) -> Result<(), Refusal> {
    let too_many = || {
        let detail = format!("The request has more than {} field lines.", limits.fields);
        Refusal::closing(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
    };
    match httparse::parse_headers(bytes, room) {
        Ok(httparse::Status::Complete((_, lines))) => {
            if lines.len() > limits.fields {
                return Err(too_many());
            }
            for line in lines {
                if !fields.push(line.name, line.value) {
                    return Err(too_many());
                }
            }
            Ok(())
        }
        Err(httparse::Error::TooManyHeaders) => Err(too_many()),
        Ok(httparse::Status::Partial) | Err(_) => Err(Refusal::closing(
            Status::BAD_REQUEST,
            "A field line must be: name, colon, value; without space before the colon, folded lines or control characters.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 512, target_bytes: 64, fields: 8 };

    fn outcome(bytes: &[u8]) -> String {
        let mut fields = Fields::default();
        match parse(bytes, LIMITS, &mut fields) {
            Ok(Parsed::Incomplete) => "incomplete".into(),
            Ok(Parsed::Complete(head, used)) => {
                format!("{} {} 1.{} {} {used}", head.method, head.target, head.minor_version, fields.iter().count())
            }
            Err(refusal) => refusal.status.code().to_string(),
        }
    }

    #[test]
    fn heads_and_their_verdicts() {
        let long_target = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(64));
        let long_head = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(600));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(9));
        let table: [(&[u8], &str); 24] = [
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest", "GET / 1.1 1 27"),
            (b"\r\n\r\nGET / HTTP/1.0\r\n\r\n", "GET / 1.0 0 22"),
            (b"GET / HTTP/1.7\r\n\r\n", "GET / 1.1 0 18"),
            (b"GET / HTTP/2.0\r\n\r\n", "505"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
            (b"GET /\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\nHost: a\n\n", "400"),
            (b"GET / HTTP/1.1\r\nHost: a\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\n: b\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nnothing\r\n\r\n", "400"),
            (b"GET  / HTTP/1.1\r\n\r\n", "400"),
            (b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n", "400"),
            (b"GET /#a HTTP/1.1\r\n\r\n", "400"),
            (b"G@T / HTTP/1.1\r\n\r\n", "400"),
            (b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n", "incomplete"),
            (b"\r", "incomplete"),
            (long_target.as_bytes(), "414"),
            (long_head.as_bytes(), "431"),
            (many.as_bytes(), "431"),
        ];
        for (bytes, expected) in table {
            assert_eq!(outcome(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_prefix_is_incomplete_or_has_the_verdict_of_the_whole() {
        let heads: [&[u8]; 4] = [
            b"\r\nGET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\nAccept: */*\r\n\r\n",
            b"GET / HTTP/3.0\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        ];
        for head in heads {
            let whole = outcome(head);
            for end in 0..head.len() {
                let part = outcome(&head[..end]);
                assert!(part == "incomplete" || part == whole, "{end} bytes: {part}, whole: {whole}");
            }
        }
    }
}
