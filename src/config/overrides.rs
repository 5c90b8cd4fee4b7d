//! `--set KEY=VALUE`: any key of the configuration from the command line, read as if it stood alone in a file.
//! Process: supervisor. Trusts: the operator. Fails with: the option, and what would be right.

use super::raw::{RawConfig, unknown};
use super::{Config, ConfigError};

/// One `--set KEY=VALUE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    key: String,
    value: String,
}

impl Override {
    /// Reads `KEY=VALUE`.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Self { key: canonical(key), value: value.trim().to_owned() })
            }
            Some(_) | None => Err("write KEY=VALUE, such as limits.connections=1024".to_owned()),
        }
    }

    /// The option as it was given, but for white space.
    pub(super) fn option(&self) -> String {
        format!("--set {}={}", self.key, self.value)
    }

    /// Is it about this key, or about its whole table?
    pub(super) fn sets(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&self.key);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    pub(super) fn apply_to(&self, config: &mut Config) -> Result<(), ConfigError> {
        let wrong = |message| ConfigError::InOption { option: self.option(), message };
        unknown(&self.key).map_or(Ok(()), Err).map_err(wrong)?;
        let quoted = toml::Value::String(self.value.clone());
        let raw = match self.value.parse::<toml::Value>() {
            // `uploads.mode=640` is a number in TOML and a string to us.
            Ok(value) => self.read(value).or_else(|error| self.read(quoted).map_err(|_| error)),
            Err(_) => self.read(quoted),
        };
        raw.map_err(wrong)?.apply_to(config);
        Ok(())
    }

    /// The key with this value, as if it stood alone in a file.
    fn read(&self, value: toml::Value) -> Result<RawConfig, String> {
        let table = |key: &str, value| toml::Value::Table(std::iter::once((key.to_owned(), value)).collect());
        let document = match self.key.split_once('.') {
            Some((name, key)) => table(name, table(key, value)),
            None => table(&self.key, value),
        };
        document.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
    }
}

/// A key without white space; the path of `routes."/a.b"` may be in quotes or not.
fn canonical(key: &str) -> String {
    let parts = key.trim().split_once('.').map(|(table, key)| (table.trim(), key.trim().trim_matches(['"', '\''])));
    parts.map_or_else(|| key.trim().to_owned(), |(table, key)| format!("{table}.{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Durability, Options, Provider, Sandbox, Source, Verbs, load};

    /// Quick use of a folder that is always there.
    fn quick(sets: &[&str]) -> Result<Config, String> {
        let options = Options { root: Some("/".into()), ..Options::default() };
        let overrides = sets.iter().map(|text| Override::parse(text).unwrap()).collect();
        load(&Source::quick(false, false, options, overrides)).map_err(|error| error.to_string())
    }

    #[test]
    fn any_key_may_be_overridden() {
        let config = quick(&[
            "uploads.durability=none",
            "uploads.mode=640",
            "sandbox = off",
            "listen=127.0.0.1:8081",
            "timeouts.head=500ms",
            "limits.head_bytes=20 KiB",
            "limits.fields=7",
            "routes./a.b=sha256",
            "routes.\"/stats\"=off",
            "access=[{path=\"/\", allow=[]}]",
            "index=[\"a.html\", 'b.html']",
            "workers=auto",
        ])
        .unwrap();
        assert_eq!(config.uploads.durability, Durability::None);
        assert_eq!(config.uploads.mode, 0o640);
        assert_eq!(config.sandbox, Sandbox::Off);
        assert_eq!(config.listen, ["127.0.0.1:8081".parse().unwrap()]);
        assert_eq!(config.limits.head_bytes, 20480);
        assert_eq!(config.limits.fields, 7);
        let route = |path: &str| config.routes.iter().find(|rule| rule.path == path).map(|rule| rule.provider);
        assert_eq!(route("/a.b"), Some(Provider::Sha256));
        assert_eq!(route("/stats"), None);
        assert!(config.access.rules().iter().all(|rule| rule.allow == Verbs::NONE));
        assert_eq!(config.index, ["a.html", "b.html"]);
    }

    #[test]
    fn a_list_of_addresses_is_an_override_too() {
        let config = quick(&["listen=[\"127.0.0.1:1\", \"unix:/tmp/s\"]"]).unwrap();
        assert_eq!(config.listen.len(), 2);
    }

    #[test]
    fn a_wrong_override_is_named() {
        let starts = |set: &str, words: &str| {
            let error = quick(&[set]).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        };
        starts("limits.haed_bytes=1", "--set limits.haed_bytes=1: there is no key");
        starts("limits.head_bytes=1", "--set limits.head_bytes=1: 1 B is not possible");
        starts("limits={head_bytes=1}", "--set limits={head_bytes=1}: 1 B is not possible");
        starts("workers=0", "--set workers=0: 0 is not possible here");
        starts("root=/nowhere/at/all", "--set root=/nowhere/at/all: the root /nowhere/at/all does not exist");
        assert!(Override::parse("workers").is_err());
        assert!(Override::parse("=1").is_err());
    }
}
