//! Content that is made: Perlin noise and SHA-256.

use std::fs::File;
use std::io::Cursor;

use crate::common::{Server, site, tools};

#[test]
fn noise_is_a_page_of_characters() {
    let server = Server::start();
    let page = server.connect().get_with("/perlin", &["Accept: text/html"]);
    assert_eq!(page.status, 200);
    assert!(page.field("content-type").unwrap().starts_with("text/html"));
    let html = page.text();
    let from = html.find("<pre").unwrap();
    let text = &html[from..html.find("</pre>").unwrap()];
    let lines: Vec<&str> = text[text.find('>').unwrap() + 1..].trim_matches('\n').lines().collect();
    assert_eq!(lines.len(), 100, "the default height");
    assert!(lines.iter().all(|line| unescaped_length(line) == 250), "the default width");
    let again = server.connect().get_with("/perlin", &["Accept: text/html"]);
    assert_ne!(page.body, again.body, "a fresh seed each time");
}

fn unescaped_length(line: &str) -> usize {
    ["&amp;", "&lt;", "&gt;", "&quot;"]
        .iter()
        .fold(line.to_owned(), |text, escape| text.replace(escape, "x"))
        .chars()
        .count()
}

#[test]
fn one_seed_is_one_picture() {
    let server = Server::start();
    let mut client = server.connect();
    for format in ["html", "text", "png"] {
        let target = format!("/perlin?width=64&height=40&seed=7&format={format}");
        let first = client.get(&target);
        let second = client.get(&target);
        assert_eq!(first.status, 200);
        assert!(first.body == second.body, "{format}");
        let etag = first.field("etag").unwrap();
        assert_eq!(second.field("etag"), Some(etag));
        assert_eq!(client.get_with(&target, &[&format!("If-None-Match: {etag}")]).status, 304);
        let other = client.get(&format!("/perlin?width=64&height=40&seed=8&format={format}"));
        assert!(other.body != first.body, "{format}");
        assert_ne!(other.field("etag"), Some(etag));
    }
}

