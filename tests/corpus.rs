//! The properties of `tests/fuzz`, with every input that is kept: what the fuzzer has found once is looked at by each
//! run of the tests, without a fuzzer.
#![allow(clippy::unwrap_used, reason = "a test ends where its ground gives way")]
#![allow(clippy::print_stdout, reason = "a test that fails shows which input it was")]

#[path = "fuzz/properties/mod.rs"]
mod properties;

use std::fs;
use std::path::Path;

/// Runs one property over its inputs, and over every beginning of the shorter ones.
fn holds(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} holds {} inputs", folder.display(), files.len());
    for file in files {
        // Shown only where it ends in a panic.
        println!("{}", file.display());
        let bytes = fs::read(&file).unwrap();
        property(&bytes);
        for end in 0..bytes.len().min(BEGINNING_LIMIT_BYTES) {
            property(bytes.get(..end).unwrap());
        }
    }
}

/// Of longer inputs no more beginnings than these, so that the whole takes a second or two.
const BEGINNING_LIMIT_BYTES: usize = 100;

macro_rules! corpora {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name), properties::$name);
        })*

        /// A property that nobody calls would be a promise that nobody keeps.
        #[test]
        fn every_target_is_here() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/fuzz_targets");
            let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            let targets: Vec<_> = files.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
            assert_eq!(targets, [$(stringify!($name)),*]);
        }
    };
}

corpora! { accept_encoding chunked config date forwarded head proxy_header range target want_digest }
