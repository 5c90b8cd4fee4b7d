//! Helper threads that have more to do than they can: whoever asks then is told so, before anything else.

use std::io;
use std::sync::{Arc, Mutex};

use super::connection::Token;
use super::desk::Desk;
use super::offload::Task;
use super::tests::{converse, desk, site};
use crate::message::{BodySource, Progress};
use crate::sys::epoll::Epoll;

/// Piece work that waits at a gate.
struct Gated(Arc<Mutex<()>>);

impl BodySource for Gated {
    fn fill(&mut self, _out: &mut Vec<u8>) -> io::Result<Progress> {
        drop(self.0.lock());
        Ok(Progress::End)
    }
}

/// Hands work to the helper threads until they take no more; how much they took.
fn fill_queue(desk: &Desk, gate: &Arc<Mutex<()>>) -> usize {
    let nobody = Token { key: u32::MAX, serial: 0 };
    let submit = || desk.offload.submit(nobody, Task::Piece(Box::new(Gated(Arc::clone(gate)))));
    let mut taken = 0;
    let mut refused = 0;
    // A thread that has just been started may still take one out of a full queue.
    while refused < 100 {
        if submit() {
            (taken, refused) = (taken + 1, 0);
        } else {
            refused += 1;
            std::thread::yield_now();
        }
    }
    taken
}

#[test]
fn a_body_that_nobody_can_make_is_503_before_its_head_is_out() {
    let root = site();
    let mut desk = desk(root.path());
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    let taken = fill_queue(&desk, &gate);
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
    let ask = |desk: &mut Desk, target| {
        let both = get(target) + &get("/small.txt");
        String::from_utf8_lossy(&converse(desk, &[both.as_bytes()], usize::MAX)).into_owned()
    };
    const GENERATED: [&str; 3] = ["/perlin?seed=1&format=text", "/folder/", "/perlin?seed=1&format=png"];
    for target in GENERATED {
        let answer = ask(&mut desk, target);
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{target}: {answer}");
        assert!(answer.contains("\r\nRetry-After: 1\r\n") && answer.contains("problem+json"), "{target}: {answer}");
        assert!(answer.ends_with("\r\n\r\nsmall\n"), "{target}: the connection goes on: {answer}");
    }
    let head =
        String::from_utf8(converse(&mut desk, &[get(GENERATED[0]).replace("GET", "HEAD").as_bytes()], 9)).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "a head needs no helper thread: {head}");
    drop(closed);
    await_outcomes(&desk, taken);
    for target in GENERATED {
        assert!(ask(&mut desk, target).starts_with("HTTP/1.1 200 OK\r\n"), "{target}: there is room again");
    }
}

fn await_outcomes(desk: &Desk, mut left: usize) {
    let mut epoll = Epoll::new().unwrap();
    epoll.add_input(desk.offload.waker(), 0).unwrap();
    while left > 0 {
        epoll.wait(Some(1000)).unwrap();
        desk.offload.waker().clear();
        while desk.offload.next_outcome().is_some() {
            left -= 1;
        }
    }
}
