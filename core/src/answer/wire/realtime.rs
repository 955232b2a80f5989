//! Sessions over a websocket: OpenAI's and xAI's Realtime, Google's Live. Usage comes with each turn and adds
//! up.
//!
//! Source: OpenAI's API reference, Realtime server events; xAI's Voice Agent API; Gemini API reference, Live
//! API; and recorded sessions, read 2026-11-23. xAI puts `usage` beside `response`.

use std::sync::OnceLock;

use super::{Action, Family, Field, Merge, gemini, openai};

/// OpenAI's and xAI's Realtime.
pub(super) static REALTIME: Family = Family {
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
        ("error.code", Action::Capture, Field::Rejected),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Sum,
    leaves_input_out: false,
    normalise: openai::normalise,
};

/// OpenAI's GPT-Live and its translations, which are charged by the second; what is delegated to another
/// model is told in events of that model's own. Source: OpenAI's guides to Live and to realtime translation,
/// read 2026-11-28.
pub(super) static VOICE: Family = Family {
    paths: &[
        ("type", Action::Capture, Field::Event),
        ("session.model", Action::Capture, Field::Model),
        ("usage", Action::Capture, Field::Usage),
        // Turns in the manner of Realtime.
        ("response.usage", Action::Capture, Field::Usage),
        ("event.response.model", Action::Capture, Field::TranscriptionModel),
        ("event.response.usage", Action::Capture, Field::Usage),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Sum,
    leaves_input_out: false,
    normalise: openai::normalise,
};

/// The websocket of OpenAI's Responses: the same events as in its streams. Source: OpenAI's API reference,
/// Responses, websocket events, read 2026-11-28.
pub(super) static RESPONSES: Family = Family {
    paths: &[
        ("type", Action::Capture, Field::Event),
        ("response.model", Action::Capture, Field::Model),
        ("response.usage", Action::Capture, Field::Usage),
        ("response.service_tier", Action::Capture, Field::ServiceTier),
        ("response.tool_usage", Action::Capture, Field::ToolUsage),
        ("response.output[].type", Action::Capture, Field::Item),
        ("response.output[].action.type", Action::Capture, Field::ToolAction),
        ("response.output[].container_id", Action::Capture, Field::ItemContainer),
        ("response.output[].environment.container_id", Action::Capture, Field::ItemContainer),
        ("response.tools[].model", Action::Capture, Field::Word("image_model")),
        ("response.tools[].container.memory_limit", Action::Capture, Field::Word("memory")),
        ("response.tools[].environment.memory_limit", Action::Capture, Field::Word("memory")),
        ("response.tools[].type", Action::Capture, Field::Offered),
        ("delta", Action::Text, Field::Output),
        ("item.name", Action::Capture, Field::ToolName),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Sum,
    leaves_input_out: false,
    normalise: openai::normalise,
};

/// Google's Live.
pub(super) static LIVE: Family = Family {
    paths: &[
        ("usageMetadata", Action::Capture, Field::Usage),
        ("serverContent.turnComplete", Action::Capture, Field::TurnComplete),
        ("serverContent.modelTurn.parts[].text", Action::Text, Field::Output),
        ("serverContent.modelTurn.parts[].executableCode.code", Action::Text, Field::Output),
        ("toolCall.functionCalls[].args", Action::Text, Field::Output),
        ("serverContent.outputTranscription.text", Action::Text, Field::Output),
        ("serverContent.modelTurn.parts[].inlineData.data", Action::Text, Field::Audio),
        ("serverContent.modelTurn.parts[].inlineData.mimeType", Action::Capture, Field::Made),
        ("serverContent.groundingMetadata.webSearchQueries", Action::Capture, Field::SearchQueries),
        ("serverContent.groundingMetadata.groundingChunks[].maps.uri", Action::Capture, Field::Place),
        ("serverContent.groundingMetadata.groundingChunks[].web.uri", Action::Capture, Field::Page),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Sum,
    leaves_input_out: false,
    normalise: |counts, context| {
        let mut normalised = gemini::normalise(counts, context);
        gemini::spoken(counts, &mut normalised.usage);
        normalised
    },
};
