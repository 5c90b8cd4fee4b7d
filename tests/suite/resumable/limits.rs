//! Limits of size and time, and what they are told with.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::*;
use crate::common::Site;
use crate::common::server::EVERYTHING;

/// The name of a temporary that nobody has open any more.
const ABANDONED: &str = "in/.fileserv-00112233445566778899aabbccddeeff.new";

fn with(config: &str) -> Server {
    Server::with(Site::sample(), &format!("workers = 2\n{config}\n{EVERYTHING}"))
}

#[test]
fn the_whole_may_be_larger_than_what_one_request_brings() {
    let server = with("limits.body_bytes = 10\nresumable.bytes = 25");
    let mut client = server.connect();
    let limits = "max-size=25, max-append-size=10, max-age=172800";
    let reply = client.request("OPTIONS", "/f", &[], b"");
    assert_eq!(reply.field("upload-limit"), Some(limits));
    let address = begin(&mut client, "/f", &[]);
    for offset in [0, 10] {
        assert_eq!(append(&mut client, &address, offset, MORE, b"0123456789").status, 204);
    }
    let reply = append(&mut client, &address, 20, LAST, b"0123456789a");
    assert_eq!((reply.status, reply.field("upload-limit")), (413, Some(limits)));
    let reply = append(&mut client, &address, 20, LAST, b"012345");
    assert_eq!((reply.status, reply.field("upload-limit")), (413, Some(limits)));
    client.send(head("PATCH", &address, &[LAST, PARTIAL, "Upload-Offset: 20", "Transfer-Encoding: chunked"], b""));
    client.send("6\r\n012345\r\n0\r\n\r\n");
    let reply = client.reply("PATCH");
    assert_eq!((reply.status, reply.field("upload-limit")), (413, Some(limits)));
    let mut client = server.connect();
    assert_eq!(offset(&mut client, &address), 20);
    assert_eq!(append(&mut client, &address, 20, LAST, b"01234").status, 201);
    assert_eq!(server.site.read("f").len(), 25);
    for (fields, content) in [(&["Upload-Length: 26"][..], &b""[..]), (&[], b"0123456789a")] {
        let reply = client.request("PUT", "/g", &[&[MORE], fields].concat(), content);
        assert_eq!((reply.status, reply.field("upload-limit")), (413, Some(limits)), "{fields:?}");
    }
}

#[test]
fn a_limit_of_one_request_is_one_of_the_whole_unless_something_else_is_said() {
    let server = with("limits.body_bytes = 10");
    let mut client = server.connect();
    let address = begin(&mut client, "/f", &[]);
    assert_eq!(append(&mut client, &address, 0, MORE, b"0123456789").status, 204);
    assert_eq!(append(&mut client, &address, 10, LAST, b"a").status, 413);
}

#[test]
fn pieces_may_have_to_be_of_some_size() {
    let server = with("resumable.min_append_bytes = 5");
    let mut client = server.connect();
    let address = begin(&mut client, "/f", &[]);
    let reply = append(&mut client, &address, 0, MORE, b"0123");
    assert_eq!(reply.status, 400);
    assert!(reply.field("upload-limit").unwrap().contains("min-append-size=5"), "{reply:?}");
    assert_eq!(append(&mut client, &address, 0, MORE, b"01234").status, 204);
    assert_eq!(append(&mut client, &address, 5, LAST, b"5").status, 201, "but for the last");
}

