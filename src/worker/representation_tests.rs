//! Ranges, codings and digests together, through the whole pipeline and the state machine: what a client gets.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::desk::Desk;
use super::tests::{converse, desk, site};
use crate::config::Precompressed;
use crate::message::{Algorithm, Digest, Hasher};

/// An answer, taken apart.
struct Answer {
    status: u16,
    head: String,
    content: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

fn ask(desk: &mut Desk, method: &str, target: &str, lines: &[(&str, &str)]) -> Answer {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    for (name, value) in lines {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    let bytes = converse(desk, &[request.as_bytes(), b"\r\n"], 1000);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let content = bytes[end + 4..].to_vec();
    let answer = Answer { status: head[9..12].parse().unwrap(), head, content };
    if let Some(length) = answer.field("Content-Length").filter(|_| method != "HEAD") {
        assert_eq!(length, answer.content.len().to_string(), "{}", answer.head);
    }
    answer
}

fn get(desk: &mut Desk, target: &str, lines: &[(&str, &str)]) -> Answer {
    ask(desk, "GET", target, lines)
}

fn sha256(content: &[u8]) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(content);
    let digest: Digest = hasher.finish();
    digest.field_value()
}

fn put(root: &Path, name: &str, content: &[u8]) {
    std::fs::write(root.join(name), content).unwrap();
    let file = File::options().write(true).open(root.join(name)).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
}

/// The parts of a multipart answer: the range of each as it says it, and its bytes.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let boundary = answer.field("Content-Type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let text = String::from_utf8(answer.content.clone()).unwrap();
    let (packed, rest) = text.split_once(&format!("\r\n--{boundary}--\r\n")).unwrap();
    assert_eq!(rest, "");
    let delimiter = format!("\r\n--{boundary}\r\n");
    let packed = packed.split(&delimiter).skip(1);
    packed
        .map(|part| {
            let (head, content) = part.split_once("\r\n\r\n").unwrap();
            let range = head.lines().find_map(|line| line.strip_prefix("Content-Range: bytes ")).unwrap();
            assert!(head.contains("Content-Type: "), "{head}");
            (range.to_owned(), content.as_bytes().to_vec())
        })
        .collect()
}

#[test]
fn several_ranges_of_a_file_and_of_one_in_the_cache() {
    let root = site();
    let mut desk = desk(root.path());
    let content: Vec<u8> = (0..300_000_u32).map(|at| b'a' + (at % 23) as u8).collect();
    put(root.path(), "large.bin", &content);
    let small = std::fs::read(root.path().join("middle.txt")).unwrap();
    for (target, content, wanted) in [
        ("/large.bin", &content, [(200_000, 200_999), (0, 0), (299_990, 299_999)]),
        ("/middle.txt", &small, [(700, 799), (0, 9), (1799, 1799)]),
    ] {
        let field: Vec<String> = wanted.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let answer = get(&mut desk, target, &[("Range", &format!("bytes={}", field.join(", ")))]);
        assert_eq!(answer.status, 206, "{}", answer.head);
        assert_eq!(answer.field("Content-Range"), None);
        let expected: Vec<(String, Vec<u8>)> = wanted
            .iter()
            .map(|&(first, last): &(usize, usize)| {
                (format!("{first}-{last}/{}", content.len()), content[first..=last].to_vec())
            })
            .collect();
        assert_eq!(parts(&answer), expected);
        let tag = get(&mut desk, target, &[]).field("ETag").unwrap().to_owned();
        assert_eq!(answer.field("ETag"), Some(&*tag));
        let range = ("Range", "bytes=0-0,700-700");
        assert_eq!(get(&mut desk, target, &[range, ("If-Range", &tag)]).status, 206);
        assert_eq!(get(&mut desk, target, &[range, ("If-Range", "\"other\"")]).status, 200);
        assert_eq!(get(&mut desk, target, &[range, ("If-None-Match", &tag)]).status, 304);
        let head = ask(&mut desk, "HEAD", target, &[range]);
        assert_eq!((head.status, head.field("Content-Length")), (200, Some(&*content.len().to_string())));
        assert_eq!(get(&mut desk, target, &[("Range", "bytes=999999-,900000-900001")]).status, 416);
    }
}

