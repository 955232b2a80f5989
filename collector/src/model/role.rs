//! What a token allows.

/// What a token allows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, clap::ValueEnum)]
pub enum Role {
    /// Reporting usage, as gateways do.
    Ingest,
    /// Reading everything that is kept.
    Read,
    /// Changing what is kept: budgets, top-ups, releases, repricing, imports, reviews.
    Write,
    /// Also closing months.
    Admin,
}

impl Role {
    /// Whether who has this role may do what `other` may.
    pub fn allows(self, other: Self) -> bool {
        self == other || (self > other && other != Self::Ingest)
    }
}
