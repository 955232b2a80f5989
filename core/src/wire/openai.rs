//! OpenAI's chat completions, completions, embeddings and responses, and what is compatible with them.
//!
//! Source: OpenAI's API reference and recorded answers of the compatible providers, read 2026-11-23.
//! Cached and audio tokens are inside the prompt, reasoning inside the completion, at OpenAI; who differs is
//! named in [`Quirks::of`].

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::{Action, Context, Counts, Family, Field, Merge, Normalised};
use crate::json::value_count;
use crate::money::Picodollars;
use crate::provider::Api;
use crate::usage::{CacheTtl, Usage};

/// Chat completions, completions and embeddings.
pub static CHAT: Family = Family {
    paths: &[
        ("model", Action::Capture, Field::Model),
        ("usage", Action::Capture, Field::Usage),
        ("x_groq.usage", Action::Capture, Field::Usage),
        ("service_tier", Action::Capture, Field::ServiceTier),
        ("error", Action::Capture, Field::Error),
        ("choices[].delta.content", Action::Text, Field::Output),
        ("choices[].delta.refusal", Action::Text, Field::Output),
        ("choices[].delta.reasoning_content", Action::Text, Field::Reasoning),
        ("choices[].delta.reasoning", Action::Text, Field::Reasoning),
        ("choices[].delta.tool_calls[].function.name", Action::Text, Field::Output),
        ("choices[].delta.tool_calls[].function.arguments", Action::Text, Field::Output),
        ("choices[].message.content", Action::Text, Field::Output),
        ("choices[].message.refusal", Action::Text, Field::Output),
        ("choices[].message.reasoning_content", Action::Text, Field::Reasoning),
        ("choices[].message.reasoning", Action::Text, Field::Reasoning),
        ("choices[].message.tool_calls[].function", Action::Text, Field::Output),
        ("choices[].text", Action::Text, Field::Output),
    ],
    shape: {
        static SHAPE: OnceLock<super::Shape<Field>> = OnceLock::new();
        &SHAPE
    },
    merge: Merge::Last,
    normalise,
};

/// Responses. Only the last event of a stream has usage; it repeats the whole answer.
pub static RESPONSES: Family = Family {
    paths: &[
        ("model", Action::Capture, Field::Model),
        ("response.model", Action::Capture, Field::Model),
        ("usage", Action::Capture, Field::Usage),
        ("response.usage", Action::Capture, Field::Usage),
        ("service_tier", Action::Capture, Field::ServiceTier),
        ("response.service_tier", Action::Capture, Field::ServiceTier),
        ("tool_usage", Action::Capture, Field::ToolUsage),
        ("response.tool_usage", Action::Capture, Field::ToolUsage),
        ("error", Action::Capture, Field::Error),
        ("response.error", Action::Capture, Field::Error),
        ("output[].action.type", Action::Capture, Field::ToolAction),
        ("response.output[].action.type", Action::Capture, Field::ToolAction),
        ("delta", Action::Text, Field::Output),
        ("output[].content[].text", Action::Text, Field::Output),
        ("output[].arguments", Action::Text, Field::Output),
    ],
    shape: {
        static SHAPE: OnceLock<super::Shape<Field>> = OnceLock::new();
        &SHAPE
    },
    merge: Merge::Last,
    normalise,
};

/// Where a provider that speaks OpenAI's format counts otherwise.
#[derive(Clone, Copy, Debug, Default)]
struct Quirks {
    /// Reasoning is beside the completion, and charged: add it.
    reasoning_outside_output: bool,
    /// Reasoning is only in the total: output is total − prompt.
    output_from_total: bool,
    /// Audio is beside the prompt: add it.
    audio_outside_input: bool,
}

impl Quirks {
    fn of(context: &Context<'_>) -> Self {
        let none = Self::default();
        match (context.provider, context.api) {
            ("xai", Api::ChatCompletions) | ("vercel-gateway", _) => {
                Self { reasoning_outside_output: true, ..none }
            }
            ("gemini" | "vertex", Api::ChatCompletions) => Self { output_from_total: true, ..none },
            ("mistral", _) => Self { audio_outside_input: true, ..none },
            _ => none,
        }
    }
}

