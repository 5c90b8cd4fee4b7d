//! The listening sockets of a generation: those that stay are kept, passed ones are used, new ones are bound.
//! Process: supervisor. Privileges: CAP_NET_BIND_SERVICE for ports below 1024. Blocks: never.

use std::sync::Arc;

use super::start::StartError;
use crate::config::{Listen, ListenAddress};
use crate::sys::socket::{Listener, LocalAddress};

/// A listening socket and what the configuration says of it.
pub(super) type Listening = (Listen, Arc<Listener>);

/// A socket that the service manager has passed, which no reload can make again.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    /// FileDescriptorName= of its unit.
    pub(super) name: String,
    pub(super) listener: Arc<Listener>,
}

impl Passed {
    fn is_at(&self, address: &ListenAddress) -> bool {
        match (self.listener.local_address(), address) {
            (LocalAddress::Tcp(one), ListenAddress::Tcp(other)) => one == other,
            (LocalAddress::Unix(one), ListenAddress::Unix(other)) => one == other,
            (LocalAddress::Tcp(_) | LocalAddress::Unix(_), _) => false,
        }
    }
}

/// Listens on all these addresses, with the sockets of `kept` where they are the same: clients that wait there are not
/// lost. Port 0 is the same as port 0, so a port that the kernel chose stays too; whether a proxy speaks first there is
/// for the workers of a generation to know. A passed socket is used for its address, and for `systemd`. On an error
/// nothing has changed.
pub(super) fn listen(wanted: &[Listen], kept: &[Listening], passed: &[Passed]) -> Result<Vec<Listening>, StartError> {
    let by_address =
        |socket: &Passed| wanted.iter().any(|it| socket.is_at(&it.address)) || kept_elsewhere(socket, wanted, kept);
    let mut all = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        if let ListenAddress::Systemd(name) = &wanted.address {
            let fits = |socket: &&Passed| name.as_ref().is_none_or(|name| *name == socket.name) && !by_address(socket);
            let before = all.len();
            all.extend(passed.iter().filter(fits).map(|it| (wanted.clone(), Arc::clone(&it.listener))));
            if all.len() == before {
                return Err(StartError::NotPassed { address: wanted.address.clone(), passed: names(passed) });
            }
        } else {
            all.push((wanted.clone(), one(&wanted.address, kept, passed)?));
        }
    }
    // Its clients would be queued by the kernel and never answered.
    let is_used = |socket: &&Passed| all.iter().any(|(_, listener)| Arc::ptr_eq(listener, &socket.listener));
    match passed.iter().find(|socket| !is_used(socket)) {
        Some(unused) => Err(StartError::Unclaimed { name: unused.name.clone(), place: place(&unused.listener) }),
        None => Ok(all),
    }
}

/// Is this socket in use under an address that the configuration still has (with port 0, by which it can't be known)?
fn kept_elsewhere(socket: &Passed, wanted: &[Listen], kept: &[Listening]) -> bool {
    let by_name = |address: &ListenAddress| matches!(address, ListenAddress::Systemd(_));
    kept.iter().any(|(old, listener)| {
        let stays = wanted.iter().any(|it| it.address == old.address && !by_name(&it.address));
        stays && Arc::ptr_eq(listener, &socket.listener)
    })
}

fn one(address: &ListenAddress, kept: &[Listening], passed: &[Passed]) -> Result<Arc<Listener>, StartError> {
    if let Some((_, listener)) = kept.iter().find(|(same, _)| same.address == *address) {
        return Ok(Arc::clone(listener));
    }
    if let Some(socket) = passed.iter().find(|socket| socket.is_at(address)) {
        return Ok(Arc::clone(&socket.listener));
    }
    if let Some((live, _)) = kept.iter().find(|(live, _)| live.address.overlaps(address)) {
        return Err(StartError::Overlaps { address: address.clone(), live: live.address.clone() });
    }
    let listener = match address {
        ListenAddress::Tcp(address) => Listener::bind_tcp(*address),
        ListenAddress::Unix(path) => Listener::bind_unix(path),
        ListenAddress::Systemd(_) => Err(std::io::ErrorKind::NotFound.into()),
    };
    listener.map(Arc::new).map_err(|source| StartError::Listen { address: address.clone(), source })
}

/// Where a socket listens, as it is written.
pub(super) fn place(listener: &Listener) -> String {
    match listener.local_address() {
        LocalAddress::Tcp(address) => address.to_string(),
        LocalAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// The names of what was passed, for a person.
fn names(passed: &[Passed]) -> String {
    if passed.is_empty() {
        return "none".to_owned();
    }
    passed.iter().map(|it| format!("{} ({})", it.name, place(&it.listener))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> Listen {
        ListenAddress::Tcp(([127, 0, 0, 1], 0).into()).into()
    }

    #[test]
    fn unchanged_listener_is_the_same_socket_and_a_failure_changes_nothing() {
        let any = any();
        let first = listen(std::slice::from_ref(&any), &[], &[]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let unix = ListenAddress::Unix(folder.path().join("socket")).into();
        let behind_proxy = Listen { proxy_protocol: true, ..any.clone() };
        let second = listen(&[unix, behind_proxy], &first, &[]).unwrap();
        assert!(Arc::ptr_eq(&first[0].1, &second[1].1));
        assert!(second[1].0.proxy_protocol);
        drop(second);

        let impossible = ListenAddress::Unix("/nowhere/at/all".into()).into();
        let error = listen(&[any, impossible], &first, &[]).unwrap_err();
        assert!(error.to_string().starts_with("can't listen on unix:/nowhere/at/all: "), "{error}");
        assert_eq!(Arc::strong_count(&first[0].1), 1);
    }

    #[test]
    fn listener_that_overlaps_a_live_one_is_refused_by_name() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let live = listen(&[ListenAddress::Tcp(free).into()], &[], &[]).unwrap();
        let wider = ListenAddress::Tcp(([0, 0, 0, 0], free.port()).into());
        let error = listen(&[wider.clone().into()], &live, &[]).unwrap_err().to_string();
        assert!(error.contains(&wider.to_string()) && error.contains(&free.to_string()), "{error}");
    }

    #[test]
    fn passed_sockets_are_used_by_address_and_by_name_and_none_is_left_over() {
        let socket = |name: &str| Passed {
            name: name.to_owned(),
            listener: Arc::new(Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap()),
        };
        let passed = [socket("http"), socket("other")];
        let address = |text: &str| text.parse::<Listen>().unwrap();
        let at = |which: usize| address(&place(&passed[which].listener));
        let same = |listening: &Listening, which: usize| Arc::ptr_eq(&listening.1, &passed[which].listener);

        let all = listen(&[address("systemd")], &[], &passed).unwrap();
        assert!(all.len() == 2 && same(&all[0], 0) && same(&all[1], 1));
        let mixed = listen(&[at(0), address("systemd:other proxy_protocol")], &[], &passed).unwrap();
        assert!(same(&mixed[0], 0) && same(&mixed[1], 1) && mixed[1].0.proxy_protocol);
        let again = listen(&[at(0), address("systemd")], &mixed, &passed).unwrap();
        assert!(again.len() == 2 && same(&again[0], 0) && same(&again[1], 1));

        let error = listen(&[at(0)], &[], &passed).unwrap_err().to_string();
        assert!(error.contains("\"other\"") && error.contains("\"systemd\""), "{error}");
        let error = listen(&[address("systemd:htpt"), address("systemd:http")], &[], &passed).unwrap_err().to_string();
        assert!(error.contains("systemd:htpt") && error.contains("http (127.0.0.1:"), "{error}");
    }
}
