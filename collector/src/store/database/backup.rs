//! Backup and restore: the whole database as one file, also while a collector runs on it.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::migrations;
use super::open::{self, BUSY_WAITS, DATABASE, PAGE_BYTES, open_writer};
use crate::config::token::private;
use crate::model::audit::Entry;
use crate::store::audit;
use crate::store::database::error::StoreError;

/// Writes the database in `data_dir` to a new file: one consistent state, checked, and on disk when this
/// returns.
///
/// # Errors
/// When there is no database, the file is there already, or the copy is not whole.
pub fn backup(data_dir: &Path, file: &Path) -> Result<(), StoreError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| StoreError::File { path, cause }
    };
    let source = data_dir.join(DATABASE);
    source.metadata().map_err(failed(&source))?;
    // Made by this, so that nothing is overwritten.
    File::options().create_new(true).write(true).mode(0o600).open(file).map_err(failed(file))?;
    let part = part_of(file);
    let copied = (|| {
        let _ = std::fs::remove_file(&part);
        // Who spent what is for the owner alone, in a copy too.
        open::make_private(&part)?;
        let connection = Connection::open_with_flags(&source, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(BUSY_WAITS)?;
        // Of the copy.
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
        check(&part)?;
        File::open(&part).and_then(|copy| copy.sync_all()).map_err(failed(&part))?;
        std::fs::rename(&part, file).map_err(failed(file))
    })();
    if copied.is_err() {
        let _ = std::fs::remove_file(&part);
        let _ = std::fs::remove_file(file);
    }
    copied
}

/// Puts a backup in the place of the database in `data_dir`, on which no collector may run; gives where the
/// database from before was moved to, if there was one. Gateways report their totals anew, and what they
/// still hold.
///
/// # Errors
/// When a collector runs, or the file is no whole database that this version can read; nothing is changed
/// then.
pub fn restore(data_dir: &Path, file: &Path, now_ms: u64) -> Result<Option<PathBuf>, StoreError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| StoreError::File { path, cause }
    };
    let _alone = open::alone(data_dir)?;
    file.metadata().map_err(failed(file))?;
    check(file)?;
    let target = data_dir.join(DATABASE);
    let part = part_of(&target);
    std::fs::copy(file, &part).map_err(failed(&part))?;
    private(&part).map_err(failed(&part))?;
    let mut entry = Entry {
        time_ms: now_ms,
        actor: "collector".into(),
        action: "backup.restore".into(),
        subject: file.display().to_string(),
        ..Entry::default()
    };
    let before = target.exists().then(|| data_dir.join(format!("{DATABASE}.before-{now_ms}")));
    if let Some(before) = &before {
        // Its log is folded in first, so that one file holds all of it.
        if let Ok(mut connection) = open_writer(&target)
            && migrations::migrate(&mut connection).is_ok()
        {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            entry.before = Some(serde_json::json!({"head": audit::head(&connection)?.to_string()}));
        }
        std::fs::rename(&target, before).map_err(failed(before))?;
    }
    for log in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(data_dir.join(format!("{DATABASE}{log}")));
    }
    std::fs::rename(&part, &target).map_err(failed(&target))?;
    let mut connection = open_writer(&target)?;
    migrations::migrate(&mut connection)?;
    let transaction = connection.transaction()?;
    audit::append(&transaction, &entry)?;
    transaction.commit()?;
    Ok(before)
}

/// Whether a file is a whole database that this version can read.
fn check(file: &Path) -> Result<(), StoreError> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    migrations::check(&connection)?;
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Damaged("page")) }
}

fn part_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_its_logs_and_copies_are_for_their_owner_alone_also_those_from_before() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let store = crate::store::Store::open(&data_dir).unwrap();
        let open_to_all = |path: &Path| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
        };
        let modes = || -> Vec<(String, u32)> {
            let entries = std::fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap());
            entries
                .map(|entry| {
                    (
                        entry.file_name().to_string_lossy().into_owned(),
                        entry.metadata().unwrap().permissions().mode() & 0o777,
                    )
                })
                .collect()
        };
        assert!(modes().iter().all(|(_, mode)| *mode == 0o600), "{:?}", modes());
        drop(store);
        for entry in std::fs::read_dir(&data_dir).unwrap() {
            open_to_all(&entry.unwrap().path());
        }
        let _store = crate::store::Store::open(&data_dir).unwrap();
        let found = modes();
        for name in [DATABASE, "tollgate.db-wal", "tollgate.db-shm"] {
            assert!(found.contains(&(name.to_owned(), 0o600)), "{name}: {found:?}");
        }
        let copy = dir.path().join("copy");
        backup(&data_dir, &copy).unwrap();
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        open_to_all(&copy);
        let new = dir.path().join("new");
        restore(&new, &copy, 1).unwrap();
        assert_eq!(std::fs::metadata(new.join(DATABASE)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_backup_of_a_database_from_before_has_the_pages_of_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        std::fs::create_dir(&data_dir).unwrap();
        let mut old = Connection::open(data_dir.join(DATABASE)).unwrap();
        old.execute_batch("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL;").unwrap();
        migrations::migrate(&mut old).unwrap();
        drop(open_writer(&data_dir.join(DATABASE)).unwrap());
        let page_bytes = |path: &Path| -> i64 {
            Connection::open(path).unwrap().query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(page_bytes(&data_dir.join(DATABASE)), 4096);
        let file = dir.path().join("copy");
        backup(&data_dir, &file).unwrap();
        assert_eq!(page_bytes(&file), PAGE_BYTES);
        let new = tempfile::tempdir().unwrap();
        restore(new.path(), &file, 1).unwrap();
        assert_eq!(page_bytes(&new.path().join(DATABASE)), PAGE_BYTES);
    }
}
