//! The end: by TERM, INT and QUIT, with requests still under way.

use nix::sys::signal::Signal;

use crate::common::server::EVERYTHING;
use crate::common::{Server, Site, processes, until};

#[test]
fn term_and_int_end_idle_connections_and_the_server() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start();
        let mut idle = server.connect();
        idle.get("/hello.txt");
        server.stop_by(signal);
        idle.expect_end();
    }
}

#[test]
fn quit_gives_an_idle_connection_its_time_and_then_ends() {
    let mut server = Server::start();
    let mut idle = server.connect();
    idle.get("/hello.txt");
    server.signal(Signal::SIGQUIT);
    until("nobody is let in any more", || std::net::TcpStream::connect(server.address()).is_err());
    let reply = idle.get("/hello.txt");
    assert_eq!(reply.status, 200);
    assert!(reply.closes(), "it is answered once more, with a goodbye");
    idle.expect_end();
    assert_eq!(server.await_exit().code(), Some(0));
}

#[test]
fn request_under_way_is_finished_before_the_end() {
    for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
        let mut server = Server::start();
        let content = vec![b'x'; 300_000];
        let mut client = server.connect();
        client.send(crate::common::client::head("PUT", "/slow", &[], &content));
        client.send(&content[..1000]);
        until("the upload has begun", || server.site.names().iter().any(|name| name.starts_with(".fileserv-")));
        server.signal(signal);
        until("nobody is let in any more", || std::net::TcpStream::connect(server.address()).is_err());
        client.send(&content[1000..]);
        let reply = client.reply("PUT");
        assert_eq!(reply.status, 201, "{signal}");
        assert!(reply.closes(), "{signal}");
        assert_eq!(server.await_exit().code(), Some(0), "{signal}");
        assert_eq!(server.site.read("slow").len(), content.len());
    }
}

#[test]
fn request_that_takes_longer_than_the_drain_limit_is_cut() {
    let mut server = Server::with(Site::sample(), &format!("timeouts.drain = \"300ms\"\n{EVERYTHING}"));
    let mut client = server.connect();
    client.send("PUT /never HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    until("the upload has begun", || server.site.names().iter().any(|name| name.starts_with(".fileserv-")));
    server.stop_by(Signal::SIGTERM);
    assert!(!server.site.names().contains(&"never".to_owned()));
}

#[test]
fn further_interrupt_does_not_wait() {
    let mut server = Server::with(Site::sample(), &format!("timeouts.drain = \"1h\"\n{EVERYTHING}"));
    let mut client = server.connect();
    client.send("PUT /never HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    until("the upload has begun", || server.site.names().iter().any(|name| name.starts_with(".fileserv-")));
    // Two at once count as one wish, so an impatient operator presses on until it ends.
    until("the server has ended", || {
        server.signal(Signal::SIGINT);
        server.has_ended()
    });
    assert_eq!(server.await_exit().code(), Some(0));
}

#[test]
fn workers_do_not_outlive_a_killed_supervisor() {
    let mut server = Server::start();
    let workers = server.workers();
    assert_eq!(workers.len(), 2);
    server.signal(Signal::SIGKILL);
    server.await_exit();
    until("the workers have died with it", || !workers.iter().any(|worker| processes::lives(*worker)));
}

#[test]
fn workers_leave_signals_to_the_supervisor() {
    // A terminal sends Ctrl-C to the whole group: a worker that obeyed it would cut requests which the drain finishes.
    let server = Server::start();
    let workers = server.workers();
    for worker in &workers {
        for signal in [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGQUIT,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            Signal::SIGPIPE,
        ] {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw((*worker).try_into().unwrap()), signal).unwrap();
        }
    }
    for _ in 0..20 {
        server.assert_unharmed(&workers);
    }
}
