//! Box `http_validate`: a `Head` and its fields become a `Request`, or a refusal.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 400, 404, 417, 501.
//! RFC 9112 sections 3.2, 6 and 9.3; RFC 9110 sections 7.2 and 10.1.1. Every refusal here ends the connection: two
//! readers who disagree about these rules see different requests in the same bytes.

use std::borrow::Cow;

use super::parse::Head;
use crate::message::{BodyFraming, FieldName, Fields, Method, Refusal, Request, Status, Version, Visitor};

/// Checks everything that must hold before the request means anything.
///
/// # Errors
/// A closing refusal that names the rule.
#[doc(alias = "http_validate")]
pub fn validate<'b>(head: &Head<'b>, fields: &'b Fields<'b>) -> Result<Request<'b>, Refusal> {
    let version = if head.minor_version == 0 { Version::Http10 } else { Version::Http11 };
    let framing = framing(version, fields)?;
    let host_field = host_field(version, fields)?;
    let Some(method) = Method::from_name(head.method) else {
        return Err(Refusal::closing(
            Status::NOT_IMPLEMENTED,
            format!("The method {} is not known here.", head.method),
        ));
    };
    let target = split_target(method, head.target)?;
    let (raw_path, query) = split_at_byte(target.path_and_query, b'?');
    Ok(Request {
        method,
        version,
        raw_target: target.path_and_query,
        path: decode_path(raw_path)?,
        query,
        host: target.authority.unwrap_or(host_field),
        fields,
        framing,
        keep_alive: keep_alive(version, fields),
        expects_continue: expects_continue(version, fields)?,
        asterisk: target.asterisk,
        visitor: Visitor::default(),
    })
}

/// What stands before the first such byte, and what behind it. On the hot path: `str::split_once` takes several times as
/// long for texts so short.
fn split_at_byte(text: &str, byte: u8) -> (&str, Option<&str>) {
    match memchr::memchr(byte, text.as_bytes()) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

fn bad_request(detail: &'static str) -> Refusal {
    Refusal::closing(Status::BAD_REQUEST, detail)
}

/// RFC 9112 section 6.3.
fn framing(version: Version, fields: &Fields<'_>) -> Result<BodyFraming, Refusal> {
    if fields.contains(FieldName::TransferEncoding) {
        return chunked_framing(version, fields);
    }
    let mut values = fields.all(FieldName::ContentLength);
    let Some(value) = values.next() else { return Ok(BodyFraming::None) };
    if values.next().is_some() {
        return Err(bad_request("Content-Length may stand only once."));
    }
    // 19 digits always fit in 64 bits; a longer number is refused even if zeros lead it.
    let is_number = (1..=19).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let length = std::str::from_utf8(value).ok().filter(|_| is_number).and_then(|digits| digits.parse().ok());
    match length {
        Some(0) => Ok(BodyFraming::None),
        Some(length) => Ok(BodyFraming::Length(length)),
        None => Err(bad_request("Content-Length must be one decimal number of at most 19 digits.")),
    }
}

fn chunked_framing(version: Version, fields: &Fields<'_>) -> Result<BodyFraming, Refusal> {
    if version == Version::Http10 {
        return Err(bad_request("HTTP/1.0 has no Transfer-Encoding."));
    }
    if fields.contains(FieldName::ContentLength) {
        return Err(bad_request("Content-Length and Transfer-Encoding may not stand together."));
    }
    let mut codings = fields.elements(FieldName::TransferEncoding);
    match (codings.next(), codings.next()) {
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(BodyFraming::Chunked),
        (Some(first), None) if !first.eq_ignore_ascii_case(b"chunked") => {
            Err(Refusal::closing(Status::NOT_IMPLEMENTED, "The only transfer coding known here is chunked."))
        }
        _ => Err(bad_request("Transfer-Encoding must be chunked, once and alone.")),
    }
}

/// RFC 9112 section 3.2: exactly one Host in HTTP/1.1, and it must be an authority.
fn host_field<'b>(version: Version, fields: &Fields<'b>) -> Result<&'b str, Refusal> {
    let mut values = fields.all(FieldName::Host);
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) if version == Version::Http10 => return Ok(""),
        (None, _) => return Err(bad_request("HTTP/1.1 wants a Host field.")),
        (Some(_), Some(_)) => return Err(bad_request("Host may stand only once.")),
    };
    let not_an_authority = || bad_request("Host must be a name or address and, if need be, a colon and a port.");
    let host = std::str::from_utf8(value).map_err(|_| not_an_authority())?;
    if is_authority(host) { Ok(host) } else { Err(not_an_authority()) }
}

