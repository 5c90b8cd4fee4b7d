//! Names of hosts: as a site lists them, and from the `Host` of a request to its site (RFC 9110 section 7.2).
//! Process: both. A worker trusts nothing of the host it looks up, and allocates nothing for it, unless it is an IPv6
//! address.

use std::cmp::Ordering;
use std::net::Ipv6Addr;

use super::scalar::{Scalar, scalars};
use super::{Site, SiteId, Sites};

/// The longest name (RFC 1035 section 2.3.4); no client could resolve a longer one.
const NAME_LIMIT_BYTES: usize = 253;

/// A host of a site, in lower case, without a dot at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    /// The name; of a pattern what follows `*.`.
    name: String,
    /// Does it stand for every name that ends in `.name`, but not for the name itself?
    is_pattern: bool,
}

impl std::fmt::Display for HostName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_pattern { "*." } else { "" })?;
        f.write_str(&self.name)
    }
}

impl Scalar for HostName {
    const EXPECTED: &'static str = "the name of a host, such as \"www.example.org\" or \"*.example.org\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let no_host = |why: &str| Err(format!("{text:?} can't be a host: {why}; write {}", Self::EXPECTED));
        let lower = text.to_ascii_lowercase();
        if lower.starts_with('[') && lower.ends_with(']') {
            return match ipv6(&lower) {
                Some(address) => Ok(Self { name: format!("[{address}]"), is_pattern: false }),
                None => no_host("what stands in brackets is an IPv6 address"),
            };
        }
        let (name, is_pattern) = lower.strip_prefix("*.").map_or((lower.as_str(), false), |suffix| (suffix, true));
        let name = name.strip_suffix('.').unwrap_or(name);
        if !name.is_ascii() {
            return no_host("a name beyond ASCII is sent in its xn-- form");
        }
        if name.contains(':') || name.contains('/') {
            return no_host("it has neither a scheme nor a port nor a path");
        }
        if name.contains('*') {
            return no_host("`*` may only stand for all that comes before the first dot");
        }
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if name.len() > NAME_LIMIT_BYTES || !name.split('.').all(is_label) {
            return no_host("it is made of letters, digits, `-` and `_`, with single dots between");
        }
        Ok(Self { name: name.to_owned(), is_pattern })
    }
}

scalars!(HostName);

/// From a host to its site. Sorted, so that hundreds of names cost a request no more than a few comparisons.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    exact: Vec<(String, SiteId)>,
    patterns: Vec<(String, SiteId)>,
}

/// A name that two sites claim, or one site twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The later of the two places: which site, and which of its names.
    pub(super) site: usize,
    pub(super) index: usize,
    /// The site that names it too.
    pub(super) earlier: usize,
}

impl Hosts {
    /// All names of these sites.
    #[must_use]
    pub fn of(sites: &Sites<Site>) -> Self {
        let mut hosts = Self::default();
        for (id, site) in sites.iter() {
            for HostName { name, is_pattern } in &site.names {
                let list = if *is_pattern { &mut hosts.patterns } else { &mut hosts.exact };
                list.push((name.clone(), id));
            }
        }
        hosts.exact.sort();
        hosts.patterns.sort();
        hosts
    }

