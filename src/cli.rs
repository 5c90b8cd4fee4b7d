//! The command line: what to do, and where the configuration comes from.
//! Process: supervisor, before it does anything. Trusts: the operator. Fails with: a usage message, exit code 2.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::builder::UnknownArgumentValueParser;
use clap::{Arg, CommandFactory, FromArgMatches, Parser, ValueHint};

use crate::config::{self, Listen, LogTarget, Options, Override, Source};

/// All went well: the server was stopped, the configuration is correct, the help was printed.
pub const EXIT_OK: u8 = 0;
/// The configuration is wrong, or the server could not start.
pub const EXIT_FAILURE: u8 = 1;
/// The command line is wrong.
pub const EXIT_USAGE: u8 = 2;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Invocation {
    /// Serve.
    Serve(Source),
    /// Check the configuration and say what is wrong.
    Test(Source),
    /// Read a password and print this user's line of a `users_file`.
    HashPassword(String),
    /// Make a token, and print it and its line of a `tokens_file` under this name.
    MakeToken(String),
    /// Try from inside a sealed worker what it must not be able to do.
    CheckSandbox(Source),
    /// Tell a running server what to do.
    Signal(Wish, Source),
    /// Print this to standard output (help or version).
    Print(String),
}

/// What a running server is told by `--signal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub enum Wish {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR2: put the binary that is there now in the place of the one that runs.
    Upgrade,
    /// SIGUSR1: open the logs again.
    Reopen,
    /// SIGTERM: end soon.
    Stop,
    /// SIGQUIT: finish every request, then end.
    Quit,
}

/// The command line is wrong: print this to standard error and end with `EXIT_USAGE`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CliError(String);

/// Reads the command line; the first argument is the name of the program.
///
/// # Errors
/// What is wrong with it, in words for the user.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, CliError> {
    parse_on(arguments, io::stdout().is_terminal())
}

/// The help text: it fits one screen.
#[must_use]
pub fn help() -> String {
    command().render_help().to_string()
}

/// All options, for whoever makes completions of them.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// The command line as clap reads it. Its texts are the help and must fit 80 columns.
#[derive(Debug, Parser)]
#[command(name = "fileserv", version, about = "Serve files over HTTP, from sealed worker processes")]
#[command(override_usage = "fileserv [OPTIONS] [-c FILE] [ROOT]")]
#[command(help_template = "{about}\n{usage-heading} {usage}\n\n{all-args}{after-help}")]
#[command(after_help = "Exit codes: 0 ok, 1 failed, 2 usage. Manuals: fileserv(8), fileserv.toml(5)")]
struct Cli {
    /// Folder to serve [default: the current one; with -c: as FILE says]
    #[arg(value_hint = ValueHint::DirPath)]
    root: Option<PathBuf>,

    /// Run as configured in FILE, as a service does
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,

    /// Set a key of the configuration: limits.fields=50
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = Override::parse)]
    overrides: Vec<Override>,

    /// Check FILE: say where and what is wrong, and end
    #[arg(short, long, requires = "config")]
    test: bool,

    /// Try from inside a sealed worker what must not be
    #[arg(long, conflicts_with_all = ["test", "signal"])]
    check_sandbox: bool,

    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listen_address)]
    listen: Vec<Listen>,

    /// Number of workers, or auto: one a CPU
    #[arg(long, value_name = "N", value_parser = config::worker_count)]
    workers: Option<u16>,

    /// Let clients create and replace files; not with -c
    #[arg(long, conflicts_with = "config")]
    upload: bool,

    /// Serve as this user when started as root
    #[arg(long, value_name = "NAME", value_parser = config::account_name, value_hint = ValueHint::Username)]
    user: Option<String>,

    /// Access log: off, stdout, stderr, syslog or FILE
    #[arg(long, value_name = "TO", value_hint = ValueHint::FilePath)]
    access_log: Option<PathBuf>,

    /// Read a password, print the line for users_file
    #[arg(long, value_name = "NAME", exclusive = true)]
    hash_password: Option<String>,

    /// Print a new token and the line for tokens_file
    #[arg(long, value_name = "NAME", exclusive = true)]
    make_token: Option<String>,

    /// Keep the process id there; refuse a second start
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pid_file: Option<PathBuf>,

    /// Tell it to reload, upgrade, reopen, stop or quit
    #[arg(long, value_name = "WHAT", conflicts_with = "test", hide_possible_values = true)]
    signal: Option<Wish>,
}

