//! The test house: a real server, a strict client, and the kernel's own word about processes.

pub(crate) mod ability;
pub(crate) mod client;
pub(crate) mod manual;
pub(crate) mod processes;
pub(crate) mod queue;
pub(crate) mod server;
pub(crate) mod site;
pub(crate) mod told;
pub(crate) mod tools;
pub(crate) mod trace;

use std::time::{Duration, Instant};

pub(crate) use ability::{cannot_run, is_root};
pub(crate) use client::Client;
pub(crate) use server::Server;
pub(crate) use site::Site;

/// After so long a test gives up on something that should have happened. It is no measure of speed, only of hanging.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// Between two looks at a condition; at first less, for most that is waited for takes only a moment.
const NAP: Duration = Duration::from_millis(5);

/// Waits for a condition that the kernel offers no event for.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    let mut nap = Duration::from_micros(50);
    while !is_so() {
        assert!(begin.elapsed() < HANG, "gave up waiting until {what}");
        std::thread::sleep(nap);
        nap = (2 * nap).min(NAP);
    }
}
