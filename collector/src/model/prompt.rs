//! What prompts are made of, summed over calls: bytes and tokens by part, what repeats, how long answers are.
//!
//! A record has the bytes of each part of its prompt, and the tokens of the whole. A part's tokens are its
//! share of the bytes, so they are an estimate, and the parts add up to the whole.

use tollgate_core::record::{PromptShape, UsageRecord};

/// Sums over calls whose prompts were looked at.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PromptCounts {
    /// Calls.
    pub calls: u64,
    /// Tokens of their prompts.
    pub input_tokens: u64,
    /// Bytes of each part, in the order of [`Part::ALL`].
    pub bytes: [u64; PARTS],
    /// Tokens of each part, likewise.
    pub tokens: [u64; PARTS],
    /// Calls that began with the system prompt and tools of another one, within [`CACHED_MS`] before.
    pub repeats: u64,
    /// Tokens of system prompt and tools in those that are long enough to be cached.
    pub cacheable_tokens: u64,
    /// Tokens that such calls read from caches.
    pub repeats_read_tokens: u64,
    /// Answers by length: those of fewer than 2ⁿ tokens, and not of fewer than half that, at place n.
    pub answers: [u64; LENGTHS],
}

/// A part of a prompt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The system prompt.
    System,
    /// Definitions of tools.
    Tools,
    /// What tools answered.
    ToolResults,
    /// What the model said before: the history of a conversation.
    History,
    /// What users said.
    User,
    /// Anything else.
    Other,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; PARTS] =
        [Self::System, Self::Tools, Self::ToolResults, Self::History, Self::User, Self::Other];

    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Tools => "tools",
            Self::ToolResults => "tool_results",
            Self::History => "history",
            Self::User => "user",
            Self::Other => "other",
        }
    }

    /// The part that messages of this role are.
    fn of_role(role: &str) -> Self {
        match role {
            "system" | "developer" => Self::System,
            "assistant" | "model" | "chatbot" => Self::History,
            "tool" | "function" => Self::ToolResults,
            "user" => Self::User,
            _ => Self::Other,
        }
    }
}

impl PromptCounts {
    /// Of one record; none where nobody looked at its prompt.
    pub fn of(record: &UsageRecord) -> Option<Self> {
        let shape = record.prompt.as_ref()?;
        let bytes = bytes_of(shape);
        let input_tokens = record.usage.input_tokens.unwrap_or(0);
        let tokens = shares(input_tokens, bytes);
        let mut counts = Self { calls: 1, input_tokens, bytes, tokens, ..Self::default() };
        if let Some(place) =
            record.usage.output_tokens.and_then(|length| counts.answers.get_mut(length_class(length)))
        {
            *place = 1;
        }
        Some(counts)
    }

    /// Notes that the call began like another one shortly before.
    pub fn note_repeat(&mut self, read_tokens: u64) {
        self.repeats = 1;
        let prefix = self.part(Part::System).saturating_add(self.part(Part::Tools));
        if prefix >= CACHED_TOKENS_MIN {
            self.cacheable_tokens = prefix;
            self.repeats_read_tokens = read_tokens;
        }
    }

    /// Tokens of a part.
    pub fn part(&self, part: Part) -> u64 {
        self.tokens.get(part as usize).copied().unwrap_or(0)
    }

    /// Adds others to these. What would pass 2⁶⁴ stays there.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.all_mut().into_iter().zip(other.clone().all_mut()) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// Takes others out of these.
    pub fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.all_mut().into_iter().zip(other.clone().all_mut()) {
            *mine = mine.saturating_sub(*theirs);
        }
    }

    /// Every number, in an order that never changes: it is stored in it.
    pub fn all_mut(&mut self) -> Vec<&mut u64> {
        let Self {
            calls,
            input_tokens,
            bytes,
            tokens,
            repeats,
            cacheable_tokens,
            repeats_read_tokens,
            answers,
        } = self;
        let mut all = vec![calls, input_tokens, repeats, cacheable_tokens, repeats_read_tokens];
        all.extend(bytes.iter_mut().chain(tokens).chain(answers));
        all
    }
}

