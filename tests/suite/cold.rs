//! Files that are not in memory: who asks for one waits for the disk, and nobody else does.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, statfs};
use nix::unistd::Pid;

use crate::common::server::EVERYTHING;
use crate::common::trace::trace_of;
use crate::common::{Client, Server, Site, cannot_run, client, is_root, processes, site, until};

/// A site on a disk, with a file that is sent in several pieces; `None` where no file ever leaves memory.
fn site_on_disk(test: &str) -> Option<Site> {
    let site = Site::big();
    let kind = statfs(&site.root()).unwrap().filesystem_type();
    if ![EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC].contains(&kind) {
        cannot_run(test, "the build does not lie on ext4, xfs or btrfs");
        return None;
    }
    site.write("hello.txt", "hello, world\n");
    site.write("cold.bin", site::large().repeat(8));
    site.settle();
    Some(site)
}

/// Has the kernel forget a file that is on the disk.
fn forget(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
}

/// A disk that answers nobody: the kernel's tracer holds each read of a worker's disk threads until it ends.
struct Stuck(Child);

impl Stuck {
    fn hold(worker: u32) -> Self {
        let threads = processes::threads(worker, "disk");
        let mut command = Command::new("strace");
        command.args(["-qq", "-o", "/dev/null", "-e", "trace=pread64", "-e", "inject=pread64:delay_enter=600000000"]);
        for thread in &threads {
            command.args(["-p", &thread.to_string()]);
        }
        let strace = command.stdin(Stdio::null()).spawn().expect("strace: tests/run installs it");
        let is_held = |thread: &u32| processes::status(*thread)["TracerPid"] != "0";
        until("all disk threads are held", || threads.iter().all(is_held));
        Self(strace)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT).unwrap();
        self.0.wait().unwrap();
    }
}

/// Nothing but a head has come, if that.
fn has_no_content(client: &Client) -> bool {
    let mut bytes = [0; 4096];
    client.stream().set_nonblocking(true).unwrap();
    let count = client.stream().peek(&mut bytes).unwrap_or(0);
    client.stream().set_nonblocking(false).unwrap();
    count == 0 || bytes[..count].ends_with(b"\r\n\r\n")
}

#[test]
fn others_are_answered_while_a_disk_is_waited_for() {
    const TEST: &str = "others_are_answered_while_a_disk_is_waited_for";
    if !is_root() {
        return cannot_run(TEST, "only root may trace a sealed worker");
    }
    let Some(site) = site_on_disk(TEST) else { return };
    let server = Server::with(site, &format!("workers = 1\n{EVERYTHING}"));
    let worker = server.workers()[0];
    let (mut quick, mut waiting, mut other) = (server.connect(), server.connect(), server.connect());
    for client in [&mut quick, &mut waiting, &mut other] {
        assert_eq!(client.get("/hello.txt").status, 200);
    }
    let path = server.site.path("cold.bin");
    let content = std::fs::read(&path).unwrap();
    forget(&path);
    let stuck = Stuck::hold(worker);
    waiting.send(client::head("GET", "/cold.bin", &[], b""));
    other.send(client::head("GET", "/cold.bin", &["Range: bytes=5000000-5000999"], b""));
    for _ in 0..100 {
        assert_eq!(quick.get("/hello.txt").body.len(), 13);
    }
    assert!(has_no_content(&waiting), "the loop has read from the disk itself");
    drop(stuck);
    assert!(waiting.reply("GET").body == content, "all of it, and in order");
    assert_eq!(other.reply("GET").body, content[5_000_000..5_001_000]);
    assert!(waiting.get("/cold.bin").body == content, "and again, out of memory");
    server.assert_unharmed(&[worker]);
}

