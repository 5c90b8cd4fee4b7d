//! The real binary with its own document root, started on a free port and stopped by SIGTERM.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::site::SERVICE_USER;
use super::{Client, HANG, Site, is_root, processes, until};

/// Every provider and every verb, for tests that are not about permission.
pub(crate) const EVERYTHING: &str = r#"
[routes]
"/perlin" = "perlin"
"/sha256" = "sha256"
"/stats" = "stats"
[[access]]
path = "/"
allow = ["list", "read", "create", "replace", "delete"]
"#;

/// A running server.
pub(crate) struct Server {
    /// Its document root and what lies beside it.
    pub(crate) site: Site,
    /// The port that it serves on 127.0.0.1.
    pub(crate) port: u16,
    child: Child,
    said: Arc<Said>,
    exit: Option<ExitStatus>,
}

impl Server {
    /// A daemon with `EVERYTHING`, two workers and the sample site.
    pub(crate) fn start() -> Self {
        Self::with(Site::sample(), &format!("workers = 2\n{EVERYTHING}"))
    }

    /// A daemon with this configuration; `listen`, `root` and, for root, `user` stand before it.
    pub(crate) fn with(site: Site, config: &str) -> Self {
        Self::listening(site, "127.0.0.1:0", config)
    }

    /// The same on another address.
    pub(crate) fn listening(site: Site, listen: &str, config: &str) -> Self {
        std::fs::write(site.beside("fileserv.toml"), config_text(&site, listen, config)).unwrap();
        let file = site.beside("fileserv.toml");
        Self::spawn(site, &["-c", file.to_str().unwrap()])
    }

    /// The same as `with`, started by a program that ends by becoming what its last arguments say.
    pub(crate) fn under(site: Site, wrapper: &[&str], config: &str) -> Self {
        let file = site.beside("fileserv.toml");
        std::fs::write(&file, config_text(&site, "127.0.0.1:0", config)).unwrap();
        let mut arguments = wrapper[1..].to_vec();
        arguments.extend([binary(), "-c", file.to_str().unwrap()]);
        Self::run(site, wrapper[0], &arguments)
    }

    /// Quick use: the site as an argument.
    pub(crate) fn quick(site: Site, options: &[&str]) -> Self {
        let mut arguments = vec!["--listen", "127.0.0.1:0", "--set", "sandbox_refusal=kill"];
        if is_root() {
            arguments.extend(["--user", SERVICE_USER]);
        }
        arguments.extend(options);
        let root = site.root();
        arguments.push(root.to_str().unwrap());
        Self::spawn(site, &arguments)
    }

    fn spawn(site: Site, arguments: &[&str]) -> Self {
        Self::run(site, binary(), arguments)
    }

