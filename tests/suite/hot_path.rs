//! What hot requests cost: system calls, counted by the kernel's own tracer. The numbers are exact: one call more has to
//! be written down here, with its reason.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Instant;

use crate::common::server::EVERYTHING;
use crate::common::trace::{Call, calls, trace_of};
use crate::common::{Client, Server, Site, cannot_run, client};

/// What the event loop did while a load ran, and how long that took.
pub(crate) struct Trace {
    text: String,
    /// How long that took, at most.
    pub(crate) milliseconds: usize,
}

impl Trace {
    /// The loop looks after its board once a second, whether somebody asks or not.
    fn housekeeping_rounds(&self) -> usize {
        10 + self.seconds()
    }

    /// How often a call of this name was made.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.text.matches(&format!(" {name}(")).count()
    }

    fn seconds(&self) -> usize {
        self.milliseconds / 1000
    }

    /// The calls of each wake, as strace writes them.
    pub(crate) fn wakes(&self) -> impl Iterator<Item = &str> {
        self.text.split(" epoll_wait(")
    }

    /// The same without the calls of this name.
    pub(crate) fn without(&self, name: &str) -> Self {
        let call = format!(" {name}(");
        let lines = self.text.lines().filter(|line| !line.contains(&call));
        Self { text: lines.map(|line| format!("{line}\n")).collect(), milliseconds: self.milliseconds }
    }
}

/// Wait, receive, ask what has changed, send; whether there is a file or not.
pub(crate) const FROM_THE_CACHE: &[&str] = &["epoll_wait", "recvfrom", LOOK, "sendto"];
/// The question whether anything has changed: a wait that does not wait, for one event.
pub(crate) const LOOK: &str = "epoll_wait at once";
/// A part of a file that is too large to be kept whole, but is kept open: it is read behind its head.
const FROM_A_LARGE_FILE: &[&str] = &["epoll_wait", "recvfrom", LOOK, "preadv2", "sendto"];

/// The replacement of a file of 1 KiB that nobody waits for to be stored, where there is no disk to wait for: all of it in
/// the loop. Wait, receive; is the folder still at its path; lock; what is there; make, write, compare owner and mode (which
/// gives the rename a time of its own), rename; the new tag; has it attributes by birth; unlock; close, send.
const UPLOAD_TO_MEMORY: &[(&str, usize)] = &[
    ("close", 1),
    ("epoll_wait", 1),
    ("flistxattr", 1),
    ("flock", 2),
    ("newfstatat", 4),
    ("openat", 1),
    ("recvfrom", 1),
    ("renameat", 1),
    ("sendto", 1),
    ("write", 1),
];
/// The same where times don't tell all changes: a time is given to the file, and the old one is opened and asked
/// for attributes.
const UPLOAD_TO_MEMORY_WITH_A_TIME: &[(&str, usize)] = &[
    ("close", 2),
    ("epoll_wait", 1),
    ("flistxattr", 1),
    ("flock", 2),
    ("newfstatat", 4),
    ("openat", 2),
    ("recvfrom", 1),
    ("renameat", 1),
    ("sendto", 1),
    ("utimensat", 1),
    ("write", 1),
];

/// The same on a disk, and stored before the answer: the way to a helper thread and back (another wait, a read and a write);
/// a lock of its own keeps a sweep from the temporary, which must still be there then; the target is looked at before and
/// under the lock; two syncs, and which folder it is that others may be syncing.
const STORED_UPLOAD: &[(&str, usize)] = &[
    ("close", 2),
    ("epoll_wait", 2),
    ("flistxattr", 1),
    ("flock", 3),
    ("fsync", 2),
    ("newfstatat", 8),
    ("openat", 2),
    ("read", 1),
    ("recvfrom", 1),
    ("renameat", 1),
    ("sendto", 1),
    ("utimensat", 1),
    ("write", 2),
];

fn server(config: &str) -> Server {
    Server::with(Site::sample(), &format!("workers = 1\n{config}{EVERYTHING}"))
}

