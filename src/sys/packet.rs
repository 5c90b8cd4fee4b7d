//! Packets over a pair of sockets: bytes and descriptors that ride along (unix(7), SCM_RIGHTS).
//! Process: supervisor, workers, and the supervisor of an upgrade. Blocks: never; `receive_within` as long as it says.
//! One packet is one message (SOCK_SEQPACKET), so none can be half read.
#![allow(unsafe_code, reason = "received descriptors come as plain numbers")]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, getsockopt, recvmsg, send,
    sendmsg, socketpair, sockopt,
};

use super::poll;

/// So many descriptors may come with a packet: what the kernel allows (SCM_MAX_FD).
const DESCRIPTORS_LIMIT: usize = 253;

/// One end of a line.
#[derive(Debug)]
pub struct PacketEnd(OwnedFd);

/// What a look at an end gave.
#[derive(Debug)]
pub enum Packet {
    /// So many bytes are in the buffer, and these descriptors came with them.
    Bytes(usize, Vec<OwnedFd>),
    /// Nothing yet.
    Empty,
    /// The other end is gone.
    Closed,
}

/// A new line.
///
/// # Errors
/// As socketpair(2).
pub fn pair() -> io::Result<(PacketEnd, PacketEnd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    Ok((PacketEnd(one), PacketEnd(other)))
}

impl PacketEnd {
    /// The end that an exec left open under this number, closed at the next one.
    ///
    /// # Errors
    /// `InvalidInput` if nothing of the kind is open under that number.
    pub fn from_exec(number: RawFd) -> io::Result<Self> {
        // SAFETY: fcntl(2) with F_GETFD touches no memory, and is defined for a number that is not open.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        if number < 3 || flags < 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such descriptor"));
        }
        // SAFETY: it is open, and who named it to this process left it to nobody else.
        let end = unsafe { OwnedFd::from_raw_fd(number) };
        if getsockopt(&end, sockopt::SockType) != Ok(SockType::SeqPacket) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the descriptor is no line to a supervisor"));
        }
        fcntl(&end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(Self(end))
    }

    /// Lets the next exec keep this end, and tells under which number. For a forked child.
    ///
    /// # Errors
    /// As fcntl(2).
    pub fn keep_for_exec(&self) -> io::Result<RawFd> {
        fcntl(&self.0, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(self.0.as_raw_fd())
    }

    /// Sends one packet.
    ///
    /// # Errors
    /// As send(2): EPIPE when nobody is at the other end, EAGAIN when he has not read for long.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        if fds.is_empty() {
            // A sealed worker has no other call for it.
            send(self.0.as_raw_fd(), bytes, flags)?;
            return Ok(());
        }
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(bytes)], &rights, flags, None)?;
        Ok(())
    }

    /// The next packet. One that is longer than the buffer is cut.
    ///
    /// # Errors
    /// As recvmsg(2).
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Packet> {
        loop {
            match self.packet(buffer) {
                // The other one died with something unread. That is told once, and before his last words.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(Errno::EAGAIN) => return Ok(Packet::Empty),
                Ok((0, _)) => return Ok(Packet::Closed),
                outcome => {
                    let (count, fds) = outcome?;
                    return Ok(Packet::Bytes(count, fds));
                }
            }
        }
    }

    /// The next packet; `Empty` if none has come after so long.
    ///
    /// # Errors
    /// As recvmsg(2) and poll(2).
    pub fn receive_within(&self, limit: Duration, buffer: &mut [u8]) -> io::Result<Packet> {
        let until = std::time::Instant::now() + limit;
        loop {
            let outcome = self.receive(buffer)?;
            let left = until.saturating_duration_since(std::time::Instant::now());
            if !matches!(outcome, Packet::Empty) || left.is_zero() {
                return Ok(outcome);
            }
            poll::wait(&[self.as_fd()], Some(left))?;
        }
    }

    fn packet(&self, buffer: &mut [u8]) -> nix::Result<(usize, Vec<OwnedFd>)> {
        let mut space = nix::cmsg_space!([RawFd; DESCRIPTORS_LIMIT]);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let packet = recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let mut fds = Vec::new();
        for message in packet.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = message {
                // SAFETY: the kernel has just made these descriptors for us, and nobody else knows their numbers.
                fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        Ok((packet.bytes, fds))
    }
}

impl AsFd for PacketEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn descriptors_arrive_in_their_order_and_work() {
        let (one, other) = pair().unwrap();
        let (mut first, second) = UnixStream::pair().unwrap();
        let null = File::open("/dev/null").unwrap();
        one.send(b"two of them", &[second.as_fd(), null.as_fd()]).unwrap();
        drop(second);
        let mut buffer = [0; 64];
        let Packet::Bytes(11, mut fds) = other.receive(&mut buffer).unwrap() else { panic!("no packet") };
        assert_eq!(fds.len(), 2);
        File::from(fds.remove(0)).write_all(b"line").unwrap();
        let mut line = [0; 4];
        first.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"line");
    }

    #[test]
    fn the_end_is_told_from_nothing() {
        let (one, other) = pair().unwrap();
        assert!(matches!(other.receive(&mut [0; 8]).unwrap(), Packet::Empty));
        assert!(matches!(other.receive_within(Duration::from_millis(5), &mut [0; 8]).unwrap(), Packet::Empty));
        drop(one);
        assert!(matches!(other.receive(&mut [0; 8]).unwrap(), Packet::Closed));
        assert_eq!(other.send(b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn last_words_of_one_who_did_not_listen_are_heard() {
        let (one, other) = pair().unwrap();
        one.send(b"unread", &[]).unwrap();
        other.send(b"last words", &[]).unwrap();
        drop(other);
        let mut buffer = [0; 16];
        assert!(matches!(one.receive(&mut buffer).unwrap(), Packet::Bytes(10, _)));
        assert!(matches!(one.receive(&mut buffer).unwrap(), Packet::Closed));
    }

    #[test]
    fn what_an_exec_did_not_leave_is_refused() {
        let null = File::open("/dev/null").unwrap();
        let number = null.as_fd().try_clone_to_owned().map(std::os::fd::IntoRawFd::into_raw_fd).unwrap();
        assert_eq!(PacketEnd::from_exec(number).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        for number in [-1, 0, 1_000_000] {
            assert_eq!(PacketEnd::from_exec(number).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{number}");
        }
    }
}
