//! What the service manager hears and passes, with a stand-in for it: a datagram socket, and a launcher.

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::server::{EVERYTHING, binary};
use crate::common::site::{SERVICE_USER, give};
use crate::common::told::{pid_file_line, said};
use crate::common::{Client, Server, Site, is_root, processes, until};

/// What the manager has heard, a datagram each.
struct Manager {
    heard: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    /// Listens beside the site, and tells the variable by which the server finds it.
    fn listen(site: &Site) -> (Self, String) {
        let path = site.beside("log/notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        give(&path);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                list.lock().unwrap().push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            }
        });
        (Self { heard }, format!("NOTIFY_SOCKET={}", path.display()))
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn hears(&self, what: &str) -> String {
        let mut found = None;
        until(what, || {
            found = self.heard().into_iter().find(|datagram| datagram.contains(what));
            found.is_some()
        });
        found.unwrap()
    }

    fn count(&self, what: &str) -> usize {
        self.heard().iter().filter(|datagram| datagram.contains(what)).count()
    }
}

#[test]
fn manager_hears_the_whole_life() {
    let site = Site::sample();
    let (manager, variable) = Manager::listen(&site);
    let config = format!("workers = 2\n{}{EVERYTHING}", pid_file_line(&site));
    let mut server = Server::under(site, &["env", &variable], &config);
    let ready = manager.hears("READY=1");
    assert!(ready.contains("STATUS=") && ready.contains(" with 2 workers"), "{ready}");
    server.obeys("reload");
    // systemd 253 and newer wants both in one datagram.
    let reloading = manager.hears("RELOADING=1");
    assert!(reloading.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading}");
    until("it is ready again", || manager.count("READY=1") == 2);
    let old = server.supervisor();
    server.obeys("upgrade");
    let new = server.supervisor();
    assert_ne!(old, new);
    manager.hears(&format!("MAINPID={new}"));
    until("the new one is ready", || manager.count("READY=1") == 3);
    let heard = manager.heard();
    let main = heard.iter().position(|it| it.contains("MAINPID=")).unwrap();
    let last = heard.iter().rposition(|it| it.contains("READY=1")).unwrap();
    assert!(main < last, "the manager believes nobody but the main process: {heard:?}");
    server.obeys("stop");
    manager.hears("STOPPING=1");
    until("it has ended", || server.has_ended());
    assert_eq!(manager.count("WATCHDOG=1"), 0, "nobody asked for that");
}

#[test]
fn failed_reload_and_failed_upgrade_are_told() {
    let site = Site::sample();
    let (manager, variable) = Manager::listen(&site);
    let config = format!("workers = 1\n{}{EVERYTHING}", pid_file_line(&site));
    let server = Server::under(site, &["env", &variable], &config);
    let good = std::fs::read_to_string(server.config_file()).unwrap();
    std::fs::write(server.config_file(), format!("no_such_key = 1\n{good}")).unwrap();
    assert_eq!(server.tell("reload").status.code(), Some(1));
    manager.hears("the last reload failed");
    assert_eq!(server.tell("upgrade").status.code(), Some(1));
    manager.hears("the last upgrade failed");
    assert_eq!(manager.count("MAINPID="), 0);
}

#[test]
fn watchdog_hears_only_while_every_heart_beats() {
    let site = Site::sample();
    let (manager, variable) = Manager::listen(&site);
    let config = format!("workers = 2\ntimeouts.hang = \"1h\"\n{EVERYTHING}");
    let wrapper = ["env", &variable, "WATCHDOG_USEC=900000"];
    let server = Server::under(site, &wrapper, &config);
    until("the watchdog is fed", || manager.count("WATCHDOG=1") > 3);
    server.await_line("so short a time is warned of", |line| line.contains("WatchdogSec (900ms) should be more than"));
    let worker = Pid::from_raw(server.workers()[0].cast_signed());
    kill(worker, Signal::SIGSTOP).unwrap();
    let mut last = manager.count("WATCHDOG=1");
    until("it is fed no more", || {
        std::thread::sleep(std::time::Duration::from_millis(2500));
        let now = manager.count("WATCHDOG=1");
        std::mem::replace(&mut last, now) == now
    });
    kill(worker, Signal::SIGCONT).unwrap();
    until("it is fed again", || manager.count("WATCHDOG=1") > last);
}

#[test]
fn watchdog_of_another_process_is_not_ours() {
    let site = Site::sample();
    let (manager, variable) = Manager::listen(&site);
    let wrapper = ["env", &variable, "WATCHDOG_USEC=900000", "WATCHDOG_PID=1"];
    let server = Server::under(site, &wrapper, &format!("workers = 1\n{EVERYTHING}"));
    let beat = || server.stats()["workers"][0]["heartbeat_unix_ms"].as_u64().unwrap();
    let first = beat();
    until("several seconds have passed", || beat() > first + 3000);
    assert_eq!(manager.count("WATCHDOG=1"), 0);
}

