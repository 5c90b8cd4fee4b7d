//! The configuration: what an operator may choose, with its units, limits and reasons.
//! Process: both. The supervisor loads and checks it; a worker only reads the finished value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A configuration that has been read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where to accept connections.
    pub listen: Vec<ListenAddress>,
    /// The user to become when started as root; `None`: `fileserv`, or `nobody` where that doesn't exist.
    pub user: Option<String>,
    /// The group to become; `None`: the user's own.
    pub group: Option<String>,
    /// How many workers to keep running.
    pub workers: u16,
    /// The document root.
    pub root: PathBuf,
    /// Names that are served for a folder, in order of preference.
    pub index: Vec<String>,
    /// Whether a worker may serve without its seal.
    pub sandbox: Sandbox,
    /// Paths that a content provider other than files answers.
    pub routes: Vec<RouteRule>,
    /// Who may do what below which path; the longest matching path decides.
    pub access: AccessRules,
    /// How uploads are stored.
    pub uploads: Uploads,
    /// Limits on what is accepted.
    pub limits: Limits,
    /// Limits on waiting.
    pub timeouts: Timeouts,
    /// The cache of small files, a worker.
    pub cache: Cache,
    /// Where logs go.
    pub log: Log,
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// `ADDRESS:PORT`; an IPv6 address never takes IPv4 connections (IPV6_V6ONLY).
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// Whether a worker may serve without its seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// No landlock, no service.
    Required,
    /// Use what the kernel has and say what is missing.
    BestEffort,
    /// No seal at all: only for trying what the seal prevents.
    Off,
}

/// A path and the provider that answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRule {
    /// Begins with `/`, does not end with one.
    pub path: String,
    /// Who answers.
    pub provider: Provider,
}

/// A content provider that a route can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Perlin noise as characters or a picture.
    Perlin,
    /// SHA-256 of text, of an uploaded body or of a served file.
    Sha256,
    /// Counters of all workers.
    Stats,
}

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

/// How uploads are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploads {
    /// What an acknowledged upload has survived.
    pub durability: Durability,
    /// Permission bits of a new file.
    pub mode: u32,
}

/// What must have happened before an upload is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// File and folder entry are on stable storage.
    Full,
    /// The file is in place; a power cut may lose it.
    None,
}

/// Limits on what is accepted from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Request head in bytes; more is 431.
    pub head_bytes: usize,
    /// Request target in bytes; more is 414.
    pub target_bytes: usize,
    /// Field lines of a head; more is 431.
    pub fields: usize,
    /// Content of a request in bytes; more is 413.
    pub body_bytes: u64,
    /// Open connections a worker; at the limit it stops accepting.
    pub connections: usize,
    /// Requests a connection; the last is answered `Connection: close`.
    pub requests_per_connection: u32,
}

/// Limits on waiting. Every wait has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a head to its blank line.
    pub head: Duration,
    /// Between two pieces of a request's content.
    pub body: Duration,
    /// Between two requests on a connection.
    pub idle: Duration,
    /// Between two pieces of a reply that the client takes.
    pub send: Duration,
    /// How long an old generation, or a stopping server, may finish what it has begun.
    pub drain: Duration,
    /// The same for SIGQUIT.
    pub quit: Duration,
}

/// Bounds of the cache of small files, a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Bytes of content and fields kept.
    pub bytes: usize,
    /// The largest file that is cached; larger ones are sent by `sendfile`.
    pub file_bytes: usize,
}

/// Where logs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// One line a request, in the combined format.
    pub access: LogTarget,
    /// What went wrong, and the life of the server.
    pub error: LogTarget,
}

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to; opened again on SIGUSR1 and SIGHUP.
    File(PathBuf),
    /// The local syslog daemon.
    Syslog,
}
