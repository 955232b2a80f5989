//! Which rules refused how many calls.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::Facet;
use crate::model::dimension::NOTED;
use crate::store::database::error::StoreError;
use crate::store::rollups::sums::{InRow as _, Totals};

/// What a rule refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// A number that the rule keeps; one that was seen first has a lower one.
    pub id: i64,
    /// Its name: that of a rule, or of a budget.
    pub rule: String,
    /// Calls that it refused.
    pub calls: u64,
}

/// What rules refused in these hours, the last exclusive, in the order of their ids.
pub(in crate::store) fn read(connection: &Connection, hours: (i64, i64)) -> Result<Vec<Refused>, StoreError> {
    let mut by_rule: BTreeMap<i64, Totals> = BTreeMap::new();
    super::each(connection, Facet::Rule, hours, |row| {
        Ok(by_rule.entry(row.value).or_default().add_encoded(row.sums)?)
    })?;
    let mut refused = Vec::new();
    for (id, totals) in by_rule {
        let rule = super::name(connection, id)?;
        if !rule.ends_with(NOTED) {
            refused.push(Refused { id, rule, calls: totals.denied });
        }
    }
    Ok(refused)
}
