//! Digests: of one request's content (`Content-Digest`), and of the whole (`Repr-Digest`).

use super::*;
use crate::common::site;

/// The field for content whose digest is known.
const HELLO: &str = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
const WORLD: &str = "sha-256=:SG6kYiTRu0+2gPNPfJrZao8k7Ii+c+qOWmxlJg6cuKc=:";

#[test]
fn content_with_another_digest_is_not_appended() {
    let server = Server::start();
    let mut client = server.connect();
    let claim = format!("Content-Digest: {HELLO}");
    let address = begin(&mut client, "/f", &[]);
    let reply = append_with(&mut client, &address, 0, &[MORE, &claim], b"hello");
    assert_eq!((reply.status, offset_of(&reply)), (204, 5));
    let reply = append_with(&mut client, &address, 5, &[MORE, &claim], b" something much longer");
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("Content-Digest") && reply.text().contains("expected"), "{reply:?}");
    assert_eq!(offset(&mut client, &address), 5, "cut back to what was told");
    let reply = append_with(&mut client, &address, 5, &[LAST, &claim], b" wor1d");
    assert_eq!((reply.status, reply.field("upload-complete")), (400, None));
    assert_eq!(offset(&mut client, &address), 5);
    assert_eq!(client.get("/f").status, 404);
    // Shorter than what did not count, once and to the end.
    assert_eq!(offset_of(&append(&mut client, &address, 5, MORE, b" wo")), 8);
    assert_eq!(offset(&mut client, &address), 8);
    assert_eq!(append(&mut client, &address, 8, LAST, b"rld").status, 201);
    assert_eq!(server.site.read("f"), b"hello world");
    assert_eq!(client.request("DELETE", &address, &[], b"").status, 204);
    assert_eq!(parts(&server), [""; 0]);
}

#[test]
fn a_whole_with_another_digest_is_no_file() {
    let server = Server::start();
    let mut client = server.connect();
    let claim = format!("Repr-Digest: {WORLD}");
    for in_first in [true, false] {
        let (first, last): (&[&str], &[&str]) = if in_first { (&[&claim], &[LAST]) } else { (&[], &[LAST, &claim]) };
        let address = begin(&mut client, "/f", first);
        assert_eq!(append(&mut client, &address, 0, MORE, b"hello").status, 204);
        let reply = append_with(&mut client, &address, 5, last, b" world");
        assert_eq!((reply.status, reply.field("upload-complete")), (400, Some("?1")), "{reply:?}");
        assert!(reply.text().contains("Repr-Digest"), "{reply:?}");
        assert_eq!(state(&mut client, &address).status, 404, "it is given up");
        assert_eq!((client.get("/f").status, parts(&server).len()), (404, 0));
    }
    let address = begin(&mut client, "/f", &[&claim]);
    assert_eq!(append(&mut client, &address, 0, MORE, b"wor").status, 204);
    assert_eq!(append(&mut client, &address, 3, LAST, b"ld").status, 201);
    assert_eq!(server.site.read("f"), b"world");
}

#[test]
fn a_digest_that_is_wanted_is_told_at_the_end() {
    let server = Server::start();
    let mut client = server.connect();
    let content = site::large();
    let address = begin(&mut client, "/f", &["Want-Repr-Digest: sha-256=1"]);
    let (first, second) = content.split_at(700_000);
    assert_eq!(append(&mut client, &address, 0, MORE, first).status, 204);
    let told = append(&mut client, &address, 700_000, LAST, second).field("repr-digest").unwrap().to_owned();
    let got = client.get_with("/f", &["Want-Repr-Digest: sha-256=1"]);
    assert_eq!(got.field("repr-digest"), Some(&*told));
    assert!(got.body == content);
}

#[test]
fn trailers_and_digests_that_can_not_be_read() {
    let server = Server::start();
    let mut client = server.connect();
    let address = begin(&mut client, "/f", &[]);
    let send = |client: &mut Client, trailer: &str| {
        let fields = [MORE, PARTIAL, "Upload-Offset: 0", "Transfer-Encoding: chunked"];
        client.send(head("PATCH", &address, &fields, b"") + "5\r\nhello\r\n0\r\n" + trailer + "\r\n");
        client.reply("PATCH").status
    };
    assert_eq!(send(&mut client, &format!("Content-Digest: {WORLD}\r\n")), 400);
    assert_eq!(offset(&mut client, &address), 0);
    assert_eq!(send(&mut client, "Content-Digest: sha-256=1\r\n"), 400);
    assert_eq!(offset(&mut client, &address), 0);
    assert_eq!(send(&mut client, &format!("Content-Digest: {HELLO}\r\n")), 204);
    assert_eq!(offset(&mut client, &address), 5);
    let reply = append_with(&mut client, &address, 5, &[MORE, "Content-Digest: sha-256=1"], b"!");
    assert_eq!(reply.status, 400);
    assert_eq!(offset(&mut client, &address), 5);
    assert_eq!(client.request("PUT", "/g", &[MORE, "Repr-Digest: sha-256=:AAAA:"], b"").status, 400);
}
