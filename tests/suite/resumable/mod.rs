//! Uploads in several requests: from the first one to the file, and every way in which they can end before.

mod concurrent;
mod cut;
mod digests;
mod life;
mod limits;
mod order;
mod refusals;
mod survive;

use crate::common::client::{Reply, head};
use crate::common::{Client, Server, until};

/// What a client says that speaks the draft.
const VERSION: &str = "Upload-Draft-Interop-Version: 9";
const PARTIAL: &str = "Content-Type: application/partial-upload";
const MORE: &str = "Upload-Complete: ?0";
const LAST: &str = "Upload-Complete: ?1";

/// Begins an upload without any content; its address.
fn begin(client: &mut Client, target: &str, fields: &[&str]) -> String {
    let reply = client.request("PUT", target, &[&[MORE], fields].concat(), b"");
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(offset_of(&reply), 0);
    let address = reply.field("location").unwrap().to_owned();
    assert!(address.starts_with(&format!("{target}?upload=")), "{address}");
    address
}

/// Appends content at an offset.
fn append(client: &mut Client, address: &str, offset: u64, complete: &str, content: &[u8]) -> Reply {
    append_with(client, address, offset, &[complete], content)
}

fn append_with(client: &mut Client, address: &str, offset: u64, fields: &[&str], content: &[u8]) -> Reply {
    let offset = format!("Upload-Offset: {offset}");
    let length = format!("Content-Length: {}", content.len());
    let is_chunked = fields.iter().any(|field| field.starts_with("Transfer-Encoding"));
    let framing: &[&str] = if content.is_empty() && !is_chunked { &[&length] } else { &[] };
    client.request("PATCH", address, &[fields, &[PARTIAL, &offset], framing].concat(), content)
}

/// What HEAD says.
fn state(client: &mut Client, address: &str) -> Reply {
    client.request("HEAD", address, &[], b"")
}

/// How far the upload is.
fn offset(client: &mut Client, address: &str) -> u64 {
    let reply = state(client, address);
    assert_eq!(reply.status, 204, "{reply:?}");
    assert_eq!(reply.field("upload-complete"), Some("?0"), "{reply:?}");
    assert_eq!(reply.field("cache-control"), Some("no-store"));
    offset_of(&reply)
}

fn offset_of(reply: &Reply) -> u64 {
    reply.field("upload-offset").unwrap_or_else(|| panic!("no offset: {reply:?}")).parse().unwrap()
}

/// The type of a problem document, without what all of them begin with.
fn problem(reply: &Reply) -> String {
    assert_eq!(reply.field("content-type"), Some("application/problem+json"), "{reply:?}");
    let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(problem["status"], reply.status);
    let r#type = problem["type"].as_str().unwrap();
    r#type.strip_prefix("https://iana.org/assignments/http-problem-types#").unwrap_or(r#type).to_owned()
}

/// The files of uploads in the root.
fn parts(server: &Server) -> Vec<String> {
    server.site.names().into_iter().filter(|name| name.starts_with(".fileserv-")).collect()
}

fn await_no_parts(server: &Server) {
    until("nothing is left of the upload", || parts(server).is_empty());
}

/// Sends a request that begins an upload with all of its content, of which `content` is the first part.
fn begin_whole(client: &mut Client, target: &str, whole: usize, content: &[u8]) -> String {
    let length = format!("Content-Length: {whole}");
    client.send(head("PUT", target, &[LAST, VERSION, &length], b"").replace("Content-Length: 0\r\n", ""));
    let interim = client.interim_reply(104);
    client.send(content);
    interim.field("location").unwrap().to_owned()
}

/// Appends chunks until the server says how far it is; that, and how much was sent.
fn send_until_told(client: &mut Client, address: &str) -> (u64, u64) {
    const CHUNK: usize = 32 << 10;
    let fields = [LAST, PARTIAL, VERSION, "Upload-Offset: 0", "Transfer-Encoding: chunked"];
    client.send(head("PATCH", address, &fields, b""));
    let chunk = [format!("{CHUNK:x}\r\n").as_bytes(), &[b'x'; CHUNK], b"\r\n"].concat();
    let mut sent = 0;
    until("an offset is told", || {
        client.send(&chunk);
        sent += CHUNK as u64;
        !client.is_quiet()
    });
    let interim = client.interim_reply(104);
    assert!(VERSION.ends_with(interim.field("upload-draft-interop-version").unwrap()));
    (offset_of(&interim), sent)
}