/// What other file servers call their port, and fileserv doesn't: whoever tries it is told what is right.
fn port_elsewhere() -> Arg {
    let right =
        UnknownArgumentValueParser::suggest("write '--listen 127.0.0.1:8000', or '--listen 0.0.0.0:8000' for all");
    let port = Arg::new("port").short('p').long("port").value_name("PORT").num_args(0..=1).default_missing_value("");
    port.hide(true).value_parser(right)
}

fn parse_on(arguments: impl IntoIterator<Item = OsString>, on_terminal: bool) -> Result<Invocation, CliError> {
    let mut command = command().arg(port_elsewhere());
    let matches = command.try_get_matches_from_mut(arguments);
    match matches.and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))) {
        Ok(cli) => cli.invocation(on_terminal).map_err(|error| CliError(format!("error: {error}\n"))),
        Err(answer) if answer.use_stderr() => Err(CliError(answer.render().to_string())),
        Err(answer) => Ok(Invocation::Print(answer.render().to_string())),
    }
}

impl Cli {
    fn invocation(self, on_terminal: bool) -> io::Result<Invocation> {
        match (self.hash_password, self.make_token) {
            (Some(name), _) => return Ok(Invocation::HashPassword(name)),
            (None, Some(name)) => return Ok(Invocation::MakeToken(name)),
            (None, None) => {}
        }
        let root = self.root.map(absolute).transpose()?;
        let access_log = self.access_log.map(log_target).transpose()?;
        let pid_file = self.pid_file.map(absolute).transpose()?;
        if self.signal.is_some() && pid_file.is_none() && self.config.is_none() {
            return Err(io::Error::other("--signal wants to know which server; add -c FILE or --pid-file FILE"));
        }
        let options =
            Options { root, listen: self.listen, workers: self.workers, user: self.user, access_log, pid_file };
        let source = match self.config {
            None => {
                let root = options.root.map_or_else(std::env::current_dir, Ok)?;
                let options = Options { root: Some(root), ..options };
                Source::quick(self.upload, on_terminal, options, self.overrides)
            }
            Some(file) => Source::file(file.display().to_string(), absolute(file)?, options, self.overrides),
        };
        Ok(match self.signal {
            Some(wish) => Invocation::Signal(wish, source),
            None if self.test => Invocation::Test(source),
            None if self.check_sandbox => Invocation::CheckSandbox(source),
            None => Invocation::Serve(source),
        })
    }
}

/// Paths of a shell are meant from its folder; a reload, or a log opened again, must find the same file.
fn absolute(path: PathBuf) -> io::Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::other("a path is empty"));
    }
    std::path::absolute(path)
}

fn log_target(to: PathBuf) -> io::Result<LogTarget> {
    let word = to.to_str().and_then(|text| text.parse().ok());
    word.map_or_else(|| Ok(LogTarget::File(absolute(to)?)), Ok)
}

