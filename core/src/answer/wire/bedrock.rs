//! Amazon Bedrock: Converse, and InvokeModel with the formats of the models behind it.
//!
//! Source: Amazon Bedrock API reference and recorded answers, read 2026-11-23. Cache reads and writes are
//! outside `inputTokens`. InvokeModel passes the model's own body; its counts stand there, in the last chunk
//! of a stream (`amazon-bedrock-invocationMetrics`), or only in response headers.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::{Action, Context, Counts, Family, Field, Merge, Normalised, anthropic, openai};
use crate::lean::small_map;
use crate::usage::{CacheTtl, Usage};

/// Converse and ConverseStream, whose `metadata` event comes last.
pub(super) static CONVERSE: Family = Family {
    paths: &[
        ("usage", Action::Capture, Field::Usage),
        ("trace.promptRouter.invokedModelId", Action::Capture, Field::Model),
        ("stopReason", Action::Capture, Field::StopReason),
        ("performanceConfig.latency", Action::Capture, Field::Word("latency")),
        ("serviceTier.type", Action::Capture, Field::ServiceTier),
        ("output.message.content[].text", Action::Text, Field::Output),
        ("output.message.content[].toolUse.input", Action::Text, Field::Output),
        ("output.message.content[].reasoningContent.reasoningText.text", Action::Text, Field::Reasoning),
        ("delta.text", Action::Text, Field::Output),
        ("output.message.content[].toolUse.name", Action::Capture, Field::ToolName),
        ("start.toolUse.name", Action::Capture, Field::ToolName),
        ("delta.toolUse.input", Action::Text, Field::Output),
        ("delta.reasoningContent.text", Action::Text, Field::Reasoning),
    ],
    shape: OnceLock::new(),
    headers: HEADERS,
    merge: Merge::Last,
    leaves_input_out: false,
    normalise: |counts, context| {
        let mut usage = converse(counts);
        usage.web_searches = grounded(counts, context);
        let contradictory = by_total(&mut usage, counts.at("totalTokens"));
        Normalised { usage, contradictory, ..Normalised::default() }
            .told("service_tier", context.word("service_tier"))
            .told("latency", context.word("latency"))
    },
};