/// What the event loop does while this load runs; `None` if nobody may see.
pub(crate) fn traced(test: &str, server: &Server, load: impl FnOnce(&mut Client)) -> Option<Trace> {
    let begun = Instant::now();
    let text = trace_of(server, &[], load);
    if text.is_none() {
        cannot_run(test, "only root may trace a sealed worker");
    }
    Some(Trace { text: text?, milliseconds: usize::try_from(begun.elapsed().as_millis()).unwrap() })
}

/// Insists that the loop turns once for each of so many requests, and that each turn makes exactly these calls; but once a
/// second a file that is kept is compared with what is there, with one call more, and twice as long as it is not watched:
/// the third time in one second it is.
pub(crate) fn assert_each_costs(what: &str, trace: &Trace, requests: usize, files: usize, expected: &[&str]) {
    let receives = |calls: &Vec<String>| calls.iter().any(|call| call == "recvfrom");
    let (busy, idle): (Vec<_>, Vec<_>) = rounds(trace).into_iter().partition(receives);
    assert_eq!(busy.len(), requests, "{what}: the loop turns once a request");
    assert!(idle.len() <= trace.housekeeping_rounds(), "{what}: {idle:?}");
    let (compared, others): (Vec<_>, Vec<_>) = busy.into_iter().filter(|calls| *calls != expected).partition(|calls| {
        let without: Vec<_> = calls.iter().filter(|name| *name != "newfstatat").collect();
        without == expected && calls.len() == expected.len() + 1
    });
    assert!(
        compared.len() <= 2 * files * (trace.seconds() + 2),
        "{what}: {} of {requests} turns compare",
        compared.len()
    );
    assert!(
        others.len() <= trace.housekeeping_rounds(),
        "{what}: {} of {requests} turns don't make {} calls {expected:?}, but {:?}",
        others.len(),
        expected.len(),
        others[0]
    );
}

#[test]
fn hot_small_file_costs_at_most_four_system_calls() {
    const REQUESTS: usize = 1000;
    let server = server("");
    let trace = traced("hot_small_file_costs_at_most_four_system_calls", &server, |client| {
        for _ in 0..REQUESTS {
            assert_eq!(client.get("/hello.txt").body.len(), 13);
        }
    });
    let Some(trace) = trace else { return };
    assert_each_costs("200", &trace, REQUESTS, 1, FROM_THE_CACHE);
}

#[test]
fn other_hot_answers_cost_no_more() {
    const REQUESTS: usize = 200;
    let server = server("");
    let etag = server.connect().get("/hello.txt").field("etag").unwrap().to_owned();
    let same = format!("If-None-Match: {etag}");
    for (status, method, target, field, expected) in [
        (200, "HEAD", "/hello.txt", "Accept: */*", FROM_THE_CACHE),
        (304, "GET", "/hello.txt", &same, FROM_THE_CACHE),
        (304, "GET", "/hello.txt", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", FROM_THE_CACHE),
        (206, "GET", "/hello.txt", "Range: bytes=1-3", FROM_THE_CACHE),
        (412, "GET", "/hello.txt", "If-Match: \"other\"", FROM_THE_CACHE),
        (404, "GET", "/nothing", "Accept: */*", FROM_THE_CACHE),
        (206, "GET", "/large.bin", "Range: bytes=1000-1999", FROM_A_LARGE_FILE),
    ] {
        let trace = traced("other_hot_answers_cost_no_more", &server, |client| {
            for _ in 0..REQUESTS {
                assert_eq!(client.request(method, target, &[field], b"").status, status, "{field}");
            }
        });
        let Some(trace) = trace else { return };
        assert_each_costs(&format!("{status} {field}"), &trace, REQUESTS, 1, expected);
    }
}

#[test]
fn pipelined_hot_small_files_share_their_calls() {
    const DEPTH: usize = 16;
    const TURNS: usize = 100;
    let server = server("");
    let trace = traced("pipelined_hot_small_files_share_their_calls", &server, |client| {
        for _ in 0..TURNS {
            client.send("GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n".repeat(DEPTH));
            for _ in 0..DEPTH {
                assert_eq!(client.reply("GET").body.len(), 13);
            }
        }
    });
    let Some(trace) = trace else { return };
    assert_each_costs("pipelined", &trace, TURNS, 1, FROM_THE_CACHE);
}

#[test]
fn requests_of_one_wake_ask_once_what_has_changed() {
    const CLIENTS: usize = 16;
    const TURNS: usize = 50;
    let server = server("");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/hello.txt").status, 200);
    }
    let trace = traced("requests_of_one_wake_ask_once_what_has_changed", &server, |_| {
        for _ in 0..TURNS {
            for client in &mut clients {
                client.send("GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n");
            }
            for client in &mut clients {
                assert_eq!(client.reply("GET").body.len(), 13);
            }
        }
    });
    let Some(trace) = trace else { return };
    let rounds = rounds(&trace);
    let received = |round: &[String]| round.iter().filter(|call| *call == "recvfrom").count();
    assert_eq!(rounds.iter().map(|round| received(round)).sum::<usize>(), CLIENTS * TURNS);
    // How many requests a wake finds is the scheduler's affair; each costs two calls, and each wake two more.
    let is_as_cheap = |round: &&Vec<String>| {
        let requests = received(round);
        **round == [&["epoll_wait"][..], &vec!["recvfrom"; requests], &[LOOK], &vec!["sendto"; requests]].concat()
    };
    let others: Vec<_> = rounds.iter().filter(|round| !is_as_cheap(round)).collect();
    assert!(others.len() <= trace.housekeeping_rounds(), "{others:?}");
}

