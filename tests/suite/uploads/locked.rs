//! A folder whose lock somebody holds: uploads to it wait, and nobody else does.

use std::fs::File;

use super::assert_no_temporaries;
use crate::common::client::head;
use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, until};

/// More than a worker has disk threads.
const WAITING: usize = 24;

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
    assert_eq!(temporaries(&server), WAITING, "and the others still wait");
    locked.unlock().unwrap();
    for mut client in waiting {
        assert_eq!(client.reply("PUT").status, 201);
    }
    assert_eq!(temporaries(&server), 0);
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
