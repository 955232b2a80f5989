//! What measured calls teach about how models count, and what is known of them beforehand.

use std::collections::HashMap;

use super::Passed;
use crate::lean::fnv::ByFnv;

/// What measured calls teach about a model: how its tokens compare with estimated ones, and how long its
/// answers are. Holds at most [`MODELS_MAX`] models.
///
/// ```
/// use tollgate_core::estimate::{Learned, Passed};
///
/// let mut learned = Learned::default();
/// learned.teach("gpt-5-mini", 120, 120, Passed::text(100));
/// assert_eq!(learned.mean_output("gpt-5-mini"), Some(120));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Learned {
    models: HashMap<String, Lesson, ByFnv>,
}

/// Sums over the measured calls of one model; halved now and then, so that newer calls weigh more.
#[derive(Clone, Copy, Debug)]
struct Lesson {
    /// What its name says, looked up once.
    maker: Maker,
    calls: u64,
    output: u64,
    /// Of answers whose text can be told apart: its tokens by the provider's count, and by ours.
    text: u64,
    text_estimated: u64,
}

/// Most models that are learned about; calls of further ones teach nothing.
pub const MODELS_MAX: usize = 256;

impl Learned {
    /// Learns from a measured call of `model`: its whole output, the visible part of that, and what passed of
    /// it.
    pub fn teach(&mut self, model: &str, output: u64, visible: u64, passed: Passed) {
        if !self.models.contains_key(model) && self.models.len() >= MODELS_MAX {
            return;
        }
        let lesson = self.models.entry(model.to_owned()).or_insert_with(|| Lesson::of(model));
        if lesson.calls >= CALLS_REMEMBERED {
            for sum in [&mut lesson.calls, &mut lesson.output, &mut lesson.text, &mut lesson.text_estimated] {
                *sum /= 2;
            }
        }
        lesson.calls += 1;
        lesson.output = lesson.output.saturating_add(output);
        let maker = lesson.maker;
        let text = visible.saturating_sub(maker.tool_calls(passed));
        if passed.tells_text(output, visible) && maker.is_likely(text, passed.text) {
            lesson.text = lesson.text.saturating_add(text);
            lesson.text_estimated = lesson.text_estimated.saturating_add(passed.text);
        }
    }

    /// What passed of an answer, as tokens of `model`: by its maker's factor, and the more by what was
    /// learned of it the more that was.
    pub fn tokens(&self, model: &str, passed: Passed) -> u64 {
        let lesson = self.models.get(model).copied().unwrap_or_else(|| Lesson::of(model));
        let maker = lesson.maker;
        let counted = lesson.text.saturating_add(maker.percent * ASSUMED_TOKENS / 100);
        let estimated = lesson.text_estimated.saturating_add(ASSUMED_TOKENS);
        let scaled = passed.text.saturating_mul(counted).saturating_add(estimated / 2) / estimated;
        scaled.saturating_add(maker.tool_calls(passed))
    }

    /// The mean output of a measured call of `model`.
    pub fn mean_output(&self, model: &str) -> Option<u64> {
        let lesson = self.models.get(model)?;
        lesson.output.checked_div(lesson.calls)
    }
}

impl Lesson {
    /// That of a model of which nothing has been learned.
    fn of(model: &str) -> Self {
        Self { maker: Maker::of(model), calls: 0, output: 0, text: 0, text_estimated: 0 }
    }
}

/// How the models of one maker differ from o200k.
#[derive(Clone, Copy, Debug)]
struct Maker {
    /// Percent of o200k's count for the same text.
    percent: u64,
    /// Tokens that frame a function call, besides its name and arguments.
    tool_call: u64,
    /// The same, of each where there are several: OpenAI's models wrap calls that they make at once in
    /// another.
    parallel_call: u64,
}

impl Passed {
    /// Whether the text's part of the output is known: reasoning that passed was reported apart, and what
    /// frames calls is little beside it.
    const fn tells_text(self, output: u64, visible: u64) -> bool {
        let reasoning_apart = self.reasoning == 0 || visible < output;
        reasoning_apart && self.text >= CALL_TEXT_MIN.saturating_mul(self.tool_calls) && self.text > 0
    }
}

