//! Signals become flags and one readable descriptor; a child of a fork hears none of them.
//! Process: supervisor (a worker ignores them all). Privileges: none. Blocks: never.
#![allow(unsafe_code, reason = "changing the disposition of a signal has no safe form")]

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal};

/// What the signals that came since the last look ask for. Many of one kind ask once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// SIGHUP: read the configuration again.
    pub reload: bool,
    /// SIGTERM or SIGINT: stop.
    pub stop: bool,
    /// SIGQUIT: finish every request, then stop.
    pub quit: bool,
    /// SIGUSR1: open the logs again.
    pub reopen_logs: bool,
    /// SIGUSR2: put the binary that is there now in the place of this one.
    pub upgrade: bool,
}

/// The signals of the supervisor, caught.
#[derive(Debug)]
pub struct Signals {
    pipe: UnixStream,
    reload: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    quit: Arc<AtomicBool>,
    reopen_logs: Arc<AtomicBool>,
    upgrade: Arc<AtomicBool>,
}

impl Signals {
    /// Catches SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2 and SIGCHLD from now on, and ignores SIGPIPE.
    ///
    /// # Errors
    /// As sigaction(2) and socketpair(2).
    pub fn catch() -> io::Result<Self> {
        let (pipe, wake) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let signals = Self {
            pipe,
            reload: Arc::default(),
            stop: Arc::default(),
            quit: Arc::default(),
            reopen_logs: Arc::default(),
            upgrade: Arc::default(),
        };
        let flags = [
            (Signal::SIGHUP, &signals.reload),
            (Signal::SIGTERM, &signals.stop),
            (Signal::SIGINT, &signals.stop),
            (Signal::SIGQUIT, &signals.quit),
            (Signal::SIGUSR1, &signals.reopen_logs),
            (Signal::SIGUSR2, &signals.upgrade),
        ];
        // The flag is registered before the pipe, and so it is set before the loop wakes to look at it.
        for (signal, flag) in flags {
            signal_hook::flag::register(signal as i32, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal as i32, wake.try_clone()?)?;
        }
        // A death needs no flag: the loop reaps at every turn.
        signal_hook::low_level::pipe::register(Signal::SIGCHLD as i32, wake)?;
        disposition(Signal::SIGPIPE, SigHandler::SigIgn)?;
        // The starter may have left signals blocked, and a mask is inherited: SIGTERM must not wait for ever.
        SigSet::empty().thread_set_mask()?;
        Ok(signals)
    }

    /// What was asked for since the last call. Clears before it is acted on: what comes meanwhile is seen next time.
    #[must_use]
    pub fn take(&self) -> Asked {
        let mut bytes = [0; 256];
        while (&self.pipe).read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
        let take = |flag: &AtomicBool| flag.swap(false, Ordering::AcqRel);
        Asked {
            reload: take(&self.reload),
            stop: take(&self.stop),
            quit: take(&self.quit),
            reopen_logs: take(&self.reopen_logs),
            upgrade: take(&self.upgrade),
        }
    }
}

impl AsFd for Signals {
    /// Can be read when a signal came.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// The signals that were blocked before `block_all`.
pub(super) struct Mask(SigSet);

impl Mask {
    /// Lets through again what was let through before.
    pub(super) fn restore(self) {
        // EINVAL and EFAULT are the only errors, and both arguments are right by their types.
        let _ = self.0.thread_set_mask();
    }
}

/// Holds all signals back.
pub(super) fn block_all() -> io::Result<Mask> {
    Ok(Mask(SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?))
}

/// For the child of a fork: no signal that the supervisor handles does anything here. They reach a worker anyway, when
/// a terminal sends SIGINT to the whole group, but its orders come over the control socket.
pub(super) fn ignore_all() -> io::Result<()> {
    const IGNORED: [Signal; 7] = [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGPIPE,
    ];
    for signal in IGNORED {
        disposition(signal, SigHandler::SigIgn)?;
    }
    disposition(Signal::SIGCHLD, SigHandler::SigDfl)
}

fn disposition(signal: Signal, handler: SigHandler) -> io::Result<()> {
    // SAFETY: the handler is one of the kernel's own, no code of ours runs in a signal's context.
    unsafe { nix::sys::signal::signal(signal, handler) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{poll, process};
    use nix::sys::signal::raise;
    use std::process::ExitCode;
    use std::time::Duration;

    /// Signals belong to the whole process, so each test has one of its own.
    fn in_child(test: impl FnOnce()) {
        let child = process::fork(|| {
            test();
            ExitCode::SUCCESS
        });
        assert_eq!(process::wait(child.unwrap()).unwrap(), process::Ended::Exited(0));
    }

    #[test]
    fn storm_is_one_wish_and_seen_once() {
        in_child(|| {
            let signals = Signals::catch().unwrap();
            for _ in 0..1000 {
                raise(Signal::SIGHUP).unwrap();
            }
            raise(Signal::SIGUSR1).unwrap();
            poll::wait(&[signals.as_fd()], None).unwrap();
            assert_eq!(signals.take(), Asked { reload: true, reopen_logs: true, ..Asked::default() });
            assert_eq!(signals.take(), Asked::default());
            raise(Signal::SIGTERM).unwrap();
            assert_eq!(signals.take(), Asked { stop: true, ..Asked::default() });
        });
    }

    #[test]
    fn signal_of_a_child_does_not_wake_the_parent() {
        in_child(|| {
            let signals = Signals::catch().unwrap();
            let child = process::fork(|| {
                for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
                    raise(signal).unwrap();
                }
                ExitCode::SUCCESS
            });
            process::wait(child.unwrap()).unwrap();
            assert_eq!(signals.take(), Asked::default());
        });
    }

    #[test]
    fn death_of_a_child_wakes() {
        in_child(|| {
            let signals = Signals::catch().unwrap();
            let child = process::fork(|| ExitCode::SUCCESS).unwrap();
            poll::wait(&[signals.as_fd()], Some(Duration::from_secs(60))).unwrap();
            assert_eq!(process::reap(), Some((child, process::Ended::Exited(0))));
            assert_eq!(process::reap(), None);
        });
    }
}