#[test]
fn quotas_hold_for_the_whole() {
    let server = with("[[quota]]\npath = \"/\"\nbytes = 1200000\n[[quota]]\npath = \"/folder/\"\nfile_bytes = 8");
    let mut client = server.connect();
    let reply = client.request("OPTIONS", "/folder/f", &[], b"");
    assert!(reply.field("upload-limit").unwrap().starts_with("max-size=8,"), "{reply:?}");
    let address = begin(&mut client, "/folder/f", &[]);
    assert_eq!(append(&mut client, &address, 0, MORE, b"01234").status, 204);
    assert_eq!(append(&mut client, &address, 5, LAST, b"5678").status, 413);
    assert_eq!(append(&mut client, &address, 5, LAST, b"567").status, 201);
    assert_eq!(client.request("PUT", "/f", &[MORE, "Upload-Length: 1200001"], b"").status, 413);
    // The sample has more than 1.1 MB already.
    let address = begin(&mut client, "/f", &[]);
    assert_eq!(append(&mut client, &address, 0, MORE, b"01234").status, 204);
    let reply = append(&mut client, &address, 5, LAST, &[b'x'; 150_000]);
    assert_eq!(reply.status, 507, "{reply:?}");
    assert_eq!(client.get("/f").status, 404);
    // What has come is kept until there is room.
    let mut client = server.connect();
    assert_eq!(offset(&mut client, &address), 5);
    std::fs::remove_file(server.site.path("large.bin")).unwrap();
    until("the operator's tidying is noticed", || {
        server.connect().request("PATCH", &address, &[LAST, PARTIAL, "Upload-Offset: 5"], &[b'x'; 150_000]).status
            == 201
    });
    assert_eq!(server.site.read("f").len(), 150_005);
}

/// The bytes in the files of a folder, without our own notes.
fn stored(server: &Server, folder: &str) -> u64 {
    let files = std::fs::read_dir(server.site.path(folder)).unwrap().map(Result::unwrap);
    let is_note = |name: &str| name.ends_with(".record") || name.ends_with("-quota");
    let counted = files.filter(|file| !is_note(file.file_name().to_str().unwrap()));
    counted.map(|file| file.metadata().unwrap().len()).sum()
}

/// What is never completed takes of the quota as a file does.
#[test]
fn parts_count_in_the_quota() {
    let server = with("[[quota]]\npath = \"/in/\"\nbytes = 1000");
    server.site.write("in/there", "");
    let mut client = server.connect();
    let [first, second] = ["/in/a", "/in/b"].map(|target| begin(&mut client, target, &[]));
    assert_eq!(append(&mut client, &first, 0, MORE, &[b'x'; 600]).status, 204);
    let reply = append(&mut client, &second, 0, MORE, &[b'x'; 500]);
    assert_eq!(reply.status, 507, "{reply:?}");
    assert_eq!(client.request("PUT", "/in/c", &[], &[b'x'; 401]).status, 507);
    assert_eq!(append(&mut client, &second, 0, MORE, &[b'x'; 400]).status, 204);
    // Of a content whose length is not known, no more is taken than fits.
    client.send(head("PATCH", &second, &["Transfer-Encoding: chunked", MORE, PARTIAL, "Upload-Offset: 400"], b""));
    client.send("1\r\nx\r\n0\r\n\r\n");
    assert_eq!(client.reply("PATCH").status, 507);
    let mut client = server.connect();
    assert_eq!(offset(&mut client, &second), 400);
    assert_eq!(stored(&server, "in"), 1000);
    // What is given up is given back at once, and what is completed counts once.
    assert_eq!(client.request("DELETE", &second, &[], b"").status, 204);
    assert_eq!(append(&mut client, &first, 600, LAST, &[b'x'; 400]).status, 201);
    assert_eq!(server.connect().request("PUT", "/in/c", &[], b"x").status, 507);
    assert_eq!(client.request("DELETE", "/in/a", &[], b"").status, 204);
    assert_eq!(client.request("PUT", "/in/c", &[], &[b'x'; 1000]).status, 201);
    // An update needs room for both until it is complete.
    assert_eq!(client.request("PUT", "/in/c", &[MORE, "Upload-Length: 1"], b"").status, 507);
}

/// The same, when what a worker does at its start is done: it takes away what an earlier server knew of quotas.
fn swept_with(config: &str) -> Server {
    let site = Site::sample();
    site.write("in/there", [b'x'; 1234]);
    site.write(ABANDONED, "");
    let server = Server::with(site, &format!("workers = 2\n{config}\n{EVERYTHING}"));
    server.await_line("it has swept", |line| line.contains("removed 1 unfinished upload"));
    server
}

/// What the quota's notes say is stored.
fn sum(server: &Server) -> u64 {
    let notes = String::from_utf8(server.site.read("in/.fileserv-quota")).unwrap();
    notes.lines().next().unwrap().trim().parse().unwrap()
}

