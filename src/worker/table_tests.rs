//! The table of requests (`tests/table/`) through the state machine, without sockets: whole, split at every position,
//! and byte by byte.

use std::path::Path;

use super::desk::Desk;
use super::tests::{converse, desk_of};
use crate::config::{self, Options, Source};

#[path = "../../tests/table/mod.rs"]
mod table;

use table::Row;

const FEWEST_ROWS: usize = 300;

/// A site, and the desk of a worker that serves it.
fn serve() -> (tempfile::TempDir, Desk) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    table::lay_out(&root, &|_| ());
    let file = folder.path().join("fileserv.toml");
    std::fs::write(&file, format!("root = {root:?}\n{}", table::config(&root))).unwrap();
    let source = Source::file("the table's".to_owned(), file, Options::default(), Vec::new());
    let config = config::load(&source).unwrap();
    let desk = desk_of(config);
    (folder, desk)
}

/// The bytes of a row, with the site as it must be before them.
fn prepare(row: &Row, root: &Path, desk: &mut Desk) -> Vec<u8> {
    if row.changes_site() {
        table::reset(root, &|_| ());
    }
    row.bytes(|request| converse(desk, &[request], usize::MAX))
}

#[test]
fn the_table_holds_for_requests_that_come_whole() {
    let (folder, mut desk) = serve();
    let root = folder.path().join("root");
    let rows = table::rows();
    assert!(rows.len() >= FEWEST_ROWS, "{} rows", rows.len());
    let check = |row: &Row| {
        let bytes = prepare(row, &root, &mut desk);
        row.check(&converse(&mut desk, &[&bytes], usize::MAX)).err()
    };
    let failures: Vec<String> = rows.iter().filter_map(check).collect();
    assert!(failures.is_empty(), "{} rows fail:\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn the_table_holds_for_requests_in_any_pieces() {
    let (folder, mut desk) = serve();
    let root = folder.path().join("root");
    for row in table::rows() {
        let mut bytes = prepare(&row, &root, &mut desk);
        for split in 1..=bytes.len() - row.probe_bytes() {
            if row.changes_site() {
                bytes = prepare(&row, &root, &mut desk);
            }
            let (first, second) = bytes.split_at(split);
            let replied = converse(&mut desk, &[first, second], usize::MAX);
            row.check(&replied).unwrap_or_else(|why| panic!("split at {split}: {why}"));
        }
        let bytes = prepare(&row, &root, &mut desk);
        let drops: Vec<&[u8]> = bytes.chunks(1).collect();
        row.check(&converse(&mut desk, &drops, 1)).unwrap_or_else(|why| panic!("byte by byte: {why}"));
    }
}
