//! What is known of passwords: who has shown the right one lately, and which are being looked at.
//! Process: worker, sealed. Blocks: never; the looking is done by a helper thread.
//! A password is remembered by a digest that is keyed by chance, for as long as this worker's generation at most.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use sha2::{Digest, Sha256};

use super::clients::ClientKey;
use super::connection::Token;
use crate::config::SiteId;
use crate::sys::random;

/// A browser asks many times a minute, and a minute after a reload nothing is left of a password.
const GOOD_MS: u64 = 60_000;
/// Long enough that all requests of a page with a wrong password cost one look.
const BAD_MS: u64 = 5_000;
/// Some 100 bytes each.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// How many different passwords of one client are looked at, or wait for it, at once. A browser shows one.
const A_CLIENT_AT_ONCE: usize = 2;
/// The same of all clients: what one thread gets through in some seconds.
const AT_ONCE: usize = 64;

/// What stands for a name and a password of a site.
pub(super) type Credential = [u8; 32];

/// What came of looking at a password.
pub(super) struct Verdict {
    /// Whose it was said to be.
    pub(super) credential: Credential,
    /// Who it is; `None`: nobody.
    pub(super) user: Option<Arc<str>>,
}

/// What is known of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// It is this user's.
    Good(Arc<str>),
    /// It is nobody's.
    Bad,
    /// Nothing.
    Nothing,
}

/// What can be done about one of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is to be looked at: say so if it can't be.
    First,
    /// It is being looked at.
    Behind,
    /// Too many of this client are.
    TooManyOfClient,
    /// Too many are.
    TooMany,
}

struct Remembered {
    user: Option<Arc<str>>,
    until_ms: u64,
}

/// One that is being looked at.
struct Pending {
    client: Option<ClientKey>,
    waiting: Vec<Token>,
}

/// All of a worker.
pub(super) struct Verdicts {
    key: [u8; 32],
    remembered: LruCache<Credential, Remembered>,
    pending: HashMap<Credential, Pending>,
}

impl Verdicts {
    /// Nothing is known.
    ///
    /// # Errors
    /// A system without random numbers.
    pub(super) fn new() -> std::io::Result<Self> {
        let remembered = LruCache::new(REMEMBERED);
        Ok(Self { key: random::bytes()?, remembered, pending: HashMap::new() })
    }

    /// What stands for this field of this site.
    pub(super) fn credential(&self, site: SiteId, field: &[u8]) -> Credential {
        // SHA-256 of a secret of its block's half, then a number of fixed length, then the rest: who does not know the
        // secret can't tell two credentials from it, and nobody is ever shown one.
        Sha256::new()
            .chain_update(self.key)
            .chain_update(site.number().to_le_bytes())
            .chain_update(field)
            .finalize()
            .into()
    }

    /// What is known of it now.
    pub(super) fn known(&mut self, credential: &Credential, now_ms: u64) -> Known {
        match self.remembered.get(credential).filter(|it| it.until_ms > now_ms) {
            Some(Remembered { user: Some(user), .. }) => Known::Good(Arc::clone(user)),
            Some(Remembered { user: None, .. }) => Known::Bad,
            None => Known::Nothing,
        }
    }

    /// Lets a connection wait for the verdict.
    pub(super) fn wait(&mut self, credential: Credential, client: Option<ClientKey>, token: Token) -> Place {
        if let Some(pending) = self.pending.get_mut(&credential) {
            pending.waiting.push(token);
            return Place::Behind;
        }
        if self.pending.len() >= AT_ONCE {
            return Place::TooMany;
        }
        if client.is_some() && self.pending.values().filter(|it| it.client == client).count() >= A_CLIENT_AT_ONCE {
            return Place::TooManyOfClient;
        }
        self.pending.insert(credential, Pending { client, waiting: vec![token] });
        Place::First
    }

    /// The look that was wanted can't be had.
    pub(super) fn give_up(&mut self, credential: &Credential) {
        self.pending.remove(credential);
    }

    /// Remembers a verdict, and says who has waited for it.
    pub(super) fn settle(&mut self, verdict: Verdict, now_ms: u64) -> Vec<Token> {
        let Verdict { credential, user } = verdict;
        let until_ms = now_ms + if user.is_some() { GOOD_MS } else { BAD_MS };
        self.remembered.put(credential, Remembered { user, until_ms });
        self.pending.remove(&credential).map_or_else(Vec::new, |pending| pending.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Token = Token { key: 1, serial: 1 };
    const TWO: Token = Token { key: 2, serial: 1 };

    fn client(text: &str) -> Option<ClientKey> {
        Some(ClientKey::of(text.parse().unwrap()))
    }

    #[test]
    fn a_verdict_is_remembered_for_its_time_and_site() {
        let mut verdicts = Verdicts::new().unwrap();
        let credential = verdicts.credential(SiteId::DEFAULT, b"Basic x");
        assert_eq!(credential, verdicts.credential(SiteId::DEFAULT, b"Basic x"));
        assert_ne!(credential, verdicts.credential(SiteId::DEFAULT, b"Basic y"));
        assert_ne!(credential, Verdicts::new().unwrap().credential(SiteId::DEFAULT, b"Basic x"));
        assert_eq!(verdicts.known(&credential, 0), Known::Nothing);
        verdicts.settle(Verdict { credential, user: Some("a".into()) }, 0);
        assert_eq!(verdicts.known(&credential, GOOD_MS - 1), Known::Good("a".into()));
        assert_eq!(verdicts.known(&credential, GOOD_MS), Known::Nothing);
        verdicts.settle(Verdict { credential, user: None }, 0);
        assert_eq!(verdicts.known(&credential, BAD_MS - 1), Known::Bad);
        assert_eq!(verdicts.known(&credential, BAD_MS), Known::Nothing);
    }

    #[test]
    fn one_look_serves_all_who_wait_for_it_and_a_client_has_few() {
        let mut verdicts = Verdicts::new().unwrap();
        let [first, second, third] = [[1; 32], [2; 32], [3; 32]];
        let (one, other) = (client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(verdicts.wait(first, one, ONE), Place::First);
        assert_eq!(verdicts.wait(first, other, TWO), Place::Behind);
        assert_eq!(verdicts.wait(second, one, TWO), Place::First);
        assert_eq!(verdicts.wait(third, one, TWO), Place::TooManyOfClient);
        assert_eq!(verdicts.wait(third, other, TWO), Place::First);
        assert_eq!(verdicts.settle(Verdict { credential: first, user: None }, 0), [ONE, TWO]);
        assert_eq!(verdicts.wait([4; 32], one, ONE), Place::First);
    }

    #[test]
    fn all_together_are_bounded() {
        let mut verdicts = Verdicts::new().unwrap();
        for number in 0..AT_ONCE {
            let mut credential = [0; 32];
            credential[..8].copy_from_slice(&number.to_le_bytes());
            assert_eq!(verdicts.wait(credential, None, ONE), Place::First);
        }
        assert_eq!(verdicts.wait([255; 32], None, ONE), Place::TooMany);
        verdicts.give_up(&[0; 32]);
        assert_eq!(verdicts.wait([255; 32], None, ONE), Place::First);
    }
}
