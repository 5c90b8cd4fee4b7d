//! A request target: whatever its spelling, the path that comes of it is one that can't leave the root
//! (RFC 3986 sections 2.1 and 5.2.4, RFC 9112 section 3.2).

use fileserv::http::{HeadLimits, Parsed, parse, validate};
use fileserv::message::Fields;

/// Above what the fuzzer writes.
const LIMITS: HeadLimits = HeadLimits { head_bytes: 1 << 20, target_bytes: 1 << 20, fields: 4 };

/// A path and its query.
type Place = (Vec<u8>, Option<String>);

/// Checks the properties of the path and query that come of a target.
pub fn target(bytes: &[u8]) {
    names_are_kept(bytes);
    let Some((path, query)) = place(bytes) else { return };
    assert!(path.starts_with(b"/") && !path.contains(&0), "{path:?}");
    let mut segments = path[1..].split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        assert!(segment != b"." && segment != b"..", "a dot segment stays in {path:?}");
        assert!(!segment.is_empty() || is_last, "an empty segment stays in {path:?}");
    }
    // A path that has been taken apart once means itself: written anew, with each byte as an escape, it stays the same.
    let escaped: String =
        path.iter().map(|&byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02x}") }).collect();
    assert_eq!(place(escaped.as_bytes()), Some((path.clone(), None)), "{escaped}");
    if bytes.starts_with(b"/") {
        let absolute = [b"HTTP://other.example:80", bytes].concat();
        assert_eq!(place(&absolute), Some((path, query)), "absolute-form");
    }
}

/// Whatever names a path has, they are asked for by their escapes, and by those only.
fn names_are_kept(bytes: &[u8]) {
    let is_name = |name: &&[u8]| !name.is_empty() && *name != b"." && *name != b".." && !name.contains(&0);
    let names: Vec<&[u8]> = bytes.split(|&byte| byte == b'/').filter(is_name).collect();
    let escape = |name: &&[u8]| name.iter().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let escaped = format!("/{}", names.iter().map(escape).collect::<Vec<_>>().join("/"));
    let expected = [b"/", &names.join(&b'/')[..]].concat();
    assert_eq!(place(escaped.as_bytes()), Some((expected, None)), "{escaped}");
}

/// What a GET of this target asks for.
fn place(target: &[u8]) -> Option<Place> {
    let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a.example\r\n\r\n"].concat();
    let mut fields = Fields::default();
    let Ok(Parsed::Complete(head, _)) = parse(&head, LIMITS, &mut fields) else { return None };
    // More than a target was in it.
    if head.target != target {
        return None;
    }
    let request = validate(&head, &fields).ok()?;
    if let Some(query) = request.query {
        assert!(
            request.raw_target.ends_with(format!("?{query}").as_bytes()),
            "the query is what follows the first '?'"
        );
    }
    let is_query = |byte| request.raw_target.contains(&byte);
    assert_eq!(request.query.is_some(), is_query(b'?'), "what follows the first '?' is the query");
    Some((request.path.to_vec(), request.query.map(str::to_owned)))
}
