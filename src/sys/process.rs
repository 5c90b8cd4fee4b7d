//! Processes: fork, its one-way child branch, exec, reaping, killing.
//! Process: supervisor, and a worker in its first steps. Privileges: none. Blocks: never.
#![allow(unsafe_code, reason = "fork, waitpid and _exit have no safe form")]

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid};

use super::signals;

/// A process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId(Pid);

impl ProcessId {
    /// The calling process.
    #[must_use]
    pub fn own() -> Self {
        Self(Pid::this())
    }

    /// As a number; process ids are never negative.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0.as_raw().unsigned_abs()
    }
}

impl std::fmt::Display for ProcessId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit status.
    Exited(i32),
    /// By the signal of this number.
    Killed(i32),
}

impl Ended {
    /// Did a filter of system calls kill it?
    #[must_use]
    pub fn is_by_filter(self) -> bool {
        self == Self::Killed(libc::SIGSYS)
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Killed(signal) => match Signal::try_from(*signal) {
                Ok(signal) => write!(f, "was killed by {signal}"),
                Err(_) => write!(f, "was killed by signal {signal}"),
            },
        }
    }
}

/// The exit status of a child that panicked where panics unwind (in tests); elsewhere a panic aborts.
const PANIC_STATUS: u8 = 101;

/// Forks. The child runs `child` and ends with what that returns: it never comes back to the caller, and runs none of
/// the caller's destructors. It ignores the signals that the parent handles, for its orders come over a socket.
/// `child` and all it owns is dropped in the parent when this returns.
///
/// The caller has no other thread: the child of a process with threads may only do what a signal handler may.
///
/// # Errors
/// As fork(2): EAGAIN, ENOMEM.
pub fn fork(child: impl FnOnce() -> ExitCode) -> io::Result<ProcessId> {
    // Signals wait: one that came in the child before it is deaf would wake the parent through the common pipe.
    let mask = signals::block_all()?;
    // SAFETY: the program is single-threaded here (see above), so no lock is held by a thread that the child lacks.
    match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Parent { child }) => {
            mask.restore();
            Ok(ProcessId(child))
        }
        Ok(ForkResult::Child) => {
            let deaf = signals::ignore_all();
            mask.restore();
            let code = match (deaf, catch_unwind(AssertUnwindSafe(child))) {
                (Ok(()), Ok(code)) => number_of(code),
                (Err(_), _) | (_, Err(_)) => PANIC_STATUS,
            };
            // SAFETY: _exit(2) ends the process at once. exit(3) would run handlers that belong to the parent.
            unsafe { libc::_exit(code.into()) }
        }
        Err(errno) => {
            mask.restore();
            Err(errno.into())
        }
    }
}

/// The number inside an `ExitCode`, which std doesn't give out: found by comparing.
fn number_of(code: ExitCode) -> u8 {
    (0..=u8::MAX).find(|number| ExitCode::from(*number) == code).unwrap_or(1)
}

/// A child that has ended since the last call, if there is one.
#[must_use]
pub fn reap() -> Option<(ProcessId, Ended)> {
    // -1: any child.
    wait_for(-1, libc::WNOHANG).ok().flatten()
}

