//! The PROXY protocol: never more than has come, and the same verdict however the bytes are cut.

use fileserv::http::{ProxyHeader, parse_proxy_header};

use super::cuts;

/// So low that the fuzzer meets it.
const LIMIT_BYTES: usize = 128;
/// The longest header of version 1.
const LINE_LIMIT_BYTES: usize = 107;

/// Checks the properties of the reader.
pub fn proxy_header(bytes: &[u8]) {
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
