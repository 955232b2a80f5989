//! Cohere, versions 1 and 2: chat, generate, embed, rerank.
//!
//! Source: Cohere's API reference and recorded answers, read 2026-11-23. What is charged is `billed_units`,
//! which is less than `tokens`: the model's own template is not billed.

use std::sync::OnceLock;

use super::{Action, Context, Counts, Family, Field, Merge, Normalised, openai};
use crate::provider::Api;
use crate::usage::Usage;

/// What was used where nothing of it is billed: others who rank in Cohere's format fill its units with zeros,
/// or leave them out, and charge for the tokens (`SiliconFlow`, API reference, Rerank, as client libraries
/// have it; not read anew, 2026-11-29). Cohere bills what it says.
fn beside_nothing_billed(counts: &Counts<'_>, context: &Context<'_>) -> Option<Usage> {
    let units = ["input_tokens", "output_tokens", "image_tokens", "search_units", "classifications"];
    let is_billed = |unit: &&str| counts.first_in(&["billed_units"], unit).is_some_and(|count| count > 0);
    if context.provider == "cohere" || units.iter().any(is_billed) {
        return None;
    }
    let input = counts.at("tokens.input_tokens").filter(|tokens| *tokens > 0)?;
    let ranks = context.api == Api::Rerank;
    Some(Usage {
        input_tokens: Some(input),
        output_tokens: counts.at("tokens.output_tokens").filter(|_| !ranks),
        ..Usage::default()
    })
}

/// Cohere.
pub(super) static COHERE: Family = Family {
    paths: &[
        // Version 2: the answer, and the stream's `message-end`.
        ("usage", Action::Capture, Field::Usage),
        ("delta.usage", Action::Capture, Field::Usage),
        // Version 1: the answer, and the stream's `stream-end`; embed and rerank in both.
        ("meta", Action::Capture, Field::Usage),
        ("response.meta", Action::Capture, Field::Usage),
        ("model", Action::Capture, Field::Model),
        ("error", Action::Capture, Field::Error),
        ("delta.error", Action::Capture, Field::Error),
        ("finish_reason", Action::Capture, Field::StopReason),
        ("delta.finish_reason", Action::Capture, Field::StopReason),
        ("response.finish_reason", Action::Capture, Field::StopReason),
        ("message.content[].text", Action::Text, Field::Output),
        ("message.tool_calls[].function.name", Action::Capture, Field::ToolName),
        ("message.tool_calls[].function.arguments", Action::Text, Field::Output),
        ("delta.message.tool_calls.function.name", Action::Capture, Field::ToolName),
        ("delta.message.content.text", Action::Text, Field::Output),
        ("delta.message.content.thinking", Action::Text, Field::Reasoning),
        ("delta.message.tool_plan", Action::Text, Field::Output),
        ("delta.message.tool_calls.function.arguments", Action::Text, Field::Output),
        ("text", Action::Text, Field::Output),
        ("generations[].text", Action::Text, Field::Output),
        // The AI SDK's own protocol, at Vercel's gateway.
        ("providerMetadata.gateway.cost", Action::Capture, Field::Dollars("gateway_cost")),
        ("providerMetadata.gateway.marketCost", Action::Capture, Field::Dollars("market_cost")),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Last,
    leaves_input_out: false,
    normalise: |counts, context| {
        // Others that rank say their tokens as OpenAI's embeddings do.
        if counts.value("billed_units").is_none() && counts.value("total_tokens").is_some() {
            let mut normalised = openai::normalise(counts, context);
            normalised.usage.search_units = counts.at("search_units");
            return normalised;
        }
        // Images are counted beside the text.
        let images = counts.at("billed_units.image_tokens").filter(|tokens| *tokens > 0);
        let text = counts.at("billed_units.input_tokens");
        if let Some(usage) = beside_nothing_billed(counts, context) {
            return Normalised { usage, ..Normalised::default() };
        }
        Normalised {
            usage: Usage {
                input_tokens: match (text, images) {
                    (text, None) => text,
                    (text, Some(images)) => Some(text.unwrap_or(0).saturating_add(images)),
                },
                output_tokens: counts.at("billed_units.output_tokens"),
                input_image_tokens: images,
                search_units: counts.at("billed_units.search_units"),
                ..Usage::default()
            },
            ..Normalised::default()
        }
    },
};
