//! A generation: the workers that serve one reading of the configuration, and what each of them inherits.
//! Process: supervisor. Trusts: nothing that a worker says but that it is ready. Blocks: never.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::boards::BoardPool;
use super::respawn::pause;
use super::retire::Retiring;
use super::workers::{Place, Worker, spawn};
use crate::config::{Config, Listen, Sites};
use crate::log::{Level, LogError, Logs};
use crate::sys::control::Report;
use crate::sys::process::{self, ProcessId};
use crate::sys::socket::Listener;

/// A worker that takes longer to seal itself hangs, and is killed.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// What every worker of a generation inherits.
pub(super) struct Offer {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) config: Arc<Config>,
    /// Each with what the configuration says of it, so that a reload knows it again.
    pub(super) listeners: Vec<(Listen, Arc<Listener>)>,
    /// One a site.
    pub(super) roots: Arc<Sites<OwnedFd>>,
    pub(super) logs: Logs,
}

/// A generation of workers.
pub(super) struct Generation {
    pub(super) offer: Offer,
    pub(super) slots: Vec<Slot>,
    /// Workers whose place another one takes.
    pub(super) retiring: Vec<Retiring>,
    /// What the first worker that came to ready said of its seal.
    seal: String,
}

/// A place for a worker.
pub(super) enum Slot {
    /// Nobody is here; somebody shall be, not before `until`. `follows`: somebody was here before.
    Empty { until: Instant, bad_starts: u32, follows: bool },
    /// Forked, and has not said ready.
    Starting { worker: Worker, until: Instant, bad_starts: u32 },
    /// Has said ready.
    Serving(Worker),
}

impl Slot {
    fn worker(&self) -> Option<&Worker> {
        match self {
            Self::Empty { .. } => None,
            Self::Starting { worker, .. } | Self::Serving(worker) => Some(worker),
        }
    }

    /// The same slot after its worker has spoken: one that was starting serves.
    fn grown(self) -> Self {
        match self {
            Self::Starting { worker, .. } => Self::Serving(worker),
            Self::Empty { .. } | Self::Serving(_) => self,
        }
    }

    fn empty_after(bad_starts: u32, now: Instant) -> Self {
        Self::Empty { until: now + pause(bad_starts), bad_starts, follows: true }
    }
}

/// How workers are told to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// Idle connections are kept until they speak; `timeouts.drain` bounds it.
    Drain,
    /// The same, bounded by `timeouts.quit`.
    Quit,
    /// Idle connections are closed.
    Stop,
}

/// What died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Death {
    /// It had said ready.
    pub(super) was_ready: bool,
    /// How long its place stays empty, in a generation that goes on.
    pub(super) pause: Duration,
}

impl Generation {
    pub(super) fn new(offer: Offer, now: Instant) -> Self {
        let slots =
            (0..offer.config.workers).map(|_| Slot::Empty { until: now, bad_starts: 0, follows: false }).collect();
        Self { offer, slots, retiring: Vec::new(), seal: String::new() }
    }

