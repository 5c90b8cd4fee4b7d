//! Attempts on the network, with new sockets and with those that were made before.
//! Process: a worker of `--check-sandbox`. Trusts: nothing. Blocks: never.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, UnixAddr};
use nix::sys::socket::{bind, connect, sendto, socket};

use super::attempts;

attempts! {
    /// socket(2) of a family and a kind.
    fn make_socket(family: i32, kind: i32) = SYS_socket(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);

    /// socketpair(2).
    fn make_pair() = SYS_socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, [0_i32; 2].as_mut_ptr());

    /// listen(2): without bind(2) the kernel chooses the port.
    fn listen(socket: BorrowedFd<'_>) = SYS_listen(socket.as_raw_fd(), 1);

    /// shutdown(2) of a socket that all workers share: nobody can connect any more.
    fn shut_down(socket: BorrowedFd<'_>) = SYS_shutdown(socket.as_raw_fd(), libc::SHUT_RDWR);

    /// setsockopt(2) SO_REUSEPORT of a socket that all workers share.
    fn share_port(socket: BorrowedFd<'_>) = SYS_setsockopt(
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_REUSEPORT,
        [1_i32; 1].as_ptr(),
        4_usize
    );

    /// setsockopt(2) SO_ATTACH_FILTER, with a program that takes everything.
    fn filter_socket(socket: BorrowedFd<'_>) = SYS_setsockopt(
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_ATTACH_FILTER,
        std::ptr::from_ref(&TAKE_ALL.0),
        std::mem::size_of::<libc::sock_fprog>()
    );
}

/// A program of one instruction: take the whole packet.
struct Program(libc::sock_fprog);

// SAFETY: the pointer leads to a constant that nobody writes; the kernel only reads it.
unsafe impl Sync for Program {}

const RETURN_ALL: libc::sock_filter = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::MAX };
static INSTRUCTION: libc::sock_filter = RETURN_ALL;
static TAKE_ALL: Program = Program(libc::sock_fprog { len: 1, filter: (&raw const INSTRUCTION).cast_mut() });

/// Families of sockets that lead somewhere else than to TCP: packets, kernel interfaces, other machines' hosts.
pub const NETLINK: i32 = libc::AF_NETLINK;
/// The kernel's cryptography.
pub const CRYPTOGRAPHY: i32 = libc::AF_ALG;
/// Whole packets of a network.
pub const PACKETS: i32 = libc::AF_PACKET;
/// The host of a virtual machine.
pub const VSOCK: i32 = libc::AF_VSOCK;
/// IPv4.
pub const INET: i32 = libc::AF_INET;
/// IPv6.
pub const INET6: i32 = libc::AF_INET6;
/// Processes of this machine.
pub const UNIX: i32 = libc::AF_UNIX;
/// A connection.
pub const STREAM: i32 = libc::SOCK_STREAM;
/// Datagrams.
pub const DATAGRAM: i32 = libc::SOCK_DGRAM;
/// Packets without TCP or UDP.
pub const RAW: i32 = libc::SOCK_RAW;

/// A socket that is neither bound nor connected.
///
/// # Errors
/// As socket(2).
pub fn unused_tcp_socket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Inet, SockType::Stream, flags, None)?)
}

/// Is this what socket(2) says where the kernel, or a filter of the service manager, has no sockets of that family?
#[must_use]
pub fn is_no_such_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// connect(2) to a TCP port. That the answer is awaited (EINPROGRESS) means that it was possible.
///
/// # Errors
/// As connect(2).
pub fn connect_tcp(socket: BorrowedFd<'_>, to: SocketAddr) -> io::Result<()> {
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Err(nix::errno::Errno::EINPROGRESS) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// bind(2) to a port of this machine that the kernel chooses.
///
/// # Errors
/// As bind(2).
pub fn bind_tcp(socket: BorrowedFd<'_>) -> io::Result<()> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Ok(bind(socket.as_raw_fd(), &SockaddrStorage::from(any))?)
}

/// sendto(2) with MSG_FASTOPEN, which connects without connect(2).
///
/// # Errors
/// As sendto(2).
pub fn send_fast_open(socket: BorrowedFd<'_>, to: SocketAddr) -> io::Result<()> {
    let flags = MsgFlags::from_bits_retain(libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL);
    match sendto(socket.as_raw_fd(), b"x", &SockaddrStorage::from(to), flags) {
        Ok(_) | Err(nix::errno::Errno::EINPROGRESS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// connect(2) to an abstract socket.
///
/// # Errors
/// As connect(2).
pub fn connect_abstract(socket: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(connect(socket.as_raw_fd(), &UnixAddr::new_abstract(name)?)?)
}

/// sendto(2) to an abstract socket.
///
/// # Errors
/// As sendto(2).
pub fn send_abstract(socket: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    sendto(socket.as_raw_fd(), b"x", &UnixAddr::new_abstract(name)?, flags)?;
    Ok(())
}