#[test]
fn text_and_picture_have_the_size_asked_for() {
    let server = Server::start();
    let mut client = server.connect();
    let text = client.get("/perlin?width=33&height=5&seed=1&format=text");
    assert!(text.field("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(text.text().lines().map(|line| line.chars().count()).collect::<Vec<_>>(), [33; 5]);

    let picture = client.get("/perlin?width=300&height=200&seed=1&format=png");
    assert_eq!(picture.field("content-type"), Some("image/png"));
    let mut reader = png::Decoder::new(Cursor::new(picture.body)).read_info().unwrap();
    assert_eq!((reader.info().width, reader.info().height), (300, 200));
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    pixels.sort_unstable();
    pixels.dedup();
    assert!(pixels.len() > 16, "noise has many shades");
}

#[test]
fn bad_value_is_400_and_named() {
    let server = Server::start();
    let mut client = server.connect();
    for (query, name) in [
        ("width=0", "width"),
        ("width=abc", "width"),
        ("height=-1", "height"),
        ("height=99999999999999999999", "height"),
        ("octaves=0", "octaves"),
        ("scale=nan", "scale"),
        ("scale=inf", "scale"),
        ("seed=x", "seed"),
        ("format=gif", "format"),
        ("width=1&width=2", "width"),
        ("unknown=1", "unknown"),
    ] {
        let reply = client.get_with(&format!("/perlin?{query}"), &["Accept: application/problem+json"]);
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.text().contains(name), "{query}: {}", reply.text());
    }
}

#[test]
fn big_picture_does_not_delay_others() {
    let server = Server::with(site::Site::sample(), &format!("workers = 1\n{}", crate::common::server::EVERYTHING));
    let mut slow = server.connect();
    slow.send("GET /perlin?width=1024&height=1024&seed=1&format=png HTTP/1.1\r\nHost: a\r\n\r\n");
    let drawing = std::thread::spawn(move || slow.reply("GET"));
    let mut others = server.connect();
    let mut answered = 0;
    while !drawing.is_finished() {
        let reply = others.get("/hello.txt");
        assert_eq!(reply.status, 200);
        answered += 1;
        if reply.closes() {
            others = server.connect();
        }
    }
    let picture = drawing.join().unwrap();
    assert_eq!(picture.status, 200);
    assert_eq!(png::Decoder::new(Cursor::new(picture.body)).read_info().unwrap().info().height, 1024);
    // Drawn within the loop, even a row at a time, it would let through a handful.
    assert!(answered > 100, "{answered} small requests were answered while one worker drew");
}

#[test]
fn reader_of_a_picture_who_leaves_harms_nobody() {
    let server = Server::start();
    let workers = server.workers();
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("GET /perlin?width=4096&height=4096&seed=1&format=png HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    server.assert_unharmed(&workers);
}

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn form_field_gives_its_digest() {
    let server = Server::start();
    let mut client = server.connect();
    let form = client.get_with("/sha256", &["Accept: text/html"]);
    assert_eq!(form.status, 200);
    assert!(form.text().contains("<form") && form.text().contains("name=\"sha_input\""), "{}", form.text());
    let urlencoded = "Content-Type: application/x-www-form-urlencoded";
    let reply = client.request("POST", "/sha256", &[urlencoded], b"sha_input=abc");
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains(ABC), "{}", reply.text());
    let spaces = client.request("POST", "/sha256", &[urlencoded], b"sha_input=a+b%26c");
    // printf 'a b&c' | sha256sum
    assert!(spaces.text().contains(&digest_of(b"a b&c")), "{}", spaces.text());
}

#[test]
fn any_other_body_gives_the_digest_of_its_bytes() {
    let server = Server::start();
    let mut client = server.connect();
    for body in [&b""[..], b"abc", &site::large()] {
        let reply = client.request("POST", "/sha256", &["Content-Type: application/octet-stream"], body);
        assert_eq!(reply.status, 200);
        assert!(reply.text().contains(&digest_of(body)), "{}", reply.text());
    }
    let chunked = ["Transfer-Encoding: chunked", "Content-Type: application/octet-stream"];
    client.send(crate::common::client::head("POST", "/sha256", &chunked, b""));
    client.send("1\r\na\r\n2;extension=\"x\"\r\nbc\r\n0\r\nTrailer: ignored\r\n\r\n");
    assert!(client.reply("POST").text().contains(ABC));
}

fn digest_of(bytes: &[u8]) -> String {
    use sha2::Digest;
    use std::fmt::Write;
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

#[test]
fn digest_of_a_served_file_is_read_by_sha256sum() {
    let server = Server::start();
    let mut client = server.connect();
    let mut sums = String::new();
    for target in ["/sha256/large.bin", "/sha256/folder/inner.txt", "/sha256/name%20with%20space%20&%20%3Cb%3E.txt"] {
        let reply = client.get(target);
        assert_eq!(reply.status, 200, "{target}");
        sums += reply.text();
    }
    let list = server.site.beside("sums");
    std::fs::write(&list, &sums).unwrap();
    let mut check = std::process::Command::new("sha256sum");
    let output = check.arg("-c").current_dir(server.site.root()).stdin(File::open(&list).unwrap()).output().unwrap();
    assert!(output.status.success(), "{sums}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches(": OK").count(), 3);
    for target in ["/sha256/nothing", "/sha256/.hidden", "/sha256/folder/", "/sha256/%2e%2e/secret"] {
        let status = client.get(target).status;
        assert!(matches!(status, 400 | 403 | 404), "{target}: {status}");
    }
}

#[test]
fn digest_of_an_upload_through_curl() {
    let server = Server::start();
    let file = server.site.path("large.bin");
    let data = format!("@{}", file.display());
    let octets = "Content-Type: application/octet-stream";
    let said = tools::curl(&["-H", octets, "--data-binary", &data, &server.url("/sha256")]);
    assert!(said.contains(&tools::sha256sum(&file)), "{said}");
}
