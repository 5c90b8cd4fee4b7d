//! Integrity: what makes a digest, and how it is written. This folder is the one door to the `sfv` crate.
//! Process: any. Trusts: nothing. Blocks: never. Fails with: nothing.
//! RFC 9530. `wanted.rs` reads which digest a client asks for, `claims.rs` which one it says that its content has.

mod claims;
mod wanted;

use std::sync::OnceLock;

use sfv::{DictSerializer, KeyRef};
use sha2::{Sha256, Sha512};

pub use claims::{Claim, Claims};
pub use wanted::wanted;

/// An algorithm of the registry of RFC 9530 that is neither broken nor a mere checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `sha-256`.
    Sha256,
    /// `sha-512`.
    Sha512,
}

impl Algorithm {
    /// All of them. The one to take where a client likes two alike comes first: it is the quicker one on machines with
    /// instructions for it.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The one that has this key in the registry.
    fn of_key(key: &KeyRef) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.key() == key.as_str())
    }

    /// Its key in the registry.
    const fn key(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }
}

/// A digest in the making.
pub enum Hasher {
    /// With SHA-256.
    Sha256(Sha256),
    /// With SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// What it makes.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Of no bytes yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::default()),
            Algorithm::Sha512 => Self::Sha512(Sha512::default()),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => sha2::Digest::update(hasher, bytes),
            Self::Sha512(hasher) => sha2::Digest::update(hasher, bytes),
        }
    }

    /// The digest of all of them.
    #[must_use]
    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::Sha256(sha2::Digest::finalize(hasher).into()),
            Self::Sha512(hasher) => Digest::Sha512(sha2::Digest::finalize(hasher).into()),
        }
    }
}

/// A digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// Of SHA-256.
    Sha256([u8; 32]),
    /// Of SHA-512.
    Sha512([u8; 64]),
}

impl Digest {
    /// These bytes as a digest of this algorithm; `None` if it makes none of that length.
    fn of_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::Sha256 => bytes.try_into().ok().map(Self::Sha256),
            Algorithm::Sha512 => bytes.try_into().ok().map(Self::Sha512),
        }
    }

    /// How many bytes a digest of this algorithm has.
    const fn length(algorithm: Algorithm) -> usize {
        match algorithm {
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    }

    /// What made it.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The value of a `Repr-Digest` or `Content-Digest` field (RFC 9530 section 2): `sha-256=:…:`.
    #[must_use]
    pub fn field_value(&self) -> String {
        let bytes: &[u8] = match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        };
        let mut dictionary = DictSerializer::new();
        // The keys are what a key may be, and a dictionary of one member is not empty.
        if let Ok(key) = KeyRef::from_str(self.algorithm().key()) {
            let _ = dictionary.bare_item(key, bytes);
        }
        dictionary.finish().unwrap_or_default()
    }
}

/// The digests that are known of some content; each is filled in once, by whoever has made it first.
#[derive(Debug, Default)]
pub struct Digests {
    sha256: OnceLock<[u8; 32]>,
    sha512: OnceLock<[u8; 64]>,
}

impl Digests {
    /// The digest that this algorithm makes, where it is known.
    #[must_use]
    pub fn find(&self, algorithm: Algorithm) -> Option<Digest> {
        match algorithm {
            Algorithm::Sha256 => self.sha256.get().copied().map(Digest::Sha256),
            Algorithm::Sha512 => self.sha512.get().copied().map(Digest::Sha512),
        }
    }

    /// Notes a digest. It is the same as one that is there already.
    pub fn note(&self, digest: Digest) {
        match digest {
            Digest::Sha256(bytes) => drop(self.sha256.set(bytes)),
            Digest::Sha512(bytes) => drop(self.sha512.set(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Algorithm::{Sha256, Sha512};

    #[test]
    fn a_digest_is_a_byte_sequence_under_its_key() {
        let digest = |algorithm, content: &[u8]| {
            let mut hasher = Hasher::new(algorithm);
            content.chunks(2).for_each(|chunk| hasher.update(chunk));
            hasher.finish()
        };
        let empty = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        assert_eq!(digest(Sha256, b"").field_value(), empty);
        // The example of RFC 9530 appendix B.1.
        let example = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        assert_eq!(digest(Sha256, b"{\"hello\": \"world\"}\n").field_value(), example);
        let long = "sha-512=:3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==:";
        assert_eq!(digest(Sha512, b"abc").field_value(), long);
        let known = Digests::default();
        known.note(digest(Sha512, b"abc"));
        assert_eq!(known.find(Sha512), Some(digest(Sha512, b"abc")));
        assert_eq!(known.find(Sha256), None);
    }
}
