//! The chunked transfer coding (RFC 9112 section 7.1), taken apart in any pieces.
//! Process: worker, sealed. Trusts: nothing. Pure. Fails with: 400, 431.

use super::bytes::TOKEN;
use crate::message::{Refusal, Status};

/// Size line with its extensions: ours to limit, for RFC 9112 section 7.1.1 names no bound.
const SIZE_LINE_LIMIT_BYTES: usize = 256;
/// The trailer section where it is read and dropped; one that is kept has the limit of a head.
const TRAILER_LIMIT_BYTES: usize = 8 * 1024;
/// Hexadecimal digits of a chunk size that always fit in 64 bits.
const SIZE_DIGITS: usize = 15;

/// How far a chunked body has been read.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes of the current line, or of the trailer section, so far.
    line_bytes: usize,
    /// The trailer section with its line ends, where somebody wants it.
    trailers: Option<Trailers>,
}

/// A trailer section that is kept.
#[derive(Debug)]
struct Trailers {
    section: Vec<u8>,
    limit_bytes: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a size line: the size so far, how many digits it had, and where in the line we are.
    Size {
        size: u64,
        digits: usize,
        part: SizePart,
    },
    /// In the data of a chunk.
    Data {
        left: u64,
    },
    /// At the CR, then the LF, after the data.
    DataCr,
    DataLf,
    /// At the start of a trailer line, in its name, in its value, or at its LF.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf {
        is_last: bool,
    },
    #[default]
    Start,
    Done,
}

