//! Acts on the network: new sockets, and what a forgotten one would be good for.
//! Process: a worker of `--check-sandbox`, sealed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use super::{Act, Scene};
use crate::sys::attempt::{self, CRYPTOGRAPHY, DATAGRAM, INET, INET6, NETLINK, PACKETS, RAW, STREAM, UNIX, VSOCK};

pub(super) const ACTS: &[Act] = &[
    Act {
        name: "make a TCP socket",
        call: "socket AF_INET SOCK_STREAM",
        attempt: |_| attempt::make_socket(INET, STREAM),
    },
    Act {
        name: "make a UDP socket",
        call: "socket AF_INET6 SOCK_DGRAM",
        attempt: |_| attempt::make_socket(INET6, DATAGRAM),
    },
    Act {
        name: "make a socket of raw packets",
        call: "socket AF_INET SOCK_RAW",
        attempt: |_| attempt::make_socket(INET, RAW),
    },
    Act {
        name: "make a socket of whole packets",
        call: "socket AF_PACKET",
        attempt: |_| attempt::make_socket(PACKETS, RAW),
    },
    Act {
        name: "make a socket of this machine",
        call: "socket AF_UNIX",
        attempt: |_| attempt::make_socket(UNIX, STREAM),
    },
    Act {
        name: "ask the kernel about the network",
        call: "socket AF_NETLINK",
        attempt: |_| attempt::make_socket(NETLINK, RAW),
    },
    Act {
        name: "reach the kernel's cryptography",
        call: "socket AF_ALG",
        attempt: |_| attempt::make_socket(CRYPTOGRAPHY, 5),
    },
    Act {
        name: "reach the host of a virtual machine",
        call: "socket AF_VSOCK",
        attempt: |_| attempt::make_socket(VSOCK, STREAM),
    },
    Act { name: "make a pair of sockets", call: "socketpair", attempt: |_| attempt::make_pair() },
    Act {
        name: "connect a forgotten socket",
        call: "connect of a TCP socket to a port that listens",
        attempt: |scene| on_tcp(scene, 0, attempt::connect_tcp),
    },
    Act {
        name: "connect it without connect",
        call: "sendto MSG_FASTOPEN of a TCP socket",
        attempt: |scene| on_tcp(scene, 1, attempt::send_fast_open),
    },
    Act {
        name: "bind it",
        call: "bind of a TCP socket to 127.0.0.1",
        attempt: |scene| on_tcp(scene, 2, |socket, _| attempt::bind_tcp(socket)),
    },
    Act {
        name: "listen without having bound it",
        call: "listen of a TCP socket",
        attempt: |scene| on_tcp(scene, 3, |socket, _| attempt::listen(socket)),
    },
    Act {
        name: "end the service of all workers",
        call: "shutdown SHUT_RDWR of a listening socket",
        attempt: |scene| attempt::shut_down(scene.common.as_fd()),
    },
    Act {
        name: "let the other workers hang in accept",
        call: "fcntl F_SETFL of a listening socket",
        attempt: |scene| attempt::clear_flags(scene.common.as_fd()),
    },
    Act {
        name: "let them hang there, the older way",
        call: "ioctl FIONBIO of a listening socket",
        attempt: |scene| attempt::make_blocking(scene.common.as_fd()),
    },
    Act {
        name: "share a port with others",
        call: "setsockopt SO_REUSEPORT of a listening socket",
        attempt: |scene| attempt::share_port(scene.listener.as_fd()),
    },
    Act {
        name: "choose what the other workers receive",
        call: "setsockopt SO_ATTACH_FILTER of a listening socket",
        attempt: |scene| attempt::filter_socket(scene.listener.as_fd()),
    },
    Act {
        name: "connect to another process without a path",
        call: "connect of a Unix socket to an abstract one",
        attempt: |scene| attempt::connect_abstract(scene.datagrams.as_fd(), &scene.abstract_name),
    },
    Act {
        name: "send to another process without a path",
        call: "sendto of a Unix socket to an abstract one",
        attempt: |scene| attempt::send_abstract(scene.datagrams.as_fd(), &scene.abstract_name),
    },
];

/// Tries it on one of the forgotten sockets; where the whole service has none, such a socket would have to be made.
fn on_tcp(
    scene: &Scene,
    which: usize,
    attempt: impl Fn(BorrowedFd<'_>, SocketAddr) -> io::Result<()>,
) -> io::Result<()> {
    let socket = scene.tcp.as_ref().and_then(|sockets| sockets.get(which));
    match (socket, scene.address) {
        (Some(socket), Some(address)) => attempt(socket.as_fd(), address),
        (Some(_) | None, _) => attempt::make_socket(INET, STREAM),
    }
}