/// InvokeModel and InvokeModelWithResponseStream.
pub(super) static INVOKE: Family = Family {
    paths: &[
        // Anthropic's models.
        ("model", Action::Capture, Field::Model),
        ("message.model", Action::Capture, Field::Model),
        ("usage", Action::Capture, Field::Usage),
        ("message.usage", Action::Capture, Field::Usage),
        ("content[].name", Action::Capture, Field::ToolName),
        ("content_block.name", Action::Capture, Field::ToolName),
        ("content[].text", Action::Text, Field::Output),
        ("content[].input", Action::Text, Field::Output),
        ("content[].thinking", Action::Text, Field::Reasoning),
        ("delta.text", Action::Text, Field::Output),
        ("delta.partial_json", Action::Text, Field::Output),
        ("delta.thinking", Action::Text, Field::Reasoning),
        ("delta.stop_reason", Action::Capture, Field::End),
        // A guardrail says in the last event what it did; where it blocked the request, no model ran and no
        // metrics follow.
        ("amazon-bedrock-guardrailAction", Action::Capture, Field::End),
        // OpenAI's shape: gpt-oss, Qwen, Kimi, DeepSeek, Mistral.
        ("choices[].finish_reason", Action::Capture, Field::End),
        ("choices[].stop_reason", Action::Capture, Field::End),
        ("choices[].text", Action::Text, Field::Output),
        ("choices[].delta.content", Action::Text, Field::Output),
        ("choices[].delta.reasoning_content", Action::Text, Field::Reasoning),
        ("choices[].delta.reasoning", Action::Text, Field::ReasoningTwin),
        ("choices[].delta.content[].text", Action::Text, Field::Output),
        ("choices[].delta.content[].thinking", Action::Text, Field::Reasoning),
        ("choices[].delta.content[].thinking[].text", Action::Text, Field::Reasoning),
        ("choices[].delta.refusal", Action::Text, Field::Output),
        ("choices[].delta.tool_calls[].function.name", Action::Capture, Field::ToolName),
        ("choices[].delta.tool_calls[].function.arguments", Action::Text, Field::Output),
        ("choices[].message.reasoning_content", Action::Text, Field::Reasoning),
        ("choices[].message.reasoning", Action::Text, Field::ReasoningTwin),
        ("choices[].message.content[].text", Action::Text, Field::Output),
        ("choices[].message.content[].thinking", Action::Text, Field::Reasoning),
        ("choices[].message.content[].thinking[].text", Action::Text, Field::Reasoning),
        ("choices[].message.tool_calls[].function.name", Action::Capture, Field::ToolName),
        ("choices[].message.tool_calls[].function.arguments", Action::Text, Field::Output),
        // Nova.
        ("output.message.content[].text", Action::Text, Field::Output),
        ("output.message.content[].toolUse.name", Action::Capture, Field::ToolName),
        ("output.message.content[].toolUse.input", Action::Text, Field::Output),
        ("output.message.content[].reasoningContent.reasoningText.text", Action::Text, Field::Reasoning),
        ("contentBlockStart.start.toolUse.name", Action::Capture, Field::ToolName),
        ("contentBlockDelta.delta.text", Action::Text, Field::Output),
        ("contentBlockDelta.delta.toolUse.input", Action::Text, Field::Output),
        ("contentBlockDelta.delta.reasoningContent.text", Action::Text, Field::Reasoning),
        ("contentBlockDelta.delta.reasoningContent.reasoningText.text", Action::Text, Field::Reasoning),
        ("metadata.usage", Action::Capture, Field::Usage),
        // Titan.
        ("inputTextTokenCount", Action::Capture, Field::Count("inputTextTokenCount")),
        ("results[].tokenCount", Action::Capture, Field::CountEach("tokenCount")),
        ("results[].outputText", Action::Text, Field::Output),
        ("outputText", Action::Text, Field::Output),
        // Llama.
        ("prompt_token_count", Action::Capture, Field::Count("prompt_token_count")),
        ("generation_token_count", Action::Capture, Field::Count("generation_token_count")),
        ("generation", Action::Text, Field::Output),
        // Mistral, Cohere, AI21, and the Anthropic models of old.
        ("outputs[].text", Action::Text, Field::Output),
        ("choices[].message.content", Action::Text, Field::Output),
        ("generations[].text", Action::Text, Field::Output),
        ("completions[].data.text", Action::Text, Field::Output),
        ("completion", Action::Text, Field::Output),
        ("text", Action::Text, Field::Output),
        // The last chunk of every stream.
        ("amazon-bedrock-invocationMetrics", Action::Capture, Field::LastUsage),
    ],
    shape: OnceLock::new(),
    headers: HEADERS,
    merge: Merge::Overlay,
    leaves_input_out: false,
    normalise: invoke,
};

/// Counts in response headers, and their names in a [`Context`].
const HEADERS: &[(&str, &str)] = &[
    ("x-amzn-bedrock-input-token-count", "input"),
    ("x-amzn-bedrock-output-token-count", "output"),
    ("x-amzn-bedrock-cache-read-input-token-count", "cache_read"),
    ("x-amzn-bedrock-cache-write-input-token-count", "cache_write"),
    ("x-amzn-bedrock-service-tier", "service_tier"),
    ("x-amzn-bedrock-performanceconfig-latency", "latency"),
];

fn converse(counts: &Counts<'_>) -> Usage {
    let read = counts.first(&["cacheReadInputTokens", "cacheReadInputTokenCount"]);
    let write = counts.first(&["cacheWriteInputTokens", "cacheWriteInputTokenCount"]);
    with_cache(counts.at("inputTokens"), read, write, counts.at("outputTokens"), by_ttl(counts))
}

