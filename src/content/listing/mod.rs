//! Box `content_listing`: the names in a folder, as a page, JSON, plain text or a manifest of digests; folders first.
//! Process: worker, sealed; a helper thread reads. Trusts: no name in the folder. Blocks: the helper, as the disk does.
//! Fails with: 400, 403, 405, 500, 503; a folder that can't be read to its end ends the connection.

mod entries;
mod html;
mod json;
mod manifest;
mod names;
mod request;

use std::fs::File;
use std::io;

use super::{Context, page, refuse_open};
use crate::config::Verb;
use crate::message::{
    Body, BodySource, FieldName, PIECE_BYTES, Progress, Provided, Refusal, Request, Response, Status,
};
use entries::{Entries, Entry, Reader};
use html::HtmlRows;
use json::JsonRows;
use manifest::Manifest;
use names::NameRows;
use request::{Asked, Form};

/// Entries written in one piece of work: some microseconds each.
const ROWS_A_PIECE: usize = 128;

/// Lists a folder that has been opened for this request.
#[doc(alias = "content_listing")]
#[expect(clippy::missing_errors_doc, reason = "the head of this file names the refusals of its provider")]
pub fn listing(ctx: &Context<'_>, request: &Request<'_>, folder: File) -> Provided {
    let verbs = ctx.site.access.verbs(&request.path, &request.visitor);
    if !verbs.contains(Verb::List) {
        return Err(Refusal::lacking(Verb::List, "This folder may not be listed."));
    }
    let asked = Asked::of(request)?;
    // Digests tell of contents what only those may know who can read them.
    if asked.form == Form::Sha256sum && !verbs.contains(Verb::Read) {
        return Err(Refusal::lacking(Verb::Read, "You may not read here."));
    }
    let path = request.path.as_ref();
    // The body outlives the call, so it has its own descriptor of the root, for the symlinks in the folder.
    let root = ctx.root.try_clone_to_owned().map_err(|error| refuse_open(&error))?;
    let reader = Reader::new(folder, root, path, asked.sort, asked.order).map_err(|error| refuse_open(&error))?;
    let response = match asked.form {
        Form::Page => {
            let host = verbs.contains(Verb::Create).then(|| request.host_text());
            page::respond(Status::OK, body(reader, HtmlRows::new(path, asked, host)))
        }
        Form::Json => Response::with_body(Status::OK, "application/json", body(reader, JsonRows::default())),
        Form::Names => Response::with_body(Status::OK, "text/plain; charset=utf-8", body(reader, NameRows)),
        Form::Sha256sum => {
            let source = Box::new(Manifest::new(reader, ctx.site.access.clone(), request.visitor.clone()));
            let body = Body::Source { source, length: None };
            Response::with_body(Status::OK, "text/plain; charset=utf-8; profile=sha256sum", body)
        }
    };
    // A folder's own times don't tell of changes in its files, so there is no validator.
    let response = response.with_field(FieldName::CacheControl, "no-cache");
    Ok(response.with_field(FieldName::Vary, "Accept").into())
}

fn body(reader: Reader, rows: impl Rows + 'static) -> Body {
    Body::Source { source: Box::new(Listing { stage: Stage::Reading(reader), rows }), length: None }
}

/// How a listing is written.
trait Rows: Send {
    /// What stands before the first row.
    fn open(&mut self, out: &mut Vec<u8>);
    /// One entry.
    fn row(&mut self, entry: &Entry, out: &mut Vec<u8>) -> io::Result<()>;
    /// What stands after the last row. `is_cut`: there were more entries than are ever kept.
    fn close(&mut self, is_cut: bool, out: &mut Vec<u8>) -> io::Result<()>;
}

/// A listing in the making: first every entry is read, for they must be in order; then they are written and forgotten.
struct Listing<R> {
    stage: Stage,
    rows: R,
}

enum Stage {
    Reading(Reader),
    Writing(Entries),
}

