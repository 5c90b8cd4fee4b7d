//! The project's benchmark: fileserv beside nginx, in one run, on one core. Run it through `tests/bench/run`.
//! Figures are server CPU a request as a ratio, and bytes an idle connection. Nothing here passes or fails by time.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints its figures, and ends where it can't measure"
)]

mod idle;
mod load;
mod servers;

use servers::{Kind, Running, Site};

/// Rounds of each scenario; the median counts. Servers take turns within a round, so that a slow moment hits both.
const ROUNDS: usize = 5;

fn main() {
    // `cargo bench` and `cargo test --benches` pass options of their own; a plain test run has no business here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let site = Site::make();
    println!("{}", settings());
    println!("\nServer CPU a request on one core shared with the client (median of {ROUNDS} rounds):\n");
    println!("{:<34} {:>12} {:>12} {:>8}", "scenario", "fileserv µs", "nginx µs", "ratio");
    for scenario in load::SCENARIOS {
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (kind, costs) in [Kind::Fileserv, Kind::Nginx].into_iter().zip(&mut costs) {
                let server = Running::start(kind, &site);
                costs.push(load::cpu_microseconds_a_request(&server, scenario));
            }
        }
        let [ours, theirs] = costs.map(median);
        println!("{:<34} {ours:>12.2} {theirs:>12.2} {:>8.2}", scenario.name, ours / theirs);
    }
    println!("\nPrivate memory of all workers a connection that is kept open and idle:\n");
    for kind in [Kind::Fileserv, Kind::Nginx] {
        let server = Running::start(kind, &site);
        let idle = idle::measure(&server);
        println!(
            "{:<10} {:>6} connections  {:>8.0} bytes each  {:>8} KiB for all workers at rest",
            kind.name(),
            idle.connections,
            idle.bytes_each,
            idle.rest_kib
        );
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// What a reader must know to repeat it.
fn settings() -> String {
    let first_line = |program: &str, argument: &str| {
        let output = std::process::Command::new(program).arg(argument).output().expect("the program runs");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
    };
    format!(
        "fileserv {}, sealed, default limits and deadlines, cache compared with the file at each use\n{}, {}\n{}\n\
         both: 2 workers, access log off, kept connections unless said otherwise",
        env!("CARGO_PKG_VERSION"),
        first_line("nginx", "-v"),
        "sendfile, tcp_nopush and open_file_cache on",
        first_line("uname", "-srm"),
    )
}
