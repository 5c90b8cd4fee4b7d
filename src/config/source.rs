//! Where a configuration comes from: the defaults, then a file, then options, then `--set`; each may change what the
//! one before said. The supervisor keeps the `Source`, and loads it anew on SIGHUP.
//! Process: supervisor. Trusts: the operator. Blocks: as the disk does.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::check::{Fault, check};
use super::raw::{RawConfig, place_of, unknown};
use super::{Config, ConfigError, ListenAddress, LogTarget};

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    base: Base,
    options: Options,
    overrides: Vec<Override>,
}

#[derive(Debug, Clone, PartialEq)]
enum Base {
    Quick { upload: bool, on_terminal: bool },
    File { shown: String, path: PathBuf },
}

/// What the options of the command line say; they win over the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// The argument ROOT.
    pub root: Option<PathBuf>,
    /// Each `--listen`; none of them keeps what the file says.
    pub listen: Vec<ListenAddress>,
    /// `--workers`.
    pub workers: Option<u16>,
    /// `--user`.
    pub user: Option<String>,
    /// `--access-log`.
    pub access_log: Option<LogTarget>,
}

/// One `--set KEY=VALUE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    key: String,
    value: String,
}

impl Source {
    /// Quick use from a shell, without a file. `on_terminal`: somebody reads what is printed.
    #[must_use]
    pub fn quick(upload: bool, on_terminal: bool, options: Options, overrides: Vec<Override>) -> Self {
        Self { base: Base::Quick { upload, on_terminal }, options, overrides }
    }

    /// The daemon's file: `shown` as the operator named it, `path` so that it is found from any folder.
    #[must_use]
    pub fn file(shown: String, path: PathBuf, options: Options, overrides: Vec<Override>) -> Self {
        Self { base: Base::File { shown, path }, options, overrides }
    }

    /// What to call it in a message.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.base {
            Base::Quick { .. } => "command line",
            Base::File { shown, .. } => shown,
        }
    }

    /// The configuration file; quick use has none.
    #[must_use]
    pub fn config_file(&self) -> Option<&Path> {
        match &self.base {
            Base::Quick { .. } => None,
            Base::File { path, .. } => Some(path),
        }
    }

    fn read(&self) -> Result<String, ConfigError> {
        let Some(path) = self.config_file() else {
            return Ok(String::new());
        };
        read_bounded(path)
            .map_err(|error| ConfigError::Unreadable { file: self.name().to_owned(), reason: error.to_string() })
    }

    /// Who said what is wrong: the last one who set any of the keys.
    fn blame(&self, fault: Fault, text: &str) -> ConfigError {
        let Fault { keys, index, message } = fault;
        if let Some(guilty) = self.overrides.iter().rev().find(|guilty| keys.iter().any(|key| guilty.sets(key))) {
            return ConfigError::InOption { option: guilty.option(), message };
        }
        if let Some(option) = keys.iter().find_map(|key| self.options.name_of(key)) {
            return ConfigError::InOption { option: option.to_owned(), message };
        }
        match keys.iter().find_map(|key| place_of(text, key, index)) {
            Some(offset) => ConfigError::in_file(self.name(), text, offset, message),
            None => ConfigError::InDefault { message },
        }
    }
}

/// Loads a configuration: reads the file if there is one, and checks the whole.
///
/// # Errors
/// What is wrong, where it stands and what would be right.
pub fn load(source: &Source) -> Result<Config, ConfigError> {
    let text = source.read()?;
    let mut config = match source.base {
        Base::Quick { upload, on_terminal } => Config::quick(upload, on_terminal),
        Base::File { .. } => Config::default(),
    };
    let raw = RawConfig::parse(&text)
        .map_err(|(span, message)| ConfigError::in_file(source.name(), &text, span.start, message))?;
    raw.apply_to(&mut config);
    source.options.apply_to(&mut config);
    for change in &source.overrides {
        change.apply_to(&mut config)?;
    }
    check(&config).map_err(|fault| source.blame(fault, &text))?;
    Ok(config)
}

/// Nobody writes a configuration of this size; `-c /dev/zero` must end.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(FILE_LIMIT_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_LIMIT_BYTES {
        return Err(io::Error::other("this is no configuration: it is larger than 1 MiB"));
    }
    Ok(text)
}

impl Options {
    fn apply_to(&self, config: &mut Config) {
        let Self { root, listen, workers, user, access_log } = self.clone();
        if !listen.is_empty() {
            config.listen = listen;
        }
        config.user = user.or(config.user.take());
        config.workers = workers.unwrap_or(config.workers);
        if let Some(root) = root {
            config.root = root;
        }
        if let Some(target) = access_log {
            config.log.access = target;
        }
    }

