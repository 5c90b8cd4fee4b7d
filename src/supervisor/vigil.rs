//! Looking at the workers' boards once a second: whose heart stands still is killed, who has served enough is replaced.
//! Process: supervisor. Trusts: no number on a board. A number is compared with what it was, and the worst that a worker
//! can reach by lying is that it is replaced, or kept, itself. Blocks: never.

use std::fs;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::boards::BoardPool;
use super::generation::{Generation, Slot};
use super::{Phase, Supervisor, notify};
use crate::config::Limits;
use crate::log::Level;
use crate::stats::Board;
use crate::sys::process::{self, ProcessId};

/// The time between two looks. A heart beats once a second.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A heart that has not moved for so long moves no more, as far as the service manager's watchdog is concerned.
const STILL_LIMIT: Duration = Duration::from_secs(5);

/// What the supervisor remembers of a board.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    beat: u64,
    /// How long it has been the same.
    still: Duration,
    /// What was counted before this worker came.
    requests_before: u64,
    /// Was it killed for that already?
    is_killed: bool,
}

impl Pulse {
    /// Before the worker's first beat.
    pub(super) fn of(board: Option<&Board>) -> Self {
        let requests_before = board.map_or(0, |board| board.requests.load(Relaxed));
        Self { requests_before, ..Self::default() }
    }

    /// One more look, so long after the last one.
    fn look(&mut self, beat: u64, elapsed: Duration) {
        if beat == self.beat {
            self.still = self.still.saturating_add(elapsed);
        } else {
            *self = Self { beat, still: Duration::ZERO, ..*self };
        }
    }

    /// Why this worker should be replaced, if it should.
    fn has_served_enough(&self, board: &Board, limits: &Limits) -> Option<String> {
        let requests = board.requests.load(Relaxed).wrapping_sub(self.requests_before);
        let bytes = board.private_bytes.load(Relaxed);
        if limits.requests_per_worker != 0 && requests >= limits.requests_per_worker {
            return Some(format!("has answered {requests} requests"));
        }
        let is_large = limits.worker_memory != 0 && bytes >= limits.worker_memory;
        is_large.then(|| format!("has {} MiB of memory", bytes >> 20))
    }
}

/// When the next look is due.
pub(super) struct Vigil {
    last: Instant,
    /// How often the service manager hears that all is well, and when it did.
    watchdog: Option<(Duration, Instant)>,
}

impl Vigil {
    /// `watchdog`: within which time the service manager wants to hear.
    pub(super) fn new(watchdog: Option<Duration>, now: Instant) -> Self {
        // Half of it is what sd_watchdog_enabled(3) recommends; a third forgives that a look comes late.
        Self { last: now, watchdog: watchdog.map(|limit| (limit / 3, now)) }
    }

    pub(super) fn next(&self) -> Instant {
        let watchdog = self.watchdog.map(|(interval, last)| last + interval);
        watchdog.into_iter().fold(self.last + LOOK_INTERVAL, Instant::min)
    }
}

/// What a look at a generation gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Workers killed.
    hung: u64,
    /// Workers that are being replaced.
    retired: u64,
    /// Does somebody serve, and does every heart move that should?
    is_well: bool,
}

impl Supervisor {
    /// Looks at the boards if it is time.
    pub(super) fn keep_vigil(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.vigil.last);
        let is_due = now >= self.vigil.next();
        let Some(current) = self.current.as_mut().filter(|_| is_due) else { return };
        self.vigil.last = now;
        // If the whole machine stood still, that was not the workers' fault: a look counts for a look's time, or two.
        let seen = current.look(&self.boards, elapsed.min(2 * LOOK_INTERVAL), now);
        let service = self.boards.service_writable();
        service.hung.fetch_add(seen.hung, Relaxed);
        service.retired.fetch_add(seen.retired, Relaxed);
        if let Some((interval, last)) = &mut self.vigil.watchdog
            && now >= *last + *interval
        {
            *last = now;
            if seen.is_well {
                notify::alive();
            }
        }
    }

    /// Tells `/stats` and the service manager how the service is.
    pub(super) fn tell_state(&mut self) {
        let service = self.boards.service_writable();
        let leaving: usize = self.leaving.iter().map(|leaving| leaving.generation.living()).sum();
        let retiring = self.current.as_ref().map_or(0, Generation::retiring);
        service.workers_draining.store((leaving + retiring) as u64, Relaxed);
        service.reload_waits.store(self.reload_wanted.into(), Relaxed);
        service.log_drops.store(self.drops_before + self.logs.error_drops(), Relaxed);
        let Some(current) = self.current.as_ref().filter(|_| self.phase == Phase::Serving) else { return };
        let (ready, wanted, failed) = (current.serving(), current.offer.config.workers, current.failed_starts());
        service.generation.store(current.offer.number, Relaxed);
        service.workers_wanted.store(wanted.into(), Relaxed);
        service.workers_ready.store(ready as u64, Relaxed);
        service.failed_starts.store(failed.into(), Relaxed);
        let is_failing = failed > 0;
        if is_failing {
            let words = format!("{ready} of {wanted} workers serve; the others fail at their start, see the log");
            if self.trouble.as_ref() != Some(&words) {
                notify::status(&words);
                self.trouble = Some(words);
            }
        } else if self.trouble.take().is_some() {
            notify::status(&self.status);
        }
    }
}

