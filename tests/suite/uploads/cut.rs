//! Uploads that are cut off: after every byte of a small body and in many places of a large one, in every way in which a
//! connection ends. The target is the old file, or the complete new one.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use nix::sys::socket::{setsockopt, sockopt::Linger};

use super::assert_no_temporaries;
use crate::common::client::head;
use crate::common::server::EVERYTHING;
use crate::common::{HANG, Server, Site, site};

const OLD: &[u8] = b"the old file";
/// How many places of a large body.
const PLACES: usize = 500;
/// How many uploads hang at the same time when their time runs out.
const HANGING: usize = 250;

/// How a client goes.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// It says that it sends no more.
    Fin,
    /// Its connection breaks.
    Reset,
    /// It falls silent.
    Silence,
}

/// An upload to `/target`, and how many of its bytes are the head.
fn request(method: &str, is_chunked: bool, body: &[u8]) -> (Vec<u8>, usize) {
    let (fields, content) = if is_chunked {
        let mut content = Vec::new();
        for chunk in body.chunks(body.len().div_ceil(3)) {
            content.extend(format!("{:x}\r\n", chunk.len()).bytes());
            content.extend_from_slice(chunk);
            content.extend(b"\r\n");
        }
        content.extend(b"0\r\nTrailing: field\r\n\r\n");
        (&["Transfer-Encoding: chunked"][..], content)
    } else {
        (&[][..], body.to_vec())
    };
    let mut request = head(method, "/target", fields, body).into_bytes();
    let head_bytes = request.len();
    request.extend(content);
    (request, head_bytes)
}

/// On a disk, with everything synced; and in memory, where the loop itself takes the content.
fn servers() -> [Server; 2] {
    [(Site::empty(), ""), (Site::in_memory(), "uploads.durability = \"none\"\n")].map(|(site, config)| {
        site.write("target", OLD);
        Server::with(site, &format!("workers = 2\ntimeouts.body = \"100ms\"\n{config}{EVERYTHING}"))
    })
}

/// Sends a part of a request, and goes. What hangs is given back.
fn send_part(server: &Server, part: &[u8], way: Way) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.write_all(part).unwrap();
    match way {
        Way::Fin => {
            stream.shutdown(Shutdown::Write).unwrap();
            expect_failure(stream);
            None
        }
        Way::Reset => {
            setsockopt(&stream, Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
            None
        }
        Way::Silence => Some(stream),
    }
}

fn expect_failure(mut stream: TcpStream) {
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    assert!(!reply.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&reply));
}

/// Cuts this upload in all these places in this way, and insists on the old file.
fn cut(server: &Server, request: &[u8], places: impl Iterator<Item = usize>, way: Way) {
    let places: Vec<usize> = places.collect();
    for places in places.chunks(HANGING) {
        let hanging: Vec<_> = places.iter().filter_map(|&place| send_part(server, &request[..place], way)).collect();
        hanging.into_iter().for_each(expect_failure);
        assert_no_temporaries(server);
        assert_eq!(server.site.read("target"), OLD, "cut by {way:?} at one of {places:?}");
    }
}

/// The same upload, not cut.
fn complete(server: &Server, request: &[u8], body: &[u8]) {
    let mut client = server.connect();
    client.send(request);
    // A client that sends no more may still be listening.
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.reply("PUT").status, 204);
    assert!(server.site.read("target") == body);
    server.site.write("target", OLD);
}

#[test]
fn small_upload_cut_after_every_byte_changes_nothing() {
    let body = b"a body of some bytes, and not a byte less";
    for server in servers() {
        for (method, is_chunked) in [("PUT", false), ("PUT", true), ("POST", false), ("POST", true)] {
            let (request, head_bytes) = request(method, is_chunked, body);
            for way in [Way::Fin, Way::Reset, Way::Silence] {
                cut(&server, &request, head_bytes..request.len(), way);
            }
            complete(&server, &request, body);
        }
        assert_no_temporaries(&server);
    }
}

#[test]
fn large_upload_cut_in_many_places_changes_nothing() {
    let body = site::large();
    // The places are the same in each run, so that a failure can be looked at.
    let mut random: u64 = 0x2545_f491_4f6c_dd1d;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap()
    };
    for server in servers() {
        for (method, is_chunked) in [("PUT", false), ("PUT", true), ("POST", false), ("POST", true)] {
            let (request, head_bytes) = request(method, is_chunked, &body);
            for way in [Way::Fin, Way::Reset, Way::Silence] {
                let places = (0..PLACES / 4).map(|_| head_bytes + next() % (request.len() - head_bytes));
                cut(&server, &request, places.collect::<Vec<_>>().into_iter(), way);
            }
            complete(&server, &request, &body);
        }
        assert_no_temporaries(&server);
    }
}
