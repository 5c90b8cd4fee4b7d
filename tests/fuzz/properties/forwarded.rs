//! `Forwarded` and `X-Forwarded-For`: what a client writes before its proxy does never makes it somebody else (RFC 7239
//! section 8.1).

use std::net::IpAddr;

use fileserv::config::{ForwardedField, TrustedProxies};
use fileserv::http::forwarded_client;
use fileserv::message::FieldName;

use super::field;

/// Checks the properties of both fields.
pub fn forwarded(bytes: &[u8]) {
    // No field holds control characters but the tab (RFC 9110 section 5.5): `parse` sees to that.
    if bytes.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
        return;
    }
    for (name, kind, last) in [
        (FieldName::Forwarded, ForwardedField::Forwarded, &b"for=192.0.2.1;proto=https"[..]),
        (FieldName::XForwardedFor, ForwardedField::XForwardedFor, b"192.0.2.1"),
    ] {
        let client = |lines: &[&[u8]], kind| {
            let fields = field(name, lines.iter().copied()).expect("there is room for the lines");
            forwarded_client(&fields, kind, &TrustedProxies::default()).expect("one field can't contradict itself")
        };
        let named = Some(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(client(&[bytes, last], kind), named, "{name:?}: whatever stands in an earlier line");
        assert_eq!(client(&[last, bytes], kind), client(&[bytes], kind).or(none_there(bytes, named)), "{name:?}");
        assert_eq!(
            client(&[bytes], ForwardedField::Either),
            client(&[bytes], kind),
            "{name:?} is the one that is there"
        );
        let canonical = client(&[bytes], kind).is_none_or(|client| client == client.to_canonical());
        assert!(canonical, "{name:?}: two spellings of one client");
    }
    let joined = [bytes, b", 192.0.2.1"].concat();
    let fields = field(FieldName::XForwardedFor, [&joined[..]]).expect("there is room for a line");
    let client = forwarded_client(&fields, ForwardedField::XForwardedFor, &TrustedProxies::default());
    assert_eq!(client, Ok(Some(IpAddr::from([192, 0, 2, 1]))), "a list in one line ends with the proxy's word");
}

/// A line without any element leaves the word to the line before it.
fn none_there(bytes: &[u8], before: Option<IpAddr>) -> Option<IpAddr> {
    bytes.iter().all(|byte| matches!(byte, b',' | b' ' | b'\t')).then_some(before).flatten()
}
