//! Preconditions (RFC 9110 section 13) and the comparison of entity tags.

use super::{ETag, FieldName, FieldNames, Fields, HttpDate, Method, Validators};

/// What the preconditions of a request say about the current representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// The client has it already: 304.
    NotModified,
    /// 412, because of this field.
    Failed(FieldName),
}

/// How two tags are compared (RFC 9110 section 8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Both strong and alike.
    Strong,
    /// Alike.
    Weak,
}

/// The four preconditions of a request, in a form that outlives its bytes: an upload decides them at commit.
#[derive(Debug, Clone, Default)]
pub struct Preconditions {
    lines: Vec<(FieldName, Box<[u8]>)>,
}

impl Preconditions {
    /// Copies the preconditions of a request; without any, nothing is allocated.
    #[must_use]
    pub fn of(fields: &Fields<'_>) -> Self {
        let lines = PRECONDITIONS
            .into_iter()
            .flat_map(|name| fields.all(name).map(move |value| (name, Box::from(value))))
            .collect();
        Self { lines }
    }

    /// The preconditions that were kept elsewhere as lines.
    #[must_use]
    pub fn of_lines(lines: impl IntoIterator<Item = (FieldName, Box<[u8]>)>) -> Self {
        Self { lines: lines.into_iter().collect() }
    }

    /// Does the request have none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Their lines, to be kept elsewhere.
    pub fn lines(&self) -> impl Iterator<Item = (FieldName, &[u8])> {
        self.lines.iter().map(|(name, value)| (*name, &**value))
    }

    /// Decides them against what is there now; `None` means that nothing is.
    #[must_use]
    pub fn evaluate(&self, method: Method, current: Option<Validators>) -> Verdict {
        let all = |name| self.lines.iter().filter(move |(n, _)| *n == name).map(|(_, value)| &**value);
        evaluate(method, current, all)
    }
}

/// The fields that are preconditions, but for `If-Range`, which decides about a range only.
const PRECONDITIONS: [FieldName; 4] =
    [FieldName::IfMatch, FieldName::IfUnmodifiedSince, FieldName::IfNoneMatch, FieldName::IfModifiedSince];

/// Decides the preconditions of a request without copying them.
#[must_use]
pub fn evaluate_fields(fields: &Fields<'_>, method: Method, current: Option<Validators>) -> Verdict {
    const ANY: FieldNames = FieldNames::of(&PRECONDITIONS);
    // Most requests have none.
    if !fields.contains_any(ANY) {
        return Verdict::Proceed;
    }
    evaluate(method, current, |name| fields.all(name))
}

/// In the order of RFC 9110 section 13.2.2.
fn evaluate<'b, I>(method: Method, current: Option<Validators>, all: impl Fn(FieldName) -> I) -> Verdict
where
    I: Iterator<Item = &'b [u8]>,
{
    let etag = current.and_then(|validators| validators.etag);
    let last_modified = current.and_then(|validators| validators.last_modified);
    let date = |name| all(name).next().and_then(HttpDate::parse);
    let has = |name| all(name).next().is_some();
    let matches = |name, comparison| all(name).any(|list| list_matches(list, current.is_some(), etag, comparison));

    if has(FieldName::IfMatch) {
        if !matches(FieldName::IfMatch, Comparison::Strong) {
            return Verdict::Failed(FieldName::IfMatch);
        }
    } else if let (Some(since), Some(modified)) = (date(FieldName::IfUnmodifiedSince), last_modified)
        && modified > since
    {
        return Verdict::Failed(FieldName::IfUnmodifiedSince);
    }
    if has(FieldName::IfNoneMatch) {
        if matches(FieldName::IfNoneMatch, Comparison::Weak) {
            let failed = Verdict::Failed(FieldName::IfNoneMatch);
            return if method.is_retrieval() { Verdict::NotModified } else { failed };
        }
    } else if method.is_retrieval()
        && let (Some(since), Some(modified)) = (date(FieldName::IfModifiedSince), last_modified)
        && modified <= since
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Says of a precondition that has failed what it asked for and what is there.
#[must_use]
pub fn precondition_detail(field: FieldName, exists: bool) -> &'static str {
    match (field, exists) {
        (FieldName::IfMatch, true) => "If-Match names other versions of this file than the one that is there now.",
        (FieldName::IfMatch, false) => "If-Match wants this file to exist, and it does not.",
        (FieldName::IfNoneMatch, _) => "If-None-Match wants that to be missing which is there now.",
        (_, _) => "This file has been modified later than If-Unmodified-Since says.",
    }
}

