//! Hashed passwords: bcrypt as `htpasswd -B` writes it, and argon2id as a PHC string.
//! Process: the supervisor reads hashes; a worker verifies on a helper thread. Blocks: computes for up to a second.
//! The door of the crates argon2 and bcrypt. The costs that a hash may ask for are bounded, as one request pays them.

use argon2::password_hash::phc;
use argon2::{Argon2, Params, PasswordVerifier};

/// 2^14 rounds are a second of a processor, four times what is recommended now.
const BCRYPT_COST_LIMIT: u32 = 14;
/// A worker has one thread that verifies, so this is what it needs at most.
const MEMORY_LIMIT_KIB: u32 = 128 << 10;
/// Memory times passes is the work: half a second or so.
const WORK_LIMIT_KIB: u64 = 512 << 10;

/// A hash that can be verified: its form and costs have been looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hash {
    Bcrypt(String),
    Argon2(Box<phc::PasswordHash>),
}

impl Hash {
    /// Reads a hash; the error says what would be right.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if ["$2y$", "$2b$", "$2a$"].iter().any(|scheme| text.starts_with(scheme)) {
            return Self::parse_bcrypt(text);
        }
        if text.starts_with("$argon2id$") {
            return Self::parse_argon2(text);
        }
        Err(format!("{} is not accepted; {ADVICE}", kind(text)))
    }

    fn parse_bcrypt(text: &str) -> Result<Self, String> {
        let parts: bcrypt::HashParts =
            text.parse().map_err(|_| format!("this is a damaged bcrypt hash: it has to have 60 letters; {ADVICE}"))?;
        let cost = parts.get_cost();
        if cost > BCRYPT_COST_LIMIT {
            return Err(format!(
                "a bcrypt cost of {cost} would keep a processor busy for seconds with each request; write at most \
                 {BCRYPT_COST_LIMIT} (htpasswd -B -C 12)"
            ));
        }
        Ok(Self::Bcrypt(text.to_owned()))
    }

    fn parse_argon2(text: &str) -> Result<Self, String> {
        let damaged = || format!("this is a damaged argon2id hash; {ADVICE}");
        let hash = phc::PasswordHash::new(text).map_err(|_| damaged())?;
        let params = Params::try_from(&hash).map_err(|_| damaged())?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(damaged());
        }
        let (memory, passes) = (params.m_cost(), params.t_cost());
        if memory > MEMORY_LIMIT_KIB || u64::from(memory) * u64::from(passes) > WORK_LIMIT_KIB {
            return Err(format!(
                "m={memory},t={passes} costs too much for each request; write at most m={MEMORY_LIMIT_KIB}, and m times \
                 t at most {WORK_LIMIT_KIB}"
            ));
        }
        Ok(Self::Argon2(Box::new(hash)))
    }

    /// Is this the password? Both crates compare in constant time.
    pub(super) fn fits(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(text) => bcrypt::verify(password, text).unwrap_or(false),
            Self::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
        }
    }
}

const ADVICE: &str = "write what `htpasswd -B` or `fileserv --hash-password` prints";

/// What somebody has written who did not write a hash that is accepted.
fn kind(text: &str) -> &'static str {
    let known = [
        ("$apr1$", "a hash of Apache's MD5 ($apr1$)"),
        ("$1$", "a hash of MD5 crypt ($1$)"),
        ("$5$", "a hash of SHA-256 crypt ($5$)"),
        ("$6$", "a hash of SHA-512 crypt ($6$)"),
        ("$y$", "a hash of yescrypt ($y$)"),
        ("$2x$", "a hash of a broken bcrypt ($2x$)"),
        ("$argon2i$", "a hash of argon2i"),
        ("$argon2d$", "a hash of argon2d"),
        ("$scrypt$", "a hash of scrypt"),
        ("{SHA}", "a SHA-1 digest ({SHA})"),
        ("{SSHA}", "a SHA-1 digest ({SSHA})"),
    ];
    let found = known.iter().find(|(prefix, _)| text.starts_with(prefix));
    // The old crypt(3) has 13 letters of this alphabet, which a password may have too.
    let is_crypt = text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    match found {
        Some((_, words)) => words,
        None if text.is_empty() => "an empty password",
        None if is_crypt => "a hash of DES crypt",
        None => "a password in plain words, or a hash of an unknown kind,",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_hashes_are_refused_by_name() {
        for (text, words) in [
            ("$apr1$abc$def", "Apache's MD5"),
            ("$6$abc$def", "SHA-512 crypt"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
            ("rqXexS6ZhobKA", "DES crypt"),
            ("secret", "plain words"),
            ("", "empty"),
            ("$argon2i$v=19$m=16,t=2,p=1$c2FsdHNhbHQ$nr2eAAAA", "argon2i"),
            ("$argon2id$v=19$m=16", "damaged"),
            (
                "$argon2id$v=19$m=1048576,t=1,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "m=131072",
            ),
            ("$argon2id$v=19$m=65536,t=99,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "at most"),
            ("$2y$04$short", "60 letters"),
            (&bcrypt::hash("secret", 4).unwrap().replace("$04$", "$15$"), "at most 14"),
        ] {
            let error = Hash::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn the_password_fits_and_no_other() {
        let made = bcrypt::hash("secret", 4).unwrap();
        for text in [made.replace("$2b$", "$2y$"), super::super::making::argon2_hash(b"secret").unwrap()] {
            let hash = Hash::parse(&text).unwrap();
            assert!(hash.fits(b"secret"), "{text}");
            assert!(!hash.fits(b"Secret") && !hash.fits(b""), "{text}");
        }
    }
}
