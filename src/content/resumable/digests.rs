//! The digests of a resumable upload: `Content-Digest` is about the content of one request, `Repr-Digest` about the
//! whole. What is digested has been written already and is read back, so that the loop never waits for a digest.
//! Process: worker, sealed; on helper threads. Trusts: nothing. Blocks: as the disk does. Fails with: 400.
//! RFC 9530; draft section 10.

use std::ops::Range;

use super::record::Record;
use crate::content::checks::Check;
use crate::message::{Algorithm, Claims, FieldName, Fields, Refusal, wanted};

/// What a request, and the one before it that began the upload, say of digests.
#[derive(Default)]
pub(super) struct Announced {
    claims: Claims,
    wanted: Option<Algorithm>,
}

impl Announced {
    /// What the head of a request says. `may_want`: does the configuration allow to make a digest just because somebody
    /// wants it?
    ///
    /// # Errors
    /// 400 for a digest that can't be read.
    pub(super) fn of(fields: &Fields<'_>, may_want: bool) -> Result<Self, Refusal> {
        let mut announced =
            Self { wanted: wanted(fields, FieldName::WantReprDigest).filter(|_| may_want), ..Self::default() };
        announced.claims.add(fields)?;
        Ok(announced)
    }

    /// Takes in what the fields behind the content claim.
    ///
    /// # Errors
    /// 400 for a digest that can't be read.
    pub(super) fn claim(&mut self, trailers: &Fields<'_>) -> Result<(), Refusal> {
        self.claims.add(trailers)
    }

    /// All that has to be found out: of the content, and of the whole once it is complete.
    pub(super) fn checks(&self, content: Range<u64>, record: &Record, is_last: bool) -> Vec<Check> {
        let of = |field: FieldName| self.claims.iter().filter(move |claim| claim.field == field).copied();
        let mut checks: Vec<Check> = Vec::new();
        for claim in of(FieldName::ContentDigest) {
            checks.push(Check::new(content.clone(), claim.digest.algorithm(), Some(claim)));
        }
        if !is_last {
            return checks;
        }
        let whole = 0..content.end;
        let (earlier, wanted) = remembered(record);
        let wanted = self.wanted.or(wanted);
        for claim in of(FieldName::ReprDigest).chain(earlier.iter().copied()) {
            checks.push(Check::new(whole.clone(), claim.digest.algorithm(), Some(claim)));
        }
        // Last, for it is told at the end.
        checks.extend(wanted.map(|algorithm| Check::new(whole, algorithm, None)));
        checks
    }
}

/// What the request that began the upload has said. It could be read then.
fn remembered(record: &Record) -> (Claims, Option<Algorithm>) {
    let mut fields = Fields::default();
    let lines = [("Repr-Digest", &record.digests), ("Want-Repr-Digest", &record.wanted_digests)];
    for (name, values) in lines {
        for value in values {
            fields.push(name, value.as_bytes());
        }
    }
    let mut claims = Claims::default();
    let _ = claims.add(&fields);
    (claims, wanted(&fields, FieldName::WantReprDigest))
}
