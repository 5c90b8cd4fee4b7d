//! Networks of addresses: the keys `trusted_proxies`, `limits.exempt_clients` and `access.clients`.
//! Process: both. Trusts: the operator. Fails with: words that say what would be right.
//! The door of the crate ipnet.

use std::net::IpAddr;

use ipnet::IpNet;

use super::scalar::{Many, Scalar, scalars};

/// A set of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// This machine itself.
    #[must_use]
    pub(super) fn loopback() -> Self {
        let v4 = ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8);
        Self(vec![v4.into(), IpNet::from(IpAddr::from(std::net::Ipv6Addr::LOCALHOST))])
    }

    /// Is there none, so that nobody is in it?
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Is the address in one of them? An IPv4 address in IPv6 clothes is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Whose word about the true client is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies {
    networks: Networks,
    /// Those who come by a Unix socket, too: they have no address.
    unix: bool,
}

impl TrustedProxies {
    /// Is this one of them? `None` is a peer on a Unix socket.
    #[must_use]
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.unix, |address| self.networks.contains(address))
    }
}

/// A network, or one address.
pub(super) struct Network(IpNet);

impl Scalar for Network {
    const EXPECTED: &'static str = "an address or a network such as \"10.0.0.0/8\" or \"2001:db8::/32\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address.to_canonical())));
        }
        let network: IpNet = text.parse().map_err(|_| format!("{text:?} is no network; write {}", Self::EXPECTED))?;
        // Bits behind the prefix are a slip: of the length, or of the address.
        if network != network.trunc() {
            return Err(format!("{text:?} has bits behind its prefix; write \"{}\"", network.trunc()));
        }
        Ok(Self(network))
    }
}

/// Somebody who may be trusted: a network, or (`None`) whoever comes by a Unix socket.
pub(super) struct Proxy(Option<IpNet>);

impl Scalar for Proxy {
    const EXPECTED: &'static str =
        "an address or a network such as \"10.0.0.0/8\" or \"::1\", or \"unix\" for whoever comes by a Unix socket";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "unix" => Ok(Self(None)),
            _ => Network::from_text(text).map(|network| Self(Some(network.0))),
        }
    }
}

scalars!(Network, Proxy);

impl From<Many<Network>> for Networks {
    fn from(many: Many<Network>) -> Self {
        let list: Vec<Network> = many.into();
        Self(list.into_iter().map(|network| network.0).collect())
    }
}

impl From<Many<Proxy>> for TrustedProxies {
    fn from(many: Many<Proxy>) -> Self {
        let list: Vec<Proxy> = many.into();
        let unix = list.iter().any(|proxy| proxy.0.is_none());
        Self { networks: Networks(list.into_iter().filter_map(|proxy| proxy.0).collect()), unix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks(texts.iter().map(|text| Network::from_text(text).unwrap().0).collect())
    }

    #[test]
    fn addresses_are_found_in_their_networks() {
        let networks = networks(&["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]);
        for (address, is_in) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("::ffff:10.0.0.1", true),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), is_in, "{address}");
        }
        assert!(Networks::loopback().contains("127.9.9.9".parse().unwrap()));
        assert!(Networks::loopback().contains("::1".parse().unwrap()));
        assert!(!Networks::loopback().contains("::2".parse().unwrap()));
    }

    #[test]
    fn unix_sockets_are_trusted_by_name_only() {
        let read = |text: &str| toml::from_str::<toml::Table>(text).unwrap()["t"].clone().try_into::<Many<Proxy>>();
        let trusted = |text: &str| TrustedProxies::from(read(text).unwrap());
        assert!(trusted("t = ['unix']").contains(None));
        assert!(!trusted("t = ['0.0.0.0/0']").contains(None));
        assert!(!trusted("t = 'unix'").contains(Some([127, 0, 0, 1].into())));
        assert!(!TrustedProxies::default().contains(None));
    }

    #[test]
    fn a_slip_is_answered_with_what_would_be_right() {
        let error = |text| Network::from_text(text).err().unwrap();
        assert!(error("10.0.0.1/8").contains("write \"10.0.0.0/8\""));
        assert!(error("10.0.0.0/33").contains("2001:db8::/32"));
        assert!(error("localhost").contains("is no network"));
        assert!(Proxy::from_text("all").is_err());
    }
}
