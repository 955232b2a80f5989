//! Anthropic Messages (`/v1/messages`), also on Vertex AI, Azure and Bedrock InvokeModel.
//!
//! Source: Anthropic's API reference, Messages and Streaming, and recorded answers, read 2026-11-23.
//! `input_tokens` leaves cache reads and writes out; `message_start` has the input side, `message_delta` is
//! cumulative and overwrites every member that it has; `iterations` lists the model runs of one call.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::{Action, Context, Counts, Family, Field, Merge, Normalised, Share, gemini, openai};
use crate::lean::small_map;
use crate::usage::{CacheTtl, Usage};

/// Anthropic Messages.
pub(super) static MESSAGES: Family = Family {
    paths: &[
        ("model", Action::Capture, Field::Model),
        ("message.model", Action::Capture, Field::Model),
        ("message.type", Action::Capture, Field::Start),
        ("usage", Action::Capture, Field::Usage),
        ("message.usage", Action::Capture, Field::Usage),
        ("content[].to.model", Action::Capture, Field::Model),
        ("content_block.to.model", Action::Capture, Field::Model),
        ("error", Action::Capture, Field::Error),
        // MiniMax, in an answer of status 200.
        ("base_resp.status_code", Action::Capture, Field::ErrorCode),
        ("delta.stop_reason", Action::Capture, Field::End),
        ("stop_reason", Action::Capture, Field::StopReason),
        ("content[].text", Action::Text, Field::Output),
        ("content[].input", Action::Text, Field::Output),
        ("content[].thinking", Action::Text, Field::Reasoning),
        ("content[].name", Action::Capture, Field::ToolName),
        ("content_block.name", Action::Capture, Field::ToolName),
        // Anthropic, Programmatic tool calling, as recorded; not read anew, 2026-11-29.
        ("content_block.caller.type", Action::Capture, Field::Caller),
        ("content_block.text", Action::Text, Field::Output),
        ("delta.text", Action::Text, Field::Output),
        ("delta.partial_json", Action::Text, Field::Output),
        ("delta.thinking", Action::Text, Field::Reasoning),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Overlay,
    leaves_input_out: false,
    normalise,
};

/// Results of a message batch, one on each line, each with the model that answered. All at the batch price.
pub(super) static BATCH_RESULTS: Family = Family {
    paths: &[
        ("result.message.model", Action::Capture, Field::Model),
        ("result.message.usage", Action::Capture, Field::Usage),
        // xAI's pages of results, each of which has its id before it.
        ("results[]", Action::Element, Field::Each),
        ("results[].batch_request_id", Action::Capture, Field::EachId),
        ("results[].batch_result.response.chat_get_completion.model", Action::Capture, Field::Model),
        ("results[].batch_result.response.chat_get_completion.usage", Action::Capture, Field::Usage),
        // Gemini's: in the operation itself, which else names the file that has them.
        ("metadata.model", Action::Capture, Field::Model),
        ("response.inlinedResponses.inlinedResponses[]", Action::Element, Field::Each),
        ("response.inlinedResponses.inlinedResponses[].response.modelVersion", Action::Capture, Field::Model),
        (
            "response.inlinedResponses.inlinedResponses[].response.usageMetadata",
            Action::Capture,
            Field::Usage,
        ),
        (
            "response.inlinedResponses.inlinedResponses[].response.candidates[].content.parts[].inlineData.mimeType",
            Action::Capture,
            Field::Made,
        ),
        (
            "response.inlinedResponses.inlinedResponses[].response.candidates[].groundingMetadata.webSearchQueries",
            Action::Capture,
            Field::SearchQueries,
        ),
        (
            "response.inlinedResponses.inlinedResponses[].response.candidates[].groundingMetadata.imageSearchQueries",
            Action::Capture,
            Field::SearchQueries,
        ),
        (
            "response.inlinedResponses.inlinedResponses[].response.candidates[].groundingMetadata.groundingChunks[].maps.uri",
            Action::Capture,
            Field::Place,
        ),
        (
            "response.inlinedResponses.inlinedResponses[].response.candidates[].groundingMetadata.groundingChunks[].web.uri",
            Action::Capture,
            Field::Page,
        ),
        ("response.inlinedEmbedContentResponses.inlinedResponses[]", Action::Element, Field::Each),
        (
            "response.inlinedEmbedContentResponses.inlinedResponses[].response.usageMetadata",
            Action::Capture,
            Field::Usage,
        ),
        (
            "response.inlinedEmbedContentResponses.inlinedResponses[].response.tokenCount",
            Action::Capture,
            Field::Count("promptTokenCount"),
        ),
        ("response.responsesFile", Action::Capture, Field::OutputFile),
        ("metadata.output.responsesFile", Action::Capture, Field::OutputFile),
        // Mistral's, in the job.
        ("status", Action::Capture, Field::Status),
        ("outputs[]", Action::Element, Field::Each),
        ("outputs[].response.body.model", Action::Capture, Field::Model),
        ("outputs[].response.body.usage", Action::Capture, Field::Usage),
        (
            "outputs[].response.body.usage_info.pages_processed",
            Action::Capture,
            Field::Count("pages_processed"),
        ),
        ("output_file", Action::Capture, Field::OutputFile),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Sum,
    leaves_input_out: false,
    normalise: |counts, context| {
        let says = |name: &str| counts.value(name).is_some();
        let is_openais = ["prompt_tokens", "completion_tokens", "total_tokens", "pages_processed"];
        let normalised = if is_openais.into_iter().any(says) {
            openai::normalise(counts, context)
        } else if gemini::is_usage(counts) {
            gemini::normalise(counts, context)
        } else {
            normalise(counts, context)
        };
        let tier = normalised.service_tier().is_none().then_some("batch");
        normalised.told("service_tier", tier)
    },
};

/// Normalises the usage object of Anthropic's models, wherever they are served.
pub(super) fn normalise(counts: &Counts<'_>, _context: &Context<'_>) -> Normalised {
    let mut usage = one_run(counts);
    let shares = iterations(counts);
    if !shares.is_empty() {
        let total = shares.iter().fold(Usage::default(), |mut total, share| {
            total.add(&share.usage);
            total
        });
        // Tools, and thinking where the runs do not say it, are counted for the whole call only.
        usage = Usage {
            reasoning_tokens: total.reasoning_tokens.or(usage.reasoning_tokens),
            web_searches: usage.web_searches,
            web_fetches: usage.web_fetches,
            ..total
        };
    }
    let several_models = shares.iter().any(|share| share.model.is_some());
    Normalised { usage, shares: if several_models { shares } else { Vec::new() }, ..Normalised::default() }
        .told("service_tier", counts.text("service_tier"))
        .told("speed", counts.text("speed"))
        .told("geo", counts.text("inference_geo"))
}

fn one_run(counts: &Counts<'_>) -> Usage {
    // The parts may stand without their whole.
    let parts = ["cache_creation.ephemeral_5m_input_tokens", "cache_creation.ephemeral_1h_input_tokens"];
    let parts = counts.sum(&parts).filter(|tokens| *tokens > 0);
    let cache_write = counts.at("cache_creation_input_tokens").max(parts);
    let others = counts.sum(&["input_tokens", "cache_read_input_tokens"]);
    Usage {
        input_tokens: match (others, cache_write) {
            (None, None) => None,
            (others, written) => Some(others.unwrap_or(0).saturating_add(written.unwrap_or(0))),
        },
        cache_read_tokens: counts.at("cache_read_input_tokens"),
        cache_write_tokens: cache_write,
        cache_write_by_ttl: cache_write.map_or_else(BTreeMap::new, |total| by_ttl(counts, total)),
        output_tokens: counts.at("output_tokens"),
        reasoning_tokens: counts.at("output_tokens_details.thinking_tokens"),
        web_searches: counts.at("server_tool_use.web_search_requests"),
        web_fetches: counts.at("server_tool_use.web_fetch_requests"),
        ..Usage::default()
    }
}

/// What is not said to live an hour lives five minutes: the delta has a new total, but no new split.
fn by_ttl(counts: &Counts<'_>, total: u64) -> BTreeMap<CacheTtl, u64> {
    let hour = counts.at("cache_creation.ephemeral_1h_input_tokens").unwrap_or(0).min(total);
    let parts = [(CacheTtl::FiveMinutes, total - hour), (CacheTtl::OneHour, hour)];
    small_map::map(parts.into_iter().filter(|(_, tokens)| *tokens > 0))
}

/// The model runs of a call, where there was more than one kind of work: with compaction, an advisor or a
/// fallback the top level leaves some of them out. An attempt that was refused before any output is not
/// billed.
fn iterations(counts: &Counts<'_>) -> Vec<Share> {
    let runs = counts.objects("iterations");
    // The last run served the answer; one that fell back to it declined, unless it had put something out.
    let falls_back = runs.iter().any(|run| run.text("type") == Some("fallback_message"));
    let served = runs.len().saturating_sub(1);
    runs.iter()
        .enumerate()
        .filter(|(at, run)| {
            let attempt = matches!(run.text("type"), Some("message" | "fallback_message"));
            !(falls_back && attempt && *at < served && run.at("output_tokens").unwrap_or(0) == 0)
        })
        .map(|(_, run)| run)
        .map(|run| Share { model: run.text("model").map(str::to_owned), usage: one_run(run), more_calls: 0 })
        .filter(|share| !share.usage.is_empty())
        .collect()
}
