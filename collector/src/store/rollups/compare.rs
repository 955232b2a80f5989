//! Two periods side by side, in one snapshot: sums with their kinds.

use rusqlite::Connection;

use super::dims::DimsTable;
use super::packed;
use super::summary::{Groups, ROWS_MAX, SummaryQuery};
use super::sums::{InRow, Sums};
use crate::store::database::error::StoreError;
use crate::store::rollups;

/// What calls of the same values used and cost in two periods.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Compared {
    /// Their values in the dimensions asked for.
    pub values: Vec<Option<String>>,
    /// In the period that is compared with.
    pub before: Sums,
    /// In the period asked for.
    pub after: Sums,
}

/// Reads both periods. Times are not told apart.
pub(super) fn read(
    connection: &Connection,
    dims: &DimsTable,
    query: &SummaryQuery,
    before: (i64, i64),
) -> Result<Vec<Compared>, StoreError> {
    let groups = Groups::of(dims, query);
    let after = (query.from_hour, query.to_hour);
    let (mut sums_before, mut sums_after) = (Sides::default(), Sides::default());
    rollups::each_recent(connection, |hour, dims, sums| {
        for (hours, side) in [(before, &mut sums_before), (after, &mut sums_after)] {
            if (hours.0..hours.1).contains(&hour) {
                side.add(groups.of_dims(dims), sums)?;
            }
        }
        Ok(())
    })?;
    for (hours, side) in [(before, &mut sums_before), (after, &mut sums_after)] {
        packed::between(connection, hours.0, hours.1, |dims, sums| side.add(groups.of_dims(dims), sums))?;
    }
    let many = sums_before.0.len().max(sums_after.0.len());
    let mut all = Vec::new();
    for group in 0..many {
        let (before, after) = (sums_before.take(group), sums_after.take(group));
        if before.is_none() && after.is_none() {
            continue;
        }
        if all.len() >= ROWS_MAX {
            return Err(StoreError::TooManyRows { most: ROWS_MAX });
        }
        all.push(Compared {
            values: groups.values_of(group).to_vec(),
            before: before.unwrap_or_default(),
            after: after.unwrap_or_default(),
        });
    }
    Ok(all)
}

/// The sums of one period by group.
#[derive(Default)]
struct Sides(Vec<Option<Sums>>);

impl Sides {
    fn add(&mut self, group: Option<usize>, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(group) = group else { return Ok(()) };
        if self.0.len() <= group {
            self.0.resize(group.saturating_add(1), None);
        }
        match self.0.get_mut(group) {
            Some(sums) => Ok(sums.get_or_insert_default().add_encoded(bytes)?),
            None => Ok(()),
        }
    }

    fn take(&mut self, group: usize) -> Option<Sums> {
        self.0.get_mut(group).and_then(Option::take)
    }
}
