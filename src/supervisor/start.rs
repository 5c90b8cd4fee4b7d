//! Box `server_start`: from the command line to serving, in numbered steps.
//! Process: supervisor, root until step 8 if it was started so. Trusts: the operator. Fails with: `StartError`, printed.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::boards::BoardPool;
use super::generation::{Generation, Offer};
use super::handed::Handed;
use super::listeners::listen;
use super::logins;
use super::program::Program;
use super::record::{PidFile, PidFileError, Record};
use super::upgrade::{self, Predecessor};
use super::vigil::Vigil;
use super::{Phase, Supervisor, notify};
use crate::auth::CredentialsError;
use crate::config::{self, Config, ConfigError, ListenAddress, LogTarget, Site, Sites, Source};
use crate::log::{Level, LogError, Logs};
use crate::sys::account::Account;
use crate::sys::credentials;
use crate::sys::signals::Signals;
use crate::sys::{file, inherited, limits, process};

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
    /// What the starter has handed over makes no sense.
    #[error("can't take what was handed over at the start: {0}")]
    Handed(io::Error),
    /// The pid file.
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// A new address takes in one that is served.
    #[error(
        "can't listen on {address} while {live} is served, as one takes in the other: restart, or take {live} away first"
    )]
    Overlaps {
        /// The new one.
        address: ListenAddress,
        /// The one that is served.
        live: ListenAddress,
    },
    /// The service manager has no such socket.
    #[error("can't listen on {address}: no such socket was passed by LISTEN_FDS; passed: {passed}")]
    NotPassed {
        /// Which.
        address: ListenAddress,
        /// What there is.
        passed: String,
    },
    /// Nobody would answer at a socket.
    #[error(
        "the socket {name:?} at {place}, which was passed, is in no `listen`: write its address there, or \"systemd\" for all"
    )]
    Unclaimed {
        /// Its name.
        name: String,
        /// Where it listens.
        place: String,
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

/// Descriptors of a worker besides its connections and their files, and the roots: files that the cache keeps open, logs,
/// listeners, helper threads' wake-ups; generously.
const OTHER_FILES: usize = 768;

/// Serves what `source` says until it is told to stop. The exit code is 0 after a stop, 1 when service could not begin.
#[doc(alias = "server_start")]
#[must_use]
pub fn start(source: Source) -> ExitCode {
    let program = Program::own();
    let mut handed = match Handed::receive() {
        Ok(handed) => handed,
        Err(error) => return fail(&StartError::Handed(error)),
    };
    match prepare(source, &mut handed, program) {
        Ok(supervisor) => supervisor.run(),
        Err(error) => {
            if let Some(predecessor) = &handed.predecessor {
                upgrade::say_failed(predecessor, &error.to_string());
            }
            fail(&error)
        }
    }
}

fn fail(error: &StartError) -> ExitCode {
    print(error);
    ExitCode::FAILURE
}

fn prepare(source: Source, handed: &mut Handed, program: Program) -> Result<Supervisor, StartError> {
    // 1. Read the configuration: as root it may lie where the service user can't read it, but then no reload can.
    let config = Arc::new(config::load(&source)?);
    // 2. Be deaf to what the starter left behind, and hear signals: one that comes from now on is not lost.
    inherited::leave_standard_input().map_err(system("leave standard input"))?;
    inherited::forbid_reading_of_terminals().map_err(system("open the terminal anew"))?;
    let signals = Signals::catch().map_err(system("catch signals"))?;
    // 3. Look up the service user; a user database may want root. And be the only one: before anything is bound.
    let account = account(&config)?;
    let record = record(&config, handed)?;
    // 4. Bind and listen. The sockets stay open here for life, so that no worker's death closes one.
    let listeners = listen(&config.listen, &handed.kept, &handed.passed)?;
    // 5. Open the roots while still root, so that one below a folder of mode 0700 works.
    let roots = open_roots(&config.sites)?;
    // 6. Map the boards: two a worker, for a reload has two generations for a while; and one for who is replaced.
    let boards = boards(config.workers).map_err(system("map the boards"))?;
    // 7. Room for every connection and its files; raising a hard limit wants root. No core file, here and in workers.
    let files_wanted = files_wanted(&config);
    let files = limits::allow_open_files(files_wanted).map_err(system("raise the limit of open files"))?;
    limits::forbid_core().map_err(system("forbid core files"))?;
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
    let number = handed.generation + 1;
    let offer = Offer { number, config, credentials: logins, listeners, roots: Arc::new(roots), logs: logs.clone() };
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = Instant::now();
    let hang = offer.config.timeouts.hang;
    let watchdog = notify::watchdog();
    if let Some(limit) = watchdog.filter(|limit| *limit <= hang + Duration::from_secs(10)) {
        let words = format_args!("WatchdogSec ({limit:?}) should be more than timeouts.hang ({hang:?}) and 10 s");
        logs.error(Level::Warning, words);
    }
    Ok(Supervisor {
        source,
        signals,
        boards,
        started,
        logs,
        current: None,
        next: Some(Generation::new(offer, now)),
        leaving: Vec::new(),
        reload_wanted: false,
        upgrade_wanted: false,
        passed: std::mem::take(&mut handed.passed),
        record,
        program,
        successor: None,
        predecessor: handed.predecessor.take().map(Predecessor::new),
        vigil: Vigil::new(watchdog, now),
        status: String::new(),
        trouble: None,
        drops_before: 0,
        phase: Phase::Starting,
    })
}

/// How many descriptors a worker may want: a connection and its file; and where somebody may write, an upload with its
/// folder, what it is kept in, and the root. A quota or two and a lock fit into what the others don't use.
fn files_wanted(config: &Config) -> u64 {
    let each = if config.sites.can_write() { 4 } else { 2 };
    config.limits.connections.saturating_mul(each).saturating_add(OTHER_FILES + config.sites.named.len()) as u64
}

/// The pid file: made here, or handed over with its lock.
fn record(config: &Config, handed: &mut Handed) -> Result<Record, StartError> {
    let file = if handed.predecessor.is_some() {
        let kept = handed.pid_file.take();
        if kept.as_ref().map(|kept| &kept.path) != config.pid_file.as_ref() {
            return Err(StartError::NeedsRestart { keys: vec!["pid_file"] });
        }
        kept
    } else {
        config.pid_file.as_deref().map(PidFile::take).transpose()?
    };
    Ok(Record::new(file, std::mem::take(&mut handed.outcomes)))
}

fn boards(workers: u16) -> io::Result<BoardPool> {
    let mut boards = BoardPool::new()?;
    boards.reserve(2 * usize::from(workers) + 1)?;
    Ok(boards)
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
