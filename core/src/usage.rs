//! Usage: what one call consumed, with one meaning for every provider.
//!
//! Long: the list of counts and of kinds, spelled out for parts, sums, names and inheritance.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Counts of one call, normalised: `input_tokens` is the whole prompt, cached parts included;
/// `output_tokens` is the whole answer, reasoning included (OpenTelemetry's meaning).
///
/// A count that the provider did not give is left out; zero is a count that it gave. The other token counts
/// are parts of these two.
///
/// ```
/// use tollgate_core::usage::Usage;
///
/// // Parts are inside of their whole: of 100 input tokens 80 came from a cache.
/// let usage = Usage { input_tokens: Some(100), cache_read_tokens: Some(80), ..Usage::default() };
/// let mut twice = usage.clone();
/// twice.add(&usage);
/// assert_eq!((twice.input_tokens, twice.cache_read_tokens), (Some(200), Some(160)));
/// ```
///
/// [`Usage::parts`] makes the parts disjoint.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Usage {
    /// Whole prompt: text, cache reads and writes, images, audio, tool results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Part of the input read from the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Part of the input written to the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// `cache_write_tokens` by time to live, as far as the provider said; the rest has the provider's
    /// default.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cache_write_by_ttl: BTreeMap<CacheTtl, u64>,
    /// Whole answer, reasoning included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Part of the output that is reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Part of the output that is text of sources, read to cite them (Perplexity's deep research).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citation_tokens: Option<u64>,
    /// Part of the input that is audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_audio_tokens: Option<u64>,
    /// Part of `cache_read_tokens` that is audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_audio_tokens: Option<u64>,
    /// Part of the output that is audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_audio_tokens: Option<u64>,
    /// Part of the input that is images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_image_tokens: Option<u64>,
    /// Part of `cache_read_tokens` that is images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_image_tokens: Option<u64>,
    /// Part of the output that is images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_image_tokens: Option<u64>,
    /// Part of the input that is video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_video_tokens: Option<u64>,
    /// Part of the input that the provider's own tools put there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tool_tokens: Option<u64>,
    /// Web searches that the provider ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_searches: Option<u64>,
    /// Pages that the provider fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_fetches: Option<u64>,
    /// Searches in stored files that the provider ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_searches: Option<u64>,
    /// Images made, where the provider gives no tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<u64>,
    /// Milliseconds of audio heard or made, where the provider charges by time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_ms: Option<u64>,
    /// Document pages read (OCR).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<u64>,
    /// Search units (Cohere rerank).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_units: Option<u64>,
    /// Characters of text spoken, where the provider charges by them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub characters: Option<u64>,
    /// Sessions of the provider's code interpreter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_sessions: Option<u64>,
}

impl Usage {
    /// Whether the provider gave no count at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it has no count that is not zero.
    pub fn is_nothing(&self) -> bool {
        self.counts().into_iter().flatten().all(|count| count == 0)
    }

