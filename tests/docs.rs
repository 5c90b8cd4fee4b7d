//! Promises of the documents, executed: the manual page and the sample configuration tell every key, every option,
//! every default and every bound, and tell them truly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its ground gives way")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fileserv::cli;
use fileserv::config::{Config, Listen, LogTarget, Options, Override, Source, Verb, bounds, keys, load};
use fileserv::message::Visitor;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// A key of a document: what is said to be its default, and all that is said of it.
#[derive(Debug, Default)]
struct Entry {
    default: Option<String>,
    words: String,
}

/// The keys of the manual page: `.It Cm KEY = DEFAULT`, and the text up to the next one.
fn manual_entries() -> BTreeMap<String, Entry> {
    let page = read("man/fileserv.toml.5").replace("\\(dq", "\"");
    let (_, section) = page.split_once(".Sh KEYS\n").unwrap();
    let (section, _) = section.split_once("\n.Sh ").unwrap();
    let entry = |item: &str| {
        let (head, words) = item.split_once('\n').unwrap();
        let (key, default) = head.split_once(" = ").map_or((head, None), |(key, value)| (key, Some(value.to_owned())));
        (key.to_owned(), Entry { default, words: words.replace('\n', " ") })
    };
    section.split(".It Cm ").skip(1).map(entry).collect()
}

/// The keys of the sample: `#KEY = DEFAULT`, or `KEY = VALUE` with `# Default: DEFAULT` above; all comments above a key
/// are about it. Of a key that stands there twice the second is an example.
fn sample_entries() -> BTreeMap<String, Entry> {
    let (mut entries, mut table, mut above) = (BTreeMap::new(), String::new(), Vec::new());
    for line in read("etc/fileserv.toml").lines().map(str::to_owned) {
        let bare = line.strip_prefix('#').unwrap_or(&line);
        let declared = above.iter().find_map(|words: &String| words.strip_prefix("# Default: ").map(str::to_owned));
        let words = above.join(" ").replace("# ", "");
        let heading = bare.strip_prefix('[').map(|name| name.trim_matches(['[', ']']).to_owned());
        if let Some(name) = heading {
            let default = declared.filter(|default| !default.starts_with("none"));
            entries.entry(name.clone()).or_insert(Entry { default, words });
            table = format!("{name}.");
            above.clear();
        } else if let Some((key, value)) = bare.split_once(" = ").filter(|(key, _)| is_bare_key(key)) {
            let default = declared.or_else(|| (bare != line).then(|| value.to_owned()));
            let default = default.filter(|default| !default.starts_with("none"));
            entries.entry(format!("{table}{key}")).or_insert(Entry { default, words });
            above.clear();
        } else if line.starts_with("# ") {
            above.push(line);
        } else {
            above.clear();
        }
    }
    entries
}

fn is_bare_key(key: &str) -> bool {
    key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
}

/// Loads the daemon's defaults, in a root that is always there, with these overrides.
fn load_with(overrides: &[(&str, &str)]) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.toml");
    fs::write(&file, "").unwrap();
    let options = Options { root: Some("/".into()), ..Options::default() };
    let set = |(key, value): &(&str, &str)| Override::parse(&format!("{key}={value}")).unwrap();
    let overrides = overrides.iter().map(set).collect();
    load(&Source::file("empty.toml".into(), file, options, overrides)).unwrap_or_else(|error| panic!("{error}"))
}

