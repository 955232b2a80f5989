//! Ollama's own API: `/api/chat`, `/api/generate` and `/api/embed`, newline-delimited when streaming.
//!
//! Source: Ollama's API documentation and recorded answers, read 2026-11-23. `prompt_eval_count` may be
//! absent when the prompt was in the server's cache.

use std::sync::OnceLock;

use super::{Action, Family, Field, Merge, Normalised};
use crate::usage::Usage;

/// Ollama.
pub(super) static OLLAMA: Family = Family {
    paths: &[
        ("model", Action::Capture, Field::Model),
        ("prompt_eval_count", Action::Capture, Field::Count("prompt_eval_count")),
        ("eval_count", Action::Capture, Field::Count("eval_count")),
        ("error", Action::Capture, Field::Error),
        ("message.content", Action::Text, Field::Output),
        ("message.thinking", Action::Text, Field::Reasoning),
        ("message.tool_calls[].function.name", Action::Capture, Field::ToolName),
        ("message.tool_calls[].function.arguments", Action::Text, Field::Output),
        ("response", Action::Text, Field::Output),
        ("thinking", Action::Text, Field::Reasoning),
    ],
    shape: OnceLock::new(),
    headers: &[],
    merge: Merge::Overlay,
    leaves_input_out: true,
    normalise: |counts, _| Normalised {
        usage: Usage {
            input_tokens: counts.at("prompt_eval_count"),
            output_tokens: counts.at("eval_count"),
            ..Usage::default()
        },
        ..Normalised::default()
    },
};
