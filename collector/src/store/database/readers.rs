//! Readers: connections that see a snapshot each and never wait for the writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::open::open_reader;
use crate::store::database::error::StoreError;
use crate::store::rollups::dims::DimsTable;

/// Read-only connections, a few, opened when first needed.
#[derive(Debug)]
pub(in crate::store) struct Readers {
    path: PathBuf,
    /// As many as there may be readers at one time.
    pub(in crate::store) permits: Arc<Semaphore>,
    /// As many as there may be long questions at one time.
    pub(in crate::store) long_permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    dims: Mutex<Arc<DimsTable>>,
}

impl Readers {
    /// Readers of this file.
    pub(in crate::store) fn new(path: PathBuf) -> Self {
        Self {
            path,
            permits: Arc::new(Semaphore::new(READERS)),
            long_permits: Arc::new(Semaphore::new(LONG_READERS)),
            idle: Mutex::default(),
            dims: Mutex::default(),
        }
    }

    /// The file of the database.
    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a question in one snapshot. A connection that failed is not used again.
    pub(in crate::store) fn read<T>(
        &self,
        question: impl FnOnce(&Connection, &DimsTable) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let snapshot = connection.transaction()?;
        let dims = self.dims(&snapshot)?;
        let answer = question(&snapshot, &dims)?;
        drop(snapshot);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }

    /// Runs a long question in one snapshot, on a connection of its own: others do not wait for it.
    pub(in crate::store) fn read_long<T>(
        &self,
        question: impl FnOnce(&Connection, &DimsTable) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = open_reader(&self.path)?;
        let snapshot = connection.transaction()?;
        let dims = self.dims(&snapshot)?;
        question(&snapshot, &dims)
    }

    fn dims(&self, snapshot: &Connection) -> Result<Arc<DimsTable>, StoreError> {
        let mut dims = self.dims.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut dims).refresh(snapshot)?;
        Ok(Arc::clone(&dims))
    }
}

/// Readers at one time.
const READERS: usize = 4;
/// Exports at one time.
const LONG_READERS: usize = 2;
