//! The line between the supervisor and one worker: orders go down, one report comes up.
//! Process: both ends. Trusts: the supervisor's end nothing, the worker's end its supervisor. Blocks: never.
//! A packet is one message (SOCK_SEQPACKET), so none can be half read; descriptors ride along (unix(7), SCM_RIGHTS).
#![allow(unsafe_code, reason = "received descriptors come as plain numbers")]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv, recvmsg, send, sendmsg,
    socketpair,
};

/// The supervisor's end.
#[derive(Debug)]
pub struct SupervisorEnd(OwnedFd);

/// The worker's end.
#[derive(Debug)]
pub struct WorkerEnd(OwnedFd);

/// What the supervisor wants of a worker.
#[derive(Debug)]
pub enum Order {
    /// Leave the listening sockets, finish every request, keep idle connections until they speak, then end; all
    /// within `timeouts.drain`.
    Drain,
    /// The same within `timeouts.quit`.
    Quit,
    /// Leave the listening sockets, close idle connections, finish what has begun, then end.
    Stop,
    /// Look for what dead workers left behind.
    Sweep,
    /// Log to these from now on; they are as `Logs::fds` gave them.
    Logs(Vec<OwnedFd>),
}

/// What a look at the worker's end gave.
#[derive(Debug)]
pub enum Received {
    /// An order.
    Order(Order),
    /// Nothing yet.
    Empty,
    /// The supervisor is gone.
    Closed,
}

/// What a worker says, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It is sealed and accepts connections; in words, what the seal enforces.
    Ready(String),
}

const DRAIN: u8 = b'D';
const STOP: u8 = b'S';
const QUIT: u8 = b'Q';
const SWEEP: u8 = b'W';
const LOGS: u8 = b'L';
const READY: u8 = b'R';

/// A report in bytes: the letter and a line of words. A longer one is cut.
const REPORT_LIMIT_BYTES: usize = 1024;
/// Descriptors of an order: one a log, of which there are two; room for what may come.
const DESCRIPTORS_LIMIT: usize = 8;

/// A new line.
///
/// # Errors
/// As socketpair(2).
pub fn pair() -> io::Result<(SupervisorEnd, WorkerEnd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (supervisor, worker) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    Ok((SupervisorEnd(supervisor), WorkerEnd(worker)))
}

impl SupervisorEnd {
    /// Orders the worker to drain.
    ///
    /// # Errors
    /// As send(2): EPIPE when the worker is gone, EAGAIN when it has not read its orders for long.
    pub fn drain(&self) -> io::Result<()> {
        self.order(DRAIN, &[])
    }

    /// Orders the worker to stop.
    ///
    /// # Errors
    /// As for `drain`.
    pub fn stop(&self) -> io::Result<()> {
        self.order(STOP, &[])
    }

    /// Orders the worker to drain with all the time that requests need.
    ///
    /// # Errors
    /// As for `drain`.
    pub fn quit(&self) -> io::Result<()> {
        self.order(QUIT, &[])
    }

    /// Orders the worker to look for what dead workers left behind.
    ///
    /// # Errors
    /// As for `drain`.
    pub fn sweep(&self) -> io::Result<()> {
        self.order(SWEEP, &[])
    }

    /// Hands the worker newly opened logs.
    ///
    /// # Errors
    /// As for `drain`.
    pub fn logs(&self, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.order(LOGS, fds)
    }

    fn order(&self, letter: u8, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let messages = if raw.is_empty() { &[][..] } else { &rights[..] };
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(&[letter])], messages, flags, None)?;
        Ok(())
    }

    /// What the worker said, if it has. What makes no sense is passed over, control characters in its words are
    /// replaced (they go to a log), and descriptors that it tries to send are closed by the kernel unseen.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let mut bytes = [0; REPORT_LIMIT_BYTES];
        loop {
            let count = match recv(self.0.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return None,
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(_) => return None,
            };
            if let Some((&READY, words)) = bytes.get(..count).and_then(|bytes| bytes.split_first()) {
                let clean = |c: char| if c.is_control() { '?' } else { c };
                return Some(Report::Ready(String::from_utf8_lossy(words).chars().map(clean).collect()));
            }
        }
    }
}

