//! Google's generateContent, on the Gemini API and on Vertex AI.
//!
//! Source: Gemini API reference, `GenerateContentResponse.UsageMetadata`, and recorded answers, read 2026-11-23.
//! Thoughts are outside `candidatesTokenCount`, tool prompts outside `promptTokenCount`. Every chunk of a stream
//! has `usageMetadata`; only the last counts, the earlier ones are estimates.

use std::sync::OnceLock;

use serde_json::Value;

use super::{Action, Context, Counts, Family, Field, Merge, Normalised};
use crate::usage::Usage;

/// Google's generateContent.
pub static GENERATE_CONTENT: Family = Family {
    paths: &[
        ("modelVersion", Action::Capture, Field::Model),
        ("usageMetadata", Action::Capture, Field::Usage),
        ("error", Action::Capture, Field::Error),
        ("candidates[].content.parts[].text", Action::Text, Field::Output),
        ("candidates[].content.parts[].functionCall", Action::Text, Field::Output),
        ("candidates[].groundingMetadata.webSearchQueries", Action::Capture, Field::SearchQueries),
    ],
    shape: {
        static SHAPE: OnceLock<super::Shape<Field>> = OnceLock::new();
        &SHAPE
    },
    merge: Merge::Last,
    normalise,
};

fn normalise(counts: &Counts<'_>, context: &Context<'_>) -> Normalised {
    let part = |list: &str, modality: Modality| modality.tokens(counts, list);
    let usage = Usage {
        input_tokens: counts.sum(&["promptTokenCount", "toolUsePromptTokenCount"]),
        cache_read_tokens: counts.at("cachedContentTokenCount"),
        output_tokens: counts.sum(&["candidatesTokenCount", "thoughtsTokenCount"]),
        reasoning_tokens: counts.at("thoughtsTokenCount"),
        input_audio_tokens: part("promptTokensDetails", Modality::Audio),
        input_image_tokens: part("promptTokensDetails", Modality::Image),
        input_video_tokens: part("promptTokensDetails", Modality::Video),
        cache_read_audio_tokens: part("cacheTokensDetails", Modality::Audio),
        cache_read_image_tokens: part("cacheTokensDetails", Modality::Image),
        output_audio_tokens: part("candidatesTokensDetails", Modality::Audio),
        output_image_tokens: part("candidatesTokensDetails", Modality::Image),
        input_tool_tokens: counts.at("toolUsePromptTokenCount"),
        web_searches: (context.searches > 0).then_some(context.searches),
        ..Usage::default()
    };
    Normalised {
        usage,
        conditions: [("service_tier", "serviceTier"), ("traffic_type", "trafficType")]
            .into_iter()
            .filter_map(|(fact, path)| Some((fact, counts.text(path)?.to_owned())))
            .collect(),
        ..Normalised::default()
    }
}

#[derive(Clone, Copy)]
enum Modality {
    Image,
    Video,
    Audio,
}

impl Modality {
    /// Tokens of this modality in a `*TokensDetails` list; `None` when the list does not name it.
    fn tokens(self, counts: &Counts<'_>, list: &str) -> Option<u64> {
        let is_mine = |entry: &&Counts<'_>| entry.value("modality").is_some_and(|name| self.is(name));
        counts
            .objects(list)
            .iter()
            .filter(is_mine)
            .map(|entry| entry.at("tokenCount").unwrap_or(0))
            .reduce(u64::saturating_add)
    }

    /// By name, or by number with `$alt=json;enum-encoding=int`.
    fn is(self, name: &Value) -> bool {
        let (word, number) = match self {
            Self::Image => ("IMAGE", 2),
            Self::Video => ("VIDEO", 3),
            Self::Audio => ("AUDIO", 4),
        };
        name.as_str() == Some(word) || name.as_u64() == Some(number)
    }
}
