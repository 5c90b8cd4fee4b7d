//! Files in the place of the built-in error pages, `[error_pages]`, and the page for paths at which nothing is.
//! Process: both. Trusts: the operator. Fails with: words that say what would be right.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::scalar::{Scalar, scalars};
use super::values::path_below_root;

/// Which file is shown for which status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorPages(BTreeMap<u16, String>);

impl ErrorPages {
    /// The path of the file beneath the root, if there is one for this status.
    #[must_use]
    pub fn find(&self, status: u16) -> Option<&str> {
        self.0.get(&status).map(String::as_str)
    }
}

/// What was said of error pages; `off` takes one back that stood before.
#[derive(Default)]
pub(super) struct RawErrorPages(Vec<(u16, Option<String>)>);

impl RawErrorPages {
    /// Pages are added to those that stand already.
    pub(super) fn apply_to(self, pages: &mut ErrorPages) {
        for (status, page) in self.0 {
            match page {
                Some(page) => pages.0.insert(status, page),
                None => pages.0.remove(&status),
            };
        }
    }
}

/// The path of a page: it must name a file that may be served.
pub(super) struct PagePath(String);

impl Scalar for PagePath {
    const EXPECTED: &'static str = "the path of a file beneath the root, such as \"/404.html\"";

    fn from_text(text: &str) -> Result<Self, String> {
        path_below_root(text)?;
        if text.ends_with('/') {
            return Err(format!("{text:?} is a folder; write {}", Self::EXPECTED));
        }
        if text.contains("/.") {
            return Err(format!("{text:?} is hidden, and hidden files are not served; write {}", Self::EXPECTED));
        }
        Ok(Self(text.to_owned()))
    }
}

/// `off` is how `--set` takes back what a file says.
struct PageOrOff(Option<String>);

impl Scalar for PageOrOff {
    const EXPECTED: &'static str = PagePath::EXPECTED;

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "off" { Ok(Self(None)) } else { PagePath::from_text(text).map(|path| Self(Some(path.0))) }
    }
}

scalars!(PagePath, PageOrOff);

impl From<PagePath> for Option<String> {
    fn from(path: PagePath) -> Self {
        Some(path.0)
    }
}

/// The statuses that a retrieval can be answered with after its site is known. What comes earlier, as a 400 for a head
/// that is no request, belongs to no site.
const STATUSES: [u16; 9] = [400, 403, 404, 405, 406, 412, 416, 500, 503];

struct ErrorPagesVisitor;

impl<'de> Visitor<'de> for ErrorPagesVisitor {
    type Value = RawErrorPages;

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        words.write_str("a table of statuses, such as { 404 = \"/404.html\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawErrorPages, A::Error> {
        let mut pages = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let status = key.parse().ok().filter(|status| STATUSES.contains(status)).ok_or_else(|| {
                let known = STATUSES.map(|status| status.to_string()).join(", ");
                A::Error::custom(format!("{key:?} is no status that a page can be shown for; write one of {known}"))
            })?;
            pages.push((status, map.next_value::<PageOrOff>()?.0));
        }
        Ok(RawErrorPages(pages))
    }
}

impl<'de> Deserialize<'de> for RawErrorPages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ErrorPagesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(text: &str) -> Result<ErrorPages, String> {
        let raw = toml::from_str::<RawErrorPages>(text).map_err(|error| error.message().to_owned())?;
        let mut pages = ErrorPages(BTreeMap::from([(403, "/no.html".to_owned())]));
        raw.apply_to(&mut pages);
        Ok(pages)
    }

    #[test]
    fn pages_are_added_and_taken_back() {
        let all = pages("404 = '/404.html'\n'500' = '/e/500.html'").unwrap();
        assert_eq!((all.find(404), all.find(500)), (Some("/404.html"), Some("/e/500.html")));
        assert_eq!((all.find(403), all.find(405)), (Some("/no.html"), None));
        assert_eq!(pages("403 = 'off'").unwrap(), ErrorPages::default());
    }

    // Stated twice because this layer lies below `message`.
    #[test]
    fn every_status_is_one_that_is_sent() {
        let sent = |code| crate::message::Status::from_code(code).is_some_and(|status| status.is_error());
        assert!(STATUSES.into_iter().all(sent));
    }

    #[test]
    fn what_is_never_shown_is_refused_in_words() {
        for (text, words) in [
            ("200 = '/a'", "one of 400, 403"),
            ("xyz = '/a'", "one of 400, 403"),
            ("404 = 'a'", "begin with `/`"),
            ("404 = '/a/'", "folder"),
            ("404 = '/.a'", "hidden"),
            ("404 = '/a/../b'", "`..`"),
            ("404 = 404", "path of a file"),
        ] {
            let error = pages(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
