//! `tollgate what-if`.

use clap::Args;

use super::client::{self, Ask};
use super::output::{self, Look, Page, Screen};
use super::runs::behind;
use crate::model::answers::what_if::WhatIfAnswer;

/// Arguments of `tollgate what-if`.
#[derive(Args, Debug)]
#[command(
    mut_arg("model", |arg| {
        arg.help("The model to try, such as gpt-4o-mini or openai/gpt-4o-mini").required_unless_present("all")
    })
)]
pub(super) struct WhatIfArgs {
    #[command(flatten)]
    ask: Ask,
    /// Only calls of this model; repeat for several
    #[arg(long)]
    from_model: Vec<String>,
    /// Try the nearest smaller relative of every model that is used, and rank what that would save
    #[arg(long, conflicts_with = "model")]
    all: bool,
    #[command(flatten)]
    look: Look,
}

impl WhatIfArgs {
    /// Asks and prints.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        let tried = self.ask.take_models();
        let models = tried.iter().map(|model| ("to_model", model.as_str()));
        let more: Vec<(&str, &str)> =
            models.chain(self.from_model.iter().map(|model| ("model", model.as_str()))).collect();
        let body = self.ask.get("/api/v1/what-if", &more)?;
        if self.look.is_json() {
            return output::print(&body);
        }
        let answer: WhatIfAnswer = client::read(&body)?;
        if !self.look.is_table() {
            return self.look.print(&answer.table());
        }
        page(&answer, self.look.screen()).print()
    }
}

fn page(answer: &WhatIfAnswer, screen: Screen) -> Page {
    let page = Page::new(screen).words(&format!("calls from {} to {}", answer.from, answer.to)).gap();
    if answer.rows.is_empty() {
        let why = match (&answer.hint, &answer.model) {
            (Some(hint), _) => hint,
            (None, Some(_)) => "no calls then",
            (None, None) => "no calls then whose model has a relative that is cheaper by 30% or more",
        };
        return behind(page.words(why), answer.unfollowed_records);
    }
    let mut page = page.table(&answer.table()).gap();
    for row in &answer.rows {
        let reasons = match row.reasons.as_slice() {
            [] => String::new(),
            reasons => format!("{} at {}: {}", row.agent, row.model, reasons.join("; ")),
        };
        if !reasons.is_empty() {
            page = page.words(&reasons);
        }
        if !row.notes.is_empty() {
            page = page.words(&format!("{} at {}: note that {}", row.agent, row.model, row.notes.join("; ")));
        }
    }
    let page = page.gap().words("not known, and taken for granted:");
    let page = answer.assumptions.iter().fold(page, |page, one| page.words(&format!("- {one}")));
    behind(page, answer.unfollowed_records)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_be_saved_fits_eighty_columns() {
        let row = json!({
            "agent": "ticket-classification", "provider": "openai", "model": "gpt-4o", "to_provider": "openai",
            "to_model": "gpt-4o-mini", "calls": 120_000, "input_tokens": 90_000_000, "output_tokens": 1_200_000,
            "cost_usd": "237.000000000000", "would_cost_usd": "14.220000000000", "kept_usd": "0.000000000000",
            "saving_usd": "222.780000000000", "saving_percent": "94.00", "times": "16.7",
            "reasons": ["short answers: 10 tokens a call"], "notes": [],
        });
        let answer: WhatIfAnswer = serde_json::from_value(json!({
            "from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z", "model": "gpt-4o-mini", "rows": [row],
            "cost_usd": "237.000000000000", "would_cost_usd": "14.220000000000", "saving_usd": "222.780000000000",
            "assumptions": ["quality is not known"], "unfollowed_records": 0,
        }))
        .unwrap();
        let page = page(&answer, Screen::plain(80));
        page.assert_fits(80);
        for words in ["222.78", "16.7", "short answers", "quality is not known"] {
            assert!(page.text().contains(words), "{words} in\n{}", page.text());
        }
    }
}
