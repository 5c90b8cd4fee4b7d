//! The command `fileserv`: reads the command line and hands over to the supervisor.

use std::io::Write;
use std::process::ExitCode;

use fileserv::cli::{self, EXIT_FAILURE, EXIT_OK, EXIT_USAGE, Invocation};
use fileserv::supervisor;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Invocation::Serve(source)) => supervisor::start(source),
        Ok(Invocation::Test(source)) => match cli::verdict(&source) {
            Ok(line) => print(&line, EXIT_OK),
            Err(error) => complain(&error.to_string(), EXIT_FAILURE),
        },
        Ok(Invocation::CheckSandbox(source)) => match supervisor::check_sandbox(&source) {
            Ok(report) => print(&report.to_string(), if report.holds() { EXIT_OK } else { EXIT_FAILURE }),
            Err(error) => complain(&format!("fileserv: {error}"), EXIT_FAILURE),
        },
        Ok(Invocation::Signal(wish, source)) => match supervisor::ask(wish, &source) {
            Ok(line) => print(&line, EXIT_OK),
            Err(error) => complain(&format!("fileserv: {error}"), EXIT_FAILURE),
        },
        Ok(Invocation::Print(text)) => print(&text, EXIT_OK),
        Err(error) => complain(&error.to_string(), EXIT_USAGE),
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
