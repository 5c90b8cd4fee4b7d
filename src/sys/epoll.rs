//! Waiting for many descriptors (epoll(7)) and for helper threads (eventfd(2)).
//! Process: worker. Privileges: none. Blocks: `wait` only.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll as NixEpoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

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

    /// Waits until something happens or `timeout_ms` have passed; a signal counts as nothing happened.
    ///
    /// # Errors
    /// As epoll_wait(2).
    pub fn wait(&mut self, timeout_ms: u16) -> io::Result<usize> {
        match self.inner.wait(&mut self.events, EpollTimeout::from(timeout_ms)) {
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
