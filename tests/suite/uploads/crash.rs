//! Everything is killed in the middle of uploads, again and again: what was acknowledged is there, whole.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use super::assert_no_temporaries;
use crate::common::client::head;
use crate::common::server::EVERYTHING;
use crate::common::{Server, Site};

const CLIENTS: usize = 6;
/// Each client has this many files, which it writes one after the other, over and over.
const FILES: usize = 5;
/// How often everything is killed, unless the environment says otherwise.
const ROUNDS: u64 = 25;

/// What a client knows of one of its files.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The last version whose upload was acknowledged; 0 if none was.
    acknowledged: u32,
    /// The last version whose upload was begun.
    begun: u32,
}

/// A version of a file: it can be told from every other one, also by its length.
fn content(client: usize, file: usize, version: u32) -> Vec<u8> {
    let line = format!("client {client}, file {file}, version {version}\n");
    // Every other one is small, which is stored in another way.
    let most = if version.is_multiple_of(2) { 200_000 } else { 16_000 };
    let length = 100 + (usize::try_from(version).unwrap() * 7919 + file * 104_729) % most;
    line.bytes().cycle().take(length).collect()
}

fn put(stream: &mut TcpStream, target: &str, content: &[u8]) -> io::Result<()> {
    stream.write_all(head("PUT", target, &[], content).as_bytes())?;
    stream.write_all(content)?;
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        reply.push(byte[0]);
    }
    let is_stored = reply.starts_with(b"HTTP/1.1 201 ") || reply.starts_with(b"HTTP/1.1 204 ");
    assert!(is_stored, "{}", String::from_utf8_lossy(&reply));
    Ok(())
}

/// Uploads until the server is gone.
fn upload(address: SocketAddr, client: usize, files: &mut [Known; FILES], has_begun: &AtomicBool) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    for file in (0..FILES).cycle() {
        let known = &mut files[file];
        known.begun += 1;
        let version = known.begun;
        if put(&mut stream, &format!("/{client}-{file}"), &content(client, file, version)).is_err() {
            return;
        }
        known.acknowledged = version;
        has_begun.store(true, SeqCst);
    }
}

/// Every acknowledged version is there, or the one that was under way.
fn assert_nothing_is_lost(server: &Server, known: &mut [[Known; FILES]; CLIENTS]) {
    for (client, files) in known.iter_mut().enumerate() {
        for (file, known) in files.iter_mut().enumerate() {
            let name = format!("{client}-{file}");
            let stored = std::fs::read(server.site.path(&name)).ok();
            let possible = (known.acknowledged..=known.begun).find(|&version| match &stored {
                Some(stored) => version > 0 && *stored == content(client, file, version),
                None => version == 0,
            });
            let found = possible.unwrap_or_else(|| panic!("{name} is neither of {known:?}"));
            *known = Known { acknowledged: found, begun: known.begun };
        }
    }
}

#[test]
fn killed_in_the_middle_it_has_lost_nothing_that_it_acknowledged() {
    kill_again_and_again(Site::empty(), "");
}

/// Without a power cut nothing need be synced for that.
#[test]
fn nor_has_it_where_nothing_is_synced() {
    kill_again_and_again(Site::empty(), "uploads.durability = \"none\"\n");
}

/// Where there is no disk, small files are stored by the loop.
#[test]
fn nor_has_it_where_all_is_in_memory() {
    kill_again_and_again(Site::in_memory(), "uploads.durability = \"none\"\n");
}

fn kill_again_and_again(mut site: Site, config: &str) {
    let rounds = std::env::var("FILESERV_CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let config = format!("workers = 3\n{config}{EVERYTHING}");
    let mut known = [[Known::default(); FILES]; CLIENTS];
    for round in 0..rounds {
        let server = Server::with(site, &config);
        let (address, has_begun) = (server.address(), AtomicBool::new(false));
        site = std::thread::scope(|scope| {
            for (client, files) in known.iter_mut().enumerate() {
                let has_begun = &has_begun;
                scope.spawn(move || upload(address, client, files, has_begun));
            }
            crate::common::until("uploads are under way", || has_begun.load(SeqCst));
            // Any moment will do; these are spread over some dozens of uploads.
            std::thread::sleep(Duration::from_micros(round * 7_919 % 60_000));
            server.kill_all()
        });
        let server = Server::with(site, &config);
        assert_no_temporaries(&server);
        assert_nothing_is_lost(&server, &mut known);
        site = server.kill_all();
    }
    assert!(known.iter().flatten().any(|known| known.acknowledged > 0));
}
