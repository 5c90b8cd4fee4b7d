//! A folder whose lock somebody holds: uploads to it wait, and nobody else does.

use std::fs::File;

use super::assert_no_temporaries;
use crate::common::client::head;
use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, until};

/// Many more than a worker has disk threads: if each of them took a thread a millisecond of every few, nobody else would
/// have one.
const WAITING: usize = 240;

fn server(site: Site, config: &str) -> Server {
    Server::with(site, &format!("workers = 1\n{config}{EVERYTHING}"))
}

fn lock(server: &Server, folder: &str) -> File {
    let folder = File::open(server.site.path(folder)).unwrap();
    folder.try_lock().unwrap();
    folder
}

/// Sends so many uploads, and waits for the answer to none.
fn send_uploads(server: &Server) -> Vec<Client> {
    let upload = |number| {
        let mut client = server.connect();
        client.send(head("PUT", &format!("/folder/{number}"), &[], b"x") + "x");
        client
    };
    (0..WAITING).map(upload).collect()
}

fn temporaries(server: &Server) -> usize {
    let names = std::fs::read_dir(server.site.path("folder")).unwrap();
    names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().ends_with(".new")).count()
}

#[test]
fn uploads_to_another_folder_go_on_meanwhile() {
    let server = server(Site::sample(), "");
    let locked = lock(&server, "folder");
    let waiting = send_uploads(&server);
    until("all of them wait for the lock", || temporaries(&server) == WAITING);
    let mut other = server.connect();
    for number in 0..10 {
        assert_eq!(other.request("PUT", &format!("/{number}"), &[], b"y").status, 201);
        assert_eq!(other.request("DELETE", &format!("/{number}"), &[], b"").status, 204);
    }
    let large = vec![b'z'; 8 << 20];
    assert_eq!(other.request("PUT", "/large", &[], &large).status, 201);
    assert!(server.site.read("large") == large);
    assert_eq!(temporaries(&server), WAITING, "and the others still wait");
    locked.unlock().unwrap();
    for mut client in waiting {
        assert_eq!(client.reply("PUT").status, 201);
    }
    assert_eq!(temporaries(&server), 0);
}

#[test]
fn who_waits_for_too_long_is_told_to_come_again() {
    let server = server(Site::sample(), "");
    let locked = lock(&server, "folder");
    let mut clients =
        [("PUT", "/folder/new", "x"), ("PUT", "/folder/inner.txt", "y"), ("DELETE", "/folder/inner.txt", "")].map(
            |(method, target, content)| {
                let mut client = server.connect();
                client.send(head(method, target, &[], content.as_bytes()) + content);
                (method, client)
            },
        );
    for (method, client) in &mut clients {
        let reply = client.reply(method);
        assert_eq!((reply.status, reply.field("retry-after")), (503, Some("1")), "{method}: {reply:?}");
    }
    assert_eq!(temporaries(&server), 0);
    assert_eq!(server.site.read("folder/inner.txt"), b"inner\n");
    locked.unlock().unwrap();
    for (method, client) in &mut clients {
        assert_eq!(client.request(method, "/folder/inner.txt", &[], b"z").status, 204);
    }
}

#[test]
fn what_a_client_wanted_that_is_gone_is_not_done_later() {
    let server = server(Site::sample(), "");
    let locked = lock(&server, "folder");
    let mut removing = server.connect();
    removing.send(head("DELETE", "/folder/inner.txt", &[], b""));
    let mut uploading = server.connect();
    uploading.send(head("PUT", "/folder/new", &[], b"x") + "x");
    until("the upload waits for the lock", || temporaries(&server) == 1);
    for client in [removing, uploading] {
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(client.stream(), nix::sys::socket::sockopt::Linger, &at_once).unwrap();
    }
    // The one that asks is always there.
    until("both are known to be gone", || server.stats()["connections"].as_u64() == Some(1));
    until("and what they wanted is", || temporaries(&server) == 0);
    locked.unlock().unwrap();
    let mut client = server.connect();
    for _ in 0..100 {
        assert_eq!(client.request("PUT", "/folder/inner.txt", &["If-Match: *"], b"kept").status, 204);
    }
    assert_eq!(client.get("/folder/new").status, 404);
}

#[test]
fn upload_that_needs_no_thread_waits_for_the_lock_without_the_loop() {
    let site = Site::in_memory();
    site.write("folder/old", "old");
    site.write("other/old", "old");
    let server = server(site, "uploads.durability = \"none\"\n");
    let locked = lock(&server, "folder");
    let waiting = send_uploads(&server);
    let mut other = server.connect();
    for _ in 0..10 {
        assert_eq!(other.get("/other/old").status, 200);
        assert_eq!(other.request("PUT", "/other/new", &[], b"y").status / 100, 2);
    }
    assert_eq!(std::fs::read_dir(server.site.path("folder")).unwrap().count(), 1, "none has passed the lock");
    locked.unlock().unwrap();
    for mut client in waiting {
        assert_eq!(client.reply("PUT").status, 201);
    }
    assert_no_temporaries(&server);
}
