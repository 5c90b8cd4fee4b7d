//! The listening sockets of a generation: those that stay are kept, new ones are bound.
//! Process: supervisor. Privileges: CAP_NET_BIND_SERVICE for ports below 1024. Blocks: never.

use std::sync::Arc;

use super::start::StartError;
use crate::config::{Listen, ListenAddress};
use crate::sys::socket::Listener;

/// A listening socket and what the configuration says of it.
pub(super) type Listening = (Listen, Arc<Listener>);

/// Listens on all these addresses, with the sockets of `kept` where they are the same: clients that wait there are not
/// lost. Port 0 is the same as port 0, so a port that the kernel chose stays too; whether
/// a proxy speaks first there is for the workers of a generation to know. On an error nothing has changed.
pub(super) fn listen(wanted: &[Listen], kept: &[Listening]) -> Result<Vec<Listening>, StartError> {
    let one = |wanted: &Listen| {
        let address = &wanted.address;
        if let Some((_, listener)) = kept.iter().find(|(same, _)| same.address == *address) {
            return Ok((wanted.clone(), Arc::clone(listener)));
        }
        let listener = match address {
            ListenAddress::Tcp(address) => Listener::bind_tcp(*address),
            ListenAddress::Unix(path) => Listener::bind_unix(path),
        };
        match listener {
            Ok(listener) => Ok((wanted.clone(), Arc::new(listener))),
            Err(source) => Err(StartError::Listen { address: address.clone(), source }),
        }
    };
    wanted.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_listener_is_the_same_socket_and_a_failure_changes_nothing() {
        let any = Listen::from(ListenAddress::Tcp(([127, 0, 0, 1], 0).into()));
        let first = listen(std::slice::from_ref(&any), &[]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let unix = ListenAddress::Unix(folder.path().join("socket")).into();
        let behind_proxy = Listen { proxy_protocol: true, ..any.clone() };
        let second = listen(&[unix, behind_proxy], &first).unwrap();
        assert!(Arc::ptr_eq(&first[0].1, &second[1].1));
        assert!(second[1].0.proxy_protocol);
        drop(second);

        let impossible = ListenAddress::Unix("/nowhere/at/all".into()).into();
        let error = listen(&[any, impossible], &first).unwrap_err();
        assert!(error.to_string().starts_with("can't listen on unix:/nowhere/at/all: "), "{error}");
        assert_eq!(Arc::strong_count(&first[0].1), 1);
    }
}
