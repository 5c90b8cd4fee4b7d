//! The listening sockets of a generation: those that stay are kept, new ones are bound.
//! Process: supervisor. Privileges: CAP_NET_BIND_SERVICE for ports below 1024. Blocks: never.

use std::sync::Arc;

use super::start::StartError;
use crate::config::ListenAddress;
use crate::sys::socket::Listener;

/// A listening socket and the address as the configuration names it.
pub(super) type Listening = (ListenAddress, Arc<Listener>);

/// Listens on all these addresses, with the sockets of `kept` where they are the same: clients that wait there are not
/// lost. Port 0 is the same as port 0, so a port that the kernel chose stays too. On an error nothing has changed.
pub(super) fn listen(addresses: &[ListenAddress], kept: &[Listening]) -> Result<Vec<Listening>, StartError> {
    let one = |address: &ListenAddress| {
        if let Some((_, listener)) = kept.iter().find(|(same, _)| same == address) {
            return Ok((address.clone(), Arc::clone(listener)));
        }
        let listener = match address {
            ListenAddress::Tcp(address) => Listener::bind_tcp(*address),
            ListenAddress::Unix(path) => Listener::bind_unix(path),
        };
        match listener {
            Ok(listener) => Ok((address.clone(), Arc::new(listener))),
            Err(source) => Err(StartError::Listen { address: address.clone(), source }),
        }
    };
    addresses.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_listener_is_the_same_socket_and_a_failure_changes_nothing() {
        let any = ListenAddress::Tcp(([127, 0, 0, 1], 0).into());
        let first = listen(std::slice::from_ref(&any), &[]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let unix = ListenAddress::Unix(folder.path().join("socket"));
        let second = listen(&[unix, any.clone()], &first).unwrap();
        assert!(Arc::ptr_eq(&first[0].1, &second[1].1));

        let impossible = ListenAddress::Unix("/nowhere/at/all".into());
        let error = listen(&[any, impossible], &first).unwrap_err();
        assert!(error.to_string().starts_with("can't listen on unix:/nowhere/at/all: "), "{error}");
        assert_eq!(Arc::strong_count(&first[0].1), 2);
    }
}
