//! Range requests (RFC 9110 section 14): a 200 becomes a 206 or a 416, or stays what it is.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 416.
//!
//! Whatever the field says, no byte is sent twice and no answer is longer than the whole file: ranges that overlap,
//! touch or nearly touch become one, more of them than `limits.ranges` are ignored, and so are parts that would weigh
//! more than the whole.

use std::collections::VecDeque;

use super::bytes::trim_white_space;
use crate::content::{self, Now};
use crate::message::{
    Body, Comparison, ContentRange, ETag, FieldName, HttpDate, Refusal, Request, Response, Status, Validators, Value,
    tag_matches,
};

/// Two ranges with a smaller gap are sent as one, for the head of a part weighs more (section 15.3.7.2 gives this size).
const GAP_BYTES: u64 = 80;

/// `length` bytes from `offset`; never none, and never behind the end of the representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    offset: u64,
    length: u64,
}

impl Range {
    /// The first byte behind it.
    fn end(self) -> u64 {
        self.offset + self.length
    }

    /// The value of `Content-Range` (section 14.4).
    fn content_range(self, complete: u64) -> ContentRange {
        ContentRange { first: self.offset, last: self.end() - 1, complete }
    }
}

/// What a `Range` field asks of a representation.
#[derive(Debug, PartialEq, Eq)]
enum Selection {
    /// All of it: there is no such field, or one that must or may be ignored.
    Whole,
    /// This range.
    One(Range),
    /// These ranges, which neither overlap nor touch; at least two.
    Parts(Vec<Range>),
    /// Nothing that exists.
    Unsatisfiable,
}

/// Looks at `Range` and `If-Range` of a GET that would succeed. (HEAD and other methods know no ranges: section 14.2.)
pub fn apply(request: &Request<'_>, response: &mut Response, ranges_limit: usize, now: Now) {
    let Some(range) = request.field(FieldName::Range) else { return };
    let Some(complete) = response.body.length() else { return };
    if !response.accepts_ranges || !if_range_holds(request, response.validators, now) {
        return;
    }
    match select(range, complete, ranges_limit) {
        Selection::Whole => {}
        Selection::One(range) => one_part(response, range, complete),
        Selection::Parts(ranges) => many_parts(response, &ranges, complete),
        Selection::Unsatisfiable => {
            let refusal = Refusal::new(Status::RANGE_NOT_SATISFIABLE, format!("There are only {complete} bytes."))
                .with_field(FieldName::ContentRange, Value::from(format!("bytes */{complete}")));
            *response = content::error(&refusal, content::ErrorForm::of(request.fields));
        }
    }
}

/// RFC 9110 section 13.1.5: a strong tag, or an exact date that is at least a second old (section 8.8.2.2: in the second
/// in which it was changed, a file may change again). Anything else does not hold, so the whole is sent.
fn if_range_holds(request: &Request<'_>, validators: Validators, now: Now) -> bool {
    let Some(value) = request.field(FieldName::IfRange) else { return true };
    // A weak tag means that the file was changed this moment, whatever its date says.
    let is_strong = validators.etag.is_none_or(ETag::is_strong);
    match HttpDate::parse(value) {
        Some(date) => is_strong && validators.last_modified == Some(date) && date < now.date(),
        None => validators.etag.is_some_and(|etag| tag_matches(value, etag, Comparison::Strong)),
    }
}

/// Reads a `Range` field (section 14.1.2).
fn select(field: &[u8], complete: u64, ranges_limit: usize) -> Selection {
    // Nearly every client writes the unit as the RFC does, and that is compared more quickly.
    let is_bytes = |unit: &&[u8]| *unit == b"bytes=" || unit.eq_ignore_ascii_case(b"bytes=");
    let Some(set) = field.get(..6).filter(is_bytes).and(field.get(6..)) else { return Selection::Whole };
    // Nearly every client asks for one, and no list is made for it; what has a comma is not read as one.
    if let Ok(range) = read_spec(trim_white_space(set), complete)
        && ranges_limit > 0
    {
        return range.map_or(Selection::Unsatisfiable, Selection::One);
    }
    let specs = || set.split(|&byte| byte == b',').map(trim_white_space).filter(|spec| !spec.is_empty());
    // One more than the limit is enough to know that there are too many.
    let count = specs().take(ranges_limit.saturating_add(1)).count();
    match specs().next() {
        Some(_) if count > ranges_limit => Selection::Whole,
        Some(_) => match specs().filter_map(|spec| read_spec(spec, complete).transpose()).collect() {
            Ok(ranges) => coalesce(ranges),
            Err(Ignored) => Selection::Whole,
        },
        None => Selection::Whole,
    }
}

/// The whole field is ignored: no `int-range` and no `suffix-range`, or one that no `Content-Range` can answer.
#[derive(Debug)]
struct Ignored;

