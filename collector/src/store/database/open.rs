//! Opening the database: several collectors of one host work on it at the same time, but one at a time opens
//! it, and whoever changes its schema or puts another in its place must be alone.
//!
//! Locks are on files beside the database. They end with their process, however it ends.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tracing::{error, warn};

use super::migrations;
use crate::config::token::private;
use crate::store::database::error::StoreError;

/// A data directory in use: what keeps others from replacing its database.
#[derive(Debug)]
pub(in crate::store) struct Held {
    /// Shared by all collectors.
    _running: File,
}

/// Opens the database for writing, making it and its directory where they are missing, and brings it to the
/// newest schema. Waits while another opens it.
pub(in crate::store) fn enter(data_dir: &Path) -> Result<(Connection, Held), StoreError> {
    // Who spent what is not for every user of the machine.
    let mut dir = DirBuilder::new();
    let made = dir.recursive(true).mode(0o700).create(data_dir);
    made.map_err(|cause| StoreError::File { path: data_dir.to_owned(), cause })?;
    let opening = wait(data_dir, OPENING)?;
    let running = file(data_dir, RUNNING)?;
    try_lock(data_dir, running.try_lock_shared())?;
    let path = data_dir.join(DATABASE);
    keep_private(data_dir);
    let was_empty = path.metadata().is_ok_and(|file| file.len() == 0);
    let mut connection = open_writer(&path)?;
    if was_empty {
        error!(
            "`{}` was there and had 0 bytes: a new database is made in it, WITHOUT any earlier record or budget. If there was \
             one, stop and restore a backup with `tollgate restore`",
            path.display()
        );
    }
    if migrations::are_due(&connection)? {
        // Those that run know the old schema. Nobody can begin meanwhile.
        try_lock(data_dir, running.try_lock())?;
        migrations::migrate(&mut connection)?;
        try_lock(data_dir, running.try_lock_shared())?;
    }
    drop(opening);
    Ok((connection, Held { _running: running }))
}

/// The lock of the collector that leads, where it is free.
pub(in crate::store) fn try_lead_lock(data_dir: &Path) -> Option<File> {
    file(data_dir, LEAD).ok().filter(|file| file.try_lock().is_ok())
}

/// Keeps every collector away from a data directory while the files are held.
pub(in crate::store) fn alone(data_dir: &Path) -> Result<[File; 2], StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.map_err(|cause| StoreError::File { path: data_dir.to_owned(), cause })?;
    let opening = wait(data_dir, OPENING)?;
    let running = file(data_dir, RUNNING)?;
    try_lock(data_dir, running.try_lock())?;
    Ok([opening, running])
}

/// Takes what others than the owner may do with the database, its logs, copies and locks from them: those of
/// an older version are as the system made them. What is another user's stays, with a warning.
fn keep_private(data_dir: &Path) {
    for entry in std::fs::read_dir(data_dir).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(OWN);
        if is_ours && let Err(error) = private(&entry.path()) {
            warn!(%error, "`{}` should be readable by its owner alone", entry.path().display());
        }
    }
}

/// Makes a file, where it is missing, that only its owner can read. SQLite gives its logs the rights of the
/// database.
pub(in crate::store) fn make_private(path: &Path) -> Result<(), StoreError> {
    let made = File::options().create(true).append(true).mode(0o600).open(path);
    made.map(drop).map_err(|cause| StoreError::File { path: path.to_owned(), cause })
}

/// A connection that writes, on a database of any schema.
pub(in crate::store) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    make_private(path)?;
    let mut connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    connection.busy_handler(Some(|tries| {
        std::thread::sleep(BUSY_LOOKS);
        tries < BUSY_LOOKS_MAX
    }))?;
    // Of a file that is new; others keep theirs.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE_KIB)?;
    let page_bytes: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_BYTES / page_bytes.max(1))?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES)?;
    Ok(connection)
}

/// A connection that reads.
pub(in crate::store) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAITS)?;
    connection.pragma_update(None, "cache_size", READER_CACHE_KIB)?;
    Ok(connection)
}

fn wait(data_dir: &Path, name: &str) -> Result<File, StoreError> {
    let file = file(data_dir, name)?;
    file.lock().map_err(|cause| StoreError::File { path: data_dir.join(name), cause })?;
    Ok(file)
}

fn file(data_dir: &Path, name: &str) -> Result<File, StoreError> {
    let path = data_dir.join(name);
    let opened = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
    opened.map_err(|cause| StoreError::File { path, cause })
}

fn try_lock(data_dir: &Path, locked: Result<(), TryLockError>) -> Result<(), StoreError> {
    locked.map_err(|error| match error {
        TryLockError::WouldBlock => StoreError::InUse { path: data_dir.to_owned() },
        TryLockError::Error(cause) => StoreError::File { path: data_dir.join(RUNNING), cause },
    })
}

/// File of the database in the data directory.
pub(in crate::store) const DATABASE: &str = "tollgate.db";
/// What the names of the store's files begin with.
const OWN: &str = "tollgate.";
/// Locked, shared, while a collector has the database open.
const RUNNING: &str = "tollgate.lock";
/// Locked while the database is opened, brought to a newer schema or replaced.
const OPENING: &str = "tollgate.opening.lock";
/// Locked by the collector that leads.
const LEAD: &str = "tollgate.lead.lock";
/// How long a reader waits for a lock.
pub(in crate::store) const BUSY_WAITS: Duration = Duration::from_secs(5);
/// How often a writer looks whether another collector's transaction is over: they take a few milliseconds.
const BUSY_LOOKS: Duration = Duration::from_millis(1);
/// After so many looks it gives up, and gateways repeat.
const BUSY_LOOKS_MAX: i32 = 10_000;
/// Page cache of the writer; negative means KiB.
const WRITER_CACHE_KIB: i64 = -32 * 1024;
/// Page cache of each reader.
const READER_CACHE_KIB: i64 = -8 * 1024;
/// Size of a page. Of large ones there are few, and each costs two writes to the log and one to the database.
/// In a database from before they are of 4 KiB until it is restored from a backup.
pub(in crate::store) const PAGE_BYTES: i64 = 16 * 1024;
/// Size of the write-ahead log at which it is folded into the database.
const CHECKPOINT_BYTES: i64 = 16 * 1024 * 1024;
/// Size that the write-ahead log is cut back to.
const JOURNAL_BYTES: i64 = 64 * 1024 * 1024;