fn normalise(counts: &Counts<'_>, context: &Context<'_>) -> Normalised {
    let quirks = Quirks::of(context);
    let detail = |name: &str| {
        counts
            .at(&format!("prompt_tokens_details.{name}"))
            .or_else(|| counts.at(&format!("input_tokens_details.{name}")))
    };
    let output_detail = |name: &str| {
        counts
            .at(&format!("completion_tokens_details.{name}"))
            .or_else(|| counts.at(&format!("output_tokens_details.{name}")))
    };
    let mut usage = Usage {
        input_tokens: counts.first(&["prompt_tokens", "input_tokens"]),
        cache_read_tokens: detail("cached_tokens")
            .or_else(|| counts.first(&["cached_tokens", "prompt_cache_hit_tokens"])),
        cache_write_tokens: detail("cache_write_tokens").or_else(|| counts.at("cache_creation_input_tokens")),
        cache_write_by_ttl: by_ttl(counts),
        output_tokens: counts.first(&["completion_tokens", "output_tokens"]),
        reasoning_tokens: output_detail("reasoning_tokens"),
        input_audio_tokens: detail("audio_tokens"),
        input_image_tokens: detail("image_tokens"),
        output_audio_tokens: output_detail("audio_tokens"),
        output_image_tokens: output_detail("image_tokens"),
        web_searches: web_searches(context),
        ..Usage::default()
    };
    let total = counts.at("total_tokens");
    // Embeddings and completions that generated nothing give no completion tokens, but a total.
    if usage.output_tokens.is_none() && total.is_some() && total == usage.input_tokens {
        usage.output_tokens = Some(0);
    }
    if quirks.reasoning_outside_output {
        usage.output_tokens = sum(usage.output_tokens, usage.reasoning_tokens);
    }
    if quirks.output_from_total
        && let (Some(total), Some(input), Some(output)) = (total, usage.input_tokens, usage.output_tokens)
        && total.saturating_sub(input) > output
    {
        usage.reasoning_tokens = usage.reasoning_tokens.or(Some(total - input - output));
        usage.output_tokens = Some(total - input);
    }
    if quirks.audio_outside_input {
        usage.input_tokens = sum(usage.input_tokens, usage.input_audio_tokens);
    }
    Normalised { usage, provider_cost: provider_cost(counts), ..Normalised::default() }
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

fn by_ttl(counts: &Counts<'_>) -> BTreeMap<CacheTtl, u64> {
    [("ttl_30m_tokens", CacheTtl::HalfHour), ("ttl_12h_tokens", CacheTtl::TwelveHours)]
        .into_iter()
        .filter_map(|(name, ttl)| {
            let path = format!("input_tokens_details.cache_write_tokens_details.{name}");
            Some((ttl, counts.at(&path).filter(|tokens| *tokens > 0)?))
        })
        .collect()
}

/// The answer's own count of searches where it has one, else the searches among its items.
fn web_searches(context: &Context<'_>) -> Option<u64> {
    let told =
        context.tool_usage.and_then(|tools| value_count(tools.get("web_search")?.get("num_requests")?));
    told.filter(|count| *count > 0).or_else(|| (context.searches > 0).then_some(context.searches))
}

/// OpenRouter and Vercel say dollars in `cost`, Perplexity in `cost.total_cost`, xAI 10⁻¹⁰ dollars in ticks.
fn provider_cost(counts: &Counts<'_>) -> Option<Picodollars> {
    const PICO_PER_TICK: i128 = 100;
    let ticks =
        counts.at("cost_in_usd_ticks").map(|ticks| Picodollars::from_pico(i128::from(ticks) * PICO_PER_TICK));
    ticks.or_else(|| counts.dollars("cost.total_cost")).or_else(|| counts.dollars("cost"))
}
