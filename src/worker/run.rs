//! The life of a worker, from what it inherited to its end, as numbered steps that are never reordered.
//! Process: worker; it starts as the service user and ends sealed.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use super::acceptor::Acceptor;
use super::desk::Desk;
use super::event_loop::EventLoop;
use super::offload::Offload;
use super::sandbox::Root;
use super::sweep::Sweeper;
use super::vitals::Vitals;
use super::{sandbox, seccomp};
use crate::content::MediaTypes;
use crate::heritage::Heritage;
use crate::log::Level;
use crate::stats::WorkerState;
use crate::sys::{credentials, epoll::Epoll, file, limits};

/// Runs until the supervisor orders the end. Failure means that the worker could not be sealed or could not wait.
#[must_use]
pub fn run(heritage: Heritage) -> ExitCode {
    let logs = heritage.logs.clone();
    let slot = heritage.slot;
    match serve(heritage) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs.error(Level::Error, format_args!("worker {slot}: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(mut heritage: Heritage) -> Result<(), Box<dyn std::error::Error>> {
    let config = heritage.config.clone();

    // 1. No capability of any kind, and none to be had.
    credentials::drop_everything()?;
    // 2. No core file; the modes of uploads are those that the configuration names.
    limits::forbid_core()?;
    file::clear_umask();
    // 3. What the seal would forbid to open or make.
    let vitals = Vitals::open(&heritage.logs);
    let epoll = Epoll::new()?;
    let media_types = MediaTypes::of_system().unwrap_or_else(|error| {
        heritage.logs.error(Level::Warning, format_args!("/etc/mime.types: {error}; media types are guessed"));
        MediaTypes::default()
    });
    // 4. Landlock, before any thread exists: it binds the calling thread and its children.
    let makes_folders = config.uploads.make_folders && config.sites.can_write();
    let roots: Vec<Root<'_>> = (heritage.roots.iter())
        .map(|(id, root)| Root { fd: root.as_fd(), can_write: config.sites.get(id).access.can_write(), makes_folders })
        .collect();
    let mut seal = sandbox::seal_filesystem(&roots, config.sandbox)?;
    // 5. The helper threads, before the filter that forbids to make any.
    let offload = Offload::start()?;
    let sweeper = Sweeper::start_if_needed(&heritage)?;
    if let Some(sweeper) = sweeper.as_ref().filter(|_| heritage.sweeps) {
        sweeper.sweep();
    }
    // 6. The system call filter, on every thread.
    seal.add_filter(seccomp::allow_only_needed_calls(makes_folders), config.sandbox)?;

    file::probe_beneath(heritage.roots.default.as_fd())
        .map_err(|error| format!("openat2(2) is refused here: {error}"))?;

    // 7. Sealed: now, and only now, bytes of clients may come.
    heritage.boards.seal = seal.to_string();
    let now = Vitals::now();
    let board = heritage.board;
    let desk = Desk::new(config, heritage.roots, heritage.boards, media_types, offload, heritage.logs, now);
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
