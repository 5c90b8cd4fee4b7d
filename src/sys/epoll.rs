//! Waiting for many descriptors (epoll(7)), for helper threads (eventfd(2)) and for time to pass (timerfd_create(2)).
//! Process: worker. Privileges: none. Blocks: `Epoll::wait` only.
#![allow(unsafe_code, reason = "a wait that is no point of cancellation has no safe form")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll as NixEpoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// How many events one wait brings at most. The loop receives from all of them before it answers the first, and what the
/// kernel keeps of so many sockets is still near the processor when it is wanted again: with 512, a request on one of
/// 10,000 busy connections took a tenth more time.
pub const EVENTS_A_WAIT: usize = 64;

/// An epoll instance and room for its events.
pub struct Epoll {
    inner: NixEpoll,
    events: Vec<EpollEvent>,
}

/// What happened to one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The number that was given when the descriptor was added.
    pub token: u64,
    /// Bytes, a connection or the end of the stream can be received.
    pub readable: bool,
    /// There is room to send.
    pub writable: bool,
    /// The peer has stopped sending, or the connection is broken.
    pub hung_up: bool,
    /// The connection is broken in both directions.
    pub broken: bool,
}

impl Epoll {
    /// A new instance.
    ///
    /// # Errors
    /// As epoll_create1(2).
    pub fn new() -> io::Result<Self> {
        let inner = NixEpoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { inner, events: vec![EpollEvent::empty(); EVENTS_A_WAIT] })
    }

    /// Watches a connection for both directions, edge-triggered: told once, until a call says `WouldBlock` again.
    ///
    /// # Errors
    /// As epoll_ctl(2): ENOMEM, ENOSPC.
    pub fn add_connection(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        Ok(self.inner.add(fd, EpollEvent::new(flags, token))?)
    }

    /// Watches a listener that other processes watch too: an event wakes one of them, not all (EPOLLEXCLUSIVE).
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn add_listener(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.inner.add(fd, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE, token))?)
    }

    /// Watches a descriptor of our own for bytes to receive.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn add_input(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.inner.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Stops watching.
    pub fn remove(&self, fd: impl AsFd) {
        // ENOENT is the only failure that can be, and means that it was not watched.
        let _ = self.inner.delete(fd);
    }

    /// Waits until something happens or, if there is an end, so many milliseconds have passed; a signal counts as nothing
    /// happened.
    ///
    /// # Errors
    /// As epoll_wait(2).
    pub fn wait(&mut self, timeout_ms: Option<u16>) -> io::Result<usize> {
        match wait(&self.inner, &mut self.events, timeout_ms.map_or(-1, libc::c_int::from)) {
            Ok(count) => Ok(count),
            Err(Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// The event number `index` of the last wait.
    #[must_use]
    pub fn event(&self, index: usize) -> Option<Event> {
        self.events.get(index).map(|event| {
            let flags = event.events();
            let broken = flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
            Event {
                token: event.data(),
                readable: broken || flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP),
                writable: broken || flags.contains(EpollFlags::EPOLLOUT),
                hung_up: broken || flags.contains(EpollFlags::EPOLLRDHUP),
                broken,
            }
        })
    }
}

/// Processors whose table of calls began late have the newer call only.
#[cfg(target_arch = "x86_64")]
const WAIT: libc::c_long = libc::SYS_epoll_wait;
#[cfg(not(target_arch = "x86_64"))]
const WAIT: libc::c_long = libc::SYS_epoll_pwait;

/// Waits past the C library, for the reason that `socket.rs` gives.
fn wait(epoll: &NixEpoll, events: &mut [EpollEvent], timeout_ms: libc::c_int) -> Result<usize, Errno> {
    let (fd, room) = (epoll.0.as_raw_fd(), libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX));
    let no_signals = std::ptr::null::<libc::sigset_t>();
    // SAFETY: the kernel writes at most `room` events to where `events` is, which has as many, and reads no signals.
    let count = unsafe { libc::syscall(WAIT, fd, events.as_mut_ptr(), room, timeout_ms, no_signals, 0) };
    Errno::result(count).map(|count| usize::try_from(count).unwrap_or(0))
}

/// Says whether one descriptor has something to be read, for less than half of what a read costs that finds nothing.
pub struct Bell(NixEpoll);

impl Bell {
    /// That of this descriptor.
    ///
    /// # Errors
    /// As epoll_create1(2) and epoll_ctl(2).
    pub fn of(fd: impl AsFd) -> io::Result<Self> {
        let epoll = NixEpoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        Ok(Self(epoll))
    }

    /// Is there something? Who can't say says so, too.
    #[must_use]
    pub fn rings(&self) -> bool {
        wait(&self.0, &mut [EpollEvent::empty()], 0) != Ok(0)
    }
}

/// Wakes the loop again and again, so that its waits need no end of their own: for each of those the kernel would set a
/// timer and take it back, which is a part in thirty of what it costs to wait for a request and to answer it.
pub struct Ticker(TimerFd);

impl Ticker {
    /// One that begins now.
    ///
    /// # Errors
    /// As timerfd_create(2).
    pub fn new(period: Duration) -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        timer.set(Expiration::Interval(TimeSpec::from_duration(period)), TimerSetTimeFlags::empty())?;
        Ok(Self(timer))
    }

    /// Takes note of a tick, so that there is another one.
    pub fn clear(&self) {
        // EAGAIN: somebody has.
        let _ = self.0.wait();
    }
}

impl AsFd for Ticker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A counter that wakes the loop from another thread.
pub struct Waker(EventFd);

impl Waker {
    /// A new one.
    ///
    /// # Errors
    /// As eventfd(2).
    pub fn new() -> io::Result<Self> {
        Ok(Self(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?))
    }

    /// Wakes the loop.
    pub fn wake(&self) {
        // EAGAIN means that the counter is full of wakes that nobody has read: one more says nothing new.
        let _ = self.0.write(1);
    }

    /// Takes all wakes away.
    pub fn clear(&self) {
        let _ = self.0.read();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_bell_rings_as_long_as_there_is_something() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let bell = Bell::of(&reader).unwrap();
        for _ in 0..3 {
            assert!(!bell.rings() && !bell.rings());
            writer.write_all(b"ab").unwrap();
            assert!(bell.rings() && bell.rings());
            reader.read_exact(&mut [0]).unwrap();
            assert!(bell.rings(), "one is left");
            reader.read_exact(&mut [0]).unwrap();
        }
    }

    #[test]
    fn a_ticker_ends_one_wait_after_the_other() {
        let mut epoll = Epoll::new().unwrap();
        let ticker = Ticker::new(Duration::from_millis(1)).unwrap();
        epoll.add_input(&ticker, 7).unwrap();
        for _ in 0..3 {
            while epoll.wait(None).unwrap() == 0 {}
            assert_eq!(epoll.event(0).map(|event| event.token), Some(7));
            ticker.clear();
        }
    }
}
