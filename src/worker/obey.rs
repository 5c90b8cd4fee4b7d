//! The event loop obeys the supervisor: drain, stop, sweep, new logs.
//! Process: worker, sealed. Trusts: the supervisor. Blocks: never.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::close_reason::CloseReason;
use super::connection::Connection;
use super::event_loop::{EventLoop, Phase};
use crate::log::Logs;
use crate::stats::WorkerState;
use crate::sys::control::{Order, Received, WorkerEnd};
use crate::sys::inherited;

impl EventLoop {
    pub(super) fn obey(&mut self, control: &WorkerEnd) {
        loop {
            match control.receive() {
                Ok(Received::Order(Order::Drain)) => self.drain(false, self.desk.config.timeouts.drain),
                Ok(Received::Order(Order::Quit)) => self.drain(false, self.desk.config.timeouts.quit),
                Ok(Received::Order(Order::Stop)) => self.drain(true, self.desk.config.timeouts.drain),
                Ok(Received::Order(Order::Sweep)) => {
                    if let Some(sweeper) = &self.sweeper {
                        sweeper.sweep();
                    }
                }
                Ok(Received::Order(Order::Logs(fds))) => self.reopen_logs(fds),
                Ok(Received::Empty) => return,
                // The supervisor is gone: nobody would replace this worker, nobody would stop it.
                Ok(Received::Closed) | Err(_) => {
                    self.epoll.remove(control);
                    return self.drain(true, self.desk.config.timeouts.drain);
                }
            }
        }
    }

    fn reopen_logs(&mut self, fds: Vec<OwnedFd>) {
        // What was logged before the rotation belongs into the old file.
        self.desk.access_log.flush();
        self.vitals.publish(self.board, &self.desk, &self.desk.logs);
        if let Ok(logs) = Logs::from_fds(&self.desk.config.log, fds) {
            if let Some(errors) = logs.raw_error() {
                // If it fails, last words go to the old one.
                let _ = inherited::lead_standard_error(errors);
            }
            self.desk.follow_logs(logs);
            self.vitals.begin_drops(&self.desk);
        }
    }

    /// Leaves the listeners and finishes what is there; `closes_idle` if idle clients are not waited for.
    fn drain(&mut self, closes_idle: bool, limit: Duration) {
        let until_ms = self.desk.monotonic_ms + u64::try_from(limit.as_millis()).unwrap_or(u64::MAX / 2);
        if self.phase == Phase::Serving {
            self.board.state.store(WorkerState::Draining as u64, Relaxed);
            self.desk.is_draining = true;
            for accepted in self.acceptor.leave(&self.epoll, self.connections.len()) {
                self.admit(accepted);
            }
        }
        self.phase = Phase::Draining { until_ms, closes_idle };
        if closes_idle {
            for token in self.tokens(Connection::is_idle) {
                self.close(token, CloseReason::ShutDown);
            }
        }
    }
}
