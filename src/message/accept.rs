//! What a client would like to get: the `Accept` field, and the choice among the media types that a provider offers.
//! Process: any. Trusts: nothing. Blocks: never. Fails with: nothing; what can't be read counts for nothing.
//! RFC 9110 section 12.5.1.

use arrayvec::ArrayVec;

use super::quality::{FULL_QUALITY, Quality, parse_quality};
use super::{FieldName, Fields};

/// Media ranges that are looked at; browsers send up to eight. More would only cost time.
const RANGE_LIMIT: usize = 32;

/// The media ranges of a request.
#[derive(Debug, Default)]
pub struct Accept<'b> {
    ranges: ArrayVec<MediaRange<'b>, RANGE_LIMIT>,
}

/// One media range with its weight.
#[derive(Debug)]
struct MediaRange<'b> {
    kind: &'b str,
    subtype: &'b str,
    /// All that follows the first `;`, the weight among it.
    parameters: &'b str,
    quality: Quality,
}

/// How much a media type is wanted. The order of the fields is the order of comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Preference {
    quality: Quality,
    /// How exactly the client named it. Between equal weights the type that was named wins over the one that a wildcard
    /// lets in: `application/json, */*` asks for JSON, whatever is offered first.
    precision: usize,
}

impl<'b> Accept<'b> {
    /// Reads every `Accept` line. Without one, or where nothing in it can be read, anything is acceptable.
    #[must_use]
    pub fn of(fields: &Fields<'b>) -> Self {
        let lines = fields.all(FieldName::Accept).filter_map(|value| std::str::from_utf8(value).ok());
        let ranges = lines.flat_map(|line| split_unquoted(line, ',')).filter_map(MediaRange::parse);
        Self { ranges: ranges.take(RANGE_LIMIT).collect() }
    }

    /// The offer that the client likes best; the earlier one where it likes two alike. Offers are media types without
    /// white space, in lower case, most useful first. `None` if it likes none of them.
    #[must_use]
    pub fn choose<T: Copy>(&self, offers: &[(&str, T)]) -> Option<T> {
        let mut best: Option<(Preference, T)> = None;
        for (media_type, offer) in offers {
            let preference = self.preference(media_type);
            if preference.quality > 0 && best.is_none_or(|(most, _)| preference > most) {
                best = Some((preference, *offer));
            }
        }
        best.map(|(_, offer)| offer)
    }

    /// The weight of the most precise range that covers this type.
    fn preference(&self, media_type: &str) -> Preference {
        if self.ranges.is_empty() {
            return Preference { quality: FULL_QUALITY, precision: 0 };
        }
        let covering = self.ranges.iter().filter_map(|range| Some((range.precision(media_type)?, range.quality)));
        let (precision, quality) = covering.max().unwrap_or((0, 0));
        Preference { quality, precision }
    }
}

impl<'b> MediaRange<'b> {
    fn parse(text: &'b str) -> Option<Self> {
        let (range, parameters) = text.split_once(';').unwrap_or((text, ""));
        let (kind, subtype) = range.trim().split_once('/')?;
        let is_token =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        if !is_token(kind) || !is_token(subtype) || (kind == "*" && subtype != "*") {
            return None;
        }
        let weight = split_unquoted(parameters, ';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("q").then_some(value)
        });
        let quality = weight.map_or(Some(FULL_QUALITY), parse_quality)?;
        Some(Self { kind, subtype, parameters, quality })
    }

    /// How exactly this range names the type; `None` if it doesn't cover it.
    fn precision(&self, media_type: &str) -> Option<usize> {
        let (essence, offered) = media_type.split_once(';').unwrap_or((media_type, ""));
        let (kind, subtype) = essence.split_once('/')?;
        let names = if self.kind == "*" {
            0
        } else if !self.kind.eq_ignore_ascii_case(kind) {
            return None;
        } else if self.subtype == "*" {
            1
        } else if self.subtype.eq_ignore_ascii_case(subtype) {
            2
        } else {
            return None;
        };
        let is_weight = |parameter: &&str| parameter.get(..2).is_some_and(|name| name.eq_ignore_ascii_case("q="));
        let mut asked =
            split_unquoted(self.parameters, ';').filter(|parameter| !parameter.is_empty() && !is_weight(parameter));
        let has = |wanted: &str| split_unquoted(offered, ';').any(|parameter| parameter.eq_ignore_ascii_case(wanted));
        asked.try_fold(names, |precision, parameter| has(parameter).then_some(precision + 1))
    }
}

/// The trimmed pieces between delimiters that stand outside of quoted strings (RFC 9110 section 5.6.4).
fn split_unquoted(text: &str, delimiter: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let ends = move |letter: char| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        is_escaped = is_quoted && letter == '\\';
        is_quoted ^= letter == '"';
        !is_quoted && letter == delimiter
    };
    text.split(ends).map(|piece| piece.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERS: [(&str, &str); 3] = [("text/html", "html"), ("application/json", "json"), ("text/plain", "text")];

    fn choose(accept: &[&str]) -> Option<&'static str> {
        let mut fields = Fields::default();
        for line in accept {
            assert!(fields.push("Accept", line.as_bytes()));
        }
        Accept::of(&fields).choose(&OFFERS)
    }

    #[test]
    fn the_best_liked_offer_is_chosen() {
        let table: [(&[&str], Option<&str>); 22] = [
            (&[], Some("html")),
            (&[""], Some("html")),
            (&["*/*"], Some("html")),
            (&["application/json"], Some("json")),
            (&["APPLICATION/JSON"], Some("json")),
            (&["text/*"], Some("html")),
            (&["text/plain, text/*;q=0.5"], Some("text")),
            (&["text/html;q=0.5, application/json;q=0.9"], Some("json")),
            (&["text/html;q=0.5", "application/json;q=0.501"], Some("json")),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Some("html")),
            (&["application/json, text/plain, */*"], Some("json")),
            (&["*/*, application/json;q=0"], Some("html")),
            (&["*/*, text/html;q=0"], Some("json")),
            (&["*/*;q=0"], None),
            (&["image/png"], None),
            (&["text/html ; q=0.1 , text/plain ; Q=0.2"], Some("text")),
            (&["text/html;q=2, text/plain"], Some("text")),
            (&["text/html;q=0.1234, text/plain"], Some("text")),
            (&["text/html;q=1.001, text/plain"], Some("text")),
            (&["text/html;level=1, text/plain;q=0.1"], Some("text")),
            (&[r#"a/b;c="x,\",text/html,", application/json;q=0.1"#], Some("json")),
            (&["nonsense"], Some("html")),
        ];
        for (accept, expected) in table {
            assert_eq!(choose(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn parameters_of_an_offer_can_be_asked_for() {
        let mut fields = Fields::default();
        assert!(fields.push("Accept", b"text/html;charset=UTF-8, text/plain;q=0.9"));
        let accept = Accept::of(&fields);
        assert_eq!(accept.choose(&[("text/plain", 1), ("text/html;charset=utf-8", 2)]), Some(2));
        assert_eq!(accept.choose(&[("text/plain", 1), ("text/html", 2)]), Some(1));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(value in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut fields = Fields::default();
            fields.push("Accept", &value);
            let _ = Accept::of(&fields).choose(&OFFERS);
        }
    }
}
