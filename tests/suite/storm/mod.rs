//! Full traffic while generations, binaries, logs and workers change: nobody may notice, but who was in flight on a worker
//! that was killed. The full count of changes (100 reloads, 20 upgrades, 50 rotations, 100 kills) is made with
//! FILESERV_TESTS_FULL=1, a small one without.

mod changes;
mod kills;
mod load;

use crate::common::server::EVERYTHING;
use crate::common::told::pid_file_line;
use crate::common::{Server, Site};

fn full() -> bool {
    std::env::var_os("FILESERV_TESTS_FULL").is_some()
}

fn start(workers: usize, more: &str) -> Server {
    let site = Site::sample();
    let log = format!("[log]\naccess = {:?}\n", site.beside("log/access.log"));
    let config = format!("workers = {workers}\n{more}{}{EVERYTHING}{log}", pid_file_line(&site));
    Server::with(site, &config)
}
