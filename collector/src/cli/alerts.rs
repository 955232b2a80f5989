//! `tollgate alerts`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{self, Ask};
use super::output::{self, Column, ColumnKind, Format};

/// Arguments of `tollgate alerts`.
#[derive(Args, Debug)]
pub(super) struct AlertsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what was decided and whether it arrived, the newest first
    List(List),
    /// Send a test message to a channel
    Test(Test),
    /// Show budgets that were passed, and who looks into it
    Reviews(Reviews),
    /// Say who looks into a passed budget and what was found, and close it
    Review(Review),
}

#[derive(Args, Debug)]
struct List {
    #[command(flatten)]
    ask: Ask,
    /// Only what still holds
    #[arg(long)]
    open: bool,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Args, Debug)]
struct Test {
    /// Name of the channel
    channel: String,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Args, Debug)]
struct Reviews {
    #[command(flatten)]
    ask: Ask,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Args, Debug)]
struct Review {
    /// Its number
    id: u64,
    #[command(flatten)]
    ask: Ask,
    /// Who looks into it
    #[arg(long)]
    owner: Option<String>,
    /// What was found
    #[arg(long)]
    note: Option<String>,
    /// It is done
    #[arg(long)]
    close: bool,
}

impl AlertsArgs {
    /// Does what is asked.
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command {
            None => self.list.run(),
            Some(Command::List(list)) => list.run(),
            Some(Command::Test(test)) => {
                test.ask.post(&format!("/api/v1/alerts/test/{}", client::segment(&test.channel)))?;
                output::print(&format!("channel `{}` took the test message", test.channel))
            }
            Some(Command::Reviews(reviews)) => {
                print(reviews.ask.rows("/api/v1/reviews", false, &[])?, &REVIEWS, reviews.format)
            }
            Some(Command::Review(review)) => review.run(),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let state = if self.open { "open" } else { "all" };
        print(self.ask.rows("/api/v1/alerts", false, &[("state", state)])?, &ALERTS, self.format)
    }
}

impl Review {
    fn run(self) -> anyhow::Result<()> {
        let mut change = serde_json::Map::new();
        change.extend(self.owner.map(|owner| ("owner".to_owned(), json!(owner))));
        change.extend(self.note.map(|note| ("note".to_owned(), json!(note))));
        if self.close {
            change.insert("closed".into(), json!(true));
        }
        let path = format!("/api/v1/reviews/{}", self.id);
        let answer = client::json(&self.ask.send("PUT", &path, &Value::Object(change))?)?;
        let state =
            if answer.get("closed").is_some_and(|closed| !closed.is_null()) { "closed" } else { "open" };
        output::print(&format!(
            "review {} of budget `{}` is {state}",
            self.id,
            client::field(&answer, "budget")
        ))
    }
}

fn print(rows: Vec<Value>, names: &[&str], format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::print(&json!({ "rows": rows }).to_string());
    }
    let cells = |row: &Value| names.iter().map(|name| cell(row, name)).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let columns: Vec<Column> = names.iter().map(|name| Column::new(*name, ColumnKind::Text)).collect();
    output::print(&match format {
        Format::Csv => output::csv(&columns, &rows)?,
        _ => output::table(&columns, &rows, None),
    })
}

fn cell(row: &Value, name: &str) -> String {
    if name != "deliveries" {
        return client::field(row, name);
    }
    let deliveries = row.get(name).and_then(Value::as_array).into_iter().flatten();
    let shown = deliveries.map(|one| {
        let text = |name: &str| client::field(one, name);
        format!("{} {} {}", text("channel"), text("event"), text("state"))
    });
    shown.collect::<Vec<_>>().join("; ")
}

const ALERTS: [&str; 6] = ["decided", "severity", "rule", "title", "resolved", "deliveries"];
const REVIEWS: [&str; 7] = ["id", "budget", "opened", "owner", "note", "closed", "closed_by"];
