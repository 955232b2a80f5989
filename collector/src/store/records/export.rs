//! All records of a time, oldest first, for exports.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension};
use tollgate_core::money::Picodollars;
use tollgate_core::record::UsageRecord;

use super::adjust;
use crate::model::clock::MS_PER_HOUR;
use crate::store::Store;
use crate::store::database::error::StoreError;
use crate::store::rollups;
use crate::store::rollups::dims::{DimsTable, Filters};

/// A record to be exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// As it came, or with the price that summaries count: the corrected one, where there is one.
    pub record: UsageRecord,
    /// What it cost as it came.
    pub recorded: Picodollars,
}

/// Which prices records have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Priced {
    /// Those that they came with.
    AsItCame,
    /// Those that summaries count.
    AsCounted,
}

/// The first and the last time of which something is kept, Unix milliseconds UTC.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Kept {
    /// Of records.
    pub records: Option<(i64, i64)>,
    /// Starts of hours of rollups.
    pub rollups: Option<(i64, i64)>,
}

impl Store {
    /// Hands over every record of a time, start inclusive and end exclusive, Unix milliseconds UTC, oldest
    /// first, out of one snapshot, until `take` has enough; gives back what it worked on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn export_records<S: Send + 'static>(
        &self,
        (from_ms, to_ms): (i64, i64),
        (filters, prices): (Filters, Priced),
        mut state: S,
        mut take: impl FnMut(&mut S, Exported) -> ControlFlow<()> + Send + 'static,
    ) -> Result<S, StoreError> {
        self.read_long(move |connection, dims| {
            each(connection, dims, (from_ms, to_ms), (&filters, prices), |one| take(&mut state, one))?;
            Ok(state)
        })
        .await
    }

    /// Of which time there is something.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn kept(&self) -> Result<Kept, StoreError> {
        self.read(|connection, _| kept(connection)).await
    }
}

fn each(
    connection: &Connection,
    dims: &DimsTable,
    (from_ms, to_ms): (i64, i64),
    (filters, prices): (&Filters, Priced),
    mut take: impl FnMut(Exported) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let wanted: Vec<bool> = dims.iter().map(|dims| filters.keep(dims)).collect();
    let is_wanted = |dims: i64| {
        let place = usize::try_from(dims).ok().and_then(|id| id.checked_sub(1));
        place.and_then(|place| wanted.get(place)).copied().unwrap_or(false)
    };
    let corrected = connection.query_row("SELECT 1 FROM adjustments LIMIT 1", [], |_| Ok(())).optional()?;
    let mut statement = connection.prepare_cached(
        "SELECT dims, body, retry FROM records INDEXED BY records_by_time WHERE time_ms >= ?1 AND time_ms < ?2
         ORDER BY time_ms, seq",
    )?;
    let mut rows = statement.query([from_ms, to_ms])?;
    while let Some(row) = rows.next()? {
        if !is_wanted(row.get(0)?) {
            continue;
        }
        let body = row.get_ref(1)?.as_str().map_err(|_| StoreError::Damaged("record"))?;
        let record = super::marked(body, row.get(2)?)?;
        let recorded = record.cost_usd;
        let record = match corrected {
            Some(()) if prices == Priced::AsCounted => adjust::counted(connection, record)?.record,
            _ => record,
        };
        if take(Exported { record, recorded }).is_break() {
            break;
        }
    }
    Ok(())
}

fn kept(connection: &Connection) -> Result<Kept, StoreError> {
    let span = |sql: &str| -> Result<Option<(i64, i64)>, StoreError> {
        let ends: (Option<i64>, Option<i64>) =
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(ends.0.zip(ends.1))
    };
    let time = "SELECT (SELECT min(time_ms) FROM records), (SELECT max(time_ms) FROM records)";
    let hour = "SELECT (SELECT min(hour) FROM rollup_hour), (SELECT max(hour) FROM rollup_hour)";
    let mut hours = span(hour)?;
    rollups::each_recent(connection, |hour, _, _| {
        hours = Some(hours.map_or((hour, hour), |(first, last)| (first.min(hour), last.max(hour))));
        Ok(())
    })?;
    let ms = |hour: i64| hour.saturating_mul(MS_PER_HOUR);
    Ok(Kept { records: span(time)?, rollups: hours.map(|(first, last)| (ms(first), ms(last))) })
}
