//! `tollgate export`.

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
}

impl ExportArgs {
    /// Does what is asked.
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Focus(focus) => focus.run(),
        }
    }
}
