//! The recipes of README.md, as they stand there, against the sample site.

use std::fs;
use std::path::Path;

use super::shell;
use crate::common::{Server, Site, tools};

/// The lines of a document that begin with four spaces, below this line and up to the next heading.
fn block(document: &str, after: &str) -> String {
    let (_, rest) = document.split_once(after).unwrap_or_else(|| panic!("README.md has no line {after}"));
    let section = rest.split("\n## ").next().unwrap();
    let lines: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    lines.join("\n")
}

#[test]
fn recipes_work_as_written() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let site = Site::empty();
    let copy = format!("cp -r '{}/etc/www/.' '{}'", project.display(), site.root().display());
    tools::run("sh", &["-ec", &copy]);
    crate::common::site::give(&site.root());
    let server = Server::quick(site, &["--workers", "2", "--upload"]);
    let home = server.site.beside("home");
    fs::create_dir(&home).unwrap();
    let readme = fs::read_to_string(project.join("README.md")).unwrap();
    let recipes = block(&readme, "\n## Recipes\n").replace("http://127.0.0.1:8080", &server.url(""));
    let commands: Vec<&str> = recipes.lines().filter(|line| line.contains("curl ")).collect();
    assert!(commands.len() > 12, "the recipes are found: {recipes}");
    // What makes a line for a user asks for a password; it is tried with the manual.
    let script: Vec<&str> = recipes.lines().filter(|line| !line.starts_with("fileserv --hash-password")).collect();
    let said = tools::succeed(&mut shell(&home, &script.join("\n").replace("curl ", "curl -sS ")));
    for words in ["primes.txt: OK", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "412"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(fs::read(home.join("text.txt")).unwrap(), server.site.read("text.txt"));
}
