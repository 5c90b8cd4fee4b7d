//! Fields that are added to answers, by path: the table `[[fields]]`.
//! Process: both. Trusts: the operator. Fails with: words that say what would be right.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scalar::{Scalar, scalars};
use super::values::path_below_root;

/// A path and the fields of what is at it and below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRule {
    /// Begins and ends with `/`.
    pub path: String,
    /// Names and values.
    pub set: Vec<(String, String)>,
}

/// The fields of one path, those of the paths above it among them, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedFields {
    path: String,
    names: Vec<String>,
    lines: String,
    /// Do they tell caches what to do, and not that what is for some must not be kept for others?
    lets_keep: bool,
}

impl FixedFields {
    /// `Name: value` and CRLF of each.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        self.lines.as_bytes()
    }

    /// Is there a Cache-Control that would let a shared cache keep what is not for all?
    #[must_use]
    pub fn lets_shared_caches_keep(&self) -> bool {
        self.lets_keep
    }

    /// Is there one of this name? Then it takes the place of what a provider would send.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|other| other.eq_ignore_ascii_case(name))
    }
}

/// Which of a site's rules, so that it can be kept without a copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldsId(usize);

/// All rules of a site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldRules {
    /// As they are written, for those who read the configuration.
    rules: Vec<FieldRule>,
    /// Longest path first, so that the first match has them all.
    fixed: Vec<FixedFields>,
}

impl FieldRules {
    /// Joins each rule with those of the paths above it; of two values for a name the one with the longer path holds.
    #[must_use]
    pub fn new(mut rules: Vec<FieldRule>) -> Self {
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.path.len()));
        let fixed = rules.iter().map(|rule| join(rule, &rules)).collect();
        Self { rules, fixed }
    }

    /// The rule of this decoded path; a folder's own path may lack the last slash.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<FieldsId> {
        let covers = |fixed: &FixedFields| covers(&fixed.path, path);
        self.fixed.iter().position(covers).map(FieldsId)
    }

    /// The fields of a rule.
    #[must_use]
    pub fn get(&self, id: FieldsId) -> Option<&FixedFields> {
        self.fixed.get(id.0)
    }

    /// The rules, longest path first.
    #[must_use]
    pub fn rules(&self) -> &[FieldRule] {
        &self.rules
    }
}

fn covers(prefix: &str, path: &[u8]) -> bool {
    path.starts_with(prefix.as_bytes()) || prefix.strip_suffix('/').map(str::as_bytes) == Some(path)
}

fn join(rule: &FieldRule, longest_first: &[FieldRule]) -> FixedFields {
    let mut fixed = FixedFields { path: rule.path.clone(), names: Vec::new(), lines: String::new(), lets_keep: false };
    let above = longest_first.iter().filter(|other| covers(&other.path, rule.path.as_bytes()));
    for (name, value) in above.flat_map(|other| &other.set) {
        if !fixed.contains(name) {
            fixed.names.push(name.clone());
            fixed.lines.extend([name, ": ", value, "\r\n"]);
            fixed.lets_keep |= name.eq_ignore_ascii_case("Cache-Control") && !keeps_from_others(value);
        }
    }
    fixed
}

/// Only the bare word counts: `private="a-field"` is about that field (RFC 9111 section 5.2.2.7).
fn keeps_from_others(cache_control: &str) -> bool {
    let is_word = |word: &str| ["private", "no-store"].iter().any(|it| it.eq_ignore_ascii_case(word));
    cache_control.split(',').any(|word| is_word(word.trim()))
}

/// What fileserv writes by itself, in every answer or where it is true: a second one, or one that is not true, would
/// break the framing, a cache or a download.
const OWN: [&str; 26] = [
    "Accept-Ranges",
    "Age",
    "Allow",
    "Connection",
    "Content-Digest",
    "Content-Encoding",
    "Content-Length",
    "Content-Location",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Keep-Alive",
    "Last-Modified",
    "Location",
    "Proxy-Authenticate",
    "Proxy-Connection",
    "Repr-Digest",
    "Retry-After",
    "Server",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Vary",
    "X-Content-Type-Options",
];

/// The name of a field (RFC 9110 section 5.1).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(String);

