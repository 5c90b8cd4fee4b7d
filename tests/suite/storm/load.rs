//! The load of a storm: clients that keep their connections, clients that connect anew, uploads, and several requests at once.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::client::{Reply, head};
use crate::common::{Client, Server, site, until};

/// Clients that keep their connections as long as they may.
pub(super) const KEPT: usize = 200;
/// Clients that connect anew for each request, of each kind.
pub(super) const NEW: usize = 4;
/// The pause of a kept client: a person that clicks fast.
const PAUSE: Duration = Duration::from_millis(60);

/// What all clients share.
pub(super) struct Load {
    address: SocketAddr,
    pub(super) stop: AtomicBool,
    pub(super) answered: AtomicU64,
    /// The targets that were answered.
    pub(super) targets: Mutex<Vec<String>>,
    /// Local ports of connections that broke in a request, and what the client saw.
    pub(super) broken: Mutex<Vec<(u16, String)>>,
    /// Is a broken connection a failure at once?
    is_strict: bool,
}

impl Load {
    pub(super) fn start(server: &Server, is_strict: bool) -> (Arc<Self>, Vec<std::thread::JoinHandle<()>>) {
        let load = Arc::new(Self {
            address: server.address(),
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            targets: Mutex::default(),
            broken: Mutex::default(),
            is_strict,
        });
        let spawn = |number: usize, life: fn(&Self, usize)| {
            let load = Arc::clone(&load);
            let thread = std::thread::Builder::new().stack_size(256 * 1024);
            thread.spawn(move || life(&load, number)).unwrap()
        };
        let mut clients: Vec<_> = (0..KEPT).map(|number| spawn(number, Self::keep)).collect();
        for number in 0..NEW {
            clients.push(spawn(1000 + number, Self::get));
            clients.push(spawn(2000 + number, Self::put));
            clients.push(spawn(3000 + number, Self::pipeline));
        }
        (load, clients)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// One exchange of several requests; `None` when the connection broke.
    fn exchange(&self, client: &mut Client, bytes: &[u8], requests: &[(&str, String)]) -> Option<Vec<(Vec<u8>, bool)>> {
        let port = client.stream().local_addr().unwrap().port();
        if self.is_strict {
            client.send(bytes);
            let replies = requests.iter().map(|(method, target)| self.note(client.reply(method), target));
            return Some(replies.collect());
        }
        let outcome: std::io::Result<_> = client.try_send(bytes).and_then(|()| {
            let reply = |(method, target): &(&str, String)| Ok(self.note(client.try_reply(method)?, target));
            requests.iter().map(reply).collect()
        });
        outcome.map_err(|error| self.broken.lock().unwrap().push((port, error.to_string()))).ok()
    }

    fn note(&self, reply: Reply, target: &str) -> (Vec<u8>, bool) {
        assert!(matches!(reply.status, 200 | 201 | 204), "{target}: {reply:?}");
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.targets.lock().unwrap().push(target.to_owned());
        let closes = reply.closes();
        (reply.body, closes)
    }

    fn keep(&self, number: usize) {
        let mut client = Client::connect(self.address);
        for count in 0.. {
            if !self.goes_on() {
                return;
            }
            let target = format!("/hello.txt?{number}-{count}");
            let bytes = head("GET", &target, &[], b"");
            match self.exchange(&mut client, bytes.as_bytes(), &[("GET", target)]) {
                Some(replies) => {
                    assert_eq!(replies[0].0, b"hello, world\n");
                    if replies[0].1 {
                        client = Client::connect(self.address);
                    }
                }
                None => client = Client::connect(self.address),
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn get(&self, number: usize) {
        for count in (0..).take_while(|_| self.goes_on()) {
            let target = format!("/large.bin?{number}-{count}");
            let bytes = head("GET", &target, &["Connection: close"], b"");
            let mut client = Client::connect(self.address);
            if let Some(replies) = self.exchange(&mut client, bytes.as_bytes(), &[("GET", target)]) {
                assert!(replies[0].0 == site::large());
                assert!(replies[0].1, "it was asked to close");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What was acknowledged is there, whole, whoever is asked.
    fn put(&self, number: usize) {
        // What was acknowledged or seen last, and what was sent since then without an answer: it was stored or not.
        let (mut possible, mut is_there) = (Vec::new(), false);
        for count in (0..).take_while(|_| self.goes_on()) {
            let content = format!("{number}-{count}\n").repeat(5000).into_bytes();
            let path = format!("/folder/up-{number}.txt");
            let target = format!("{path}?{count}");
            let mut bytes = head("PUT", &target, &[], &content).into_bytes();
            bytes.extend_from_slice(&content);
            if self.exchange(&mut Client::connect(self.address), &bytes, &[("PUT", target)]).is_some() {
                possible.clear();
                is_there = true;
            }
            possible.push(content);
            let target = format!("{path}?{count}-back");
            let bytes = head("GET", &target, &[], b"");
            let ask = || self.exchange(&mut Client::connect(self.address), bytes.as_bytes(), &[("GET", target)]);
            if let Some(mut replies) = is_there.then(ask).flatten() {
                let (back, _) = replies.remove(0);
                assert!(possible.contains(&back), "{path}: what was acknowledged is not there");
                possible = vec![back];
            }
        }
    }

    fn pipeline(&self, number: usize) {
        for count in (0..).take_while(|_| self.goes_on()) {
            let requests: Vec<_> = (0..5).map(|nth| ("GET", format!("/alphabet.txt?{number}-{count}-{nth}"))).collect();
            self.pipelined(requests);
            std::thread::sleep(PAUSE);
        }
    }

    /// A worker that drains says goodbye with one of the first replies and does not answer the rest: who sends several at
    /// once must be ready to send them again (RFC 9112 section 9.3.2).
    fn pipelined(&self, mut requests: Vec<(&'static str, String)>) {
        let last = |target: &str| if target.ends_with("-4") { vec!["Connection: close"] } else { Vec::new() };
        loop {
            let bytes: String = requests.iter().map(|(_, target)| head("GET", target, &last(target), b"")).collect();
            let mut client = Client::connect(self.address);
            let sent = client.try_send(&bytes);
            assert!(sent.is_ok() || !self.is_strict, "{sent:?}");
            while !requests.is_empty() {
                let reply = if self.is_strict { Ok(client.reply("GET")) } else { client.try_reply("GET") };
                let reply = match reply {
                    Ok(reply) => reply,
                    Err(error) => {
                        let port = client.stream().local_addr().unwrap().port();
                        return self.broken.lock().unwrap().push((port, error.to_string()));
                    }
                };
                let (body, closes) = self.note(reply, &requests[0].1);
                assert_eq!(body, b"abcdefghijklmnopqrstuvwxyz");
                requests.remove(0);
                if closes {
                    break;
                }
            }
            if requests.is_empty() {
                return;
            }
        }
    }

    pub(super) fn flows(&self) {
        let now = self.answered.load(Ordering::Relaxed);
        until("requests flow", || self.answered.load(Ordering::Relaxed) > now + 20);
    }

    /// Ends the load, and insists that no client has seen anything wrong.
    pub(super) fn end(&self, clients: Vec<std::thread::JoinHandle<()>>) {
        self.stop.store(true, Ordering::Relaxed);
        let failed = clients.into_iter().filter_map(|client| client.join().err()).count();
        assert_eq!(failed, 0, "no client saw a refusal, a wrong reply, or a connection that broke and should not");
    }
}
