//! The bound on rollup rows of an hour: no caller can make summaries grow without end by inventing names.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Connection;

use crate::store::database::error::StoreError;
use crate::store::rollups;

/// Which rows each of the hours has that were written last.
#[derive(Debug, Default)]
pub(in crate::store) struct HourRows {
    hours: BTreeMap<i64, HashSet<i64>>,
    /// Hours that may have more rows than are known. Rows are never removed, so those that are known are
    /// there.
    doubted: HashSet<i64>,
    /// What is recent of the rollups, by hour; read at most once in a transaction, as it is much.
    recent: Option<HashMap<i64, HashSet<i64>>>,
}

impl HourRows {
    /// Whether dimensions with this id are known to have a row in this hour.
    pub(in crate::store) fn has(&self, hour: i64, dims: i64) -> bool {
        self.hours.get(&hour).is_some_and(|rows| rows.contains(&dims))
    }

    /// Whether dimensions with this id, or new ones, may have a row in this hour.
    pub(in crate::store) fn admit(
        &mut self,
        connection: &Connection,
        hour: i64,
        dims: Option<i64>,
        most: u64,
    ) -> Result<bool, StoreError> {
        let is_there = |rows: &HashSet<i64>| dims.is_some_and(|dims| rows.contains(&dims));
        if self.hours.get(&hour).is_some_and(is_there) {
            return Ok(true);
        }
        if self.doubted.remove(&hour) || !self.hours.contains_key(&hour) {
            self.make_room(hour);
            let mut statement = connection.prepare_cached("SELECT dims FROM rollup_hour WHERE hour = ?1")?;
            let rows = statement.query_map([hour], |row| row.get(0))?;
            let mut known: HashSet<i64> = rows.collect::<Result<_, _>>()?;
            known.extend(self.recent(connection)?.get(&hour).into_iter().flatten());
            self.hours.insert(hour, known);
        }
        let rows = self.hours.entry(hour).or_default();
        Ok(is_there(rows) || u64::try_from(rows.len()).unwrap_or(u64::MAX) < most)
    }

    /// Notes a row of an hour that was asked about.
    pub(in crate::store) fn note(&mut self, hour: i64, dims: i64) {
        if let Some(rows) = self.hours.get_mut(&hour) {
            rows.insert(dims);
        }
    }

    fn recent(&mut self, connection: &Connection) -> Result<&HashMap<i64, HashSet<i64>>, StoreError> {
        let recent = match self.recent.take() {
            Some(recent) => recent,
            None => {
                let mut hours: HashMap<i64, HashSet<i64>> = HashMap::new();
                rollups::each_recent(connection, |hour, dims, _| {
                    hours.entry(hour).or_default().insert(dims);
                    Ok(())
                })?;
                hours
            }
        };
        Ok(self.recent.insert(recent))
    }

    /// A transaction begins: what is recent may be other than it was.
    pub(in crate::store) fn begin(&mut self) {
        self.recent = None;
    }

    /// Another collector may have added rows.
    pub(in crate::store) fn doubt(&mut self) {
        self.doubted.extend(self.hours.keys());
    }

    /// Forgets all, after a transaction that did not hold.
    pub(in crate::store) fn clear(&mut self) {
        self.hours.clear();
        self.doubted.clear();
        self.recent = None;
    }

    fn make_room(&mut self, hour: i64) {
        while self.hours.len() >= HOURS_MAX {
            // The one farthest from the hour that is written now.
            let first = self.hours.keys().next().copied();
            let last = self.hours.keys().next_back().copied();
            let far = match (first, last) {
                (Some(first), Some(last)) if hour.abs_diff(last) > hour.abs_diff(first) => last,
                (Some(first), _) => first,
                _ => return,
            };
            self.hours.remove(&far);
            self.doubted.remove(&far);
        }
    }
}

/// Hours whose rows are known.
const HOURS_MAX: usize = 6;
