//! Who somebody is: names with hashed passwords, and names with digests of tokens.
//! Process: the supervisor reads the files as the service user and hands the tables on; a worker asks them, on a helper
//! thread where that takes long. Trusts: the operator's files. A worker never opens one.

mod error;
mod file;
mod making;
mod password;
mod tokens;
mod users;

use std::path::PathBuf;
use std::sync::Arc;

pub use error::CredentialsError;
pub use making::{hash_password, make_token, read_password};
pub use users::Attempt;

use crate::config::{Site, Sites, Users};
use tokens::Tokens;
use users::UserTable;

/// Whom a site knows.
#[derive(Debug, Default)]
pub struct Credentials {
    users: Option<Arc<UserTable>>,
    tokens: Option<Tokens>,
}

/// The credentials of all sites, and what the operator should hear of their files.
#[derive(Debug)]
pub struct Loaded {
    /// Of each site.
    pub credentials: Sites<Credentials>,
    /// Nothing that prevents service.
    pub warnings: Vec<String>,
}

impl Credentials {
    /// Reads the files of all sites, with the rights that this process has.
    ///
    /// # Errors
    /// A file that can't be read, or a line of it, or a rule that names nobody.
    pub fn load(sites: &Sites<Site>) -> Result<Loaded, CredentialsError> {
        let mut warnings = Vec::new();
        let credentials = sites.try_map(|site| Self::of_site(site, &mut warnings))?;
        Ok(Loaded { credentials, warnings })
    }

    fn of_site(site: &Site, warnings: &mut Vec<String>) -> Result<Self, CredentialsError> {
        let mut read = |path: &Option<PathBuf>| path.as_deref().map(|path| file::read(path, warnings)).transpose();
        let users = read(&site.users_file)?.map(|text| UserTable::parse(&text)).transpose()?;
        let tokens = read(&site.tokens_file)?.map(|text| Tokens::parse(&text)).transpose()?;
        let credentials = Self { users: users.map(Arc::new), tokens };
        for rule in site.access.rules() {
            let Users::Named(names) = &rule.users else { continue };
            if let Some(name) = names.iter().find(|name| !credentials.knows(name)) {
                return Err(CredentialsError::Nobody { name: name.clone(), path: rule.path.clone() });
            }
        }
        Ok(credentials)
    }

    fn knows(&self, name: &str) -> bool {
        self.users.as_ref().is_some_and(|users| users.knows(name))
            || self.tokens.as_ref().is_some_and(|tokens| tokens.knows(name))
    }

    /// Can anybody log in by a password?
    #[must_use]
    pub fn takes_passwords(&self) -> bool {
        self.users.is_some()
    }

    /// Can anybody log in by a token?
    #[must_use]
    pub fn takes_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whose token this is. It costs some microseconds, whether it is anybody's or not.
    #[must_use]
    pub fn owner_of_token(&self, token: &[u8]) -> Option<Arc<str>> {
        self.tokens.as_ref()?.owner_of(token)
    }

    /// A password to be checked, which takes long; `None` if nobody has one here.
    #[must_use]
    pub fn attempt(&self, name: &str, password: &[u8]) -> Option<Attempt> {
        self.users.as_ref().map(|users| Attempt::new(Arc::clone(users), name, password))
    }
}
