//! The system calls of a worker, as the kernel's own tracer tells them.

use std::io::Read;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Client, Server, is_root};

/// The calls that a worker makes while `load` runs on a connection that has been warmed up; `None` if nobody may see.
/// `options` are more of strace's.
pub(crate) fn trace_of(server: &Server, options: &[&str], load: impl FnOnce(&mut Client)) -> Option<String> {
    let mut client = server.connect();
    client.get("/hello.txt");
    let file = server.site.beside("trace");
    // What an earlier trace has left would look as if it had attached.
    let _ = std::fs::remove_file(&file);
    let worker = server.workers()[0].to_string();
    let mut command = Command::new("strace");
    command.args(["-f", "-q", "-s", "256", "-o", file.to_str().unwrap(), "-p", &worker]).args(options);
    let mut strace =
        command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("strace: tests/run installs it");
    let trace = || std::fs::read_to_string(&file).unwrap_or_default();
    // It doesn't say when it has attached: the first traced request does.
    while !trace().contains("X-Mark: attached") {
        if strace.try_wait().unwrap().is_some() {
            let mut why = String::new();
            strace.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            assert!(!is_root(), "strace ended: {why}");
            return None;
        }
        client.get_with("/hello.txt", &["X-Mark: attached"]);
    }
    client.get_with("/hello.txt", &["X-Mark: begin"]);
    load(&mut client);
    client.get_with("/hello.txt", &["X-Mark: end"]);
    kill(Pid::from_raw(strace.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    strace.wait().unwrap();
    Some(trace())
}

/// A call of a trace: which thread made it, what it was, and on which lines it began and ended.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) thread: String,
    /// Name, arguments and outcome.
    pub(crate) text: String,
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// The calls of a trace in the order in which they began; one that another thread interrupted is put together again.
pub(crate) fn calls(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let open = calls.iter_mut().rev().find(|call| call.thread == thread && call.end == usize::MAX);
            if let Some(call) = open {
                call.text += resumed.split_once("resumed>").map_or("", |(_, text)| text);
                call.end = at;
            }
        } else {
            let (text, end) = match rest.strip_suffix("<unfinished ...>") {
                Some(text) => (text, usize::MAX),
                None => (rest, at),
            };
            calls.push(Call { thread: thread.to_owned(), text: text.to_owned(), begin: at, end });
        }
    }
    calls
}