/// One range, cut off at the end of the representation; `None` if nothing of it exists.
fn read_spec(spec: &[u8], complete: u64) -> Result<Option<Range>, Ignored> {
    // Numbers are short: a plain loop is at its end before a search with vectors has begun.
    let dash = spec.iter().position(|&byte| byte == b'-').ok_or(Ignored)?;
    let (first, last) = (spec.get(..dash).unwrap_or_default(), spec.get(dash + 1..).unwrap_or_default());
    if first.is_empty() {
        let wanted = number(last).ok_or(Ignored)?;
        // The last bytes of nothing are all of it (section 14.1.2), but a 206 would have to name a byte.
        if complete == 0 && wanted > 0 {
            return Err(Ignored);
        }
        let length = wanted.min(complete);
        return Ok((length > 0).then(|| Range { offset: complete - length, length }));
    }
    let offset = number(first).ok_or(Ignored)?;
    let last = if last.is_empty() { u64::MAX } else { number(last).ok_or(Ignored)? };
    if last < offset {
        return Err(Ignored);
    }
    // Short of 2^64 bytes, so that adding one can't overflow.
    Ok((offset < complete).then(|| Range { offset, length: last.min(complete - 1) - offset + 1 }))
}

/// A decimal number; one that is too large counts as the largest there is.
fn number(digits: &[u8]) -> Option<u64> {
    /// So many digits always fit.
    const SHORT: usize = 19;
    let is_short = digits.len() <= SHORT;
    let mut number: u64 = 0;
    for byte in digits {
        let digit = u64::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        number = if is_short { number * 10 + digit } else { number.saturating_mul(10).saturating_add(digit) };
    }
    (!digits.is_empty()).then_some(number)
}

/// Makes one of ranges that overlap, touch or nearly touch. It stands where the first of them stood: a client gets its
/// parts in the order in which it asked (section 15.3.7.2).
fn coalesce(ranges: Vec<Range>) -> Selection {
    let mut by_offset: Vec<(usize, Range)> = ranges.into_iter().enumerate().collect();
    by_offset.sort_unstable_by_key(|(_, range)| range.offset);
    let mut merged: Vec<(usize, Range)> = Vec::with_capacity(by_offset.len());
    for (place, range) in by_offset {
        match merged.last_mut() {
            Some((first, before)) if range.offset <= before.end().saturating_add(GAP_BYTES) => {
                *first = place.min(*first);
                before.length = range.end().max(before.end()) - before.offset;
            }
            Some(_) | None => merged.push((place, range)),
        }
    }
    merged.sort_unstable_by_key(|(place, _)| *place);
    match merged.as_slice() {
        [] => Selection::Unsatisfiable,
        [(_, range)] => Selection::One(*range),
        several => Selection::Parts(several.iter().map(|(_, range)| *range).collect()),
    }
}

fn one_part(response: &mut Response, range: Range, complete: u64) {
    if response.body.narrow(range.offset, range.length) {
        response.status = Status::PARTIAL_CONTENT;
        response.fields.push(FieldName::ContentRange, Value::Range(range.content_range(complete)));
    }
}

/// `multipart/byteranges` (section 14.6), where that is shorter than the whole. In a coding the whole is sent: whether
/// the coding holds for the parts or for what they are packed in is read in different ways.
fn many_parts(response: &mut Response, ranges: &[Range], complete: u64) {
    let (Some(etag), None) = (response.validators.etag, response.fields.find(FieldName::ContentEncoding)) else {
        return;
    };
    let boundary = Boundary(etag);
    let content_type = response.content_type().map(str::to_owned);
    let mut parts = VecDeque::with_capacity(ranges.len() * 2 + 1);
    for range in ranges {
        let Some(part) = response.body.part(range.offset, range.length) else { return };
        parts.push_back(Body::Bytes(boundary.opening(content_type.as_deref(), range.content_range(complete))));
        parts.push_back(part);
    }
    parts.push_back(Body::Bytes(boundary.closing()));
    let body = Body::Parts(parts);
    if body.length().is_none_or(|length| length >= complete) {
        return;
    }
    response.status = Status::PARTIAL_CONTENT;
    response.fields.retain(|name| name != FieldName::ContentType);
    response.fields.push(FieldName::ContentType, boundary.content_type());
    response.body = body;
}

/// What stands between parts. It is made of the entity tag, a digest of inode and times to the nanosecond: whoever
/// writes a file can't know it, and so can't put it into the file.
struct Boundary(ETag);

impl Boundary {
    fn text(&self) -> String {
        String::from_utf8_lossy(self.0.opaque()).into_owned()
    }

    /// The value of `Content-Type`.
    fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.text())
    }

    /// The delimiter and the head of a part.
    fn opening(&self, content_type: Option<&str>, content_range: ContentRange) -> Vec<u8> {
        let content_type = content_type.map_or_else(String::new, |text| format!("Content-Type: {text}\r\n"));
        format!("\r\n--{}\r\n{content_type}Content-Range: {content_range}\r\n\r\n", self.text()).into_bytes()
    }

    /// The last delimiter.
    fn closing(&self) -> Vec<u8> {
        format!("\r\n--{}--\r\n", self.text()).into_bytes()
    }
}

#[cfg(test)]
mod tests;