/// Waits until a child has ended.
///
/// # Errors
/// As waitpid(2): ECHILD if it is no child or was reaped.
pub fn wait(child: ProcessId) -> io::Result<Ended> {
    match wait_for(child.0.as_raw(), 0)? {
        Some((_, ended)) => Ok(ended),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// waitpid(2) itself, for nix's takes a death by a real-time signal for an error and forgets whose it was.
fn wait_for(which: libc::pid_t, options: libc::c_int) -> io::Result<Option<(ProcessId, Ended)>> {
    let mut status = 0;
    let pid = loop {
        // SAFETY: the pointer is that of a live integer.
        let pid = unsafe { libc::waitpid(which, &raw mut status, options) };
        match Errno::result(pid) {
            Ok(0) => return Ok(None),
            Ok(pid) => break pid,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    // Without WUNTRACED and WCONTINUED only an end is reported, so what is not an exit is a death by a signal.
    let ended = if libc::WIFEXITED(status) {
        Ended::Exited(libc::WEXITSTATUS(status))
    } else {
        Ended::Killed(libc::WTERMSIG(status))
    };
    Ok(Some((ProcessId(Pid::from_raw(pid)), ended)))
}

/// Kills a child that has not been reaped yet (so that its id can't belong to another process). One that is already
/// gone is no error.
pub fn kill(child: ProcessId) {
    let _ = nix::sys::signal::kill(child.0, Signal::SIGKILL);
}

/// Becomes another program, with these arguments (the first is its name) and this environment. Comes back only if that
/// fails. What is not closed on exec stays open; ignored signals stay ignored.
pub fn exec(program: &Path, arguments: &[OsString], environment: &[(OsString, OsString)]) -> io::Error {
    let text = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| io::ErrorKind::InvalidInput.into());
    let outcome = || -> io::Result<()> {
        let program = text(program.as_os_str().as_bytes().to_vec())?;
        let arguments = arguments.iter().map(|it| text(it.as_bytes().to_vec())).collect::<io::Result<Vec<_>>>()?;
        let variable = |(name, value): &(OsString, OsString)| text([name.as_bytes(), b"=", value.as_bytes()].concat());
        let environment = environment.iter().map(variable).collect::<io::Result<Vec<_>>>()?;
        nix::unistd::execve(&program, &arguments, &environment)?;
        Ok(())
    };
    outcome().err().unwrap_or_else(|| io::ErrorKind::Other.into())
}

/// Asks the kernel to kill this process when `parent` ends, and makes sure that it hasn't ended already. Every later
/// change of user undoes it (prctl(2)), so it comes after the last one.
///
/// # Errors
/// `NotFound` if the parent is gone; else as prctl(2).
pub fn die_with(parent: ProcessId) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() == parent.0 { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Nobody of the same user may read this process's memory or attach to it, and it leaves no core.
///
/// # Errors
/// As prctl(2).
pub fn forbid_dumps() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// Gives the calling thread a lower priority: the higher the nice value, the lower (setpriority(2)).
pub fn be_nice(value: i32) {
    // SAFETY: the call takes three numbers and touches no memory. 0 is the calling thread. If it fails, the thread
    // runs at its old priority, which is no error.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn child_ends_with_its_code_and_never_returns() {
        let parent = ProcessId::own();
        let child = fork(|| ExitCode::from(42)).unwrap();
        assert_eq!(ProcessId::own(), parent);
        assert_eq!(wait(child).unwrap(), Ended::Exited(42));
    }

    #[test]
    fn child_may_become_another_program_with_an_environment_of_its_own() {
        let run = |program: &str| {
            let arguments = ["sh", "-c", "exit ${CODE:-9}"].map(OsString::from);
            let environment = [("CODE".into(), "42".into())];
            let program = program.to_owned();
            let child = fork(move || {
                let error = exec(Path::new(&program), &arguments, &environment);
                ExitCode::from(u8::from(error.kind() == io::ErrorKind::NotFound))
            });
            wait(child.unwrap()).unwrap()
        };
        assert_eq!(run("/bin/sh"), Ended::Exited(42));
        assert_eq!(run("/nowhere/at/all"), Ended::Exited(1));
    }

    #[test]
    fn panic_of_a_child_stays_in_the_child() {
        let child = fork(|| {
            std::panic::set_hook(Box::new(|_| {}));
            panic!("on purpose")
        });
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(PANIC_STATUS.into()));
    }

    #[test]
    fn child_is_deaf_but_can_be_killed() {
        let (told, tell) = std::os::unix::net::UnixStream::pair().unwrap();
        let child = fork(move || {
            for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGQUIT] {
                if nix::sys::signal::raise(signal).is_err() {
                    return ExitCode::from(3);
                }
            }
            let _ = std::io::Write::write_all(&mut &tell, b"!");
            loop {
                nix::unistd::pause();
            }
        });
        let child = child.unwrap();
        let mut byte = [0];
        std::io::Read::read_exact(&mut &told, &mut byte).unwrap();
        kill(child);
        assert_eq!(wait(child).unwrap(), Ended::Killed(libc::SIGKILL));
    }

    #[test]
    fn orphan_notices_that_its_parent_is_gone() {
        let child = fork(|| match die_with(ProcessId(Pid::from_raw(1_000_000_000))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        });
        assert_eq!(wait(child.unwrap()).unwrap(), Ended::Exited(0));
    }

    #[test]
    fn children_die_with_their_parent() {
        let (alive, end) = std::os::unix::net::UnixStream::pair().unwrap();
        let parent = fork(move || {
            let own = ProcessId::own();
            let grandchild = fork(|| {
                if die_with(own).is_err() {
                    return ExitCode::FAILURE;
                }
                let _ = std::io::Write::write_all(&mut &end, b"!");
                loop {
                    nix::unistd::pause();
                }
            });
            drop(grandchild);
            loop {
                nix::unistd::pause();
            }
        });
        let mut byte = [0];
        std::io::Read::read_exact(&mut &alive, &mut byte).unwrap();
        let parent = parent.unwrap();
        kill(parent);
        wait(parent).unwrap();
        // The grandchild held the last copy of `end`: its death is the end of the stream.
        assert_eq!(std::io::Read::read(&mut &alive, &mut byte).unwrap(), 0);
    }
}