fn assert_document_is_true(document: &str, entries: &BTreeMap<String, Entry>) {
    for key in keys() {
        assert!(entries.contains_key(&key), "{document} lacks the key {key}");
    }
    let without_default = [
        "user",
        "group",
        "pid_file",
        "routes",
        "access.path",
        "access.allow",
        "access.users",
        "access.clients",
        "users_file",
        "tokens_file",
        "cors",
        "redirects",
        "error_pages",
        "fallback",
        "uploads.group",
    ];
    // A site has the defaults of the keys that have the same names at the top; there is no rule without what it rules.
    let has_none = |key: &str| ["site.", "fields.", "quota.", "cors."].iter().any(|table| key.starts_with(table));
    let mut defaults = Vec::new();
    for (key, entry) in entries.iter().filter(|(key, _)| keys().contains(key) || key.as_str() == "access") {
        if has_none(key) {
            continue;
        }
        match &entry.default {
            Some(value) if key == "root" => {
                assert_eq!(*value, format!("{:?}", Config::default().sites.default.root), "{document}");
            }
            Some(value) => defaults.push((key.as_str(), value.as_str())),
            None => assert!(without_default.contains(&key.as_str()), "{document} lacks the default of {key}"),
        }
    }
    let mut expected = Config::default();
    expected.sites.default.root = "/".into();
    assert_eq!(load_with(&defaults), expected, "{document}: {defaults:?}");
    // One at a time as well: nothing may hide behind another key, nor be told of a key that isn't read.
    for (key, value) in defaults {
        assert_eq!(load_with(&[(key, value)]), load_with(&[]), "{document}: {key}");
    }
    for (key, least, most) in bounds() {
        let range = format!("{least} to {most}");
        let words = &entries.get(key).unwrap().words;
        assert!(words.contains(&range), "{document} should tell that {key} is {range}: {words}");
    }
}

#[test]
fn the_manual_tells_every_key_with_its_default_and_bounds() {
    assert_document_is_true("man/fileserv.toml.5", &manual_entries());
}

/// The types are read by people, so they are told first, and in few words: a size is not a number, nor a time a string.
#[test]
fn the_manual_tells_every_key_with_its_type() {
    const TYPES: [&str; 9] = [
        "Boolean",
        "List of strings",
        "List of tables",
        "Number",
        "Number or string",
        "Size",
        "String",
        "Table",
        "Time",
    ];
    let bounds: Vec<_> = bounds().collect();
    for (key, entry) in manual_entries() {
        let told = entry.words.strip_prefix(".Em ").and_then(|words| words.split_once(" . "));
        let told = told.unwrap_or_else(|| panic!("man/fileserv.toml.5 should begin {key} with its type")).0;
        assert!(TYPES.contains(&told), "{key} has the type {told}");
        let Some((_, least, _)) = bounds.iter().find(|(bounded, ..)| *bounded == key) else { continue };
        let expected = match least.trim_start_matches(|letter: char| letter.is_ascii_digit()) {
            "" => "Number",
            unit if unit.starts_with(' ') => "Size",
            _ => "Time",
        };
        assert!(told.starts_with(expected), "{key} is bounded as a {expected}, and has the type {told}");
    }
}

#[test]
fn the_sample_tells_every_key_with_its_default_and_bounds() {
    assert_document_is_true("etc/fileserv.toml", &sample_entries());
}

#[test]
fn the_documents_tell_no_key_that_does_not_exist() {
    let known = |key: &String| {
        let is_table = keys().iter().any(|known| known.starts_with(&format!("{key}.")));
        is_table || keys().contains(key)
    };
    for key in manual_entries().keys().chain(sample_entries().keys()) {
        assert!(known(key), "{key}");
    }
}

