//! Small requests beside heavy work of another kind: a durable upload, a read from a cold disk, a drawing.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::Run;
use crate::client::load::{Load, Plan};
use crate::client::{bulk, get};
use crate::figures::{Ratio, median};
use crate::options::Row;
use crate::report::Budget;
use crate::servers::{Kind, Running, Setup, Uploads};

/// Requests in every millisecond, and the connections that they take turns on.
const A_MILLISECOND: usize = 4;
const CONNECTIONS: usize = 16;
/// What goes on beside is under way when the requests begin.
const HEAD_START: Duration = Duration::from_millis(100);
const DRAWING: &str = "/perlin?width=4096&height=4096&format=png";
/// Of the worst hundredth's wait alone: the project's budget.
const BUDGET: Budget = Budget::AtMost(2.0);

/// What goes on beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Upload,
    ColdRead,
    Drawing,
}

const ALL: [(Beside, &str); 4] = [
    (Beside::Nothing, "alone"),
    (Beside::Upload, "beside a 1 GiB upload to disk"),
    (Beside::ColdRead, "beside a cold read of 1 GiB"),
    (Beside::Drawing, "beside a 4096 × 4096 drawing"),
];

/// Prints the row if it is wanted.
pub(super) fn measure(run: &Run<'_>) {
    if !run.options.wants(Row::Latency) {
        return;
    }
    let root = run.site.uploads_on_disk();
    std::fs::hard_link(run.site.need_big(), root.join("big")).expect("one file system");
    let setup = Setup { uploads: Uploads::Durable, ..Setup::free(root) };
    println!(
        "\np99 in ms of requests for 1 KiB, {A_MILLISECOND} in every millisecond on {CONNECTIONS} connections; two workers, \
         nobody pinned.\nThe ratio is to the p99 alone. fileserv syncs the upload, nginx does not.\n"
    );
    println!("{:<41}{:>9}  ratio  range     budget", "", "p99");
    for kind in [Kind::Fileserv, Kind::Nginx] {
        let server = Running::start(kind, setup.clone(), &run.site);
        let rows = ALL.iter().filter(|(beside, _)| kind == Kind::Fileserv || *beside != Beside::Drawing);
        let mut samples = vec![Vec::new(); rows.clone().count()];
        for _ in 0..run.options.rounds() {
            for ((beside, _), samples) in rows.clone().zip(&mut samples) {
                samples.push(sample(run, &server, *beside));
            }
        }
        for ((beside, name), of) in rows.zip(&samples) {
            let mut line = format!("{:<41}{:>9.3}", format!("{}, {name}", kind.name()), median(of));
            if *beside != Beside::Nothing {
                let ratio = Ratio::of(of, &samples[0]);
                line += &format!("  {ratio}");
                if kind == Kind::Fileserv {
                    line += &format!("  {}", BUDGET.verdict(ratio.middle));
                }
            }
            println!("{line}");
        }
    }
}

fn sample(run: &Run<'_>, server: &Running, beside: Beside) -> f64 {
    let plan = Plan { requests: vec![get("/1k", "")], pipelined: 1, statuses: &[200], length: Some(1024) };
    let (stop, block) = (AtomicBool::new(false), run.site.block());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            match beside {
                Beside::Nothing => return,
                // One that is stopped ends in an error, and the server removes what there was of it.
                Beside::Upload => _ = bulk::upload(server.address, "/up/big", block, (1 << 30) / block.len(), &stop),
                Beside::ColdRead => {
                    make_cold(&server.setup.root.join("big"));
                    bulk::download(server.address, "/big", &stop);
                }
                Beside::Drawing => bulk::drain(server.address, DRAWING, &stop),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        std::thread::sleep(HEAD_START);
        let p99 =
            Load::connect(server.address, CONNECTIONS, &plan).run_paced(run.long_sample(), A_MILLISECOND).p99_ms();
        stop.store(true, Ordering::Relaxed);
        p99
    })
}

/// Takes a file out of the page cache; the next who reads it waits for the disk.
fn make_cold(path: &Path) {
    let file = std::fs::File::open(path).expect("a file");
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("a hint");
}
