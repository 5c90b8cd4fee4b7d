//! Where a configuration comes from: the defaults, then a file, then options, then `--set`; each may change what the
//! one before said. The supervisor keeps the `Source`, and loads it anew on SIGHUP.
//! Process: supervisor. Trusts: the operator. Blocks: as the disk does.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::check::{Fault, check};
use super::overrides::Override;
use super::raw::{RawConfig, place_of};
use super::{Config, ConfigError, Listen, LogTarget};

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
    pub listen: Vec<Listen>,
    /// `--workers`.
    pub workers: Option<u16>,
    /// `--user`.
    pub user: Option<String>,
    /// `--access-log`.
    pub access_log: Option<LogTarget>,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
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
            .map_err(|error| ConfigError::Unreadable { file: self.name().to_owned(), reason: reason(&error) })
    }

    /// Who said what is wrong: the last one who set any of the keys.
    fn blame(&self, fault: Fault, text: &str) -> ConfigError {
        let Fault { keys, index, message } = fault;
        let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        if let Some(guilty) = self.overrides.iter().rev().find(|guilty| keys.iter().any(|key| guilty.sets(key))) {
            return ConfigError::InOption { option: guilty.option(), message };
        }
        if let Some(option) = keys.iter().find_map(|key| self.options.name_of(key)) {
            return ConfigError::InOption { option: option.to_owned(), message };
        }
        match keys.iter().find_map(|key| place_of(text, key, index)) {
            Some(offset) => ConfigError::in_file(self.name(), text, offset, message),
            None => {
                let key = keys.first().copied().unwrap_or_default().to_owned();
                ConfigError::InDefault { name: self.name().to_owned(), key, message }
            }
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

/// Where the process id stands, whatever else is wrong with the configuration: a server whose file was spoiled after its
/// start can still be told to stop.
///
/// # Errors
/// The file can't be read, or is no TOML, or says something impossible of `pid_file`.
pub fn pid_file(source: &Source) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = &source.options.pid_file {
        return Ok(Some(path.clone()));
    }
    let text = source.read()?;
    let mut config = Config::default();
    let alone = RawConfig::parse_only("pid_file", &text)
        .map_err(|(span, message)| ConfigError::in_file(source.name(), &text, span.start, message))?;
    alone.apply_to(&mut config);
    for change in source.overrides.iter().filter(|change| change.sets("pid_file")) {
        change.apply_to(&mut config)?;
    }
    Ok(config.pid_file)
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

/// What a person can do about it; the system's own words where it says that best.
fn reason(error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        "there is no such file".to_owned()
    } else if kind == io::ErrorKind::IsADirectory {
        "this is a folder; write the path of a file".to_owned()
    } else if kind == io::ErrorKind::InvalidData {
        "this is no configuration: it is not text in UTF-8".to_owned()
    } else {
        error.to_string()
    }
}

impl Options {
    fn apply_to(&self, config: &mut Config) {
        let Self { root, listen, workers, user, access_log, pid_file } = self.clone();
        if !listen.is_empty() {
            config.listen = listen;
        }
        config.user = user.or(config.user.take());
        config.pid_file = pid_file.or(config.pid_file.take());
        config.workers = workers.unwrap_or(config.workers);
        if let Some(root) = root {
            config.sites.default.root = root;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn in_file(text: &str, options: Options, sets: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        std::fs::write(&path, text).unwrap();
        let overrides = sets.iter().map(|text| Override::parse(text).unwrap()).collect();
        load(&Source::file("f.toml".to_owned(), path, options, overrides)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_last_to_speak_wins_and_is_blamed() {
        let options = || Options { root: Some("/".into()), workers: Some(5), ..Options::default() };
        let config = in_file("workers = 3\nroot = \"/nowhere\"\n", options(), &[]).unwrap();
        assert_eq!((config.workers, config.sites.default.root.as_path()), (5, Path::new("/")));
        assert_eq!(in_file("workers = 3", options(), &["workers=4"]).unwrap().workers, 4);

        let listen = vec!["127.0.0.1:80".parse::<Listen>().unwrap(); 2];
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
    fn the_pid_file_is_found_in_a_configuration_that_is_wrong_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        let found = |text: &str, sets: &[&str], options: Options| {
            std::fs::write(&path, text).unwrap();
            let sets = sets.iter().map(|text| Override::parse(text).unwrap()).collect();
            pid_file(&Source::file("f.toml".to_owned(), path.clone(), options, sets)).map_err(|error| error.to_string())
        };
        let text = "no_such_key = 1\nworkers = 0\npid_file = \"/run/a\"\n";
        assert_eq!(found(text, &[], Options::default()), Ok(Some("/run/a".into())));
        assert_eq!(found(text, &["pid_file=/run/b", "workers=0"], Options::default()), Ok(Some("/run/b".into())));
        let option = Options { pid_file: Some("/run/c".into()), ..Options::default() };
        assert_eq!(found("= no TOML =", &[], option), Ok(Some("/run/c".into())));
        assert_eq!(found("", &[], Options::default()), Ok(None));
        let error = found("x = 1\npid_file = \"run/a\"\n", &[], Options::default()).unwrap_err();
        assert!(error.starts_with("f.toml:2:12: \"run/a\" is not an absolute path"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let source = Source::file("x.toml".into(), "/nowhere/x.toml".into(), Options::default(), Vec::new());
        assert_eq!(load(&source).unwrap_err().to_string(), "x.toml: there is no such file");
        let endless = Source::file("zero".into(), "/dev/zero".into(), Options::default(), Vec::new());
        assert!(load(&endless).unwrap_err().to_string().contains("1 MiB"));
    }
}
