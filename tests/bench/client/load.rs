//! Load: one thread asks on many connections, each again as soon as it has its answer, or so many times a second.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::{PATIENCE, parse_head};

/// Without an answer for so long there is something wrong with the server.
const SILENCE_MS: u16 = 20_000;
/// What is due is looked at so often.
const TICK: Duration = Duration::from_millis(1);

/// What is asked, and what must come back.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// One of these at random.
    pub(crate) requests: Vec<Vec<u8>>,
    /// How many requests one of them is.
    pub(crate) pipelined: usize,
    pub(crate) statuses: &'static [u16],
    /// The content of each answer, in bytes; none: whatever it says.
    pub(crate) length: Option<usize>,
}

/// What was answered.
pub(crate) struct Answers {
    pub(crate) count: f64,
    pub(crate) seconds: f64,
    microseconds: Vec<f64>,
}

impl Answers {
    /// What only one of a hundred answers exceeded, in milliseconds.
    pub(crate) fn p99_ms(&mut self) -> f64 {
        self.microseconds.sort_by(f64::total_cmp);
        let place = (self.microseconds.len() * 99 / 100).min(self.microseconds.len() - 1);
        self.microseconds[place] / 1000.0
    }
}

/// A client with its connections.
pub(crate) struct Load<'a> {
    address: SocketAddr,
    plan: &'a Plan,
    epoll: Epoll,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    dice: u64,
}

struct Connection {
    stream: TcpStream,
    /// Answers that have not come yet.
    awaited: usize,
    /// Bytes of the present answer's content that have not come yet.
    content: usize,
    /// The beginning of a head whose end has not come yet.
    head: Vec<u8>,
    since: Instant,
    closes: bool,
}

impl<'a> Load<'a> {
    pub(crate) fn connect(address: SocketAddr, connections: usize, plan: &'a Plan) -> Self {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
        let mut load = Self { address, plan, epoll, connections: Vec::new(), buffer: vec![0; 256 << 10], dice: 88_172 };
        for index in 0..connections {
            let connection = load.open(index);
            load.connections.push(connection);
        }
        load
    }

    /// Every connection asks again as soon as it has its answer. All that was asked is answered when this returns.
    pub(crate) fn run(&mut self, time: Duration) -> Answers {
        let begin = Instant::now();
        let mut answers = Answers { count: 0.0, seconds: 0.0, microseconds: Vec::new() };
        let mut busy = self.connections.len();
        for index in 0..busy {
            self.send(index, Instant::now());
        }
        let mut events = [EpollEvent::empty(); 128];
        while busy > 0 {
            let count = self.epoll.wait(&mut events, SILENCE_MS).unwrap_or(0);
            assert!(count > 0, "no answer for a long time, with {busy} requests under way");
            for event in &events[..count] {
                let index = index_of(event);
                if self.receive(index, &mut answers) {
                    let now = Instant::now();
                    if now < begin + time {
                        self.send(index, now);
                    } else {
                        busy -= 1;
                    }
                }
            }
        }
        answers.seconds = begin.elapsed().as_secs_f64();
        answers
    }

    /// So many requests fall due in every millisecond, whether the server keeps up or not. One that finds no free
    /// connection waits for it, and that counts as its time.
    pub(crate) fn run_paced(&mut self, time: Duration, a_tick: usize) -> Answers {
        let begin = Instant::now();
        let mut answers = Answers { count: 0.0, seconds: 0.0, microseconds: Vec::new() };
        let mut free: Vec<usize> = (0..self.connections.len()).collect();
        let mut due: VecDeque<Instant> = VecDeque::new();
        let mut next = begin;
        let mut events = [EpollEvent::empty(); 128];
        while next < begin + time || free.len() < self.connections.len() || !due.is_empty() {
            let now = Instant::now();
            while next <= now && next < begin + time {
                for _ in 0..a_tick {
                    match free.pop() {
                        Some(index) => self.send(index, now),
                        None => due.push_back(next),
                    }
                }
                next += TICK;
            }
            let count = self.epoll.wait(&mut events, 1_u16).unwrap_or(0);
            for event in &events[..count] {
                let index = index_of(event);
                if self.receive(index, &mut answers) {
                    match due.pop_front() {
                        Some(since) => self.send(index, since),
                        None => free.push(index),
                    }
                }
            }
            assert!(begin.elapsed() < time + PATIENCE, "no answer for a long time");
        }
        answers.seconds = begin.elapsed().as_secs_f64();
        answers
    }

    fn open(&self, index: usize) -> Connection {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_nonblocking(true).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(index).expect("an index"));
        self.epoll.add(&stream, event).expect("it is added");
        Connection { stream, awaited: 0, content: 0, head: Vec::new(), since: Instant::now(), closes: false }
    }

    fn send(&mut self, index: usize, since: Instant) {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let choice = self.dice % u64::try_from(self.plan.requests.len()).expect("a number");
        let request = &self.plan.requests[usize::try_from(choice).expect("an index")];
        let connection = &mut self.connections[index];
        (connection.since, connection.awaited) = (since, self.plan.pipelined);
        if connection.stream.write_all(request).is_err() {
            // The server has just closed it, as it may between two requests.
            self.connections[index] = self.open(index);
            let connection = &mut self.connections[index];
            (connection.since, connection.awaited) = (since, self.plan.pipelined);
            connection.stream.write_all(request).expect("a new connection takes a request");
        }
    }

    /// Reads what is there; says whether the last answer that was awaited is complete.
    fn receive(&mut self, index: usize, answers: &mut Answers) -> bool {
        let connection = &mut self.connections[index];
        let length = match connection.stream.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Ok(0) | Err(_) => return self.replace(index),
            Ok(length) => length,
        };
        let before = connection.awaited;
        connection.take(&self.buffer[..length], self.plan);
        for _ in connection.awaited..before {
            answers.count += 1.0;
            answers.microseconds.push(connection.since.elapsed().as_secs_f64() * 1e6);
        }
        let is_done = before > 0 && connection.awaited == 0;
        if connection.closes && connection.content == 0 {
            return self.replace(index) || is_done;
        }
        is_done
    }

    /// The server has closed it, or is about to: a new one takes its place, and asks what was left unanswered.
    fn replace(&mut self, index: usize) -> bool {
        let (awaited, since) = (self.connections[index].awaited, self.connections[index].since);
        self.connections[index] = self.open(index);
        if awaited > 0 {
            self.send(index, since);
        }
        false
    }
}

impl Connection {
    /// Counts off the answers that are complete with these bytes.
    fn take(&mut self, mut bytes: &[u8], plan: &Plan) {
        if !self.head.is_empty() {
            let mut joined = std::mem::take(&mut self.head);
            joined.extend_from_slice(bytes);
            return self.take(&joined, plan);
        }
        while !bytes.is_empty() {
            if self.content == 0 {
                let Some(head) = parse_head(bytes) else {
                    self.head = bytes.to_vec();
                    return;
                };
                assert!(plan.statuses.contains(&head.status), "answered {}, not {:?}", head.status, plan.statuses);
                assert!(plan.length.is_none_or(|length| length == head.length), "answered {} bytes", head.length);
                (self.content, self.closes) = (head.length, head.closes);
                bytes = &bytes[head.bytes..];
            }
            let piece = self.content.min(bytes.len());
            self.content -= piece;
            bytes = &bytes[piece..];
            if self.content == 0 {
                self.awaited = self.awaited.checked_sub(1).expect("an answer that was asked for");
            }
        }
    }
}

fn index_of(event: &EpollEvent) -> usize {
    usize::try_from(event.data()).expect("an index")
}
