//! What waits in the server's end of a connection, asked of the kernel for this one connection (sock_diag(7)): the table
//! in /proc/net/tcp has all of the machine's, which are thousands while other tests run.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

/// A line to the kernel's table of sockets.
pub(crate) struct Queues(OwnedFd);

/// `struct nlmsghdr`: length, kind, flags, number, sender.
const HEAD_BYTES: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
/// In `struct inet_diag_msg`: the state, and how many bytes wait to be read.
const STATE_AT: usize = HEAD_BYTES + 1;
const RECEIVE_QUEUE_AT: usize = HEAD_BYTES + 56;

impl Queues {
    pub(crate) fn open() -> Self {
        let protocol = SockProtocol::NetlinkSockDiag;
        Self(socket(AddressFamily::Netlink, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol).unwrap())
    }

    /// How many bytes wait to be read at the end of a TCP connection that is at `local`; none where it has closed.
    pub(crate) fn unread(&self, local: SocketAddr, remote: SocketAddr) -> u32 {
        let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else { panic!("IPv4 only: {local}") };
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.0.as_raw_fd(), &question(local, remote), &kernel, MsgFlags::empty()).unwrap();
        let mut answer = [0; 4096];
        let got = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
        match u16::from_ne_bytes([answer[4], answer[5]]) {
            NLMSG_ERROR => {
                let error = i32::from_ne_bytes(answer[HEAD_BYTES..][..4].try_into().unwrap());
                assert_eq!(error, -nix::libc::ENOENT, "the kernel doesn't tell of a connection");
                0
            }
            // Where there is no such connection the kernel tells of the listener.
            SOCK_DIAG_BY_FAMILY if answer[STATE_AT] == TCP_LISTEN => 0,
            SOCK_DIAG_BY_FAMILY => u32::from_ne_bytes(answer[..got][RECEIVE_QUEUE_AT..][..4].try_into().unwrap()),
            kind => panic!("an answer of kind {kind}"),
        }
    }
}

/// `struct inet_diag_req_v2` behind its head: family, protocol, no extensions, any state, and the two ends.
fn question(local: SocketAddrV4, remote: SocketAddrV4) -> Vec<u8> {
    let address = |end: SocketAddrV4| [&end.ip().octets()[..], &[0; 12]].concat();
    let mut body = vec![AddressFamily::Inet as u8, IPPROTO_TCP, 0, 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(local.port().to_be_bytes());
    body.extend(remote.port().to_be_bytes());
    body.extend(address(local));
    body.extend(address(remote));
    // Any interface, and no cookie.
    body.extend([0; 4]);
    body.extend([0xff; 8]);
    let length = u32::try_from(HEAD_BYTES + body.len()).unwrap();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}
