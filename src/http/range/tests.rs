//! Range arithmetic against tables and against a naive model, and the multipart answer read back.

use proptest::prelude::*;

use super::*;
use crate::message::{BodyFraming, Fields, Method, Version};

/// More than any table below has.
const LIMIT: usize = 8;

fn one(offset: u64, length: u64) -> Selection {
    Selection::One(Range { offset, length })
}

fn many(ranges: &[(u64, u64)]) -> Selection {
    Selection::Parts(ranges.iter().map(|&(offset, length)| Range { offset, length }).collect())
}

#[test]
fn ranges_of_ten_bytes() {
    let table: [(&str, Selection); 24] = [
        ("bytes=0-0", one(0, 1)),
        ("bytes=0-9", one(0, 10)),
        ("bytes=3-", one(3, 7)),
        ("bytes=-4", one(6, 4)),
        ("bytes=-400", one(0, 10)),
        ("bytes=5-99999999999999999999999", one(5, 5)),
        ("Bytes=1-2", one(1, 2)),
        ("bytes= 1-2 ,", one(1, 2)),
        ("bytes=0-1,3-4", one(0, 5)),
        ("bytes=20-30,1-2", one(1, 2)),
        ("bytes=10-", Selection::Unsatisfiable),
        ("bytes=10-20", Selection::Unsatisfiable),
        ("bytes=10-20,-0", Selection::Unsatisfiable),
        ("bytes=-0", Selection::Unsatisfiable),
        ("bytes=2-1", Selection::Whole),
        ("bytes=0-1,2-1", Selection::Whole),
        ("bytes=-", Selection::Whole),
        ("bytes=a-b", Selection::Whole),
        ("bytes=+1-2", Selection::Whole),
        ("bytes=1", Selection::Whole),
        ("bytes=1-2-3", Selection::Whole),
        ("bytes=,", Selection::Whole),
        ("lines=1-2", Selection::Whole),
        ("", Selection::Whole),
    ];
    for (field, expected) in table {
        assert_eq!(select(field.as_bytes(), 10, LIMIT), expected, "{field}");
    }
    assert_eq!(select(b"bytes=-0", 0, LIMIT), Selection::Unsatisfiable);
    assert_eq!(select(b"bytes=-1", 0, LIMIT), Selection::Whole);
    assert_eq!(select(b"bytes=0-", u64::MAX, LIMIT), one(0, u64::MAX));
}

#[test]
fn what_overlaps_or_nearly_touches_is_one() {
    let table: [(&str, Selection); 8] = [
        ("bytes=0-9,1000-1009", many(&[(0, 10), (1000, 10)])),
        ("bytes=1000-1009,0-9", many(&[(1000, 10), (0, 10)])),
        ("bytes=1000-1009,0-9,1005-1100", many(&[(1000, 101), (0, 10)])),
        ("bytes=0-9,1000-1009,5-20", many(&[(0, 21), (1000, 10)])),
        ("bytes=0-9,90-99", one(0, 100)),
        ("bytes=0-9,91-99", many(&[(0, 10), (91, 9)])),
        ("bytes=0-,0-,0-", one(0, 5000)),
        ("bytes=300-400,100-200,150-350", one(100, 301)),
    ];
    for (field, expected) in table {
        assert_eq!(select(field.as_bytes(), 5000, LIMIT), expected, "{field}");
    }
}

#[test]
fn more_ranges_than_the_limit_are_ignored() {
    let field = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
    assert_eq!(select(field(LIMIT).as_bytes(), 10, LIMIT), one(0, 1));
    assert_eq!(select(field(LIMIT + 1).as_bytes(), 10, LIMIT), Selection::Whole);
}

/// A second after the last change of everything below.
const NOW: Now = Now { unix_seconds: 784_111_778, nanoseconds: 0 };

/// Asks for a part of these bytes.
fn ask(content: &[u8], etag: ETag, lines: &[(&'static str, &str)]) -> Response {
    let mut fields = Fields::default();
    for (name, value) in lines {
        assert!(fields.push(name, value.as_bytes()));
    }
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
        visitor: crate::message::Visitor::default(),
    };
    let mut response = Response::with_body(Status::OK, "text/plain", Body::Bytes(content.to_vec()));
    response.accepts_ranges = true;
    response.validators.etag = Some(etag);
    response.validators.last_modified = Some(HttpDate::from_unix_seconds(784_111_777));
    apply(&request, &mut response, LIMIT, NOW);
    response
}

fn bytes(body: &Body) -> Vec<u8> {
    match body {
        Body::Bytes(bytes) => bytes.clone(),
        Body::Parts(parts) => parts.iter().flat_map(bytes).collect(),
        Body::Empty | Body::Prepared { .. } | Body::File { .. } | Body::Source { .. } => panic!("{body:?}"),
    }
}

#[test]
fn several_parts_are_packed_with_their_heads() {
    let content: Vec<u8> = (0..2000_u32).map(|at| b'a' + (at % 26) as u8).collect();
    let tag = ETag::of(b"x");
    let response = ask(&content, tag, &[("Range", "bytes=1000-1003,0-1")]);
    assert_eq!(response.status, Status::PARTIAL_CONTENT);
    let boundary = String::from_utf8(tag.opaque().to_vec()).unwrap();
    let declared = Value::from(format!("multipart/byteranges; boundary={boundary}"));
    assert_eq!(response.fields.find(FieldName::ContentType), Some(&declared));
    assert_eq!(response.fields.iter().filter(|(name, _)| *name == FieldName::ContentType).count(), 1);
    assert_eq!(response.fields.find(FieldName::ContentRange), None, "only its parts have one");
    let expected = format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 1000-1003/2000\r\n\r\nmnop\
         \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/2000\r\n\r\nab\r\n--{boundary}--\r\n"
    );
    let packed = bytes(&response.body);
    assert_eq!(String::from_utf8_lossy(&packed), expected);
    assert_eq!(response.body.length(), Some(packed.len() as u64));
    // Parts that weigh more than the whole are not worth it.
    assert_eq!(ask(&content[..150], tag, &[("Range", "bytes=0-1,100-101")]).status, Status::OK);
}

