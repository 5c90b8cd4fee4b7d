//! Bearer tokens, by their digests.
//! Process: parsed by the supervisor, asked by a worker's loop. Blocks: never.
//! A plain SHA-256 is right here and wrong for passwords: a token is 256 bits of chance, so nobody can try them all.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::CredentialsError;
use super::file::Text;

/// Each is compared with each request's: so many take some 30 µs.
const TOKENS_LIMIT: usize = 1000;

/// All tokens of a site.
#[derive(Debug)]
pub(super) struct Tokens(Vec<(Arc<str>, [u8; 32])>);

impl Tokens {
    /// Reads lines of `NAME:SHA256`. A name may have several tokens, so that one can take the place of another.
    pub(super) fn parse(text: &Text) -> Result<Self, CredentialsError> {
        let mut tokens = Vec::new();
        for line in text.lines() {
            let line = line?;
            let wrong = |message: String| text.wrong(line.number, message);
            let digest = digest_of_hex(line.secret).ok_or_else(|| {
                let words = "behind the name stand 64 hexadecimal digits, the SHA-256 of a token; write what";
                wrong(format!("{words} `fileserv --make-token {}` prints", line.name))
            })?;
            if tokens.len() == TOKENS_LIMIT {
                return Err(wrong(format!("these are too many tokens; write at most {TOKENS_LIMIT}")));
            }
            tokens.push((line.name.into(), digest));
        }
        Ok(Self(tokens))
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| &**other == name)
    }

    /// Whose token this is. Each is compared in constant time, and all of them always.
    pub(super) fn owner_of(&self, token: &[u8]) -> Option<Arc<str>> {
        let digest = Sha256::digest(token);
        let mut owner = None;
        for (name, known) in &self.0 {
            if bool::from(known.as_slice().ct_eq(digest.as_slice())) {
                owner = Some(name);
            }
        }
        owner.cloned()
    }
}

fn digest_of_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_owner() {
        let (token, line) = super::super::making::token("ci").unwrap();
        let (other, second) = super::super::making::token("ci").unwrap();
        let tokens = Tokens::parse(&Text::of(&format!("{line}\n# old\n{second}\n"))).unwrap();
        for token in [token, other] {
            assert_eq!(tokens.owner_of(token.as_bytes()).as_deref(), Some("ci"));
        }
        assert_eq!(tokens.owner_of(b"fileserv_"), None);
        assert!(tokens.knows("ci") && !tokens.knows("cd"));
    }

    #[test]
    fn what_is_no_digest_is_named() {
        for wrong in ["ci:abc", "ci:", &format!("ci:{}", "g".repeat(64))] {
            let error = Tokens::parse(&Text::of(wrong)).unwrap_err().to_string();
            assert!(error.starts_with("f:1: behind the name stand 64 hex"), "{error}");
        }
    }
}
