//! OpenAI's chat completions, completions, embeddings and responses, and what is compatible with them.
//!
//! Source: OpenAI's API reference and recorded answers of the compatible providers, read 2026-11-23.
//! Cached and audio tokens are inside the prompt, reasoning inside the completion, at OpenAI; who differs is
//! named in [`Quirks::of`].
//!
//! Long: most of it is tables of places, one for each API of OpenAI and of who is compatible with it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

use super::tools::Seen;
use super::{Action, Context, Counts, Family, Field, Merge, Normalised, Share, gemini};
use crate::decode::json::value_count;
use crate::lean::small_map;
use crate::provider::Api;
use crate::usage::{CacheTtl, Usage};

/// Chat completions, embeddings, and whatever has no table of its own.
pub(super) static CHAT: Family = Family {
    paths: &[
        ("model", Action::Capture, Field::Model),
        ("usage", Action::Capture, Field::Usage),
        ("x_groq.usage", Action::Capture, Field::Usage),
        ("usage_breakdown", Action::Capture, Field::Breakdown),
        ("service_tier", Action::Capture, Field::ServiceTier),
        ("error", Action::Capture, Field::Error),
        // Where usage comes with every chunk, only that of an answer that has ended is all of it.
        ("choices[].finish_reason", Action::Capture, Field::Finish),
        ("choices[].error", Action::Capture, Field::Error),
        // Mistral, vLLM; conversations of Mistral's.
        ("object", Action::Capture, Field::ErrorKind),
        ("type", Action::Capture, Field::ErrorKind),
        // MiniMax says so in an answer of status 200, and Cloudflare; Moonshot's usage stands in the last
        // choice.
        ("base_resp.status_code", Action::Capture, Field::ErrorCode),
        ("errors[].message", Action::Capture, Field::Error),
        ("choices[].usage", Action::Capture, Field::Usage),
        // Tools that the provider ran, at Groq; what the answer rests on, and pictures in it, at OpenRouter.
        ("choices[].message.executed_tools[].type", Action::Capture, Field::Executed),
        ("choices[].delta.executed_tools[].type", Action::Capture, Field::OtherTool),
        ("choices[].message.annotations[].type", Action::Capture, Field::Annotation),
        ("choices[].delta.annotations[].type", Action::Capture, Field::Annotation),
        ("choices[].message.images[].type", Action::Capture, Field::Made),
        ("choices[].delta.images[].type", Action::Capture, Field::Made),
        // What a search of Z.AI's found.
        ("web_search[].link", Action::Capture, Field::Page),
        ("result.usage", Action::Capture, Field::Usage),
        ("result.response", Action::Text, Field::WholeOutput),
        ("response", Action::Text, Field::Output),
        // What Perplexity did in the background, and xAI's id of what it will do so.
        ("response.model", Action::Capture, Field::Model),
        ("response.usage", Action::Capture, Field::Usage),
        ("response.choices[].message.content", Action::Text, Field::WholeOutput),
        ("request_id", Action::Capture, Field::Id),
        ("outputs[].model", Action::Capture, Field::Model),
        ("outputs[].content", Action::Text, Field::WholeOutput),
        ("content", Action::Text, Field::Output),
        ("content.text", Action::Text, Field::Output),
        // The same of Mistral's conversations (its client's `SSETypes`, read 2026-11-29).
        ("content.thinking", Action::Text, Field::Reasoning),
        ("content.thinking[].text", Action::Text, Field::Reasoning),
        ("arguments", Action::Text, Field::Output),
        ("tool_call_id", Action::Capture, Field::CallId),
        ("outputs[].content[].text", Action::Text, Field::WholeOutput),
        ("outputs[].content[].thinking[].text", Action::Text, Field::WholeReasoning),
        ("outputs[].name", Action::Capture, Field::ToolName),
        ("outputs[].arguments", Action::Text, Field::WholeOutput),
        ("choices[].delta.content", Action::Text, Field::Output),
        // Mistral's parts: text, and what was thought.
        ("choices[].delta.content[].text", Action::Text, Field::Output),
        ("choices[].delta.content[].thinking", Action::Text, Field::Reasoning),
        ("choices[].delta.content[].thinking[].text", Action::Text, Field::Reasoning),
        ("choices[].delta.refusal", Action::Text, Field::Output),
        ("choices[].delta.reasoning_content", Action::Text, Field::Reasoning),
        ("choices[].delta.reasoning", Action::Text, Field::ReasoningTwin),
        // Databricks.
        ("choices[].delta.content[].summary[].text", Action::Text, Field::Reasoning),
        ("choices[].delta.tool_calls[].function.name", Action::Capture, Field::ToolName),
        ("choices[].delta.tool_calls[].function.arguments", Action::Text, Field::Output),
        ("choices[].delta.tool_calls[].custom.name", Action::Capture, Field::ToolName),
        ("choices[].delta.tool_calls[].custom.input", Action::Text, Field::Output),
        ("choices[].delta.function_call.name", Action::Capture, Field::ToolName),
        ("choices[].delta.function_call.arguments", Action::Text, Field::Output),
        ("choices[].message.content", Action::Text, Field::WholeOutput),
        ("choices[].message.content[].text", Action::Text, Field::WholeOutput),
        ("choices[].message.content[].thinking", Action::Text, Field::WholeReasoning),
        ("choices[].message.content[].thinking[].text", Action::Text, Field::WholeReasoning),
        ("choices[].message.refusal", Action::Text, Field::WholeOutput),
        ("choices[].message.reasoning_content", Action::Text, Field::WholeReasoning),
        ("choices[].message.reasoning", Action::Text, Field::WholeReasoningTwin),
        ("choices[].message.content[].summary[].text", Action::Text, Field::WholeReasoning),
        ("choices[].message.tool_calls[].function.name", Action::Capture, Field::ToolName),
        ("choices[].message.tool_calls[].function.arguments", Action::Text, Field::WholeOutput),
        // DashScope's own protocol, whose streams repeat all of the text and count with every chunk (Alibaba
        // Cloud, DashScope API reference, as its client libraries have it; not read anew, 2026-11-29).
        ("output.text", Action::Text, Field::WholeOutput),
        ("output.finish_reason", Action::Capture, Field::Finish),
        ("output.choices[].finish_reason", Action::Capture, Field::Finish),
        ("output.choices[].message.content", Action::Text, Field::WholeOutput),
        ("output.choices[].message.content[].text", Action::Text, Field::WholeOutput),
        ("output.choices[].message.reasoning_content", Action::Text, Field::WholeReasoning),
        ("output.choices[].message.tool_calls[].function.arguments", Action::Text, Field::WholeOutput),
        ("timings.cache_n", Action::Capture, Field::CountSoFar("cache_n")),
        ("timings.prompt_n", Action::Capture, Field::CountSoFar("prompt_n")),
        ("timings.predicted_n", Action::Capture, Field::CountSoFar("predicted_n")),
        // Mistral's OCR, and Hugging Face's text generation.
        ("usage_info.pages_processed", Action::Capture, Field::Count("pages_processed")),
        ("usage_info.pages_processed_annotation", Action::Capture, Field::Count("pages_annotated")),
        ("generated_text", Action::Text, Field::WholeOutput),
        ("token.text", Action::Text, Field::Output),
        ("details.generated_tokens", Action::Capture, Field::Count("generated_tokens")),
        // Vercel's gateway, beside a usage that may not say it.
        ("providerMetadata.gateway.cost", Action::Capture, Field::Dollars("gateway_cost")),
        ("providerMetadata.gateway.marketCost", Action::Capture, Field::Dollars("market_cost")),
        ("choices[].message.provider_metadata.gateway.cost", Action::Capture, Field::Dollars("gateway_cost")),
        (
            "choices[].message.provider_metadata.gateway.marketCost",
            Action::Capture,
            Field::Dollars("market_cost"),
        ),
        ("choices[].delta.provider_metadata.gateway.cost", Action::Capture, Field::Dollars("gateway_cost")),
        (
            "choices[].delta.provider_metadata.gateway.marketCost",
            Action::Capture,
            Field::Dollars("market_cost"),
        ),
    ],
    shape: OnceLock::new(),
    headers: HEADERS,
    merge: Merge::Last,
    leaves_input_out: false,
    normalise,
};

