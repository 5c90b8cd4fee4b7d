//! One worker: its birth, and what the supervisor knows of it.
//! Process: supervisor; `begin` runs in the child of the fork, which never comes back.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::sync::Arc;

use super::boards::{BoardId, BoardPool};
use super::generation::Offer;
use super::listeners::Listening;
use super::vigil::Pulse;
use crate::heritage::{Entrance, Heritage};
use crate::log::Level;
use crate::stats::{Board, Boards};
use crate::sys::control::{self, SupervisorEnd};
use crate::sys::inherited;
use crate::sys::process::{self, ProcessId};
use crate::worker;

/// A living worker, or one that has not been reaped yet.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pid: ProcessId,
    pub(super) control: SupervisorEnd,
    pub(super) board: BoardId,
    /// Of no meaning before it has said ready.
    pub(super) pulse: Pulse,
}

/// Where a worker stands in its generation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Counted from 0.
    pub(super) slot: usize,
    /// Does it come in the place of one that died?
    pub(super) follows: bool,
}

/// Forks a worker for this slot of a generation. `started`: when the supervisor did, in seconds since the epoch.
pub(super) fn spawn(offer: &Offer, place: Place, boards: &mut BoardPool, started: u64) -> io::Result<Worker> {
    spawn_to(offer, place, boards, started, &[], worker::run)
}

/// The same for another `life` than serving, which keeps `also` open.
pub(super) fn spawn_to(
    offer: &Offer,
    place: Place,
    boards: &mut BoardPool,
    started: u64,
    also: &[BorrowedFd<'_>],
    life: impl FnOnce(Heritage) -> ExitCode,
) -> io::Result<Worker> {
    let (control, worker_end) = control::pair()?;
    let all = Boards { started, service: boards.service(), seal: String::new(), slots: boards.shared() };
    let supervisor = ProcessId::own();
    // Its own: of what the fork copies with the offer nothing is ever closed, and a rotated log would keep its room.
    let logs = offer.logs.duplicate(&offer.config.log)?;
    let entrances = offer.listeners.iter().map(entrance).collect::<io::Result<Vec<_>>>()?;
    let (board, pid) = boards.lend(|own: &'static Board| {
        let heritage = Heritage {
            config: Arc::clone(&offer.config),
            credentials: Arc::clone(&offer.credentials),
            generation: offer.number,
            slot: place.slot,
            sweeps: place.slot == 0 || place.follows,
            entrances,
            roots: Arc::clone(&offer.roots),
            board: own,
            boards: all,
            logs,
            control: worker_end,
        };
        process::fork(move || begin(heritage, supervisor, also, life))
    })?;
    Ok(Worker { pid, control, pulse: Pulse::of(boards.board(board)), board })
}

fn entrance((listen, listener): &Listening) -> io::Result<Entrance> {
    Ok(Entrance { listener: listener.duplicate()?, proxy_protocol: listen.proxy_protocol })
}

/// The child's first steps; the order of the later ones stands in `worker::run`.
fn begin(
    heritage: Heritage,
    supervisor: ProcessId,
    also: &[BorrowedFd<'_>],
    life: impl FnOnce(Heritage) -> ExitCode,
) -> ExitCode {
    match inherit(&heritage, supervisor, also) {
        Ok(()) => life(heritage),
        Err(error) => {
            heritage.logs.error(Level::Error, format_args!("worker can't begin: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn inherit(heritage: &Heritage, supervisor: ProcessId, also: &[BorrowedFd<'_>]) -> io::Result<()> {
    // 1. (The fork made this process deaf to signals.) It dies with its supervisor, or now if it has none any more.
    process::die_with(supervisor)?;
    // 2. What is not in the heritage is left behind: the signal pipe, the other workers' lines, and whatever the
    //    starter of the supervisor left open, such as a folder outside the roots or the terminal. Logs have descriptors
    //    of their own.
    let mut keep = vec![heritage.control.as_fd()];
    keep.extend(heritage.roots.iter().map(|(_, root)| root.as_fd()));
    keep.extend(heritage.entrances.iter().map(|entrance| entrance.listener.as_fd()));
    keep.extend(heritage.logs.fds());
    keep.extend(also);
    inherited::close_all_but(&keep)?;
    inherited::leave_standard_output(heritage.logs.raw_error())?;
    // 3. From now on the board is this worker's.
    heritage.board.take_over(ProcessId::own().number(), heritage.generation);
    Ok(())
}
