//! Files larger than memory is meant for: five gibibytes down and up, with workers that stay small.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use crate::common::server::EVERYTHING;
use crate::common::{Server, Site, processes, site, tools};

const SIZE: u64 = 5 * 1024 * 1024 * 1024;
/// A worker's code, its buffers and its threads' stacks; a thousandth of the file would already be over it.
const WORKER_KIB: u64 = 48 * 1024;

/// A sparse file with something to tell apart at its begin, its end, and on both sides of the 2 and 4 GiB marks.
fn sparse(site: &Site, name: &str) {
    let file = File::create(site.path(name)).unwrap();
    file.set_len(SIZE).unwrap();
    for at in [0, (1 << 31) - 3, (1 << 32) - 3, SIZE - 8] {
        file.write_all_at(&(at ^ 0x5bd1_e995_97f4_a7c5).to_be_bytes(), at).unwrap();
    }
    site::give(&site.path(name));
}

fn assert_small(workers: &[u32]) {
    for worker in workers {
        let highest = processes::memory_kib(*worker, "VmHWM");
        assert!(highest < WORKER_KIB, "worker {worker} used {highest} KiB at its highest");
    }
}

#[test]
fn five_gibibytes_go_down_and_up_with_flat_memory() {
    let site = Site::big();
    sparse(&site, "five");
    let server = Server::with(site, &format!("workers = 2\nlimits.body_bytes = {SIZE}\n{EVERYTHING}"));
    let workers = server.workers();
    // Compared and not hashed: that takes a fraction of the time, and would name the first byte that differs.
    let file = server.site.path("five");
    let file = file.to_str().unwrap();

    let mut curl = Command::new("curl");
    curl.args(["-q", "-sS", "--fail", "--noproxy", "*", &server.url("/five")]).stdout(Stdio::piped());
    let mut curl = curl.spawn().unwrap();
    let mut compare = Command::new("cmp");
    compare.args([file, "-"]).stdin(curl.stdout.take().unwrap());
    tools::succeed(&mut compare);
    assert!(curl.wait().unwrap().success());
    assert_small(&workers);

    let tail = server.connect().get_with("/five", &["Range: bytes=-8"]);
    assert_eq!(tail.field("content-range"), Some(format!("bytes {}-{}/{SIZE}", SIZE - 8, SIZE - 1).as_str()));
    assert_eq!(tail.body, ((SIZE - 8) ^ 0x5bd1_e995_97f4_a7c5).to_be_bytes());

    let url = server.url("/uploaded");
    let status = tools::curl(&["-T", file, "-o", "/dev/null", "-w", "%{http_code}", &url]);
    assert_eq!(status, "201");
    assert_small(&workers);
    tools::run("cmp", &[file, server.site.path("uploaded").to_str().unwrap()]);
    server.assert_same_workers(&workers);
}
