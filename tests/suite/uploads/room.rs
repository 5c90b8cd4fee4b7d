//! Room for uploads: a quota, a floor of free space, and what is reserved.

use std::os::unix::fs::MetadataExt;

use super::{assert_no_temporaries, await_temporary};
use crate::common::client::{Reply, head};
use crate::common::server::EVERYTHING;
use crate::common::{Server, Site, cannot_run, until};

const QUOTAS: &str = r#"
[[quota]]
path = "/folder"
bytes = 1000
file_bytes = 600
"#;

fn put(server: &Server, target: &str, bytes: usize) -> Reply {
    server.connect().request("PUT", target, &["Accept: application/json"], &vec![b'x'; bytes])
}

fn detail(reply: &Reply) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    problem["detail"].as_str().unwrap().to_owned()
}

#[test]
fn quota_is_kept_by_all_workers_and_named_when_it_is_exceeded() {
    // The sample has a file of 6 bytes in this folder, and one of 5 below it.
    let server = Server::with(Site::sample(), &format!("workers = 4\n{EVERYTHING}{QUOTAS}"));
    assert_eq!(put(&server, "/folder/large", 601).status, 413);
    assert_eq!(put(&server, "/outside", 5000).status, 201);
    assert_eq!(put(&server, "/folder/a", 600).status, 201);
    for _ in 0..8 {
        let reply = put(&server, "/folder/deeper/b", 390);
        assert_eq!(reply.status, 507);
        let words = "The quota of /folder/ is 1000 bytes; 389 are left, and this file needs 390 more.";
        assert_eq!(detail(&reply), words);
    }
    assert_eq!(put(&server, "/folder/deeper/b", 389).status, 201);
    // One that exists pays only for what it grows.
    assert_eq!(put(&server, "/folder/a", 600).status, 204);
    assert_eq!(put(&server, "/folder/inner.txt", 7).status, 507);
    assert_eq!(server.site.read("folder/inner.txt"), b"inner\n", "the old file stands");
    assert_eq!(put(&server, "/folder/a", 599).status, 204);
    assert_eq!(put(&server, "/folder/inner.txt", 7).status, 204);
    // What is removed is given back, whoever removes it.
    assert_eq!(server.connect().request("DELETE", "/folder/a", &[], b"").status, 204);
    assert_eq!(put(&server, "/folder/c", 599).status, 201);
    std::fs::remove_file(server.site.path("folder/c")).unwrap();
    until("the operator's tidying is noticed", || put(&server, "/folder/d", 599).status == 201);
    assert_eq!(put(&server, "/folder/e", 1).status, 507);
    assert_eq!(server.connect().get("/folder/.fileserv-quota").status, 404, "our notes are nobody's to read");
    assert_no_temporaries(&server);
}

#[test]
fn content_in_chunks_has_the_same_quota() {
    let server = Server::with(Site::sample(), &format!("workers = 2\n{EVERYTHING}{QUOTAS}"));
    let mut client = server.connect();
    let mut put = |name: &str, bytes: usize| {
        let chunk = format!("{bytes:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(bytes));
        client.send(head("PUT", &format!("/folder/{name}"), &["Transfer-Encoding: chunked"], b"") + &chunk);
        let status = client.reply("PUT").status;
        client = server.connect();
        status
    };
    assert_eq!([put("a", 601), put("a", 600), put("b", 390), put("b", 389), put("c", 1)], [413, 201, 507, 201, 507]);
}

#[test]
fn quota_survives_a_restart_and_is_never_passed_by_many_at_once() {
    let config = format!("workers = 4\n{EVERYTHING}{QUOTAS}");
    let server = Server::with(Site::sample(), &config);
    std::thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for number in 0..10 {
                    let reply = put(server, &format!("/folder/{client}-{number}"), 50);
                    assert!(matches!(reply.status, 201 | 507), "{reply:?}");
                }
            });
        }
    });
    let stored = |site: &Site| {
        let files = std::fs::read_dir(site.path("folder")).unwrap();
        files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains('-')).count()
    };
    // With our own note, whose name has the same letter.
    assert_eq!(stored(&server.site), 19 + 1, "11 bytes were there, and 19 files of 50 fit");
    let server = Server::with(server.kill_all(), &config);
    assert_eq!(put(&server, "/folder/more", 50).status, 507);
    assert_eq!(put(&server, "/folder/less", 39).status, 201);
}

#[test]
fn floor_of_free_space_is_kept_and_gone_by_a_reload() {
    let server = Server::with(Site::sample(), &format!("uploads.min_free = \"1024 TiB\"\n{EVERYTHING}"));
    let reply = put(&server, "/hello.txt", 100);
    assert_eq!(reply.status, 507);
    assert!(detail(&reply).contains("1125899906842624 bytes are kept free"), "{reply:?}");
    let mut client = server.connect();
    client.send(head("PUT", "/hello.txt", &["Transfer-Encoding: chunked", "Expect: 100-continue"], b""));
    assert_eq!(client.reply("PUT").status, 507, "before the content is asked for");
    assert_eq!(server.site.read("hello.txt"), b"hello, world\n");
    let workers = server.workers();
    server.configure("127.0.0.1:0", EVERYTHING);
    server.signal(nix::sys::signal::Signal::SIGHUP);
    until("the new workers serve alone", || server.workers().iter().all(|worker| !workers.contains(worker)));
    assert_eq!(put(&server, "/hello.txt", 100).status, 204);
}

#[test]
fn room_is_reserved_before_the_content_comes() {
    const FIRST_BYTES: u64 = 64 << 20;
    for bytes in [1 << 20, FIRST_BYTES, 3 << 30] {
        reserve_some(bytes, bytes.min(FIRST_BYTES));
    }
}

/// Announces `bytes`, of which `reserved` are the first stretch: who sends nothing has no more of the disk.
fn reserve_some(bytes: u64, reserved: u64) {
    let config = format!("workers = 1\nlimits.body_bytes = \"4 GiB\"\n{EVERYTHING}");
    let server = Server::with(Site::big(), &config);
    let mut client = server.connect();
    client.send(format!("PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\nExpect: 100-continue\r\n\r\n"));
    client.interim(100);
    let metadata = std::fs::metadata(server.site.path(&await_temporary(&server))).unwrap();
    if metadata.blocks() == 0 {
        cannot_run("room_is_reserved_before_the_content_comes", "this file system reserves nothing");
    } else {
        // The file system may need some blocks for itself.
        let blocks = reserved / 512..=reserved / 512 + 64;
        assert!(blocks.contains(&metadata.blocks()), "{} blocks of {bytes} bytes", metadata.blocks());
    }
    assert_eq!(metadata.len(), 0, "and the file is as long as what has come");
    drop(client);
    assert_no_temporaries(&server);
}
