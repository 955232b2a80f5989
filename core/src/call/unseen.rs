//! What a call consumed of which its provider said nothing: worked out from what passed, from what was asked
//! for, and from how long it took.
//!
//! The rules stand in docs/prices.md, section "What is paid when nothing was measured". No estimate of output
//! is above what the request allows, and none of a call that was answered is nothing.

use super::measure::Measure;
use super::{Body, Call, agent_and_model};
use crate::budget::hold::URL_AUDIO_MS;
use crate::estimate::{Learned, Passed};
use crate::provider::Api;
use crate::record::{Outcome, UsageRecord};
use crate::usage::Usage;

impl Call {
    /// What can be worked out from the text that passed. Where an answer broke off before any of it did, or
    /// came in one piece and was not taken, as much as such calls put out.
    pub(super) fn estimated_usage(&self, record: &UsageRecord, aborted: bool, learned: &Learned) -> Usage {
        let api = self.target.api;
        let model = record.head.model().unwrap_or_default();
        let (passed, reasoning) = self.passed(model, learned);
        // What is not streamed is made as a whole before any of it comes.
        let is_whole =
            !record.stream || self.answer.as_deref().is_some_and(|one| one.meter.body() == Body::Json);
        let output = match aborted && (passed == 0 || is_whole) {
            true => passed.max(self.under_way(record, learned)),
            false => self.with_margin(passed, record),
        };
        let output = self.within_limit(output);
        let input = self.request.input_estimate().map(|tokens| learned.tokens(model, Passed::text(tokens)));
        Usage {
            input_tokens: input.filter(|_| api.reads_text()),
            output_tokens: Some(output).filter(|_| api.generates_text()),
            characters: self.request.characters(),
            reasoning_tokens: Some(reasoning.min(output))
                .filter(|tokens| *tokens > 0 && api.generates_text()),
            ..Usage::default()
        }
    }

    /// What is to be paid for a call that was answered, or broke off, without usage.
    pub(super) fn without_usage(&self, record: &UsageRecord, aborted: bool, learned: &Learned) -> Measure {
        let mut usage = self.estimated_usage(record, aborted, learned);
        let is_sent = self.request.body_bytes() > 0 && self.target.fetches.is_none();
        if !is_sent || self.is_unmetered() || self.target.api.is_session() {
            return Measure::from_estimate(usage);
        }
        if self.target.api.generates_text() {
            if usage.output_tokens == Some(0) {
                let output = match self.stopped_mute() {
                    true => self.under_way(record, learned).max(1),
                    false => self.mean_output(record, learned).unwrap_or_else(|| self.allowed_output()),
                };
                usage.output_tokens = Some(self.within_limit(output));
            }
            return Measure::from_estimate(usage);
        }
        self.bounded_usage(&mut usage);
        Measure::from_bounds(usage)
    }

    /// Of what is not text, what the request bounds. Where it may be charged by one of several counts it has
    /// all of them.
    fn bounded_usage(&self, usage: &mut Usage) {
        let body_bytes = self.request.body_bytes();
        let answers = self.request.bounds().map_or(1, |bounds| bounds.answers());
        match self.target.api {
            Api::Transcription => {
                let is_outside = self.request.bounds().is_some_and(|bounds| bounds.outside);
                let sent = body_bytes / self.request.sound_bytes_per_ms();
                usage.audio_ms = Some(if is_outside { URL_AUDIO_MS } else { sent.max(1) });
            }
            Api::Speech => {
                let spoken = usage.characters.unwrap_or(body_bytes);
                usage.input_tokens =
                    usage.input_tokens.or(self.request.input_estimate()).or(Some(body_bytes / 4));
                usage.output_tokens = Some((spoken * 4).div_ceil(3));
                usage.output_audio_tokens = usage.output_tokens;
                usage.characters = Some(spoken);
            }
            Api::Images => {
                let drawn = IMAGE_TOKENS.saturating_mul(answers);
                usage.input_tokens = self.request.input_estimate();
                (usage.images, usage.output_tokens) = (Some(answers), Some(drawn));
                usage.output_image_tokens = Some(drawn);
            }
            Api::Predict if self.embeds_by_token() => {
                usage.input_tokens = usage.input_tokens.max(Some((body_bytes / 4).max(1)));
            }
            Api::Predict => usage.images = Some(answers),
            Api::Ocr => usage.pages = Some(1 + body_bytes / PAGE_BYTES),
            Api::Rerank => {
                usage.search_units = Some(1);
                usage.input_tokens = Some((body_bytes / 4).max(1));
            }
            Api::HuggingFaceTask
            | Api::Embeddings
            | Api::EmbedContent
            | Api::CohereEmbed
            | Api::OllamaEmbed => {
                // Numbers of tokens are no text.
                usage.input_tokens = usage.input_tokens.max(Some((body_bytes / TOKEN_NUMBER_BYTES).max(1)));
            }
            _ => {}
        }
    }

