//! How much room the database takes, and how much is left for it.

use std::path::Path;

use crate::store::database::error::StoreError;

/// Room on the disk, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Space {
    /// What the database and its log take.
    pub used: u64,
    /// What is left on their file system for whoever is not root.
    pub free: u64,
}

impl Space {
    /// Of the database in this file.
    pub(in crate::store) fn of(database: &Path) -> Result<Self, StoreError> {
        let named = |cause| StoreError::File { path: database.to_owned(), cause };
        let disk = rustix::fs::statvfs(database).map_err(|cause| named(cause.into()))?;
        let used = database.metadata().map_err(named)?.len();
        // There is no log before the first write.
        let log = database.with_extension("db-wal").metadata().map_or(0, |file| file.len());
        Ok(Self { used: used.saturating_add(log), free: disk.f_bavail.saturating_mul(disk.f_frsize) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_that_of_the_database_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("tollgate.db");
        assert!(Space::of(&database).is_err(), "there is none");
        std::fs::write(&database, [0; 4_096]).unwrap();
        let before = Space::of(&database).unwrap();
        std::fs::write(dir.path().join("tollgate.db-wal"), [0; 1_000]).unwrap();
        assert_eq!((before.used, Space::of(&database).unwrap().used), (4_096, 5_096));
        assert!(before.free > 0, "{before:?}");
    }
}
