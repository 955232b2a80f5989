//! `tollgate explain`: what would become of a call, and which rule or budget decides.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::Failure;
use super::client::{self, Collector};
use super::explain::explain;
use super::output::{self, Look, Page};
use crate::model::answers::explained::ExplainedCall;
use crate::model::text::printable;

/// Arguments of `tollgate explain`.
#[derive(Args, Debug)]
#[command(after_help = "Ends with 0 where the call passes, with 3 where it is refused.")]
pub(super) struct ExplainArgs {
    /// A record's id: explains its price line by line, as `tollgate records --explain` does
    #[arg(required_unless_present = "call", conflicts_with = "call")]
    id: Option<String>,
    /// A call as JSON, `-` for standard input: says what a gateway would do with it
    #[arg(long, value_name = "FILE")]
    call: Option<PathBuf>,
    /// The plugin configuration of its gateway, for aliases of headers and trusted sources
    #[arg(long, value_name = "FILE", requires = "call")]
    filter: Option<PathBuf>,
    #[command(flatten)]
    collector: Collector,
    #[command(flatten)]
    look: Look,
}

impl ExplainArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(file) = &self.call else {
            let id = self.id.as_deref().unwrap_or_default();
            return Ok(explain(&self.collector, id, self.look)?);
        };
        let mut call = json(file)?;
        if let Some(filter) = &self.filter {
            let gateway = json(filter)?;
            if let Some(object) = call.as_object_mut() {
                object.insert("gateway".to_owned(), gateway);
            }
        }
        let body = self.collector.send("POST", "/api/v1/explain", &call)?;
        let answer: ExplainedCall = client::read(&body)?;
        match (self.look.is_json(), self.look.export()) {
            (true, _) => output::print(&body)?,
            (false, Some(export)) => output::print_export(export, &answer.checks())?,
            (false, None) => page(&answer, Page::new(self.look.screen())).print()?,
        }
        if answer.passes { Ok(()) } else { Err(Failure::Refused) }
    }
}

fn json(file: &Path) -> anyhow::Result<Value> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    } else {
        text =
            std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    }
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}

fn page(answer: &ExplainedCall, page: Page) -> Page {
    let cost = match answer.most_usd {
        Some(cost) => format!("at most ${cost}"),
        None => "of no known price".to_owned(),
    };
    let model = answer.model.as_deref().unwrap_or("no model");
    let what = answer.operation.as_deref().unwrap_or("nothing");
    let mut head = format!(
        "{}\n{} {} of {}: {cost}, at most {} tokens",
        printable_lines(&answer.verdict()),
        printable(&answer.provider),
        printable(what),
        printable(model),
        answer.most_tokens,
    );
    if let Some(tokens) = answer.written_output_tokens {
        head.push_str(&format!("\na budget or a limit writes an output limit of {tokens} tokens into it"));
    }
    if !answer.noted_by.is_empty() {
        head.push_str(&format!("\nnoted by {}", printable(&answer.noted_by.join(", "))));
    }
    let mut page = page.words(&head);
    if !answer.identity.is_empty() {
        page = page.gap().table(&answer.who());
    }
    let checks = answer.checks();
    if !checks.rows.is_empty() {
        page = page.gap().table(&checks);
    }
    answer.notes.iter().fold(page.gap(), |page, note| page.note(&printable(note)))
}

/// The same with each line printable.
fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::output::Screen;
    use super::*;

    #[test]
    fn what_decides_comes_first_and_fits_eighty_columns() {
        let answer = json!({
            "passes": false, "status": 403, "reason": "model_not_allowed", "refused_by": "support-models", "budget": null,
            "message": "the model `gpt-4o` is not among those that `support-models` allows: gpt-5-mini", "answer": {},
            "noted_by": ["team"], "provider": "openai", "operation": "chat", "model": "gpt-4o\u{1b}[2J",
            "most_usd": "0.001200000000", "most_tokens": 90, "written_output_tokens": 2048,
            "attribution_source": "self_declared",
            "identity": [{"field": "team", "value": "support", "source": "registry", "said": "sales"}],
            "rules": [{"rule": "support-models", "kind": "allow", "state": "enforced", "lets": false,
                "reason": "model_not_allowed", "message": "the model `gpt-4o` is not among those"}],
            "budgets": [{"budget": "support", "value": "", "action": "deny", "unit": "dollars", "limit": "5.000000000000",
                "used": "1.000000000000", "left": "4.000000000000", "hold": null, "fits": true, "message": null}],
            "policy_version": "1", "price_version": "1", "notes": ["the prompt is made up"],
        });
        let page = page(&serde_json::from_value(answer).unwrap(), Page::new(Screen::plain(80)));
        let text = page.text();
        assert!(text.starts_with("it is refused by `support-models`: 403 model_not_allowed\n"), "{text}");
        for expected in ["at most $0.0012", "registry", "refuses it", "2048", "noted by team", "made up"] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
        page.assert_fits(80);
    }
}
