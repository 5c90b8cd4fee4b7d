//! The servers that are measured: how one is started, waited for and stopped. Only what is started here is asked.

mod commands;
pub(crate) mod floor;
mod processes;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::ask;
use super::site::Site;

/// The user that every server becomes.
pub(crate) const NOBODY: u32 = 65534;
/// How long a server may take to come up.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end before it is killed.
const END: Duration = Duration::from_secs(5);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Fileserv,
    Nginx,
    NginxPread,
    H2o,
    Lighttpd,
    /// Answers without reading what is asked: what epoll and TCP alone cost here.
    Floor,
}

impl Kind {
    pub(crate) const PEERS: [Self; 4] = [Self::Nginx, Self::NginxPread, Self::H2o, Self::Lighttpd];

    /// As the head of a column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fileserv => "fileserv",
            Self::Nginx => "nginx",
            Self::NginxPread => "pread",
            Self::H2o => "h2o",
            Self::Lighttpd => "lighttpd",
            Self::Floor => "floor",
        }
    }

    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Nginx | Self::NginxPread => "nginx",
            Self::H2o => "h2o",
            Self::Lighttpd => "lighttpd",
            Self::Fileserv | Self::Floor => env!("CARGO_BIN_EXE_fileserv"),
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        Command::new(self.program()).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    }

    /// fileserv and all peers that are there.
    pub(crate) fn all() -> Vec<Self> {
        let peers = Self::PEERS.into_iter().filter(|kind| kind.is_installed());
        std::iter::once(Self::Fileserv).chain(peers).collect()
    }

    /// Those of them that take uploads.
    pub(crate) fn that_store() -> Vec<Self> {
        Self::all().into_iter().filter(|kind| *kind != Self::H2o).collect()
    }

    /// How many processes a server of so many workers has besides its first.
    fn children(self, workers: usize) -> usize {
        match self {
            Self::Fileserv | Self::Nginx | Self::NginxPread => workers,
            Self::Lighttpd if workers > 1 => workers,
            Self::Lighttpd | Self::H2o | Self::Floor => 0,
        }
    }
}

/// Whether clients may store something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uploads {
    Off,
    /// Answered as soon as the file has its name; what all peers do.
    Unsynced,
    /// Answered when the file is on stable storage: fileserv's default. The peers can't.
    Durable,
}

/// How a server is to run.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) root: PathBuf,
    pub(crate) workers: usize,
    /// The core that it stays on; none: where the kernel wants it.
    pub(crate) core: Option<usize>,
    pub(crate) access_log: bool,
    pub(crate) uploads: Uploads,
    /// How many connections a worker must be able to hold; zero: its default.
    pub(crate) connections: usize,
    /// What the floor answers.
    pub(crate) reply: Vec<u8>,
}

impl Setup {
    /// One worker on the first core.
    pub(crate) fn new(root: PathBuf) -> Self {
        let (workers, core, connections) = (1, Some(0), 0);
        Self { root, workers, core, access_log: false, uploads: Uploads::Off, connections, reply: Vec::new() }
    }

    /// A worker for each of two cores, wherever the kernel wants them.
    pub(crate) fn free(root: PathBuf) -> Self {
        Self { workers: 2, core: None, ..Self::new(root) }
    }
}

/// A server that runs; dropped, it is stopped.
pub(crate) struct Running {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) setup: Setup,
    child: Child,
    _scratch: TempDir,
}

impl Running {
    /// Starts it and waits until all of it is there.
    pub(crate) fn start(kind: Kind, setup: Setup, site: &Site) -> Self {
        let running = Self::launch(kind, setup, site);
        running.await_answer();
        let begin = Instant::now();
        while running.children().len() < kind.children(running.setup.workers) {
            assert!(begin.elapsed() < START, "{}: its workers do not come up", kind.name());
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    /// How long it takes from exec until a request is answered.
    pub(crate) fn time_to_answer(kind: Kind, setup: Setup, site: &Site) -> Duration {
        let begin = Instant::now();
        let running = Self::launch(kind, setup, site);
        running.await_answer();
        begin.elapsed()
    }

    fn launch(kind: Kind, setup: Setup, site: &Site) -> Self {
        let (address, scratch) = (free_address(), site.scratch());
        let mut command = commands::command(kind, address, &setup, site, scratch.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{} does not start: {error}", kind.name()));
        Self { kind, address, setup, child, _scratch: scratch }
    }

    fn await_answer(&self) {
        let begin = Instant::now();
        while !ask(self.address, b"GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n").is_ok_and(|answer| answer.status < 500) {
            assert!(begin.elapsed() < START, "{} does not come up", self.kind.name());
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let tree = self.tree();
        let _ = nix::sys::signal::kill(processes::pid(self.child.id()), nix::sys::signal::Signal::SIGTERM);
        let begin = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if begin.elapsed() > END {
                for process in &tree {
                    let _ = nix::sys::signal::kill(processes::pid(*process), nix::sys::signal::Signal::SIGKILL);
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number")
}
