//! `tollgate alerts`.

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::{self, Collector, said};
use super::output::{self, Column, ColumnKind, Format};
use crate::model::answers::alerts::{AlertRow, Delivery, ReviewRow};
use crate::model::text::printable;

/// Arguments of `tollgate alerts`.
#[derive(Args, Debug)]
pub(super) struct AlertsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
    #[command(flatten)]
    collector: Collector,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what was decided and whether it arrived, the newest first
    List(List),
    /// Send a test message to a channel
    Test {
        /// Name of the channel
        channel: String,
    },
    /// Show budgets that were passed, and who looks into it
    Reviews,
    /// Say who looks into a passed budget and what was found, and close it
    Review(Review),
}

#[derive(Args, Debug)]
struct List {
    /// Only what still holds
    #[arg(long)]
    open: bool,
}

#[derive(Args, Debug)]
struct Review {
    /// Its number
    id: u64,
    /// Who looks into it
    #[arg(long)]
    owner: Option<String>,
    /// What was found
    #[arg(long)]
    note: Option<String>,
    /// Close the review
    #[arg(long)]
    close: bool,
}

impl AlertsArgs {
    /// Does what is asked.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let collector = &self.collector;
        let command = self.command.unwrap_or(Command::List(List { open: false }));
        ensure!(
            !self.list.open || matches!(command, Command::List(_)),
            "--open is for the list of alerts; leave it out here"
        );
        match command {
            Command::List(list) => {
                let state = if list.open || self.list.open { "open" } else { "all" };
                print(collector, "/api/v1/alerts", &[("state", state)], &ALERTS, alert, self.format)
            }
            Command::Test { channel } => {
                let path = format!("/api/v1/alerts/test/{}", client::segment(&channel));
                let answer = collector.post(&path, &[])?;
                output::print(&match self.format {
                    Format::Json => answer,
                    _ => format!("channel `{channel}` took the test message"),
                })
            }
            Command::Reviews => print(collector, "/api/v1/reviews", &[], &REVIEWS, review, self.format),
            Command::Review(review) => review.run(collector, self.format),
        }
    }
}

impl Review {
    fn run(self, collector: &Collector, format: Format) -> anyhow::Result<()> {
        let mut change = serde_json::Map::new();
        change.extend(self.owner.map(|owner| ("owner".to_owned(), json!(owner))));
        change.extend(self.note.map(|note| ("note".to_owned(), json!(note))));
        if self.close {
            change.insert("closed".into(), json!(true));
        }
        let path = format!("/api/v1/reviews/{}", self.id);
        let body = collector.send("PUT", &path, &Value::Object(change))?;
        if format == Format::Json {
            return output::print(&body);
        }
        let answer: ReviewRow = client::read(&body)?;
        output::print(&format!(
            "review {} of budget `{}` is {}",
            self.id,
            printable(&answer.budget),
            if answer.closed.is_some() { "closed" } else { "open" }
        ))
    }
}

/// Prints every row of a list; as JSON unchanged.
fn print<T: DeserializeOwned>(
    collector: &Collector,
    path: &str,
    asked: &[(&str, &str)],
    names: &[&str],
    cells: fn(T) -> Vec<String>,
    format: Format,
) -> anyhow::Result<()> {
    if format == Format::Json {
        let rows: Vec<Value> = collector.rows(path, asked)?;
        return output::print(&json!({ "rows": rows }).to_string());
    }
    let rows: Vec<Vec<String>> = collector.rows(path, asked)?.into_iter().map(cells).collect();
    let columns: Vec<Column> = names.iter().map(|name| Column::new(*name, ColumnKind::Text)).collect();
    output::print(&match format {
        Format::Csv => output::csv(&columns, &rows)?,
        _ => output::table(&columns, &rows, None),
    })
}

fn alert(row: AlertRow) -> Vec<String> {
    let delivery = |one: Delivery| format!("{} {} {}", one.channel, one.event.name(), one.state.name());
    let deliveries: Vec<String> = row.deliveries.into_iter().map(delivery).collect();
    vec![said(row.decided), row.severity, row.rule, row.title, said(row.resolved), deliveries.join("; ")]
}

fn review(row: ReviewRow) -> Vec<String> {
    vec![
        row.id.to_string(),
        row.budget,
        row.title,
        said(row.opened),
        row.owner,
        row.note,
        said(row.closed),
        said(row.closed_by),
    ]
}

const ALERTS: [&str; 6] = ["decided", "severity", "rule", "title", "resolved", "deliveries"];
const REVIEWS: [&str; 8] = ["id", "budget", "title", "opened", "owner", "note", "closed", "closed_by"];
