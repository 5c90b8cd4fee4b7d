//! A listing as a page.
//! Process: worker, sealed, on a helper thread. Trusts: no name. Blocks: never. Fails with: nothing.

use std::io;

use maud::html;

use super::Rows;
use super::entries::Entry;
use crate::content::page;

/// Writes a page with a table, and counts what it has written.
pub(super) struct HtmlRows {
    /// What stands before the table; taken when it is written.
    opening: Vec<u8>,
    folders: u64,
    files: u64,
    bytes: u64,
}

impl HtmlRows {
    /// The listing of this decoded path. `upload_host`: files can be put here, under this host.
    pub(super) fn new(path: &[u8], upload_host: Option<&str>) -> Self {
        let title = String::from_utf8_lossy(path);
        let content = html! {
            @if path != b"/" {
                p { a href="../" { "↑ To the folder above" } }
            }
            @if let Some(host) = upload_host {
                p.faint { "Put a file here: " code { "curl -T FILE http://" (plain_host(host)) (page::link(path)) } }
            }
        };
        let table = "<table><thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"number\">Size</th>\
                     <th scope=\"col\" class=\"optional\">Modified (UTC)</th></tr></thead><tbody>\n";
        let opening = page::opening(&title) + &content.0 + table;
        Self { opening: opening.into_bytes(), folders: 0, files: 0, bytes: 0 }
    }
}

/// The host as far as it is safe on a command line: what a person copies from a page must not be a command of its own.
fn plain_host(host: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if !host.is_empty() && host.bytes().all(is_plain) { host } else { "HOST" }
}

impl Rows for HtmlRows {
    fn open(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.opening);
    }

    fn row(&mut self, entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
        let slash = if entry.is_folder { "/" } else { "" };
        let name = String::from_utf8_lossy(&entry.name);
        // A time without its `T` and `Z`, for people: 2024-05-06 07:08:09.
        let time = page::rfc3339(entry.modified);
        let shown = time.replace('T', " ").replace('Z', "");
        let row = html! {
            tr {
                // `./` keeps a colon in a name from making a scheme of what stands before it.
                td.name { a href={ "./" (page::link(&entry.name)) (slash) } { (name) (slash) } }
                @if entry.is_folder {
                    td.number { "–" }
                } @else {
                    td.number title={ (entry.size) " bytes" } { (page::human_size(entry.size)) }
                }
                td.optional { time datetime=(time) { (shown) } }
            }
        };
        out.extend_from_slice(row.0.as_bytes());
        out.push(b'\n');
        if entry.is_folder {
            self.folders += 1;
        } else {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(entry.size);
        }
        Ok(())
    }

    fn close(&mut self, is_cut: bool, out: &mut Vec<u8>) -> io::Result<()> {
        let plural = |count: u64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
        let (folders, files) = (plural(self.folders, "folder"), plural(self.files, "file"));
        let summary = html! {
            p.faint { (folders) ", " (files) ", " (page::human_size(self.bytes)) }
            @if is_cut {
                p { strong { "There is more in this folder than can be listed." } }
            }
        };
        out.extend_from_slice(b"</tbody></table>");
        out.extend_from_slice(summary.0.as_bytes());
        out.extend_from_slice(page::CLOSING.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_can_not_smuggle_a_command() {
        assert_eq!(plain_host("[::1]:8080"), "[::1]:8080");
        for host in ["", "a;reboot", "$(x)", "a'b", "a b", "a&b"] {
            assert_eq!(plain_host(host), "HOST");
        }
    }

    #[test]
    fn a_listing_that_was_cut_says_so() {
        let mut out = Vec::new();
        HtmlRows::new(b"/", None).close(true, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("more in this folder"));
    }
}
