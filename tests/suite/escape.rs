//! The escape corpus: thousands of spellings of paths that lead out of the root, and a folder that is swapped for a link
//! to outside while it is asked for. Whatever is asked for, nothing of outside is ever answered or changed.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::common::{Client, Server, Site, tools};

/// What only a file outside the root holds.
const SECRET: &str = "nobody may read this";
/// A name that only a folder outside the root has, and that nobody asks for.
const CANARY: &str = "canary-of-outside";

/// A dot: itself, escaped once and twice, too long for UTF-8, wide, and with what some servers take away.
const DOTS: &[&str] = &[
    ".",
    "%2e",
    "%2E",
    "%252e",
    "%25%32%65",
    "%c0%ae",
    "%C0%2E",
    "%e0%80%ae",
    "%f0%80%80%ae",
    "%ef%bc%8e",
    "%u002e",
    "%00.",
    ".%00",
    ".%20",
    ".%09",
    "..",
    "%2e.",
    ".;",
];

/// A slash, likewise; and what becomes one.
const SLASHES: &[&str] = &[
    "/",
    "//",
    "/./",
    "%2f",
    "%2F",
    "%252f",
    "%25%32%66",
    "\\",
    "%5c",
    "%255c",
    "%c0%af",
    "%c1%9c",
    "%e0%80%af",
    "%ef%bc%8f",
    "%u2215",
    "/%00/",
    ";/",
    "/;a=b/",
];

/// From where to climb: the root, folders, a file, links.
const FROM: &[&str] = &["", "/folder", "/folder/deeper", "/hello.txt", "/up", "/folder/link", "/.well-known"];

/// Where to: a file, a folder, something absolute, something that every system has.
const TO: &[&str] = &["secret", "outside/", "etc/passwd", "%73ecret", "secret%00.txt"];

/// A site with a secret beside its root and links that lead there.
fn site() -> Site {
    let site = Site::sample();
    std::fs::write(site.beside("secret"), SECRET).unwrap();
    std::fs::create_dir(site.beside("outside")).unwrap();
    for name in ["secret", CANARY] {
        std::fs::write(site.beside("outside").join(name), SECRET).unwrap();
    }
    symlink("..", site.path("up")).unwrap();
    symlink("../../outside", site.path("folder/link")).unwrap();
    symlink(site.beside("outside"), site.path("absolute")).unwrap();
    for path in ["", "secret", "outside"] {
        // Permissions must not be what keeps the secret.
        crate::common::site::give(&site.beside(path));
    }
    for path in ["outside/secret", &format!("outside/{CANARY}")] {
        crate::common::site::give(&site.beside(path));
    }
    site
}

/// Every spelling: pairs of equal dots, and of a plain one with each other one, with each slash, from each place, one or
/// two folders up.
fn spellings() -> Vec<String> {
    let equal = DOTS.iter().map(|dot| (*dot, *dot));
    let mixed = DOTS.iter().flat_map(|dot| [(".", *dot), (*dot, ".")]);
    let ups: Vec<String> = equal.chain(mixed).map(|(first, second)| format!("{first}{second}")).collect();
    let mut spellings = Vec::new();
    for (number, up) in ups.iter().enumerate() {
        for slash in SLASHES {
            for from in FROM {
                // One target each, in turn: all of them everywhere would be five times as much and no more.
                let to = TO[(number + spellings.len()) % TO.len()];
                let first = if from.is_empty() { "/" } else { slash };
                spellings.push(format!("{from}{first}{up}{slash}{to}"));
                spellings.push(format!("{from}{first}{up}{slash}{up}{slash}{to}"));
            }
        }
    }
    spellings
        .extend(["/absolute/secret", "/absolute/", "/up/", "/folder/link/", "/folder/link/secret"].map(str::to_owned));
    spellings
}

/// A client that connects again where the server closes, as it does after a head that it can't read.
struct Asker<'s> {
    server: &'s Server,
    client: Client,
}

impl<'s> Asker<'s> {
    fn new(server: &'s Server) -> Self {
        Self { server, client: server.connect() }
    }

