//! Ranges: whatever the field says, each byte is sent once at most, none that isn't there, none less than was asked
//! for, and the answer never weighs more than the whole (RFC 9110 section 14).
//! Input: eight bytes for the length of the file, then the field.

use std::sync::Arc;

use fileserv::content::Now;
use fileserv::http::apply_ranges;
use fileserv::message::{
    Body, BodyFraming, Digests, ETag, FieldName, Label, Method, Prepared, Request, Response, Status, Validators, Value,
    Version,
};

use super::field;

/// As in the default configuration.
const RANGES_LIMIT: usize = 64;

/// Between two parts so much and less is sent besides, for the head of a part weighs more.
const GAP_BYTES: u64 = 80;

/// Checks the properties of the answer to a GET with a `Range` field.
pub fn range(bytes: &[u8]) {
    let Some((length, value)) = bytes.split_first_chunk() else { return };
    let complete = u64::from_le_bytes(*length);
    let response = answer(value, complete);
    let asked = asked(value, complete);
    match response.status {
        Status::OK => {
            assert_eq!(response.body.length(), Some(complete));
            // Several parts may weigh more than the whole; one is never ignored, nor is none that exists.
            assert!(asked.is_none_or(|asked| asked.len() > 1), "a range is ignored");
        }
        Status::RANGE_NOT_SATISFIABLE => {
            let expected = Value::from(format!("bytes */{complete}"));
            assert_eq!(response.fields.find(FieldName::ContentRange), Some(&expected));
            assert_eq!(asked, Some(Vec::new()), "something of it is there, or it must be ignored");
        }
        Status::PARTIAL_CONTENT => partial(&asked.expect("it must be ignored"), complete, &response),
        other => panic!("{other:?}"),
    }
}

fn partial(wanted: &[(u64, u64)], complete: u64, response: &Response) {
    let sent = sent(&response.body);
    let bytes_of = |parts: &[(u64, u64)]| parts.iter().map(|(first, last)| u128::from(last - first) + 1).sum::<u128>();
    assert!(bytes_of(&sent) <= u128::from(complete), "{response:?}");
    assert!(response.body.length().is_some_and(|length| length <= complete), "{response:?}");
    let mut in_order = sent.clone();
    in_order.sort_unstable();
    assert!(in_order.iter().all(|(first, last)| first <= last && *last < complete), "{sent:?} of {complete}");
    assert!(in_order.windows(2).all(|pair| pair[0].1 < pair[1].0), "{sent:?}: a byte is sent twice");
    let holds = |(from, to): &(u64, u64), (first, last): &(u64, u64)| from <= first && last <= to;
    for one in wanted {
        assert!(sent.iter().any(|part| holds(part, one)), "{one:?} is not in {sent:?}");
    }
    let first = wanted.first().expect("a part that nobody asked for");
    assert!(holds(&sent[0], first), "{sent:?}: what was asked for first, comes first");
    let besides = u128::from(GAP_BYTES) * (wanted.len() as u128 - 1);
    assert!(bytes_of(&sent) <= bytes_of(wanted) + besides, "{sent:?} for {wanted:?}");
    labels_are_true(response, &sent, complete);
}

/// Each part says which part it is.
fn labels_are_true(response: &Response, sent: &[(u64, u64)], complete: u64) {
    let label = |(first, last): &(u64, u64)| format!("bytes {first}-{last}/{complete}");
    let Body::Parts(parts) = &response.body else {
        let Some(Value::Range(range)) = response.fields.find(FieldName::ContentRange) else { panic!("{response:?}") };
        assert_eq!(range.to_string(), label(&sent[0]));
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

/// What a field asks for that exists, read as naively as can be; `None` if the whole field must be ignored.
fn asked(value: &[u8], complete: u64) -> Option<Vec<(u64, u64)>> {
    let text = std::str::from_utf8(value).ok()?;
    let (unit, specs) = text.split_once('=')?;
    let specs: Vec<&str> = specs.split(',').map(|spec| spec.trim_matches([' ', '\t'])).collect();
    let specs: Vec<&str> = specs.into_iter().filter(|spec| !spec.is_empty()).collect();
    if !unit.eq_ignore_ascii_case("bytes") || specs.is_empty() || specs.len() > RANGES_LIMIT {
        return None;
    }
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    let mut asked = Vec::new();
    for spec in specs {
        let (first, last) = spec.split_once('-')?;
        let (from, to) = match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => (first, last),
            (Some(first), None) if last.is_empty() => (first, u64::MAX),
            (None, Some(0)) if first.is_empty() => continue,
            // The last bytes of nothing are there, but have no numbers.
            (None, Some(_)) if first.is_empty() && complete == 0 => return None,
            (None, Some(length)) if first.is_empty() => (complete - length.min(complete), u64::MAX),
            _ => return None,
        };
        if from < complete {
            asked.push((from, to.min(complete - 1)));
        }
    }
    Some(asked)
}

/// The answer to a GET of a file of which there is only the length: nothing here reads its content.
fn answer(value: &[u8], complete: u64) -> Response {
    let fields = field(FieldName::Range, [value]).expect("one line has room");
    let request = Request {
        method: Method::Get,
        version: Version::Http11,
        raw_target: b"/",
        path: b"/"[..].into(),
        query: None,
        host: b"",
        fields: &fields,
        framing: BodyFraming::None,
        keep_alive: true,
        expects_continue: false,
        asterisk: false,
        visitor: fileserv::message::Visitor::default(),
    };
    let prepared = Prepared {
        label: Label::of_file("text/plain".into(), Validators::default(), complete),
        content: Box::default(),
        digests: Digests::default(),
    };
    let length = usize::try_from(complete).expect("fileserv runs where a length is a usize");
    let mut response = Response::new(Status::OK);
    response.body = Body::Prepared { prepared: Arc::new(prepared), offset: 0, length };
    response.accepts_ranges = true;
    response.validators.etag = Some(ETag::of(b"a file"));
    apply_ranges(&request, &mut response, RANGES_LIMIT, Now { unix_seconds: 0, nanoseconds: 0 });
    response
}
