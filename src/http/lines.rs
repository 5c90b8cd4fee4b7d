//! A request head line by line, as far as it has come: whether it is whole, and what is wrong with the first line that is
//! wrong. For `parse.rs`, which reads at once what is whole and in order.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 400, 414, 431, 505.

use super::bytes::{TARGET, TOKEN};
use super::head::{Head, HeadLimits};
use crate::message::{Refusal, Status};

/// Empty lines before a request line that are skipped (RFC 9112 section 2.2 asks for at least one).
const LEADING_EMPTY_LINES: usize = 4;

/// A head cut into its lines.
pub(super) struct Lines<'b> {
    /// What the request line says.
    pub(super) head: Head<'b>,
    /// The field lines, with the blank line behind them.
    pub(super) fields: &'b [u8],
    /// How long all of it is, with empty lines before it.
    pub(super) bytes: usize,
}

/// How many leading bytes are empty lines; `None` if that can't be told yet.
fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut start = 0;
    for _ in 0..LEADING_EMPTY_LINES {
        match bytes.get(start..).unwrap_or_default() {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => start += 2,
            [b'\n' | b'\r', ..] => return Err(bare_line_ending()),
            _ => return Ok(Some(start)),
        }
    }
    match bytes.get(start) {
        None => Ok(None),
        Some(b'\r' | b'\n') => Err(Refusal::closing(Status::BAD_REQUEST, "Too many empty lines before a request.")),
        Some(_) => Ok(Some(start)),
    }
}

fn bare_line_ending() -> Refusal {
    Refusal::closing(Status::BAD_REQUEST, "A line of the request head must end with CRLF, not with LF or CR alone.")
}

/// Walks the lines up to the blank one. Every line feed must follow a carriage return (RFC 9112 section 2.2 lets a
/// recipient take a bare LF; a proxy in front that doesn't would see other requests than we do).
///
/// # Errors
/// As for `parse`.
pub(super) fn find_lines(bytes: &[u8], limits: HeadLimits) -> Result<Option<Lines<'_>>, Refusal> {
    let Some(start) = skip_empty_lines(bytes)? else { return Ok(None) };
    let head = bytes.get(start..).unwrap_or_default();
    let mut request_line = None;
    let mut line_start = 0;
    loop {
        let rest = head.get(line_start..).unwrap_or_default();
        let found = memchr::memchr(b'\n', rest);
        let line_bytes = found.unwrap_or(rest.len());
        if request_line.is_none() && is_too_long_for_target(line_bytes, limits) {
            return Err(target_too_long(limits));
        }
        if line_start + line_bytes >= limits.head_bytes {
            let detail = format!("The request head is longer than {} bytes.", limits.head_bytes);
            return Err(Refusal::closing(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, detail));
        }
        let Some(line_feed) = found else { return Ok(None) };
        let Some(line) = rest.get(..line_feed).and_then(|line| line.strip_suffix(b"\r")) else {
            return Err(bare_line_ending());
        };
        let next = line_start + line_feed + 1;
        match request_line.take() {
            // Judged as soon as it is there, so that a wrong one is answered before its fields arrive.
            None => request_line = Some((parse_request_line(line, limits)?, next)),
            Some((request, fields_start)) if line.is_empty() => {
                let fields = bytes.get(start + fields_start..start + next).unwrap_or_default();
                return Ok(Some(Lines { head: request, fields, bytes: start + next }));
            }
            more => request_line = more,
        }
        line_start = next;
    }
}

/// Can a request line of so many bytes not hold an allowed target?
pub(super) fn is_too_long_for_target(line_bytes: usize, limits: HeadLimits) -> bool {
    // Method, two spaces and version are at most this long.
    const AROUND_TARGET_BYTES: usize = 64;
    line_bytes > limits.target_bytes + AROUND_TARGET_BYTES
}

fn target_too_long(limits: HeadLimits) -> Refusal {
    let detail = format!("The request target is longer than {} bytes.", limits.target_bytes);
    Refusal::closing(Status::URI_TOO_LONG, detail)
}

/// `method SP target SP HTTP/d.d` (RFC 9112 section 3).
fn parse_request_line(line: &[u8], limits: HeadLimits) -> Result<Head<'_>, Refusal> {
    let malformed = |detail| Refusal::closing(Status::BAD_REQUEST, detail);
    if !line.is_ascii() {
        return Err(malformed("The request line holds bytes that are not ASCII; percent-encode them."));
    }
    let Some((method, target, version)) = split_in_three(line) else {
        return Err(malformed("The request line must be: method, one space, target, one space, HTTP/1.1."));
    };
    if method.is_empty() || TOKEN.count(method) < method.len() {
        return Err(malformed("The method must be a token, such as GET."));
    }
    if target.is_empty() || TARGET.count(target) < target.len() {
        return Err(malformed(
            "The request target must be visible ASCII without '#'; percent-encode other characters.",
        ));
    }
    let minor_version = parse_version(version)?;
    if target.len() > limits.target_bytes {
        return Err(target_too_long(limits));
    }
    Ok(Head { line, method, target, minor_version })
}

/// The parts between exactly two spaces.
fn split_in_three(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut parts = line.split(|&byte| byte == b' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(target), Some(version), None) => Some((method, target, version)),
        _ => None,
    }
}

/// Only major version 1 is spoken here; a higher minor one is read as 1.1.
fn parse_version(version: &[u8]) -> Result<u8, Refusal> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => Ok(u8::from(*minor != b'0')),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Refusal::closing(Status::HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.1 and HTTP/1.0 are spoken here."))
        }
        _ => Err(Refusal::closing(Status::BAD_REQUEST, "The request line must end with HTTP/1.1 or HTTP/1.0.")),
    }
}
