//! GET: files small and large, index files, media types.

use std::time::{Duration, SystemTime};

use crate::common::{Server, site, until};

#[test]
fn small_file_is_served_with_type_and_validators() {
    let server = Server::start();
    let reply = server.connect().get("/hello.txt");
    assert_eq!((reply.status, reply.text()), (200, "hello, world\n"));
    assert_eq!(reply.field("content-length"), Some("13"));
    assert_eq!(reply.field("accept-ranges"), Some("bytes"));
    assert!(reply.field("content-type").unwrap().starts_with("text/plain"));
    let etag = reply.field("etag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "a strong tag: {etag}");
    assert!(reply.field("last-modified").unwrap().ends_with(" GMT"));
}

#[test]
fn large_file_arrives_whole() {
    let server = Server::start();
    let reply = server.connect().get("/large.bin");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.field("content-type"), Some("application/octet-stream"));
    assert!(reply.body == site::large(), "every byte is in its place");
}

#[test]
fn empty_file_has_length_zero() {
    let server = Server::start();
    let reply = server.connect().get("/empty.txt");
    assert_eq!((reply.status, reply.field("content-length")), (200, Some("0")));
}

#[test]
fn folder_with_an_index_file_is_that_file() {
    let server = Server::start();
    let reply = server.connect().get("/");
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("<p>home"));
    assert!(reply.field("content-type").unwrap().starts_with("text/html"));
}

#[test]
fn folder_without_its_slash_is_redirected_to_it() {
    let server = Server::start();
    let reply = server.connect().get("/folder?x=1");
    assert!(matches!(reply.status, 301 | 308), "{reply:?}");
    assert!(reply.field("location").unwrap().ends_with("/folder/?x=1"), "{reply:?}");
}

#[test]
fn redirect_of_a_folder_never_leads_to_another_host() {
    let server = Server::start();
    for target in ["//folder", "//evil.example/..", "/\\evil.example", "///folder"] {
        let reply = server.connect().get(target);
        if let Some(location) = reply.field("location") {
            assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{target}: {location}");
        }
    }
}

#[test]
fn changed_file_is_never_served_stale() {
    let server = Server::start();
    let mut client = server.connect();
    let mut tags = Vec::new();
    for round in 0..50 {
        let text = format!("round {round:02}\n");
        server.site.write("hello.txt", &text);
        for _ in 0..3 {
            let reply = client.get("/hello.txt");
            assert_eq!(reply.text(), text);
            // Weak at first, strong when it has settled: the same tag.
            tags.push(reply.field("etag").unwrap().trim_start_matches("W/").to_owned());
        }
    }
    tags.dedup();
    assert_eq!(tags.len(), 50, "each content has its own tag");
}

#[test]
fn file_of_the_future_has_a_strong_tag_soon() {
    let server = Server::start();
    let file = std::fs::File::options().write(true).open(server.site.path("hello.txt")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(1_000_000)).unwrap();
    let mut client = server.connect();
    until("its tag is strong", || client.get("/hello.txt").field("etag").unwrap().starts_with('"'));
}

#[test]
fn removed_file_is_gone_at_once_though_it_was_cached() {
    let server = Server::start();
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/hello.txt").status, 200);
    }
    std::fs::remove_file(server.site.path("hello.txt")).unwrap();
    assert_eq!(client.get("/hello.txt").status, 404);
}

#[test]
fn name_with_escapes_is_found() {
    let server = Server::start();
    let reply = server.connect().get("/name%20with%20space%20&%20%3Cb%3E.txt");
    assert_eq!((reply.status, reply.text()), (200, "odd name\n"));
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /hello.txt HTTP/1.0\r\n\r\n");
    let reply = client.reply("GET");
    assert_eq!((reply.status, reply.text()), (200, "hello, world\n"));
    client.expect_end();
}

#[test]
fn content_made_on_the_way_is_not_chunked_for_http_1_0() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /perlin?format=html&width=64&height=64&seed=1 HTTP/1.0\r\n\r\n");
    let reply = client.reply("GET");
    assert_eq!((reply.status, reply.field("transfer-encoding")), (200, None));
    assert!(reply.text().contains("<pre"));
    client.expect_end();
}

#[test]
fn absolute_form_is_understood() {
    let server = Server::start();
    let reply = server.connect().get("http://test/hello.txt");
    assert_eq!((reply.status, reply.text()), (200, "hello, world\n"));
}

#[test]
fn options_tells_what_is_possible() {
    let server = Server::start();
    let mut client = server.connect();
    for target in ["/hello.txt", "*"] {
        let reply = client.request("OPTIONS", target, &[], b"");
        assert!(matches!(reply.status, 200 | 204), "{target}: {reply:?}");
        let allow = reply.field("allow").unwrap();
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(allow.split(", ").any(|name| name == method), "{target}: {allow}");
        }
    }
    assert!(client.request("OPTIONS", "/hello.txt", &[], b"").field("allow").unwrap().contains("PUT"));
}
