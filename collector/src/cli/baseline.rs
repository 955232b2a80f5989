//! `tollgate baseline`.

use clap::Args;

use super::client::{self, Collector, Filters};
use super::output::{self, Look, Page};
use crate::model::answers::baseline::{Baseline, Baselines};

/// Arguments of `tollgate baseline`.
#[derive(Args, Debug)]
pub(super) struct BaselineArgs {
    /// Begin on this day instead of with the first call, such as 2026-11-01
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// How many days
    #[arg(long, value_name = "N", default_value = "7")]
    days: String,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    collector: Collector,
}

impl BaselineArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let from = self.from.as_deref().map(|from| ("from", from));
        let asked: Vec<(&str, &str)> =
            from.into_iter().chain([("days", self.days.as_str())]).chain(self.filters.parameters()).collect();
        let body = self.collector.get("/api/v1/baseline", &asked)?;
        if self.look.is_json() {
            return output::print(&body);
        }
        let answer: Baselines = client::read(&body)?;
        match self.look.export() {
            Some(export) => output::print_export(export, &answer.table()),
            None => shown(&answer, Page::new(self.look.screen())).print(),
        }
    }
}

fn shown(answer: &Baselines, page: Page) -> Page {
    if answer.rows.is_empty() {
        return page.words(answer.hint.as_deref().unwrap_or("no calls; there is nothing to begin from"));
    }
    let page = page
        .words(&format!(
            "the first {} days of each agent, against {} to {}",
            answer.days, answer.recent.from, answer.recent.to
        ))
        .gap()
        .table(&answer.table());
    let short: Vec<String> = answer.rows.iter().filter(|row| !row.is_whole).map(shortness).collect();
    match short.is_empty() {
        true => page,
        false => short.iter().fold(page.gap(), |page, line| page.words(line)),
    }
}

/// That there is less to go by than was asked for.
fn shortness(row: &Baseline) -> String {
    let name = row.agent.as_deref().unwrap_or("(none)");
    let (days, hours) = (row.hours_recorded / 24, row.hours_recorded % 24);
    format!("{name}: only {days} d {hours} h are recorded, so this is no whole baseline yet")
}