impl<R: Rows> BodySource for Listing<R> {
    fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        match &mut self.stage {
            Stage::Reading(reader) => {
                if let Some(entries) = reader.read()? {
                    self.rows.open(out);
                    self.stage = Stage::Writing(entries);
                }
                Ok(Progress::More)
            }
            Stage::Writing(entries) => {
                let begin = out.len();
                for _ in 0..ROWS_A_PIECE {
                    let Some(entry) = entries.take_first() else {
                        self.rows.close(entries.is_cut(), out)?;
                        return Ok(Progress::End);
                    };
                    self.rows.row(&entry, out)?;
                    if out.len() - begin >= PIECE_BYTES {
                        break;
                    }
                }
                Ok(Progress::More)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Verbs;
    use crate::content::tests::{World, reply, whole, with_request};
    use crate::message::{Handled, Method};
    use crate::sys::file::open_beneath;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    fn ask(world: &World, method: Method, path: &str, accept: &str) -> Result<Response, Refusal> {
        let folder = open_beneath(world.root.as_fd(), path.as_bytes()).unwrap();
        let provide = |request: &Request<'_>| listing(&world.context(), request, folder);
        with_request(method, path, None, &[("Accept", accept)], provide).map(|handled: Handled| reply(handled))
    }

    fn text(world: &World, path: &str, accept: &str) -> String {
        String::from_utf8(whole(ask(world, Method::Get, path, accept).unwrap().body)).unwrap()
    }

    /// A folder of every kind of name.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in ["b.txt", "Z", "a<b>&\"c\".txt", "javascript:alert(1)", "ü", ".hidden", ".fileserv-00.new"] {
            std::fs::write(path.join(name), "x".repeat(1536)).unwrap();
        }
        for name in ["y", "x y", ".git", ".well-known", "y/.well-known"] {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        symlink("b.txt", path.join("link")).unwrap();
        symlink("../b.txt", path.join("y/up")).unwrap();
        symlink("x y", path.join("door")).unwrap();
        symlink("/etc/passwd", path.join("outside")).unwrap();
        symlink("nothing", path.join("broken")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap());
        folder
    }

    #[test]
    fn json_has_folders_first_then_names_in_order() {
        let folder = folder();
        let mut world = World::new(folder.path());
        let json = text(&world, "/", "application/json");
        let entries: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        let names: Vec<&str> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        let folders = [".well-known", "door", "x y", "y"];
        let files = ["Z", "a<b>&\"c\".txt", "b.txt", "javascript:alert(1)", "link", "ü"];
        assert_eq!(names, [&folders[..], &files[..]].concat());
        assert_eq!(entries[3]["type"], "directory");
        assert_eq!(entries[3]["size"], serde_json::Value::Null);
        assert_eq!(entries[4]["type"], "file");
        assert_eq!(entries[4]["size"], 1536);
        assert_eq!(entries[8]["size"], 1536, "the file that the link leads to");
        let time = entries[4]["modified"].as_str().unwrap();
        assert_eq!(time, page::rfc3339(entries[4]["modified_unix"].as_u64().unwrap()));

        let below: Vec<serde_json::Value> = serde_json::from_str(&text(&world, "/y/", "application/json")).unwrap();
        assert_eq!(below.len(), 1, "{below:?}");
        assert_eq!(below[0]["name"], "up");
        world.allow(Verbs::NONE.with(Verb::Read));
        assert_eq!(ask(&world, Method::Get, "/", "*/*").unwrap_err().status, Status::FORBIDDEN);
    }

    #[test]
    fn a_page_escapes_names_and_links() {
        let folder = folder();
        let mut world = World::new(folder.path());
        let page = text(&world, "/", "text/html");
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
        assert!(page.contains("<a href=\"./a%3Cb%3E%26%22c%22.txt\">a&lt;b&gt;&amp;&quot;c&quot;.txt</a>"), "{page}");
        assert!(page.contains("<a href=\"./javascript%3Aalert%281%29\">"));
        assert!(page.contains("<a href=\"./x%20y/\">x y/</a>"));
        assert!(page.contains("title=\"1536 bytes\">1.5 KiB</td>"));
        assert!(page.contains("4 folders, 6 files, 9.0 KiB"));
        assert!(!page.contains("href=\"../\"") && !page.contains("curl"));
        world.allow(Verbs::NONE.with(Verb::List).with(Verb::Create));
        let page = text(&world, "/x y/", "text/html");
        assert!(page.contains("href=\"../\""));
        assert!(page.contains("curl -T FILE http://files.example:8080/x%20y/"), "{page}");
    }

    #[test]
    fn an_empty_folder_and_other_methods() {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new(folder.path());
        assert_eq!(text(&world, "/", "application/json"), "[]\n");
        assert!(text(&world, "/", "*/*").contains("0 folders, 0 files"));
        let response = ask(&world, Method::Head, "/", "*/*").unwrap();
        assert_eq!(response.fields.find(FieldName::Vary), Some(&"Accept".into()));
    }

    #[test]
    fn many_entries_come_in_bounded_pieces() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..2000 {
            std::fs::write(folder.path().join(format!("{number:04}-{}", "n".repeat(200))), "").unwrap();
        }
        let world = World::new(folder.path());
        let Body::Source { mut source, .. } = ask(&world, Method::Get, "/", "text/html").unwrap().body else {
            panic!("no source")
        };
        let mut all = Vec::new();
        loop {
            let before = all.len();
            let progress = source.fill(&mut all).unwrap();
            assert!(all.len() - before < PIECE_BYTES + 4096);
            if progress == Progress::End {
                break;
            }
        }
        assert_eq!(String::from_utf8(all).unwrap().matches("<tr>").count(), 2001);
    }
}
