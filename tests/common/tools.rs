//! Programs that the tests call: curl, sha256sum and the like.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a program to its end and insists that it succeeds.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    succeed(command(program).args(arguments))
}

/// Runs a program to its end.
pub(crate) fn attempt(program: &str, arguments: &[&str]) -> Output {
    output(command(program).args(arguments))
}

/// A program that hears nothing on its standard input. Neither a proxy nor a user's own settings stand between it and
/// the server.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env("no_proxy", "*").env("NO_PROXY", "*").env_remove("CURL_HOME");
    // Not every program knows the `*`.
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command to its end and insists that it succeeds.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = output(command);
    let said = |stream: &[u8]| String::from_utf8_lossy(stream).into_owned();
    // Some programs tell on their standard output what went wrong.
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        said(&output.stderr),
        said(&output.stdout)
    );
    said(&output.stdout)
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!("{} is needed (tests/run installs it): {error}", command.get_program().to_string_lossy())
    })
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
