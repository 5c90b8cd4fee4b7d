//! Box `http_parse`: the bytes of a head become a `Head` and its `Fields`. The one door to `httparse`.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 400, 414, 431, 505.
//! RFC 9112 sections 2 to 5. A whole head that is in order, as nearly all are, is read by httparse in one walk; what it
//! lets through and the RFC does not, is refused here and in `validate`. Any other head goes line by line (`lines.rs`).

use std::mem::MaybeUninit;

use super::bytes::TARGET;
use super::head::{Head, HeadLimits, Parsed};
use super::lines::{find_lines, is_too_long_for_target};
use crate::message::{FIELD_LIMIT, Fields, Refusal, Status};

/// Reads one head from the start of `bytes`; its field lines go to `fields`.
///
/// The answer depends on the bytes alone and never on how many of them came at once: lines are judged in order, and a whole
/// head that is read at once is one that has nothing wrong in any line.
///
/// # Errors
/// A closing refusal, for after a malformed head nobody knows where the next request starts.
#[doc(alias = "http_parse")]
pub fn parse<'b>(bytes: &'b [u8], limits: HeadLimits, fields: &mut Fields<'b>) -> Result<Parsed<'b>, Refusal> {
    match parse_at_once(bytes, limits, fields) {
        Some((head, used)) => Ok(Parsed::Complete(head, used)),
        None => parse_by_line(bytes, limits, fields),
    }
}

/// A whole head that keeps to the RFC and the limits; `None` for any other, and for what is rare: empty lines before it, a
/// higher minor version.
fn parse_at_once<'b>(bytes: &'b [u8], limits: HeadLimits, fields: &mut Fields<'b>) -> Option<(Head<'b>, usize)> {
    // Room that nobody has filled costs nothing.
    let mut room = [const { MaybeUninit::uninit() }; FIELD_LIMIT];
    let mut request = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(used)) = request.parse_with_uninit_headers(bytes, room.get_mut(..limits.fields)?)
    else {
        return None;
    };
    let (method, target, minor_version) = (request.method?, request.path?, request.version?);
    let blank_line = used.checked_sub(CRLF.len())?;
    let starts = || request.headers.iter().map(|field| field.name.as_ptr().addr() - bytes.as_ptr().addr());
    let line_end = starts().next().unwrap_or(blank_line).checked_sub(CRLF.len())?;
    // httparse takes a bare LF for the end of a line (RFC 9112 section 2.2 lets it); a proxy in front that doesn't would
    // see other requests than we do. A line ends where the next one begins.
    let ends_with_crlf = |next: usize| next.checked_sub(CRLF.len()).and_then(|end| bytes.get(end..next)) == Some(CRLF);
    let is_strict = starts().all(ends_with_crlf) && ends_with_crlf(blank_line) && ends_with_crlf(used);
    // It begins with its method, not with an empty line; a target is visible ASCII.
    let line = bytes.get(..line_end)?;
    let is_plain = line.starts_with(method.as_bytes()) && TARGET.count(target.as_bytes()) == target.len();
    let fits = used <= limits.head_bytes && target.len() <= limits.target_bytes;
    if !(is_strict && is_plain && fits) || is_too_long_for_target(line.len() + 1, limits) {
        return None;
    }
    for field in request.headers.iter() {
        // There is as much room as httparse had.
        fields.push(field.name.as_bytes(), field.value);
    }
    Some((Head { line, method: method.as_bytes(), target: target.as_bytes(), minor_version }, used))
}

const CRLF: &[u8] = b"\r\n";

/// The same for a head that may have something wrong, or not be whole.
fn parse_by_line<'b>(bytes: &'b [u8], limits: HeadLimits, fields: &mut Fields<'b>) -> Result<Parsed<'b>, Refusal> {
    let Some(lines) = find_lines(bytes, limits)? else { return Ok(Parsed::Incomplete) };
    parse_fields(lines.fields, limits, fields)?;
    Ok(Parsed::Complete(lines.head, lines.bytes))
}

/// The fields of a trailer section, which ends with its blank line; nothing at all is no section (RFC 9112 section
/// 7.1.2).
///
/// # Errors
/// As for the fields of a head.
pub fn parse_trailers<'b>(section: &'b [u8], limits: HeadLimits, fields: &mut Fields<'b>) -> Result<(), Refusal> {
    if section.is_empty() { Ok(()) } else { parse_fields(section, limits, fields) }
}

/// Field lines by httparse: it refuses obs-fold, white space before the colon, and control characters.
fn parse_fields<'b>(bytes: &'b [u8], limits: HeadLimits, fields: &mut Fields<'b>) -> Result<(), Refusal> {
    let too_many = || {
        let detail = format!("The request has more than {} field lines.", limits.fields);
        Refusal::closing(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
    };
    let mut room = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    match httparse::parse_headers(bytes, room.get_mut(..limits.fields).unwrap_or_default()) {
        Ok(httparse::Status::Complete((_, lines))) => {
            for line in lines {
                if !fields.push(line.name.as_bytes(), line.value) {
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
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 512, target_bytes: 64, fields: 8 };

    type Parser = for<'b> fn(&'b [u8], HeadLimits, &mut Fields<'b>) -> Result<Parsed<'b>, Refusal>;

    fn outcome(bytes: &[u8], parser: Parser) -> String {
        let mut fields = Fields::default();
        match parser(bytes, LIMITS, &mut fields) {
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
            assert_eq!(outcome(bytes, parse), expected, "{}", String::from_utf8_lossy(bytes));
            assert_eq!(outcome(bytes, parse_by_line), expected, "line by line: {}", String::from_utf8_lossy(bytes));
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
            let whole = outcome(head, parse);
            for end in 0..head.len() {
                let part = outcome(&head[..end], parse);
                assert!(part == "incomplete" || part == whole, "{end} bytes: {part}, whole: {whole}");
            }
        }
    }

    proptest! {
        #[test]
        fn read_at_once_or_line_by_line_is_the_same(edits in proptest::collection::vec((0..60_usize, any::<u8>(), 0..4), 0..4)) {
            let mut head = b"GET /a?b HTTP/1.1\r\nHost: a\r\nAccept:\t*/* \r\nX: \r\n\r\n".to_vec();
            prop_assert!(parse_at_once(&head, LIMITS, &mut Fields::default()).is_some(), "before it is edited");
            for (at, byte, kind) in edits {
                let at = at % head.len();
                match kind {
                    0 => head[at] = byte,
                    1 => head.insert(at, byte),
                    2 => drop(head.remove(at)),
                    // What matters between lines.
                    _ => head.insert(at, b"\r\n :"[usize::from(byte % 4)]),
                }
            }
            let [mut at_once, mut by_line] = [Fields::default(), Fields::default()];
            if let Some((one, used)) = parse_at_once(&head, LIMITS, &mut at_once) {
                let Ok(Parsed::Complete(other, also_used)) = parse_by_line(&head, LIMITS, &mut by_line) else {
                    panic!("only one takes {}", head.escape_ascii());
                };
                prop_assert_eq!((format!("{one:?}"), used), (format!("{other:?}"), also_used));
                prop_assert_eq!(format!("{at_once:?}"), format!("{by_line:?}"));
            }
        }
    }
}
