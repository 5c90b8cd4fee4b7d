//! The death of a worker: its own connections end, nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::client::head;
use crate::common::{Client, Server, processes, until};

fn kill_worker(worker: u32) {
    kill(Pid::from_raw(worker.try_into().unwrap()), Signal::SIGKILL).unwrap();
}

#[test]
fn killed_worker_takes_its_own_connections_and_no_others() {
    const CLIENTS: usize = 64;
    let server = Server::start();
    let workers = server.workers();
    let address = server.address();
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let mut client = Client::connect(address);
            std::thread::spawn(move || {
                let mut served = 0;
                while !stop.load(Ordering::Relaxed) {
                    if !ask(&mut client) {
                        return false;
                    }
                    served += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                assert!(served > 0, "whoever was let in was served");
                true
            })
        })
        .collect();
    until("the load runs", || answered.load(Ordering::Relaxed) > 20 * CLIENTS as u64);
    let stats = server.stats();
    let before = stats["requests"].as_u64().unwrap();
    let shares = [Server::connections_of(&stats, workers[0]), Server::connections_of(&stats, workers[1])];
    let least = CLIENTS as u64 * 2 / 5;
    assert!(shares.iter().all(|share| *share > least), "each has at least two fifths: {shares:?}");
    // The asker's own connection is one of them, and gone by now.
    kill_worker(workers[0]);
    until("a new worker is there", || {
        let now = server.workers();
        now.len() == 2 && now.contains(&workers[1]) && !now.contains(&workers[0])
    });
    let now = answered.load(Ordering::Relaxed);
    until("the others are served on", || answered.load(Ordering::Relaxed) > now + 10 * CLIENTS as u64);
    stop.store(true, Ordering::Relaxed);
    let ended = clients.into_iter().filter_map(|client| client.join().ok()).filter(|lived| !lived).count() as u64;
    assert!(ended == shares[0] || ended + 1 == shares[0], "{ended} connections ended, the dead worker had {shares:?}");
    assert!(server.stats()["requests"].as_u64().unwrap() > before, "the counters live on");
}

/// One request; `false` when the connection ended instead.
fn ask(client: &mut Client) -> bool {
    if client.try_send(head("GET", "/hello.txt", &[], b"")).is_err() {
        return false;
    }
    let mut byte = [0];
    match client.stream().peek(&mut byte) {
        Ok(0) | Err(_) => false,
        Ok(_) => {
            assert_eq!(client.reply("GET").text(), "hello, world\n");
            true
        }
    }
}

/// Whom no worker has taken yet waits at the socket, which is the supervisor's, too.
#[test]
fn connections_that_wait_outlive_all_workers() {
    let server = Server::start();
    let old = server.workers();
    for worker in &old {
        kill(Pid::from_raw(worker.cast_signed()), Signal::SIGSTOP).unwrap();
        until("it stands still", || processes::status(*worker)["State"].starts_with('T'));
    }
    let mut waiting: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        // Some have asked already, some have not.
        if number % 2 == 0 {
            client.send(head("GET", "/hello.txt", &[], b""));
        }
    }
    old.iter().for_each(|worker| kill_worker(*worker));
    for (number, client) in waiting.iter_mut().enumerate() {
        if number % 2 != 0 {
            client.send(head("GET", "/hello.txt", &[], b""));
        }
        assert_eq!(client.reply("GET").text(), "hello, world\n");
    }
    assert_eq!(server.stats()["deaths"], 2);
}

#[test]
fn all_workers_may_die_and_nobody_is_refused() {
    let server = Server::start();
    for _ in 0..5 {
        let old = server.workers();
        let before = server.stats()["requests"].as_u64().unwrap();
        old.iter().for_each(|worker| kill_worker(*worker));
        // The socket stays open: who connects now waits for the next worker.
        assert_eq!(server.connect().get("/hello.txt").status, 200);
        assert!(server.stats()["requests"].as_u64().unwrap() >= before, "the counters live on");
        until("there are two again", || {
            let now = server.workers();
            now.len() == 2 && !now.iter().any(|worker| old.contains(worker) || !processes::lives(*worker))
        });
    }
}
