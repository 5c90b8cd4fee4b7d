//! What a request costs on the heap, through the whole pipeline and the state machine: the numbers are exact.

use std::path::Path;

use super::connection::{Connection, State, Step, Token};
use super::tests::{Script, desk, site};
use super::transport::Transport;
use crate::sys::allocations::allocations_in;
use crate::sys::epoll::Event;

const ANYTHING: Event = Event { token: 0, readable: true, writable: true, hung_up: false, broken: false };
/// The first turns fill the cache and let the buffers of the loop grow.
const WARM_TURNS: usize = 4;

/// The allocations of the turn that answers these bytes on a kept connection, when they have been answered before.
fn cost(request: &str, status: &str) -> u64 {
    cost_beneath(site().path(), request, status)
}

fn cost_beneath(root: &Path, request: &str, status: &str) -> u64 {
    let mut desk = desk(root);
    let pieces = [request.as_bytes(); WARM_TURNS + 1];
    let transport = Transport::Script(Box::new(Script::new(&pieces, usize::MAX)));
    let mut connection = Connection::new(transport, State::RecvHead, Token { key: 0, serial: 1 }, &desk);
    let mut buffer = vec![0; 64 * 1024];
    let mut turn = || {
        connection.note(ANYTHING);
        assert_eq!(connection.process(&mut buffer, &mut desk), Step::Wait);
    };
    (0..WARM_TURNS).for_each(|_| turn());
    let cost = allocations_in(turn);
    let Transport::Script(script) = &connection.transport else { unreachable!() };
    let sent = String::from_utf8(script.sent()).unwrap();
    let answers = sent.matches(&format!("HTTP/1.1 {status}\r\n")).count();
    assert_eq!(answers, request.matches(" HTTP/1.1\r\n").count() * pieces.len(), "{sent}");
    cost
}

#[test]
fn hot_requests_allocate_no_more_than_they_did() {
    let get = |target: &str, line: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n{line}\r\n");
    let file = get("/small.txt", "");
    let date = "If-Modified-Since: Fri, 01 Jan 2021 00:00:00 GMT\r\n";
    for (request, status, allocations) in [
        (file.clone(), "200 OK", 0),
        (file.replace("GET", "HEAD"), "200 OK", 0),
        (file.repeat(16), "200 OK", 0),
        (get("/small.txt", date), "304 Not Modified", 0),
        (get("/small.txt", "Range: bytes=1-3\r\n"), "206 Partial Content", 0),
        (get("/large.bin", "Range: bytes=1000-1999\r\n"), "206 Partial Content", 0),
        (get("/nothing", ""), "404 Not Found", 0),
        (get("/nothing", "Accept: application/json\r\n"), "404 Not Found", 0),
    ] {
        assert_eq!(cost(&request, status), allocations, "{status}: {request}");
    }
}

#[test]
fn small_upload_to_memory_allocates_no_more_than_it_did() {
    let root = tempfile::tempdir_in("/dev/shm").unwrap();
    std::fs::write(root.path().join("new.bin"), "old").unwrap();
    let request = format!("PUT /new.bin HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n{}", "x".repeat(1024));
    // Most of it is made to outlive its request, as it must where there is a disk to wait for: the content, the target's
    // path, what is to be done and under which rules, and the name of the temporary.
    assert_eq!(cost_beneath(root.path(), &request, "204 No Content"), 8);
}