#[test]
fn the_manual_tells_every_signal_and_what_to_tell_a_server() {
    let page = read("man/fileserv.8");
    let section = |heading: &str| {
        let (_, rest) = page.split_once(&format!(".Sh {heading}\n")).unwrap();
        rest.split("\n.Sh ").next().unwrap().to_owned()
    };
    let signals = section("SIGNALS");
    let told: Vec<&str> = signals.lines().filter_map(|line| line.strip_prefix(".It Dv ")).collect();
    let told: Vec<&str> = told.iter().flat_map(|names| names.split(" , ")).collect();
    let source = read("src/sys/signals.rs");
    let (_, flags) = source.split_once("let flags = [").unwrap();
    let caught: Vec<&str> = flags.split("];").next().unwrap().split("Signal::").skip(1).collect();
    let caught: Vec<&str> = caught.iter().map(|rest| rest.split(',').next().unwrap()).collect();
    assert!(caught.len() > 4 && caught.contains(&"SIGHUP"), "the signals are found: {caught:?}");
    assert_eq!(sorted(told), sorted(caught), "what man/fileserv.8 tells, and what is caught");

    let options = section("DESCRIPTION");
    let (_, signal) = options.split_once(".It Fl -signal Ar WHAT\n").unwrap();
    let told = signal.split("\n.It ").next().unwrap().lines().filter_map(|line| line.strip_prefix(".Cm "));
    let wishes = <cli::Wish as clap::ValueEnum>::value_variants().iter();
    let wishes: Vec<String> =
        wishes.map(|wish| clap::ValueEnum::to_possible_value(wish).unwrap().get_name().to_owned()).collect();
    let told: Vec<&str> = told.filter(|word| !word.starts_with("pid_file")).collect();
    assert_eq!(sorted(told), sorted(wishes.iter().map(String::as_str).collect()), "what can be told by --signal");
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

#[test]
fn the_manual_tells_every_option() {
    let page = read("man/fileserv.8");
    let help = cli::help();
    let options: Vec<&str> = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'))
        .flat_map(|line| line.split([' ', ',']).filter(|word| word.starts_with('-')))
        .collect();
    assert!(options.contains(&"--set") && options.contains(&"-c"), "{help}");
    for option in options {
        let name = option.strip_prefix('-').unwrap();
        let told = page.lines().filter(|line| line.starts_with(".It Fl ")).any(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            words.windows(2).any(|pair| pair == ["Fl", name])
        });
        assert!(told, "man/fileserv.8 lacks {option}");
    }
}

#[test]
fn the_sample_is_a_sane_service() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/fileserv.toml");
    let options = Options { root: Some("/".into()), ..Options::default() };
    let config = load(&Source::file("etc/fileserv.toml".into(), file, options, Vec::new()));
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let listen = ["0.0.0.0:80", "[::]:80"].map(|address| address.parse::<Listen>().unwrap());
    assert_eq!(config.listen, listen);
    assert_eq!(config.user.as_deref(), Some("fileserv"));
    assert_eq!(config.sites.default.routes.len(), 1, "statistics, and nothing that takes long to compute");
    assert!(
        !config.sites.default.access.verbs(b"/stats", &Visitor::default()).contains(Verb::Read),
        "for this machine"
    );
    let client = Some("127.0.0.1".parse().unwrap());
    let here = Visitor { client, ..Visitor::default() };
    assert!(config.sites.default.access.verbs(b"/stats", &here).contains(Verb::Read));
    assert!(config.sites.default.access.verbs(b"/", &Visitor::default()).contains(Verb::List));
    assert!(!config.sites.can_write());
    assert_eq!(config.log.access, LogTarget::File("/var/log/fileserv/access.log".into()));
}

/// What an operator gets by taking away every `#` before a key: the examples must be right as well.
#[test]
fn the_sample_is_right_with_every_key_turned_on() {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        Some(_) | None => line.to_owned(),
    };
    let text: Vec<String> = read("etc/fileserv.toml").lines().map(uncomment).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.toml");
    // The root of its second site need not be here, nor the group of its uploads, which nobody but a member can give.
    let text: Vec<String> = text.into_iter().filter(|line| line != "group = \"www-data\"").collect();
    fs::write(&file, text.join("\n").replace("\"/srv/docs\"", "\"/\"")).unwrap();
    let options = Options { root: Some("/".into()), ..Options::default() };
    let config = load(&Source::file("all.toml".into(), file, options, Vec::new()));
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.sites.default.routes.len(), 3);
    assert!(config.sites.default.access.verbs(b"/incoming/x", &Visitor::default()).contains(Verb::Create));
    assert_eq!(config.group.as_deref(), Some("fileserv"));
    assert_eq!(config.sites.named.len(), 1);
    assert_eq!(config.sites.default.redirects.find(b"/blog/x").unwrap().0.status, 301);
}
