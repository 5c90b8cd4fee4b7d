//! What an offset that was told survives: a killed worker, a killed server, a reload.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;
use crate::common::server::EVERYTHING;

fn kill_worker(worker: u32) {
    kill(Pid::from_raw(worker.cast_signed()), Signal::SIGKILL).unwrap();
}

#[test]
fn the_death_of_every_worker_between_and_within_two_pieces() {
    let server = Server::start();
    let address = begin(&mut server.connect(), "/f", &["Upload-Length: 20"]);
    let mut told = 0;
    for piece in ["01234", "56789", "abcde"] {
        let mut client = server.connect();
        let reply = append(&mut client, &address, told, MORE, piece.as_bytes());
        told = offset_of(&reply);
        // One more is under way when they die.
        client.send(head(
            "PATCH",
            &address,
            &[LAST, PARTIAL, &format!("Upload-Offset: {told}"), "Content-Length: 5"],
            b"",
        ));
        let old = server.workers();
        old.iter().for_each(|worker| kill_worker(*worker));
        until("there are two again", || {
            let now = server.workers();
            now.len() == 2 && !now.iter().any(|worker| old.contains(worker))
        });
        assert_eq!(offset(&mut server.connect(), &address), told);
    }
    assert_eq!(append(&mut server.connect(), &address, told, LAST, b"fghij").status, 201);
    assert_eq!(server.site.read("f"), b"0123456789abcdefghij");
}

#[test]
fn the_death_of_everything_and_a_new_start() {
    let config = format!("workers = 2\n{EVERYTHING}");
    let mut server = Server::start();
    let address = begin(&mut server.connect(), "/f", &["If-None-Match: *"]);
    let complete = begin(&mut server.connect(), "/complete", &[]);
    assert_eq!(append(&mut server.connect(), &complete, 0, LAST, b"x").status, 201);
    let mut told = 0;
    for piece in ["hello", " ", "world"] {
        let mut client = server.connect();
        told = offset_of(&append(&mut client, &address, told, MORE, piece.as_bytes()));
        let mut cut_off = server.connect();
        let fields = [MORE, PARTIAL, &format!("Upload-Offset: {told}"), "Content-Length: 1000"];
        cut_off.send(head("PATCH", &address, &fields, b""));
        let site = server.kill_all();
        server = Server::with(site, &config);
        assert_eq!(offset(&mut server.connect(), &address), told);
        assert_eq!(state(&mut server.connect(), &complete).field("upload-complete"), Some("?1"));
    }
    let reply = append(&mut server.connect(), &address, told, LAST, b"!");
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(server.site.read("f"), b"hello world!");
}

#[test]
fn a_reload_in_the_middle_of_a_piece_disturbs_nothing() {
    let server = Server::start();
    let address = begin(&mut server.connect(), "/f", &[]);
    let mut client = server.connect();
    client.send(head("PATCH", &address, &[MORE, PARTIAL, "Upload-Offset: 0", "Content-Length: 11"], b""));
    client.send("hello");
    until("the content has come", || parts(&server).iter().any(|name| server.site.read(name) == b"hello"));
    let old = server.workers();
    server.signal(Signal::SIGHUP);
    until("new workers serve", || server.workers().iter().any(|worker| !old.contains(worker)));
    client.send(" world");
    assert_eq!(offset_of(&client.reply("PATCH")), 11);
    // An idle connection would keep an old one for as long as it may drain.
    drop(client);
    until("the old ones are gone", || !server.workers().iter().any(|worker| old.contains(worker)));
    let mut client = server.connect();
    assert_eq!(offset(&mut client, &address), 11);
    assert_eq!(append(&mut client, &address, 11, LAST, b"").status, 201);
    assert_eq!(server.site.read("f"), b"hello world");
}
