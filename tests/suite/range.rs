//! Ranges, one and several (RFC 9110 section 14).

use crate::common::{Server, site};

#[test]
fn part_of_a_file_is_served() {
    let server = Server::start();
    let mut client = server.connect();
    for (range, content_range, text) in [
        ("0-0", "bytes 0-0/26", "a"),
        ("0-25", "bytes 0-25/26", "abcdefghijklmnopqrstuvwxyz"),
        ("23-", "bytes 23-25/26", "xyz"),
        ("-2", "bytes 24-25/26", "yz"),
        ("-100", "bytes 0-25/26", "abcdefghijklmnopqrstuvwxyz"),
        ("24-99999999999999999999", "bytes 24-25/26", "yz"),
    ] {
        let reply = client.get_with("/alphabet.txt", &[&format!("Range: bytes={range}")]);
        assert_eq!((reply.status, reply.text()), (206, text), "{range}");
        assert_eq!(reply.field("content-range"), Some(content_range));
    }
}

#[test]
fn part_of_a_large_file_is_the_right_part() {
    let server = Server::start();
    let all = site::large();
    let mut client = server.connect();
    for (first, last) in [(0, 999_999), (1, 1), (70_000, 900_000), (1_100_002, 1_100_002)] {
        let reply = client.get_with("/large.bin", &[&format!("Range: bytes={first}-{last}")]);
        assert_eq!(reply.status, 206);
        assert!(reply.body == all[first..=last], "{first}-{last}");
    }
}

#[test]
fn several_parts_come_in_the_order_of_asking_and_the_connection_goes_on() {
    let server = Server::start();
    let all = site::large();
    let mut client = server.connect();
    let reply = client.get_with("/large.bin", &["Range: bytes=900000-999999, 5-9, 5-20, -1"]);
    assert_eq!((reply.status, reply.field("content-range")), (206, None));
    let boundary = reply.field("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let last = all.len() - 1;
    let mut expected = Vec::new();
    for (first, last) in [(900_000, 999_999), (5, 20), (last, last)] {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {first}-{last}/{}\r\n\r\n",
            all.len()
        );
        expected.extend([head.as_bytes(), &all[first..=last]].concat());
    }
    expected.extend(format!("\r\n--{boundary}--\r\n").bytes());
    assert!(reply.body == expected, "every byte is in its place");
    assert_eq!(client.get("/alphabet.txt").body.len(), 26);
}

#[test]
fn thousands_of_ranges_get_no_more_than_the_file() {
    let server = Server::start();
    let mut client = server.connect();
    for spec in ["0-0", "-1", "0-", "3-9"] {
        let field = format!("Range: bytes={}", vec![spec; 2000].join(","));
        let reply = client.get_with("/large.bin", &[&field]);
        assert_eq!((reply.status, reply.body.len()), (200, site::large().len()), "{spec}");
    }
}

#[test]
fn range_behind_the_end_is_416() {
    let server = Server::start();
    let mut client = server.connect();
    for range in ["26-", "26-30", "-0"] {
        let reply = client.get_with("/alphabet.txt", &[&format!("Range: bytes={range}")]);
        assert_eq!((reply.status, reply.field("content-range")), (416, Some("bytes */26")), "{range}");
    }
}

#[test]
fn range_that_is_none_is_ignored() {
    // RFC 9110 section 14.2: an invalid or unknown Range is as none at all.
    let server = Server::start();
    let mut client = server.connect();
    for range in
        ["bytes=5-2", "bytes=", "bytes=a-b", "lines=1-2", "bytes 0-1", "bytes=--1", "bytes=0x1-2", "bytes=+1-2"]
    {
        let reply = client.get_with("/alphabet.txt", &[&format!("Range: {range}")]);
        assert_eq!((reply.status, reply.body.len()), (200, 26), "{range}");
    }
}

#[test]
fn if_range_sends_all_of_a_changed_file() {
    let server = Server::start();
    let mut client = server.connect();
    let first = client.get("/alphabet.txt");
    let etag = format!("If-Range: {}", first.field("etag").unwrap());
    let part = client.get_with("/alphabet.txt", &["Range: bytes=2-3", &etag]);
    assert_eq!((part.status, part.text()), (206, "cd"));
    server.site.write("alphabet.txt", "another alphabet");
    let all = client.get_with("/alphabet.txt", &["Range: bytes=2-3", &etag]);
    assert_eq!((all.status, all.text()), (200, "another alphabet"));
    let weak = format!("If-Range: W/{}", all.field("etag").unwrap());
    assert_eq!(client.get_with("/alphabet.txt", &["Range: bytes=2-3", &weak]).status, 200, "weak tags don't do");
}
