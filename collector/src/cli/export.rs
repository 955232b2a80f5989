//! `tollgate export`.

mod days;
mod file;
mod focus;

pub(super) use file::NewFile;

use clap::{Args, Subcommand};

/// Arguments of `tollgate export`.
#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write costs as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification
    Focus(focus::FocusArgs),
    /// Write all calls, a file for each day, for DuckDB, Spark and the like
    Records(days::DaysArgs),
    /// Write sums by hour and all dimensions, a file for each day
    Rollups(days::DaysArgs),
}

impl ExportArgs {
    /// Does what is asked.
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Focus(focus) => focus.run(),
            Command::Records(days) => days.run(days::What::Records),
            Command::Rollups(days) => days.run(days::What::Rollups),
        }
    }
}