#[test]
fn a_condition_that_does_not_hold_gives_the_whole() {
    let tag = ETag::of(b"x");
    let weak = tag.weakened();
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let table = [
        (tag, tag.to_string(), Status::PARTIAL_CONTENT),
        (tag, date.to_owned(), Status::PARTIAL_CONTENT),
        (tag, weak.to_string(), Status::OK),
        (weak, weak.to_string(), Status::OK),
        (weak, tag.to_string(), Status::OK),
        (weak, date.to_owned(), Status::OK),
        (tag, "Sun, 06 Nov 1994 08:49:38 GMT".to_owned(), Status::OK),
        (tag, "Sun, 06 Nov 1994 08:49:36 GMT".to_owned(), Status::OK),
        (tag, "\"other\"".to_owned(), Status::OK),
        (tag, "*".to_owned(), Status::OK),
    ];
    for (current, condition, status) in table {
        let response = ask(b"0123456789", current, &[("Range", "bytes=1-2"), ("If-Range", &condition)]);
        assert_eq!(response.status, status, "{current} {condition}");
        // An `If-Range` that fails also keeps a range that can't be satisfied from being one.
        if status == Status::OK {
            let response = ask(b"0123456789", current, &[("Range", "bytes=90-"), ("If-Range", &condition)]);
            assert_eq!(response.status, Status::OK);
        }
    }
}

#[test]
fn what_does_not_exist_is_416_with_the_length() {
    let response = ask(b"0123456789", ETag::of(b"x"), &[("Range", "bytes=10-,20-30")]);
    assert_eq!(response.status, Status::RANGE_NOT_SATISFIABLE);
    assert_eq!(response.fields.find(FieldName::ContentRange), Some(&Value::from("bytes */10".to_owned())));
}

/// A range as a client may write it: (first, last), or a suffix.
#[derive(Debug, Clone)]
enum Spec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

impl Spec {
    fn text(&self) -> String {
        match self {
            Self::From(first) => format!("{first}-"),
            Self::Between(first, last) => format!("{first}-{last}"),
            Self::Last(count) => format!("-{count}"),
        }
    }

    fn asks_for(&self, at: u64, complete: u64) -> bool {
        match *self {
            Self::From(first) => first <= at,
            Self::Between(first, last) => (first..=last).contains(&at),
            Self::Last(count) => at + count >= complete,
        }
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    prop_oneof![
        (0_u64..1200).prop_map(Spec::From),
        (0_u64..1200, 0_u64..300).prop_map(|(first, more)| Spec::Between(first, first + more)),
        (0_u64..400).prop_map(Spec::Last),
    ]
}

proptest! {
    #[test]
    fn ranges_are_what_marking_each_byte_gives(specs in prop::collection::vec(spec(), 1..LIMIT), complete in 1_u64..1100) {
        let field = format!("bytes={}", specs.iter().map(Spec::text).collect::<Vec<_>>().join(","));
        let marked: Vec<bool> = (0..complete).map(|at| specs.iter().any(|spec| spec.asks_for(at, complete))).collect();
        let ranges = match select(field.as_bytes(), complete, LIMIT) {
            Selection::One(range) => vec![range],
            Selection::Parts(ranges) => ranges,
            Selection::Unsatisfiable => vec![],
            Selection::Whole => panic!("{field} is well-formed"),
        };
        prop_assert_eq!(ranges.is_empty(), !marked.contains(&true));
        let mut sent = vec![0_u32; marked.len()];
        for range in &ranges {
            for at in range.offset..range.end() {
                sent[usize::try_from(at).unwrap()] += 1;
            }
        }
        // Every byte that is asked for, none twice, and others only in gaps too small for a part of their own.
        prop_assert!(sent.iter().all(|&count| count <= 1));
        prop_assert!(marked.iter().zip(&sent).all(|(marked, &count)| !marked || count == 1));
        let unasked: Vec<bool> = marked.iter().zip(&sent).map(|(marked, &count)| !marked && count == 1).collect();
        for gap in unasked.split(|unasked| !unasked) {
            prop_assert!(gap.len() as u64 <= GAP_BYTES);
        }
        // Each part begins with a byte that was asked for, and they stand in the order of asking.
        let order: Vec<Option<usize>> = ranges.iter().map(|range| {
            specs.iter().position(|spec| (range.offset..range.end()).any(|at| spec.asks_for(at, complete)))
        }).collect();
        prop_assert!(order.is_sorted());
        prop_assert!(ranges.iter().all(|range| marked[usize::try_from(range.offset).unwrap()]));
    }

    #[test]
    fn no_answer_is_longer_than_the_whole(field in "bytes=([0-9]{0,4}-[0-9]{0,4},?){1,8}", complete in 0_usize..3000) {
        let content = vec![b'x'; complete];
        let response = ask(&content, ETag::of(b"x"), &[("Range", &field)]);
        if response.status != Status::RANGE_NOT_SATISFIABLE {
            prop_assert!(response.body.length().unwrap() <= complete as u64);
        }
    }

    #[test]
    fn any_bytes_are_read(field in prop::collection::vec(prop::num::u8::ANY, 0..60), complete in 0..u64::MAX) {
        let _ = select(&[b"bytes=", &field[..]].concat(), complete, LIMIT);
    }
}
