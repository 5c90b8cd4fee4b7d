//! What the service manager is told (sd_notify(3)); without one, nothing is.
//! Process: supervisor. Blocks: never for long, a datagram. A manager that doesn't listen is no reason to stop serving.

use sd_notify::NotifyState;

/// Service has begun, or goes on after a reload, whatever came of that; `status` says it in words.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        // systemd takes RELOADING without the time for an error, so it gets neither.
        Err(_) => tell(&[NotifyState::Status("reloading")]),
    }
}

/// Service ends.
pub(super) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
