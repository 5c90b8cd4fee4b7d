//! Requests that an upload can't follow, each with its own answer, and what they leave as it was.

use super::*;
use crate::common::Site;

#[test]
fn an_offset_that_does_not_match_is_told_the_right_one() {
    let server = Server::start();
    let mut client = server.connect();
    let address = begin(&mut client, "/f", &[]);
    assert_eq!(append(&mut client, &address, 0, MORE, b"hello").status, 204);
    for wrong in [0, 4, 6] {
        let reply = append(&mut client, &address, wrong, MORE, b"x");
        assert_eq!((reply.status, offset_of(&reply)), (409, 5));
        assert_eq!(problem(&reply), "mismatching-upload-offset");
        let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((&problem["expected-offset"], &problem["provided-offset"]), (&5.into(), &wrong.into()));
    }
    assert_eq!(offset(&mut client, &address), 5);
}

#[test]
fn lengths_must_agree() {
    let server = Server::start();
    let mut client = server.connect();
    let inconsistent = |reply: Reply| {
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(problem(&reply), "inconsistent-upload-length");
    };
    inconsistent(client.request("PUT", "/f", &[MORE, "Upload-Length: 4"], b"hello"));
    let version = format!("{LAST}\r\n{VERSION}");
    inconsistent(client.request("PUT", "/f", &[&version, "Upload-Length: 6"], b"hello"));
    let address = begin(&mut client, "/f", &["Upload-Length: 11"]);
    inconsistent(append_with(&mut client, &address, 0, &[MORE, "Upload-Length: 12"], b"hello"));
    inconsistent(append(&mut client, &address, 0, LAST, b"hello"));
    inconsistent(append(&mut client, &address, 0, MORE, b"hello world!"));
    assert_eq!(offset(&mut client, &address), 0);
    assert_eq!(append(&mut client, &address, 0, MORE, b"hello").status, 204);
    inconsistent(append(&mut client, &address, 5, LAST, b""));
    assert_eq!(append(&mut client, &address, 5, LAST, b" world").status, 201);
    inconsistent(append(&mut client, &address, 11, LAST, b"!"));
    let reply = append(&mut client, &address, 11, LAST, b"");
    assert_eq!((reply.status, problem(&reply)), (400, "completed-upload".to_owned()));
    assert_eq!(server.site.read("f"), b"hello world");
}

#[test]
fn content_without_a_length_can_not_go_beyond_one_that_was_told() {
    let server = Server::start();
    let mut client = server.connect();
    let address = begin(&mut client, "/f", &["Upload-Length: 4"]);
    client.send(head("PATCH", &address, &[LAST, PARTIAL, "Upload-Offset: 0", "Transfer-Encoding: chunked"], b""));
    client.send("5\r\nhello\r\n0\r\n\r\n");
    let reply = client.reply("PATCH");
    assert_eq!((reply.status, problem(&reply)), (400, "inconsistent-upload-length".to_owned()));
    assert_eq!(state(&mut server.connect(), &address).status, 404, "the upload is given up");
    await_no_parts(&server);
    let mut client = server.connect();
    let address = begin(&mut client, "/f", &["Upload-Length: 6"]);
    client.send(head("PATCH", &address, &[LAST, PARTIAL, "Upload-Offset: 0", "Transfer-Encoding: chunked"], b""));
    client.send("5\r\nhello\r\n0\r\n\r\n");
    let reply = client.reply("PATCH");
    assert_eq!((reply.status, problem(&reply)), (400, "inconsistent-upload-length".to_owned()));
    assert_eq!(offset(&mut client, &address), 5, "what is missing can still come");
}

#[test]
fn an_append_says_what_it_is() {
    let server = Server::start();
    let mut client = server.connect();
    let address = begin(&mut client, "/f", &[]);
    let reply = client.request("PATCH", &address, &[LAST, "Upload-Offset: 0"], b"x");
    assert_eq!((reply.status, reply.field("accept-patch")), (415, Some("application/partial-upload")));
    for fields in [&[PARTIAL, LAST][..], &[PARTIAL, "Upload-Offset: 0"], &[PARTIAL, LAST, "Upload-Offset: -1"]] {
        assert_eq!(client.request("PATCH", &address, fields, b"x").status, 400, "{fields:?}");
    }
    for method in ["PUT", "POST"] {
        let reply = client.request(method, &address, &[], b"x");
        assert_eq!((reply.status, reply.field("allow")), (405, Some("GET, HEAD, OPTIONS, DELETE, PATCH")));
    }
    assert_eq!(client.request("PATCH", "/hello.txt", &[PARTIAL, LAST, "Upload-Offset: 0"], b"x").status, 405);
    assert_eq!(offset(&mut client, &address), 0);
}

