//! Digests of content that has been written already: it is read back, a piece at a time, and compared with what was
//! claimed of it.
//! Process: worker, sealed; on helper threads. Trusts: nothing. Blocks: as the disk does. Fails with: 400. RFC 9530.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::message::{Algorithm, Claim, Digest, Hasher, PIECE_BYTES, Refusal, Status};

/// What is digested in one piece of work: about 1 ms where the processor has no instructions for it.
const DIGESTED_BYTES: u64 = 512 * 1024;

/// A digest to be made, and to be compared with what was claimed.
pub(super) struct Check {
    rest: Range<u64>,
    hasher: Hasher,
    claim: Option<Claim>,
}

/// What a step of a check has come to.
pub(super) enum Checked {
    /// There is more to digest.
    More(Check),
    /// It is as claimed, or nothing was claimed.
    Made(Digest),
    /// It is another one.
    Wrong(Claim, Digest),
}

impl Check {
    /// Begins one of this part of a file.
    pub(super) fn new(range: Range<u64>, algorithm: Algorithm, claim: Option<Claim>) -> Self {
        Self { rest: range, hasher: Hasher::new(algorithm), claim }
    }

    /// Digests the next piece.
    ///
    /// # Errors
    /// As pread(2); UnexpectedEof where the file has become shorter.
    pub(super) fn advance(mut self, file: &File, buf: &mut Vec<u8>) -> io::Result<Checked> {
        let end = self.rest.end.min(self.rest.start + DIGESTED_BYTES);
        while self.rest.start < end {
            let count = usize::try_from(end - self.rest.start).unwrap_or(usize::MAX).min(PIECE_BYTES);
            buf.resize(count, 0);
            file.read_exact_at(buf, self.rest.start)?;
            self.hasher.update(buf);
            self.rest.start += count as u64;
        }
        if self.rest.start < self.rest.end {
            return Ok(Checked::More(self));
        }
        let digest = self.hasher.finish();
        Ok(match self.claim {
            Some(claim) if claim.digest != digest => Checked::Wrong(claim, digest),
            Some(_) | None => Checked::Made(digest),
        })
    }
}

/// The refusal of content that has another digest. `then`: what has become of it.
pub(super) fn mismatch(claim: &Claim, got: &Digest, then: &str) -> Refusal {
    let (field, expected, got) = (claim.field.text(), claim.digest.field_value(), got.field_value());
    let detail = format!("The content is not what {field} says: expected {expected}, got {got}. {then}");
    Refusal::new(Status::BAD_REQUEST, detail)
}
