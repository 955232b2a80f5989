//! Usage under OpenTelemetry's names for generative AI, behind the switch `metrics.gen_ai`.
//!
//! `gen_ai.client.token.usage` and `gen_ai.client.operation.duration` with the attributes and buckets of the
//! semantic conventions (state "Development", read 2026-11-25), in Prometheus' spelling.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tollgate_core::record::{Outcome, UsageRecord};

/// The two histograms.
#[derive(Debug)]
pub struct GenAi {
    registry: Registry,
    tokens: Family<TokenLabels, Histogram>,
    duration: Family<CallLabels, Histogram>,
    /// Label values that have a series of their own.
    known: Mutex<HashSet<CallLabels>>,
}

/// What one record adds.
#[derive(Clone, Debug)]
pub struct Observation {
    labels: CallLabels,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    duration_ms: Option<u64>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallLabels {
    gen_ai_operation_name: String,
    gen_ai_provider_name: String,
    gen_ai_request_model: String,
    gen_ai_response_model: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct TokenLabels {
    gen_ai_operation_name: String,
    gen_ai_provider_name: String,
    gen_ai_token_type: &'static str,
    gen_ai_request_model: String,
    gen_ai_response_model: String,
}

impl Observation {
    /// What a record adds; a refused call adds nothing.
    pub fn of(record: &UsageRecord) -> Option<Self> {
        if record.outcome == Outcome::Denied {
            return None;
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Some(Self {
            labels: CallLabels {
                gen_ai_operation_name: operation(&record.head.operation).to_owned(),
                gen_ai_provider_name: provider(&record.head.provider).to_owned(),
                gen_ai_request_model: text(&record.head.request_model),
                gen_ai_response_model: text(&record.head.response_model),
            },
            input_tokens: record.usage.input_tokens,
            output_tokens: record.usage.output_tokens,
            duration_ms: record.duration_ms,
        })
    }
}

impl Default for GenAi {
    fn default() -> Self {
        let tokens = Family::new_with_constructor((|| Histogram::new(TOKEN_BUCKETS)) as fn() -> Histogram);
        let duration = Family::new_with_constructor((|| Histogram::new(SECOND_BUCKETS)) as fn() -> Histogram);
        let mut registry = Registry::default();
        registry.register("gen_ai_client_token_usage", "Tokens of a call, by kind", tokens.clone());
        registry.register("gen_ai_client_operation_duration_seconds", "Duration of a call", duration.clone());
        Self { registry, tokens, duration, known: Mutex::default() }
    }
}

impl GenAi {
    /// Counts a record that was stored.
    #[allow(clippy::cast_precision_loss)] // shown, not summed
    pub fn observe(&self, observation: Observation) {
        let labels = self.bounded(observation.labels);
        for (kind, tokens) in [("input", observation.input_tokens), ("output", observation.output_tokens)] {
            let Some(tokens) = tokens else { continue };
            let labels = TokenLabels {
                gen_ai_operation_name: labels.gen_ai_operation_name.clone(),
                gen_ai_provider_name: labels.gen_ai_provider_name.clone(),
                gen_ai_token_type: kind,
                gen_ai_request_model: labels.gen_ai_request_model.clone(),
                gen_ai_response_model: labels.gen_ai_response_model.clone(),
            };
            self.tokens.get_or_create_owned(&labels).observe(tokens as f64);
        }
        if let Some(ms) = observation.duration_ms {
            self.duration.get_or_create_owned(&labels).observe(ms as f64 / 1_000.0);
        }
    }

    /// The registry of both.
    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Models of callers' choice have no series without end: beyond the bound they are `other`.
    fn bounded(&self, labels: CallLabels) -> CallLabels {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&labels) {
            return labels;
        }
        let labels = if known.len() < SERIES_MAX {
            labels
        } else {
            let other = || "other".to_owned();
            CallLabels { gen_ai_request_model: other(), gen_ai_response_model: other(), ..labels }
        };
        known.insert(labels.clone());
        labels
    }
}

/// OpenTelemetry's name of an operation.
fn operation(ours: &str) -> &str {
    match ours {
        "completions" => "text_completion",
        other => other,
    }
}

/// OpenTelemetry's name of a provider.
fn provider(ours: &str) -> &str {
    match ours {
        "bedrock" => "aws.bedrock",
        "azure" => "azure.ai.openai",
        "gemini" => "gcp.gemini",
        "vertex" => "gcp.vertex_ai",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        other => other,
    }
}

const TOKEN_BUCKETS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
const SECOND_BUCKETS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Combinations of provider, operation and models with a series of their own.
const SERIES_MAX: usize = 500;
