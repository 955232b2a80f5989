//! `tollgate export focus`.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::file::NewFile;
use crate::cli::client::Ask;

/// Arguments of `tollgate export focus`.
#[derive(Args, Debug)]
pub(super) struct FocusArgs {
    #[command(flatten)]
    ask: Ask,
    /// How long the time of a row is
    #[arg(long, value_enum, default_value_t)]
    grain: Grain,
    /// Form of the file
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// File to write; without one, standard output
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Grain {
    /// An hour
    #[default]
    Hour,
    /// A day, UTC
    Day,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Form {
    /// RFC 4180, with a header
    #[default]
    Csv,
    /// Apache Parquet
    Parquet,
}

impl FocusArgs {
    /// Asks a collector and writes what it answers.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let path = match self.format {
            Form::Csv => "/api/v1/exports/focus.csv",
            Form::Parquet => "/api/v1/exports/focus.parquet",
        };
        let grain = match self.grain {
            Grain::Hour => "hour",
            Grain::Day => "day",
        };
        let more = [("grain", grain)];
        let Some(file) = &self.to_file else {
            if self.format == Form::Parquet && std::io::stdout().is_terminal() {
                bail!("Parquet is not for a terminal: name a file with `--to-file`");
            }
            return self.ask.download(path, &more, std::io::stdout().lock());
        };
        let mut new = NewFile::create(file)?;
        self.ask.download(path, &more, &mut new)?;
        new.keep()
    }
}
