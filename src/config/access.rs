//! Who may do what: the table `[[access]]`.
//! Process: both. Pure: a worker asks it for every request.

use std::net::IpAddr;

use super::Networks;
use crate::message::{Verb, Verbs, Visitor};

/// Whom a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Users {
    /// Everybody, known or not.
    #[default]
    Everyone,
    /// Whoever has shown a password or a token.
    Any,
    /// Those of these names who have.
    Named(Vec<String>),
}

impl Users {
    fn fit(&self, user: Option<&str>) -> bool {
        match self {
            Self::Everyone => true,
            Self::Any => user.is_some(),
            Self::Named(names) => user.is_some_and(|user| names.iter().any(|name| name == user)),
        }
    }
}

/// A path and what is allowed at it and below it, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessRule {
    /// Begins and ends with `/`.
    pub path: String,
    /// What is allowed.
    pub allow: Verbs,
    /// To whom.
    pub users: Users,
    /// From where; `None`: from anywhere. Who comes by a Unix socket and is named by no proxy is in no network.
    pub clients: Option<Networks>,
}

impl AccessRule {
    /// Does it hold for everybody, from anywhere?
    fn is_public(&self) -> bool {
        self.users == Users::Everyone && self.clients.is_none()
    }

    fn covers(&self, path: &[u8]) -> bool {
        let prefix = self.path.as_bytes();
        path.starts_with(prefix) || prefix.strip_suffix(b"/") == Some(path)
    }

    fn reaches(&self, client: Option<IpAddr>) -> bool {
        let is_in = |networks: &Networks| client.is_some_and(|client| networks.contains(client));
        self.clients.as_ref().is_none_or(is_in)
    }
}

/// All access rules of a site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessRules {
    /// Longest path first, so that the first match decides, together with those that have the same path.
    rules: Vec<AccessRule>,
    /// Is there one that does not hold for everybody?
    is_selective: bool,
    /// What everybody may do everywhere, where no rule makes a difference: then no path has to be compared.
    everywhere: Option<Verbs>,
}

impl AccessRules {
    /// Orders the rules so that the longest matching path decides.
    #[must_use]
    pub fn new(mut rules: Vec<AccessRule>) -> Self {
        rules.sort_by(|one, other| other.path.len().cmp(&one.path.len()).then_with(|| one.path.cmp(&other.path)));
        let is_selective = !rules.iter().all(AccessRule::is_public);
        let is_uniform = !is_selective && !rules.is_empty() && rules.iter().all(|rule| rule.path == "/");
        let everywhere = is_uniform.then(|| union(rules.iter()));
        Self { rules, is_selective, everywhere }
    }

    /// The rules of the longest path that covers this one.
    fn deciding(&self, path: &[u8]) -> impl Iterator<Item = &AccessRule> {
        let first = self.rules.iter().position(|rule| rule.covers(path)).unwrap_or(self.rules.len());
        let rest = self.rules.get(first..).unwrap_or_default();
        let longest = rest.first().map(|rule| rule.path.as_str());
        rest.iter().take_while(move |rule| Some(rule.path.as_str()) == longest)
    }

    /// What this visitor may do at this decoded path (it begins with `/`; a folder's own path may lack the last slash).
    #[must_use]
    pub fn verbs(&self, path: &[u8], visitor: &Visitor) -> Verbs {
        if let Some(verbs) = self.everywhere {
            return verbs;
        }
        let fits = |rule: &&AccessRule| rule.users.fit(visitor.user.as_deref()) && rule.reaches(visitor.client);
        union(self.deciding(path).filter(fits))
    }

    /// What somebody may do there who comes from where this visitor comes from, whoever it is. What of it the visitor
    /// lacks may be had by showing a password, unless one was shown already.
    #[must_use]
    pub fn verbs_of_users(&self, path: &[u8], visitor: &Visitor) -> Verbs {
        union(self.deciding(path).filter(|rule| rule.reaches(visitor.client)))
    }