/// Completions. Together writes each piece of a chat there too, beside the chat's own place.
pub(super) static COMPLETIONS: Family = Family {
    paths: &[
        ("model", Action::Capture, Field::Model),
        ("usage", Action::Capture, Field::Usage),
        ("x_groq.usage", Action::Capture, Field::Usage),
        ("service_tier", Action::Capture, Field::ServiceTier),
        ("error", Action::Capture, Field::Error),
        ("object", Action::Capture, Field::ErrorKind),
        ("type", Action::Capture, Field::ErrorKind),
        ("choices[].error", Action::Capture, Field::Error),
        ("base_resp.status_code", Action::Capture, Field::ErrorCode),
        ("errors[].message", Action::Capture, Field::Error),
        ("choices[].usage", Action::Capture, Field::Usage),
        ("choices[].finish_reason", Action::Capture, Field::Finish),
        ("choices[].text", Action::Text, Field::Output),
        // Mistral fills in code in a chat's chunks; so do others who serve both alike.
        ("choices[].delta.content", Action::Text, Field::OutputTwin),
        ("choices[].message.content", Action::Text, Field::WholeOutput),
        ("timings.cache_n", Action::Capture, Field::CountSoFar("cache_n")),
        ("timings.prompt_n", Action::Capture, Field::CountSoFar("prompt_n")),
        ("timings.predicted_n", Action::Capture, Field::CountSoFar("predicted_n")),
    ],
    shape: OnceLock::new(),
    headers: HEADERS,
    merge: Merge::Last,
    leaves_input_out: false,
    normalise,
};

