//! The PROXY protocol: never more than has come, and the same verdict however the bytes are cut.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fileserv::http::{ProxyHeader, parse_proxy_header};

use super::cuts;

/// So low that the fuzzer meets it.
const LIMIT_BYTES: usize = 128;
/// The longest header of version 1.
const LINE_LIMIT_BYTES: usize = 107;

/// Checks the properties of the reader.
pub fn proxy_header(bytes: &[u8]) {
    if let Some(block) = bytes.first_chunk() {
        client_is_the_source(block);
    }
    let whole = parse_proxy_header(bytes, LIMIT_BYTES);
    for end in cuts(bytes.len()) {
        let part = parse_proxy_header(&bytes[..end], LIMIT_BYTES);
        assert!(part == Ok(ProxyHeader::Incomplete) || part == whole, "{end} bytes: {part:?}, all: {whole:?}");
    }
    match whole {
        Ok(ProxyHeader::Complete { client, used }) => {
            assert!(used <= bytes.len(), "{used} of {} bytes", bytes.len());
            assert!(used <= if bytes[0] == b'P' { LINE_LIMIT_BYTES } else { LIMIT_BYTES }, "{used} bytes");
            assert!(client.is_none_or(|client| client == client.to_canonical()), "two spellings of one client");
            // The header ends where it says: one byte less is none, and its own bytes alone are all of it.
            assert_eq!(parse_proxy_header(&bytes[..used], LIMIT_BYTES), whole);
            assert_eq!(parse_proxy_header(&bytes[..used - 1], LIMIT_BYTES), Ok(ProxyHeader::Incomplete));
            assert_eq!(parse_proxy_header(&[bytes, b"\r\n\r\n\0"].concat(), LIMIT_BYTES), whole);
        }
        Ok(ProxyHeader::Incomplete) => assert!(bytes.len() < LIMIT_BYTES, "{} bytes, no verdict", bytes.len()),
        Err(_) => {}
    }
}

/// Both versions, with any source and another destination.
fn client_is_the_source(block: &[u8; 20]) {
    let [a, b, c, d, ..] = *block;
    let v4 = Ipv4Addr::new(a, b, c, d);
    let mut octets = [0; 16];
    octets.copy_from_slice(&block[..16]);
    let v6 = Ipv6Addr::from(octets);
    let (port, other) = (u16::from_be_bytes([block[16], block[17]]), Ipv4Addr::new(d, c, b, !a));
    let fixed = |family: u8, length: u8| [b"\r\n\r\n\0\r\nQUIT\n\x21", &[family, 0, length][..]].concat();
    let headers = [
        (IpAddr::V4(v4), format!("PROXY TCP4 {v4} {other} {port} 1\r\n").into_bytes()),
        (IpAddr::V6(v6), format!("PROXY TCP6 {v6} ::1 {port} 1\r\n").into_bytes()),
        (IpAddr::V4(v4), [&fixed(0x11, 12)[..], &v4.octets(), &other.octets(), &block[16..20]].concat()),
        (IpAddr::V6(v6), [&fixed(0x21, 36)[..], &octets, &[1; 16], &block[16..20]].concat()),
    ];
    for (source, header) in headers {
        let expected = ProxyHeader::Complete { client: Some(source.to_canonical()), used: header.len() };
        assert_eq!(parse_proxy_header(&header, LIMIT_BYTES), Ok(expected), "{header:?}");
    }
}
