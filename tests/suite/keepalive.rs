//! Connections that stay open, and when they end.

use crate::common::server::EVERYTHING;
use crate::common::{Server, Site};

#[test]
fn connection_serves_request_after_request() {
    let server = Server::start();
    let mut client = server.connect();
    for _ in 0..50 {
        for (target, status) in [("/hello.txt", 200), ("/nothing", 404), ("/large.bin", 200), ("/folder/", 200)] {
            let reply = client.get(target);
            assert_eq!(reply.status, status);
            assert!(!reply.closes());
        }
    }
}

#[test]
fn client_that_asks_to_close_is_heard() {
    let server = Server::start();
    for field in ["Connection: close", "Connection: Close", "Connection: x, close"] {
        let mut client = server.connect();
        let reply = client.get_with("/hello.txt", &[field]);
        assert!(reply.closes(), "{field}");
        client.expect_end();
    }
}

#[test]
fn http_1_0_may_ask_to_keep_the_connection() {
    let server = Server::start();
    let mut client = server.connect();
    for _ in 0..3 {
        client.send("GET /hello.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let reply = client.reply("GET");
        assert_eq!(reply.status, 200);
        assert!(reply.field("connection").unwrap().eq_ignore_ascii_case("keep-alive"));
    }
}

#[test]
fn last_request_of_a_connection_says_so() {
    let server = Server::with(Site::sample(), &format!("limits.requests_per_connection = 3\n{EVERYTHING}"));
    let mut client = server.connect();
    assert!(!client.get("/hello.txt").closes());
    assert!(!client.get("/hello.txt").closes());
    assert!(client.get("/hello.txt").closes());
    client.expect_end();
}

#[test]
fn idle_connection_ends_without_a_word() {
    let server =
        Server::with(Site::sample(), &format!("timeouts = {{ idle = \"200ms\", head = \"300ms\" }}\n{EVERYTHING}"));
    let mut client = server.connect();
    client.get("/hello.txt");
    client.expect_end();
    // One that never said anything ends too, and hears nothing either: there was no request to answer.
    server.connect().expect_end();
}

#[test]
fn client_that_leaves_in_the_middle_harms_nobody() {
    let server = Server::start();
    let workers = server.workers();
    for _ in 0..50 {
        server.connect().send("GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
        server.connect().send("GET /large.bin HTTP/1.1\r\nHo");
        server.connect().send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
        drop(server.connect());
    }
    server.assert_unharmed(&workers);
}
