//! What fileserv itself has written is sent in gzip to those who take it. Files are not: they are compressed beforehand
//! or not at all, so that their lengths, ranges and tags hold. The one door to the `flate2` crate.
//! Process: worker, sealed, on a helper thread. Trusts: nothing. Blocks: never. Fails with: 406.
//! RFC 1951, RFC 1952; RFC 9110 sections 8.4 and 12.5.3.

use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress};

use super::{ErrorForm, error};
use crate::message::{
    AcceptEncoding, Body, BodySource, Coding, FieldName, PIECE_BYTES, Progress, Refusal, Request, Response, Status,
};

/// Below, the content fits into one packet with its head, and gzip would save nothing.
const LEAST_BYTES: u64 = 1024;

/// Puts generated text into the coding that the client likes best; anything else stays as it is.
pub fn compress(request: &Request<'_>, response: &mut Response) {
    let is_generated = matches!(response.body, Body::Bytes(_) | Body::Source { .. });
    if !is_generated || !response.content_type().is_some_and(is_text) {
        return;
    }
    let accepted = AcceptEncoding::of(request.fields).choose([Coding::Gzip, Coding::Identity]);
    let Some(&best) = accepted.first() else {
        *response = not_acceptable(request);
        return;
    };
    response.fields.vary_by(FieldName::AcceptEncoding);
    let is_short = response.body.length().is_some_and(|length| length < LEAST_BYTES);
    if best == Coding::Identity || (is_short && accepted.contains(&Coding::Identity)) {
        return;
    }
    let source: Box<dyn BodySource> = match std::mem::take(&mut response.body) {
        Body::Source { source, .. } => source,
        Body::Bytes(bytes) => Box::new(Whole(bytes)),
        other @ (Body::Empty | Body::Prepared { .. } | Body::File { .. } | Body::Parts(_)) => {
            response.body = other;
            return;
        }
    };
    response.body = Body::Source { source: Box::new(Gzip::of(source)), length: None };
    response.fields.push(FieldName::ContentEncoding, Coding::Gzip.name());
    response.validators.etag = response.validators.etag.map(|etag| etag.of_coding(Coding::Gzip.name()));
}

/// Nothing that there is is acceptable (RFC 9110 section 12.5.3).
pub(super) fn not_acceptable(request: &Request<'_>) -> Response {
    let detail = "There is no representation in a coding that Accept-Encoding allows.";
    let mut response = error(&Refusal::new(Status::NOT_ACCEPTABLE, detail), ErrorForm::of(request.fields));
    response.own_fields().vary_by(FieldName::AcceptEncoding);
    response
}

fn is_text(content_type: &str) -> bool {
    content_type.starts_with("text/") || content_type == "application/json"
}

/// Content that is there already.
struct Whole(Vec<u8>);

impl BodySource for Whole {
    fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let rest = self.0.split_off(self.0.len().min(PIECE_BYTES));
        out.append(&mut self.0);
        self.0 = rest;
        Ok(if self.0.is_empty() { Progress::End } else { Progress::More })
    }
}

/// Another source in gzip. Each piece is compressed for itself and ends at a whole byte, so that between two pieces only
/// the check sum is kept: an encoder has 300 KiB, which a client that reads slowly would hold for as long as it likes.
struct Gzip {
    content: Box<dyn BodySource>,
    crc: Crc,
    has_begun: bool,
}

impl Gzip {
    /// Ten bytes: the two of gzip, deflate, no flags, no time, no level, written on Unix.
    const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    /// A last block without content.
    const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

    fn of(content: Box<dyn BodySource>) -> Self {
        Self { content, crc: Crc::new(), has_begun: false }
    }
}

impl BodySource for Gzip {
    fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let mut piece = Vec::new();
        let progress = self.content.fill(&mut piece)?;
        if !self.has_begun {
            self.has_begun = true;
            out.extend_from_slice(&Self::HEAD);
        }
        if !piece.is_empty() {
            self.crc.update(&piece);
            deflate(&piece, out)?;
        }
        if progress == Progress::End {
            out.extend_from_slice(&Self::LAST_BLOCK);
            out.extend_from_slice(&self.crc.sum().to_le_bytes());
            // The length modulo 2^32.
            out.extend_from_slice(&self.crc.amount().to_le_bytes());
        }
        Ok(progress)
    }
}

