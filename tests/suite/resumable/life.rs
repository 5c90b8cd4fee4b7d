//! The life of an upload that goes well.

use super::*;
use crate::common::manual::commands;
use crate::common::server::EVERYTHING;
use crate::common::{Site, site, tools};

#[test]
fn a_file_comes_in_pieces_and_appears_with_the_last() {
    let server = Server::start();
    let mut client = server.connect();
    let address = begin(&mut client, "/new.txt", &["Upload-Length: 11"]);
    let reply = append(&mut client, &address, 0, MORE, b"hello");
    assert_eq!((reply.status, reply.field("upload-complete"), offset_of(&reply)), (204, Some("?0"), 5));
    assert_eq!(client.get("/new.txt").status, 404, "nothing half is ever seen");
    let reply = state(&mut client, &address);
    assert_eq!(reply.status, 204);
    assert_eq!(reply.field("upload-length"), Some("11"));
    assert!(reply.field("upload-limit").unwrap().contains("max-age="), "{reply:?}");
    assert_eq!(offset_of(&reply), 5);
    let get = client.get(&address);
    assert_eq!((get.status, offset_of(&get)), (204, 5), "GET has no more to say");

    let reply = append(&mut client, &address, 5, LAST, b" world");
    assert_eq!((reply.status, reply.field("upload-complete")), (201, Some("?1")), "{reply:?}");
    assert_eq!(reply.field("location"), Some("/new.txt"));
    let got = client.get("/new.txt");
    assert_eq!((got.text(), got.field("etag")), ("hello world", reply.field("etag")));

    // A client that lost the answer learns that it is complete.
    let reply = state(&mut client, &address);
    assert_eq!((reply.status, reply.field("upload-complete"), offset_of(&reply)), (204, Some("?1"), 11));
    assert_eq!(parts(&server).len(), 1, "what is left is that memory");
    assert_eq!(client.request("DELETE", &address, &[], b"").status, 204);
    assert_eq!(state(&mut client, &address).status, 404);
    assert_eq!(parts(&server), [""; 0]);
    assert_eq!(server.site.read("new.txt"), b"hello world");
}

#[test]
fn one_request_is_enough_where_nothing_breaks() {
    let server = Server::start();
    let mut client = server.connect();
    for (target, status) in [("/whole.bin", 201), ("/large.bin", 204)] {
        let content: Vec<u8> = site::large().into_iter().rev().collect();
        let address = begin_whole(&mut client, target, content.len(), &content);
        let reply = client.reply("PUT");
        assert_eq!((reply.status, reply.field("upload-complete")), (status, Some("?1")));
        assert!(server.site.read(&target[1..]) == content);
        assert_eq!(state(&mut client, &address).field("upload-complete"), Some("?1"));
    }
}

#[test]
fn an_interim_answer_is_for_those_who_understand_it() {
    let server = Server::start();
    let mut client = server.connect();
    let fields = |version| [LAST, version, "Content-Length: 5"];
    for version in ["Upload-Draft-Interop-Version: 9", "Upload-Draft-Interop-Version: 8"] {
        client.send(head("PUT", "/f", &fields(version), b"hello").replacen("Content-Length: 5\r\n", "", 1));
        let interim = client.interim_reply(104);
        assert!(version.ends_with(interim.field("upload-draft-interop-version").unwrap()));
        assert!(interim.field("location").unwrap().starts_with("/f?upload="));
        assert!(interim.field("upload-limit").unwrap().contains("max-size="));
        client.send("hello");
        assert!(matches!(client.reply("PUT").status, 201 | 204));
    }
    // Without it the client could not resume: an upload like any other, which leaves nothing behind.
    let before = parts(&server);
    for version in ["Upload-Draft-Interop-Version: 7", "X: y"] {
        client.send(head("PUT", "/g", &[LAST, version], b"hello"));
        client.send("hello");
        assert!(matches!(client.reply("PUT").status, 201 | 204));
        assert_eq!(server.site.read("g"), b"hello");
    }
    assert_eq!(parts(&server), before);
}

/// Who sends for long is told how far it is, and what it was told is there whatever becomes of the server.
#[test]
fn a_long_content_is_told_of_on_the_way() {
    let server = Server::with(Site::big(), &format!("workers = 1\n{EVERYTHING}"));
    let mut client = server.connect();
    let address = begin(&mut client, "/f", &[]);
    let (told, sent) = send_until_told(&mut client, &address);
    assert!((1..=sent).contains(&told), "{told} of {sent}");
    let server = Server::with(server.kill_all(), EVERYTHING);
    assert!(offset(&mut server.connect(), &address) >= told);
}

#[test]
fn continue_is_said_besides() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(head("PUT", "/f", &[LAST, VERSION, "Expect: 100-continue"], b"hello"));
    client.interim(104);
    client.interim(100);
    assert!(client.is_quiet());
    client.send("hello");
    assert_eq!(client.reply("PUT").status, 201);
    let address = begin(&mut client, "/g", &[]);
    let expect = ["Expect: 100-continue", LAST, PARTIAL, "Upload-Offset: 0"];
    client.send(head("PATCH", &address, &expect, b"hello"));
    client.interim(100);
    client.send("hello");
    assert_eq!(client.reply("PATCH").status, 201);
    client.send(head("PATCH", &address, &expect, b"hello"));
    assert_eq!(client.reply("PATCH").status, 400, "a refusal comes before the content");
}

