//! The command `fileserv`: reads the command line and hands over to the supervisor.

use std::io::Write;
use std::process::ExitCode;

use fileserv::auth;
use fileserv::cli::{self, EXIT_FAILURE, EXIT_OK, EXIT_USAGE, Invocation};
use fileserv::supervisor;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Invocation::Serve(source)) => supervisor::start(source),
        Ok(Invocation::Test(source)) => end(supervisor::test(&source).map(|lines| lines.join("\n"))),
        Ok(Invocation::HashPassword(name)) => end(auth::hash_password(&name, auth::read_password)),
        Ok(Invocation::MakeToken(name)) => end(auth::make_token(&name)),
        Ok(Invocation::Signal(wish, source)) => {
            end(supervisor::ask(wish, &source).map_err(|error| format!("fileserv: {error}")))
        }
        Ok(Invocation::CheckSandbox(source)) => match supervisor::check_sandbox(&source) {
            Ok(report) => print(&report.to_string(), if report.holds() { EXIT_OK } else { EXIT_FAILURE }),
            Err(error) => complain(&format!("fileserv: {error}"), EXIT_FAILURE),
        },
        Ok(Invocation::Print(text)) => print(&text, EXIT_OK),
        Err(error) => complain(&error.to_string(), EXIT_USAGE),
    }
}

fn end<E: std::fmt::Display>(outcome: Result<String, E>) -> ExitCode {
    match outcome {
        Ok(text) => print(&text, EXIT_OK),
        Err(error) => complain(&error.to_string(), EXIT_FAILURE),
    }
}

/// A closed output is the reader's choice, not an error.
fn print(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    ExitCode::from(code)
}

fn complain(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
    ExitCode::from(code)
}
