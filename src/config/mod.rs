//! The configuration: what an operator may choose, with its units, limits and reasons.
//! Process: both. The supervisor loads and checks it; a worker only reads the finished value.

mod access;
mod access_text;
mod check;
mod check_sites;
mod cors;
mod defaults;
mod error;
mod error_pages;
mod fields;
mod hosts;
mod listen;
mod networks;
mod overrides;
mod quotas;
mod raw;
mod redirects;
mod routes;
mod scalar;
mod site;
mod source;
mod units;
mod values;

use std::path::PathBuf;
use std::time::Duration;

pub use crate::message::{Verb, Verbs};
pub use access::{AccessRule, AccessRules, Users};
pub use check::bounds;
pub use cors::{CorsGrant, CorsId, CorsRules};
pub use error::ConfigError;
pub use error_pages::ErrorPages;
pub use fields::{FieldRule, FieldRules, FieldsId, FixedFields};
pub use hosts::{HostName, Hosts};
pub use listen::{Listen, ListenAddress};
pub use networks::{Networks, TrustedProxies};
pub use overrides::Override;
pub use quotas::{Quota, Quotas};
pub use raw::keys;
pub use redirects::{Redirect, Redirects};
pub use site::{Site, SiteId, Sites};
pub use source::{Options, Source, load, pid_file};
pub use values::{account_name, worker_count};

/// A configuration that has been read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where to accept connections.
    pub listen: Vec<Listen>,
    /// Whose word about the true client is taken.
    pub trusted_proxies: TrustedProxies,
    /// In which field they give it.
    pub forwarded_field: ForwardedField,
    /// The user to become when started as root; `None`: `fileserv`, or `nobody` where that doesn't exist.
    pub user: Option<String>,
    /// The group to become; `None`: the user's own.
    pub group: Option<String>,
    /// Where the supervisor's process id stands, locked; `None`: nowhere.
    pub pid_file: Option<PathBuf>,
    /// How many workers to keep running.
    pub workers: u16,
    /// What is served under which names.
    pub sites: Sites<Site>,
    /// Which compressed siblings of files are served, in order of preference.
    pub precompressed: Vec<Precompressed>,
    /// Whether a worker may serve without its seal.
    pub sandbox: Sandbox,
    /// What comes of a system call that the seal refuses.
    pub sandbox_refusal: SandboxRefusal,
    /// How uploads are stored.
    pub uploads: Uploads,
    /// Uploads in several requests.
    pub resumable: Resumable,
    /// Limits on what is accepted.
    pub limits: Limits,
    /// Limits on waiting.
    pub timeouts: Timeouts,
    /// The cache of small files, a worker.
    pub cache: Cache,
    /// Where logs go.
    pub log: Log,
}

/// A kind of file that holds, beside another one, the same content compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precompressed {
    /// `NAME.br`.
    Brotli,
    /// `NAME.zst`.
    Zstd,
    /// `NAME.gz`.
    Gzip,
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

/// What comes of a system call that the seal refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxRefusal {
    /// The call fails with EPERM; who made it may go on.
    Errno,
    /// The worker is killed at once (SIGSYS), and replaced.
    Kill,
}

impl Config {
    /// The keys whose new value can't be had by a reload: the right to change user, or to make a file wherever root may,
    /// is gone once the server runs.
    #[must_use]
    pub fn restart_only_changes(&self, new: &Self) -> Vec<&'static str> {
        let changes = [
            ("user", self.user != new.user),
            ("group", self.group != new.group),
            ("pid_file", self.pid_file != new.pid_file),
        ];
        changes.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
    }
}

/// In which field a trusted proxy names the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedField {
    /// Whichever is there; if both are, they must agree.
    Either,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
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

/// How uploads are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploads {
    /// What an acknowledged upload has survived.
    pub durability: Durability,
    /// Permission bits of a new file.
    pub mode: u32,
    /// Id of the group of a new file; `None`: the service's, or that of a folder that hands on its own.
    pub group: Option<u32>,
    /// Are folders on the way to a new file made?
    pub make_folders: bool,
    /// Bytes of the disk that uploads leave free.
    pub min_free: u64,
}

/// Uploads in several requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumable {
    /// How long one is kept that nobody goes on with, and the memory of one that is complete.
    pub expiry: Duration,
    /// All requests of one together, in bytes; 0: no more than one request may bring.
    pub bytes: u64,
    /// What a request must bring that is not the last, in bytes.
    pub min_append_bytes: u64,
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
    /// Ranges that a request may ask for; with more of them the whole file is sent.
    pub ranges: usize,
    /// Content of a request in bytes; more is 413.
    pub body_bytes: u64,
    /// Open connections a worker; at the limit it stops accepting.
    pub connections: usize,
    /// Open connections of one client a worker; more are 503.
    pub connections_per_client: usize,
    /// Clients for whom that limit does not hold.
    pub exempt_clients: Networks,
    /// Requests a connection; the last is answered `Connection: close`.
    pub requests_per_connection: u32,
    /// Requests after which another worker takes a worker's place; 0: never.
    pub requests_per_worker: u64,
    /// Memory of its own, in bytes, at which another worker takes a worker's place; 0: never.
    pub worker_memory: u64,
    /// How fast a request's content must come on average, in bytes a second; 0: as slowly as it likes.
    pub min_body_bytes_per_second: u64,
    /// How fast a client must take a reply on average, in bytes a second; 0: as slowly as it likes.
    pub min_send_bytes_per_second: u64,
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
    /// How far content may fall behind its least rate, in either direction.
    pub lag: Duration,
    /// How long an old generation, or a stopping server, may finish what it has begun.
    pub drain: Duration,
    /// The same for SIGQUIT.
    pub quit: Duration,
    /// How long a worker's heartbeat may stand still before the worker is killed.
    pub hang: Duration,
}

/// Bounds of the cache of small files, a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Bytes of content and fields kept.
    pub bytes: usize,
    /// The largest file that is cached; larger ones are sent by `sendfile`.
    pub file_bytes: usize,
    /// Files whose digests are kept; 0: none are made.
    pub digests: usize,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_of_account_wants_a_restart() {
        let old = Config::default();
        let new = Config { workers: 7, group: Some("www".into()), listen: Vec::new(), ..Config::default() };
        assert_eq!(old.restart_only_changes(&new), ["group"]);
        assert!(old.restart_only_changes(&old.clone()).is_empty());
    }
}
