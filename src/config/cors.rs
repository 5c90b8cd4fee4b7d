//! Which other sites' pages may ask what through a visitor's browser: the table `[[cors]]`.
//! Process: both. Trusts: the operator. Fails with: words that say what would be right.
//! The answers are those of the Fetch standard, section 3.2.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::scalar::{Many, Scalar, scalars};
use super::values::path_below_root;
use crate::message::{Method, MethodSet};

/// What scripts of other origins may read of an answer besides what every script may.
const EXPOSED: &str = "Accept-Ranges, Content-Digest, Content-Range, ETag, Link, Location, Repr-Digest, Retry-After, \
    Upload-Complete, Upload-Limit, Upload-Offset";

/// What one path says of other origins.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CorsRule {
    /// Begins and ends with `/`.
    path: String,
    /// Which they may use.
    methods: MethodSet,
    /// May a browser add what it remembers of its user?
    credentials: bool,
    /// Each allowed origin with the field lines that tell it so; `*` stands alone.
    origins: Vec<(String, String)>,
}

/// One origin of one rule, so that it can be kept without a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorsId {
    rule: usize,
    origin: usize,
}

/// What holds for an origin at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CorsGrant {
    /// The rule's word about this origin, if it has one.
    pub id: Option<CorsId>,
    /// Does the answer depend on the origin, so that caches must know?
    pub varies: bool,
}

/// All rules of a site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CorsRules(Vec<CorsRule>);

impl CorsRules {
    /// What the rule with the longest path that covers this one says of this origin.
    #[must_use]
    pub fn find(&self, path: &[u8], origin: Option<&[u8]>) -> CorsGrant {
        let covers = |rule: &CorsRule| {
            let prefix = rule.path.as_bytes();
            path.starts_with(prefix) || prefix.strip_suffix(b"/") == Some(path)
        };
        let Some((rule, found)) = self.0.iter().enumerate().find(|(_, rule)| covers(rule)) else {
            return CorsGrant::default();
        };
        let fits = |(name, _): &(String, String)| name == "*" || origin == Some(name.as_bytes());
        // Without an origin no script asks, and nobody needs to be told.
        let place = origin.and_then(|_| found.origins.iter().position(fits));
        let varies = found.origins.iter().any(|(name, _)| name != "*");
        CorsGrant { id: place.map(|origin| CorsId { rule, origin }), varies }
    }

    /// The methods that a grant allows.
    #[must_use]
    pub fn methods(&self, id: CorsId) -> MethodSet {
        self.0.get(id.rule).map_or_else(MethodSet::default, |rule| rule.methods)
    }

    /// May requests of a grant change something with what a browser remembers of its user?
    #[must_use]
    pub fn credentials(&self, id: CorsId) -> bool {
        self.0.get(id.rule).is_some_and(|rule| rule.credentials)
    }

    /// The field lines of a grant, each with its CRLF.
    #[must_use]
    pub fn lines(&self, id: CorsId) -> &str {
        let rule = self.0.get(id.rule);
        rule.and_then(|rule| rule.origins.get(id.origin)).map_or("", |(_, lines)| lines.as_str())
    }
}

/// An origin, `*` or one of `https://www.example.org`.
struct Origin(String);

impl Scalar for Origin {
    const EXPECTED: &'static str =
        "an origin such as \"https://www.example.org\" or \"http://localhost:3000\", or \"*\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        if text == "null" {
            let why = "\"null\" is what any page can make itself, in a frame without rights";
            return Err(format!("{why}; write {}", Self::EXPECTED));
        }
        let wrong = || format!("{text:?} is no origin; write {}", Self::EXPECTED);
        let (scheme, host) = text.split_once("://").ok_or_else(wrong)?;
        let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
        if !is_scheme || host.is_empty() || !host.bytes().all(is_host) {
            return Err(format!("{}; a browser writes it in small letters and without a path", wrong()));
        }
        let default_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => "",
        };
        match host.strip_suffix(default_port).filter(|_| !default_port.is_empty()) {
            Some(bare) => Err(format!(
                "{text:?} never comes so: a browser leaves out {default_port}; write \"{scheme}://{bare}\""
            )),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// A method that a rule may name. OPTIONS is what asks for permission, the rest is not served.
struct CorsMethod(Method);

impl Scalar for CorsMethod {
    const EXPECTED: &'static str = "one of \"GET\", \"HEAD\", \"PUT\", \"POST\", \"PATCH\", \"DELETE\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match Method::from_name(text.as_bytes()) {
            Some(Method::Options | Method::Trace | Method::Connect) | None => {
                Err(format!("{text:?} is not possible here; write {}", Self::EXPECTED))
            }
            Some(method) => Ok(Self(method)),
        }
    }
}

/// A path of a rule; the slash at its end may be left out.
struct CorsPath(String);

impl Scalar for CorsPath {
    const EXPECTED: &'static str = "a path below the root, such as \"/api/\"";

    fn from_text(text: &str) -> Result<Self, String> {
        path_below_root(text)?;
        Ok(Self(if text.ends_with('/') { text.to_owned() } else { format!("{text}/") }))
    }
}

scalars!(CorsMethod, CorsPath, Origin);

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    path: CorsPath,
    origins: Many<Origin>,
    methods: Option<Many<CorsMethod>>,
    #[serde(default)]
    credentials: bool,
}