#[test]
fn a_cold_file_is_sent_as_it_is() {
    let site = Site::big();
    site.write("hello.txt", "hello, world\n");
    site.write("cold.bin", site::large());
    site.write("small.txt", "small\n");
    site.settle();
    let server = Server::with(site, &format!("workers = 1\n{EVERYTHING}"));
    let (path, small) = (server.site.path("cold.bin"), server.site.path("small.txt"));
    let content = site::large();
    let mut client = server.connect();
    for _ in 0..20 {
        forget(&path);
        forget(&small);
        assert!(client.get("/cold.bin").body == content);
        assert_eq!(client.get("/small.txt").body, b"small\n");
        // Not in order: what is in memory and what is not alternates.
        forget(&path);
        let ranges = "Range: bytes=900000-1000000,100-300000,500000-500009";
        let reply = client.get_with("/cold.bin", &[ranges]);
        assert_eq!(reply.status, 206);
        for part in [&content[900_000..=1_000_000], &content[100..=300_000], &content[500_000..=500_009]] {
            assert!(reply.body.windows(part.len()).any(|bytes| bytes == part), "{} bytes", part.len());
        }
    }
}

#[test]
fn a_small_file_that_was_cold_is_kept_whole_once_it_is_read() {
    const TEST: &str = "a_small_file_that_was_cold_is_kept_whole_once_it_is_read";
    let Some(site) = site_on_disk(TEST) else { return };
    site.write("small.txt", "small\n");
    site.settle();
    let server = Server::with(site, &format!("workers = 1\n{EVERYTHING}"));
    forget(&server.site.path("small.txt"));
    let get = |client: &mut Client| assert_eq!(client.get("/small.txt").body, b"small\n");
    let mut client = server.connect();
    for _ in 0..3 {
        get(&mut client);
    }
    let Some(trace) = trace_of(&server, &[], |client| {
        get(client);
        get(client);
    }) else {
        return;
    };
    for call in ["preadv2(", "sendfile("] {
        assert!(!trace.contains(call), "{call} of a file that is asked for again and again:\n{trace}");
    }
}

#[test]
fn files_of_which_nobody_can_tell_where_they_are_are_read_by_helper_threads() {
    const TEST: &str = "files_of_which_nobody_can_tell_where_they_are_are_read_by_helper_threads";
    let site = Site::empty();
    let root = site.root();
    let root = root.to_str().unwrap();
    let (files, content) = (site.beside("files"), site::large());
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("hello.txt"), "hello, world\n").unwrap();
    std::fs::write(files.join("large.bin"), &content).unwrap();
    let files = files.to_str().unwrap();
    let mount = format!("mount -t ramfs -o mode=0755 none {root} && cp {files}/* {root} && exec \"$@\"");
    let wrapper = ["unshare", "--mount", "sh", "-c", &mount, "sh"];
    // Such as FUSE and NFS; ramfs is one that is always at hand.
    let can_mount = Command::new("unshare").args(["--mount", "mount", "-t", "ramfs", "none", root]).output();
    if !is_root() || !can_mount.unwrap().status.success() {
        return cannot_run(TEST, "only root may mount another file system");
    }
    let server = Server::under(site, &wrapper, &format!("workers = 1\n{EVERYTHING}"));
    let trace = trace_of(&server, &[], |client| {
        assert!(client.get("/large.bin").body == content);
        assert_eq!(client.get_with("/large.bin", &["Range: bytes=5-6"]).body, content[5..7]);
        assert_eq!(client.get("/hello.txt").body, b"hello, world\n");
    });
    let trace = trace.unwrap();
    assert!(!trace.contains("sendfile("), "the loop has read from the file system itself");
    let (_, load) = trace.split_once("X-Mark: begin").unwrap();
    let is_opened = |call: &str| call.contains("openat2(") && call.contains("hello.txt");
    assert!(!load.lines().any(is_opened), "a small one stays open, too");
}

#[test]
fn a_cold_file_that_becomes_shorter_ends_the_connection() {
    let site = Site::big();
    site.write("hello.txt", "hello, world\n");
    let file = File::create(site.path("cold.bin")).unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_all_at(b"end", (1 << 30) - 3).unwrap();
    site::give(&site.path("cold.bin"));
    site.settle();
    let server = Server::with(site, &format!("workers = 1\n{EVERYTHING}"));
    forget(&server.site.path("cold.bin"));
    let mut client = server.connect();
    client.send(client::head("GET", "/cold.bin", &[], b""));
    // The client takes nothing yet, so the server can't have sent all of it.
    until("the reply has begun", || !client.is_quiet());
    file.set_len(1 << 20).unwrap();
    let received = client.rest().len();
    assert!(received < 1 << 30, "{received}: what is not there is not made up");
    server.assert_unharmed(&server.workers());
}
