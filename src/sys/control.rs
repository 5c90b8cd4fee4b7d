//! The line between the supervisor and one worker: orders go down, one report comes up.
//! Process: both ends. Trusts: the supervisor's end nothing, the worker's end its supervisor. Blocks: never.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::packet::{self, Packet, PacketEnd};

/// The supervisor's end.
#[derive(Debug)]
pub struct SupervisorEnd(PacketEnd);

/// The worker's end.
#[derive(Debug)]
pub struct WorkerEnd(PacketEnd);

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

/// A new line.
///
/// # Errors
/// As socketpair(2).
pub fn pair() -> io::Result<(SupervisorEnd, WorkerEnd)> {
    let (supervisor, worker) = packet::pair()?;
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
        self.0.send(&[letter], fds)
    }

    /// What the worker said, if it has. What makes no sense is passed over, control characters in its words are
    /// replaced (they go to a log), and descriptors that it tries to send are closed by the kernel unseen.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let mut bytes = [0; REPORT_LIMIT_BYTES];
        loop {
            let count = match recv(self.0.as_fd().as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
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
        self.0.send(&report, &[])
    }

    /// The next order.
    ///
    /// # Errors
    /// `InvalidData` for an order that this version doesn't know; else as recvmsg(2).
    pub fn receive(&self) -> io::Result<Received> {
        let mut letter = [0];
        let fds = match self.0.receive(&mut letter)? {
            Packet::Bytes(_, fds) => fds,
            Packet::Empty => return Ok(Received::Empty),
            Packet::Closed => return Ok(Received::Closed),
        };
        match letter {
            [DRAIN] => Ok(Received::Order(Order::Drain)),
            [STOP] => Ok(Received::Order(Order::Stop)),
            [QUIT] => Ok(Received::Order(Order::Quit)),
            [SWEEP] => Ok(Received::Order(Order::Sweep)),
            [LOGS] => Ok(Received::Order(Order::Logs(fds))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
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
    fn logs_may_be_none() {
        let (supervisor, worker) = pair().unwrap();
        supervisor.logs(&[]).unwrap();
        assert!(matches!(order(&worker), Order::Logs(fds) if fds.is_empty()));
    }

    #[test]
    fn report_passes_over_nonsense_and_is_cleaned() {
        let (supervisor, worker) = pair().unwrap();
        assert_eq!(supervisor.report(), None);
        worker.0.send(b"what?", &[]).unwrap();
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
