//! What was written last, so that somebody sees that something was.

use rusqlite::Connection;

use crate::store::Store;
use crate::store::database::error::StoreError;

/// The newest of what people look at. It only says whether there is more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Newest {
    /// The place of the last record.
    pub record: i64,
    /// The number of the last correction.
    pub adjustment: i64,
    /// The number of the last entry of the audit trail, so of the last change that somebody made.
    pub audit: i64,
    /// When the last alert was decided, Unix milliseconds UTC.
    pub alert: i64,
    /// How many alerts are open.
    pub alerts_open: i64,
}

impl Store {
    /// What was written last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest(&self) -> Result<Newest, StoreError> {
        self.read(|connection, _| newest(connection)).await
    }
}

fn newest(connection: &Connection) -> Result<Newest, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce((SELECT max(seq) FROM records), 0), coalesce((SELECT max(seq) FROM adjustments), 0),
                coalesce((SELECT max(seq) FROM audit), 0), coalesce((SELECT max(decided_ms) FROM alerts), 0),
                (SELECT count(*) FROM alerts WHERE resolved_ms IS NULL)",
    )?;
    let found = statement.query_row([], |row| {
        Ok(Newest {
            record: row.get(0)?,
            adjustment: row.get(1)?,
            audit: row.get(2)?,
            alert: row.get(3)?,
            alerts_open: row.get(4)?,
        })
    })?;
    Ok(found)
}
