//! Models that `[[allow]]` means by words: `families`, `not_frontier` and `max_output_usd_per_million`.

use tollgate_core::budget::{Amount, Unit};
use tollgate_core::money::Picodollars;

use crate::config::document::{Document, Section};
use crate::config::mistake::ConfigError;
use crate::model::agent::not_family;

/// Models that a list means by words, which the price book turns into names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelWords {
    /// `families`: every model of these families may be called.
    pub families: Vec<String>,
    /// `not_frontier`: no model may be called whose output costs [`FRONTIER_OUTPUT`] or more.
    pub not_frontier: bool,
    /// `max_output_usd_per_million`: nor one whose output costs more than this, for a million tokens.
    pub max_output: Option<Picodollars>,
}

impl ModelWords {
    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.families.is_empty() && !self.not_frontier && self.max_output.is_none()
    }

    /// As the configuration has them.
    pub fn said(&self) -> Vec<String> {
        let families = self.families.iter().map(|family| format!("family {family}"));
        let frontier = self.not_frontier.then(|| "not frontier".to_owned());
        let most = self
            .max_output
            .map(|most| format!("output at most {} a million", Unit::Dollars.show(Amount(most.as_pico()))));
        families.chain(frontier).chain(most).collect()
    }
}

/// Reads the words of a list.
pub(super) fn read<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> ModelWords {
    let line = table.line_of("families");
    let right = "a list of families of models such as `[\"gpt-5\", \"claude-haiku\"]`";
    let families = document.list(table, "families", right).unwrap_or_default();
    for problem in families.iter().filter_map(|family| not_family(family)) {
        let message = format!("`{}.families` {problem}", table.name());
        document.report(ConfigError { line, message });
    }
    let not_frontier = document.flag(table, "not_frontier").unwrap_or_default();
    let max_output = document.dollars(table, "max_output_usd_per_million");
    ModelWords { families, not_frontier, max_output }
}

/// From so much for a million tokens of output on a model is a frontier model. A threshold of ours: with the
/// prices of 2026-11-30 `OpenAI`'s, Anthropic's and Google's large models cost that and more, and their small
/// ones less. Not all vendors' do: xAI's newest cost less. `max_output_usd_per_million` sets another one.
pub const FRONTIER_OUTPUT: Picodollars = Picodollars::from_pico(10_000_000_000_000);
