//! The tables: figures of all servers, our ratio, our budget, and whether we keep it.

use super::figures::{Measured, Ratio};
use super::servers::Kind;

const NAME_WIDTH: usize = 32;
const WIDTH: usize = 9;

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
        format!("{sign}{bound:.2} {}", if is_kept { "kept" } else { "missed" })
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

/// A table, with a column for each of these servers.
pub(crate) struct Table {
    columns: Vec<Kind>,
}

impl Table {
    /// Prints what it shows, and the heads of its columns.
    pub(crate) fn open(title: &str, columns: Vec<Kind>) -> Self {
        let heads: String = columns.iter().map(|kind| format!("{:>WIDTH$}", kind.name())).collect();
        let floor = if columns.contains(&Kind::Floor) { "to floor" } else { "" };
        println!("\n{title}\n");
        println!("{}", format!("{:<NAME_WIDTH$}{heads}  ratio  range     budget       {floor}", "").trim_end());
        Self { columns }
    }

    /// Prints a row.
    pub(crate) fn line(&self, line: &Line<'_>) {
        let median = |kind: &Kind| line.of(*kind).map_or_else(|| "–".to_owned(), |of| short(of.median()));
        let figures: String = self.columns.iter().map(|kind| format!("{:>WIDTH$}", median(kind))).collect();
        let mut text = format!("{:<NAME_WIDTH$}{figures}", line.name);
        let ours = line.of(Kind::Fileserv).expect("we are in every row");
        if let Some(peer) = line.peer() {
            let ratio = Ratio::of(&ours.samples, &peer.samples);
            let verdict = line.budget.map(|budget| budget.verdict(ratio.middle)).unwrap_or_default();
            text += &format!("  {ratio}  {verdict:<12}");
        }
        if let Some(floor) = line.of(Kind::Floor) {
            let ratio = Ratio::of(&ours.samples, &floor.samples);
            let verdict = line.floor_budget.map(|budget| budget.verdict(ratio.middle)).unwrap_or_default();
            text += &format!(" {:.2} {verdict}", ratio.middle);
        }
        println!("{}", text.trim_end());
    }
}

/// One row of a table.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    pub(crate) measured: &'a [Measured],
    pub(crate) against: Against,
    pub(crate) budget: Option<Budget>,
    pub(crate) floor_budget: Option<Budget>,
}

impl Line<'_> {
    fn of(&self, kind: Kind) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.kind == kind)
    }

    fn peer(&self) -> Option<&Measured> {
        let peers = self.measured.iter().filter(|measured| Kind::PEERS.contains(&measured.kind));
        match self.against {
            Against::Least => peers.min_by(|one, other| one.median().total_cmp(&other.median())),
            Against::Peer(kind) => self.of(kind),
        }
    }
}

/// A budget that is no ratio.
pub(crate) fn goal(name: &str, figure: f64, budget: Budget) {
    println!("{:<NAME_WIDTH$}{:>WIDTH$}  budget {}", name, short(figure), budget.verdict(figure));
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
