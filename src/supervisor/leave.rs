//! The end: of a generation that was replaced, and of the service.
//! Process: supervisor. Blocks: never; who doesn't leave in time is killed.

use std::time::{Duration, Instant};

use super::generation::{Farewell, Generation};
use super::{Phase, Supervisor, notify};
use crate::log::Level;

/// A generation on its way out.
pub(super) struct Leaving {
    pub(super) generation: Generation,
    /// Then its last workers are killed.
    pub(super) until: Instant,
}

/// A killed process is gone at once, unless the kernel waits for a disk; then it is killed again, for what it is worth.
pub(super) const KILL_INTERVAL: Duration = Duration::from_secs(1);

/// Two signals so close together are one wish: timeout(1) and terminals signal a process and its group.
const ONE_WISH: Duration = Duration::from_secs(1);

impl Supervisor {
    /// SIGTERM, SIGINT: idle connections end now, requests within `timeouts.drain`. Asked again, nobody is waited for.
    pub(super) fn stop(&mut self, now: Instant) {
        if let Phase::Stopping { since } = self.phase {
            if now < since + ONE_WISH {
                return;
            }
            self.logs.error(Level::Notice, format_args!("asked to stop again: all workers are killed"));
            for leaving in &mut self.leaving {
                leaving.until = now;
            }
            return;
        }
        self.logs.error(Level::Notice, format_args!("stopping"));
        self.end(Farewell::Stop, Phase::Stopping { since: now }, now);
    }

    /// SIGQUIT: every request and idle connection gets its time, within `timeouts.quit`.
    pub(super) fn quit(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Starting | Phase::Serving | Phase::Relieved) {
            self.logs.error(Level::Notice, format_args!("finishing all requests, then stopping"));
            self.end(Farewell::Quit, Phase::Quitting, now);
        }
    }

    fn end(&mut self, farewell: Farewell, phase: Phase, now: Instant) {
        self.give_up_successor();
        self.pass_on(farewell);
        notify::stopping("finishing requests");
        // A start that failed stays one, whatever else is asked while its workers end.
        if self.phase != Phase::Failed {
            self.phase = phase;
        }
        let gone_before = std::mem::take(&mut self.leaving);
        for generation in self.current.take().into_iter().chain(self.next.take()) {
            self.see_off(generation, farewell, now);
        }
        for mut leaving in gone_before {
            // Those that were draining already get no more time than they had.
            leaving.generation.dismiss(farewell);
            leaving.until = leaving.until.min(now + patience(&leaving.generation, farewell));
            self.leaving.push(leaving);
        }
    }

    /// Tells a generation to go, and lets go of its sockets: one that no other generation has is closed when the last
    /// worker has left it, and not later, for clients that are queued after that would wait in vain.
    pub(super) fn see_off(&mut self, mut generation: Generation, farewell: Farewell, now: Instant) {
        generation.dismiss(farewell);
        generation.offer.listeners.clear();
        let until = now + patience(&generation, farewell);
        self.leaving.push(Leaving { generation, until });
    }

    /// Forgets generations whose workers are all gone, and kills those whose time is over.
    pub(super) fn attend_leaving(&mut self, now: Instant) {
        for leaving in &mut self.leaving {
            let living = leaving.generation.living();
            if living > 0 && leaving.until <= now {
                let number = leaving.generation.offer.number;
                let words = format_args!("generation {number} has had its time: {living} of its workers killed");
                self.logs.error(Level::Warning, words);
                leaving.generation.kill();
                leaving.until = now + KILL_INTERVAL;
            }
        }
        self.leaving.retain(|leaving| leaving.generation.living() > 0);
    }
}

/// How long a generation may take to leave. A worker keeps the limits by itself, and closes properly what is left then;
/// the kill is for one that hangs.
pub(super) fn patience(generation: &Generation, farewell: Farewell) -> Duration {
    const GRACE: Duration = Duration::from_secs(3);
    let timeouts = &generation.offer.config.timeouts;
    let limit = match farewell {
        Farewell::Drain | Farewell::Stop => timeouts.drain,
        Farewell::Quit => timeouts.quit,
    };
    limit + GRACE
}
