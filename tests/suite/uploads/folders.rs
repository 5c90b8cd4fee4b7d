//! Folders on the way to a new file.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::common::server::EVERYTHING;
use crate::common::{Server, Site};

#[test]
fn folders_are_made_only_where_the_configuration_says_so() {
    let server = Server::start();
    let reply = server.connect().request("PUT", "/a/b/c", &["Accept: application/json"], b"x");
    assert_eq!(reply.status, 409);
    assert!(reply.text().contains("folder"), "{reply:?}");
    for method in ["DELETE", "POST"] {
        assert_eq!(server.connect().request(method, "/a/b/c", &[], b"").status, 404, "{method}: there is no such file");
    }
    let upload = format!("/a/b/c?upload={:032}", 1);
    assert_eq!(server.connect().request("HEAD", &upload, &[], b"").status, 404);
    assert!(!server.site.names().contains(&"a".to_owned()));

    let server =
        Server::with(Site::sample(), &format!("uploads.make_folders = true\nuploads.mode = \"0640\"\n{EVERYTHING}"));
    let put = |target: &str| server.connect().request("PUT", target, &[], b"x").status;
    assert_eq!(put("/a/b/c"), 201);
    assert_eq!(server.site.read("a/b/c"), b"x");
    let mode = |name: &str| std::fs::metadata(server.site.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("a"), mode("a/b"), mode("a/b/c")], [0o750, 0o750, 0o640]);
    assert_eq!(put("/a/b/d"), 201);
    assert_eq!(put("/hello.txt/d"), 409, "a file is no folder");
    assert_eq!(put("/x/.hidden/d"), 404);
    assert_eq!(put(&format!("/{}/d", "n".repeat(256))), 400);
    assert_eq!(put(&format!("/{}d", "f/".repeat(33))), 409, "that many folders nobody wants");
    assert_eq!(put(&format!("/{}d", "f/".repeat(32))), 201);
    assert_eq!(put(&format!("/{}d", "f/".repeat(64))), 201);
    assert_eq!(put(&format!("/{}d", "f/".repeat(65))), 400, "so deep none is made");
    std::fs::create_dir(server.site.path(&"f/".repeat(65))).unwrap();
    crate::common::site::give(&server.site.path(&"f/".repeat(65)));
    assert_eq!(put(&format!("/{}d", "f/".repeat(65))), 201, "but one that is there is used");
    assert_eq!(put("/a/"), 409, "a folder itself is no target");
    // What would not be stored makes no folder either.
    let mut client = server.connect();
    assert_eq!(client.request("POST", "/p/x", &[], b"x").status, 404);
    assert_eq!(client.request("PUT", "/p/x", &["If-Match: \"a\""], b"x").status, 412);
    assert!(!server.site.names().contains(&"p".to_owned()));
}

#[test]
fn folders_are_made_beneath_the_root_and_nowhere_else() {
    let site = Site::sample();
    std::fs::create_dir(site.beside("outside")).unwrap();
    crate::common::site::give(&site.beside("outside"));
    symlink("../outside", site.path("way-out")).unwrap();
    symlink("folder", site.path("inside")).unwrap();
    let server = Server::with(site, &format!("uploads.make_folders = true\n{EVERYTHING}"));
    let put = |target: &str| server.connect().request("PUT", target, &[], b"x").status;
    assert_eq!(put("/way-out/a/b"), 409);
    assert_eq!(std::fs::read_dir(server.site.beside("outside")).unwrap().count(), 0);
    assert_eq!(put("/inside/a/b"), 201);
    assert_eq!(server.site.read("folder/a/b"), b"x");
}

#[test]
fn a_folder_above_that_may_be_entered_but_not_read_is_no_hindrance() {
    let site = Site::sample();
    let server = Server::with(site, &format!("uploads.make_folders = true\n{EVERYTHING}"));
    let set_mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(server.site.path("."), permissions).unwrap();
    };
    set_mode(0o311);
    let reply = server.connect().request("PUT", "/folder/x", &[], b"x");
    set_mode(0o755);
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(server.site.read("folder/x"), b"x");
}

#[test]
fn quick_use_makes_the_folders_of_an_upload() {
    let server = Server::quick(Site::empty(), &["--upload"]);
    assert_eq!(server.connect().request("PUT", "/a/b/c", &[], b"x").status, 201);
    assert_eq!(server.site.read("a/b/c"), b"x");
}

#[test]
fn quotas_hold_in_folders_that_are_made() {
    let quota = "[[quota]]\npath = \"/q/\"\nbytes = 10\n";
    let server = Server::with(Site::sample(), &format!("uploads.make_folders = true\n{EVERYTHING}{quota}"));
    let mut client = server.connect();
    assert_eq!(client.request("PUT", "/q/a/f", &[], &[b'x'; 6]).status, 201);
    assert_eq!(client.request("PUT", "/q/b/f", &[], &[b'x'; 5]).status, 507);
    let mut begin = |target: &str, content: &[u8]| client.request("PUT", target, &["Upload-Complete: ?0"], content);
    assert_eq!(begin("/q/c/f", &[b'x'; 5]).status, 507);
    let begun = begin("/q/c/d/f", &[b'x'; 4]);
    assert_eq!((begun.status, begun.field("upload-offset")), (201, Some("4")), "{begun:?}");
    let fields = ["Upload-Complete: ?1", "Upload-Offset: 4", "Content-Type: application/partial-upload"];
    let fields = [&fields[..], &["Content-Length: 0"]].concat();
    assert_eq!(client.request("PATCH", begun.field("location").unwrap(), &fields, b"").status, 201);
    assert_eq!(server.site.read("q/c/d/f"), b"xxxx");
}