/// The keys of a rule.
pub(super) const RULE_KEYS: [&str; 4] = ["path", "origins", "methods", "credentials"];

impl RawRule {
    fn finish(self) -> Result<CorsRule, String> {
        let origins: Vec<Origin> = self.origins.into();
        let is_all = origins.iter().any(|origin| origin.0 == "*");
        if origins.is_empty() {
            return Err("an empty list of origins allows nobody; name some, or leave the rule out".to_owned());
        }
        if is_all && origins.len() > 1 {
            return Err("\"*\" is every origin, so it stands alone; write origins = \"*\", or names".to_owned());
        }
        if is_all && self.credentials {
            let words =
                "with credentials, every page of the world could act as its visitor: name the origins instead of \"*\"";
            return Err(words.to_owned());
        }
        let methods: Option<Vec<CorsMethod>> = self.methods.map(Into::into);
        let methods = methods.map_or(MethodSet::of(&[Method::Get, Method::Head]), |list| {
            list.into_iter().fold(MethodSet::default(), |set, method| set.with(method.0))
        });
        let lines = |origin: &str| {
            let credentials = if self.credentials { "Access-Control-Allow-Credentials: true\r\n" } else { "" };
            format!(
                "Access-Control-Allow-Origin: {origin}\r\n{credentials}Access-Control-Expose-Headers: {EXPOSED}\r\n"
            )
        };
        let origins = origins.into_iter().map(|Origin(origin)| (origin.clone(), lines(&origin))).collect();
        Ok(CorsRule { path: self.path.0, methods, credentials: self.credentials, origins })
    }
}

struct RulesVisitor;

impl<'de> Visitor<'de> for RulesVisitor {
    type Value = CorsRules;

    fn expecting(&self, words: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        words.write_str("a list of rules, each a table [[cors]] with path and origins")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<CorsRules, A::Error> {
        let mut rules: Vec<CorsRule> = Vec::new();
        while let Some(raw) = list.next_element::<RawRule>()? {
            let rule = raw.finish().map_err(A::Error::custom)?;
            if rules.iter().any(|other| other.path == rule.path) {
                let path = rule.path;
                return Err(A::Error::custom(format!(
                    "there are two rules for {path:?}; write one with all its origins"
                )));
            }
            rules.push(rule);
        }
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.path.len()));
        Ok(CorsRules(rules))
    }
}

impl<'de> Deserialize<'de> for CorsRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RulesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<CorsRules, String> {
        #[derive(Deserialize)]
        struct Document {
            cors: CorsRules,
        }
        let document = toml::from_str::<Document>(text).map_err(|error| error.message().to_owned())?;
        Ok(document.cors)
    }

    #[test]
    fn the_longest_path_speaks_of_the_origins_that_it_names() {
        let rules = rules(
            r#"cors = [
                { path = "/", origins = "*" },
                { path = "/api", origins = ["https://a.example", "http://b.example:3000"], methods = "PUT", credentials = true },
            ]"#,
        )
        .unwrap();
        let find = |path: &str, origin: &str| rules.find(path.as_bytes(), Some(origin.as_bytes()));
        let open = find("/f", "https://any.example");
        assert!(!open.varies && rules.lines(open.id.unwrap()).starts_with("Access-Control-Allow-Origin: *\r\n"));
        assert!(!rules.methods(open.id.unwrap()).contains(Method::Put));
        let named = find("/api/f", "http://b.example:3000");
        let lines = rules.lines(named.id.unwrap());
        assert!(
            named.varies
                && lines.contains("Allow-Origin: http://b.example:3000\r\nAccess-Control-Allow-Credentials: true\r\n")
        );
        assert!(rules.methods(named.id.unwrap()).contains(Method::Put));
        assert!(rules.credentials(named.id.unwrap()) && !rules.credentials(open.id.unwrap()));
        assert_eq!(find("/api", "https://c.example"), CorsGrant { id: None, varies: true });
        assert_eq!(rules.find(b"/f", None), CorsGrant::default());
    }

    #[test]
    fn what_would_open_too_much_or_nothing_is_refused_in_words() {
        for (rule, words) in [
            (r#"origins = "*", credentials = true"#, "name the origins"),
            (r#"origins = ["*", "https://a.example"]"#, "stands alone"),
            (r#"origins = []"#, "allows nobody"),
            (r#"origins = "null""#, "any page"),
            (r#"origins = "a.example""#, "no origin"),
            (r#"origins = "https://a.example/""#, "without a path"),
            (r#"origins = "https://A.example""#, "small letters"),
            (r#"origins = "https://a.example:443""#, "write \"https://a.example\""),
            (r#"origins = "*", methods = "TRACE""#, "\"DELETE\""),
            (r#"methods = "GET""#, "origins"),
        ] {
            let error = rules(&format!("cors = [{{ path = \"/\", {rule} }}]")).unwrap_err();
            assert!(error.contains(words), "{rule}: {error}");
        }
        let twice = r#"cors = [{ path = "/a", origins = "*" }, { path = "/a/", origins = "*" }]"#;
        assert!(rules(twice).is_err_and(|error| error.contains("two rules")));
    }
}
