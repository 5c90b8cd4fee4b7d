//! The digests of an upload: those that its client claims are checked, the one that it wants is made, as it streams.
//! Process: worker, sealed. Trusts: nothing. Blocks: `finish` alone, where a trailer came that nobody had announced.
//! Fails with: 400. RFC 9530.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use arrayvec::ArrayVec;

use super::commit::write_refusal;
use crate::message::{
    Algorithm, Claim, Claims, Digest, FieldName, Fields, Hasher, PIECE_BYTES, Refusal, Status, wanted,
};

/// What is to be found out of the content of an upload.
pub(super) struct Verification {
    claims: Claims,
    wanted: Option<Algorithm>,
    /// One for each algorithm that is needed, as far as that is known. 256 KiB, all that a turn brings, take one of them
    /// less than 1 ms.
    hashers: ArrayVec<Hasher, { Algorithm::ALL.len() }>,
}

impl Verification {
    /// What the head of a request asks for. `may_want`: does the configuration allow to make a digest just because
    /// somebody wants it?
    ///
    /// # Errors
    /// 400 for a digest that can't be read.
    pub(super) fn of(fields: &Fields<'_>, may_want: bool) -> Result<Self, Refusal> {
        let mut claims = Claims::default();
        claims.add(fields)?;
        let wanted = wanted(fields, FieldName::WantReprDigest).filter(|_| may_want);
        let is_digest =
            |name: &[u8]| matches!(FieldName::from_bytes(name), FieldName::ContentDigest | FieldName::ReprDigest);
        // Of what will come behind the content the name is known, but not the algorithm.
        let is_announced = fields.elements(FieldName::Trailer).any(is_digest);
        let is_needed = |algorithm: &Algorithm| {
            is_announced
                || wanted == Some(*algorithm)
                || claims.iter().any(|claim| claim.digest.algorithm() == *algorithm)
        };
        let hashers = Algorithm::ALL.into_iter().filter(is_needed).map(Hasher::new).collect();
        Ok(Self { claims, wanted, hashers })
    }

    /// Takes the next bytes of the content.
    pub(super) fn update(&mut self, chunk: &[u8]) {
        for hasher in &mut self.hashers {
            hasher.update(chunk);
        }
    }

    /// Takes in what the fields behind the content claim.
    ///
    /// # Errors
    /// 400 for a digest that can't be read.
    pub(super) fn claim(&mut self, trailers: &Fields<'_>) -> Result<(), Refusal> {
        self.claims.add(trailers)
    }

    /// Checks every claim, and gives the digest that is wanted. `file` holds all of the content.
    ///
    /// # Errors
    /// 400 for content that has another digest.
    pub(super) fn finish(self, file: &File) -> Result<Option<Digest>, Refusal> {
        let mut made: ArrayVec<Digest, { Algorithm::ALL.len() }> =
            self.hashers.into_iter().map(Hasher::finish).collect();
        for claim in self.claims.iter() {
            let algorithm = claim.digest.algorithm();
            let digest = match made.iter().find(|digest| digest.algorithm() == algorithm) {
                Some(digest) => *digest,
                None => {
                    let digest = read_back(file, algorithm).map_err(|error| write_refusal(&error))?;
                    made.push(digest);
                    digest
                }
            };
            if digest != claim.digest {
                return Err(mismatch(claim, &digest));
            }
        }
        Ok(made.into_iter().find(|digest| self.wanted == Some(digest.algorithm())))
    }
}

fn mismatch(claim: &Claim, got: &Digest) -> Refusal {
    let (field, expected, got) = (claim.field.text(), claim.digest.field_value(), got.field_value());
    let detail = format!("The content is not what {field} says: expected {expected}, got {got}. Nothing was stored.");
    Refusal::new(Status::BAD_REQUEST, detail)
}

/// The digest of a file whose content has gone by already.
fn read_back(file: &File, algorithm: Algorithm) -> io::Result<Digest> {
    let mut hasher = Hasher::new(algorithm);
    let mut buf = vec![0; PIECE_BYTES];
    let mut offset = 0;
    loop {
        let count = file.read_at(&mut buf, offset)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(buf.get(..count).unwrap_or_default());
        offset += count as u64;
    }
}
