//! PUT and POST to files: created, replaced, refused; whole or not at all.

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{assert_no_temporaries, await_temporary};
use crate::common::client::head;
use crate::common::{Client, Server, Site, site, until};

const READ_ONLY: &str = "[[access]]\npath = \"/\"\nallow = [\"list\", \"read\"]\n";

#[test]
fn put_creates_and_replaces() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.request("PUT", "/new.txt", &[], b"one").status, 201);
    assert_eq!(server.site.read("new.txt"), b"one");
    assert_eq!(client.request("PUT", "/new.txt", &[], b"two, longer").status, 204);
    assert_eq!(server.site.read("new.txt"), b"two, longer");
    assert_eq!(client.request("PUT", "/new.txt", &[], b"").status, 204);
    assert_eq!(client.get("/new.txt").text(), "");
    let mode = std::fs::metadata(server.site.path("new.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "the mode that the configuration gives by default");
    assert_no_temporaries(&server);
}

#[test]
fn post_updates_what_exists_only() {
    let server = Server::start();
    let mut client = server.connect();
    let reply = client.request("POST", "/hello.txt", &[], b"updated");
    assert!(matches!(reply.status, 200 | 204), "{reply:?}");
    assert_eq!(server.site.read("hello.txt"), b"updated");
    assert_eq!(server.connect().request("POST", "/missing.txt", &[], b"x").status, 404);
    assert!(!server.site.names().contains(&"missing.txt".to_owned()));
    assert_no_temporaries(&server);
}

#[test]
fn large_upload_arrives_whole_by_length_and_by_chunks() {
    let server = Server::start();
    let content = site::large();
    let mut client = server.connect();
    assert_eq!(client.request("PUT", "/by-length", &[], &content).status, 201);
    assert!(server.site.read("by-length") == content);
    client.send(head("PUT", "/by-chunks", &["Transfer-Encoding: chunked"], b""));
    for piece in content.chunks(70_001) {
        client.send(format!("{:x}\r\n", piece.len()));
        client.send(piece);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.reply("PUT").status, 201);
    assert!(server.site.read("by-chunks") == content);
}

#[test]
fn body_split_at_every_byte_is_the_same_body() {
    let server = Server::start();
    let mut client = server.connect();
    let chunked = head("PUT", "/split", &["Transfer-Encoding: chunked"], b"")
        + "3;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: t\r\n\r\n";
    let sized = head("PUT", "/split", &[], b"abc0123456789") + "abc0123456789";
    for request in [chunked.as_bytes(), sized.as_bytes()] {
        for at in 1..request.len() {
            client.send_split(request, at);
            let reply = client.reply("PUT");
            assert!(matches!(reply.status, 201 | 204), "split at {at}: {reply:?}");
            assert_eq!(server.site.read("split"), b"abc0123456789", "split at {at}");
        }
        client.send_slowly(request);
        assert_eq!(client.reply("PUT").status, 204);
    }
}

#[test]
fn upload_is_refused_where_it_is_not_allowed() {
    let server = Server::with(Site::sample(), READ_ONLY);
    for (method, target) in [("PUT", "/new.txt"), ("PUT", "/hello.txt"), ("POST", "/hello.txt")] {
        let reply = server.connect().request(method, target, &[], b"x");
        assert_eq!(reply.status, 403, "{method} {target}");
    }
    assert_eq!(server.site.read("hello.txt"), b"hello, world\n");
    assert!(!server.site.names().contains(&"new.txt".to_owned()));
}

#[test]
fn create_and_replace_are_two_rights() {
    let config = r#"
[[access]]
path = "/"
allow = ["read", "create"]
[[access]]
path = "/folder/"
allow = ["read", "replace"]
"#;
    let server = Server::with(Site::sample(), config);
    let put = |target: &str| server.connect().request("PUT", target, &[], b"x").status;
    assert_eq!(put("/new.txt"), 201);
    assert_eq!(put("/hello.txt"), 403);
    assert_eq!(put("/folder/new.txt"), 403);
    assert_eq!(put("/folder/inner.txt"), 204);
}

#[test]
fn continue_is_said_only_after_all_checks() {
    let server =
        Server::with(Site::sample(), &format!("limits.body_bytes = 1000\n{}", crate::common::server::EVERYTHING));
    let expect = "Expect: 100-continue";
    let mut client = server.connect();
    client.send(head("PUT", "/new.txt", &[expect], b"hello"));
    client.interim(100);
    assert!(client.is_quiet(), "nothing more is said before the body");
    client.send("hello");
    assert_eq!(client.reply("PUT").status, 201);

    for (target, fields, length, status) in [
        ("/new.txt", &["If-None-Match: *"][..], 5, 412),
        ("/.hidden", &[], 5, 404),
        ("/perlin", &[], 5, 405),
        ("/too-big", &[], 1001, 413),
        ("/folder/", &[], 5, 0),
    ] {
        let mut client = server.connect();
        let mut all = vec![expect];
        all.extend(fields);
        client.send(head("PUT", target, &all, &vec![b'x'; length]));
        // `reply` refuses an interim response, so a 100 before the refusal is seen.
        let reply = client.reply("PUT");
        assert!(reply.status >= 400 && (status == 0 || reply.status == status), "{target}: {reply:?}");
    }
}

#[test]
fn body_over_the_limit_is_refused_before_it_is_read() {
    let server =
        Server::with(Site::sample(), &format!("limits.body_bytes = 1000\n{}", crate::common::server::EVERYTHING));
    let mut client = server.connect();
    client.send("PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    let reply = client.reply("PUT");
    assert_eq!(reply.status, 413);
    assert!(reply.closes(), "the body that was announced is not waited for");

    let mut client = server.connect();
    client.send(head("PUT", "/big", &["Transfer-Encoding: chunked"], b""));
    client.send(format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001)));
    assert_eq!(client.reply("PUT").status, 413);
    assert_eq!(server.connect().request("PUT", "/fits", &[], &[b'x'; 1000]).status, 201);
    assert_eq!(server.connect().request("POST", "/sha256", &["Content-Type: a/b"], &[b'x'; 1001]).status, 413);
    assert!(!server.site.names().contains(&"big".to_owned()));
    assert_no_temporaries(&server);
}

