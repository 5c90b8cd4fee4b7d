//! What a connection costs that is kept open and says nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::servers::Running;

/// How many connections; less if this process may not open so many.
const CONNECTIONS: u64 = 10_000;
/// Descriptors of this process besides the connections.
const SPARE: u64 = 64;

/// What was measured.
pub(crate) struct Idle {
    pub(crate) connections: usize,
    pub(crate) bytes_each: f64,
    pub(crate) rest_kib: u64,
}

/// Opens connections, asks once on each, and looks how much memory the workers have more.
pub(crate) fn measure(server: &Running) -> Idle {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("it can be raised");
    // One round first, so that what is allocated once is not counted as a connection's.
    drop(open(server, 100));
    let rest_kib = private_kib(server);
    let connections = open(server, CONNECTIONS.min(hard.saturating_sub(SPARE)));
    let grown_kib = private_kib(server) - rest_kib;
    Idle { connections: connections.len(), bytes_each: grown_kib as f64 * 1024.0 / connections.len() as f64, rest_kib }
}

fn open(server: &Running, count: u64) -> Vec<TcpStream> {
    let ask = |_| {
        let mut connection = TcpStream::connect(server.address).expect("a connection");
        connection.write_all(b"HEAD /1k HTTP/1.1\r\nHost: bench\r\n\r\n").expect("a request");
        let mut answer = [0; 1024];
        let length = connection.read(&mut answer).expect("an answer");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "), "the server is well");
        connection
    };
    (0..count).map(ask).collect()
}

/// Private memory of all workers.
fn private_kib(server: &Running) -> u64 {
    let of_worker = |worker: u32| {
        let text = std::fs::read_to_string(format!("/proc/{worker}/smaps_rollup")).expect("readable for root");
        let private = text.lines().filter(|line| line.starts_with("Private_"));
        private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>()
    };
    server.workers().into_iter().map(of_worker).sum()
}
