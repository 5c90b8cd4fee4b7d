//! The supervisor alive: a real one in a process of its own, its workers sealed, told what to do by signals.
//! It is looked at from outside only: its log, its exit status, and the children that the kernel says it has.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::config::{Options, Source};
use crate::sys::process::{self, Ended, ProcessId};

struct Running {
    folder: tempfile::TempDir,
    pid: ProcessId,
    ended: bool,
}

impl Drop for Running {
    /// A test that fails leaves nothing behind: the workers die with their supervisor.
    fn drop(&mut self) {
        if !self.ended {
            process::kill(self.pid);
            let _ = process::wait(self.pid);
        }
    }
}

fn pid_of(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap())
}

/// Waits for a condition, with a deadline.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::yield_now();
    }
}

/// Writes a configuration: these lines, and what every test wants.
fn configure(folder: &Path, more: &str) {
    let mut text = format!("{more}\n");
    if !more.contains("listen") {
        text.push_str("listen = [\"127.0.0.1:0\"]\n");
    }
    let (root, log) = (folder.join("root"), folder.join("log"));
    write!(text, "root = {root:?}\nworkers = 2\n[log]\naccess = \"off\"\nerror = {log:?}\n").unwrap();
    fs::write(folder.join("test.toml"), text).unwrap();
}

impl Running {
    fn start(more: &str) -> Self {
        Self::start_after(more, || ())
    }

    /// `prepare` runs in the supervisor's process before anything else.
    fn start_after(more: &str, prepare: impl FnOnce()) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // As root the supervisor becomes nobody, who must reach its configuration and logs.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        configure(folder.path(), more);
        let file = folder.path().join("test.toml");
        let source = Source::file("test.toml".to_owned(), file, Options::default(), Vec::new());
        let child = move || {
            prepare();
            super::start(source)
        };
        let pid = process::fork(child).unwrap();
        Self { folder, pid, ended: false }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, more: &str) {
        configure(self.folder.path(), more);
    }

    fn send(&self, signal: Signal) {
        kill(pid_of(self.pid.number()), signal).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn says(&self, words: &str) {
        until(words, || self.log().contains(words).then_some(()));
    }

    fn says_times(&self, words: &str, times: usize) {
        until(words, || (self.log().matches(words).count() == times).then_some(()));
    }

    fn workers(&self) -> Vec<u32> {
        let pid = self.pid;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    fn ends(mut self) -> Ended {
        let workers = self.workers();
        let ended = process::wait(self.pid).unwrap();
        self.ended = true;
        until("the end of the workers", || workers.iter().all(|pid| kill(pid_of(*pid), None).is_err()).then_some(()));
        ended
    }
}

#[test]
fn serves_until_it_is_told_to_stop() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let running = Running::start("");
        running.says("with 2 workers");
        running.says("each worker is sealed: Landlock ABI");
        assert_eq!(running.workers().len(), 2);
        running.send(signal);
        assert_eq!(running.ends(), Ended::Exited(0), "{signal}");
    }
}

#[test]
fn killed_worker_is_replaced_and_the_others_stay() {
    let running = Running::start("");
    running.says("with 2 workers");
    let before = running.workers();
    kill(pid_of(before[0]), Signal::SIGKILL).unwrap();
    running.says("was killed by SIGKILL after it was ready");
    let after = until("a new worker", || {
        let after = running.workers();
        (after.len() == 2 && !after.contains(&before[0])).then_some(after)
    });
    assert!(after.contains(&before[1]));
    running.send(Signal::SIGTERM);
    assert_eq!(running.ends(), Ended::Exited(0));
}

#[test]
fn reload_brings_new_workers_and_keeps_the_port() {
    let running = Running::start("");
    running.says("with 2 workers");
    let before = running.workers();
    for _ in 0..50 {
        running.send(Signal::SIGHUP);
    }
    running.says_times("with 2 workers", 2);
    let after = until("the old workers to leave", || {
        let now = running.workers();
        (now.len() == 2 && before.iter().all(|old| !now.contains(old))).then_some(now)
    });
    assert_eq!(after.len(), 2);
    let log = running.log();
    let places: Vec<_> = log.split("http://").skip(1).filter_map(|rest| rest.split('/').next()).collect();
    assert!(places.len() >= 2 && places.iter().all(|place| *place == places[0]), "{places:?}");
    running.send(Signal::SIGTERM);
    assert_eq!(running.ends(), Ended::Exited(0));
}