impl AsFd for SupervisorEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl WorkerEnd {
    /// Tells the supervisor that this worker is sealed and accepts connections, and what the seal enforces.
    ///
    /// # Errors
    /// As send(2).
    pub fn say_ready(&self, seal: &str) -> io::Result<()> {
        let mut report = vec![READY];
        report.extend(seal.bytes().take(REPORT_LIMIT_BYTES - 1));
        send(self.0.as_raw_fd(), &report, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }

    /// The next order.
    ///
    /// # Errors
    /// `InvalidData` for an order that this version doesn't know; else as recvmsg(2).
    pub fn receive(&self) -> io::Result<Received> {
        let mut letter = [0];
        let (count, fds) = loop {
            match self.packet(&mut letter) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(Received::Empty),
                // A reset is an end too: the supervisor died with a report unread.
                Err(Errno::ECONNRESET) => return Ok(Received::Closed),
                outcome => break outcome?,
            }
        };
        match (count, letter) {
            (0, _) => Ok(Received::Closed),
            (_, [DRAIN]) => Ok(Received::Order(Order::Drain)),
            (_, [STOP]) => Ok(Received::Order(Order::Stop)),
            (_, [QUIT]) => Ok(Received::Order(Order::Quit)),
            (_, [SWEEP]) => Ok(Received::Order(Order::Sweep)),
            (_, [LOGS]) => Ok(Received::Order(Order::Logs(fds))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn packet(&self, letter: &mut [u8; 1]) -> nix::Result<(usize, Vec<OwnedFd>)> {
        let mut space = nix::cmsg_space!([std::os::fd::RawFd; DESCRIPTORS_LIMIT]);
        let mut parts = [IoSliceMut::new(letter)];
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

impl AsFd for WorkerEnd {
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

    fn order(worker: &WorkerEnd) -> Order {
        match worker.receive().unwrap() {
            Received::Order(order) => order,
            Received::Empty | Received::Closed => panic!("no order"),
        }
    }

    #[test]
    fn orders_arrive_one_by_one_and_then_nothing_and_then_the_end() {
        let (supervisor, worker) = pair().unwrap();
        supervisor.drain().unwrap();
        supervisor.stop().unwrap();
        supervisor.quit().unwrap();
        supervisor.sweep().unwrap();
        assert!(matches!(order(&worker), Order::Drain));
        assert!(matches!(order(&worker), Order::Stop));
        assert!(matches!(order(&worker), Order::Quit));
        assert!(matches!(order(&worker), Order::Sweep));
        assert!(matches!(worker.receive().unwrap(), Received::Empty));
        drop(supervisor);
        assert!(matches!(worker.receive().unwrap(), Received::Closed));
    }

    #[test]
    fn descriptors_arrive_in_their_order_and_work() {
        let (supervisor, worker) = pair().unwrap();
        let (mut first, second) = UnixStream::pair().unwrap();
        let null = File::open("/dev/null").unwrap();
        supervisor.logs(&[second.as_fd(), null.as_fd()]).unwrap();
        drop(second);
        let Order::Logs(mut fds) = order(&worker) else { panic!("no logs") };
        assert_eq!(fds.len(), 2);
        File::from(fds.remove(0)).write_all(b"line").unwrap();
        let mut line = [0; 4];
        first.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"line");
    }

    #[test]
    fn logs_may_be_none() {
        let (supervisor, worker) = pair().unwrap();
        supervisor.logs(&[]).unwrap();
        assert!(matches!(order(&worker), Order::Logs(fds) if fds.is_empty()));
    }

    #[test]
    fn report_passes_over_nonsense_and_is_cleaned() {
        let (supervisor, worker) = pair().unwrap();
        assert_eq!(supervisor.report(), None);
        send(worker.0.as_raw_fd(), b"what?", MsgFlags::empty()).unwrap();
        worker.say_ready("landlock\nfileserv: forged line").unwrap();
        assert_eq!(supervisor.report(), Some(Report::Ready("landlock?fileserv: forged line".into())));
        worker.say_ready(&"x".repeat(5000)).unwrap();
        assert_eq!(supervisor.report(), Some(Report::Ready("x".repeat(REPORT_LIMIT_BYTES - 1))));
        drop(worker);
        assert_eq!(supervisor.report(), None);
        assert!(supervisor.stop().is_err());
    }

    #[test]
    fn worker_that_reads_no_orders_does_not_block_the_supervisor() {
        let (supervisor, _worker) = pair().unwrap();
        let refused = (0..100_000).find_map(|_| supervisor.drain().err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }
}
