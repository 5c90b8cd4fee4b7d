//! Which digests an answer gets (RFC 9530): `Repr-Digest` and `Content-Digest` for those who want them.
//! Process: worker, sealed. Pure. What has no length beforehand (a listing) has no digest beforehand either.

use arrayvec::ArrayVec;

use crate::content::{self, Context, Wanted};
use crate::message::{Algorithm, Body, FieldName, FieldNames, Handled, Method, Request, Response, Status, wanted};

/// What a request wants, and the whole representation as it was before conditions and ranges made an answer of it.
pub(super) struct Wish {
    of_representation: Option<(Algorithm, Body)>,
    of_content: Option<Algorithm>,
}

impl Wish {
    /// Reads the two fields of a retrieval that would succeed; `None` if it wants nothing, as nearly every request.
    pub(super) fn of(ctx: &Context<'_>, request: &Request<'_>, whole: &Response) -> Option<Self> {
        const EITHER: FieldNames = FieldNames::of(&[FieldName::WantReprDigest, FieldName::WantContentDigest]);
        if ctx.config.cache.digests == 0 || !request.fields.contains_any(EITHER) {
            return None;
        }
        let algorithm = wanted(request.fields, FieldName::WantReprDigest);
        Some(Self {
            // The bytes in the coding in which they are: what 200 would send (section 3).
            of_representation: algorithm.and_then(|algorithm| Some((algorithm, whole.body.share()?))),
            of_content: wanted(request.fields, FieldName::WantContentDigest),
        })
    }

    /// Fulfils it for the answer that came of the representation: 200, 206 or 304. A refusal is no representation of
    /// the file, and says nothing of it.
    pub(super) fn fulfil(self, ctx: &Context<'_>, request: &Request<'_>, answer: Response) -> Handled {
        let mut fields = ArrayVec::new();
        let has_content = answer.status == Status::OK || answer.status == Status::PARTIAL_CONTENT;
        if let Some((algorithm, of)) =
            self.of_representation.filter(|_| has_content || answer.status == Status::NOT_MODIFIED)
        {
            fields.push(Wanted { name: FieldName::ReprDigest, algorithm, of });
        }
        if let Some(algorithm) = self.of_content.filter(|_| has_content) {
            // The content of an answer to HEAD is empty, and that is what is digested (appendix B.2).
            let of = if request.method == Method::Head { Some(Body::Empty) } else { answer.body.share() };
            fields.extend(of.map(|of| Wanted { name: FieldName::ContentDigest, algorithm, of }));
        }
        if fields.is_empty() { Handled::Reply(answer) } else { content::add_digests(ctx, answer, fields) }
    }
}
