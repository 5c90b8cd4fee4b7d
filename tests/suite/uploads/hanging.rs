//! Content of uploads to a disk that hangs: it waits in little memory, and everybody else goes on. Opening, committing and
//! removing there has no such promise: as many of those as there are disk threads hold up all others.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::client::head;
use crate::common::server::EVERYTHING;
use crate::common::site::give;
use crate::common::tools::run;
use crate::common::{Client, Server, Site, cannot_run, is_root, processes, until};

/// A small disk of its own, below the root of a site.
struct Disk(PathBuf);

impl Disk {
    fn mount(site: &Site) -> Option<Self> {
        let (image, place) = (site.beside("image"), site.path("disk"));
        std::fs::create_dir(&place).unwrap();
        std::fs::File::create(&image).unwrap().set_len(512 << 20).unwrap();
        run("mkfs.ext4", &["-q", image.to_str().unwrap()]);
        let mounted = Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&place).output();
        mounted.is_ok_and(|it| it.status.success()).then(|| {
            give(&place);
            Self(place)
        })
    }

    /// From now on whoever writes to it waits.
    fn freeze(&self) -> Frozen<'_> {
        run("fsfreeze", &["--freeze", self.0.to_str().unwrap()]);
        Frozen(&self.0)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A disk that hangs, until this is dropped.
struct Frozen<'d>(&'d Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(self.0).status();
    }
}

/// A site with a disk, where such a thing can be had.
fn site_with_disk(test: &str) -> Option<(Site, Disk)> {
    let site = Site::big();
    site.write("hello.txt", "hello, world\n");
    site.write("folder/old.txt", "old");
    let disk = if is_root() { Disk::mount(&site) } else { None };
    if disk.is_none() {
        cannot_run(test, "only root may mount a disk, and not everywhere");
    }
    Some((site, disk?))
}

/// An upload of so many bytes that may send them: its temporary is made.
fn begin(server: &Server, number: usize, bytes: usize) -> Client {
    let mut client = server.connect();
    // What comes fast makes the kernel keep more ready for the next who asks.
    assert_eq!(client.request("PUT", "/folder/first", &[], &vec![b'x'; 2 << 20]).status / 100, 2);
    let length = format!("Content-Length: {bytes}");
    let request = head("PUT", &format!("/disk/{number}"), &["Expect: 100-continue", &length], b"");
    client.send(request.replace("Content-Length: 0\r\n", ""));
    client.interim(100);
    client
}

#[test]
fn content_that_waits_for_a_disk_takes_little_memory() {
    const CLIENTS: usize = 240;
    const CONTENT_BYTES: usize = 300_000;
    /// The budget for what was received, and what a turn may bring beyond it; the rest of the worker grows, too.
    const MOST_KIB: u64 = (32 + 8) * 1024;
    let Some((site, disk)) = site_with_disk("content_that_waits_for_a_disk_takes_little_memory") else { return };
    let server = Server::with(site, &format!("workers = 1\nuploads.durability = \"none\"\n{EVERYTHING}"));
    let worker = server.workers()[0];
    let content = |number: usize| number.to_string().bytes().cycle().take(CONTENT_BYTES).collect::<Vec<u8>>();
    let clients: Vec<Client> = (0..CLIENTS).map(|number| begin(&server, number, CONTENT_BYTES)).collect();
    let memory = || processes::memory_kib(worker, "RssAnon");
    let before = memory();
    let frozen = disk.freeze();
    std::thread::scope(|scope| {
        for (number, mut client) in clients.into_iter().enumerate() {
            scope.spawn(move || {
                client.send(content(number));
                assert_eq!(client.reply("PUT").status, 201);
            });
        }
        until("the worker has received much", || memory() > before + 24 * 1024);
        // With each answer the loop has looked at everybody.
        let mut other = server.connect();
        let highest = (0..300).map(|_| (other.get("/hello.txt").status, memory())).inspect(|it| assert_eq!(it.0, 200));
        let highest = highest.map(|(_, memory)| memory).max().unwrap();
        drop(frozen);
        assert!(highest < before + MOST_KIB, "{highest} KiB, and {before} before");
    });
    for number in 0..CLIENTS {
        assert!(server.site.read(&format!("disk/{number}")) == content(number), "{number}");
    }
}

#[test]
fn content_that_hangs_holds_up_nobody_else() {
    /// More than there are threads of any kind.
    const HANGING: usize = 24;
    static CONTENT: [u8; 200_000] = [b'x'; 200_000];
    let Some((site, disk)) = site_with_disk("content_that_hangs_holds_up_nobody_else") else { return };
    let server = Server::with(site, &format!("workers = 1\n{EVERYTHING}"));
    let worker = server.workers()[0];
    let mut hanging: Vec<Client> = (0..HANGING).map(|number| begin(&server, number, CONTENT.len())).collect();
    let frozen = disk.freeze();
    hanging.iter_mut().for_each(|client| client.send(CONTENT));
    let hangs = |task: PathBuf| {
        let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D'))
    };
    until("as many threads hang as may", || {
        let tasks = std::fs::read_dir(format!("/proc/{worker}/task")).unwrap();
        tasks.filter(|task| hangs(task.as_ref().unwrap().path())).count() >= 4
    });
    let mut other = server.connect();
    for number in 0..10 {
        assert_eq!(other.request("PUT", &format!("/folder/{number}"), &[], b"y").status, 201);
        assert_eq!(other.request("DELETE", &format!("/folder/{number}"), &[], b"").status, 204);
        assert_eq!(other.get("/hello.txt").status, 200);
    }
    drop(frozen);
    for mut client in hanging {
        assert_eq!(client.reply("PUT").status, 201);
    }
}
