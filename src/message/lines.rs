//! Field lines as bytes: what `format` writes into a head, and a cache keeps ready.

use std::borrow::Cow;

use super::{ContentRange, FieldName, Validators, Value};

/// Writes the lines that belong to a representation, whatever part of it is sent. A cache keeps them ready.
pub fn write_representation_lines(validators: Validators, accepts_ranges: bool, out: &mut Vec<u8>) {
    if let Some(etag) = validators.etag {
        write_line(FieldName::ETag, &Value::Tag(etag), out);
    }
    if let Some(date) = validators.last_modified {
        write_line(FieldName::LastModified, &Value::Date(date), out);
    }
    if accepts_ranges {
        out.extend_from_slice(b"Accept-Ranges: bytes\r\n");
    }
}

/// Appends `Name: value` and CRLF.
pub fn write_line(name: FieldName, value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(name.line_start().as_bytes());
    match value {
        // Ours: it was known when this was compiled.
        Value::Text(Cow::Borrowed(text)) => out.extend_from_slice(text.as_bytes()),
        Value::Text(Cow::Owned(text)) => write_text(text, out),
        Value::Number(number) => write_number(*number, out),
        Value::Date(date) => out.extend_from_slice(&date.imf_fixdate()),
        Value::Tag(etag) => {
            out.extend_from_slice(if etag.is_strong() { b"\"" } else { b"W/\"" });
            out.extend_from_slice(etag.opaque());
            out.push(b'"');
        }
        Value::Range(range) => write_range(*range, out),
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a text without control characters: a line break in a value would start a field, or a response, of somebody's
/// own making. Copied whole and mended after that, which the compiler does many bytes at a time; a policy has a hundred.
fn write_text(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    for byte in out.get_mut(start..).unwrap_or_default() {
        *byte = if *byte < b' ' || *byte == 127 { b' ' } else { *byte };
    }
}

/// Appends the range as its `Display` shows it, without the machinery of `format!`, which takes longer than all the rest
/// of the head of a part.
fn write_range(range: ContentRange, out: &mut Vec<u8>) {
    for (before, number) in [("bytes ", range.first), ("-", range.last), ("/", range.complete)] {
        out.extend_from_slice(before.as_bytes());
        write_number(number, out);
    }
}

fn write_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