/// Does a list of tags, or `*`, name the current representation?
fn list_matches(list: &[u8], exists: bool, etag: Option<ETag>, comparison: Comparison) -> bool {
    if list.trim_ascii() == b"*" {
        return exists;
    }
    let Some(etag) = etag else { return false };
    let mut rest = list;
    while let Some((tag, after)) = next_tag(rest) {
        if tag.is(etag, comparison) {
            return true;
        }
        rest = after;
    }
    false
}

/// Is this one entity tag the current one? For `If-Range`, which has no list.
#[must_use]
pub fn tag_matches(value: &[u8], etag: ETag, comparison: Comparison) -> bool {
    next_tag(value).is_some_and(|(tag, after)| after.trim_ascii().is_empty() && tag.is(etag, comparison))
}

/// A tag as a client sent it.
struct SentTag<'b> {
    opaque: &'b [u8],
    weak: bool,
}

impl SentTag<'_> {
    fn is(&self, etag: ETag, comparison: Comparison) -> bool {
        let comparable = comparison == Comparison::Weak || (!self.weak && etag.is_strong());
        comparable && self.opaque == etag.opaque()
    }
}

/// Takes one tag off the front of a list; the commas are inside the quotes as often as between them. `None` at the end
/// and at anything malformed: what follows can't be told apart any more, so it matches nothing.
fn next_tag(list: &[u8]) -> Option<(SentTag<'_>, &[u8])> {
    let start = list.iter().position(|byte| !b" \t,".contains(byte))?;
    let list = list.get(start..)?;
    let (weak, quoted) = match list.strip_prefix(b"W/") {
        Some(rest) => (true, rest),
        None => (false, list),
    };
    let inner = quoted.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', inner)?;
    Some((SentTag { opaque: inner.get(..end)?, weak }, inner.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(method: Method, lines: &[(&'static str, String)], current: Option<Validators>) -> Verdict {
        let mut fields = Fields::default();
        for (name, value) in lines {
            assert!(fields.push(name, value.as_bytes()));
        }
        let copied = Preconditions::of(&fields).evaluate(method, current);
        assert_eq!(copied, evaluate_fields(&fields, method, current));
        copied
    }

    #[test]
    fn the_order_of_section_13_2_2() {
        let tag = ETag::of(b"now");
        let modified = HttpDate::from_unix_seconds(784_111_777);
        let now = Some(Validators { etag: Some(tag), last_modified: Some(modified) });
        let same = "Sun, 06 Nov 1994 08:49:37 GMT";
        let before = "Sun, 06 Nov 1994 08:49:36 GMT";
        let text = String::from;
        let mine = tag.to_string();
        let weak = format!("W/{mine}");
        let listed = format!("\"a,b\", {weak} , \"c\"");
        let (get, put) = (Method::Get, Method::Put);
        use Verdict::{Failed, NotModified, Proceed};
        let table = [
            (get, vec![("If-None-Match", mine.clone())], NotModified),
            (get, vec![("If-None-Match", weak.clone())], NotModified),
            (get, vec![("If-None-Match", listed)], NotModified),
            (get, vec![("If-None-Match", text("\"x\""))], Proceed),
            (get, vec![("If-None-Match", text("*"))], NotModified),
            (put, vec![("If-None-Match", text("*"))], Failed(FieldName::IfNoneMatch)),
            (get, vec![("If-None-Match", text("\"x\"")), ("If-Modified-Since", text(same))], Proceed),
            (get, vec![("If-Modified-Since", text(same))], NotModified),
            (get, vec![("If-Modified-Since", text(before))], Proceed),
            (get, vec![("If-Modified-Since", text("never"))], Proceed),
            (put, vec![("If-Modified-Since", text(same))], Proceed),
            (put, vec![("If-Match", mine.clone())], Proceed),
            (put, vec![("If-Match", weak)], Failed(FieldName::IfMatch)),
            (put, vec![("If-Match", text("\"x\""))], Failed(FieldName::IfMatch)),
            (get, vec![("If-Match", mine), ("If-Unmodified-Since", text(before))], Proceed),
            (get, vec![("If-Unmodified-Since", text(before))], Failed(FieldName::IfUnmodifiedSince)),
            (get, vec![("If-Unmodified-Since", text(same))], Proceed),
        ];
        for (method, lines, expected) in table {
            assert_eq!(verdict(method, &lines, now), expected, "{method:?} {lines:?}");
        }
        assert_eq!(verdict(put, &[("If-Match", text("*"))], None), Failed(FieldName::IfMatch));
        assert_eq!(verdict(put, &[("If-None-Match", text("*"))], None), Proceed);
    }
}
