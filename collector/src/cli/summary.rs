//! `tollgate summary`.

use clap::Args;

use super::client::{self, Ask};
use super::output::{self, Look, Page};
use crate::model::answers::summary::{Keys, Numbers, SummaryAnswer, SummaryRow};
use crate::model::table::{Cell, Column, Table};

/// Arguments of `tollgate summary`.
#[derive(Args, Debug)]
pub(super) struct SummaryArgs {
    #[command(flatten)]
    ask: Ask,
    /// What to tell apart: agent, team, feature, environment, provider, model, request_model,
    /// response_model, operation, gateway, day, hour, …; empty for one total
    #[arg(long, default_value = "team,agent")]
    by: String,
    #[command(flatten)]
    look: Look,
}

impl SummaryArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let body = self.ask.get("/api/v1/summary", &[("by", &self.by)])?;
        if self.look.is_json() {
            return output::print(&body);
        }
        let answer: SummaryAnswer = client::read(&body)?;
        match self.look.export() {
            Some(export) => output::print_export(export, &table(&answer)),
            None => shown(&answer, Page::new(self.look.screen())).print(),
        }
    }
}

fn shown(answer: &SummaryAnswer, page: Page) -> Page {
    let page = page.words(&format!("from {} to {}", answer.from, answer.to)).gap().table(&table(answer));
    match answer.folded_calls {
        0 => page,
        calls => page.gap().words(&format!(
            "{calls} of these calls came in totals only: their gateways had no room for records"
        )),
    }
}

fn table(answer: &SummaryAnswer) -> Table {
    let keys = answer.by.iter().map(|by| Column::text(by.name()).kept());
    let columns = keys.chain(numbers_columns()).collect();
    let cells = |row: &SummaryRow| -> Vec<Cell> {
        let keys = answer.by.iter().map(|by| Cell::said(row.keys.value(*by)));
        keys.chain(numbers(&row.numbers)).collect()
    };
    let mut total = cells(&SummaryRow { keys: Keys::default(), numbers: answer.total.clone() });
    if let Some(first) = total.first_mut().filter(|_| !answer.by.is_empty()) {
        *first = "total".into();
    }
    let table = Table::new(columns);
    match answer.by.is_empty() {
        true => table.with([total]),
        false => table.with(answer.rows.iter().map(cells)).total(total),
    }
}

fn numbers(numbers: &Numbers) -> [Cell; 11] {
    [
        numbers.calls.into(),
        numbers.denied.into(),
        numbers.errors.into(),
        numbers.unpriced.into(),
        numbers.input_tokens.into(),
        numbers.cache_read_tokens.into(),
        numbers.cache_write_tokens.into(),
        numbers.output_tokens.into(),
        numbers.reasoning_tokens.into(),
        numbers.cost_usd.into(),
        numbers.estimated_cost_usd.into(),
    ]
}

fn numbers_columns() -> [Column; 11] {
    [
        Column::count("calls").weight(200),
        Column::count("denied").weight(180).if_any(),
        Column::count("errors").weight(170).if_any(),
        Column::count("unpriced").weight(175).if_any(),
        Column::count("input_tokens").titled("tokens in").weight(160),
        Column::count("cache_read_tokens").weight(60).if_any(),
        Column::count("cache_write_tokens").weight(50).if_any(),
        Column::count("output_tokens").titled("tokens out").weight(155),
        Column::count("reasoning_tokens").weight(40).if_any(),
        Column::money("cost_usd").kept(),
        Column::money("estimated_cost_usd").weight(150).if_any(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::output::Screen;
    use super::*;

    const BODY: &str = r#"{"from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z","by":["team"],
        "rows":[{"team":"support","calls":3,"denied":0,"errors":1,"unpriced":0,"input_tokens":1000,
        "cache_read_tokens":0,"cache_write_tokens":0,"output_tokens":7,"reasoning_tokens":0,
        "cost_usd":"0.001200000000","estimated_cost_usd":"0.000000000000"}],
        "total":{"calls":3,"denied":0,"errors":1,"unpriced":0,"input_tokens":1000,"cache_read_tokens":0,
        "cache_write_tokens":0,"output_tokens":7,"reasoning_tokens":0,"cost_usd":"0.001200000000",
        "estimated_cost_usd":"0.000000000000"},"folded_calls":2}"#;

    #[test]
    fn a_table_has_the_span_the_rows_and_the_total() {
        let page = shown(&client::read(BODY).unwrap(), Page::new(Screen::plain(80)));
        let shown = page.text();
        assert!(shown.starts_with("from 2026-11-01T00:00:00Z to 2026-11-02T00:00:00Z\n\n"));
        let line = |start: &str| {
            let found = shown.lines().find(|line| line.trim_start().starts_with(start));
            found.unwrap_or_else(|| panic!("{start} in\n{shown}")).to_owned()
        };
        assert!(line("support").contains("0.0012"));
        assert!(line("team").contains("errors") && !shown.contains("reasoning"), "{shown}");
        assert!(line("total").contains('3'));
        assert!(shown.contains("\n2 of these calls came in totals only: "));
        page.assert_fits(80);
    }
}