impl Maker {
    /// By a part of the model's name, in any case. Medians of the development recordings, 2026-11-25: what
    /// was reported for answers of text beside its o200k tokens, and for answers with calls, less their text
    /// and names.
    fn of(model: &str) -> Self {
        const MAKERS: &[(&str, [u8; 3])] = &[
            ("claude", [119, 42, 45]),
            ("command", [106, 14, 8]),
            ("deepseek", [102, 36, 36]),
            ("gpt-oss", [108, 11, 11]),
            ("gpt-4", [100, 8, 14]),
            ("gpt-5", [100, 11, 17]),
            ("grok", [97, 22, 22]),
            ("llama", [106, 20, 20]),
            ("gemini", [103, 4, 2]),
            ("gemma", [118, 5, 5]),
            ("nova", [101, 20, 20]),
            ("kimi", [100, 11, 11]),
            ("stral", [105, 3, 3]),
        ];
        let model = model.as_bytes();
        let begins_at = |name: &[u8], at: usize| {
            model.get(at..at + name.len()).is_some_and(|part| part.eq_ignore_ascii_case(name))
        };
        let is_in = |name: &[u8]| {
            let first = name.first().copied().unwrap_or(0);
            let starts = model.iter().enumerate().filter(|(_, byte)| (**byte | 0x20) == first);
            starts.into_iter().any(|(at, _)| begins_at(name, at))
        };
        let named = MAKERS.iter().find(|(name, _)| is_in(name.as_bytes()));
        let [percent, tool_call, parallel_call] =
            named.map_or([100, 10, 12], |(_, maker)| *maker).map(u64::from);
        Self { percent, tool_call, parallel_call }
    }

    /// Whether a count of the text may be true. What is far from ours has hidden reasoning in it, or not all
    /// of the text.
    const fn is_likely(self, text: u64, estimated: u64) -> bool {
        let expected = estimated.saturating_mul(self.percent) / 100;
        text <= expected.saturating_mul(2) && text.saturating_mul(2) >= expected
    }

    const fn tool_calls(self, passed: Passed) -> u64 {
        let each = if passed.tool_calls > 1 { self.parallel_call } else { self.tool_call };
        each.saturating_mul(passed.tool_calls)
    }
}

/// Estimated tokens for which a maker's factor stands beside what was learned.
const ASSUMED_TOKENS: u64 = 200;
/// Text that an answer must have for each of its calls to be learned from.
const CALL_TEXT_MIN: u64 = 100;
/// Calls of a model after which its sums are halved.
const CALLS_REMEMBERED: u64 = 1_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_learned_never_overflows(output in any::<u64>(), text in any::<u64>(), calls in 1usize..5) {
            let mut learned = Learned::default();
            let passed = Passed { text, tool_calls: text, ..Passed::default() };
            for _ in 0..calls {
                learned.teach("m", output, output, Passed::text(text));
                learned.teach("m", output, output, passed);
            }
            let _ = learned.tokens("m", passed);
            prop_assert!(learned.mean_output("m").is_some());
        }
    }

    #[test]
    fn measured_calls_correct_the_factor_of_their_model_more_and_more() {
        let mut learned = Learned::default();
        let text = Passed::text(1_000);
        let mut before = learned.tokens("m", text);
        for _ in 0..4 {
            learned.teach("m", 690, 690, Passed::text(500));
            let now = learned.tokens("m", text);
            assert!((before + 1..1_380).contains(&now), "{now} after {before}");
            before = now;
        }
        assert!(before > 1_340, "{before}");
        assert_eq!(learned.mean_output("m"), Some(690));
        assert_eq!(learned.tokens("another", text), 1_000);
    }

    #[test]
    fn answers_whose_text_cannot_be_told_apart_teach_their_length_only() {
        let (text, seen) = (Passed::text(100), Passed { text: 100, reasoning: 80, ..Passed::default() });
        for (output, visible, passed, expected) in [
            (190, 190, seen, 1_000),                             // reasoning in the count
            (190, 110, seen, 1_033),                             // the same, told apart
            (900, 900, text, 1_000),                             // more than the text can be
            (20, 20, text, 1_000),                               // less
            (130, 130, Passed { tool_calls: 2, ..text }, 1_000), // mostly the framing of calls
            (5, 5, Passed::default(), 1_000),
        ] {
            let mut learned = Learned::default();
            learned.teach("m", output, visible, passed);
            assert_eq!(learned.tokens("m", Passed::text(1_000)), expected, "{output} {visible} {passed:?}");
            assert_eq!(learned.mean_output("m"), Some(output));
        }
    }

    #[test]
    fn what_frames_calls_is_the_makers_whose_name_is_in_the_models() {
        let passed = Passed { text: 100, tool_calls: 2, ..Passed::default() };
        for model in ["claude-sonnet-4-5", "us.anthropic.Claude-sonnet-4-5"] {
            assert_eq!(Learned::default().tokens(model, passed), 119 + 90, "{model}");
        }
        assert_eq!(Learned::default().tokens("gpt-5", passed), 100 + 34);
    }

    #[test]
    fn models_beyond_the_bound_teach_nothing() {
        let mut learned = Learned::default();
        for n in 0..2 * MODELS_MAX {
            learned.teach(&format!("model-{n}"), 1, 1, Passed::default());
        }
        assert_eq!(learned.models.len(), MODELS_MAX);
    }
}