impl Scalar for Name {
    const EXPECTED: &'static str = "the name of a field, such as \"Cache-Control\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_token) {
            return Err(format!("{text:?} has letters that no field name may have; write {}", Self::EXPECTED));
        }
        if let Some(own) = OWN.iter().find(|own| own.eq_ignore_ascii_case(text)) {
            return Err(format!("fileserv writes {own} itself, where it is true; it can't be set"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The value of a field (RFC 9110 section 5.5).
struct Value(String);

impl Scalar for Value {
    const EXPECTED: &'static str = "the value of a field, such as \"max-age=3600\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.contains(char::is_control) {
            return Err(format!("{text:?} has a control character; a value is one line"));
        }
        if text.trim() != text {
            return Err(format!("{text:?} has white space at an end, which is no part of a value; leave it out"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The path of a rule; the slash at its end may be left out.
struct Path(String);

impl Scalar for Path {
    const EXPECTED: &'static str = "a path below the root, such as \"/assets/\"";

    fn from_text(text: &str) -> Result<Self, String> {
        path_below_root(text)?;
        Ok(Self(if text.ends_with('/') { text.to_owned() } else { format!("{text}/") }))
    }
}

scalars!(Name, Value, Path);

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFieldRule {
    path: Path,
    set: BTreeMap<Name, Value>,
}

/// The keys of a rule.
pub(super) const RULE_KEYS: [&str; 2] = ["path", "set"];

impl From<RawFieldRule> for FieldRule {
    fn from(raw: RawFieldRule) -> Self {
        Self { path: raw.path.0, set: raw.set.into_iter().map(|(name, value)| (name.0, value.0)).collect() }
    }
}

/// The rules as they are written.
#[derive(Deserialize)]
pub(super) struct RawFieldRules(Vec<RawFieldRule>);

impl From<RawFieldRules> for FieldRules {
    fn from(raw: RawFieldRules) -> Self {
        Self::new(raw.0.into_iter().map(FieldRule::from).collect())
    }
}

/// A name that is given twice: for one path, or in one rule in two spellings.
pub(super) fn first_repeated(rules: &[FieldRule]) -> Option<(&str, &str)> {
    let all =
        || rules.iter().flat_map(|rule| rule.set.iter().map(move |(name, _)| (rule.path.as_str(), name.as_str())));
    let is_same = |one: (&str, &str), other: (&str, &str)| one.0 == other.0 && one.1.eq_ignore_ascii_case(other.1);
    all().enumerate().find(|(index, one)| all().take(*index).any(|earlier| is_same(earlier, *one))).map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<FieldRules, String> {
        #[derive(Deserialize)]
        struct Document {
            fields: RawFieldRules,
        }
        let document = toml::from_str::<Document>(text).map_err(|error| error.message().to_owned())?;
        Ok(document.fields.into())
    }

    #[test]
    fn a_path_has_the_fields_of_the_paths_above_it() {
        let rules = rules(
            r#"fields = [
                { path = "/", set = { "Cache-Control" = "no-cache", "X-A" = "1" } },
                { path = "/assets", set = { "cache-control" = "max-age=9" } },
            ]"#,
        )
        .unwrap();
        let lines = |path: &[u8]| {
            let fixed = rules.find(path).and_then(|id| rules.get(id)).unwrap();
            std::str::from_utf8(fixed.lines()).unwrap()
        };
        assert_eq!(lines(b"/assets"), "cache-control: max-age=9\r\nX-A: 1\r\n");
        assert_eq!(lines(b"/assets/a/b.js"), lines(b"/assets"));
        assert_eq!(lines(b"/assets2"), "Cache-Control: no-cache\r\nX-A: 1\r\n");
        assert_eq!(FieldRules::default().find(b"/"), None);
        let fixed = rules.find(b"/").and_then(|id| rules.get(id)).unwrap();
        assert!(fixed.contains("CACHE-control") && !fixed.contains("X-B"));
    }

    #[test]
    fn what_fileserv_writes_itself_or_nobody_may_write_is_refused_in_words() {
        for (set, words) in [
            (r#""content-length" = "5""#, "fileserv writes Content-Length itself"),
            (r#""Etag" = "x""#, "fileserv writes ETag itself"),
            (r#""" = "x""#, "no field name"),
            (r#""X A" = "x""#, "no field name"),
            (r#""X:" = "x""#, "no field name"),
            (r#""X" = "a\r\nSet-Cookie: b""#, "control character"),
            (r#""X" = " a""#, "white space"),
            (r#""X" = 1"#, "the value of a field"),
        ] {
            let error = rules(&format!("fields = [{{ path = \"/\", set = {{ {set} }} }}]")).unwrap_err();
            assert!(error.contains(words), "{set}: {error}");
        }
        assert!(rules(r#"fields = [{ path = "a", set = {} }]"#).is_err_and(|error| error.contains("begin with")));
        assert!(rules(r#"fields = [{ path = "/" }]"#).is_err_and(|error| error.contains("set")));
    }

    #[test]
    fn a_name_given_twice_is_found() {
        let twice = |text: &str| first_repeated(rules(text).unwrap().rules()).is_some();
        assert!(twice(r#"fields = [{ path = "/", set = { "A" = "1", "a" = "2" } }]"#));
        assert!(twice(r#"fields = [{ path = "/b", set = { A = "1" } }, { path = "/b/", set = { a = "1" } }]"#));
        assert!(!twice(r#"fields = [{ path = "/", set = { A = "1" } }, { path = "/b/", set = { a = "1" } }]"#));
    }
}
