//! What a reader must know to repeat a run: the day, the machine, versions and settings.

use std::process::Command;

use super::options::Options;
use super::servers::Kind;

/// All of it, as text.
pub(crate) fn described(options: &Options) -> String {
    let peers: Vec<String> = Kind::PEERS.iter().filter(|kind| kind.is_installed()).map(|kind| version(*kind)).collect();
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let cores = processor.lines().filter(|line| line.starts_with("processor")).count();
    format!(
        "{day}   {kernel}   {cores} × {model}\n\
         fileserv   {ours}: sealed, seccomp on, limits and deadlines on, no answer older than the last change that the\n           \
         kernel tells of; the default configuration but for what a row names\n{peers}\n\
         Median of {rounds} rounds; within a round all servers take turns. Ratios are of the same run.",
        day = first_line("date", &["-u", "+%F"]),
        kernel = first_line("uname", &["-srm"]),
        model = model.trim_matches([' ', '\t', ':']),
        ours = commit(options),
        peers = peers.join("\n"),
        rounds = options.rounds(),
    )
}

fn commit(options: &Options) -> String {
    let version = first_line(&options.binary.to_string_lossy(), &["--version"]);
    let version = version.trim_start_matches("fileserv ");
    if options.binary.as_os_str() != env!("CARGO_BIN_EXE_fileserv") {
        return version.to_owned();
    }
    match first_line("git", &["describe", "--always", "--dirty", "--abbrev=10"]) {
        commit if commit.is_empty() => version.to_owned(),
        commit => format!("{version}, commit {commit}"),
    }
}

fn version(kind: Kind) -> String {
    let (argument, settings) = match kind {
        Kind::Nginx => ("-v", "sendfile, tcp_nopush, open_file_cache (15,000 files, believed for 60 s)"),
        Kind::NginxPread => ("-v", "nginx again, with sendfile off and output_buffers 2 128k"),
        Kind::H2o => ("--version", "as it comes"),
        Kind::Lighttpd => ("-v", "sendfile, stat cache \"simple\""),
        Kind::Fileserv | Kind::Floor => return String::new(),
    };
    let line = first_line(kind.program(), &[argument]);
    let version = line.split_whitespace().find(|word| word.contains('.')).unwrap_or(&line);
    let version = version.rsplit('/').next().unwrap_or(version);
    format!("{:<10} {version}: {settings}", kind.name())
}

/// What a program says first, on whichever output.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
