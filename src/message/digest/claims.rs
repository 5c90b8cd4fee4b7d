//! Which digest a client says that its content has: `Content-Digest` and `Repr-Digest` of a request, in its head or in
//! its trailers. The content of an upload is a whole representation, so both mean the same bytes.
//! Process: any. Trusts: nothing. Blocks: never. Fails with: 400.
//! RFC 9530 sections 2 and 3; RFC 9651 section 3.2 (dictionaries).

use std::convert::Infallible;

use arrayvec::ArrayVec;
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::{Algorithm, Digest};
use crate::message::{FieldName, Fields, Refusal, Status};

/// Two fields with two algorithms each, once in the head and once in the trailers.
const CLAIMS_LIMIT: usize = 8;

/// A digest that content should have, and the field that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which field.
    pub field: FieldName,
    /// The digest.
    pub digest: Digest,
}

/// All that a request claims. All of it must be true.
#[derive(Debug, Clone, Default)]
pub struct Claims(ArrayVec<Claim, CLAIMS_LIMIT>);

impl Claims {
    /// Takes in what the field lines of a head, or of a trailer section, claim. Algorithms that are not known are passed
    /// over (RFC 9530 section 5).
    ///
    /// # Errors
    /// 400 for a field that can't be read: who sends one wants the content to be checked.
    pub fn add(&mut self, fields: &Fields<'_>) -> Result<(), Refusal> {
        for name in [FieldName::ContentDigest, FieldName::ReprDigest].into_iter().filter(|name| fields.contains(*name))
        {
            // A dictionary may be spread over several lines, which are joined before it is read (RFC 9651 section 4.2).
            let lines: Vec<&[u8]> = fields.all(name).collect();
            let read = Parser::new(&lines.join(&b", "[..])).parse_dictionary_with_visitor(Values::default());
            let values = read.map_err(|error| malformed(name, &error.to_string()))?;
            for (algorithm, value) in Algorithm::ALL.into_iter().zip(values.0) {
                let digest = match value {
                    Value::Absent => continue,
                    Value::Bytes(digest) => digest,
                    Value::Wrong => {
                        let (key, length) = (algorithm.key(), Digest::length(algorithm));
                        return Err(malformed(name, &format!("the value of {key} must be :{length} bytes in Base64:")));
                    }
                };
                // There is room for as many as one head and one trailer section can hold.
                let _ = self.0.try_push(Claim { field: name, digest });
            }
        }
        Ok(())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.0.iter()
    }
}

fn malformed(name: FieldName, what: &str) -> Refusal {
    let example = "such as sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    Refusal::new(
        Status::BAD_REQUEST,
        format!("{} can't be read ({what}); it must be a dictionary of digests, {example}.", name.text()),
    )
}

/// What stands for an algorithm. Of a key that stands there twice the last one counts.
#[derive(Debug, Clone, Copy, Default)]
enum Value {
    #[default]
    Absent,
    Bytes(Digest),
    /// No bytes, or not as many as the algorithm makes.
    Wrong,
}

/// The value of each algorithm, in the order of `Algorithm::ALL`.
#[derive(Default)]
struct Values([Value; Algorithm::ALL.len()]);

impl<'de> DictionaryVisitor<'de> for Values {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        let known = Algorithm::of_key(key);
        Ok(Place(known.and_then(|algorithm| Some((algorithm, self.0.get_mut(algorithm as usize)?)))))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

/// Where the value of a known key goes.
struct Place<'p>(Option<(Algorithm, &'p mut Value)>);

impl<'de> ItemVisitor<'de> for Place<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        if let Some((algorithm, value)) = self.0 {
            let digest = item.as_byte_sequence().and_then(|bytes| Digest::of_bytes(algorithm, bytes));
            *value = digest.map_or(Value::Wrong, Value::Bytes);
        }
        Ok(Ignored)
    }
}

impl<'de> EntryVisitor<'de> for Place<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        if let Some((_, value)) = self.0 {
            *value = Value::Wrong;
        }
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";

    fn claims(lines: &[(&str, &str)]) -> Result<Vec<(FieldName, String)>, String> {
        let mut fields = Fields::default();
        for (name, line) in lines {
            assert!(fields.push(name, line.as_bytes()));
        }
        let mut claims = Claims::default();
        claims.add(&fields).map_err(|refusal| refusal.detail.into_owned())?;
        Ok(claims.iter().map(|claim| (claim.field, claim.digest.field_value())).collect())
    }

    #[test]
    fn known_algorithms_are_claims_and_others_are_passed_over() {
        let empty = (FieldName::ReprDigest, EMPTY.to_owned());
        assert_eq!(claims(&[("Repr-Digest", EMPTY)]), Ok(vec![empty.clone()]));
        assert_eq!(
            claims(&[("Repr-Digest", &format!("md5=:AA==:, {EMPTY};x=1, unixsum=17"))]),
            Ok(vec![empty.clone()])
        );
        assert_eq!(claims(&[("Repr-Digest", "md5=:AA==:"), ("repr-digest", EMPTY)]), Ok(vec![empty.clone()]));
        // Of a key that stands there twice the last one counts (RFC 9651 section 3.2).
        assert_eq!(claims(&[("Repr-Digest", &format!("sha-256=1, {EMPTY}"))]), Ok(vec![empty]));
        let both = claims(&[("Repr-Digest", EMPTY), ("Content-Digest", EMPTY)]).unwrap();
        assert_eq!(both.len(), 2);
        assert_eq!(claims(&[]), Ok(Vec::new()));
        assert_eq!(claims(&[("Content-Digest", "")]), Ok(Vec::new()));
    }

    #[test]
    fn a_field_that_cant_be_read_is_named() {
        for value in
            ["sha-256", "sha-256=47DEQ", "sha-256=:AAAA:", "sha-256=(:AA==:)", "sha-512=\"x\"", "=", "sha-256=:!!:"]
        {
            let error = claims(&[("Content-Digest", value)]).unwrap_err();
            assert!(error.starts_with("Content-Digest can't be read ("), "{value}: {error}");
        }
        assert!(claims(&[("Repr-Digest", "sha-512=:AAAA:")]).unwrap_err().contains(":64 bytes in Base64:"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(value in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut fields = Fields::default();
            fields.push("Repr-Digest", &value);
            let _ = Claims::default().add(&fields);
        }
    }
}
