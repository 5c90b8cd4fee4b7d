//! Entity tags (RFC 9110 section 8.8.3). A tag is a digest of what identifies the bytes, so it tells nothing of inodes.

use std::fmt;

use sha2::{Digest, Sha256};

const TAG_DIGITS: usize = 24;

/// An entity tag of our own making: 24 hexadecimal digits, weak or strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag {
    tag: [u8; TAG_DIGITS],
    weak: bool,
}

impl ETag {
    /// The strong tag of whatever these bytes identify: 96 bits of their SHA-256.
    #[must_use]
    pub fn of(identity: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digest = Sha256::digest(identity);
        let mut tag = [b'0'; TAG_DIGITS];
        for (pair, byte) in tag.chunks_exact_mut(2).zip(digest) {
            for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
            }
        }
        Self { tag, weak: false }
    }

    /// The same tag, weak: the bytes may still change without a new tag.
    #[must_use]
    pub fn weakened(self) -> Self {
        Self { weak: true, ..self }
    }

    /// The tag of what a coding makes of this representation. It is weak: another version of the encoder would write
    /// other bytes for the same content.
    #[must_use]
    pub fn of_coding(self, coding: &str) -> Self {
        Self::of(&[&self.tag, coding.as_bytes()].concat()).weakened()
    }

    /// Can byte ranges of this representation be combined (RFC 9110 section 8.8.1)?
    #[must_use]
    pub fn is_strong(self) -> bool {
        !self.weak
    }

    /// The digits between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &[u8] {
        &self.tag
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.weak { "W/\"" } else { "\"" })?;
        f.write_str(std::str::from_utf8(&self.tag).unwrap_or_default())?;
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_quoted_and_says_when_it_is_weak() {
        let tag = ETag::of(b"one");
        assert_eq!(tag.to_string().len(), TAG_DIGITS + 2);
        assert_eq!(tag.weakened().to_string(), format!("W/{tag}"));
        assert_ne!(tag, ETag::of(b"two"));
        let coded = tag.of_coding("gzip");
        assert!(!coded.is_strong() && coded.opaque() != tag.opaque() && coded != tag.of_coding("br"));
    }
}
