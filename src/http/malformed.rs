//! What is wrong with the lines of a head, or with how long they are.
//! Process: worker, sealed. Trusts: nothing. Pure. Fails with: 400, 414, 431, 505; every refusal ends the connection.
//! RFC 9112 sections 2.2, 3 and 5.

use super::bytes::{TARGET, TOKEN};
use super::parse::{Head, HeadLimits, parse_version};
use crate::message::{Refusal, Status};

/// The request line keeps to the limits. Judged as soon as it is there, so that a wrong one is answered before its fields
/// arrive.
pub(super) fn check_request_line(head: &Head<'_>, limits: HeadLimits) -> Result<(), Refusal> {
    if is_too_long_for_target(head.line.len() + 1, limits) {
        return Err(target_too_long(limits));
    }
    check_head_bytes(head.line.len() + 2, limits)?;
    if head.target.len() > limits.target_bytes { Err(target_too_long(limits)) } else { Ok(()) }
}

/// A head of so many bytes keeps to the limit.
pub(super) fn check_head_bytes(bytes: usize, limits: HeadLimits) -> Result<(), Refusal> {
    if bytes > limits.head_bytes { Err(head_too_long(limits)) } else { Ok(()) }
}

/// Can a request line of so many bytes not hold an allowed target?
fn is_too_long_for_target(line_bytes: usize, limits: HeadLimits) -> bool {
    // Method, two spaces and version are at most this long.
    const AROUND_TARGET_BYTES: usize = 64;
    line_bytes > limits.target_bytes + AROUND_TARGET_BYTES
}

/// Says of a line that could not be read whether it is not all there yet, too long, or `wrong`. Every line feed must
/// follow a carriage return (RFC 9112 section 2.2 lets a recipient take a bare LF; a proxy in front that doesn't would see
/// other requests than we do).
#[cold]
pub(super) fn judge(
    head: &[u8],
    start: usize,
    limits: HeadLimits,
    wrong: impl FnOnce(&[u8]) -> Refusal,
) -> Result<(), Refusal> {
    let rest = head.get(start..).unwrap_or_default();
    let line_feed = memchr::memchr(b'\n', rest);
    let line_bytes = line_feed.unwrap_or(rest.len());
    if start == 0 && is_too_long_for_target(line_bytes, limits) {
        return Err(target_too_long(limits));
    }
    check_head_bytes(start + line_bytes + 1, limits)?;
    match line_feed.and_then(|end| rest.get(..end)).map(|line| line.strip_suffix(b"\r")) {
        None => Ok(()),
        Some(None) => Err(bare_line_ending()),
        Some(Some(line)) => Err(wrong(line)),
    }
}

/// What is wrong with a line that `read_request_line` does not read.
pub(super) fn malformed_request_line(line: &[u8]) -> Refusal {
    let malformed = |detail| Refusal::closing(Status::BAD_REQUEST, detail);
    if std::str::from_utf8(line).is_err() {
        return malformed("The request line holds bytes that are not ASCII; percent-encode them.");
    }
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return malformed("The request line must be: method, one space, target, one space, HTTP/1.1.");
    };
    if method.is_empty() || TOKEN.count(method) < method.len() {
        return malformed("The method must be a token, such as GET.");
    }
    if target.is_empty() || TARGET.count(target) < target.len() {
        return malformed("The request target must be visible ASCII without '#'; percent-encode other characters.");
    }
    parse_version(version).err().unwrap_or_else(bare_line_ending)
}

pub(super) fn malformed_field_line() -> Refusal {
    Refusal::closing(
        Status::BAD_REQUEST,
        "A field line must be: name, colon, value; without space before the colon, folded lines or control characters.",
    )
}

pub(super) fn bare_line_ending() -> Refusal {
    Refusal::closing(Status::BAD_REQUEST, "A line of the request head must end with CRLF, not with LF or CR alone.")
}

#[cold]
fn target_too_long(limits: HeadLimits) -> Refusal {
    let detail = format!("The request target is longer than {} bytes.", limits.target_bytes);
    Refusal::closing(Status::URI_TOO_LONG, detail)
}

#[cold]
fn head_too_long(limits: HeadLimits) -> Refusal {
    let detail = format!("The request head is longer than {} bytes.", limits.head_bytes);
    Refusal::closing(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
}

#[cold]
pub(super) fn too_many_fields(limits: HeadLimits) -> Refusal {
    let detail = format!("The request has more than {} field lines.", limits.fields);
    Refusal::closing(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
}
