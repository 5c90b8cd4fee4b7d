//! HEAD: the same head as GET, and nothing after it.

use crate::common::Server;

#[test]
fn head_says_what_get_would() {
    let server = Server::start();
    let mut client = server.connect();
    for target in ["/hello.txt", "/large.bin", "/empty.txt", "/", "/folder/", "/nothing", "/perlin?seed=1&format=text"]
    {
        let get = client.get(target);
        let head = client.request("HEAD", target, &[], b"");
        assert_eq!(head.status, get.status, "{target}");
        let without_date = |fields: &[(String, String)]| -> Vec<(String, String)> {
            fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("date")).cloned().collect()
        };
        assert_eq!(without_date(&head.fields), without_date(&get.fields), "{target}");
    }
    // Had any of those heads been followed by a body, this reply would not be one.
    assert_eq!(client.get("/hello.txt").text(), "hello, world\n");
}

#[test]
fn head_ignores_range() {
    // RFC 9110 section 14.2: Range is defined for GET only.
    let server = Server::start();
    let mut client = server.connect();
    let head = client.request("HEAD", "/alphabet.txt", &["Range: bytes=0-3"], b"");
    assert_eq!((head.status, head.field("content-length")), (200, Some("26")));
}
