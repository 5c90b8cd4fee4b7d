//! Listings of folders.

use std::os::unix::fs::symlink;

use crate::common::{Server, Site};

const LISTED: &str = "[[access]]\npath = \"/\"\nallow = [\"list\", \"read\"]\n";

/// The names that a JSON listing shows, in its order.
fn names(reply: &[u8]) -> Vec<String> {
    let listing: serde_json::Value = serde_json::from_slice(reply).unwrap();
    let entries = listing.as_array().unwrap_or_else(|| panic!("an array: {listing}"));
    entries.iter().map(|entry| entry["name"].as_str().unwrap().trim_end_matches('/').to_owned()).collect()
}

#[test]
fn folders_come_first_and_hidden_names_never() {
    let site = Site::empty();
    for name in ["b.txt", "a.txt", ".secret", ".fileserv-0123456789abcdef0123456789abcdef.new", "zoo/x", "yak/x"] {
        site.write(name, "x");
    }
    symlink("/etc/passwd", site.path("outside")).unwrap();
    let server = Server::with(site, LISTED);
    let reply = server.connect().get_with("/", &["Accept: application/json"]);
    assert_eq!(reply.status, 200);
    assert!(reply.field("content-type").unwrap().starts_with("application/json"));
    assert_eq!(names(&reply.body), ["yak", "zoo", "a.txt", "b.txt"], "{}", reply.text());
    assert!(reply.field("vary").unwrap().to_ascii_lowercase().contains("accept"));
}

#[test]
fn page_escapes_names_and_its_links_lead_there() {
    let site = Site::empty();
    let odd = "a<script>&\"'%20 ü?#\n.txt";
    site.write(odd, "odd\n");
    let server = Server::with(site, LISTED);
    let mut client = server.connect();
    let page = client.get_with("/", &["Accept: text/html"]);
    assert!(page.field("content-type").unwrap().starts_with("text/html"));
    let html = page.text();
    assert!(!html.contains("<script"), "{html}");
    let links: Vec<&str> = html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let link = links.iter().find(|link| link.contains("script")).unwrap_or_else(|| panic!("a link: {html}"));
    let target = if link.starts_with('/') { (*link).to_owned() } else { format!("/{}", link.trim_start_matches("./")) };
    assert_eq!(client.get(&target).text(), "odd\n", "{target}");
}

#[test]
fn many_entries_are_all_there() {
    let site = Site::empty();
    for number in 0..3000 {
        std::fs::write(site.path(&format!("file-{number:05}")), "").unwrap();
    }
    let server = Server::with(site, LISTED);
    let reply = server.connect().get_with("/", &["Accept: application/json"]);
    let expected: Vec<String> = (0..3000).map(|number| format!("file-{number:05}")).collect();
    assert_eq!(names(&reply.body), expected);
}

#[test]
fn folder_is_not_listed_where_that_is_not_allowed() {
    let site = Site::sample();
    let config =
        "[[access]]\npath = \"/\"\nallow = [\"read\"]\n[[access]]\npath = \"/folder/deeper/\"\nallow = [\"list\"]\n";
    let server = Server::with(site, config);
    let mut client = server.connect();
    assert_eq!(client.get("/folder/").status, 403);
    assert_eq!(client.get("/folder/inner.txt").status, 200);
    assert_eq!(client.get("/folder/deeper/").status, 200);
    assert_eq!(client.get("/folder/deeper/leaf.txt").status, 403, "the longest path decides");
}