#[test]
fn small_upload_to_memory_costs_no_call_too_many() {
    let server = in_memory();
    let expected = if times_tell_all_changes() { UPLOAD_TO_MEMORY } else { UPLOAD_TO_MEMORY_WITH_A_TIME };
    assert_upload_costs("small_upload_to_memory_costs_no_call_too_many", &server, expected);
}

fn in_memory() -> Server {
    Server::with(Site::in_memory(), &format!("workers = 1\nuploads.durability = \"none\"\n{EVERYTHING}"))
}

/// Asked as the server asks: distributions take later work into older kernels.
fn times_tell_all_changes() -> bool {
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    let change = |_| {
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
        let now = file.metadata().unwrap();
        (now.ctime(), now.ctime_nsec())
    };
    let times: Vec<_> = (0..8).map(change).collect();
    times.is_sorted_by(|earlier, later| earlier < later)
}

#[test]
fn uploads_of_one_wake_ask_once_where_their_folder_is() {
    const CLIENTS: usize = 16;
    const TURNS: usize = 50;
    let server = in_memory();
    let content = "x".repeat(1024);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    let mut put_all = || {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(client::head("PUT", &format!("/{number}"), &[], content.as_bytes()) + &content);
        }
        for client in &mut clients {
            assert_eq!(client.reply("PUT").status / 100, 2);
        }
    };
    put_all();
    let trace = traced("uploads_of_one_wake_ask_once_where_their_folder_is", &server, |_| {
        (0..TURNS).for_each(|_| put_all());
    });
    let Some(trace) = trace else { return };
    let rounds = rounds(&trace);
    let count = |round: &[String], name: &str| round.iter().filter(|call| *call == name).count();
    assert_eq!(rounds.iter().map(|round| count(round, "renameat")).sum::<usize>(), CLIENTS * TURNS);
    // Each asks what is there, what it has made, and what came of the rename.
    let others: Vec<_> =
        rounds.iter().filter(|round| count(round, "newfstatat") != 3 * count(round, "renameat") + 1).collect();
    assert!(others.len() <= trace.housekeeping_rounds(), "{others:?}");
}

/// Where there is no disk to wait for, no thread need be woken for each piece of a large content either.
#[test]
fn large_upload_to_memory_is_written_by_the_loop() {
    let server = in_memory();
    let content = crate::common::site::large();
    let trace = traced("large_upload_to_memory_is_written_by_the_loop", &server, |client| {
        assert_eq!(client.request("PUT", "/large", &[], &content).status, 201);
    });
    let Some(trace) = trace else { return };
    assert!(server.site.read("large") == content);
    let calls = calls(&trace.text);
    let event_loop = &calls.iter().find(|call| call.text.contains("X-Mark: begin")).unwrap().thread;
    let written = |call: &&Call| call.text.starts_with("write(") && !call.text.ends_with(" = 8");
    let (by_loop, by_others): (Vec<_>, Vec<_>) =
        calls.iter().filter(written).partition(|call| call.thread == *event_loop);
    assert!(!by_loop.is_empty() && by_others.is_empty(), "{by_others:?}");
}

