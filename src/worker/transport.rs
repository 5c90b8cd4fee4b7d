//! How bytes reach the machine: plain sockets now. Everything above speaks of a `Transport`, so that TLS is one more
//! variant here and nothing else.
//! Process: worker, sealed. Blocks: never.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::socket;

/// The lower end of a connection.
pub(super) enum Transport {
    /// A socket, no TLS.
    Plain(OwnedFd),
    /// A client that a test has written down.
    #[cfg(test)]
    Script(Box<super::tests::Script>),
}

/// What a call to the transport brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Transferred {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing for now: the loop will say when to come again.
    Later,
    /// The peer sends no more; or the file that is sent has ended before its length.
    End,
    /// The connection is broken.
    Broken,
}

impl Transport {
    /// Receives what is there.
    pub(super) fn receive(&self, room: &mut [u8]) -> Transferred {
        match self {
            Self::Plain(fd) => outcome(retry(|| socket::receive(fd.as_fd(), room))),
            #[cfg(test)]
            Self::Script(script) => script.receive(room),
        }
    }

    /// Sends bytes; `more` if the rest of a segment follows at once.
    pub(super) fn send(&self, bytes: &[u8], more: bool) -> Transferred {
        match self {
            Self::Plain(fd) => outcome(retry(|| socket::send(fd.as_fd(), bytes, more))),
            #[cfg(test)]
            Self::Script(script) => script.send(bytes),
        }
    }

    /// Sends two runs of bytes as one.
    pub(super) fn send_both(&self, first: &[u8], second: &[u8]) -> Transferred {
        match self {
            Self::Plain(fd) => outcome(retry(|| socket::send_both(fd.as_fd(), first, second))),
            #[cfg(test)]
            Self::Script(script) => script.send(&[first, second].concat()),
        }
    }

    /// Sends a part of a file without a copy.
    pub(super) fn send_file(&self, file: &File, offset: u64, count: usize) -> Transferred {
        match self {
            Self::Plain(fd) => outcome(retry(|| socket::send_file(fd.as_fd(), file, offset, count))),
            #[cfg(test)]
            Self::Script(script) => script.send_file(file, offset, count),
        }
    }

    /// Holds back what does not fill a segment, or no longer does.
    pub(super) fn cork(&self, holds_back: bool) {
        match self {
            Self::Plain(fd) => socket::cork(fd.as_fd(), holds_back),
            #[cfg(test)]
            Self::Script(_) => {}
        }
    }

    /// How many of the bytes sent the peer has not acknowledged; `None` if that can't be told.
    pub(super) fn unacknowledged(&self) -> Option<u32> {
        match self {
            Self::Plain(fd) => socket::unacknowledged(fd.as_fd()).ok(),
            #[cfg(test)]
            Self::Script(_) => None,
        }
    }

    /// Says that nothing more will be sent.
    pub(super) fn shut_down_sending(&self) {
        match self {
            Self::Plain(fd) => socket::shut_down_sending(fd.as_fd()),
            #[cfg(test)]
            Self::Script(_) => {}
        }
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(fd) => fd.as_fd(),
            #[cfg(test)]
            Self::Script(script) => script.as_fd(),
        }
    }
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn outcome(result: io::Result<usize>) -> Transferred {
    match result {
        Ok(0) => Transferred::End,
        Ok(count) => Transferred::Bytes(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Transferred::Later,
        Err(_) => Transferred::Broken,
    }
}
