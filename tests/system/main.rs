//! The Debian package, on a Debian system that boots: `run` beside this builds two packages of the program, looks through
//! them, and takes them through their life; `inside` has the steps.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its ground gives way")]

#[path = "../common/ability.rs"]
mod ability;

use std::path::Path;
use std::process::Command;

use ability::{cannot_run, is_root};

/// Set, it says that this machine can't boot a system, or that nobody wants to wait for it.
const SKIP: &str = "FILESERV_TESTS_NO_SYSTEM";

#[test]
fn debian_installs_runs_upgrades_and_purges_the_package() {
    let name = "debian_installs_runs_upgrades_and_purges_the_package";
    if std::env::var_os(SKIP).is_some() {
        return cannot_run(name, &format!("{SKIP} is set"));
    }
    if !is_root() {
        return cannot_run(name, "only root can boot a system; as root: tests/system/run");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/run");
    let output = Command::new(script).args(["--program", env!("CARGO_BIN_EXE_fileserv")]).output().unwrap();
    let said = |stream: &[u8]| String::from_utf8_lossy(stream).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{err}\n{out}\nWhere a machine can't do this, set {SKIP}=1");
}