impl State {
    /// In the trailer section, the blank line behind it included?
    fn is_trailer(self) -> bool {
        match self {
            Self::TrailerStart | Self::TrailerName | Self::TrailerValue | Self::TrailerLf { .. } => true,
            Self::Start | Self::Size { .. } | Self::Data { .. } | Self::DataCr | Self::DataLf | Self::Done => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SizePart {
    Digits,
    /// White space behind the digits, which only an extension may follow.
    Space,
    Extension,
    LineFeed,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'b> {
    /// Content, and how many bytes it and what came before it took.
    Content(&'b [u8], usize),
    /// All was framing: more bytes are needed.
    More,
    /// The body is complete; so many bytes belonged to it.
    End(usize),
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::closing(Status::BAD_REQUEST, detail)
}

impl ChunkedDecoder {
    /// One that keeps the trailer section, if it has no more than so many bytes.
    #[must_use]
    pub fn keeping_trailers(limit_bytes: usize) -> Self {
        Self { trailers: Some(Trailers { section: Vec::new(), limit_bytes }), ..Self::default() }
    }

    /// The trailer section with the blank line at its end; nothing if it is not kept, or not complete.
    #[must_use]
    pub fn trailer_section(&self) -> &[u8] {
        self.trailers.as_ref().filter(|_| self.state == State::Done).map_or(&[], |kept| &kept.section)
    }

    /// How many bytes of the current chunk are still to come; 0 between chunks.
    #[must_use]
    pub fn left_in_chunk(&self) -> u64 {
        match self.state {
            State::Data { left } => left,
            State::Start
            | State::Size { .. }
            | State::DataCr
            | State::DataLf
            | State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLf { .. }
            | State::Done => 0,
        }
    }

    /// Reads up to the next run of content, or to the end of `bytes`. Call again with what follows the used bytes;
    /// [`Piece::More`] has used them all.
    ///
    /// # Errors
    /// 400 for what is no chunked coding, 431 for a trailer section over its limit; both close.
    pub fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<Piece<'b>, Refusal> {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            if let State::Data { left } = self.state {
                let rest = bytes.get(used..).unwrap_or_default();
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let left = left - take as u64;
                self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                return Ok(Piece::Content(rest.get(..take).unwrap_or_default(), used + take));
            }
            used += 1;
            let is_trailer = self.state.is_trailer();
            self.state = self.step(byte)?;
            if let Some(kept) = self.trailers.as_mut().filter(|_| is_trailer) {
                kept.section.push(byte);
            }
            if self.state == State::Done {
                return Ok(Piece::End(used));
            }
        }
        Ok(Piece::More)
    }

    /// One byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Start, _) => {
                self.line_bytes = 0;
                self.size_digit(0, 0, byte)
            }
            (State::Size { size, digits, part }, _) => self.size_line(size, digits, part, byte),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Start),
            (State::DataCr | State::DataLf, _) => Err(malformed("The data of a chunk must end with CRLF.")),
            (State::TrailerStart, b'\r') => Ok(State::TrailerLf { is_last: true }),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf { is_last: false }),
            (State::TrailerLf { is_last: true }, b'\n') => Ok(State::Done),
            (State::TrailerLf { is_last: false }, b'\n') => Ok(State::TrailerStart),
            (State::TrailerLf { .. }, _) => Err(malformed("A trailer line must end with CRLF.")),
            (State::TrailerStart | State::TrailerName | State::TrailerValue, _) => self.trailer_byte(byte),
            (State::Data { .. } | State::Done, _) => Ok(self.state),
        }
    }

    /// A byte of a trailer line. It is a field line like those of a head, and refused for the same reasons, also where it
    /// is dropped: another reader of the same bytes may not drop it (RFC 9112 section 7.1.2).
    fn trailer_byte(&mut self, byte: u8) -> Result<State, Refusal> {
        self.line_bytes += 1;
        let limit_bytes = self.trailers.as_ref().map_or(TRAILER_LIMIT_BYTES, |kept| kept.limit_bytes);
        if self.line_bytes > limit_bytes {
            let detail = "The trailer section is too long.";
            return Err(Refusal::closing(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, detail));
        }
        match (self.state, byte) {
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerStart | State::TrailerName, _) if TOKEN.has(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b' '..=b'~' | b'\t' | 0x80..) => Ok(State::TrailerValue),
            _ => Err(malformed("A trailer line must be a field line: a name, a colon, a value, CRLF.")),
        }
    }

    fn size_digit(&mut self, size: u64, digits: usize, byte: u8) -> Result<State, Refusal> {
        let wrong = || malformed("A chunk must begin with its size in hexadecimal digits.");
        let digit = char::from(byte).to_digit(16).ok_or_else(wrong)?;
        if digits >= SIZE_DIGITS {
            return Err(malformed("The size of a chunk has too many digits."));
        }
        Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1, part: SizePart::Digits })
    }

    fn size_line(&mut self, size: u64, digits: usize, part: SizePart, byte: u8) -> Result<State, Refusal> {
        self.line_bytes += 1;
        if self.line_bytes > SIZE_LINE_LIMIT_BYTES {
            return Err(malformed("The size line of a chunk is too long."));
        }
        match (part, byte) {
            (SizePart::LineFeed, b'\n') if size == 0 => {
                self.line_bytes = 0;
                Ok(State::TrailerStart)
            }
            (SizePart::LineFeed, b'\n') => Ok(State::Data { left: size }),
            (SizePart::LineFeed, _) => Err(malformed("The size line of a chunk must end with CRLF.")),
            (SizePart::Digits | SizePart::Extension, b'\r') => {
                Ok(State::Size { size, digits, part: SizePart::LineFeed })
            }
            // Extensions are ignored, as section 7.1.1 demands, but not what could hide a line ending.
            (SizePart::Digits | SizePart::Space, b';') => Ok(State::Size { size, digits, part: SizePart::Extension }),
            (SizePart::Digits | SizePart::Space, b' ' | b'\t') => {
                Ok(State::Size { size, digits, part: SizePart::Space })
            }
            // "5 5" is 5 to one reader and 85 to another.
            (SizePart::Space, _) => Err(malformed("The size of a chunk must be one hexadecimal number.")),
            (SizePart::Extension, b' '..=b'~' | b'\t' | 0x80..) => Ok(State::Size { size, digits, part }),
            (SizePart::Extension, _) => Err(malformed("A chunk extension holds a control character.")),
            (SizePart::Digits, _) => self.size_digit(size, digits, byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes pieces of at most `step` bytes.
    fn decode(bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize), u16> {
        let mut decoder = ChunkedDecoder::default();
        let (mut content, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let window = &bytes[at..(at + step).min(bytes.len())];
            match decoder.next(window).map_err(|refusal| refusal.status.code())? {
                Piece::Content(piece, used) => {
                    content.extend_from_slice(piece);
                    at += used;
                }
                Piece::More => at += window.len(),
                Piece::End(used) => return Ok((content, at + used)),
            }
        }
        Err(0)
    }

    #[test]
    fn trailers_are_kept_for_who_wants_them_and_bounded() {
        let decode = |bytes: &[u8], limit_bytes: usize, step: usize| {
            let mut decoder = ChunkedDecoder::keeping_trailers(limit_bytes);
            let mut at = 0;
            loop {
                let window = &bytes[at..(at + step).min(bytes.len())];
                match decoder.next(window).map_err(|refusal| refusal.status.code())? {
                    Piece::Content(_, used) => at += used,
                    Piece::More => at += window.len(),
                    Piece::End(_) => return Ok(decoder.trailer_section().to_vec()),
                }
                assert_eq!(decoder.trailer_section(), b"");
            }
        };
        let body = b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n";
        for step in 1..body.len() {
            assert_eq!(decode(body, 8, step), Ok(b"A: b\r\nC: d\r\n\r\n".to_vec()), "{step}");
            assert_eq!(decode(body, 7, step), Err(431), "{step}");
        }
        assert_eq!(decode(b"0\r\n\r\n", 0, 1), Ok(b"\r\n".to_vec()));
    }

    #[test]
    fn the_same_in_any_pieces() {
        let long_extension = [&b"1;"[..], &[b'x'; 300], b"\r\na\r\n0\r\n\r\n"].concat();
        let long_trailer = [&b"0\r\nA:"[..], &[b'x'; 9000], b"\r\n\r\n"].concat();
        type Row<'t> = (&'t [u8], Result<&'t [u8], u16>);
        let table: [Row<'_>; 24] = [
            (b"5\r\nhello\r\n0\r\n\r\n", Ok(b"hello")),
            (b"5;a=\"b\"\r\nhello\r\n1 ;c\r\n!\r\n000\r\n\r\n", Ok(b"hello!")),
            (b"5 \r\nhello\r\n0\r\n\r\n", Err(400)),
            (b"A\r\n0123456789\r\n0\r\nDigest: x\r\nB: c\r\n\r\n", Ok(b"0123456789")),
            (b"0\r\n\r\n", Ok(b"")),
            (b"\r\n", Err(400)),
            (b"+5\r\nhello\r\n0\r\n\r\n", Err(400)),
            (b"5 5\r\nhello\r\n0\r\n\r\n", Err(400)),
            (b"0x5\r\nhello\r\n0\r\n\r\n", Err(400)),
            (b"5\nhello\r\n0\r\n\r\n", Err(400)),
            (b"5\r\nhello0\r\n\r\n", Err(400)),
            (b"5\r\nhello\n0\r\n\r\n", Err(400)),
            (b"1000000000000000\r\n", Err(400)),
            (b"5;a\rb\r\nhello\r\n", Err(400)),
            (b"0\r\nA: b\n\r\n", Err(400)),
            (b"0\r\n\rx", Err(400)),
            (b"0\r\nA\r\n\r\n", Err(400)),
            (b"0\r\nA : b\r\n\r\n", Err(400)),
            (b"0\r\n: b\r\n\r\n", Err(400)),
            (b"0\r\nA: b\r\n c\r\n\r\n", Err(400)),
            (b"0\r\nA: \xfc\tb\r\n\r\n", Ok(b"")),
            (b"5\r\nhel", Err(0)),
            (&long_extension, Err(400)),
            (&long_trailer, Err(431)),
        ];
        for (bytes, expected) in table {
            for step in 1..=bytes.len().min(40) {
                let followed = [bytes, b"GET"].concat();
                let input = if expected == Err(0) { bytes } else { &followed };
                let got = decode(input, step);
                let expected = expected.map(|content| (content.to_vec(), bytes.len()));
                assert_eq!(got, expected, "{step}: {}", String::from_utf8_lossy(bytes));
            }
        }
    }
}
