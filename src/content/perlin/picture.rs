//! What a picture is: its parameters, their bounds, and how bright each of its points is.
//! Process: worker, sealed. Trusts: nothing. Blocks: never. Fails with: 400.

use std::ops::RangeInclusive;

use arrayvec::ArrayVec;
use noise::{NoiseFn, Perlin};

use crate::content::parameters::Parameters;
use crate::message::Refusal;

/// Points in a row. With the most of everything a picture costs a helper thread some seconds, a piece at a time.
pub(super) const WIDTH: RangeInclusive<u32> = 1..=4096;
/// Rows.
pub(super) const HEIGHT: RangeInclusive<u32> = 1..=4096;
/// Points between two knots of the noise's lattice. Below 1 nothing of its smoothness would be seen.
pub(super) const SCALE: RangeInclusive<f64> = 1.0..=4096.0;
/// Layers, each twice as fine and half as strong as the one before; an eighth one changes half a step of 255.
pub(super) const OCTAVES: RangeInclusive<u32> = 1..=OCTAVE_LIMIT;
const OCTAVE_LIMIT: u32 = 8;

/// How much the sum of layers is spread: noise rarely comes near its bounds, and a picture of greys is dull.
const CONTRAST: f64 = 1.5;

/// The parameters of a picture; the same ones always give the same picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) seed: u32,
    pub(super) scale: f64,
    pub(super) octaves: u32,
}

impl Picture {
    /// Takes the parameters that are given, and the default for each that is not.
    pub(super) fn read(parameters: &Parameters<'_>, seed: u32) -> Result<Self, Refusal> {
        Ok(Self {
            width: parameters.number("width", &WIDTH)?.unwrap_or(250),
            height: parameters.number("height", &HEIGHT)?.unwrap_or(100),
            seed,
            scale: parameters.number("scale", &SCALE)?.unwrap_or(32.0),
            octaves: parameters.number("octaves", &OCTAVES)?.unwrap_or(4),
        })
    }

    /// The query that names this picture, always spelt alike.
    pub(super) fn query(&self) -> String {
        let Self { width, height, seed, scale, octaves } = self;
        format!("width={width}&height={height}&seed={seed}&scale={scale}&octaves={octaves}")
    }
}

/// The layers of noise that make a picture.
pub(super) struct Layers {
    layers: ArrayVec<Perlin, { OCTAVE_LIMIT as usize }>,
    /// Knots of the first layer's lattice a point, to the right and down.
    steps: (f64, f64),
    /// 1 over the sum of all layers' strengths, times the contrast.
    gain: f64,
}

impl Layers {
    /// The layers of this picture. `point_height` is the height of a point in widths: 2 for characters.
    pub(super) fn new(picture: &Picture, point_height: f64) -> Self {
        // Each layer has its own seed; with a common one the knots of all layers coincide, which shows as a grid.
        let layers = (0..picture.octaves.min(OCTAVE_LIMIT)).map(|layer| Perlin::new(picture.seed.wrapping_add(layer)));
        let layers: ArrayVec<Perlin, { OCTAVE_LIMIT as usize }> = layers.collect();
        let strengths = layers.iter().fold((0.0, 1.0), |(sum, strength), _| (sum + strength, strength / 2.0)).0;
        Self { layers, steps: (1.0 / picture.scale, point_height / picture.scale), gain: CONTRAST / strengths }
    }

    /// How many evaluations of the noise a point costs.
    pub(super) fn count(&self) -> usize {
        self.layers.len()
    }

    /// How bright a point is, from 0 to 255.
    pub(super) fn brightness(&self, column: u32, row: u32) -> u8 {
        // The middle of the point: noise is zero at every knot, so with a scale of 1 its corners would all be grey.
        let mut at = [(f64::from(column) + 0.5) * self.steps.0, (f64::from(row) + 0.5) * self.steps.1];
        let (mut sum, mut strength) = (0.0, 1.0);
        for layer in &self.layers {
            sum += strength * layer.get(at);
            strength /= 2.0;
            at = at.map(|coordinate| coordinate * 2.0);
        }
        let level = ((1.0 + sum * self.gain) * 127.5).clamp(0.0, 255.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the line above holds it in 0..=255"
        )]
        let brightness = level as u8;
        brightness
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_varies_smoothly_and_reaches_far() {
        let picture = Picture { width: 256, height: 256, seed: 3, scale: 32.0, octaves: 1 };
        let layers = Layers::new(&picture, 1.0);
        let points: Vec<u8> = (0..256).map(|column| layers.brightness(column, 100)).collect();
        assert!(points.windows(2).all(|pair| pair[0].abs_diff(pair[1]) < 40), "{points:?}");
        let all = (0..256).flat_map(|row| (0..256).map(move |column| (column, row)));
        let (least, most) = all.fold((255, 0), |(least, most), (column, row)| {
            let brightness = layers.brightness(column, row);
            (brightness.min(least), brightness.max(most))
        });
        assert!(least < 40 && most > 215, "{least} {most}");
    }

    #[test]
    fn every_octave_adds_something() {
        let of = |octaves| Layers::new(&Picture { width: 1, height: 1, seed: 3, scale: 32.0, octaves }, 1.0);
        for octaves in 1..OCTAVE_LIMIT {
            let (fewer, more) = (of(octaves), of(octaves + 1));
            assert!((0..200).any(|column| fewer.brightness(column, 5) != more.brightness(column, 5)), "{octaves}");
        }
    }

    #[test]
    fn the_query_is_read_back_as_the_same_picture() {
        let picture = Picture { width: 5, height: 6, seed: u32::MAX, scale: 1.25, octaves: 8 };
        let query = picture.query();
        let parameters = Parameters::read(Some(&query), &["width", "height", "seed", "scale", "octaves"]).unwrap();
        assert_eq!(Picture::read(&parameters, u32::MAX).unwrap(), picture);
    }
}
