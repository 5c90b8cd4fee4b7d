//! Media types of files by their names: what the system's table says, else what `new_mime_guess` knows (its one door).
//! Process: worker. The table is read before the seal, as /etc is out of reach behind it. Trusts: the system's table.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// What is sent where nobody knows better.
const UNKNOWN: &str = "application/octet-stream";

/// The system's table: Debian's has 80 KiB. What is longer is no such table.
const TABLE_LIMIT_BYTES: u64 = 1024 * 1024;

/// So much room its text is read into, as Debian's needs.
const USUAL_TABLE_BYTES: usize = 80 * 1024;

/// About as many extensions Debian's has.
const USUAL_EXTENSIONS: usize = 1500;

/// Extensions in lower case; the values as they are sent.
type Table = HashMap<Box<str>, Arc<str>>;

/// Media types by the extension of a name.
pub struct MediaTypes {
    /// The system's, made from its text when the first name is looked up: half a millisecond, once, by which a start would
    /// be later for every client.
    of_system: LazyCell<Table, Box<dyn FnOnce() -> Table>>,
}

impl Default for MediaTypes {
    fn default() -> Self {
        Self { of_system: LazyCell::new(Box::new(Table::new)) }
    }
}

impl MediaTypes {
    /// Reads the system's table, which need not be there.
    ///
    /// # Errors
    /// When it is there and can't be read.
    pub fn of_system() -> io::Result<Self> {
        Self::read(Path::new("/etc/mime.types"))
    }

    fn read(path: &Path) -> io::Result<Self> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            outcome => outcome?,
        };
        let mut text = Vec::with_capacity(USUAL_TABLE_BYTES);
        file.take(TABLE_LIMIT_BYTES).read_to_end(&mut text)?;
        Ok(Self::parse(text))
    }

    fn parse(text: Vec<u8>) -> Self {
        Self { of_system: LazyCell::new(Box::new(move || table(&String::from_utf8_lossy(&text)))) }
    }

    /// The value of `Content-Type` for a file of this name. Text is declared to be UTF-8, as it is nearly everywhere.
    #[must_use]
    pub fn of_name(&self, path: &[u8]) -> Cow<'static, str> {
        let Some(extension) = extension(path) else { return Cow::Borrowed(UNKNOWN) };
        if let Some(known) = self.of_system.get(extension.to_ascii_lowercase().as_str()) {
            return Cow::Owned(known.to_string());
        }
        let guess = new_mime_guess::from_ext(extension).first_raw();
        guess.map_or(Cow::Borrowed(UNKNOWN), |guess| with_charset(Cow::Borrowed(guess)))
    }
}

/// Lines of a type and its extensions, as mime.types(5) has them. Of two types for an extension the last one holds. Most
/// types of the usual table have no extension, and are passed over at once.
fn table(text: &str) -> Table {
    let mut table = HashMap::with_capacity(USUAL_EXTENSIONS);
    for line in text.split('\n') {
        let end = memchr::memchr(b'#', line.as_bytes()).unwrap_or(line.len());
        let mut words = line.get(..end).unwrap_or_default().split_ascii_whitespace();
        let (Some(media_type), Some(first)) = (words.next(), words.next()) else { continue };
        if !is_media_type(media_type) {
            continue;
        }
        let value: Arc<str> = with_charset(Cow::Borrowed(media_type)).into();
        for extension in std::iter::once(first).chain(words) {
            table.insert(extension.to_ascii_lowercase().into(), value.clone());
        }
    }
    table
}

/// What follows the last dot of the last name; `None` if there is none that a table could have.
fn extension(path: &[u8]) -> Option<&str> {
    let name = path.rsplit(|&byte| byte == b'/').next()?;
    let dot = memchr::memrchr(b'.', name)?;
    std::str::from_utf8(name.get(dot + 1..)?).ok()
}

/// Two tokens and a slash: anything else must not get into a head.
fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

fn with_charset(media_type: Cow<'_, str>) -> Cow<'_, str> {
    match &*media_type {
        "text/html" => Cow::Borrowed("text/html; charset=utf-8"),
        "text/plain" => Cow::Borrowed("text/plain; charset=utf-8"),
        "text/css" => Cow::Borrowed("text/css; charset=utf-8"),
        "text/javascript" => Cow::Borrowed("text/javascript; charset=utf-8"),
        text if text.starts_with("text/") => Cow::Owned(format!("{text}; charset=utf-8")),
        _ => media_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_name() {
        let table: [(&[u8], &str); 7] = [
            (b"/a/index.html", "text/html; charset=utf-8"),
            (b"/a.tar/README", "application/octet-stream"),
            (b"/x.PNG", "image/png"),
            (b"/x.md", "text/markdown; charset=utf-8"),
            (b"/x.\xff", "application/octet-stream"),
            (b"/x.js", "text/javascript; charset=utf-8"),
            (b"/x.", "application/octet-stream"),
        ];
        for (path, expected) in table {
            assert_eq!(MediaTypes::default().of_name(path), expected, "{}", String::from_utf8_lossy(path));
        }
    }

    #[test]
    fn the_table_of_the_system_goes_before_the_guess() {
        let types = MediaTypes::parse(
            b"# comment\n\napplication/x-mine\tmine PNG # more\ntext/x-ours ours\nno-type bad\n\
             text/evil\x7f bad\na/b\nimage/png\npng/second ours2\nx/y ours2\n"
                .to_vec(),
        );
        let table = [
            ("a.mine", "application/x-mine"),
            ("a.MINE", "application/x-mine"),
            ("a.png", "application/x-mine"),
            ("a.ours", "text/x-ours; charset=utf-8"),
            ("a.ours2", "x/y"),
            ("a.bad", "application/octet-stream"),
            ("a.css", "text/css; charset=utf-8"),
        ];
        for (name, expected) in table {
            assert_eq!(types.of_name(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn a_table_need_not_be_there() {
        let folder = tempfile::tempdir().unwrap();
        assert!(MediaTypes::read(&folder.path().join("none")).unwrap().of_system.is_empty());
        let there = folder.path().join("mime.types");
        std::fs::write(&there, "a/b c\n").unwrap();
        assert_eq!(MediaTypes::read(&there).unwrap().of_name(b"x.c"), "a/b");
        assert!(MediaTypes::read(folder.path()).is_err());
    }
}
