//! What a test may need and a machine may lack; what is not there is said, past the capture of the test runner.

use std::io::Write;

/// Says plainly that a test could not run, and lets `tests/run` count it.
pub(crate) fn cannot_run(test: &str, why: &str) {
    let line = format!("COULD NOT RUN {test}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("FILESERV_TESTS_NOT_RUN") {
        let mut list =
            std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the list can be written");
        list.write_all(line.as_bytes()).expect("the list can be written");
    }
}

/// Is this the superuser, with the rights of one?
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
