//! Where to accept connections: the key `listen`.
//! Process: both. Trusts: the operator. Fails with: words that say what would be right.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::scalar::{Scalar, scalars};
use super::values::absolute;

/// A listener: its address, and what comes first on its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where it is.
    pub address: ListenAddress,
    /// Does every connection begin with a header of the PROXY protocol, in which a proxy names the true client?
    pub proxy_protocol: bool,
}

/// The word behind an address. It is a suffix, so that one string says all wherever an address can be given.
const PROXY_PROTOCOL: &str = " proxy_protocol";

impl From<ListenAddress> for Listen {
    fn from(address: ListenAddress) -> Self {
        Self { address, proxy_protocol: false }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(words, "{}{}", self.address, if self.proxy_protocol { PROXY_PROTOCOL } else { "" })
    }
}

impl Scalar for Listen {
    const EXPECTED: &'static str = "an address such as \"127.0.0.1:8080\", \"[::1]:8080\", \
        \"unix:/run/fileserv/socket\" or \"systemd\", with \" proxy_protocol\" behind it where a proxy says so";

    fn from_text(text: &str) -> Result<Self, String> {
        let (address, proxy_protocol) = match text.strip_suffix(PROXY_PROTOCOL) {
            Some(address) => (address.trim_end(), true),
            None => (text, false),
        };
        Ok(Self { address: ListenAddress::from_text(address)?, proxy_protocol })
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_text(text)
    }
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// `ADDRESS:PORT`; an IPv6 address never takes IPv4 connections (IPV6_V6ONLY).
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `systemd` or `systemd:NAME`: sockets that the service manager has bound and passed, all of them or those of a name.
    Systemd(Option<String>),
}

/// What a path in `sockaddr_un` may hold beside its last NUL (unix(7)).
const UNIX_PATH_LIMIT_BYTES: usize = 107;

impl ListenAddress {
    /// Would the kernel refuse to bind both? A wildcard address takes the port on every address of its family; port 0
    /// is a different one each time.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(one), Self::Unix(two)) => one == two,
            (Self::Tcp(one), Self::Tcp(two)) => {
                let same_family = one.is_ipv4() == two.is_ipv4();
                let wildcard = one.ip().is_unspecified() || two.ip().is_unspecified();
                one.port() == two.port() && one.port() != 0 && same_family && (wildcard || one.ip() == two.ip())
            }
            (Self::Systemd(one), Self::Systemd(two)) => one.is_none() || two.is_none() || one == two,
            (Self::Tcp(_) | Self::Unix(_), _) | (Self::Systemd(_), Self::Tcp(_) | Self::Unix(_)) => false,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(words, "{address}"),
            Self::Unix(path) => write!(words, "unix:{}", path.display()),
            Self::Systemd(None) => words.write_str(SYSTEMD),
            Self::Systemd(Some(name)) => write!(words, "{SYSTEMD}:{name}"),
        }
    }
}

impl ListenAddress {
    fn from_text(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if let Some(rest) = text.strip_prefix(SYSTEMD).filter(|rest| rest.is_empty() || rest.starts_with(':')) {
            return systemd(rest.strip_prefix(':'));
        }
        let address: SocketAddr = text.parse().map_err(|_| not_an_address(text))?;
        match address.ip() {
            // The socket would have to take IPv4 connections, and IPV6_V6ONLY says that it never does.
            IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
                Err(format!("{text:?} is an IPv4 address in IPv6 clothes; write the IPv4 address itself"))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(Self::Tcp(address)),
        }
    }
}

scalars!(Listen);

/// The word for what the service manager has passed.
const SYSTEMD: &str = "systemd";

/// What FileDescriptorName= of systemd.socket(5) may be.
fn systemd(name: Option<&str>) -> Result<ListenAddress, String> {
    const NAME_LIMIT_BYTES: usize = 255;
    let odd = |letter: char| !letter.is_ascii_graphic() || letter == ':';
    match name {
        Some(name) if name.is_empty() || name.len() > NAME_LIMIT_BYTES || name.contains(odd) => Err(format!(
            "{name:?} is no name of a socket; write \"systemd\" for all that are passed, or \"systemd:NAME\""
        )),
        name => Ok(ListenAddress::Systemd(name.map(str::to_owned))),
    }
}

