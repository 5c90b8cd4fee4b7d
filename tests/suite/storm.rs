//! Full traffic while generations, binaries, logs and workers change: nobody may notice, but who was in flight on a worker
//! that was killed. The full count of changes (100 reloads, 20 upgrades, 50 rotations, 100 kills) is made with
//! FILESERV_TESTS_FULL=1, a small one without.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::client::head;
use crate::common::server::EVERYTHING;
use crate::common::told::pid_file_line;
use crate::common::{Client, Server, Site, cannot_run, is_root, processes, until};

/// Clients that keep their connections as long as they may.
const KEPT: usize = 200;
/// Clients that connect anew for each request, of each kind.
const NEW: usize = 4;
/// The pause of a kept client: a person that clicks fast.
const PAUSE: Duration = Duration::from_millis(60);

fn full() -> bool {
    std::env::var_os("FILESERV_TESTS_FULL").is_some()
}

/// What all clients share.
struct Load {
    address: SocketAddr,
    stop: AtomicBool,
    answered: AtomicU64,
    /// The targets that were answered.
    targets: Mutex<Vec<String>>,
    /// Local ports of connections that broke in a request.
    broken: Mutex<Vec<u16>>,
    /// Is a broken connection a failure at once?
    is_strict: bool,
}

impl Load {
    fn start(server: &Server, is_strict: bool) -> (Arc<Self>, Vec<std::thread::JoinHandle<()>>) {
        let load = Arc::new(Self {
            address: server.address(),
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            targets: Mutex::default(),
            broken: Mutex::default(),
            is_strict,
        });
        let spawn = |number: usize, life: fn(&Self, usize)| {
            let load = Arc::clone(&load);
            let thread = std::thread::Builder::new().stack_size(256 * 1024);
            thread.spawn(move || life(&load, number)).unwrap()
        };
        let mut clients: Vec<_> = (0..KEPT).map(|number| spawn(number, Self::keep)).collect();
        for number in 0..NEW {
            clients.push(spawn(1000 + number, Self::get));
            clients.push(spawn(2000 + number, Self::put));
            clients.push(spawn(3000 + number, Self::pipeline));
        }
        (load, clients)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// One exchange of several requests; `None` when the connection broke.
    fn exchange(&self, client: &mut Client, bytes: &[u8], requests: &[(&str, String)]) -> Option<Vec<(Vec<u8>, bool)>> {
        let port = client.stream().local_addr().unwrap().port();
        if self.is_strict {
            client.send(bytes);
            let replies = requests.iter().map(|(method, target)| self.note(client.reply(method), target));
            return Some(replies.collect());
        }
        let outcome = client.try_send(bytes).ok().and_then(|()| {
            let reply = |(method, target): &(&str, String)| Some(self.note(client.try_reply(method)?, target));
            requests.iter().map(reply).collect()
        });
        if outcome.is_none() {
            self.broken.lock().unwrap().push(port);
        }
        outcome
    }

    fn note(&self, reply: crate::common::client::Reply, target: &str) -> (Vec<u8>, bool) {
        assert!(matches!(reply.status, 200 | 201 | 204), "{target}: {reply:?}");
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.targets.lock().unwrap().push(target.to_owned());
        let closes = reply.closes();
        (reply.body, closes)
    }

    fn keep(&self, number: usize) {
        let mut client = Client::connect(self.address);
        for count in 0.. {
            if !self.goes_on() {
                return;
            }
            let target = format!("/hello.txt?{number}-{count}");
            let bytes = head("GET", &target, &[], b"");
            match self.exchange(&mut client, bytes.as_bytes(), &[("GET", target)]) {
                Some(replies) => {
                    assert_eq!(replies[0].0, b"hello, world\n");
                    if replies[0].1 {
                        client = Client::connect(self.address);
                    }
                }
                None => client = Client::connect(self.address),
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn get(&self, number: usize) {
        for count in (0..).take_while(|_| self.goes_on()) {
            let target = format!("/large.bin?{number}-{count}");
            let bytes = head("GET", &target, &["Connection: close"], b"");
            let mut client = Client::connect(self.address);
            if let Some(replies) = self.exchange(&mut client, bytes.as_bytes(), &[("GET", target)]) {
                assert!(replies[0].0 == crate::common::site::large());
                assert!(replies[0].1, "it was asked to close");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What was acknowledged is there, whole, whoever is asked.
    fn put(&self, number: usize) {
        let mut last: Option<Vec<u8>> = None;
        for count in (0..).take_while(|_| self.goes_on()) {
            let content = format!("{number}-{count}\n").repeat(5000).into_bytes();
            let path = format!("/folder/up-{number}.txt");
            let target = format!("{path}?{count}");
            let mut bytes = head("PUT", &target, &[], &content).into_bytes();
            bytes.extend_from_slice(&content);
            let put = self.exchange(&mut Client::connect(self.address), &bytes, &[("PUT", target)]);
            let target = format!("{path}?{count}-back");
            let bytes = head("GET", &target, &[], b"");
            let back = match (&last, &put) {
                (None, None) => None,
                (Some(_), _) | (_, Some(_)) => {
                    self.exchange(&mut Client::connect(self.address), bytes.as_bytes(), &[("GET", target)])
                }
            };
            if let Some(back) = back.map(|mut replies| replies.remove(0).0) {
                // One whose answer was lost may have been stored or not.
                let is_right = back == content || (put.is_none() && last.as_ref() == Some(&back));
                assert!(is_right, "{path}: what was acknowledged is not there");
                last = Some(back);
            } else if put.is_some() {
                last = Some(content);
            }
        }
    }

    fn pipeline(&self, number: usize) {
        for count in (0..).take_while(|_| self.goes_on()) {
            let requests: Vec<_> = (0..5).map(|nth| ("GET", format!("/alphabet.txt?{number}-{count}-{nth}"))).collect();
            self.pipelined(requests);
            std::thread::sleep(PAUSE);
        }
    }

    /// A worker that drains says goodbye with one of the first replies and does not answer the rest: who sends several at
    /// once must be ready to send them again (RFC 9112 section 9.3.2).
    fn pipelined(&self, mut requests: Vec<(&'static str, String)>) {
        let last = |target: &str| if target.ends_with("-4") { vec!["Connection: close"] } else { Vec::new() };
        loop {
            let bytes: String = requests.iter().map(|(_, target)| head("GET", target, &last(target), b"")).collect();
            let mut client = Client::connect(self.address);
            let sent = client.try_send(&bytes);
            assert!(sent.is_ok() || !self.is_strict, "{sent:?}");
            while !requests.is_empty() {
                let reply = if self.is_strict { Some(client.reply("GET")) } else { client.try_reply("GET") };
                let Some(reply) = reply else {
                    self.broken.lock().unwrap().push(client.stream().local_addr().unwrap().port());
                    return;
                };
                let (body, closes) = self.note(reply, &requests[0].1);
                assert_eq!(body, b"abcdefghijklmnopqrstuvwxyz");
                requests.remove(0);
                if closes {
                    break;
                }
            }
            if requests.is_empty() {
                return;
            }
        }
    }

    fn flows(&self) {
        let now = self.answered.load(Ordering::Relaxed);
        until("requests flow", || self.answered.load(Ordering::Relaxed) > now + 20);
    }
}

fn start(workers: usize) -> Server {
    let site = Site::sample();
    let log = format!("[log]\naccess = {:?}\n", site.beside("log/access.log"));
    let config = format!("workers = {workers}\n{}{EVERYTHING}{log}", pid_file_line(&site));
    Server::with(site, &config)
}

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
            let target = line.split(' ').nth(6).unwrap().to_owned();
            *found.entry(target).or_insert(0) += 1;
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

#[test]
fn nobody_notices_reloads_upgrades_and_rotations() {
    let (reloads, upgrades, rotations) = if full() { (100, 20, 50) } else { (10, 3, 6) };
    let mut server = start(2);
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
    load.stop.store(true, Ordering::Relaxed);
    let failed = clients.into_iter().filter_map(|client| client.join().err()).count();
    assert_eq!(failed, 0, "no client saw a refusal, a reset, a truncated or a wrong reply");
    let targets = std::mem::take(&mut *load.targets.lock().unwrap());
    let mut log = HashMap::new();
    until("every request has its line", || {
        log = logged(&server);
        log.len() >= targets.len()
    });
    let odd: Vec<_> = targets.iter().filter(|target| log.get(*target) != Some(&1)).take(5).collect();
    assert!(odd.is_empty() && log.len() == targets.len(), "lost or doubled: {odd:?}; {} {}", log.len(), targets.len());
    until("the generations before have left", || server.stats()["workers_draining"] == 0);
    assert_eq!(server.stats()["log_drops"], 0);
    assert!(server.site.names().iter().all(|name| !name.starts_with(".fileserv-")));
    let words = format!(
        "{reloads} reloads, {upgrades} upgrades and {rotated} rotations in {changing:.1?}: {} requests of {} clients, \
         none failed, none missing in the log\n",
        targets.len(),
        KEPT + 3 * NEW
    );
    let _ = std::io::stderr().write_all(words.as_bytes());
    server.obeys("stop");
    until("it is reaped", || server.has_ended());
}

/// The client's ports of all connections that a worker holds.
fn ports_of(worker: u32, server: &Server) -> HashSet<u16> {
    let links = std::fs::read_dir(format!("/proc/{worker}/fd")).unwrap();
    let inodes: HashSet<String> = links
        .filter_map(|link| {
            let target = std::fs::read_link(link.ok()?.path()).ok()?;
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{:04X}", server.port);
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&local) && inodes.contains(row[9]))
        .map(|row| u16::from_str_radix(row[2].rsplit_once(':').unwrap().1, 16).unwrap())
        .collect()
}

#[test]
fn killed_worker_takes_only_its_own_connections_along() {
    if !is_root() {
        let test = "killed_worker_takes_only_its_own_connections_along";
        return cannot_run(test, "only root sees which connections are a worker's");
    }
    let kills = if full() { 100 } else { 15 };
    let server = start(4);
    let (load, clients) = Load::start(&server, false);
    load.flows();
    let mut doomed = HashSet::new();
    let mut known = server.workers();
    for round in 0..kills {
        std::thread::sleep(Duration::from_millis(200));
        let now = server.workers();
        // One that has been there a while: a start that is cut short is another story.
        let Some(worker) = now.iter().copied().filter(|it| known.contains(it)).nth(round % 3) else {
            known = now;
            continue;
        };
        known = now;
        let pid = Pid::from_raw(worker.cast_signed());
        kill(pid, Signal::SIGSTOP).unwrap();
        until("it stands still", || processes::status(worker)["State"].starts_with('T'));
        doomed.extend(ports_of(worker, &server));
        kill(pid, Signal::SIGKILL).unwrap();
    }
    load.flows();
    load.stop.store(true, Ordering::Relaxed);
    let failed = clients.into_iter().filter_map(|client| client.join().err()).count();
    assert_eq!(failed, 0, "no client was refused, and no reply or upload was wrong");
    let broken = std::mem::take(&mut *load.broken.lock().unwrap());
    let others: Vec<_> = broken.iter().filter(|port| !doomed.contains(port)).collect();
    assert!(others.is_empty(), "connections of living workers broke: {others:?}");
    assert!(server.stats()["deaths"].as_u64().unwrap() > 0);
    until("what dead workers left is swept", || {
        let folder = std::fs::read_dir(server.site.path("folder")).unwrap();
        !folder.flatten().any(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(".fileserv-")))
    });
    let words = format!(
        "{kills} kills: {} requests answered, {} connections broke, each of a killed worker\n",
        load.answered.load(Ordering::Relaxed),
        broken.len()
    );
    let _ = std::io::stderr().write_all(words.as_bytes());
}
