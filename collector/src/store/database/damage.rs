//! Damage: a database that does not read as it was written is said to be so until the process ends, by
//! whoever meets it first.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode};

use crate::store::database::error::StoreError;
use crate::store::rollups::sums::SumsError;

/// What is known to be wrong with the database.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Damage(Arc<Mutex<Option<String>>>);

impl Damage {
    /// Remembers an error that means damage, and passes it on.
    pub(in crate::store) fn note<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && is_damage(error)
        {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.is_none() {
                let text = error.to_string();
                tracing::error!(error = %text, "The database is damaged: stop the collector and restore it from a backup");
                *known = Some(text);
            }
        }
        result
    }

    /// Fails where something was found.
    pub(in crate::store) fn check(&self) -> Result<(), StoreError> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            None => Ok(()),
            Some(found) => Err(StoreError::Broken(found)),
        }
    }
}

/// Reads the whole database for pages that do not fit together. Takes about a minute for ten gigabytes.
pub(in crate::store) fn look(connection: &Connection) -> Result<(), StoreError> {
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(StoreError::Broken(said)) }
}

/// An error that means damage, with what to do about it.
pub(in crate::store) fn named(error: StoreError) -> StoreError {
    match error {
        StoreError::Broken(_) => error,
        _ if is_damage(&error) => StoreError::Broken(error.to_string()),
        _ => error,
    }
}

fn is_damage(error: &StoreError) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType, SqliteFailure};
    match error {
        StoreError::Sqlite(SqliteFailure(error, _)) => {
            matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        }
        StoreError::Sqlite(FromSqlConversionFailure(..) | InvalidColumnType(..))
        | StoreError::Broken(_)
        | StoreError::Damaged(_)
        | StoreError::Sums(SumsError::Damaged) => true,
        _ => false,
    }
}
