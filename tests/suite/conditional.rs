//! Conditional requests (RFC 9110 section 13), for reading and for writing.

use crate::common::Server;

#[test]
fn unchanged_file_is_not_sent_again() {
    let server = Server::start();
    let mut client = server.connect();
    for target in ["/hello.txt", "/large.bin"] {
        let first = client.get(target);
        let etag = first.field("etag").unwrap();
        let modified = first.field("last-modified").unwrap();
        let by_tag = format!("If-None-Match: {etag}");
        let by_weak_tag = format!("If-None-Match: \"other\", W/{etag}");
        let by_time = format!("If-Modified-Since: {modified}");
        for condition in [&by_tag, &by_weak_tag, &by_time, "If-None-Match: *"] {
            let reply = client.get_with(target, &[condition]);
            assert_eq!(reply.status, 304, "{target} with {condition}");
            assert_eq!(reply.field("etag"), Some(etag), "RFC 9110 section 15.4.5: a 304 names the tag");
            assert!(reply.body.is_empty());
        }
    }
    assert_eq!(client.get("/hello.txt").status, 200, "nothing followed a 304");
}

#[test]
fn changed_file_is_sent() {
    let server = Server::start();
    let mut client = server.connect();
    for condition in [
        "If-None-Match: \"other\"",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
        // RFC 9110 section 13.1.3: what is no date counts for nothing.
        "If-Modified-Since: yesterday",
    ] {
        assert_eq!(client.get_with("/hello.txt", &[condition]).status, 200, "{condition}");
    }
}

#[test]
fn tag_goes_before_time() {
    // RFC 9110 section 13.2.2: with If-None-Match there, If-Modified-Since is not looked at.
    let server = Server::start();
    let mut client = server.connect();
    let modified = client.get("/hello.txt").field("last-modified").unwrap().to_owned();
    let time = format!("If-Modified-Since: {modified}");
    assert_eq!(client.get_with("/hello.txt", &[&time, "If-None-Match: \"other\""]).status, 200);
}

#[test]
fn failed_precondition_is_412() {
    let server = Server::start();
    let mut client = server.connect();
    let etag = client.get("/hello.txt").field("etag").unwrap().to_owned();
    let weak = format!("If-Match: W/{etag}");
    for condition in ["If-Match: \"other\"", &weak, "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"] {
        assert_eq!(client.get_with("/hello.txt", &[condition]).status, 412, "{condition}");
    }
    let strong = format!("If-Match: \"other\", {etag}");
    for condition in [&strong, "If-Match: *"] {
        assert_eq!(client.get_with("/hello.txt", &[condition]).status, 200, "{condition}");
    }
}

#[test]
fn lost_update_is_prevented() {
    let server = Server::start();
    let mut client = server.connect();
    let old = format!("If-Match: {}", client.get("/hello.txt").field("etag").unwrap());
    assert_eq!(client.request("PUT", "/hello.txt", &[&old], b"mine").status, 204);
    assert_eq!(client.request("PUT", "/hello.txt", &[&old], b"theirs").status, 412);
    assert_eq!(client.get("/hello.txt").text(), "mine");
}

#[test]
fn only_a_new_file_is_written_when_so_wished() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.request("PUT", "/new.txt", &["If-None-Match: *"], b"one").status, 201);
    assert_eq!(client.request("PUT", "/new.txt", &["If-None-Match: *"], b"two").status, 412);
    assert_eq!(client.get("/new.txt").text(), "one");
}
