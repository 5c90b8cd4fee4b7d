//! The examples of the manual pages are run as they stand there; only paths and ports are others.

mod commands;
mod configurations;
mod proxies;
mod readme;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::manual::{PAGES, example, examples, here};
use crate::common::server::binary;
use crate::common::site::{SERVICE_USER, give};
use crate::common::{Server, Site, is_root, tools};

/// A server whose configuration is this text of the manual, with whatever makes the example one of here.
fn serve(site: Site, text: &str) -> Server {
    let file = site.beside("fileserv.toml");
    fs::write(&file, configuration(&site, text)).unwrap();
    let file = file.to_str().unwrap().to_owned();
    tools::run(binary(), &["-t", "-c", &file]);
    Server::run(site, binary(), &["-c", &file])
}

fn configuration(site: &Site, text: &str) -> String {
    let mut more = "sandbox_refusal = \"kill\"\n".to_owned();
    if is_root() {
        more += &format!("user = {SERVICE_USER:?}\n");
    }
    if !text.contains("listen = ") {
        more += "listen = \"127.0.0.1:0\"\n";
    }
    more + &here(text, site)
}

/// A folder below the root for uploads.
fn with_incoming(site: Site) -> Site {
    fs::create_dir(site.path("incoming")).unwrap();
    give(&site.path("incoming"));
    site
}

/// A shell in this folder, which is its home, in which `fileserv` is the one under test. The Python that Debian's
/// packages belong to is found before any other.
fn shell(home: &Path, command: &str) -> Command {
    let programs = home.join("bin");
    if !programs.exists() {
        fs::create_dir(&programs).unwrap();
        std::os::unix::fs::symlink(binary(), programs.join("fileserv")).unwrap();
    }
    let mut shell = tools::command("sh");
    shell.current_dir(home).env("HOME", home).args(["-ec", command]);
    shell.env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", programs.display()));
    shell
}

/// What the sources of the tests say, all of them.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.collect();
    files.sort();
    files.iter().map(|path| if path.is_dir() { sources(path) } else { fs::read_to_string(path).unwrap() }).collect()
}

#[test]
fn every_example_is_tried_by_a_test() {
    let tests = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite"));
    let names: Vec<String> = examples().into_iter().map(|(name, _)| name).collect();
    assert!(names.len() > 20, "the examples are found: {names:?}");
    for name in names {
        let is_tried = ["example", "commands"].iter().any(|call| tests.contains(&format!("{call}(\"{name}\")")));
        assert!(is_tried, "no test tries the example {name} of the manual");
        assert!(!example(&name).trim().is_empty());
    }
}

#[test]
fn pages_are_clean_and_fit_eighty_columns() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    for name in PAGES {
        let page = folder.join(name);
        let page = page.to_str().unwrap();
        let lint = tools::attempt("mandoc", &["-T", "lint", "-W", "warning", page]);
        assert!(lint.status.success() && lint.stdout.is_empty(), "{}", String::from_utf8_lossy(&lint.stdout));
        let text = tools::run("mandoc", &["-T", "utf8", "-O", "width=78", page]);
        for line in text.lines() {
            // A letter that is struck twice, with a backspace between, is a bold one.
            let width = line.chars().count() - 2 * line.matches('\u{8}').count();
            assert!(width <= 80, "{name}: {line}");
        }
    }
}
