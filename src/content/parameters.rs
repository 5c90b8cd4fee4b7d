//! The parameters of a query: each known, given once, and within its range, or a 400 that names it.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 400.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::message::{Refusal, Status};

/// How much of a bad value is repeated in the answer.
const SHOWN_CHARS: usize = 60;

/// The parameters that a client gave.
#[derive(Debug)]
pub(super) struct Parameters<'q> {
    given: Vec<(&'static str, Cow<'q, str>)>,
}

/// What becomes of a parameter that nobody knows here.
#[derive(Clone, Copy)]
enum Unknown {
    Refused,
    Ignored,
}

impl<'q> Parameters<'q> {
    /// Reads a query in which only these names may occur, each once: a misspelt name must not pass for its default.
    pub(super) fn read(query: Option<&'q str>, known: &[&'static str]) -> Result<Self, Refusal> {
        Self::parse(query, known, Unknown::Refused)
    }

    /// Reads these of the parameters of a query that may be meant for others as well.
    pub(super) fn read_some(query: Option<&'q str>, known: &[&'static str]) -> Result<Self, Refusal> {
        Self::parse(query, known, Unknown::Ignored)
    }

    fn parse(query: Option<&'q str>, known: &[&'static str], unknown: Unknown) -> Result<Self, Refusal> {
        let mut given: Vec<(&'static str, Cow<'q, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let Some(&name) = known.iter().find(|candidate| **candidate == name) else {
                match unknown {
                    Unknown::Ignored => continue,
                    Unknown::Refused => return Err(no_such(&name, known)),
                }
            };
            if given.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Refusal::new(Status::BAD_REQUEST, format!("The parameter “{name}” is given twice.")));
            }
            given.push((name, value));
        }
        Ok(Self { given })
    }

    /// The value of a parameter, where it is given.
    fn find(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_ref())
    }

    /// A number within a range; `None` where the parameter is not given.
    pub(super) fn number<T>(&self, name: &str, range: &RangeInclusive<T>) -> Result<Option<T>, Refusal>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.find(name) else { return Ok(None) };
        // A NaN is in no range.
        match text.parse().ok().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(bad_value(name, text, &format!("a number from {} to {}", range.start(), range.end()))),
        }
    }

    /// One of a few words; `None` where the parameter is not given.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        let Some(text) = self.find(name) else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(bad_value(name, text, &format!("one of: {}", words.join(", "))))
            }
        }
    }
}

fn no_such(name: &str, known: &[&str]) -> Refusal {
    let detail = format!("There is no parameter “{}” here; known are: {}.", shortened(name), known.join(", "));
    Refusal::new(Status::BAD_REQUEST, detail)
}

fn bad_value(name: &str, value: &str, right: &str) -> Refusal {
    let detail = format!("The parameter “{name}” can't be “{}”; it must be {right}.", shortened(value));
    Refusal::new(Status::BAD_REQUEST, detail)
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(query: &str) -> Result<Option<u32>, String> {
        let refused = |refusal: Refusal| {
            assert_eq!(refusal.status, Status::BAD_REQUEST);
            refusal.detail.into_owned()
        };
        let parameters = Parameters::read(Some(query), &["width", "scale"]).map_err(refused)?;
        parameters.number("width", &(1..=4096)).map_err(refused)
    }

    #[test]
    fn a_value_is_taken_or_refused_by_name() {
        assert_eq!(width(""), Ok(None));
        assert_eq!(width("scale=1"), Ok(None));
        assert_eq!(width("width=1&"), Ok(Some(1)));
        assert_eq!(width("w%69dth=4096"), Ok(Some(4096)));
        for bad in ["0", "4097", "-1", "", "1.5", "99999999999999999999", "abc", "NaN"] {
            let detail = width(&format!("width={bad}")).unwrap_err();
            assert!(detail.contains("width") && detail.contains("1 to 4096"), "{detail}");
            assert!(detail.contains(&format!("“{bad}”")), "{detail}");
        }
        assert!(width("width=1&width=1").unwrap_err().contains("twice"));
        assert!(width("widht=1").unwrap_err().contains("widht"));
        let some = Parameters::read_some(Some("widht=1&width=2&widht=1"), &["width"]).unwrap();
        assert_eq!(some.number("width", &(1..=9)), Ok(Some(2)));
        assert!(width(&format!("width={}", "ü".repeat(5000))).unwrap_err().len() < 300);
    }

    #[test]
    fn a_number_that_is_none_is_in_no_range() {
        for bad in ["NaN", "inf", "-inf", "1e9"] {
            let query = format!("scale={bad}");
            let parameters = Parameters::read(Some(&query), &["scale"]).unwrap();
            parameters.number("scale", &(1.0..=1000.0)).unwrap_err();
        }
    }

    #[test]
    fn a_word_is_one_of_those_offered() {
        let parameters = Parameters::read(Some("format=png"), &["format"]).unwrap();
        assert_eq!(parameters.word("format", &[("png", 1)]), Ok(Some(1)));
        assert!(parameters.word("format", &[("text", 1), ("html", 2)]).unwrap_err().detail.contains("text, html"));
        assert_eq!(parameters.word("other", &[("png", 1)]), Ok(None));
    }
}
