//! Envoy stats, declared once.
//!
//! The ABI has no labels: they stand in the name as `key=.value.;` and `stats_tags` in `envoy.yaml` takes
//! them out. Label values come from callers, so their number is bounded: beyond [`SERIES_MAX`] combinations
//! they count as `other`.

use std::collections::HashMap;

use tollgate_core::call::refusal::Reason;
use tollgate_core::lean::fnv::ByFnv;
use tollgate_core::record::UsageRecord;

use crate::host::{self, MetricType};

/// Most combinations of provider, model and team in one VM.
const SERIES_MAX: usize = 256;

/// The metrics of one VM. Ids are kept: defining a known metric again makes a new id each time.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    series: HashMap<(String, String, String), Series, ByFnv>,
    /// A few: no table finds one sooner.
    plain: Vec<(&'static str, Counter)>,
}

/// The counters of one combination of labels, and what they are still to be given: host calls cost more than
/// sums.
#[derive(Debug, Default)]
struct Series {
    calls: Counter,
    input_tokens: Counter,
    output_tokens: Counter,
    cost_nanodollars: Counter,
    duration_ms: Option<u32>,
    /// Pico-dollars that do not make a nano-dollar yet.
    carry_pico: i128,
}

/// A counter of Envoy's, and what has been added since it was last told.
#[derive(Debug, Default)]
struct Counter {
    id: Option<u32>,
    pending: u64,
}

impl Metrics {
    /// Counts a settled call: `tollgate_calls_total`, `tollgate_input_tokens_total`,
    /// `tollgate_output_tokens_total`, `tollgate_cost_nanodollars_total` and the histogram
    /// `tollgate_call_duration_ms`, by provider, model and team. The counters show at the next
    /// [`Metrics::flush`].
    pub(crate) fn settled(&mut self, record: &UsageRecord) {
        let series = self.series(record);
        series.calls.pending += 1;
        series.input_tokens.pending += record.usage.input_tokens.unwrap_or(0);
        series.output_tokens.pending += record.usage.output_tokens.unwrap_or(0);
        let pico = series.carry_pico.saturating_add(record.cost_usd.as_pico());
        series.carry_pico = pico % PICO_PER_NANO;
        series.cost_nanodollars.pending += u64::try_from(pico / PICO_PER_NANO).unwrap_or(0);
        if let (Some(id), Some(duration_ms)) = (series.duration_ms, record.duration_ms) {
            let _ = host::record_metric(id, duration_ms);
        }
    }

    /// Counts a refusal: `tollgate_denied_total`, by reason.
    pub(crate) fn denied(&mut self, reason: Reason) {
        let name = match reason {
            Reason::BudgetSpent => "tollgate_denied_total.reason=.budget_spent.;",
            Reason::BudgetBusy => "tollgate_denied_total.reason=.budget_busy.;",
            Reason::CollectorAway => "tollgate_denied_total.reason=.collector_away.;",
            Reason::ModelNotPriced => "tollgate_denied_total.reason=.model_not_priced.;",
            Reason::PriceUnknown => "tollgate_denied_total.reason=.price_unknown.;",
            Reason::DeferredNotAllowed => "tollgate_denied_total.reason=.deferred_not_allowed.;",
            Reason::NotMetered => "tollgate_denied_total.reason=.not_metered.;",
            Reason::AgentNotAllowed => "tollgate_denied_total.reason=.agent_not_allowed.;",
            Reason::ModelNotAllowed => "tollgate_denied_total.reason=.model_not_allowed.;",
            Reason::AttributionMissing => "tollgate_denied_total.reason=.attribution_missing.;",
            Reason::IdentityContradicted => "tollgate_denied_total.reason=.identity_contradicted.;",
            Reason::CallTooLarge => "tollgate_denied_total.reason=.call_too_large.;",
            Reason::RunLimit => "tollgate_denied_total.reason=.run_limit.;",
            Reason::Repeated => "tollgate_denied_total.reason=.repeated.;",
            Reason::AmbiguousRequest => "tollgate_denied_total.reason=.ambiguous_request.;",
            Reason::UnreadableRequest => "tollgate_denied_total.reason=.unreadable_request.;",
        };
        self.count(name, 1);
    }

    /// Adds to a counter without labels.
    pub(crate) fn count(&mut self, name: &'static str, by: u64) {
        let known = self.plain.iter().position(|(known, _)| *known == name);
        let at = known.unwrap_or_else(|| {
            self.plain.push((name, Counter::define(name)));
            self.plain.len() - 1
        });
        if let Some((_, counter)) = self.plain.get_mut(at) {
            counter.pending += by;
        }
    }

    /// Tells Envoy what has been counted since.
    pub(crate) fn flush(&mut self) {
        for series in self.series.values_mut() {
            for counter in [
                &mut series.calls,
                &mut series.input_tokens,
                &mut series.output_tokens,
                &mut series.cost_nanodollars,
            ] {
                counter.flush();
            }
        }
        self.plain.iter_mut().for_each(|(_, counter)| counter.flush());
    }

    fn series(&mut self, record: &UsageRecord) -> &mut Series {
        let model = record.head.model().unwrap_or("unknown");
        let mut key = (record.head.provider.clone(), model.to_owned(), record.head.attribution.team.clone());
        if !self.series.contains_key(&key) && self.series.len() >= SERIES_MAX {
            key = ("other".to_owned(), "other".to_owned(), "other".to_owned());
        }
        self.series
            .entry(key)
            .or_insert_with_key(|(provider, model, team)| Series::define(provider, model, team))
    }
}

impl Series {
    fn define(provider: &str, model: &str, team: &str) -> Self {
        let labels =
            format!("provider=.{}.;model=.{}.;team=.{}.;", label(provider), label(model), label(team));
        let counter = |name: &str| Counter::define(&format!("{name}.{labels}"));
        Self {
            calls: counter("tollgate_calls_total"),
            input_tokens: counter("tollgate_input_tokens_total"),
            output_tokens: counter("tollgate_output_tokens_total"),
            cost_nanodollars: counter("tollgate_cost_nanodollars_total"),
            duration_ms: host::define_metric(
                MetricType::Histogram,
                &format!("tollgate_call_duration_ms.{labels}"),
            )
            .ok(),
            carry_pico: 0,
        }
    }
}

impl Counter {
    fn define(name: &str) -> Self {
        Self { id: host::define_metric(MetricType::Counter, name).ok(), pending: 0 }
    }

    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if let (Some(id), Ok(by @ 1..)) = (self.id, i64::try_from(pending)) {
            let _ = host::increment_metric(id, by);
        }
    }
}

/// A label value without what would end it, cut to 64 characters.
fn label(value: &str) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._/:@-".contains(character);
    let cleaned = value.chars().take(64).map(|character| if allowed(character) { character } else { '_' });
    cleaned.collect::<String>().replace(".;", "._")
}

const PICO_PER_NANO: i128 = 1_000;

#[cfg(test)]
mod tests;
