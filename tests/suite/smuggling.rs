//! Requests that two servers would read in two ways (RFC 9112 section 11.2): refused, and the connection with them.

use crate::common::Server;

#[test]
fn ambiguous_framing_is_refused_and_nothing_after_it_is_read() {
    let server = Server::start();
    let workers = server.workers();
    let smuggled = "GET /alphabet.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    for framing in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 5",
        "Content-Length: 3, 5",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 0x3",
        "Content-Length: 3 3",
        "Content-Length: ",
        "Content-Length: 99999999999999999999999",
        "Content-Length : 3",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: ",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
    ] {
        let mut client = server.connect();
        client.send(format!(
            "POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}"
        ));
        let reply = client.reply("POST");
        assert!(matches!(reply.status, 400 | 413 | 501), "{framing:?}: {reply:?}");
        assert!(reply.closes(), "{framing:?}: {reply:?}");
        client.expect_end();
    }
    server.assert_unharmed(&workers);
}

#[test]
fn chunked_from_http_1_0_is_refused() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("POST /sha256 HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let reply = client.reply("POST");
    assert!(reply.status == 400 && reply.closes(), "{reply:?}");
    client.expect_end();
}

#[test]
fn bare_line_feeds_are_refused() {
    let server = Server::start();
    for request in [
        "GET /hello.txt HTTP/1.1\nHost: a\n\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a\n\r\n",
        "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\n",
        "GET /hello.txt HTTP/1.1\nHost: a\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request);
        // Where the head has no proper end, the end of the client's words is needed to say so.
        client.stream().shutdown(std::net::Shutdown::Write).unwrap();
        let said = String::from_utf8(client.rest()).unwrap();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{request:?}: {said}");
    }
}

#[test]
fn same_length_twice_is_refused_or_read_as_one() {
    // RFC 9112 section 6.3 allows both; what may not be is a third thing.
    let server = Server::start();
    let mut client = server.connect();
    client.send(
        "POST /sha256 HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    );
    let reply = client.reply("POST");
    assert!(reply.status == 400 || reply.text().contains("ba7816bf"), "{reply:?}");
}

#[test]
fn body_that_nobody_wants_is_not_read_as_a_request() {
    let server = Server::start();
    let mut client = server.connect();
    let body = "GET /alphabet.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!("GET /hello.txt HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let first = client.reply("GET");
    if first.closes() {
        client.expect_end();
    } else {
        assert_eq!(client.get("/folder/inner.txt").text(), "inner\n", "the next answer is to the next request");
    }
}
