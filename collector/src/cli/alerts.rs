//! `tollgate alerts`.

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::{self, Collector};
use super::output::{self, Look};
use crate::model::answers::alerts::{AlertRow, Delivery, ReviewRow};
use crate::model::table::{Cell, Column, Table};
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
    #[command(flatten)]
    look: Look,
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
                print(collector, "/api/v1/alerts", &[("state", state)], alerts(), alert, self.look)
            }
            Command::Test { channel } => {
                let path = format!("/api/v1/alerts/test/{}", client::segment(&channel));
                let answer = collector.post(&path, &[])?;
                output::print(&match self.look.is_json() {
                    true => answer,
                    false => format!("channel `{channel}` took the test message"),
                })
            }
            Command::Reviews => print(collector, "/api/v1/reviews", &[], reviews(), review, self.look),
            Command::Review(review) => review.run(collector, self.look),
        }
    }
}

impl Review {
    fn run(self, collector: &Collector, look: Look) -> anyhow::Result<()> {
        let mut change = serde_json::Map::new();
        change.extend(self.owner.map(|owner| ("owner".to_owned(), json!(owner))));
        change.extend(self.note.map(|note| ("note".to_owned(), json!(note))));
        if self.close {
            change.insert("closed".into(), json!(true));
        }
        let path = format!("/api/v1/reviews/{}", self.id);
        let body = collector.send("PUT", &path, &Value::Object(change))?;
        if look.is_json() {
            return output::print(&body);
        }
        let answer: ReviewRow = client::read(&body)?;
        let about = match &answer.agent {
            Some(agent) => format!("agent `{agent}`"),
            None => format!("budget `{}`", answer.budget),
        };
        output::print(&format!(
            "review {} of {} is {}",
            self.id,
            printable(&about),
            if answer.closed.is_some() { "closed" } else { "open" }
        ))
    }
}

/// Prints every row of a list; as JSON unchanged.
fn print<T: DeserializeOwned>(
    collector: &Collector,
    path: &str,
    asked: &[(&str, &str)],
    columns: Vec<Column>,
    cells: fn(T) -> Vec<Cell>,
    look: Look,
) -> anyhow::Result<()> {
    if look.is_json() {
        let rows: Vec<Value> = collector.rows(path, asked)?;
        return output::print(&json!({ "rows": rows }).to_string());
    }
    let rows: Vec<T> = collector.rows(path, asked)?;
    look.print(&Table::new(columns).with(rows.into_iter().map(cells)))
}

fn alert(row: AlertRow) -> Vec<Cell> {
    let delivery = |one: Delivery| format!("{} {} {}", one.channel, one.event.name(), one.state.name());
    let deliveries: Vec<String> = row.deliveries.into_iter().map(delivery).collect();
    vec![
        Cell::said(row.decided),
        row.severity.into(),
        row.rule.into(),
        row.title.into(),
        Cell::said(row.resolved),
        deliveries.join("; ").into(),
    ]
}

fn review(row: ReviewRow) -> Vec<Cell> {
    vec![
        Cell::Count(row.id.into()),
        row.budget.into(),
        Cell::said(row.agent),
        row.title.into(),
        Cell::said(row.opened),
        row.owner.into(),
        row.note.into(),
        Cell::said(row.closed),
        Cell::said(row.closed_by),
    ]
}

fn alerts() -> Vec<Column> {
    vec![
        Column::time("decided").weight(200),
        Column::text("severity").weight(190).whole(),
        Column::text("rule").weight(60),
        Column::text("title").kept().least(40),
        Column::time("resolved").weight(80).if_any(),
        Column::text("deliveries").weight(70).if_any(),
    ]
}

fn reviews() -> Vec<Column> {
    vec![
        Column::count("id").kept(),
        Column::text("budget").weight(200).if_any(),
        Column::text("agent").weight(195).if_any(),
        Column::text("title").weight(110).least(30),
        Column::time("opened").weight(150),
        Column::text("owner").weight(180).if_any(),
        Column::text("note").weight(140).if_any(),
        Column::time("closed").weight(130).if_any(),
        Column::text("closed_by").weight(50).if_any(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::output::{Page, Screen};
    use super::*;

    #[test]
    fn lists_fit_eighty_columns() {
        let alert_row = json!({
            "id": "a", "rule": "budget-of-support-is-nearly-spent", "scope": "team=support", "window": "month 2026-11",
            "threshold": "80%", "severity": "critical",
            "title": "team support has spent 81.20 of 100 dollars of budget support-production, which is 81 %",
            "facts": {}, "since": "2026-11-20T10:00:00Z", "link": "/", "decided": "2026-11-20T10:00:00Z",
            "resolved": "2026-11-21T10:00:00Z",
            "deliveries": [{"channel": "pager", "event": "opened", "state": "delivered", "attempts": 1}],
        });
        let review_row = json!({
            "id": 12, "budget": "support-production-monthly", "window": "month 2026-11",
            "title": "budget support-production-monthly was passed by 1.20 dollars", "opened": "2026-11-20T10:00:00Z",
            "owner": "somebody@example.com", "note": "a load test that nobody had announced",
            "closed": "2026-11-21T10:00:00Z", "closed_by": "admin",
        });
        for table in [
            Table::new(alerts()).with([alert(serde_json::from_value(alert_row).unwrap())]),
            Table::new(reviews()).with([review(serde_json::from_value(review_row).unwrap())]),
        ] {
            let page = Page::new(Screen::plain(80)).table(&table);
            assert!(page.text().contains("2026-11-20T10:00:00Z"), "{}", page.text());
            page.assert_fits(80);
        }
    }
}
