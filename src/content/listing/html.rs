//! A listing as a page.
//! Process: worker, sealed, on a helper thread. Trusts: no name. Blocks: never. Fails with: nothing.

use std::io;

use maud::{Markup, html};

use super::Rows;
use super::entries::{Entry, Order, Sort};
use super::request::Asked;
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
    pub(super) fn new(path: &[u8], asked: Asked, upload_host: Option<&str>) -> Self {
        let title = String::from_utf8_lossy(path);
        let content = html! {
            @if path != b"/" { (breadcrumbs(path)) }
            @if let Some(host) = upload_host {
                p.faint { "Put a file here: " code { "curl -T FILE http://" (plain_host(host)) (page::link(path)) } }
            }
        };
        let columns = html! {
            (column(asked, Sort::Name, "Name", ""))
            (column(asked, Sort::Size, "Size", "number"))
            (column(asked, Sort::Time, "Modified (UTC)", "optional"))
        };
        let table = ["<table><thead><tr>", columns.0.as_str(), "</tr></thead><tbody>\n"].concat();
        let opening = page::opening(&title) + &content.0 + &table;
        Self { opening: opening.into_bytes(), folders: 0, files: 0, bytes: 0 }
    }
}

/// The way to a folder, each step a link. The links are relative, so that they hold behind a proxy that puts the site
/// below a path of its own.
fn breadcrumbs(path: &[u8]) -> Markup {
    let names = || path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
    let depth = names().count();
    html! {
        nav aria-label="The way here" {
            a href=("../".repeat(depth)) { "Home" }
            @for (index, name) in names().enumerate() {
                " / "
                @if index + 1 == depth {
                    span aria-current="page" { (String::from_utf8_lossy(name)) }
                } @else {
                    a href=("../".repeat(depth - index - 1)) { (String::from_utf8_lossy(name)) }
                }
            }
        }
    }
}

/// The head of a column: a link that puts the entries in its order, or turns that round.
fn column(asked: Asked, sort: Sort, title: &str, class: &str) -> Markup {
    let name = match sort {
        Sort::Name => "name",
        Sort::Size => "size",
        Sort::Time => "time",
    };
    // Who looks for a size or a time mostly looks for the largest or the newest.
    let first = if sort == Sort::Name { "asc" } else { "desc" };
    let (next, current) = match (asked.sort == sort, asked.order) {
        (true, Order::Ascending) => ("desc", Some(("ascending", " ↑"))),
        (true, Order::Descending) => ("asc", Some(("descending", " ↓"))),
        (false, _) => (first, None),
    };
    html! {
        th scope="col" class=[Some(class).filter(|class| !class.is_empty())] aria-sort=[current.map(|(words, _)| words)] {
            a href={ "?sort=" (name) "&order=" (next) } { (title) }
            @if let Some((_, arrow)) = current { span aria-hidden="true" { (arrow) } }
        }
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
    use crate::content::listing::request::Form;

    const AS_USUAL: Asked = Asked { form: Form::Page, sort: Sort::Name, order: Order::Ascending };

    #[test]
    fn the_way_back_is_relative() {
        let crumbs = breadcrumbs(b"/a/<b>/c d/").0;
        let expected = "<a href=\"../../../\">Home</a> / <a href=\"../../\">a</a> / \
                        <a href=\"../\">&lt;b&gt;</a> / <span aria-current=\"page\">c d</span>";
        assert!(crumbs.contains(expected), "{crumbs}");
    }

    #[test]
    fn a_column_is_a_link_to_its_order() {
        let size = |asked| column(asked, Sort::Size, "Size", "number").0;
        let other = "<th scope=\"col\" class=\"number\"><a href=\"?sort=size&amp;order=desc\">Size</a></th>";
        assert_eq!(size(AS_USUAL), other);
        let by_size = Asked { sort: Sort::Size, order: Order::Descending, ..AS_USUAL };
        assert!(size(by_size).contains("aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\">"));
    }

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
        HtmlRows::new(b"/", AS_USUAL, None).close(true, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("more in this folder"));
    }
}
