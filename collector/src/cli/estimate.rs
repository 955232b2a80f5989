//! `tollgate estimate`.

mod page;
mod plan;

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{EMBEDDED, PriceBook};

use super::client::{self, Collector};
use super::output::{self, Look, Page};
use crate::model::answers::estimate::Estimate;
use crate::model::clock::now_ms;
use crate::model::table::{Cell, Column, Table};
use crate::model::text::printable;
use crate::work::estimate::{Question, estimate};

/// Arguments of `tollgate estimate`.
#[derive(Args, Debug)]
pub(super) struct EstimateArgs {
    /// A request's body as JSON, `-` for standard input; with --text left out
    #[arg(
        required_unless_present_any = ["text", "check", "calls", "page"],
        conflicts_with_all = ["text", "check", "calls"]
    )]
    file: Option<PathBuf>,
    #[command(flatten)]
    plan: plan::PlanArgs,
    #[command(flatten)]
    page: page::PageArgs,
    /// A prompt's text in place of a body
    #[arg(long)]
    text: Option<String>,
    /// Path of the API, such as /v1/messages; by default the one that the body looks like
    #[arg(long)]
    path: Option<String>,
    /// Output tokens to put into the cost
    #[arg(long, value_name = "N")]
    output_tokens: Option<u64>,
    /// Ask no collector: with the prices that come with Tollgate
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    collector: Collector,
    /// Provider id, such as openai
    #[arg(long, required_unless_present_any = ["check", "calls", "page"])]
    provider: Option<String>,
    /// The model, where the body does not name it; with --calls one or more, with commas between
    #[arg(long)]
    model: Option<String>,
    #[command(flatten)]
    look: Look,
}

impl EstimateArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if let Some(to) = &self.page.page {
            return page::write(to, self.page.with_encodings);
        }
        if self.plan.is_asked() {
            return plan::run(&self);
        }
        let question = self.question()?;
        let answer = if self.offline {
            let book = PriceBook::from_files(EMBEDDED).map_err(|errors| {
                anyhow::anyhow!("{} mistakes in the prices that come with Tollgate", errors.len())
            })?;
            let answer = estimate(&book, &question, now_ms()).map_err(anyhow::Error::msg)?;
            serde_json::to_string(&answer)?
        } else {
            self.collector.send("POST", "/api/v1/estimate", &serde_json::to_value(&question)?)?
        };
        if self.look.is_json() {
            return output::print(&answer);
        }
        let answer: Estimate = client::read(&answer)?;
        match self.look.export() {
            Some(export) => output::print_export(export, &table(&answer)),
            None => shown(&answer, Page::new(self.look.screen())).print(),
        }
    }

    fn question(&self) -> anyhow::Result<Question> {
        let body = self.file.as_ref().map(|file| {
            let mut text = String::new();
            if file.as_os_str() == "-" {
                std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
            } else {
                text = std::fs::read_to_string(file)
                    .with_context(|| format!("`{}` cannot be read", file.display()))?;
            }
            serde_json::from_str::<Value>(&text).with_context(|| format!("{} is not JSON", file.display()))
        });
        Ok(Question {
            provider: self.provider.clone().unwrap_or_default(),
            path: self.path.clone(),
            model: self.model.clone(),
            body: body.transpose()?,
            text: self.text.clone(),
            output_tokens: self.output_tokens,
        })
    }
}

/// The table, and the notes below it.
fn shown(answer: &Estimate, page: Page) -> Page {
    let page = page.table(&table(answer));
    answer.notes.iter().fold(page, |page, note| page.words(&format!("note: {}", printable(note))))
}

/// Two lines, what is expected and what it comes to at most.
fn table(answer: &Estimate) -> Table {
    let worst = &answer.worst;
    let line = |what: &str, input: u64, counted: String, output: u64, cost: Option<Picodollars>| {
        vec![
            answer.provider.clone().into(),
            answer.model.clone().into(),
            what.into(),
            input.into(),
            counted.into(),
            output.into(),
            cost.map_or_else(|| Cell::from("unpriced"), Cell::Money),
        ]
    };
    let by = answer.counted_by.clone();
    let by = if answer.exact || by == "estimated" { by } else { format!("{by}, in part") };
    let bounded = if worst.unbounded.is_empty() {
        "bounded".to_owned()
    } else {
        format!("not bounded: {}", worst.unbounded.join(", "))
    };
    Table::new(columns()).with([
        line("this call", answer.input_tokens, by, answer.output_tokens, answer.cost_usd),
        line("at most", worst.input_tokens, bounded, worst.output_tokens, worst.cost_usd),
    ])
}

fn columns() -> Vec<Column> {
    vec![
        Column::text("provider").weight(60),
        Column::text("model").weight(150),
        Column::text("what").kept().whole(),
        Column::count("input_tokens").weight(180),
        Column::text("counted_by").weight(140),
        Column::count("output_tokens").weight(170),
        Column::money("cost_usd").kept(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::output::Screen;
    use super::*;

    #[test]
    fn an_estimate_fits_eighty_columns() {
        let answer = json!({
            "provider": "anthropic", "model": "claude-sonnet-4-5-20250929", "input_tokens": 120_000, "exact": false,
            "counted_by": "estimated", "output_tokens": 4_000, "cost_usd": "0.420000000000",
            "worst": {"input_tokens": 180_000, "output_tokens": 64_000, "cost_usd": "1.500000000000",
                "unbounded": ["web_search", "code_session"]},
            "notes": ["pictures are counted by their size in bytes, as their size in pixels is not known here at all"],
            "price_version": "1",
        });
        let page = shown(&serde_json::from_value(answer).unwrap(), Page::new(Screen::plain(80)));
        assert!(page.text().contains("0.42") && page.text().contains("note: pictures"), "{}", page.text());
        page.assert_fits(80);
    }
}
