//! Real clients and the real server: one file a family.

mod apt;
mod aria2;
mod chromium;
mod curl;
mod git;
mod python;
mod rclone;
mod uploads;
mod wget;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::server::EVERYTHING;
use crate::common::{Server, Site, site, tools, until};

/// A server whose access log is what it says.
fn logged(site: Site) -> Server {
    Server::with(site, &format!("workers = 2\n[log]\naccess = \"stdout\"\n{EVERYTHING}"))
}

/// How often the access log has this in a line.
fn count(server: &Server, part: &str) -> usize {
    server.said().lines().filter(|line| line.contains(part)).count()
}

/// Waits until the access log has this in so many lines: a line is written after the client has its answer.
fn await_count(server: &Server, part: &str, expected: usize) {
    until(&format!("{expected} lines have {part:?}"), || count(server, part) >= expected);
    assert_eq!(count(server, part), expected, "lines with {part:?}:\n{}", server.said());
}

/// A folder of its own for a client, outside the root.
fn folder(server: &Server, name: &str) -> PathBuf {
    let folder = server.site.beside(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// A client that works in a folder, finds no settings of a user, and ends within a minute with all that it started.
fn client(program: &str, folder: &Path) -> Command {
    let mut command = tools::command("timeout");
    command.args(["--kill-after=5", "60", program]).current_dir(folder);
    // A locale that every Debian has: names are UTF-8, and messages are English.
    command.env("HOME", folder).env("LC_ALL", "C.UTF-8");
    for variable in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    command
}

/// Names that a listing has to write as links, and a client to read as names again. (None has a `%` before two hex
/// digits: wget asks for it rightly, but decodes once more for its own file.)
const TREE: [&str; 8] = [
    "a.txt",
    "name with space & <b>.txt",
    "100% \u{fc}.txt",
    "colon:semicolon;+.txt",
    "folder/inner.txt",
    "folder/empty.txt",
    "folder/deeper one/leaf.bin",
    "folder/deeper one/again/q?a=b#c.txt",
];

fn tree_content(name: &str) -> Vec<u8> {
    match name.rsplit_once('.') {
        Some((_, "bin")) => site::large(),
        _ if name.ends_with("empty.txt") => Vec::new(),
        _ => name.repeat(10).into_bytes(),
    }
}

/// A root without an index anywhere, so that a client finds its way by the listings.
fn tree() -> Site {
    let site = Site::empty();
    for name in TREE {
        site.write(name, tree_content(name));
    }
    site
}

/// Asserts that a folder holds what the tree holds, byte for byte.
fn assert_tree(folder: &Path) {
    for name in TREE {
        let copy = std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(copy == tree_content(name), "{name}");
    }
}
