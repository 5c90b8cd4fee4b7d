//! In which coding a client would like the content: the `Accept-Encoding` field.
//! Process: any. Trusts: nothing. Blocks: never, allocates nothing. Fails with: nothing; what can't be read is left out.
//! RFC 9110 sections 8.4.1 (codings) and 12.5.3 (Accept-Encoding).

use arrayvec::ArrayVec;

use super::quality::{FULL_QUALITY, Quality, parse_quality};
use super::{FieldName, Fields};

/// A content coding that fileserv can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// `x-gzip` is an old name of `gzip` (section 8.4.1.3).
    fn from_name(name: &str) -> Option<Self> {
        let is = |coding: &Self| coding.name().eq_ignore_ascii_case(name);
        let known = [Self::Identity, Self::Gzip, Self::Brotli, Self::Zstd].into_iter().find(is);
        known.or_else(|| name.eq_ignore_ascii_case("x-gzip").then_some(Self::Gzip))
    }
}

/// What a client says of each coding.
#[derive(Debug, Clone, Copy, Default)]
pub struct AcceptEncoding {
    named: [Option<Quality>; Coding::COUNT],
    /// Of all that is not named.
    others: Option<Quality>,
}

impl AcceptEncoding {
    /// Reads every line of the field.
    #[must_use]
    pub fn of(fields: &Fields<'_>) -> Self {
        let mut accept = Self::default();
        for element in fields.elements(FieldName::AcceptEncoding) {
            let Ok(element) = std::str::from_utf8(element) else { continue };
            let (name, weight) = element.split_once(';').map_or((element, None), |(name, rest)| (name, Some(rest)));
            let Some(quality) = weight.map_or(Some(FULL_QUALITY), quality_of) else { continue };
            let name = name.trim_ascii();
            if name == "*" {
                accept.others = Some(quality);
            } else if let Some(room) = Coding::from_name(name).and_then(|coding| accept.named.get_mut(coding as usize))
            {
                *room = Some(quality);
            }
        }
        accept
    }

    /// The weight of a coding. A client that says nothing could take any (section 12.5.3), but mostly it is one that
    /// knows none, so only what is asked for is sent. Content as it is needs no asking, but may be forbidden; it is
    /// worth less than the least weight of a coding that was named.
    fn quality(self, coding: Coding) -> Quality {
        let named = self.named.get(coding as usize).copied().flatten();
        let unasked = if coding == Coding::Identity { 1 } else { 0 };
        named.or(self.others).unwrap_or(unasked)
    }

    /// Those of the offers that the client takes, what it likes best first; of two that it likes alike the earlier
    /// offer. Empty where it takes none of them, which is 406.
    #[must_use]
    pub fn choose(self, offers: impl IntoIterator<Item = Coding>) -> ArrayVec<Coding, { Coding::COUNT }> {
        let mut chosen: ArrayVec<Coding, { Coding::COUNT }> = ArrayVec::new();
        for offer in offers {
            let quality = self.quality(offer);
            let place = chosen.iter().position(|other| self.quality(*other) < quality).unwrap_or(chosen.len());
            if quality > 0 && !chosen.contains(&offer) {
                // There are no more codings than room, and none stands there twice.
                let _ = chosen.try_insert(place, offer);
            }
        }
        chosen
    }
}

/// The weight among the parameters. There are no other parameters, so anything else makes the element unreadable.
fn quality_of(parameter: &str) -> Option<Quality> {
    let (name, value) = parameter.split_once('=')?;
    if name.trim_ascii().eq_ignore_ascii_case("q") { parse_quality(value.trim_ascii()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Coding::{Brotli, Gzip, Identity, Zstd};

    fn choose(lines: &[&str], offers: &[Coding]) -> Vec<Coding> {
        let mut fields = Fields::default();
        for line in lines {
            assert!(fields.push("Accept-Encoding", line.as_bytes()));
        }
        AcceptEncoding::of(&fields).choose(offers.iter().copied()).to_vec()
    }

    #[test]
    fn the_weights_of_section_12_5_3() {
        let table: [(&[&str], &[Coding]); 19] = [
            (&[], &[Identity]),
            (&[""], &[Identity]),
            (&["gzip"], &[Gzip, Identity]),
            (&["x-gzip"], &[Gzip, Identity]),
            (&["GZIP;Q=0.5 , br ; q=1.0"], &[Brotli, Gzip, Identity]),
            (&["gzip", "br"], &[Brotli, Gzip, Identity]),
            (&["gzip, deflate, br, zstd"], &[Brotli, Zstd, Gzip, Identity]),
            (&["*"], &[Brotli, Zstd, Gzip, Identity]),
            (&["*;q=0"], &[]),
            (&["gzip, *;q=0"], &[Gzip]),
            (&["*;q=0, identity"], &[Identity]),
            (&["identity;q=0"], &[]),
            (&["identity;q=0, gzip;q=0.001"], &[Gzip]),
            (&["gzip;q=0"], &[Identity]),
            (&["gzip;q=0.001"], &[Gzip, Identity]),
            (&["identity, gzip;q=0.5"], &[Identity, Gzip]),
            (&["gzip;q=0.2, *;q=0.5"], &[Brotli, Zstd, Identity, Gzip]),
            (&["gzip;q=1.5, br;level=3, zstd;q="], &[Identity]),
            (&["\u{fc}, deflate;q=1, gzip;q=0.3"], &[Gzip, Identity]),
        ];
        for (lines, expected) in table {
            assert_eq!(choose(lines, &[Brotli, Zstd, Gzip, Identity]), expected, "{lines:?}");
        }
        assert_eq!(choose(&["br, gzip"], &[Gzip, Gzip, Identity]), [Gzip, Identity]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(value in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut fields = Fields::default();
            fields.push("Accept-Encoding", &value);
            let _ = AcceptEncoding::of(&fields).choose([Gzip, Identity]);
        }
    }
}
