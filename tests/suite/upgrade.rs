//! SIGUSR2: another binary takes over, or the old one serves on and says why.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::common::server::{EVERYTHING, binary};
use crate::common::site::SERVICE_USER;
use crate::common::told::{pid_file_line, pid_in, said};
use crate::common::{Client, Server, Site, cannot_run, is_root, processes, tools, until};

/// A server from a binary of its own, which a test may replace.
struct Installed {
    server: Server,
    binary: PathBuf,
}

impl Installed {
    fn start(listen: &str) -> Self {
        let site = Site::sample();
        let installed = site.beside("fileserv");
        install(&installed, &fs::read(binary()).unwrap());
        let user = if is_root() { format!("user = {SERVICE_USER:?}\n") } else { String::new() };
        let head = format!("listen = [{listen:?}]\nroot = {:?}\n{user}", site.root());
        let file = site.beside("fileserv.toml");
        fs::write(&file, format!("{head}workers = 2\n{}{EVERYTHING}", pid_file_line(&site))).unwrap();
        let server = Server::run(site, installed.to_str().unwrap(), &["-c", file.to_str().unwrap()]);
        Self { server, binary: installed }
    }

    /// What a package manager does: the new file takes the name of the old one, which runs on.
    fn replace(&self, content: &[u8]) {
        let new = self.server.site.beside("fileserv.new");
        install(&new, content);
        fs::rename(new, &self.binary).unwrap();
    }

    fn assert_upgrade_fails(&self, words: &str) {
        let (supervisor, workers) = (self.server.supervisor(), self.server.workers());
        let output = self.server.tell("upgrade");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
        assert_eq!(self.server.supervisor(), supervisor);
        until("what was tried is gone", || self.server.workers() == workers);
        assert_eq!(self.server.connect().get("/hello.txt").status, 200);
    }
}

