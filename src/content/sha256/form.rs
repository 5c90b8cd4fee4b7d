//! Digests one field of an urlencoded form while it comes in, so that a form of any size costs no memory.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: nothing; whatever comes is some form.
//! WHATWG URL section 5.1 (application/x-www-form-urlencoded parsing). The `form_urlencoded` crate needs the whole
//! form, and replaces what is no UTF-8, which would give the digest of something else.

use arrayvec::ArrayVec;
use sha2::{Digest, Sha256};

/// Decoded bytes that are digested at once; small ones make SHA-256 slower, and this one lies in a connection's sink.
const BATCH_BYTES: usize = 512;

/// What became of the field.
pub(super) enum Field {
    /// There is none of this name.
    Absent,
    /// There is one.
    Once {
        /// Of its decoded value, ready to be finalized.
        digest: Sha256,
        /// Length of the decoded value.
        bytes: u64,
    },
    /// There are several.
    Repeated,
}

/// A form that is being read.
pub(super) struct FormDigest {
    field: &'static str,
    part: Part,
    escape: Escape,
    /// How often the field has begun.
    seen: u32,
    digest: Sha256,
    bytes: u64,
    batch: ArrayVec<u8, BATCH_BYTES>,
}

/// Where in a `name=value` pair we are.
#[derive(Clone, Copy)]
enum Part {
    /// In the name: so many bytes of it are those of the field; `None` when it is another name.
    Name(Option<usize>),
    /// In the value of the field.
    OurValue,
    /// In the value of another one.
    OtherValue,
}

/// What of a percent-escape has come.
#[derive(Clone, Copy)]
enum Escape {
    None,
    Percent,
    Digit(u8),
}

impl FormDigest {
    pub(super) fn new(field: &'static str) -> Self {
        Self {
            field,
            part: Part::Name(Some(0)),
            escape: Escape::None,
            seen: 0,
            digest: Sha256::new(),
            bytes: 0,
            batch: ArrayVec::new(),
        }
    }

    /// Has the field begun?
    pub(super) fn has_field(&self) -> bool {
        self.seen > 0
    }

    /// Reads the next bytes of the form.
    pub(super) fn take(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            self.read(byte);
        }
    }

    /// The form is complete.
    pub(super) fn finish(mut self) -> Field {
        self.give_up_escape();
        self.end_name();
        self.digest.update(&self.batch);
        match self.seen {
            0 => Field::Absent,
            1 => Field::Once { digest: self.digest, bytes: self.bytes },
            _ => Field::Repeated,
        }
    }

    fn read(&mut self, byte: u8) {
        match (self.escape, hex_digit(byte)) {
            (Escape::Percent, Some(_)) => self.escape = Escape::Digit(byte),
            (Escape::Digit(high), Some(low)) => {
                self.escape = Escape::None;
                self.decoded(hex_digit(high).unwrap_or(0) << 4 | low);
            }
            (Escape::Percent | Escape::Digit(_), None) => {
                self.give_up_escape();
                self.read_plain(byte);
            }
            (Escape::None, _) => self.read_plain(byte),
        }
    }

    /// A byte that is no part of an escape.
    fn read_plain(&mut self, byte: u8) {
        match byte {
            b'%' => self.escape = Escape::Percent,
            b'+' => self.decoded(b' '),
            b'&' => {
                self.end_name();
                self.part = Part::Name(Some(0));
            }
            b'=' if matches!(self.part, Part::Name(_)) => self.end_name(),
            _ => self.decoded(byte),
        }
    }

    /// What began like an escape and is none stands for itself.
    fn give_up_escape(&mut self) {
        let escape = std::mem::replace(&mut self.escape, Escape::None);
        if !matches!(escape, Escape::None) {
            self.decoded(b'%');
        }
        if let Escape::Digit(digit) = escape {
            self.decoded(digit);
        }
    }

    /// A name without `=` has an empty value.
    fn end_name(&mut self) {
        let Part::Name(matched) = self.part else { return };
        if matched == Some(self.field.len()) {
            self.seen = self.seen.saturating_add(1);
            self.part = Part::OurValue;
        } else {
            self.part = Part::OtherValue;
        }
    }

    fn decoded(&mut self, byte: u8) {
        match &mut self.part {
            Part::Name(matched) => {
                let expected = matched.and_then(|count| Some((count, self.field.as_bytes().get(count)?)));
                *matched = expected.filter(|(_, letter)| **letter == byte).map(|(count, _)| count + 1);
            }
            Part::OurValue => {
                self.bytes += 1;
                self.batch.push(byte);
                if self.batch.is_full() {
                    self.digest.update(&self.batch);
                    self.batch.clear();
                }
            }
            Part::OtherValue => {}
        }
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::hex;
    use super::*;
    use proptest::prelude::*;

    /// The digest in hexadecimal, or how many fields there are instead of one.
    fn digest(form: &[u8], piece: usize) -> Result<String, usize> {
        let mut reader = FormDigest::new("f");
        form.chunks(piece).for_each(|chunk| reader.take(chunk));
        match reader.finish() {
            Field::Absent => Err(0),
            Field::Once { digest, .. } => Ok(hex(digest)),
            Field::Repeated => Err(2),
        }
    }

    fn of(value: &[u8]) -> Result<String, usize> {
        Ok(hex(Sha256::new_with_prefix(value)))
    }

    #[test]
    fn forms_are_read_as_browsers_write_them() {
        let table: [(&[u8], &[u8]); 11] = [
            (b"f=a+b%2Bc", b"a b+c"),
            (b"f=%C3%BC%ff", b"\xc3\xbc\xff"),
            (b"f=100%", b"100%"),
            (b"f=%4", b"%4"),
            (b"f=%%41", b"%A"),
            (b"f=%4%41", b"%4A"),
            (b"f=%zz&g=1", b"%zz"),
            (b"f=a=b", b"a=b"),
            (b"g=f&ff=2&&f=3", b"3"),
            (b"%66=x", b"x"),
            (b"f", b""),
        ];
        for (form, value) in table {
            assert_eq!(digest(form, 100), of(value), "{}", form.escape_ascii());
        }
        for (form, count) in [(b"".as_slice(), 0), (b"g=f", 0), (b"ff", 0), (b"=f", 0), (b"f&f", 2), (b"f=1&f=1", 2)] {
            assert_eq!(digest(form, 100), Err(count), "{}", form.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(form in "[f&=%+a4]{0,40}", piece in 1_usize..40) {
            prop_assert_eq!(digest(form.as_bytes(), piece), digest(form.as_bytes(), 1000));
        }

        #[test]
        fn what_the_serializer_writes_is_read_back(value in ".{0,600}", other in ".{0,20}") {
            prop_assume!(other != "f");
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair(&other, "x").append_pair("f", &value).append_pair(&other, &value).finish();
            prop_assert_eq!(digest(form.as_bytes(), 7), of(value.as_bytes()));
        }
    }
}
