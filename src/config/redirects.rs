//! Paths that lead elsewhere: the table `[redirects]`.
//! Process: both. Trusts: the operator. Fails with: words that say what would be right.

use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::percent_decode_str;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::scalar::{Scalar, scalars};
use super::values::path_below_root;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The path that is asked for, decoded. Of a prefix all up to its `*`, so that it ends with `/`.
    pub from: String,
    /// Does it stand for every path that begins so?
    pub is_prefix: bool,
    /// Where to: a path or an absolute URI, in the form that is sent. Without the `*`.
    pub to: String,
    /// Is what matched the `*` appended to it?
    pub keeps_rest: bool,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// All redirects of a site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redirects {
    /// The longest first, and an exact path before the prefix of the same length.
    list: Vec<Redirect>,
}

impl Redirects {
    /// The redirect of this decoded path, and what of the path its `*` stands for. The longest one decides.
    #[must_use]
    pub fn find<'p>(&self, path: &'p [u8]) -> Option<(&Redirect, &'p [u8])> {
        self.list.iter().find_map(|redirect| {
            let rest = path.strip_prefix(redirect.from.as_bytes())?;
            (redirect.is_prefix || rest.is_empty()).then_some((redirect, rest))
        })
    }

    /// A redirect that, on its own server, would send a client round in circles.
    pub(super) fn first_loop(&self) -> Option<&Redirect> {
        self.list.iter().find(|redirect| {
            // Any rest does: a circle for this one is a circle for all.
            let mut path = if redirect.is_prefix { format!("{}x", redirect.from) } else { redirect.from.clone() };
            // More steps than redirects use one of them twice; a prefix that grows the path is a circle as well.
            for _ in 0..=self.list.len() {
                let Some((next, rest)) = self.find(path.as_bytes()) else { return false };
                let rest = if next.keeps_rest { String::from_utf8_lossy(rest) } else { "".into() };
                // The client asks for it in escapes, as it is sent; what is looked up is decoded.
                let sent = percent_decode_str(without_query(&next.to)).decode_utf8_lossy();
                path = [&*sent, &rest].concat();
            }
            true
        })
    }

    fn insert(&mut self, redirect: Redirect) {
        self.remove(&redirect.from, redirect.is_prefix);
        self.list.push(redirect);
        self.list.sort_by_key(|redirect| (std::cmp::Reverse(redirect.from.len()), redirect.is_prefix));
    }

    fn remove(&mut self, from: &str, is_prefix: bool) {
        self.list.retain(|other| other.from != from || other.is_prefix != is_prefix);
    }
}

impl Redirect {
    /// The key as it is written.
    pub(super) fn key(&self) -> String {
        format!("{}{}", self.from, if self.is_prefix { "*" } else { "" })
    }
}

fn without_query(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

/// What was said of redirects; `off` takes one back that stood before.
#[derive(Default)]
pub(super) struct RawRedirects(BTreeMap<FromPath, Target>);

impl RawRedirects {
    /// Redirects are added to those that stand already.
    pub(super) fn apply_to(self, redirects: &mut Redirects) {
        for (FromPath { path, is_prefix }, target) in self.0 {
            match target {
                Target::Off => redirects.remove(&path, is_prefix),
                Target::To { to, keeps_rest, status } => {
                    redirects.insert(Redirect { from: path, is_prefix, to, keeps_rest, status });
                }
            }
        }
    }
}

/// The path of a redirect.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct FromPath {
    path: String,
    is_prefix: bool,
}

impl Scalar for FromPath {
    const EXPECTED: &'static str = "a path such as \"/old\", or \"/old/*\" for all below it";

    fn from_text(text: &str) -> Result<Self, String> {
        let (path, is_prefix) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        path_below_root(path)?;
        // `/a*` with `/b/*` would make `//evil.example` of `/a/evil.example`: another server.
        if path.contains('*') || (is_prefix && !path.ends_with('/')) {
            return Err(format!("in {text:?} a `*` may only stand at the end, after a `/`; write {}", Self::EXPECTED));
        }
        Ok(Self { path: path.to_owned(), is_prefix })
    }
}

/// Where a redirect leads.
enum Target {
    To { to: String, keeps_rest: bool, status: u16 },
    Off,
}

/// As the redirect of a folder to its address with a slash: permanent, and the method stays.
const DEFAULT_STATUS: u16 = 308;

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// The address in the form that is sent.
struct Address(String);

impl Scalar for Address {
    const EXPECTED: &'static str = "a path such as \"/new\" or an address such as \"https://www.example.org/new\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} leads nowhere: {why}; write {}", Self::EXPECTED));
        // A backslash is a slash to browsers, so `/\evil.example` would be another server.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
            return wrong("such characters are percent-encoded in an address");
        }
        let path = without_query(text);
        if ["/./", "/../"].iter().any(|dots| path.contains(dots)) || path.ends_with("/.") || path.ends_with("/..") {
            return wrong("clients resolve `.` and `..` before they ask; write the path that is meant");
        }
        let has_host = ["http://", "https://"].iter().any(|scheme| {
            let rest = text.strip_prefix(scheme);
            rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '['))
        });
        if !has_host && (!text.starts_with('/') || text.starts_with("//")) {
            return wrong("it is neither a path of this site nor an http or https address");
        }
        match text.find('*') {
            Some(at) if at + 1 != text.len() || !text.ends_with("/*") || text.contains(['?', '#']) => {
                wrong("a `*` may only stand at its end, after a `/`, and not in a query")
            }
            Some(_) | None => Ok(Self(text.to_owned())),
        }
    }
}

/// The status as it is written.
struct StatusCode(u16);

impl Scalar for StatusCode {
    const EXPECTED: &'static str = "one of 301, 302, 303, 307, 308";