    /// The counts as disjoint parts, each with what it is charged as; kinds without a quantity are left out.
    ///
    /// The parts of the input add up to `input_tokens` and those of the output to `output_tokens`, whatever
    /// the provider said: a part that is larger than what is left of its whole is cut to that, and the result
    /// says that the numbers contradict each other.
    pub fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        self.input_parts(&mut parts);
        self.output_parts(&mut parts);
        for (kind, quantity) in [
            (Kind::WebSearch, self.web_searches),
            (Kind::WebFetch, self.web_fetches),
            (Kind::FileSearch, self.file_searches),
            (Kind::Image, self.images),
            (Kind::AudioMillisecond, self.audio_ms),
            (Kind::Page, self.pages),
            (Kind::SearchUnit, self.search_units),
            (Kind::Character, self.characters),
            (Kind::CodeSession, self.code_sessions),
        ] {
            parts.push(kind, quantity.unwrap_or(0));
        }
        parts
    }

    fn input_parts(&self, parts: &mut Parts) {
        let count = |value: Option<u64>| value.unwrap_or(0);
        let mut rest = Remainder::of(count(self.input_tokens));
        let mut write = Remainder::of(rest.take(count(self.cache_write_tokens)));
        for (ttl, quantity) in &self.cache_write_by_ttl {
            let quantity = write.take(*quantity);
            parts.push(Kind::CacheWriteTtl(*ttl), quantity);
        }
        parts.push(Kind::CacheWrite, write.left);
        let mut read = Remainder::of(rest.take(count(self.cache_read_tokens)));
        let read_audio = read.take(count(self.cache_read_audio_tokens));
        let read_image = read.take(count(self.cache_read_image_tokens));
        parts.push(Kind::CacheReadAudio, read_audio);
        parts.push(Kind::CacheReadImage, read_image);
        parts.push(Kind::CacheRead, read.left);
        // Of what was cached nobody may say what it is: that is missing where it was counted by its kind.
        let mut cached = read.left;
        for (kind, quantity) in [
            (Kind::InputAudio, count(self.input_audio_tokens).saturating_sub(read_audio)),
            (Kind::InputImage, count(self.input_image_tokens).saturating_sub(read_image)),
            (Kind::InputVideo, count(self.input_video_tokens)),
            (Kind::InputTool, count(self.input_tool_tokens)),
        ] {
            let missing = quantity.saturating_sub(rest.left).min(cached);
            cached -= missing;
            parts.push(kind, rest.take(quantity - missing));
        }
        parts.push(Kind::Input, rest.left);
        parts.contradictory |= rest.short || write.short || read.short;
    }

    fn output_parts(&self, parts: &mut Parts) {
        let count = |value: Option<u64>| value.unwrap_or(0);
        let mut rest = Remainder::of(count(self.output_tokens));
        parts.push(Kind::OutputAudio, rest.take(count(self.output_audio_tokens)));
        parts.push(Kind::OutputImage, rest.take(count(self.output_image_tokens)));
        parts.push(Kind::Reasoning, rest.take(count(self.reasoning_tokens)));
        parts.push(Kind::Citation, rest.take(count(self.citation_tokens)));
        parts.push(Kind::Output, rest.left);
        parts.contradictory |= rest.short;
    }

    /// What is counted by the piece, as searches are, and is in none of the `shares`. Tokens are always
    /// somebody's.
    #[must_use]
    pub fn pieces_beyond(&self, shares: &[Share]) -> Self {
        let mut rest = Self {
            web_searches: self.web_searches,
            web_fetches: self.web_fetches,
            file_searches: self.file_searches,
            images: self.images,
            audio_ms: self.audio_ms,
            pages: self.pages,
            search_units: self.search_units,
            characters: self.characters,
            code_sessions: self.code_sessions,
            ..Self::default()
        };
        for share in shares {
            for (mine, theirs) in rest.counts_mut().into_iter().zip(share.usage.counts()) {
                *mine = mine.map(|mine| mine.saturating_sub(theirs.unwrap_or(0)));
            }
        }
        rest
    }

    /// Adds another call's or iteration's counts to these.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts_mut().into_iter().zip(other.counts()) {
            if let Some(theirs) = theirs {
                *mine = Some(mine.unwrap_or(0).saturating_add(theirs));
            }
        }
        for (ttl, quantity) in &other.cache_write_by_ttl {
            let mine = self.cache_write_by_ttl.entry(*ttl).or_default();
            *mine = mine.saturating_add(*quantity);
        }
    }

    fn counts(&self) -> [Option<u64>; COUNTS] {
        let mut copy = self.clone();
        copy.counts_mut().map(|count| *count)
    }

    #[inline(never)]
    pub(crate) fn counts_mut(&mut self) -> [&mut Option<u64>; COUNTS] {
        [
            &mut self.input_tokens,
            &mut self.cache_read_tokens,
            &mut self.cache_write_tokens,
            &mut self.output_tokens,
            &mut self.reasoning_tokens,
            &mut self.citation_tokens,
            &mut self.input_audio_tokens,
            &mut self.cache_read_audio_tokens,
            &mut self.output_audio_tokens,
            &mut self.input_image_tokens,
            &mut self.cache_read_image_tokens,
            &mut self.output_image_tokens,
            &mut self.input_video_tokens,
            &mut self.input_tool_tokens,
            &mut self.web_searches,
            &mut self.web_fetches,
            &mut self.file_searches,
            &mut self.images,
            &mut self.audio_ms,
            &mut self.pages,
            &mut self.search_units,
            &mut self.characters,
            &mut self.code_sessions,
        ]
    }
}

/// What one model used of a call that several worked on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Share {
    /// The model; absent where it is the answer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it used.
    pub usage: Usage,
    /// How many calls this is of, beside the first: a batch has many of one model.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_calls: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Share {
    /// Adds what other calls of the same model used.
    pub fn add(&mut self, other: &Self) {
        self.usage.add(&other.usage);
        self.more_calls = self.more_calls.saturating_add(other.more_calls).saturating_add(1);
    }
}

/// Disjoint quantities by kind, from [`Usage::parts`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Parts {
    /// What was consumed, each kind at most once, no zero quantities.
    pub quantities: Vec<(Kind, u64)>,
    /// Whether a part was larger than its whole, so that it had to be cut.
    pub contradictory: bool,
}

