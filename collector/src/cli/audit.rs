//! `tollgate audit`: shows, exports and checks the audit trail.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{self, Collector};
use super::output::{self, Look};
use crate::model::answers::audit::{Accounts, Recount, TrailEntry};
use crate::model::audit::{Head, Recorded, Verifier};
use crate::model::table::{Cell, Column, Table};
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
    #[command(flatten)]
    look: Look,
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
        if self.look.is_json() {
            let rows: Vec<Value> = collector.rows("/api/v1/audit", &[])?;
            return output::print(&json!({ "rows": rows }).to_string());
        }
        let entries: Vec<TrailEntry> = collector.rows("/api/v1/audit", &[])?;
        self.look.print(&table(entries))
    }
}

fn table(entries: Vec<TrailEntry>) -> Table {
    let columns = vec![
        Column::count("seq").kept(),
        Column::time("time").weight(200),
        Column::text("actor").weight(170),
        Column::text("action").weight(190),
        Column::text("subject").weight(180),
        Column::text("before").weight(50).if_any(),
        Column::text("after").weight(60).if_any(),
    ];
    Table::new(columns).with(entries.into_iter().map(cells))
}

fn cells(entry: TrailEntry) -> Vec<Cell> {
    vec![
        entry.seq.into(),
        Cell::said(entry.time),
        entry.actor.into(),
        entry.action.into(),
        entry.subject.into(),
        Cell::said(entry.before),
        Cell::said(entry.after),
    ]
}

impl Verify {
    /// Checks everything, whatever is found on the way, and says all of it.
    fn run(self, collector: &Collector) -> anyhow::Result<()> {
        let mut found = Findings::default();
        self.trail(collector, &mut found)?;
        if self.file.is_none() {
            for check in [accounts, recount] {
                if let Err(error) = check(collector, &mut found) {
                    found.add(&format!("{error:#}"));
                }
            }
        }
        found.end()
    }

    fn trail(&self, collector: &Collector, found: &mut Findings) -> anyhow::Result<()> {
        let mut verifier = Verifier::new(self.head.clone());
        let mut check = |line: &str, place: &str| {
            let broken = match serde_json::from_str::<Recorded>(line) {
                Ok(entry) => verifier.next(&entry).err().map(|broken| broken.to_string()),
                Err(error) => Some(format!("this is not an entry of an audit trail: {error}")),
            };
            if let Some(broken) = broken {
                found.add(&format!("{place}{broken}"));
            }
        };
        match &self.file {
            Some(path) => {
                let file =
                    File::open(path).with_context(|| format!("`{}` cannot be opened", path.display()))?;
                for (at, line) in (1..).zip(BufReader::new(file).lines()) {
                    check(&line?, &format!("{}:{at}: ", path.display()));
                }
            }
            None => each_row(collector, |row| {
                check(row, "");
                Ok(())
            })?,
        }
        match verifier.finish() {
            Err(broken) => found.add(&broken.to_string()),
            Ok(head) if found.count == 0 => {
                output::print(&format!("the trail is whole: {} entries, head {head}", head.seq))?;
                if self.head.is_none() {
                    output::say(&format!(
                        "WARNING: no --head was given: this trail agrees with itself, but who can write the database can \
                         write all of it anew. Keep this head elsewhere and verify against it the next time: --head {head}"
                    ));
                }
            }
            Ok(_) => {}
        }
        Ok(())
    }
}

/// What is wrong, told as it is found; beyond a bound it is only counted.
#[derive(Debug, Default)]
struct Findings {
    count: u64,
}

impl Findings {
    fn add(&mut self, what: &str) {
        self.add_more(1);
        if self.count <= FINDINGS_SHOWN {
            output::say(&printable(what));
        }
    }

    /// So many that are not told one by one.
    fn add_more(&mut self, more: u64) {
        self.count = self.count.saturating_add(more);
    }

    fn end(self) -> anyhow::Result<()> {
        ensure!(
            self.count == 0,
            "{} things are not what they should be{}: the database was changed, is damaged, or lacks records",
            self.count,
            if self.count > FINDINGS_SHOWN { ", of which not all are shown" } else { "" }
        );
        Ok(())
    }
}

/// Shows what became of every record; a missing one is a finding.
fn accounts(collector: &Collector, found: &mut Findings) -> anyhow::Result<()> {
    let answer: Accounts = client::read(&collector.get("/api/v1/accounts", &[])?)?;
    let mut parts = vec![
        format!("stored {}", answer.stored),
        format!("duplicate {}", answer.duplicate),
        format!("folded {}", answer.folded),
    ];
    let dropped = answer.dropped.iter();
    parts.extend(dropped.map(|(reason, records)| printable(&format!("dropped({reason}) {records}"))));
    output::print(&format!(
        "received {} = {}\nstored {} = kept {} + expired {}; summaries count {}, of these {} under `other`",
        answer.received,
        parts.join(" + "),
        answer.stored,
        answer.kept,
        answer.expired,
        answer.summarised,
        answer.under_other,
    ))?;
    if !answer.balanced {
        found.add("these accounts do not agree: a record is missing");
    }
    Ok(())
}

/// Counts the records anew; whatever a record, a summary, a budget or a closed month says else than it should
/// is a finding.
fn recount(collector: &Collector, found: &mut Findings) -> anyhow::Result<()> {
    let answer: Recount = client::read(&collector.get("/api/v1/accounts/recount", &[])?)?;
    answer.examples.iter().for_each(|example| found.add(example));
    found.add_more(answer.wrong.saturating_sub(answer.examples.len() as u64));
    if answer.wrong == 0 {
        output::print(&format!(
            "{} records counted anew agree with {} sums of the summaries and what {} counters of budgets charged; \
             budgets, reviews and closed months with the trail",
            answer.records, answer.sums, answer.counters
        ))?;
    }
    if answer.without_digest > 0 {
        output::print(&format!(
            "{} records are from before digests were kept: a change of what is in no sum of theirs is not seen",
            answer.without_digest
        ))?;
    }
    Ok(())
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

/// Entries of one request.
const PAGE: &str = "1000";
/// Findings that are told one by one.
const FINDINGS_SHOWN: u64 = 200;

#[cfg(test)]
mod tests {
    use super::super::output::{Page, Screen};
    use super::*;

    #[test]
    fn the_list_fits_eighty_columns() {
        let entry = json!({
            "seq": 120_345, "time": "2026-11-20T10:00:00Z", "time_ms": 0, "actor": "finance-automation-token",
            "action": "budget.release_kept", "subject": "support-production-monthly",
            "before": {"limit_usd": "1.000000000000", "window": "month"}, "after": {"limit_usd": "2.000000000000"},
            "hash": "00",
        });
        let page = Page::new(Screen::plain(80)).table(&table(vec![serde_json::from_value(entry).unwrap()]));
        assert!(
            page.text().contains("120,345") && page.text().contains("support-product"),
            "{}",
            page.text()
        );
        page.assert_fits(80);
    }
}
