//! Integrity: which digest a client wants, what makes it, and how it is written. The one door to the `sfv` crate.
//! Process: any. Trusts: nothing. Blocks: never. Fails with: nothing; a field that can't be read asks for nothing.
//! RFC 9530; RFC 9651 section 3.2 (dictionaries).

use std::convert::Infallible;
use std::sync::OnceLock;

use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, DictSerializer, KeyRef, Parser};
use sha2::{Sha256, Sha512};

use super::{FieldName, Fields};

/// An algorithm of the registry of RFC 9530 that is neither broken nor a mere checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `sha-256`.
    Sha256,
    /// `sha-512`.
    Sha512,
}

impl Algorithm {
    /// The one to take where a client likes two alike comes first: it is the quicker one on machines with instructions
    /// for it.
    const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Its key in the registry.
    const fn key(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }
}

/// The algorithm that a `Want-Repr-Digest` or `Want-Content-Digest` field asks for (RFC 9530 section 4): of those with
/// a preference from 1 to 10 the one with the highest. `None` where there is no such field, or nothing to be had.
#[must_use]
pub fn wanted(fields: &Fields<'_>, name: FieldName) -> Option<Algorithm> {
    if !fields.contains(name) {
        return None;
    }
    // A dictionary may be spread over several lines, which are joined before it is read (RFC 9651 section 4.2).
    let lines: Vec<&[u8]> = fields.all(name).collect();
    let preferences =
        Parser::new(&lines.join(&b", "[..])).parse_dictionary_with_visitor(Preferences::default()).ok()?;
    let best = preferences.0.iter().copied().max().filter(|best| *best > 0)?;
    Algorithm::ALL.into_iter().find(|algorithm| preferences.0.get(*algorithm as usize) == Some(&best))
}

/// The preference for each algorithm, from 0 (not acceptable) to 10.
#[derive(Default)]
struct Preferences([u8; Algorithm::ALL.len()]);

impl<'de> DictionaryVisitor<'de> for Preferences {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        let known = Algorithm::ALL.into_iter().find(|algorithm| algorithm.key() == key.as_str());
        Ok(Preference(known.and_then(|algorithm| self.0.get_mut(algorithm as usize))))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

/// Where the preference of a key goes. Of a key that stands there twice the last one counts, even if it is no number.
struct Preference<'p>(Option<&'p mut u8>);

impl<'de> ItemVisitor<'de> for Preference<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        let number = item.as_integer().and_then(|number| u8::try_from(number).ok());
        if let Some(room) = self.0 {
            *room = number.filter(|number| *number <= 10).unwrap_or(0);
        }
        Ok(Ignored)
    }
}

impl<'de> EntryVisitor<'de> for Preference<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        if let Some(room) = self.0 {
            *room = 0;
        }
        Ok(Ignored)
    }
}

/// A digest in the making.
pub enum Hasher {
    /// With SHA-256.
    Sha256(Sha256),
    /// With SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// Of no bytes yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::default()),
            Algorithm::Sha512 => Self::Sha512(Sha512::default()),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => sha2::Digest::update(hasher, bytes),
            Self::Sha512(hasher) => sha2::Digest::update(hasher, bytes),
        }
    }

    /// The digest of all of them.
    #[must_use]
    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::Sha256(sha2::Digest::finalize(hasher).into()),
            Self::Sha512(hasher) => Digest::Sha512(sha2::Digest::finalize(hasher).into()),
        }
    }
}

/// A digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// Of SHA-256.
    Sha256([u8; 32]),
    /// Of SHA-512.
    Sha512([u8; 64]),
}

impl Digest {
    /// What made it.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The value of a `Repr-Digest` or `Content-Digest` field (RFC 9530 section 2): `sha-256=:…:`.
    #[must_use]
    pub fn field_value(&self) -> String {
        let bytes: &[u8] = match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        };
        let mut dictionary = DictSerializer::new();
        // The keys are what a key may be, and a dictionary of one member is not empty.
        if let Ok(key) = KeyRef::from_str(self.algorithm().key()) {
            let _ = dictionary.bare_item(key, bytes);
        }
        dictionary.finish().unwrap_or_default()
    }
}

/// The digests that are known of some content; each is filled in once, by whoever has made it first.
#[derive(Debug, Default)]
pub struct Digests {
    sha256: OnceLock<[u8; 32]>,
    sha512: OnceLock<[u8; 64]>,
}

impl Digests {
    /// The digest that this algorithm makes, where it is known.
    #[must_use]
    pub fn find(&self, algorithm: Algorithm) -> Option<Digest> {
        match algorithm {
            Algorithm::Sha256 => self.sha256.get().copied().map(Digest::Sha256),
            Algorithm::Sha512 => self.sha512.get().copied().map(Digest::Sha512),
        }
    }

    /// Notes a digest. It is the same as one that is there already.
    pub fn note(&self, digest: Digest) {
        match digest {
            Digest::Sha256(bytes) => drop(self.sha256.set(bytes)),
            Digest::Sha512(bytes) => drop(self.sha512.set(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Algorithm::{Sha256, Sha512};

    fn want(lines: &[&str]) -> Option<Algorithm> {
        let mut fields = Fields::default();
        for line in lines {
            assert!(fields.push("Want-Repr-Digest", line.as_bytes()));
        }
        wanted(&fields, FieldName::WantReprDigest)
    }

    #[test]
    fn the_highest_preference_wins() {
        let table: [(&[&str], Option<Algorithm>); 17] = [
            (&["sha-256=1"], Some(Sha256)),
            (&["sha-512=3, sha-256=10, unixsum=0"], Some(Sha256)),
            (&["sha-512=3,sha-256=2"], Some(Sha512)),
            (&["sha-256=5", "sha-512=5"], Some(Sha256)),
            (&["sha-256=1", "sha-512=2"], Some(Sha512)),
            (&["sha-256=9;x=1, md5=10"], Some(Sha256)),
            (&["sha-512=9, sha-512=0, sha-256=1"], Some(Sha256)),
            (&["sha-512=9, sha-512=(1 2), sha-256=1"], Some(Sha256)),
            (&["sha-256=0"], None),
            (&["sha-256=11"], None),
            (&["sha-256=-1"], None),
            (&["sha-256"], None),
            (&["sha-256=1.0"], None),
            (&["md5=10"], None),
            (&["sha-256=1,"], None),
            (&["SHA-256=1"], None),
            (&[], None),
        ];
        for (lines, expected) in table {
            assert_eq!(want(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_digest_is_a_byte_sequence_under_its_key() {
        let digest = |algorithm, content: &[u8]| {
            let mut hasher = Hasher::new(algorithm);
            content.chunks(2).for_each(|chunk| hasher.update(chunk));
            hasher.finish()
        };
        let empty = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        assert_eq!(digest(Sha256, b"").field_value(), empty);
        // The example of RFC 9530 appendix B.1.
        let example = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        assert_eq!(digest(Sha256, b"{\"hello\": \"world\"}\n").field_value(), example);
        let long = "sha-512=:3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==:";
        assert_eq!(digest(Sha512, b"abc").field_value(), long);
        let known = Digests::default();
        known.note(digest(Sha512, b"abc"));
        assert_eq!(known.find(Sha512), Some(digest(Sha512, b"abc")));
        assert_eq!(known.find(Sha256), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(value in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut fields = Fields::default();
            fields.push("Want-Content-Digest", &value);
            let _ = wanted(&fields, FieldName::WantContentDigest);
        }
    }
}
