//! Retention: records and totals are removed by age, summaries stay.
//!
//! A record from before the horizon is not taken any more: whether it was stored once cannot be known, and it
//! must not be counted twice. It is answered as refused and counted as `too_late`.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::accounts::{Booking, EXPIRED};
use super::folded;
use super::id::RecordId;
use crate::store::database::error::StoreError;
use crate::store::facets::follow;
use crate::store::rollups::reports;

/// Records from before this time, Unix milliseconds UTC, are not kept.
pub(in crate::store) fn horizon(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT horizon_ms FROM retention")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Whether a record is there.
pub(in crate::store) fn is_kept(connection: &Connection, id: RecordId) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM records WHERE id = ?1")?;
    Ok(statement.query_row([id.0.as_slice()], |_| Ok(())).optional()?.is_some())
}

/// Removes some of the records that are older than `keep_ms`, the oldest first; gives how many.
///
/// Age is counted back from the newest record or from now, whichever is earlier: a clock that jumps ahead
/// removes nothing that was recorded meanwhile.
pub(in crate::store) fn expire(
    transaction: &Transaction<'_>,
    now_ms: i64,
    keep_ms: i64,
) -> Result<usize, StoreError> {
    let newest: Option<i64> =
        transaction.query_row("SELECT max(time_ms) FROM records", [], |row| row.get(0))?;
    let Some(newest) = newest else { return Ok(0) };
    let wanted = newest.min(now_ms).saturating_sub(keep_ms);
    transaction.execute("UPDATE retention SET horizon_ms = max(horizon_ms, ?1)", [wanted])?;
    let horizon = horizon(transaction)?;
    transaction.execute(
        "DELETE FROM adjustments WHERE record IN (SELECT id FROM records WHERE seq IN
             (SELECT seq FROM records WHERE time_ms < ?1 ORDER BY time_ms, seq LIMIT ?2))",
        [horizon, AT_A_TIME],
    )?;
    let removed = transaction.execute(
        "DELETE FROM records WHERE seq IN
             (SELECT seq FROM records WHERE time_ms < ?1 ORDER BY time_ms, seq LIMIT ?2)",
        [horizon, AT_A_TIME],
    )?;
    folded::expire(transaction, horizon)?;
    reports::expire(transaction, horizon)?;
    follow::expire(transaction, horizon)?;
    let mut booking = Booking::default();
    booking.add(EXPIRED, u64::try_from(removed).unwrap_or(u64::MAX));
    booking.write(transaction)?;
    Ok(removed)
}

/// Why the horizon cannot be what this collector made it, in words: it lies two days before a record that is
/// kept, at least. Whoever moves it on has no record counted any more.
pub(in crate::store) fn impossible(connection: &Connection) -> Result<Option<String>, StoreError> {
    let horizon = horizon(connection)?;
    let newest: Option<i64> =
        connection.query_row("SELECT max(time_ms) FROM records", [], |row| row.get(0))?;
    let most = newest.map_or(i64::MIN, |newest| newest.saturating_sub(LEAST_KEPT_MS));
    Ok((horizon > most).then(|| {
        format!("records from before {horizon} are said not to be kept, which is less than two days before the newest")
    }))
}

/// Records are kept for two days at least, milliseconds.
const LEAST_KEPT_MS: i64 = 2 * 86_400_000;
/// Records of one transaction, so that gateways do not wait long.
const AT_A_TIME: i64 = 2_000;
