//! Where the drawing of a picture stands: row by row, a bounded number of points at a time.
//! Process: worker, sealed, on a helper thread. Trusts: nothing. Blocks: never. Fails with: nothing.

use super::picture::{Layers, Picture};
use crate::message::Progress;

/// Evaluations of the noise in one piece of work: some 30 ns each, so about half a millisecond. As a point costs at
/// least one and gives one byte, a piece is never longer than this either.
const EVALUATIONS_A_PIECE: usize = 16 * 1024;

/// A picture that is being drawn.
pub(super) struct Canvas {
    layers: Layers,
    width: u32,
    height: u32,
    /// The next point.
    column: u32,
    row: u32,
}

impl Canvas {
    /// Begins at the upper left. `point_height` is the height of a point in widths.
    pub(super) fn new(picture: &Picture, point_height: f64) -> Self {
        let layers = Layers::new(picture, point_height);
        Self { layers, width: picture.width, height: picture.height, column: 0, row: 0 }
    }

    /// Draws the next piece: `ink` makes a byte of each point's brightness, `row_end` follows each row.
    pub(super) fn draw(&mut self, out: &mut Vec<u8>, ink: impl Fn(u8) -> u8, row_end: Option<u8>) -> Progress {
        let points = EVALUATIONS_A_PIECE / self.layers.count().max(1);
        for _ in 0..points {
            if self.row >= self.height {
                return Progress::End;
            }
            out.push(ink(self.layers.brightness(self.column, self.row)));
            self.column += 1;
            if self.column >= self.width {
                out.extend(row_end);
                self.column = 0;
                self.row += 1;
            }
        }
        if self.row >= self.height { Progress::End } else { Progress::More }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::PIECE_BYTES;

    #[test]
    fn a_piece_is_bounded_and_all_pieces_are_the_picture() {
        for (width, octaves) in [(1, 1), (4096, 8), (1000, 3)] {
            let picture = Picture { width, height: 50, seed: 1, scale: 9.0, octaves };
            let mut canvas = Canvas::new(&picture, 1.0);
            let mut all = Vec::new();
            loop {
                let before = all.len();
                let progress = canvas.draw(&mut all, |brightness| brightness, Some(b'\n'));
                assert!(all.len() - before <= PIECE_BYTES);
                if progress == Progress::End {
                    break;
                }
            }
            assert_eq!(all.len(), 50 * (usize::try_from(width).unwrap() + 1));
        }
    }
}
