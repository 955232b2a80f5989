//! What can go wrong with the store.

use std::path::PathBuf;

use crate::store::rollups::sums::SumsError;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A rollup could not be added up.
    #[error(transparent)]
    Sums(#[from] SumsError),
    /// A file could not be made or opened.
    #[error("`{}` could not be opened: {cause}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Other processes have the data directory, and what is to be done needs it alone.
    #[error(
        "`{}` is in use by another `tollgate serve` of this or an older version; a restore and the first start of a \
         newer version need it alone: stop the others first",
        path.display()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The database is of a later version.
    #[error(
        "the database has schema version {found}, written by a newer Tollgate; this one knows versions up to \
         {newest}: use the newer binary, or restore a backup"
    )]
    NewerSchema {
        /// Version of the database.
        found: usize,
        /// Newest version known here.
        newest: usize,
    },
    /// The file is not Tollgate's.
    #[error("the database is not one that Tollgate made")]
    NotOurs,
    /// Something in the database does not read as it was written.
    #[error("the database holds a `{0}` that does not read as it was written")]
    Damaged(&'static str),
    /// The database is damaged, as was found before.
    #[error(
        "the database is damaged ({0}): stop the collector, and restore from a backup: `tollgate restore`"
    )]
    Broken(String),
    /// A budget of the configuration file has the name of one that was made by the API.
    #[error(
        "`[[budgets]]` has a budget `{name}`, and the API has one of that name: remove that one (`tollgate budgets remove \
         {name}`, what it counted ends with it), or rename the one in the file"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// An agent of the configuration file is approved for another team in the registry.
    #[error(
        "`[[agents]]` has `{name}` in the team `{file}`, and the registry has it in `{registry}`: give it one team in both, or \
         retire the one in the registry (`tollgate agents retire {name}`)"
    )]
    TwoTeams {
        /// The agent.
        name: String,
        /// Its team in the file.
        file: String,
        /// Its team in the registry.
        registry: String,
    },
    /// A transaction that carried several batches failed.
    #[error("{0}")]
    Failed(String),
    /// A summary would be too long.
    #[error("the summary has more than {most} rows")]
    TooManyRows {
        /// Rows that a summary may have.
        most: usize,
    },
    /// Another collector has taken the lead since.
    #[error("another collector has taken the lead; nothing was written")]
    LeadLost,
    /// The writer is gone or did not answer in time.
    #[error("the store's writer does not answer")]
    Stopped,
}
