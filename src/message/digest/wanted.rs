//! Which digest a client asks for: `Want-Repr-Digest` and `Want-Content-Digest`.
//! Process: any. Trusts: nothing. Blocks: never. Fails with: nothing; a field that can't be read asks for nothing.
//! RFC 9530 section 4; RFC 9651 section 3.2 (dictionaries).

use std::convert::Infallible;

use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::Algorithm;
use crate::message::{FieldName, Fields};

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
        Ok(Preference(Algorithm::of_key(key).and_then(|algorithm| self.0.get_mut(algorithm as usize))))
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

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(value in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut fields = Fields::default();
            fields.push("Want-Content-Digest", &value);
            let _ = wanted(&fields, FieldName::WantContentDigest);
        }
    }
}
