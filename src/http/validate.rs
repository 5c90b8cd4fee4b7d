//! Box `http_validate`: a `Head` and its fields become a `Request`, or a refusal.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 400, 404, 417, 501.
//! RFC 9112 sections 3.2, 6 and 9.3; RFC 9110 sections 7.2 and 10.1.1. Every refusal here ends the connection: two
//! readers who disagree about these rules see different requests in the same bytes.

use std::borrow::Cow;

use super::bytes::HOST;
use super::head::Head;
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
            format!("The method {} is not known here.", String::from_utf8_lossy(head.method)),
        ));
    };
    let target = split_target(method, head.target)?;
    let (path, query) = split_path(target.path_and_query)?;
    Ok(Request {
        method,
        version,
        raw_target: target.path_and_query,
        path,
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

/// The decoded path, and what follows the `?`. One search finds the end of most paths, and that they have no escape.
fn split_path(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, Option<&str>), Refusal> {
    let first = memchr::memchr2(b'?', b'%', bytes).unwrap_or(bytes.len());
    let has_escape = bytes.get(first) == Some(&b'%');
    let end = if has_escape { memchr::memchr(b'?', bytes).unwrap_or(bytes.len()) } else { first };
    let raw = bytes.get(..end).unwrap_or_default();
    // Nothing is allocated for a path that is plain already.
    let is_plain = !has_escape && !raw.windows(2).any(|pair| pair == b"//" || pair == b"/.");
    let path = if is_plain { Cow::Borrowed(raw) } else { Cow::Owned(decode_path(raw)?) };
    Ok((path, bytes.get(end + 1..).and_then(|query| std::str::from_utf8(query).ok())))
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
fn host_field<'b>(version: Version, fields: &Fields<'b>) -> Result<&'b [u8], Refusal> {
    let mut values = fields.all(FieldName::Host);
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) if version == Version::Http10 => return Ok(b""),
        (None, _) => return Err(bad_request("HTTP/1.1 wants a Host field.")),
        (Some(_), Some(_)) => return Err(bad_request("Host may stand only once.")),
    };
    if !is_authority(value) {
        return Err(bad_request("Host must be a name or address and, if need be, a colon and a port."));
    }
    Ok(value)
}

/// `uri-host [ ":" port ]` of RFC 3986, without user information. An empty Host is what RFC 9112 wants for a target without
/// authority.
fn is_authority(text: &[u8]) -> bool {
    let port = if text.starts_with(b"[") { behind_address(text) } else { Some(behind_name(text)) };
    let Some(port) = port else { return false };
    match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        [_, ..] => false,
    }
}

/// What stands behind the IPv6 address in brackets at the beginning; `None` if it is none.
fn behind_address(text: &[u8]) -> Option<&[u8]> {
    let (address, port) = std::str::from_utf8(text).ok()?.strip_prefix('[')?.split_once(']')?;
    address.parse::<std::net::Ipv6Addr>().ok().map(|_| port.as_bytes())
}

/// What stands behind the `reg-name` at the beginning (RFC 3986 section 3.2.2).
fn behind_name(text: &[u8]) -> &[u8] {
    let mut rest = text;
    loop {
        rest = rest.get(HOST.count(rest)..).unwrap_or_default();
        match rest {
            [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest = tail,
            _ => return rest,
        }
    }
}

/// A target taken apart (RFC 9112 section 3.2).
struct Target<'b> {
    path_and_query: &'b [u8],
    authority: Option<&'b [u8]>,
    asterisk: bool,
}

fn split_target(method: Method, target: &[u8]) -> Result<Target<'_>, Refusal> {
    if target.starts_with(b"/") {
        return Ok(Target { path_and_query: target, authority: None, asterisk: false });
    }
    if target == b"*" && method == Method::Options {
        return Ok(Target { path_and_query: b"/", authority: None, asterisk: true });
    }
    if method == Method::Connect {
        // Its target is an authority; `route` will refuse the method.
        return Ok(Target { path_and_query: b"/", authority: None, asterisk: false });
    }
    let scheme_bytes = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        target.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(<[u8]>::len)
    });
    let wrong = || bad_request("The request target must begin with '/' or be an absolute http URI.");
    let rest = scheme_bytes.and_then(|bytes| target.get(bytes..)).ok_or_else(wrong)?;
    let (authority, path_and_query) = rest.split_at(memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len()));
    // An http URI has a host (RFC 9110 section 4.2.1).
    if authority.is_empty() || authority.starts_with(b":") || !is_authority(authority) {
        return Err(wrong());
    }
    match path_and_query {
        b"" => Ok(Target { path_and_query: b"/", authority: Some(authority), asterisk: method == Method::Options }),
        path if path.starts_with(b"/") => {
            Ok(Target { path_and_query: path, authority: Some(authority), asterisk: false })
        }
        _ => Err(wrong()),
    }
}

/// Decodes a raw path and takes its dot segments and empty segments away (RFC 3986 sections 2.1 and 5.2.4), in this
/// order: an encoded dot segment is a dot segment.
fn decode_path(raw: &[u8]) -> Result<Vec<u8>, Refusal> {
    let decoded = percent_decode(raw)?;
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
    Ok(path)
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
    if !fields.contains(FieldName::Connection) {
        return version == Version::Http11;
    }
    let has =
        |option: &[u8]| fields.elements(FieldName::Connection).any(|element| element.eq_ignore_ascii_case(option));
    match version {
        Version::Http11 => !has(b"close"),
        Version::Http10 => has(b"keep-alive") && !has(b"close"),
    }
}

/// RFC 9110 section 10.1.1. HTTP/1.0 knows no 1xx, so its Expect means nothing.
fn expects_continue(version: Version, fields: &Fields<'_>) -> Result<bool, Refusal> {
    if !fields.contains(FieldName::Expect) {
        return Ok(false);
    }
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
            with_request(&head, |request| assert_eq!(request.map(Request::host_text), expected, "{lines}"));
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
