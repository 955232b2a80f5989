//! `tollgate export records` and `tollgate export rollups`: a file for each day.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::file::NewFile;
use crate::cli::client::{self, Collector, Filters};
use crate::cli::output;
use crate::model::answers::exports::{DaySpan, ExportableDays};

/// Arguments of both.
#[derive(Args, Debug)]
pub(super) struct DaysArgs {
    #[command(flatten)]
    collector: Collector,
    /// Directory to write to, which gets a directory such as `day=2026-10-01` for each day
    #[arg(long, value_name = "DIR")]
    to_dir: PathBuf,
    /// First day, UTC; without it, the first that there is
    #[arg(long, value_name = "DAY")]
    from: Option<Date>,
    /// Day after the last, UTC; without it, to the end
    #[arg(long, value_name = "DAY")]
    to: Option<Date>,
    /// Form of the files
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Write days again that are there and complete, such as after a correction of prices
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    filters: Filters,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Form {
    /// Apache Parquet
    #[default]
    Parquet,
    /// RFC 4180, with a header
    Csv,
    /// A JSON object a line; of records, in the form that collectors take
    Jsonl,
}

/// What is exported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    Records,
    Rollups,
}

impl DaysArgs {
    /// Writes the days that are not there yet.
    pub(super) fn run(self, what: What) -> anyhow::Result<()> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            bail!("`--from` {from} is not before `--to` {to}");
        }
        let days: ExportableDays = client::read(&self.collector.get("/api/v1/exports/days", &[])?)?;
        let now: Timestamp = days.now.parse().context("the collector does not say what time it is")?;
        let span = match what {
            What::Records => days.records,
            What::Rollups => days.rollups,
        };
        let Some(DaySpan { first, last }) = span else {
            return output::print("nothing is kept yet, so nothing was written");
        };
        let read = |day: &str| day.parse::<Date>().context("the collector names a day that is none");
        let first = self.from.map_or(read(&first)?, |from| from.max(read(&first).unwrap_or(from)));
        let end = read(&last)?.tomorrow()?;
        let end = self.to.map_or(end, |to| to.min(end));
        let all = usize::try_from(first.duration_until(end).as_hours() / 24).unwrap_or(0);
        let (mut written, mut there) = (0usize, 0usize);
        let mut day = first;
        while day < end {
            progress(what, day, written.saturating_add(there).saturating_add(1), all);
            match self.day(what, day, now)? {
                true => written = written.saturating_add(1),
                false => there = there.saturating_add(1),
            }
            day = day.tomorrow()?;
        }
        end_progress();
        output::print(&format!(
            "{written} days of {} written to {}, {there} were there",
            what.name(),
            self.to_dir.display()
        ))
    }

    /// Writes a day; false where it is there and complete.
    fn day(&self, what: What, day: Date, now: Timestamp) -> anyhow::Result<bool> {
        let dir = self.to_dir.join(format!("day={day}"));
        let path = dir.join(format!("{}.{}", what.name(), self.format.name()));
        if !self.again && is_complete(&path, day, now)? {
            return Ok(false);
        }
        std::fs::create_dir_all(&dir).with_context(|| format!("`{}` cannot be made", dir.display()))?;
        let (from, to) = (day.to_string(), day.tomorrow()?.to_string());
        let mut asked = vec![("from", from.as_str()), ("to", to.as_str()), ("format", self.format.name())];
        asked.extend(self.filters.parameters());
        let mut file = NewFile::create(&path)?;
        self.collector.download(&format!("/api/v1/exports/{}", what.name()), &asked, &mut file)?;
        file.keep()?;
        Ok(true)
    }
}

/// Whether a file of a day is there that was written when all of the day had come.
fn is_complete(path: &Path, day: Date, now: Timestamp) -> anyhow::Result<bool> {
    let Ok(file) = path.metadata() else { return Ok(false) };
    let end =
        day.tomorrow()?.at(0, 0, 0, 0).to_zoned_datetime(TimeZone::UTC)?.timestamp().checked_add(LATE)?;
    let written = Timestamp::try_from(file.modified()?)?;
    Ok(written >= end && now >= end)
}

/// On a terminal, says where it is.
fn progress(what: What, day: Date, at: usize, of: usize) {
    let mut error = std::io::stderr().lock();
    if error.is_terminal() {
        // Nobody is left to tell where that cannot be written.
        let _ = write!(error, "\r{} of {day}, {at} of {of} days", what.name());
    }
}

fn end_progress() {
    let mut error = std::io::stderr().lock();
    if error.is_terminal() {
        let _ = writeln!(error);
    }
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Rollups => "rollups",
        }
    }
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// Gateways may report this late.
const LATE: SignedDuration = SignedDuration::from_hours(2);