/// Tokens by their share of the bytes. They add up: what rounding down leaves goes to the parts that lost the
/// most by it.
fn shares(input_tokens: u64, bytes: [u64; PARTS]) -> [u64; PARTS] {
    let all: u128 = bytes.iter().map(|one| u128::from(*one)).sum();
    let scaled = bytes.map(|bytes| u128::from(bytes).saturating_mul(u128::from(input_tokens)));
    let narrow = |tokens: Option<u128>| u64::try_from(tokens.unwrap_or(0)).unwrap_or(u64::MAX);
    let mut tokens = scaled.map(|scaled| narrow(scaled.checked_div(all)));
    let mut left = if all == 0 { 0 } else { input_tokens.saturating_sub(tokens.iter().sum()) };
    let mut order: Vec<usize> = (0..PARTS).collect();
    let lost = |at: &usize| scaled.get(*at).and_then(|scaled| scaled.checked_rem(all)).unwrap_or(0);
    order.sort_by_key(|at| std::cmp::Reverse(lost(at)));
    for at in order {
        if let Some(one) = tokens.get_mut(at).filter(|_| left > 0) {
            *one = one.saturating_add(1);
            left = left.saturating_sub(1);
        }
    }
    tokens
}

/// The place of an answer of this length among [`PromptCounts::answers`].
fn length_class(tokens: u64) -> usize {
    let class = u64::BITS.saturating_sub(tokens.leading_zeros());
    usize::try_from(class).unwrap_or(usize::MAX).min(LENGTHS.saturating_sub(1))
}

/// Bytes of each part. A system prompt that stands among the messages is counted once.
fn bytes_of(shape: &PromptShape) -> [u64; PARTS] {
    let mut bytes = [0u64; PARTS];
    for (role, more) in &shape.bytes_by_role {
        if let Some(sum) = bytes.get_mut(Part::of_role(role) as usize) {
            *sum = sum.saturating_add(*more);
        }
    }
    let [system, tools, ..] = &mut bytes;
    *system = (*system).max(shape.system_bytes.unwrap_or(0));
    *tools = shape.tools_bytes.unwrap_or(0);
    bytes
}

/// Parts of a prompt.
pub const PARTS: usize = 6;
/// Classes of answers by length.
pub const LENGTHS: usize = 24;
/// How long providers keep what they have cached, at least: Anthropic 5 minutes, OpenAI 5 to 10. Source:
/// public copies of their pages on prompt caching, read 2026-11-30; the pages themselves were not opened.
pub const CACHED_MS: u64 = 5 * 60_000;
/// The shortest prompt that OpenAI caches, and Anthropic for most of its models, in tokens. Source: the same.
pub const CACHED_TOKENS_MIN: u64 = 1_024;

#[cfg(test)]
mod tests {
    use tollgate_core::usage::Usage;

    use super::*;

    fn record(system: u64, by_role: &[(&str, u64)], input: u64, output: u64) -> UsageRecord {
        UsageRecord {
            prompt: Some(PromptShape {
                system_bytes: Some(system),
                bytes_by_role: by_role.iter().map(|(role, bytes)| ((*role).to_owned(), *bytes)).collect(),
                ..PromptShape::default()
            }),
            usage: Usage { input_tokens: Some(input), output_tokens: Some(output), ..Usage::default() },
            ..UsageRecord::default()
        }
    }

    #[test]
    fn parts_have_their_share_of_the_tokens_and_add_up() {
        let counts =
            PromptCounts::of(&record(8_000, &[("user", 1_000), ("model", 1_001)], 2_501, 0)).unwrap();
        assert_eq!(counts.part(Part::System), 2_001);
        assert_eq!((counts.part(Part::User), counts.part(Part::History)), (250, 250));
        assert_eq!(counts.tokens.iter().sum::<u64>(), 2_501);
        // A system prompt that is a message is in both numbers of the shape.
        let counts = PromptCounts::of(&record(80, &[("system", 80), ("user", 20)], 100, 0)).unwrap();
        assert_eq!((counts.part(Part::System), counts.part(Part::User)), (80, 20));
        assert_eq!(PromptCounts::of(&UsageRecord::default()), None);
    }

    #[test]
    fn answers_are_told_apart_by_powers_of_two() {
        for (tokens, class) in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1_023, 10), (1_024, 11)] {
            let counts = PromptCounts::of(&record(1, &[], 1, tokens)).unwrap();
            assert_eq!(counts.answers.iter().position(|calls| *calls == 1), Some(class), "{tokens}");
        }
        assert_eq!(length_class(u64::MAX), LENGTHS - 1);
    }

    #[test]
    fn what_was_added_can_be_taken_out() {
        let (one, two) = (record(10, &[("tool", 7)], 9, 3), record(5, &[("user", 9)], 4, 70));
        let [one, two] = [one, two].map(|record| PromptCounts::of(&record).unwrap());
        let mut sum = one.clone();
        sum.add(&two);
        assert_eq!((sum.calls, sum.input_tokens), (2, 13));
        sum.subtract(&two);
        assert_eq!(sum, one);
    }
}
