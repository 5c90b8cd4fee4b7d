//! Life behind a proxy: the true client in the log, and in the limit on connections of one client.

use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site, until};

const GET: &str = "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n";

fn server(listen: &str, config: &str) -> Server {
    let site = Site::sample();
    let log = site.beside("log/access.log");
    Server::listening(site, listen, &format!("workers = 1\nlog.access = {log:?}\n{config}{EVERYTHING}"))
}

fn behind_proxy(config: &str) -> Server {
    server("127.0.0.1:0 proxy_protocol", config)
}

/// The address at the beginning of the newest line of the log, when there are so many.
fn logged(server: &Server, lines: usize) -> String {
    let text = || std::fs::read_to_string(server.site.beside("log/access.log")).unwrap_or_default();
    until("the request is logged", || text().lines().count() == lines);
    text().lines().last().unwrap().split(' ').next().unwrap().to_owned()
}

fn version_2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, block].concat()
}

#[test]
fn proxy_header_names_the_client() {
    let server = behind_proxy("");
    let v4 = [192, 0, 2, 9, 127, 0, 0, 1, 1, 1, 0, 80];
    let with_extension = [&v4[..], &[4, 0, 3, 0, 0, 0]].concat();
    let headers: [(&[u8], &str); 5] = [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n", "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (&version_2(0x21, 0x11, &with_extension), "192.0.2.9"),
        (&version_2(0x20, 0x00, b""), "127.0.0.1"),
    ];
    for (count, (header, client)) in headers.into_iter().enumerate() {
        let mut connection = server.connect();
        connection.send([header, GET.as_bytes()].concat());
        assert_eq!(connection.reply("GET").status, 200);
        assert_eq!(logged(&server, 2 * count + 1), client);
        // The connection stays that client's; and a header in pieces is one.
        let mut connection = server.connect();
        connection.send_slowly(header);
        connection.send(GET);
        assert_eq!(connection.reply("GET").status, 200);
        assert_eq!(logged(&server, 2 * count + 2), client);
    }
}

#[test]
fn connection_without_a_proxy_header_is_closed() {
    let server = behind_proxy("timeouts.head = \"300ms\"\n");
    let workers = server.workers();
    let later = version_2(0x22, 0x11, &[0; 12]);
    for wrong in
        [GET.as_bytes(), b"PROXY TCP4 192.0.2.7 127.0.0.1 4711\r\n", &later, b"\x16\x03\x01", b"PROXY TCP4", b""]
    {
        let mut client = server.connect();
        client.send(wrong);
        // Not a word, for nobody knows which protocol is spoken; a reset where bytes were left unread.
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut client.stream(), &mut rest);
        assert_eq!(rest, b"", "{wrong:?}");
    }
    server.assert_same_workers(&workers);
}

#[test]
fn reload_may_change_who_speaks_first() {
    let server = server("127.0.0.1:0", "");
    assert_eq!(server.connect().get("/hello.txt").status, 200);
    server.configure("127.0.0.1:0 proxy_protocol", EVERYTHING);
    server.signal(nix::sys::signal::Signal::SIGHUP);
    until("the new generation wants the header", || {
        let mut client = server.connect();
        client.send([b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n", GET.as_bytes()].concat());
        client.reply("GET").status == 200
    });
}

#[test]
fn forwarded_is_believed_of_trusted_proxies_only() {
    let trusting = server("127.0.0.1:0", "trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n");
    let mut proxy = trusting.connect();
    let cases: [(&[&str], &str); 6] = [
        (&["X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.3"], "192.0.2.7"),
        (&["Forwarded: for=6.6.6.6, for=\"[2001:db8::7]:80\";proto=https, for=10.0.0.3"], "2001:db8::7"),
        (&["X-Forwarded-For: 192.0.2.7, nonsense"], "127.0.0.1"),
        (&["Forwarded: for=\"192.0.2.7"], "127.0.0.1"),
        (&["X-Forwarded-For: 192.0.2.8"], "192.0.2.8"),
        // One request of a proxy tells nothing about the next.
        (&[], "127.0.0.1"),
    ];
    for (count, (fields, client)) in cases.into_iter().enumerate() {
        assert_eq!(proxy.get_with("/hello.txt", fields).status, 200);
        assert_eq!(logged(&trusting, count + 1), client, "{fields:?}");
    }
    // The one that the proxy does not set is the client's own: it must not make it a nobody whom no limit holds.
    let forged = proxy.get_with("/hello.txt", &["Forwarded: for=6.6.6.6", "X-Forwarded-For: 192.0.2.7"]);
    assert_eq!(forged.status, 400);
    assert!(forged.text().contains("different clients") && forged.closes(), "{forged:?}");
    let wary = server("127.0.0.1:0", "trusted_proxies = [\"10.0.0.0/8\"]\n");
    wary.connect().get_with("/hello.txt", &["X-Forwarded-For: 192.0.2.7"]);
    assert_eq!(logged(&wary, 1), "127.0.0.1");
}

#[test]
fn one_client_has_so_many_connections_and_others_are_served() {
    let server = behind_proxy("limits.connections_per_client = 3\n");
    let workers = server.workers();
    let open = |client: &str| {
        let mut connection = server.connect();
        connection.send(format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n{GET}"));
        connection
    };
    let mut held: Vec<Client> = (0..3).map(|_| open("192.0.2.7")).collect();
    for connection in &mut held {
        assert_eq!(connection.reply("GET").status, 200);
    }
    let mut refused = open("192.0.2.7");
    let reply = refused.reply("GET");
    assert_eq!(reply.status, 503);
    assert!(reply.closes() && reply.field("retry-after").is_some(), "{reply:?}");
    refused.expect_end();
    assert_eq!(open("192.0.2.8").reply("GET").status, 200, "another client is served");
    assert_eq!(open("127.0.0.1").reply("GET").status, 200, "as is this machine");
    held.pop();
    drop(refused);
    until("there is room again", || open("192.0.2.7").reply("GET").status == 200);
    server.assert_same_workers(&workers);
}

#[test]
fn clients_of_a_trusted_proxy_are_limited_each_for_itself() {
    let config = "trusted_proxies = [\"127.0.0.1\"]\nlimits.connections_per_client = 1\nlimits.exempt_clients = []\n";
    let server = server("127.0.0.1:0", config);
    std::fs::File::create(server.site.path("big.bin")).unwrap().set_len(1 << 28).unwrap();
    let mut busy = server.connect();
    // A reply that isn't taken keeps its client busy.
    busy.send("GET /big.bin HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
    let status =
        |client: &str| server.connect().get_with("/hello.txt", &[&format!("X-Forwarded-For: {client}")]).status;
    until("its request is under way", || status("192.0.2.7") == 503);
    assert_eq!(status("192.0.2.8"), 200);
    assert_eq!(server.connect().get("/hello.txt").status, 200, "the proxy itself has no limit");
    let mut pooled = server.connect();
    for _ in 0..3 {
        assert_eq!(pooled.get_with("/hello.txt", &["X-Forwarded-For: 192.0.2.9"]).status, 200);
        assert_eq!(status("192.0.2.9"), 200, "an idle connection of the proxy is nobody's");
    }
    assert!(server.stats()["refused"].as_u64().unwrap() >= 1);
    drop(busy);
    until("its request is over", || status("192.0.2.7") == 200);
}
