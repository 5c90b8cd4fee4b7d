//! The floor: a server that answers whatever comes with the same bytes. It parses nothing, checks nothing and has no
//! deadline: what it costs is what epoll, TCP and, for an upload, a file cost here. Only who does not copy what he sends,
//! but sends a large file's own pages, can be below it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use memchr::memmem;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use slab::Slab;

/// The event of the listener; connections count from zero.
const LISTENER: u64 = u64::MAX;

struct Floor {
    epoll: Epoll,
    listener: TcpListener,
    connections: Slab<TcpStream>,
    reply: Vec<u8>,
    closes: bool,
    /// Where uploads go, if the reply is one to an upload.
    folder: Option<PathBuf>,
    buffer: Vec<u8>,
}

/// Serves until it is killed.
pub(crate) fn serve(address: SocketAddr, reply: &Path) {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
    let listener = TcpListener::bind(address).expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER)).expect("it is added");
    let text = fs::read(reply).expect("a reply");
    let closes = memmem::find(&text, b"Connection: close").is_some();
    let folder = text.starts_with(b"HTTP/1.1 201").then(|| reply.parent().expect("a folder").to_owned());
    let connections = Slab::new();
    let mut floor = Floor { epoll, listener, connections, reply: text, closes, folder, buffer: vec![0; 64 << 10] };
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let count = floor.epoll.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
        for event in &events[..count] {
            if event.data() == LISTENER {
                floor.accept();
            } else {
                floor.answer(usize::try_from(event.data()).expect("an index"));
            }
        }
    }
}

impl Floor {
    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).expect("a socket");
            stream.set_nodelay(true).expect("a socket");
            let entry = self.connections.vacant_entry();
            let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(entry.key()).expect("an index"));
            self.epoll.add(&stream, event).expect("it is added");
            entry.insert(stream);
        }
    }

    fn answer(&mut self, index: usize) {
        let Some(mut stream) = self.connections.get(index) else { return };
        match stream.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Ok(0) | Err(_) => return drop(self.connections.remove(index)),
            Ok(length) => {
                let requests = memmem::find_iter(&self.buffer[..length], b"\r\n\r\n").count();
                if let Some(folder) = &self.folder {
                    store(folder, &self.buffer[..length]);
                }
                // The client never has more under way than its receive buffer holds.
                let written = match requests {
                    1 => stream.write_all(&self.reply),
                    _ => stream.write_all(&self.reply.repeat(requests)),
                };
                if written.is_ok() && !self.closes {
                    return;
                }
            }
        }
        self.connections.remove(index);
    }
}

/// What cannot be left out where a file is replaced whole: open, write, rename.
fn store(folder: &Path, request: &[u8]) {
    let content = memmem::find(request, b"\r\n\r\n").map_or(0, |head| head + 4);
    let name = request.split(|byte| *byte == b' ').nth(1).and_then(|path| path.rsplit(|byte| *byte == b'/').next());
    let name = String::from_utf8_lossy(name.unwrap_or(b"file")).into_owned();
    let new = folder.join("new");
    fs::write(&new, &request[content..]).expect("room");
    fs::rename(&new, folder.join(name)).expect("its own folder");
}
