//! The field lines of a representation, held ready by who keeps it: made once, and copied whole into every head.

use std::borrow::Cow;
use std::ops::Range;

use super::{FieldName, ResponseFields, Validators, Value, write_line, write_representation_lines};

/// What `format` would write of a representation, each line with its CRLF: everything that stays true as long as the
/// representation is the same.
#[derive(Debug, Default)]
pub struct Label {
    /// The lines of any answer with content, whatever part of it is sent; then `Content-Length` of the whole, and the line
    /// that ends the head.
    text: Box<[u8]>,
    /// Where the validators stand, which is what a 304 has.
    of_validators: Range<usize>,
    /// Where `Content-Length` begins.
    before_length: usize,
    validators: Validators,
    content_type: Cow<'static, str>,
    /// The fields of which it was made, should an answer have to change one of them; those of a file none does.
    fields: ResponseFields,
}

impl Label {
    /// That of a file of so many bytes, of which parts may be asked for.
    #[must_use]
    pub fn of_file(content_type: Cow<'static, str>, validators: Validators, bytes: u64) -> Self {
        let mut text = Vec::with_capacity(256);
        write_line(FieldName::ContentType, &Value::Text(content_type.clone()), &mut text);
        let start = text.len();
        write_representation_lines(validators, false, &mut text);
        let of_validators = start..text.len();
        write_representation_lines(Validators::default(), true, &mut text);
        let before_length = end(&mut text, bytes);
        Self { text: text.into(), of_validators, before_length, validators, content_type, fields: Default::default() }
    }

    /// That of so many bytes with these fields and no validators.
    #[must_use]
    pub fn of_fields(fields: ResponseFields, bytes: u64) -> Self {
        let mut text = Vec::new();
        for (name, value) in fields.iter() {
            write_line(*name, value, &mut text);
        }
        let content_type = match fields.find(FieldName::ContentType) {
            Some(Value::Text(text)) => text.clone(),
            Some(Value::Number(_) | Value::Date(_) | Value::Tag(_) | Value::Range(_)) | None => Cow::default(),
        };
        let before_length = end(&mut text, bytes);
        Self { text: text.into(), before_length, content_type, fields, ..Self::default() }
    }

    /// The lines that hold for the whole and for each part of it.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        self.text.get(..self.before_length).unwrap_or_default()
    }

    /// Those of them that a 304 has.
    #[must_use]
    pub fn lines_of_validators(&self) -> &[u8] {
        self.text.get(self.of_validators.clone()).unwrap_or_default()
    }

    /// All lines of an answer with the whole, to the end of the head.
    #[must_use]
    pub fn lines_to_end(&self) -> &[u8] {
        &self.text
    }

    /// What tells this state of the representation from another.
    #[must_use]
    pub fn validators(&self) -> Validators {
        self.validators
    }

    /// The fields that an answer may have to change.
    #[must_use]
    pub fn fields(&self) -> &ResponseFields {
        &self.fields
    }

    /// The value of `Content-Type`: every part of a multipart answer repeats it.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }
}

/// Adds what stands at the end of a head; where does it begin?
fn end(text: &mut Vec<u8>, bytes: u64) -> usize {
    let before = text.len();
    write_line(FieldName::ContentLength, &Value::Number(bytes), text);
    text.extend_from_slice(b"\r\n");
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{ETag, HttpDate};

    #[test]
    fn a_label_has_what_each_answer_needs() {
        let date = HttpDate::from_unix_seconds(784_111_777);
        let validators = Validators { etag: Some(ETag::of(b"x")), last_modified: Some(date) };
        let label = Label::of_file("text/plain".into(), validators, 7);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let tag = ETag::of(b"x");
        let both = format!("ETag: {tag}\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        let all = format!("Content-Type: text/plain\r\n{both}Accept-Ranges: bytes\r\n");
        assert_eq!(text(label.lines_of_validators()), both);
        assert_eq!(text(label.lines()), all);
        assert_eq!(text(label.lines_to_end()), format!("{all}Content-Length: 7\r\n\r\n"));
        let mut fields = ResponseFields::default();
        fields.push(FieldName::ContentType, "text/html");
        let label = Label::of_fields(fields, 0);
        assert_eq!((text(label.lines()), label.content_type()), ("Content-Type: text/html\r\n".into(), "text/html"));
        assert!(label.lines_of_validators().is_empty());
    }
}
