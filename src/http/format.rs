//! Box `http_format`: a `Response` becomes the bytes of a head, and a `Reply` that says what follows them.
//! Process: worker, sealed. Pure; allocates nothing.
//! RFC 9112 sections 4 and 6; RFC 9110 sections 6.6.1 (Date), 7.6.1 (Connection), 8.6 (Content-Length).

use super::Audience;
use crate::config::{FieldsId, FixedFields, SiteId};
use crate::message::{
    Body, FieldName, HttpDate, IMF_FIXDATE_BYTES, Interim, Method, Response, Status, Value, Version, write_line,
    write_representation_lines,
};

/// What must be known of a request to answer it, after its bytes are gone.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Its method.
    pub method: Method,
    /// Its version.
    pub version: Version,
    /// May the connection go on after the answer?
    pub keep_alive: bool,
    /// Did the client itself say that it sends nothing more?
    pub client_closes: bool,
    /// The site that it means.
    pub site: SiteId,
    /// The configured fields of its path.
    pub fields: Option<FieldsId>,
    /// For whom the answer is.
    pub audience: Audience,
}

impl Facts {
    /// The facts of bytes that never became a request: answered once, in full, and the connection ends.
    pub const OF_NO_REQUEST: Self = Self {
        method: Method::Get,
        version: Version::Http11,
        keep_alive: false,
        client_closes: false,
        site: SiteId::DEFAULT,
        fields: None,
        audience: Audience::NOBODY,
    };
}

/// What follows the head: the body of the response, which is empty for HEAD, 204 and 304.
#[derive(Debug)]
pub struct Reply {
    /// Is it sent in chunks, because its length shows only at its end?
    pub is_chunked: bool,
    /// Does the connection go on?
    pub keep_alive: bool,
}

/// What stands in every head between the status and the fields of its answer.
const BEFORE_DATE: &[u8; 59] = b"\r\nServer: fileserv\r\nX-Content-Type-Options: nosniff\r\nDate: ";

/// How the answer begins that is given most.
const OK_LINE: &[u8; 15] = b"HTTP/1.1 200 OK";

/// The lines that stand in every head, with the line ends around them: made once a second, and copied whole. Before them
/// stands the status line of a 200, which most heads have too.
#[derive(Debug, Clone)]
pub struct CommonLines([u8; OK_LINE.len() + COMMON_BYTES]);

const COMMON_BYTES: usize = BEFORE_DATE.len() + IMF_FIXDATE_BYTES + b"\r\n".len();

impl CommonLines {
    /// Those of this second.
    #[must_use]
    pub fn of(date: HttpDate) -> Self {
        let mut lines = [0; OK_LINE.len() + COMMON_BYTES];
        let date = date.imf_fixdate();
        let parts = OK_LINE.iter().chain(BEFORE_DATE).chain(&date).chain(b"\r\n");
        lines.iter_mut().zip(parts).for_each(|(room, byte)| *room = *byte);
        Self(lines)
    }

    /// Begins the head of an answer.
    fn begin(&self, status: Status, out: &mut Vec<u8>) {
        if status == Status::OK {
            out.extend_from_slice(&self.0);
        } else {
            out.extend_from_slice(b"HTTP/1.1 ");
            out.extend_from_slice(status.line().as_bytes());
            out.extend_from_slice(self.0.get(OK_LINE.len()..).unwrap_or_default());
        }
    }
}

