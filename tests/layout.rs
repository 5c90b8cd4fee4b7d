//! The layout's promises, executed: who may import whom, where unsafe code may stand, and that every box has its name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends so")]

use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the top down. A file imports from its own folder and from below; neighbours don't know each other.
/// `message` stands so low because it imports nothing: words that everyone but the supervisor may use.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["supervisor"],
    &["worker"],
    &["http"],
    &["content"],
    &["heritage", "cli"],
    &["log", "stats"],
    &["config"],
    &["message", "sys"],
];

/// The drawing's boxes, the sketch's states, and the file that carries each name.
const BOXES: &[(&str, &str)] = &[
    ("server_start", "supervisor/"),
    ("process_connection", "worker/"),
    ("recv_request", "worker/"),
    ("send_response", "worker/"),
    ("http_handle_request", "http/"),
    ("http_parse", "http/parse.rs"),
    ("http_validate", "http/validate.rs"),
    ("http_route", "http/route.rs"),
    ("http_fill_body", "http/fill_body.rs"),
    ("http_format", "http/format.rs"),
    ("content_sendfile", "content/"),
    ("content_readfile", "content/"),
    ("content_error", "content/"),
    ("content_listing", "content/"),
    ("content_perlin", "content/"),
    ("content_sha256", "content/"),
    ("content_stats", "content/"),
    ("content_upload", "content/"),
    ("IS_NEW", "worker/"),
    ("SEND_HTTP_HEAD", "worker/"),
    ("SEND_HTTP_BODY", "worker/"),
    ("RECV_NEW_FILE_CONTENT", "worker/"),
    ("TMP_BUF", "worker/"),
];

/// Every source file with its path below `src/`.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut |path| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        found.push((name, fs::read_to_string(path).unwrap()));
    });
    found.sort();
    assert!(found.len() > 30, "the sources are found");
    found
}

fn walk(folder: &Path, visit: &mut impl FnMut(&PathBuf)) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            walk(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&path);
        }
    }
}

/// The lines of a file that are code: no comments, and without the tests at its foot.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let tests = text.find("\n#[cfg(test)]\nmod tests").unwrap_or(text.len());
    text[..tests].lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The floors that a file names: `crate::http::…`, also within `use crate::{…}`.
fn imports(text: &str) -> Vec<&str> {
    let tests = text.find("\n#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let mut names = Vec::new();
    for part in text[..tests].split("crate::").skip(1) {
        if let Some(group) = part.strip_prefix('{') {
            let group = &group[..group.find("};").unwrap_or(group.len())];
            let mut depth = 0;
            for item in group.split(|c: char| {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                c == ',' && depth == 0
            }) {
                names.push(first_word(item.trim_start()));
            }
        } else {
            names.push(first_word(part));
        }
    }
    names
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn floor_of(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

fn home(file: &str) -> &str {
    first_word(file)
}

#[test]
fn supervisor_never_imports_what_reads_client_bytes() {
    for (file, text) in sources() {
        if file.starts_with("supervisor/") {
            for forbidden in ["http", "content", "message"] {
                assert!(!imports(&text).contains(&forbidden), "src/{file} imports {forbidden}");
            }
        }
    }
}

#[test]
fn unsafe_stands_in_sys_only() {
    for (file, text) in sources() {
        if file.starts_with("sys/") {
            continue;
        }
        for line in code(&text) {
            // A word of a Content-Security-Policy is `unsafe-inline`, a lint is `unsafe_code`: neither is the keyword.
            let is_keyword = line.split_whitespace().any(|word| word == "unsafe" || word.starts_with("unsafe{"));
            assert!(!is_keyword, "src/{file}: {line}");
            assert!(!line.contains("allow(unsafe_code"), "src/{file}: {line}");
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "src/{file} opens with its head");
        let head = text.lines().take_while(|line| line.starts_with("//!")).count();
        assert!(head <= 12, "src/{file}: a head of {head} lines is no head");
    }
}

#[test]
fn imports_look_down() {
    for (file, text) in sources() {
        let own = home(&file);
        // The root of the library only lists its parts.
        if own == "lib" {
            continue;
        }
        let floor = floor_of(own).unwrap_or_else(|| panic!("src/{file}: {own} has no floor"));
        for name in imports(&text) {
            // Items of the crate's root, such as a constant, belong to no floor.
            let Some(other) = floor_of(name) else { continue };
            assert!(name == own || other > floor, "src/{file} imports {name}, which is not below it");
        }
    }
}

#[test]
fn every_box_of_the_drawing_is_found_by_its_name() {
    let sources = sources();
    for (name, place) in BOXES {
        let alias = format!("\"{name}\"");
        let is_alias = |text: &str| text.lines().any(|line| line.contains("doc(alias") && line.contains(&alias));
        let found: Vec<_> = sources.iter().filter(|(_, text)| is_alias(text)).map(|(file, _)| file).collect();
        assert!(found.iter().any(|file| file.starts_with(place)), "{name} is in src/{place}, not {found:?}");
    }
}

#[test]
fn outside_crates_have_one_door() {
    let doors: &[(&str, &[&str])] = &[
        ("httparse::", &["http/parse.rs"]),
        ("landlock::", &["worker/sandbox"]),
        ("seccompiler::", &["worker/"]),
        ("caps::", &["sys/credentials.rs"]),
        ("signal_hook::", &["sys/signals.rs"]),
        ("syslog::", &["log/"]),
        ("nix::", &["sys/"]),
        // A filter on system calls names them by their numbers.
        ("libc::", &["sys/", "worker/seccomp.rs"]),
        ("httpdate::", &["message/date.rs"]),
    ];
    for (file, text) in sources() {
        for (name, places) in doors {
            if places.iter().any(|place| file.starts_with(place)) {
                continue;
            }
            for line in code(&text) {
                let at = line.match_indices(name).find(|(at, _)| {
                    !line[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':')
                });
                assert!(at.is_none(), "src/{file} uses {name} beside its door: {line}");
            }
        }
    }
}
