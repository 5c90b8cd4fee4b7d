//! Bodies that draw: characters between the two halves of a page, and a PNG. They hold a few rows, never a picture.
//! Process: worker, sealed, on a helper thread. Trusts: nothing. Blocks: never. Fails with: nothing a client can cause.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::canvas::Canvas;
use super::picture::Picture;
use crate::message::{Body, BodySource, Progress};

/// Characters from the emptiest to the fullest. None of them has a meaning in HTML, so they need no escaping.
const RAMP: &[u8; 10] = b" .:-=+*#%@";

/// A character is about twice as high as wide.
const CHARACTER_HEIGHT: f64 = 2.0;

/// The picture in characters, a line a row, between `opening` and `closing`.
pub(super) fn characters(picture: &Picture, opening: String, closing: &str) -> Body {
    let content = (u64::from(picture.width) + 1) * u64::from(picture.height);
    let length = opening.len() as u64 + content + closing.len() as u64;
    let source = Characters {
        opening: opening.into_bytes(),
        canvas: Canvas::new(picture, CHARACTER_HEIGHT),
        closing: closing.as_bytes().to_vec(),
    };
    Body::Source { source: Box::new(source), length: Some(length) }
}

struct Characters {
    opening: Vec<u8>,
    canvas: Canvas,
    closing: Vec<u8>,
}

impl BodySource for Characters {
    fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        out.append(&mut self.opening);
        let progress = self.canvas.draw(out, character, Some(b'\n'));
        if progress == Progress::End {
            out.append(&mut self.closing);
        }
        Ok(progress)
    }
}

fn character(brightness: u8) -> u8 {
    let step = usize::from(brightness) * RAMP.len() / 256;
    RAMP.get(step).copied().unwrap_or(b' ')
}

/// The picture as a PNG of 8-bit greys.
///
/// # Errors
/// Only if the encoder refuses what the picture's bounds allow.
pub(super) fn png(picture: &Picture) -> io::Result<impl BodySource + use<>> {
    let spill = Spill::default();
    let mut encoder = png::Encoder::new(spill.clone(), picture.width, picture.height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    // The quickest that still compresses: noise gives a patient encoder little more to find.
    encoder.set_compression(png::Compression::Fast);
    let encoder = encoder.write_header().and_then(png::Writer::into_stream_writer)?;
    Ok(Png { canvas: Canvas::new(picture, 1.0), encoder: Some(encoder), spill, points: Vec::new() })
}

struct Png {
    canvas: Canvas,
    /// `None` once the picture is finished.
    encoder: Option<png::StreamWriter<'static, Spill>>,
    /// Where the encoder writes.
    spill: Spill,
    /// The points of one piece; kept for its memory.
    points: Vec<u8>,
}

impl BodySource for Png {
    fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let Some(encoder) = self.encoder.as_mut() else { return Ok(Progress::End) };
        self.points.clear();
        let progress = self.canvas.draw(&mut self.points, |brightness| brightness, None);
        encoder.write_all(&self.points)?;
        if progress == Progress::End
            && let Some(encoder) = self.encoder.take()
        {
            encoder.finish()?;
        }
        self.spill.pour(out);
        Ok(progress)
    }
}

/// What the encoder has written and nobody has taken. The encoder owns its writer and doesn't lend it, so both ends
/// share it; the lock is never contended, for one thread at a time fills a body.
#[derive(Clone, Default)]
struct Spill(Arc<Mutex<Vec<u8>>>);

impl Spill {
    fn pour(&self, out: &mut Vec<u8>) {
        out.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Write for Spill {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::PIECE_BYTES;

    #[test]
    fn the_ramp_goes_from_empty_to_full() {
        assert_eq!(character(0), b' ');
        assert_eq!(character(255), b'@');
        assert_eq!(character(128), b'+');
    }

    #[test]
    fn a_png_comes_in_bounded_pieces_and_compresses() {
        let picture = Picture { width: 1024, height: 512, seed: 1, scale: 64.0, octaves: 2 };
        let mut source = png(&picture).unwrap();
        let mut length = 0;
        loop {
            let mut piece = Vec::new();
            let progress = source.fill(&mut piece).unwrap();
            assert!(piece.len() <= PIECE_BYTES, "{}", piece.len());
            length += piece.len();
            if progress == Progress::End {
                break;
            }
        }
        assert!(length < 1024 * 512 / 2, "{length}");
        assert_eq!(source.fill(&mut Vec::new()).unwrap(), Progress::End);
    }
}
