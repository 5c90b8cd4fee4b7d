//! The commands of README.md, as they stand there: the recipes, against the sample site, and those of the configuration.

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

#[test]
fn configuration_can_be_tried_in_any_checkout() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let site = Site::empty();
    let home = site.beside("checkout");
    fs::create_dir(&home).unwrap();
    tools::run("sh", &["-ec", &format!("cp -r '{}/etc' '{}'", project.display(), home.display())]);
    crate::common::site::give(&home);
    let readme = fs::read_to_string(project.join("README.md")).unwrap();
    let commands = block(&readme, "\n## Configuration\n").replace("127.0.0.1:8080", "127.0.0.1:0");
    let commands: Vec<String> = commands.lines().map(as_typed).collect();
    assert!(commands.len() > 6, "the commands are found: {commands:?}");
    let said = tools::succeed(&mut shell(&home, &commands.join("\n")));
    for words in ["configuration is correct", " 0 POSSIBLE", "the reload is done", "has ended"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// A command as somebody types it, who sees that a server serves before the next one, and ends one in the foreground.
fn as_typed(line: &str) -> String {
    let (command, _) = line.split_once(" #").unwrap_or((line, ""));
    match command.trim_end() {
        server if server.ends_with('&') => {
            let server = server.trim_end_matches('&');
            format!(
                "{server} 2>said & server=$!\nuntil grep -q ' serves ' said; do kill -0 $server || {{ cat said; exit 1; }}; done"
            )
        }
        quick if quick.starts_with("fileserv --set") => quick.replace("fileserv", "fileserv -t"),
        other => other.to_owned(),
    }
}
