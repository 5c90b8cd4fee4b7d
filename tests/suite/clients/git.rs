//! git over what its manual calls the dumb protocol: a bare repository is a folder of files.

use std::path::Path;
use std::process::Command;

use super::{client, folder, logged};
use crate::common::{Site, site, tools};

/// git with an identity of its own, and without the machine's settings.
fn git(folder: &Path, arguments: &[&str]) -> String {
    tools::succeed(command(folder).args(arguments))
}

fn command(folder: &Path) -> Command {
    let mut git = client("git", folder);
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{role}_NAME"), "Test").env(format!("GIT_{role}_EMAIL"), "test@example.org");
    }
    git
}

/// A commit of one file.
fn commit(work: &Path, name: &str, content: &[u8]) {
    std::fs::write(work.join(name), content).unwrap();
    git(work, &["add", name]);
    git(work, &["commit", "--quiet", "--message", name]);
}

/// What `work` has becomes what the server shows.
fn publish(work: &Path, bare: &Path) {
    git(work, &["push", "--quiet", bare.to_str().unwrap(), "main"]);
    git(bare, &["update-server-info"]);
}

#[test]
fn clone_has_packed_and_loose_objects_and_grows() {
    let server = logged(Site::empty());
    let work = folder(&server, "work");
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    let bare = server.site.path("project.git");
    // Shared with all: git would not work in a repository that belonged to the service user.
    git(&server.site.root(), &["init", "--quiet", "--bare", "--shared=all", "--initial-branch=main", "project.git"]);
    commit(&work, "large.bin", &site::large());
    commit(&work, "readme", b"first\n");
    publish(&work, &bare);
    git(&bare, &["gc", "--quiet"]);
    commit(&work, "readme", b"second\n");
    publish(&work, &bare);

    let beside = folder(&server, "clones");
    git(&beside, &["clone", "--quiet", &server.url("/project.git"), "clone"]);
    let clone = beside.join("clone");
    git(&clone, &["fsck", "--full", "--strict"]);
    assert_eq!(std::fs::read_to_string(clone.join("readme")).unwrap(), "second\n");
    assert!(std::fs::read(clone.join("large.bin")).unwrap() == site::large());

    commit(&work, "readme", b"third\n");
    publish(&work, &bare);
    git(&clone, &["pull", "--quiet", "--ff-only"]);
    git(&clone, &["fsck", "--full", "--strict"]);
    assert_eq!(std::fs::read_to_string(clone.join("readme")).unwrap(), "third\n");
}
