//! The life of a worker, from what it inherited to its end, as numbered steps that are never reordered.
//! Process: worker; it starts as the service user and ends sealed.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use super::acceptor::Acceptor;
use super::desk::Desk;
use super::event_loop::EventLoop;
use super::grants::Grants;
use super::offload::{Offload, Pools};
use super::sandbox::Seal;
use super::seccomp::Needs;
use super::sweep::Sweeper;
use super::vitals::Vitals;
use super::{sandbox, seccomp};
use crate::config::{LogTarget, Sandbox};
use crate::content::{MediaTypes, OpenFolders};
use crate::heritage::Heritage;
use crate::log::{LatestLogs, Level};
use crate::stats::WorkerState;
use crate::sys::{credentials, epoll::Epoll, file, inherited, limits, stamps, watcher::Watcher};

/// Runs until the supervisor orders the end. Failure means that the worker could not be sealed or could not wait.
#[must_use]
pub fn run(heritage: Heritage) -> ExitCode {
    let logs = LatestLogs::new(heritage.logs.clone());
    let slot = heritage.slot;
    match serve(heritage, &logs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs.now().error(Level::Error, format_args!("worker {slot}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A worker behind its seal: what it has that could not be opened, made or started there.
pub(super) struct Sealed {
    vitals: Vitals,
    epoll: Epoll,
    watcher: Option<Watcher>,
    media_types: MediaTypes,
    folders: OpenFolders,
    offload: Offload,
    sweeper: Option<Sweeper>,
    seal: Seal,
}

impl Sealed {
    /// What the seal enforces.
    pub(super) fn words(&self) -> String {
        self.seal.to_string()
    }
}

/// The steps to the seal. `--check-sandbox` takes them as well, so that it speaks of what serves.
pub(super) fn seal(heritage: &Heritage, logs: &LatestLogs) -> Result<Sealed, Box<dyn std::error::Error>> {
    let config = &heritage.config;

    // 1. No capability of any kind, and none to be had.
    credentials::drop_everything()?;
    // 2. No core file; the modes of uploads are those that the configuration names; what the starter said in the
    //    environment is no business of a worker.
    limits::forbid_core()?;
    file::clear_umask();
    inherited::clear_environment();
    // 3. What the seal would forbid to open or make.
    let vitals = Vitals::open(&heritage.logs)?;
    let epoll = Epoll::new()?;
    let watcher = Watcher::new()
        .inspect_err(|error| {
            // As in most containers.
            let instead = "kept files are compared at each use";
            heritage.logs.error(Level::Notice, format_args!("no changes are told here ({error}): {instead}"));
        })
        .ok();
    let media_types = MediaTypes::of_system().unwrap_or_else(|error| {
        heritage.logs.error(Level::Warning, format_args!("/etc/mime.types: {error}; media types are guessed"));
        MediaTypes::default()
    });
    let stamps_tell = config.sites.can_write() && stamps::tell_changes_in_memory().unwrap_or(false);
    let folders = OpenFolders::new(stamps_tell);
    let grants = Grants::of(heritage);
    // 4. Landlock, before any thread exists: it binds the calling thread and its children.
    let mut seal = sandbox::seal_filesystem(&grants, config.sandbox)?;
    // 5. The helper threads, before the filter that forbids to make any.
    let verifying = heritage.credentials.iter().any(|(_, of_site)| of_site.takes_passwords());
    let offload = Offload::start(Pools { content: config.sites.can_write(), verifying })?;
    let sweeper = Sweeper::start_if_needed(heritage, logs)?;
    // 6. No process and no thread more, and then the system call filter, on every thread.
    if config.sandbox != Sandbox::Off {
        limits::forbid_processes()?;
        let syslog = [&config.log.access, &config.log.error].contains(&&LogTarget::Syslog);
        let needs = Needs { folders: grants.makes_folders(), writes: config.sites.can_write(), syslog };
        let filter = seccomp::allow_only_needed_calls(needs, config.sandbox_refusal);
        seal.add_filter(filter, config.sandbox)?;
    }
    if let Some(sweeper) = sweeper.as_ref().filter(|_| heritage.sweeps) {
        sweeper.sweep();
    }
    file::probe_beneath(heritage.roots.default.as_fd())
        .map_err(|error| format!("openat2(2) is refused here: {error}"))?;
    Ok(Sealed { vitals, epoll, watcher, media_types, folders, offload, sweeper, seal })
}

fn serve(mut heritage: Heritage, logs: &LatestLogs) -> Result<(), Box<dyn std::error::Error>> {
    let Sealed { vitals, epoll, watcher, media_types, folders, offload, sweeper, seal } = seal(&heritage, logs)?;
    // Who kept them after a rotation would keep files that an operator wants to be rid of.
    drop(heritage.logs);

    // 7. Sealed: now, and only now, bytes of clients may come.
    let config = heritage.config.clone();
    heritage.boards.seal = seal.to_string();
    let now = Vitals::now();
    let board = heritage.board;
    let mut desk = Desk::new(config, heritage.roots, heritage.boards, media_types, offload, logs.clone(), now)?;
    desk.credentials = heritage.credentials;
    desk.cache.hear_from(watcher);
    desk.folders = folders;
    let acceptor = Acceptor::new(heritage.entrances, desk.config.limits.connections);
    let seal = desk.boards.seal.clone();
    let mut event_loop = EventLoop::new(epoll, acceptor, desk, sweeper, board, vitals);
    event_loop.join(&heritage.control)?;
    board.connections.store(0, Relaxed);
    board.ready_since.store(now.unix_seconds, Relaxed);
    board.state.store(WorkerState::Serving as u64, Relaxed);
    heritage.control.say_ready(&seal)?;
    // 8. Serve until the end is ordered.
    event_loop.run(&heritage.control)?;
    board.connections.store(0, Relaxed);
    Ok(())
}
