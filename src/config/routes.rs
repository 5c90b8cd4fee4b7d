//! Paths that a content provider answers: the table `[routes]`.
//! Process: supervisor. Trusts: the operator. Fails with: words that say what would be right.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::scalar::{Scalar, one_of, scalars};
use super::values::path_below_root;
use super::{Provider, RouteRule};

/// What was said of routes.
#[derive(Default)]
pub(super) struct Routes(BTreeMap<RoutePath, Route>);

impl Routes {
    /// Routes are added to those that stand already; `off` removes one.
    pub(super) fn apply_to(self, routes: &mut Vec<RouteRule>) {
        for (path, route) in self.0 {
            routes.retain(|rule| rule.path != path.0);
            routes.extend(route.0.map(|provider| RouteRule { path: path.0, provider }));
        }
    }
}

struct RoutesVisitor;

impl<'de> Visitor<'de> for RoutesVisitor {
    type Value = Routes;

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        words.write_str("a table of paths, such as { \"/perlin\" = \"perlin\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Routes, A::Error> {
        let mut routes = BTreeMap::new();
        while let Some((path, route)) = map.next_entry()? {
            routes.insert(path, route);
        }
        Ok(Routes(routes))
    }
}

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RoutesVisitor)
    }
}

scalars!(RoutePath, Route);

/// A path that a provider answers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RoutePath(String);

impl Scalar for RoutePath {
    const EXPECTED: &'static str = "a path such as \"/perlin\"";

    fn from_text(text: &str) -> Result<Self, String> {
        path_below_root(text)?;
        match text.strip_suffix('/') {
            None => Ok(Self(text.to_owned())),
            Some("") => Err(format!("\"/\" is the root itself, which is served from files; write {}", Self::EXPECTED)),
            Some(path) => Err(format!("{text:?} must not end with `/`; write {path:?}")),
        }
    }
}

/// Who answers a path; `off` takes a route back that stood before.
struct Route(Option<Provider>);

impl Scalar for Route {
    const EXPECTED: &'static str = "one of \"perlin\", \"sha256\", \"stats\", \"off\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let words = [
            ("perlin", Some(Provider::Perlin)),
            ("sha256", Some(Provider::Sha256)),
            ("stats", Some(Provider::Stats)),
            ("off", None),
        ];
        one_of(text, &words).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn after(text: &str) -> Result<Vec<String>, String> {
        let routes = toml::from_str::<Routes>(text).map_err(|error| error.message().to_owned())?;
        let mut rules = Config::quick(false, false).sites.default.routes;
        routes.apply_to(&mut rules);
        let mut paths: Vec<String> = rules.into_iter().map(|rule| rule.path).collect();
        paths.sort_unstable();
        Ok(paths)
    }

    #[test]
    fn routes_are_added_and_taken_back() {
        let paths = after("'/stats' = 'off'\n'/sum' = 'sha256'\n'/perlin' = 'perlin'\n").unwrap();
        assert_eq!(paths, ["/perlin", "/sha256", "/sum"]);
    }

    #[test]
    fn what_no_request_could_reach_is_refused() {
        for wrong in ["perlin", "/", "/perlin/", "//perlin", "/a/../b", "/a\n"] {
            assert!(RoutePath::from_text(wrong).is_err(), "{wrong:?}");
        }
        assert!(after("'/perlin/' = 'perlin'").is_err_and(|error| error.contains("write \"/perlin\"")));
        assert!(after("'/perlin' = 'noise'").is_err_and(|error| error.contains("\"stats\"")));
    }
}
