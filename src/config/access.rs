//! Who may do what: the table `[[access]]`.
//! Process: both. Trusts: the operator. Fails with: words that say what would be right.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::scalar::{Many, Scalar, one_of, scalars};
use super::values::path_below_root;

/// Something a client may do with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// See the names in a folder.
    List,
    /// Read a file.
    Read,
    /// Make a new file.
    Create,
    /// Replace a file that exists.
    Replace,
    /// Remove a file.
    Delete,
}

/// A set of verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verbs(u8);

impl Verbs {
    /// No verb.
    pub const NONE: Self = Self(0);

    /// This set and `verb`.
    #[must_use]
    pub const fn with(self, verb: Verb) -> Self {
        Self(self.0 | 1 << (verb as u8))
    }

    /// Is `verb` one of them?
    #[must_use]
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & (1 << (verb as u8)) != 0
    }

    /// Is it possible to change anything with these?
    #[must_use]
    pub const fn can_write(self) -> bool {
        self.contains(Verb::Create) || self.contains(Verb::Replace) || self.contains(Verb::Delete)
    }
}

/// A path and what is allowed at it and below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Begins and ends with `/`.
    pub path: String,
    /// What is allowed.
    pub allow: Verbs,
}

/// All access rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessRules {
    /// Longest path first, so that the first match decides.
    rules: Vec<AccessRule>,
}

impl AccessRules {
    /// Orders the rules so that the longest matching path decides.
    #[must_use]
    pub fn new(mut rules: Vec<AccessRule>) -> Self {
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.path.len()));
        Self { rules }
    }

    /// What is allowed at this decoded path (it begins with `/`; a folder's own path may lack the last slash).
    #[must_use]
    pub fn verbs(&self, path: &[u8]) -> Verbs {
        let covers = |rule: &&AccessRule| {
            let prefix = rule.path.as_bytes();
            path.starts_with(prefix) || prefix.strip_suffix(b"/") == Some(path)
        };
        self.rules.iter().find(covers).map_or(Verbs::NONE, |rule| rule.allow)
    }

    /// May anyone change anything anywhere? Decides whether workers get any right to write.
    #[must_use]
    pub fn can_write(&self) -> bool {
        self.rules.iter().any(|rule| rule.allow.can_write())
    }

    /// The rules, longest path first.
    #[must_use]
    pub fn rules(&self) -> &[AccessRule] {
        &self.rules
    }
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    path: AccessPath,
    allow: Many<Verb>,
}

/// The keys of a rule.
pub(super) const RULE_KEYS: [&str; 2] = ["path", "allow"];

/// A path of a rule; the slash at its end may be left out.
struct AccessPath(String);

impl Scalar for AccessPath {
    const EXPECTED: &'static str = "a path below the root, such as \"/incoming/\"";

    fn from_text(text: &str) -> Result<Self, String> {
        path_below_root(text)?;
        Ok(Self(if text.ends_with('/') { text.to_owned() } else { format!("{text}/") }))
    }
}

impl Scalar for Verb {
    const EXPECTED: &'static str = "one of \"list\", \"read\", \"create\", \"replace\", \"delete\"";

    fn from_text(text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[
                ("list", Self::List),
                ("read", Self::Read),
                ("create", Self::Create),
                ("replace", Self::Replace),
                ("delete", Self::Delete),
            ],
        )
    }
}

scalars!(AccessPath, Verb);

impl From<RawRule> for AccessRule {
    fn from(raw: RawRule) -> Self {
        let verbs: Vec<Verb> = raw.allow.into();
        Self { path: raw.path.0, allow: verbs.into_iter().fold(Verbs::NONE, Verbs::with) }
    }
}

/// A path that stands twice would leave it to the order of the lines who wins, so it is refused.
struct RulesVisitor;

impl<'de> Visitor<'de> for RulesVisitor {
    type Value = AccessRules;

    fn expecting(&self, words: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        words.write_str("a list of rules, each a table [[access]] with path and allow")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<AccessRules, A::Error> {
        let mut rules: Vec<AccessRule> = Vec::new();
        while let Some(raw) = list.next_element::<RawRule>()? {
            let rule = AccessRule::from(raw);
            if rules.iter().any(|other| other.path == rule.path) {
                let path = rule.path;
                return Err(A::Error::custom(format!(
                    "there are two rules for {path:?}; write one with all its verbs"
                )));
            }
            rules.push(rule);
        }
        Ok(AccessRules::new(rules))
    }
}

impl<'de> Deserialize<'de> for AccessRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RulesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<AccessRules, String> {
        #[derive(Deserialize)]
        struct Document {
            access: AccessRules,
        }
        let document = toml::from_str::<Document>(text).map_err(|error| error.message().to_owned())?;
        Ok(document.access)
    }

    #[test]
    fn the_longest_matching_path_decides() {
        let rules = rules(
            r#"access = [
                { path = "/", allow = ["list", "read"] },
                { path = "/in", allow = "create" },
                { path = "/in/closed/", allow = [] },
            ]"#,
        )
        .unwrap();
        assert!(rules.verbs(b"/a").contains(Verb::Read));
        assert!(rules.verbs(b"/inside").contains(Verb::List));
        assert_eq!(rules.verbs(b"/in"), Verbs::NONE.with(Verb::Create));
        assert_eq!(rules.verbs(b"/in/a/b"), Verbs::NONE.with(Verb::Create));
        assert_eq!(rules.verbs(b"/in/closed/x"), Verbs::NONE);
        assert!(rules.can_write());
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (text, words) in [
            (r#"access = [{ path = "in", allow = [] }]"#, "begin with `/`"),
            (r#"access = [{ path = "/a/../b", allow = [] }]"#, "`..`"),
            (r#"access = [{ path = "/a//b", allow = [] }]"#, "`//`"),
            (r#"access = [{ path = "/a", allow = ["write"] }]"#, "\"replace\""),
            (r#"access = [{ path = "/a", allow = [] }, { path = "/a/", allow = [] }]"#, "two rules"),
            (r#"access = [{ path = "/a" }]"#, "allow"),
            (r#"access = [{ path = "/a", allow = [], deny = [] }]"#, "deny"),
        ] {
            let error = rules(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
