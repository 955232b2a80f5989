//! The audit trail's table: entries are appended in the writer's transactions and never touched again.
//!
//! What changes something appends its entry in the same transaction ([`append`]), so neither stands without
//! the other. What changes nothing in the database (a configuration that was read) uses
//! [`Store::audit`](super::Store::audit).

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::value::RawValue;

use crate::model::audit::{Entry, Head, Recorded};
use crate::model::clock::signed;
use crate::store::database::error::StoreError;

/// Appends an entry; gives the trail's new head.
pub fn append(transaction: &Transaction<'_>, entry: &Entry) -> Result<Head, StoreError> {
    let recorded = Recorded::after(&head(transaction)?, entry);
    transaction
        .prepare_cached(
            "INSERT INTO audit (seq, time_ms, actor, action, subject, before, after, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            signed(recorded.seq),
            signed(recorded.time_ms),
            recorded.actor,
            recorded.action,
            recorded.subject,
            recorded.before.as_deref().map(RawValue::get),
            recorded.after.as_deref().map(RawValue::get),
            recorded.hash,
        ])?;
    Ok(Head { seq: recorded.seq, hash: recorded.hash })
}

/// The end of the trail.
pub(super) fn head(connection: &Connection) -> Result<Head, StoreError> {
    let last = connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok(Head { seq: row.get::<_, i64>(0)?.unsigned_abs(), hash: row.get(1)? }))
        .optional()?;
    Ok(last.unwrap_or_default())
}

/// At most `limit` entries after the one with this number, in their order.
pub(super) fn after(connection: &Connection, seq: u64, limit: usize) -> Result<Vec<Recorded>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, time_ms, actor, action, subject, before, after, hash FROM audit
         WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let bounds = [signed(seq), signed(limit)];
    let mut rows = statement.query(bounds)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(Recorded {
            seq: row.get::<_, i64>(0)?.unsigned_abs(),
            time_ms: row.get::<_, i64>(1)?.unsigned_abs(),
            actor: row.get(2)?,
            action: row.get(3)?,
            subject: row.get(4)?,
            before: raw(row, 5)?,
            after: raw(row, 6)?,
            hash: row.get(7)?,
        });
    }
    Ok(entries)
}

fn raw(row: &Row<'_>, column: usize) -> Result<Option<Box<RawValue>>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| RawValue::from_string(text).map_err(|_| StoreError::Damaged("audit entry"))).transpose()
}
