//! No answer is older than its request: whatever is done to files and folders, by whatever way, whoever asks after it is
//! done gets what is there now, from every worker, though all of them keep what they have read.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::client::{Reply, head};
use crate::common::server::EVERYTHING;
use crate::common::site::give;
use crate::common::{Client, Server, Site, cannot_run, until};

/// Files that are written, replaced and removed; among them a compressed sibling, an index, the page in place of what is
/// missing, and one that is too large to be kept whole.
const FILES: [&str; 9] = ["f", "a/f", "a/f.gz", "a/b/f", "a/b/g", "c/f", "c/index.html", "c/page", "c/large"];
const LARGE: &str = "c/large";
/// Folders that are moved, and where to.
const MOVES: [(&str, &str); 6] =
    [("a/b", "a/x"), ("a/x", "a/b"), ("a", "z"), ("z", "a"), ("c", "a/b/c"), ("a/b/c", "c")];
/// Folders that are removed with all in them, made again, and closed.
const FOLDERS: [&str; 3] = ["a/b", "a", "c"];
/// Wherever a folder may be, those above first.
const PLACES: [&str; 8] = ["a", "z", "c", "a/b", "a/x", "z/b", "z/x", "a/b/c"];
/// Where a file may be found after some moves, or through a link, or as an index.
const ELSEWHERE: [&str; 7] = ["a/x/f", "z/f", "z/b/f", "a/b/c/f", "link/f", "c/", "nothing/at/all"];
/// The page of a site in place of what is missing, where it has one.
const PAGE: &str = "c/page";
/// So often each path is asked for by each reader after each act. There are several readers a worker: its first answer may
/// be kept, the next ones compared until the file is watched, and the others believed.
const ROUNDS: usize = 3;
const READERS: usize = 8;

/// How a reader asks.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Plainly,
    /// Only if it is not what it was.
    Conditionally,
    ForAPart,
    ForTheSibling,
}

const MANNERS: [Manner; 4] = [Manner::Plainly, Manner::Conditionally, Manner::ForAPart, Manner::ForTheSibling];

/// One act of somebody else. Numbers are those of a file, or of a move.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Anew, in place.
    Write(usize),
    /// One byte, in place, and the length stays.
    Overwrite(usize),
    /// A new file is moved over it.
    Replace(usize),
    CutOff(usize),
    Touch(usize, u64),
    /// Nobody may read it, or everybody again.
    Close(usize),
    Remove(usize),
    /// By another name that is made for it, in a folder that is not served.
    WriteByNewLink(usize),
    /// By the other name that it got last, if it is still the same file.
    WriteByOldLink(usize),
    Move(usize),
    /// A folder with all in it, while somebody has the folder open or not.
    RemoveFolder(usize, bool),
    /// With a file in it at once.
    MakeFolder(usize),
    /// Nobody may reach what is in it, or everybody again.
    CloseFolder(usize),
    /// By the server, as somebody else's request.
    Upload(usize),
    Delete(usize),
    /// A symbolic link is pointed to the one folder, or to the other.
    Point(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let (file, folder) = (0..FILES.len(), 0..FOLDERS.len());
    prop_oneof![
        4 => file.clone().prop_map(Act::Write),
        2 => file.clone().prop_map(Act::Overwrite),
        2 => file.clone().prop_map(Act::Replace),
        1 => file.clone().prop_map(Act::CutOff),
        2 => (file.clone(), 1_000_000_000_u64..1_000_001_000).prop_map(|(file, time)| Act::Touch(file, time)),
        2 => file.clone().prop_map(Act::Close),
        1 => file.clone().prop_map(Act::Remove),
        2 => file.clone().prop_map(Act::WriteByNewLink),
        2 => file.clone().prop_map(Act::WriteByOldLink),
        4 => (0..MOVES.len()).prop_map(Act::Move),
        2 => any::<bool>().prop_map(Act::Point),
        2 => (folder.clone(), any::<bool>()).prop_map(|(folder, is_open)| Act::RemoveFolder(folder, is_open)),
        4 => folder.clone().prop_map(Act::MakeFolder),
        3 => folder.prop_map(Act::CloseFolder),
        2 => file.clone().prop_map(Act::Upload),
        1 => file.prop_map(Act::Delete),
    ]
}

