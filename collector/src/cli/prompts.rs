//! `tollgate prompts`.

use clap::{Args, ValueEnum};

use super::client::{self, Ask};
use super::output::{self, Look, Page, Screen};
use super::runs::behind;
use crate::model::answers::prompts::PromptsAnswer;
use crate::model::table::Table;

/// Arguments of `tollgate prompts`.
#[derive(Args, Debug)]
pub(super) struct PromptsArgs {
    #[command(flatten)]
    ask: Ask,
    /// Only one of the tables; CSV has system prompts unless another is named
    #[arg(long, value_enum)]
    show: Option<Show>,
    /// How many rows of each table to show
    #[arg(long, default_value_t = 15)]
    top: usize,
    #[command(flatten)]
    look: Look,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Show {
    /// System prompts: tokens, cost, caching
    System,
    /// Agents: what prompts are made of, answers, retries
    Agents,
    /// Days on which a system prompt or tools changed
    Changes,
}

impl PromptsArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let body = self.ask.get::<&str>("/api/v1/prompts", &[])?;
        if self.look.is_json() {
            return output::print(&body);
        }
        let answer: PromptsAnswer = client::read(&body)?;
        if !self.look.is_table() {
            return self.look.print(&table(&answer, self.show.unwrap_or(Show::System)));
        }
        page(&answer, self.show, self.top, self.look.screen()).print()
    }
}

fn table(answer: &PromptsAnswer, show: Show) -> Table {
    match show {
        Show::System => answer.table(),
        Show::Agents => answer.agents_table(),
        Show::Changes => answer.changes_table(),
    }
}

fn page(answer: &PromptsAnswer, show: Option<Show>, top: usize, screen: Screen) -> Page {
    let mut page = Page::new(screen).words(&format!("prompts from {} to {}", answer.from, answer.to));
    if answer.rows.is_empty() {
        let unseen = "no call then whose prompt was looked at: gateways do so with `TOLLGATE_KEY_SECRET` in their environment";
        let words = answer.hint.as_deref().unwrap_or(unseen);
        return behind(page.gap().words(words), answer.unfollowed_records);
    }
    for (one, title) in [
        (Show::System, "system prompts: tokens in each call, dollars a month, and what caching missed"),
        (Show::Agents, "what prompts are made of, by tokens"),
        (Show::Changes, "days on which a system prompt or tools changed"),
    ] {
        let mut table = table(answer, one);
        if show.is_some_and(|show| show != one) || table.rows.is_empty() {
            continue;
        }
        let more = table.rows.len().saturating_sub(top);
        table.rows.truncate(top);
        page = page.gap().words(title).table(&table);
        if more > 0 {
            page = page.words(&format!("and {more} more; --top shows more of them"));
        }
    }
    if answer.calls_without_prints > 0 {
        let calls = answer.calls_without_prints;
        page = page
            .gap()
            .words(&format!("{calls} calls then are not among these: nobody looked at their prompts"));
    }
    behind(
        page.gap().words("tokens of a part are its share of the prompt's bytes: an estimate"),
        answer.unfollowed_records,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_audit_fits_eighty_columns() {
        let answer: PromptsAnswer = serde_json::from_value(json!({
            "from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z", "calls_without_prints": 12, "unfollowed_records": 0,
            "rows": [{
                "agent": "support-inbox-triage", "system": "5f0c2a11bb", "tools": null, "features": ["inbox"],
                "models": ["gpt-4o"], "calls": 500_000, "first_seen": "2026-10-02T10:00:00Z", "days": 30,
                "system_tokens_per_call": "2000.0", "system_cost_usd": "2500.000000000000",
                "system_month_usd": "2500.000000000000", "tools_tokens_per_call": "0.0", "tools_cost_usd": "0.000000000000",
                "input_tokens_per_call": "2100.0", "cached_percent": "0.00", "repeats_percent": "99.00",
                "missed_tokens": 990_000_000, "missed_usd": "1237.500000000000",
            }],
            "agents": [{
                "agent": "support-inbox-triage", "calls": 500_000, "input_cost_usd": "2625.000000000000",
                "tokens": {"system": 1_000_000_000, "user": 50_000_000}, "bytes": {}, "cost_usd": {},
                "output_tokens_per_call": "120.0", "median_answer_below": 128, "p90_answer_below": 256, "runs": 3,
                "first_prompt_tokens": "900.0", "last_prompt_tokens": "1900.0", "missed_usd": "0.000000000000",
                "retried": 1, "retried_usd": "0.100000000000", "failed": 2, "failed_usd": "0.200000000000",
            }],
            "changes": [{
                "day": "2026-11-12", "agent": "support-inbox-triage", "feature": "inbox", "changed": ["system"],
                "before": "5f0c2a11bb", "after": "99aa2a11bb", "tokens_per_call_before": "1500.0",
                "tokens_per_call_after": "2100.0", "change_percent": "40.00",
                "cost_per_call_before_usd": "0.003000000000", "cost_per_call_after_usd": "0.004000000000",
            }],
        }))
        .unwrap();
        let page = page(&answer, None, 15, Screen::plain(80));
        page.assert_fits(80);
        for words in ["2,500", "1,237", "+40", "95.2", "12 calls"] {
            assert!(page.text().contains(words), "{words} in\n{}", page.text());
        }
    }
}
