//! `tollgate audit`: shows, exports and checks the audit trail.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{self, Collector};
use super::output::{self, Column, ColumnKind, Format};
use crate::model::audit::{Head, Recorded, Verifier};
use crate::model::text::printable;

/// Arguments of `tollgate audit`.
#[derive(Args, Debug)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    collector: Collector,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show entries, oldest first
    List(List),
    /// Print every entry as a line of JSON
    Export,
    /// Check that no entry was changed, removed, reordered or cut off, and that every record is accounted for
    Verify(Verify),
}

#[derive(Args, Debug)]
struct List {
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Args, Debug)]
struct Verify {
    /// A head that was kept earlier, as `seq:hash`; the trail must still contain it
    #[arg(long)]
    head: Option<Head>,
    /// Check this export instead of a collector
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl AuditArgs {
    /// Does what is asked.
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List(list) => list.run(&self.collector),
            // Its bytes are what its hash covers; a terminal gets them without what would move its cursor.
            Command::Export if std::io::stdout().is_terminal() => each_row(&self.collector, output::print),
            Command::Export => each_row(&self.collector, output::print_exactly),
            Command::Verify(verify) => verify.run(&self.collector),
        }
    }
}

impl List {
    fn run(self, collector: &Collector) -> anyhow::Result<()> {
        if self.format == Format::Json {
            return output::print(&json!({ "rows": collector.rows("/api/v1/audit", &[])? }).to_string());
        }
        let mut rows = Vec::new();
        each_row(collector, |row| {
            let row = client::json(row)?;
            rows.push(COLUMNS.iter().map(|name| client::field(&row, name)).collect::<Vec<_>>());
            Ok(())
        })?;
        let columns = COLUMNS.map(|name| Column::new(name, ColumnKind::Text));
        output::print(&match self.format {
            Format::Csv => output::csv(&columns, &rows)?,
            _ => output::table(&columns, &rows, None),
        })
    }
}

impl Verify {
    fn run(self, collector: &Collector) -> anyhow::Result<()> {
        let mut verifier = Verifier::new(self.head.clone());
        let mut check = |line: &str| -> anyhow::Result<()> {
            let entry: Recorded =
                serde_json::from_str(line).context("this is not an entry of an audit trail")?;
            Ok(verifier.next(&entry)?)
        };
        match &self.file {
            Some(path) => {
                let file =
                    File::open(path).with_context(|| format!("`{}` cannot be opened", path.display()))?;
                for (at, line) in (1..).zip(BufReader::new(file).lines()) {
                    check(&line?).with_context(|| format!("{}:{at}", path.display()))?;
                }
            }
            None => each_row(collector, &mut check)?,
        }
        let head = verifier.finish()?;
        output::print(&format!("the trail is whole: {} entries, head {head}", head.seq))?;
        if self.head.is_none() {
            eprintln!(
                "WARNING: no --head was given: this trail agrees with itself, but who can write the database can write all \
                 of it anew. Keep this head elsewhere and verify against it the next time: --head {head}"
            );
        }
        match self.file {
            Some(_) => Ok(()),
            None => {
                accounts(collector)?;
                recount(collector)
            }
        }
    }
}

/// Shows what became of every record, and fails where one is missing.
fn accounts(collector: &Collector) -> anyhow::Result<()> {
    let answer = client::json(&collector.get("/api/v1/accounts", &[])?)?;
    let text = |name: &str| client::field(&answer, name);
    let dropped = answer.get("dropped").and_then(Value::as_object).context("the answer has no accounts")?;
    let mut parts = vec![
        format!("stored {}", text("stored")),
        format!("duplicate {}", text("duplicate")),
        format!("folded {}", text("folded")),
    ];
    parts.extend(dropped.iter().map(|(reason, records)| format!("dropped({reason}) {records}")));
    output::print(&format!(
        "received {} = {}\nstored {} = kept {} + expired {}; summaries count {}, of these {} under `other`",
        text("received"),
        parts.join(" + "),
        text("stored"),
        text("kept"),
        text("expired"),
        text("summarised"),
        text("under_other"),
    ))?;
    ensure!(
        answer.get("balanced") == Some(&Value::Bool(true)),
        "these accounts do not agree: a record is missing"
    );
    Ok(())
}

/// Counts the records anew, and fails where a summary says something else.
fn recount(collector: &Collector) -> anyhow::Result<()> {
    let answer = client::json(&collector.get("/api/v1/accounts/recount", &[])?)?;
    let text = |name: &str| client::field(&answer, name);
    for example in answer.get("examples").and_then(Value::as_array).into_iter().flatten() {
        eprintln!("{}", printable(example.as_str().unwrap_or_default()));
    }
    ensure!(
        answer.get("wrong") == Some(&json!(0)),
        "{} records were counted anew, and {} of {} sums or records are not what they were: the database was changed, or is \
         damaged",
        text("records"),
        text("wrong"),
        text("sums")
    );
    output::print(&format!(
        "{} records counted anew agree with {} sums of the summaries",
        text("records"),
        text("sums")
    ))
}

/// Hands every entry on as the collector wrote it: its bytes are what its hash covers.
fn each_row(collector: &Collector, mut hand: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    #[derive(serde::Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        rows: Vec<&'a serde_json::value::RawValue>,
        next_cursor: Option<String>,
    }
    let mut cursor = None;
    loop {
        let mut more = vec![("limit", PAGE)];
        more.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let body = collector.get("/api/v1/audit", &more)?;
        let page: Page<'_> =
            serde_json::from_str(&body).context("the answer is not a page of the audit trail")?;
        for row in page.rows {
            hand(row.get())?;
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

const COLUMNS: [&str; 7] = ["seq", "time", "actor", "action", "subject", "before", "after"];
/// Entries of one request.
const PAGE: &str = "1000";
