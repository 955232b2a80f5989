//! Records one by one: pages newest first, and one by its id.

pub(super) mod accounts;
pub(super) mod adjust;
pub(super) mod batch;
pub(super) mod bills;
pub(super) mod export;
pub(super) mod folded;
pub(super) mod id;
mod operations;
pub(super) mod retention;
pub(super) mod stored;

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension};
use tollgate_core::price::CostStatus;
use tollgate_core::record::{Note, Outcome, UsageRecord};

use crate::store::database::error::StoreError;
use crate::store::facets::follow::REPEATED;
use crate::store::facets::runs;
use crate::store::records::batch::{cost_status_code, outcome_code};
use crate::store::records::id::RecordId;
use crate::store::rollups::dims::{DimsTable, Filters};

/// Which records to list.
#[derive(Clone, Debug, Default)]
pub struct RecordsQuery {
    /// Start, Unix milliseconds UTC.
    pub from_ms: Option<i64>,
    /// End, exclusive, Unix milliseconds UTC.
    pub to_ms: Option<i64>,
    /// By dimension.
    pub filters: Filters,
    /// By outcome; empty for all.
    pub outcomes: Vec<Outcome>,
    /// By cost status; empty for all.
    pub cost_statuses: Vec<CostStatus>,
    /// Only retries.
    pub retried: bool,
    /// Only calls of this run.
    pub run: Option<String>,
    /// Most records of a page.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

/// One page of records, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<UsageRecord>,
    /// Where the next page starts, unless this was the last. A page that looked at very many records without
    /// finding enough ends early, with a cursor.
    pub next: Option<Cursor>,
}

/// A place between two rows, in the order of pages.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cursor {
    pub(super) time_ms: i64,
    pub(super) seq: i64,
}

/// Text that is not a cursor.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a cursor that an earlier page gave")]
pub struct NotACursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.time_ms, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (time, seq) = text.split_once('-').ok_or(NotACursor)?;
        let number = |text: &str| i64::from_str_radix(text, 16).ok().filter(|n| *n >= 0);
        Ok(Self { time_ms: number(time).ok_or(NotACursor)?, seq: number(seq).ok_or(NotACursor)? })
    }
}

/// One page of the records that a query wants.
pub(super) fn page(
    connection: &Connection,
    dims: &DimsTable,
    query: &RecordsQuery,
) -> Result<Page, StoreError> {
    let mut wanted = Wanted::of(dims, query);
    let (mut end, mut from_ms) = (query.end(), query.from_ms.unwrap_or(i64::MIN));
    if let Some(run) = &query.run {
        let Some(run) = runs::calls_of(connection, run)? else { return Ok(Page::default()) };
        wanted.only(&run.dims);
        from_ms = from_ms.max(run.first_ms);
        end = end.min(Cursor { time_ms: run.last_ms.saturating_add(1), seq: i64::MIN });
    }
    let is_of_run = |seq: i64| match &query.run {
        None => Ok(true),
        Some(run) => body(connection, seq).map(|record| record.head.attribution.run.as_ref() == Some(run)),
    };
    let mut statement = connection.prepare_cached(match query.retried {
        false => {
            "SELECT time_ms, seq, dims, outcome, cost_status FROM records INDEXED BY records_by_time
             WHERE (time_ms, seq) < (?1, ?2) AND time_ms >= ?3
             ORDER BY time_ms DESC, seq DESC"
        }
        true => {
            "SELECT time_ms, seq, dims, outcome, cost_status FROM records INDEXED BY records_retried
             WHERE retry IS NOT NULL AND (time_ms, seq) < (?1, ?2) AND time_ms >= ?3
             ORDER BY time_ms DESC, seq DESC"
        }
    })?;
    let mut rows = statement.query([end.time_ms, end.seq, from_ms])?;
    let mut found = Vec::new();
    let mut next = None;
    let mut looked_at = 0usize;
    while let Some(row) = rows.next()? {
        let place = Cursor { time_ms: row.get(0)?, seq: row.get(1)? };
        if wanted.keep(row.get(2)?, row.get(3)?, row.get(4)?) && is_of_run(place.seq)? {
            if found.len() == query.limit {
                next = found.last().copied();
                break;
            }
            found.push(place);
        }
        looked_at = looked_at.saturating_add(1);
        if looked_at == LOOKED_AT_MAX {
            next = Some(place);
            break;
        }
    }
    let records = found.into_iter().map(|place| body(connection, place.seq)).collect::<Result<_, _>>()?;
    Ok(Page { records, next })
}

