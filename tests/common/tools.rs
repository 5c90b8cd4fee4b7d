//! Programs that the tests call: curl, sha256sum and the like.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a program to its end and insists that it succeeds.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = attempt(program, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program to its end.
pub(crate) fn attempt(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    // Neither a proxy nor a user's own settings may stand between the test and the server.
    command.args(arguments).stdin(Stdio::null()).env("no_proxy", "*").env("NO_PROXY", "*").env_remove("CURL_HOME");
    command.output().unwrap_or_else(|error| panic!("{program} is needed (tests/run installs it): {error}"))
}

/// curl without progress, but with its errors; `--fail-with-body` so that a status of 400 and more is an error.
pub(crate) fn curl(arguments: &[&str]) -> String {
    let mut all = vec!["-q", "-sS", "--fail-with-body", "--max-time", "600"];
    all.extend_from_slice(arguments);
    run("curl", &all)
}

/// The SHA-256 of a file, in hex, by coreutils.
pub(crate) fn sha256sum(path: &Path) -> String {
    run("sha256sum", &["-b", path.to_str().unwrap()])[..64].to_owned()
}
