//! The command line: quick use, help, checks of a configuration.

use crate::common::server::binary;
use crate::common::{Server, Site, tools};

#[test]
fn quick_use_has_everything_but_uploads() {
    let server = Server::quick(Site::sample(), &["--workers", "1"]);
    let mut client = server.connect();
    for target in ["/hello.txt", "/folder/", "/perlin", "/sha256", "/stats"] {
        assert_eq!(client.get(target).status, 200, "{target}");
    }
    assert_eq!(server.connect().request("PUT", "/new.txt", &[], b"x").status, 403);
    assert_eq!(server.workers().len(), 1);
    let said = server.said();
    let ready = said.lines().find(|line| line.contains(" serves ")).unwrap();
    let expected = format!("fileserv {} serves {} at http://", env!("CARGO_PKG_VERSION"), server.site.root().display());
    assert!(ready.contains(&expected), "{ready}");
    assert!(said.to_lowercase().contains("landlock"), "it says what the seal enforces: {said}");
    assert!(!said.contains("GET /"), "no access log but to a terminal or where told");
}

#[test]
fn quick_use_takes_uploads_when_told() {
    let server = Server::quick(Site::sample(), &["--upload", "--set", "uploads.durability=none"]);
    assert_eq!(server.connect().request("PUT", "/new.txt", &[], b"x").status, 201);
}

#[test]
fn quick_use_logs_where_told() {
    let server = Server::quick(Site::sample(), &["--access-log", "stdout"]);
    server.connect().get("/hello.txt");
    server.await_line("the request is logged", |line| line.contains("\"GET /hello.txt HTTP/1.1\" 200 13"));
}

#[test]
fn any_key_can_be_set() {
    let server = Server::quick(Site::sample(), &["--set", "limits.target_bytes=64", "--set", "workers=3"]);
    assert_eq!(server.connect().get(&format!("/{}", "x".repeat(100))).status, 414);
    assert_eq!(server.workers().len(), 3);
}

#[test]
fn help_fits_one_screen() {
    let help = tools::run(binary(), &["--help"]);
    assert!(help.lines().count() <= 24, "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    for option in ["--config", "--set", "--test", "--listen", "--workers", "--upload", "--user", "--version"] {
        assert!(help.contains(option), "{option}: {help}");
    }
    assert_eq!(tools::run(binary(), &["--version"]).trim(), format!("fileserv {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn check_says_where_and_what() {
    let site = Site::sample();
    let file = site.beside("fileserv.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, format!("root = {:?}\n", site.root())).unwrap();
    tools::run(binary(), &["-t", "-c", path]);
    for (text, place, word) in [
        ("wrokers = 2\n", ":2:", "workers"),
        ("workers = 0\n", ":2:", "workers"),
        ("[limits]\nhead_bytes = \"16 potatoes\"\n", ":3:", "potatoes"),
        ("listen = [\"127.0.0.1\"]\n", ":2:", "127.0.0.1"),
        ("[routes]\n\"/x\" = \"teapot\"\n", ":3:", "teapot"),
        ("workers = [\n", ":", "fileserv.toml"),
    ] {
        std::fs::write(&file, format!("root = {:?}\n{text}", site.root())).unwrap();
        let output = tools::attempt(binary(), &["-t", "-c", path]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(&format!("{path}{place}")) && said.contains(word), "{text}: {said}");
    }
}

#[test]
fn wrong_use_is_exit_code_2() {
    for arguments in [&["--no-such-option"][..], &["--workers"], &["one", "two"]] {
        assert_eq!(tools::attempt(binary(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn start_that_fails_is_exit_code_1_with_its_reason() {
    let site = Site::sample();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let root = site.root();
    let output = tools::attempt(binary(), &["--listen", &address, root.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address), "{output:?}");
    let output = tools::attempt(binary(), &["--listen", "127.0.0.1:0", "/no/such/folder"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder"), "{output:?}");
}

#[test]
fn several_addresses_and_a_unix_socket_serve_side_by_side() {
    use std::io::{Read, Write};
    let site = Site::sample();
    let socket = site.beside("log/socket");
    let unix = format!("unix:{}", socket.display());
    let server = Server::quick(site, &["--listen", "[::1]:0", "--listen", &unix]);
    assert_eq!(server.connect().get("/hello.txt").status, 200);
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    stream.write_all(b"GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("hello, world\n"), "{reply}");
    let six = server.await_line("the other address is told", |line| line.contains("http://[::1]:"));
    let address: std::net::SocketAddr = six
        .split("http://")
        .find_map(|part| part.starts_with("[::1]").then(|| part.split('/').next().unwrap().parse().unwrap()))
        .unwrap();
    assert_eq!(crate::common::Client::connect(address).get("/hello.txt").status, 200);
}
