//! Names and hashed passwords, and a password that somebody shows.
//! Process: parsed by the supervisor; an `Attempt` is verified on a worker's helper thread. Blocks: for up to a second.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::CredentialsError;
use super::file::Text;
use super::password::Hash;

/// All users of a site.
#[derive(Debug)]
pub(super) struct UserTable {
    /// The hash function is keyed by chance.
    places: HashMap<Arc<str>, usize>,
    hashes: Vec<Hash>,
}

impl UserTable {
    /// Reads lines of `NAME:HASH`.
    pub(super) fn parse(text: &Text) -> Result<Self, CredentialsError> {
        let mut table = Self { places: HashMap::new(), hashes: Vec::new() };
        for line in text.lines() {
            let line = line?;
            let hash = Hash::parse(line.secret).map_err(|message| text.wrong(line.number, message))?;
            if table.places.insert(line.name.into(), table.hashes.len()).is_some() {
                let message = format!("{:?} stands above already; a user has one password", line.name);
                return Err(text.wrong(line.number, message));
            }
            table.hashes.push(hash);
        }
        Ok(table)
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Whose password it is. A name that is not there is compared with the hash of somebody else, always the same one, so
    /// that it takes as long to say no; and no is said even if that fits.
    fn verify(&self, name: &str, password: &[u8]) -> Option<Arc<str>> {
        let known = self.places.get_key_value(name);
        let place = known.map_or_else(|| self.stand_in(name), |(_, place)| *place);
        let fits = self.hashes.get(place)?.fits(password);
        known.filter(|_| fits).map(|(name, _)| Arc::clone(name))
    }

    fn stand_in(&self, name: &str) -> usize {
        let number = usize::try_from(self.places.hasher().hash_one(name) >> 1).unwrap_or(0);
        number.checked_rem(self.hashes.len()).unwrap_or(0)
    }
}

/// A name and a password that somebody shows.
pub struct Attempt {
    table: Arc<UserTable>,
    name: String,
    password: Vec<u8>,
}

impl Attempt {
    pub(super) fn new(table: Arc<UserTable>, name: &str, password: &[u8]) -> Self {
        Self { table, name: name.to_owned(), password: password.to_owned() }
    }

    /// Who it is. It takes long, and the same time for a name that nobody has.
    #[must_use]
    pub fn verify(&self) -> Option<Arc<str>> {
        self.table.verify(&self.name, &self.password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> String {
        bcrypt::hash(password, 4).unwrap()
    }

    #[test]
    fn a_user_is_found_by_name_and_password_together() {
        let text = format!("# staff\n\nalice:{}\r\nbob:{}\n", hash("one"), hash("two"));
        let table = UserTable::parse(&Text::of(&text)).unwrap();
        assert_eq!(table.verify("alice", b"one").as_deref(), Some("alice"));
        assert_eq!(table.verify("bob", b"two").as_deref(), Some("bob"));
        assert_eq!(table.verify("alice", b"two"), None);
        for password in [b"one", b"two"] {
            assert_eq!(table.verify("carol", password), None, "whose hash it was compared with does not matter");
        }
        assert_eq!(UserTable::parse(&Text::of("")).unwrap().verify("a", b""), None);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let good = format!("alice:{}", hash("one"));
        for (text, words) in [
            (format!("{good}\nbob\n"), "f:2: there is no `:`"),
            (format!("#\n{good}\n{good}\n"), "f:3: \"alice\" stands above already"),
            (format!("{good}\nbob:secret"), "f:2: a password in plain words"),
            (":x".to_owned(), "f:1: \"\" can't be a name"),
        ] {
            let error = UserTable::parse(&Text::of(&text)).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
