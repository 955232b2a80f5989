//! What summaries say beside their totals: what retries cost, and what cheaper models saved.

use std::collections::HashMap;

use rusqlite::Connection;
use tollgate_core::money::Picodollars;
use tollgate_core::record::{OutOfRange, Totals};

use super::Facet;
use crate::store::database::error::StoreError;
use crate::store::rollups::dims::DimsTable;
use crate::store::rollups::summary::{Groups, SummaryQuery};
use crate::store::rollups::sums::InRow as _;

/// Retries and savings of some calls.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Aside {
    /// Calls that repeat another one, or that Envoy tried more than once.
    pub retried: Totals,
    /// Calls that a rule gave a cheaper model, where it is known what that saved: their number, and in the
    /// place of their cost what was saved.
    pub saved: Totals,
}

/// By time, as a summary tells times apart, and by the values of its dimensions.
pub type Asides = HashMap<(Option<i64>, Vec<Option<String>>), Aside>;

impl Aside {
    /// Adds another one.
    ///
    /// # Errors
    /// When a sum is out of range.
    pub fn add(&mut self, other: &Self) -> Result<(), OutOfRange> {
        self.retried.add(&other.retried)?;
        self.saved.add(&other.saved)
    }

    /// What was saved; none where no call was given a cheaper model.
    pub fn saved_usd(&self) -> Option<Picodollars> {
        (self.saved != Totals::default()).then_some(self.saved.cost)
    }
}

/// Answers for the rows of a query that is about no facet; those that have neither are left out.
pub(in crate::store) fn read(
    connection: &Connection,
    dims: &DimsTable,
    query: &SummaryQuery,
) -> Result<Asides, StoreError> {
    let groups = Groups::of(dims, query);
    let mut found: HashMap<(Option<i64>, usize), Aside> = HashMap::new();
    for facet in [Facet::Retry, Facet::Saved] {
        let mut last = None;
        super::each(connection, facet, (query.from_hour, query.to_hour), |row| {
            let Some(group) = groups.of_dims(row.dims) else { return Ok(()) };
            // Rows come by the hour.
            let (_, start) = *last.insert(
                last.filter(|(known, _)| *known == row.hour)
                    .unwrap_or_else(|| (row.hour, query.period_of(row.hour))),
            );
            let aside = found.entry((start, group)).or_default();
            let sum = if facet == Facet::Retry { &mut aside.retried } else { &mut aside.saved };
            Ok(sum.add_encoded(row.sums)?)
        })?;
    }
    let with_values = |((hour, group), aside)| ((hour, groups.values_of(group).to_vec()), aside);
    Ok(found.into_iter().map(with_values).collect())
}
