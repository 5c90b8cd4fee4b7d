//! Running out of descriptors, memory and disk: a defined answer, no spinning, and recovery without help.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::server::EVERYTHING;
use crate::common::site::SERVICE_USER;
use crate::common::told::{pid_file_line, said};
use crate::common::{Client, Server, Site, cannot_run, is_root, processes, until};

/// Descriptors that are left to a worker: it has about ten of its own.
const DESCRIPTORS: usize = 40;

#[test]
fn worker_without_descriptors_says_so_does_not_spin_and_recovers() {
    let limit = format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}");
    let mut wrapper = vec!["prlimit", &limit];
    // Root could raise the limit again.
    if is_root() {
        wrapper.extend(["setpriv", "--reuid", SERVICE_USER, "--clear-groups"]);
    }
    let server = Server::under(Site::sample(), &wrapper, &format!("workers = 1\n{EVERYTHING}"));
    let workers = server.workers();
    // Folders that are listed want a descriptor each; a large file that is asked for again has kept its own.
    let mut held: Vec<Client> = vec![server.connect()];
    assert_eq!(held[0].get("/folder/").status, 200);
    held.extend((0..2 * DESCRIPTORS).map(|_| server.connect()));
    for client in &mut held[1..] {
        client.send("GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    until("it has no descriptor left", || held[0].get("/folder/").status == 503);
    for request in
        ["GET /folder/ HTTP/1.1\r\nHost: a\r\n\r\n", "PUT /new HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"]
    {
        held[0].send(request);
        let reply = held[0].reply(&request[..3]);
        assert_eq!(reply.status, 503, "{request}");
        assert!(reply.field("retry-after").is_some(), "{reply:?}");
    }
    let (waits, ticks) = processes::waits_and_ticks(workers[0]);
    std::thread::sleep(Duration::from_secs(3));
    let (waits_now, ticks_now) = processes::waits_and_ticks(workers[0]);
    assert!(waits_now - waits < 30, "{} wakes in 3 s with nothing to do but to wait", waits_now - waits);
    assert!(ticks_now - ticks < 15, "{} ticks of 10 ms in 3 s", ticks_now - ticks);
    // Whoever waited is served as soon as others go, and files are there again.
    let mut last = held.pop().unwrap();
    drop(held);
    assert_eq!(last.reply("GET").status, 200);
    assert_eq!(last.get("/large.bin").status, 200);
    server.assert_unharmed(&workers);
}

#[test]
fn worker_without_memory_dies_alone_and_is_replaced() {
    let server = Server::with(Site::sample(), &format!("workers = 2\n{EVERYTHING}"));
    let [poor, rich] = server.workers()[..] else { panic!("two workers") };
    // What it has is all that it gets; its successor is a new process, without the limit. Not of the address space: the
    // allocator has reserved some there for each thread, and would go on with that.
    let has = processes::memory_kib(poor, "VmData") * 1024;
    processes::limit(poor, &format!("--data={has}:{has}"));
    // A head that has not ended wants memory of its own.
    let unfinished = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(10_000));
    let mut held: Vec<Client> = Vec::new();
    until("it has no memory left", || {
        held.extend((0..20).map(|_| server.connect()));
        let newest = held.len() - 20;
        // It may have died, and taken a connection with it.
        let _ = held[newest..].iter_mut().try_for_each(|client| client.try_send(&unfinished));
        !server.workers().contains(&poor)
    });
    // The other's connections know nothing of it: among those that were held some end now as they should.
    let served = held.iter_mut().filter_map(|client| {
        client.try_send("\r\n\r\n").ok()?;
        client.try_reply("GET").ok()
    });
    let statuses: Vec<u16> = served.map(|reply| reply.status).collect();
    assert!(!statuses.is_empty() && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    server.await_line("its end is told", |line| line.contains("was killed by SIGABRT"));
    until("it is replaced", || server.workers().len() == 2);
    let workers = server.workers();
    assert!(workers.contains(&rich), "the other one has not died");
    for _ in 0..20 {
        assert_eq!(server.connect().get("/hello.txt").status, 200);
    }
    drop(held);
    let before = workers.iter().map(|worker| processes::waits_and_ticks(*worker)).collect::<Vec<_>>();
    std::thread::sleep(Duration::from_secs(2));
    for (worker, before) in workers.iter().zip(before) {
        let after = processes::waits_and_ticks(*worker);
        assert!(after.0 - before.0 < 30 && after.1 - before.1 < 10, "nobody spins: {before:?} {after:?}");
    }
    server.assert_unharmed(&workers);
}

#[test]
fn full_table_holds_still_and_serves_all_who_waited() {
    let server = Server::with(Site::sample(), &format!("workers = 1\nlimits.connections = 8\n{EVERYTHING}"));
    let workers = server.workers();
    let mut held: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for client in &mut held {
        assert_eq!(client.get("/hello.txt").status, 200);
    }
    // Some are taken along over the limit; the others wait in the kernel's queue.
    let mut waiting: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.send("GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    }
    assert_eq!(held[0].get("/hello.txt").status, 200);
    let (waits, ticks) = processes::waits_and_ticks(workers[0]);
    std::thread::sleep(Duration::from_secs(2));
    let (waits_now, ticks_now) = processes::waits_and_ticks(workers[0]);
    assert!(waits_now - waits < 30 && ticks_now - ticks < 10, "a full worker sleeps");
    drop(held);
    for client in &mut waiting {
        assert_eq!(client.reply("GET").status, 200);
    }
    server.assert_unharmed(&workers);
}

#[test]
fn full_disk_is_507_and_leaves_nothing_behind() {
    const TEST: &str = "full_disk_is_507_and_leaves_nothing_behind";
    let site = Site::sample();
    let root = site.root();
    let root = root.to_str().unwrap();
    if !is_root() || !can_mount(root) {
        return cannot_run(TEST, "only root may mount a small disk");
    }
    // A disk of its own, seen by nobody else, mounted before the workers are sealed.
    let mount = format!("mount -t tmpfs -o size=1m,mode=0777 none {root} && exec \"$@\"");
    let wrapper = ["unshare", "--mount", "sh", "-c", &mount, "sh"];
    let server = Server::under(site, &wrapper, &format!("workers = 1\n{EVERYTHING}"));
    let workers = server.workers();
    let names = || {
        let folder = std::fs::read_dir(format!("/proc/{}/root{root}", server.supervisor())).unwrap();
        folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let put = |name: &str, fields: &[&str], body: &[u8]| server.connect().request("PUT", name, fields, body).status;
    assert_eq!(put("/small", &[], b"small"), 201);
    // Known from the length before the content, and found out in its middle.
    assert_eq!(put("/empty", &[], b""), 201);
    let mut client = server.connect();
    client.send("PUT /announced HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.reply("PUT").status, 507);
    let mut client = server.connect();
    client.send("PUT /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    while client.is_quiet() && client.try_send(&chunk).is_ok() {}
    assert_eq!(client.reply("PUT").status, 507);
    drop(client);
    until("the temporaries are gone", || names().iter().all(|name| !name.starts_with(".fileserv-")));
    assert_eq!(server.connect().get("/small").body, b"small", "the old file stands untouched");
    assert_eq!(put("/fits", &[], &[b'x'; 500_000]), 201, "there is room again");
    // Full for good, with an upload under way that waits for more of its content: nobody is busy with that.
    until("the disk is full", || put(&format!("/more-{}", names().len()), &[], &[b'x'; 50_000]) == 507);
    let mut client = server.connect();
    client.send("PUT /waits HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n");
    until("it has begun", || names().iter().any(|name| name.starts_with(".fileserv-")));
    assert_sleeps(workers[0]);
    assert_eq!(server.connect().request("DELETE", "/fits", &[], b"").status, 204);
    client.send("0\r\n\r\n");
    assert_eq!(client.reply("PUT").status, 201);
    assert_eq!(put("/fits", &[], &[b'x'; 400_000]), 201, "it goes on without help");
    server.assert_same_workers(&workers);
}

fn assert_sleeps(worker: u32) {
    let before = processes::waits_and_ticks(worker);
    std::thread::sleep(Duration::from_secs(2));
    let after = processes::waits_and_ticks(worker);
    assert!(after.0 - before.0 < 30 && after.1 - before.1 < 10, "it spins: {before:?} {after:?}");
}

fn can_mount(folder: &str) -> bool {
    let mut command = Command::new("unshare");
    command.args(["--mount", "mount", "-t", "tmpfs", "none", folder]);
    command.stdin(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn root_that_vanishes_and_comes_back() {
    let site = Site::sample();
    let config = format!("workers = 2\n{}{EVERYTHING}", pid_file_line(&site));
    let server = Server::with(site, &config);
    let workers = server.workers();
    let (root, away) = (server.site.root(), server.site.beside("away"));
    std::fs::rename(&root, &away).unwrap();
    assert_eq!(server.connect().get("/hello.txt").status, 200, "a folder that was renamed is the same folder");
    std::fs::remove_dir_all(&away).unwrap();
    // A new file has no folder to lie in.
    for (method, expected) in [("GET", 404), ("PUT", 409)] {
        assert_eq!(server.connect().request(method, "/hello.txt", &[], b"").status, expected, "{method}");
    }
    let output = server.tell("reload");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(root.to_str().unwrap()), "{}", said(&output));
    let before = processes::waits_and_ticks(workers[0]);
    std::thread::sleep(Duration::from_secs(2));
    let after = processes::waits_and_ticks(workers[0]);
    assert!(after.0 - before.0 < 30 && after.1 - before.1 < 10, "a worker without a root sleeps: {before:?} {after:?}");
    server.assert_same_workers(&workers);
    std::fs::create_dir(&root).unwrap();
    server.site.write("hello.txt", "back again\n");
    server.obeys("reload");
    assert_eq!(server.connect().get("/hello.txt").text(), "back again\n");
}

#[test]
fn full_disk_for_logs_blocks_nobody_and_drops_are_counted() {
    const TEST: &str = "full_disk_for_logs_blocks_nobody_and_drops_are_counted";
    let site = Site::sample();
    let log = site.beside("log");
    let log = log.to_str().unwrap();
    if !is_root() || !can_mount(log) {
        return cannot_run(TEST, "only root may mount a small disk");
    }
    let mount = format!("mount -t tmpfs -o size=64k,mode=0777 none {log} && exec \"$@\"");
    let wrapper = ["unshare", "--mount", "sh", "-c", &mount, "sh"];
    let config = format!("workers = 1\n{EVERYTHING}[log]\naccess = \"{log}/access.log\"\n");
    let server = Server::under(site, &wrapper, &config);
    let workers = server.workers();
    let mut client = server.connect();
    let drops = || server.stats()["log_drops"].as_u64().unwrap();
    until("the disk is full", || {
        for _ in 0..50 {
            assert_eq!(client.get("/hello.txt").status, 200);
        }
        drops() > 0
    });
    let lost = drops();
    for _ in 0..100 {
        assert_eq!(client.get("/hello.txt").status, 200);
    }
    until("they are counted", || drops() >= lost + 100);
    // An operator makes room: the next line is whole.
    let inside = format!("/proc/{}/root{log}/access.log", server.supervisor());
    std::fs::OpenOptions::new().write(true).open(&inside).unwrap().set_len(0).unwrap();
    until("lines come again", || {
        client.get("/hello.txt?room");
        std::fs::read_to_string(&inside)
            .unwrap()
            .lines()
            .any(|line| line.contains("\"GET /hello.txt?room HTTP/1.1\" 200 13"))
    });
    server.assert_same_workers(&workers);
}
