//! A listing as JSON: one array, an object a line.
//! Process: worker, sealed, on a helper thread. Trusts: no name. Blocks: never.
//! Fails with: an error when the folder has more entries than can be listed, for an array can't say that it is a part.

use std::io;

use serde::Serialize;

use super::Rows;
use super::entries::Entry;
use crate::content::page;

/// One entry.
#[derive(Serialize)]
struct Row<'e> {
    /// For people: bytes that are no UTF-8 are replaced.
    name: &'e str,
    /// The exact name as a relative link.
    href: String,
    r#type: &'static str,
    /// Bytes; null for a folder.
    size: Option<u64>,
    modified: String,
    modified_unix: u64,
}

/// Writes an array.
#[derive(Default)]
pub(super) struct JsonRows {
    has_rows: bool,
}

impl Rows for JsonRows {
    fn open(&mut self, out: &mut Vec<u8>) {
        out.push(b'[');
    }

    fn row(&mut self, entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(if self.has_rows { b",\n" } else { b"\n" });
        self.has_rows = true;
        let slash = if entry.is_folder { "/" } else { "" };
        let row = Row {
            name: &String::from_utf8_lossy(&entry.name),
            href: format!("./{}{slash}", page::link(&entry.name)),
            r#type: if entry.is_folder { "directory" } else { "file" },
            size: (!entry.is_folder).then_some(entry.size),
            modified: page::rfc3339(entry.modified),
            modified_unix: entry.modified,
        };
        Ok(serde_json::to_writer(out, &row)?)
    }

    fn close(&mut self, is_cut: bool, out: &mut Vec<u8>) -> io::Result<()> {
        if is_cut {
            return Err(io::Error::other("the folder has more entries than can be listed"));
        }
        out.extend_from_slice(if self.has_rows { b"\n]\n" } else { b"]\n" });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_utf8_has_an_exact_link() {
        let mut out = Vec::new();
        let mut rows = JsonRows::default();
        rows.open(&mut out);
        let name = b"a\xff\"\n".as_slice().into();
        rows.row(&Entry { name, is_folder: true, size: 4096, modified: 0 }, &mut out).unwrap();
        rows.close(false, &mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value[0]["name"], "a\u{fffd}\"\n");
        assert_eq!(value[0]["href"], "./a%FF%22%0A/");
        assert_eq!(value[0]["modified"], "1970-01-01T00:00:00Z");
        rows.close(true, &mut out).unwrap_err();
    }
}
