//! What a worker can't do, tried from inside its seal; and, without the seal, that it could.

use std::collections::HashMap;
use std::process::{Command, Output};

use crate::common::server::binary;
use crate::common::site::SERVICE_USER;
use crate::common::{Server, Site, is_root, tools};
use nix::sys::signal::Signal;

/// A row of the table: what the kernel said, and the verdict, by the call and its object.
type Table = HashMap<String, String>;

fn check(site: &Site, options: &[&str]) -> (Output, Table) {
    let mut command = Command::new(binary());
    command.arg("--check-sandbox").args(options).arg(site.root());
    if is_root() {
        command.args(["--user", SERVICE_USER]);
    }
    read(command.output().unwrap())
}

/// The same by an ordinary user, also where the tests are run by root.
fn check_without_root(site: &Site, options: &[&str]) -> (Output, Table) {
    if !is_root() {
        return check(site, options);
    }
    let user = nix::unistd::User::from_name(SERVICE_USER).unwrap().unwrap();
    // The binary may lie below a folder that this user can't enter. Another program copies it: what a process of ours
    // has open for writing, and a child of some other test meanwhile with it, can't be run.
    let copy = site.beside("fileserv");
    tools::run("cp", &[binary(), copy.to_str().unwrap()]);
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)]);
    command.arg("--clear-groups").arg(copy).arg("--check-sandbox").args(options).arg(site.root());
    read(command.output().unwrap())
}

fn read(output: Output) -> (Output, Table) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let (_, table) = text.split_once("\nACT ").unwrap_or_else(|| panic!("a table: {output:?}"));
    let heading = table.lines().next().unwrap();
    let column = |name: &str| heading.find(name).unwrap() + "ACT ".len();
    let (calls, says) = (column("SYSTEM CALL"), column("SAYS"));
    let rows = table.lines().skip(1).take_while(|line| !line.is_empty());
    let table: Table = rows
        .map(|row| {
            let words: Vec<&str> = row[says..].split_whitespace().collect();
            (row[calls..says].trim().to_owned(), words.join(" "))
        })
        .collect();
    (output, table)
}

