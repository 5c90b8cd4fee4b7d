//! Limits on what comes in, and deadlines.

use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, until};

fn limited() -> Server {
    let limits = "[limits]\nhead_bytes = 4096\ntarget_bytes = 1024\nfields = 20\n[timeouts]\nhead = \"300ms\"\n";
    Server::with(Site::sample(), &format!("workers = 1\n{limits}{EVERYTHING}"))
}

#[test]
fn head_over_its_limit_is_431() {
    let server = limited();
    let workers = server.workers();
    let mut fits = server.connect();
    assert_eq!(fits.get_with("/hello.txt", &[&format!("X: {}", "x".repeat(3900))]).status, 200);
    for field in [format!("X: {}", "x".repeat(5000)), "Y: y\r\n".repeat(1000) + "Z: z"] {
        let mut client = server.connect();
        let reply = client.get_with("/hello.txt", &[&field]);
        assert_eq!(reply.status, 431);
        assert!(reply.closes());
        client.expect_end();
    }
    // The answer comes before the head has an end: nobody has to be waited for.
    let mut endless = server.connect();
    endless.send(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(5000)));
    assert_eq!(endless.reply("GET").status, 431);
    server.assert_unharmed(&workers);
}

#[test]
fn too_many_fields_are_431() {
    let server = limited();
    let lines = |count: usize| (0..count).map(|number| format!("X-{number}: y")).collect::<Vec<_>>();
    let ask = |count: usize| {
        let lines = lines(count);
        server.connect().get_with("/hello.txt", &lines.iter().map(String::as_str).collect::<Vec<_>>()).status
    };
    assert_eq!(ask(19), 200, "Host and 19 more");
    assert_eq!(ask(20), 431);
}

#[test]
fn target_over_its_limit_is_414() {
    let server = limited();
    let mut client = server.connect();
    assert_eq!(client.get(&format!("/{}", "x".repeat(1023))).status, 404);
    let mut client = server.connect();
    assert_eq!(client.get(&format!("/{}", "x".repeat(1024))).status, 414);
    let mut client = server.connect();
    assert_eq!(client.get(&format!("/hello.txt?{}", "x".repeat(2000))).status, 414);
    // Also when the target alone is over the limit of the whole head.
    let mut client = server.connect();
    client.send(format!("GET /{}", "x".repeat(6000)));
    assert_eq!(client.reply("GET").status, 414);
}

#[test]
fn name_longer_than_a_file_system_allows_is_404() {
    let server = Server::start();
    assert_eq!(server.connect().get(&format!("/{}", "x".repeat(300))).status, 404);
    assert_eq!(server.connect().get(&format!("/{}", "x/".repeat(2500))).status, 404);
}

#[test]
fn unfinished_head_is_408() {
    let server = limited();
    let mut client = server.connect();
    client.send("GET /hello.txt HTTP/1.1\r\nHost:");
    let reply = client.reply("GET");
    assert_eq!(reply.status, 408);
    assert!(reply.closes());
    client.expect_end();
}

#[test]
fn byte_now_and_then_does_not_stretch_the_head_deadline() {
    let server = Server::with(Site::sample(), &format!("workers = 1\n[timeouts]\nhead = \"300ms\"\n{EVERYTHING}"));
    let mut client = server.connect();
    client.send("GET /hello.txt HTTP/1.1\r\nX: ");
    // The deadline runs from the first byte: a client that always has one byte more is answered all the same.
    until("the server has answered", || {
        let _ = client.try_send("x");
        !client.is_quiet()
    });
    assert_eq!(client.reply("GET").status, 408);
}

#[test]
fn client_that_takes_nothing_is_let_go() {
    let server = Server::with(Site::sample(), &format!("workers = 1\n[timeouts]\nsend = \"300ms\"\n{EVERYTHING}"));
    let big = server.site.path("big.bin");
    std::fs::File::create(big).unwrap().set_len(1 << 30).unwrap();
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the server has given up on the client", || server.stats()["connections"].as_u64() == Some(1));
}

#[test]
fn full_table_pushes_back_and_recovers() {
    let server = Server::with(Site::sample(), &format!("workers = 1\nlimits.connections = 8\n{EVERYTHING}"));
    let workers = server.workers();
    let mut held: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for client in &mut held {
        assert_eq!(client.get("/hello.txt").status, 200);
    }
    let mut waiting = server.connect();
    waiting.send("GET /alphabet.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    for client in &mut held {
        assert_eq!(client.get("/hello.txt").status, 200, "those that are in are served");
    }
    // Waiting in the queue of the kernel, or refused in order: both push back. It must not hang once there is room.
    drop(held);
    let reply = waiting.reply("GET");
    assert!(matches!(reply.status, 200 | 503), "{reply:?}");
    server.assert_unharmed(&workers);
}
