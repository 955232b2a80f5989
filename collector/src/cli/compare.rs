//! `tollgate compare`.

use clap::Args;

use super::client::{self, Ask};
use super::output::{self, Look, Page};
use crate::model::answers::compare::{Comparison, ComparisonRow, tables};
use crate::model::compare::words::signed_dollars;

/// Arguments of `tollgate compare`.
#[derive(Args, Debug)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    ask: Ask,
    /// The period to compare with: `previous`, a month such as 2026-10, or a start and an end such as
    /// 2026-10-01..2026-11-01
    #[arg(long, value_name = "PERIOD", default_value = "previous")]
    with: String,
    /// What to tell apart, with commas between: agent, team, feature, environment, provider, model and the
    /// other names of `summary --by` that are no times; without it what explains most is looked for
    #[arg(long)]
    by: Option<String>,
    /// Only the N rows with the largest changes, and one for all others
    #[arg(long, value_name = "N")]
    top: Option<u64>,
    #[command(flatten)]
    look: Look,
}

impl CompareArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut asked = vec![("with", self.with.clone())];
        asked.extend(self.by.clone().map(|by| ("by", by)));
        // A table of all rows is too long to be read; a file has all unless it is asked for less.
        let top = self.top.or((self.look.is_table() && self.by.is_some()).then_some(TOP));
        asked.extend(top.map(|top| ("top", top.to_string())));
        let body = self.ask.get("/api/v1/compare", &asked)?;
        if self.look.is_json() {
            return output::print(&body);
        }
        let answer: Comparison = client::read(&body)?;
        match self.look.export() {
            Some(export) => {
                if let Some(hint) = &answer.hint {
                    output::say(hint);
                }
                output::print_export(export, &tables::for_export(&answer))
            }
            None => shown(&answer, Page::new(self.look.screen())).print(),
        }
    }
}

fn shown(answer: &Comparison, page: Page) -> Page {
    let page = match &answer.hint {
        Some(hint) if answer.rows.is_empty() => return page.words(hint),
        Some(hint) => page.words(hint),
        None => page,
    };
    let end = if answer.partial { ", not over yet" } else { "" };
    let mut page = page
        .words(&format!("from {} to {}{end}", answer.from, answer.to))
        .words(&format!("against {} to {}", answer.with.from, answer.with.to))
        .gap();
    let own = || answer.rows.iter().filter(|row| row.others.is_none());
    if answer.is_found && own().next().is_some() {
        let names: Vec<&str> = answer.by.iter().map(|by| by.name()).collect();
        page = page.words(&format!("what explains most of the change, by {}:", names.join(" and "))).gap();
    }
    page = page.table(&tables::for_screen(answer));
    let sentences: Vec<String> = own().filter_map(sentence).take(SENTENCES).collect();
    if !sentences.is_empty() {
        page = page.gap();
    }
    for sentence in sentences {
        page = page.words(&sentence);
    }
    match answer.explained_percent {
        Some(percent) if answer.rows.iter().any(|row| row.others.is_some()) => page
            .gap()
            .note(&format!("the rows named have {}% of all that went up or down", percent.rounded(0))),
        _ => page,
    }
}

/// `support-agent, +$12.40: tokens in a call +31% (longer prompts)`.
fn sentence(row: &ComparisonRow) -> Option<String> {
    let said = row.said.as_deref()?;
    let values: Vec<&str> =
        row.keys.0.iter().map(|(_, value)| value.as_deref().unwrap_or("(none)")).collect();
    let name = if values.is_empty() { "all".to_owned() } else { values.join(", ") };
    Some(format!("{name}, {}: {said}", signed_dollars(row.difference.change_usd)))
}

/// Rows of a table unless told.
const TOP: u64 = 20;
/// Rows of which it is said in words what changed.
const SENTENCES: usize = 5;
