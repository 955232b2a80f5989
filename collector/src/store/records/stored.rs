//! Records in the order in which they were stored, for who follows them in memory.

use rusqlite::Connection;
use tollgate_core::record::UsageRecord;

use crate::model::clock::signed;
use crate::store::Store;
use crate::store::database::error::StoreError;

/// Records that were stored one after the other.
#[derive(Clone, Debug, Default)]
pub struct Newer {
    /// The records. One that was damaged is left out.
    pub records: Vec<UsageRecord>,
    /// The place of the last one, also of one that was left out.
    pub upto: i64,
    /// Whether more may follow.
    pub is_full: bool,
}

impl Store {
    /// The place before the first record of calls that began at this time or later, Unix milliseconds UTC.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn place_before(&self, from_ms: u64) -> Result<i64, StoreError> {
        self.read(move |connection, _| {
            let first: Option<i64> = connection.query_row(
                "SELECT coalesce(
                     (SELECT min(seq) - 1 FROM records WHERE time_ms >= ?1), (SELECT max(seq) FROM records))",
                [signed(from_ms)],
                |row| row.get(0),
            )?;
            Ok(first.unwrap_or(0))
        })
        .await
    }

    /// The records that were stored after a place, some thousands at most.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stored_after(&self, after: i64) -> Result<Newer, StoreError> {
        self.read(move |connection, _| read(connection, after)).await
    }
}

fn read(connection: &Connection, after: i64) -> Result<Newer, StoreError> {
    let mut found = Newer { upto: after, ..Newer::default() };
    let mut statement =
        connection.prepare_cached("SELECT seq, body FROM records WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query([after, AT_A_TIME])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        found.upto = row.get(0)?;
        let body = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        found.records.extend(serde_json::from_str::<UsageRecord>(body));
    }
    found.is_full = count == AT_A_TIME;
    Ok(found)
}

/// Records that are read at a time.
const AT_A_TIME: i64 = 4_096;