#[test]
fn chunks_and_empty_pieces_do_as_well() {
    let server = Server::start();
    let mut client = server.connect();
    let address = begin(&mut client, "/f", &[]);
    client.send(head("PATCH", &address, &[MORE, PARTIAL, "Upload-Offset: 0", "Transfer-Encoding: chunked"], b""));
    client.send("3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    assert_eq!(offset_of(&client.reply("PATCH")), 5);
    assert_eq!(offset_of(&append(&mut client, &address, 5, MORE, b"")), 5);
    assert_eq!(append(&mut client, &address, 5, LAST, b"").status, 201);
    assert_eq!(server.site.read("f"), b"hello");
    let address = begin(&mut client, "/empty", &["Upload-Length: 0"]);
    assert_eq!(append(&mut client, &address, 0, LAST, b"").status, 201);
    assert_eq!(server.site.read("empty"), b"");
}

#[test]
fn post_updates_what_exists_and_the_mode_is_the_old_one() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start();
    let mode = |name: &str| std::fs::metadata(server.site.path(name)).unwrap().permissions().mode() & 0o7777;
    std::fs::set_permissions(server.site.path("hello.txt"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut client = server.connect();
    let reply = client.request("POST", "/hello.txt", &[MORE], b"one, ");
    assert_eq!((reply.status, offset_of(&reply)), (201, 5));
    let address = reply.field("location").unwrap().to_owned();
    assert_eq!(client.get("/hello.txt").text(), "hello, world\n", "the old file stands until the end");
    assert_eq!(append(&mut client, &address, 5, LAST, b"two").status, 204);
    assert_eq!((server.site.read("hello.txt"), mode("hello.txt")), (b"one, two".to_vec(), 0o600));
    assert_eq!(client.request("POST", "/missing.txt", &[MORE], b"x").status, 404);
    let address = begin(&mut client, "/new.txt", &[]);
    assert!(parts(&server).iter().all(|name| mode(name) == 0o600), "nobody else reads what is no file yet");
    assert_eq!(append(&mut client, &address, 0, LAST, b"x").status, 201);
    assert_eq!(mode("new.txt"), 0o644);
}

#[test]
fn options_tell_what_is_possible() {
    let server = Server::start();
    let mut client = server.connect();
    let reply = client.request("OPTIONS", "/new.txt", &[], b"");
    assert_eq!(reply.field("accept-patch"), Some("application/partial-upload"));
    assert_eq!(reply.field("upload-limit"), Some("max-size=1073741824, max-append-size=1073741824, max-age=172800"));
    let address = begin(&mut client, "/new.txt", &[]);
    let reply = client.request("OPTIONS", &address, &[], b"");
    assert_eq!(reply.field("allow"), Some("GET, HEAD, OPTIONS, DELETE, PATCH"));
    assert_eq!(reply.field("accept-patch"), Some("application/partial-upload"));
    let read_only = Server::with(Site::sample(), "");
    let reply = read_only.connect().request("OPTIONS", "/new.txt", &[], b"");
    assert_eq!(reply.field("accept-patch"), None);
}

#[test]
fn an_upload_is_beside_its_target_whatever_its_name() {
    let server = Server::start();
    let mut client = server.connect();
    for target in ["/folder/deeper/a%20b%26c", "/folder/%C3%A4%FF"] {
        let address = begin(&mut client, target, &[]);
        assert_eq!(append(&mut client, &address, 0, LAST, b"x").status, 201);
        assert_eq!(client.get(target).text(), "x");
    }
    let reply = client.request("PUT", "/folder/none/f", &[MORE], b"");
    assert_eq!(reply.status, 409);
    assert_eq!(client.request("PUT", "/folder/", &[MORE], b"").status, 409);
    assert_eq!(client.request("PUT", "/.hidden", &[MORE], b"").status, 404);
}

/// As the manual page tells it, word by word.
#[test]
fn curl_does_it_in_three_lines() {
    let server = Server::start();
    let content = server.site.beside("big.iso");
    std::fs::write(&content, site::large()).unwrap();
    let shell = |line: String| {
        let mut shell = tools::command("sh");
        shell.current_dir(server.site.beside("."));
        tools::succeed(shell.args(["-ec", &line.replace("http://127.0.0.1:8080", &server.url(""))]))
    };

    let [begin, address, rest @ ..] = &*commands("resumable") else { panic!("the recipe has an order") };
    let said = shell(begin.clone());
    let (_, id) = said.split_once("?upload=").unwrap();
    let address = address.replace("\\fIthe ID from Location\\fP", id.lines().next().unwrap().trim());
    // The line breaks somewhere in between.
    let upload = address.strip_prefix("U=http://127.0.0.1:8080").unwrap();
    assert_eq!(append(&mut server.connect(), upload, 0, MORE, &site::large()[..500_000]).status, 204);
    shell(format!("{address}\n{}", rest.join("\n")));
    assert!(server.site.read("big.iso") == site::large());
}