/// Appends the head of a response to `out`, and takes the body away that must not follow it. The `fixed` fields stand in answers that say yes, or
/// that point elsewhere, or that nothing has changed; not in errors, which are about no file, and would be kept by a cache
/// that was told to. The lines of `cors` stand in all: a script has to be able to read what went wrong.
#[doc(alias = "http_format")]
pub fn format(
    response: &mut Response,
    facts: &Facts,
    fixed: Option<&FixedFields>,
    cors: &str,
    common: &CommonLines,
    out: &mut Vec<u8>,
) -> Reply {
    let fixed = fixed.filter(|_| !response.status.is_error());
    let has_content = response.status.may_have_content();
    let length = response.body.length();
    let is_chunked = has_content && length.is_none() && facts.version == Version::Http11;
    // HTTP/1.0 has no chunks: content of unknown length ends with the connection.
    let keep_alive = facts.keep_alive && !response.ends_connection && (length.is_some() || is_chunked || !has_content);

    common.begin(response.status, out);
    let is_plain = response.fields.is_empty() && fixed.is_none() && cors.is_empty();
    let says_nothing_of_connection = keep_alive && facts.version == Version::Http11;
    match response.body.label() {
        // Nothing is to be added to what is held ready, and it is all of it: an error is never a part of its page.
        Some(label) if is_plain && says_nothing_of_connection && is_whole(response.status) => {
            out.extend_from_slice(label.lines_to_end());
        }
        label => {
            match label {
                Some(label) if response.status == Status::NOT_MODIFIED => {
                    out.extend_from_slice(label.lines_of_validators());
                }
                Some(label) => out.extend_from_slice(label.lines()),
                None => write_representation_lines(response.validators, response.accepts_ranges, out),
            }
            if !is_plain {
                write_fields(response, facts.audience, fixed, cors, out);
            }
            write_framing(length.filter(|_| has_content), is_chunked, out);
            write_connection(keep_alive, facts.version, out);
            out.extend_from_slice(b"\r\n");
        }
    }
    let is_sent = has_content && facts.method != Method::Head;
    if !is_sent {
        response.body = Body::Empty;
    }
    Reply { is_chunked: is_chunked && is_sent, keep_alive }
}

/// Is what has this status the whole of what its body holds ready?
fn is_whole(status: Status) -> bool {
    status == Status::OK || status.is_error()
}

/// The fields that the provider chose, and those that are configured.
fn write_fields(response: &Response, audience: Audience, fixed: Option<&FixedFields>, cors: &str, out: &mut Vec<u8>) {
    for (name, value) in response.fields.iter() {
        if fixed.is_none_or(|fixed| !fixed.contains(name.text())) {
            write_line(*name, value, out);
        }
    }
    if let Some(fixed) = fixed {
        let is_private = || response.fields.find(FieldName::CacheControl).is_some_and(keeps_from_others);
        // A rule for all below a path doesn't open what another rule keeps for some: lines of one name add up.
        if fixed.lets_shared_caches_keep() && (audience.is_some || is_private()) {
            out.extend_from_slice(b"Cache-Control: private\r\n");
        }
        out.extend_from_slice(fixed.lines());
    }
    // Two permissions are none (Fetch standard section 3.2.1).
    if fixed.is_none_or(|fixed| !fixed.contains("Access-Control-Allow-Origin")) {
        out.extend_from_slice(cors.as_bytes());
    }
}

/// Where the content ends, if there is any.
fn write_framing(length: Option<u64>, is_chunked: bool, out: &mut Vec<u8>) {
    match length {
        Some(length) => write_line(FieldName::ContentLength, &Value::Number(length), out),
        None if is_chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        None => {}
    }
}

/// What becomes of the connection, where the version alone does not say it.
fn write_connection(keep_alive: bool, version: Version, out: &mut Vec<u8>) {
    match (keep_alive, version) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
}

/// Has the maker of an answer found that it is not for all?
fn keeps_from_others(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.contains("private"))
}

