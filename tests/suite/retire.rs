//! A worker that has grown too large is replaced while it serves, and nobody notices.

use crate::common::client::head;
use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, until};

/// Each holds nearly all that a head may have, in the memory of its worker.
const CLIENTS: usize = 360;
const UNFINISHED_BYTES: usize = 120 << 10;

#[test]
fn worker_that_has_grown_is_replaced_and_nobody_notices() {
    // 16 MiB beside the cache are the least that may be written there.
    let limits = "cache.bytes = 0\nlimits.worker_memory = \"16 MiB\"\nlimits.head_bytes = \"128 KiB\"\n\
                  limits.connections_per_client = 1000\ntimeouts.head = \"1h\"\ntimeouts.drain = \"1h\"\n";
    let server = Server::with(Site::sample(), &format!("workers = 2\n{limits}{EVERYTHING}"));
    let first = server.workers();
    let request = head("GET", "/hello.txt", &[&format!("X-Large: {}", "x".repeat(UNFINISHED_BYTES))], b"");
    let (unfinished, end) = request.split_at(request.len() - 2);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(unfinished);
    }
    server.await_line("its size is told", |line| line.contains(" MiB of memory: another takes its place"));
    // The large one has left the listeners to its successor, and keeps the promises it has made.
    until("its successor serves", || server.workers().iter().any(|worker| !first.contains(worker)));
    assert_eq!(server.connect().get("/hello.txt").status, 200);
    for client in &mut clients {
        client.send(end);
        assert_eq!(client.reply("GET").text(), "hello, world\n");
    }
    drop(clients);
    until("the large ones have left", || server.stats()["workers_draining"] == 0);
    let stats = server.stats();
    assert!((1..=2).contains(&stats["retired"].as_u64().unwrap()), "those that grew, and no others: {stats}");
    assert_eq!(stats["deaths"], 0);
}
