//! What a request costs: the server's time on the processor, of all its processes, divided by the answers.
//! Server and client share one core: what a request costs then does not depend on which two cores the machine gave
//! us, nor on how often one wakes the other up.
#![allow(clippy::wildcard_enum_match_arm, reason = "a row that says nothing else asks for 1 KiB")]

use std::time::Duration;

use super::Run;
use crate::client::load::{Load, Plan};
use crate::client::{ask, get, on_core};
use crate::figures::{Measured, in_rounds};
use crate::options::Row;
use crate::report::{Against, Budget, Line, Table};
use crate::servers::{Kind, Running, Setup, Uploads};
use crate::site::{RANDOM_BYTES, RANDOM_FILES, Site};

/// Connections that ask.
pub(super) const CONNECTIONS: usize = 64;
/// Requests in one piece, in the row that sends several.
const PIPELINED: usize = 16;
/// Names that small uploads replace again and again.
const UPLOAD_NAMES: usize = 1000;
/// Before a sample its connections are opened and the caches are warm.
pub(super) const WARM_UP: Duration = Duration::from_millis(100);

/// A row with its name, and the project's budget: of the best peer, of the floor.
const ROWS: &[(Row, &str, f64, Option<f64>)] = &[
    (Row::OneKib, "1 KiB", 0.72, Some(1.20)),
    (Row::TenKib, "10 KiB", 0.75, Some(1.20)),
    (Row::HundredKib, "100 KiB", 0.95, Some(1.10)),
    (Row::NotFound, "404", 0.80, Some(1.20)),
    (Row::NotModified, "304", 0.78, Some(1.20)),
    (Row::Range, "206, 1 KiB out of 1 GiB", 0.70, Some(1.25)),
    (Row::Pipelined, "1 KiB, 16 pipelined", 0.15, Some(2.0)),
    (Row::RandomFiles, "10,000 files of 4 KiB at random", 0.55, Some(1.6)),
    (Row::Close, "1 KiB, a connection a request", 0.95, Some(1.15)),
    (Row::Log, "1 KiB, everybody's access log on", 0.65, None),
    (Row::SmallPut, "PUT 1 KiB in memory, not synced", 0.78, Some(1.25)),
];

/// Prints the rows that are wanted.
pub(super) fn measure(run: &Run<'_>) {
    let wanted: Vec<_> = ROWS.iter().filter(|(row, ..)| run.options.wants(*row)).collect();
    if wanted.is_empty() {
        return;
    }
    let title = format!(
        "Server CPU a request in µs, of all its processes; one worker, {CONNECTIONS} kept connections, one client; all on \
         one core.\nThe best peer is the cheapest. The floor reads no request and answers always the same: epoll and \
         TCP alone."
    );
    let table = Table::open(&title, [Kind::all(), vec![Kind::Floor]].concat());
    for (row, name, of_peer, of_floor) in wanted {
        let measured = measure_row(run, *row);
        let (budget, floor_budget) = (Some(Budget::AtMost(*of_peer)), of_floor.map(Budget::AtMost));
        table.line(&Line { name, measured: &measured, against: Against::Least, budget, floor_budget });
    }
}

fn measure_row(run: &Run<'_>, row: Row) -> Vec<Measured> {
    match row {
        Row::Range => _ = run.site.need_big(),
        Row::RandomFiles => run.site.need_random_files(),
        _ => {}
    }
    let mut setup = Setup { access_log: row == Row::Log, ..Setup::new(run.site.root()) };
    let mut kinds = Kind::all();
    if row == Row::SmallPut {
        kinds = Kind::that_store();
        setup.uploads = Uploads::Unsynced;
    }
    if row != Row::Log {
        setup.reply = floor_reply(row, &run.site);
        kinds.push(Kind::Floor);
    }
    let servers = run.start(&kinds, &setup);
    let plans: Vec<(&Running, Plan)> = servers.iter().map(|server| (server, plan(row, server, &run.site))).collect();
    // Once without counting: pages, names and caches are warm then, as they are where somebody asks so often.
    in_rounds(1, &plans, |(server, plan)| on_core(0, || cost(server, plan, CONNECTIONS, run.sample())));
    let samples = in_rounds(run.options.rounds(), &plans, |(server, plan)| {
        on_core(0, || cost(server, plan, CONNECTIONS, run.sample()))
    });
    servers.iter().zip(samples).map(|(server, samples)| Measured { kind: server.kind, samples }).collect()
}

