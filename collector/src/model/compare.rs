//! Comparison of two periods: where a change of cost comes from, and which rows explain it.

pub mod drivers;
pub mod exact;
pub mod split;
pub mod words;

use tollgate_core::record::Sums;

/// What calls of one provider, model and service tier used and cost in two periods.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    /// Provider, model and service tier, as they are told.
    pub name: String,
    /// In the period that is compared with.
    pub before: Sums,
    /// In the period asked for.
    pub after: Sums,
}
