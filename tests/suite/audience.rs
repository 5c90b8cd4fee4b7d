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
