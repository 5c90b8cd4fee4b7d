//! The project's benchmark: fileserv beside nginx, h2o and lighttpd, in one run. Run it through `tests/bench/run`.
//! It prints figures, ratios and the project's own budget for them. Nothing here passes or fails by time.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints its figures, and ends where it can't measure"
)]

mod client;
mod figures;
mod machine;
mod options;
mod report;
mod rows;
mod servers;
mod site;

use clap::Parser;

use options::Options;

fn main() {
    // `cargo test --benches` starts it as well, without the word that `cargo bench` adds: that is no business of its.
    if !std::env::args().any(|argument| argument == "--bench" || argument == "--floor") {
        return;
    }
    let options = Options::parse();
    if let (Some(address), Some(reply)) = (options.floor, &options.floor_reply) {
        return servers::floor::serve(address, reply);
    }
    let begin = std::time::Instant::now();
    println!("{}", machine::described(&options));
    rows::measure(&options);
    println!("\n{:.0} s", begin.elapsed().as_secs_f64());
}
