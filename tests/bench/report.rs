//! The tables: figures of all servers, our ratio, our budget, and whether we keep it.

use super::figures::{Measured, Ratio};
use super::servers::Kind;

const NAME_WIDTH: usize = 34;

/// The project's own budget for a ratio.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    AtMost(f64),
    AtLeast(f64),
}

impl Budget {
    /// The budget and whether a figure is within it.
    pub(crate) fn verdict(self, figure: f64) -> String {
        // What is printed is what counts.
        let figure = (figure * 100.0).round() / 100.0;
        let (sign, bound, is_kept) = match self {
            Self::AtMost(bound) => ('≤', bound, figure <= bound),
            Self::AtLeast(bound) => ('≥', bound, figure >= bound),
        };
        format!("{sign} {bound:.2} {}", if is_kept { "kept" } else { "OVER" })
    }
}

/// To whom we compare ourselves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Against {
    /// The peer with the least.
    Least,
    /// This one.
    Peer(Kind),
}

/// One row of a table.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    pub(crate) measured: &'a [Measured],
    pub(crate) against: Against,
    pub(crate) budget: Option<Budget>,
    pub(crate) floor_budget: Option<Budget>,
}

/// What is in the table, and what its columns are.
pub(crate) fn open(title: &str) {
    println!("\n{title}\n");
    let peers = Kind::PEERS.iter().chain([&Kind::Floor]).map(|kind| format!("{:>10}", kind.name())).collect::<String>();
    println!("{:<NAME_WIDTH$}{:>10}{peers}   to the best peer (range)", "", Kind::Fileserv.name());
}

impl Line<'_> {
    pub(crate) fn print(&self) {
        let mut text = format!("{:<NAME_WIDTH$}", self.name);
        for kind in std::iter::once(Kind::Fileserv).chain(Kind::PEERS).chain([Kind::Floor]) {
            text += &self.of(kind).map_or_else(|| format!("{:>10}", "–"), |of| format!("{:>10}", short(of.median())));
        }
        let ours = self.of(Kind::Fileserv).expect("we are in every row");
        if let Some(peer) = self.peer() {
            let ratio = Ratio::of(&ours.samples, &peer.samples);
            text += &format!("   {:.2} ({:.2}–{:.2})", ratio.middle, ratio.least, ratio.most);
            if let Some(budget) = self.budget {
                text += &format!("  {}", budget.verdict(ratio.middle));
            }
        }
        if let Some(floor) = self.of(Kind::Floor) {
            let ratio = Ratio::of(&ours.samples, &floor.samples);
            text += &format!("   to the floor {:.2}", ratio.middle);
            if let Some(budget) = self.floor_budget {
                text += &format!("  {}", budget.verdict(ratio.middle));
            }
        }
        println!("{text}");
    }

    fn of(&self, kind: Kind) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.kind == kind)
    }

    fn peer(&self) -> Option<&Measured> {
        let peers = self.measured.iter().filter(|measured| Kind::PEERS.contains(&measured.kind));
        let by_median = |one: &&Measured, other: &&Measured| one.median().total_cmp(&other.median());
        match self.against {
            Against::Least => peers.min_by(by_median),
            Against::Peer(kind) => self.of(kind),
        }
    }
}

/// Three or four digits that mean something.
pub(crate) fn short(figure: f64) -> String {
    if figure >= 100.0 {
        format!("{figure:.0}")
    } else if figure >= 10.0 {
        format!("{figure:.1}")
    } else if figure >= 1.0 {
        format!("{figure:.2}")
    } else {
        format!("{figure:.3}")
    }
}
