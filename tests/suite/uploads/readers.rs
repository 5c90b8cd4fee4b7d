//! Who reads a file while it is replaced or removed keeps the old bytes to the end: replaced is its name, not its bytes.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, site, tools};

/// More than the socket buffers of both ends take.
const BIG_BYTES: usize = 64 << 20;

fn old_bytes() -> Vec<u8> {
    site::large().into_iter().cycle().take(BIG_BYTES).collect()
}

/// A server with a big file, and a client that has begun to download it and reads no further.
fn begun(old: &[u8]) -> (Server, Client) {
    let site = Site::sample();
    site.write("big.bin", old);
    let server = Server::with(site, &format!("workers = 1\n{EVERYTHING}"));
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    let begin = &mut [0; 12];
    client.stream().peek(begin).unwrap();
    assert_eq!(begin, b"HTTP/1.1 200");
    (server, client)
}

#[test]
fn slow_download_keeps_the_old_bytes() {
    let old = old_bytes();
    let (server, mut slow) = begun(&old);
    let mut writer = server.connect();
    // Over and over: an inode, or a place on the disk, that is used again must not show either.
    for length in [BIG_BYTES, 5, BIG_BYTES] {
        assert_eq!(writer.request("PUT", "/big.bin", &[], &vec![b'n'; length]).status, 204);
    }
    assert_eq!(writer.request("POST", "/big.bin", &[], b"the newest").status, 204);
    assert_eq!(server.connect().get("/big.bin").text(), "the newest");
    assert!(slow.reply("GET").body == old, "whole, and the file that it began with");
    assert_eq!(slow.get("/big.bin").text(), "the newest", "the next request sees the new one");
}

#[test]
fn slow_download_outlives_the_file() {
    let old = old_bytes();
    let (server, mut slow) = begun(&old);
    assert_eq!(server.connect().request("DELETE", "/big.bin", &[], b"").status, 204);
    assert_eq!(server.connect().get("/big.bin").status, 404);
    assert!(slow.reply("GET").body == old, "whole, though it has no name any more");
    assert_eq!(slow.get("/big.bin").status, 404);
}

/// Maps a file, says so, waits for a line, and compares what it then sees through the mapping, touched for the first
/// time, with the bytes that it is told to expect.
const MAP: &str = "
import mmap, sys
with open(sys.argv[1], 'rb') as file:
    seen = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
print('mapped', flush=True)
sys.stdin.readline()
with open(sys.argv[2], 'rb') as expected:
    print('old' if seen[:] == expected.read() else 'changed')
";

#[test]
fn mapped_file_keeps_its_bytes() {
    let server = Server::start();
    let expected = server.site.beside("expected");
    std::fs::write(&expected, site::large()).unwrap();
    let mut python = tools::command("python3");
    python.args(["-c", MAP]).arg(server.site.path("large.bin")).arg(expected);
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(python.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("mapped"));
    let mut client = server.connect();
    // Shorter: had the file been cut, whoever maps it would die of SIGBUS. As long: had it been written over, he would
    // see that.
    for length in [3, site::large().len()] {
        assert_eq!(client.request("PUT", "/large.bin", &[], &vec![b'n'; length]).status, 204);
    }
    assert_eq!(client.request("DELETE", "/large.bin", &[], b"").status, 204);
    python.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(lines.next().as_deref(), Some("old"));
    assert!(python.wait().unwrap().success());
}
