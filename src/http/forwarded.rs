//! Which client a request comes from, in the words of trusted proxies: `Forwarded` (RFC 7239), `X-Forwarded-For`.
//! Process: worker, sealed. Trusts: the proxies that the configuration names, and of the rest nothing. Pure; allocates
//! nothing.
//!
//! Each proxy appends the address that it heard from. So the list is believed from its end, as long as the addresses
//! are those of trusted proxies; the first that isn't is the client, and whatever stands before it is the client's own
//! invention.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::{ForwardedField, TrustedProxies};
use crate::message::{FieldName, Fields, Refusal, Status};

/// The client that a trusted peer has named; `None` if it named none, or one that can't be known.
///
/// # Errors
/// 400 where both fields are read and name different clients. A proxy appends to one of them and may hand on the other
/// as the client wrote it; who may write what is believed of it could choose to be nobody, whom no limit holds.
pub fn forwarded_client(
    fields: &Fields<'_>,
    field: ForwardedField,
    trusted: &TrustedProxies,
) -> Result<Option<IpAddr>, Refusal> {
    let rfc_7239 =
        || client_of(fields.all(FieldName::Forwarded).flat_map(|value| split(value, b',')).map(node), trusted);
    let de_facto = || client_of(fields.elements(FieldName::XForwardedFor).map(address), trusted);
    let has = |name| fields.contains(name);
    match field {
        ForwardedField::Forwarded => Ok(rfc_7239()),
        ForwardedField::XForwardedFor => Ok(de_facto()),
        ForwardedField::Either if has(FieldName::Forwarded) && has(FieldName::XForwardedFor) => {
            let client = rfc_7239();
            if client == de_facto() { Ok(client) } else { Err(contradiction()) }
        }
        ForwardedField::Either => Ok(rfc_7239().or_else(de_facto)),
    }
}

fn contradiction() -> Refusal {
    let detail = "Forwarded and X-Forwarded-For name different clients: the proxy must remove the one that it does not \
                  write, or the configuration name the one that is meant (forwarded_field).";
    Refusal::closing(Status::BAD_REQUEST, detail)
}

/// What is known after so many hops, read from the first to the last.
#[derive(Clone, Copy)]
enum Trail {
    /// There was no hop yet.
    Empty,
    /// Trusted hops only; the first of them.
    Trusted(IpAddr),
    /// The last hop that is not trusted.
    Client(IpAddr),
    /// It hides, or can't be read.
    Lost,
}

/// The client of a list of hops, each an address if it can be read.
fn client_of(hops: impl Iterator<Item = Option<IpAddr>>, trusted: &TrustedProxies) -> Option<IpAddr> {
    let trail = hops.fold(Trail::Empty, |trail, hop| match (hop, trail) {
        (None, _) => Trail::Lost,
        (Some(address), _) if !trusted.contains(Some(address)) => Trail::Client(address),
        (Some(address), Trail::Empty) => Trail::Trusted(address),
        (Some(_), Trail::Trusted(_) | Trail::Client(_) | Trail::Lost) => trail,
    });
    match trail {
        Trail::Trusted(address) | Trail::Client(address) => Some(address),
        Trail::Empty | Trail::Lost => None,
    }
}

/// The address in an element of `Forwarded`: its only `for` parameter (RFC 7239 section 4).
fn node(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    for pair in split(element, b';') {
        let equals = memchr::memchr(b'=', pair)?;
        let (name, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
        if !name.eq_ignore_ascii_case(b"for") {
            continue;
        }
        if found.is_some() {
            return None;
        }
        found = Some(address(unquoted(value)?)?);
    }
    found
}

/// The text of a token or quoted string. An escape is never needed in an address, so none is taken.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    if let Some(text) = value.strip_prefix(b"\"") {
        return text.strip_suffix(b"\"").filter(|text| !text.iter().any(|byte| matches!(byte, b'"' | b'\\')));
    }
    // Of the bytes that make an address, a token may not have these: the address had to be quoted.
    (!value.iter().any(|byte| matches!(byte, b':' | b'[' | b']' | b'"'))).then_some(value)
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        IpAddr::V6(address.parse::<Ipv6Addr>().ok().filter(|_| is_whole)?)
    } else if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else {
        let (address, _) = text.split_once(':').filter(|(_, port)| is_port(port))?;
        IpAddr::V4(address.parse::<Ipv4Addr>().ok()?)
    };
    Some(address.to_canonical())
}

