//! What the kernel tells of a server's processes: time on the processor, memory, open connections.

use std::fs;

use nix::unistd::Pid;

use super::Running;

impl Running {
    /// Its processes' ids: the first, and those below it.
    pub(super) fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut next = 0;
        while let Some(process) = tree.get(next).copied() {
            tree.extend(children(process));
            next += 1;
        }
        tree
    }

    pub(super) fn children(&self) -> Vec<u32> {
        children(self.child.id())
    }

    /// Those that talk to clients; where there is only one process, it does.
    fn workers(&self) -> Vec<u32> {
        let workers = self.children();
        if workers.is_empty() { vec![self.child.id()] } else { workers }
    }

    /// Seconds on the processor, of all threads of all its processes, by the scheduler's own count in nanoseconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let mut nanoseconds = 0.0;
        for process in self.tree() {
            let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
            for thread in threads {
                let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
                nanoseconds += text.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0.0);
            }
        }
        nanoseconds / 1e9
    }

    /// Memory that no other process has a share in, of all its processes.
    pub(crate) fn private_bytes(&self) -> f64 {
        self.tree().into_iter().map(private_bytes).sum()
    }

    /// The same of the worker that has most.
    pub(crate) fn private_bytes_of_a_worker(&self) -> f64 {
        self.workers().into_iter().map(private_bytes).fold(0.0, f64::max)
    }

    /// How many sockets each worker has open.
    pub(crate) fn sockets(&self) -> Vec<usize> {
        let is_socket = |fd: &fs::DirEntry| {
            fs::read_link(fd.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
        };
        let count = |worker| {
            let fds = fs::read_dir(format!("/proc/{worker}/fd")).into_iter().flatten().flatten();
            fds.filter(is_socket).count()
        };
        self.workers().into_iter().map(count).collect()
    }
}

/// The id as the kernel door wants it.
pub(super) fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("a process id"))
}

fn children(process: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn private_bytes(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).expect("readable for root");
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    let kib: f64 = private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum();
    kib * 1024.0
}