/// Begins an upload over `hello.txt`, of which some has arrived.
fn begin(server: &Server) -> Client {
    let mut client = server.connect();
    client.send("PUT /hello.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome bytes");
    let name = await_temporary(server);
    let hex = name.strip_prefix(".fileserv-").unwrap().strip_suffix(".new").unwrap();
    assert!(hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    assert_eq!(server.connect().get("/hello.txt").text(), "hello, world\n", "the old file is served meanwhile");
    assert_eq!(server.connect().get(&format!("/{name}")).status, 404, "a temporary is nobody's to read");
    assert_eq!(server.connect().request("PUT", &format!("/{name}"), &[], b"x").status, 404);
    client
}

#[test]
fn aborted_upload_leaves_the_old_file_and_nothing_else() {
    let server = Server::start();
    let client = begin(&server);
    drop(client);
    assert_no_temporaries(&server);
    assert_eq!(server.site.read("hello.txt"), b"hello, world\n");
}

#[test]
fn client_that_stops_sending_has_uploaded_nothing() {
    let server = Server::start();
    let client = begin(&server);
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = client.stream().read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 2"), "no success for a part");
    drop(client);
    assert_no_temporaries(&server);
    assert_eq!(server.site.read("hello.txt"), b"hello, world\n");
}

#[test]
fn broken_chunk_leaves_the_old_file() {
    let server = Server::start();
    for broken in [
        "5\r\nabcdeX\r\n0\r\n\r\n",
        "zz\r\n",
        "-1\r\n",
        "0x5\r\nabcde\r\n",
        "\r\n",
        "5\nabcde\n0\n\n",
        "fffffffffffffffff\r\n",
    ] {
        let mut client = server.connect();
        client.send(head("PUT", "/hello.txt", &["Transfer-Encoding: chunked"], b""));
        let _ = client.try_send(broken);
        let reply = client.reply("PUT");
        assert!(matches!(reply.status, 400 | 413), "{broken:?}: {reply:?}");
        assert!(reply.closes(), "{broken:?}");
    }
    assert_no_temporaries(&server);
    assert_eq!(server.site.read("hello.txt"), b"hello, world\n");
}

#[test]
fn timeout_of_a_body_leaves_the_old_file() {
    let server =
        Server::with(Site::sample(), &format!("timeouts.body = \"300ms\"\n{}", crate::common::server::EVERYTHING));
    let mut client = server.connect();
    client.send("PUT /hello.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome bytes");
    assert_eq!(client.reply("PUT").status, 408);
    assert_no_temporaries(&server);
    assert_eq!(server.site.read("hello.txt"), b"hello, world\n");
}

#[test]
fn killed_worker_leaves_the_old_file_and_no_temporary() {
    let server = Server::start();
    let client = begin(&server);
    for worker in server.workers() {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(worker.try_into().unwrap()),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
    }
    drop(client);
    assert_no_temporaries(&server);
    assert_eq!(server.connect().get("/hello.txt").text(), "hello, world\n");
}

#[test]
fn temporary_of_an_earlier_life_is_swept_and_other_names_are_not() {
    let site = Site::sample();
    let ours = ".fileserv-0123456789abcdef0123456789abcdef.new";
    let others = [".fileserv-0123456789abcdef0123456789ABCDEF.new", ".fileserv-0123.new", "report.new"];
    site.write(ours, "left behind");
    for name in others {
        site.write(name, "a user's");
    }
    let server = Server::with(site, crate::common::server::EVERYTHING);
    until("what was left behind is swept", || !server.site.names().contains(&ours.to_owned()));
    for name in others {
        assert!(server.site.names().contains(&name.to_owned()), "{name} is a user's file");
    }
}

#[test]
fn upload_never_leaves_the_root() {
    let site = Site::sample();
    std::fs::create_dir(site.beside("outside")).unwrap();
    site::give(&site.beside("outside"));
    std::fs::write(site.beside("outside/file"), "untouched").unwrap();
    site::give(&site.beside("outside/file"));
    symlink(site.beside("outside"), site.path("way-out")).unwrap();
    symlink("../outside", site.path("way-out-too")).unwrap();
    symlink("../outside/file", site.path("file-outside")).unwrap();
    let server = Server::with(site, crate::common::server::EVERYTHING);
    for target in [
        "/way-out/new",
        "/way-out/file",
        "/way-out-too/new",
        "/way-out-too/file",
        "/../outside/file",
        "/%2e%2e/outside/file",
        "/..%2foutside%2ffile",
    ] {
        let status = server.connect().request("PUT", target, &[], b"x").status;
        assert!(matches!(status, 400 | 403 | 404 | 409), "{target}: {status}");
    }
    // A symlink as the last name may be refused or replaced, but never followed out.
    server.connect().request("PUT", "/file-outside", &[], b"x");
    assert_eq!(std::fs::read(server.site.beside("outside/file")).unwrap(), b"untouched");
    assert_eq!(std::fs::read_dir(server.site.beside("outside")).unwrap().count(), 1);
}

#[test]
fn what_is_no_file_is_no_target() {
    let server = Server::start();
    for target in ["/folder", "/folder/", "/", "/nowhere/new.txt", "/hello.txt/new.txt", "/.dotfile", "/.fileserv-x"] {
        let reply = server.connect().request("PUT", target, &[], b"x");
        assert!((400..500).contains(&reply.status), "{target}: {reply:?}");
    }
    assert_eq!(server.site.read("folder/inner.txt"), b"inner\n");
}

#[test]
fn part_of_a_file_cannot_be_put() {
    // RFC 9110 section 14.5: a PUT with Content-Range that is not understood as such is an error.
    let server = Server::start();
    let reply = server.connect().request("PUT", "/hello.txt", &["Content-Range: bytes 0-0/13"], b"H");
    assert_eq!(reply.status, 400);
    assert_eq!(server.site.read("hello.txt"), b"hello, world\n");
}

#[test]
fn many_uploads_to_one_name_end_in_one_whole_file() {
    let server = Server::start();
    let writers: Vec<_> = (0..8u8)
        .map(|number| {
            let mut client = server.connect();
            std::thread::spawn(move || {
                for _ in 0..10 {
                    let reply = client.request("PUT", "/contended", &[], &vec![b'a' + number; 100_000]);
                    assert!(matches!(reply.status, 201 | 204), "{reply:?}");
                }
            })
        })
        .collect();
    let mut reader = server.connect();
    while !writers.iter().all(std::thread::JoinHandle::is_finished) {
        let reply = reader.get("/contended");
        if reply.status == 200 {
            assert_eq!(reply.body.len(), 100_000);
            assert!(reply.body.iter().all(|byte| *byte == reply.body[0]), "one writer's file, whole");
        }
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert_no_temporaries(&server);
}
