//! Paths that try to leave the root, in every disguise.

use std::os::unix::fs::symlink;

use crate::common::{Server, Site, tools};

const SECRET: &str = "nobody may read this";

/// Every disguise of `..`, of a link and of a hidden name.
const TARGETS: &[&str] = &[
    "/../secret",
    "/folder/../../secret",
    "/folder/deeper/../../../secret",
    "/./../secret",
    "/..",
    "/../",
    "/%2e%2e/secret",
    "/%2E%2E/secret",
    "/.%2e/secret",
    "/%2e./secret",
    "/..%2fsecret",
    "/%2e%2e%2fsecret",
    "/folder%2f..%2f..%2fsecret",
    "/%252e%252e/secret",
    "/%252e%252e%252fsecret",
    "/..%255csecret",
    "/..\\secret",
    "/..%5csecret",
    "/%c0%ae%c0%ae/secret",
    "/%c0%ae%c0%ae%c0%afsecret",
    "/hello.txt%00",
    "/%00",
    "/../secret%00.txt",
    "/hello.txt%00/../../secret",
    "//../secret",
    "/relative-link",
    "/absolute-link",
    "/up/secret",
    "/up/",
    "/slash/etc/passwd",
    "/self/environ",
    "/self/root/etc/passwd",
    "/self/fd/0",
    "/loop",
    "/loop/x",
    "/.hidden",
    "/.%68idden",
    "/%2ehidden",
    "/folder/../.hidden",
    "/.fileserv-0123456789abcdef0123456789abcdef.new",
    "/../../../../../../../../../../../../../../../../../../../../../secret",
    "/%2e%2e/%73%65%63%72%65%74",
];

#[test]
fn no_path_leaves_the_root() {
    let site = Site::sample();
    std::fs::write(site.beside("secret"), SECRET).unwrap();
    symlink("../secret", site.path("relative-link")).unwrap();
    symlink(site.beside("secret"), site.path("absolute-link")).unwrap();
    symlink("..", site.path("up")).unwrap();
    symlink("/", site.path("slash")).unwrap();
    symlink("/proc/self", site.path("self")).unwrap();
    symlink("loop", site.path("loop")).unwrap();
    let server = Server::with(site, crate::common::server::EVERYTHING);
    let workers = server.workers();
    let digest = tools::sha256sum(&server.site.beside("secret"));
    for target in TARGETS {
        for method in ["GET", "HEAD"] {
            let reply = server.connect().request(method, target, &[], b"");
            let refused = matches!(reply.status, 400 | 403 | 404);
            assert!(refused, "{method} {target}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
            assert!(!String::from_utf8_lossy(&reply.body).contains(SECRET), "{method} {target}");
        }
        // `/sha256/..` is `/` and may be answered; what matters is that the secret's digest never is.
        let reply = server.connect().get(&format!("/sha256{target}"));
        assert!(!String::from_utf8_lossy(&reply.body).contains(&digest), "/sha256{target}");
        // A link may be refused or replaced, but what it leads to is never written.
        server.connect().request("PUT", target, &[], b"overwritten");
        server.connect().request("POST", target, &[], b"overwritten");
    }
    assert_eq!(std::fs::read_to_string(server.site.beside("secret")).unwrap(), SECRET);
    server.assert_unharmed(&workers);
}

#[test]
fn link_within_the_root_is_followed() {
    let site = Site::sample();
    symlink("folder/inner.txt", site.path("link")).unwrap();
    symlink("../hello.txt", site.path("folder/up-but-inside")).unwrap();
    let server = Server::with(site, crate::common::server::EVERYTHING);
    let mut client = server.connect();
    assert_eq!(client.get("/link").text(), "inner\n");
    assert_eq!(client.get("/folder/up-but-inside").text(), "hello, world\n");
}

#[test]
fn dot_segments_within_the_root_are_resolved() {
    let server = Server::start();
    let mut client = server.connect();
    for target in ["/folder/../hello.txt", "/./hello.txt", "/folder/./../hello.txt", "/folder/%2e%2e/hello.txt"] {
        let reply = client.get(target);
        assert!(reply.status == 200 && reply.text() == "hello, world\n" || reply.status == 400, "{target}: {reply:?}");
    }
}

#[test]
fn well_known_is_served_though_it_begins_with_a_dot() {
    let site = Site::sample();
    site.write(".well-known/security.txt", "Contact: mailto:a@example.org\n");
    site.write(".well-known/.secret", "secret\n");
    site.write("folder/.well-known/file", "secret\n");
    let server = Server::with(site, crate::common::server::EVERYTHING);
    let mut client = server.connect();
    assert_eq!(client.get("/.well-known/security.txt").status, 200);
    assert_eq!(client.get("/.well-known/.secret").status, 404);
    assert_eq!(client.get("/folder/.well-known/file").status, 404, "RFC 8615: at the root only");
}

#[test]
fn what_is_no_regular_file_is_not_served() {
    let site = Site::sample();
    nix::unistd::mkfifo(&site.path("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    crate::common::site::give(&site.path("pipe"));
    let socket = std::os::unix::net::UnixListener::bind(site.path("socket")).unwrap();
    let server = Server::with(site, crate::common::server::EVERYTHING);
    let mut client = server.connect();
    for target in ["/pipe", "/socket"] {
        let status = client.get(target).status;
        assert!(matches!(status, 403 | 404), "{target}: {status}");
    }
    assert_eq!(client.get("/hello.txt").status, 200, "and nobody waits for the other end of a pipe");
    drop(socket);
}

#[test]
fn file_that_may_not_be_read_is_403() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start();
    std::fs::set_permissions(server.site.path("hello.txt"), std::fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(server.connect().get("/hello.txt").status, 403);
}
