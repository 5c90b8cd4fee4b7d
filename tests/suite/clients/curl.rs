//! curl, as people use it.

use crate::common::server::EVERYTHING;
use crate::common::{Server, Site, site, tools};

#[test]
fn download_is_resumed() {
    let server = Server::start();
    let part = server.site.beside("part");
    let all = site::large();
    std::fs::write(&part, &all[..400_000]).unwrap();
    tools::curl(&["-C", "-", "-o", part.to_str().unwrap(), &server.url("/large.bin")]);
    assert!(std::fs::read(&part).unwrap() == all);
    assert_eq!(tools::sha256sum(&part), tools::sha256sum(&server.site.path("large.bin")));
}

#[test]
fn upload_and_download_again() {
    let server = Server::start();
    let file = server.site.beside("file");
    std::fs::write(&file, site::large()).unwrap();
    let path = file.to_str().unwrap();
    let status = |arguments: &[&str]| tools::curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat());
    assert_eq!(status(&["-T", path, &server.url("/uploaded")]), "201");
    assert_eq!(status(&["-T", path, &server.url("/uploaded")]), "204");
    // Without a length, chunked; and with the expectation that curl sends for long bodies.
    assert_eq!(status(&["-T", path, "-H", "Transfer-Encoding: chunked", &server.url("/folder/")]), "201");
    assert_eq!(status(&["-T", path, "-H", "Expect: 100-continue", &server.url("/expected")]), "201");
    for name in ["uploaded", "folder/file", "expected"] {
        assert!(server.site.read(name) == site::large(), "{name}");
    }
}

#[test]
fn conditional_download() {
    let server = Server::start();
    let tags = server.site.beside("etag");
    let tags = tags.to_str().unwrap();
    let out = server.site.beside("out");
    let out = out.to_str().unwrap();
    let url = server.url("/hello.txt");
    let get = |how: &[&str]| tools::curl(&[&["-o", out, "-w", "%{http_code}"], how, &[&url]].concat());
    assert_eq!(get(&["--etag-save", tags]), "200");
    assert_eq!(get(&["--etag-compare", tags]), "304");
    // As scripts do it: the same file to compare with and to keep for the next time.
    let both = ["--etag-compare", tags, "--etag-save", tags];
    assert_eq!(get(&both), "304");
    assert_eq!(get(&both), "304");
    assert_eq!(get(&["-z", server.site.path("hello.txt").to_str().unwrap()]), "304");
    server.site.write("hello.txt", "changed\n");
    assert_eq!(get(&both), "200");
    assert_eq!(std::fs::read_to_string(out).unwrap(), "changed\n");
    assert_eq!(get(&both), "304");
}

#[test]
fn parts_are_what_was_asked_for() {
    let server = Server::start();
    let url = server.url("/alphabet.txt");
    for (range, expected) in [("0-4", "abcde"), ("21-", "vwxyz"), ("-3", "xyz"), ("25-99", "z"), ("7-7", "h")] {
        let got = tools::curl(&["-r", range, "-w", " %{http_code} ", &url]);
        assert!(got.starts_with(&format!("{expected} 206 ")), "{range}: {got}");
    }
    let beyond = tools::attempt("curl", &["-q", "-sS", "--fail", "-r", "26-", &url]);
    assert_eq!(beyond.status.code(), Some(22), "a part that does not exist is an error: {beyond:?}");
}

#[test]
fn several_parts_come_as_one_answer() {
    let server = Server::start();
    // Long enough: where the parts with their heads are no shorter than the file, the file is the answer.
    server.site.write("long.txt", "abcdefghijklmnopqrstuvwxyz".repeat(100));
    let url = server.url("/long.txt");
    let got = tools::curl(&["-r", "0-1,2598-2599", "-w", "%{http_code} %{content_type}", &url]);
    assert!(got.contains("206 multipart/byteranges; boundary="), "{got}");
    for part in ["Content-Range: bytes 0-1/2600\r\n", "\r\n\r\nab\r\n", "\r\n\r\nyz\r\n"] {
        assert!(got.contains(part), "{part:?}: {got}");
    }
}

#[test]
fn compressed_sibling_is_unpacked() {
    let site = Site::sample();
    let all = site::large();
    // The sibling is made after its original, as it is when a site is built.
    tools::run("gzip", &["--keep", "--no-name", site.path("large.bin").to_str().unwrap()]);
    site::give(&site.path("large.bin.gz"));
    let packed = site.read("large.bin.gz").len();
    let server = Server::with(site, &format!("precompressed = [\"gzip\"]\n{EVERYTHING}"));
    let out = server.site.beside("out");
    let get = |how: &[&str]| {
        let size = ["-o", out.to_str().unwrap(), "-w", "%{size_download}"];
        let url = server.url("/large.bin");
        tools::curl(&[&size, how, &[&url]].concat())
    };
    assert_eq!(get(&["--compressed"]), packed.to_string());
    assert!(std::fs::read(&out).unwrap() == all, "what came is the original");
    assert_eq!(get(&[]), all.len().to_string());
}

#[test]
fn head_is_the_head_of_the_download() {
    let server = Server::start();
    // The date is the one field that may differ.
    let fields = |head: &str| {
        let lines = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for name in ["/hello.txt", "/large.bin", "/empty.txt"] {
        let url = server.url(name);
        let asked = fields(&tools::curl(&["-I", &url]));
        assert_eq!(asked, fields(&tools::curl(&["-D", "-", "-o", "/dev/null", &url])), "{name}");
        let length = format!("content-length: {}", server.site.read(name.trim_start_matches('/')).len());
        assert!(asked.iter().any(|line| line.eq_ignore_ascii_case(&length)), "{length}: {asked:?}");
    }
}

#[test]
fn many_at_once() {
    let server = Server::start();
    let url = server.url("/large.bin?[1-50]");
    let out = server.site.beside("many-#1");
    tools::curl(&["-Z", "--parallel-max", "20", "-o", out.to_str().unwrap(), &url]);
    let expected = site::large();
    for number in 1..=50 {
        assert!(std::fs::read(server.site.beside(&format!("many-{number}"))).unwrap() == expected, "{number}");
    }
}
