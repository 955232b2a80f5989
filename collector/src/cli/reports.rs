//! `tollgate reports`.

use clap::{Args, Subcommand, ValueEnum};

use super::client::{self, Collector};
use super::output::{self, Look};
use crate::model::answers::List;
use crate::model::answers::reports::{ReportRow, ReportSent};
use crate::model::table::{Cell, Column, Table};
use crate::model::text::printable;

/// Arguments of `tollgate reports`.
#[derive(Args, Debug)]
pub(super) struct ReportsArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    collector: Collector,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show reports that are mailed, when each is sent next, and how the last one went
    List {
        #[command(flatten)]
        look: Look,
    },
    /// Show what a report says, without sending it
    Preview {
        /// Name of the report
        name: String,
        /// The period, such as 2026-11-20, 2026-W47 or 2026-11; the last whole one without it
        #[arg(long)]
        period: Option<String>,
        /// Which part of the mail, or its numbers
        #[arg(long, value_enum, default_value_t)]
        format: Form,
    },
    /// Send a report now, by hand
    Send {
        /// Name of the report
        name: String,
        /// The period, such as 2026-11-20, 2026-W47 or 2026-11; the last whole one without it
        #[arg(long)]
        period: Option<String>,
        /// Also where it was sent before
        #[arg(long)]
        again: bool,
    },
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Form {
    /// The plain text
    #[default]
    Text,
    /// The HTML
    Html,
    /// The API's answer, unchanged
    Json,
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Html => "html",
            Self::Json => "json",
        }
    }
}

impl ReportsArgs {
    /// Does what is asked.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let collector = &self.collector;
        match self.command {
            Command::List { look } => {
                let body = collector.get("/api/v1/reports", &[])?;
                if look.is_json() {
                    return output::print(&body);
                }
                let answer: List<ReportRow> = client::read(&body)?;
                look.print(&Table::new(columns()).with(answer.rows.into_iter().map(row)))
            }
            Command::Preview { name, period, format } => {
                let path = format!("/api/v1/reports/{}/preview", client::segment(&name));
                let mut asked = vec![("format", format.name())];
                asked.extend(period.as_deref().map(|period| ("period", period)));
                let body = collector.get(&path, &asked)?;
                match format {
                    Form::Json => output::print(&body),
                    Form::Text | Form::Html => output::write_out(body.as_bytes()),
                }
            }
            Command::Send { name, period, again } => {
                let path = format!("/api/v1/reports/{}/send", client::segment(&name));
                let mut asked: Vec<_> =
                    period.as_deref().map(|period| ("period", period)).into_iter().collect();
                asked.extend(again.then_some(("again", "true")));
                let answer: ReportSent = client::read(&collector.post(&path, &asked)?)?;
                output::print(&printable(&format!(
                    "sent `{}` about {} to {}: {}",
                    answer.name,
                    answer.period,
                    answer.to.join(", "),
                    answer.subject
                )))
            }
        }
    }
}

fn row(row: ReportRow) -> Vec<Cell> {
    let last = row.mails.first();
    vec![
        row.name.into(),
        row.every.into(),
        row.scope.into(),
        row.to.join(", ").into(),
        Cell::said(row.next),
        Cell::said(row.last_sent),
        Cell::said(last.map(|mail| format!("{} {}", mail.period, mail.state.name()))),
        Cell::said(last.and_then(|mail| mail.last_error.as_ref())),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        Column::text("name").kept().least(16),
        Column::text("every").weight(120).whole(),
        Column::text("scope").weight(50),
        Column::text("to").weight(60),
        Column::time("next").weight(150),
        Column::time("last_sent").weight(100).if_any(),
        Column::text("state").weight(200).whole().if_any(),
        Column::text("last_error").weight(40).if_any(),
    ]
}
