//! Google's generateContent, on the Gemini API and on Vertex AI.
//!
//! Source: Gemini API reference, `GenerateContentResponse.UsageMetadata`, and recorded answers, read
//! 2026-11-23. Thoughts are outside `candidatesTokenCount`, tool prompts outside `promptTokenCount`. Every
//! chunk of a stream has `usageMetadata`; only the last counts, the earlier ones are estimates.

use std::sync::OnceLock;

use serde_json::Value;

use super::tools::Seen;
use super::{Action, Context, Counts, Family, Field, Merge, Normalised, openai};
use crate::usage::Usage;

/// Google's generateContent.
pub(super) static GENERATE_CONTENT: Family = Family {
    paths: &[
        ("modelVersion", Action::Capture, Field::Model),
        ("usageMetadata", Action::Capture, Field::Usage),
        ("error", Action::Capture, Field::Error),
        ("candidates[].finishReason", Action::Capture, Field::End),
        ("promptFeedback.blockReason", Action::Capture, Field::End),
        ("candidates[].content.parts[].text", Action::Text, Field::Output),
        ("candidates[].content.parts[].thought", Action::Capture, Field::ThoughtFlag),
        ("candidates[].content.parts[].functionCall.name", Action::Capture, Field::ToolName),
        ("candidates[].content.parts[].functionCall.args", Action::Text, Field::Output),
        ("candidates[].content.parts[].functionCall.partialArgs[].stringValue", Action::Text, Field::Output),
        ("candidates[].content.parts[].functionCall.partialArgs[].numberValue", Action::Text, Field::Output),
        ("candidates[].content.parts[].executableCode.code", Action::Text, Field::Output),
        ("candidates[].groundingMetadata.webSearchQueries", Action::Capture, Field::SearchQueries),
        ("candidates[].groundingMetadata.imageSearchQueries", Action::Capture, Field::SearchQueries),
        ("candidates[].groundingMetadata.groundingChunks[].maps.uri", Action::Capture, Field::Place),
        ("candidates[].groundingMetadata.googleMapsWidgetContextToken", Action::Capture, Field::Place),
        ("candidates[].groundingMetadata.groundingChunks[].web.uri", Action::Capture, Field::Page),
        ("candidates[].groundingMetadata.retrievalQueries", Action::Capture, Field::OwnData),
        (
            "candidates[].groundingMetadata.groundingChunks[].retrievedContext.uri",
            Action::Capture,
            Field::OwnData,
        ),
        ("candidates[].urlContextMetadata.urlMetadata[].retrievedUrl", Action::Capture, Field::NamedPage),
        ("candidates[].content.parts[].inlineData.mimeType", Action::Capture, Field::Made),
    ],
    shape: OnceLock::new(),
    headers: &[("x-gemini-service-tier", "service_tier")],
    merge: Merge::Final,
    leaves_input_out: false,
    normalise,
};

