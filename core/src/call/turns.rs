//! The turns of a session: what was asked for, what has ended, and what broke off. Each is settled on its
//! own.

use super::measure::Measure;
use super::{Answer, Call, SWITCHING_PROTOCOLS, unseen};
use crate::answer::wire::{Normalised, OpenTurn, Turn};
use crate::budget::hold::VOICE_MS;
use crate::estimate::{Learned, Passed};
use crate::price::PriceBook;
use crate::provider::{Api, Target};
use crate::record::{Outcome, UsageRecord};
use crate::request::AsksFor;
use crate::usage::Usage;

impl Call {
    /// The request's body is a websocket's frames. To be said before its first piece.
    pub fn opens_session(&mut self) {
        self.request.session(match self.target.api {
            Api::ResponsesSession => AsksFor::Calls,
            _ => AsksFor::Turns,
        });
    }

    /// Records of the turns of a websocket session that have ended since: each is settled on its own, at its
    /// own time and with an id of its own, so that a session that lasts for hours is charged as it goes.
    pub fn take_turns(
        &mut self,
        gateway: &str,
        book: Option<&PriceBook>,
        now_ms: u64,
        mut next_id: impl FnMut() -> String,
    ) -> Vec<UsageRecord> {
        let mut turns = self.take_ended();
        self.end_asked(now_ms);
        if self.target.api == Api::Voice {
            self.turns_by_time(&mut turns, now_ms);
        }
        turns
            .into_iter()
            .map(|turn| {
                let mut record = self.pending(gateway);
                record.head.id = next_id();
                record.head.time_ms = now_ms;
                record.stream = true;
                record.status = self.answer.as_deref().map(|answer| answer.status);
                record.head.response_model = match turn.is_transcription {
                    true => turn.model.filter(|model| !model.is_empty()),
                    false => self.answering_model(),
                };
                if turn.is_transcription {
                    // The session's model does not transcribe.
                    record.head.request_model = None;
                    let api = if self.target.api == Api::Voice { Api::Responses } else { Api::Transcription };
                    record.head.operation = api.operation().to_owned();
                }
                let mut measure = match turn.by_the_clock {
                    true => Measure::Estimated(turn.normalised),
                    false => Measure::of_turn(turn.normalised),
                };
                measure.place(self.target.place.as_ref());
                measure.apply(&mut record, book);
                record
            })
            .collect()
    }

    /// In a session that is charged by the second: makes a turn of each whole minute that has passed, by the
    /// clock, and of what the provider says at its end only the rest.
    fn turns_by_time(&mut self, turns: &mut Vec<Turn>, now_ms: u64) {
        let elapsed = self.voice_ms(now_ms);
        let mut told = self.voice_told_ms;
        let by_time = |turn: &&mut Turn| !turn.is_transcription && turn.normalised.usage.audio_ms.is_some();
        for turn in turns.iter_mut().filter(by_time) {
            let all = turn.normalised.usage.audio_ms.unwrap_or(0);
            turn.normalised.usage.audio_ms = Some(all.saturating_sub(told));
            told = told.max(all).max(elapsed);
        }
        while elapsed.saturating_sub(told) >= VOICE_MS {
            told += VOICE_MS;
            let usage = Usage { audio_ms: Some(VOICE_MS), ..Usage::default() };
            let normalised = Normalised { usage, ..Normalised::default() };
            turns.push(Turn { by_the_clock: true, normalised, ..Turn::default() });
        }
        self.voice_told_ms = told;
        self.turns_taken |= !turns.is_empty();
    }

    /// How long a session that is charged by the second has lasted.
    fn voice_ms(&self, now_ms: u64) -> u64 {
        let since = |answer: &Answer| {
            (answer.status == SWITCHING_PROTOCOLS).then(|| self.time_ms.saturating_add(answer.first_byte_ms))
        };
        self.answer.as_deref().and_then(since).map_or(0, |since| now_ms.saturating_sub(since))
    }

    /// The requests for an answer that have come whole in a session since, each a call of its own that is
    /// admitted now; `None` where there were too many at once. One that names no model goes on with the
    /// session's last.
    pub fn take_asked(&mut self, now_ms: u64, mut next_id: impl FnMut() -> String) -> Option<Vec<Self>> {
        let asked = self.request.take_asked()?;
        let calls = asked.into_iter().map(|request| {
            if let Some(model) = request.model() {
                self.last_model = Some(model.to_owned());
            }
            let mut turn = self.turn(Api::Responses, next_id(), now_ms);
            turn.request = request;
            turn
        });
        Some(calls.collect())
    }

    /// Counts the turns that the caller of a session has asked for since, where they are no calls of their
    /// own; gives how many.
    pub fn ask_turns(&mut self, now_ms: u64) -> u32 {
        self.end_asked(now_ms);
        let turns = self.request.take_turns();
        self.asked = self.asked.saturating_add(turns);
        if turns > 0 {
            self.asked_ms = now_ms;
        }
        turns
    }

    /// So many turns that were asked for do not reach the provider.
    pub const fn take_back_turns(&mut self, turns: u32) {
        self.asked = self.asked.saturating_sub(turns);
    }

    /// Turns of a session that its provider was asked for and has not ended, where they are no calls of their
    /// own.
    pub const fn asked_turns(&self) -> u32 {
        self.asked
    }

    /// Counts off what has ended of what was asked for. What a provider has said nothing of for long, while
    /// it was idle, it was not asked for, or has taken together with another.
    fn end_asked(&mut self, now_ms: u64) {
        let Some(answer) = &mut self.answer else { return };
        let ended = answer.meter.take_ended();
        self.asked = self.asked.saturating_sub(ended);
        if ended > 0 {
            self.asked_ms = now_ms;
        }
        if !answer.meter.reading().turn().is_open() && now_ms.saturating_sub(self.asked_ms) >= UNANSWERED_MS {
            self.asked = 0;
        }
    }

