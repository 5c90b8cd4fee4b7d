//! How many connections each client has in this worker, so that nobody takes all of them.
//! Process: worker. Blocks: never.
//! A worker knows its own only: a count over all of them would be shared memory that one worker could forge.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::config::Limits;

/// The connections of each client.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// The hash is keyed by chance, so that nobody can choose addresses that fall together.
    counts: HashMap<ClientKey, usize>,
}

/// What counts as one client. Who has an IPv6 address has a network of 64 bits of them, and could take a new one for
/// each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClientKey(u128);

impl ClientKey {
    /// The client that this address belongs to.
    pub(super) fn of(address: IpAddr) -> Self {
        const NETWORK_BITS: u32 = 64;
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() >> NETWORK_BITS << NETWORK_BITS),
        }
    }
}

/// May a client have one more connection?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes; it has been counted.
    Welcome,
    /// No, but it will be told so; it has been counted.
    Refused,
    /// No, and there are too many to be told already. It has not been counted.
    TurnedAway,
}

/// So many connections over its limit a client has at a time only to be told that they are.
const REFUSALS_AT_A_TIME: usize = 16;

impl Clients {
    /// Counts one more connection of a client.
    pub(super) fn enter(&mut self, client: IpAddr, limits: &Limits) -> Admission {
        let count = self.counts.entry(ClientKey::of(client)).or_default();
        let limit = limits.connections_per_client;
        if *count >= limit && !limits.exempt_clients.contains(client) {
            if *count >= limit + REFUSALS_AT_A_TIME {
                return Admission::TurnedAway;
            }
            *count += 1;
            return Admission::Refused;
        }
        *count += 1;
        Admission::Welcome
    }

    /// A connection that was counted has ended.
    pub(super) fn leave(&mut self, client: IpAddr) {
        let key = ClientKey::of(client);
        if let Some(count) = self.counts.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
    }

    /// How many clients there are.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_over_its_limit_is_refused_then_turned_away_and_comes_back() {
        let limits = Limits { connections_per_client: 2, ..Config::default().limits };
        let mut clients = Clients::default();
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let mut enter = |count: usize| (0..count).map(|_| clients.enter(one, &limits)).collect::<Vec<_>>();
        assert_eq!(enter(2), [Admission::Welcome; 2]);
        assert_eq!(enter(REFUSALS_AT_A_TIME), [Admission::Refused; REFUSALS_AT_A_TIME]);
        assert_eq!(enter(3), [Admission::TurnedAway; 3]);
        assert_eq!(clients.enter(other, &limits), Admission::Welcome);
        assert_eq!(clients.len(), 2);
        for _ in 0..REFUSALS_AT_A_TIME + 1 {
            clients.leave(one);
        }
        assert_eq!(clients.enter(one, &limits), Admission::Welcome);
        for _ in 0..2 {
            clients.leave(one);
        }
        clients.leave(other);
        assert_eq!(clients.len(), 0, "nothing is kept of who has gone");
    }

    #[test]
    fn one_client_is_an_ipv4_address_or_an_ipv6_network() {
        let same = |one, two| ClientKey::of(address(one)) == ClientKey::of(address(two));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
    }

    #[test]
    fn this_machine_is_exempt() {
        let limits = Limits { connections_per_client: 1, ..Config::default().limits };
        let mut clients = Clients::default();
        assert!((0..100).all(|_| clients.enter(address("127.0.0.1"), &limits) == Admission::Welcome));
    }
}