#[test]
fn an_upload_is_known_under_its_own_address_only() {
    let server = Server::start();
    let mut client = server.connect();
    let address = begin(&mut client, "/folder/f", &[]);
    let (_, query) = address.split_once('?').unwrap();
    for other in [
        format!("/folder/g?{query}"),
        format!("/f?{query}"),
        format!("/folder/f?upload={}", "0".repeat(32)),
        format!("/folder/none/f?{query}"),
    ] {
        for method in ["HEAD", "DELETE"] {
            let status = client.request(method, &other, &[], b"").status;
            assert!(matches!(status, 404 | 409), "{method} {other}: {status}");
        }
        assert!(matches!(append(&mut client, &other, 0, LAST, b"x").status, 404 | 409), "{other}");
    }
    for name in std::fs::read_dir(server.site.path("folder")).unwrap() {
        let name = name.unwrap().file_name().into_string().unwrap();
        if name.starts_with('.') {
            assert_eq!(client.get(&format!("/folder/{name}")).status, 404);
            assert_eq!(client.request("PUT", &format!("/folder/{name}"), &[], b"x").status, 404);
        }
    }
    let listing = client.get_with("/folder/", &["Accept: application/json"]);
    assert!(!listing.text().contains("fileserv-"), "{}", listing.text());
    assert_eq!(offset(&mut client, &address), 0);
}

#[test]
fn preconditions_and_rights_are_decided_at_the_end() {
    let config = r#"
workers = 2
[[access]]
path = "/"
allow = ["read"]
[[access]]
path = "/folder/"
allow = ["read", "create"]
"#;
    let server = Server::with(Site::sample(), config);
    let mut client = server.connect();
    assert_eq!(client.request("PUT", "/f", &[MORE], b"").status, 403);
    assert_eq!(client.request("PUT", "/folder/inner.txt", &[MORE], b"").status, 403);
    let address = begin(&mut client, "/folder/new", &[]);
    server.site.write("folder/new", "somebody else's");
    let reply = append(&mut client, &address, 0, LAST, b"mine");
    assert_eq!((reply.status, reply.field("upload-complete")), (403, Some("?1")));
    assert_eq!(server.site.read("folder/new"), b"somebody else's");
    assert_eq!(state(&mut client, &address).status, 404);

    let server = Server::start();
    let mut client = server.connect();
    let tag = client.get("/hello.txt").field("etag").unwrap().to_owned();
    assert_eq!(client.request("PUT", "/hello.txt", &[MORE, "If-None-Match: *"], b"").status, 412);
    let address = begin(&mut client, "/hello.txt", &[&format!("If-Match: {tag}")]);
    assert_eq!(client.request("PUT", "/hello.txt", &[], b"newer").status, 204);
    let reply = append(&mut client, &address, 0, LAST, b"mine");
    assert_eq!((reply.status, reply.field("upload-complete")), (412, Some("?1")), "{reply:?}");
    assert_eq!(reply.field("etag"), client.get("/hello.txt").field("etag"), "the tag of what is there");
    assert_eq!(server.site.read("hello.txt"), b"newer");
    assert_eq!(parts(&server), [""; 0]);
}

#[test]
fn where_nobody_may_upload_there_is_no_upload() {
    let server = Server::with(Site::sample(), "");
    let mut client = server.connect();
    let query = format!("?upload={}", "0".repeat(32));
    assert_eq!(client.get(&format!("/hello.txt{query}")).text(), "hello, world\n", "a query like any other");
    assert_eq!(client.request("PATCH", &format!("/hello.txt{query}"), &[PARTIAL], b"x").status, 405);
    assert_eq!(client.request("PUT", "/f", &[MORE], b"x").status, 403);
}
