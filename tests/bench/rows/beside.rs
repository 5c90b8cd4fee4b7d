//! Small requests beside bulk downloads: does one who takes much make those wait who want little?

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Run;
use super::bulk::gigantic;
use crate::client::load::{Load, Plan};
use crate::client::{bulk, get, on_core};
use crate::figures::{Measured, in_rounds};
use crate::options::Row;
use crate::report::{self, Against, Budget, Line, Table};
use crate::servers::{Kind, Running, Setup};

const DOWNLOADS: usize = 8;
/// Connections that ask for 1 KiB again and again.
const SMALL: usize = 16;
/// The downloads are under way when the small requests begin.
const HEAD_START: Duration = Duration::from_millis(200);
/// The worst hundredth may wait so long, in milliseconds: the project's budget.
const P99_MS: f64 = 0.5;

struct Sample {
    requests_a_second: f64,
    p99_ms: f64,
    bulk_gib_a_second: f64,
}

/// Prints the row if it is wanted.
pub(super) fn measure(run: &Run<'_>) {
    if !run.options.wants(Row::Bulk) {
        return;
    }
    run.site.need_big();
    let servers = run.start(&Kind::all(), &Setup::new(run.site.root()));
    let samples = in_rounds(run.options.rounds(), &servers, |server| sample(run, server));
    let each = |figure: fn(&Sample) -> f64| -> Vec<Measured> {
        let of = |(server, samples): (&Running, &Vec<Sample>)| Measured {
            kind: server.kind,
            samples: samples.iter().map(figure).collect(),
        };
        servers.iter().zip(&samples).map(of).collect()
    };
    let title = format!(
        "{SMALL} connections ask for 1 KiB, each again as soon as it is answered, beside {DOWNLOADS} downloads of 1 GiB;\n\
         one worker on one core, the clients on another. The ratio is to nginx with sendfile."
    );
    let table = Table::open(&title, Kind::all());
    let line = |name: &str, measured: &[Measured], budget| {
        let against = Against::Peer(Kind::Nginx);
        table.line(&Line { name, measured, against, budget, floor_budget: None });
    };
    line("small requests a second", &each(|sample| sample.requests_a_second), Some(Budget::AtLeast(8.0)));
    let waits = each(|sample| sample.p99_ms);
    line("p99 of the small ones, ms", &waits, None);
    line("bulk, GiB/s", &each(|sample| sample.bulk_gib_a_second), Some(Budget::AtLeast(0.8)));
    report::goal("our p99, ms", waits[0].median(), Budget::AtMost(P99_MS));
}

fn sample(run: &Run<'_>, server: &Running) -> Sample {
    let plan = Plan { requests: vec![get("/1k", "")], pipelined: 1, statuses: &[200], length: Some(1024) };
    let stop = AtomicBool::new(false);
    let downloads = || {
        let mut bytes = 0;
        while !stop.load(Ordering::Relaxed) {
            bytes += bulk::download(server.address, "/big", &stop);
        }
        bytes
    };
    on_core(1, || {
        std::thread::scope(|scope| {
            let begin = Instant::now();
            let bulk: Vec<_> = (0..DOWNLOADS).map(|_| scope.spawn(downloads)).collect();
            std::thread::sleep(HEAD_START);
            let mut answers = Load::connect(server.address, SMALL, &plan).run(run.long_sample());
            stop.store(true, Ordering::Relaxed);
            let bytes: usize = bulk.into_iter().map(|one| one.join().expect("a download")).sum();
            Sample {
                requests_a_second: answers.count / answers.seconds,
                p99_ms: answers.p99_ms(),
                bulk_gib_a_second: gigantic(bytes) / gigantic(1 << 30) / begin.elapsed().as_secs_f64(),
            }
        })
    })
}
