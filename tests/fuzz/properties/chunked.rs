//! The chunked coding: the same content in whatever pieces it comes (RFC 9112 section 7.1).

use fileserv::http::{ChunkedDecoder, Piece};

use super::cuts;

/// What a decoder makes of some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    content: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Open { left_in_chunk: u64 },
    Complete { used: usize },
    Malformed { status: u16, detail: String },
}

/// Checks the properties of the decoder.
pub fn chunked(bytes: &[u8]) {
    let whole = decode([bytes]);
    assert!(whole.content.len() <= bytes.len());
    if let End::Complete { used } = whole.end {
        assert!(bytes[..used].ends_with(b"\r\n\r\n") && whole.content.len() < used, "{whole:?}");
        assert_eq!(decode([&bytes[..used]]), whole, "what follows the body changes it");
        assert!(matches!(decode([&bytes[..used - 1]]).end, End::Open { .. }), "complete before its last byte");
    }
    assert_eq!(decode(bytes.chunks(1)), whole, "byte by byte");
    assert_eq!(decode(bytes.chunks(7)), whole, "in sevens");
    for cut in cuts(bytes.len()) {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(decode([first, second]), whole, "cut at {cut}");
    }
    round_trip(bytes);
}

/// Any content, written as chunks, is read back.
fn round_trip(content: &[u8]) {
    let mut coded = Vec::new();
    for (place, chunk) in content.chunks(1 + content.len() / 3).enumerate() {
        let extension = if place == 1 { ";a=\"b\"" } else { "" };
        coded.extend_from_slice(format!("{:X}{extension}\r\n", chunk.len()).as_bytes());
        coded.extend_from_slice(chunk);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
    let expected = Decoded { content: content.to_vec(), end: End::Complete { used: coded.len() } };
    assert_eq!(decode([&coded[..]]), expected);
}

fn decode<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> Decoded {
    let mut decoder = ChunkedDecoder::default();
    let mut content = Vec::new();
    let mut before = 0;
    for piece in pieces {
        let mut at = 0;
        loop {
            match decoder.next(&piece[at..]) {
                Ok(Piece::Content(bytes, used)) => {
                    assert!(!bytes.is_empty() && bytes.len() <= used, "{} of {used}", bytes.len());
                    content.extend_from_slice(bytes);
                    at += used;
                }
                Ok(Piece::More) => break,
                Ok(Piece::End(used)) => return Decoded { content, end: End::Complete { used: before + at + used } },
                Err(refusal) => {
                    assert!(refusal.ends_connection, "{refusal:?}");
                    let (status, detail) = (refusal.status.code(), refusal.detail.into_owned());
                    return Decoded { content, end: End::Malformed { status, detail } };
                }
            }
        }
        before += piece.len();
    }
    Decoded { content, end: End::Open { left_in_chunk: decoder.left_in_chunk() } }
}
