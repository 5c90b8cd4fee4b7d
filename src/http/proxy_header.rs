//! What a proxy says of the client before the client's own first byte: the PROXY protocol, versions 1 and 2.
//! Process: worker, sealed. Trusts: the listener's word that a proxy speaks. Pure. Blocks: never.
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, section 2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A header of the PROXY protocol, as far as its bytes have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// All that has come may be the beginning of one.
    Incomplete,
    /// One has come.
    Complete {
        /// The client; `None` where the proxy speaks for itself or doesn't know.
        client: Option<IpAddr>,
        /// How many bytes the header has.
        used: usize,
    },
}

/// These bytes are no header: the connection must be closed, for nothing in it can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotProxied;

const SIGNATURE_1: &[u8] = b"PROXY ";
const SIGNATURE_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, with its line end (section 2.1).
const HEADER_1_LIMIT_BYTES: usize = 107;
/// The fixed part of version 2: signature, command, family, length.
const FIXED_2_BYTES: usize = 16;

/// Reads a header. One of version 2 may carry extensions, which are skipped; it may have `limit_bytes` in all.
///
/// # Errors
/// As soon as it is certain that no header can come of these bytes.
pub fn parse_proxy_header(bytes: &[u8], limit_bytes: usize) -> Result<ProxyHeader, NotProxied> {
    let begins = |signature: &[u8]| bytes.iter().zip(signature).all(|(byte, expected)| byte == expected);
    if begins(SIGNATURE_1) {
        version_1(bytes)
    } else if begins(SIGNATURE_2) {
        version_2(bytes, limit_bytes)
    } else {
        Err(NotProxied)
    }
}

/// One line of text (section 2.1).
fn version_1(bytes: &[u8]) -> Result<ProxyHeader, NotProxied> {
    let window = bytes.get(..HEADER_1_LIMIT_BYTES).unwrap_or(bytes);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if window.len() < HEADER_1_LIMIT_BYTES { Ok(ProxyHeader::Incomplete) } else { Err(NotProxied) };
    };
    let line = window.get(SIGNATURE_1.len()..end).ok_or(NotProxied)?;
    // What follows UNKNOWN must be ignored.
    let is_unknown = line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ");
    let client = if is_unknown { None } else { Some(client_of_line(line)?) };
    Ok(ProxyHeader::Complete { client, used: end + 2 })
}

fn client_of_line(line: &[u8]) -> Result<IpAddr, NotProxied> {
    let line = std::str::from_utf8(line).map_err(|_| NotProxied)?;
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or(NotProxied);
    let (family, source, destination) = (word()?, word()?, word()?);
    let ports = [word()?, word()?];
    if words.next().is_some() || !ports.into_iter().all(is_port) {
        return Err(NotProxied);
    }
    let address = |text: &str| -> Result<IpAddr, NotProxied> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| NotProxied),
            "TCP6" => {
                text.parse::<Ipv6Addr>().map(|address| IpAddr::V6(address).to_canonical()).map_err(|_| NotProxied)
            }
            _ => Err(NotProxied),
        }
    };
    address(destination)?;
    address(source)
}

/// A decimal number of 16 bits without sign or leading zeros.
fn is_port(text: &str) -> bool {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_decimal && text.parse::<u16>().is_ok()
}

/// Binary, with its length (section 2.2).
fn version_2(bytes: &[u8], limit_bytes: usize) -> Result<ProxyHeader, NotProxied> {
    // Each byte is looked at as soon as it is there: who speaks no PROXY is not waited for.
    let rest = bytes.get(SIGNATURE_2.len()..).unwrap_or_default();
    let is_proxied = match rest.first() {
        // LOCAL: the proxy itself, for a look at our health. PROXY: on behalf of a client.
        Some(0x20) => false,
        Some(0x21) | None => true,
        Some(_) => return Err(NotProxied),
    };
    let addresses = match rest.get(1) {
        Some(0x11) => Addresses::V4,
        Some(0x21) => Addresses::V6,
        // Datagrams, Unix sockets and what has no address: known to the protocol, of no use here.
        Some(family) if matches!(family >> 4, 0..=3) && matches!(family & 0xf, 0..=2) => Addresses::Other,
        // The family of a LOCAL connection is ignored.
        Some(_) if is_proxied => return Err(NotProxied),
        Some(_) | None => Addresses::Other,
    };
    let Some(length) = rest.get(2..4).and_then(|length| length.try_into().ok()).map(u16::from_be_bytes) else {
        return Ok(ProxyHeader::Incomplete);
    };
    let used = FIXED_2_BYTES + usize::from(length);
    if used > limit_bytes || (is_proxied && usize::from(length) < addresses.bytes()) {
        return Err(NotProxied);
    }
    let Some(block) = bytes.get(FIXED_2_BYTES..used) else { return Ok(ProxyHeader::Incomplete) };
    let client = if is_proxied { addresses.source(block) } else { None };
    Ok(ProxyHeader::Complete { client, used })
}

/// What the address block of version 2 holds.
#[derive(Debug, Clone, Copy)]
enum Addresses {
    V4,
    V6,
    Other,
}

