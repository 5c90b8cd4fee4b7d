//! What costs something without a request: connections that are kept, a start, and who gets the connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Run;
use super::requests::WARM_UP;
use crate::client::load::{Load, Plan};
use crate::client::{PATIENCE, get};
use crate::figures::{Measured, in_rounds, median};
use crate::options::Row;
use crate::report::{self, Against, Budget, Line, Table};
use crate::servers::{Kind, Running, Setup};

/// Idle connections.
const CONNECTIONS: usize = 10_000;
/// So many are opened first, so that what is allocated once does not count as theirs.
const FIRST: usize = 100;
/// Starts for each round of other rows: they are short, and vary.
const STARTS_A_ROUND: usize = 4;
/// Connections that two workers share.
const SHARED: usize = 64;
/// Before new connections come.
const SETTLING: Duration = Duration::from_millis(200);
/// The project's budgets: bytes a connection, bytes of a worker, the larger share.
const IDLE_BYTES: f64 = 250.0;
const WORKER_MIB: f64 = 1.5;
const LARGER_SHARE: f64 = 0.6;

/// Prints the rows that are wanted.
pub(super) fn measure(run: &Run<'_>) {
    if run.options.wants(Row::Idle) {
        idle(run);
    }
    if run.options.wants(Row::Start) {
        start(run);
    }
    if run.options.wants(Row::Share) {
        share(run);
    }
}

fn idle(run: &Run<'_>) {
    let setup = Setup { connections: CONNECTIONS + FIRST, core: None, ..Setup::new(run.site.root()) };
    let sample = |kind: &Kind| {
        let server = Running::start(*kind, setup.clone(), &run.site);
        drop(keep(&server, FIRST));
        let (rest, at_rest) = (server.private_bytes(), server.private_bytes_of_a_worker());
        let kept = keep(&server, CONNECTIONS);
        let grown = server.private_bytes() - rest;
        (grown / f64::from(u32::try_from(kept.len()).expect("a number")), at_rest / 1_048_576.0)
    };
    let kinds = Kind::all();
    let samples = in_rounds(run.options.rounds().min(3), &kinds, sample);
    let each = |figure: fn(&(f64, f64)) -> f64| -> Vec<Measured> {
        let of =
            |(kind, samples): (&Kind, &Vec<_>)| Measured { kind: *kind, samples: samples.iter().map(figure).collect() };
        kinds.iter().zip(&samples).map(of).collect()
    };
    let table = Table::open("Private memory, one worker; each connection has asked once and is kept.", kinds.clone());
    let (bytes, rest) = (each(|sample| sample.0), each(|sample| sample.1));
    let line = |name: &str, measured: &[Measured]| {
        table.line(&Line { name, measured, against: Against::Least, budget: None, floor_budget: None });
    };
    line("bytes each of 10,000 connections", &bytes);
    line("MiB of a worker at rest", &rest);
    report::goal("our bytes each", bytes[0].median(), Budget::AtMost(IDLE_BYTES));
    report::goal("our MiB at rest", rest[0].median(), Budget::AtMost(WORKER_MIB));
}

/// Opens connections and asks once on each.
fn keep(server: &Running, count: usize) -> Vec<TcpStream> {
    let request = get("/1k", "");
    let one = |_| {
        let mut connection = TcpStream::connect(server.address).expect("a connection");
        connection.set_read_timeout(Some(PATIENCE)).expect("a socket");
        connection.write_all(&request).expect("a request");
        let mut answer = [0; 4096];
        let length = connection.read(&mut answer).expect("an answer");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "), "{} is not well", server.kind.name());
        connection
    };
    (0..count).map(one).collect()
}

fn start(run: &Run<'_>) {
    let setup = Setup::free(run.site.root());
    let kinds = Kind::all();
    let samples = in_rounds(run.options.rounds() * STARTS_A_ROUND, &kinds, |kind| {
        Running::time_to_answer(*kind, setup.clone(), &run.site).as_secs_f64() * 1000.0
    });
    let measured: Vec<Measured> =
        kinds.iter().zip(samples).map(|(kind, samples)| Measured { kind: *kind, samples }).collect();
    let title = "From exec to the first answer; two workers, nobody pinned. The ratio is to lighttpd.";
    let table = Table::open(title, kinds);
    let (against, budget) = (Against::Peer(Kind::Lighttpd), Some(Budget::AtMost(1.0)));
    table.line(&Line { name: "ms to the first 200", measured: &measured, against, budget, floor_budget: None });
}

fn share(run: &Run<'_>) {
    println!(
        "\nOf {SHARED} kept connections that a client opens at once, the larger part that one of two workers got:\n"
    );
    let plan = Plan { requests: vec![get("/1k", "")], pipelined: 1, statuses: &[200], length: Some(1024) };
    for kind in [Kind::Fileserv, Kind::Nginx] {
        let server = Running::start(kind, Setup::free(run.site.root()), &run.site);
        let larger = |_| {
            // Those of the round before are closed, and both workers wait for new ones.
            std::thread::sleep(SETTLING);
            let before = server.sockets();
            let mut load = Load::connect(server.address, SHARED, &plan);
            load.run(WARM_UP);
            let shares: Vec<usize> =
                server.sockets().iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect();
            assert_eq!(shares.iter().sum::<usize>(), SHARED, "{}: all are kept", kind.name());
            let larger = u32::try_from(shares.into_iter().max().unwrap_or(0)).expect("a number");
            f64::from(larger) / f64::from(u32::try_from(SHARED).expect("a number"))
        };
        let samples: Vec<f64> = (0..run.options.rounds()).map(larger).collect();
        let most = samples.iter().copied().fold(0.0, f64::max);
        let budget = Budget::AtMost(LARGER_SHARE).verdict(most);
        let verdict = if kind == Kind::Fileserv { budget } else { String::new() };
        println!("{:<32}{:>9.2}  at worst {most:.2} {verdict}", kind.name(), median(&samples));
    }
}
