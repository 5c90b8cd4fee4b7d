//! Large files: what a download costs, how fast an upload is. Server and client have a core each.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::Run;
use crate::client::{bulk, on_core};
use crate::figures::{Measured, in_rounds};
use crate::options::Row;
use crate::report::{self, Against, Budget, Line};
use crate::servers::{Kind, Running, Setup, Uploads};
use crate::site::BIG_BYTES;

/// Downloads at a time.
const DOWNLOADS: usize = 2;
const GIB: f64 = 1_073_741_824.0;

/// Prints the rows that are wanted.
pub(super) fn measure(run: &Run<'_>) {
    if run.options.wants(Row::Download) {
        report::open(&format!(
            "1 GiB download: server CPU in seconds a GiB; {DOWNLOADS} at a time, one worker on one core, the client on \
             another.\nWe compare with nginx as it sends files best."
        ));
        let measured = downloads(run);
        let (against, budget) = (Against::Peer(Kind::Nginx), Some(Budget::AtMost(1.03)));
        Line { name: "1 GiB download", measured: &measured, against, budget, floor_budget: None }.print();
    }
    if run.options.wants(Row::Upload) {
        report::open("1 GiB upload: GiB/s as its client sees it; one worker on one core, the client on another.");
        let measured = uploads(run, Uploads::Unsynced);
        let (against, budget) = (Against::Peer(Kind::Nginx), Some(Budget::AtLeast(1.05)));
        Line { name: "in memory, not synced", measured: &measured, against, budget, floor_budget: None }.print();
        let measured = uploads(run, Uploads::Durable);
        let name = "on disk, ours synced (default)";
        Line { name, measured: &measured, against, budget: None, floor_budget: None }.print();
    }
}

fn downloads(run: &Run<'_>) -> Vec<Measured> {
    run.site.need_big();
    let servers = run.start(&Kind::all(), &Setup::new(run.site.root()));
    let sample = |server: &Running| {
        let before = server.cpu_seconds();
        let bytes = on_core(1, || {
            let one = || bulk::download(server.address, "/big", &AtomicBool::new(false));
            std::thread::scope(|scope| {
                let all: Vec<_> = (0..DOWNLOADS).map(|_| scope.spawn(one)).collect();
                all.into_iter().map(|one| one.join().expect("a whole download")).sum::<usize>()
            })
        });
        assert_eq!(bytes, DOWNLOADS * BIG_BYTES, "{}: whole downloads", server.kind.name());
        (server.cpu_seconds() - before) * GIB / gigantic(bytes)
    };
    let samples = in_rounds(run.options.rounds(), &servers, sample);
    servers.iter().zip(samples).map(|(server, samples)| Measured { kind: server.kind, samples }).collect()
}

fn uploads(run: &Run<'_>, uploads: Uploads) -> Vec<Measured> {
    let servers = run.start(&Kind::that_store(), &Setup { uploads, ..Setup::new(run.site.root()) });
    let block = run.site.block();
    let sample = |server: &Running| {
        let begin = Instant::now();
        let times = BIG_BYTES / block.len();
        let upload = || bulk::upload(server.address, "/up/big", block, times, &AtomicBool::new(false));
        let status = on_core(1, upload).expect("an answer");
        let seconds = begin.elapsed().as_secs_f64();
        assert!([200, 201, 204].contains(&status), "{} answers {status} to an upload", server.kind.name());
        take_away(&server.setup.root.join("up/big"), block);
        gigantic(BIG_BYTES) / GIB / seconds
    };
    let samples = in_rounds(run.options.rounds(), &servers, sample);
    servers.iter().zip(samples).map(|(server, samples)| Measured { kind: server.kind, samples }).collect()
}

/// Looks whether it is what was sent, and removes it.
fn take_away(path: &Path, block: &[u8]) {
    use std::io::Read;
    let mut file = std::fs::File::open(path).expect("what was uploaded");
    let mut piece = vec![0; block.len()];
    for _ in 0..BIG_BYTES / block.len() {
        file.read_exact(&mut piece).expect("all of it");
        assert!(piece == block, "other bytes than were sent");
    }
    std::fs::remove_file(path).expect("its own folder");
}

/// Bytes as a figure.
pub(super) fn gigantic(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes >> 10).expect("less than 4 TiB")) * 1024.0
}
