//! What a hot small file costs: system calls, counted by the kernel's own tracer.

use crate::common::server::EVERYTHING;
use crate::common::trace::trace_of;
use crate::common::{Server, Site, cannot_run};

const REQUESTS: usize = 1000;
/// Wait, receive, revalidate, send.
const CALLS: usize = 4;
/// Once a second the loop also looks after its board; a traced run takes far less than ten seconds.
const HOUSEKEEPING_ROUNDS: usize = 10;

#[test]
fn hot_small_file_costs_at_most_four_system_calls() {
    let server = Server::with(Site::sample(), &format!("workers = 1\n{EVERYTHING}"));
    let Some(trace) = trace_of(&server, &[], |client| {
        for _ in 0..REQUESTS {
            assert_eq!(client.get("/hello.txt").body.len(), 13);
        }
    }) else {
        return cannot_run("hot_small_file_costs_at_most_four_system_calls", "only root may trace a sealed worker");
    };
    let rounds = rounds(&trace);
    assert_eq!(rounds.len(), REQUESTS, "the loop turns once a request");
    let dear: Vec<_> = rounds.iter().filter(|calls| calls.len() > CALLS).collect();
    assert!(dear.len() <= HOUSEKEEPING_ROUNDS, "{} requests cost more than {CALLS} calls: {:?}", dear.len(), dear[0]);
    let total: usize = rounds.iter().map(Vec::len).sum();
    println!("{total} system calls for {REQUESTS} requests, each {:?}", rounds[REQUESTS / 2]);
}

#[test]
fn pipelined_hot_small_files_share_their_calls() {
    let server = Server::with(Site::sample(), &format!("workers = 1\n{EVERYTHING}"));
    const DEPTH: usize = 10;
    let Some(trace) = trace_of(&server, &[], |client| {
        for _ in 0..REQUESTS / DEPTH {
            client.send("GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n".repeat(DEPTH));
            for _ in 0..DEPTH {
                assert_eq!(client.reply("GET").body.len(), 13);
            }
        }
    }) else {
        return cannot_run("pipelined_hot_small_files_share_their_calls", "only root may trace a sealed worker");
    };
    let rounds = rounds(&trace);
    let sends: usize = rounds.iter().flatten().filter(|call| is_send(call)).count();
    assert_eq!(sends, REQUESTS / DEPTH, "one send for many replies");
}

/// The names of the calls between the two marked requests, a round beginning with each wait for events.
fn rounds(trace: &str) -> Vec<Vec<&str>> {
    let calls: Vec<(&str, &str)> = trace.lines().filter_map(|line| line.split_once(char::is_whitespace)).collect();
    let at = |mark: &str| calls.iter().position(|(_, call)| call.contains(mark)).unwrap_or_else(|| panic!("{mark}"));
    let (begin, end) = (at("X-Mark: begin"), at("X-Mark: end"));
    let event_loop = calls[begin].0;
    let names = calls[begin + 1..end].iter().filter(|(thread, _)| *thread == event_loop).filter_map(|(_, call)| {
        let call = call.trim_start();
        let is_call = call.starts_with(|first: char| first.is_ascii_lowercase());
        is_call.then(|| call.split('(').next().unwrap_or(call))
    });
    let mut rounds: Vec<Vec<&str>> = Vec::new();
    for name in names {
        if name.starts_with("epoll_") && name.contains("wait") {
            rounds.push(Vec::new());
        }
        // What stands before the first wait still belongs to the marked request.
        if let Some(round) = rounds.last_mut() {
            round.push(name);
        }
    }
    // The last wait belongs to the other marked request.
    rounds.pop();
    rounds
}

fn is_send(call: &str) -> bool {
    matches!(call, "sendto" | "sendmsg" | "sendfile" | "write" | "writev")
}
