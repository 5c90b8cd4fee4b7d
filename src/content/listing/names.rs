//! A listing as plain text: the names, one a line, folders with a slash at their end.
//! Process: worker, sealed, on a helper thread. Trusts: no name. Blocks: never.
//! Fails with: an error when the folder has more entries than can be listed, for a list of names can't say so.

use std::io;

use super::Rows;
use super::entries::Entry;

/// Writes lines.
pub(super) struct NameRows;

impl Rows for NameRows {
    fn open(&mut self, _out: &mut Vec<u8>) {}

    /// The bytes of the name as they are, but for line ends, which would make two names of one: `\n` and `\r`, and so
    /// `\\` for a backslash.
    fn row(&mut self, entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
        for &byte in &entry.name {
            match byte {
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                _ => out.push(byte),
            }
        }
        out.extend_from_slice(if entry.is_folder { b"/\n" } else { b"\n" });
        Ok(())
    }

    fn close(&mut self, is_cut: bool, _out: &mut Vec<u8>) -> io::Result<()> {
        if is_cut { Err(io::Error::other("the folder has more entries than can be listed")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line() {
        let mut out = Vec::new();
        for (name, is_folder) in [(&b"a b"[..], false), (b"x\ny\\\r", false), (b"\xff", true)] {
            NameRows.row(&Entry { name: name.into(), is_folder, size: 0, modified: 0 }, &mut out).unwrap();
        }
        assert_eq!(out, b"a b\nx\\ny\\\\\\r\n\xff/\n");
        NameRows.close(true, &mut out).unwrap_err();
    }
}
