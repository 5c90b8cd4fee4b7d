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
    &["log", "stats", "auth"],
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

/// Every source file with its path below `src/`; a `tests.rs` is its folder's tests, `x_tests.rs` those of `x.rs`.
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
        } else if path.to_str().is_some_and(|path| path.ends_with(".rs") && !path.ends_with("tests.rs")) {
            visit(&path);
        }
    }
}

/// The lines of a file that are code: no comments, and without the tests at its foot.
fn code(text: &str) -> impl Iterator<Item = &str> {
    without_tests(text).lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn without_tests(text: &str) -> &str {
    &text[..text.find("\n#[cfg(test)]\nmod tests").unwrap_or(text.len())]
}

/// All at once: whoever moves something wants to see everything that it breaks.
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The floors that a file names: `crate::http::…`, also within `use crate::{…}`.
fn imports(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for part in without_tests(text).split("crate::").skip(1) {
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

#[test]
fn supervisor_never_imports_what_reads_client_bytes() {
    let mut wrong = Vec::new();
    for (file, text) in sources().iter().filter(|(file, _)| file.starts_with("supervisor/")) {
        let forbidden = imports(text).into_iter().filter(|name| ["http", "content", "message"].contains(name));
        wrong.extend(forbidden.map(|name| format!("src/{file} imports {name}")));
    }
    assert_none(&wrong);
}

#[test]
fn unsafe_stands_in_sys_only() {
    let mut wrong = Vec::new();
    for (file, text) in sources().iter().filter(|(file, _)| !file.starts_with("sys/")) {
        for line in code(text) {
            // A word of a Content-Security-Policy is `unsafe-inline`, a lint is `unsafe_code`: neither is the keyword.
            let is_keyword = line.split_whitespace().any(|word| word == "unsafe" || word.starts_with("unsafe{"));
            if is_keyword || line.contains("allow(unsafe_code") {
                wrong.push(format!("src/{file}: {line}"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_file_says_what_it_is() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let head = text.lines().take_while(|line| line.starts_with("//!")).count();
        if !text.starts_with("//! ") || head > 10 {
            wrong.push(format!("src/{file} opens with {head} lines of `//!`, not with 1 to 10"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn imports_look_down() {
    let mut wrong = Vec::new();
    // The root of the library only lists its parts.
    for (file, text) in sources().iter().filter(|(file, _)| file != "lib.rs") {
        let own = first_word(file);
        let floor = floor_of(own).unwrap_or_else(|| panic!("src/{file}: {own} has no floor"));
        // An item of the crate's root belongs to no floor.
        let known = imports(text).into_iter().filter_map(|name| floor_of(name).map(|other| (name, other)));
        // The memory of a board is mapped as what it is.
        let is_board = |name: &str| file == "sys/memory.rs" && name == "stats";
        let upward = known.filter(|(name, other)| *name != own && *other <= floor && !is_board(name));
        wrong.extend(upward.map(|(name, _)| format!("src/{file} imports {name}, which is not below it")));
    }
    assert_none(&wrong);
}

#[test]
fn every_box_of_the_drawing_is_found_by_its_name() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (name, place) in BOXES {
        let alias = format!("\"{name}\"");
        let is_alias = |text: &str| text.lines().any(|line| line.contains("doc(alias") && line.contains(&alias));
        let found: Vec<_> = sources.iter().filter(|(_, text)| is_alias(text)).map(|(file, _)| file).collect();
        if !found.iter().any(|file| file.starts_with(place)) {
            wrong.push(format!("{name} belongs to src/{place}; it is in {found:?}"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn outside_crates_have_one_door() {
    let doors: &[(&str, &[&str])] = &[
        ("httparse::", &["http/parse.rs"]),
        ("foldhash::", &["content/cache.rs"]),
        ("landlock::", &["worker/sandbox.rs"]),
        ("seccompiler::", &["worker/seccomp.rs", "worker/seccomp_tree.rs"]),
        ("caps::", &["sys/credentials.rs"]),
        ("signal_hook::", &["sys/signals.rs"]),
        ("syslog::", &["log/"]),
        ("time::", &["log/stamp.rs"]),
        ("nix::", &["sys/"]),
        // A filter on system calls names them by their numbers.
        ("libc::", &["sys/", "worker/seccomp.rs", "worker/seccomp_aarch64.rs", "worker/seccomp_tree.rs"]),
        ("ipnet::", &["config/networks.rs"]),
        ("httpdate::", &["message/date.rs"]),
        ("argon2::", &["auth/"]),
        ("bcrypt::", &["auth/password.rs"]),
        ("rpassword::", &["auth/making.rs"]),
        ("subtle::", &["auth/tokens.rs"]),
        ("base64::", &["auth/making.rs", "http/authorization.rs"]),
    ];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (name, _) in doors.iter().filter(|(_, places)| !places.iter().any(|place| file.starts_with(place))) {
            for line in code(&text).filter(|line| names_crate(line, name)) {
                wrong.push(format!("src/{file} uses {name} beside its door: {line}"));
            }
        }
    }
    assert_none(&wrong);
}

/// Does a line name the crate itself, not a module of ours that is called likewise?
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':'))
}
