//! `tollgate summary`.

use clap::Args;

use super::client::{self, Ask};
use super::output::{self, Column, ColumnKind, Format};
use crate::model::answers::summary::{Keys, Numbers, SummaryAnswer, SummaryRow};

/// Arguments of `tollgate summary`.
#[derive(Args, Debug)]
pub(super) struct SummaryArgs {
    #[command(flatten)]
    ask: Ask,
    /// What to tell apart: agent, team, feature, environment, provider, model, request_model,
    /// response_model, operation, gateway, day, hour, …; empty for one total
    #[arg(long, default_value = "team,agent")]
    by: String,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl SummaryArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let body = self.ask.get("/api/v1/summary", &[("by", &self.by)])?;
        output::print(&render(&body, self.format)?)
    }
}

fn render(body: &str, format: Format) -> anyhow::Result<String> {
    if format == Format::Json {
        return Ok(body.to_owned());
    }
    let answer: SummaryAnswer = client::read(body)?;
    let columns: Vec<Column> = answer
        .by
        .iter()
        .map(|by| Column::new(by.name(), ColumnKind::Text))
        .chain(NUMBERS.map(|(name, kind)| Column::new(name, kind)))
        .collect();
    let fields = |row: &SummaryRow| -> Vec<String> {
        let keys = answer.by.iter().map(|by| row.keys.value(*by).unwrap_or_default().to_owned());
        keys.chain(numbers(&row.numbers)).collect()
    };
    let rows: Vec<Vec<String>> = answer.rows.iter().map(fields).collect();
    if format == Format::Csv {
        return output::csv(&columns, &rows);
    }
    let mut total = fields(&SummaryRow { keys: Keys::default(), numbers: answer.total.clone() });
    if let Some(first) = total.first_mut().filter(|_| !answer.by.is_empty()) {
        "total".clone_into(first);
    }
    // Columns of zeros make the table too wide to read; the other formats have them.
    let is_shown = |(column, sum): (&Column, &String)| {
        column.kind == ColumnKind::Text || ALWAYS.contains(&column.name.as_str()) || !is_zero(sum)
    };
    let shown: Vec<bool> = columns.iter().zip(&total).map(is_shown).collect();
    let only = |row: Vec<String>| {
        row.into_iter().zip(&shown).filter_map(|(field, show)| show.then_some(field)).collect()
    };
    let rows: Vec<Vec<String>> = rows.into_iter().map(only).collect();
    let total: Vec<String> = only(total);
    let columns: Vec<Column> =
        columns.iter().zip(&shown).filter(|(_, show)| **show).map(|(column, _)| column.clone()).collect();
    let folded = match answer.folded_calls {
        0 => String::new(),
        calls => {
            format!("\n{calls} of these calls came in totals only: their gateways had no room for records\n")
        }
    };
    Ok(format!(
        "from {} to {}\n\n{}{folded}",
        answer.from,
        answer.to,
        if answer.by.is_empty() {
            output::table(&columns, &[total], None)
        } else {
            output::table(&columns, &rows, Some(&total))
        }
    ))
}

fn is_zero(sum: &str) -> bool {
    sum.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

/// As text, in the order of [`NUMBERS`].
fn numbers(numbers: &Numbers) -> [String; 11] {
    [
        numbers.calls.to_string(),
        numbers.denied.to_string(),
        numbers.errors.to_string(),
        numbers.unpriced.to_string(),
        numbers.input_tokens.to_string(),
        numbers.cache_read_tokens.to_string(),
        numbers.cache_write_tokens.to_string(),
        numbers.output_tokens.to_string(),
        numbers.reasoning_tokens.to_string(),
        numbers.cost_usd.to_string(),
        numbers.estimated_cost_usd.to_string(),
    ]
}

/// Numbers that a table shows also where they are all zero.
const ALWAYS: [&str; 4] = ["calls", "input_tokens", "output_tokens", "cost_usd"];
const NUMBERS: [(&str, ColumnKind); 11] = [
    ("calls", ColumnKind::Count),
    ("denied", ColumnKind::Count),
    ("errors", ColumnKind::Count),
    ("unpriced", ColumnKind::Count),
    ("input_tokens", ColumnKind::Count),
    ("cache_read_tokens", ColumnKind::Count),
    ("cache_write_tokens", ColumnKind::Count),
    ("output_tokens", ColumnKind::Count),
    ("reasoning_tokens", ColumnKind::Count),
    ("cost_usd", ColumnKind::Money),
    ("estimated_cost_usd", ColumnKind::Money),
];

#[cfg(test)]
mod tests {
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
        let shown = render(BODY, Format::Table).unwrap();
        assert!(shown.starts_with("from 2026-11-01T00:00:00Z to 2026-11-02T00:00:00Z\n\n"));
        let line = |start: &str| {
            let found = shown.lines().find(|line| line.trim_start().starts_with(start));
            found.unwrap_or_else(|| panic!("{start} in\n{shown}")).to_owned()
        };
        assert!(line("support").contains("0.001200"));
        assert!(line("team").contains("errors") && !shown.contains("reasoning"), "{shown}");
        assert!(line("total").contains('3'));
        assert!(
            shown.ends_with(
                "\n2 of these calls came in totals only: their gateways had no room for records\n"
            )
        );
    }

    #[test]
    fn json_is_the_answer_unchanged_and_csv_has_no_total() {
        assert_eq!(render(BODY, Format::Json).unwrap(), BODY);
        let csv = render(BODY, Format::Csv).unwrap();
        assert!(csv.ends_with("support,3,0,1,0,1000,0,0,7,0,0.001200000000,0.000000000000\n"), "{csv}");
    }
}