/// Becomes the server with these sockets as descriptors 3 and up, as the service manager does.
const LAUNCHER: &str = r#"
import os, sys
count, names = int(sys.argv[1]), sys.argv[2]
high = [os.dup(int(fd)) for fd in sys.argv[3:3 + count]]
high = [os.dup2(fd, 100 + n, True) for n, fd in enumerate(high)]
for n, fd in enumerate(high): os.dup2(fd, 3 + n, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=names)
rest = sys.argv[3 + count:]
os.execvp(rest[0], rest)
"#;

/// The program and arguments that pass these sockets to the server, which is started as an ordinary user.
fn passing(sockets: &[&TcpListener], names: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for socket in sockets {
        nix::fcntl::fcntl(socket, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    }
    words.extend(["python3", "-c", LAUNCHER].map(str::to_owned));
    words.extend([sockets.len().to_string(), names.to_owned()]);
    words.extend(sockets.iter().map(|socket| socket.as_raw_fd().to_string()));
    if is_root() {
        words.extend(["setpriv", "--reuid", SERVICE_USER, "--clear-groups"].map(str::to_owned));
    }
    words
}

fn config(site: &Site, listen: &str) -> std::path::PathBuf {
    let file = site.beside("fileserv.toml");
    let head = format!("listen = [{listen}]\nroot = {:?}\nworkers = 2\n", site.root());
    std::fs::write(&file, format!("{head}{}{EVERYTHING}", pid_file_line(site))).unwrap();
    file
}

fn run(site: Site, sockets: &[&TcpListener], names: &str, listen: &str) -> Server {
    let file = config(&site, listen);
    let mut words = passing(sockets, names);
    words.extend([binary(), "-c", file.to_str().unwrap()].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Server::run(site, words[0], &words[1..])
}

#[test]
fn passed_sockets_are_served_and_no_process_is_ever_root() {
    let [one, two] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [&one, &two].map(|socket| socket.local_addr().unwrap());
    let server = run(Site::sample(), &[&one, &two], "http:other", "\"systemd\"");
    drop((one, two));
    let serve = || addresses.iter().for_each(|it| assert_eq!(Client::connect(*it).get("/hello.txt").status, 200));
    serve();
    for pid in server.workers().into_iter().chain([server.supervisor()]) {
        let status = processes::status(pid);
        assert!(!is_root() || !status["Uid"].split(' ').any(|uid| uid == "0"), "{status:?}");
        assert_eq!(status["CapEff"], "0000000000000000");
        assert_eq!(status["NoNewPrivs"], "1");
    }
    // They stay through reloads and upgrades, and are known by their addresses, too.
    server.obeys("reload");
    serve();
    server.obeys("upgrade");
    serve();
    config(&server.site, &format!("\"{}\", \"systemd:other\"", addresses[0]));
    server.obeys("reload");
    serve();
    config(&server.site, &format!("\"{}\"", addresses[0]));
    let output = server.tell("reload");
    let words = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(words.contains(&format!("the socket \"other\" at {}", addresses[1])), "{words}");
    serve();
}

#[test]
fn socket_that_does_not_fit_is_refused_with_its_name() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = |listen: &str, names: &str, expected: &str| {
        let site = Site::sample();
        let file = config(&site, listen);
        let mut words = passing(&[&socket], names);
        words.extend([binary(), "-c", file.to_str().unwrap()].map(str::to_owned));
        let output = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(expected), "{}", said(&output));
    };
    refused("\"systemd:web\"", "http", "passed: http (127.0.0.1:");
    refused("\"127.0.0.1:0\"", "http", "write its address there, or \"systemd\" for all");
    refused("\"systemd\"", "one:two", "LISTEN_FDNAMES");
    let site = Site::sample();
    let file = config(&site, "\"systemd\"");
    let output = Command::new(binary()).arg("-c").arg(&file).output().unwrap();
    assert!(said(&output).contains("no such socket was passed by LISTEN_FDS; passed: none"), "{}", said(&output));
}

#[test]
fn descriptor_that_is_no_listening_socket_is_refused() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    let site = Site::sample();
    let file = config(&site, "\"systemd\"");
    nix::fcntl::fcntl(&client, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let number = client.as_raw_fd().to_string();
    let arguments = ["-c", LAUNCHER, "1", "http", &number, binary(), "-c", file.to_str().unwrap()];
    let output = Command::new("python3").args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("\"http\"") && said(&output).contains("does not listen"), "{}", said(&output));
}
