//! What holds when nothing is said: of the daemon, and of quick use from a shell.
//! Process: supervisor.

use std::path::PathBuf;
use std::time::Duration;

use super::values::Workers;
use super::{
    AccessRule, AccessRules, Cache, Config, CorsRules, Durability, ErrorPages, FieldRules, ForwardedField, Limits,
    ListenAddress, Log, LogTarget, Networks, Provider, Quotas, Redirects, Resumable, RouteRule, Sandbox,
    SandboxRefusal, Site, Sites, Timeouts, TrustedProxies, Uploads, Verb, Verbs,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

impl Default for Config {
    /// The defaults of the daemon: it shows files to this machine, and nothing else to anybody.
    fn default() -> Self {
        Self {
            listen: vec![ListenAddress::Tcp(([127, 0, 0, 1], 8080).into()).into()],
            trusted_proxies: TrustedProxies::default(),
            forwarded_field: ForwardedField::Either,
            user: None,
            group: None,
            pid_file: None,
            workers: Workers::auto().into(),
            sites: Sites { default: Site { root: "/srv/fileserv".into(), ..Site::default() }, named: Vec::new() },
            // Looking for siblings costs an opening of a file or two a request.
            precompressed: Vec::new(),
            sandbox: Sandbox::Required,
            // A library that asks for more than it needs must not take connections down with it.
            sandbox_refusal: SandboxRefusal::Errno,
            uploads: Uploads {
                durability: Durability::Full,
                // The usual mode of a file that a web server shows.
                mode: 0o644,
                group: None,
                // A slip in an address shall not make a tree.
                make_folders: false,
                // How much others need of this disk only its operator knows.
                min_free: 0,
            },
            resumable: Resumable {
                // A laptop that was closed in the evening goes on the next day.
                expiry: Duration::from_secs(2 * 86_400),
                // Who sets a limit for one request means one for a file as well, unless he says otherwise.
                bytes: 0,
                min_append_bytes: 0,
            },
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            // A worker's share: ten thousand small pages. From about 32 KiB on it costs the kernel less to send a file's
            // own pages than to copy its bytes once more. A digest costs about 250 bytes.
            cache: Cache { bytes: 64 * MIB, file_bytes: 32 * KIB, digests: 4096 },
            log: Log { access: LogTarget::Off, error: LogTarget::Stderr },
        }
    }
}

impl Config {
    /// Quick use from a shell: everything that reads is on; with `upload`, files may be created and replaced as well.
    /// An access log is printed where someone sits and reads it.
    #[must_use]
    pub fn quick(upload: bool, on_terminal: bool) -> Self {
        let read = [Verb::List, Verb::Read];
        let write = [Verb::List, Verb::Read, Verb::Create, Verb::Replace];
        let route = |path: &str, provider| RouteRule { path: path.to_owned(), provider };
        let mut config = Self::default();
        config.sites.default.routes = vec![
            route("/perlin", Provider::Perlin),
            route("/sha256", Provider::Sha256),
            route("/stats", Provider::Stats),
        ];
        config.sites.default.access = everywhere(if upload { &write } else { &read });
        // Who uploads a folder to himself wants its folders.
        config.uploads.make_folders = true;
        // The disk is the limit of someone who serves his own folder to himself.
        config.limits.body_bytes = 1 << 40;
        config.log.access = if on_terminal { LogTarget::Stdout } else { LogTarget::Off };
        config
    }
}

impl Default for Site {
    /// A site shows its files and nothing else. It has neither names nor a root before somebody says which.
    fn default() -> Self {
        Self {
            names: Vec::new(),
            root: PathBuf::new(),
            index: vec!["index.html".to_owned()],
            routes: Vec::new(),
            access: everywhere(&[Verb::Read]),
            quotas: Quotas::default(),
            users_file: None,
            tokens_file: None,
            cors: CorsRules::default(),
            redirects: Redirects::default(),
            error_pages: ErrorPages::default(),
            fallback: None,
            fields: FieldRules::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Browsers with many cookies send 8 KiB; more than twice that is an error or an attack.
            head_bytes: 16 * KIB,
            // RFC 9110 section 4.1 recommends at least 8000 bytes.
            target_bytes: 8 * KIB,
            // As many as there is room for.
            fields: FIELDS_LIMIT,
            // Viewers of PDF files ask for a dozen; hundreds are meant to make work.
            ranges: 32,
            // A photo, a video clip, a package; who takes disk images says so.
            body_bytes: 1 << 30,
            // An idle one costs a few hundred bytes, so a worker full of them needs 1 or 2 MiB.
            connections: 4096,
            // One client can hold a sixteenth of the table at most; an office behind one address gets along with that.
            connections_per_client: 256,
            // Tests, and proxies on this machine, whose one address stands for many clients.
            exempt_clients: Networks::loopback(),
            // Bounds what a slow leak in a client or a proxy could hold on to; one new connection in 10,000 costs nothing.
            requests_per_connection: 10_000,
            // No leak is known. Who meets one can bound it until it is found.
            requests_per_worker: 0,
            worker_memory: 0,
            // A fifth of what the slowest modem of a mobile phone carries, but a hundred times what a client sends that
            // only wants to hold the place.
            min_body_bytes_per_second: 256,
            min_send_bytes_per_second: 256,
        }
    }
}

/// `Request` has room for this many field lines.
pub(super) const FIELDS_LIMIT: usize = 100;

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // A head is one packet or a few: who needs longer holds the place open on purpose.
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            // Longer than the 60 s of the usual load balancers, so that they close first and never write into a reset.
            idle: Duration::from_secs(75),
            send: Duration::from_secs(30),
            // Longer than the two above: a client that came back just in time must not be cut for having been away.
            lag: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            quit: Duration::from_secs(3600),
            // The heart beats once a second; the rest is for a machine that swaps, and for a disk that is slow to answer.
            hang: Duration::from_secs(30),
        }
    }
}

fn everywhere(verbs: &[Verb]) -> AccessRules {
    let allow = verbs.iter().copied().fold(Verbs::NONE, Verbs::with);
    AccessRules::new(vec![AccessRule { path: "/".to_owned(), allow, ..AccessRule::default() }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{FIELD_LIMIT, Visitor};

    #[test]
    fn the_daemon_shows_files_and_nothing_else() {
        let config = Config::default();
        assert_eq!(config.sites.default.access.verbs(b"/a", &Visitor::default()), Verbs::NONE.with(Verb::Read));
        assert!(config.sites.default.routes.is_empty());
        assert!(!config.sites.can_write());
    }

    #[test]
    fn quick_use_writes_only_when_told_and_then_takes_large_files() {
        assert!(!Config::quick(false, true).sites.can_write());
        let config = Config::quick(true, false);
        let verbs = config.sites.default.access.verbs(b"/a", &Visitor::default());
        assert!(verbs.contains(Verb::Create) && verbs.contains(Verb::Replace) && !verbs.contains(Verb::Delete));
        assert!(config.limits.body_bytes >= 5 << 30);
        assert_eq!(config.log.access, LogTarget::Off);
    }

    // Stated twice because this layer lies below `message`.
    #[test]
    fn a_request_has_room_for_the_fields_that_may_be_configured() {
        assert_eq!(FIELDS_LIMIT, FIELD_LIMIT);
    }
}
