//! Digests of uploads (RFC 9530): what a client says of its content is checked, and it is told what was stored.

use base64::Engine;
use sha2::Digest;

use super::assert_no_temporaries;
use crate::common::client::{Reply, head};
use crate::common::server::EVERYTHING;
use crate::common::{Client, Server, Site};

/// Of `abc`, from FIPS 180.
const ABC_256: &str = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
const ABC_512: &str =
    "sha-512=:3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==:";
/// Of nothing.
const EMPTY_256: &str = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";

fn problem(reply: &Reply) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    problem["detail"].as_str().unwrap().to_owned()
}

/// `abc` in chunks, with these trailers.
fn put_with_trailers(client: &mut Client, fields: &[&str], trailers: &str) -> Reply {
    let mut all = vec!["Transfer-Encoding: chunked", "Accept: application/json"];
    all.extend(fields);
    client.send(head("PUT", "/new", &all, b"") + "1\r\na\r\n2\r\nbc\r\n0\r\n" + trailers + "\r\n");
    client.reply("PUT")
}

#[test]
fn digests_in_the_head_are_checked() {
    let server = Server::start();
    let mut client = server.connect();
    for field in ["Content-Digest", "Repr-Digest"] {
        for digest in [ABC_256, ABC_512, &format!("md5=:AAAA:, {ABC_256}, {ABC_512}"), "unixsum=30637, x=?1"] {
            let reply = client.request("PUT", "/new", &[&format!("{field}: {digest}")], b"abc");
            assert!(matches!(reply.status, 201 | 204), "{field}: {digest}: {reply:?}");
        }
        for (digest, got) in [(EMPTY_256, ABC_256), (&ABC_512.replace("3a81", "3a80"), ABC_512)] {
            let fields = ["Accept: application/json", &format!("{field}: {digest}")];
            let reply = client.request("PUT", "/new", &fields, b"abc");
            assert_eq!(reply.status, 400, "{reply:?}");
            let detail = problem(&reply);
            assert!(detail.contains(field) && detail.contains(digest) && detail.contains(got), "{detail}");
            let reply = client.request("PUT", "/never", &fields, b"abc");
            assert_eq!(reply.status, 400);
            assert_eq!(client.get("/never").status, 404);
        }
        for malformed in ["sha-256=abc", "sha-256=:AAAA:", "sha-512", "sha-256=:not base64:", "="] {
            let fields = ["Accept: application/json", "Expect: 100-continue", &format!("{field}: {malformed}")];
            let mut client = server.connect();
            client.send(head("PUT", "/new", &fields, b"abc"));
            let reply = client.reply("PUT");
            assert_eq!(reply.status, 400, "before the content is asked for");
            assert!(problem(&reply).starts_with(&format!("{field} can't be read")), "{reply:?}");
        }
    }
    assert_eq!(server.site.read("new"), b"abc");
    assert_no_temporaries(&server);
}

#[test]
fn digests_in_trailers_are_checked_announced_or_not() {
    let server = Server::start();
    let mut client = server.connect();
    server.site.write("new", "old");
    for fields in [&["Trailer: Repr-Digest"][..], &[]] {
        let wrong = put_with_trailers(&mut client, fields, &format!("Repr-Digest: {EMPTY_256}\r\n"));
        assert_eq!(wrong.status, 400, "{wrong:?}");
        assert!(problem(&wrong).contains(ABC_256), "{wrong:?}");
        assert_eq!(server.site.read("new"), b"old");
        let malformed = put_with_trailers(&mut client, fields, "Content-Digest: sha-256=1\r\n");
        assert_eq!(malformed.status, 400, "{malformed:?}");
        assert!(!malformed.closes(), "it is known where the next request begins");
    }
    let trailers = format!("X: y\r\nRepr-Digest: {ABC_512}\r\nContent-Digest: {ABC_256}\r\n");
    assert_eq!(put_with_trailers(&mut client, &["Trailer: Repr-Digest"], &trailers).status, 204);
    assert_eq!(put_with_trailers(&mut client, &[], &trailers).status, 204);
    assert_eq!(server.site.read("new"), b"abc");
    // Both must be true: what the head says, and what comes behind.
    let reply = put_with_trailers(&mut client, &[&format!("Repr-Digest: {EMPTY_256}")], &trailers);
    assert_eq!(reply.status, 400);
    assert_no_temporaries(&server);
}

