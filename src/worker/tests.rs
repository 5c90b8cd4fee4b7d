//! The state machine without sockets: a client that is written down, and what it gets.
//! The split law: the same bytes in any pieces give the same answers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::connection::{Connection, Flow, State, Step, Token};
use super::desk::Desk;
use super::offload::{Offload, Outcome, Pools};
use super::transport::{Transferred, Transport};
use crate::config::{AccessRule, AccessRules, Config, Durability, Verb, Verbs};
use crate::content::{MediaTypes, Now};
use crate::log::{LatestLogs, Logs};
use crate::stats::Boards;
use crate::sys::epoll::{Epoll, Event};
use crate::sys::file::open_root;
use crate::sys::watcher::Watcher;

/// A client: pieces that arrive one by one, the end of the stream, and everything that was sent to it.
pub(super) struct Script {
    pieces: RefCell<VecDeque<Vec<u8>>>,
    sent: RefCell<Vec<u8>>,
    /// How many bytes one call takes, so that short sends happen too.
    send_limit: usize,
    file: File,
}

impl Script {
    pub(super) fn new(pieces: &[&[u8]], send_limit: usize) -> Self {
        let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect();
        // Room enough, so that who counts allocations counts none of the client's.
        let sent = RefCell::new(Vec::with_capacity(64 * 1024));
        Self { pieces: RefCell::new(pieces), sent, send_limit, file: tempfile::tempfile().unwrap() }
    }

    /// All that was sent to the client up to now.
    pub(super) fn sent(&self) -> Vec<u8> {
        self.sent.take()
    }

    pub(super) fn receive(&self, room: &mut [u8]) -> Transferred {
        let mut pieces = self.pieces.borrow_mut();
        let Some(piece) = pieces.front_mut() else { return Transferred::End };
        let count = piece.len().min(room.len());
        room[..count].copy_from_slice(&piece[..count]);
        piece.drain(..count);
        if piece.is_empty() {
            pieces.pop_front();
        }
        Transferred::Bytes(count)
    }

    pub(super) fn send(&self, bytes: &[u8]) -> Transferred {
        let count = bytes.len().min(self.send_limit);
        self.sent.borrow_mut().extend_from_slice(&bytes[..count]);
        Transferred::Bytes(count)
    }

    pub(super) fn send_file(&self, file: &File, offset: u64, count: usize) -> Transferred {
        let mut bytes = vec![0; count.min(self.send_limit)];
        match file.read_at(&mut bytes, offset).unwrap() {
            0 => Transferred::End,
            count => self.send(&bytes[..count]),
        }
    }
}

impl AsFd for Script {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

pub(super) fn desk(root: &Path) -> Desk {
    let mut config = Config::quick(true, false);
    let all = [Verb::List, Verb::Read, Verb::Create, Verb::Replace, Verb::Delete];
    let allow = all.into_iter().fold(Verbs::NONE, Verbs::with);
    config.sites.default.access =
        AccessRules::new(vec![AccessRule { path: "/".into(), allow, ..AccessRule::default() }]);
    config.sites.default.root = root.to_owned();
    config.uploads.durability = Durability::None;
    config.limits.head_bytes = 2048;
    config.limits.target_bytes = 512;
    desk_of(config)
}

/// The desk of a worker that serves this configuration, in a year in which no file is young.
pub(super) fn desk_of(config: Config) -> Desk {
    let now = Now { unix_seconds: 4_000_000_000, nanoseconds: 0 };
    let roots = Arc::new(config.sites.try_map(|site| open_root(&site.root)).unwrap());
    let boards = Boards { started: 0, service: Box::leak(Box::default()), seal: String::new(), slots: Vec::new() };
    let logs = Logs::open(&config.log).unwrap();
    let offload = Offload::start(Pools { content: true, verifying: true }).unwrap();
    let mut desk =
        Desk::new(Arc::new(config), roots, boards, MediaTypes::default(), offload, LatestLogs::new(logs), now).unwrap();
    desk.cache.hear_from(Watcher::new().ok());
    // Small, so that the files of a test take several turns.
    desk.turn_bytes = 1000;
    desk
}

/// Lets a client have its conversation to the end; what was sent to it.
pub(super) fn converse(desk: &mut Desk, pieces: &[&[u8]], send_limit: usize) -> Vec<u8> {
    let token = Token { key: 0, serial: 1 };
    let transport = Transport::Script(Box::new(Script::new(pieces, send_limit)));
    let mut connection = Connection::new(transport, State::RecvHead, token, desk);
    let mut buffer = vec![0; 64 * 1024];
    let mut epoll = Epoll::new().unwrap();
    epoll.add_input(desk.offload.waker(), 0).unwrap();
    let anything = Event { token: 0, readable: true, writable: true, hung_up: false, broken: false };
    for _ in 0..100_000 {
        connection.note(anything);
        if let Step::Close(_) = connection.process(&mut buffer, desk) {
            let Transport::Script(script) = &connection.transport else { unreachable!() };
            return script.sent();
        }
        while connection.awaits_job() {
            epoll.wait(Some(1000)).unwrap();
            desk.offload.waker().clear();
            while let Some((_, outcome)) = desk.offload.next_outcome() {
                if let Outcome::Verdict { verdict, .. } = outcome {
                    assert_eq!(desk.verdicts.settle(verdict, desk.monotonic_ms), [token]);
                    connection.read_again(desk);
                    continue;
                }
                let flow = connection.take_outcome(outcome, desk);
                assert!(!matches!(flow, Flow::Close(_)), "a helper thread failed");
            }
        }
    }
    panic!("the conversation has no end");
}

pub(super) fn site() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("small.txt"), "small\n").unwrap();
    std::fs::write(root.path().join("large.bin"), vec![b'x'; 300_000]).unwrap();
    let lines: String = (0..200).map(|number| format!("line {number:03}\n")).collect();
    std::fs::write(root.path().join("middle.txt"), lines).unwrap();
    std::fs::create_dir(root.path().join("folder")).unwrap();
    // Time stamps of this moment would make every tag weak.
    for name in ["small.txt", "middle.txt", "large.bin"] {
        let file = File::options().write(true).open(root.path().join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    }
    root
}

