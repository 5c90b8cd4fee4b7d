//! The state of a resumable upload on the wire: the fields that a request says it with, and the limits that an answer
//! tells. Process: any. Trusts: nothing. Blocks: never. Fails with: nothing; a field of another form is ignored, as the
//! draft wants.
//! draft-ietf-httpbis-resumable-upload-12 section 4.1; RFC 9651 sections 3.3.1 and 3.3.6.

use std::convert::Infallible;
use std::fmt;

use sfv::visitor::{Ignored, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, Parser};

use super::{FieldName, Fields};

/// The media type of a piece that is appended.
pub const PARTIAL_UPLOAD: &str = "application/partial-upload";

/// The largest number that a structured field can carry: 15 digits.
const LARGEST_INTEGER: u64 = 999_999_999_999_999;

/// What a request says of the upload that it begins or goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UploadState {
    /// `Upload-Complete`: is the content of this request the last of the representation?
    pub is_complete: Option<bool>,
    /// `Upload-Offset`: where the content of this request belongs.
    pub offset: Option<u64>,
    /// `Upload-Length`: how long the whole representation is.
    pub length: Option<u64>,
    /// `Upload-Draft-Interop-Version`: which iteration of the draft the client speaks.
    pub interop_version: Option<u64>,
}

impl UploadState {
    /// Reads the four fields.
    #[must_use]
    pub fn of(fields: &Fields<'_>) -> Self {
        Self {
            is_complete: item(fields, FieldName::UploadComplete).and_then(|Bare { boolean, .. }| boolean),
            offset: integer(fields, FieldName::UploadOffset),
            length: integer(fields, FieldName::UploadLength),
            interop_version: integer(fields, FieldName::UploadDraftInteropVersion),
        }
    }

    /// Does the client understand the interim answer that tells it where to resume? An implementation of a draft may
    /// send it to one that speaks the same iteration only.
    #[must_use]
    pub fn may_have_interim(&self) -> bool {
        // 9 came with draft 12. What changed since 8 (drafts 9 to 11) is nothing that this server sends.
        matches!(self.interop_version, Some(8 | 9))
    }
}

/// How a boolean is written.
#[must_use]
pub fn boolean_text(is_true: bool) -> &'static str {
    if is_true { "?1" } else { "?0" }
}

fn integer(fields: &Fields<'_>, name: FieldName) -> Option<u64> {
    item(fields, name).and_then(|Bare { integer, .. }| integer)
}

/// The one item of a field. Two lines of it are a list, and so no item.
fn item(fields: &Fields<'_>, name: FieldName) -> Option<Bare> {
    if !fields.contains(name) {
        return None;
    }
    let lines: Vec<&[u8]> = fields.all(name).collect();
    let mut bare = Bare::default();
    Parser::new(&lines.join(&b", "[..])).parse_item_with_visitor(&mut bare).ok()?;
    Some(bare)
}

/// An item, as far as one of these fields can have it; its parameters mean nothing yet.
#[derive(Default)]
struct Bare {
    boolean: Option<bool>,
    integer: Option<u64>,
}

impl<'de> ItemVisitor<'de> for &mut Bare {
    type Out = ();
    type Error = Infallible;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        self.boolean = item.as_boolean();
        self.integer = item.as_integer().and_then(|number| u64::try_from(number).ok());
        Ok(Ignored)
    }
}

/// What may be uploaded, as `Upload-Limit` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimit {
    /// `max-size`: bytes of the whole.
    pub most_bytes: u64,
    /// `max-append-size`: bytes of one request.
    pub most_append_bytes: u64,
    /// `min-append-size`: bytes of a request that is not the last; 0 is no limit.
    pub least_append_bytes: u64,
    /// `max-age`: seconds that the upload has left, or would have.
    pub seconds: u64,
}

impl fmt::Display for UploadLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [size, append, least] = [self.most_bytes, self.most_append_bytes, self.least_append_bytes]
            .map(|number| number.min(LARGEST_INTEGER));
        write!(f, "max-size={size}, max-append-size={append}")?;
        if least > 0 {
            write!(f, ", min-append-size={least}")?;
        }
        write!(f, ", max-age={}", self.seconds.min(LARGEST_INTEGER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(lines: &[(&'static str, &'static str)]) -> UploadState {
        let mut fields = Fields::default();
        for (name, value) in lines {
            assert!(fields.push(name, value.as_bytes()));
        }
        UploadState::of(&fields)
    }

    #[test]
    fn a_field_of_another_form_is_ignored() {
        for (value, expected) in [
            ("?1", Some(true)),
            ("?0", Some(false)),
            ("?1;x=2", Some(true)),
            (" ?0 ", Some(false)),
            ("1", None),
            ("true", None),
            ("?1, ?1", None),
            ("", None),
        ] {
            assert_eq!(state(&[("Upload-Complete", value)]).is_complete, expected, "{value}");
        }
        for (value, expected) in [
            ("0", Some(0)),
            ("999999999999999", Some(LARGEST_INTEGER)),
            ("1000000000000000", None),
            ("-1", None),
            ("1.0", None),
            ("\"1\"", None),
            ("1, 1", None),
        ] {
            assert_eq!(state(&[("Upload-Offset", value)]).offset, expected, "{value}");
            assert_eq!(state(&[("Upload-Length", value)]).length, expected, "{value}");
        }
        assert_eq!(state(&[("Upload-Complete", "?1"), ("Upload-Complete", "?1")]).is_complete, None);
        assert_eq!(state(&[]), UploadState::default());
    }

    #[test]
    fn an_interim_answer_is_for_those_who_speak_the_same_draft() {
        for (value, expected) in [("9", true), ("8", true), ("7", false), ("10", false), ("?1", false)] {
            assert_eq!(state(&[("Upload-Draft-Interop-Version", value)]).may_have_interim(), expected, "{value}");
        }
        assert!(!state(&[]).may_have_interim());
    }

    #[test]
    fn limits_are_a_dictionary() {
        let limit = UploadLimit { most_bytes: 1 << 60, most_append_bytes: 5, least_append_bytes: 0, seconds: 60 };
        assert_eq!(limit.to_string(), "max-size=999999999999999, max-append-size=5, max-age=60");
        let limit = UploadLimit { least_append_bytes: 3, ..limit };
        assert!(limit.to_string().contains(", min-append-size=3, "));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(value in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let mut fields = Fields::default();
            fields.push("Upload-Offset", &value);
            let _ = UploadState::of(&fields);
        }
    }
}