/// Server CPU a request in µs.
pub(super) fn cost(server: &Running, plan: &Plan, connections: usize, time: Duration) -> f64 {
    let mut load = Load::connect(server.address, connections, plan);
    load.run(WARM_UP);
    let before = server.cpu_seconds();
    let answers = load.run(time);
    (server.cpu_seconds() - before) * 1e6 / answers.count
}

/// What is sent in this row; the server shows first that it answers rightly.
pub(super) fn plan(row: Row, server: &Running, site: &Site) -> Plan {
    let (requests, statuses, length): (Vec<Vec<u8>>, &[u16], _) = match row {
        Row::TenKib => (vec![get("/10k", "")], &[200], Some(10 << 10)),
        Row::HundredKib => (vec![get("/100k", "")], &[200], Some(100 << 10)),
        Row::NotFound => (vec![get("/nothing", "")], &[404], None),
        Row::NotModified => (vec![get("/1k", &format!("If-None-Match: {}\r\n", etag(server)))], &[304], Some(0)),
        Row::Range => (vec![get("/big", "Range: bytes=1048576-1049599\r\n")], &[206], Some(1024)),
        Row::Pipelined => (vec![get("/1k", "").repeat(PIPELINED)], &[200], Some(1024)),
        Row::RandomFiles => {
            let path = |number| get(&format!("/d/{number:05}"), "");
            ((0..RANDOM_FILES).map(path).collect(), &[200], Some(RANDOM_BYTES))
        }
        Row::Close => (vec![get("/1k", "Connection: close\r\n")], &[200], Some(1024)),
        Row::SmallPut => ((0..UPLOAD_NAMES).map(|number| put(number, site)).collect(), &[200, 201, 204], None),
        _ => (vec![get("/1k", "")], &[200], Some(1024)),
    };
    let pipelined = if row == Row::Pipelined { PIPELINED } else { 1 };
    if server.kind != Kind::Floor {
        check(row, server, &requests[0], statuses, length, site);
    }
    Plan { requests, pipelined, statuses, length }
}

fn put(number: usize, site: &Site) -> Vec<u8> {
    let head = format!("PUT /up/{number:03} HTTP/1.1\r\nHost: bench\r\nContent-Length: 1024\r\n\r\n");
    [head.as_bytes(), site.beginning(1024)].concat()
}

fn etag(server: &Running) -> String {
    // The floor has none, and answers whatever the tag is.
    ask(server.address, &get("/1k", "")).ok().and_then(|answer| answer.etag).unwrap_or_else(|| "\"floor\"".to_owned())
}

/// No speed before the right bytes.
fn check(row: Row, server: &Running, request: &[u8], statuses: &[u16], length: Option<usize>, site: &Site) {
    let answer = ask(server.address, request).expect("an answer");
    let who = server.kind.name();
    assert!(statuses.contains(&answer.status), "{who} answers {}, not {statuses:?}, in {row:?}", answer.status);
    if let Some(length) = length {
        assert!(answer.body == site.beginning(length), "{who} answers other bytes than the file has, in {row:?}");
    }
    if row == Row::SmallPut {
        let stored = std::fs::read(server.setup.root.join("up/000")).expect("what was uploaded");
        assert!(stored == site.beginning(1024), "{who} has stored other bytes than were sent");
    }
}

/// An answer as short as the row allows.
pub(super) fn floor_reply(row: Row, site: &Site) -> Vec<u8> {
    let (status, fields, length) = match row {
        Row::TenKib => ("200 OK", "", 10 << 10),
        Row::HundredKib => ("200 OK", "", 100 << 10),
        Row::NotFound => ("404 Not Found", "", 0),
        Row::NotModified => ("304 Not Modified", "", 0),
        Row::Range => ("206 Partial Content", "Content-Range: bytes 1048576-1049599/1073741824\r\n", 1024),
        Row::RandomFiles => ("200 OK", "", RANDOM_BYTES),
        Row::Close => ("200 OK", "Connection: close\r\n", 1024),
        Row::SmallPut => ("201 Created", "", 0),
        _ => ("200 OK", "", 1024),
    };
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), site.beginning(length)].concat()
}
