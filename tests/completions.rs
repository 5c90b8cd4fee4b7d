//! The completions for shells are those of the options as they are now, and the shells take them.
//!
//! `FILESERV_WRITE_COMPLETIONS=1 cargo test --test completions` writes them anew.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its ground gives way")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap_complete::Shell;
use fileserv::cli;

/// The shells, and the names under which they look for what belongs to a program `fileserv`.
const FILES: [(Shell, &str); 3] =
    [(Shell::Bash, "fileserv.bash"), (Shell::Zsh, "_fileserv"), (Shell::Fish, "fileserv.fish")];

/// The options, with a name for an address in which zsh does not take what stands behind a colon for something to run.
fn options() -> clap::Command {
    cli::command().mut_arg("listen", |listen| listen.value_name("ADDRESS"))
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging/completions").join(file)
}

#[test]
fn completions_are_those_of_the_options() {
    for (shell, file) in FILES {
        let mut made = Vec::new();
        clap_complete::generate(shell, &mut options(), "fileserv", &mut made);
        if std::env::var_os("FILESERV_WRITE_COMPLETIONS").is_some() {
            fs::write(path(file), &made).unwrap();
        }
        let kept = fs::read(path(file)).unwrap_or_default();
        assert!(
            kept == made,
            "packaging/completions/{file} is old; make it anew: FILESERV_WRITE_COMPLETIONS=1 cargo test --test completions"
        );
    }
}

/// What a shell prints.
fn say(shell: &str, script: &str) -> String {
    let output = Command::new(shell).args(["-c", script]).env("LC_ALL", "C.UTF-8").output();
    let output = output.unwrap_or_else(|error| panic!("{shell} is needed (tests/run installs it): {error}"));
    assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_an_option_and_its_words() {
    let complete = |words: &str, index: usize| {
        let file = path("fileserv.bash");
        let script = format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD={index}; \
             _fileserv fileserv \"${{COMP_WORDS[{index}]}}\" \"${{COMP_WORDS[{index} - 1]}}\"; echo \"${{COMPREPLY[*]}}\"",
            file.display()
        );
        say("bash", &script).trim().to_owned()
    };
    assert_eq!(complete("fileserv --chec", 1), "--check-sandbox");
    assert_eq!(complete("fileserv --signal re", 2), "reload reopen");
}

#[test]
fn fish_completes_an_option_and_its_words() {
    let complete = |line: &str| {
        let script = format!("source '{}'; complete --do-complete '{line}'", path("fileserv.fish").display());
        say("fish", &script)
    };
    assert!(complete("fileserv --chec").starts_with("--check-sandbox"));
    let words = complete("fileserv --signal re");
    assert!(words.contains("reload") && words.contains("reopen"), "{words}");
}

/// zsh completes in a terminal only; that it reads the file and that the file defines what zsh then calls can be seen.
#[test]
fn zsh_reads_its_file() {
    let script =
        format!("autoload -U compinit; compinit -D -u; source '{}'; whence -w _fileserv", path("_fileserv").display());
    assert_eq!(say("zsh", &script).trim(), "_fileserv: function");
}
