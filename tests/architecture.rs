//! Promises of ARCHITECTURE.md and SECURITY.md, executed: each box stands where the drawing's table says, each
//! dependency has its reason, and the audit table names every file of `sys/`.

#![allow(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

use std::fs;
use std::path::{Path, PathBuf};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(project().join(name)).unwrap()
}

/// The text between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The rows of the first table below a heading.
fn table<'t>(document: &'t str, heading: &str) -> Vec<&'t str> {
    let (_, section) = document.split_once(heading).unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    rows.take_while(|line| line.starts_with('|')).skip(2).collect()
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let is_folder = |entry: &fs::DirEntry| entry.file_type().unwrap().is_dir();
    entries.flat_map(|it| if is_folder(&it) { source_files(&it.path()) } else { vec![it.path()] }).collect()
}

#[test]
fn each_box_stands_where_the_table_says() {
    let document = read("ARCHITECTURE.md");
    let mut told = Vec::new();
    for row in table(&document, "## The drawing") {
        for half in row.split("| |") {
            let (paths, boxes): (Vec<_>, Vec<_>) = quoted(half).into_iter().partition(|word| word.starts_with("src/"));
            for name in &boxes {
                let alias = format!("#[doc(alias = \"{name}\")]");
                assert!(paths.iter().any(|path| read(path).contains(&alias)), "{name} is not in {paths:?}");
            }
            for path in paths {
                assert!(boxes.iter().any(|name| read(path).contains(&format!("\"{name}\""))), "{path}: {boxes:?}");
            }
            told.extend(boxes);
        }
    }
    for path in source_files(&project().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let aliases = text.lines().filter_map(|line| line.trim_start().strip_prefix("#[doc(alias = \""));
        for alias in aliases.map(|rest| rest.trim_end_matches("\")]")) {
            assert!(told.contains(&alias), "ARCHITECTURE.md does not tell where {alias} is: {}", path.display());
        }
    }
}

#[test]
fn each_dependency_has_its_reason() {
    let document = read("ARCHITECTURE.md");
    let told: Vec<_> =
        table(&document, "## Dependencies").iter().flat_map(|row| quoted(row.split('|').nth(1).unwrap())).collect();
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    for name in dependencies.keys() {
        assert!(told.contains(&name.as_str()), "ARCHITECTURE.md does not say why {name} is there");
    }
    for name in told {
        assert!(dependencies.contains_key(name), "ARCHITECTURE.md tells of {name}, which is not there");
    }
}

#[test]
fn the_audit_table_names_files_that_exist_and_all_of_sys() {
    let document = read("SECURITY.md");
    let audited: Vec<_> = table(&document, "## AUDIT").iter().flat_map(|row| quoted(row)).collect();
    for path in &audited {
        assert!(fs::read(project().join(path)).is_ok(), "there is no {path}");
    }
    for path in source_files(&project().join("src/sys")) {
        let name = path.strip_prefix(project()).unwrap().to_str().unwrap();
        assert!(audited.contains(&name), "the audit table of SECURITY.md lacks {name}");
    }
}

/// The table of dependencies is looked up and not read, so each of them may have its row.
#[test]
fn the_architecture_stays_readable_in_one_sitting() {
    let document = read("ARCHITECTURE.md");
    let read_in_order = document.lines().count() - table(&document, "## Dependencies").len();
    assert!(read_in_order <= 200, "{read_in_order} lines");
}
