//! Rollups: sums by hour and by day, changed in the transaction that stores what they sum.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};

use super::StoreError;
use super::sums::Sums;
use super::weeks;
use super::writer::HOURS_PER_DAY;

/// What a transaction adds to the rollups, one row for each key, in the order of the tables.
#[derive(Default)]
pub(super) struct Rollups {
    hours: BTreeMap<(i64, i64), Sums>,
}

impl Rollups {
    /// Adds the sums of a record.
    pub(super) fn add(&mut self, hour: i64, dims: i64, sums: &Sums) -> Result<(), StoreError> {
        self.hours.entry((hour, dims)).or_default().add(sums)?;
        Ok(())
    }

    /// Adds all to the tables.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        weeks::change(transaction, self.hours.keys().map(|(hour, _)| *hour))?;
        let mut days: BTreeMap<(i64, i64), Sums> = BTreeMap::new();
        for ((hour, dims), sums) in &self.hours {
            let day = hour.div_euclid(HOURS_PER_DAY);
            days.entry((day, *dims)).or_default().add(sums)?;
        }
        upsert(
            transaction,
            "INSERT INTO rollup_hour (hour, dims, sums) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET sums = sums_add(sums, excluded.sums)",
            &self.hours,
        )?;
        upsert(
            transaction,
            "INSERT INTO rollup_day (day, dims, sums) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET sums = sums_add(sums, excluded.sums)",
            &days,
        )
    }
}

fn upsert(
    transaction: &Transaction<'_>,
    sql: &str,
    rows: &BTreeMap<(i64, i64), Sums>,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(sql)?;
    for ((time, dims), sums) in rows {
        statement.execute(params![time, dims, sums.encode()])?;
    }
    Ok(())
}