/// The document root, and the folder beside it.
struct World<'s> {
    site: &'s Site,
    /// Makes every content another one.
    count: u64,
    /// Whose requests change files.
    writer: Client,
    /// Removed folders that somebody still has open.
    held: Vec<File>,
    /// Has the site a page in place of what is missing?
    has_page: bool,
    /// Every content that was seen with a tag, and the last tag that was seen at a path.
    tagged: HashMap<String, Vec<u8>>,
    tags: HashMap<String, String>,
}

/// What a reader must get.
struct Truth {
    status: u16,
    content: Vec<u8>,
    modified: Option<SystemTime>,
}

impl Truth {
    fn nothing(status: u16) -> Self {
        Self { status, content: Vec::new(), modified: None }
    }
}

impl World<'_> {
    fn content(&mut self, file: usize) -> Vec<u8> {
        self.count += 1;
        let text = format!("{:016} ", self.count);
        text.repeat(if FILES[file] == LARGE { 12_000 } else { 3 }).into_bytes()
    }

    /// A time in the past, so that the server takes the file as settled and keeps it at once.
    fn age(&self, path: &PathBuf) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.set_modified(SystemTime::now() - Duration::from_secs(5))
    }

    /// An act that is impossible now is none.
    fn perform(&mut self, act: Act) -> io::Result<()> {
        let path = |file: usize| self.site.path(FILES[file]);
        let link = |file: usize| self.site.beside(&format!("link-{file}"));
        match act {
            Act::Write(file) => {
                let path = path(file);
                fs::write(&path, self.content(file))?;
                fs::set_permissions(&path, Permissions::from_mode(0o644))?;
                self.age(&path)
            }
            Act::Overwrite(file) => {
                let byte = b'a' + u8::try_from(self.count % 26).unwrap();
                OpenOptions::new().write(true).open(path(file))?.write_all_at(&[byte], 1)
            }
            Act::Replace(file) => {
                let (path, new) = (path(file), self.site.beside("new"));
                fs::write(&new, self.content(file))?;
                fs::set_permissions(&new, Permissions::from_mode(0o644))?;
                self.age(&new)?;
                fs::rename(new, path)
            }
            Act::CutOff(file) => OpenOptions::new().write(true).open(path(file))?.set_len(5),
            Act::Touch(file, seconds) => {
                File::options().write(true).open(path(file))?.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
            }
            Act::Close(file) => {
                let mode = fs::metadata(path(file))?.mode() ^ 0o644;
                fs::set_permissions(path(file), Permissions::from_mode(mode & 0o777))
            }
            Act::Remove(file) => fs::remove_file(path(file)),
            Act::WriteByNewLink(file) => {
                let _ = fs::remove_file(link(file));
                fs::hard_link(path(file), link(file))?;
                let (link, content) = (link(file), self.content(file));
                fs::write(link, content)
            }
            Act::WriteByOldLink(file) => {
                let (link, content) = (link(file), self.content(file));
                OpenOptions::new().write(true).open(link)?.write_all_at(&content, 0)
            }
            Act::Move(_) | Act::RemoveFolder(..) | Act::MakeFolder(_) | Act::CloseFolder(_) | Act::Point(_) => {
                self.perform_on_a_folder(act)
            }
            Act::Upload(file) => {
                let content = self.content(file);
                self.writer.request("PUT", &format!("/{}", FILES[file]), &[], &content);
                Ok(())
            }
            Act::Delete(file) => {
                self.writer.request("DELETE", &format!("/{}", FILES[file]), &[], b"");
                Ok(())
            }
        }
    }

    fn perform_on_a_folder(&mut self, act: Act) -> io::Result<()> {
        match act {
            Act::Move(number) => {
                let (from, to) = MOVES[number];
                fs::rename(self.site.path(from), self.site.path(to))
            }
            Act::RemoveFolder(folder, is_open) => {
                let path = self.site.path(FOLDERS[folder]);
                let held = is_open.then(|| File::open(&path));
                let outcome = fs::remove_dir_all(path);
                self.held.extend(held.and_then(Result::ok));
                outcome
            }
            Act::MakeFolder(folder) => {
                let path = self.site.path(FOLDERS[folder]);
                fs::create_dir_all(&path)?;
                give(&path);
                let (file, content) = (path.join("f"), self.content(0));
                fs::write(&file, content)?;
                self.age(&file)
            }
            Act::CloseFolder(folder) => {
                let path = self.site.path(FOLDERS[folder]);
                let mode = fs::metadata(&path)?.mode() ^ 0o155;
                fs::set_permissions(path, Permissions::from_mode(mode & 0o777))
            }
            Act::Point(first) => {
                let new = self.site.path("new-link");
                symlink(if first { "a" } else { "c" }, &new)?;
                fs::rename(new, self.site.path("link"))
            }
            Act::Write(_)
            | Act::Overwrite(_)
            | Act::Replace(_)
            | Act::CutOff(_)
            | Act::Touch(..)
            | Act::Close(_)
            | Act::Remove(_)
            | Act::WriteByNewLink(_)
            | Act::WriteByOldLink(_)
            | Act::Upload(_)
            | Act::Delete(_) => unreachable!("{act:?} is none on a folder"),
        }
    }

    /// What stands at a path.
    fn file(&self, name: &str) -> Truth {
        let folders = name.match_indices('/').map(|(slash, _)| &name[..slash]);
        for folder in folders {
            match fs::metadata(self.site.path(folder)) {
                Ok(state) if state.is_dir() && state.mode() & 0o111 == 0 => return Truth::nothing(403),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Truth::nothing(403),
                Err(_) => return Truth::nothing(404),
            }
        }
        let path = self.site.path(name);
        let Ok(state) = fs::metadata(&path) else { return Truth::nothing(404) };
        if state.mode() & 0o444 == 0 {
            return Truth::nothing(403);
        }
        Truth { status: 200, modified: state.modified().ok(), content: fs::read(path).unwrap() }
    }

    /// What is served there to who asks in this manner; `None` for a listing.
    fn truth(&self, name: &str, manner: Manner) -> Option<Truth> {
        let is_folder = name.ends_with('/');
        let file = if is_folder { format!("{name}index.html") } else { name.to_owned() };
        let mut truth = self.file(&file);
        if is_folder && truth.status == 404 && self.site.path(name).is_dir() {
            return None;
        }
        let mut found = file.as_str();
        // Names with a dot are those of files, and not of an application.
        if truth.status == 404 && self.has_page && !name.ends_with(".html") && !name.ends_with(".gz") {
            let page = self.file(PAGE);
            if page.status == 200 {
                (truth, found) = (page, PAGE);
            }
        }
        if matches!(manner, Manner::ForTheSibling) && truth.status == 200 {
            let sibling = self.file(&format!("{found}.gz"));
            if sibling.status == 200 && sibling.modified >= truth.modified {
                truth = sibling;
            }
        }
        Some(truth)
    }

    /// All ask before the first of them is answered, so that a worker has several requests at once.
    fn check(&mut self, readers: &mut [Client], act: Act) {
        for name in FILES.iter().chain(&ELSEWHERE) {
            let target = format!("/{name}");
            let tag = self.tags.get(*name).map_or_else(|| "\"none\"".to_owned(), Clone::clone);
            for (reader, manner) in readers.iter_mut().zip(MANNERS.iter().cycle()) {
                let field = match manner {
                    Manner::Plainly => "Accept: */*",
                    Manner::Conditionally => &format!("If-None-Match: {tag}"),
                    Manner::ForAPart => "Range: bytes=1-3",
                    Manner::ForTheSibling => "Accept-Encoding: gzip",
                };
                reader.send(head("GET", &target, &[field], b""));
            }
            for (reader, &manner) in readers.iter_mut().zip(MANNERS.iter().cycle()) {
                let reply = reader.reply("GET");
                let what = format!("{name} {manner:?} after {act:?}");
                match self.truth(name, manner) {
                    Some(truth) => self.compare(name, &reply, &truth, &what),
                    None => assert_eq!(reply.status, 200, "{what}: a listing"),
                }
            }
        }
    }

    fn compare(&mut self, name: &str, reply: &Reply, truth: &Truth, what: &str) {
        let status = if matches!(reply.status, 206 | 304) { 200 } else { reply.status };
        assert_eq!(status, truth.status, "{what}");
        let Some(modified) = truth.modified else { return };
        let tag = reply.field("etag").unwrap().trim_start_matches("W/").to_owned();
        match reply.status {
            206 => assert_eq!(reply.body, truth.content[1..=3], "{what}"),
            // What was seen with this tag is what is there.
            304 => assert!(self.tagged[&tag] == truth.content, "{what}: it is not the same"),
            _ => assert!(reply.body == truth.content, "{what}: other content"),
        }
        if reply.status != 304 {
            assert_eq!(reply.field("last-modified"), Some(httpdate::fmt_http_date(modified).as_str()), "{what}");
        }
        let seen = self.tagged.entry(tag.clone()).or_insert_with(|| truth.content.clone());
        assert!(*seen == truth.content, "{what}: one tag for two contents");
        self.tags.insert(name.to_owned(), tag);
    }
}

