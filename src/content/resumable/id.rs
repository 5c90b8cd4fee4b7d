//! The name of a resumable upload: 128 random bits, in the query of its address and in the names of its two files.
//! Process: worker, sealed. Trusts: nothing. Who does not know the bits can't guess them (draft section 14).

use std::fmt;
use std::io;

use crate::sys::random;

/// What every name of ours begins with.
const PREFIX: &str = ".fileserv-";
const PARAMETER: &str = "upload=";
const DIGITS: usize = 32;

/// Which upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadId(u128);

/// The two files of an upload, beside the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What has come of the content.
    Part,
    /// What must be remembered of the upload.
    Record,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Part, Self::Record];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Part => ".part",
            Self::Record => ".record",
        }
    }
}

impl UploadId {
    /// A new one.
    pub(super) fn random() -> io::Result<Self> {
        Ok(Self(u128::from_ne_bytes(random::bytes()?)))
    }

    /// The upload that a query names: it consists of nothing else.
    #[must_use]
    pub fn of_query(query: Option<&str>) -> Option<Self> {
        Self::of_digits(query?.strip_prefix(PARAMETER)?.as_bytes())
    }

    /// The query that names it.
    pub(super) fn query(self) -> String {
        format!("{PARAMETER}{self}")
    }

    /// The upload whose file this is, and which of the two.
    pub(super) fn of_name(name: &[u8]) -> Option<(Self, Kind)> {
        let rest = name.strip_prefix(PREFIX.as_bytes())?;
        let (kind, digits) =
            Kind::ALL.into_iter().find_map(|kind| Some((kind, rest.strip_suffix(kind.suffix().as_bytes())?)))?;
        Some((Self::of_digits(digits)?, kind))
    }

    /// Is this the name of a file of some upload?
    #[must_use]
    pub fn is_name(name: &[u8]) -> bool {
        Self::of_name(name).is_some()
    }

    /// Is this the name of what is remembered of some upload?
    pub(in crate::content) fn is_record(name: &[u8]) -> bool {
        Self::of_name(name).is_some_and(|(_, kind)| kind == Kind::Record)
    }

    /// The name of one of its files.
    pub(super) fn name(self, kind: Kind) -> String {
        format!("{PREFIX}{self}{}", kind.suffix())
    }

    fn of_digits(digits: &[u8]) -> Option<Self> {
        // One way to write it, so that one upload has one address and one pair of names.
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let is_right = digits.len() == DIGITS && digits.iter().all(is_digit);
        let text = std::str::from_utf8(digits).ok().filter(|_| is_right)?;
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_has_one_name_only() {
        let digits = "00112233445566778899aabbccddeeff";
        let id = UploadId::of_query(Some(&format!("upload={digits}"))).unwrap();
        assert_eq!(id.to_string(), digits);
        assert_eq!(UploadId::of_query(Some(&id.query())), Some(id));
        for kind in Kind::ALL {
            assert_eq!(UploadId::of_name(id.name(kind).as_bytes()), Some((id, kind)));
        }
        for query in [
            "upload=",
            &format!("upload={}", &digits[1..]),
            &format!("upload={digits}0"),
            &format!("upload={}", digits.to_uppercase()),
            &format!("upload={digits}&x"),
            &format!("x&upload={digits}"),
        ] {
            assert_eq!(UploadId::of_query(Some(query)), None, "{query}");
        }
        assert_eq!(UploadId::of_query(None), None);
        for name in [".fileserv-.part", "report.part", &format!(".fileserv-{digits}.new"), &format!("{digits}.part")] {
            assert_eq!(UploadId::of_name(name.as_bytes()), None, "{name}");
        }
    }
}