/// Appends an interim answer, which has neither date nor content.
pub fn format_interim(interim: &Interim, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(interim.status.line().as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in interim.fields.iter() {
        write_line(*name, value, out);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FieldRule, FieldRules};
    use crate::message::ETag;

    fn text(mut response: Response, facts: Facts) -> (String, Reply, Body) {
        let mut out = Vec::new();
        let common = CommonLines::of(HttpDate::from_unix_seconds(784_111_777));
        let reply = format(&mut response, &facts, None, "", &common, &mut out);
        (String::from_utf8(out).unwrap(), reply, response.body)
    }

    fn facts(method: Method, version: Version) -> Facts {
        Facts { method, version, keep_alive: true, ..Facts::OF_NO_REQUEST }
    }

    #[test]
    fn a_head_in_full() {
        let mut response = Response::with_body(Status::OK, "text/plain", Body::Bytes(b"hello".to_vec()));
        response.validators.etag = Some(ETag::of(b"x"));
        response.accepts_ranges = true;
        let (head, reply, body) = text(response, facts(Method::Get, Version::Http11));
        let expected = format!(
            "HTTP/1.1 200 OK\r\nServer: fileserv\r\nX-Content-Type-Options: nosniff\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: {}\r\nAccept-Ranges: bytes\r\n\
             Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n",
            ETag::of(b"x")
        );
        assert_eq!(head, expected);
        assert!(reply.keep_alive && !reply.is_chunked && matches!(body, Body::Bytes(_)));
    }

    #[test]
    fn head_says_what_get_would() {
        let make = || Response::with_body(Status::OK, "text/plain", Body::Bytes(b"hello".to_vec()));
        let (get, ..) = text(make(), facts(Method::Get, Version::Http11));
        let (head, _, body) = text(make(), facts(Method::Head, Version::Http11));
        assert_eq!(get, head);
        assert!(matches!(body, Body::Empty));
    }

    #[test]
    fn no_content_has_no_length_and_errors_of_no_request_close() {
        let (head, reply, _) = text(Response::new(Status::NO_CONTENT), facts(Method::Put, Version::Http11));
        assert!(!head.contains("Content-Length") && reply.keep_alive, "{head}");
        let (head, reply, _) = text(Response::new(Status::BAD_REQUEST), Facts::OF_NO_REQUEST);
        assert!(head.contains("Connection: close\r\n") && head.contains("Content-Length: 0\r\n") && !reply.keep_alive);
    }

    #[test]
    fn a_value_can_not_start_a_line_of_its_own() {
        let response = Response::new(Status::FOUND).with_field(FieldName::Location, "/a\r\nSet-Cookie: b".to_owned());
        let (head, ..) = text(response, facts(Method::Get, Version::Http11));
        assert!(head.contains("Location: /a  Set-Cookie: b\r\n"), "{head}");
    }

    #[test]
    fn configured_fields_take_the_place_of_ours_but_in_errors() {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let rule = FieldRule { path: "/".into(), set: vec![set("cache-control", "max-age=9"), set("X-A", "b")] };
        let rules = FieldRules::new(vec![rule]);
        let fixed = rules.find(b"/x").and_then(|id| rules.get(id));
        for (status, is_there) in [
            (Status::OK, true),
            (Status::CREATED, true),
            (Status::PARTIAL_CONTENT, true),
            (Status::NOT_MODIFIED, true),
            (Status::PERMANENT_REDIRECT, true),
            (Status::NOT_FOUND, false),
            (Status::INTERNAL_SERVER_ERROR, false),
        ] {
            let mut response = Response::new(status).with_field(FieldName::CacheControl, "no-store");
            let mut out = Vec::new();
            let common = CommonLines::of(HttpDate::from_unix_seconds(0));
            format(&mut response, &facts(Method::Get, Version::Http11), fixed, "", &common, &mut out);
            let head = String::from_utf8(out).unwrap();
            assert_eq!(head.contains("\r\ncache-control: max-age=9\r\nX-A: b\r\n"), is_there, "{head}");
            assert_eq!(head.contains("Cache-Control: no-store\r\n"), !is_there, "{head}");
        }
    }

    #[test]
    fn configured_field_does_not_open_what_is_for_some() {
        for (set, adds_private) in [
            ("public, max-age=9", true),
            ("private=\"set-cookie\"", true),
            ("max-age=9, Private", false),
            ("no-store", false),
        ] {
            let set = vec![("cache-control".to_owned(), set.to_owned())];
            let rules = FieldRules::new(vec![FieldRule { path: "/".into(), set }]);
            let fixed = rules.find(b"/x").and_then(|id| rules.get(id));
            for (is_some, said, is_for_some) in
                [(true, None, true), (false, Some("private"), true), (false, None, false)]
            {
                let mut response = Response::new(Status::OK);
                if let Some(said) = said {
                    response.fields.push(FieldName::CacheControl, said);
                }
                let mut facts = facts(Method::Get, Version::Http11);
                facts.audience.is_some = is_some;
                let mut out = Vec::new();
                let common = CommonLines::of(HttpDate::from_unix_seconds(0));
                format(&mut response, &facts, fixed, "", &common, &mut out);
                let head = String::from_utf8(out).unwrap();
                let lines = head.matches("Cache-Control: private\r\n").count();
                assert_eq!(lines, usize::from(adds_private && is_for_some), "{head}");
            }
        }
    }
}
