//! Large files: what a download costs, how fast an upload is. Server and client have a core each.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::{Run, requests};
use crate::client::load::Load;
use crate::client::{bulk, on_core};
use crate::figures::{Measured, in_rounds};
use crate::options::Row;
use crate::report::{Against, Budget, Line, Table};
use crate::servers::{Kind, Running, Setup, Uploads};
use crate::site::BIG_BYTES;

/// Downloads at a time.
const DOWNLOADS: usize = 2;
const GIB: f64 = 1_073_741_824.0;

/// Prints the rows that are wanted.
pub(super) fn measure(run: &Run<'_>) {
    if run.options.wants(Row::Download) {
        let title = format!(
            "1 GiB download: server CPU in seconds a GiB; {DOWNLOADS} at a time, one worker on one core, the client on \
             another.\nThe ratio is to nginx with sendfile."
        );
        let table = Table::open(&title, Kind::all());
        line(&table, "1 GiB download", &downloads(run), Some(Budget::AtMost(1.03)));
    }
    if run.options.wants(Row::Upload) {
        let table = Table::open(
            "Uploads as their clients see them; one worker on one core, the client on another. On disk fileserv answers \
             when\nthe file is on stable storage (its default); the others never sync. The ratio is to nginx.",
            Kind::that_store(),
        );
        line(
            &table,
            "1 GiB in memory, not synced, GiB/s",
            &uploads(run, Uploads::Unsynced),
            Some(Budget::AtLeast(1.05)),
        );
        line(&table, "1 GiB on disk, GiB/s", &uploads(run, Uploads::Durable), None);
        line(&table, "1 KiB in memory, not synced, a second", &small_uploads(run, Uploads::Unsynced), None);
        line(&table, "1 KiB on disk, a second", &small_uploads(run, Uploads::Durable), None);
    }
}

fn line(table: &Table, name: &str, measured: &[Measured], budget: Option<Budget>) {
    table.line(&Line { name, measured, against: Against::Peer(Kind::Nginx), budget, floor_budget: None });
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

/// Uploads a second of 1 KiB.
fn small_uploads(run: &Run<'_>, uploads: Uploads) -> Vec<Measured> {
    let servers = run.start(&Kind::that_store(), &Setup { uploads, ..Setup::new(run.site.root()) });
    let sample = |server: &Running| {
        let plan = requests::plan(Row::SmallPut, server, &run.site);
        let answers = on_core(1, || Load::connect(server.address, requests::CONNECTIONS, &plan).run(run.sample()));
        answers.count / answers.seconds
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
