//! Sessions over a websocket: OpenAI's and xAI's Realtime, Google's Live. Usage comes with each turn and adds up.
//!
//! Source: OpenAI's API reference, Realtime server events; xAI's Voice Agent API; Gemini API reference, Live API;
//! and recorded sessions, read 2026-11-23. xAI puts `usage` beside `response`.

use std::sync::OnceLock;

use super::{Action, Family, Field, Merge, gemini, openai};

/// OpenAI's and xAI's Realtime.
pub static REALTIME: Family = Family {
    paths: &[
        ("type", Action::Capture, Field::Event),
        ("session.model", Action::Capture, Field::Model),
        ("session.audio.input.transcription.model", Action::Capture, Field::TranscriptionModel),
        ("session.input_audio_transcription.model", Action::Capture, Field::TranscriptionModel),
        ("usage", Action::Capture, Field::Usage),
        ("response.usage", Action::Capture, Field::Usage),
        ("delta", Action::Text, Field::Output),
        ("session.audio.output.format.type", Action::Capture, Field::AudioFormat),
        ("session.output_audio_format", Action::Capture, Field::AudioFormat),
        ("session.instructions", Action::Text, Field::Heard),
        ("item.content[].text", Action::Text, Field::Heard),
        ("item.content[].transcript", Action::Text, Field::Heard),
        ("item.output", Action::Text, Field::Heard),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Sum,
    normalise: openai::normalise,
};

/// Google's Live.
pub static LIVE: Family = Family {
    paths: &[
        ("usageMetadata", Action::Capture, Field::Usage),
        ("serverContent.modelTurn.parts[].text", Action::Text, Field::Output),
        ("serverContent.outputTranscription.text", Action::Text, Field::Output),
        ("serverContent.modelTurn.parts[].inlineData.data", Action::Text, Field::Audio),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Sum,
    normalise: |counts, context| {
        let mut normalised = gemini::normalise(counts, context);
        // Live answers say `responseTokenCount` where generateContent says `candidatesTokenCount`.
        let thoughts = counts.at("thoughtsTokenCount");
        if let Some(answer) = counts.at("responseTokenCount") {
            normalised.usage.output_tokens = Some(answer.saturating_add(thoughts.unwrap_or(0)));
        }
        normalised
    },
};
