//! Several sites on one server, and what a site says of its paths: redirects, fields, error pages, a fallback.

use crate::common::client::Reply;
use crate::common::{Server, Site, tools};

const READ: &str = "[[access]]\npath = \"/\"\nallow = [\"list\", \"read\"]\n";

/// Asks under the name of a host.
fn ask(server: &Server, host: &str, request: &str, fields: &str) -> Reply {
    let mut client = server.connect();
    client.send(format!("{request} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    client.reply(request.split(' ').next().unwrap())
}

/// A server with a default site, `a.example` that may be written, and all names below `b.example`.
fn three_sites() -> Server {
    let site = Site::sample();
    for name in ["a", "b"] {
        std::fs::create_dir(site.beside(name)).unwrap();
        std::fs::write(site.beside(name).join("hello.txt"), format!("hello from {name}\n")).unwrap();
        crate::common::site::give(&site.beside(name));
    }
    let (a, b) = (site.beside("a"), site.beside("b"));
    let config = format!(
        "workers = 1\n{READ}\
         [[site]]\nnames = [\"a.example\", \"[::1]\"]\nroot = {a:?}\nroutes = {{ \"/stats\" = \"stats\" }}\n\
         access = [{{ path = \"/\", allow = [\"read\", \"create\"] }}]\n\
         [[site]]\nnames = [\"*.b.example\"]\nroot = {b:?}\n"
    );
    Server::with(site, &config)
}

#[test]
fn the_host_decides_on_the_root() {
    let server = three_sites();
    // Twice: the second answer comes from the cache, where the three files have one path.
    for _ in 0..2 {
        for (host, text) in [
            ("a.example", "hello from a\n"),
            ("A.Example.:8080", "hello from a\n"),
            ("[::1]:80", "hello from a\n"),
            ("x.b.example", "hello from b\n"),
            ("y.x.B.example", "hello from b\n"),
            ("b.example", "hello, world\n"),
            ("unheard.of", "hello, world\n"),
        ] {
            assert_eq!(ask(&server, host, "GET /hello.txt", "").text(), text, "{host}");
        }
    }
    let absolute = ask(&server, "a.example", "GET http://x.b.example/hello.txt", "");
    assert_eq!(absolute.text(), "hello from b\n", "the target goes before the field");
    server.await_line("the sites are announced", |line| line.contains("and 2 more sites at"));
}

#[test]
fn each_site_has_its_own_rules() {
    let server = three_sites();
    assert_eq!(ask(&server, "a.example", "GET /stats", "").status, 200);
    assert_eq!(ask(&server, "other", "GET /stats", "").status, 404);
    assert_eq!(ask(&server, "other", "GET /folder/", "").status, 200);
    assert_eq!(ask(&server, "x.b.example", "GET /", "").status, 403, "the default site's right to list is its own");
    let put = |host: &str| {
        let mut client = server.connect();
        client.send(format!("PUT /new.txt HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nnew"));
        client.reply("PUT").status
    };
    assert_eq!([put("a.example"), put("x.b.example"), put("other")], [201, 403, 403]);
    assert_eq!(std::fs::read(server.site.beside("a").join("new.txt")).unwrap(), b"new");
    server.await_line("the seal tells of all roots", |line| {
        line.contains("3 roots may be read, beneath 1 folder written")
    });
}

#[test]
fn redirects_keep_the_query_and_the_rest() {
    let config = "[redirects]\n\"/old\" = \"/new\"\n\"/blog/*\" = { to = \"https://b.example/n/*\", status = 301 }\n";
    let server = Server::with(Site::sample(), config);
    for (target, status, location) in [
        ("/old?a=b", 308, "/new?a=b"),
        ("/%6fld", 308, "/new"),
        ("/blog/x%20y/z?q", 301, "https://b.example/n/x%20y/z?q"),
        ("/blog/", 301, "https://b.example/n/"),
        ("/blog//evil.example", 301, "https://b.example/n/evil.example"),
        ("/folder?x=1", 308, "/folder/?x=1"),
    ] {
        let reply = server.connect().get(target);
        assert_eq!((reply.status, reply.field("location")), (status, Some(location)), "{target}");
    }
    assert_eq!(ask(&server, "a", "PUT /old", "Content-Length: 0\r\n").status, 308);
    assert_eq!(server.connect().get("/older").status, 404);
}

#[test]
fn fields_are_those_of_the_path_in_answers_that_are_no_errors() {
    let config = format!(
        "{READ}[[fields]]\npath = \"/\"\nset = {{ \"Cache-Control\" = \"no-cache\", \"X-A\" = \"1\" }}\n\
         [[fields]]\npath = \"/folder/\"\nset = {{ \"Cache-Control\" = \"max-age=60\" }}\n"
    );
    let server = Server::with(Site::sample(), &config);
    let mut client = server.connect();
    for _ in 0..2 {
        let reply = client.get("/hello.txt");
        assert_eq!((reply.field("cache-control"), reply.field("x-a")), (Some("no-cache"), Some("1")));
    }
    let tag = client.get("/folder/inner.txt").field("etag").unwrap().to_owned();
    let reply = client.get_with("/folder/inner.txt", &[&format!("If-None-Match: {tag}")]);
    assert_eq!((reply.status, reply.field("cache-control"), reply.field("x-a")), (304, Some("max-age=60"), Some("1")));
    let listing = client.get("/folder/deeper/");
    assert_eq!(listing.field("cache-control"), Some("max-age=60"), "in the place of our own");
    let part = client.get_with("/alphabet.txt", &["Range: bytes=0-1"]);
    assert_eq!((part.status, part.field("x-a")), (206, Some("1")));
    let missing = client.get("/missing");
    assert_eq!((missing.status, missing.field("cache-control"), missing.field("x-a")), (404, Some("no-store"), None));
}

#[test]
fn an_error_page_is_shown_with_the_status_and_without_a_loop() {
    let site = Site::sample();
    site.write("404.html", "<p>lost\n");
    let config = "[[access]]\npath = \"/\"\nallow = [\"read\"]\n[[access]]\npath = \"/404.html\"\nallow = []\n\
                  [error_pages]\n404 = \"/404.html\"\n403 = \"/nowhere.html\"\n416 = \"/404.html\"\n";
    let server = Server::with(site, config);
    let mut client = server.connect();
    let reply = client.get("/missing");
    assert_eq!((reply.status, reply.text()), (404, "<p>lost\n"));
    assert_eq!(reply.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(reply.field("cache-control"), Some("no-store"));
    assert_eq!([reply.field("etag"), reply.field("last-modified"), reply.field("accept-ranges")], [None; 3]);
    let head = client.request("HEAD", "/missing", &[], b"");
    assert_eq!((head.status, head.field("content-length")), (404, Some("8")));
    let problem = client.get_with("/missing", &["Accept: application/json"]);
    assert_eq!(problem.field("content-type"), Some("application/problem+json"));
    assert!(!client.request("DELETE", "/missing", &[], b"").text().contains("lost"), "only for who retrieves");
    let reply = client.get("/folder/");
    assert!(reply.status == 403 && reply.text().contains("403 Forbidden"), "a missing page is no second error");
    let reply = client.get_with("/alphabet.txt", &["Range: bytes=99-"]);
    assert_eq!((reply.status, reply.field("content-range")), (416, Some("bytes */26")));
    assert_eq!(reply.text(), "<p>lost\n");
}

#[test]
fn a_fallback_answers_for_paths_that_the_browser_knows() {
    let server = Server::with(Site::sample(), "fallback = \"/index.html\"\n");
    let mut client = server.connect();
    let home = client.get("/index.html");
    for target in ["/app/settings", "/app/settings/", "/x?y=z"] {
        let reply = client.get(target);
        assert_eq!((reply.status, &reply.body), (200, &home.body), "{target}");
        let tag = format!("If-None-Match: {}", home.field("etag").unwrap());
        assert_eq!(client.get_with(target, &[&tag]).status, 304, "{target}");
    }
    for target in ["/app/missing.js", "/.git/config", "/hello.txt/x.y"] {
        assert_eq!(client.get(target).status, 404, "{target}");
    }
    assert_eq!(client.get("/hello.txt").text(), "hello, world\n");
    assert_eq!(client.get("/folder/").status, 403, "it is there, and not to be listed");
    assert_eq!(client.request("PUT", "/app", &[], b"x").status, 403);
}

#[test]
fn a_manifest_is_what_sha256sum_checks() {
    let site = Site::sample();
    site.write("folder/back\\slash\nline", "x");
    let server = Server::with(site, READ);
    let sums = server.site.beside("sums");
    for query in ["?format=sha256sum", ""] {
        let url = server.url(&format!("/folder/{query}"));
        tools::curl(&["-H", "Accept: text/plain; profile=sha256sum", "-o", sums.to_str().unwrap(), &url]);
        let mut check = std::process::Command::new("sha256sum");
        let verdict =
            check.args(["--strict", "-c"]).arg(&sums).current_dir(server.site.path("folder")).output().unwrap();
        assert!(verdict.status.success(), "{verdict:?}");
        assert_eq!(String::from_utf8(verdict.stdout).unwrap().lines().count(), 2);
    }
}

#[test]
fn a_listing_has_the_order_that_is_asked_for() {
    let site = Site::empty();
    for (name, bytes) in [("b", 2), ("a", 3), ("c", 1), ("folder/x", 1)] {
        site.write(name, "x".repeat(bytes));
    }
    let server = Server::with(site, READ);
    let mut client = server.connect();
    for (query, names) in [
        ("", "folder/\na\nb\nc\n"),
        ("&order=desc", "folder/\nc\nb\na\n"),
        ("&sort=size", "folder/\nc\nb\na\n"),
        ("&sort=size&order=desc&utm=x", "folder/\na\nb\nc\n"),
    ] {
        assert_eq!(client.get(&format!("/?format=text{query}")).text(), names, "{query}");
    }
    let refused = client.get("/?sort=date");
    assert!(refused.status == 400 && refused.text().contains("“sort”"), "{}", refused.text());
    let page = client.get("/folder/?sort=time");
    assert!(page.text().contains("<a href=\"../\">Home</a>") && page.text().contains("?sort=time&amp;order=desc"));
}
