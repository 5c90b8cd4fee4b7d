//! Requests to one upload at the same time: the newer one is right, and no byte is counted twice.

use std::sync::Mutex;

use super::*;
use crate::common::Site;
use crate::common::server::EVERYTHING;

/// Begins to append and stops in the middle; the connection stays.
fn hang(server: &Server, address: &str, content: &str) -> Client {
    let mut client = server.connect();
    client.send(head("PATCH", address, &[MORE, PARTIAL, "Upload-Offset: 0", "Content-Length: 1000"], b""));
    client.send(content);
    until("the content has come", || {
        let sizes = parts(server).into_iter().filter(|name| name.ends_with(".part"));
        sizes.map(|name| server.site.read(&name).len()).sum::<usize>() == content.len()
    });
    client
}

#[test]
fn a_newer_request_ends_an_older_one_that_hangs() {
    for workers in [1, 3] {
        let server = Server::with(Site::sample(), &format!("workers = {workers}\n{EVERYTHING}"));
        let mut client = server.connect();
        let address = begin(&mut client, "/f", &[]);
        let mut old = hang(&server, &address, "hello");
        assert_eq!(offset(&mut client, &address), 5, "an offset that can be used");
        assert_eq!(old.reply("PATCH").status, 409);
        assert_eq!(append(&mut client, &address, 5, LAST, b" world").status, 201);
        assert_eq!(server.site.read("f"), b"hello world");
        assert_eq!(client.request("DELETE", &address, &[], b"").status, 204);

        let address = begin(&mut client, "/g", &[]);
        let _old = hang(&server, &address, "hello");
        assert_eq!(append(&mut client, &address, 5, LAST, b" world").status, 201);
        assert_eq!(server.site.read("g"), b"hello world");
        assert_eq!(client.request("DELETE", &address, &[], b"").status, 204);

        let address = begin(&mut client, "/h", &[]);
        let _old = hang(&server, &address, "hello");
        assert_eq!(client.request("DELETE", &address, &[], b"").status, 204);
        assert_eq!(parts(&server), [""; 0]);
        assert_eq!(state(&mut client, &address).status, 404);
    }
}

#[test]
fn eight_clients_that_append_at_once_never_mix() {
    const CLIENTS: u64 = 8;
    const LINES: usize = 160;
    let server = Server::with(Site::sample(), &format!("workers = 3\n{EVERYTHING}"));
    let address = begin(&mut server.connect(), "/log", &[]);
    let told: Mutex<Vec<(u64, String)>> = Mutex::default();
    let socket = server.address();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (address, told) = (&address, &told);
            scope.spawn(move || {
                let mut client = Client::connect(socket);
                let mut at = 0;
                while told.lock().unwrap().len() < LINES {
                    let line = format!("client {number} at {at:08}\n");
                    let reply = append(&mut client, address, at, MORE, line.as_bytes());
                    match reply.status {
                        204 => {
                            assert_eq!(offset_of(&reply), at + line.len() as u64);
                            told.lock().unwrap().push((at, line));
                        }
                        409 if reply.field("upload-offset").is_some() => {}
                        // Another one wanted its place while it was served.
                        409 | 503 => {
                            client = Client::connect(socket);
                            continue;
                        }
                        _ => panic!("{reply:?}"),
                    }
                    at = offset_of(&reply);
                }
            });
        }
    });
    let mut client = server.connect();
    let end = offset(&mut client, &address);
    assert_eq!(append(&mut client, &address, end, LAST, b"").status, 201);
    let content = String::from_utf8(server.site.read("log")).unwrap();
    for (at, line) in told.into_inner().unwrap() {
        assert_eq!(content.get(usize::try_from(at).unwrap()..).unwrap().get(..line.len()), Some(&*line));
    }
    assert!(content.lines().all(|line| line.len() == 20), "no line is torn");
}

#[test]
fn uploads_to_one_target_are_apart_and_the_last_one_stays() {
    let server = Server::start();
    let mut client = server.connect();
    let [one, two] = ["1", "2"].map(|_| begin(&mut client, "/f", &[]));
    assert_ne!(one, two);
    assert_eq!(append(&mut client, &one, 0, MORE, b"one").status, 204);
    assert_eq!(append(&mut client, &two, 0, LAST, b"two").status, 201);
    assert_eq!(append(&mut client, &one, 3, LAST, b"!").status, 204);
    assert_eq!(server.site.read("f"), b"one!");
}
