//! Workers that hang, that have served enough, that can't be started: each is replaced, and it is said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, processes, until};

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
}

#[test]
fn worker_whose_heart_stands_still_is_killed_and_replaced() {
    let server = Server::with(Site::sample(), &format!("workers = 2\ntimeouts.hang = \"3s\"\n{EVERYTHING}"));
    let workers = server.workers();
    send(workers[0], Signal::SIGSTOP);
    let line = server.await_line("the hang is told", |line| line.contains("hangs"));
    assert!(line.contains(&format!("worker {} ", workers[0])) && line.contains("state: T (stopped)"), "{line}");
    until("another has taken its place", || {
        let now = server.workers();
        now.len() == 2 && now.contains(&workers[1]) && !now.contains(&workers[0])
    });
    until("it serves", || server.stats()["workers_ready"] == 2);
    assert_eq!(server.stats()["hung"], 1);
    for _ in 0..20 {
        assert_eq!(server.connect().get("/hello.txt").status, 200);
    }
}

#[test]
fn supervisor_that_stood_still_itself_kills_nobody() {
    let server = Server::with(Site::sample(), &format!("workers = 2\ntimeouts.hang = \"3s\"\n{EVERYTHING}"));
    let workers = server.workers();
    let all: Vec<u32> = workers.iter().copied().chain([server.supervisor()]).collect();
    // As when a machine is suspended, or a container frozen.
    all.iter().for_each(|pid| send(*pid, Signal::SIGSTOP));
    std::thread::sleep(std::time::Duration::from_secs(5));
    // The supervisor wakes first.
    all.iter().rev().for_each(|pid| send(*pid, Signal::SIGCONT));
    let beats = |stats: &serde_json::Value| stats["workers"][0]["heartbeat_unix_ms"].as_u64().unwrap();
    let first = beats(&server.stats());
    until("hearts beat on", || beats(&server.stats()) > first + 2000);
    server.assert_unharmed(&workers);
}

#[test]
fn worker_that_has_served_enough_is_replaced_and_nobody_notices() {
    let server = Server::with(Site::sample(), &format!("workers = 2\nlimits.requests_per_worker = 100\n{EVERYTHING}"));
    let first = server.workers();
    let (stop, address) = (Arc::new(AtomicBool::new(false)), server.address());
    let answered = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.get("/hello.txt");
                    assert_eq!(reply.text(), "hello, world\n");
                    answered.fetch_add(1, Ordering::Relaxed);
                    if reply.closes() {
                        client = Client::connect(address);
                    }
                }
            })
        })
        .collect();
    // Who has no clients serves nothing, and stays: the kernel chooses whose they are.
    until("they are replaced", || server.stats()["retired"].as_u64().unwrap() >= 4);
    assert_ne!(server.workers(), first);
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("no client has noticed anything"));
    let stats = server.stats();
    assert!(stats["requests"].as_u64().unwrap() >= answered.load(Ordering::Relaxed), "the counters live on");
    assert_eq!(stats["deaths"], 0, "nobody died");
    let lines = server.said();
    assert!(lines.contains("requests: another takes its place"), "{lines}");
}

#[test]
fn crash_loop_backs_off_and_shows() {
    let server = Server::with(Site::sample(), &format!("workers = 2\n{EVERYTHING}"));
    let (supervisor, workers) = (server.supervisor(), server.workers());
    let limits = std::fs::read_to_string(format!("/proc/{supervisor}/limits")).unwrap();
    let most =
        limits.lines().find(|line| line.starts_with("Max processes")).unwrap().split_whitespace().nth(3).unwrap();
    let limit = |soft: &str| processes::limit(supervisor, &format!("--nproc={soft}:"));
    limit("1");
    send(workers[0], Signal::SIGKILL);
    server.await_line("the failure is told", |line| line.contains("can't start a worker: "));
    until("the statistics show it", || {
        let stats = server.stats();
        stats["failed_starts"].as_u64().unwrap() >= 2 && stats["workers_ready"] == 1
    });
    let (waits, ticks) = processes::waits_and_ticks(supervisor);
    let failures = || server.said().matches("can't start a worker: ").count();
    let before = failures();
    until("one more failure", || failures() > before);
    let (waits_now, ticks_now) = processes::waits_and_ticks(supervisor);
    assert!(
        waits_now - waits < 60 && ticks_now - ticks < 20,
        "{} wakes, {} ticks",
        waits_now - waits,
        ticks_now - ticks
    );
    server.signal(Signal::SIGHUP);
    server.await_line("a reload is refused as well", |line| {
        line.contains("the reload changes nothing: can't start a worker")
    });
    assert_eq!(server.connect().get("/hello.txt").status, 200, "the other serves on");
    limit(most);
    until("it recovers by itself", || server.stats()["workers_ready"] == 2);
    assert_eq!(server.stats()["failed_starts"], 0);
    assert!(server.workers().contains(&workers[1]));
}