/// Conversations whose answers do not depend on when they are held.
const CONVERSATIONS: [&str; 17] = [
    "GET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /small.txt HTTP/1.0\r\n\r\n",
    "\r\nGET /small.txt HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n\
     GET /folder HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=100-2000,-5,5000-5900\r\n\r\nGET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /middle.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1,500-501\r\n\r\nGET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\nWant-Repr-Digest: sha-256=1\r\nWant-Content-Digest: sha-512=1\r\n\r\n\
     GET /small.txt HTTP/1.1\r\nHost: a\r\nWant-Repr-Digest: sha-256=1\r\n\r\n",
    "GET /large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=100-70000\r\n\r\nGET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello\
     POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Type: x/y\r\nTransfer-Encoding: chunked\r\n\r\n\
     3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: dropped\r\n\r\nGET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /small.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nnothingGET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    "PUT /.hidden HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /sha256/small.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    "PUT /folder/f HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcDELETE /folder/f HTTP/1.1\r\nHost: a\r\n\r\n\
     PUT /folder/f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZ\r\n",
    "GET /perlin?seed=1&width=20&height=5&format=text HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /perlin?seed=1&width=20&height=20&format=png HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "GET /small.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /small.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
];

#[test]
fn the_same_bytes_in_any_pieces_give_the_same_answers() {
    let root = site();
    let mut desk = desk(root.path());
    for conversation in CONVERSATIONS {
        let bytes = conversation.as_bytes();
        // The first time fills the cache and uses up what only a first request can be told.
        let reset = || drop(std::fs::remove_file(root.path().join("folder/f")));
        reset();
        let whole = converse(&mut desk, &[bytes], usize::MAX);
        assert!(whole.starts_with(b"HTTP/1.1 "), "{conversation}");
        let comparable = |answer: &[u8]| without_tags_of_uploads(&String::from_utf8_lossy(answer));
        for split in 0..bytes.len() {
            reset();
            let (first, second) = bytes.split_at(split);
            let answer = converse(&mut desk, &[first, second], usize::MAX);
            assert_eq!(comparable(&answer), comparable(&whole), "split at {split}: {conversation}");
        }
        reset();
        let drops: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(comparable(&converse(&mut desk, &drops, 1)), comparable(&whole), "byte by byte: {conversation}");
    }
}

/// Two uploads of the same bytes are two files, with a tag each.
fn without_tags_of_uploads(answer: &str) -> String {
    let is_upload = |block: &str| block.contains("201 Created");
    answer
        .split("\r\n\r\n")
        .map(|block| {
            let lines = block.split("\r\n").filter(|line| !is_upload(block) || !line.starts_with("ETag: "));
            lines.collect::<Vec<_>>().join("\r\n")
        })
        .collect::<Vec<_>>()
        .join("\r\n\r\n")
}

#[test]
fn an_upload_that_ends_early_leaves_nothing() {
    let root = site();
    let mut desk = desk(root.path());
    for framing in ["Content-Length: 10\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"] {
        let upload = format!("PUT /small.txt HTTP/1.1\r\nHost: a\r\n{framing}");
        converse(&mut desk, &[upload.as_bytes()], usize::MAX);
        assert_eq!(std::fs::read_to_string(root.path().join("small.txt")).unwrap(), "small\n");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 4);
    }
}

#[test]
fn continue_comes_after_the_checks_and_before_the_content() {
    let root = site();
    let mut desk = desk(root.path());
    let head = "PUT /f HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    let answer = converse(&mut desk, &[head.as_bytes(), b"abc"], usize::MAX);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"), "{answer}");

    let refused = head.replace("/f ", "/.f ");
    let answer = String::from_utf8(converse(&mut desk, &[refused.as_bytes()], usize::MAX)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n") && answer.contains("Connection: close"), "{answer}");
}

#[test]
fn an_empty_upload_makes_an_empty_file() {
    let root = site();
    let mut desk = desk(root.path());
    let upload = b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let answer = converse(&mut desk, &[upload], usize::MAX);
    assert!(answer.starts_with(b"HTTP/1.1 201 Created"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(std::fs::read(root.path().join("a")).unwrap(), b"");
}

#[test]
fn too_long_a_content_is_refused_before_it_is_asked_for() {
    let root = site();
    let mut desk = desk(root.path());
    Arc::get_mut(&mut desk.config).unwrap().limits.body_bytes = 5;
    for target in ["PUT /f", "POST /sha256"] {
        let head = format!("{target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n");
        let answer = String::from_utf8(converse(&mut desk, &[head.as_bytes()], usize::MAX)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("Connection: close"), "{answer}");
    }
}

#[test]
fn content_that_nobody_takes_does_not_change_the_answer() {
    let root = site();
    let mut desk = desk(root.path());
    let long = "x".repeat(2_000_000);
    for (target, status) in [("GET /small.txt", "200 OK"), ("PUT /.hidden", "404 Not Found")] {
        let request = format!(
            "{target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
            long.len()
        );
        let answer = String::from_utf8(converse(&mut desk, &[request.as_bytes()], usize::MAX)).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{target}: {answer}");
        assert!(answer.contains("Connection: close"), "{target}: {answer}");
    }
}
