//! Values as they are written: each reads itself from text and refuses what can't be, in words that say what would
//! be right. They exist while a configuration is read; `Config` holds plain numbers, paths and durations.
//! Process: supervisor. Trusts: the operator.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::scalar::{Scalar, one_of, scalars};
use super::{Durability, ForwardedField, LogTarget, Precompressed, Sandbox, SandboxRefusal};
use crate::sys::account::group_id;

scalars!(
    Workers,
    FileMode,
    FileGroup,
    Account,
    CredentialsFile,
    Root,
    PidFile,
    IndexName,
    Precompressed,
    Sandbox,
    SandboxRefusal,
    Durability,
    LogTarget,
    ForwardedField
);

/// How many workers.
pub(super) struct Workers(u16);

/// More than this is a mistake: a worker holds thousands of connections, and there are not more CPUs to feed.
pub(super) const WORKERS_LIMIT: u16 = 256;

impl Workers {
    /// One a CPU that this process may use.
    pub(super) fn auto() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self(u16::try_from(cpus).unwrap_or(WORKERS_LIMIT).min(WORKERS_LIMIT))
    }
}

impl Scalar for Workers {
    const EXPECTED: &'static str = "\"auto\" (one a CPU) or a number from 1 to 256";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::auto()),
            _ => Err(format!("{text:?} is no number of workers; write {}", Self::EXPECTED)),
        }
    }

    fn from_integer(number: u64) -> Option<Self> {
        u16::try_from(number).ok().filter(|number| (1..=WORKERS_LIMIT).contains(number)).map(Self)
    }
}

/// Reads a number of workers from the command line.
///
/// # Errors
/// What would be right.
pub fn worker_count(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().and_then(Workers::from_integer);
    number.map_or_else(|| Workers::from_text(text), Ok).map(Into::into)
}

impl From<Workers> for u16 {
    fn from(workers: Workers) -> Self {
        workers.0
    }
}

/// Permission bits of a file.
pub(super) struct FileMode(u32);

impl Scalar for FileMode {
    const EXPECTED: &'static str = "permission bits in octal and in quotes, from \"0600\" to \"0777\"";

    /// The server itself must be able to read what it has taken, and to replace it; set-user-id bits on a file that a
    /// client sent would be a gift to the client.
    fn from_text(text: &str) -> Result<Self, String> {
        let octal = text.strip_prefix("0o").unwrap_or(text);
        let mode = u32::from_str_radix(octal, 8).ok().filter(|mode| mode & !0o777 == 0 && mode & 0o600 == 0o600);
        mode.map(Self).ok_or_else(|| format!("{text:?} can't be the mode of an upload; write {}", Self::EXPECTED))
    }
}

impl From<FileMode> for u32 {
    fn from(mode: FileMode) -> Self {
        mode.0
    }
}

/// Group of a file, looked up at once: a sealed worker can't do so any more.
pub(super) struct FileGroup(u32);

impl Scalar for FileGroup {
    const EXPECTED: &'static str = "the name of a group to which the service user belongs, such as \"www-data\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let found = group_id(text).map_err(|error| format!("the group {text:?} can't be looked up: {error}"))?;
        found.map(Self).ok_or_else(|| format!("there is no group {text:?}; write {}", Self::EXPECTED))
    }
}

impl From<FileGroup> for Option<u32> {
    fn from(group: FileGroup) -> Self {
        Some(group.0)
    }
}

/// Name of a user or a group. Whether it exists is asked when the server starts.
pub(super) struct Account(String);

impl Scalar for Account {
    const EXPECTED: &'static str = "the name of an account other than root, such as \"fileserv\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let odd = |letter: char| letter == ':' || letter == '/' || letter.is_whitespace() || letter.is_control();
        if text.is_empty() || text == "root" || text.contains(odd) {
            return Err(format!("{text:?} can't be served as; write {}", Self::EXPECTED));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Reads the name of an account from the command line.
///
/// # Errors
/// What would be right.
pub fn account_name(text: &str) -> Result<String, String> {
    Account::from_text(text).map(|account| account.0)
}

impl From<Account> for Option<String> {
    fn from(account: Account) -> Self {
        Some(account.0)
    }
}

/// An absolute path: a relative one would mean something else when the server is started from another folder.
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !path.is_absolute() || text.contains('\0') {
        return Err(format!("{text:?} is not an absolute path; it must begin with `/`"));
    }
    Ok(path.to_owned())
}

/// The document root.
pub(super) struct Root(PathBuf);

impl Scalar for Root {
    const EXPECTED: &'static str = "the absolute path of a folder, such as \"/srv/fileserv\"";

    fn from_text(text: &str) -> Result<Self, String> {
        absolute(text).map(Self)
    }
}

impl From<Root> for PathBuf {
    fn from(root: Root) -> Self {
        root.0
    }
}

/// A file of passwords or tokens.
pub(super) struct CredentialsFile(PathBuf);

impl Scalar for CredentialsFile {
    const EXPECTED: &'static str = "the absolute path of a file, such as \"/etc/fileserv/users\"";

