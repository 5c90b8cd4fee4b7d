//! Sockets: listening, accepting, receiving, sending.
//! Process: the supervisor binds, workers do the rest. Privileges: CAP_NET_BIND_SERVICE below port 1024. Blocks: never.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, setsockopt, sockopt,
};

/// How many connections the kernel queues for a listener; it bounds this by net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    address: LocalAddress,
}

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalAddress {
    /// An IP address and port; the port is the real one if 0 was asked for.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP client.
    Tcp(IpAddr),
    /// A client on a Unix socket: it has no address.
    Unix,
}

impl Listener {
    /// Binds and listens on an IP address. An IPv6 address never takes IPv4 connections.
    ///
    /// # Errors
    /// As bind(2) and listen(2): EADDRINUSE, EACCES for a port below 1024 without the capability.
    pub fn bind_tcp(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let fd = socket::socket(family, SockType::Stream, flags(), None)?;
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        if address.is_ipv6() {
            setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
        }
        // Accepted sockets inherit it: a reply's last small segment must not wait for an acknowledgement.
        setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
        socket::listen(&fd, Backlog::new(BACKLOG)?)?;
        let bound: SockaddrStorage = socket::getsockname(fd.as_raw_fd())?;
        let port = address_of(&bound).map_or(address.port(), |bound| bound.port());
        Ok(Self { fd, address: LocalAddress::Tcp(SocketAddr::new(address.ip(), port)) })
    }

    /// Binds and listens on a Unix socket that everyone may connect to. A socket file that nobody listens on any more
    /// is replaced; any other file at that path is left alone.
    ///
    /// # Errors
    /// As bind(2); EADDRINUSE if somebody listens there, or the path is something else than a socket.
    pub fn bind_unix(path: &Path) -> io::Result<Self> {
        remove_dead_socket(path)?;
        let fd = socket::socket(AddressFamily::Unix, SockType::Stream, flags(), None)?;
        // The mode comes from the umask: a chmod of the path afterwards could be led elsewhere by a symlink.
        let umask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o111));
        let bound = socket::bind(fd.as_raw_fd(), &UnixAddr::new(path)?);
        nix::sys::stat::umask(umask);
        bound?;
        socket::listen(&fd, Backlog::new(BACKLOG)?)?;
        Ok(Self { fd, address: LocalAddress::Unix(path.to_owned()) })
    }

    /// A socket that somebody else has bound: the service manager, or the supervisor before an upgrade.
    ///
    /// # Errors
    /// `InvalidInput` if it is no listening stream socket of IP or Unix; else as fcntl(2).
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let refuse = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        if socket::getsockopt(&fd, sockopt::SockType).map_err(|_| refuse("it is no socket"))? != SockType::Stream {
            return Err(refuse("it is no stream socket"));
        }
        if !socket::getsockopt(&fd, sockopt::AcceptConn)? {
            return Err(refuse("it does not listen"));
        }
        let bound: SockaddrStorage = socket::getsockname(fd.as_raw_fd())?;
        let unix = || bound.as_unix_addr().map(|unix| unix.path().map_or_else(PathBuf::new, Path::to_owned));
        let address = match address_of(&bound) {
            Some(address) => LocalAddress::Tcp(address),
            None => LocalAddress::Unix(unix().ok_or_else(|| refuse("it is neither of IP nor of Unix"))?),
        };
        if matches!(address, LocalAddress::Tcp(_)) {
            setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
        }
        let status = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        fcntl(&fd, FcntlArg::F_SETFL(status | OFlag::O_NONBLOCK))?;
        fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(Self { fd, address })
    }

    /// The socket that the service manager has passed under this number.
    ///
    /// # Errors
    /// As `adopt`.
    pub fn adopt_passed(number: std::os::fd::RawFd) -> io::Result<Self> {
        // SAFETY: the service manager has opened it for this process (sd_listen_fds(3)), which asks once, at its start.
        Self::adopt(unsafe { OwnedFd::from_raw_fd(number) })
    }

    /// Another descriptor of the same socket.
    ///
    /// # Errors
    /// EMFILE.
    pub fn duplicate(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()?, address: self.address.clone() })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_address(&self) -> &LocalAddress {
        &self.address
    }

    /// Takes one waiting connection; `None` if none waits.
    ///
    /// # Errors
    /// As accept4(2): EMFILE, ENFILE, ENOMEM when something has run out.
    pub fn accept(&self) -> io::Result<Option<(OwnedFd, Peer)>> {
        let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
        let mut length = socklen::<libc::sockaddr_storage>();
        // SAFETY: `storage` is writable and `length` holds its size; the kernel writes no more than that.
        let accepted = unsafe {
            libc::accept4(
                self.fd.as_raw_fd(),
                storage.as_mut_ptr().cast(),
                &raw mut length,
                libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            )
        };
        if accepted < 0 {
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                // The client was gone before we came, or a signal: accept4(2) says to treat these like EAGAIN.
                error if is_passing(&error) => Ok(None),
                error => Err(error),
            };
        }
        // SAFETY: accept4 has just made this descriptor, and nobody else knows it.
        let connection = unsafe { OwnedFd::from_raw_fd(accepted) };
        // SAFETY: it was zeroed, and every bit pattern is a valid sockaddr_storage.
        let storage = unsafe { storage.assume_init() };
        Ok(Some((connection, peer_of(&storage))))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The IP address and port of a socket's name.
fn address_of(name: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = name.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| name.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port()))))
}