    /// A turn of this session as a call of its own, that is admitted now.
    #[must_use]
    pub fn turn(&self, api: Api, id: String, now_ms: u64) -> Self {
        let model = self.request_model().map(str::to_owned).or_else(|| self.last_model.clone());
        let target = Target { api, path_model: model, fetches: None, ..self.target.clone() };
        let mut turn = Self::begin(id, now_ms, target, "");
        turn.attribute(self.attribution.clone(), self.attribution_source);
        turn.use_key(self.key_id.clone());
        turn
    }

    /// Takes the turns of a session that have ended since, where each is a call of its own.
    pub fn take_ended(&mut self) -> Vec<Turn> {
        let turns = self.answer.as_deref_mut().map(|answer| answer.meter.take_turns()).unwrap_or_default();
        self.turns_taken |= !turns.is_empty();
        turns
    }

    /// The record of a turn that is a call of its own: what its session's provider reported of it, or else
    /// what can be worked out of `session`, in which it broke off.
    pub fn settle_turn(
        &self,
        ended: Option<Turn>,
        session: &Self,
        gateway: &str,
        book: Option<&PriceBook>,
        (learned, now_ms): (&Learned, u64),
    ) -> UsageRecord {
        let mut record = self.pending(gateway);
        record.stream = true;
        record.request_bytes = Some(self.request.body_bytes());
        record.duration_ms = Some(now_ms.saturating_sub(self.time_ms));
        record.status = session.answer.as_deref().map(|answer| answer.status);
        record.head.service_tier = self.request.service_tier().map(str::to_owned);
        let mut measure = match ended {
            Some(turn) if turn.normalised.says_nothing() => {
                record.outcome = Outcome::Error;
                Measure::Nothing
            }
            Some(turn) => {
                record.head.response_model = turn.model;
                record.head.service_tier =
                    turn.normalised.service_tier().map(str::to_owned).or(record.head.service_tier);
                Measure::of_turn(turn.normalised)
            }
            None if self.target.api.is_session() => {
                record.outcome = Outcome::ClientAbort;
                record.head.response_model = session.answering_model();
                session.queued_turn(now_ms).map_or(Measure::Unknown, Measure::from_estimate)
            }
            None => {
                record.outcome = Outcome::ClientAbort;
                let model = record.head.model().unwrap_or_default();
                let output = self.with_margin(session.passed(model, learned).0, &record);
                let input =
                    self.request.input_estimate().map(|tokens| learned.tokens(model, Passed::text(tokens)));
                let usage = Usage { input_tokens: input, output_tokens: Some(output), ..Usage::default() };
                Measure::from_estimate(usage)
            }
        };
        measure.place(self.target.place.as_ref());
        measure.apply(&mut record, book);
        record
    }

    /// Whether the answer is a websocket's, and no message of it has only come in part.
    pub fn is_between_messages(&self) -> bool {
        self.answer.as_deref().is_some_and(|answer| answer.meter.is_between_messages())
    }

    /// Whether everything of this call is in the records of its turns, so that it has none itself.
    pub fn is_settled_by_turns(&self) -> bool {
        let rest = |answer: &Answer| answer.meter.reported().is_some() || answer.open_turn().is_some();
        self.turns_taken && self.asked == 0 && !self.answer.as_deref().is_some_and(rest)
    }

    /// The model that the session's provider says it answers with.
    fn answering_model(&self) -> Option<String> {
        self.answer.as_deref()?.meter.reading().model().map(str::to_owned)
    }

    /// What a session's turn has used that broke off.
    pub(super) fn open_turn(&self, record: &UsageRecord, learned: &Learned, now_ms: u64) -> Option<Usage> {
        if self.target.api == Api::Voice {
            let rest = self.voice_ms(now_ms).saturating_sub(self.voice_told_ms);
            return (rest > 0).then(|| Usage { audio_ms: Some(rest), ..Usage::default() });
        }
        let answer = self.answer.as_deref()?;
        match answer.open_turn() {
            Some(turn) => {
                let mut usage = turn.usage(self.passed(record.head.model().unwrap_or_default(), learned).0);
                if self.asked > 0 {
                    usage.input_tokens = usage.input_tokens.max(self.request.input_estimate());
                }
                Some(usage)
            }
            None => self.queued_turn(now_ms).filter(|_| self.asked > 0),
        }
    }

    /// What a turn of this session has used that was asked for, of which its provider has said nothing: all
    /// that was said until then, and what the time since was enough for.
    fn queued_turn(&self, now_ms: u64) -> Option<Usage> {
        let output = unseen::in_time(now_ms.saturating_sub(self.asked_ms)).max(1);
        let mut usage = self.answer.as_deref()?.meter.reading().turn().usage(output);
        usage.input_tokens = usage.input_tokens.max(self.request.input_estimate());
        Some(usage)
    }
}

impl Answer {
    /// The turn of a session that has not ended, as far as that is known.
    fn open_turn(&self) -> Option<&OpenTurn> {
        let reading = self.meter.reading();
        // Turns that are calls of their own are settled as such.
        let turn = Some(reading.turn()).filter(|_| !reading.has_own_calls())?;
        Some(turn).filter(|turn| turn.is_open() || self.meter.has_lost())
    }
}

/// A provider that has said nothing for so long, with no turn under way, has none to come.
const UNANSWERED_MS: u64 = 60_000;
