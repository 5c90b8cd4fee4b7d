//! The supervisor: it starts workers and never reads a byte that a client sent. `start` gets it going, this is its loop.
//! Process: supervisor, the service user with CAP_NET_BIND_SERVICE. One thread. Trusts: the operator, and no worker.

mod ask;
mod boards;
mod check;
mod generation;
mod handed;
mod leave;
mod listeners;
mod logins;
mod notify;
mod program;
mod record;
mod reload;
mod respawn;
mod retire;
mod start;
#[cfg(test)]
mod tests;
mod upgrade;
mod vigil;
mod workers;

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use boards::BoardPool;
use generation::Generation;
use leave::Leaving;
use listeners::Passed;
use program::Program;
use record::Record;
use upgrade::{Predecessor, Successor};
use vigil::Vigil;

use crate::config::Source;
use crate::log::{Level, Logs};
use crate::sys::process::{Ended, ProcessId};
use crate::sys::signals::{Asked, Signals};
use crate::sys::{poll, process};

pub use ask::{AskError, ask};
pub use check::{SandboxReport, check_sandbox};
pub use logins::test;
pub use record::PidFileError;
pub use start::{StartError, start};

/// All that the supervisor knows.
struct Supervisor {
    /// Where the configuration comes from, to be read again.
    source: Source,
    signals: Signals,
    boards: BoardPool,
    /// In seconds since the epoch, for `/stats`.
    started: u64,
    /// Where the supervisor itself speaks: the logs of the generation that serves.
    logs: Logs,
    /// The generation that serves; none until the first is ready.
    current: Option<Generation>,
    /// The generation that is being started, and takes over when all its workers serve.
    next: Option<Generation>,
    /// Generations that finish what they have begun: one at most, until service ends.
    leaving: Vec<Leaving>,
    /// A reload was asked for, and not begun.
    reload_wanted: bool,
    /// An upgrade was asked for, and not begun.
    upgrade_wanted: bool,
    /// Sockets that the service manager has passed: they are kept for life, as no reload could bind them.
    passed: Vec<Passed>,
    /// What an operator can look up.
    record: Record,
    /// What an upgrade starts.
    program: Program,
    /// The new supervisor of an upgrade.
    successor: Option<Successor>,
    /// The old one, which may still finish requests.
    predecessor: Option<Predecessor>,
    vigil: Vigil,
    /// What is served where, in the words that the service manager shows.
    status: String,
    /// What it shows instead while something is wrong.
    trouble: Option<String>,
    /// Lines that logs lost before they were opened again.
    drops_before: u64,
    phase: Phase,
}

/// Where the service is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first generation is not ready.
    Starting,
    /// It was.
    Serving,
    /// Another supervisor serves, after an upgrade; what was begun here is finished.
    Relieved,
    /// Ending, with all the time that requests need.
    Quitting,
    /// Ending soon.
    Stopping {
        /// When that was asked for.
        since: Instant,
    },
    /// Service could not begin; its workers are ending.
    Failed,
}

impl Supervisor {
    /// The one loop: what happened is seen first, then what is due is done, then it sleeps until something is.
    fn run(mut self) -> ExitCode {
        loop {
            let now = Instant::now();
            // Signals first, for a death that is announced by one must be seen by the `reap` behind it.
            let asked = self.signals.take();
            self.obey(asked, now);
            self.reap(now);
            self.start_workers(now);
            self.keep_vigil(now);
            self.promote(now);
            self.attend_leaving(now);
            self.attend_successor(now);
            self.attend_predecessor();
            self.begin_reload_if_due(now);
            self.begin_upgrade_if_due(now);
            self.tell_state();
            if let Some(code) = self.exit_code() {
                self.record.close();
                return code;
            }
            self.sleep();
        }
    }

    fn obey(&mut self, asked: Asked, now: Instant) {
        if asked.reopen_logs {
            self.reopen_logs();
        }
        if asked.stop {
            self.stop(now);
        } else if asked.quit {
            self.quit(now);
        }
        if asked.reload {
            self.want_reload();
        }
        if asked.upgrade {
            self.want_upgrade();
        }
    }

    /// Does one generation serve, and nothing go on that would make a third, here or in another supervisor?
    fn is_quiet(&self) -> bool {
        let alone = self.successor.is_none() && self.predecessor.is_none();
        alone && self.phase == Phase::Serving && self.next.is_none() && self.leaving.is_empty()
    }

