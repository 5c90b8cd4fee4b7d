//! A test for each mistake that was once made, named for what went wrong; they stay for ever.

use nix::sys::signal::Signal;

use crate::common::client::head;
use crate::common::{Server, until};

/// Each child of the fork kept the supervisor's own copy of the listening sockets open beside its own: clients that
/// came while an upload was finished were queued, never accepted, and reset at the end.
#[test]
fn listener_stayed_open_while_a_worker_drained() {
    for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
        let mut server = Server::start();
        let mut client = server.connect();
        client.send("PUT /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n");
        until("the upload has begun", || server.site.names().iter().any(|name| name.starts_with(".fileserv-")));
        server.signal(signal);
        until("the server is told", || server.said().contains("stopping"));
        until("nobody is let in any more", || std::net::TcpStream::connect(server.address()).is_err());
        assert!(client.is_quiet(), "{signal}: the upload still goes on: nothing but the signal closed the socket");
        client.send("5\r\n67890\r\n0\r\n\r\n");
        assert_eq!(client.reply("PUT").status, 201, "{signal}");
        assert_eq!(server.await_exit().code(), Some(0), "{signal}");
    }
}

/// Reserving no bytes at all is an error to fallocate(2), and was answered 500.
#[test]
fn upload_of_an_empty_file_was_refused() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.request("PUT", "/new-and-empty", &[], b"").status, 201);
    assert_eq!(client.request("PUT", "/hello.txt", &[], b"").status, 204);
    assert_eq!(client.request("POST", "/alphabet.txt", &[], b"").status, 204);
    client.send(head("PUT", "/empty-by-chunks", &["Transfer-Encoding: chunked"], b"") + "0\r\n\r\n");
    assert_eq!(client.reply("PUT").status, 201);
    assert_eq!(server.site.read("hello.txt"), b"");
}

/// Opening a socket gives ENXIO, which was answered 500; it is refused as a pipe is.
#[test]
fn socket_in_the_root_was_an_internal_error() {
    let server = Server::start();
    let _socket = std::os::unix::net::UnixListener::bind(server.site.path("socket")).unwrap();
    for target in ["/socket", "/sha256/socket"] {
        let status = server.connect().get(target).status;
        assert!(matches!(status, 403 | 404), "{target}: {status}");
    }
}

/// A short body is dropped so that the connection may go on; the same was done before a refusal that ends it anyhow,
/// so a client that waited for the answer before it sent its body met a timeout.
#[test]
fn refusal_that_closes_waited_for_the_body() {
    let server = Server::start();
    for (request, status) in [
        ("PUT /hello.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n", 413),
        ("POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Length: 99999999999999\r\n\r\n", 413),
        ("PUT /hello.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ] {
        let mut client = server.connect();
        client.send(request);
        let reply = client.reply("PUT");
        assert!(reply.status == status && reply.closes(), "{request}: {reply:?}");
    }
}