/// Appends blocks that hold these bytes, none of them the last, up to a whole byte (RFC 1951 section 3.2.3).
fn deflate(bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    const ROOM_BYTES: usize = 16 * 1024;
    let mut encoder = Compress::new(Compression::fast(), false);
    let mut rest = bytes;
    loop {
        out.reserve(ROOM_BYTES);
        let before = encoder.total_in();
        encoder.compress_vec(rest, out, FlushCompress::Sync)?;
        let taken = usize::try_from(encoder.total_in() - before).unwrap_or(usize::MAX);
        rest = rest.get(taken..).unwrap_or_default();
        // Room that was left over means that nothing is held back.
        if rest.is_empty() && out.len() < out.capacity() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tests::{drain, whole, with_request};
    use crate::message::{ETag, Method};
    use proptest::prelude::*;
    use std::io::Read;

    /// Hands out these pieces, empty ones too.
    struct Pieces(Vec<Vec<u8>>);

    impl BodySource for Pieces {
        fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
            if !self.0.is_empty() {
                out.append(&mut self.0.remove(0));
            }
            Ok(if self.0.is_empty() { Progress::End } else { Progress::More })
        }
    }

    fn unpack(packed: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        // A single member with nothing behind it: what browsers read.
        let mut decoder = flate2::bufread::GzDecoder::new(packed);
        decoder.read_to_end(&mut content).unwrap();
        assert!(decoder.into_inner().is_empty());
        content
    }

    fn answer(accept: Option<&str>, content_type: &'static str, content: &[u8]) -> Response {
        let lines: Vec<(&str, &str)> = accept.map(|value| ("Accept-Encoding", value)).into_iter().collect();
        let mut response = Response::with_body(Status::OK, content_type, Body::Bytes(content.to_vec()));
        response.validators.etag = Some(ETag::of(b"x"));
        with_request(Method::Get, "/", None, &lines, |request| compress(request, &mut response));
        response
    }

    #[test]
    fn text_goes_out_in_the_coding_that_is_asked_for() {
        let text = b"<p>Lorem ipsum</p>".repeat(9000);
        let coded = answer(Some("br, gzip"), "text/html; charset=utf-8", &text);
        assert_eq!(coded.fields.find(FieldName::ContentEncoding), Some(&"gzip".into()));
        assert_eq!(coded.fields.find(FieldName::Vary), Some(&"Accept-Encoding".into()));
        assert_eq!(coded.validators.etag, Some(ETag::of(b"x").of_coding("gzip")));
        assert_eq!(coded.body.length(), None);
        let packed = whole(coded.body);
        assert!(packed.len() < text.len() / 10, "{}", packed.len());
        assert_eq!(unpack(&packed), text);
        for accept in [None, Some(""), Some("br"), Some("gzip;q=0"), Some("identity, gzip;q=0.5")] {
            let plain = answer(accept, "text/html; charset=utf-8", &text);
            assert_eq!(plain.fields.find(FieldName::ContentEncoding), None, "{accept:?}");
            assert_eq!(plain.fields.find(FieldName::Vary), Some(&"Accept-Encoding".into()), "{accept:?}");
            assert_eq!(plain.validators.etag, Some(ETag::of(b"x")));
            assert_eq!(whole(plain.body), text);
        }
    }

    #[test]
    fn what_gains_nothing_stays_as_it_is() {
        let picture = answer(Some("gzip"), "image/png", &[0; 5000]);
        assert_eq!(picture.fields.find(FieldName::Vary), None);
        assert_eq!(whole(picture.body), [0; 5000]);
        let short = answer(Some("gzip"), "text/plain", b"short");
        assert_eq!(short.fields.find(FieldName::ContentEncoding), None);
        assert_eq!(short.fields.find(FieldName::Vary), Some(&"Accept-Encoding".into()));
        // But who takes nothing else gets nothing else.
        let short = answer(Some("gzip, identity;q=0"), "text/plain", b"short");
        assert_eq!(unpack(&whole(short.body)), b"short");
        assert_eq!(answer(Some("*;q=0"), "text/plain", b"short").status, Status::NOT_ACCEPTABLE);
    }

    proptest! {
        #[test]
        fn any_pieces_come_out_as_they_went_in(
            pieces in prop::collection::vec(prop::collection::vec(prop::num::u8::ANY, 0..3000), 0..6),
            repeated in 0_usize..60,
        ) {
            let mut pieces: Vec<Vec<u8>> = pieces.into_iter().map(|piece| piece.repeat(repeated)).collect();
            pieces.push(Vec::new());
            let expected = pieces.concat();
            let packed = drain(&mut Gzip::of(Box::new(Pieces(pieces)))).unwrap();
            prop_assert_eq!(unpack(&packed), expected);
        }
    }
}