fn flags() -> SockFlag {
    SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK
}

/// The size of a kernel structure as the calls want it.
const fn socklen<T>() -> libc::socklen_t {
    #[allow(clippy::cast_possible_truncation, reason = "the structures of sockets have at most some hundred bytes")]
    let length = size_of::<T>() as libc::socklen_t;
    length
}

/// Errors of accept4(2) that concern the one connection only.
fn is_passing(error: &io::Error) -> bool {
    let passing = [
        libc::ECONNABORTED,
        libc::EINTR,
        libc::EPROTO,
        libc::ENETDOWN,
        libc::ENOPROTOOPT,
        libc::EHOSTDOWN,
        libc::ENONET,
        libc::EHOSTUNREACH,
        libc::EOPNOTSUPP,
        libc::ENETUNREACH,
    ];
    error.raw_os_error().is_some_and(|code| passing.contains(&code))
}

fn peer_of(storage: &libc::sockaddr_storage) -> Peer {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the kernel wrote a sockaddr_in, which fits and is aligned in the storage.
            let v4 = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            Peer::Tcp(IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr))))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the kernel wrote a sockaddr_in6, which fits and is aligned in the storage.
            let v6 = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            // A socket of the service manager may take both families; an IPv4 client is one all the same.
            Peer::Tcp(IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)).to_canonical())
        }
        _ => Peer::Unix,
    }
}

/// Unlinks a socket file that refuses connections.
fn remove_dead_socket(path: &Path) -> io::Result<()> {
    use nix::sys::stat::{SFlag, lstat};
    let Ok(stat) = lstat(path) else { return Ok(()) };
    if SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFSOCK {
        return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
    }
    let probe = socket::socket(AddressFamily::Unix, SockType::Stream, flags(), None)?;
    match socket::connect(probe.as_raw_fd(), &UnixAddr::new(path)?) {
        Err(nix::errno::Errno::ECONNREFUSED) => Ok(nix::unistd::unlink(path)?),
        _ => Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
    }
}

/// Receives what is there; 0 means that the peer sends no more.
///
/// # Errors
/// As recv(2); `WouldBlock` if nothing is there.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let (start, length) = (buffer.as_mut_ptr(), buffer.len());
    let nobody = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the kernel writes at most `length` bytes to `start`, which are the buffer's, and no address.
    transferred(unsafe { libc::syscall(libc::SYS_recvfrom, fd.as_raw_fd(), start, length, 0, nobody, nobody) })
}

/// Sends as much as the socket takes. `more` tells the kernel that the rest of a segment follows.
///
/// # Errors
/// As send(2); `WouldBlock` if the socket is full.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], more: bool) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 };
    let (start, length) = (bytes.as_ptr(), bytes.len());
    let nobody = std::ptr::null::<libc::c_void>();
    // SAFETY: the kernel reads at most `length` bytes from `start`, which are those given, and no address.
    transferred(unsafe { libc::syscall(libc::SYS_sendto, fd.as_raw_fd(), start, length, flags, nobody, 0) })
}

/// What came of a receive or a send that was made past the C library: there both are points at which a thread may be
/// cancelled, which costs four locked operations a call as soon as a process has threads. Ours are never cancelled.
fn transferred(outcome: libc::c_long) -> io::Result<usize> {
    usize::try_from(outcome).map_err(|_| io::Error::last_os_error())
}

/// Sends two runs of bytes as one, as much as the socket takes.
///
/// # Errors
/// As writev(2); `WouldBlock` if the socket is full. Not sendmsg(2), which could be told of another receiver where no
/// filter sees it. SIGPIPE is ignored.
pub fn send_both(fd: BorrowedFd<'_>, first: &[u8], second: &[u8]) -> io::Result<usize> {
    let runs = [io::IoSlice::new(first), io::IoSlice::new(second)];
    Ok(nix::sys::uio::writev(fd, &runs)?)
}

/// Lets the kernel send a part of a file. 0 means that the file is shorter than it was.
///
/// # Errors
/// As sendfile(2); `WouldBlock` if the socket is full.
pub fn send_file(fd: BorrowedFd<'_>, file: &File, offset: u64, count: usize) -> io::Result<usize> {
    let mut offset = i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
    Ok(nix::sys::sendfile::sendfile64(fd, file, Some(&mut offset), count)?)
}

/// Lets the kernel hold back what does not fill a segment, for 200 ms at most; or send it, and hold nothing back any more
/// (tcp(7)). On a Unix socket it does nothing.
pub fn cork(fd: BorrowedFd<'_>, holds_back: bool) {
    let value = libc::c_int::from(holds_back);
    // SAFETY: the option is one int, to which the pointer leads. If it is refused, more segments are sent: no error.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CORK,
            (&raw const value).cast(),
            socklen::<libc::c_int>(),
        )
    };
}

/// How many of the bytes sent the peer has not acknowledged (tcp(7)), or not read if it is on this machine (unix(7)).
///
/// # Errors
/// As ioctl(2).
pub fn unacknowledged(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: this request writes one int, to which the pointer leads.
    let outcome = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u32::try_from(bytes).unwrap_or(0))
}

/// Tells the peer that nothing more will be sent.
pub fn shut_down_sending(fd: BorrowedFd<'_>) {
    // Fails only if the peer is gone already: then there is nobody to tell.
    let _ = socket::shutdown(fd.as_raw_fd(), socket::Shutdown::Write);
}