#[test]
fn a_field_of_thousands_of_ranges_gets_no_more_than_the_file() {
    let root = site();
    let mut desk = desk(root.path());
    desk.config = std::sync::Arc::new({
        let mut config = (*desk.config).clone();
        config.limits.head_bytes = 16 * 1024;
        config
    });
    for spec in ["0-0", "-1", "0-", "5-9"] {
        let field = format!("bytes={}", vec![spec; 2000].join(","));
        let answer = get(&mut desk, "/middle.txt", &[("Range", &field)]);
        assert_eq!((answer.status, answer.content.len()), (200, 1800), "{spec}");
    }
}

#[test]
fn digests_of_get_head_ranges_and_304() {
    let root = site();
    let mut desk = desk(root.path());
    for target in ["/large.bin", "/middle.txt", "/small.txt"] {
        let content = std::fs::read(root.path().join(&target[1..])).unwrap();
        let both = [("Want-Repr-Digest", "sha-256=1"), ("Want-Content-Digest", "sha-512=0, sha-256=10")];
        let (whole, nothing) = (sha256(&content), sha256(b""));
        // Twice: made, then known.
        for _ in 0..2 {
            let answer = get(&mut desk, target, &both);
            assert_eq!((answer.field("Repr-Digest"), answer.field("Content-Digest")), (Some(&*whole), Some(&*whole)));
            assert_eq!((answer.status, &answer.content), (200, &content));
            let tag = answer.field("ETag").unwrap().to_owned();
            let answer = ask(&mut desk, "HEAD", target, &both);
            assert_eq!((answer.field("Repr-Digest"), answer.field("Content-Digest")), (Some(&*whole), Some(&*nothing)));
            assert_eq!(answer.field("Content-Length"), Some(&*content.len().to_string()));
            let part = sha256(&content[1..=3]);
            let answer = get(&mut desk, target, &[both[0], both[1], ("Range", "bytes=1-3")]);
            assert_eq!((answer.field("Repr-Digest"), answer.field("Content-Digest")), (Some(&*whole), Some(&*part)));
            let answer = get(&mut desk, target, &[both[0], both[1], ("If-None-Match", &tag)]);
            assert_eq!((answer.field("Repr-Digest"), answer.field("Content-Digest")), (Some(&*whole), None));
            assert_eq!(answer.status, 304);
            let answer = get(&mut desk, target, &[both[0], both[1], ("Range", "bytes=900000-")]);
            assert_eq!((answer.field("Repr-Digest"), answer.field("Content-Digest")), (None, None));
            assert_eq!(answer.status, 416);
        }
        let answer = get(&mut desk, target, &[("Want-Repr-Digest", "md5=10")]);
        assert_eq!(answer.field("Repr-Digest"), None);
    }
    let several = [("Want-Content-Digest", "sha-256=1"), ("Range", "bytes=0-9,900-909")];
    let answer = get(&mut desk, "/middle.txt", &several);
    assert_eq!((answer.status, answer.field("Content-Digest")), (206, Some(&*sha256(&answer.content))));
}

