//! `tollgate demo-data`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use jiff::civil::Date;
use tollgate_core::price::PriceBook;
use tollgate_core::record::UsageRecord;

use super::client::Collector;
use super::import::{BATCH_BYTES, Done};
use super::{Failure, output};
use crate::config::Config;
use crate::model::clock::{DAY_MS, millis, now_ms};
use crate::store::Store;
use crate::work::demo::{Asked, Days};
use crate::work::{ingest, prices};

/// Arguments of `tollgate demo-data`.
#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// Days of records
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=DAYS_MAX))]
    days: u64,
    /// Day after the last, such as 2026-11-30, UTC; without it, today. The same end makes the same records
    #[arg(long, value_name = "DAY")]
    end: Option<Date>,
    /// Records in all
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Another seed makes other records of the same company
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write into the database of this data directory, which `tollgate serve` can then use
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    to: Option<PathBuf>,
    /// Send to the collector at this address; without --to and --url, JSON lines are printed
    #[arg(long)]
    url: Option<String>,
    /// Token to present to it
    #[arg(long, env = "TOLLGATE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// PEM file of the authority that the collector's certificate comes from, where it is not a public one
    #[arg(long, env = "TOLLGATE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Configuration whose prices hold; without one, those that come with Tollgate
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl DemoArgs {
    /// Makes the records and puts them where they are asked for.
    pub(super) fn run(self) -> Result<(), Failure> {
        let book = self.book()?;
        let days = Days::new(&book, self.asked()?);
        match (self.to, self.url) {
            (Some(dir), _) => keep(&dir, days, &book)?,
            (_, Some(url)) => send(&Collector::at_url(url, self.token, self.ca), days)?,
            (None, None) => print(days)?,
        }
        Ok(())
    }

    fn asked(&self) -> anyhow::Result<Asked> {
        let end_ms = match self.end {
            None => now_ms(),
            Some(day) => {
                let start = day
                    .at(0, 0, 0, 0)
                    .to_zoned_datetime(jiff::tz::TimeZone::UTC)
                    .context("`--end` is beyond the calendar")?;
                millis(start.timestamp())
            }
        };
        let end_ms = end_ms - end_ms % DAY_MS;
        Ok(Asked { end_ms, days: self.days, records: self.records, seed: self.seed })
    }

    fn book(&self) -> Result<PriceBook, Failure> {
        let config = match &self.config {
            Some(path) => Config::load(path).map_err(|errors| Failure::Configuration(errors.to_string()))?,
            None => Config::default(),
        };
        let name = self.config.as_ref().map_or_else(String::new, |path| path.display().to_string());
        prices::book(&name, &config.prices).map_err(|errors| Failure::of_mistakes(&errors))
    }
}

fn print(days: Days<'_>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for record in days.flatten() {
        let mut line = record.to_json();
        line.push(b'\n');
        match out.write_all(&line) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    match out.flush() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Stores them as an import would.
fn keep(dir: &Path, days: Days<'_>, book: &PriceBook) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = Store::open(dir)?;
    let (mut stored, mut known) = (0u64, 0u64);
    for records in days {
        for some in records.chunks(BATCH_RECORDS) {
            let newest = some.last().map_or(0, |record| record.head.time_ms);
            let accepted = ingest::accept_lines(&lines(some)?, book, now_ms().max(newest));
            if let Some((refused, _)) = accepted.rejected.first() {
                anyhow::bail!("a record was refused: {}", refused.reason);
            }
            let done = runtime.block_on(store.ingest(accepted.batch))?;
            stored = stored.saturating_add(done.stored);
            known = known.saturating_add(done.duplicates);
        }
    }
    while runtime.block_on(store.pack(None, now_ms()))? {}
    store.close()?;
    output::print(&format!("{stored} records stored in {}, {known} known before", dir.display()))
}

fn send(collector: &Collector, days: Days<'_>) -> anyhow::Result<()> {
    let mut done = Done::default();
    let mut batch = String::new();
    let mut post = |batch: &mut String| -> anyhow::Result<()> {
        done.add(&collector.post_body("/api/v1/records", batch)?)?;
        batch.clear();
        Ok(())
    };
    for record in days.flatten() {
        batch.push_str(&lines(&[record])?);
        if batch.len() > BATCH_BYTES {
            post(&mut batch)?;
        }
    }
    if !batch.is_empty() {
        post(&mut batch)?;
    }
    done.report()
}

fn lines(records: &[UsageRecord]) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for record in records {
        lines.extend(record.to_json());
        lines.push(b'\n');
    }
    String::from_utf8(lines).context("a record is not UTF-8")
}

/// Longest time, ten years.
const DAYS_MAX: u64 = 3_660;
/// Records of one transaction.
const BATCH_RECORDS: usize = 2_000;