/// Google's interactions. A stream repeats the interaction, with usage, in its last event.
pub(super) static INTERACTIONS: Family = Family {
    paths: &[
        ("model", Action::Capture, Field::Model),
        ("interaction.model", Action::Capture, Field::Model),
        ("usage", Action::Capture, Field::Usage),
        ("interaction.usage", Action::Capture, Field::Usage),
        ("service_tier", Action::Capture, Field::ServiceTier),
        ("interaction.service_tier", Action::Capture, Field::ServiceTier),
        ("id", Action::Capture, Field::Id),
        ("interaction.id", Action::Capture, Field::Id),
        ("background", Action::Capture, Field::Background),
        ("interaction.background", Action::Capture, Field::Background),
        ("status", Action::Capture, Field::Status),
        ("interaction.status", Action::Capture, Field::Status),
        ("error", Action::Capture, Field::Error),
        ("steps[].content[].text", Action::Text, Field::Output),
        ("steps[].content[].mime_type", Action::Capture, Field::Made),
        ("steps[].type", Action::Capture, Field::Step),
        ("step.type", Action::Capture, Field::Step),
        ("steps[].arguments", Action::Whole, Field::Output),
        ("steps[].arguments.queries", Action::Capture, Field::SearchQueries),
        // As it was before steps.
        ("outputs[].text", Action::Text, Field::Output),
        ("outputs[].mime_type", Action::Capture, Field::Made),
        ("outputs[].type", Action::Capture, Field::Step),
        ("outputs[].arguments", Action::Whole, Field::Output),
        ("outputs[].arguments.queries", Action::Capture, Field::SearchQueries),
        ("content.type", Action::Capture, Field::Step),
        ("content.arguments.queries", Action::Capture, Field::SearchQueries),
        ("delta.text", Action::Text, Field::Output),
        ("delta.mime_type", Action::Capture, Field::Made),
        ("delta.content.text", Action::Text, Field::Reasoning),
        ("delta.arguments", Action::Whole, Field::Output),
        ("delta.arguments.queries", Action::Capture, Field::SearchQueries),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Final,
    leaves_input_out: false,
    normalise: interactions,
};

/// Vertex AI's predict: embeddings with their token counts, and images.
pub(super) static PREDICT: Family = Family {
    paths: &[
        ("predictions[].embeddings.statistics.token_count", Action::Capture, Field::CountEach("token_count")),
        ("error", Action::Capture, Field::Error),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Overlay,
    leaves_input_out: false,
    normalise: |counts, _| Normalised {
        usage: Usage { input_tokens: counts.at("token_count"), ..Usage::default() },
        ..Normalised::default()
    },
};

fn interactions(counts: &Counts<'_>, context: &Context<'_>) -> Normalised {
    let part = |list: &str, modality: Modality| modality.tokens(counts, list, "tokens");
    let (input_tokens, output_tokens, contradictory) = Sides {
        read: counts.sum(&["total_input_tokens", "total_tool_use_tokens"]),
        answered: counts.at("total_output_tokens"),
        thought: counts.at("total_thought_tokens"),
        total: counts.at("total_tokens"),
        may_leave_thoughts_out: false,
    }
    .by_total();
    let usage = Usage {
        input_tokens,
        cache_read_tokens: counts.at("total_cached_tokens"),
        output_tokens,
        reasoning_tokens: counts.at("total_thought_tokens"),
        input_audio_tokens: part("input_tokens_by_modality", Modality::Audio),
        input_image_tokens: part("input_tokens_by_modality", Modality::Image),
        input_video_tokens: part("input_tokens_by_modality", Modality::Video),
        output_audio_tokens: part("output_tokens_by_modality", Modality::Audio)
            .or_else(|| made(counts, context.made.audio)),
        output_image_tokens: part("output_tokens_by_modality", Modality::Image)
            .or_else(|| made(counts, context.made.images)),
        input_tool_tokens: counts.at("total_tool_use_tokens").filter(|tokens| *tokens > 0),
        ..Usage::default()
    };
    grounded(context, counted_queries(counts), Normalised { usage, contradictory, ..Normalised::default() })
}

/// What was read, answered and thought, and their sum, as far as each is told.
struct Sides {
    read: Option<u64>,
    answered: Option<u64>,
    thought: Option<u64>,
    total: Option<u64>,
    /// Whether the total may leave out what was thought, as recorded sessions of Live have it.
    may_leave_thoughts_out: bool,
}

impl Sides {
    /// Input and output, and whether they contradict what is told. What no side is said to have, or nothing
    /// of, stands in the total.
    fn by_total(&self) -> (Option<u64>, Option<u64>, bool) {
        let output = match (self.answered, self.thought) {
            (None, None) => None,
            (answered, thought) => Some(answered.unwrap_or(0).saturating_add(thought.unwrap_or(0))),
        };
        let answered = output.filter(|tokens| *tokens > 0);
        let hidden = || self.total.zip(answered).and_then(openai::beyond);
        let is_hidden = self.read.is_none_or(|tokens| tokens == 0) && hidden().is_some();
        let input = if is_hidden { hidden() } else { self.read };
        let beyond = || self.total?.checked_sub(input?).filter(|rest| *rest > 0);
        let rest = beyond().filter(|_| self.answered.is_none_or(|tokens| tokens == 0));
        let whole = rest.or(output);
        let misses = self.total.zip(input.zip(whole)).is_some_and(|(total, (input, output))| {
            let beside = self.thought.filter(|_| self.may_leave_thoughts_out).unwrap_or(0);
            let sum = input.saturating_add(output);
            total != sum && total != sum.saturating_sub(beside)
        });
        (input, whole, misses || is_hidden || self.answered.is_some() && whole != output)
    }
}

/// Whether the counts are Gemini's: one that is nothing is left out.
pub(super) fn is_usage(counts: &Counts<'_>) -> bool {
    ["promptTokenCount", "candidatesTokenCount", "totalTokenCount"]
        .iter()
        .any(|name| counts.value(name).is_some())
}

/// Normalises `usageMetadata`.
pub(super) fn normalise(counts: &Counts<'_>, context: &Context<'_>) -> Normalised {
    let part = |list: &str, modality: Modality| modality.tokens(counts, list, "tokenCount");
    let (input_tokens, output_tokens, contradictory) = Sides {
        read: counts.sum(&["promptTokenCount", "toolUsePromptTokenCount"]),
        answered: counts.first(&ANSWERED),
        thought: counts.at("thoughtsTokenCount"),
        total: counts.at("totalTokenCount"),
        may_leave_thoughts_out: counts.value("responseTokenCount").is_some(),
    }
    .by_total();
    let usage = Usage {
        input_tokens,
        cache_read_tokens: counts.at("cachedContentTokenCount"),
        output_tokens,
        reasoning_tokens: counts.at("thoughtsTokenCount"),
        input_audio_tokens: prompt_part(counts, Modality::Audio),
        input_image_tokens: prompt_part(counts, Modality::Image),
        input_video_tokens: prompt_part(counts, Modality::Video),
        cache_read_audio_tokens: part("cacheTokensDetails", Modality::Audio),
        cache_read_image_tokens: part("cacheTokensDetails", Modality::Image),
        output_audio_tokens: part("candidatesTokensDetails", Modality::Audio),
        output_image_tokens: part("candidatesTokensDetails", Modality::Image),
        input_tool_tokens: counts.at("toolUsePromptTokenCount").filter(|tokens| *tokens > 0),
        ..Usage::default()
    };
    let usage = Usage {
        output_audio_tokens: usage.output_audio_tokens.or_else(|| made(counts, context.made.audio)),
        output_image_tokens: usage.output_image_tokens.or_else(|| made(counts, context.made.images)),
        ..usage
    };
    grounded(context, (0, 0), Normalised { usage, contradictory, ..Normalised::default() })
        .told("service_tier", counts.text("serviceTier").or_else(|| context.word("service_tier")))
        .told("traffic_type", counts.text("trafficType"))
}

/// The tokens of an answer that `is` made of more than text, where it does not say what its parts are: all of
/// them.
fn made(counts: &Counts<'_>, is: bool) -> Option<u64> {
    let has_parts = ["candidatesTokensDetails", "responseTokensDetails", "output_tokens_by_modality"]
        .into_iter()
        .any(|list| counts.value(list).is_some());
    counts.first(&ANSWERED).filter(|_| is && !has_parts)
}

/// What generateContent answered, Live, and interactions.
const ANSWERED: [&str; 3] = ["candidatesTokenCount", "responseTokenCount", "total_output_tokens"];

/// What of a Live answer was spoken, or drawn.
pub(super) fn spoken(counts: &Counts<'_>, usage: &mut Usage) {
    let part = |modality: Modality| modality.tokens(counts, "responseTokensDetails", "tokenCount");
    usage.output_audio_tokens = usage.output_audio_tokens.or_else(|| part(Modality::Audio));
    usage.output_image_tokens = usage.output_image_tokens.or_else(|| part(Modality::Image));
}

/// What an answer rests on of Google's Search and Maps, as it is charged: each different query from Gemini 3
/// on, of either at one price; before, one for each grounded prompt, of each at a price of its own, so that
/// the row has to tell them apart. Source: Google, Gemini API pricing, as LiteLLM 1.110.2 has it
/// (`google_maps_grounding_cost_per_query`), read 2026-11-28.
fn grounded(context: &Context<'_>, (searches, maps): (u64, u64), mut normalised: Normalised) -> Normalised {
    let tools = context.tools;
    let has_maps = tools.has(Seen::Place) || maps > 0;
    let queries = tools.grounded().max(searches.saturating_add(maps)).max(u64::from(has_maps));
    let by_prompt = context.model.is_some_and(|model| {
        let model = model.rsplit('/').next().unwrap_or(model);
        let version = model.strip_prefix("gemini-").unwrap_or_default();
        version.trim_start_matches("live-").starts_with(['1', '2'])
    });
    // Pages without a query were found all the same.
    let queries = queries.max(u64::from(tools.found_pages()));
    let charged = if by_prompt { queries.min(1) } else { queries };
    normalised.usage.web_searches = (charged > 0).then_some(charged);
    // Vertex AI charges a prompt that is grounded in the caller's own data; searches in files of the Gemini
    // API cost nothing.
    normalised.usage.file_searches = (context.provider == "vertex" && tools.has(Seen::OwnData)).then_some(1);
    let has_pages = tools.has(Seen::Page) || searches > 0;
    let tool = if has_pages { "google_search_and_maps" } else { "google_maps" };
    normalised.told("tool", (has_maps && by_prompt).then_some(tool))
}

/// Queries that an interaction's usage counts, of Search and of Maps.
fn counted_queries(counts: &Counts<'_>) -> (u64, u64) {
    let tools = counts.objects("grounding_tool_count");
    let of = |name: &str| {
        let mine = tools.iter().filter(|tool| tool.text("type").is_some_and(|kind| kind.starts_with(name)));
        mine.filter_map(|tool| tool.at("count")).fold(0, u64::saturating_add)
    };
    (of("google_search"), of("google_maps"))
}

/// Tokens of a modality in the prompt and in what tools put behind it.
fn prompt_part(counts: &Counts<'_>, modality: Modality) -> Option<u64> {
    ["promptTokensDetails", "toolUsePromptTokensDetails"]
        .into_iter()
        .filter_map(|list| modality.tokens(counts, list, "tokenCount"))
        .reduce(u64::saturating_add)
}

#[derive(Clone, Copy)]
enum Modality {
    /// Images, and documents, which are read as images of their pages.
    Image,
    Video,
    Audio,
}

impl Modality {
    /// Tokens of this modality in a list such as `promptTokensDetails`; `None` when the list does not name
    /// it.
    fn tokens(self, counts: &Counts<'_>, list: &str, count: &str) -> Option<u64> {
        let is_mine = |entry: &&Counts<'_>| entry.value("modality").is_some_and(|name| self.is(name));
        counts
            .objects(list)
            .iter()
            .filter(is_mine)
            .map(|entry| entry.at(count).unwrap_or(0))
            .reduce(u64::saturating_add)
    }

    /// By name, or by number with `$alt=json;enum-encoding=int`.
    fn is(self, name: &Value) -> bool {
        let (words, numbers): (&[&str], &[u64]) = match self {
            Self::Image => (&["IMAGE", "DOCUMENT"], &[2, 5]),
            Self::Video => (&["VIDEO"], &[3]),
            Self::Audio => (&["AUDIO"], &[4]),
        };
        name.as_str().is_some_and(|name| words.iter().any(|word| word.eq_ignore_ascii_case(name)))
            || name.as_u64().is_some_and(|number| numbers.contains(&number))
    }
}
