//! Logs as an operator reads them, and their rotation.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use nix::sys::signal::Signal;

use crate::common::server::EVERYTHING;
use crate::common::{HANG, Server, Site, cannot_run, is_root, processes, tools, until};

fn logged() -> Server {
    let site = Site::sample();
    let log =
        format!("[log]\naccess = {:?}\nerror = {:?}\n", site.beside("log/access.log"), site.beside("log/error.log"));
    let config = format!("workers = 2\n{log}{EVERYTHING}");
    Server::with(site, &config)
}

fn lines(server: &Server, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(server.site.beside("log").join(name)).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "whole lines only");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn request_is_a_line_in_the_combined_format() {
    let server = logged();
    let mut client = server.connect();
    client.get_with("/hello.txt?q=1", &["Referer: http://example.org/", "User-Agent: test/1"]);
    client.get("/nothing");
    client.get("/large.bin");
    until("three lines are written", || lines(&server, "access.log").len() == 3);
    let lines = lines(&server, "access.log");
    let (head, rest) = lines[0].split_once(" [").unwrap();
    assert_eq!(head, "127.0.0.1 - -");
    let (time, rest) = rest.split_once("] ").unwrap();
    assert!(time.len() == 26 && time.ends_with(" +0000"), "{time}");
    assert_eq!(rest, "\"GET /hello.txt?q=1 HTTP/1.1\" 200 13 \"http://example.org/\" \"test/1\"");
    assert!(lines[1].contains("\"GET /nothing HTTP/1.1\" 404 "), "{}", lines[1]);
    assert!(lines[2].ends_with("\"GET /large.bin HTTP/1.1\" 200 1100003 \"-\" \"-\""), "{}", lines[2]);
}

#[test]
fn no_request_forges_a_line() {
    let server = logged();
    let mut client = server.connect();
    client.get_with("/hello.txt", &["User-Agent: a\" 200 1 \"b\\ \u{e4}", "Referer: \"\""]);
    server.connect().get("/a%0d%0ab\"c");
    let mut broken = server.connect();
    broken.send("GET /\u{1b}[31m\x07 HTTP/1.1\r\nHost: a\r\n\r\n");
    broken.reply("GET");
    until("three lines are written", || lines(&server, "access.log").len() == 3);
    for line in lines(&server, "access.log") {
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
        assert_eq!(line.matches('"').count(), 6, "{line}");
    }
}