    /// The site of a `Host` field or of the authority of a target: its port doesn't matter, nor do upper case and a dot
    /// at the end. The exact name wins, then the longest pattern; who is named by nobody gets the default site.
    #[must_use]
    pub fn site_of(&self, authority: &[u8]) -> SiteId {
        if self.exact.is_empty() && self.patterns.is_empty() {
            return SiteId::DEFAULT;
        }
        let Ok(authority) = std::str::from_utf8(authority) else { return SiteId::DEFAULT };
        let host = without_port(authority);
        if let Some(address) = ipv6(host) {
            return find(&self.exact, &format!("[{address}]")).unwrap_or(SiteId::DEFAULT);
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        // No name of a site is longer, and each label of this one would be looked for.
        if host.len() > NAME_LIMIT_BYTES {
            return SiteId::DEFAULT;
        }
        if let Some(id) = find(&self.exact, host) {
            return id;
        }
        let mut rest = host;
        while let Some((label, suffix)) = rest.split_once('.') {
            if !label.is_empty()
                && let Some(id) = find(&self.patterns, suffix)
            {
                return id;
            }
            rest = suffix;
        }
        SiteId::DEFAULT
    }

    /// The first name that is claimed twice.
    pub(super) fn first_claim(sites: &[Site]) -> Option<Claim> {
        let mut seen: Vec<(usize, &HostName)> = Vec::new();
        for (site, names) in sites.iter().map(|site| &site.names).enumerate() {
            for (index, name) in names.iter().enumerate() {
                if let Some((earlier, _)) = seen.iter().find(|(_, other)| *other == name) {
                    return Some(Claim { site, index, earlier: *earlier });
                }
                seen.push((site, name));
            }
        }
        None
    }
}

fn without_port(authority: &str) -> &str {
    let end = if authority.starts_with('[') { authority.find(']').map(|at| at + 1) } else { authority.find(':') };
    end.and_then(|end| authority.get(..end)).unwrap_or(authority)
}

/// The address in brackets, whose many spellings are one host (RFC 5952 section 1).
fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn find(list: &[(String, SiteId)], host: &str) -> Option<SiteId> {
    let found = list.binary_search_by(|(name, _)| compare(name, host)).ok()?;
    list.get(found).map(|(_, id)| *id)
}

/// As `str` would compare them, were the host in lower case.
fn compare(name: &str, host: &str) -> Ordering {
    name.bytes().cmp(host.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HostName {
        HostName::from_text(text).unwrap()
    }

    fn sites(names: &[&[&str]]) -> Sites<Site> {
        let site = |names: &&[&str]| Site { names: names.iter().copied().map(name).collect(), ..Site::default() };
        Sites { default: Site::default(), named: names.iter().map(site).collect() }
    }

    #[test]
    fn a_host_finds_its_site() {
        let sites = sites(&[
            &["A.example", "[0:0::1]", "[2001:db8::1]", "192.0.2.1"],
            &["*.b.example", "b.example."],
            &["*.c.b.example", "x.b.example", "localhost"],
        ]);
        let hosts = Hosts::of(&sites);
        let table = [
            ("a.example", 1),
            ("A.EXAMPLE:8080", 1),
            ("a.example.", 1),
            ("a.example.:80", 1),
            ("[::1]:8080", 1),
            ("[::1]", 1),
            ("[::2]", 0),
            ("[0:0:0::0:1]:80", 1),
            ("[2001:DB8:0::1]", 1),
            ("192.0.2.1:80", 1),
            ("b.example", 2),
            ("y.b.example", 2),
            ("deep.y.b.example", 2),
            (".b.example", 0),
            ("xb.example", 0),
            ("x.b.example", 3),
            ("y.x.b.example", 2),
            ("c.b.example", 2),
            ("d.C.b.example", 3),
            ("LOCALHOST", 3),
            ("example", 0),
            ("a.example.org", 0),
            ("a.example..", 0),
            ("", 0),
            (".", 0),
        ];
        let ids: Vec<SiteId> = sites.iter().map(|(id, _)| id).collect();
        for (host, expected) in table {
            assert_eq!(hosts.site_of(host.as_bytes()), ids[expected], "{host}");
        }
        assert_eq!(Hosts::default().site_of(b"a.example"), SiteId::DEFAULT);
        let too_long = format!("{}c.b.example", "a.".repeat(130));
        assert_eq!(hosts.site_of(too_long.as_bytes()), SiteId::DEFAULT);
    }

    #[test]
    fn what_can_be_no_host_is_refused_in_words() {
        for (text, words) in [
            ("", "letters"),
            ("a..b", "letters"),
            ("a b", "letters"),
            ("*", "first dot"),
            ("a.*.b", "first dot"),
            ("*a.b", "first dot"),
            ("*.*.b", "first dot"),
            ("*.", "letters"),
            ("a.example:80", "port"),
            ("http://a.example", "scheme"),
            ("[::1", "port"),
            ("[a]", "IPv6"),
            ("bücher.example", "xn--"),
        ] {
            let error = HostName::from_text(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(HostName::from_text(&"a.".repeat(200)).is_err());
        assert_eq!(name("*.B.example.").to_string(), "*.b.example");
    }

    #[test]
    fn a_name_claimed_twice_is_found_where_it_stands_the_second_time() {
        let claim = |names| Hosts::first_claim(&sites(names).named);
        assert_eq!(claim(&[&["a", "b"], &["c", "A."]]), Some(Claim { site: 1, index: 1, earlier: 0 }));
        assert_eq!(claim(&[&["a", "a"]]), Some(Claim { site: 0, index: 1, earlier: 0 }));
        assert_eq!(claim(&[&["*.a"], &["a", "b.a"]]), None);
    }
}
