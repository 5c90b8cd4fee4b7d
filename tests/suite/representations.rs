//! Codings, digests, downloads (RFC 9110 section 12.5.3, RFC 9530, RFC 6266): what a client that asks for them gets.

use std::process::Command;

use crate::common::server::EVERYTHING;
use crate::common::{Server, Site, site};

/// The digest of some bytes as another program makes it, in the form of a field.
fn sha256(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bytes");
    std::fs::write(&file, bytes).unwrap();
    let script = "sha256sum \"$0\" | cut -c 1-64 | tr a-f A-F | basenc --base16 -d | base64 -w 0";
    let output = Command::new("sh").args(["-c", script, file.to_str().unwrap()]).output().unwrap();
    format!("sha-256=:{}:", String::from_utf8(output.stdout).unwrap())
}

#[test]
fn digests_are_those_that_sha256sum_makes() {
    let server = Server::start();
    let mut client = server.connect();
    let all = site::large();
    let want = ["Want-Repr-Digest: sha-256=1, md5=10", "Want-Content-Digest: sha-256=1", "Range: bytes=7-70000"];
    for _ in 0..2 {
        let reply = client.get_with("/large.bin", &want);
        assert_eq!(reply.status, 206);
        assert_eq!(reply.field("repr-digest"), Some(&*sha256(&all)));
        assert_eq!(reply.field("content-digest"), Some(&*sha256(&all[7..=70_000])));
    }
    let head = client.request("HEAD", "/hello.txt", &want[..1], b"");
    assert_eq!(head.field("repr-digest"), Some(&*sha256(b"hello, world\n")));
    assert_eq!(client.get("/hello.txt").field("repr-digest"), None, "only for who wants it");
}

#[test]
fn sibling_is_served_while_it_is_fresh() {
    let site = Site::sample();
    site.write("hello.txt.gz", "stands for gzip");
    let server = Server::with(site, &format!("precompressed = [\"br\", \"gzip\"]\n{EVERYTHING}"));
    let mut client = server.connect();
    for _ in 0..2 {
        let reply = client.get_with("/hello.txt", &["Accept-Encoding: br, gzip"]);
        assert_eq!((reply.text(), reply.field("content-encoding")), ("stands for gzip", Some("gzip")));
        assert!(reply.field("content-type").unwrap().starts_with("text/plain"));
        let reply = client.get("/hello.txt");
        assert_eq!((reply.text(), reply.field("vary")), ("hello, world\n", Some("Accept-Encoding")));
    }
    server.site.write("hello.txt", "newer\n");
    assert_eq!(client.get_with("/hello.txt", &["Accept-Encoding: gzip"]).text(), "newer\n");
}

#[test]
fn generated_pages_are_unpacked_by_curl() {
    let server = Server::start();
    let get = |target: &str, options: &[&str]| {
        let output = Command::new("curl").args(["-sS"]).args(options).arg(server.url(target)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    for target in ["/folder/", "/perlin?seed=1", "/perlin?seed=1&format=text&width=800&height=600"] {
        let plain = get(target, &[]);
        assert!(get(target, &["-H", "Accept-Encoding: gzip"]).starts_with(&[0x1f, 0x8b]), "{target}");
        assert!(get(target, &["--compressed"]) == plain, "{target}");
    }
}

#[test]
fn download_has_the_name_of_its_file() {
    let server = Server::start();
    let reply = server.connect().get("/name%20with%20space%20%26%20%3Cb%3E.txt?download");
    assert_eq!(reply.text(), "odd name\n");
    let expected = "attachment; filename=\"name with space & <b>.txt\"";
    assert_eq!(reply.field("content-disposition"), Some(expected));
}
