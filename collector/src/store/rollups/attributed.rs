//! What teams and agents used, for counters that others read again and again.

use rusqlite::Connection;

use super::dims::DimsTable;
use super::packed;
use super::summary::{Groups, SummaryQuery};
use super::sums::{InRow, Totals};
use crate::store::database::error::StoreError;
use crate::store::rollups;

/// What a team's agent used.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributed {
    /// Values of the dimensions asked for.
    pub values: Vec<Option<String>>,
    /// What was used; nothing where it was used at another time.
    pub totals: Totals,
}

/// All that there ever were, in the order in which the database first saw them, which never changes.
pub(super) fn read(
    connection: &Connection,
    dims: &DimsTable,
    query: &SummaryQuery,
) -> Result<Vec<Attributed>, StoreError> {
    let groups = Groups::of(dims, query);
    let mut all: Vec<Attributed> = (0..groups.count())
        .map(|group| Attributed { values: groups.values_of(group).to_vec(), totals: Totals::default() })
        .collect();
    let mut add = |dims: i64, sums: &[u8]| match groups.of_dims(dims).and_then(|group| all.get_mut(group)) {
        Some(one) => Ok(one.totals.add_encoded(sums)?),
        None => Ok(()),
    };
    rollups::each_recent(connection, |hour, dims, sums| {
        if (query.from_hour..query.to_hour).contains(&hour) { add(dims, sums) } else { Ok(()) }
    })?;
    packed::between(connection, query.from_hour, query.to_hour, &mut add)?;
    Ok(all)
}
