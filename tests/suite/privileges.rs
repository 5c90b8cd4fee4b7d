//! Who the processes are, as the kernel says it: ids, groups, capability sets, seals.

use std::collections::HashMap;

use crate::common::server::EVERYTHING;
use crate::common::site::SERVICE_USER;
use crate::common::{Server, Site, cannot_run, is_root, processes, tools, until};

const NONE: &str = "0000000000000000";
/// CAP_NET_BIND_SERVICE is the tenth.
const NET_BIND_SERVICE: &str = "0000000000000400";

fn free_low_port() -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::once(80).chain((512..1024).rev()).find(is_free).expect("a free port below 1024")
}

fn assert_capabilities(status: &HashMap<String, String>, expected: [(&str, &str); 5]) {
    for (set, value) in expected {
        assert_eq!(status[set], value, "{set} of {}", status["Pid"]);
    }
}

#[test]
fn processes_of_a_server_started_as_root() {
    if !is_root() {
        return cannot_run("processes_of_a_server_started_as_root", "only root can give up being root");
    }
    let user = nix::unistd::User::from_name(SERVICE_USER).unwrap().unwrap();
    let group = nix::unistd::Group::from_gid(user.gid).unwrap().unwrap();
    let port = free_low_port();
    let server = Server::listening(Site::sample(), &format!("127.0.0.1:{port}"), &format!("workers = 2\n{EVERYTHING}"));
    assert_eq!(server.port, port);
    assert_eq!(server.connect().get("/hello.txt").status, 200);

    let workers = server.workers();
    assert_eq!(workers.len(), 2, "the workers are the supervisor's only children");
    let four = |id: u32| format!("{id} {id} {id} {id}");
    for pid in std::iter::once(server.supervisor()).chain(workers.iter().copied()) {
        let status = processes::status(pid);
        assert_eq!(status["Uid"], four(user.uid.as_raw()));
        assert_eq!(status["Gid"], four(user.gid.as_raw()));
        let groups: Vec<u32> = status["Groups"].split_whitespace().map(|gid| gid.parse().unwrap()).collect();
        assert!(groups.iter().all(|gid| *gid == group.gid.as_raw()), "no group of root's is left: {groups:?}");
        assert_eq!(status["NoNewPrivs"], "1");
        let shown = tools::run("ps", &["-o", "user=", "-p", &pid.to_string()]);
        assert_eq!(shown.trim(), SERVICE_USER);
    }
    let bind = NET_BIND_SERVICE;
    let supervisor = [("CapInh", bind), ("CapPrm", bind), ("CapEff", bind), ("CapBnd", NONE), ("CapAmb", bind)];
    assert_capabilities(&processes::status(server.supervisor()), supervisor);
    for worker in workers {
        let status = processes::status(worker);
        let none = [("CapInh", NONE), ("CapPrm", NONE), ("CapEff", NONE), ("CapBnd", NONE), ("CapAmb", NONE)];
        assert_capabilities(&status, none);
    }
}

#[test]
fn every_thread_of_a_worker_is_sealed() {
    let server = Server::start();
    for worker in server.workers() {
        let mut threads = 0;
        for task in std::fs::read_dir(format!("/proc/{worker}/task")).unwrap() {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
            assert_eq!(line("Seccomp:"), "Seccomp:\t2", "a filter on every thread");
            assert_eq!(line("NoNewPrivs:"), "NoNewPrivs:\t1");
            threads += 1;
        }
        assert!(threads > 1, "helper threads exist before the first request");
    }
    assert_eq!(std::fs::read_dir(format!("/proc/{}/task", server.supervisor())).unwrap().count(), 1, "one thread");
}

#[test]
fn supervisor_without_root_keeps_its_user_and_serves() {
    if is_root() {
        // As an ordinary user all other tests show it; root can become one.
        let site = Site::sample();
        let user = nix::unistd::User::from_name(SERVICE_USER).unwrap().unwrap();
        let ids = [format!("--reuid={}", user.uid), format!("--regid={}", user.gid)];
        // The binary may lie below a folder that this user can't enter. Another program copies it, see suite/seal.rs.
        let copy = site.beside("fileserv");
        tools::run("cp", &[crate::common::server::binary(), copy.to_str().unwrap()]);
        let root = site.root();
        let arguments = [
            &ids[0],
            &ids[1],
            "--clear-groups",
            copy.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            root.to_str().unwrap(),
        ];
        let server = Server::run(site, "setpriv", &arguments);
        assert_eq!(server.connect().get("/hello.txt").status, 200);
        let status = processes::status(server.supervisor());
        assert_eq!(status["Uid"], format!("{0} {0} {0} {0}", user.uid));
        assert_eq!(status["CapEff"], NONE);
    } else {
        let server = Server::start();
        let uid = nix::unistd::getuid();
        assert_eq!(processes::status(server.supervisor())["Uid"], format!("{uid} {uid} {uid} {uid}"));
    }
}

#[test]
fn descriptors_of_the_supervisor_do_not_leak_into_workers() {
    if !is_root() {
        return cannot_run(
            "descriptors_of_the_supervisor_do_not_leak_into_workers",
            "only root sees a worker's descriptors",
        );
    }
    let server = Server::start();
    for worker in server.workers() {
        for entry in std::fs::read_dir(format!("/proc/{worker}/fd")).unwrap() {
            let path = entry.unwrap().path();
            let Ok(to) = std::fs::read_link(&path) else { continue };
            let name = to.to_string_lossy().into_owned();
            assert!(!name.ends_with("fileserv.toml"), "{name}");
            let is_folder = name.starts_with('/') && std::fs::metadata(&path).unwrap().is_dir();
            assert!(!is_folder || to == server.site.root(), "no folder but the root: {name}");
        }
    }
}