    /// Starts each worker that is due. Gives the last error; the slot then waits as after a bad start.
    pub(super) fn spawn_due(&mut self, now: Instant, boards: &mut BoardPool, started: u64) -> io::Result<()> {
        let mut outcome = Ok(());
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Slot::Empty { until, bad_starts, follows } = *slot else { continue };
            if until > now {
                continue;
            }
            let place = Place { slot: index, follows };
            *slot = match spawn(&self.offer, place, boards, started) {
                Ok(worker) => Slot::Starting { worker, until: now + READY_LIMIT, bad_starts },
                Err(error) => {
                    outcome = Err(error);
                    Slot::empty_after(bad_starts.saturating_add(1), now)
                }
            };
        }
        outcome
    }

    /// Listens to the workers that have not said ready yet. Those that have, have nothing more to say: a worker that
    /// reads clients' bytes can't wake the supervisor.
    pub(super) fn hear(&mut self) {
        let mut slots = Vec::with_capacity(self.slots.len());
        for slot in self.slots.drain(..) {
            let report = match &slot {
                Slot::Starting { worker, .. } => worker.control.report(),
                Slot::Empty { .. } | Slot::Serving(_) => None,
            };
            slots.push(match report {
                None => slot,
                Some(Report::Ready(seal)) => {
                    if self.seal.is_empty() {
                        self.seal = seal;
                    }
                    slot.grown()
                }
            });
        }
        self.slots = slots;
    }

    /// If this child was one of these workers, its place is free from now on.
    pub(super) fn bury(&mut self, pid: ProcessId, now: Instant, boards: &mut BoardPool, asked: bool) -> Option<Death> {
        let slot = self.slots.iter_mut().find(|slot| slot.worker().is_some_and(|worker| worker.pid == pid))?;
        boards.free(slot.worker()?.board, !asked);
        let (was_ready, bad_starts) = match slot {
            Slot::Starting { bad_starts, .. } => (false, bad_starts.saturating_add(1)),
            Slot::Empty { .. } | Slot::Serving(_) => (true, 0),
        };
        *slot = Slot::empty_after(bad_starts, now);
        Some(Death { was_ready, pause: pause(bad_starts) })
    }

    /// Kills each worker that should have said ready by now.
    pub(super) fn kill_late_starters(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if let Slot::Starting { worker, until, .. } = slot
                && *until <= now
            {
                let reason = format_args!("worker {} is not ready after {READY_LIMIT:?}: killed", worker.pid);
                self.offer.logs.error(Level::Error, reason);
                process::kill(worker.pid);
                *until = now + READY_LIMIT;
            }
        }
    }

    /// Is every worker serving?
    pub(super) fn is_ready(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, Slot::Serving(_)))
    }

    /// How many workers have said ready, and are not on their way out.
    pub(super) fn serving(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot, Slot::Serving(_))).count()
    }

    /// How often in a row a worker failed at its start, in the slot where it is worst.
    pub(super) fn failed_starts(&self) -> u32 {
        let count = |slot: &Slot| match slot {
            Slot::Empty { bad_starts, .. } | Slot::Starting { bad_starts, .. } => *bad_starts,
            Slot::Serving(_) => 0,
        };
        self.slots.iter().map(count).max().unwrap_or(0)
    }

    /// How many workers live.
    pub(super) fn living(&self) -> usize {
        self.workers().count()
    }

    /// What the seal enforces, in the words of the worker that was ready first.
    pub(super) fn seal(&self) -> &str {
        &self.seal
    }

    fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.slots.iter().filter_map(Slot::worker).chain(self.retiring.iter().map(|retiring| &retiring.worker))
    }

    /// Orders all workers to leave.
    pub(super) fn dismiss(&self, farewell: Farewell) {
        for worker in self.workers() {
            let sent = match farewell {
                Farewell::Drain => worker.control.drain(),
                Farewell::Quit => worker.control.quit(),
                Farewell::Stop => worker.control.stop(),
            };
            self.report_lost_order(worker, sent);
        }
    }

    /// Lets one worker look for what dead workers left behind. (Any will do; one that starts does it by itself.)
    pub(super) fn sweep(&self) {
        if let Some(worker) = self.workers().next() {
            self.report_lost_order(worker, worker.control.sweep());
        }
    }

    /// Kills all workers.
    pub(super) fn kill(&self) {
        for worker in self.workers() {
            process::kill(worker.pid);
        }
    }

    /// Opens the logs again and hands them to all workers. On an error all go on with the old ones.
    pub(super) fn reopen_logs(&mut self) -> Result<(), LogError> {
        self.offer.logs = Logs::open(&self.offer.config.log)?;
        for worker in self.workers() {
            self.report_lost_order(worker, worker.control.logs(&self.offer.logs.fds()));
        }
        Ok(())
    }

    /// A worker that is just dying has no use for orders; one that reads none is killed at the end of its time.
    pub(super) fn report_lost_order(&self, worker: &Worker, sent: io::Result<()>) {
        if let Err(error) = sent
            && !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
        {
            self.offer.logs.error(Level::Warning, format_args!("worker {} takes no orders: {error}", worker.pid));
        }
    }

    /// When something is due without a signal: a start, or the end of patience with one.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let due = |slot: &Slot| match slot {
            Slot::Empty { until, .. } | Slot::Starting { until, .. } => Some(*until),
            Slot::Serving(_) => None,
        };
        self.slots.iter().filter_map(due).chain(self.retiring.iter().filter_map(|retiring| retiring.until)).min()
    }

    /// The lines on which a report may come.
    pub(super) fn lines(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Starting { worker, .. } => Some(worker.control.as_fd()),
            Slot::Empty { .. } | Slot::Serving(_) => None,
        })
    }
}