/// How many files and folders the workers watch.
fn watched(server: &Server) -> u64 {
    server.stats()["cache_watched"].as_u64().unwrap()
}

/// Lets others act on a site, and asks after each act.
fn nobody_gets_what_was(site: Site, has_page: bool, at_the_end: impl FnOnce(&Server)) {
    for folder in ["a", "a/b", "c"] {
        fs::create_dir_all(site.path(folder)).unwrap();
        give(&site.path(folder));
    }
    let page = if has_page { format!("fallback = \"/{PAGE}\"\n") } else { String::new() };
    let limits = "limits.requests_per_connection = 1000000000";
    let config = format!("workers = 2\nprecompressed = [\"gzip\"]\n{page}{limits}\n{EVERYTHING}");
    let server = Server::with(site, &config);
    let mut readers: Vec<Client> = (0..READERS).map(|_| server.connect()).collect();
    let mut world = World {
        site: &server.site,
        count: 0,
        writer: server.connect(),
        held: Vec::new(),
        has_page,
        tagged: HashMap::new(),
        tags: HashMap::new(),
    };
    // The world is never made anew: each sequence begins with what the one before left.
    let world = std::cell::RefCell::new((&mut world, &mut readers));
    let mut runner =
        TestRunner::new(Config { cases: 6, max_shrink_iters: 0, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(act(), 20), |acts| {
        let (world, readers) = &mut *world.borrow_mut();
        for act in acts {
            let _ = world.perform(act);
            for _ in 0..ROUNDS {
                world.check(readers, act);
            }
        }
        Ok(())
    });
    for place in PLACES {
        let _ = fs::set_permissions(server.site.path(place), Permissions::from_mode(0o755));
    }
    outcome.unwrap();
    at_the_end(&server);
}

#[test]
fn nobody_gets_what_was_there_before_a_change() {
    nobody_gets_what_was(Site::big(), false, |_| {});
}

#[test]
fn nor_on_a_file_system_in_memory() {
    let by_handle = InitFlags::from_bits_retain(libc::FAN_REPORT_FID);
    let tells = Fanotify::init(by_handle, EventFFlags::empty()).is_ok();
    nobody_gets_what_was(Site::in_memory(), true, |server| {
        if tells {
            until("files are watched", || watched(server) > 0);
        } else {
            cannot_run("nor_on_a_file_system_in_memory", "this kernel, or a container, lets nobody hear of changes");
        }
    });
}

#[test]
fn a_folder_that_was_made_again_is_another_one_though_the_old_one_is_held_open() {
    let server = Server::with(Site::big(), &format!("workers = 2\n{EVERYTHING}"));
    let path = |name: &str| server.site.path(name);
    let mut readers: Vec<Client> = (0..READERS).map(|_| server.connect()).collect();
    let mut all_get = |status: u16, what: &str| {
        for _ in 0..ROUNDS {
            for reader in &mut readers {
                assert_eq!(reader.get("/a/b/x").status, status, "{what}");
            }
        }
    };
    fs::create_dir(path("a")).unwrap();
    for _ in 0..10 {
        fs::create_dir(path("a/b")).unwrap();
        all_get(404, "there is no such file");
        let held = File::open(path("a/b")).unwrap();
        fs::remove_dir(path("a/b")).unwrap();
        fs::create_dir(path("a/b")).unwrap();
        fs::write(path("a/b/x"), "x").unwrap();
        all_get(200, "it stands in the new folder");
        fs::rename(path("a/b"), path("a/c")).unwrap();
        all_get(404, "the new folder was moved");
        fs::remove_dir_all(path("a/c")).unwrap();
        drop(held);
    }
}

/// A file system over a document root.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn nor_where_changes_are_not_told() {
    let site = Site::empty();
    // It does tell, but is none of those on which the server relies for that: others lie beneath what they show.
    let mount = Command::new("mount").args(["-t", "ramfs", "none"]).arg(site.root()).output();
    if !mount.is_ok_and(|it| it.status.success()) {
        return cannot_run("nor_where_changes_are_not_told", "only root may mount a file system");
    }
    let _mounted = Mounted(site.root());
    fs::set_permissions(site.root(), Permissions::from_mode(0o755)).unwrap();
    nobody_gets_what_was(site, false, |server| assert_eq!(watched(server), 0));
}