fn assert_all_denied((output, table): &(Output, Table)) {
    let not_denied: Vec<_> = table.iter().filter(|(_, verdict)| !verdict.ends_with(" denied")).collect();
    assert!(not_denied.is_empty(), "{not_denied:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(table.len() >= 140, "every act is a row: {}", table.len());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(", 0 POSSIBLE, 0 UNCLEAR"), "{text}");
}

#[test]
fn every_forbidden_act_is_denied() {
    let site = Site::sample();
    assert_all_denied(&check(&site, &[]));
    assert_all_denied(&check(&site, &["--upload"]));
    assert_all_denied(&check(&site, &["--upload", "--set", "uploads.make_folders=true"]));
    assert_all_denied(&check_without_root(&site, &["--upload"]));
}

#[test]
fn every_forbidden_act_is_denied_or_death() {
    let (output, table) = check(&Site::sample(), &["--upload", "--set", "sandbox_refusal=kill"]);
    assert_eq!(table["ptrace PTRACE_SEIZE of the supervisor"], "SIGSYS denied");
    assert_eq!(table["openat of an absolute path"], "EACCES denied", "Landlock does not kill");
    assert_all_denied(&(output, table));
}

/// What an ordinary process may do on every system: without these a denial above would prove nothing. The others want a
/// privilege, a kernel's part or a setting that not every system has.
const POSSIBLE: &[&str] = &[
    "openat of an absolute path",
    "openat of ../secret from the root",
    "openat2 of ../secret from the root, resolve = 0",
    "openat of a link in the root to ../secret",
    "openat of /proc/self/fd/ROOT/../secret",
    "openat beneath /proc/self/root",
    "openat of /etc/passwd",
    "openat and getdents64 of an absolute path",
    "openat of .. from the root",
    "openat and getdents64 of /",
    "openat O_WRONLY of an absolute path",
    "openat O_CREAT of an absolute path",
    "unlinkat of an absolute path",
    "renameat2 from the folder of uploads",
    "renameat2 to the folder of uploads",
    "linkat from the folder of uploads",
    "linkat to the folder of uploads",
    "openat O_WRONLY of a file in the root",
    "openat O_CREAT in the root",
    "unlinkat in the root",
    "renameat2 in the root",
    "truncate in the root",
    "mkdirat in the root",
    "mkdirat in the folder of uploads",
    "mknodat S_IFIFO in the folder of uploads",
    "symlinkat in the folder of uploads",
    "openat O_CREAT 04755 in the folder of uploads",
    "fchmod 04755 of an own file",
    "ftruncate of a descriptor from before the seal",
    "fcntl F_SETFL of a descriptor from before the seal",
    "fallocate of a descriptor from before the seal",
    "fchmodat of an own file outside the root",
    "fchownat of an own file outside the root",
    "utimensat of an own file outside the root",
    "listxattr of an own file outside the root",
    "inotify_init1",
    "fanotify_mark of an absolute path",
    "openat of it, fanotify_mark without a path",
    "name_to_handle_at of a file outside the root",
    "socket AF_INET SOCK_STREAM",
    "socket AF_UNIX",
    "socket AF_NETLINK",
    "socketpair",
    "connect of a TCP socket to a port that listens",
    "sendto MSG_FASTOPEN of a TCP socket",
    "bind of a TCP socket to 127.0.0.1",
    "listen of a TCP socket",
    "shutdown SHUT_RDWR of a listening socket",
    "fcntl F_SETFL of a listening socket",
    "ioctl FIONBIO of a listening socket",
    "setsockopt SO_REUSEPORT of a listening socket",
    "connect of a Unix socket to an abstract one",
    "sendto of a Unix socket to an abstract one",
    "fork",
    "clone SIGCHLD",
    "clone3",
    "clone or clone3 of the C library",
    "execve of /bin/true",
    "execveat of a descriptor from before the seal",
    "memfd_create, write and execveat",
    "kill of the supervisor",
    "tkill of the supervisor",
    "tgkill of the supervisor",
    "fcntl F_SETOWN of the supervisor",
    "pidfd_open of the supervisor",
    "openat of /proc/PID/environ of a sibling",
    "kill of a sibling",
    "tkill of a sibling",
    "tgkill of a sibling",
    "fcntl F_SETOWN of a sibling",
    "pidfd_open of a sibling",
    "prlimit64, reading, of a sibling",
    "prlimit64, writing, of a sibling",
    "sched_setaffinity of a sibling",
    "sched_setscheduler of a sibling",
    "sched_setparam of a sibling",
    "setpriority of a sibling",
    "ioprio_set of a sibling",
    "fcntl F_SETSIG",
    "fcntl F_SETLEASE",
    "ioctl FIOASYNC",
    "setpgid",
    "setsid",
    "prctl PR_SET_DUMPABLE",
    "prctl PR_SET_PDEATHSIG",
    "prlimit64, writing, of itself",
    "unshare CLONE_FILES",
    "setuid to itself",
    "capset",
    "memfd_create",
    "mprotect PROT_EXEC",
    "mmap PROT_EXEC",
    "personality READ_IMPLIES_EXEC",
    "seccomp",
    "landlock_create_ruleset",
];

/// And these against a supervisor that has no capability: one that may bind low ports is protected by having more.
const POSSIBLE_WITHOUT_ROOT: &[&str] = &[
    "prlimit64, reading, of the supervisor",
    "sched_setaffinity of the supervisor",
    "sched_setscheduler of the supervisor",
    "sched_setparam of the supervisor",
    "setpriority of the supervisor",
    "ioprio_set of the supervisor",
];

/// These where nothing may be written; otherwise they are needed, and not tried.
const POSSIBLE_WITH_WHAT_IS_READ: &[&str] =
    &["fchmod of a served file", "fchown of a served file", "utimensat without a path of a served file"];

fn assert_possible((output, table): &(Output, Table), expected: &[&str]) {
    for call in expected {
        let verdict = table.get(*call).unwrap_or_else(|| panic!("there is a row {call:?}"));
        assert_eq!(verdict, "POSSIBLE", "{call}");
    }
    assert_eq!(output.status.code(), Some(1), "what is possible is a failure");
}

#[test]
fn without_the_seal_the_same_acts_are_possible() {
    let site = Site::sample();
    let options = ["--upload", "--set", "sandbox=off"];
    assert_possible(&check(&site, &options), POSSIBLE);
    assert_possible(&check_without_root(&site, &options), POSSIBLE);
    assert_possible(&check_without_root(&site, &options), POSSIBLE_WITHOUT_ROOT);
    assert_possible(&check(&site, &options[1..]), POSSIBLE_WITH_WHAT_IS_READ);
}

#[test]
fn a_check_leaves_nothing_behind_and_touches_no_root() {
    let site = Site::sample();
    let place = site.beside("place");
    std::fs::create_dir(&place).unwrap();
    crate::common::site::give(&place);
    let names = site.names();
    for seal in ["sandbox=required", "sandbox=off"] {
        let mut command = Command::new(binary());
        command.args(["--check-sandbox", "--upload", "--set", seal]).arg(site.root()).env("TMPDIR", &place);
        if is_root() {
            command.args(["--user", SERVICE_USER]);
        }
        let (_, table) = read(command.output().unwrap());
        assert!(!table.is_empty());
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0, "{seal}");
        assert_eq!(site.names(), names, "{seal}");
    }
}

