//! The pid file: one server, found by whoever may tell it something.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::common::server::{EVERYTHING, binary};
use crate::common::site::give;
use crate::common::told::{pid_file, pid_file_line, pid_in, said};
use crate::common::{Server, Site, cannot_run, is_root, until};

const LISTEN: &str = "127.0.0.1:0";

fn start() -> Server {
    let site = Site::sample();
    let config = format!("workers = 2\n{}{EVERYTHING}", pid_file_line(&site));
    Server::with(site, &config)
}

#[test]
fn second_start_is_refused_with_the_process_that_holds_the_file() {
    let server = start();
    let workers = server.workers();
    let pid = pid_in(&server.site).unwrap();
    assert_eq!(pid, server.supervisor());
    let again = Command::new(binary()).arg("-c").arg(server.config_file()).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    let words = said(&again);
    assert!(words.contains("runs already") && words.contains(&format!("process {pid} ")), "{words}");
    server.assert_unharmed(&workers);
}

#[test]
fn file_is_empty_and_free_when_the_server_has_ended() {
    let mut server = start();
    let file = server.config_file();
    server.stop_by(Signal::SIGTERM);
    assert_eq!(std::fs::read_to_string(pid_file(&server.site)).unwrap(), "");
    let late = Command::new(binary()).args(["--signal", "reload", "-c"]).arg(&file).output().unwrap();
    assert_eq!(late.status.code(), Some(1));
    assert!(said(&late).contains("no server runs"), "{}", said(&late));
    // The pid of a dead server means nobody, even if the number is that of a living process by now.
    std::fs::write(pid_file(&server.site), format!("{}\n", std::process::id())).unwrap();
    let late = Command::new(binary()).args(["--signal", "stop", "-c"]).arg(&file).output().unwrap();
    assert_eq!(late.status.code(), Some(1));
    assert!(said(&late).contains("locked by nobody"), "{}", said(&late));
}

#[test]
fn foreign_file_is_left_alone() {
    let site = Site::sample();
    let precious = site.beside("precious.txt");
    std::fs::write(&precious, "do not touch\n").unwrap();
    let root = site.root();
    let output = Command::new(binary()).arg("--pid-file").arg(&precious).arg(root).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("is no pid file"), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "do not touch\n");
}

#[test]
fn file_of_another_user_neither_leads_a_signal_astray_nor_serves_as_ours() {
    if !is_root() {
        let test = "pid_file::file_of_another_user_neither_leads_a_signal_astray_nor_serves_as_ours";
        return cannot_run(test, "only root can make a file of another user");
    }
    let site = Site::sample();
    let path = site.beside("theirs.pid");
    let mut victim = Command::new("sleep").arg("600").spawn().unwrap();
    std::fs::write(&path, format!("{}\n", victim.id())).unwrap();
    give(&path);
    let file = std::fs::File::open(&path).unwrap();
    file.lock().unwrap();
    let output = Command::new(binary()).args(["--signal", "stop", "--pid-file"]).arg(&path).output().unwrap();
    // Asked first, so that nothing is left behind if it was hit.
    let is_hit = victim.try_wait().unwrap().is_some();
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(!is_hit && output.status.code() == Some(1), "{}", said(&output));
    assert!(said(&output).contains("belongs to the user 65534, but process "), "{}", said(&output));
    drop(file);
    let output = Command::new(binary()).arg("--pid-file").arg(&path).arg(site.root()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("it belongs to the user 65534, and not to 0"), "{}", said(&output));
}

#[test]
fn signal_without_a_server_to_find_says_what_is_missing() {
    let output = Command::new(binary()).args(["--signal", "reload"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("-c FILE or --pid-file"), "{}", said(&output));
    let server = Server::start();
    let output = server.tell("reload");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("set pid_file"), "{}", said(&output));
    let output = server.tell("hangup");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn reload_ends_when_the_new_configuration_serves() {
    let server = start();
    for workers in [1, 3, 2] {
        server.configure(LISTEN, &format!("workers = {workers}\n{}{EVERYTHING}", pid_file_line(&server.site)));
        server.obeys("reload");
        assert_eq!(server.stats()["workers_wanted"], workers);
        assert_eq!(server.stats()["workers_ready"], workers);
    }
    assert_eq!(server.stats()["generation"], 4);
    assert_eq!(server.stats()["reloads"], 3);
}

#[test]
fn reload_that_fails_says_why_and_changes_nothing() {
    let server = start();
    let workers = server.workers();
    let good = std::fs::read_to_string(server.config_file()).unwrap();
    std::fs::write(server.config_file(), format!("no_such_key = 1\n{good}")).unwrap();
    let output = server.tell("reload");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("fileserv.toml:1:1: there is no key \"no_such_key\""), "{}", said(&output));
    // What only the server can find out.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    server.configure(&taken, &format!("workers = 2\n{}{EVERYTHING}", pid_file_line(&server.site)));
    let output = server.tell("reload");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&format!("can't listen on {taken}")), "{}", said(&output));
    // Another pid file would want root's rights again.
    server.configure(LISTEN, &format!("workers = 2\npid_file = \"/tmp/other.pid\"\n{EVERYTHING}"));
    let output = Command::new(binary())
        .args(["--signal", "reload", "-c"])
        .arg(server.config_file())
        .arg("--pid-file")
        .arg(pid_file(&server.site))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("a changed pid_file takes effect with a restart only"), "{}", said(&output));
    server.assert_unharmed(&workers);
    assert_eq!(server.stats()["failed_reloads"], 3);
}

#[test]
fn reload_into_a_listener_that_overlaps_a_live_one_is_refused_by_name() {
    let server = start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!("workers = 2\n{}{EVERYTHING}", pid_file_line(&server.site));
    server.configure(&free.to_string(), &config);
    server.obeys("reload");
    server.configure(&format!("0.0.0.0:{}", free.port()), &config);
    let output = server.tell("reload");
    assert_eq!(output.status.code(), Some(1));
    let words = said(&output);
    assert!(words.contains(&format!("0.0.0.0:{} while {free} is served", free.port())), "{words}");
}

#[test]
fn stop_and_quit_end_when_the_server_has_ended() {
    for what in ["stop", "quit"] {
        let mut server = start();
        let pid = server.supervisor();
        server.obeys(what);
        assert!(server.has_ended() || !crate::common::processes::lives(pid));
        until("it is reaped", || server.has_ended());
    }
}

#[test]
fn server_with_a_spoiled_configuration_can_still_be_stopped() {
    let mut server = start();
    let line = pid_file_line(&server.site);
    std::fs::write(server.config_file(), format!("listen = 7\n{line}[no_such_table]\n")).unwrap();
    server.obeys("stop");
    until("it is reaped", || server.has_ended());
}

#[test]
fn logs_are_reopened_when_told() {
    let server = start();
    server.obeys("reopen");
    server.await_line("the logs were opened again", |line| line.contains("the logs were opened again"));
}
