//! No answer is older than its request: whatever is done to files and folders, by whatever way, whoever asks after it is
//! done gets what is there now, from every worker, though all of them keep what they have read.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, cannot_run, until};

/// Files that are written, replaced and removed; the last one is too large to be kept whole.
const FILES: [&str; 6] = ["f", "a/f", "a/b/f", "a/b/g", "c/f", "c/large"];
const LARGE: &str = "c/large";
/// Folders that are moved, and where to.
const MOVES: [(&str, &str); 6] =
    [("a/b", "a/x"), ("a/x", "a/b"), ("a", "z"), ("z", "a"), ("c", "a/b/c"), ("a/b/c", "c")];
/// Where a file may be found after some moves, or through a link.
const ELSEWHERE: [&str; 6] = ["a/x/f", "z/f", "z/b/f", "a/b/c/f", "link/f", "nothing/at/all"];
/// So often each path is asked for after each act: the first answer may be kept, the second watched, the third believed.
const ROUNDS: usize = 3;
const READERS: usize = 6;

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
    /// A symbolic link is pointed to the one folder, or to the other.
    Point(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let file = 0..FILES.len();
    prop_oneof![
        4 => file.clone().prop_map(Act::Write),
        2 => file.clone().prop_map(Act::Overwrite),
        2 => file.clone().prop_map(Act::Replace),
        1 => file.clone().prop_map(Act::CutOff),
        2 => (file.clone(), 1_000_000_000_u64..1_000_001_000).prop_map(|(file, time)| Act::Touch(file, time)),
        2 => file.clone().prop_map(Act::Close),
        1 => file.clone().prop_map(Act::Remove),
        2 => file.clone().prop_map(Act::WriteByNewLink),
        2 => file.prop_map(Act::WriteByOldLink),
        4 => (0..MOVES.len()).prop_map(Act::Move),
        2 => any::<bool>().prop_map(Act::Point),
    ]
}

/// The document root, and the folder beside it.
struct World<'s> {
    site: &'s Site,
    /// Makes every content another one.
    count: u64,
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
            Act::Move(number) => {
                let (from, to) = MOVES[number];
                fs::rename(self.site.path(from), self.site.path(to))
            }
            Act::Point(first) => {
                let new = self.site.path("new-link");
                symlink(if first { "a" } else { "c" }, &new)?;
                fs::rename(new, self.site.path("link"))
            }
        }
    }

    /// What a reader must get: status, content, and the time of the last change.
    fn truth(&self, name: &str) -> (u16, Vec<u8>, Option<String>) {
        let path = self.site.path(name);
        let Ok(state) = fs::metadata(&path) else { return (404, Vec::new(), None) };
        if state.mode() & 0o444 == 0 {
            return (403, Vec::new(), None);
        }
        let modified = httpdate::fmt_http_date(state.modified().unwrap());
        (200, fs::read(path).unwrap(), Some(modified))
    }

    fn check(&self, readers: &mut [Client], act: Act) {
        for name in FILES.iter().chain(&ELSEWHERE) {
            let (status, content, modified) = self.truth(name);
            for reader in &mut *readers {
                let reply = reader.get(&format!("/{name}"));
                assert_eq!(reply.status, status, "{name} after {act:?}");
                if status == 200 {
                    assert!(reply.body == content, "{name} after {act:?}: other content");
                    assert_eq!(reply.field("last-modified"), modified.as_deref(), "{name} after {act:?}");
                }
            }
        }
    }
}

/// How many files and folders the workers watch.
fn watched(server: &Server) -> u64 {
    server.stats()["cache_watched"].as_u64().unwrap()
}

/// Lets others act on a site, and asks after each act.
fn nobody_gets_what_was(site: Site, at_the_end: impl FnOnce(&Server)) {
    for folder in ["a/b", "c"] {
        fs::create_dir_all(site.path(folder)).unwrap();
    }
    let server = Server::with(site, &format!("workers = 2\nlimits.requests_per_connection = 1000000000\n{EVERYTHING}"));
    let mut readers: Vec<Client> = (0..READERS).map(|_| server.connect()).collect();
    let mut world = World { site: &server.site, count: 0 };
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
    outcome.unwrap();
    at_the_end(&server);
}

#[test]
fn nobody_gets_what_was_there_before_a_change() {
    nobody_gets_what_was(Site::big(), |_| {});
}

#[test]
fn nor_on_a_file_system_in_memory() {
    let by_handle = InitFlags::from_bits_retain(libc::FAN_REPORT_FID);
    let tells = Fanotify::init(by_handle, EventFFlags::empty()).is_ok();
    nobody_gets_what_was(Site::in_memory(), |server| {
        if tells {
            until("files are watched", || watched(server) > 0);
        } else {
            cannot_run("nor_on_a_file_system_in_memory", "this kernel, or a container, lets nobody hear of changes");
        }
    });
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
    nobody_gets_what_was(site, |server| assert_eq!(watched(server), 0));
}