/// The rows of /proc/PID/limits: soft and hard limit by name.
fn limits(pid: u32) -> HashMap<String, (String, String)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let row = |row: &str| {
        let (name, values) = row.split_at(26);
        let mut values = values.split_whitespace().map(str::to_owned);
        Some((name.trim().to_owned(), (values.next()?, values.next()?)))
    };
    text.lines().skip(1).filter_map(row).collect()
}

#[test]
fn limits_of_the_processes() {
    use std::os::unix::fs::MetadataExt;
    let server = Server::start();
    let none = ("0".to_owned(), "0".to_owned());
    let supervisor = limits(server.supervisor());
    assert_eq!(supervisor["Max core file size"], none);
    assert_ne!(supervisor["Max processes"], none, "it starts workers");
    for worker in server.workers() {
        let limits = limits(worker);
        assert_eq!(limits["Max core file size"], none);
        assert_eq!(limits["Max processes"], none);
        let (soft, hard) = &limits["Max open files"];
        assert_eq!(soft, hard, "all that it may have");
    }
    for pid in server.workers().into_iter().chain([server.supervisor()]) {
        // Of a process that may not be dumped, what /proc tells belongs to root, whoever runs it.
        assert_eq!(std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(), 0, "{pid} is not dumpable");
    }
}

#[test]
fn nothing_of_the_environment_is_left_in_a_worker() {
    if !is_root() {
        return cannot_run("nothing_of_the_environment_is_left_in_a_worker", "only root sees a worker's environment");
    }
    let server = Server::start();
    assert!(!std::fs::read(format!("/proc/{}/environ", server.supervisor())).unwrap().is_empty());
    for worker in server.workers() {
        let environment = std::fs::read(format!("/proc/{worker}/environ")).unwrap();
        assert!(environment.iter().all(|byte| *byte == 0), "{}", String::from_utf8_lossy(&environment));
    }
}

/// Standard input, output and error; the root; its listener and its line to the supervisor; its event loop and the
/// helpers' wake-up; its own memory figures; its log. Anything else would be a way out that nobody thought of.
#[test]
fn descriptors_of_a_worker_are_those_of_the_list() {
    if !is_root() {
        return cannot_run("descriptors_of_a_worker_are_those_of_the_list", "only root sees a worker's descriptors");
    }
    let site = Site::sample();
    let log = site.beside("log/error.log");
    let root = site.root();
    let server = Server::with(site, &format!("workers = 2\n{EVERYTHING}[log]\nerror = {log:?}\n"));
    for worker in server.workers() {
        let mut names: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{worker}/fd")).unwrap() {
            let entry = entry.unwrap();
            let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
            let Ok(to) = std::fs::read_link(entry.path()) else { continue };
            let name = to.to_string_lossy().into_owned();
            if number > 2 {
                names.push(
                    name.split_once("socket:[")
                        .map_or(name.clone(), |_| "socket".to_owned())
                        .replace(&worker.to_string(), "PID"),
                );
            } else {
                // Nothing of the starter's: a terminal could be read, too. Last words go to the error log.
                let expected = if number == 2 { log.to_str().unwrap() } else { "/dev/null" };
                assert_eq!(name, expected, "descriptor {number}");
            }
        }
        names.sort();
        let mut expected = vec![
            "/proc/PID/statm".to_owned(),
            "anon_inode:[eventfd]".to_owned(),
            // The loop's, and one that tells of fanotify alone.
            "anon_inode:[eventpoll]".to_owned(),
            "anon_inode:[eventpoll]".to_owned(),
            "anon_inode:[fanotify]".to_owned(),
            "anon_inode:[timerfd]".to_owned(),
            log.to_string_lossy().into_owned(),
            root.to_string_lossy().into_owned(),
            "socket".to_owned(),
            "socket".to_owned(),
        ];
        expected.sort();
        assert_eq!(names, expected);
    }
    std::fs::rename(&log, server.site.beside("log/error.log.1")).unwrap();
    server.signal(nix::sys::signal::Signal::SIGUSR1);
    for worker in server.workers() {
        let standard_error = || std::fs::read_link(format!("/proc/{worker}/fd/2")).unwrap();
        until("standard error follows the log", || standard_error() == log);
    }
}

/// Becomes what its arguments say, with a new terminal as its standard output, and the other end of it open.
const ON_A_TERMINAL: &str = r"
import os, pty, sys
master, slave = pty.openpty()
os.set_inheritable(master, True)
os.dup2(slave, 1)
os.execvp(sys.argv[1], sys.argv[1:])
";

/// As after sudo in the foreground: the terminal is not the service user's, so that nobody can open it anew later on.
#[test]
fn terminal_that_is_logged_to_can_not_be_read() {
    if !is_root() {
        return cannot_run("terminal_that_is_logged_to_can_not_be_read", "only root sees a worker's descriptors");
    }
    let config = format!("workers = 2\n{EVERYTHING}[log]\naccess = \"stdout\"\n");
    let server = Server::under(Site::sample(), &["python3", "-c", ON_A_TERMINAL], &config);
    for pid in server.workers().into_iter().chain([server.supervisor()]) {
        let mut terminals = 0;
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
            let entry = entry.unwrap();
            if std::fs::read_link(entry.path()).is_ok_and(|to| to.starts_with("/dev/pts")) {
                let number = entry.file_name().into_string().unwrap();
                let told = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap();
                let flags = told.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
                assert!(flags.ends_with('1'), "{pid}: descriptor {number} is open for writing only: {flags}");
                terminals += 1;
            }
        }
        assert!(terminals > 0, "{pid} logs there");
    }
}
