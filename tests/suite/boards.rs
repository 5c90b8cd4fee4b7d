//! A worker that writes rubbish all over its board: nobody else is harmed, and the supervisor is not led astray.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::common::server::EVERYTHING;
use crate::common::told::pid_file_line;
use crate::common::{Server, Site, cannot_run, is_root, processes, until};

/// Where a worker can write its board.
fn board_of(worker: u32) -> (u64, u64) {
    let maps = fs::read_to_string(format!("/proc/{worker}/maps")).unwrap();
    let line = maps.lines().find(|line| line.contains("memfd:board") && line.contains(" rw-s ")).expect("a board");
    let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
    (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap())
}

#[test]
fn rubbish_on_a_board_leads_nobody_astray() {
    if !is_root() {
        return cannot_run("rubbish_on_a_board_leads_nobody_astray", "only root can write into a worker");
    }
    let site = Site::sample();
    let pid_file = pid_file_line(&site);
    let limits = "timeouts.hang = \"3s\"\nlimits.requests_per_worker = 1000000\nlimits.worker_memory = \"1 GiB\"\n";
    let server = Server::with(site, &format!("workers = 2\n{pid_file}{limits}{EVERYTHING}"));
    let (supervisor, other) = (server.supervisor(), server.workers()[1]);
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..50 {
        // It may have been replaced meanwhile, for it says that it has served enough: then its successor does the same.
        let Some(worker) = server.workers().into_iter().find(|worker| *worker != other) else { continue };
        let Ok(memory) = OpenOptions::new().write(true).open(format!("/proc/{worker}/mem")) else { continue };
        let (from, to) = board_of(worker);
        let fill = |byte: u64| (0..(to - from) / 8).map(|_| byte).collect::<Vec<u64>>();
        let words = match round % 3 {
            0 => fill(u64::MAX),
            1 => fill(0),
            _ => (0..(to - from) / 8).map(|_| random()).collect(),
        };
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        let _ = memory.write_all_at(&bytes, from);
        assert_eq!(server.connect().get("/hello.txt").status, 200);
        assert_eq!(server.connect().get("/stats").status, 200);
        server.stats();
    }
    // It was believed in nothing but its own replacement, and the next look is at an honest board.
    let beat = |stats: &serde_json::Value| {
        let workers = stats["workers"].as_array().unwrap();
        let honest = workers.iter().find(|it| it["pid"].as_u64() == Some(other.into())).unwrap();
        honest["heartbeat_unix_ms"].as_u64().unwrap()
    };
    let now = beat(&server.stats());
    until("the supervisor has looked at it several times", || beat(&server.stats()) > now + 4000);
    assert_eq!(server.supervisor(), supervisor);
    assert!(processes::lives(supervisor) && server.workers().contains(&other), "{}", server.said());
    assert_eq!(server.stats()["hung"], 0);
    server.obeys("reload");
    until("the old ones have left", || server.workers().len() == 2);
    assert!(!server.workers().contains(&other));
    assert_eq!(server.connect().get("/hello.txt").status, 200);
}
