//! What the service manager is told (sd_notify(3)), and what it has passed; without one, nothing is.
//! Process: supervisor. Blocks: never for long, a datagram. A manager that doesn't listen is no reason to stop serving.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::sys::process::ProcessId;

/// Service has begun, or goes on after a reload, whatever came of that; `status` says it in words.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// How things are, in words.
pub(super) fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        // systemd takes RELOADING without the time for an error, so it gets neither.
        Err(_) => status("reloading"),
    }
}

/// Service ends.
pub(super) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Another supervisor is the service from now on. Only the one who is may say so.
pub(super) fn main_process(pid: ProcessId) {
    tell(&[NotifyState::MainPid(pid.number()), NotifyState::Status("upgraded")]);
}

/// All is well, for so long as the manager has asked for by `watchdog`.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Within which time the manager wants to hear that all is well (WATCHDOG_USEC, WATCHDOG_PID).
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// The descriptors that the manager has passed, with their names (LISTEN_FDS, LISTEN_FDNAMES), if they were meant for
/// this process (LISTEN_PID). They are this process's own from then on, so this is asked once.
///
/// # Errors
/// What makes no sense.
pub(super) fn passed() -> io::Result<Vec<(RawFd, String)>> {
    Ok(sd_notify::listen_fds_with_names()?.collect())
}

fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