    fn from_text(text: &str) -> Result<Self, String> {
        absolute(text).map(Self)
    }
}

/// Where the process id stands.
pub(super) struct PidFile(PathBuf);

impl Scalar for PidFile {
    const EXPECTED: &'static str = "the absolute path of a file, such as \"/run/fileserv/fileserv.pid\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.ends_with('/') || text.contains(char::is_control) {
            return Err(format!("{text:?} is no name of a file; write {}", Self::EXPECTED));
        }
        absolute(text).map(Self)
    }
}

impl From<CredentialsFile> for Option<PathBuf> {
    fn from(file: CredentialsFile) -> Self {
        Some(file.0)
    }
}

impl From<PidFile> for Option<PathBuf> {
    fn from(file: PidFile) -> Self {
        Some(file.0)
    }
}

/// A name that is served for a folder.
pub(super) struct IndexName(String);

impl Scalar for IndexName {
    const EXPECTED: &'static str = "the name of a file, such as \"index.html\"";

    /// Hidden names are never served (they are 404), and an index is no way around that.
    fn from_text(text: &str) -> Result<Self, String> {
        const NAME_LIMIT_BYTES: usize = 255;
        if text.is_empty() || text.len() > NAME_LIMIT_BYTES || text.contains(['/', '\0']) {
            return Err(format!("{text:?} is no name in a folder; write {}, without `/`", Self::EXPECTED));
        }
        if text.starts_with('.') {
            return Err(format!("{text:?} is hidden, and hidden files are not served; write {}", Self::EXPECTED));
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<IndexName> for String {
    fn from(name: IndexName) -> Self {
        name.0
    }
}

/// Refuses what no request could ever name: a path of a request is decoded and has neither `//` nor dots.
pub(super) fn path_below_root(text: &str) -> Result<(), String> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err(format!("{text:?} must begin with `/`"));
    };
    if rest.starts_with('/') || text.contains("//") {
        return Err(format!("{text:?} has an empty part `//`; no request matches it"));
    }
    if text.split('/').any(|part| part == "." || part == "..") {
        return Err(format!("{text:?} has a part `.` or `..`; write the path that it leads to"));
    }
    if text.contains(char::is_control) {
        return Err(format!("{text:?} has a control character; no request matches it"));
    }
    Ok(())
}

impl Scalar for Precompressed {
    const EXPECTED: &'static str = "one of \"br\", \"zstd\", \"gzip\"";

    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, &[("br", Self::Brotli), ("zstd", Self::Zstd), ("gzip", Self::Gzip)])
    }
}

impl Scalar for Sandbox {
    const EXPECTED: &'static str = "one of \"required\", \"best-effort\", \"off\"";

    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, &[("required", Self::Required), ("best-effort", Self::BestEffort), ("off", Self::Off)])
    }
}

impl Scalar for ForwardedField {
    const EXPECTED: &'static str = "one of \"either\", \"Forwarded\", \"X-Forwarded-For\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let words =
            [("either", Self::Either), ("Forwarded", Self::Forwarded), ("X-Forwarded-For", Self::XForwardedFor)];
        one_of(text, &words)
    }
}

impl Scalar for SandboxRefusal {
    const EXPECTED: &'static str = "one of \"errno\", \"kill\"";

    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, &[("errno", Self::Errno), ("kill", Self::Kill)])
    }
}

impl Scalar for Durability {
    const EXPECTED: &'static str = "one of \"full\", \"none\"";

    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, &[("full", Self::Full), ("none", Self::None)])
    }
}

impl Scalar for LogTarget {
    const EXPECTED: &'static str = "\"off\", \"stdout\", \"stderr\", \"syslog\" or the absolute path of a file";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            "syslog" => Ok(Self::Syslog),
            path => absolute(path)
                .map(Self::File)
                .map_err(|_| format!("{path:?} is no place for a log; write {}", Self::EXPECTED)),
        }
    }
}

impl FromStr for LogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_keeps_its_owner_and_gains_no_powers() {
        let mode = |text| FileMode::from_text(text).ok().map(|mode| mode.0);
        assert_eq!(mode("0644"), Some(0o644));
        assert_eq!(mode("640"), Some(0o640));
        for wrong in ["0044", "04644", "0999", "rw", ""] {
            assert_eq!(mode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_and_paths_that_can_never_work_are_refused() {
        for wrong in ["", "a/b", ".hidden", "..", "a\0b"] {
            assert!(IndexName::from_text(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "root", "a b", "a:b"] {
            assert!(Account::from_text(wrong).is_err(), "{wrong:?}");
        }
        assert!(LogTarget::from_text("access.log").is_err_and(|error| error.contains("absolute")));
    }

    #[test]
    fn workers_are_a_number_or_auto() {
        assert!(Workers::from_text("auto").is_ok_and(|workers| workers.0 >= 1));
        assert!(Workers::from_integer(256).is_some_and(|workers| workers.0 == 256));
        assert!(Workers::from_integer(0).is_none());
        assert!(Workers::from_integer(257).is_none());
    }
}