impl Generation {
    fn look(&mut self, boards: &BoardPool, elapsed: Duration, now: Instant) -> Seen {
        let hang = self.offer.config.timeouts.hang;
        let mut seen = Seen { hung: 0, retired: 0, is_well: self.serving() > 0 };
        for slot in &mut self.slots {
            let Slot::Serving(worker) = slot else { continue };
            let Some(board) = boards.board(worker.board) else { continue };
            worker.pulse.look(board.heartbeat.load(Relaxed), elapsed);
            seen.is_well &= worker.pulse.still < STILL_LIMIT && !worker.pulse.is_killed;
            if worker.pulse.still >= hang {
                let (pid, clues) = (worker.pid, clues(worker.pid));
                let words = match worker.pulse.is_killed {
                    false => format!("hangs: its heart stands still for {hang:?}; killed. {clues}"),
                    true => format!("was killed, and the kernel doesn't let it go; killed again. {clues}"),
                };
                self.offer.logs.error(Level::Error, format_args!("worker {pid} {words}"));
                process::kill(worker.pid);
                seen.hung += u64::from(!worker.pulse.is_killed);
                worker.pulse = Pulse { still: Duration::ZERO, is_killed: true, ..worker.pulse };
            }
        }
        seen.retired = u64::from(self.retire_one(boards, now));
        seen
    }

    /// Replaces the first worker that has served enough. One at a time, and only when all is well otherwise: the rest
    /// carries its load, and a worker that lies about itself costs no more than one start after the other.
    fn retire_one(&mut self, boards: &BoardPool, now: Instant) -> bool {
        if self.retiring() > 0 || !self.is_ready() {
            return false;
        }
        let limits = &self.offer.config.limits;
        let enough = self.slots.iter().enumerate().find_map(|(index, slot)| match slot {
            Slot::Serving(worker) => {
                let why = worker.pulse.has_served_enough(boards.board(worker.board)?, limits)?;
                Some((index, worker.pid, why))
            }
            Slot::Empty { .. } | Slot::Starting { .. } => None,
        });
        let Some((index, pid, why)) = enough else { return false };
        let words = format_args!("worker {pid} {why}: another takes its place");
        self.offer.logs.error(Level::Notice, words);
        self.retire(index, now);
        true
    }
}

/// What can be known of a worker that hangs, in one line. A sealed worker's memory is closed to others of its user, so
/// most of this is for a supervisor that may see more.
fn clues(pid: ProcessId) -> String {
    const LIMIT_BYTES: usize = 600;
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let state = read("status").and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("State:"))?;
        Some(line.trim().to_owned())
    });
    let in_one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = |name: &str| {
        let text = read(name).map(in_one_line).filter(|text| !text.is_empty() && text != "0");
        text.map(|text| format!("{name}: {}", text.get(..text.floor_char_boundary(LIMIT_BYTES)).unwrap_or_default()))
    };
    let state = state.map(|state| format!("state: {state}"));
    let all: Vec<_> = state.into_iter().chain(["wchan", "syscall", "stack"].into_iter().filter_map(told)).collect();
    if all.is_empty() { "The kernel tells nothing of it".to_owned() } else { all.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn heart_that_moves_in_any_way_lives() {
        let mut pulse = Pulse::default();
        for _ in 0..3 {
            pulse.look(0, LOOK_INTERVAL);
        }
        assert_eq!(pulse.still, 3 * LOOK_INTERVAL);
        for beat in [7, 6, u64::MAX, 0] {
            pulse.look(beat, LOOK_INTERVAL);
            assert_eq!(pulse.still, Duration::ZERO, "a board may hold any number");
        }
        pulse.look(0, Duration::MAX);
        pulse.look(0, Duration::MAX);
        assert_eq!(pulse.still, Duration::MAX);
    }

    #[test]
    fn only_what_this_worker_did_counts() {
        let board = Board::default();
        let mut limits = Config::default().limits;
        board.requests.store(u64::MAX - 5, Relaxed);
        let pulse = Pulse::of(Some(&board));
        assert_eq!(pulse.has_served_enough(&board, &limits), None, "without limits nobody is replaced");
        limits.requests_per_worker = 100;
        board.requests.fetch_add(99, Relaxed);
        assert_eq!(pulse.has_served_enough(&board, &limits), None);
        board.requests.fetch_add(1, Relaxed);
        assert_eq!(pulse.has_served_enough(&board, &limits).as_deref(), Some("has answered 100 requests"));
        limits = Config::default().limits;
        limits.worker_memory = 64 << 20;
        board.private_bytes.store((64 << 20) - 1, Relaxed);
        assert_eq!(pulse.has_served_enough(&board, &limits), None);
        board.private_bytes.store(u64::MAX, Relaxed);
        assert!(pulse.has_served_enough(&board, &limits).is_some());
    }

    #[test]
    fn clues_are_one_line() {
        let clues = clues(ProcessId::own());
        assert!(clues.starts_with("state: ") && !clues.contains('\n'), "{clues}");
    }

    #[test]
    fn watchdog_is_told_in_good_time() {
        let now = Instant::now();
        assert_eq!(Vigil::new(None, now).next(), now + LOOK_INTERVAL);
        assert_eq!(Vigil::new(Some(Duration::from_millis(900)), now).next(), now + Duration::from_millis(300));
    }
}