impl Parts {
    fn push(&mut self, kind: Kind, quantity: u64) {
        if quantity > 0 {
            self.quantities.push((kind, quantity));
        }
    }
}

/// What a quantity is charged as: a kind of token, or something counted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Input tokens that are none of the following.
    Input,
    /// Tokens read from the cache: text.
    CacheRead,
    /// Tokens read from the cache: audio.
    CacheReadAudio,
    /// Tokens read from the cache: images.
    CacheReadImage,
    /// Tokens written to the cache with the provider's default time to live.
    CacheWrite,
    /// Tokens written to the cache with a stated time to live.
    CacheWriteTtl(CacheTtl),
    /// Audio tokens heard.
    InputAudio,
    /// Image tokens seen.
    InputImage,
    /// Video tokens seen.
    InputVideo,
    /// Tokens that the provider's tools put into the prompt.
    InputTool,
    /// Output tokens that are none of the following.
    Output,
    /// Reasoning tokens.
    Reasoning,
    /// Tokens of sources that an answer cites.
    Citation,
    /// Audio tokens spoken.
    OutputAudio,
    /// Image tokens made.
    OutputImage,
    /// Web searches.
    WebSearch,
    /// Pages fetched.
    WebFetch,
    /// Searches in stored files.
    FileSearch,
    /// Images made.
    Image,
    /// Milliseconds of audio.
    AudioMillisecond,
    /// Document pages.
    Page,
    /// Search units.
    SearchUnit,
    /// Characters of text spoken.
    Character,
    /// Sessions of a code interpreter.
    CodeSession,
    /// One for each call, where a provider charges for the call itself.
    Request,
}

impl Kind {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 28] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheReadAudio,
        Self::CacheReadImage,
        Self::CacheWrite,
        Self::CacheWriteTtl(CacheTtl::FiveMinutes),
        Self::CacheWriteTtl(CacheTtl::HalfHour),
        Self::CacheWriteTtl(CacheTtl::OneHour),
        Self::CacheWriteTtl(CacheTtl::TwelveHours),
        Self::InputAudio,
        Self::InputImage,
        Self::InputVideo,
        Self::InputTool,
        Self::Output,
        Self::Reasoning,
        Self::Citation,
        Self::OutputAudio,
        Self::OutputImage,
        Self::WebSearch,
        Self::WebFetch,
        Self::FileSearch,
        Self::Image,
        Self::AudioMillisecond,
        Self::Page,
        Self::SearchUnit,
        Self::Character,
        Self::CodeSession,
        Self::Request,
    ];

    /// The name in records, rollups and price files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheReadAudio => "cache_read_audio",
            Self::CacheReadImage => "cache_read_image",
            Self::CacheWrite => "cache_write",
            Self::CacheWriteTtl(CacheTtl::FiveMinutes) => "cache_write_5m",
            Self::CacheWriteTtl(CacheTtl::HalfHour) => "cache_write_30m",
            Self::CacheWriteTtl(CacheTtl::OneHour) => "cache_write_1h",
            Self::CacheWriteTtl(CacheTtl::TwelveHours) => "cache_write_12h",
            Self::InputAudio => "input_audio",
            Self::InputImage => "input_image",
            Self::InputVideo => "input_video",
            Self::InputTool => "input_tool",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::Citation => "citation",
            Self::OutputAudio => "output_audio",
            Self::OutputImage => "output_image",
            Self::WebSearch => "web_search",
            Self::WebFetch => "web_fetch",
            Self::FileSearch => "file_search",
            Self::Image => "image",
            Self::AudioMillisecond => "audio_ms",
            Self::Page => "page",
            Self::SearchUnit => "search_unit",
            Self::Character => "character",
            Self::CodeSession => "code_session",
            Self::Request => "request",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind whose rate holds where a price list gives none for this one; `None` where nothing may be
    /// assumed.
    pub const fn inherits(self) -> Option<Self> {
        match self {
            Self::CacheRead
            | Self::CacheWrite
            | Self::InputAudio
            | Self::InputImage
            | Self::InputVideo
            | Self::InputTool => Some(Self::Input),
            Self::CacheWriteTtl(_) => Some(Self::CacheWrite),
            Self::CacheReadAudio | Self::CacheReadImage => Some(Self::CacheRead),
            Self::Reasoning | Self::OutputAudio | Self::OutputImage => Some(Self::Output),
            _ => None,
        }
    }

    /// Whether this counts tokens of the prompt.
    pub const fn is_input(self) -> bool {
        matches!(
            self,
            Self::Input
                | Self::CacheRead
                | Self::CacheReadAudio
                | Self::CacheReadImage
                | Self::CacheWrite
                | Self::CacheWriteTtl(_)
                | Self::InputAudio
                | Self::InputImage
                | Self::InputVideo
                | Self::InputTool
        )
    }

    /// Whether this counts tokens of sound.
    pub const fn is_audio(self) -> bool {
        matches!(self, Self::InputAudio | Self::CacheReadAudio | Self::OutputAudio)
    }

    /// Whether this counts tokens of the answer.
    pub const fn is_output(self) -> bool {
        matches!(
            self,
            Self::Output | Self::Reasoning | Self::Citation | Self::OutputAudio | Self::OutputImage
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Kind {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Kind".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "What a quantity is charged as: a kind of token, or something counted.",
            "type": "string",
            "enum": Self::ALL.map(Self::name),
        })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| {
            serde::de::Error::custom(format!("`{name}` is not a kind of usage, such as `input`"))
        })
    }
}

