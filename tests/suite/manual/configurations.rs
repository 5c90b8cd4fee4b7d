//! The configurations of fileserv.toml(5): each is checked, served, and does what the words above it say.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{configuration, serve, shell, with_incoming};
use crate::common::manual::{commands, example, here};
use crate::common::server::binary;
use crate::common::site::give;
use crate::common::{Server, Site, tools, until};
use crate::logins::put;

#[test]
fn keys_are_written_in_both_ways() {
    let site = Site::sample();
    let file = site.beside("fileserv.toml");
    let text = configuration(&site, &example("syntax"));
    fs::write(&file, text.replace("[limits]", &format!("root = {:?}\n[limits]", site.root()))).unwrap();
    tools::run(binary(), &["-t", "-c", file.to_str().unwrap()]);
}

#[test]
fn folder_for_everybody_has_listings_counters_and_a_log() {
    let server = serve(Site::sample(), &example("public"));
    let mut client = server.connect();
    assert!(client.get("/folder/").text().contains("inner.txt"));
    assert_eq!(client.get("/stats").status, 200, "this machine may see the counters");
    assert_eq!(client.request("PUT", "/new.txt", &[], b"x").status, 403);
    let log = server.site.beside("log/access.log");
    until("the requests are logged", || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.contains("\"GET /folder/ HTTP/1.1\" 200 ") && text.contains("\"PUT /new.txt HTTP/1.1\" 403 ")
    });
}

/// The configuration for uploads, before anybody has a password or a token.
fn for_uploads() -> Server {
    let site = with_incoming(Site::sample());
    put(&site, "users", "");
    put(&site, "tokens", "");
    fs::write(site.beside("report.pdf"), "a report").unwrap();
    fs::write(site.beside("build.tar"), "a build").unwrap();
    fs::write(site.beside(".netrc"), "machine 127.0.0.1 login alice password secret\n").unwrap();
    serve(site, &example("uploads"))
}

/// Runs the commands one behind the other, in one shell, with `secret` as what is asked for.
fn run(server: &Server, commands: &[String]) -> std::process::Output {
    let script = here(&commands.join("\n"), &server.site).replace("http://127.0.0.1:8080", &server.url(""));
    let home = server.site.beside(".");
    fs::write(home.join("typed"), "secret\n").unwrap();
    shell(&home, &script).stdin(fs::File::open(home.join("typed")).unwrap()).output().unwrap()
}

#[test]
fn user_with_a_password_adds_files_and_takes_none_away() {
    let server = for_uploads();
    let commands = commands("password");
    let upload = &commands[commands.len() - 1..];
    assert_eq!(run(&server, upload).status.code(), Some(22), "nobody has a password yet");
    let output = run(&server, &commands);
    assert!(output.status.success(), "{output:?}\n{}", server.said());
    assert_eq!(server.connect().get("/incoming/report.pdf").text(), "a report", "everybody may read it");
    assert_eq!(run(&server, upload).status.code(), Some(22), "she may not replace it");
    assert_eq!(server.connect().request("PUT", "/incoming/other", &[], b"x").status, 401);
    assert_eq!(server.connect().request("PUT", "/other", &[], b"x").status, 403);
}

#[test]
fn program_with_a_token_adds_files() {
    let server = for_uploads();
    let output = run(&server, &commands("token"));
    assert!(output.status.success(), "{output:?}\n{}", server.said());
    assert_eq!(server.site.read("incoming/build.tar"), b"a build");
    let lines = fs::read_to_string(server.site.beside("tokens")).unwrap();
    assert!(lines.starts_with("robot:") && lines.lines().count() == 1, "{lines}");
}

#[test]
fn letter_box_gives_nothing_back() {
    let server = serve(with_incoming(Site::sample()), &example("letter-box"));
    let mut client = server.connect();
    assert_eq!(client.request("PUT", "/incoming/letter", &[], b"dear").status, 201);
    for target in ["/incoming/letter", "/incoming/"] {
        assert_eq!(client.get(target).status, 403, "{target}");
    }
    for method in ["PUT", "DELETE"] {
        assert_eq!(client.request(method, "/incoming/letter", &[], b"").status, 403, "{method}");
    }
    let mode = fs::metadata(server.site.path("incoming/letter")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn two_sites_do_what_is_said_of_them() {
    let site = Site::sample();
    site.write("404.html", "lost\n");
    site.write("hello.txt.gz", "not really packed");
    for (name, text) in [("app/index.html", "the application"), ("app/dist/main.1a2b.js", "script")] {
        fs::create_dir_all(site.beside(name).parent().unwrap()).unwrap();
        fs::write(site.beside(name), text).unwrap();
        give(&site.beside(name));
    }
    let server = serve(site, &example("sites"));
    let mut client = server.connect();
    let missing = client.get_with("/nothing", &["Accept: text/html"]);
    assert_eq!((missing.status, missing.text()), (404, "lost\n"));
    let moved = client.get("/old/page?x=1");
    assert_eq!((moved.status, moved.field("location")), (301, Some("/new/page?x=1")));
    let packed = client.get_with("/hello.txt", &["Accept-Encoding: gzip"]);
    assert_eq!((packed.field("content-encoding"), packed.text()), (Some("gzip"), "not really packed"));

    let ask = |target: &str| {
        let mut client = server.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: app.example.org\r\n\r\n"));
        client.reply("GET")
    };
    let route = ask("/settings/profile");
    assert_eq!((route.status, route.text()), (200, "the application"));
    assert_eq!(route.field("cache-control"), Some("no-cache"));
    let asset = ask("/dist/main.1a2b.js");
    assert_eq!((asset.text(), asset.field("cache-control")), ("script", Some("max-age=31536000")));
}