#[test]
fn a_root_that_holds_everything_leaves_no_place_for_a_check() {
    let mut command = Command::new(binary());
    command.args(["--check-sandbox", "/"]);
    if is_root() {
        command.args(["--user", SERVICE_USER]);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("outside the roots") && said.contains("TMPDIR"), "{said}");
}

const INCOMING: &str = r#"
[routes]
"/stats" = "stats"
[[access]]
path = "/"
allow = ["list", "read"]
[[access]]
path = "/in"
allow = ["create", "replace", "delete"]
[[access]]
path = "/later"
allow = ["create"]
"#;

#[test]
fn only_what_an_access_rule_names_can_be_written() {
    let site = Site::sample();
    for name in ["in/old.txt", "other/old.txt"] {
        site.write(name, "old");
    }
    // Inside the root, so names are resolved; but no rule lets anybody write there.
    std::os::unix::fs::symlink("../other", site.path("in/link")).unwrap();
    let server = Server::with(site, &format!("workers = 1\n{INCOMING}"));
    let mut client = server.connect();
    assert_eq!(client.request("PUT", "/in/new.txt", &[], b"new").status, 201);
    assert_eq!(client.request("PUT", "/in/old.txt", &[], b"new").status, 204);
    assert_eq!(client.request("DELETE", "/in/new.txt", &[], b"").status, 204);
    for (method, target) in [("PUT", "/in/link/new.txt"), ("PUT", "/in/link/old.txt"), ("DELETE", "/in/link/old.txt")] {
        let status = server.connect().request(method, target, &[], b"new").status;
        assert!(status == 403, "{method} {target}: {status}");
    }
    assert_eq!(server.site.read("other/old.txt"), b"old");
    assert_eq!(std::fs::read_dir(server.site.path("other")).unwrap().count(), 1);

    // A folder that is not there can't be granted; the log names it, and a reload finds it.
    let seal = server.stats()["seal"].as_str().unwrap().to_owned();
    assert!(seal.contains("beneath 1 folder written (1 more not there)"), "{seal}");
    server.await_line("the missing folder is named", |line| line.contains("nothing can be written to /later/"));
    server.site.write("later/first.txt", "first");
    let before = server.connect().request("PUT", "/later/new.txt", &[], b"new").status;
    assert_eq!(before, 403, "the kernel says no, whatever the rule says");
    server.signal(Signal::SIGHUP);
    crate::common::until("the new generation writes there", || {
        server.connect().request("PUT", "/later/new.txt", &[], b"new").status == 201
    });
}