/// Another program writes the file: what a process of ours has open for writing can't be run, and a child that some
/// other test forks meanwhile would have our descriptor until it becomes a program itself.
fn install(path: &Path, content: &[u8]) {
    let mut shell = tools::command("sh");
    shell.args(["-ec", "cat >\"$0\"; chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut writer = shell.spawn().unwrap();
    writer.stdin.take().unwrap().write_all(content).unwrap();
    assert!(writer.wait().unwrap().success());
}

#[test]
fn new_binary_takes_over_and_the_old_one_ends() {
    let mut installed = Installed::start("127.0.0.1:0");
    let first = installed.server.supervisor();
    let address = installed.server.address();
    let mut kept = installed.server.connect();
    assert_eq!(kept.get("/hello.txt").status, 200);
    installed.replace(&fs::read(binary()).unwrap());
    installed.server.obeys("upgrade");
    let second = installed.server.supervisor();
    assert_ne!(second, first);
    assert_eq!(Client::connect(address).get("/hello.txt").status, 200, "the port that the kernel chose has stayed");
    // The old one is there for those whom it has promised something.
    let reply = kept.get("/hello.txt");
    assert!(reply.status == 200 && reply.closes(), "{reply:?}");
    kept.expect_end();
    until("the old one has ended", || installed.server.has_ended());
    assert_eq!(installed.server.stats()["generation"], 2);
    // And the new one is as good as the old one was.
    installed.server.obeys("reload");
    installed.server.obeys("upgrade");
    assert!(![first, second].contains(&installed.server.supervisor()));
    let exe = fs::read_link(format!("/proc/{}/exe", installed.server.supervisor()));
    assert!(exe.map_or(true, |exe| exe == installed.binary), "the binary that is there now");
    installed.server.obeys("stop");
    assert_eq!(pid_in(&installed.server.site), None);
}

#[test]
fn rights_are_the_same_after_an_upgrade() {
    let installed = Installed::start("127.0.0.1:0");
    let facts = |pid: u32| {
        let status = processes::status(pid);
        ["Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"]
            .map(|name| (name, status[name].clone()))
    };
    let before = facts(installed.server.supervisor());
    let worker_before = facts(installed.server.workers()[0]);
    installed.server.obeys("upgrade");
    assert_eq!(facts(installed.server.supervisor()), before);
    assert_eq!(facts(installed.server.workers()[0]), worker_before);
    assert!(!installed.server.said().contains("bounding set of capabilities stays") || !is_root());
}

#[test]
fn port_below_1024_goes_along_and_new_ones_can_be_bound() {
    if !is_root() {
        return cannot_run("port_below_1024_goes_along_and_new_ones_can_be_bound", "only root binds such a port");
    }
    let installed = Installed::start("127.0.0.1:981");
    installed.server.obeys("upgrade");
    assert_eq!(installed.server.connect().get("/hello.txt").status, 200);
    let config = format!("workers = 2\n{}{EVERYTHING}", pid_file_line(&installed.server.site));
    installed.server.configure("127.0.0.1:982", &config);
    installed.server.obeys("reload");
    let moved = Client::connect(([127, 0, 0, 1], 982).into()).get("/hello.txt");
    assert_eq!(moved.status, 200);
}

#[test]
fn binary_that_is_none_changes_nothing() {
    let installed = Installed::start("127.0.0.1:0");
    installed.replace(b"this is no program");
    installed.assert_upgrade_fails("can't run ");
    installed.replace(b"#!/bin/sh\nexit 3\n");
    installed.assert_upgrade_fails("exited with status 3 before it served");
    fs::remove_file(&installed.binary).unwrap();
    installed.assert_upgrade_fails("No such file");
    installed.replace(&fs::read(binary()).unwrap());
    installed.server.obeys("upgrade");
}

#[test]
fn configuration_that_is_wrong_changes_nothing() {
    let installed = Installed::start("127.0.0.1:0");
    let good = fs::read_to_string(installed.server.config_file()).unwrap();
    fs::write(installed.server.config_file(), format!("no_such_key = 1\n{good}")).unwrap();
    installed.assert_upgrade_fails("fileserv.toml:1:1: there is no key");
    let root = format!("{:?}", installed.server.site.root());
    fs::write(installed.server.config_file(), good.replace(&root, "\"/nowhere/at/all\"")).unwrap();
    installed.assert_upgrade_fails("/nowhere/at/all");
    fs::write(installed.server.config_file(), good).unwrap();
    installed.server.obeys("upgrade");
}

#[test]
fn reload_meanwhile_is_done_by_the_new_server() {
    let installed = Installed::start("127.0.0.1:0");
    // A new binary that takes its time.
    let slow = format!("#!/bin/sh\nsleep 1\nexec {} \"$@\"\n", binary());
    installed.replace(slow.as_bytes());
    let first = installed.server.supervisor();
    installed.server.signal(Signal::SIGUSR2);
    installed.server.await_line("the upgrade begins", |line| line.contains("upgrading: "));
    let config = format!("workers = 3\n{}{EVERYTHING}", pid_file_line(&installed.server.site));
    installed.server.configure("127.0.0.1:0", &config);
    // It waits for the upgrade, goes along with it, and is answered by the new server.
    installed.server.obeys("reload");
    assert_ne!(installed.server.supervisor(), first);
    assert_eq!(installed.server.stats()["workers_ready"], 3);
}

#[test]
fn everyone_who_asks_for_an_upgrade_is_answered() {
    let installed = Installed::start("127.0.0.1:0");
    let slowly = |outcome: &str| installed.replace(format!("#!/bin/sh\nsleep 1\n{outcome}\n").as_bytes());
    let ask_twice = || {
        let begun = installed.server.said().matches("upgrading: ").count();
        let count = |words: &str| installed.server.said().matches(words).count();
        let followed = count("another one follows it");
        let codes = std::thread::scope(|scope| {
            let first = scope.spawn(|| installed.server.tell("upgrade").status.code());
            until("the upgrade begins", || count("upgrading: ") > begun);
            let second = scope.spawn(|| installed.server.tell("upgrade").status.code());
            until("the second one waits", || count("another one follows it") > followed);
            [first.join().unwrap(), second.join().unwrap()]
        });
        assert_eq!(count("upgrading: "), begun + 2, "both were begun");
        codes
    };
    let first = installed.server.supervisor();
    slowly("exit 3");
    assert_eq!(ask_twice(), [Some(1), Some(1)]);
    assert_eq!(installed.server.supervisor(), first);
    slowly(&format!("exec {} \"$@\"", binary()));
    assert_eq!(ask_twice(), [Some(0), Some(0)]);
    assert_ne!(installed.server.supervisor(), first);
    assert_eq!(installed.server.connect().get("/hello.txt").status, 200);
}

#[test]
fn new_server_that_fails_and_does_not_end_is_killed() {
    let installed = Installed::start("127.0.0.1:0");
    let site = &installed.server.site;
    let config = format!("workers = 2\ntimeouts.drain = \"1s\"\n{}{EVERYTHING}", pid_file_line(site));
    installed.server.configure("127.0.0.1:0", &config);
    installed.server.obeys("reload");
    // It says that it can't, as a server does, and hangs.
    installed.replace(b"#!/bin/bash\nprintf 'Fit is broken' >&\"${FILESERV_UPGRADE#*:}\"\nexec sleep 600\n");
    let output = installed.server.tell("upgrade");
    assert!(said(&output).contains("the upgrade changes nothing: it is broken"), "{}", said(&output));
    installed.server.await_line("it is killed", |line| line.contains("has failed and does not end: killed"));
    installed.server.obeys("reload");
    installed.replace(&fs::read(binary()).unwrap());
    installed.server.obeys("upgrade");
}

#[test]
fn reload_that_reaches_the_old_server_too_late_is_done_by_the_new_one() {
    let mut installed = Installed::start("127.0.0.1:0");
    let first = i32::try_from(installed.server.supervisor()).unwrap();
    let mut kept = installed.server.connect();
    assert_eq!(kept.get("/hello.txt").status, 200);
    // The promised answer keeps the old one.
    installed.server.obeys("upgrade");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), Signal::SIGHUP).unwrap();
    assert_eq!(kept.get("/hello.txt").status, 200);
    kept.expect_end();
    until("the old one has ended", || installed.server.has_ended());
    until("the new one has read its configuration again", || installed.server.stats()["reloads"] == 1);
}

