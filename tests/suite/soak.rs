//! The same for a long time: memory, descriptors and temporaries must not grow. A few seconds here; as long as is said by
//! `FILESERV_SOAK_MINUTES=20 cargo test --test suite soak:: -- --nocapture`, which prints a line of figures now and then.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::server::EVERYTHING;
use crate::common::told::pid_file_line;
use crate::common::{Client, Server, Site, processes, site, until};

/// What must stay flat.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Of the supervisor.
    supervisor_kib: u64,
    /// Of the largest worker.
    worker_kib: u64,
    /// Of the supervisor, if they can be seen.
    supervisor_files: usize,
    /// Of the worker that has most, if they can be seen.
    worker_files: usize,
    processes: usize,
    temporaries: usize,
}

fn files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

impl Figures {
    /// Now, with nothing on its way out.
    fn of(server: &Server) -> Self {
        until("the last generation has left", || server.workers().len() == 2);
        let (supervisor, workers) = (server.supervisor(), server.workers());
        let temporaries = |name: &String| name.starts_with(".fileserv-");
        Self {
            supervisor_kib: processes::memory_kib(supervisor, "VmRSS"),
            worker_kib: workers.iter().map(|worker| processes::memory_kib(*worker, "VmRSS")).max().unwrap(),
            supervisor_files: files(supervisor),
            worker_files: workers.iter().map(|worker| files(*worker)).max().unwrap(),
            processes: workers.len(),
            temporaries: server.site.names().iter().filter(|name| temporaries(name)).count(),
        }
    }
}

fn load(server: &Server, stop: &Arc<AtomicBool>, answered: &Arc<AtomicU64>) -> Vec<std::thread::JoinHandle<()>> {
    let address = server.address();
    let client = |number: usize| {
        let (stop, answered) = (Arc::clone(stop), Arc::clone(answered));
        std::thread::spawn(move || {
            let mut client = Client::connect(address);
            for count in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                let reply = match (number, count % 4) {
                    (0, _) => client.request("PUT", "/up.bin", &[], &site::large()),
                    (1, 0) => {
                        // Broken off in its middle: nothing of it may stay.
                        let mut half = Client::connect(address);
                        half.send("PUT /half HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
                        drop(half);
                        client.get("/folder/")
                    }
                    (1, _) => client.get(&format!("/perlin?seed={}", count % 7)),
                    (2, _) => client.get("/large.bin"),
                    (_, 1) => client.get("/nothing"),
                    _ => client.get("/hello.txt"),
                };
                assert!([200, 201, 204, 404].contains(&reply.status), "{reply:?}");
                answered.fetch_add(1, Ordering::Relaxed);
                if reply.closes() {
                    client = Client::connect(address);
                }
            }
        })
    };
    (0..8).map(client).collect()
}

#[test]
fn nothing_grows() {
    let minutes: Option<u64> =
        std::env::var("FILESERV_SOAK_MINUTES").ok().map(|minutes| minutes.parse().expect("a number of minutes"));
    let length = minutes.map_or(Duration::from_secs(8), |minutes| Duration::from_secs(60 * minutes));
    let site = Site::sample();
    let log = format!("[log]\naccess = {:?}\n", site.beside("log/access.log"));
    let config = format!("workers = 2\n{}{EVERYTHING}{log}", pid_file_line(&site));
    let server = Server::with(site, &config);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients = load(&server, &stop, &answered);
    let begin = Instant::now();
    let mut first = None;
    let mut reloads = 0;
    let mut told = Instant::now();
    while begin.elapsed() < length {
        server.obeys("reload");
        reloads += 1;
        // Caches are full and helper threads have come by then.
        if first.is_none() && begin.elapsed() > length / 4 {
            first = Some(Figures::of(&server));
        }
        if minutes.is_some() && told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            report(&server, begin, &answered, reloads);
            // The log of a soak is not what is looked at.
            std::fs::remove_file(server.site.beside("log/access.log")).unwrap();
            server.obeys("reopen");
        }
        let now = answered.load(Ordering::Relaxed);
        until("requests flow", || answered.load(Ordering::Relaxed) > now + 200);
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("no request failed"));
    until("what was broken off is gone", || Figures::of(&server).temporaries == 0);
    report(&server, begin, &answered, reloads);
    let (first, last) = (first.expect("there was time enough"), Figures::of(&server));
    // A page here and there comes and goes; a leak of one a reload or a request would be seen.
    assert!(last.supervisor_kib < first.supervisor_kib + 1024, "{first:?} {last:?}");
    assert!(last.worker_kib < 2 * first.worker_kib, "{first:?} {last:?}");
    assert!(last.supervisor_files <= first.supervisor_files, "{first:?} {last:?}");
    assert!(last.worker_files <= first.worker_files + 8, "{first:?} {last:?}");
    assert_eq!(server.stats()["deaths"], 0);
}

fn report(server: &Server, begin: Instant, answered: &AtomicU64, reloads: u32) {
    let (elapsed, answered) = (begin.elapsed().as_secs(), answered.load(Ordering::Relaxed));
    let line = format!("soak: {elapsed} s, {answered} requests, {reloads} reloads, {:?}\n", Figures::of(server));
    let _ = std::io::stderr().write_all(line.as_bytes());
}
