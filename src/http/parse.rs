//! Box `http_parse`: the bytes of a head become a `Head` and its `Fields`.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 400, 414, 431, 505.
//! RFC 9112 sections 2 to 5, in one walk over the bytes: a line is read where it is well-formed, and only one that is not
//! is looked at again, to say why. Own code because parsers that others have written take a bare LF, or read each line
//! twice; `tests/fuzz` holds it against one of them.

use super::bytes::{TARGET, TOKEN, count_of_value, trim_white_space};
use super::malformed::{
    bare_line_ending, check_head_bytes, check_request_line, judge, malformed_field_line, malformed_request_line,
    too_many_fields,
};
use crate::message::{Fields, Method, Refusal, Status};

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
    /// The whole request line, for the log. It and its parts are ASCII; nobody on the hot path has to know.
    pub line: &'b [u8],
    /// The method as it was sent.
    pub method: &'b [u8],
    /// The target as it was sent: visible.
    pub target: &'b [u8],
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
/// The answer depends on the bytes alone and never on how many of them came at once: lines are judged in order, each
/// when all of it is there.
///
/// # Errors
/// A closing refusal, for after a malformed head nobody knows where the next request starts.
#[doc(alias = "http_parse")]
pub fn parse<'b>(bytes: &'b [u8], limits: HeadLimits, fields: &mut Fields<'b>) -> Result<Parsed<'b>, Refusal> {
    let Some(start) = skip_empty_lines(bytes)? else { return Ok(Parsed::Incomplete) };
    let bytes = bytes.get(start..).unwrap_or_default();
    let Some((head, mut next)) = read_request_line(bytes) else {
        return judge(bytes, 0, limits, malformed_request_line).map(|()| Parsed::Incomplete);
    };
    check_request_line(&head, limits)?;
    let mut count = 0;
    loop {
        let rest = bytes.get(next..).unwrap_or_default();
        if let Some((name, value, used)) = read_field_line(rest) {
            check_head_bytes(next + used, limits)?;
            count += 1;
            if count > limits.fields || !fields.push(name, value) {
                return Err(too_many_fields(limits));
            }
            next += used;
        } else if rest.starts_with(b"\r\n") {
            check_head_bytes(next + 2, limits)?;
            return Ok(Parsed::Complete(head, start + next + 2));
        } else {
            return judge(bytes, next, limits, |_| malformed_field_line()).map(|()| Parsed::Incomplete);
        }
    }
}

/// The fields of a trailer section, which ends with its blank line; nothing at all is no section (RFC 9112 section
/// 7.1.2).
///
/// # Errors
/// As for the fields of a head.
pub fn parse_trailers<'b>(section: &'b [u8], limits: HeadLimits, fields: &mut Fields<'b>) -> Result<(), Refusal> {
    let (mut rest, mut count) = (section, 0);
    while let Some((name, value, used)) = read_field_line(rest) {
        count += 1;
        if count > limits.fields || !fields.push(name, value) {
            return Err(too_many_fields(limits));
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    if rest == b"\r\n" || section.is_empty() { Ok(()) } else { Err(malformed_field_line()) }
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

/// `method SP target SP HTTP/1.d CRLF` (RFC 9112 section 3), and how long it is; `None` if that is not what stands there.
fn read_request_line(bytes: &[u8]) -> Option<(Head<'_>, usize)> {
    let method_end = TOKEN.count(bytes);
    let target_start = method_end + 1;
    let target_end = target_start + TARGET.count(bytes.get(target_start..)?);
    let line_end = target_end + VERSION_BYTES;
    let (b" ", [b' ', version @ ..]) = (bytes.get(method_end..target_start)?, bytes.get(target_end..line_end)?) else {
        return None;
    };
    let is_some = method_end > 0 && target_end > target_start;
    let minor_version = parse_version(version).ok().filter(|_| is_some)?;
    let b"\r\n" = bytes.get(line_end..line_end + 2)? else { return None };
    let (method, target) = (bytes.get(..method_end)?, bytes.get(target_start..target_end)?);
    let line = bytes.get(..line_end)?;
    Some((Head { line, method, target, minor_version }, line_end + 2))
}

/// The space before the version, and the version.
const VERSION_BYTES: usize = " HTTP/1.1".len();

/// Only major version 1 is spoken here; a higher minor one is read as 1.1.
pub(super) fn parse_version(version: &[u8]) -> Result<u8, Refusal> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => Ok(u8::from(*minor != b'0')),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Refusal::closing(Status::HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.1 and HTTP/1.0 are spoken here."))
        }
        _ => Err(Refusal::closing(Status::BAD_REQUEST, "The request line must end with HTTP/1.1 or HTTP/1.0.")),
    }
}

/// `name ":" OWS value OWS CRLF` (RFC 9112 section 5) as name, value and length; `None` if that is not what stands there:
/// a line folded into the next, white space before the colon, and a control character are refused.
fn read_field_line(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let name_bytes = TOKEN.count(bytes);
    let (name, rest) = bytes.split_at_checked(name_bytes)?;
    let [b':', rest @ ..] = rest else { return None };
    let (value, rest) = rest.split_at_checked(count_of_value(rest))?;
    let is_line = name_bytes > 0 && rest.starts_with(b"\r\n");
    is_line.then(|| (name, trim_white_space(value), name_bytes + 1 + value.len() + 2))
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
                let (method, target) = (head.method.escape_ascii(), head.target.escape_ascii());
                format!("{method} {target} 1.{} {} {used}", head.minor_version, fields.iter().count())
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
    fn a_line_is_judged_when_it_is_there_and_not_before() {
        for (bytes, expected) in [
            ("GET / HTTP/1.1\r\nHost : a", "incomplete"),
            ("GET / HTTP/1.1\r\nHost : a\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nA\r\n", "400"),
            ("G@T / HTTP/1.1", "incomplete"),
            ("G@T / HTTP/1.1\r\n", "400"),
        ] {
            assert_eq!(outcome(bytes.as_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn values_are_taken_without_the_white_space_around_them() {
        let head = b"GET / HTTP/1.1\r\nHost:a\r\nAccept: \t a\t\xff b \t\r\nReferer:  \r\n\r\n";
        let mut fields = Fields::default();
        assert!(matches!(parse(head, LIMITS, &mut fields), Ok(Parsed::Complete(..))));
        let values: Vec<&[u8]> = fields.iter().map(|line| line.value).collect();
        assert_eq!(values, [&b"a"[..], b"a\t\xff b", b""]);
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