    fn reap(&mut self, now: Instant) {
        while let Some((pid, ended)) = process::reap() {
            self.bury(pid, ended, now);
        }
    }

    /// A child has ended: whose worker was it, and what follows?
    fn bury(&mut self, pid: ProcessId, ended: Ended, now: Instant) {
        self.bury_successor(pid, ended);
        if let Some(generation) = &mut self.current
            && generation.bury_retired(pid, ended, &mut self.boards, false)
        {
            return;
        }
        if let Some(generation) = &mut self.current
            && let Some(death) = generation.bury(pid, now, &mut self.boards, false)
        {
            let when = if death.was_ready { "after" } else { "before" };
            let next = if death.pause.is_zero() { "now".to_owned() } else { format!("in {:?}", death.pause) };
            let words = format_args!("worker {pid} {ended} {when} it was ready; the next starts {next}");
            self.logs.error(Level::Error, words);
            return;
        }
        if let Some(generation) = &mut self.next
            && generation.bury(pid, now, &mut self.boards, false).is_some()
        {
            self.abandon_next(format_args!("worker {pid} {ended} before its generation was ready"), now);
            return;
        }
        for leaving in &mut self.leaving {
            let generation = &mut leaving.generation;
            let was_here = generation.bury_retired(pid, ended, &mut self.boards, true);
            if !was_here && generation.bury(pid, now, &mut self.boards, true).is_some() && ended != Ended::Exited(0) {
                self.logs.error(Level::Warning, format_args!("worker {pid}, which was to leave, {ended}"));
                if let Some(current) = &self.current {
                    current.sweep();
                }
            }
        }
    }

    /// Hears who is ready, starts who is due, and gives up on who hangs.
    fn start_workers(&mut self, now: Instant) {
        let (boards, started) = (&mut self.boards, self.started);
        let mut attend = |generation: &mut Generation| {
            generation.hear();
            generation.kill_late_starters(now);
            generation.attend_retiring(now);
            generation.spawn_due(now, boards, started)
        };
        if let Some(Err(error)) = self.current.as_mut().map(&mut attend) {
            self.logs.error(Level::Error, format_args!("can't start a worker: {error}"));
        }
        if let Some(Err(error)) = self.next.as_mut().map(&mut attend) {
            self.abandon_next(format_args!("can't start a worker: {error}"), now);
        }
    }

    /// SIGUSR1: each generation has the logs of its own configuration.
    fn reopen_logs(&mut self) {
        let drops = self.logs.error_drops();
        let leaving = self.leaving.iter_mut().map(|leaving| &mut leaving.generation);
        for generation in leaving.chain(self.next.as_mut()).chain(self.current.as_mut()) {
            match generation.reopen_logs() {
                Ok(()) => generation.offer.logs.error(Level::Notice, format_args!("the logs were opened again")),
                Err(error) => self.logs.error(Level::Error, format_args!("the logs stay as they are: {error}")),
            }
        }
        if let Some(generation) = self.current.as_ref().or(self.next.as_ref()) {
            self.logs = generation.offer.logs.clone();
        }
        self.drops_before += drops.saturating_sub(self.logs.error_drops());
    }

    /// The end, when it has come.
    fn exit_code(&self) -> Option<ExitCode> {
        let alone = self.current.is_none() && self.next.is_none() && self.leaving.is_empty();
        let all_gone = alone && self.predecessor.is_none();
        match self.phase {
            Phase::Starting | Phase::Serving => None,
            Phase::Relieved => alone.then_some(ExitCode::SUCCESS),
            Phase::Quitting | Phase::Stopping { .. } => all_gone.then_some(ExitCode::SUCCESS),
            Phase::Failed => alone.then_some(ExitCode::FAILURE),
        }
    }

    fn sleep(&self) {
        let generations = || self.current.iter().chain(&self.next);
        let deadlines = generations().filter_map(Generation::next_deadline);
        let leaving = self.leaving.iter().map(|leaving| leaving.until);
        let successor = self.successor.as_ref().and_then(Successor::deadline);
        let vigil = self.current.as_ref().map(|_| self.vigil.next());
        let until = deadlines.chain(leaving).chain(successor).chain(vigil).min();
        let limit = until.map(|until| until.saturating_duration_since(Instant::now()));
        let mut lines = vec![self.signals.as_fd()];
        lines.extend(generations().flat_map(Generation::lines));
        lines.extend(self.supervisor_lines());
        if poll::wait(&lines, limit).is_err() {
            // The kernel has no memory to wait with. Asking again at once would make it worse.
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
