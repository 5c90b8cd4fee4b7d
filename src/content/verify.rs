//! The digests of an upload: those that its client claims are checked, the one that it wants is made, as it streams.
//! Process: worker, sealed. Trusts: nothing. `ReadBack`, for trailers that nobody had announced, on a helper thread.
//! Fails with: 400. RFC 9530.

use arrayvec::ArrayVec;

use super::checks::{Check, Checked, mismatch};
use super::commit::write_refusal;
use super::temporary::Temporary;
use crate::message::{
    Algorithm, Claims, Digest, FieldName, Fields, Finish, Hasher, Job, Refusal, Work, Worked, wanted,
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

    /// An algorithm of which a digest was claimed when it was too late to make it on the way.
    fn lacking(&self, made: &[Digest]) -> Option<Algorithm> {
        let mut claimed = self.claims.iter().map(|claim| claim.digest.algorithm());
        claimed.find(|it| {
            let has = |algorithm: Algorithm| algorithm == *it;
            !self.hashers.iter().any(|hasher| has(hasher.algorithm())) && !made.iter().any(|made| has(made.algorithm()))
        })
    }

    /// Checks every claim, and gives the digest that is wanted.
    ///
    /// # Errors
    /// 400 for content that has another digest.
    pub(super) fn finish(self) -> Result<Option<Digest>, Refusal> {
        self.finish_with(ArrayVec::new())
    }

    fn finish_with(self, mut made: Made) -> Result<Option<Digest>, Refusal> {
        made.extend(self.hashers.into_iter().map(Hasher::finish));
        for claim in self.claims.iter() {
            let algorithm = claim.digest.algorithm();
            let digest = made.iter().find(|digest| digest.algorithm() == algorithm);
            if let Some(digest) = digest.filter(|digest| **digest != claim.digest) {
                return Err(mismatch(claim, digest, "Nothing was stored."));
            }
        }
        Ok(made.into_iter().find(|digest| self.wanted == Some(digest.algorithm())))
    }
}

/// Digests of a content, one for each algorithm.
type Made = ArrayVec<Digest, { Algorithm::ALL.len() }>;

/// What is done with a content when its digests are known.
type Then = Box<dyn FnOnce(Temporary, Result<Option<Digest>, Refusal>) -> Job + Send>;

/// A content that has gone by before anybody knew of a digest: it is read back, a piece at a time.
pub(super) struct ReadBack {
    temporary: Temporary,
    bytes: u64,
    verification: Verification,
    made: Made,
    check: Option<Check>,
    buf: Vec<u8>,
    then: Then,
}

impl ReadBack {
    /// Begins, or goes straight to the end where there is nothing to be read.
    pub(super) fn begin(temporary: Temporary, bytes: u64, verification: Verification, then: Then) -> Finish {
        let is_needed = verification.lacking(&[]).is_some();
        let (made, check, buf) = (Made::new(), None, Vec::new());
        let read_back = Box::new(Self { temporary, bytes, verification, made, check, buf, then });
        if is_needed { Finish::Work(read_back) } else { Finish::Job(read_back.end()) }
    }

    fn end(self: Box<Self>) -> Job {
        let digest = self.verification.finish_with(self.made);
        (self.then)(self.temporary, digest)
    }

    fn next(mut self: Box<Self>) -> Worked {
        match self.verification.lacking(&self.made) {
            Some(algorithm) => {
                self.check = Some(Check::new(0..self.bytes, algorithm, None));
                Worked::More(self)
            }
            None => Worked::Block(self.end()),
        }
    }
}

impl Work for ReadBack {
    fn advance(mut self: Box<Self>) -> Worked {
        let Some(check) = self.check.take() else { return self.next() };
        match check.advance(self.temporary.file(), &mut self.buf) {
            Ok(Checked::More(check)) => {
                self.check = Some(check);
                Worked::More(self)
            }
            Ok(Checked::Made(digest) | Checked::Wrong(_, digest)) => {
                self.made.push(digest);
                self.next()
            }
            Err(error) => Worked::Done(Err(write_refusal(&error))),
        }
    }
}