#[test]
fn stop_during_an_upgrade_stops_both() {
    let mut installed = Installed::start("127.0.0.1:0");
    installed.replace(format!("#!/bin/sh\nsleep 60\nexec {} \"$@\"\n", binary()).as_bytes());
    installed.server.signal(Signal::SIGUSR2);
    installed.server.await_line("the upgrade begins", |line| line.contains("upgrading: "));
    let children = installed.server.workers();
    assert_eq!(children.len(), 3, "two workers and the new server");
    installed.server.stop_by(Signal::SIGTERM);
}

#[test]
fn old_server_that_dies_meanwhile_leaves_its_place_to_the_new_one() {
    let mut installed = Installed::start("127.0.0.1:0");
    installed.replace(format!("#!/bin/sh\nsleep 2\nexec {} \"$@\"\n", binary()).as_bytes());
    let (first, old) = (installed.server.supervisor(), installed.server.workers());
    installed.server.signal(Signal::SIGUSR2);
    installed.server.await_line("the upgrade begins", |line| line.contains("upgrading: "));
    installed.server.signal(Signal::SIGKILL);
    until("its workers have died with it", || !old.iter().any(|worker| processes::lives(*worker)));
    // Who connects meanwhile waits: the socket lives in the new one.
    let mut client = installed.server.connect();
    assert_eq!(client.get("/hello.txt").status, 200);
    until("the file names the new one", || installed.server.supervisor() != first);
    installed.server.obeys("stop");
    installed.server.is_killed();
}
