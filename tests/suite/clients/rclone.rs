//! rclone: a listing as a remote.

use std::path::Path;
use std::process::Command;

use super::{TREE, assert_tree, client, folder, logged, tree, tree_content};
use crate::common::{Server, tools};

/// rclone with one remote, `:http:`, and no file of settings.
fn rclone(server: &Server, folder: &Path) -> Command {
    let mut command = client("rclone", folder);
    command.args(["--config", "/dev/null", "--quiet", "--retries=1", "--low-level-retries=1"]);
    command.args(["--http-url", &server.url("/")]);
    command
}

#[test]
fn listing_is_a_remote() {
    let server = logged(tree());
    let folder = folder(&server, "rclone");
    let list = ["lsf", "--recursive", "--files-only", "--format", "ps", "--separator", "|", ":http:"];
    let listed = tools::succeed(rclone(&server, &folder).args(list));
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    let mut expected = TREE.map(|name| format!("{name}|{}", tree_content(name).len()));
    expected.sort_unstable();
    assert_eq!(listed, expected, "every name with its size, and nothing else");

    tools::succeed(rclone(&server, &folder).args(["copy", ":http:", "copy"]));
    assert_tree(&folder.join("copy"));
    let check = ["check", "--download", ":http:", "copy"];
    tools::succeed(rclone(&server, &folder).args(check));
}