#[test]
fn wrong_configuration_changes_nothing() {
    let running = Running::start("");
    running.says("with 2 workers");
    let before = running.workers();
    running.configure("no_such_key = 1");
    running.send(Signal::SIGHUP);
    running.says("the reload changes nothing: test.toml:1:1: ");
    running.configure("group = \"daemon\"");
    running.send(Signal::SIGHUP);
    running.says("the reload changes nothing: a changed group takes effect with a restart only");
    running.configure("listen = [\"unix:/nowhere/at/all\"]");
    running.send(Signal::SIGHUP);
    running.says("the reload changes nothing: can't listen on unix:/nowhere/at/all: ");
    assert_eq!(running.workers(), before);
    running.send(Signal::SIGTERM);
    assert_eq!(running.ends(), Ended::Exited(0));
}

#[test]
fn logs_are_opened_again() {
    let running = Running::start("");
    running.says("with 2 workers");
    fs::rename(running.path("log"), running.path("log.1")).unwrap();
    running.send(Signal::SIGUSR1);
    running.says("the logs were opened again");
    // The new workers' sibling goes on: a death is logged where the log is now.
    kill(pid_of(running.workers()[0]), Signal::SIGKILL).unwrap();
    running.says("was killed by SIGKILL");
    running.send(Signal::SIGTERM);
    assert_eq!(running.ends(), Ended::Exited(0));
}

#[test]
fn worker_has_nothing_but_its_heritage() {
    // A folder that the starter left open would be a way round the seal.
    let running = Running::start_after("", || std::mem::forget(fs::File::open("/usr").unwrap()));
    running.says("with 2 workers");
    for worker in running.workers() {
        // Only root may look.
        for fd in fs::read_dir(format!("/proc/{worker}/fd")).into_iter().flatten() {
            assert_ne!(fs::read_link(fd.unwrap().path()).unwrap(), Path::new("/usr"));
        }
        let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(value(set), "0000000000000000", "{set}");
        }
        assert_eq!((value("NoNewPrivs").as_str(), value("Seccomp").as_str()), ("1", "2"));
    }
    running.send(Signal::SIGTERM);
    assert_eq!(running.ends(), Ended::Exited(0));
}

/// This process and its children are refused this call with this error.
fn refuse(call: libc::c_long, errno: i32) {
    use seccompiler::{SeccompAction, SeccompFilter};
    let action = SeccompAction::Errno(errno.unsigned_abs());
    let processor = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new([(call, vec![])].into(), SeccompAction::Allow, action, processor).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

#[test]
fn no_seal_no_service() {
    let running = Running::start_after("", || refuse(libc::SYS_landlock_create_ruleset, libc::ENOSYS));
    running.says("this kernel has no Landlock");
    running.says("service can't begin: worker");
    assert_eq!(running.ends(), Ended::Exited(1));
    // A filter's refusal is not taken for an old kernel.
    let running = Running::start_after("", || refuse(libc::SYS_landlock_create_ruleset, libc::EPERM));
    running.says("Landlock is refused (Operation not permitted");
    assert_eq!(running.ends(), Ended::Exited(1));
}

#[test]
fn best_effort_serves_and_says_what_is_missing() {
    let more = "sandbox = \"best-effort\"";
    let running = Running::start_after(more, || refuse(libc::SYS_landlock_create_ruleset, libc::ENOSYS));
    running.says("each worker is sealed: NO Landlock (this kernel has no Landlock");
    running.send(Signal::SIGTERM);
    assert_eq!(running.ends(), Ended::Exited(0));
}

#[test]
fn old_worker_that_hangs_is_killed_and_the_next_reload_waits_for_that() {
    let running = Running::start("timeouts.drain = \"1s\"");
    running.says("with 2 workers");
    let before = running.workers();
    kill(pid_of(before[0]), Signal::SIGSTOP).unwrap();
    running.send(Signal::SIGHUP);
    running.says_times("with 2 workers", 2);
    running.send(Signal::SIGHUP);
    running.says("generation 1 has had its time: 1 of its workers killed");
    assert_eq!(running.log().matches("with 2 workers").count(), 2, "the second reload did not wait");
    running.says_times("with 2 workers", 3);
    running.send(Signal::SIGTERM);
    assert_eq!(running.ends(), Ended::Exited(0));
}

#[test]
fn second_stop_waits_for_nobody() {
    let running = Running::start("timeouts.drain = \"1h\"");
    running.says("with 2 workers");
    kill(pid_of(running.workers()[0]), Signal::SIGSTOP).unwrap();
    running.send(Signal::SIGTERM);
    running.says("stopping");
    // At once, it is the same wish; a moment later it is another one.
    running.send(Signal::SIGINT);
    until("the second wish", || {
        running.send(Signal::SIGINT);
        running.log().contains("asked to stop again").then_some(())
    });
    assert_eq!(running.ends(), Ended::Exited(0));
}

#[test]
fn start_that_can_not_be_is_refused() {
    let running = Running::start("listen = [\"unix:/nowhere/at/all\"]");
    assert_eq!(running.ends(), Ended::Exited(1));
}