/// How long a provider keeps what was written to its cache.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CacheTtl {
    /// Anthropic's and Bedrock's default.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// OpenAI.
    #[serde(rename = "30m")]
    HalfHour,
    /// Anthropic and Bedrock, on request.
    #[serde(rename = "1h")]
    OneHour,
    /// OpenAI, on request.
    #[serde(rename = "12h")]
    TwelveHours,
}

impl CacheTtl {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::HalfHour => "30m",
            Self::OneHour => "1h",
            Self::TwelveHours => "12h",
        }
    }
}

/// A whole from which parts are taken until nothing is left.
struct Remainder {
    left: u64,
    short: bool,
}

impl Remainder {
    const fn of(whole: u64) -> Self {
        Self { left: whole, short: false }
    }

    fn take(&mut self, part: u64) -> u64 {
        let taken = part.min(self.left);
        self.short |= taken < part;
        self.left -= taken;
        taken
    }
}

const COUNTS: usize = 23;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_usage() -> impl Strategy<Value = Usage> {
        let count = || proptest::option::of(0u64..10_000);
        let ttls = proptest::collection::btree_map(
            prop_oneof![Just(CacheTtl::FiveMinutes), Just(CacheTtl::OneHour)],
            0u64..5_000,
            0..3,
        );
        (proptest::array::uniform23(count()), ttls).prop_map(|(counts, cache_write_by_ttl)| {
            let mut usage = Usage { cache_write_by_ttl, ..Usage::default() };
            for (field, count) in usage.counts_mut().into_iter().zip(counts) {
                *field = count;
            }
            usage
        })
    }

    proptest! {
        #[test]
        fn parts_add_up_to_their_wholes(usage in any_usage()) {
            let parts = usage.parts();
            let sum = |of: fn(Kind) -> bool| -> u64 {
                parts.quantities.iter().filter(|(kind, _)| of(*kind)).map(|(_, quantity)| quantity).sum()
            };
            prop_assert_eq!(sum(Kind::is_input), usage.input_tokens.unwrap_or(0));
            prop_assert_eq!(sum(Kind::is_output), usage.output_tokens.unwrap_or(0));
        }

        #[test]
        fn parts_are_disjoint_and_never_zero(usage in any_usage()) {
            let mut kinds: Vec<Kind> = usage.parts().quantities.iter().map(|(kind, _)| *kind).collect();
            kinds.sort();
            kinds.dedup();
            prop_assert_eq!(kinds.len(), usage.parts().quantities.len());
            prop_assert!(usage.parts().quantities.iter().all(|(_, quantity)| *quantity > 0));
        }

        #[test]
        fn json_keeps_every_count(usage in any_usage()) {
            let json = serde_json::to_string(&usage).unwrap();
            prop_assert_eq!(serde_json::from_str::<Usage>(&json).unwrap(), usage);
        }
    }

    #[test]
    fn a_cached_part_above_its_whole_is_cut_and_said() {
        let usage = Usage { input_tokens: Some(31), cache_read_tokens: Some(161), ..Usage::default() };
        let parts = usage.parts();
        assert_eq!(parts.quantities, vec![(Kind::CacheRead, 31)]);
        assert!(parts.contradictory);
    }

    #[test]
    fn names_and_kinds_are_one_to_one() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
    }

    #[test]
    fn every_chain_of_inheritance_ends() {
        for mut kind in Kind::ALL {
            for _ in 0..4 {
                if let Some(next) = kind.inherits() {
                    kind = next;
                }
            }
            assert_eq!(kind.inherits(), None);
        }
    }
}