/// A number, or a name that stands for one (RFC 7239 section 6.2).
fn is_port(text: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(is_name_byte),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// The parts between separators that do not stand in quotes, trimmed, empty ones left out. A quote without its end
/// reaches to the end of the text, and makes its part unreadable.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut in_quotes, mut escaped) = (false, false);
    text.split(move |&byte| {
        if escaped {
            escaped = false;
        } else if in_quotes && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            in_quotes = !in_quotes;
        }
        !in_quotes && byte == separator
    })
    .map(<[u8]>::trim_ascii)
    .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Options, Override, Source, load};

    fn trusted() -> TrustedProxies {
        let options = Options { root: Some("/".into()), ..Options::default() };
        let set = Override::parse("trusted_proxies=[\"10.0.0.0/8\", \"2001:db8::/64\"]").unwrap();
        let config: Config = load(&Source::quick(false, false, options, vec![set])).unwrap();
        config.trusted_proxies
    }

    fn read(lines: &[(&str, &str)], field: ForwardedField) -> Result<Option<IpAddr>, Refusal> {
        let mut fields = Fields::default();
        for (name, value) in lines {
            assert!(fields.push(name, value.as_bytes()));
        }
        forwarded_client(&fields, field, &trusted())
    }

    fn client(lines: &[(&str, &str)], field: ForwardedField) -> Option<String> {
        read(lines, field).unwrap().map(|address| address.to_string())
    }

    fn refused(lines: &[(&str, &str)]) -> Refusal {
        read(lines, ForwardedField::Either).unwrap_err()
    }

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        for (value, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("6.6.6.6, 192.0.2.1", Some("192.0.2.1")),
            ("6.6.6.6, 192.0.2.1, 10.1.1.1", Some("192.0.2.1")),
            ("nonsense, 192.0.2.1 ,, 10.1.1.1,10.2.2.2", Some("192.0.2.1")),
            ("192.0.2.1:4711", Some("192.0.2.1")),
            ("2001:db8:1::1, [2001:db8::5]:80", Some("2001:db8:1::1")),
            ("[2001:db8:1::1]", Some("2001:db8:1::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            // A client in a trusted network.
            ("10.3.3.3, 10.1.1.1", Some("10.3.3.3")),
            // A trusted proxy can't say from whom it heard: what stands before may be anybody's word.
            ("192.0.2.1, unknown, 10.1.1.1", None),
            ("192.0.2.1, unknown", None),
            ("", None),
            ("192.0.2.1 6.6.6.6", None),
            ("192.0.2.256", None),
            ("192.0.2.1:", None),
            ("[2001:db8:1::1", None),
            ("[192.0.2.1]", None),
            ("fe80::1%eth0", None),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(client(&[("X-Forwarded-For", value)], ForwardedField::Either), expected, "{value}");
        }
        let lines = [("X-Forwarded-For", "6.6.6.6"), ("x-forwarded-for", "192.0.2.1, 10.1.1.1")];
        assert_eq!(client(&lines, ForwardedField::XForwardedFor).as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        for (value, expected) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", Some("192.0.2.60")),
            ("For=\"[2001:db8:cafe::17]:4711\"", Some("2001:db8:cafe::17")),
            ("for=192.0.2.43, for=198.51.100.17", Some("198.51.100.17")),
            ("for=192.0.2.43; proto=https , for=10.0.0.1", Some("192.0.2.43")),
            ("proto=https;for=\"192.0.2.43:_port\"", Some("192.0.2.43")),
            // A comma and a semicolon in quotes part nothing.
            ("for=192.0.2.43;by=\"a,;for=6.6.6.6\"", Some("192.0.2.43")),
            ("for=192.0.2.43;by=\"a\\\",for=6.6.6.6\"", Some("192.0.2.43")),
            ("for=_hidden, for=192.0.2.43", Some("192.0.2.43")),
            ("for=192.0.2.43, for=_hidden", None),
            ("for=192.0.2.43, for=unknown, for=10.0.0.1", None),
            ("for=192.0.2.43, proto=https", None),
            ("for=192.0.2.43;for=192.0.2.44", None),
            ("for=[2001:db8:cafe::17]", None),
            ("for=\"192.0.2.43, for=192.0.2.44", None),
            ("for=\"192\\.0.2.43\"", None),
            ("for", None),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(client(&[("Forwarded", value)], ForwardedField::Forwarded), expected, "{value}");
        }
    }

    #[test]
    fn a_field_that_no_proxy_wrote_is_not_believed() {
        let both = [("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "192.0.2.1")];
        assert_eq!(refused(&both).status, Status::BAD_REQUEST);
        let hidden = [("Forwarded", "for=unknown"), ("X-Forwarded-For", "192.0.2.1")];
        assert_eq!(refused(&hidden).status, Status::BAD_REQUEST);
        assert_eq!(client(&both, ForwardedField::XForwardedFor).as_deref(), Some("192.0.2.1"));
        assert_eq!(client(&both, ForwardedField::Forwarded).as_deref(), Some("6.6.6.6"));
        assert_eq!(client(&both[..1], ForwardedField::XForwardedFor), None);
        let same = [("Forwarded", "for=192.0.2.1"), ("X-Forwarded-For", "192.0.2.1")];
        assert_eq!(client(&same, ForwardedField::Either).as_deref(), Some("192.0.2.1"));
        assert_eq!(client(&[], ForwardedField::Either), None);
    }
}
