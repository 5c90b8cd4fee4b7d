//! What the kernel says of a process: children, ids, capabilities, memory, limits.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use super::site::SERVICE_USER;
use super::{is_root, tools};

/// The children of a process, all threads' together, sorted.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return children };
    for task in tasks.flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(text.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
    }
    children.sort_unstable();
    children
}

/// The threads of a process that have this name.
pub(crate) fn threads(pid: u32, name: &str) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path());
    let named = tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    named.map(|task| task.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect()
}

/// The lines of /proc/PID/status by name, their values with single spaces; nothing if the process is gone.
pub(crate) fn status(pid: u32) -> HashMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    text.lines().filter_map(line).collect()
}

/// Is there such a process, and is it no zombie?
pub(crate) fn lives(pid: u32) -> bool {
    status(pid).get("State").is_some_and(|state| !state.starts_with('Z'))
}

/// What the descriptors of a process lead to; the name of a file that was removed ends in ` (deleted)`.
pub(crate) fn open_files(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok()).collect()
}

/// How often a process has waited so far, and how much time of a processor it has used, in ticks of 10 ms; the main
/// thread's waits, all threads' time.
pub(crate) fn waits_and_ticks(pid: u32) -> (u64, u64) {
    let waits = status(pid)["voluntary_ctxt_switches"].parse().unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name of the program is in brackets, and the first field behind it is the third of proc(5): utime is the 14th.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (waits, fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
}

/// Limits a process of the server, by an option of prlimit(1). Only its own user may do that; root can do so without the
/// capability for it only as that user.
pub(crate) fn limit(pid: u32, option: &str) {
    let group = status(pid)["Gid"].split(' ').next().unwrap().to_owned();
    let mut command = vec!["prlimit"];
    if is_root() {
        command.splice(..0, ["setpriv", "--reuid", SERVICE_USER, "--regid", &group, "--clear-groups"]);
    }
    let pid = pid.to_string();
    command.extend(["--pid", &pid, option]);
    tools::run(command[0], &command[1..]);
}

/// A size in kibibytes: `VmRSS` now, or `VmHWM` at its highest.
pub(crate) fn memory_kib(pid: u32, which: &str) -> u64 {
    let status = status(pid);
    let value = status.get(which).unwrap_or_else(|| panic!("process {pid} has a {which}"));
    value.trim_end_matches(" kB").parse().unwrap()
}
