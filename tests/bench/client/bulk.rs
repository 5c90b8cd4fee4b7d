//! Bulk: large files down and up, on blocking sockets.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::{MsgFlags, recv};

use super::{PATIENCE, get, read_head};

/// Bytes that the kernel is asked for at once.
const PIECE: usize = 1 << 20;

/// Downloads this path until all of it is there or somebody says stop; the bytes of content. The kernel throws them
/// away without copying them (MSG_TRUNC), so that the client is no part of what is measured.
pub(crate) fn download(address: SocketAddr, path: &str, stop: &AtomicBool) -> usize {
    let mut stream = connect(address);
    stream.write_all(&get(path, "")).expect("a request");
    let (head, body) = read_head(&mut stream).expect("an answer");
    assert_eq!(head.status, 200, "a download");
    let mut received = body.len();
    let mut nowhere = vec![0; PIECE];
    while received < head.length && !stop.load(Ordering::Relaxed) {
        match recv(stream.as_raw_fd(), &mut nowhere, MsgFlags::MSG_TRUNC) {
            Ok(0) | Err(_) => panic!("a download broke off after {received} of {} bytes", head.length),
            Ok(length) => received += length,
        }
    }
    received
}

/// Takes whatever comes, of a length that nobody told before, until it ends or somebody says stop.
pub(crate) fn drain(address: SocketAddr, path: &str, stop: &AtomicBool) {
    let mut stream = connect(address);
    stream.write_all(&get(path, "Connection: close\r\n")).expect("a request");
    let mut piece = vec![0; PIECE];
    let length = stream.read(&mut piece).expect("an answer");
    assert!(piece[..length].starts_with(b"HTTP/1.1 200 "), "no 200 for {path}");
    while !stop.load(Ordering::Relaxed) && stream.read(&mut piece).expect("the rest") > 0 {}
}

/// Uploads so many repetitions of a block, or as many as there is time for; the status.
pub(crate) fn upload(
    address: SocketAddr,
    path: &str,
    block: &[u8],
    times: usize,
    stop: &AtomicBool,
) -> io::Result<u16> {
    let mut stream = connect(address);
    let length = block.len() * times;
    write!(stream, "PUT {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n\r\n")?;
    for _ in 0..times {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        stream.write_all(block)?;
    }
    Ok(read_head(&mut stream)?.0.status)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream
}