/// The record with this id.
pub(super) fn by_id(connection: &Connection, id: RecordId) -> Result<Option<UsageRecord>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT body, retry FROM records WHERE id = ?1")?;
    let found: Option<(String, Option<i64>)> =
        statement.query_row([id.0.as_slice()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map(|(body, retry)| marked(&body, retry)).transpose()
}

/// Hands over every record of a time, start inclusive and end exclusive, Unix milliseconds UTC.
pub(super) fn each_between(
    connection: &Connection,
    from_ms: i64,
    to_ms: i64,
    mut take: impl FnMut(&UsageRecord),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT body FROM records INDEXED BY records_by_time WHERE time_ms >= ?1 AND time_ms < ?2",
    )?;
    let mut rows = statement.query([from_ms, to_ms])?;
    while let Some(row) = rows.next()? {
        take(&parse(row.get_ref(0)?.as_str().map_err(|_| StoreError::Damaged("record"))?)?);
    }
    Ok(())
}

/// How many records there are of a time, start inclusive and end exclusive.
pub(super) fn count_between(connection: &Connection, from_ms: i64, to_ms: i64) -> Result<i64, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT count(*) FROM records INDEXED BY records_by_time WHERE time_ms >= ?1 AND time_ms < ?2",
        )?
        .query_row([from_ms, to_ms], |row| row.get(0))?)
}

fn body(connection: &Connection, seq: i64) -> Result<UsageRecord, StoreError> {
    let mut statement = connection.prepare_cached("SELECT body, retry FROM records WHERE seq = ?1")?;
    let (body, retry): (String, Option<i64>) =
        statement.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    marked(&body, retry)
}

/// A record with a note where it repeats another one, which it did not know when it was stored.
fn marked(body: &str, retry: Option<i64>) -> Result<UsageRecord, StoreError> {
    let mut record = parse(body)?;
    if retry == Some(REPEATED) {
        record.notes.push(Note::Repeated);
    }
    Ok(record)
}

fn parse(body: &str) -> Result<UsageRecord, StoreError> {
    serde_json::from_str(body).map_err(|_| StoreError::Damaged("record"))
}

impl RecordsQuery {
    /// The place that every record of the page comes after.
    fn end(&self) -> Cursor {
        let end = Cursor { time_ms: self.to_ms.unwrap_or(i64::MAX), seq: i64::MIN };
        self.after.map_or(end, |after| after.min(end))
    }
}

/// The filters of a query as the numbers that the index holds.
struct Wanted {
    dims: Vec<bool>,
    outcomes: Vec<u8>,
    cost_statuses: Vec<u8>,
}

impl Wanted {
    fn of(dims: &DimsTable, query: &RecordsQuery) -> Self {
        Self {
            dims: dims.iter().map(|dims| query.filters.keep(dims)).collect(),
            outcomes: query.outcomes.iter().copied().map(outcome_code).collect(),
            cost_statuses: query.cost_statuses.iter().copied().map(cost_status_code).collect(),
        }
    }

    /// Leaves out all other dimensions.
    fn only(&mut self, ids: &HashSet<i64>) {
        for (id, is_kept) in (1i64..).zip(&mut self.dims) {
            *is_kept &= ids.contains(&id);
        }
    }

    fn keep(&self, dims: i64, outcome: u8, cost_status: u8) -> bool {
        let dims = usize::try_from(dims).ok().and_then(|id| id.checked_sub(1));
        let one_of = |wanted: &[u8], value| wanted.is_empty() || wanted.contains(&value);
        dims.and_then(|index| self.dims.get(index)) == Some(&true)
            && one_of(&self.outcomes, outcome)
            && one_of(&self.cost_statuses, cost_status)
    }
}

/// Index rows that one page may look at.
const LOOKED_AT_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_printed_and_nothing_else_is_one() {
        let cursor = Cursor { time_ms: 1_700_000_000_000, seq: 42 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "-", "1", "1-", "x-1", "-1-1", "1--1", "ffffffffffffffffff-1"] {
            assert_eq!(text.parse::<Cursor>(), Err(NotACursor), "{text}");
        }
    }
}
