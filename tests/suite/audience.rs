//! For whom an answer is: what caches may keep of it, and what pages of other sites may do with somebody's password.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::common::client::Reply;
use crate::common::site::give;
use crate::common::{Server, Site, tools};

/// `alice:secret`, as Basic shows it.
const ALICE: &str = "Authorization: Basic YWxpY2U6c2VjcmV0";

/// A file of the one user, which the service user may read.
fn users(site: &Site) -> PathBuf {
    let path = site.beside("users");
    std::fs::write(&path, tools::run("htpasswd", &["-nbBC", "4", "alice", "secret"])).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    give(&path);
    path
}

fn cache_control(reply: &Reply) -> Vec<&str> {
    let lines = reply.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Cache-Control"));
    lines.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn page_of_another_site_writes_with_a_password_only_where_credentials_are_allowed() {
    let site = Site::sample();
    let users = users(&site);
    let server = Server::with(
        site,
        &format!(
            "workers = 1\nusers_file = {users:?}\n\
             [[access]]\npath = \"/\"\nallow = [\"read\", \"create\", \"replace\"]\nusers = \"any\"\n\
             [[access]]\npath = \"/open/\"\nallow = [\"read\", \"create\"]\n\
             [[cors]]\npath = \"/\"\norigins = \"*\"\nmethods = [\"GET\", \"POST\", \"PUT\"]\n\
             [[cors]]\npath = \"/named/\"\norigins = \"https://a.example\"\nmethods = \"PUT\"\ncredentials = true\n"
        ),
    );
    let ask = |method: &str, target: &str, field: &str| {
        let page = ["Origin: https://a.example", "Sec-Fetch-Site: cross-site", field];
        server.connect().request(method, target, &page, b"theirs")
    };
    let before = server.site.read("hello.txt");
    let refused = ask("POST", "/hello.txt", ALICE);
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("cors.credentials"), "{}", refused.text());
    assert_eq!(server.site.read("hello.txt"), before);
    assert_eq!(ask("PUT", "/hello.txt", &ALICE.replace("Basic", "bASIC")).status, 403);
    // Reading is another matter, and so are those who are named, and who shows nothing.
    assert_eq!(ask("GET", "/hello.txt", ALICE).status, 200);
    std::fs::create_dir(server.site.path("named")).unwrap();
    std::fs::create_dir(server.site.path("open")).unwrap();
    give(&server.site.path("named"));
    give(&server.site.path("open"));
    assert_eq!(ask("PUT", "/named/new", ALICE).status, 201);
    assert_eq!(ask("PUT", "/open/new", "X: y").status, 201);
    assert_eq!(server.connect().request("POST", "/hello.txt", &[ALICE], b"ours").status, 204);
}

#[test]
fn what_is_served_of_another_path_is_as_private_as_that() {
    let site = Site::sample();
    site.write("index.html", "for the neighbours");
    site.write("open/page.html", "page");
    site.write("open/page.html.gz", "page in gzip");
    site.settle();
    let near = "allow = \"read\"\nclients = \"127.0.0.0/8\"\n";
    let config = format!(
        "workers = 1\nprecompressed = \"gzip\"\nfallback = \"/index.html\"\n\
         [[access]]\npath = \"/\"\n{near}\
         [[access]]\npath = \"/open/\"\nallow = \"read\"\n\
         [[access]]\npath = \"/open/page.html.gz\"\n{near}"
    );
    let server = Server::with(site, &config);
    let gzip = ["Accept-Encoding: gzip"];
    // Twice: the second answer comes from the cache.
    for _ in 0..2 {
        let page = server.connect().get("/open/nothing");
        assert_eq!((page.text(), cache_control(&page)), ("for the neighbours", vec!["private"]));
        let sibling = server.connect().get_with("/open/page.html", &gzip);
        assert_eq!(sibling.field("Content-Encoding"), Some("gzip"));
        assert_eq!(cache_control(&sibling), ["private"]);
        let plain = server.connect().get("/open/page.html");
        assert_eq!((plain.text(), cache_control(&plain)), ("page", vec![]));
        let tag = format!("If-None-Match: {}", sibling.field("ETag").unwrap());
        let unchanged = server.connect().get_with("/open/page.html", &[gzip[0], &tag]);
        assert_eq!((unchanged.status, cache_control(&unchanged)), (304, vec!["private"]));
    }
}

#[test]
fn configured_cache_control_does_not_open_what_is_for_users() {
    let site = Site::sample();
    let users = users(&site);
    let config = format!(
        "workers = 1\nusers_file = {users:?}\n[[access]]\npath = \"/\"\nallow = \"read\"\n\
         [[access]]\npath = \"/folder/\"\nallow = \"read\"\nusers = \"any\"\n\
         [[fields]]\npath = \"/\"\nset = {{ \"Cache-Control\" = \"public, max-age=3600\" }}\n"
    );
    let server = Server::with(site, &config);
    let private = server.connect().get_with("/folder/inner.txt", &[ALICE]);
    assert_eq!((private.status, cache_control(&private)), (200, vec!["private", "public, max-age=3600"]));
    assert_eq!(cache_control(&server.connect().get("/hello.txt")), ["public, max-age=3600"]);
}
