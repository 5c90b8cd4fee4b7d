//! Box `server_start`: from the command line to serving, in numbered steps.
//! Process: supervisor, root until step 8 if it was started so. Trusts: the operator. Fails with: `StartError`, printed.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::boards::BoardPool;
use super::generation::{Generation, Offer};
use super::listeners::listen;
use super::logins;
use super::{Phase, Supervisor};
use crate::auth::CredentialsError;
use crate::config::{self, Config, ConfigError, ListenAddress, LogTarget, Site, Sites, Source};
use crate::log::{Level, LogError, Logs};
use crate::sys::credentials::{self, Account};
use crate::sys::signals::Signals;
use crate::sys::{file, limits, process};

/// Why service does not begin, or a reload changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A reload asks for what only a start can do.
    #[error("a changed {} takes effect with a restart only", keys.join(" or "))]
    NeedsRestart {
        /// The keys that changed.
        keys: Vec<&'static str>,
    },
    /// An address.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// Which.
        address: ListenAddress,
        /// What the kernel said.
        source: io::Error,
    },
    /// The document root of a site.
    #[error("can't open the root {}: {source}", path.display())]
    Root {
        /// Which folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file of passwords or tokens.
    #[error(transparent)]
    Logins(#[from] CredentialsError),
    /// The change of user.
    #[error(transparent)]
    Credentials(#[from] credentials::CredentialsError),
    /// A log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Something that a working system gives everyone.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Descriptors of a worker besides its connections and their files, and the roots: logs, listeners, helper threads'
/// wake-ups; generously.
const OTHER_FILES: usize = 256;

/// Serves what `source` says until it is told to stop. The exit code is 0 after a stop, 1 when service could not begin.
#[doc(alias = "server_start")]
#[must_use]
pub fn start(source: Source) -> ExitCode {
    match prepare(source) {
        Ok(supervisor) => supervisor.run(),
        Err(error) => {
            print(&error);
            ExitCode::FAILURE
        }
    }
}

fn prepare(source: Source) -> Result<Supervisor, StartError> {
    // 1. Read the configuration: as root it may lie where the service user can't read it, but then no reload can.
    let config = Arc::new(config::load(&source)?);
    // 2. Be deaf to what the starter left behind, and hear signals: one that comes from now on is not lost.
    process::leave_standard_input().map_err(system("leave standard input"))?;
    let signals = Signals::catch().map_err(system("catch signals"))?;
    // 3. Look up the service user; a user database may want root.
    let account = account(&config)?;
    // 4. Bind and listen. The sockets stay open here for life, so that no worker's death closes one.
    let listeners = listen(&config.listen, &[])?;
    // 5. Open the roots while still root, so that one below a folder of mode 0700 works.
    let roots = open_roots(&config.sites)?;
    // 6. Map the boards: two a worker, for a reload has two generations for a while.
    let mut boards = BoardPool::default();
    boards.reserve(2 * usize::from(config.workers)).map_err(system("map the boards"))?;
    // 7. Room for every connection and its file; raising a hard limit wants root.
    let files_wanted =
        config.limits.connections.saturating_mul(2).saturating_add(OTHER_FILES + config.sites.named.len()) as u64;
    let files = limits::allow_open_files(files_wanted).map_err(system("raise the limit of open files"))?;
    // 8. Become the service user, for ever; then shut this process's memory to others of that user.
    let kept = match &account {
        Some(account) => credentials::become_account(account)?,
        None => credentials::stay(config.user.as_deref(), config.group.as_deref())?,
    };
    process::forbid_dumps().map_err(system("forbid dumps"))?;
    // 9. Open the logs as that user, so that a start can't succeed where opening them again would fail.
    let logs = Logs::open(&config.log)?;
    if files < files_wanted {
        let words = format_args!("only {files} open files are allowed, {files_wanted} may be wanted");
        logs.error(Level::Warning, words);
    }
    if !kept.bounding_empty {
        logs.error(Level::Info, format_args!("started without root: the bounding set of capabilities stays as it was"));
    }
    // 10. Read the passwords as that user, for the same reason.
    let logins = logins::load(&config, &logs)?;
    // 11. The first generation; its workers are forked by the loop's first turn, as all others are.
    let offer = Offer { number: 1, config, credentials: logins, listeners, roots: Arc::new(roots), logs: logs.clone() };
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(Supervisor {
        source,
        signals,
        boards,
        started,
        logs,
        current: None,
        next: Some(Generation::new(offer, Instant::now())),
        leaving: Vec::new(),
        reload_wanted: false,
        phase: Phase::Starting,
    })
}

/// Whom to become; nobody else without root.
pub(super) fn account(config: &Config) -> Result<Option<Account>, StartError> {
    if !credentials::is_root() {
        return Ok(None);
    }
    Ok(Some(Account::find(config.user.as_deref(), config.group.as_deref())?))
}

/// The root of each site.
pub(super) fn open_roots(sites: &Sites<Site>) -> Result<Sites<OwnedFd>, StartError> {
    sites.try_map(|Site { root, .. }| {
        file::open_root(root).map_err(|source| StartError::Root { path: root.clone(), source })
    })
}

pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// To standard error, whatever the logs are: the one who started us looks there.
fn print(error: &StartError) {
    let _ = writeln!(io::stderr(), "fileserv: {error}");
}

/// Says that service can't begin: in the log, and to standard error unless that is the log.
pub(super) fn complain(offer: &Offer, words: std::fmt::Arguments<'_>) {
    offer.logs.error(Level::Error, words);
    if offer.config.log.error != LogTarget::Stderr {
        let _ = writeln!(io::stderr(), "fileserv: {words}");
    }
}
