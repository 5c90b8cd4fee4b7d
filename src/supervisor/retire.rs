//! A worker that is replaced while it serves: its successor first, and when that is ready the old one drains.
//! Process: supervisor. Trusts: no worker. Blocks: never; who doesn't leave in time is killed.

use std::time::Instant;

use super::boards::BoardPool;
use super::generation::{Farewell, Generation, Slot};
use super::leave::patience;
use super::workers::Worker;
use crate::log::Level;
use crate::sys::process::{self, Ended, ProcessId};

/// A worker on its way out of a generation that goes on.
pub(super) struct Retiring {
    pub(super) worker: Worker,
    /// Where its successor is.
    slot: usize,
    /// Then it is killed; before it was told to leave there is no such time.
    pub(super) until: Option<Instant>,
}

impl Generation {
    /// How many workers are being replaced.
    pub(super) fn retiring(&self) -> usize {
        self.retiring.len()
    }

    /// Makes room for the successor of a worker that serves, and goes on serving until that is ready.
    pub(super) fn retire(&mut self, index: usize, now: Instant) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        match std::mem::replace(slot, Slot::Empty { until: now, bad_starts: 0, follows: true }) {
            Slot::Serving(worker) => self.retiring.push(Retiring { worker, slot: index, until: None }),
            other @ (Slot::Empty { .. } | Slot::Starting { .. }) => *slot = other,
        }
    }

    /// Tells those to leave whose successors are ready, and kills those whose time is over.
    pub(super) fn attend_retiring(&mut self, now: Instant) {
        let until = now + patience(self, Farewell::Drain);
        let is_ready = |index: usize| matches!(self.slots.get(index), Some(Slot::Serving(_)));
        for retiring in &self.retiring {
            if retiring.until.is_none() && is_ready(retiring.slot) {
                self.report_lost_order(&retiring.worker, retiring.worker.control.drain());
            }
        }
        for retiring in &mut self.retiring {
            match retiring.until {
                None if matches!(self.slots.get(retiring.slot), Some(Slot::Serving(_))) => retiring.until = Some(until),
                Some(end) if end <= now => {
                    let pid = retiring.worker.pid;
                    let words = format_args!("worker {pid}, which was replaced, has had its time: killed");
                    self.offer.logs.error(Level::Warning, words);
                    process::kill(pid);
                    retiring.until = Some(until);
                }
                None | Some(_) => {}
            }
        }
    }

    /// If this child was one of those that are being replaced, it is forgotten. `asked`: its whole generation was told to
    /// leave, also who had no successor yet.
    pub(super) fn bury_retired(&mut self, pid: ProcessId, ended: Ended, boards: &mut BoardPool, asked: bool) -> bool {
        let Some(index) = self.retiring.iter().position(|retiring| retiring.worker.pid == pid) else { return false };
        let Retiring { worker, until, .. } = self.retiring.swap_remove(index);
        let unasked = !asked && until.is_none();
        boards.free(worker.board, unasked);
        if ended != Ended::Exited(0) {
            let words = format_args!("worker {pid}, which was being replaced, {ended}");
            self.offer.logs.error(Level::Warning, words);
            self.sweep();
        }
        true
    }
}
