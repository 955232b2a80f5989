//! Versions of the schema: numbered files, applied in order, each in a transaction of its own.

use rusqlite::{Connection, TransactionBehavior};

use crate::model::clock::signed;
use crate::store::database::error::StoreError;

/// Brings a database to the newest schema; a new file becomes one.
///
/// # Errors
/// [`StoreError::NewerSchema`] for a database of a later Tollgate, [`StoreError::NotOurs`] for another
/// program's.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    migrate_to(connection, newest())
}

/// Whether a database has an older schema, or none.
pub(in crate::store) fn are_due(connection: &Connection) -> Result<bool, StoreError> {
    Ok(found(connection)? < newest())
}

/// Brings a database up to `target`, which a test may choose lower than the newest.
pub(crate) fn migrate_to(connection: &mut Connection, target: usize) -> Result<(), StoreError> {
    let found = found(connection)?;
    for (version, sql) in MIGRATIONS.iter().filter(|(version, _)| (found + 1..=target).contains(version)) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", signed(*version))?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Whether a file is a database of Tollgate's that this version can read.
pub(in crate::store) fn check(connection: &Connection) -> Result<(), StoreError> {
    if found(connection)? == 0 { Err(StoreError::NotOurs) } else { Ok(()) }
}

fn found(connection: &Connection) -> Result<usize, StoreError> {
    let found = version(connection)?;
    if found > newest() {
        return Err(StoreError::NewerSchema { found, newest: newest() });
    }
    let marked: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if marked != APPLICATION_ID && (marked != 0 || tables > 0) {
        return Err(StoreError::NotOurs);
    }
    Ok(found)
}

fn version(connection: &Connection) -> Result<usize, StoreError> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    usize::try_from(version).map_err(|_| StoreError::NotOurs)
}

fn newest() -> usize {
    MIGRATIONS.last().map_or(0, |(version, _)| *version)
}

/// File `000N_*.sql` brings a database to version N from the version before it in this list. Numbers grow and
/// may have gaps. Never edited once released.
const MIGRATIONS: &[(usize, &str)] = &[
    (1, include_str!("migrations/0001_records_and_rollups.sql")),
    (2, include_str!("migrations/0002_adjustments.sql")),
    (3, include_str!("migrations/0003_audit.sql")),
    (4, include_str!("migrations/0004_record_accounts.sql")),
    (5, include_str!("migrations/0005_alerts.sql")),
    (6, include_str!("migrations/0006_anomalies.sql")),
    (10, include_str!("migrations/0010_budgets.sql")),
    (11, include_str!("migrations/0011_shared.sql")),
    (12, include_str!("migrations/0012_folded.sql")),
    (13, include_str!("migrations/0013_lead.sql")),
    (14, include_str!("migrations/0014_recent.sql")),
    (15, include_str!("migrations/0015_packed.sql")),
    (16, include_str!("migrations/0016_carried.sql")),
    (17, include_str!("migrations/0017_registered.sql")),
    (18, include_str!("migrations/0018_recharged.sql")),
    (19, include_str!("migrations/0019_leases.sql")),
    (20, include_str!("migrations/0020_price_reports.sql")),
    (21, include_str!("migrations/0021_work.sql")),
    (22, include_str!("migrations/0022_work_known.sql")),
    (23, include_str!("migrations/0023_adrift.sql")),
    (24, include_str!("migrations/0024_facets.sql")),
    (26, include_str!("migrations/0026_plans.sql")),
    (27, include_str!("migrations/0027_mailed.sql")),
    (28, include_str!("migrations/0028_bills.sql")),
    (29, include_str!("migrations/0029_runs_packed.sql")),
    (30, include_str!("migrations/0030_agents.sql")),
    (31, include_str!("migrations/0031_retries.sql")),
];

/// Marks the file as Tollgate's, for `file` and against opening another program's database ("TGat").
const APPLICATION_ID: i32 = 0x5447_6174;

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows as the first released schema wrote them.
    const ROWS_OF_VERSION_1: &str = "
        INSERT INTO dims VALUES (1, 'edge', 'bot', 'support', 'chat', 'production', 'self_declared', '',
            'openai', 'chat', 'gpt-5', 'gpt-5-2025-08-07', '');
        INSERT INTO records VALUES (1, x'01890a5d00007000800000000000000a', 1700000000000, 1, 0, 0,
            '{\"id\":\"01890a5d-0000-7000-8000-00000000000a\",\"time_ms\":1700000000000}');
        INSERT INTO rollup_hour VALUES (472222, 1, x'01010000000000000000000000000000');
        INSERT INTO rollup_day VALUES (19675, 1, x'01010000000000000000000000000000');";

    #[test]
    fn a_database_of_version_1_migrates_forward_and_keeps_its_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate_to(&mut connection, 1).unwrap();
        connection.execute_batch(ROWS_OF_VERSION_1).unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(version(&connection).unwrap(), newest());
        for table in ["dims", "records", "rollup_hour", "rollup_day"] {
            let rows: i64 =
                connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
            assert_eq!(rows, 1, "{table}");
        }
        let booked = crate::store::records::accounts::booked(&connection, vec![]).unwrap();
        assert_eq!((booked.received, booked.stored), (1, 1), "what was stored before is accounted for");
    }

    #[test]
    fn numbers_grow() {
        assert!(MIGRATIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(version(&connection).unwrap(), newest());
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", newest() as i64 + 1).unwrap();
        let error = migrate(&mut connection).unwrap_err().to_string();
        assert!(error.contains("newer Tollgate"), "{error}");
    }

    #[test]
    fn another_programs_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (a)").unwrap();
        assert!(matches!(migrate(&mut connection), Err(StoreError::NotOurs)));
    }
}
