//! Whether what a provider reported of a call can be believed: its counts are not whole, are missing beside
//! others, or say nothing of what was seen to be sent or answered.
//!
//! What is not believed is estimated or left open: `Call::consumed` says which.

use super::Call;
use crate::answer::meter::Body;
use crate::answer::wire::Normalised;
use crate::estimate::Passed;
use crate::provider::Api;
use crate::usage::Usage;

impl Call {
    /// The counts are only what had been used until then, or what else decides the price may be missing.
    pub(super) fn is_partial(&self) -> bool {
        self.answer.as_deref().is_some_and(|answer| {
            answer.meter.is_partial() || answer.meter.body() == Body::Json && answer.meter.is_cut()
        })
    }

    /// Text was seen of an answer that is said to have none.
    pub(super) fn saw_more(&self, reported: &Normalised) -> bool {
        let usage = &reported.usage;
        let counts_text = self.target.api.generates_text() && usage.search_units.is_none();
        counts_text
            && usage.output_tokens.unwrap_or(0) == 0
            && self.answer.as_deref().is_some_and(|answer| {
                let reading = answer.meter.reading();
                reading.visible() != Passed::default() && !reading.is_guarded()
            })
    }

    /// An answer is said to have been read nothing for, though a prompt was sent. Ollama leaves out what came
    /// from its cache; who names a cost besides stands by it; and where a guardrail answered nobody read.
    pub(super) fn read_more(&self, reported: &Normalised) -> bool {
        let usage = &reported.usage;
        self.target.api.generates_text()
            && self.target.provider != "ollama"
            && reported.provider_cost.is_none()
            && usage.input_tokens == Some(0)
            && self.request.input_estimate() > Some(0)
            && self.answer.as_deref().is_some_and(|answer| {
                usage.output_tokens > Some(0) || answer.status < 400 && !answer.meter.reading().is_guarded()
            })
    }

    /// A model answered of which only the tools that it used are told.
    pub(super) fn lacks_tokens(&self, reported: &Normalised) -> bool {
        let Usage {
            input_tokens,
            output_tokens,
            web_searches,
            web_fetches,
            file_searches,
            code_sessions,
            ..
        } = &reported.usage;
        self.target.api.generates_text()
            && reported.provider_cost.is_none()
            && (input_tokens, output_tokens) == (&None, &None)
            && [web_searches, web_fetches, file_searches, code_sessions].iter().any(|tool| tool.is_some())
    }

    /// All that is told of work that is not text is that it was nothing, though something was sent. What
    /// Cohere tells is what it bills; and Voyage tells of embeddings of a few words that they were nothing
    /// (as recorded).
    pub(super) fn counts_nothing(&self, reported: &Normalised) -> bool {
        let is_sent = self.request.body_bytes() > 0 && self.target.fetches.is_none();
        !self.target.api.generates_text()
            && is_sent
            && self.target.provider != "cohere"
            && self.target.api != Api::Embeddings
            && self.answer.as_deref().is_some_and(|answer| answer.status < 400)
            && reported.provider_cost.is_none()
            && (reported.usage.is_nothing() || self.draws_nothing(&reported.usage))
    }

    /// A picture was drawn that is said to have no tokens, and is not counted.
    fn draws_nothing(&self, usage: &Usage) -> bool {
        self.target.api == Api::Images
            && usage.output_tokens.unwrap_or(0) == 0
            && usage.images.unwrap_or(0) == 0
            && usage.input_tokens.is_some()
    }
}
