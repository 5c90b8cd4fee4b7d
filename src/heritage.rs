//! Everything that crosses the fork, in one struct: what a worker has besides what it opens itself.
//! Process: made by the supervisor, consumed by one worker.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::auth::Credentials;
use crate::config::{Config, Sites};
use crate::log::Logs;
use crate::stats::{Board, Boards};
use crate::sys::control::WorkerEnd;
use crate::sys::socket::Listener;

/// A listening socket as a worker sees it.
#[derive(Debug)]
pub struct Entrance {
    /// The worker's own descriptor of the socket: when it lets go of it, no other that the fork copied stays open.
    pub listener: Listener,
    /// Does every connection begin with a header of the PROXY protocol?
    pub proxy_protocol: bool,
}

/// The heritage of one worker.
pub struct Heritage {
    /// The configuration of its generation.
    pub config: Arc<Config>,
    /// Whom each site knows: what the files said when the configuration was read.
    pub credentials: Arc<Sites<Credentials>>,
    /// The number of that generation, counted from 1.
    pub generation: u64,
    /// Which worker of its generation it is, counted from 0.
    pub slot: usize,
    /// Does it look for what dead workers left behind? The first of a generation does, and each that replaces one.
    pub sweeps: bool,
    /// The listening sockets, shared with every worker and the supervisor; a reload keeps those that stay.
    pub entrances: Vec<Entrance>,
    /// The document root of each site, opened by the supervisor.
    pub roots: Arc<Sites<OwnedFd>>,
    /// The board that this worker writes; its memory is writable in this process only.
    pub board: &'static Board,
    /// All boards, to be read.
    pub boards: Boards,
    /// Open logs, with descriptors that belong to this worker alone.
    pub logs: Logs,
    /// The supervisor's orders come here; `ready` is said here.
    pub control: WorkerEnd,
}
