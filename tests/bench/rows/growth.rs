//! What becomes of the cost of a request when the work grows: more connections, more files, more workers.
#![allow(clippy::wildcard_enum_match_arm, reason = "these are three of the rows")]

use super::Run;
use super::requests::{CONNECTIONS, cost, floor_reply};
use crate::client::load::Plan;
use crate::client::{get, on_core};
use crate::figures::{Ratio, in_rounds, median};
use crate::options::Row;
use crate::report::short;
use crate::servers::{Kind, Running, Setup};
use crate::site::many_path;

/// The most connections that all ask.
const MANY_CONNECTIONS: usize = 10_000;
/// Within this ratio the project calls a cost flat.
const FLAT: std::ops::RangeInclusive<f64> = 0.90..=1.10;

/// A step of growth: what it is called, how the server runs, what is asked, on how many connections.
struct Step {
    name: String,
    setup: Setup,
    plan: Plan,
    connections: usize,
}

/// Prints the rows that are wanted.
pub(super) fn measure(run: &Run<'_>) {
    let wanted: Vec<Row> =
        [Row::Connections, Row::Files, Row::Workers].into_iter().filter(|row| run.options.wants(*row)).collect();
    if wanted.is_empty() {
        return;
    }
    println!(
        "\nServer CPU a request of 1 KiB in µs as the work grows, all on one core; flat is within 10 % of the step that \
         is marked.\nBeside it nginx (pread), and the floor, show what the machine itself adds.\n"
    );
    let [ours, theirs, floor] = [Kind::Fileserv, Kind::NginxPread, Kind::Floor].map(Kind::name);
    println!("{:<34}{ours:>10}  ratio  range{theirs:>29}  ratio{floor:>10}  ratio", "");
    for row in wanted {
        let steps = match row {
            Row::Connections => connections(run),
            Row::Files => files(run),
            _ => workers(run),
        };
        print(run, &steps);
    }
}

/// Measures all steps in turn and prints them; the second of three, or the first of two, is the measure.
fn print(run: &Run<'_>, steps: &[Step]) {
    let of = |kind: Kind| {
        let start = |step: &Step| Running::start(kind, step.setup.clone(), &run.site);
        let servers: Vec<(&Step, Running)> = steps.iter().map(|step| (step, start(step))).collect();
        in_rounds(run.options.rounds(), &servers, |(step, server)| {
            on_core(0, || cost(server, &step.plan, step.connections, run.sample()))
        })
    };
    let ours = of(Kind::Fileserv);
    let mut beside = vec![of(Kind::NginxPread)];
    if steps.iter().all(|step| !step.setup.reply.is_empty()) {
        beside.push(of(Kind::Floor));
    }
    let mark = (steps.len() - 1) / 2;
    for (index, step) in steps.iter().enumerate() {
        let mut line = format!("{:<34}{:>10}", step.name, short(median(&ours[index])));
        if index == mark {
            line += &format!("  {:<28}", "marked");
        } else {
            let ratio = Ratio::of(&ours[index], &ours[mark]);
            let verdict = if FLAT.contains(&((ratio.middle * 100.0).round() / 100.0)) { "flat" } else { "not flat" };
            let figures = format!("{ratio}  {verdict}");
            line += &format!("  {figures:<28}");
        }
        for theirs in &beside {
            let ratio = Ratio::of(&theirs[index], &theirs[mark]).middle;
            line += &format!("{:>10}  {ratio:<5.2}", short(median(&theirs[index])));
        }
        println!("{}", line.trim_end());
    }
}

fn connections(run: &Run<'_>) -> Vec<Step> {
    let step = |connections: usize| Step {
        name: format!("{connections} connections, all of them ask"),
        setup: Setup {
            connections: MANY_CONNECTIONS + CONNECTIONS,
            reply: floor_reply(Row::OneKib, &run.site),
            ..Setup::new(run.site.root())
        },
        plan: one_kib(vec![get("/1k", "")]),
        connections,
    };
    vec![step(1), step(100), step(MANY_CONNECTIONS)]
}

fn files(run: &Run<'_>) -> Vec<Step> {
    let step = |count: usize| Step {
        name: format!("{count} files at random"),
        setup: Setup::new(run.site.many_files(count)),
        plan: one_kib((0..count).map(|number| get(&many_path(number), "")).collect()),
        connections: CONNECTIONS,
    };
    vec![step(10), step(if run.options.million { 1_000_000 } else { 100_000 })]
}

fn workers(run: &Run<'_>) -> Vec<Step> {
    let step = |workers: usize| Step {
        name: format!("{workers} workers, {CONNECTIONS} connections"),
        setup: Setup { workers, ..Setup::new(run.site.root()) },
        plan: one_kib(vec![get("/1k", "")]),
        connections: CONNECTIONS,
    };
    vec![step(1), step(8)]
}

fn one_kib(requests: Vec<Vec<u8>>) -> Plan {
    Plan { requests, pipelined: 1, statuses: &[200], length: Some(1024) }
}