#[test]
fn a_sibling_has_its_own_length_tag_ranges_and_digest() {
    let root = site();
    let mut desk = desk(root.path());
    let mut config = (*desk.config).clone();
    config.precompressed = vec![Precompressed::Brotli, Precompressed::Gzip];
    desk.config = std::sync::Arc::new(config);
    let coded: Vec<u8> = (0..1000_u32).map(|at| b'A' + (at % 19) as u8).collect();
    for name in ["middle.txt.gz", "large.bin.gz"] {
        put(root.path(), name, &coded);
    }
    for target in ["/middle.txt", "/large.bin"] {
        let gzip = ("Accept-Encoding", "gzip");
        let want = ("Want-Repr-Digest", "sha-256=1");
        let plain = get(&mut desk, target, &[want]);
        let answer = get(&mut desk, target, &[gzip, want]);
        assert_eq!((&answer.content, answer.field("Content-Encoding")), (&coded, Some("gzip")));
        assert_eq!(answer.field("Repr-Digest"), Some(&*sha256(&coded)));
        assert_ne!(answer.field("ETag"), plain.field("ETag"));
        assert_eq!(answer.field("Content-Type"), plain.field("Content-Type"));
        assert_eq!((answer.field("Vary"), plain.field("Vary")), (Some("Accept-Encoding"), Some("Accept-Encoding")));
        let part = get(&mut desk, target, &[gzip, want, ("Range", "bytes=990-")]);
        assert_eq!((part.status, part.field("Content-Range")), (206, Some("bytes 990-999/1000")));
        assert_eq!((&part.content[..], part.field("Content-Encoding")), (&coded[990..], Some("gzip")));
        assert_eq!(part.field("Repr-Digest"), Some(&*sha256(&coded)));
        assert_eq!(get(&mut desk, target, &[gzip, ("Range", "bytes=0-0,900-900")]).status, 200);
        let tag = answer.field("ETag").unwrap();
        let unchanged = get(&mut desk, target, &[gzip, ("If-None-Match", tag)]);
        assert_eq!((unchanged.status, unchanged.field("Vary")), (304, Some("Accept-Encoding")));
        assert_eq!(get(&mut desk, target, &[("If-None-Match", tag)]).status, 200, "the tag is the sibling's");
        assert_eq!(get(&mut desk, target, &[("Accept-Encoding", "*;q=0")]).status, 406);
    }
}

#[test]
fn what_is_generated_goes_out_in_gzip() {
    let root = site();
    let mut desk = desk(root.path());
    for target in ["/stats", "/", "/perlin?seed=1", "/perlin?seed=1&format=text&width=400&height=300"] {
        let plain = get(&mut desk, target, &[]);
        let coded = get(&mut desk, target, &[("Accept-Encoding", "gzip, br")]);
        assert_eq!(
            (plain.field("Content-Encoding"), coded.field("Content-Encoding")),
            (None, Some("gzip")),
            "{target}"
        );
        for answer in [&plain, &coded] {
            let vary = if target.starts_with("/perlin") { "Accept-Encoding" } else { "Accept, Accept-Encoding" };
            assert_eq!(answer.field("Vary"), Some(vary), "{target}");
        }
        assert_eq!(coded.field("Transfer-Encoding"), Some("chunked"));
        if let Some(tag) = coded.field("ETag") {
            assert!(tag.starts_with("W/") && !tag.contains(plain.field("ETag").unwrap()), "{tag}");
            let again = get(&mut desk, target, &[("Accept-Encoding", "gzip"), ("If-None-Match", tag)]);
            assert_eq!(again.status, 304);
        }
        let mut text = String::new();
        flate2::read::GzDecoder::new(&unchunk(&coded.content)[..]).read_to_string(&mut text).unwrap();
        if target.starts_with("/perlin") {
            assert_eq!(text.as_bytes(), plain.content);
        } else {
            assert!(text.ends_with("</html>\n"), "{target}");
        }
    }
    let picture = get(&mut desk, "/perlin?seed=1&format=png", &[("Accept-Encoding", "gzip")]);
    assert_eq!((picture.field("Content-Encoding"), picture.field("Vary")), (None, None));
    let file = get(&mut desk, "/middle.txt", &[("Accept-Encoding", "gzip")]);
    assert_eq!((file.field("Content-Encoding"), file.field("Vary")), (None, None));
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            assert_eq!(&rest[end..], b"\r\n\r\n");
            return content;
        }
        content.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

#[test]
fn a_download_has_the_name_of_its_file() {
    let root = site();
    let mut desk = desk(root.path());
    for target in ["/small.txt?download", "/large.bin?download=x"] {
        let answer = get(&mut desk, target, &[("Range", "bytes=0-1")]);
        let name = target[1..].split('?').next().unwrap();
        let expected = format!("attachment; filename=\"{name}\"");
        assert_eq!((answer.status, answer.field("Content-Disposition")), (206, Some(&*expected)));
    }
    assert_eq!(get(&mut desk, "/small.txt?v=1", &[]).field("Content-Disposition"), None);
}