/// What Hugging Face's text generation says in headers of its counts, and its router of the host that served.
const HEADERS: &[(&str, &str)] =
    &[("x-prompt-tokens", "input"), ("x-generated-tokens", "output"), ("x-inference-provider", "host")];

/// Images. The GPT image models count tokens; for the others a picture is a picture.
pub(super) static IMAGES: Family = Family {
    paths: &[
        ("usage", Action::Capture, Field::Usage),
        ("error", Action::Capture, Field::Error),
        ("model", Action::Capture, Field::Model),
        ("data[].url", Action::Capture, Field::Image),
        ("data[].b64_json", Action::Capture, Field::Image),
        // Google's `:predict`.
        ("predictions[].mimeType", Action::Capture, Field::Image),
        ("base_resp.status_code", Action::Capture, Field::ErrorCode),
        ("providerMetadata.gateway.cost", Action::Capture, Field::Dollars("gateway_cost")),
        ("providerMetadata.gateway.marketCost", Action::Capture, Field::Dollars("market_cost")),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Last,
    leaves_input_out: false,
    normalise,
};

/// Transcription: tokens, or seconds of audio. Answers as text, srt or vtt have neither.
pub(super) static TRANSCRIPTION: Family = Family {
    paths: &[
        ("model", Action::Capture, Field::Model),
        ("usage", Action::Capture, Field::Usage),
        ("error", Action::Capture, Field::Error),
        ("text", Action::Text, Field::Output),
        ("delta", Action::Text, Field::Output),
        ("providerMetadata.gateway.cost", Action::Capture, Field::Dollars("gateway_cost")),
        ("providerMetadata.gateway.marketCost", Action::Capture, Field::Dollars("market_cost")),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Last,
    leaves_input_out: false,
    normalise,
};

/// What starts, lists or asks after work that is done later.
pub(super) static DEFERRED: Family = Family {
    paths: &[
        ("id", Action::Capture, Field::Id),
        ("batch_id", Action::Capture, Field::Id),
        ("name", Action::Capture, Field::Name),
        // xAI's videos, which have no other id; Z.AI's have one besides.
        ("request_id", Action::Capture, Field::Name),
        ("status", Action::Capture, Field::Status),
        ("model", Action::Capture, Field::Model),
        ("output_file_id", Action::Capture, Field::OutputFile),
        ("output_file", Action::Capture, Field::OutputFile),
        ("response.responsesFile", Action::Capture, Field::OutputFile),
        ("metadata.output.responsesFile", Action::Capture, Field::OutputFile),
        // Lists: OpenAI's and Mistral's, Gemini's.
        ("data[]", Action::Capture, Field::Listed),
        ("operations[]", Action::Capture, Field::Listed),
        ("usage", Action::Capture, Field::Usage),
        // What a video cost, at Together.
        ("outputs.cost", Action::Capture, Field::Dollars("job_cost")),
        ("error", Action::Capture, Field::Error),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Last,
    leaves_input_out: false,
    normalise,
};

/// The output file of a batch: one answer a line, at the batch price.
pub(super) static BATCH_OUTPUT: Family = Family {
    paths: &[
        ("response.body.model", Action::Capture, Field::Model),
        ("response.body.usage", Action::Capture, Field::Usage),
        ("response.body.usage_breakdown", Action::Capture, Field::Breakdown),
        ("response.body.usage_info.pages_processed", Action::Capture, Field::Count("pages_processed")),
        ("response.body.tool_usage", Action::Capture, Field::ToolUsage),
        ("response.body.data[].b64_json", Action::Capture, Field::Image),
        ("response.body.data[].url", Action::Capture, Field::Image),
        ("response.body.output[].type", Action::Capture, Field::Item),
        ("response.body.output[].action.type", Action::Capture, Field::ToolAction),
        ("response.body.output[].container_id", Action::Capture, Field::ItemContainer),
        ("response.body.output[].environment.container_id", Action::Capture, Field::ItemContainer),
        ("response.body.tools[].type", Action::Capture, Field::Offered),
        ("response.body.tools[].model", Action::Capture, Field::Word("image_model")),
        ("response.body.tools[].container.memory_limit", Action::Capture, Field::Word("memory")),
        ("response.body.tools[].environment.memory_limit", Action::Capture, Field::Word("memory")),
        // Gemini's.
        ("response.modelVersion", Action::Capture, Field::Model),
        ("response.usageMetadata", Action::Capture, Field::Usage),
        ("response.tokenCount", Action::Capture, Field::Count("promptTokenCount")),
        ("response.candidates[].content.parts[].inlineData.mimeType", Action::Capture, Field::Made),
        ("response.candidates[].groundingMetadata.webSearchQueries", Action::Capture, Field::SearchQueries),
        ("response.candidates[].groundingMetadata.imageSearchQueries", Action::Capture, Field::SearchQueries),
        ("response.candidates[].groundingMetadata.groundingChunks[].maps.uri", Action::Capture, Field::Place),
        ("response.candidates[].groundingMetadata.groundingChunks[].web.uri", Action::Capture, Field::Page),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Sum,
    leaves_input_out: false,
    normalise: |counts, context| {
        let of_gemini = gemini::is_usage(counts);
        let normalised =
            if of_gemini { gemini::normalise(counts, context) } else { normalise(counts, context) };
        normalised.told("service_tier", Some("batch"))
    },
};

/// Responses, and runs of threads. Only the last event of a stream has usage; it repeats the whole answer.
pub(super) static RESPONSES: Family = Family {
    paths: &[
        ("type", Action::Capture, Field::Event),
        // The events of a thread's run have no type in them.
        ("object", Action::Capture, Field::Event),
        ("id", Action::Capture, Field::Id),
        ("response.id", Action::Capture, Field::Id),
        ("background", Action::Capture, Field::Background),
        ("response.background", Action::Capture, Field::Background),
        ("status", Action::Capture, Field::Status),
        ("response.status", Action::Capture, Field::Status),
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
        ("output[].type", Action::Capture, Field::Item),
        ("response.output[].type", Action::Capture, Field::Item),
        ("output[].action.type", Action::Capture, Field::ToolAction),
        ("response.output[].action.type", Action::Capture, Field::ToolAction),
        ("output[].container_id", Action::Capture, Field::ItemContainer),
        ("response.output[].container_id", Action::Capture, Field::ItemContainer),
        // Where a shell ran that the provider hosts.
        ("output[].environment.container_id", Action::Capture, Field::ItemContainer),
        ("response.output[].environment.container_id", Action::Capture, Field::ItemContainer),
        ("item.environment.container_id", Action::Capture, Field::StreamContainer),
        ("tools[].model", Action::Capture, Field::Word("image_model")),
        ("response.tools[].model", Action::Capture, Field::Word("image_model")),
        ("tools[].container.memory_limit", Action::Capture, Field::Word("memory")),
        ("response.tools[].container.memory_limit", Action::Capture, Field::Word("memory")),
        ("tools[].environment.memory_limit", Action::Capture, Field::Word("memory")),
        ("response.tools[].environment.memory_limit", Action::Capture, Field::Word("memory")),
        ("item.type", Action::Capture, Field::StreamItem),
        ("item.action.type", Action::Capture, Field::StreamAction),
        ("item.container_id", Action::Capture, Field::StreamContainer),
        ("tools[].type", Action::Capture, Field::Offered),
        ("response.tools[].type", Action::Capture, Field::Offered),
        // The AI SDK's own protocol, at Vercel's gateway.
        ("providerMetadata.gateway.cost", Action::Capture, Field::Dollars("gateway_cost")),
        ("providerMetadata.gateway.marketCost", Action::Capture, Field::Dollars("market_cost")),
        ("content[].text", Action::Text, Field::Output),
        ("delta", Action::Text, Field::Output),
        // A run of a thread streams its messages so.
        ("delta.content[].text.value", Action::Text, Field::Output),
        ("item.name", Action::Capture, Field::ToolName),
        ("output[].name", Action::Capture, Field::ToolName),
        ("output[].content[].text", Action::Text, Field::Output),
        ("output[].arguments", Action::Text, Field::Output),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Last,
    leaves_input_out: false,
    normalise,
};

/// Where a provider that speaks OpenAI's format counts otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Quirks {
    /// Reasoning, and what was read to cite it, is beside the completion, and charged: add it.
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
            ("xai", Api::ChatCompletions | Api::MessageBatchResults)
            | ("vercel-gateway", Api::ChatCompletions) => Self { reasoning_outside_output: true, ..none },
            ("gemini" | "vertex", Api::ChatCompletions | Api::BatchOutput) => {
                Self { output_from_total: true, ..none }
            }
            ("perplexity", Api::ChatCompletions) => {
                Self { reasoning_outside_output: !searches_once(context), ..none }
            }
            ("mistral", _) => Self { audio_outside_input: true, ..none },
            _ => none,
        }
    }
}

/// Normalises a usage object in OpenAI's words, old or new.
pub(super) fn normalise(counts: &Counts<'_>, context: &Context<'_>) -> Normalised {
    let mut normalised = whole(counts, context);
    normalised.shares = by_model(context, &normalised.usage);
    if let Some(images) = images_by_tool(context) {
        let own = Share { usage: normalised.usage.clone(), ..Share::default() };
        normalised.shares = vec![own, images];
    }
    normalised
}

/// What the image tool of Responses used, where the answer says all of it: tokens of an image model, beside
/// those of the answer and at that model's price.
fn images_by_tool(context: &Context<'_>) -> Option<Share> {
    let counts = Counts::new(context.tool_usage?.get("image_gen")?.as_object()?);
    let model = context.word("image_model")?.to_owned();
    let output = counts.at("output_tokens").filter(|tokens| *tokens > 0)?;
    let usage = Usage {
        input_tokens: Some(counts.at("input_tokens")?),
        input_image_tokens: counts.at("input_tokens_details.image_tokens"),
        output_tokens: Some(output),
        output_image_tokens: counts.at("output_tokens_details.image_tokens").or(Some(output)),
        ..Usage::default()
    };
    Some(Share { model: Some(model), usage, more_calls: 0 })
}

/// What each model did of a call of Groq's that is an agent's, each run of a model with its usage. Empty
/// where there is no such list, or it does not add up to the whole.
fn by_model(context: &Context<'_>, whole_usage: &Usage) -> Vec<Share> {
    let runs = context.breakdown.and_then(|breakdown| breakdown.get("models")).and_then(Value::as_array);
    let mut shares: Vec<Share> = Vec::new();
    let mut sum = Usage::default();
    for run in runs.into_iter().flatten() {
        let (Some(model), Some(usage)) = (
            run.get("model").and_then(Value::as_str).filter(|model| !model.is_empty()),
            run.get("usage").and_then(Value::as_object),
        ) else {
            return Vec::new();
        };
        // What was counted for the whole call is no part of a run.
        let mut usage = whole(&Counts::new(usage), context).usage;
        usage.web_searches = None;
        sum.add(&usage);
        match shares.iter_mut().find(|share| share.model.as_deref() == Some(model)) {
            Some(share) => share.usage.add(&usage),
            None => shares.push(Share { model: Some(model.to_owned()), usage, more_calls: 0 }),
        }
    }
    let adds_up =
        (sum.input_tokens, sum.output_tokens) == (whole_usage.input_tokens, whole_usage.output_tokens);
    if adds_up { shares } else { Vec::new() }
}

/// A count of which two places tell: nothing in the one is no word against the other.
fn more_than_nothing(count: Option<u64>, other: impl FnOnce() -> Option<u64>) -> Option<u64> {
    count.filter(|count| *count > 0).or_else(other).or(count)
}

// Long: one expression for each count, with every name that compatible providers have for it.
fn whole(counts: &Counts<'_>, context: &Context<'_>) -> Normalised {
    let quirks = Quirks::of(context);
    let detail = |name: &str| counts.first_in(&INPUT_DETAILS, name);
    let output_detail = |name: &str| counts.first_in(&OUTPUT_DETAILS, name);
    let total = counts.first(&["total_tokens", "totalTokens"]);
    let input = counts
        .first(&["prompt_tokens", "input_tokens", "inputTokens", "inputTokens.total"])
        // Embeddings in the AI SDK's protocol.
        .or_else(|| counts.at("tokens").filter(|_| context.api == Api::Embeddings))
        .or_else(|| context.header("input"));
    let output = counts
        .first(&[
            "completion_tokens",
            "output_tokens",
            "generated_tokens",
            "outputTokens",
            "outputTokens.total",
        ])
        .or_else(|| context.header("output"));
    if let (None, None, None, Some(usage)) = (input, output, total, timed(counts)) {
        return Normalised { usage, ..Normalised::default() };
    }
    let mut usage = Usage {
        // Voyage and others give only a total: there is no output.
        input_tokens: input.or(total.filter(|_| output.is_none())),
        cache_read_tokens: more_than_nothing(detail("cached_tokens"), || {
            counts.first(&[
                "cached_tokens",
                "prompt_cache_hit_tokens",
                "cache_read_input_tokens",
                "cached_prompt_text_tokens",
                "cachedInputTokens",
                "inputTokens.cacheRead",
            ])
        }),
        cache_write_tokens: more_than_nothing(detail("cache_write_tokens"), || {
            more_than_nothing(detail("cache_creation_tokens"), || {
                counts.first(&[
                    "cache_creation_input_tokens",
                    "prompt_tokens_details.cache_creation_input_tokens",
                    "inputTokens.cacheWrite",
                ])
            })
        }),
        cache_write_by_ttl: by_ttl(counts),
        output_tokens: output,
        reasoning_tokens: more_than_nothing(output_detail("reasoning_tokens"), || {
            counts.first(&["reasoning_tokens", "reasoningTokens", "outputTokens.reasoning"])
        }),
        input_audio_tokens: detail("audio_tokens"),
        cache_read_audio_tokens: detail("cached_tokens_details.audio_tokens"),
        input_image_tokens: detail("image_tokens"),
        cache_read_image_tokens: detail("cached_tokens_details.image_tokens"),
        output_audio_tokens: output_detail("audio_tokens"),
        output_image_tokens: output_detail("image_tokens"),
        // xAI counts more than its items tell: searches of X.
        web_searches: searched(0, counts, &["web_search_calls", "x_search_calls"])
            .or_else(|| web_searches(context))
            .or_else(|| counted_searches(counts, context)),
        web_fetches: counts.at("tool_calls_details.fetch_url.invocation"),
        file_searches: searched(
            context.tools.file_searches(),
            counts,
            &["file_search_calls", "document_search_calls"],
        ),
        code_sessions: searched(context.tools.code_sessions(), counts, &["code_interpreter_calls"]),
        images: (context.images > 0 && output.is_none()).then_some(context.images),
        audio_ms: counts.thousandths(&["seconds", "billable_audio_seconds", "prompt_audio_seconds"]),
        pages: counts.at("pages_processed"),
        ..Usage::default()
    };
    // Embeddings and completions that generated nothing give no completion tokens, but a total. A count of
    // nothing beside a total with more in it is none, where the provider leaves nothing else in that.
    let rest = total.zip(input).map(|(total, input)| total.saturating_sub(input));
    let is_plain = quirks == Quirks::default();
    let hides_output =
        is_plain && output == Some(0) && input > Some(0) && rest > usage.reasoning_tokens.max(Some(0));
    if output.is_none() || hides_output {
        usage.output_tokens = rest;
    }
    // A prompt that is not told, or told as nothing, stands in the total.
    let answered = output.filter(|tokens| *tokens > 0);
    let hides_input = answered.is_some() && (input.is_none() || is_plain && input == Some(0));
    if hides_input {
        usage.input_tokens = total.zip(answered).and_then(beyond).or(input);
    }
    // Thinking that the completion leaves out stands in the total.
    if let (Some(total), Some(input), Some(output), Some(thought)) =
        (total, input, output, usage.reasoning_tokens)
        && !quirks.reasoning_outside_output
        && thought > 0
        && total.checked_sub(input).and_then(|rest| rest.checked_sub(output)) == Some(thought)
    {
        usage.output_tokens = Some(output.saturating_add(thought));
    }
    let is_told = sum(output_detail("image_tokens"), output_detail("text_tokens")) > Some(0);
    if !is_told && draws(context) {
        let thought = usage.reasoning_tokens.unwrap_or(0);
        usage.output_image_tokens = usage.output_tokens.map(|output| output.saturating_sub(thought));
    }
    if quirks.reasoning_outside_output {
        usage.citation_tokens = counts.at("citation_tokens");
        let beside = sum(usage.reasoning_tokens, usage.citation_tokens);
        usage.output_tokens = sum(usage.output_tokens, beside);
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
    let tool = tool(counts, context, &usage);
    let contradictory = total.zip(input).zip(output).is_some_and(|((total, input), output)| {
        let makes_up = |input: u64, output: u64| total == input.saturating_add(output);
        let (whole_input, whole_output) = (usage.input_tokens.unwrap_or(0), usage.output_tokens.unwrap_or(0));
        // What Mistral counts by the second stands in the total only.
        let is_timed = quirks.audio_outside_input && usage.audio_ms.is_some_and(|ms| ms > 0);
        let is_beyond = is_timed && total >= input.saturating_add(output);
        !(makes_up(input, output) || makes_up(whole_input, whole_output) || is_beyond)
    });
    let contradictory = contradictory || hides_output || hides_input && usage.input_tokens != input;
    let has_code = usage.code_sessions.is_some();
    // Perplexity charges each request by how much it searched.
    Normalised { usage, contradictory, ..Normalised::default() }
        .told("search_size", counts.text("search_context_size"))
        .told("service_tier", counts.text("service_tier"))
        .told("tool", tool)
        .told("search_tool", context.tools.previews().then_some("preview"))
        .told("host", context.word("host").filter(|_| context.provider == "huggingface"))
        .told("memory", context.word("memory").filter(|size| has_code && *size != "1g"))
}

/// What a total leaves beside a part of it; nothing where that is no more than the part.
pub(super) fn beyond((total, part): (u64, u64)) -> Option<u64> {
    total.checked_sub(part).filter(|rest| *rest > 0)
}

/// llama.cpp's `timings`, which stand in an answer's last event whether usage was asked for or not (as
/// recordings have them; llama-server's source was not read for it): `prompt_n` leaves out what came from the
/// cache. Servers that do not name that part yet do not say how long the prompt was.
fn timed(counts: &Counts<'_>) -> Option<Usage> {
    let cached = counts.at("cache_n")?;
    Some(Usage {
        input_tokens: Some(counts.at("prompt_n")?.saturating_add(cached)),
        cache_read_tokens: Some(cached),
        output_tokens: Some(counts.at("predicted_n")?),
        ..Usage::default()
    })
}

/// Where the parts of the prompt stand: chat, responses, realtime.
const INPUT_DETAILS: [&str; 4] =
    ["prompt_tokens_details", "prompt_token_details", "input_tokens_details", "input_token_details"];
/// Where the parts of the answer stand.
const OUTPUT_DETAILS: [&str; 3] =
    ["completion_tokens_details", "output_tokens_details", "output_token_details"];

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

fn by_ttl(counts: &Counts<'_>) -> BTreeMap<CacheTtl, u64> {
    let parts = [
        ("cache_write_tokens_details.ttl_30m_tokens", CacheTtl::HalfHour),
        ("cache_write_tokens_details.ttl_12h_tokens", CacheTtl::TwelveHours),
    ];
    small_map::map(parts.into_iter().filter_map(|(path, ttl)| {
        Some((ttl, counts.first_in(&INPUT_DETAILS, path).filter(|tokens| *tokens > 0)?))
    }))
}

/// Whether the output is pictures, where its parts are not told: that of the image endpoints, of a batch of
/// such requests, of a chat that has pictures in it, and of an image model at Google's compatible endpoint,
/// whose pictures stand in the text.
fn draws(context: &Context<'_>) -> bool {
    match context.api {
        Api::Images => true,
        Api::BatchOutput => context.images > 0,
        Api::ChatCompletions => {
            let is_google = matches!(context.provider, "gemini" | "vertex");
            context.made.images || is_google && context.model.is_some_and(|model| model.contains("-image"))
        }
        _ => false,
    }
}

/// A tool of the provider's that was used and has a price of its own, which no count here is charged at. A
/// row has a price for it, or the call is charged without.
fn tool(counts: &Counts<'_>, context: &Context<'_>, usage: &Usage) -> Option<&'static str> {
    // What the images of its own tool come to is not in the usage, nor whose price they have.
    if makes_images(context) {
        return images_by_tool(context).is_none().then_some("image_generation");
    }
    let counted = |name: &str| counts.at(name) > Some(0);
    let (tools, is_router) = (context.tools, context.provider == "openrouter");
    // Search models cite too, and have a fee for each request.
    let searches = |name: &str| context.model.is_some_and(|model| model.contains(name));
    if counts.value("connectors").and_then(Value::as_object).is_some_and(|used| !used.is_empty()) {
        Some("connectors")
    } else if tools.has(Seen::OtherTool) {
        Some("executed_tools")
    } else if is_router && tools.has(Seen::File) {
        Some("file_parser")
    } else if is_router
        && tools.has(Seen::Citation)
        && usage.web_searches.is_none()
        && !(searches("sonar") || searches("search"))
    {
        Some("web")
    } else if counted("num_sources_used") {
        Some("live_search")
    } else if counts.text("search_type") == Some("pro") {
        Some("pro_search")
    } else {
        counted("pages_annotated").then_some("annotation")
    }
}

/// The answer's own count of searches where it has one, else the searches among its items.
fn web_searches(context: &Context<'_>) -> Option<u64> {
    let told =
        context.tool_usage.and_then(|tools| value_count(tools.get("web_search")?.get("num_requests")?));
    let items = context.tools.web_searches();
    told.filter(|count| *count > 0).or_else(|| (items > 0).then_some(items))
}

/// Calls of a tool: those among the answer's items, or what xAI counts.
fn searched(items: u64, counts: &Counts<'_>, names: &[&str]) -> Option<u64> {
    let told = names.iter().filter_map(|name| counts.first_in(&["server_side_tool_usage_details"], name));
    let told = told.reduce(u64::saturating_add).unwrap_or(0);
    Some(items.max(told)).filter(|calls| *calls > 0)
}

/// Searches that the usage counts: Perplexity's, OpenRouter's, DashScope's, those of Mistral's connectors.
/// What Z.AI found it has searched for.
fn counted_searches(counts: &Counts<'_>, context: &Context<'_>) -> Option<u64> {
    let perplexitys = counts.at("num_search_queries");
    perplexitys
        .filter(|_| !searches_once(context))
        .or_else(|| {
            counts.first(&[
                "server_tool_use_details.web_search_requests",
                "server_tool_use.web_search_requests",
                "tool_calls_details.web_search.invocation",
                "plugins.search.count",
            ])
        })
        .or_else(|| counts.sum(&["connectors.web_search", "connectors.web_search_premium"]))
        .or_else(|| context.tools.found_pages().then_some(1))
}

/// Of Perplexity's models only deep research pays for each query, for what it reads to cite, and for
/// reasoning by itself; for the others the fee of the request covers that. Source: Perplexity, Pricing, token
/// and request pricing, read 2026-11-29. Models of its agents pay for each search that their items tell.
fn searches_once(context: &Context<'_>) -> bool {
    let is_chat = context.api == Api::ChatCompletions;
    is_chat && context.model.is_some_and(|model| model.contains("sonar") && !model.contains("deep-research"))
}

fn makes_images(context: &Context<'_>) -> bool {
    let made = |tools: &serde_json::Map<String, serde_json::Value>| {
        value_count(tools.get("image_gen")?.get("output_tokens")?)
    };
    context.tools.makes_images() || context.tool_usage.and_then(made).is_some_and(|tokens| tokens > 0)
}