    /// A program that becomes the server.
    pub(crate) fn run(site: Site, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Said::default());
        said.listen(child.stdout.take().unwrap());
        said.listen(child.stderr.take().unwrap());
        let mut server = Self { site, port: 0, child, said, exit: None };
        server.port = server.await_ready();
        server
    }

    /// The line `fileserv VERSION serves DIR at http://ADDRESS:PORT/` ends the start. It is said where errors go: on
    /// standard error, or in a log file.
    fn await_ready(&mut self) -> u16 {
        let is_ready = |line: &str| line.contains(" serves ") && line.contains("http://");
        let log = self.site.beside("log/error.log");
        let mut ready = None;
        until("the server is ready", || {
            let logged = std::fs::read_to_string(&log).unwrap_or_default();
            ready = self.said().lines().chain(logged.lines()).find(|line| is_ready(line)).map(str::to_owned);
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() || ready.is_some(), "the start failed:\n{}\n{logged}", self.said());
            ready.is_some()
        });
        let ready = ready.unwrap();
        let (_, address) = ready.split_once("http://").unwrap();
        let end = address.find('/').unwrap_or(address.len());
        address[..end].rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// Waits until a line is said on standard output or standard error, also if that was before.
    pub(crate) fn await_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.said.wait_for(what, wanted)
    }

    /// All that was said up to now.
    pub(crate) fn said(&self) -> String {
        self.said.text()
    }

    /// Where to connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// `http://127.0.0.1:PORT` and the path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The supervisor's process id; after an upgrade, that of the new one.
    pub(crate) fn supervisor(&self) -> u32 {
        super::told::pid_in(&self.site).unwrap_or_else(|| self.child.id())
    }

    /// The workers' process ids, sorted.
    pub(crate) fn workers(&self) -> Vec<u32> {
        processes::children(self.supervisor())
    }

    /// Sends the supervisor a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.supervisor().try_into().unwrap()), signal).unwrap();
    }

    /// Writes another configuration; the next reload reads it.
    pub(crate) fn configure(&self, listen: &str, config: &str) {
        std::fs::write(self.config_file(), config_text(&self.site, listen, config)).unwrap();
    }

    /// The configuration file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.site.beside("fileserv.toml")
    }

    /// `/stats` as JSON.
    pub(crate) fn stats(&self) -> serde_json::Value {
        let reply = self.connect().get("/stats?format=json");
        assert_eq!(reply.status, 200);
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// How many connections a worker holds, by these counters.
    pub(crate) fn connections_of(stats: &serde_json::Value, worker: u32) -> u64 {
        let workers = stats["workers"].as_array().unwrap();
        let entry = workers.iter().find(|entry| entry["pid"].as_u64() == Some(worker.into())).unwrap();
        entry["connections"].as_u64().unwrap()
    }

    /// Asserts that every worker of the start is still there, and that they still serve.
    pub(crate) fn assert_unharmed(&self, workers: &[u32]) {
        self.assert_same_workers(workers);
        assert_eq!(self.connect().get("/hello.txt").status, 200);
    }

    /// The same without the sample site.
    pub(crate) fn assert_same_workers(&self, workers: &[u32]) {
        assert_eq!(self.workers(), workers, "no worker has died\n{}", self.said());
    }

    /// Kills all of it at once, so that nobody can put anything in order, and gives back the site.
    pub(crate) fn kill_all(mut self) -> Site {
        let workers = self.workers();
        for pid in std::iter::once(self.supervisor()).chain(workers.iter().copied()) {
            // A worker may be gone already: it asked the kernel to be killed with its supervisor.
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
        self.exit = Some(self.child.wait().unwrap());
        until("no worker is left", || workers.iter().all(|worker| !processes::lives(*worker)));
        std::mem::replace(&mut self.site, Site::empty())
    }

    /// Has the supervisor ended?
    pub(crate) fn has_ended(&mut self) -> bool {
        self.exit = self.exit.or(self.child.try_wait().unwrap());
        self.exit.is_some()
    }

    /// The process that was started is reaped, and its end was not a success: the test has killed it.
    pub(crate) fn is_killed(&mut self) {
        assert!(!self.await_exit().success());
    }

    /// Waits for the server to end by itself.
    pub(crate) fn await_exit(&mut self) -> ExitStatus {
        until("the server has ended", || self.has_ended());
        self.exit.unwrap()
    }

    /// Stops the server and insists that it ends with success and leaves no worker behind.
    pub(crate) fn stop_by(&mut self, signal: Signal) {
        let workers = self.workers();
        self.signal(signal);
        let exit = self.await_exit();
        assert_eq!(exit.code(), Some(0), "{signal} ends the server with success\n{}", self.said());
        for worker in workers {
            assert!(!processes::lives(worker), "worker {worker} is gone with the supervisor");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let outcome = self.end();
        if std::thread::panicking() {
            // The test has failed already: show what may explain it, and don't fail once more.
            eprintln!("--- the server said ---\n{}", self.said());
        } else if let Err(why) = outcome {
            panic!("{why}\n{}", self.said());
        }
    }
}

impl Server {
    /// Ends the server if it has not ended yet: by SIGTERM, and by SIGKILL if it does not obey.
    fn end(&mut self) -> Result<(), String> {
        if self.exit.is_some() {
            return Ok(());
        }
        let supervisor = self.supervisor();
        let pid = Pid::from_raw(supervisor.cast_signed());
        kill(pid, Signal::SIGTERM).map_err(|error| format!("the server is gone: {error}"))?;
        let begin = Instant::now();
        loop {
            match self.child.try_wait() {
                // A worker that has to be killed hangs: no test leaves a request behind that would excuse it.
                Ok(Some(_)) if self.said().contains("has had its time") => {
                    return Err("a worker did not end by itself".to_owned());
                }
                Ok(Some(exit)) if exit.success() && !processes::lives(supervisor) => return Ok(()),
                Ok(Some(exit)) if !exit.success() => return Err(format!("SIGTERM ended the server with {exit}")),
                Ok(_) if begin.elapsed() < HANG => std::thread::sleep(std::time::Duration::from_millis(2)),
                Ok(_) | Err(_) => break,
            }
        }
        // Its workers die with it: they asked the kernel for that.
        let killed = self.child.kill().and_then(|()| self.child.wait());
        Err(format!("SIGTERM did not end the server; SIGKILL: {killed:?}"))
    }
}

/// The binary under test.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_fileserv")
}

fn config_text(site: &Site, listen: &str, config: &str) -> String {
    let user = if is_root() { format!("user = {SERVICE_USER:?}\n") } else { String::new() };
    // A call that a worker needs and may not make is a death that no test can overlook.
    let refusal = if config.contains("sandbox_refusal") { "" } else { "sandbox_refusal = \"kill\"\n" };
    format!("{refusal}listen = [{listen:?}]\nroot = {:?}\n{user}{config}", site.root())
}

/// What a process says, line by line, gathered by a thread a stream.
#[derive(Default)]
struct Said {
    state: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    open: usize,
}

impl Said {
    /// A test that fails while it holds the lock has not spoiled the lines.
    fn state(&self) -> MutexGuard<'_, Lines> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.state().open += 1;
        let said = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                said.state().lines.push(String::from_utf8_lossy(&line).into_owned());
                said.changed.notify_all();
            }
            said.state().open -= 1;
            said.changed.notify_all();
        });
    }

    fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        let mut state = self.state();
        loop {
            if let Some(line) = state.lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            assert!(state.open > 0, "the server ended before {what}");
            assert!(begin.elapsed() < HANG, "gave up waiting until {what}");
            state = self.changed.wait_timeout(state, HANG).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn text(&self) -> String {
        self.state().lines.join("\n")
    }
}
