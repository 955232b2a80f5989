//! `tollgate meter`.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use tollgate_core::price::{EMBEDDED, PriceBook};

use crate::work::meter::{Cut, Report, meter, print_lines};

/// Meters recorded exchanges with the code that the filter runs.
#[derive(Args, Debug)]
pub(super) struct MeterArgs {
    /// Recorded exchanges, one JSON object a line
    #[arg(long, value_name = "FILE.jsonl")]
    corpus: PathBuf,
    /// Cut bodies into pieces of N bytes, or of random sizes
    #[arg(long, value_name = "N|random:SEED")]
    cut: Option<Cut>,
    /// Compare with what the exchanges say should be found, and print a table; exit code 1 when they differ
    #[arg(long)]
    expected: bool,
    /// With `--expected`: a count that a recording does not name is wrong, too; else it is only shown
    #[arg(long, requires = "expected")]
    strict: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// One JSON object a line
    #[default]
    Json,
}

impl MeterArgs {
    pub(super) fn run(self) -> Result<()> {
        let Format::Json = self.format;
        let book = PriceBook::from_files(EMBEDDED).map_err(|errors| {
            anyhow!("the embedded prices: {}", errors.first().map_or_else(String::new, ToString::to_string))
        })?;
        let file = File::open(&self.corpus).with_context(|| format!("--corpus {}", self.corpus.display()))?;
        let (lines, cut) = (BufReader::new(file), self.cut.unwrap_or_default());
        let mut out = BufWriter::new(stdout().lock());
        if !self.expected {
            print_lines(lines, cut, &book, &mut out)?;
            return Ok(out.flush()?);
        }
        let mut report = Report::default();
        meter(lines, cut, &book, |exchange, metered| {
            report.add(exchange, metered);
            Ok(())
        })?;
        out.write_all(report.print().as_bytes())?;
        out.flush()?;
        if !report.is_right(self.strict) {
            bail!("some exchanges were not metered as expected");
        }
        Ok(())
    }
}
