//! What the kernel says of a process: children, ids, capabilities, memory.

use std::collections::HashMap;
use std::fs;

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

/// A size in kibibytes: `VmRSS` now, or `VmHWM` at its highest.
pub(crate) fn memory_kib(pid: u32, which: &str) -> u64 {
    let status = status(pid);
    let value = status.get(which).unwrap_or_else(|| panic!("process {pid} has a {which}"));
    value.trim_end_matches(" kB").parse().unwrap()
}
