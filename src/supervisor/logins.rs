//! Passwords and tokens: their files are read as the service user, and the operator hears what is unwise about them.
//! Process: supervisor, as the service user. Trusts: the operator. Blocks: as reading a file does.

use std::sync::Arc;

use super::listeners::Listening;
use super::start::{StartError, account};
use crate::auth::{Credentials, CredentialsError, Loaded};
use crate::config::{self, Config, Sites, Source};
use crate::log::{Level, Logs};
use crate::sys::credentials::become_account;
use crate::sys::socket::LocalAddress;

/// Reads the files of all sites.
pub(super) fn load(config: &Config, logs: &Logs) -> Result<Arc<Sites<Credentials>>, CredentialsError> {
    let Loaded { credentials, warnings } = Credentials::load(&config.sites)?;
    for warning in warnings {
        logs.error(Level::Warning, format_args!("{warning}"));
    }
    Ok(Arc::new(credentials))
}

/// Says so if passwords or tokens are to come over a network in the clear. That may be meant, for something in front may
/// see to it, so it is no error.
pub(super) fn tell_of_clear_text(credentials: &Sites<Credentials>, listeners: &[Listening], logs: &Logs) {
    let are_some = credentials.iter().any(|(_, of_site)| of_site.takes_passwords() || of_site.takes_tokens());
    let places: Vec<String> =
        listeners.iter().filter_map(|(_, listener)| open_place(listener.local_address())).collect();
    if are_some && !places.is_empty() {
        let places = places.join(" and ");
        let words = format_args!(
            "passwords and tokens come in the clear at {places}: let only something that speaks TLS reach it"
        );
        logs.error(Level::Warning, words);
    }
}

/// An address that others than this machine may reach.
fn open_place(address: &LocalAddress) -> Option<String> {
    match address {
        LocalAddress::Tcp(address) if !address.ip().to_canonical().is_loopback() => Some(address.to_string()),
        LocalAddress::Tcp(_) | LocalAddress::Unix(_) => None,
    }
}

/// Checks all that a start would check without binding anything: the configuration, and the files of credentials as the
/// user who will have to read them. What is unwise is given as lines before the verdict.
///
/// # Errors
/// What is wrong.
pub fn test(source: &Source) -> Result<Vec<String>, StartError> {
    let config = config::load(source)?;
    let has_files = config.sites.iter().any(|(_, site)| site.users_file.is_some() || site.tokens_file.is_some());
    if has_files && let Some(account) = account(&config)? {
        // For ever, as at a start; this process does nothing else.
        become_account(&account)?;
    }
    let mut lines = Credentials::load(&config.sites)?.warnings;
    lines.push(format!("{}: configuration is correct", source.name()));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;

    #[test]
    fn a_test_says_that_all_is_well_or_what_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.toml");
        let shown = file.display().to_string();
        let options = Options { root: Some("/".into()), ..Options::default() };
        let source = Source::file(shown.clone(), file.clone(), options, Vec::new());
        let test = || test(&source).map_err(|error| error.to_string());
        std::fs::write(&file, "workers = 2\n").unwrap();
        assert_eq!(test(), Ok(vec![format!("{shown}: configuration is correct")]));
        std::fs::write(&file, "worker = 2\n").unwrap();
        assert!(test().is_err_and(|error| error.starts_with(&format!("{shown}:1:1: there is no key"))));
    }

    #[test]
    fn only_an_address_that_others_reach_is_open() {
        for (address, is_open) in
            [("127.0.0.1:80", false), ("[::1]:80", false), ("0.0.0.0:80", true), ("192.0.2.1:80", true)]
        {
            assert_eq!(open_place(&LocalAddress::Tcp(address.parse().unwrap())).is_some(), is_open, "{address}");
        }
        assert_eq!(open_place(&LocalAddress::Unix("/run/s".into())), None);
    }
}