fn invoke(counts: &Counts<'_>, context: &Context<'_>) -> Normalised {
    // Anthropic's own words say most: cache writes by time to live, thinking, server tools.
    let mut normalised = anthropic::normalise(counts, context);
    if normalised.usage.input_tokens.is_none() {
        normalised.usage = other_models(counts, context);
        normalised.usage.web_searches = grounded(counts, context);
        let total = counts.first(&["total_tokens", "totalTokens"]);
        normalised.contradictory = by_total(&mut normalised.usage, total);
    }
    // A guardrail may cut the body's usage; the headers still have it.
    let output = &mut normalised.usage.output_tokens;
    *output = output.or_else(|| context.header("output"));
    let tier = context.word("service_tier").filter(|_| normalised.service_tier().is_none());
    normalised.told("service_tier", tier).told("latency", context.word("latency"))
}

/// Searches of Nova's own tool.
fn grounded(counts: &Counts<'_>, context: &Context<'_>) -> Option<u64> {
    let told = counts.at("serverToolUsage.webSearchRequests").unwrap_or(0);
    Some(told.max(context.tools.web_searches())).filter(|searches| *searches > 0)
}

fn other_models(counts: &Counts<'_>, context: &Context<'_>) -> Usage {
    if counts.at("inputTokens").is_some() {
        return converse(counts);
    }
    let input =
        counts.first(&["prompt_tokens", "inputTokenCount", "inputTextTokenCount", "prompt_token_count"]);
    let output = counts.first(&[
        "completion_tokens",
        "outputTokenCount",
        "tokenCount",
        "generation_token_count",
        "output_tokens",
    ]);
    let read = counts.at("cacheReadInputTokenCount").or_else(|| context.header("cache_read"));
    let write = counts.at("cacheWriteInputTokenCount").or_else(|| context.header("cache_write"));
    with_cache(input.or_else(|| context.header("input")), read, write, output, BTreeMap::new())
}

/// Takes what a total leaves for a part that is not told, or told as nothing. Gives whether parts and total
/// contradict each other, or the prompt had to be worked out.
fn by_total(usage: &mut Usage, total: Option<u64>) -> bool {
    let Some(total) = total else { return false };
    let is_something = |count: Option<u64>| count.filter(|count| *count > 0);
    let (input, output) = (is_something(usage.input_tokens), is_something(usage.output_tokens));
    match (input, output) {
        (Some(input), None) => {
            let was_told = usage.output_tokens.is_some();
            let rest = total.checked_sub(input).filter(|rest| *rest > 0);
            usage.output_tokens = rest.or(usage.output_tokens);
            total < input || was_told && rest.is_some()
        }
        (None, Some(output)) => {
            usage.input_tokens = openai::beyond((total, output)).or(usage.input_tokens);
            true
        }
        (input, output) => total != input.unwrap_or(0).saturating_add(output.unwrap_or(0)),
    }
}

/// Adds cache reads and writes, which Bedrock counts beside the input, to it.
fn with_cache(
    input: Option<u64>,
    read: Option<u64>,
    write: Option<u64>,
    output: Option<u64>,
    cache_write_by_ttl: BTreeMap<CacheTtl, u64>,
) -> Usage {
    let add = |whole: u64| whole.saturating_add(read.unwrap_or(0)).saturating_add(write.unwrap_or(0));
    Usage {
        input_tokens: input.map(add),
        cache_read_tokens: read,
        cache_write_tokens: write,
        cache_write_by_ttl,
        output_tokens: output,
        ..Usage::default()
    }
}

fn by_ttl(counts: &Counts<'_>) -> BTreeMap<CacheTtl, u64> {
    let ttl = |name: &str| match name {
        "5m" => Some(CacheTtl::FiveMinutes),
        "1h" => Some(CacheTtl::OneHour),
        _ => None,
    };
    small_map::map(counts.objects("cacheDetails").iter().filter_map(|entry| {
        Some((ttl(entry.text("ttl")?)?, entry.at("inputTokens").filter(|tokens| *tokens > 0)?))
    }))
}