    /// Asks, and insists that nothing of outside is answered. Gives the status.
    fn ask(&mut self, method: &str, target: &str, digests: &[String]) -> u16 {
        let body: &[u8] = if matches!(method, "PUT" | "POST") { b"overwritten" } else { b"" };
        let reply = self.client.request(method, target, &[], body);
        if reply.closes() {
            self.client = self.server.connect();
        }
        let text = String::from_utf8_lossy(&reply.body);
        for outside in [SECRET, CANARY, "root:x:0:0"].into_iter().chain(digests.iter().map(String::as_str)) {
            assert!(!text.contains(outside), "{method} {target}: {} {text}", reply.status);
        }
        reply.status
    }
}

/// What is outside, as it must stay.
fn outside(site: &Site) -> Vec<(String, Vec<u8>)> {
    let mut found = vec![("secret".to_owned(), std::fs::read(site.beside("secret")).unwrap())];
    for entry in std::fs::read_dir(site.beside("outside")).unwrap() {
        let entry = entry.unwrap();
        found.push((entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()));
    }
    found.sort();
    found
}

#[test]
fn no_spelling_leads_out_of_the_root() {
    let site = site();
    let before = outside(&site);
    let digests = [tools::sha256sum(&site.beside("secret"))];
    let server = Server::with(site, crate::common::server::EVERYTHING);
    let workers = server.workers();
    let spellings = spellings();
    assert!(spellings.len() > 5000, "{}", spellings.len());
    let mut asker = Asker::new(&server);
    let mut statuses = std::collections::BTreeMap::new();
    for (number, target) in spellings.iter().enumerate() {
        *statuses.entry(asker.ask("GET", target, &digests)).or_insert(0) += 1;
        match number % 6 {
            0 => asker.ask("HEAD", target, &digests),
            1 => asker.ask("PUT", target, &digests),
            2 => asker.ask("POST", target, &digests),
            3 => asker.ask("DELETE", target, &digests),
            4 => asker.ask("GET", &format!("/sha256{target}"), &digests),
            _ => asker.ask("GET", &format!("{target}?format=json"), &digests),
        };
    }
    assert_eq!(outside(&server.site), before);
    assert!(statuses.keys().all(|status| *status < 500), "each has an answer of its own: {statuses:?}");
    assert!(statuses.contains_key(&400) && statuses.contains_key(&404), "{statuses:?}");
    server.assert_same_workers(&workers);
}

/// Ends the loop, also when the test has failed.
struct End<'d>(&'d AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// The loop swaps as fast as it can; that both sides were met shows that it hit.
#[test]
fn a_folder_swapped_for_a_link_to_outside_leads_nowhere() {
    const WANTED: u64 = 40;
    let site = site();
    for name in ["swap/secret", "swap/other"] {
        site.write(name, "inside");
    }
    symlink("../outside", site.path("link")).unwrap();
    let before = outside(&site);
    let digests = [tools::sha256sum(&site.beside("secret"))];
    let server = Server::with(site, crate::common::server::EVERYTHING);
    let workers = server.workers();
    let (folder, link) = (server.site.path("swap"), server.site.path("link"));
    let (done, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                renameat2(AT_FDCWD, &folder, AT_FDCWD, &link, RenameFlags::RENAME_EXCHANGE).unwrap();
                swaps.fetch_add(1, Relaxed);
            }
        });
        let _end = End(&done);
        let mut asker = Asker::new(&server);
        let (mut inside, mut refused) = (0, 0);
        while inside < WANTED || refused < WANTED {
            match asker.ask("GET", "/swap/secret", &digests) {
                200 => inside += 1,
                _ => refused += 1,
            }
            asker.ask("HEAD", "/swap/secret", &digests);
            asker.ask("GET", "/swap/", &digests);
            asker.ask("GET", "/sha256/swap/secret", &digests);
            asker.ask("PUT", "/swap/new", &digests);
            asker.ask("PUT", "/swap/other", &digests);
            asker.ask("POST", "/swap/other", &digests);
            asker.ask("DELETE", "/swap/new", &digests);
            asker.ask("DELETE", &format!("/swap/{CANARY}"), &digests);
        }
    });
    assert!(swaps.load(Relaxed) > WANTED);
    assert_eq!(outside(&server.site), before);
    server.assert_same_workers(&workers);
}
