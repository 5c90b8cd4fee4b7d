//! The counters of `/stats`.

use crate::common::{Server, until};

#[test]
fn every_request_is_counted_once() {
    let server = Server::start();
    let count = || server.stats()["requests"].as_u64().unwrap();
    let before = count();
    let mut client = server.connect();
    for _ in 0..40 {
        client.get("/hello.txt");
        client.get("/nothing");
    }
    // A worker publishes what it has counted when it has answered, and each asking is seen by the next.
    let mut asked = 0;
    until("all are counted, and none twice", || {
        asked += 1;
        let counted = count() - before;
        assert!(counted <= 80 + asked, "{counted} requests counted after {asked} askings");
        counted == 80 + asked
    });
}

#[test]
fn workers_are_shown_one_by_one() {
    let server = Server::start();
    let stats = server.stats();
    let mut pids: Vec<u32> =
        stats["workers"].as_array().unwrap().iter().map(|w| w["pid"].as_u64().unwrap().try_into().unwrap()).collect();
    pids.sort_unstable();
    assert_eq!(pids, server.workers());
}

#[test]
fn page_document_and_wrong_format() {
    let server = Server::start();
    let mut client = server.connect();
    let page = client.get_with("/stats", &["Accept: text/html"]);
    assert!(page.status == 200 && page.field("content-type").unwrap().starts_with("text/html"));
    let json = client.get_with("/stats", &["Accept: application/json"]);
    assert!(json.status == 200 && json.field("content-type").unwrap().starts_with("application/json"));
    assert_eq!(json.field("cache-control"), Some("no-store"));
    assert_eq!(client.get("/stats?format=yaml").status, 400);
}
