//! `tollgate baseline`.

use clap::Args;

use super::client::{self, Collector, Filters};
use super::output::{self, Look, Page};
use crate::model::answers::baseline::{Baseline, Baselines};
use crate::model::table::{Cell, Column, Kind, Table};

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
            Some(export) => output::print_export(export, &table(&answer)),
            None => shown(&answer, Page::new(self.look.screen())).print(),
        }
    }
}

fn shown(answer: &Baselines, page: Page) -> Page {
    if answer.rows.is_empty() {
        return page.words("no calls; there is nothing to begin from");
    }
    let page = page
        .words(&format!(
            "the first {} days of each agent, against {} to {}",
            answer.days, answer.recent.from, answer.recent.to
        ))
        .gap()
        .table(&table(answer));
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

fn table(answer: &Baselines) -> Table {
    let columns = vec![
        Column::text("agent").kept(),
        Column::time("from").titled("since").weight(120),
        Column::count("hours_recorded").titled("hours").weight(90),
        Column::money("cost_per_day_usd").titled("$/day").kept(),
        Column::new("calls_per_day", Kind::Ratio).titled("calls/day").weight(190),
        Column::new("tokens_per_call", Kind::Ratio).titled("tokens/call").weight(180),
        Column::money("cost_per_call_usd").titled("$/call").weight(170),
        Column::money("recent_cost_per_day_usd").titled("now $/day").weight(220),
        Column::new("recent_calls_per_day", Kind::Ratio).titled("now calls/day").weight(100),
        Column::new("recent_tokens_per_call", Kind::Ratio).titled("now tokens/call").weight(95),
        Column::new("change_percent", Kind::Change).titled("change").weight(230),
        Column::new("weekdays", Kind::Sparkline).titled("days").weight(10),
    ];
    Table::new(columns).with(answer.rows.iter().map(|row| {
        vec![
            Cell::said(row.agent.as_deref()),
            row.from.clone().into(),
            row.hours_recorded.into(),
            Cell::money(row.first.cost_per_day_usd),
            Cell::decimal(row.first.calls_per_day),
            Cell::decimal(row.first.tokens_per_call),
            Cell::money(row.first.cost_per_call_usd),
            Cell::money(row.recent.cost_per_day_usd),
            Cell::decimal(row.recent.calls_per_day),
            Cell::decimal(row.recent.tokens_per_call),
            Cell::decimal(row.change_percent),
            Cell::Amounts(row.by_day.iter().map(|day| day.cost_usd).collect()),
        ]
    }))
}
