//! What the event loop lends to a connection for one turn: everything that all connections of a worker share.
//! Process: worker.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::clients::Clients;
use super::gathered::Budget;
use super::offload::Offload;
use super::pace::Least;
use super::verdicts::Verdicts;
use crate::auth::Credentials;
use crate::config::{Config, Hosts, SiteId, Sites};
use crate::content::{Cache, Context, FolderSyncs, KnownDigests, MediaTypes, Now, OpenFolders};
use crate::http::{CommonLines, HeadLimits, Schemes};
use crate::log::{AccessLog, LatestLogs, Logs};
use crate::stats::{Boards, Tally};

/// How many bytes of a file a connection sends in one turn at most, and all downloads together in one wake. Shared out
/// in quarters, so that more of them send in each, a GiB took 4 % more time.
pub(super) const TURN_BYTES: usize = 1024 * 1024;

/// The worker's shared belongings.
pub(super) struct Desk {
    /// The configuration of this generation.
    pub(super) config: Arc<Config>,
    /// Which site a host means.
    pub(super) hosts: Hosts,
    /// The document root of each site.
    pub(super) roots: Arc<Sites<OwnedFd>>,
    /// All boards.
    pub(super) boards: Boards,
    /// What is kept of files.
    pub(super) cache: Cache,
    /// Digests of files.
    pub(super) known_digests: KnownDigests,
    /// Folders that uploads bring to stable storage.
    pub(super) syncs: FolderSyncs,
    /// Folders in which uploads were stored a moment ago.
    pub(super) folders: OpenFolders,
    /// All logs, as they were opened last.
    pub(super) logs: Logs,
    /// The same for threads that live as long as the loop.
    pub(super) latest_logs: LatestLogs,
    /// Media types by name.
    pub(super) media_types: MediaTypes,
    /// Counts of this wake.
    pub(super) tally: Tally,
    /// How many connections each client has.
    pub(super) clients: Clients,
    /// A buffer for building paths.
    pub(super) scratch: Vec<u8>,
    /// Heads and small bodies of the connection whose turn it is; sent at the end of the turn, many in one call.
    pub(super) out: Vec<u8>,
    /// When this wake began.
    pub(super) now: Now,
    /// The same on a clock that never jumps, in milliseconds: what deadlines are measured by.
    pub(super) monotonic_ms: u64,
    /// The lines of every head, `Date` among them; made once a second.
    pub(super) common_lines: CommonLines,
    /// Helper threads.
    pub(super) offload: Offload,
    /// Memory for content on its way to them.
    pub(super) budget: Budget,
    /// The access log.
    pub(super) access_log: AccessLog,
    /// Whom each site knows.
    pub(super) credentials: Arc<Sites<Credentials>>,
    /// What is known of passwords.
    pub(super) verdicts: Verdicts,
    /// Is every answer the last of its connection, because this worker is about to end?
    pub(super) is_draining: bool,
    /// How many bytes of files a connection may send in its turn: `TURN_BYTES`, or less where others wait.
    pub(super) turn_bytes: usize,
    /// How many of them the one whose turn it is has left.
    pub(super) turn_left_bytes: usize,
}

impl Desk {
    /// What a worker has when it begins to serve; the clock starts with the first wake. It knows nobody yet.
    ///
    /// # Errors
    /// A system without random numbers.
    pub(super) fn new(
        config: Arc<Config>,
        roots: Arc<Sites<OwnedFd>>,
        boards: Boards,
        media_types: MediaTypes,
        offload: Offload,
        latest_logs: LatestLogs,
        now: Now,
    ) -> io::Result<Self> {
        let logs = latest_logs.now();
        Ok(Self {
            hosts: Hosts::of(&config.sites),
            roots,
            boards,
            cache: Cache::new(&config.cache),
            known_digests: KnownDigests::new(config.cache.digests),
            syncs: FolderSyncs::default(),
            folders: OpenFolders::default(),
            media_types,
            tally: Tally::default(),
            clients: Clients::default(),
            scratch: Vec::new(),
            out: Vec::new(),
            now,
            monotonic_ms: 0,
            common_lines: CommonLines::of(now.date()),
            offload,
            budget: Budget::default(),
            access_log: AccessLog::new(&logs),
            logs,
            latest_logs,
            credentials: Arc::default(),
            verdicts: Verdicts::new()?,
            is_draining: false,
            turn_bytes: TURN_BYTES,
            turn_left_bytes: 0,
            config,
        })
    }

    /// Goes on with logs that have been opened anew, and lets go of the old ones.
    pub(super) fn follow_logs(&mut self, logs: Logs) {
        self.access_log.reopen(&logs);
        self.latest_logs.follow(logs.clone());
        self.logs = logs;
    }

    /// What a content provider of this site may see of all this.
    pub(super) fn context(&mut self, site: SiteId) -> Context<'_> {
        Context {
            config: &self.config,
            site: self.config.sites.get(site),
            now: self.now,
            root: self.roots.get(site).as_fd(),
            boards: &self.boards,
            cache: &mut self.cache,
            known_digests: &self.known_digests,
            syncs: &self.syncs,
            folders: &self.folders,
            logs: &self.logs,
            media_types: &self.media_types,
            tally: &mut self.tally,
            scratch: &mut self.scratch,
        }
    }

    /// How fast content must come in.
    pub(super) fn least_receiving(&self) -> Least {
        let config = &self.config;
        Least { bytes_per_second: config.limits.min_body_bytes_per_second, lag: config.timeouts.lag }
    }

    /// How fast a reply must be taken.
    pub(super) fn least_sending(&self) -> Least {
        let config = &self.config;
        Least { bytes_per_second: config.limits.min_send_bytes_per_second, lag: config.timeouts.lag }
    }

    /// How a site can ask who somebody is.
    pub(super) fn schemes(&self, site: SiteId) -> Schemes {
        let credentials = self.credentials.get(site);
        Schemes { passwords: credentials.takes_passwords(), tokens: credentials.takes_tokens() }
    }

    /// The limits of a request head.
    pub(super) fn head_limits(&self) -> HeadLimits {
        let limits = &self.config.limits;
        HeadLimits { head_bytes: limits.head_bytes, target_bytes: limits.target_bytes, fields: limits.fields }
    }
}
