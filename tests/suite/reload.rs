//! SIGHUP: a new configuration takes over without a lost request, a wrong one changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::signal::Signal;

use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, site, until};

const LISTEN: &str = "127.0.0.1:0";

/// Rewrites the configuration and waits until the old generation's workers have gone.
fn reload(server: &Server, config: &str) {
    let old = server.workers();
    server.configure(LISTEN, config);
    server.signal(Signal::SIGHUP);
    until("a new generation has taken over", || {
        let now = server.workers();
        !now.is_empty() && !old.iter().any(|worker| now.contains(worker))
    });
}

#[test]
fn new_configuration_takes_over() {
    let server = Server::with(Site::sample(), &format!("workers = 1\n{EVERYTHING}"));
    assert_eq!(server.connect().get("/folder/").status, 200);
    reload(&server, "workers = 3\n[[access]]\npath = \"/\"\nallow = [\"read\"]\n");
    assert_eq!(server.workers().len(), 3);
    assert_eq!(server.connect().get("/folder/").status, 403, "listings are off now");
    assert_eq!(server.connect().get("/perlin").status, 404, "the route is gone");
}

#[test]
fn wrong_configuration_is_refused_with_its_place_and_the_old_one_serves_on() {
    let server = Server::start();
    let workers = server.workers();
    let file = server.config_file();
    let good = std::fs::read_to_string(&file).unwrap();
    let lines = good.lines().count();
    for (number, wrong) in ["workers = = 2\n", "no_such_key = 1\n", "workers = \"many\"\n"].into_iter().enumerate() {
        // The wrong line is the first after the head that every configuration here has.
        let head: String =
            good.lines().take_while(|line| !line.starts_with("workers")).map(|l| format!("{l}\n")).collect();
        let line = head.lines().count() + 1;
        assert!(line <= lines);
        std::fs::write(&file, format!("{head}{wrong}")).unwrap();
        server.signal(Signal::SIGHUP);
        let place = format!("{}:{line}:", file.display());
        server.await_line("the mistake is named", |said| {
            let Some((_, rest)) = said.split_once(&place) else { return false };
            rest.split(':').next().is_some_and(|column| column.parse::<usize>().is_ok())
                && (number != 1 || said.contains("no_such_key"))
        });
        server.assert_unharmed(&workers);
    }
    std::fs::remove_file(&file).unwrap();
    server.signal(Signal::SIGHUP);
    server.await_line("the missing file is named", |said| {
        said.contains("fileserv.toml") && said.contains("no such file")
    });
    server.assert_unharmed(&workers);
}

#[test]
fn change_that_needs_a_restart_is_refused() {
    let server = Server::start();
    let workers = server.workers();
    let text = std::fs::read_to_string(server.config_file()).unwrap();
    let text: String = text.lines().filter(|line| !line.starts_with("user")).map(|line| format!("{line}\n")).collect();
    std::fs::write(server.config_file(), format!("user = \"daemon\"\n{text}")).unwrap();
    server.signal(Signal::SIGHUP);
    server.await_line("the change is refused", |said| said.contains("user") && said.contains("restart"));
    server.assert_unharmed(&workers);
}

#[test]
fn port_that_is_taken_is_refused() {
    let server = Server::start();
    let workers = server.workers();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    server.configure(&taken, &format!("workers = 2\n{EVERYTHING}"));
    server.signal(Signal::SIGHUP);
    server.await_line("the address is named", |said| said.contains(&taken));
    server.assert_unharmed(&workers);
}

#[test]
fn new_port_is_opened_and_the_old_one_closed() {
    let server = Server::start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    server.configure(&free.to_string(), &format!("workers = 2\n{EVERYTHING}"));
    server.signal(Signal::SIGHUP);
    until("the old port is closed", || std::net::TcpStream::connect(server.address()).is_err());
    assert_eq!(Client::connect(free).get("/hello.txt").status, 200);
}

#[test]
fn no_request_is_lost_while_generations_change() {
    let server = Server::start();
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let address = server.address();
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    // Half of them keep their connection as long as the server does, half make a new one each time.
                    let reply = client.get("/large.bin");
                    assert!(reply.status == 200 && reply.body == site::large());
                    answered.fetch_add(1, Ordering::Relaxed);
                    if reply.closes() || number % 2 == 0 {
                        client = Client::connect(address);
                    }
                }
            })
        })
        .collect();
    for round in 0..5 {
        let before = answered.load(Ordering::Relaxed);
        until("requests flow", || answered.load(Ordering::Relaxed) > before + 4);
        reload(&server, &format!("workers = {}\n{EVERYTHING}", 1 + round % 3));
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no client saw a refusal, a reset or a truncated reply");
    }
}

