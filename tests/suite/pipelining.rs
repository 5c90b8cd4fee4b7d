//! Requests sent before the answers to earlier ones: answered one by one, in order.

use crate::common::client::head;
use crate::common::server::EVERYTHING;
use crate::common::{Server, Site, site};

#[test]
fn mixed_requests_are_answered_in_order() {
    let server = Server::start();
    let mut client = server.connect();
    let mut all = String::new();
    for round in 0..20 {
        let text = format!("round {round}");
        all += &head("GET", "/hello.txt", &[], b"");
        all += &head("PUT", "/written", &[], text.as_bytes());
        all += &text;
        all += &head("GET", "/written", &[], b"");
        all += &head("HEAD", "/large.bin", &[], b"");
        all += &head("GET", "/large.bin", &["Range: bytes=5-9"], b"");
        all += &head("POST", "/sha256", &["Transfer-Encoding: chunked", "Content-Type: a/b"], b"");
        all += "3\r\nabc\r\n0\r\n\r\n";
        all += &head("GET", "/perlin?width=3&height=1&seed=1&format=text", &[], b"");
        all += &head("GET", "/nothing", &[], b"");
        all += &head("GET", "/folder/", &[], b"");
    }
    client.send(all);
    for round in 0..20 {
        assert_eq!(client.reply("GET").text(), "hello, world\n");
        assert_eq!(client.reply("PUT").status, if round == 0 { 201 } else { 204 });
        assert_eq!(client.reply("GET").text(), format!("round {round}"));
        assert_eq!(client.reply("HEAD").field("content-length"), Some("1100003"));
        assert!(client.reply("GET").body == site::large()[5..=9]);
        assert!(client.reply("POST").text().contains("ba7816bf8f01cfea"));
        assert_eq!(client.reply("GET").body.len(), 4);
        assert_eq!(client.reply("GET").status, 404);
        assert_eq!(client.reply("GET").status, 200);
    }
    assert!(client.is_quiet());
}

/// What stands behind a change in one piece with it gets what the change has left, though what was there before is kept
/// and believed.
fn changes_are_seen_by_what_stands_behind_them(server: &Server, name: &str) {
    let mut client = server.connect();
    let target = format!("/{name}");
    let get = head("GET", &target, &[], b"");
    for round in 0..10 {
        let text = format!("round {round}");
        // Kept, watched, believed.
        for _ in 0..4 {
            assert_eq!(client.get(&target).status, 404);
        }
        let put = |text: &str| head("PUT", &target, &[], text.as_bytes()) + text;
        client.send([get.clone(), put("first"), get.clone()].concat());
        let replies = ["GET", "PUT", "GET"].map(|method| client.reply(method));
        assert_eq!(replies.each_ref().map(|reply| reply.status), [404, 201, 200], "{name} is made");
        // Kept, compared three times, watched with the third, believed.
        for _ in 0..6 {
            assert_eq!(client.get(&target).text(), "first");
        }
        client.send([get.clone(), put(&text), get.clone()].concat());
        let replies = ["GET", "PUT", "GET"].map(|method| client.reply(method));
        assert_eq!(replies[0].text(), "first");
        assert_eq!(replies[1].status, 204);
        assert_eq!(replies[2].text(), text, "{name} is replaced");
        assert_eq!(replies[2].field("etag"), replies[1].field("etag"));
        for _ in 0..4 {
            assert_eq!(client.get(&target).text(), text);
        }
        client.send([get.clone(), head("DELETE", &target, &[], b""), get.clone()].concat());
        let replies = ["GET", "DELETE", "GET"].map(|method| client.reply(method));
        assert_eq!(replies.each_ref().map(|reply| reply.status), [200, 204, 404], "{name} is removed");
    }
}

#[test]
fn a_change_is_seen_by_what_stands_behind_it() {
    changes_are_seen_by_what_stands_behind_them(&Server::start(), "changed");
}

#[test]
fn a_change_without_a_helper_thread_is_seen_by_what_stands_behind_it() {
    // In memory, and stored for nobody: the event loop makes the change itself.
    let site = Site::in_memory();
    let server = Server::with(site, &format!("uploads.durability = \"none\"\n{EVERYTHING}"));
    changes_are_seen_by_what_stands_behind_them(&server, "changed");
}

#[test]
fn client_that_only_sends_is_not_buffered_without_end() {
    // Replies that nobody takes must stop the reading of requests: the sender is held back, the worker's memory is not.
    let server = Server::start();
    let workers = server.workers();
    let client = server.connect();
    let requests = head("GET", "/large.bin", &[], b"").repeat(1000);
    client.stream().set_write_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let mut held_back = false;
    for _ in 0..1000 {
        if std::io::Write::write_all(&mut client.stream(), requests.as_bytes()).is_err() {
            held_back = true;
            break;
        }
    }
    assert!(held_back, "a gigabyte of answers is owed, so the server stopped reading");
    for worker in &workers {
        let resident = crate::common::processes::memory_kib(*worker, "VmHWM");
        assert!(resident < 64 * 1024, "worker {worker} has used {resident} KiB");
    }
    server.assert_unharmed(&workers);
}

#[test]
fn requests_split_at_every_byte_are_the_same_requests() {
    let server = Server::start();
    let mut client = server.connect();
    let two = head("GET", "/hello.txt", &[], b"") + &head("GET", "/alphabet.txt", &["Range: bytes=0-2"], b"");
    for at in 1..two.len() {
        client.send_split(two.as_bytes(), at);
        assert_eq!(client.reply("GET").text(), "hello, world\n", "split at {at}");
        assert_eq!(client.reply("GET").text(), "abc", "split at {at}");
    }
    client.send_slowly(two.as_bytes());
    assert_eq!(client.reply("GET").text(), "hello, world\n");
    assert_eq!(client.reply("GET").text(), "abc");
}

#[test]
fn nothing_is_answered_after_a_close() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(head("GET", "/hello.txt", &["Connection: close"], b"") + &head("GET", "/alphabet.txt", &[], b""));
    assert_eq!(client.reply("GET").text(), "hello, world\n");
    client.expect_end();
}
