//! Uploads that break off: what has come stays, no offset goes back, and the rest makes the same file.

use std::net::Shutdown;

use super::*;
use crate::common::server::EVERYTHING;
use crate::common::{Site, site};

/// How a connection ends before its content does.
#[derive(Clone, Copy, Debug)]
enum End {
    Fin,
    Rst,
}

fn cut(client: Client, end: End) {
    match end {
        End::Fin => client.stream().shutdown(Shutdown::Write).unwrap(),
        End::Rst => {
            let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            nix::sys::socket::setsockopt(client.stream(), nix::sys::socket::sockopt::Linger, &at_once).unwrap();
        }
    }
    drop(client);
}

/// Goes on as a client does, and completes the upload. What was cut off may still lie in the kernel when the offset is
/// asked for, and come in afterwards: then there is another offset to go on from.
fn go_on(server: &Server, address: &str, content: &[u8], least: u64, most: u64) -> Reply {
    let mut client = server.connect();
    let mut told = offset(&mut client, address);
    loop {
        assert!((least..=most).contains(&told), "{least} <= {told} <= {most}");
        let reply = append(&mut client, address, told, LAST, &content[usize::try_from(told).unwrap()..]);
        match reply.status {
            409 if reply.field("upload-offset").is_some() => told = offset_of(&reply),
            // The late one has wanted its place.
            409 | 503 => {
                client = server.connect();
                told = offset(&mut client, address);
            }
            _ => return reply,
        }
    }
}

/// Numbers that look like chance, and are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn a_cut_after_every_byte_of_the_first_request_loses_nothing_that_was_told() {
    let server = Server::start();
    let content = b"0123456789ab";
    for sent in 0..content.len() {
        for end in [End::Fin, End::Rst] {
            let mut client = server.connect();
            let address = begin_whole(&mut client, "/small", content.len(), &content[..sent]);
            cut(client, end);
            assert_eq!(go_on(&server, &address, content, 0, sent as u64).status, 201, "{sent} {end:?}");
            assert_eq!(server.site.read("small"), content, "{sent} {end:?}");
            let mut client = server.connect();
            assert_eq!(client.request("DELETE", "/small", &[], b"").status, 204);
            assert_eq!(client.request("DELETE", &address, &[], b"").status, 204);
        }
    }
    assert_eq!(parts(&server), [""; 0]);
}

#[test]
fn a_cut_after_every_byte_of_an_appended_piece_loses_nothing_that_was_told() {
    let server = Server::start();
    let sized = "hello world";
    let chunked = "5;x\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    for (framing, body) in [("Content-Length: 11", sized), ("Transfer-Encoding: chunked", chunked)] {
        for sent in 0..body.len() {
            for end in [End::Fin, End::Rst] {
                let mut client = server.connect();
                let address = begin(&mut client, "/small", &[]);
                assert_eq!(offset_of(&append(&mut client, &address, 0, MORE, b"say: ")), 5);
                let head = format!(
                    "PATCH {address} HTTP/1.1\r\nHost: a\r\n{PARTIAL}\r\n{LAST}\r\nUpload-Offset: 5\r\n{framing}\r\n\r\n"
                );
                client.send(head);
                client.send(&body[..sent]);
                cut(client, end);
                let most = 5 + sent.min(11) as u64;
                assert_eq!(go_on(&server, &address, b"say: hello world", 5, most).status, 201, "{sent} {end:?}");
                assert_eq!(server.site.read("small"), b"say: hello world", "{sent} {end:?} {framing}");
                let mut client = server.connect();
                assert_eq!(client.request("DELETE", "/small", &[], b"").status, 204);
                assert_eq!(client.request("DELETE", &address, &[], b"").status, 204);
            }
        }
    }
    assert_eq!(parts(&server), [""; 0]);
}

#[test]
fn a_large_upload_is_cut_five_hundred_times_and_is_the_same_file() {
    let server = Server::start();
    let content = site::large();
    let length = content.len() as u64;
    let mut chance = Chance(7);
    let mut cuts = 0;
    while cuts < 500 {
        let address = begin(&mut server.connect(), "/large", &[&format!("Upload-Length: {length}")]);
        let (mut told, mut most) = (0, 0);
        while told < length {
            // Mostly small steps, so that there are many cuts in one upload.
            let longest = if chance.below(20) == 0 { length } else { 60_000 };
            let sent = told + chance.below((length - told).min(longest) + 1);
            let mut client = server.connect();
            let fields =
                [LAST, PARTIAL, &format!("Upload-Offset: {told}"), &format!("Content-Length: {}", length - told)];
            client.send(head("PATCH", &address, &fields, b""));
            client.send(&content[usize::try_from(told).unwrap()..usize::try_from(sent).unwrap()]);
            if sent == length {
                let reply = client.reply("PATCH");
                if reply.field("upload-complete") == Some("?1") {
                    break;
                }
                assert!(matches!(reply.status, 409 | 503), "{reply:?}");
            }
            most = most.max(sent);
            cut(client, if chance.below(2) == 0 { End::Fin } else { End::Rst });
            cuts += 1;
            let now = offset(&mut server.connect(), &address);
            // What an earlier cut has left in the kernel may have come in, too; it was the same content.
            assert!((told..=most).contains(&now), "{told} <= {now} <= {most}");
            told = now;
        }
        assert!(server.site.read("large") == content, "after {cuts} cuts");
    }
}

#[test]
fn content_that_stops_coming_is_not_lost() {
    let server = Server::with(Site::sample(), &format!("workers = 2\ntimeouts.body = \"100ms\"\n{EVERYTHING}"));
    let mut client = server.connect();
    let address = begin_whole(&mut client, "/slow", 11, b"hello");
    assert_eq!(client.reply("PUT").status, 408);
    let mut client = server.connect();
    assert_eq!(offset(&mut client, &address), 5);
    let mut slow = server.connect();
    slow.send(head("PATCH", &address, &[MORE, PARTIAL, "Upload-Offset: 5", "Content-Length: 6"], b""));
    slow.send(" wor");
    assert_eq!(slow.reply("PATCH").status, 408);
    assert_eq!(offset(&mut client, &address), 9);
    assert_eq!(append(&mut client, &address, 9, LAST, b"ld").status, 201);
    assert_eq!(server.site.read("slow"), b"hello world");
}

#[test]
fn a_plain_upload_that_is_cut_leaves_nothing() {
    let server = Server::start();
    for fields in [&[][..], &[LAST], &[LAST, "Upload-Draft-Interop-Version: 3"]] {
        let mut client = server.connect();
        let mut all = vec!["Transfer-Encoding: chunked"];
        all.extend(fields);
        client.send(head("PUT", "/plain", &all, b""));
        client.send("5\r\nhello\r\n");
        until("it has begun", || !parts(&server).is_empty());
        cut(client, End::Fin);
        await_no_parts(&server);
        assert_eq!(server.connect().get("/plain").status, 404);
    }
}