#[test]
fn idle_connection_of_the_old_generation_is_answered_once_more() {
    let server = Server::start();
    let mut idle = server.connect();
    assert!(!idle.get("/hello.txt").closes());
    let old = server.workers();
    server.signal(Signal::SIGHUP);
    until("a new generation serves", || server.workers().iter().any(|worker| !old.contains(worker)));
    // Old or new, whoever holds it: it must be answered, and by the old one with a goodbye.
    until("the new generation has taken over", || server.said().matches(" serves ").count() == 2);
    let reply = idle.get("/hello.txt");
    assert_eq!(reply.status, 200);
    if reply.closes() {
        idle.expect_end();
    }
}

#[test]
fn storm_of_hangups_ends_in_one_generation() {
    let server = Server::start();
    let old = server.workers();
    for _ in 0..200 {
        server.signal(Signal::SIGHUP);
    }
    until("only a new generation is left", || {
        let now = server.workers();
        now.len() == 2 && !old.iter().any(|worker| now.contains(worker))
    });
    for _ in 0..20 {
        assert_eq!(server.connect().get("/hello.txt").status, 200);
    }
}

#[test]
fn reload_during_a_drain_waits_and_the_newest_wins() {
    let config = |workers: u32| format!("workers = {workers}\ntimeouts.drain = \"1h\"\n{EVERYTHING}");
    let server = Server::with(Site::sample(), &config(1));
    let old = server.workers();
    let mut client = server.connect();
    client.send("PUT /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    until("the upload has begun", || server.site.names().iter().any(|name| name.starts_with(".fileserv-")));
    server.configure(LISTEN, &config(2));
    server.signal(Signal::SIGHUP);
    until("a new generation serves", || server.stats()["generation"] == 2);
    for workers in [3, 4] {
        server.configure(LISTEN, &config(workers));
        server.signal(Signal::SIGHUP);
        until("it waits", || server.stats()["reload_waits"] == 1);
    }
    let stats = server.stats();
    assert_eq!((&stats["generation"], &stats["workers_draining"]), (&2.into(), &1.into()), "two generations at most");
    assert!(server.workers().len() == 3 && server.workers().contains(&old[0]));
    client.send("5\r\nworld\r\n0\r\n\r\n");
    let reply = client.reply("PUT");
    assert!(reply.status == 201 && reply.closes(), "{reply:?}");
    until("the newest serves", || server.stats()["generation"] == 3 && server.workers().len() == 4);
    let stats = server.stats();
    assert_eq!((&stats["workers_wanted"], &stats["reload_waits"]), (&4.into(), &0.into()), "nobody saw the third");
}

#[test]
fn deploy_by_symlink_is_seen_after_a_reload() {
    let site = Site::empty();
    for (release, text) in [("one", "first"), ("two", "second")] {
        std::fs::create_dir(site.beside(release)).unwrap();
        std::fs::write(site.beside(release).join("index.html"), text).unwrap();
    }
    std::fs::remove_dir(site.root()).unwrap();
    std::os::unix::fs::symlink("one", site.root()).unwrap();
    let server = Server::with(site, &format!("workers = 2\n{EVERYTHING}"));
    assert_eq!(server.connect().get("/").text(), "first");
    std::os::unix::fs::symlink("two", server.site.beside("next")).unwrap();
    std::fs::rename(server.site.beside("next"), server.site.root()).unwrap();
    assert_eq!(server.connect().get("/").text(), "first", "the old tree serves until the reload");
    reload(&server, &format!("workers = 2\n{EVERYTHING}"));
    assert_eq!(server.connect().get("/").text(), "second");
}

#[test]
fn counters_outlive_a_generation() {
    let server = Server::start();
    for _ in 0..10 {
        server.connect().get("/hello.txt");
    }
    let before = server.stats()["requests"].as_u64().unwrap();
    reload(&server, &format!("workers = 2\n{EVERYTHING}"));
    assert!(server.stats()["requests"].as_u64().unwrap() > before);
}