/// What nobody had announced is read back in several pieces of work.
#[test]
fn digests_in_trailers_hold_for_a_large_content() {
    const BYTES: usize = 1_700_001;
    let server = Server::start();
    let content: Vec<u8> = (0..=250).cycle().take(BYTES).collect();
    let [right, wrong] = [0, 1].map(|change: u8| {
        let mut claimed = content.clone();
        claimed[BYTES - 1] ^= change;
        let of = |digest: &[u8]| base64::engine::general_purpose::STANDARD.encode(digest);
        [
            format!("sha-256=:{}:", of(&sha2::Sha256::digest(&claimed))),
            format!("sha-512=:{}:", of(&sha2::Sha512::digest(&claimed))),
        ]
    });
    let put = |trailers: String| {
        let mut client = server.connect();
        client.send(head("PUT", "/new", &["Transfer-Encoding: chunked", "Accept: application/json"], b""));
        for piece in content.chunks(100_000) {
            client.send(format!("{:x}\r\n", piece.len()));
            client.send(piece);
            client.send("\r\n");
        }
        client.send(format!("0\r\n{trailers}\r\n"));
        client.reply("PUT")
    };
    for (right, wrong) in right.iter().zip(&wrong) {
        let reply = put(format!("Repr-Digest: {wrong}\r\n"));
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(problem(&reply).contains(right) && problem(&reply).contains(wrong), "{reply:?}");
    }
    let reply = put(format!("Content-Digest: {}\r\nRepr-Digest: {}\r\n", right[0], wrong[1]));
    assert_eq!(reply.status, 400, "one that is true does not excuse the other: {reply:?}");
    assert_eq!(server.connect().get("/new").status, 404);
    let reply = put(format!("Repr-Digest: {}, {}\r\n", right[0], right[1]));
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(server.site.read("new"), content);
    assert_no_temporaries(&server);
}

#[test]
fn trailers_have_the_limits_of_a_head() {
    let config = format!("limits.head_bytes = 1024\nlimits.target_bytes = 512\n{}", crate::common::server::EVERYTHING);
    let server = Server::with(crate::common::Site::sample(), &config);
    let long = format!("X: {}\r\n", "x".repeat(1100));
    let many = "X: y\r\n".repeat(101);
    for trailers in [long, many] {
        assert_eq!(put_with_trailers(&mut server.connect(), &[], &trailers).status, 431);
    }
    assert_no_temporaries(&server);
    assert_eq!(server.connect().get("/new").status, 404);
}

#[test]
fn who_wants_the_digest_of_what_was_stored_gets_it() {
    let server = Server::start();
    let mut client = server.connect();
    for (want, digest) in [("sha-256=1", Some(ABC_256)), ("sha-256=1, sha-512=9", Some(ABC_512)), ("md5=1", None)] {
        let reply = client.request("PUT", "/new", &[&format!("Want-Repr-Digest: {want}")], b"abc");
        assert!(matches!(reply.status, 201 | 204));
        assert_eq!(reply.field("repr-digest"), digest);
        let (etag, got) = (reply.field("etag").unwrap(), client.get("/new"));
        assert_eq!(got.field("etag"), Some(etag), "the tag is the one that a reader gets, at once");
        assert!(etag.starts_with('"'), "and strong");
    }
    assert_eq!(client.request("PUT", "/new", &[], b"abc").field("repr-digest"), None);
}

/// Also where nothing but the order of two calls gives a file two times that differ.
#[test]
fn tag_of_an_upload_to_memory_is_strong_at_once() {
    const UPLOADS: usize = 500;
    let config = format!("workers = 1\nuploads.durability = \"none\"\n{EVERYTHING}");
    let server = Server::with(Site::in_memory(), &config);
    let mut client = server.connect();
    for number in 0..UPLOADS {
        // Of one size, so that only the times tell them apart; replaced and new ones by turns.
        let target = format!("/{}", number / 2);
        let put = client.request("PUT", &target, &[], format!("{number:08}").as_bytes());
        let (etag, got) = (put.field("etag").unwrap(), client.get(&target));
        assert_eq!(got.body, format!("{number:08}").as_bytes());
        assert_eq!(got.field("etag"), Some(etag), "{number}");
        assert!(etag.starts_with('"'), "{number}: {etag}");
    }
}

#[test]
fn coded_content_is_not_stored_as_something_else() {
    let server = Server::start();
    let mut client = server.connect();
    let reply = client.request("PUT", "/new", &["Content-Encoding: gzip"], b"abc");
    assert_eq!((reply.status, reply.field("accept-encoding")), (415, Some("identity")));
    assert_eq!(client.request("PUT", "/new", &["Content-Encoding: identity"], b"abc").status, 201);
}