    /// Does it matter there who the user is? If not, nobody looks at a password.
    #[must_use]
    pub fn asks_for_user(&self, path: &[u8]) -> bool {
        self.is_selective && self.deciding(path).any(|rule| rule.users != Users::Everyone)
    }

    /// Does it matter anywhere who asks, or from where?
    #[must_use]
    pub fn is_selective(&self) -> bool {
        self.is_selective
    }

    /// May what this visitor sees at a path be kept from strangers: at the path itself, or for a folder anywhere below it,
    /// whose names and digests a listing may show? Then no shared cache may keep it.
    #[must_use]
    pub fn is_for_some(&self, path: &[u8], visitor: &Visitor) -> bool {
        if !self.is_selective {
            return false;
        }
        let seen = self.verbs(path, visitor);
        let public = union(self.deciding(path).filter(|rule| rule.is_public()));
        let is_more = |verb| seen.contains(verb) && !public.contains(verb);
        let is_below = |rule: &AccessRule| {
            rule.path.len() > path.len() && path.ends_with(b"/") && rule.path.as_bytes().starts_with(path)
        };
        is_more(Verb::Read) || is_more(Verb::List) || self.rules.iter().any(|rule| !rule.is_public() && is_below(rule))
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

/// All verbs that some of these rules allow.
fn union<'r>(rules: impl Iterator<Item = &'r AccessRule>) -> Verbs {
    rules.fold(Verbs::NONE, |verbs, rule| verbs.or(rule.allow))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

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
        let verbs = |path: &str| rules.verbs(path.as_bytes(), &Visitor::default());
        assert!(verbs("/a").contains(Verb::Read));
        assert!(verbs("/inside").contains(Verb::List));
        assert_eq!(verbs("/in"), Verbs::NONE.with(Verb::Create));
        assert_eq!(verbs("/in/a/b"), Verbs::NONE.with(Verb::Create));
        assert_eq!(verbs("/in/closed/x"), Verbs::NONE);
        assert!(rules.can_write());
    }

    fn visitor(user: Option<&str>, client: &str) -> Visitor {
        Visitor { client: client.parse().ok(), user: user.map(Into::into) }
    }

    #[test]
    fn the_rules_of_one_path_add_up_for_whom_they_name() {
        let rules = rules(
            r#"access = [
                { path = "/", allow = "read" },
                { path = "/", allow = "create", users = "any" },
                { path = "/", allow = ["replace", "delete"], users = ["alice"], clients = ["10.0.0.0/8"] },
                { path = "/inside", allow = ["list", "read"], clients = "10.0.0.0/8" },
            ]"#,
        )
        .unwrap();
        let (lan, out) = ("10.1.2.3", "192.0.2.1");
        let verbs = |path: &str, user, client| rules.verbs(path.as_bytes(), &visitor(user, client));
        let read = Verbs::NONE.with(Verb::Read);
        let all = read.with(Verb::Create).with(Verb::Replace).with(Verb::Delete);
        assert_eq!(verbs("/f", None, lan), read);
        assert_eq!(verbs("/f", Some("bob"), lan), read.with(Verb::Create));
        assert_eq!(verbs("/f", Some("alice"), out), read.with(Verb::Create));
        assert_eq!(verbs("/f", Some("alice"), lan), all);
        assert_eq!(verbs("/inside/f", Some("alice"), out), Verbs::NONE, "a longer path decides alone");
        assert_eq!(verbs("/inside/f", None, lan), read.with(Verb::List));
        assert_eq!(verbs("/inside/f", None, "unix"), Verbs::NONE);
        let of_users = |client| rules.verbs_of_users(b"/f", &visitor(None, client));
        assert_eq!((of_users(out), of_users(lan)), (read.with(Verb::Create), all));
        assert!(rules.asks_for_user(b"/f") && !rules.asks_for_user(b"/inside/f"));
        let is_for_some = |path: &str, client| rules.is_for_some(path.as_bytes(), &visitor(None, client));
        assert!(is_for_some("/inside/f", lan), "others would not get it");
        assert!(!is_for_some("/f", lan), "everybody gets it");
        assert!(is_for_some("/", lan), "a listing of it may tell of what is inside");
    }
}
