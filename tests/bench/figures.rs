//! From samples to figures: rotating rounds, medians, ratios.

use std::fmt;

use super::servers::Kind;

/// What the rounds of one server gave.
pub(crate) struct Measured {
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<f64>,
}

impl Measured {
    pub(crate) fn median(&self) -> f64 {
        median(&self.samples)
    }
}

/// One figure to the other, round by round: the median, and between what it lay.
pub(crate) struct Ratio {
    pub(crate) middle: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Ratio {
    pub(crate) fn of(ours: &[f64], theirs: &[f64]) -> Self {
        let rounds: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = rounds.iter().copied().fold(0.0, f64::max);
        Self { middle: median(&rounds), least, most }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:5.2} {:.2}–{:.2}", self.middle, self.least, self.most)
    }
}

/// Measures everybody in each round, A B C, then B C A: a slow moment hits all, and nobody always comes first.
pub(crate) fn in_rounds<S, T>(rounds: usize, servers: &[S], mut measure: impl FnMut(&S) -> T) -> Vec<Vec<T>> {
    let mut samples: Vec<Vec<T>> = servers.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..servers.len() {
            let index = (round + turn) % servers.len();
            samples[index].push(measure(&servers[index]));
        }
    }
    samples
}

/// The one in the middle.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len().is_multiple_of(2) { f64::midpoint(samples[middle - 1], samples[middle]) } else { samples[middle] }
}
