//! A request head: how it is cut doesn't matter, what follows doesn't matter, and nothing that two readers could read
//! differently gets through (RFC 9112 sections 2 to 6).

use fileserv::http::{HeadLimits, Parsed, parse, validate};
use fileserv::message::{BodyFraming, FieldName, Fields, Request, Version};

use super::cuts;

/// So low that the fuzzer meets each of them.
const LIMITS: HeadLimits = HeadLimits { head_bytes: 1024, target_bytes: 128, fields: 16 };

/// All that the pipeline makes of some bytes, in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Incomplete,
    Refused { status: u16, detail: String },
    Taken { request: String, used: usize },
}

/// Checks the properties of `parse` and `validate`.
pub fn head(bytes: &[u8]) {
    let whole = outcome(bytes);
    for end in cuts(bytes.len()) {
        let part = outcome(&bytes[..end]);
        assert!(part == Outcome::Incomplete || part == whole, "{end} bytes: {part:?}, all: {whole:?}");
    }
    if whole != Outcome::Incomplete {
        let more = [bytes, b"\r\nX: y\r\n\r\n\n\0"].concat();
        assert_eq!(outcome(&more), whole, "what follows a head changes it");
    }
}

fn outcome(bytes: &[u8]) -> Outcome {
    let mut fields = Fields::default();
    let refused = |refusal: fileserv::message::Refusal| {
        let status = refusal.status.code();
        assert!([400, 404, 414, 417, 431, 501, 505].contains(&status), "{refusal:?}");
        // A path that can't exist is the one thing that is wrong without making the framing doubtful.
        assert!(refusal.ends_connection || status == 404, "{refusal:?} keeps the connection");
        Outcome::Refused { status, detail: refusal.detail.into_owned() }
    };
    let (head, used) = match parse(bytes, LIMITS, &mut fields) {
        Ok(Parsed::Incomplete) => {
            assert!(bytes.len() <= LIMITS.head_bytes + 8, "{} bytes, and still no verdict", bytes.len());
            return Outcome::Incomplete;
        }
        Ok(Parsed::Complete(head, used)) => (head, used),
        Err(refusal) => return refused(refusal),
    };
    lines_are_clean(&bytes[..used]);
    assert!(head.target.len() <= LIMITS.target_bytes && fields.iter().count() <= LIMITS.fields);
    match validate(&head, &fields) {
        Ok(request) => {
            request_is_sound(&request);
            Outcome::Taken { request: format!("{request:?}"), used }
        }
        Err(refusal) => refused(refusal),
    }
}

/// Nothing in a head that another reader would take for a line's end, or for a part of the line before.
fn lines_are_clean(head: &[u8]) {
    let text = head.strip_suffix(b"\r\n\r\n").expect("a head ends with an empty line");
    assert!(!text.contains(&0), "a NUL");
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        let line_end = &text[at + found..];
        assert!(line_end.starts_with(b"\r\n"), "a bare line ending");
        at += found + 2;
        assert!(!matches!(text.get(at), Some(b' ' | b'\t')), "a folded line");
    }
}

fn request_is_sound(request: &Request<'_>) {
    let lines = |name| request.fields.all(name).count();
    let (codings, lengths) = (lines(FieldName::TransferEncoding), lines(FieldName::ContentLength));
    assert!(codings == 0 || lengths == 0, "two framings");
    match request.framing {
        BodyFraming::Chunked => assert!(codings == 1 && request.version == Version::Http11, "chunked"),
        BodyFraming::Length(length) => {
            let value = request.field(FieldName::ContentLength).expect("a length comes from its field");
            let digits = std::str::from_utf8(value).expect("digits");
            assert_eq!(digits.trim_start_matches('0'), length.to_string(), "the length");
        }
        BodyFraming::None => assert!(codings == 0, "a coding without content"),
    }
    assert!(lines(FieldName::Host) == 1 || (lines(FieldName::Host) == 0 && request.version == Version::Http10), "Host");
    assert!(!request.host_text().contains(['@', '/', '?', '#', ' ', '\\']), "{request:?}");
    assert!(request.path.starts_with(b"/"), "a path begins with a slash");
}
