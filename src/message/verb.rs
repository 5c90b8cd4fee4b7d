//! What may be done with a path: five verbs, and sets of them. Access rules allow them, a refusal names those it wants.
//! Process: any.

/// Something a client may do with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// See the names in a folder.
    List,
    /// Read a file.
    Read,
    /// Make a new file.
    Create,
    /// Replace a file that exists.
    Replace,
    /// Remove a file.
    Delete,
}

/// A set of verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verbs(u8);

impl Verbs {
    /// No verb.
    pub const NONE: Self = Self(0);

    /// This set and `verb`.
    #[must_use]
    pub const fn with(self, verb: Verb) -> Self {
        Self(self.0 | 1 << (verb as u8))
    }

    /// The verbs of this set and of another one.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is `verb` one of them?
    #[must_use]
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & (1 << (verb as u8)) != 0
    }

    /// Is any of those one of these?
    #[must_use]
    pub const fn contains_any(self, those: Self) -> bool {
        self.0 & those.0 != 0
    }

    /// Is it possible to change anything with these?
    #[must_use]
    pub const fn can_write(self) -> bool {
        self.contains(Verb::Create) || self.contains(Verb::Replace) || self.contains(Verb::Delete)
    }
}

impl From<Verb> for Verbs {
    fn from(verb: Verb) -> Self {
        Self::NONE.with(verb)
    }
}