/// `uri-host [ ":" port ]` of RFC 3986, without user information.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", port)
        }
        None => text.split_at(text.bytes().position(|byte| byte == b':').unwrap_or(text.len())),
    };
    let port_is_one = match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    // An empty Host is what RFC 9112 wants for a target without authority.
    port_is_one && is_host(host.as_bytes())
}

/// `reg-name` of RFC 3986 section 3.2.2. Every request has one and most are short: a walk over it is over before a
/// vectorized search has begun.
fn is_host(mut rest: &[u8]) -> bool {
    loop {
        rest = match rest {
            [] => return true,
            [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => tail,
            [byte, tail @ ..] if is_plain_host_byte(*byte) => tail,
            [_, ..] => return false,
        };
    }
}

/// A byte of a `reg-name` that stands for itself. The pattern becomes a test of bits.
fn is_plain_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        )
}

/// A target taken apart (RFC 9112 section 3.2).
struct Target<'b> {
    path_and_query: &'b str,
    authority: Option<&'b str>,
    asterisk: bool,
}

fn split_target(method: Method, target: &str) -> Result<Target<'_>, Refusal> {
    if target.starts_with('/') {
        return Ok(Target { path_and_query: target, authority: None, asterisk: false });
    }
    if target == "*" && method == Method::Options {
        return Ok(Target { path_and_query: "/", authority: None, asterisk: true });
    }
    if method == Method::Connect {
        // Its target is an authority; `route` will refuse the method.
        return Ok(Target { path_and_query: "/", authority: None, asterisk: false });
    }
    let scheme_bytes = ["http://", "https://"].into_iter().find_map(|scheme| {
        target.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| scheme.len())
    });
    let wrong = || bad_request("The request target must begin with '/' or be an absolute http URI.");
    let rest = scheme_bytes.and_then(|bytes| target.get(bytes..)).ok_or_else(wrong)?;
    let (authority, path_and_query) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // An http URI has a host (RFC 9110 section 4.2.1).
    if authority.is_empty() || authority.starts_with(':') || !is_authority(authority) {
        return Err(wrong());
    }
    match path_and_query {
        "" => Ok(Target { path_and_query: "/", authority: Some(authority), asterisk: method == Method::Options }),
        path if path.starts_with('/') => {
            Ok(Target { path_and_query: path, authority: Some(authority), asterisk: false })
        }
        _ => Err(wrong()),
    }
}

/// Decodes a raw path and takes its dot segments and empty segments away (RFC 3986 sections 2.1 and 5.2.4), in this
/// order: an encoded dot segment is a dot segment. Nothing is allocated for a path that is plain already.
fn decode_path(raw: &str) -> Result<Cow<'_, [u8]>, Refusal> {
    let bytes = raw.as_bytes();
    let is_plain = |pair: &[u8]| pair != b"//" && pair != b"/.";
    if memchr::memchr(b'%', bytes).is_none() && bytes.windows(2).all(is_plain) {
        return Ok(Cow::Borrowed(bytes));
    }
    let decoded = percent_decode(bytes)?;
    // No file name holds a NUL, so nothing is there.
    if decoded.contains(&0) {
        return Err(Refusal::not_found());
    }
    let mut path: Vec<u8> = Vec::with_capacity(decoded.len());
    let mut segments = decoded.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b".." => {
                let Some(parent_end) = path.iter().rposition(|&byte| byte == b'/') else {
                    return Err(Refusal::not_found());
                };
                path.truncate(parent_end);
            }
            b"." | b"" => {}
            name => {
                path.push(b'/');
                path.extend_from_slice(name);
                continue;
            }
        }
        if is_last {
            path.push(b'/');
        }
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Ok(Cow::Owned(path))
}

/// Percent-decodes, strictly: a `%` without two digits is refused rather than guessed at.
fn percent_decode(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'%', rest) {
        match rest.get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => rest = rest.get(at + 3..).unwrap_or_default(),
            _ => return Err(bad_request("A '%' in the path must be followed by two hexadecimal digits.")),
        }
    }
    Ok(percent_encoding::percent_decode(bytes).collect())
}

/// RFC 9112 section 9.3.
fn keep_alive(version: Version, fields: &Fields<'_>) -> bool {
    let has =
        |option: &[u8]| fields.elements(FieldName::Connection).any(|element| element.eq_ignore_ascii_case(option));
    match version {
        Version::Http11 => !has(b"close"),
        Version::Http10 => has(b"keep-alive") && !has(b"close"),
    }
}