fn listen_address(text: &str) -> Result<Listen, String> {
    let Some(path) = text.strip_prefix("unix:") else {
        return text.parse();
    };
    let path = absolute(path.into()).map_err(|error| error.to_string())?;
    format!("unix:{}", path.display()).parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ListenAddress;
    use crate::config::Verb;

    fn invoke(arguments: &[&str]) -> Result<Invocation, CliError> {
        parse_on(std::iter::once("fileserv").chain(arguments.iter().copied()).map(OsString::from), false)
    }

    fn serve(arguments: &[&str]) -> config::Config {
        match invoke(arguments) {
            Ok(Invocation::Serve(source)) => config::load(&source).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clap_agrees_with_what_was_declared() {
        command().arg(port_elsewhere()).debug_assert();
    }

    #[test]
    fn the_help_fits_one_screen() {
        let help = help();
        assert!(help.lines().count() <= 24, "{help}");
        for line in help.lines() {
            assert!(line.len() <= 80, "{line}");
        }
        assert_eq!(invoke(&["--help"]), Ok(Invocation::Print(help.clone())));
        assert_eq!(invoke(&["-h"]), Ok(Invocation::Print(help)));
        let version = format!("fileserv {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(invoke(&["--version"]), Ok(Invocation::Print(version)));
    }

    #[test]
    fn quick_use_serves_this_folder_to_this_machine() {
        let config = serve(&[]);
        assert_eq!(config.sites.default.root, std::env::current_dir().unwrap());
        assert_eq!(config.listen.first().unwrap().to_string(), "127.0.0.1:8080");
        assert!(!config.sites.can_write());
        assert_eq!(config.log.access, LogTarget::Off);
        assert_eq!(config.sites.default.routes.len(), 3);
    }

    #[test]
    fn options_say_what_they_say() {
        let config = serve(&[
            "--listen=[::1]:0",
            "--listen",
            "unix:sock",
            "--workers=3",
            "--upload",
            "--user=www",
            "--access-log=a.log",
            "--set=limits.fields=9",
            "src",
        ]);
        let here = std::env::current_dir().unwrap();
        assert_eq!(config.sites.default.root, here.join("src"));
        let listen = [ListenAddress::Tcp("[::1]:0".parse().unwrap()), ListenAddress::Unix(here.join("sock"))];
        let listen = listen.map(Listen::from);
        assert_eq!(config.listen, listen);
        assert_eq!((config.workers, config.user.as_deref(), config.limits.fields), (3, Some("www"), 9));
        assert!(config.sites.default.access.verbs(b"/x", &crate::message::Visitor::default()).contains(Verb::Create));
        assert_eq!(config.log.access, LogTarget::File(here.join("a.log")));
        assert_eq!(serve(&["--access-log", "stderr"]).log.access, LogTarget::Stderr);
    }

    #[test]
    fn a_usage_error_is_told_from_a_wrong_configuration() {
        for wrong in [
            &["--frobnicate"] as &[&str],
            &["--set", "workers"],
            &["--workers", "0"],
            &["--listen", "8080"],
            &["--user", "root"],
            &["-t"],
            &["-c", "f.toml", "--upload"],
            &["a", "b"],
            &[""],
        ] {
            let error = invoke(wrong).unwrap_err();
            assert!(error.to_string().starts_with("error: "), "{wrong:?}: {error}");
        }
        assert!(invoke(&["--listen", "8080"]).unwrap_err().to_string().contains("\"127.0.0.1:8080\""));
    }

    #[test]
    fn whoever_comes_from_another_server_is_told_how_to_name_a_port() {
        for wrong in [&["--port", "8000"] as &[&str], &["--port=8000"], &["-p", "8000"], &["-p8000"], &["-p"]] {
            let error = invoke(wrong).unwrap_err().to_string();
            assert!(error.contains("--listen 127.0.0.1:8000"), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn a_test_and_the_makers_of_lines_are_told_apart() {
        assert!(matches!(invoke(&["-t", "-c", "f.toml", "/"]), Ok(Invocation::Test(_))));
        assert_eq!(invoke(&["--hash-password", "alice"]), Ok(Invocation::HashPassword("alice".into())));
        assert_eq!(invoke(&["--make-token=ci"]), Ok(Invocation::MakeToken("ci".into())));
        assert!(invoke(&["--make-token", "ci", "-c", "f.toml"]).is_err());
    }
}
