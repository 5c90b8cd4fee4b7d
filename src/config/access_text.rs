//! How the table `[[access]]` is written.
//! Process: supervisor. Trusts: the operator. Fails with: words that say what would be right.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::networks::Network;
use super::scalar::{Many, Scalar, one_of, scalars};
use super::values::path_below_root;
use super::{AccessRule, AccessRules, Networks, Users, Verb, Verbs};

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    path: AccessPath,
    allow: Many<Verb>,
    #[serde(default)]
    users: Users,
    clients: Option<Many<Network>>,
}

/// The keys of a rule.
pub(super) const RULE_KEYS: [&str; 4] = ["path", "allow", "users", "clients"];

/// A name in a list of users.
struct UserName(String);

impl Scalar for UserName {
    const EXPECTED: &'static str = "the name of a user, such as \"alice\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "any" {
            let words = "\"any\" stands for every user, so it stands alone; write users = \"any\", or names";
            return Err(words.to_owned());
        }
        if text.is_empty() || text.contains([':', '\0']) || text.contains(char::is_control) {
            return Err(format!("{text:?} can't be the name of a user; write {}, without `:`", Self::EXPECTED));
        }
        Ok(Self(text.to_owned()))
    }
}

struct UsersVisitor;

impl<'de> Visitor<'de> for UsersVisitor {
    type Value = Users;

    fn expecting(&self, words: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        words.write_str("\"any\" for every user, or a list of names such as [\"alice\", \"bob\"]")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Users, E> {
        match text {
            "any" => Ok(Users::Any),
            name => UserName::from_text(name).map(|name| Users::Named(vec![name.0])).map_err(E::custom),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Users, A::Error> {
        let mut names = Vec::new();
        while let Some(UserName(name)) = list.next_element()? {
            names.push(name);
        }
        if names.is_empty() {
            let words =
                "an empty list names nobody; write names, or \"any\" for every user, or leave users out for everybody";
            return Err(A::Error::custom(words));
        }
        names.sort_unstable();
        names.dedup();
        Ok(Users::Named(names))
    }
}

impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UsersVisitor)
    }
}

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

scalars!(AccessPath, UserName, Verb);

impl From<RawRule> for AccessRule {
    fn from(raw: RawRule) -> Self {
        let verbs: Vec<Verb> = raw.allow.into();
        let allow = verbs.into_iter().fold(Verbs::NONE, Verbs::with);
        Self { path: raw.path.0, allow, users: raw.users, clients: raw.clients.map(Networks::from) }
    }
}

/// Two rules for one path and the same people are a slip: of the path, or of the people.
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
            if rule.clients.as_ref().is_some_and(Networks::is_empty) {
                let words = "an empty list of clients allows nobody; write networks, or leave clients out for all";
                return Err(A::Error::custom(words));
            }
            let is_twin = |other: &AccessRule| {
                (&other.path, &other.users, &other.clients) == (&rule.path, &rule.users, &rule.clients)
            };
            if rules.iter().any(is_twin) {
                return Err(A::Error::custom(format!(
                    "there are two rules for {:?} and the same users and clients; write one with all its verbs",
                    rule.path
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
    fn what_makes_no_sense_is_refused_in_words() {
        for (text, words) in [
            (r#"access = [{ path = "in", allow = [] }]"#, "begin with `/`"),
            (r#"access = [{ path = "/a/../b", allow = [] }]"#, "`..`"),
            (r#"access = [{ path = "/a//b", allow = [] }]"#, "`//`"),
            (r#"access = [{ path = "/a", allow = ["write"] }]"#, "\"replace\""),
            (r#"access = [{ path = "/a", allow = [] }, { path = "/a/", allow = [] }]"#, "two rules"),
            (r#"access = [{ path = "/a", allow = [], users = [] }]"#, "names nobody"),
            (r#"access = [{ path = "/a", allow = [], users = ["any"] }]"#, "users = \"any\""),
            (r#"access = [{ path = "/a", allow = [], users = "a:b" }]"#, "without `:`"),
            (r#"access = [{ path = "/a", allow = [], users = 1 }]"#, "\"any\" for every user"),
            (r#"access = [{ path = "/a", allow = [], clients = [] }]"#, "allows nobody"),
            (r#"access = [{ path = "/a", allow = [], clients = ["10.0.0.1/8"] }]"#, "10.0.0.0/8"),
            (
                r#"access = [{ path = "/", allow = [], users = ["b", "a"] }, { path = "/", allow = [], users = ["a", "b"] }]"#,
                "two rules",
            ),
            (r#"access = [{ path = "/a" }]"#, "allow"),
            (r#"access = [{ path = "/a", allow = [], deny = [] }]"#, "deny"),
        ] {
            let error = rules(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
