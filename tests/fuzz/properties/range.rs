//! Ranges: whatever the field says, each byte is sent once at most, none that isn't there, none less than was asked
//! for, and the answer never weighs more than the whole (RFC 9110 section 14).
//! Input: eight bytes for the length of the file, then the field.

use std::sync::Arc;

use fileserv::content::Now;
use fileserv::http::apply_ranges;
use fileserv::message::{
    Body, BodyFraming, Digests, ETag, FieldName, Method, Prepared, Request, Response, Status, Value, Version,
};

use super::field;

/// As in the default configuration.
const RANGES_LIMIT: usize = 64;

/// Checks the properties of the answer to a GET with a `Range` field.
pub fn range(bytes: &[u8]) {
    let Some((length, value)) = bytes.split_first_chunk() else { return };
    let complete = u64::from_le_bytes(*length);
    let response = answer(value, complete);
    match response.status {
        Status::OK => assert_eq!(response.body.length(), Some(complete)),
        Status::RANGE_NOT_SATISFIABLE => {
            let expected = Value::from(format!("bytes */{complete}"));
            assert_eq!(response.fields.find(FieldName::ContentRange), Some(&expected));
            assert!(asked(value, complete).is_empty(), "something of it is there");
        }
        Status::PARTIAL_CONTENT => partial(value, complete, &response),
        other => panic!("{other:?}"),
    }
}

fn partial(value: &[u8], complete: u64, response: &Response) {
    let sent = sent(&response.body);
    let total: u64 = sent.iter().map(|(first, last)| last - first + 1).sum();
    assert!(total <= complete && response.body.length().is_some_and(|length| length <= complete), "{response:?}");
    let mut in_order = sent.clone();
    in_order.sort_unstable();
    assert!(in_order.iter().all(|(first, last)| first <= last && *last < complete), "{sent:?} of {complete}");
    assert!(in_order.windows(2).all(|pair| pair[0].1 < pair[1].0), "{sent:?}: a byte is sent twice");
    let wanted = asked(value, complete);
    assert!(!wanted.is_empty(), "a part that nobody asked for");
    for (first, last) in wanted {
        assert!(sent.iter().any(|(from, to)| *from <= first && last <= *to), "{first}-{last} is not in {sent:?}");
    }
    labels_are_true(response, &sent, complete);
}

/// Each part says which part it is.
fn labels_are_true(response: &Response, sent: &[(u64, u64)], complete: u64) {
    let label = |(first, last): &(u64, u64)| format!("bytes {first}-{last}/{complete}");
    let Body::Parts(parts) = &response.body else {
        assert_eq!(response.fields.find(FieldName::ContentRange), Some(&Value::from(label(&sent[0]))));
        return;
    };
    let heads = parts.iter().filter_map(|part| if let Body::Bytes(bytes) = part { Some(bytes) } else { None });
    let heads: Vec<_> = heads.map(|head| String::from_utf8_lossy(head)).collect();
    assert_eq!(heads.len(), sent.len() + 1, "each part has a head, and the last delimiter follows");
    for (head, part) in heads.iter().zip(sent) {
        assert!(head.contains(&format!("Content-Range: {}\r\n", label(part))), "{head} for {part:?}");
    }
    assert!(response.fields.find(FieldName::ContentRange).is_none(), "several parts have no range in common");
}

/// First and last byte of each part of the file that a body holds.
fn sent(body: &Body) -> Vec<(u64, u64)> {
    match body {
        Body::Prepared { offset, length, .. } => vec![(*offset as u64, *offset as u64 + (*length as u64 - 1))],
        Body::Parts(parts) => parts.iter().flat_map(sent).collect(),
        Body::Empty | Body::Bytes(_) | Body::File { .. } | Body::Source { .. } => Vec::new(),
    }
}

/// What a field asks for that exists, read as naively as can be; what can't be read asks for nothing.
fn asked(value: &[u8], complete: u64) -> Vec<(u64, u64)> {
    let text = String::from_utf8_lossy(value);
    let specs = text.split_once('=').map_or("", |(_, specs)| specs).split(',');
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    let one = |spec: &str| {
        let (first, last) = spec.trim_matches([' ', '\t']).split_once('-')?;
        let end = complete.checked_sub(1)?;
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => (first <= end).then_some((first, last.min(end))),
            (Some(first), None) if last.is_empty() => (first <= end).then_some((first, end)),
            (None, Some(length)) if first.is_empty() && length > 0 => Some((complete - length.min(complete), end)),
            _ => None,
        }
    };
    specs.filter_map(one).collect()
}

/// The answer to a GET of a file of which there is only the length: nothing here reads its content.
fn answer(value: &[u8], complete: u64) -> Response {
    let fields = field(FieldName::Range, [value]).expect("one line has room");
    let request = Request {
        method: Method::Get,
        version: Version::Http11,
        raw_target: "/",
        path: b"/"[..].into(),
        query: None,
        host: "",
        fields: &fields,
        framing: BodyFraming::None,
        keep_alive: true,
        expects_continue: false,
        asterisk: false,
    };
    let prepared = Prepared {
        field_lines: Box::default(),
        content_type: "text/plain".into(),
        content: Box::default(),
        digests: Digests::default(),
    };
    let length = usize::try_from(complete).expect("fileserv runs where a length is a usize");
    let mut response = Response::new(Status::OK);
    response.body = Body::Prepared { prepared: Arc::new(prepared), offset: 0, length };
    response.accepts_ranges = true;
    response.validators.etag = Some(ETag::of(b"a file"));
    apply_ranges(&request, response, RANGES_LIMIT, Now { unix_seconds: 0, nanoseconds: 0 })
}
