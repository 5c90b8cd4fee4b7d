//! Range requests (RFC 9110 section 14): a 200 becomes a 206 or a 416, or stays what it is.
//! Process: worker, sealed. Pure. A field that asks for several ranges is ignored, as section 14.2 permits.

use crate::content::{self, Now};
use crate::message::{
    Body, Comparison, FieldName, HttpDate, Refusal, Request, Response, Status, Validators, Value, tag_matches,
};

/// What a `Range` field asks of a representation.
#[derive(Debug, PartialEq, Eq)]
enum Selection {
    /// All of it: there is no such field, or one that must or may be ignored.
    Whole,
    /// `length` bytes from `offset`.
    Part { offset: u64, length: u64 },
    /// Nothing that exists.
    Unsatisfiable,
}

/// Looks at `Range` and `If-Range` of a GET that would succeed. (HEAD and other methods know no ranges: section 14.2.)
pub(super) fn apply(request: &Request<'_>, response: Response, now: Now) -> Response {
    let (Some(range), Some(complete)) = (request.field(FieldName::Range), response.body.length()) else {
        return response;
    };
    if !response.accepts_ranges || !if_range_holds(request, response.validators, now) {
        return response;
    }
    match select(range, complete) {
        Selection::Whole => response,
        Selection::Part { offset, length } => partial(response, offset, length, complete),
        Selection::Unsatisfiable => {
            let refusal = Refusal::new(Status::RANGE_NOT_SATISFIABLE, format!("There are only {complete} bytes."))
                .with_field(FieldName::ContentRange, Value::from(format!("bytes */{complete}")));
            content::error(&refusal, content::ErrorForm::of(request.fields))
        }
    }
}

/// RFC 9110 section 13.1.5: a strong tag, or an exact date that is at least a second old (section 8.8.2.2: in the second
/// in which it was changed, a file may change again). Anything else does not hold, so the whole is sent.
fn if_range_holds(request: &Request<'_>, validators: Validators, now: Now) -> bool {
    let Some(value) = request.field(FieldName::IfRange) else { return true };
    match HttpDate::parse(value) {
        Some(date) => validators.last_modified == Some(date) && date < now.date(),
        None => validators.etag.is_some_and(|etag| tag_matches(value, etag, Comparison::Strong)),
    }
}

/// Reads a `Range` field (section 14.1.2).
fn select(field: &[u8], complete: u64) -> Selection {
    let Some(set) = field.get(..6).filter(|unit| unit.eq_ignore_ascii_case(b"bytes=")).and(field.get(6..)) else {
        return Selection::Whole;
    };
    if set.contains(&b',') {
        return Selection::Whole;
    }
    let set = set.trim_ascii();
    let Some(dash) = memchr::memchr(b'-', set) else { return Selection::Whole };
    let (first, last) = (set.get(..dash).unwrap_or_default(), set.get(dash + 1..).unwrap_or_default());
    match (first.is_empty(), number(first), last.is_empty(), number(last)) {
        (true, _, false, Some(suffix)) => suffix_range(suffix, complete),
        (false, Some(first), true, _) if first < complete => {
            Selection::Part { offset: first, length: complete - first }
        }
        (false, Some(first), false, Some(last)) if first <= last && first < complete => {
            Selection::Part { offset: first, length: last.min(complete - 1) - first + 1 }
        }
        (false, Some(_), true, _) => Selection::Unsatisfiable,
        (false, Some(first), false, Some(last)) if first <= last => Selection::Unsatisfiable,
        _ => Selection::Whole,
    }
}

fn suffix_range(suffix: u64, complete: u64) -> Selection {
    if suffix == 0 || complete == 0 {
        return Selection::Unsatisfiable;
    }
    let length = suffix.min(complete);
    Selection::Part { offset: complete - length, length }
}

/// A decimal number; one that is too large counts as the largest there is.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

fn partial(mut response: Response, offset: u64, length: u64, complete: u64) -> Response {
    response.status = Status::PARTIAL_CONTENT;
    let last = offset + length - 1;
    response.fields.push(FieldName::ContentRange, format!("bytes {offset}-{last}/{complete}"));
    response.body = match response.body {
        Body::Bytes(mut bytes) => {
            let (start, end) = (to_usize(offset), to_usize(offset + length));
            bytes.truncate(end);
            bytes.drain(..start.min(bytes.len()));
            Body::Bytes(bytes)
        }
        Body::Prepared { prepared, offset: before, .. } => {
            Body::Prepared { prepared, offset: before + to_usize(offset), length: to_usize(length) }
        }
        Body::File { file, offset: before, .. } => Body::File { file, offset: before + offset, length },
        other @ (Body::Empty | Body::Source { .. }) => other,
    };
    response
}

/// An offset into bytes that are in memory.
fn to_usize(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let part = |offset, length| Selection::Part { offset, length };
        let table: [(&str, Selection); 17] = [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-9", part(0, 10)),
            ("bytes=3-", part(3, 7)),
            ("bytes=-4", part(6, 4)),
            ("bytes=-400", part(0, 10)),
            ("bytes=5-99999999999999999999999", part(5, 5)),
            ("Bytes=1-2", part(1, 2)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=10-20", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=2-1", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("bytes=1", Selection::Whole),
            ("lines=1-2", Selection::Whole),
            ("bytes=0-1,3-4", Selection::Whole),
            ("", Selection::Whole),
        ];
        for (field, expected) in table {
            assert_eq!(select(field.as_bytes(), 10), expected, "{field}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_what_slicing_gives(first in 0_u64..40, last in 0_u64..40, complete in 0_u64..30) {
            let bytes: Vec<u64> = (0..complete).collect();
            let naive: Vec<u64> = bytes.iter().copied().filter(|at| (first..=last).contains(at)).collect();
            let ours = match select(format!("bytes={first}-{last}").as_bytes(), complete) {
                Selection::Part { offset, length } => (offset..offset + length).collect(),
                Selection::Unsatisfiable => vec![],
                Selection::Whole => { prop_assert!(first > last); return Ok(()); }
            };
            if first <= last { prop_assert_eq!(ours, naive); }
        }
    }
}
