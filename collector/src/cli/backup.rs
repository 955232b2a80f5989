//! `tollgate backup` and `tollgate restore`.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, output};
use crate::config::Config;
use crate::model::clock::now_ms;
use crate::store;

/// Arguments of `tollgate backup`.
#[derive(Args, Debug)]
pub(super) struct BackupArgs {
    /// File to write, which must not be there yet
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Arguments of `tollgate restore`.
#[derive(Args, Debug)]
pub(super) struct RestoreArgs {
    /// A file that `tollgate backup` wrote
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Whose database it is about.
#[derive(Args, Debug)]
struct Place {
    /// The collector's configuration; without one, the default data directory is meant
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    fn data_dir(&self) -> Result<PathBuf, Failure> {
        match &self.config {
            None => Ok(Config::default().data_dir),
            Some(path) => Config::load(path)
                .map(|config| config.data_dir)
                .map_err(|errors| Failure::Configuration(errors.to_string())),
        }
    }
}

impl BackupArgs {
    /// Copies the database of this machine, also while a collector runs on it.
    pub(super) fn run(self) -> Result<(), Failure> {
        store::backup(&self.place.data_dir()?, &self.file).map_err(anyhow::Error::from)?;
        Ok(output::print(&format!("wrote and checked {}", self.file.display()))?)
    }
}

impl RestoreArgs {
    /// Puts a backup in the place of the database.
    pub(super) fn run(self) -> Result<(), Failure> {
        let data_dir = self.place.data_dir()?;
        let before = store::restore(&data_dir, &self.file, now_ms()).map_err(anyhow::Error::from)?;
        let kept = before
            .map_or_else(String::new, |path| format!("; the database from before is {}", path.display()));
        Ok(output::print(&format!("restored {} to {}{kept}", self.file.display(), data_dir.display()))?)
    }
}
