//! Generations, binaries, logs and workers change, and nobody notices.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};

use nix::sys::signal::Signal;

use super::load::{KEPT, Load, NEW};
use super::{full, start};
use crate::common::{Server, until};

/// The targets in all access logs, and how often each is there.
fn logged(server: &Server) -> HashMap<String, u32> {
    let mut found = HashMap::new();
    for entry in std::fs::read_dir(server.site.beside("log")).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_str().unwrap().starts_with("access.log") {
            continue;
        }
        for line in BufReader::new(std::fs::File::open(entry.path()).unwrap()).lines() {
            let line = line.unwrap();
            assert!(is_whole(&line), "a torn line: {line:?}");
            let target = line.split(' ').nth(6).unwrap();
            // What the test itself asks is no load.
            if !target.starts_with("/stats") {
                *found.entry(target.to_owned()).or_insert(0) += 1;
            }
        }
    }
    found
}

/// `127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET /a HTTP/1.1" 200 13 "-" "-"`
fn is_whole(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    let numbers =
        |words: &[&str]| words.iter().all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()));
    words.len() == 12 && words[0] == "127.0.0.1" && words[10..] == ["\"-\"", "\"-\""] && numbers(&words[8..10])
}

fn assert_each_request_has_its_line(server: &Server, load: &Load) -> usize {
    let targets = std::mem::take(&mut *load.targets.lock().unwrap());
    let mut log = HashMap::new();
    until("every request has its line", || {
        log = logged(server);
        log.len() >= targets.len()
    });
    let odd: Vec<_> = targets.iter().filter(|target| log.get(*target) != Some(&1)).take(5).collect();
    assert!(odd.is_empty() && log.len() == targets.len(), "lost or doubled: {odd:?}; {} {}", log.len(), targets.len());
    targets.len()
}

fn assert_nothing_is_left(server: &Server) {
    until("the generations before have left", || server.stats()["workers_draining"] == 0);
    let stats = server.stats();
    assert_eq!((&stats["log_drops"], &stats["deaths"]), (&0.into(), &0.into()));
    assert!(server.site.names().iter().all(|name| !name.starts_with(".fileserv-")));
}

#[test]
fn nobody_notices_reloads_upgrades_and_rotations() {
    let (reloads, upgrades, rotations) = if full() { (100, 20, 50) } else { (10, 3, 6) };
    let mut server = start(2, "");
    let (load, clients) = Load::start(&server, true);
    load.flows();
    let begin = std::time::Instant::now();
    let rounds = reloads;
    let is_due = |round: usize, times: usize| (round * times) / rounds != ((round + 1) * times) / rounds;
    let mut rotated = 0;
    for round in 0..rounds {
        server.obeys("reload");
        if is_due(round, upgrades) {
            server.obeys("upgrade");
        }
        if is_due(round, rotations) {
            let log = server.site.beside("log/access.log");
            std::fs::rename(&log, server.site.beside(&format!("log/access.log.{rotated}"))).unwrap();
            rotated += 1;
            server.obeys("reopen");
            until("the log is there again", || log.exists());
        }
        load.flows();
    }
    let changing = begin.elapsed();
    load.end(clients);
    let requests = assert_each_request_has_its_line(&server, &load);
    assert_nothing_is_left(&server);
    let words = format!(
        "{reloads} reloads, {upgrades} upgrades and {rotated} rotations in {changing:.1?}: {requests} requests of {} clients, \
         none failed, none missing in the log\n",
        KEPT + 3 * NEW
    );
    let _ = std::io::stderr().write_all(words.as_bytes());
    server.obeys("stop");
    until("it is reaped", || server.has_ended());
}

/// Signals in bursts, as from a script gone wild, while workers retire because they have served enough.
#[test]
fn nobody_notices_bursts_of_signals_while_workers_retire() {
    let rounds = if full() { 20 } else { 4 };
    let mut server = start(3, "limits.requests_per_worker = 200\n");
    let (load, clients) = Load::start(&server, true);
    let counted = |what: &str| server.stats()[what].as_u64().unwrap();
    for _ in 0..rounds {
        let (retired, reloads) = (counted("retired"), counted("reloads"));
        until("a worker retires", || counted("retired") > retired);
        for _ in 0..5 {
            server.signal(Signal::SIGHUP);
            server.signal(Signal::SIGUSR1);
            server.signal(Signal::SIGCHLD);
        }
        load.flows();
        until("the burst has been obeyed", || counted("reloads") > reloads);
    }
    load.end(clients);
    until("one generation is left", || server.workers().len() == 3);
    assert_each_request_has_its_line(&server, &load);
    assert_nothing_is_left(&server);
    assert_eq!(counted("failed_reloads"), 0);
    let lines = server.said();
    assert!(lines.contains("requests: another takes its place"), "{lines}");
    assert!(lines.contains("the logs were opened again"), "{lines}");
    server.obeys("stop");
    until("it is reaped", || server.has_ended());
}