fn unix(path: &str) -> Result<ListenAddress, String> {
    let absolute = absolute(path)?;
    if path.len() > UNIX_PATH_LIMIT_BYTES {
        return Err(format!("the socket's path has {} bytes; Linux takes at most {UNIX_PATH_LIMIT_BYTES}", path.len()));
    }
    Ok(ListenAddress::Unix(absolute))
}

/// The commonest slips have their own answer.
fn not_an_address(text: &str) -> String {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return format!("{text:?} lacks the port; write \"{}\"", SocketAddr::new(ip, 8080));
    }
    let digits = text.trim_start_matches(['*', ':']);
    if let Ok(port) = digits.parse::<u16>() {
        return format!(
            "{text:?} lacks the address; write \"127.0.0.1:{port}\" for this machine only, \
             \"0.0.0.0:{port}\" and \"[::]:{port}\" for everybody"
        );
    }
    format!("{text:?} is no address; write {} (names are not looked up)", Listen::EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ListenAddress {
        ListenAddress::from_text(text).unwrap()
    }

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for text in
            ["127.0.0.1:8080", "[::]:80", "[fe80::1%3]:80", "unix:/run/fileserv/socket", "systemd", "systemd:http"]
        {
            assert_eq!(address(text).to_string(), text);
        }
    }

    #[test]
    fn a_listener_may_want_the_proxy_protocol() {
        for text in ["127.0.0.1:8080", "[::]:80 proxy_protocol", "unix:/run/a b proxy_protocol"] {
            let listen = Listen::from_text(text).unwrap();
            assert_eq!(listen.to_string(), text);
            assert_eq!(listen.proxy_protocol, text.ends_with("proxy_protocol"));
        }
        let error = Listen::from_text("127.0.0.1:8080 proxy").unwrap_err();
        assert!(error.contains("\" proxy_protocol\""), "{error}");
    }

    #[test]
    fn a_slip_is_answered_with_what_would_be_right() {
        for (text, words) in [
            ("8080", "\"127.0.0.1:8080\""),
            (":80", "\"0.0.0.0:80\""),
            ("*:80", "\"0.0.0.0:80\""),
            ("127.0.0.1", "\"127.0.0.1:8080\""),
            ("::1", "\"[::1]:8080\""),
            ("localhost:80", "names are not looked up"),
            ("127.0.0.1:70000", "is no address"),
            ("[::ffff:127.0.0.1]:80", "the IPv4 address itself"),
            ("unix:run/socket", "absolute"),
            ("systemd:", "\"systemd\" for all"),
            ("systemd:a b", "\"systemd:NAME\""),
            ("systemd1", "is no address"),
        ] {
            let error = ListenAddress::from_text(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let long = format!("unix:/{}", "x".repeat(UNIX_PATH_LIMIT_BYTES));
        assert!(ListenAddress::from_text(&long).unwrap_err().contains("107"));
    }

    #[test]
    fn overlaps_are_those_that_bind_refuses() {
        let overlap = |one, two| address(one).overlaps(&address(two)) && address(two).overlaps(&address(one));
        assert!(overlap("127.0.0.1:80", "0.0.0.0:80"));
        assert!(overlap("[::1]:80", "[::]:80"));
        assert!(overlap("127.0.0.1:80", "127.0.0.1:80"));
        assert!(overlap("unix:/a", "unix:/a"));
        assert!(overlap("systemd", "systemd:http"));
        assert!(!overlap("systemd:http", "systemd:other"));
        assert!(!overlap("systemd", "0.0.0.0:80"));
        assert!(!overlap("0.0.0.0:80", "[::]:80"));
        assert!(!overlap("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!overlap("0.0.0.0:80", "127.0.0.1:81"));
        assert!(!overlap("127.0.0.1:0", "127.0.0.1:0"));
    }
}