    /// A stream began and stopped before any text, without its end mark: what it put out unseen is what the
    /// time was enough for, as where it broke off. Of one with much in it the text may only not have been
    /// found.
    fn stopped_mute(&self) -> bool {
        self.answer.as_deref().is_some_and(|answer| {
            matches!(answer.meter.body(), Body::Sse | Body::EventStream)
                && !answer.meter.reading().has_end()
                && answer.meter.body_bytes() < 4 * UNSEEN_OUTPUT_TOKENS
        })
    }

    /// Output that was under way when a call broke off whose output was not seen: the mean of such calls,
    /// else what the time that it took was enough for.
    fn under_way(&self, record: &UsageRecord, learned: &Learned) -> u64 {
        let by_time = || in_time(record.duration_ms.unwrap_or(0));
        self.mean_output(record, learned).unwrap_or_else(by_time)
    }

    fn mean_output(&self, record: &UsageRecord, learned: &Learned) -> Option<u64> {
        let model = record.head.model().unwrap_or_default();
        let agents = learned.mean_output(&agent_and_model(&self.attribution.agent, model));
        agents.or_else(|| learned.mean_output(model))
    }

    /// What an answer without a word of text may have put out, where nothing is known of such calls.
    fn allowed_output(&self) -> u64 {
        let answered = self.answer.as_deref().map_or(0, |answer| answer.meter.body_bytes() / 4);
        self.most_output().unwrap_or(answered.max(UNSEEN_OUTPUT_TOKENS))
    }

    /// The most output tokens that the request allows, in all its answers, where it says so.
    fn most_output(&self) -> Option<u64> {
        let bounds = self.request.bounds()?;
        Some(bounds.output_limit(&self.target)?.saturating_mul(bounds.answers()))
    }

    /// No more than the request allows, and no more than any model puts out.
    pub(super) fn within_limit(&self, output: u64) -> u64 {
        let answers = self.request.bounds().map_or(1, |bounds| bounds.answers());
        output.min(self.most_output().unwrap_or_else(|| OUTPUT_TOKENS_MAX.saturating_mul(answers)))
    }

    /// What a caller saw who left, and what was on its way then: a provider goes on until it hears of it.
    /// That is as much as came in [`ON_THE_WAY_MS`] in the mean, no more than all that came, and no more than
    /// the request's limit.
    pub(super) fn with_margin(&self, passed: u64, record: &UsageRecord) -> u64 {
        if record.outcome != Outcome::ClientAbort || !record.stream {
            return self.within_limit(passed);
        }
        let streamed_ms = record.duration_ms.unwrap_or(0).saturating_sub(record.first_byte_ms.unwrap_or(0));
        let margin = passed.saturating_mul(ON_THE_WAY_MS).div_ceil(streamed_ms.max(ON_THE_WAY_MS));
        self.within_limit(passed.saturating_add(margin))
    }

    /// Output tokens of this model that passed as text, and those of them that were reasoning.
    pub(super) fn passed(&self, model: &str, learned: &Learned) -> (u64, u64) {
        let Some(answer) = &self.answer else { return (0, 0) };
        let reading = answer.meter.reading();
        let reasoning = learned.tokens(model, Passed::text(reading.reasoning_estimate()));
        (learned.tokens(model, reading.passed()).saturating_add(reasoning), reasoning)
    }
}

/// Output tokens that so much time is enough for.
pub(super) const fn in_time(ms: u64) -> u64 {
    ms.saturating_mul(TOKENS_PER_SECOND) / 1_000
}

/// Until a provider hears that a caller has left: a round trip between continents, twice. A rule of thumb.
const ON_THE_WAY_MS: u64 = 250;
/// As fast as most models write, a rule of thumb.
const TOKENS_PER_SECOND: u64 = 100;
/// An answer of a usual length, where neither such calls nor the request say more.
const UNSEEN_OUTPUT_TOKENS: u64 = 1_024;
/// More than any model of the shipped book puts out in one answer (2026-11-29): what passes beyond that is no
/// text of a model.
const OUTPUT_TOKENS_MAX: u64 = 262_144;
/// A picture of the usual size in its best quality (OpenAI, image generation, cost; known from its price
/// list, not read anew).
const IMAGE_TOKENS: u64 = 4_160;
/// The number of a token, with its comma.
const TOKEN_NUMBER_BYTES: u64 = 6;
/// A page as it is scanned, small.
const PAGE_BYTES: u64 = 50_000;