/// Sends half of a request of 200,000 bytes while the test, as a count that takes long, has the sums; they are given back when
/// all of that half is stored, or counted anew by who comes next.
fn half_an_append_uncharged(server: &Server, address: &str, is_counted_next: bool) -> Client {
    let notes = server.site.path("in/.fileserv-quota");
    let locked = std::fs::File::open(&notes).unwrap();
    locked.lock().unwrap();
    let before = stored(server, "in");
    let mut client = server.connect();
    let fields = [MORE, PARTIAL, "Upload-Offset: 600", "Content-Length: 200000"];
    client.send(head("PATCH", address, &fields, b"").replace("Content-Length: 0\r\n", ""));
    client.send([b'x'; 100_000]);
    until("half of the content is stored", || stored(server, "in") == before + 100_000);
    assert_eq!(sum(server), before, "though it is not charged");
    if is_counted_next {
        std::fs::remove_file(notes).unwrap();
    }
    client
}

/// Content that came while somebody had the sums is charged later, once, however its request ends.
#[test]
fn what_was_not_charged_is_not_taken_for_charged() {
    let server = swept_with("[[quota]]\npath = \"/in/\"\nbytes = 1000000");
    let mut client = server.connect();
    for is_counted_next in [false, true] {
        for end in ["it is finished", "it is gone on with", "it is cancelled"] {
            let address = begin(&mut client, "/in/a", &[]);
            assert_eq!(append(&mut client, &address, 0, MORE, &[b'x'; 600]).status, 204);
            let mut half = half_an_append_uncharged(&server, &address, is_counted_next);
            if end == "it is finished" {
                half.send([b'x'; 100_000]);
                assert_eq!(half.reply("PATCH").status, 204);
            } else {
                let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                nix::sys::socket::setsockopt(half.stream(), nix::sys::socket::sockopt::Linger, &at_once).unwrap();
                drop(half);
            }
            if end == "it is gone on with" {
                assert_eq!(offset(&mut client, &address), 100_600);
                assert_eq!(append(&mut client, &address, 100_600, MORE, b"x").status, 204);
            }
            if end != "it is cancelled" {
                assert_eq!(sum(&server), stored(&server, "in"), "{end}, {is_counted_next}");
            }
            assert_eq!(client.request("DELETE", &address, &[], b"").status, 204);
            assert_eq!((sum(&server), stored(&server, "in")), (1234, 1234), "{end}, {is_counted_next}");
        }
    }
}

/// Who counts has a record for a moment only; whoever has it for longer holds up the upload, and not a thread.
#[test]
fn who_cant_tell_a_count_of_a_piece_is_told_to_come_again() {
    let server = swept_with("[[quota]]\npath = \"/in/\"\nbytes = 2000");
    let mut client = server.connect();
    let address = begin(&mut client, "/in/a", &[]);
    assert_eq!(append(&mut client, &address, 0, MORE, b"x").status, 204);
    let (_, id) = address.split_once("upload=").unwrap();
    let record = std::fs::File::open(server.site.path(&format!("in/.fileserv-{id}.record"))).unwrap();
    record.lock().unwrap();
    let reply = append(&mut client, &address, 1, MORE, b"y");
    assert_eq!((reply.status, reply.field("retry-after")), (503, Some("1")), "{reply:?}");
    assert_eq!((sum(&server), stored(&server, "in")), (1235, 1235));
    record.unlock().unwrap();
    assert_eq!(append(&mut server.connect(), &address, 1, MORE, b"y").status, 204);
    assert_eq!((sum(&server), stored(&server, "in")), (1236, 1236));
}

/// Many at once, right across workers: all of the quota can be used, and no more of it than that.
#[test]
fn parts_of_many_at_once_share_the_quota() {
    fill_a_quota(|_| false);
}

/// The same if what is stored is counted again and again while pieces come; each count that missed one would let more in.
#[test]
fn no_count_misses_a_piece_that_is_under_way() {
    fill_a_quota(|server| {
        if let Ok(sum) = std::fs::File::open(server.site.path("in/.fileserv-quota")) {
            // As a sweep does it: whoever comes next counts.
            sum.lock().unwrap();
            let _ = std::fs::remove_file(server.site.path("in/.fileserv-quota"));
        }
        true
    });
}

