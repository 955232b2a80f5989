//! Envoy stats, declared once.
//!
//! The ABI has no labels: they stand in the name as `key=.value.;` and `stats_tags` in `envoy.yaml` takes them
//! out. Label values come from callers, so their number is bounded: beyond [`SERIES_MAX`] combinations they
//! count as `other`.

use std::collections::HashMap;

use tollgate_core::record::UsageRecord;
use tollgate_core::usage::Kind;

use crate::host::{self, MetricType};

/// Most combinations of provider, model and team in one VM.
const SERIES_MAX: usize = 256;

/// The metrics of one VM. Ids are kept: defining a known metric again makes a new id each time.
#[derive(Debug, Default)]
pub struct Metrics {
    series: HashMap<(String, String, String), Series>,
    plain: HashMap<&'static str, u32>,
}

/// The counters of one combination of labels.
#[derive(Debug, Default)]
struct Series {
    calls: Option<u32>,
    input_tokens: Option<u32>,
    output_tokens: Option<u32>,
    cost_nanodollars: Option<u32>,
    duration_ms: Option<u32>,
    /// Pico-dollars that do not make a nano-dollar yet.
    carry_pico: i128,
}

impl Metrics {
    /// Counts a settled call: `tollgate_calls_total`, `tollgate_input_tokens_total`,
    /// `tollgate_output_tokens_total`, `tollgate_cost_nanodollars_total` and the histogram
    /// `tollgate_call_duration_ms`, by provider, model and team.
    pub fn settled(&mut self, record: &UsageRecord) {
        let series = self.series(record);
        add(series.calls, 1);
        add(series.input_tokens, record.usage.input_tokens.unwrap_or(0));
        add(series.output_tokens, record.usage.output_tokens.unwrap_or(0));
        let pico = series.carry_pico + record.cost_usd.as_pico();
        series.carry_pico = pico % PICO_PER_NANO;
        add(series.cost_nanodollars, u64::try_from(pico / PICO_PER_NANO).unwrap_or(0));
        if let (Some(id), Some(duration_ms)) = (series.duration_ms, record.duration_ms) {
            let _ = host::record_metric(id, duration_ms);
        }
        for charge in record.charges.iter().filter(|charge| charge.kind == Kind::Request) {
            self.count("tollgate_request_fees_total", charge.quantity);
        }
    }

    /// Adds to a counter without labels.
    pub fn count(&mut self, name: &'static str, by: u64) {
        let id = *self
            .plain
            .entry(name)
            .or_insert_with(|| host::define_metric(MetricType::Counter, name).unwrap_or(UNDEFINED));
        if id != UNDEFINED {
            add(Some(id), by);
        }
    }

    fn series(&mut self, record: &UsageRecord) -> &mut Series {
        let model = record.model().unwrap_or("unknown");
        let mut key = (record.provider.clone(), model.to_owned(), record.attribution.team.clone());
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
        let metric = |kind, name: &str| host::define_metric(kind, &format!("{name}.{labels}")).ok();
        Self {
            calls: metric(MetricType::Counter, "tollgate_calls_total"),
            input_tokens: metric(MetricType::Counter, "tollgate_input_tokens_total"),
            output_tokens: metric(MetricType::Counter, "tollgate_output_tokens_total"),
            cost_nanodollars: metric(MetricType::Counter, "tollgate_cost_nanodollars_total"),
            duration_ms: metric(MetricType::Histogram, "tollgate_call_duration_ms"),
            carry_pico: 0,
        }
    }
}

/// A label value without what would end it, cut to 64 characters.
fn label(value: &str) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._/:@-".contains(character);
    let cleaned = value.chars().take(64).map(|character| if allowed(character) { character } else { '_' });
    cleaned.collect::<String>().replace(".;", "._")
}

fn add(id: Option<u32>, by: u64) {
    if let (Some(id), Ok(by @ 1..)) = (id, i64::try_from(by)) {
        let _ = host::increment_metric(id, by);
    }
}

const PICO_PER_NANO: i128 = 1_000;
const UNDEFINED: u32 = u32::MAX;