#[test]
fn small_stored_upload_costs_no_call_too_many() {
    let server = server("");
    assert_upload_costs("small_stored_upload_costs_no_call_too_many", &server, STORED_UPLOAD);
}

/// Insists on what the replacement of a file of 1 KiB costs, on all threads together.
fn assert_upload_costs(test: &str, server: &Server, expected: &[(&str, usize)]) {
    const UPLOADS: usize = 100;
    // In one piece, so that it takes one call to receive.
    let content = "x".repeat(1024);
    let request = client::head("PUT", "/new.bin", &[], content.as_bytes()) + &content;
    let put = |client: &mut Client| {
        client.send(&request);
        client.reply("PUT").status
    };
    assert_eq!(put(&mut server.connect()), 201);
    let trace = traced(test, server, |client| {
        for _ in 0..UPLOADS {
            assert_eq!(put(client), 204);
        }
    });
    let Some(trace) = trace else { return };
    // How many wakes the outcome of a helper thread and a request share is the scheduler's affair.
    let each = calls_of_each(&trace, UPLOADS, &["epoll_wait"]);
    assert_eq!(each.iter().map(|(name, count)| (name.as_str(), *count)).collect::<Vec<_>>(), expected);
}

/// The calls that each of so many requests made, by name, on all threads together; exactly, but for these names.
pub(crate) fn calls_of_each(trace: &Trace, requests: usize, inexact: &[&str]) -> Vec<(String, usize)> {
    let calls = calls(&trace.text);
    let at = |mark: &str| calls.iter().position(|call| call.text.contains(mark)).unwrap();
    let mut counted = BTreeMap::new();
    for Call { text, .. } in &calls[at("X-Mark: begin") + 1..at("X-Mark: end")] {
        // How often a thread waits for another, and how often a wake looks for one more connection and finds none, is the
        // scheduler's affair; and a debug build of std asks at each close whether the descriptor is open.
        let is_of_chance = text.starts_with("futex(") || (text.starts_with("accept4(") && text.contains("EAGAIN"));
        if !is_of_chance && !text.contains(", F_GETFD)") {
            *counted.entry(name(text).to_owned()).or_insert(0) += 1;
        }
    }
    let of_each = |(name, count): (String, usize)| {
        let each = (count + requests / 2) / requests;
        let is_exact = count.abs_diff(each * requests) <= trace.housekeeping_rounds();
        assert!(is_exact || inexact.contains(&name.as_str()), "{name}: {count} for {requests} requests");
        (name, each)
    };
    counted.into_iter().map(of_each).filter(|(_, each)| *each > 0).collect()
}

/// What a call is called here.
fn name(call: &str) -> &str {
    let name = call.split('(').next().unwrap_or(call);
    if name.starts_with("epoll_") && call.contains(", 1, 0)") { LOOK } else { name }
}

/// The names of the calls between the two marked requests, a round beginning with each wait for events.
fn rounds(trace: &Trace) -> Vec<Vec<String>> {
    let calls = calls(&trace.text);
    let at = |mark: &str| calls.iter().position(|call| call.text.contains(mark)).unwrap_or_else(|| panic!("{mark}"));
    let (begin, end) = (at("X-Mark: begin"), at("X-Mark: end"));
    let event_loop = &calls[begin].thread;
    let is_its_call =
        |call: &&Call| call.thread == *event_loop && call.text.starts_with(|first: char| first.is_ascii_lowercase());
    let mut rounds: Vec<Vec<String>> = Vec::new();
    for call in calls[begin + 1..end].iter().filter(is_its_call) {
        let name = name(&call.text);
        if name.starts_with("epoll_") && name.ends_with("wait") {
            rounds.push(Vec::new());
        }
        // What stands before the first wait still belongs to the marked request.
        if let Some(round) = rounds.last_mut() {
            round.push(name.to_owned());
        }
    }
    // The last wait belongs to the other marked request.
    rounds.pop();
    rounds
}