    /// The option that sets a key, if it was given.
    fn name_of(&self, key: &str) -> Option<&'static str> {
        match key {
            "listen" if !self.listen.is_empty() => Some("--listen"),
            "root" if self.root.is_some() => Some("ROOT"),
            _ => None,
        }
    }
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
    fn option(&self) -> String {
        format!("--set {}={}", self.key, self.value)
    }

    /// Is it about this key, or about its whole table?
    fn sets(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&self.key);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    fn apply_to(&self, config: &mut Config) -> Result<(), ConfigError> {
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
    use crate::config::{Durability, Provider, Sandbox};

    /// Quick use of a folder that is always there.
    fn quick(sets: &[&str]) -> Result<Config, String> {
        let options = Options { root: Some("/".into()), ..Options::default() };
        let overrides = sets.iter().map(|text| Override::parse(text).unwrap()).collect();
        load(&Source::quick(false, false, options, overrides)).map_err(|error| error.to_string())
    }

    fn in_file(text: &str, options: Options, sets: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        std::fs::write(&path, text).unwrap();
        let overrides = sets.iter().map(|text| Override::parse(text).unwrap()).collect();
        load(&Source::file("f.toml".to_owned(), path, options, overrides)).map_err(|error| error.to_string())
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
        assert_eq!(config.listen, [ListenAddress::Tcp("127.0.0.1:8081".parse().unwrap())]);
        assert_eq!(config.limits.head_bytes, 20480);
        assert_eq!(config.limits.fields, 7);
        let route = |path: &str| config.routes.iter().find(|rule| rule.path == path).map(|rule| rule.provider);
        assert_eq!(route("/a.b"), Some(Provider::Sha256));
        assert_eq!(route("/stats"), None);
        assert!(config.access.rules().iter().all(|rule| rule.allow == crate::config::Verbs::NONE));
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

    #[test]
    fn the_last_to_speak_wins_and_is_blamed() {
        let options = || Options { root: Some("/".into()), workers: Some(5), ..Options::default() };
        let config = in_file("workers = 3\nroot = \"/nowhere\"\n", options(), &[]).unwrap();
        assert_eq!((config.workers, config.root.as_path()), (5, Path::new("/")));
        assert_eq!(in_file("workers = 3", options(), &["workers=4"]).unwrap().workers, 4);

        let listen = vec![ListenAddress::Tcp(([127, 0, 0, 1], 80).into()); 2];
        let error = in_file("", Options { listen, ..options() }, &[]).unwrap_err();
        assert!(error.starts_with("--listen: \"127.0.0.1:80\" stands there twice"), "{error}");
    }

    #[test]
    fn a_fault_in_the_file_is_shown_in_its_line() {
        let options = || Options { root: Some("/".into()), ..Options::default() };
        let error = in_file("listen = [\n  \"0.0.0.0:80\",\n  \"127.0.0.1:80\",\n]\n", options(), &[]).unwrap_err();
        assert!(
            error.starts_with("f.toml:3:3: \"127.0.0.1:80\" and \"0.0.0.0:80\" can't be bound together"),
            "{error}"
        );
        assert!(error.ends_with("\n    \"127.0.0.1:80\",\n    ^"), "{error}");
        let error = in_file("[limits]\nhead_bytes = \"1 KB\"\n", options(), &[]).unwrap_err();
        assert!(error.starts_with("f.toml:2:14: \"1 KB\" is no size; write a size such as \"16 KiB\""), "{error}");
        let error = in_file("[limits]\nhead_bytes = \"4 KiB\"\n", options(), &[]).unwrap_err();
        assert!(error.starts_with("f.toml:2:14: the target is a part of the head"), "{error}");
        let error = in_file("root = \"/nowhere\"\n", Options::default(), &[]).unwrap_err();
        assert!(error.starts_with("f.toml:1:8: the root /nowhere does not exist"), "{error}");
        let error = in_file("listen = [", options(), &[]).unwrap_err();
        assert!(error.starts_with("f.toml:1:11: "), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let source = Source::file("x.toml".into(), "/nowhere/x.toml".into(), Options::default(), Vec::new());
        assert_eq!(load(&source).unwrap_err().to_string(), "x.toml: No such file or directory (os error 2)");
        let endless = Source::file("zero".into(), "/dev/zero".into(), Options::default(), Vec::new());
        assert!(load(&endless).unwrap_err().to_string().contains("1 MiB"));
    }
}
