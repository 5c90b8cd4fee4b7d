//! Files larger than memory is meant for: five gibibytes down and up, with workers that stay small. More of them with
//! `FILESERV_BIG_GIB=20 cargo test --test suite big:: -- --nocapture`, which tells how small; the disk needs as much room.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::common::server::EVERYTHING;
use crate::common::{Server, Site, processes, site, tools};

/// So many gibibytes instead of five, and then once more with a digest.
const SIZE_VARIABLE: &str = "FILESERV_BIG_GIB";

/// Five gibibytes, or as many as the environment says.
fn size() -> u64 {
    let gibibytes = std::env::var(SIZE_VARIABLE).map_or(5, |number| number.parse().expect("a number of GiB"));
    assert!(gibibytes > 4, "{gibibytes} GiB: what goes wrong at 4 GiB would not be seen");
    gibibytes << 30
}

/// A worker's code, its buffers and its threads' stacks; a thousandth of the file would already be over it.
const WORKER_KIB: u64 = 48 * 1024;

/// A sparse file with something to tell apart at its begin, its end, and on both sides of the 2 and 4 GiB marks.
fn sparse(site: &Site, name: &str, size: u64) {
    let file = File::create(site.path(name)).unwrap();
    file.set_len(size).unwrap();
    for at in [0, (1 << 31) - 3, (1 << 32) - 3, size - 8] {
        file.write_all_at(&(at ^ 0x5bd1_e995_97f4_a7c5).to_be_bytes(), at).unwrap();
    }
    site::give(&site.path(name));
}

fn assert_small(workers: &[u32]) {
    for worker in workers {
        let highest = processes::memory_kib(*worker, "VmHWM");
        eprintln!("worker {worker}: {highest} KiB at its highest");
        assert!(highest < WORKER_KIB, "worker {worker} used {highest} KiB at its highest");
    }
}

/// A digest as `Repr-Digest` writes it, from the hex of sha256sum.
fn repr_digest(hex: &str) -> String {
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    format!("sha-256=:{}:", STANDARD.encode(bytes.collect::<Vec<u8>>()))
}

#[test]
fn five_gibibytes_go_down_and_up_with_flat_memory() {
    let size = size();
    let site = Site::big();
    sparse(&site, "five", size);
    let server = Server::with(site, &format!("workers = 2\nlimits.body_bytes = {size}\n{EVERYTHING}"));
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
    assert_eq!(tail.field("content-range"), Some(format!("bytes {}-{}/{size}", size - 8, size - 1).as_str()));
    assert_eq!(tail.body, ((size - 8) ^ 0x5bd1_e995_97f4_a7c5).to_be_bytes());

    let url = server.url("/uploaded");
    let uploaded = server.site.path("uploaded");
    let uploaded = uploaded.to_str().unwrap();
    let put = |how: &[&str]| {
        let put = ["-T", file, "-o", "/dev/null", "-w", "%{http_code}", &url];
        assert_eq!(tools::curl(&[how, &put].concat()), "201");
        assert_small(&workers);
    };
    put(&[]);
    tools::run("cmp", &[file, uploaded]);
    if std::env::var_os(SIZE_VARIABLE).is_some() {
        // So that there is never more of it than one.
        assert_eq!(server.connect().request("DELETE", "/uploaded", &[], b"").status, 204);
        // With a digest every byte is hashed as it comes; that the server took it says that it came to the same.
        put(&["-H", &format!("Repr-Digest: {}", repr_digest(&tools::sha256sum(&server.site.path("five"))))]);
        assert_eq!(std::fs::metadata(uploaded).unwrap().len(), size);
    }
    server.assert_same_workers(&workers);
}
