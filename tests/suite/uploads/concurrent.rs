//! Many clients change one file at the same time: no update is lost, and a name is made once.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::assert_no_temporaries;
use crate::common::client::Reply;
use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site};

const CLIENTS: usize = 8;
const UPDATES: usize = 10_000;
const NAMES: usize = 1_000;

/// What is synced is committed by helper threads; what is not, in memory, by the event loops; and on a disk by helper
/// threads that make its file under the lock.
fn servers() -> [Server; 3] {
    [(Site::in_memory(), "full"), (Site::in_memory(), "none"), (Site::big(), "none")].map(|(site, durability)| {
        site.write("counter", "0");
        let limits = "workers = 4\nlimits.requests_per_connection = 1_000_000";
        Server::with(site, &format!("{limits}\nuploads.durability = \"{durability}\"\n{EVERYTHING}"))
    })
}

/// The strong tag of an answer.
fn tag(reply: &Reply) -> String {
    let tag = reply.field("etag").unwrap_or_else(|| panic!("{reply:?}"));
    assert!(tag.starts_with('"'), "a tag is strong from the first moment: {reply:?}");
    tag.to_owned()
}

/// Adds one to the counter, as often as others don't come before, and `claims` one more update each time.
fn count(client: &mut Client, claimed: &AtomicUsize) {
    while claimed.fetch_add(1, SeqCst) < UPDATES {
        loop {
            let current = client.get("/counter");
            let number: usize = current.text().parse().unwrap();
            let condition = format!("If-Match: {}", current.field("etag").unwrap());
            let reply = client.request("PUT", "/counter", &[&condition], (number + 1).to_string().as_bytes());
            match reply.status {
                204 => {
                    tag(&reply);
                    break;
                }
                412 => assert_ne!(tag(&reply), current.field("etag").unwrap(), "another one has come before"),
                _ => panic!("{reply:?}"),
            }
        }
    }
}

#[test]
fn no_update_with_a_precondition_is_lost() {
    servers().iter().for_each(count_with_many);
}

fn count_with_many(server: &Server) {
    // What was not uploaded has a weak tag for some milliseconds, which no If-Match takes.
    server.connect().request("PUT", "/counter", &[], b"0");
    let claimed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let mut client = server.connect();
            let claimed = &claimed;
            scope.spawn(move || count(&mut client, claimed));
        }
    });
    assert_eq!(String::from_utf8(server.site.read("counter")).unwrap(), UPDATES.to_string());
    assert_no_temporaries(server);
}

#[test]
fn each_name_is_created_once() {
    servers().iter().for_each(create_with_many);
}

fn create_with_many(server: &Server) {
    let created = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = server.connect();
            let created = &created;
            scope.spawn(move || {
                for name in 0..NAMES {
                    let body = format!("{number}");
                    let reply = client.request("PUT", &format!("/n{name}"), &["If-None-Match: *"], body.as_bytes());
                    match reply.status {
                        201 => drop(created.fetch_add(1, SeqCst)),
                        412 => {}
                        _ => panic!("{reply:?}"),
                    }
                    tag(&reply);
                }
            });
        }
    });
    assert_eq!(created.load(SeqCst), NAMES);
    for name in 0..NAMES {
        assert_eq!(server.site.read(&format!("n{name}")).len(), 1);
    }
    assert_no_temporaries(server);
}
