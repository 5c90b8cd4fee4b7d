//! A configuration: it is used or refused, and a refusal shows the line that is wrong.

use std::io::Write;

use fileserv::config::{Config, ConfigError, Options, Source, load};

/// Checks the properties of `load`, with the bytes as the file and a root that is there.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(matches!(read(bytes), Err(ConfigError::Unreadable { .. })));
        return;
    };
    let verdict = read(bytes);
    match &verdict {
        Ok(_) => {
            let more = [bytes, b"\n# A comment changes nothing.\n"].concat();
            assert_eq!(read(&more), verdict);
        }
        Err(ConfigError::InFile { line, column, message, excerpt, pointer, .. }) => {
            // An empty line at the end is one too: there a bracket or a quote is missing.
            let shown = text.split('\n').nth(line - 1).expect("the line is there");
            let shown = shown.strip_suffix('\r').unwrap_or(shown);
            assert_eq!(shown, excerpt, "line {line}");
            assert!(*column >= 1 && pointer.chars().count() == column - 1, "column {column}");
            assert!(column - 1 <= shown.chars().count() + 1, "column {column} of {shown:?}");
            assert!(!message.is_empty());
        }
        Err(other) => panic!("{other:?} names no line"),
    }
}

fn read(bytes: &[u8]) -> Result<Config, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().expect("there is room for a file");
    file.write_all(bytes).expect("there is room for its content");
    let options = Options { root: Some("/".into()), ..Options::default() };
    load(&Source::file("f.toml".to_owned(), file.path().to_owned(), options, Vec::new()))
}
