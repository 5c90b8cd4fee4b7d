//! The table of requests (`tests/table/`) over sockets: each row as one piece, and in two.

use std::net::Shutdown;
use std::path::Path;

use crate::common::site::give;
use crate::common::{Server, Site};

#[path = "../table/mod.rs"]
mod requests;

use requests::Row;

/// Longer conversations are held without sockets only: what is new here is the kernel between the two.
const LIMIT_BYTES: usize = 2048;

fn converse(server: &Server, pieces: &[&[u8]], client_ends: bool) -> Vec<u8> {
    let mut client = server.connect();
    match pieces {
        [first, second] => client.send_split(&[*first, *second].concat(), first.len()),
        pieces => client.send(pieces.concat()),
    }
    if client_ends {
        client.stream().shutdown(Shutdown::Write).unwrap();
    }
    client.rest()
}

fn prepare(row: &Row, server: &Server) -> Vec<u8> {
    if row.changes_site() {
        requests::reset(&server.site.root(), &|path: &Path| give(path));
        server.site.settle();
    }
    row.bytes(|request| converse(server, &[request], false))
}

#[test]
fn the_table_holds_over_sockets() {
    let site = Site::empty();
    requests::lay_out(&site.root(), &|path: &Path| give(path));
    site.settle();
    let config = requests::config(&site.root());
    let server = Server::with(site, &config);
    let workers = server.workers();
    let mut failures = Vec::new();
    for row in requests::rows() {
        let bytes = prepare(&row, &server);
        if bytes.len() > LIMIT_BYTES {
            continue;
        }
        failures.extend(row.check(&converse(&server, &[&bytes], row.probe_bytes() == 0)).err());
        // In the middle of what is the row's own; every other position is tried without sockets.
        let bytes = prepare(&row, &server);
        let (first, second) = bytes.split_at((bytes.len() - row.probe_bytes()) / 2);
        failures.extend(row.check(&converse(&server, &[first, second], row.probe_bytes() == 0)).err());
    }
    server.assert_same_workers(&workers);
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n\n"));
}