impl Addresses {
    /// Two addresses and two ports.
    fn bytes(self) -> usize {
        match self {
            Self::V4 => 12,
            Self::V6 => 36,
            Self::Other => 0,
        }
    }

    fn source(self, block: &[u8]) -> Option<IpAddr> {
        match self {
            Self::V4 => Some(IpAddr::from(*block.first_chunk::<4>()?)),
            Self::V6 => Some(IpAddr::from(*block.first_chunk::<16>()?).to_canonical()),
            Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024;

    /// The client and the length, after every beginning of the header was found to be incomplete.
    fn whole(header: &[u8]) -> Result<(Option<IpAddr>, usize), NotProxied> {
        for end in 0..header.len() {
            match parse_proxy_header(&header[..end], LIMIT) {
                Ok(ProxyHeader::Incomplete) => {}
                other => return other.map(|other| panic!("{other:?} after {end} bytes")),
            }
        }
        let with_request = [header, b"GET / HTTP/1.1\r\n\r\n"].concat();
        match parse_proxy_header(&with_request, LIMIT)? {
            ProxyHeader::Complete { client, used } => Ok((client, used)),
            ProxyHeader::Incomplete => panic!("{header:?} is incomplete"),
        }
    }

    fn version_2_header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [SIGNATURE_2, &[command, family], &length, block].concat()
    }

    #[test]
    fn lines_of_version_1() {
        let longest = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
        for (line, client) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", Some("192.0.2.1")),
            ("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", Some("255.255.255.255")),
            ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", Some("2001:db8::1")),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Some("192.0.2.1")),
            ("PROXY UNKNOWN\r\n", None),
            (longest, None),
        ] {
            let expected = client.map(|client| client.parse().unwrap());
            assert_eq!(whole(line.as_bytes()), Ok((expected, line.len())), "{line}");
        }
    }

    #[test]
    fn malformed_lines_are_no_header() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(HEADER_1_LIMIT_BYTES));
        for line in [
            "GET / HTTP/1.1\r\n",
            "PROXY\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
            "PROXY TCP4 \u{ff11}.0.2.1 192.0.2.2 1 2\r\n",
            &long,
        ] {
            assert_eq!(parse_proxy_header(line.as_bytes(), LIMIT), Err(NotProxied), "{line}");
        }
    }

    #[test]
    fn what_follows_unknown_is_ignored_though_it_is_no_text() {
        assert_eq!(whole(b"PROXY UNKNOWN \xff\r\n"), Ok((None, 17)));
    }

    #[test]
    fn headers_of_version_2() {
        let v4 = [[192, 0, 2, 1], [192, 0, 2, 2]].concat();
        let v4 = [&v4[..], &[0x12, 0x34, 0, 80]].concat();
        let v6 = [&Ipv6Addr::from_bits(0x2001 << 112 | 7).octets()[..], &[1; 20]].concat();
        let extended = [&v4[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat();
        for (command, family, block, client) in [
            (0x21, 0x11, &v4, Some("192.0.2.1")),
            (0x21, 0x11, &extended, Some("192.0.2.1")),
            (0x21, 0x21, &v6, Some("2001::7")),
            // LOCAL, whatever else it says; nothing known; datagrams; Unix sockets.
            (0x20, 0x00, &vec![], None),
            (0x20, 0x41, &vec![], None),
            (0x20, 0xff, &vec![1, 2], None),
            (0x20, 0x11, &vec![], None),
            (0x20, 0x11, &v4, None),
            (0x21, 0x00, &extended, None),
            (0x21, 0x12, &v4, None),
            (0x21, 0x31, &vec![0; 216], None),
        ] {
            let header = version_2_header(command, family, block);
            let expected = client.map(|client| client.parse().unwrap());
            assert_eq!(whole(&header), Ok((expected, header.len())), "{command:x} {family:x}");
        }
    }

    #[test]
    fn malformed_headers_of_version_2_are_refused_at_the_first_wrong_byte() {
        let block = [1; 12];
        for (command, family, block) in [
            (0x11, 0x11, &block[..]),
            (0x22, 0x11, &block[..]),
            (0x21, 0x41, &block[..]),
            (0x21, 0x13, &block[..]),
            (0x21, 0x11, &block[..11]),
            (0x21, 0x21, &block[..]),
            (0x21, 0x11, &[1; LIMIT - FIXED_2_BYTES + 1][..]),
        ] {
            let header = version_2_header(command, family, block);
            assert_eq!(parse_proxy_header(&header, LIMIT), Err(NotProxied), "{command:x} {family:x}");
            assert_eq!(parse_proxy_header(&header[..FIXED_2_BYTES], LIMIT), Err(NotProxied), "before its block");
        }
        let fits = version_2_header(0x21, 0x11, &[1; LIMIT - FIXED_2_BYTES]);
        assert!(matches!(parse_proxy_header(&fits, LIMIT), Ok(ProxyHeader::Complete { used: LIMIT, .. })));
        assert_eq!(parse_proxy_header(b"\r\n\r\nGET", LIMIT), Err(NotProxied));
    }
}
