//! What an update keeps of the old file, and what readers of the old file keep.

use std::fs::{File, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use crate::common::server::{EVERYTHING, binary};
use crate::common::site::give;
use crate::common::tools::attempt;
use crate::common::{Server, Site, cannot_run, is_root, site};

#[test]
fn an_update_keeps_mode_and_extended_attributes() {
    use xattr::FileExt as _;
    let server = Server::with(Site::big(), &format!("workers = 1\nuploads.mode = \"0600\"\n{EVERYTHING}"));
    server.site.write("file", "old");
    let path = server.site.path("file");
    std::fs::set_permissions(&path, Permissions::from_mode(0o4664)).unwrap();
    let old = File::open(&path).unwrap();
    let has_attributes = old.set_xattr("user.origin", b"a camera").is_ok();
    assert_eq!(server.connect().request("PUT", "/file", &[], b"new").status, 204);
    let new = File::open(&path).unwrap();
    assert_ne!(old.metadata().unwrap().ino(), new.metadata().unwrap().ino());
    assert_eq!(new.metadata().unwrap().mode() & 0o7777, 0o664, "and never a set-user-id bit");
    if has_attributes {
        assert_eq!(new.get_xattr("user.origin").unwrap().as_deref(), Some(&b"a camera"[..]));
    } else {
        cannot_run("an_update_keeps_mode_and_extended_attributes", "this file system has no extended attributes");
    }
    assert!(!server.said().contains("lost"), "{}", server.said());
}

/// A file of which the worker knows that it had none, because it has made it a moment ago.
#[test]
fn attributes_that_a_file_is_given_between_two_updates_are_kept() {
    use xattr::FileExt as _;
    let config = format!("workers = 1\nuploads.durability = \"none\"\n{EVERYTHING}");
    let server = Server::with(Site::in_memory(), &config);
    let path = server.site.path("file");
    let mut client = server.connect();
    for round in 0..100 {
        for _ in 0..3 {
            assert_eq!(client.request("PUT", "/file", &[], b"new").status / 100, 2);
        }
        assert_eq!(File::open(&path).unwrap().get_xattr("user.origin").unwrap(), None, "{round}");
        if File::open(&path).unwrap().set_xattr("user.origin", b"a camera").is_err() {
            return cannot_run(
                "attributes_that_a_file_is_given_between_two_updates_are_kept",
                "the file system in memory has no extended attributes",
            );
        }
        for _ in 0..3 {
            assert_eq!(client.request("PUT", "/file", &[], b"newer").status, 204);
            let kept = File::open(&path).unwrap().get_xattr("user.origin").unwrap();
            assert_eq!(kept.as_deref(), Some(&b"a camera"[..]), "{round}");
        }
        File::open(&path).unwrap().remove_xattr("user.origin").unwrap();
    }
}

#[test]
fn attributes_that_cant_be_read_are_told_in_the_log() {
    if !is_root() {
        return cannot_run("attributes_that_cant_be_read_are_told_in_the_log", "only root has files of others");
    }
    use xattr::FileExt as _;
    let server = Server::with(Site::big(), &format!("workers = 1\n{EVERYTHING}"));
    server.site.write("file", "old");
    let path = server.site.path("file");
    if File::open(&path).unwrap().set_xattr("user.origin", b"a camera").is_err() {
        return cannot_run(
            "attributes_that_cant_be_read_are_told_in_the_log",
            "this file system has no extended attributes",
        );
    }
    std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(server.connect().request("PUT", "/file", &[], b"new").status, 204);
    server
        .await_line("the loss is told", |line| line.contains("the update of /file may have lost extended attributes"));
    give(&path);
    assert_eq!(server.site.read("file"), b"new");
}

#[test]
fn a_group_must_be_there_and_the_service_must_belong_to_it() {
    let site = Site::empty();
    let tested = |group: &str| {
        let user = if is_root() { "user = \"nobody\"\n" } else { "" };
        let text = format!("root = {:?}\n{user}[uploads]\ngroup = {group:?}\n", site.root());
        let file = site.beside("group.toml");
        std::fs::write(&file, text).unwrap();
        let output = attempt(binary(), &["-t", "-c", file.to_str().unwrap()]);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), words)
    };
    let (is_fine, words) = tested("no-such-group");
    let line = if is_root() { 4 } else { 3 };
    assert!(
        !is_fine && words.contains(&format!("group.toml:{line}:9: there is no group \"no-such-group\"")),
        "{words}"
    );
    let (is_fine, words) = tested("shadow");
    assert!(!is_fine && words.contains(&format!("group.toml:{line}:9: the service user does not belong")), "{words}");
    let mut id = Command::new("id");
    id.arg("-gn").args(is_root().then_some("nobody"));
    let own = String::from_utf8(id.output().unwrap().stdout).unwrap();
    assert_eq!(tested(own.trim()), (true, String::new()));
}

#[test]
fn readers_keep_the_old_file_to_the_end() {
    let server = Server::start();
    let old = site::large();
    let mut open = File::open(server.site.path("large.bin")).unwrap();
    // The kernel's buffers hold a part of it; the rest is sent after the file is gone.
    let mut downloading = server.connect();
    downloading.send("GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut pipelined = server.connect();
    pipelined.send("GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20));
    crate::common::until("the download has begun", || !downloading.is_quiet() && !pipelined.is_quiet());
    for content in [&b"new"[..], b"newer"] {
        assert_eq!(server.connect().request("PUT", "/large.bin", &[], content).status, 204);
        assert_eq!(server.connect().get("/large.bin").body, content);
    }
    assert!(downloading.reply("GET").body == old);
    assert!(pipelined.reply("GET").body == old, "a reply that has begun ends as it began");
    for _ in 1..20 {
        let body = pipelined.reply("GET").body;
        assert!(body == old || body == b"new" || body == b"newer", "whole, whichever it is");
    }
    let mut content = Vec::new();
    open.seek(SeekFrom::Start(0)).unwrap();
    open.read_to_end(&mut content).unwrap();
    assert!(content == old);
}