/// A client is told what it can use; what is wrong with the machine is for the operator.
#[test]
fn error_of_the_system_behind_a_refusal_is_in_the_error_log() {
    let server = logged();
    let closed = |name: &str, mode| {
        server.site.write(name, "content");
        std::fs::set_permissions(server.site.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    closed("secret", 0o000);
    closed("closed/file", 0o644);
    closed("\u{9b}2J: 500", 0o000);
    std::fs::set_permissions(server.site.path("closed"), std::fs::Permissions::from_mode(0o555)).unwrap();
    let told = |words: &str| lines(&server, "error.log").iter().any(|line| line.contains(words));
    let mut client = server.connect();
    // One in a second is told, by each worker.
    until("a file that may not be read is told of", || {
        assert_eq!(client.get("/secret").status, 403);
        told("warning: 403: The server is not permitted to read this. Permission denied (os error 13): /secret")
    });
    until("an upload that can't be stored is told of", || {
        assert_eq!(client.request("PUT", "/closed/new", &[], b"x").status, 403);
        told("warning: 403: The server has no right to write here. Permission denied (os error 13): /closed/new")
    });
    until("a removal that can't be done is told of", || {
        assert_eq!(client.request("DELETE", "/closed/file", &[], b"").status, 403);
        told("warning: 403: The server has no right to write here. Permission denied (os error 13): /closed/file")
    });
    until("a name is shown in a way that speaks to no terminal", || {
        assert_eq!(client.get("/%c2%9b2J:%20500").status, 403);
        told("(os error 13): /%C2%9B2J%3A%20500")
    });
    assert_eq!(server.connect().get("/nothing").status, 404);
    assert!(!told("/nothing"), "what is the client's own affair is not told");
}

#[test]
fn rotation_loses_no_line() {
    let server = logged();
    let mut client = server.connect();
    let mut sent = 0;
    for round in 0..5 {
        for _ in 0..100 {
            client.get("/hello.txt");
            sent += 1;
        }
        std::fs::rename(server.site.beside("log/access.log"), server.site.beside(&format!("log/access.log.{round}")))
            .unwrap();
        server.signal(Signal::SIGUSR1);
        // Requests go on while the workers are told.
        until("the log is there again", || {
            client.get("/hello.txt");
            sent += 1;
            server.site.beside("log/access.log").exists()
        });
        until("the new log is used", || {
            client.get("/hello.txt");
            sent += 1;
            !lines(&server, "access.log").is_empty()
        });
    }
    let count = || {
        let old: usize = (0..5).map(|round| lines(&server, &format!("access.log.{round}")).len()).sum();
        old + lines(&server, "access.log").len()
    };
    until("every request has its line", || count() == sent);
}

/// What a process keeps open has its room on the disk, also when its name is gone.
#[test]
fn rotated_log_is_let_go_by_every_process() {
    if !is_root() {
        return cannot_run(
            "rotated_log_is_let_go_by_every_process",
            "only root sees the descriptors of such a process",
        );
    }
    let server = logged();
    let log = server.site.beside("log");
    for name in ["access.log", "error.log"] {
        std::fs::remove_file(log.join(name)).unwrap();
    }
    server.signal(Signal::SIGUSR1);
    for pid in server.workers().into_iter().chain([server.supervisor()]) {
        let open = || processes::open_files(pid).into_iter().filter(|name| name.starts_with(&log)).collect::<Vec<_>>();
        until("it has the new logs and no others", || {
            let open = open();
            !open.is_empty() && open.iter().all(|name| name.exists())
        });
    }
}

#[test]
fn log_is_closed_to_strangers() {
    let server = logged();
    for name in ["access.log", "error.log"] {
        let mode = std::fs::metadata(server.site.beside("log").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{name}: {mode:o}");
    }
}

#[test]
fn life_of_the_server_is_in_the_error_log() {
    let server = logged();
    server.signal(Signal::SIGHUP);
    let pid = format!("fileserv[{}]: ", server.supervisor());
    until("the error log tells of the reload", || {
        lines(&server, "error.log").iter().filter(|line| line.contains(&pid) && line.contains(" serves ")).count() == 2
    });
    let first = &lines(&server, "error.log")[0];
    assert!(first.as_bytes()[4] == b'-' && first.as_bytes()[19] == b'Z', "a time before each line: {first}");
}

/// A /dev of its own, in which there is no socket of a daemon.
const OWN_DEVICES: &str = r#"
mount -t tmpfs -o mode=0755 none "$1" && cp -a /dev/null /dev/zero /dev/random /dev/urandom "$1" &&
mount --bind "$1" /dev && shift && exec "$@"
"#;

#[test]
fn dead_or_deaf_syslog_blocks_nobody_and_drops_are_counted() {
    let site = Site::sample();
    let devices = site.beside("log");
    let wrapper = ["unshare", "--mount", "sh", "-c", OWN_DEVICES, "sh", devices.to_str().unwrap()];
    if !is_root() || !tools::attempt(wrapper[0], &[&wrapper[1..], &["true"]].concat()).status.success() {
        let test = "dead_or_deaf_syslog_blocks_nobody_and_drops_are_counted";
        return cannot_run(test, "only root may give the server a /dev of its own");
    }
    let server = Server::under(site, &wrapper, &format!("workers = 1\n{EVERYTHING}[log]\naccess = \"syslog\"\n"));
    let workers = server.workers();
    let mut client = server.connect();
    let drops = || server.stats()["log_drops"].as_u64().unwrap();
    let mut ask = |query: &str| assert_eq!(client.get(&format!("/hello.txt?{query}")).status, 200);
    (0..50).for_each(|_| ask("dead"));
    until("they are counted", || drops() >= 50);
    let path = format!("/proc/{}/root/dev/log", server.supervisor());
    let daemon = UnixDatagram::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    ask("heard");
    daemon.set_read_timeout(Some(HANG)).unwrap();
    let hear = || {
        let mut datagram = [0; 1024];
        let length = daemon.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    };
    while !hear().ends_with("\"GET /hello.txt?heard HTTP/1.1\" 200 13 \"-\" \"-\"") {}
    // Now it reads no more.
    let before = drops();
    until("it has all that it can hold", || {
        ask("unheard");
        drops() > before
    });
    (0..50).for_each(|_| ask("unheard"));
    server.assert_same_workers(&workers);
}

#[test]
fn access_log_on_standard_output() {
    let server = Server::with(Site::sample(), &format!("[log]\naccess = \"stdout\"\n{EVERYTHING}"));
    server.connect().get("/hello.txt?here");
    server.await_line("the request is on standard output", |line| {
        line.contains("\"GET /hello.txt?here HTTP/1.1\" 200 13")
    });
}