/// RFC 9110 section 10.1.1. HTTP/1.0 knows no 1xx, so its Expect means nothing.
fn expects_continue(version: Version, fields: &Fields<'_>) -> Result<bool, Refusal> {
    let mut expectations = fields.elements(FieldName::Expect);
    match (version, expectations.next(), expectations.next()) {
        (_, None, _) | (Version::Http10, _, _) => Ok(false),
        (Version::Http11, Some(only), None) if only.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        (Version::Http11, Some(_), _) => {
            Err(Refusal::closing(Status::EXPECTATION_FAILED, "The only expectation known here is 100-continue."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, Parsed, parse};

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, target_bytes: 1024, fields: 32 };

    fn with_request<T>(head: &str, look: impl FnOnce(Result<&Request<'_>, u16>) -> T) -> T {
        let mut fields = Fields::default();
        let Ok(Parsed::Complete(head, _)) = parse(head.as_bytes(), LIMITS, &mut fields) else { panic!("{head}") };
        match validate(&head, &fields) {
            Ok(request) => look(Ok(&request)),
            Err(refusal) => look(Err(refusal.status.code())),
        }
    }

    #[test]
    fn framing_can_not_be_fooled() {
        let table = [
            ("Content-Length: 5\r\n", Ok(BodyFraming::Length(5))),
            ("Content-Length: 0\r\n", Ok(BodyFraming::None)),
            ("Content-Length: +5\r\n", Err(400)),
            ("Content-Length: 5, 5\r\n", Err(400)),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(400)),
            ("Content-Length: 99999999999999999999\r\n", Err(400)),
            ("Content-Length: \r\n", Err(400)),
            ("Transfer-Encoding: chunked\r\n", Ok(BodyFraming::Chunked)),
            ("Transfer-Encoding: Chunked\r\n", Ok(BodyFraming::Chunked)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(400)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(400)),
            ("Transfer-Encoding: chunked, gzip\r\n", Err(400)),
            ("Transfer-Encoding: gzip\r\n", Err(501)),
            ("Transfer-Encoding:\r\n", Err(400)),
        ];
        for (lines, expected) in table {
            let head = format!("PUT /f HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            assert_eq!(with_request(&head, |request| request.map(|r| r.framing)), expected, "{lines}");
        }
        let old = "PUT /f HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(with_request(old, |request| request.map(|r| r.framing)), Err(400));
    }

    #[test]
    fn hosts() {
        let table = [
            ("Host: a\r\n", Ok("a")),
            ("Host: a.example:80\r\n", Ok("a.example:80")),
            ("Host: [::1]:8080\r\n", Ok("[::1]:8080")),
            ("Host:\r\n", Ok("")),
            ("", Err(400)),
            ("Host: a\r\nHost: a\r\n", Err(400)),
            ("Host: a b\r\n", Err(400)),
            ("Host: user@a\r\n", Err(400)),
            ("Host: [::1\r\n", Err(400)),
            ("Host: a:b\r\n", Err(400)),
        ];
        for (lines, expected) in table {
            let head = format!("GET / HTTP/1.1\r\n{lines}\r\n");
            with_request(&head, |request| assert_eq!(request.map(|r| r.host), expected, "{lines}"));
        }
    }

    #[test]
    fn paths() {
        let table: [(&str, Result<&[u8], u16>); 18] = [
            ("/", Ok(b"/")),
            ("/a/b?c=/../d", Ok(b"/a/b")),
            ("/a%20b", Ok(b"/a b")),
            ("/a//b/", Ok(b"/a/b/")),
            ("/a/./b/.", Ok(b"/a/b/")),
            ("/a/b/..", Ok(b"/a/")),
            ("/a/../b", Ok(b"/b")),
            ("/a/%2e%2e/b", Ok(b"/b")),
            ("/%252e%252e/b", Ok(b"/%2e%2e/b")),
            ("/a%2fb", Ok(b"/a/b")),
            ("/..", Err(404)),
            ("/a/../../b", Err(404)),
            ("/%2e%2e%2fetc/passwd", Err(404)),
            ("/a%00b", Err(404)),
            ("/a%zz", Err(400)),
            ("/a%2", Err(400)),
            ("http://other:81/x", Ok(b"/x")),
            ("ftp://other/x", Err(400)),
        ];
        for (target, expected) in table {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            with_request(&head, |request| assert_eq!(request.map(|r| &*r.path), expected, "{target}"));
        }
    }

    #[test]
    fn connections_and_expectations() {
        let keeps = |head: &str| with_request(head, |request| request.unwrap().keep_alive);
        assert!(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
        let expects = |value: &str| {
            let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nExpect: {value}\r\n\r\n");
            with_request(&head, |request| request.map(|r| r.expects_continue))
        };
        assert_eq!(expects("100-Continue"), Ok(true));
        assert_eq!(expects("a-miracle"), Err(417));
    }
}