    fn from_text(text: &str) -> Result<Self, String> {
        Err(format!("{text:?} is no status of a redirect; write {}, without quotes", Self::EXPECTED))
    }

    fn from_integer(number: u64) -> Option<Self> {
        u16::try_from(number).ok().filter(|status| STATUSES.contains(status)).map(Self)
    }
}

scalars!(FromPath, Address, StatusCode);

impl Target {
    fn new(to: String, status: u16) -> Self {
        match to.strip_suffix('*') {
            Some(base) => Self::To { to: base.to_owned(), keeps_rest: true, status },
            None => Self::To { to, keeps_rest: false, status },
        }
    }
}

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(words, "{}, or a table {{ to = …, status = … }}", Address::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Target, E> {
        if text == "off" {
            return Ok(Target::Off);
        }
        Address::from_text(text).map(|to| Target::new(to.0, DEFAULT_STATUS)).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            to: Address,
            status: Option<StatusCode>,
        }
        let Table { to, status } = Table::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Target::new(to.0, status.map_or(DEFAULT_STATUS, |status| status.0)))
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetVisitor)
    }
}

struct RedirectsVisitor;

impl<'de> Visitor<'de> for RedirectsVisitor {
    type Value = RawRedirects;

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        words.write_str("a table of paths, such as { \"/old\" = \"/new\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawRedirects, A::Error> {
        let mut redirects = BTreeMap::new();
        while let Some((from, target)) = map.next_entry::<FromPath, Target>()? {
            if let Target::To { keeps_rest: true, .. } = target
                && !from.is_prefix
            {
                let path = from.path;
                return Err(A::Error::custom(format!(
                    "the `*` in the target of {path:?} has nothing to stand for; write one in the path too"
                )));
            }
            redirects.insert(from, target);
        }
        Ok(RawRedirects(redirects))
    }
}

impl<'de> Deserialize<'de> for RawRedirects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RedirectsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirects(text: &str) -> Result<Redirects, String> {
        let raw = toml::from_str::<RawRedirects>(text).map_err(|error| error.message().to_owned())?;
        let mut redirects = Redirects::default();
        raw.apply_to(&mut redirects);
        Ok(redirects)
    }

    #[test]
    fn the_longest_path_decides() {
        let text =
            "'/a' = '/x'\n'/a/*' = {to = '/y/*', status = 302}\n'/a/b/*' = 'https://h.example/*'\n'/a/b/' = '/z'";
        let redirects = redirects(text).unwrap();
        let found = |path: &'static str| {
            let (redirect, rest) = redirects.find(path.as_bytes())?;
            Some((redirect.to.as_str(), std::str::from_utf8(rest).unwrap(), redirect.status))
        };
        assert_eq!(found("/a"), Some(("/x", "", 308)));
        assert_eq!(found("/a/"), Some(("/y/", "", 302)));
        assert_eq!(found("/a/c/d"), Some(("/y/", "c/d", 302)));
        assert_eq!(found("/a/b"), Some(("/y/", "b", 302)));
        assert_eq!(found("/a/b/"), Some(("/z", "", 308)));
        assert_eq!(found("/a/b/c"), Some(("https://h.example/", "c", 308)));
        assert_eq!(found("/ab"), None);
    }

    #[test]
    fn a_redirect_can_be_taken_back() {
        let mut all = redirects("'/a' = '/x'\n'/b' = '/y'").unwrap();
        toml::from_str::<RawRedirects>("'/a' = 'off'\n'/b' = '/z'").unwrap().apply_to(&mut all);
        assert_eq!(all.find(b"/a"), None);
        assert_eq!(all.find(b"/b").unwrap().0.to, "/z");
    }

    #[test]
    fn what_could_lead_astray_is_refused_in_words() {
        for (text, words) in [
            ("'a' = '/x'", "begin with `/`"),
            ("'/a*' = '/x/*'", "after a `/`"),
            ("'/a/*/b' = '/x'", "at the end"),
            ("'/a' = '//evil.example/'", "neither a path"),
            ("'/a' = '/\\evil.example/'", "percent-encoded"),
            ("'/a' = 'https://'", "neither a path"),
            ("'/a' = 'javascript:alert(1)'", "neither a path"),
            ("'/a' = 'x'", "neither a path"),
            ("'/a' = '/b c'", "percent-encoded"),
            ("'/a' = '/./a'", "resolve"),
            ("'/a' = '/b/..'", "resolve"),
            ("'/a' = '/b/*'", "nothing to stand for"),
            ("'/a/*' = '/b*'", "after a `/`"),
            ("'/a/*' = '/b/*?c'", "at its end"),
            ("'/a' = { to = '/b', status = 200 }", "301, 302"),
            ("'/a' = { status = 301 }", "to"),
            ("'/a' = { to = '/b', code = 301 }", "code"),
            ("'/a' = 1", "a path such as"),
        ] {
            let error = redirects(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn circles_are_found() {
        for circle in [
            "'/a' = '/a'",
            "'/a' = '/b?x=1'\n'/b' = '/a#f'",
            "'/a/*' = '/a/b/*'",
            "'/*' = '/new/*'",
            "'/a/*' = '/b/*'\n'/b/*' = '/a/*'",
            "'/a/*' = '/b/*'\n'/b/y' = '/a/y'",
            "'/a b' = '/a%20b'",
        ] {
            assert!(redirects(circle).unwrap().first_loop().is_some(), "{circle}");
        }
        for line in ["'/a' = '/b'\n'/b' = '/c'", "'/*' = 'https://h.example/*'", "'/a/*' = '/b'", "'/a' = '/a/'"] {
            assert_eq!(redirects(line).unwrap().first_loop(), None, "{line}");
        }
    }
}