/// `disturb` is called over and over while many clients fill a quota, as long as it wants that.
fn fill_a_quota(disturb: impl Fn(&Server) -> bool) {
    const LIMIT: u64 = 400_000;
    const CONTENT: [u8; 1_000] = [b'x'; 1_000];
    const PIECE: u64 = CONTENT.len() as u64;
    let server = with(&format!("[[quota]]\npath = \"/in/\"\nbytes = {LIMIT}"));
    server.site.write("in/there", "");
    let (clients, told, busy) = (AtomicUsize::new(8), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (server, clients, told, busy) = (&server, &clients, &told, &busy);
            scope.spawn(move || {
                let mut client = server.connect();
                let address = begin(&mut client, &format!("/in/{number}"), &[]);
                let (mut stored, mut taken) = (0, 0);
                while stored < 100 * PIECE {
                    let reply = append(&mut client, &address, stored, MORE, &CONTENT);
                    match reply.status {
                        204 => {
                            stored += PIECE;
                            told.fetch_add(stored - taken, Relaxed);
                            taken = stored;
                        }
                        507 => break,
                        // Where too much is to do the sums may be held for too long: who is told so comes again.
                        503 => {
                            assert!(busy.fetch_add(1, Relaxed) < 100, "{reply:?}");
                            stored = offset(&mut client, &address);
                        }
                        _ => panic!("{reply:?}"),
                    }
                }
                clients.fetch_sub(1, Relaxed);
            });
        }
        while clients.load(Relaxed) > 0 && disturb(&server) {}
    });
    // Who came again may have been refused with what was charged for the piece before.
    let (told, busy) = (told.into_inner(), busy.into_inner());
    assert!((LIMIT - busy.min(8) * PIECE..=LIMIT).contains(&told), "{told}, and {busy} were told to come again");
    // Where the sums were held for long, the piece that was refused had come before that was known.
    let stored = stored(&server, "in");
    assert!((LIMIT..=LIMIT + 8 * PIECE).contains(&stored), "{stored}");
    let reply = server.connect().request("PUT", "/in/more", &[], &CONTENT);
    assert_eq!(reply.status, 507, "{reply:?}");
}

#[test]
fn no_room_is_told_before_the_content() {
    let server = with("uploads.min_free = \"1024 TiB\"");
    let mut client = server.connect();
    assert_eq!(client.request("PUT", "/f", &[MORE, "Upload-Length: 1"], b"").status, 507);
    assert_eq!(parts(&server), [""; 0]);
}

#[test]
fn an_upload_that_nobody_goes_on_with_expires() {
    let server = with("resumable.expiry = \"2s\"");
    let mut client = server.connect();
    let address = begin(&mut client, "/f", &[]);
    assert!(state(&mut client, &address).field("upload-limit").unwrap().contains("max-age="));
    assert_eq!(append(&mut client, &address, 0, MORE, b"hello").status, 204);
    let complete = begin(&mut client, "/complete", &[]);
    assert_eq!(append(&mut client, &complete, 0, LAST, b"x").status, 201);
    await_no_parts(&server);
    for address in [&address, &complete] {
        assert_eq!(state(&mut client, address).status, 404);
    }
    assert_eq!(append(&mut client, &address, 5, LAST, b"x").status, 404);
    assert_eq!(server.site.read("complete"), b"x");
    server.await_line("it is told", |line| line.contains("resumable uploads that had expired"));
}

/// A folder that nobody may list stays so: once is enough to say it, and again only after it was well in between.
#[test]
fn a_root_that_may_not_be_listed_is_told_of_once() {
    let site = Site::sample();
    site.write("in/f", "");
    let root = site.root();
    let mode = |mode| std::fs::set_permissions(&root, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o311);
    let access = "[[access]]\npath = \"/in\"\nallow = [\"read\", \"create\", \"replace\"]\n";
    let server = Server::with(site, &format!("workers = 1\nresumable.expiry = \"1s\"\n{access}"));
    let mut client = server.connect();
    let mut rounds = || {
        for _ in 0..2 {
            let address = begin(&mut client, "/in/f", &[]);
            until("a round has gone by", || state(&mut client, &address).status == 404);
        }
        server.said().matches("can't look for unfinished uploads in / of").count()
    };
    assert_eq!((rounds(), rounds()), (1, 1), "{}", server.said());
    mode(0o711);
    rounds();
    mode(0o311);
    assert_eq!((rounds(), rounds()), (2, 2), "{}", server.said());
    mode(0o755);
}
