//! What a request says that bounds its call: the table of every member that decides what a call may cost.
//!
//! Three tables. [`ONCE`]: members that stand in one place and may stand there once; who reads the first and
//! who reads the last would not read the same call. [`PLACES`]: members that count at their place, of which
//! the dearest or the sum holds. [`ANYWHERE`]: members that bring something in from outside, or weigh more
//! than their bytes, wherever they stand, in a tool's result as in a message. An object is taken for a list
//! of one, and the other way round.
//!
//! Sources: the API references of OpenAI (chat completions, completions, responses, images), Azure, Anthropic
//! (messages), Google (Gemini, Vertex AI), Amazon Bedrock (Converse, model parameters), Mistral, Cohere, xAI,
//! `OpenRouter`, Vercel, Hugging Face and Ollama, read 2026-11-25. What was added on 2026-11-28 is known from
//! recordings and client libraries, and was not read in the references anew.
//!
//! Long: most of it is the tables of members that decide what a call can cost.

use crate::decode::json::{self, Action};
use crate::provider::{Api, Target};
use crate::usage::CacheTtl;

/// What a request says that bounds its call; [`super::RequestMeter`] reads it. Holds a bounded amount of it.
#[derive(Clone, Debug, Default)]
pub struct RequestBounds {
    /// The output limit that stands at its place, by its number in [`ONCE`], and any that stand at others:
    /// few have some.
    limit: Option<(u8, u64)>,
    more_limits: Vec<(u8, u64)>,
    /// An output limit that the gateway wrote into the request.
    written_limit: Option<u64>,
    /// Members that go past the API to a model may lift its limit.
    lifts_limit: bool,
    /// A member that may stand once has other letters, and may undo what is written in those of the API.
    has_other_letters: bool,
    pub(crate) choices: Option<u64>,
    pub(crate) prompts: u64,
    pub(crate) images: u64,
    pub(crate) audio_in: bool,
    pub(crate) audio_out: bool,
    pub(crate) image_out: bool,
    pub(crate) cache_write: Option<CacheTtl>,
    pub(crate) speed: Option<String>,
    pub(crate) geo: Option<String>,
    pub(crate) outside: bool,
    pub(crate) server_tools: bool,
    background: bool,
    /// Models that may answer in the place of the one that is asked for.
    models: Vec<String>,
    /// Models that its tools ask.
    tool_models: Vec<String>,
    any_model: bool,
    pub(crate) latency: Option<String>,
    /// Bytes of text that the answer is expected to have.
    pub(crate) predicted_bytes: u64,
    /// Bytes of a query that is read once with each of so many documents.
    pub(crate) query_bytes: u64,
    pub(crate) documents: u64,
    /// What the item of the input that is passing has said of itself.
    item: Item,
    /// Which of [`ONCE`] were there, and one that came twice.
    seen: u32,
    twice: Option<&'static str>,
}

/// An item of a response's input: in the request as a whole, or named by its id alone.
#[derive(Clone, Copy, Debug, Default)]
struct Item {
    has_id: bool,
    /// Says what it is, or who says it.
    is_told: bool,
    /// Is what a model thought, which providers keep.
    is_thought: bool,
    has_thought: bool,
}

/// What stands at a place that bounds a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Field {
    /// By its number in [`ONCE`].
    Once(u8),
    LiftsLimit,
    Choices,
    Prompt,
    Image,
    AudioIn,
    Modalities,
    CacheControl,
    CacheTtl,
    Speed,
    Geo,
    Background,
    /// Something that is not in the request.
    Outside,
    /// The same, where it is an object.
    OutsideObject,
    /// Fetched, unless it is a `data:` address.
    Address,
    /// Sound or film: in the request, or an address.
    Media,
    /// Film, which has frames whatever its bytes are.
    Film,
    SourceType,
    ItemType,
    MediaType,
    ToolType,
    /// Where a tool runs that may be the caller's own.
    ToolPlace,
    ServerTool,
    /// The same, where the member alone says so.
    ServerToolHere,
    /// A member of a tool that no tool of a caller's has.
    OtherTool,
    Model,
    ToolModel,
    AnyModel,
    Latency,
    /// Text that the answer is expected to have, handed over in pieces.
    Prediction,
    /// What each of the documents is compared with, handed over in pieces.
    Query,
    Document,
    /// A response's input, its items, and what tells whether one is whole.
    Input,
    InputItem,
    InputId,
    InputType,
    InputRole,
    InputThought,
    Nothing,
}

impl RequestBounds {
    /// A key that decides about the call and stands in it twice: who reads the first and who reads the last
    /// would not read the same call.
    pub const fn ambiguous(&self) -> Option<&'static str> {
        self.twice
    }

    /// A key that decides about the call came a second time.
    pub(super) const fn stands_twice(&mut self, key: &'static str) {
        self.twice = Some(key);
    }

    /// The output limit, in tokens, where the request has one under a name that its API knows.
    pub fn output_limit(&self, target: &Target) -> Option<u64> {
        if self.lifts_limit {
            return None;
        }
        if self.written_limit.is_some() {
            return self.written_limit;
        }
        // Which of two counts is the provider's choice.
        let mut most = None;
        for (key, limit) in self.limit.iter().chain(&self.more_limits) {
            let is_known = ONCE.get(usize::from(*key)).is_some_and(|(path, ..)| knows_limit(target, path));
            if is_known {
                most = most.max(Some(*limit));
            }
        }
        most
    }

    /// Whether a limit can be written into the request: not where other members may lift it, as what was
    /// written then would bound nothing, and may be more than what stands there.
    pub const fn can_be_limited(&self) -> bool {
        !self.lifts_limit && !self.has_other_letters
    }

    /// A limit is written into the request, in the place of the one that it may have; none was.
    pub const fn limit_output(&mut self, tokens: Option<u64>) {
        self.written_limit = tokens;
    }

    /// How many answers are asked for, to all prompts.
    pub fn answers(&self) -> u64 {
        self.choices.unwrap_or(1).max(1).saturating_mul(self.prompts.max(1))
    }

    /// Whether the work is to go on without the caller.
    pub const fn is_background(&self) -> bool {
        self.background
    }

    /// Models that may answer in the place of the one that is asked for.
    pub fn other_models(&self) -> &[String] {
        &self.models
    }

    /// Models that tools of it ask, beside the one that answers: Anthropic's advisor, what makes pictures.
    pub fn tool_models(&self) -> &[String] {
        &self.tool_models
    }

    /// Whether models may answer that it does not name.
    pub const fn may_be_any_model(&self) -> bool {
        self.any_model
    }

    /// A value begins at a place that bounds a call, with this byte.
    pub(crate) fn begins(&mut self, field: Field, first: u8) {
        match field {
            Field::Once(key) => {
                let Some((path, number, _)) = ONCE.get(usize::from(key)) else { return };
                let bit = 1 << number;
                if self.seen & bit != 0 {
                    // As it is spelled there.
                    self.twice = ONCE.iter().find(|(_, same, _)| same == number).map(|(path, ..)| *path);
                }
                self.seen |= bit;
                self.has_other_letters |= path.starts_with('~');
            }
            // Of a list of numbers, which is one prompt in tokens, none is a prompt.
            Field::Prompt if matches!(first, b'"' | b'[' | b'{') => {
                self.prompts = self.prompts.saturating_add(1);
            }
            Field::Image if !matches!(first, b'n' | b'[') => self.images = self.images.saturating_add(1),
            Field::CacheControl if first != b'n' => {
                self.cache_write = self.cache_write.max(Some(CacheTtl::FiveMinutes));
            }
            Field::OutsideObject | Field::Film => self.outside |= matches!(first, b'{' | b'['),
            Field::ServerToolHere => self.server_tools |= !matches!(first, b'n' | b'f'),
            Field::OtherTool => self.server_tools |= matches!(first, b'{' | b'['),
            Field::Document => self.documents = self.documents.saturating_add(1),
            Field::Input => self.item = Item::default(),
            Field::InputItem => {
                self.item = Item::default();
                // A text to be embedded, or its tokens.
                if matches!(first, b'"' | b'[') {
                    self.prompts = self.prompts.saturating_add(1);
                }
            }
            _ => {}
        }
    }

    /// A piece of what is handed over in pieces.
    pub(crate) const fn piece(&mut self, field: Field, bytes: usize) {
        let sum = match field {
            Field::Prediction => &mut self.predicted_bytes,
            Field::Query => &mut self.query_bytes,
            _ => return,
        };
        *sum = sum.saturating_add(bytes as u64);
    }

    /// A value that is too long to be kept; it begins so.
    pub(crate) fn long(&mut self, field: Field, head: &[u8]) {
        match field {
            Field::Address if head.starts_with(DATA) => {}
            Field::AudioIn | Field::Media | Field::Film => self.value(field, Some(head)),
            _ => self.value(field, None),
        }
    }

    /// Something stands too deep to be read.
    pub(crate) const fn too_deep(&mut self) {
        self.outside = true;
    }

    /// What stands at a place that bounds a call; `None` where it is too long to be kept, or an object or
    /// list.
    // Long: one arm for each place that bounds a call.
    pub(crate) fn value(&mut self, field: Field, raw: Option<&[u8]>) {
        let raw = raw.unwrap_or(b"{}");
        if raw == b"null" {
            return;
        }
        let says = raw != b"false" && raw != b"\"\"";
        match field {
            Field::Once(key) => self.once(key, raw),
            Field::LiftsLimit => self.lifts_limit = true,
            Field::Choices => self.choices = self.choices.max(at_most(raw)),
            Field::AudioIn => {
                self.audio_in = true;
                self.outside |= is_address(raw);
            }
            Field::Media | Field::Film => self.outside |= is_address(raw),
            Field::Modalities => {
                let modality = json::text(raw).unwrap_or_default();
                self.audio_out |= modality.eq_ignore_ascii_case("audio");
                self.image_out |= modality.eq_ignore_ascii_case("image");
            }
            Field::CacheTtl if !is_text(raw, &["5m"]) => self.cache_write = Some(CacheTtl::OneHour),
            Field::Speed => self.speed = json::text(raw),
            Field::Geo => self.geo = json::text(raw),
            Field::Background => self.background |= says,
            Field::Outside => self.outside |= says,
            Field::Address => self.outside |= says && raw != b"{}" && !raw.starts_with(DATA),
            // A document has pages, whatever its bytes are.
            Field::SourceType => self.outside |= !is_text(raw, &["base64", "text", "content"]),
            Field::ItemType => self.item_type(raw),
            Field::MediaType => {
                let is_bounded = ["\"image/", "\"audio/", "\"text/", "\"application/json\""];
                self.outside |= !is_bounded.iter().any(|known| raw.starts_with(known.as_bytes()));
            }
            Field::ToolType => {
                let kind = json::text(raw).unwrap_or_default();
                self.server_tools |= !is_client_tool(&kind);
            }
            // A shell's, or what a computer that the caller runs is.
            Field::ToolPlace => self.server_tools |= raw != b"{}" && !is_text(raw, OWN_PLACES),
            Field::Latency => self.latency = json::text(raw),
            Field::InputId => self.item.has_id |= says,
            Field::InputType => {
                let is_thought = is_text(raw, &["reasoning"]);
                self.item.is_thought |= is_thought;
                self.item.is_told |= says && !is_thought;
                self.item_type(raw);
            }
            Field::InputRole => self.item.is_told |= says,
            Field::InputThought => self.item.has_thought |= says,
            Field::Input | Field::InputItem => {
                let Item { has_id, is_told, is_thought, has_thought } = std::mem::take(&mut self.item);
                let is_whole = if is_thought { has_thought } else { is_told };
                self.outside |= has_id && !is_whole;
            }
            Field::ServerTool => self.server_tools |= says,
            Field::Model => self.any_model |= add_model(&mut self.models, raw),
            Field::ToolModel => self.any_model |= add_model(&mut self.tool_models, raw),
            Field::AnyModel => self.any_model |= says,
            Field::CacheTtl
            | Field::Prompt
            | Field::Image
            | Field::CacheControl
            | Field::OutsideObject
            | Field::ServerToolHere
            | Field::OtherTool
            | Field::Prediction
            | Field::Query
            | Field::Document
            | Field::Nothing => {}
        }
    }

    fn once(&mut self, key: u8, raw: &[u8]) {
        let Some((.., once)) = ONCE.get(usize::from(key)) else { return };
        match once {
            Once::Seen => {}
            Once::Choices => self.choices = self.choices.max(at_most(raw)),
            Once::Models => self.any_model |= add_model(&mut self.models, raw),
            // A document in a text.
            Once::HandedOn => self.lifts_limit |= raw.first() == Some(&b'"'),
            Once::Background => self.background |= raw != b"false",
            // A text is a number to Google's servers alone; others refuse it, or pass it over.
            Once::Limit => self.limit_at(key, raw, raw.first().is_some_and(u8::is_ascii_digit)),
            Once::GooglesLimit => {
                self.limit_at(key, raw, raw.first().is_some_and(|first| matches!(first, b'"' | b'0'..=b'9')));
            }
        }
    }

    fn limit_at(&mut self, key: u8, raw: &[u8], is_number: bool) {
        // None is no limit, at some.
        let limit = if is_number { json::count(raw).filter(|tokens| *tokens > 0) } else { None };
        let limit = limit.map(|tokens| (key, tokens));
        self.more_limits.retain(|(known, _)| *known != key);
        if self.limit.is_none_or(|(known, _)| known == key) {
            self.limit = limit;
        } else {
            self.more_limits.extend(limit);
        }
    }

    fn item_type(&mut self, raw: &[u8]) {
        // As nearly all are.
        if matches!(raw, b"\"text\"" | b"\"function\"" | b"\"input_text\"" | b"\"message\"" | b"\"object\"") {
            return;
        }
        match json::text(raw).as_deref() {
            Some("image" | "input_image" | "image_url") => self.images = self.images.saturating_add(1),
            Some("input_audio") => self.audio_in = true,
            Some(
                "item_reference"
                | "document"
                | "file"
                | "input_file"
                | "container_upload"
                | "document_url"
                | "video_url"
                | "input_video"
                | "video"
                | "input_document"
                | "web_search_call"
                | "file_search_call"
                | "image_generation_call"
                | "code_interpreter_call",
            ) => self.outside = true,
            _ => {}
        }
    }
}

/// Adds a model's name to a list; true where something stands there that is none, or too much.
fn add_model(list: &mut Vec<String>, raw: &[u8]) -> bool {
    let Some(name) = json::text(raw).filter(|name| !name.is_empty()) else {
        return raw != b"{}" && raw != b"\"\"";
    };
    if name.len() > MODEL_BYTES_MAX || list.len() >= MODELS_MAX {
        return true;
    }
    if !list.contains(&name) {
        list.push(name);
    }
    false
}

/// How many a member asks for, as lenient servers read it too: in a text, with a fraction, or more than a
/// number can be here. `None` where it is no number, or none above 0.
fn at_most(raw: &[u8]) -> Option<u64> {
    json::count(raw).or_else(|| {
        let text = json::text(raw);
        let number = text.as_deref().map_or(raw, str::as_bytes).trim_ascii();
        let is_number = number.first().is_some_and(u8::is_ascii_digit);
        let number = serde_json::from_slice::<serde_json::Value>(number).ok();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not below 0, and saturates
        let count = number.as_ref().and_then(serde_json::Value::as_f64).map(|number| number.ceil() as u64);
        // What is too large to be a number here is more than anything.
        is_number.then(|| count.unwrap_or(u64::MAX)).filter(|count| *count > 0)
    })
}

/// Whether the caller runs tools of this kind itself, of whatever day: only their definition is input.
fn is_client_tool(kind: &str) -> bool {
    let is_day = |end: &str| end.len() == 8 && end.bytes().all(|byte| byte.is_ascii_digit());
    let name = kind.rsplit_once('_').filter(|(_, end)| is_day(end)).map_or(kind, |(name, _)| name);
    CLIENT_TOOLS.contains(&name)
}

/// Whether the beginning of a text is an address, and not the bytes of a medium: no base64 has a colon in it,
/// nor a letter that is escaped by its number.
fn is_address(raw: &[u8]) -> bool {
    let head = raw.get(..HEAD_BYTES).unwrap_or(raw);
    raw.starts_with(b"\"")
        && !raw.starts_with(DATA)
        && (head.contains(&b':') || head.windows(2).any(|pair| pair == b"\\u"))
}

/// Whether an API reads its output limit there.
fn knows_limit(target: &Target, path: &str) -> bool {
    match target.api {
        Api::ChatCompletions => {
            path == "max_tokens"
                || path == "~max_tokens" && target.provider == "ollama"
                || path == "max_completion_tokens" && !knows_max_tokens_alone(&target.provider)
        }
        Api::Completions if target.provider == "anthropic" => path == "max_tokens_to_sample",
        Api::Completions | Api::Messages | Api::CohereChat => path == "max_tokens",
        Api::Responses | Api::ResponsesSession => path == "max_output_tokens" && !target.compacts,
        Api::GenerateContent => {
            path.starts_with("generationConfig.") || path.starts_with("generation_config.")
        }
        Api::Interactions => path == "generation_config.max_output_tokens",
        Api::Converse => path == "inferenceConfig.maxTokens",
        Api::Invoke => invoke_limits(target.path_model.as_deref().unwrap_or_default()).contains(&path),
        // Go reads the members of a request in letters of either case, those of its options as they stand.
        Api::OllamaChat => matches!(path, "options.num_predict" | "~options.num_predict"),
        Api::HuggingFaceTask => path == "parameters.max_new_tokens",
        _ => false,
    }
}

/// Where the models of a family on Bedrock read their output limit. It refuses members that a family does not
/// know, so that of a model whose family its name does not tell (an ARN) each of them counts.
fn invoke_limits(model: &str) -> &'static [&'static str] {
    let families: &[(&str, &[&str])] = &[
        ("anthropic.", &["max_tokens", "max_tokens_to_sample"]),
        ("amazon.nova", &["inferenceConfig.maxTokens", "inferenceConfig.max_new_tokens"]),
        ("amazon.titan", &["textGenerationConfig.maxTokenCount"]),
        ("meta.", &["max_gen_len"]),
        ("ai21.j2", &["maxTokens"]),
        ("openai.", &["max_tokens", "max_completion_tokens"]),
        ("mistral.", &["max_tokens"]),
        ("cohere.", &["max_tokens"]),
        ("ai21.", &["max_tokens"]),
        ("deepseek.", &["max_tokens"]),
        ("qwen.", &["max_tokens"]),
        ("writer.", &["max_tokens"]),
    ];
    families.iter().find(|(family, _)| model.contains(family)).map_or(ANY_LIMIT, |(_, limits)| limits)
}

/// Whether a captured value is one of these words, whatever is escaped in it.
fn is_text(raw: &[u8], words: &[&str]) -> bool {
    json::text(raw).is_some_and(|text| words.contains(&text.as_str()))
}

/// What a member says that may stand in a request once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Once {
    /// Nothing that bounds the call.
    Seen,
    Choices,
    Models,
    /// What goes past the API to a model.
    HandedOn,
    Background,
    /// An output limit.
    Limit,
    /// The same in Google's APIs, whose numbers may be texts (protobuf's JSON mapping).
    GooglesLimit,
}

/// The places, to be captured.
pub(crate) fn places() -> impl Iterator<Item = (&'static str, Action, Field)> {
    let skipped = SKIPPED.iter().chain(OWN_TOOLS);
    let once = (0u8..).zip(ONCE).map(|(key, (path, ..))| (*path, Action::Capture, Field::Once(key)));
    let in_pieces = |field: Field| matches!(field, Field::Prediction | Field::Query);
    let action = move |field: Field| if in_pieces(field) { Action::Whole } else { Action::Capture };
    let own = PLACES.iter().map(move |(path, field)| (*path, action(*field), *field));
    once.chain(own).chain(skipped.map(|path| (*path, Action::Skip, Field::Nothing)))
}

/// The places at any depth.
pub(crate) fn anywhere() -> impl Iterator<Item = (&'static str, Action, Field)> {
    ANYWHERE.iter().map(|(path, field)| (*path, Action::Capture, *field))
}

/// Ends of keys that mean the same at any depth.
pub(crate) const ENDINGS: &[&str] = &["_url", "_uri", "Url", "Uri"];

/// Members that may stand in a request once, which of them are spellings of one, and what they say.
pub(crate) const ONCE: &[(&str, u8, Once)] = &[
    ("model", 0, Once::Seen),
    ("stream", 1, Once::Seen),
    ("service_tier", 2, Once::Seen),
    ("serviceTier", 2, Once::Seen),
    ("n", 3, Once::Choices),
    // Output limits: OpenAI and those like it, Anthropic, Mistral, Cohere; OpenAI; responses; Llama,
    // Anthropic's older API and AI21's older one on Bedrock.
    ("max_tokens", 4, Once::Limit),
    ("max_completion_tokens", 5, Once::Limit),
    ("max_output_tokens", 6, Once::Limit),
    ("max_gen_len", 7, Once::Limit),
    ("max_tokens_to_sample", 8, Once::Limit),
    ("maxTokens", 9, Once::Limit),
    // Google reads both spellings.
    ("generationConfig", 10, Once::Seen),
    ("generation_config", 10, Once::Seen),
    ("generationConfig.maxOutputTokens", 11, Once::GooglesLimit),
    ("generationConfig.max_output_tokens", 11, Once::GooglesLimit),
    ("generation_config.maxOutputTokens", 11, Once::GooglesLimit),
    ("generation_config.max_output_tokens", 11, Once::GooglesLimit),
    // Converse, and Nova and Titan as Bedrock invokes them.
    ("inferenceConfig", 12, Once::Seen),
    ("inferenceConfig.maxTokens", 13, Once::Limit),
    ("inferenceConfig.max_new_tokens", 14, Once::Limit),
    ("textGenerationConfig", 15, Once::Seen),
    ("textGenerationConfig.maxTokenCount", 16, Once::Limit),
    // Hugging Face's text generation; Ollama.
    ("parameters", 17, Once::Seen),
    ("parameters.max_new_tokens", 18, Once::Limit),
    ("options", 19, Once::Seen),
    ("options.num_predict", 20, Once::Limit),
    ("additionalModelRequestFields", 21, Once::HandedOn),
    ("background", 22, Once::Background),
    ("models", 23, Once::Models),
    // The same in other letters: Ollama's server, in Go, takes them for those above, and the last of all
    // holds. Others pass them over, so that alone they say nothing there. No source says so of another.
    // Sources: ollama/ollama, `openai/openai.go`, `api/types.go` (`Options.FromMap`, which tells letters
    // apart), and Go's `encoding/json` ("preferring an exact match but also accepting a case-insensitive
    // match"); read 2026-11-29.
    ("~model", 0, Once::Seen),
    ("~stream", 1, Once::Seen),
    ("~n", 3, Once::Choices),
    ("~max_tokens", 4, Once::Limit),
    ("~max_completion_tokens", 5, Once::Seen),
    ("~max_output_tokens", 6, Once::Seen),
    ("~options", 19, Once::Seen),
    ("~options.num_predict", 20, Once::Limit),
    ("~options.~num_predict", 20, Once::Seen),
    ("options.~num_predict", 20, Once::Seen),
];

const ANY_LIMIT: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "max_gen_len",
    "max_tokens_to_sample",
    "maxTokens",
    "inferenceConfig.maxTokens",
    "inferenceConfig.max_new_tokens",
    "textGenerationConfig.maxTokenCount",
];

/// Whether a provider's reference of chat completions knows `max_tokens` alone. A match, not a list: every
/// call asks.
fn knows_max_tokens_alone(provider: &str) -> bool {
    matches!(
        provider,
        "deepseek"
            | "mistral"
            | "together"
            | "perplexity"
            | "huggingface"
            | "zai"
            | "cohere"
            | "ai21"
            | "ollama"
    )
}

/// Members that count at their place.
pub(crate) const PLACES: &[(&str, Field)] = &[
    // What Converse hands on to a model as it is.
    // Anthropic's is a part of its limit.
    ("additionalModelRequestFields.**.budget_tokens", Field::Nothing),
    ("additionalModelRequestFields.**.max", Field::LiftsLimit),
    ("additionalModelRequestFields.**.token", Field::LiftsLimit),
    ("additionalModelRequestFields.**.length", Field::LiftsLimit),
    ("additionalModelRequestFields.**.limit", Field::LiftsLimit),
    ("additionalModelRequestFields.**.predict", Field::LiftsLimit),
    ("additionalModelRequestFields.tools[].type", Field::ToolType),
    // Answers asked for.
    ("best_of", Field::Choices),
    ("num_generations", Field::Choices),
    ("generationConfig.candidateCount", Field::Choices),
    ("generationConfig.candidate_count", Field::Choices),
    ("generation_config.candidateCount", Field::Choices),
    ("generation_config.candidate_count", Field::Choices),
    // Alibaba Cloud, Model Studio, and Hugging Face's tasks.
    ("parameters.n", Field::Choices),
    ("parameters.sampleCount", Field::Choices),
    ("parameters.sample_count", Field::Choices),
    ("parameters.candidateCount", Field::Choices),
    ("parameters.numberOfImages", Field::Choices),
    ("parameters.num_return_sequences", Field::Choices),
    ("config.numberOfImages", Field::Choices),
    ("imageGenerationConfig.numberOfImages", Field::Choices),
    ("sampleCount", Field::Choices),
    ("numberOfImages", Field::Choices),
    ("number_of_images", Field::Choices),
    ("num_images", Field::Choices),
    ("num_outputs", Field::Choices),
    ("samples", Field::Choices),
    // Prompts of which each is answered.
    ("prompt[]", Field::Prompt),
    ("prompts[]", Field::Prompt),
    ("requests[]", Field::Prompt),
    ("instances[]", Field::Prompt),
    ("inputs[]", Field::Prompt),
    ("texts[]", Field::Prompt),
    // What is ranked. Voyage counts the query once with each document (its reranker reference, as client
    // libraries have it, 2026-11-30; not read in the reference anew).
    ("query", Field::Query),
    ("documents[]", Field::Document),
    // Models that may answer: OpenRouter, Vercel, LiteLLM.
    ("models[]", Field::Model),
    ("models[].model", Field::Model),
    ("models[].id", Field::Model),
    ("fallbacks[]", Field::Model),
    ("fallbacks[].model", Field::Model),
    ("fallback_models[]", Field::Model),
    ("providerOptions.gateway.models[]", Field::Model),
    ("preset", Field::AnyModel),
    // What is made, and how.
    ("generationConfig.responseModalities[]", Field::Modalities),
    ("generationConfig.response_modalities[]", Field::Modalities),
    ("generation_config.responseModalities[]", Field::Modalities),
    ("generation_config.response_modalities[]", Field::Modalities),
    ("modalities[]", Field::Modalities),
    // xAI.
    ("deferred", Field::Background),
    ("speed", Field::Speed),
    ("inference_geo", Field::Geo),
    ("performanceConfig.latency", Field::Latency),
    // What of it the answer does not have is charged as output, beyond what is said. Source: OpenAI,
    // Predicted outputs, known from its client library's counts of rejected tokens, 2026-11-29; Mistral has
    // the member too. Not read in the references anew.
    ("prediction", Field::Prediction),
    // Items of a response's input: one that has an id and says nothing else is looked up.
    ("input", Field::Input),
    ("input[]", Field::InputItem),
    ("input[].id", Field::InputId),
    ("input[].type", Field::InputType),
    ("input[].role", Field::InputRole),
    ("input[].encrypted_content", Field::InputThought),
    // What is read besides the request.
    ("conversation", Field::Outside),
    // Cohere, Chat V1: the answers and questions before this one.
    ("conversation_id", Field::Outside),
    ("container", Field::Outside),
    ("assistant_id", Field::Outside),
    ("thread_id", Field::Outside),
    ("promptVariables", Field::Outside),
    ("prompt.id", Field::Outside),
    // Tools that the provider runs.
    ("tools[].type", Field::ToolType),
    ("tools[].model", Field::ToolModel),
    ("tools[].environment", Field::ToolPlace),
    ("tools[].environment.type", Field::ToolPlace),
    // Whatever else an entry has, as `googleSearch`, `mcpServers` and what is yet to come, is a tool of the
    // provider's: [`OWN_TOOLS`] has what callers' own have.
    ("tools[].*", Field::OtherTool),
    ("tools[].providerOptions", Field::Nothing),
    ("toolConfig.tools[].*", Field::OtherTool),
    ("toolConfig.tools[].systemTool", Field::ServerToolHere),
    ("web_search_options", Field::ServerToolHere),
    ("search_parameters", Field::ServerToolHere),
    ("mcp_servers[]", Field::ServerTool),
    ("plugins[]", Field::ServerTool),
    ("connectors[]", Field::ServerTool),
    ("data_sources[]", Field::ServerTool),
    ("dataSources[]", Field::ServerTool),
    ("context_management", Field::ServerToolHere),
    ("agent_id", Field::ServerTool),
    // Alibaba Cloud, Model Studio: a search before the answer.
    ("enable_search", Field::ServerTool),
    ("parameters.enable_search", Field::ServerTool),
    // Caches that a gateway before the provider asks for: Vercel, `LiteLLM`.
    ("providerOptions.gateway.caching", Field::CacheControl),
    ("cache_control_injection_points", Field::CacheControl),
    // What Groq transcribes.
    ("url", Field::Address),
];

/// Members that bring something in from outside, or weigh more than their bytes, at any depth.
pub(crate) const ANYWHERE: &[(&str, Field)] = &[
    // By id, or out of a store.
    ("previous_response_id", Field::Outside),
    ("previous_interaction_id", Field::Outside),
    ("cachedContent", Field::Outside),
    ("cached_content", Field::Outside),
    ("file_id", Field::Outside),
    ("fileId", Field::Outside),
    ("file_ids[]", Field::Outside),
    ("fileIds[]", Field::Outside),
    ("vector_store_id", Field::Outside),
    ("vector_store_ids[]", Field::Outside),
    ("vectorStoreIds[]", Field::Outside),
    ("prompt.id", Field::Outside),
    ("audio.id", Field::Outside),
    ("fileData", Field::Outside),
    ("file_data", Field::Outside),
    ("s3Location", Field::Outside),
    ("s3_location", Field::Outside),
    ("uri", Field::Outside),
    // By an address.
    ("source.type", Field::SourceType),
    ("source.url", Field::Address),
    ("image.url", Field::Address),
    ("image_url", Field::Address),
    ("image_url.url", Field::Address),
    ("imageUrl", Field::Address),
    ("imageUrl.url", Field::Address),
    // What has pages or frames, whatever its bytes are.
    ("document", Field::OutsideObject),
    ("video", Field::Film),
    ("file", Field::OutsideObject),
    ("mimeType", Field::MediaType),
    ("mime_type", Field::MediaType),
    ("mediaType", Field::MediaType),
    ("media_type", Field::MediaType),
    ("type", Field::ItemType),
    // Pictures and sound.
    ("image", Field::Image),
    ("images[]", Field::Image),
    ("inlineData", Field::Image),
    ("inline_data", Field::Image),
    // Mistral's may be an address, and so may that in it at Alibaba Cloud.
    ("input_audio", Field::AudioIn),
    ("input_audio.data", Field::Media),
    ("audio", Field::Media),
    // What is written to a cache at a price of its own.
    ("cache_control", Field::CacheControl),
    ("cache_control.ttl", Field::CacheTtl),
    // The same in the AI SDK's protocol (`providerOptions.anthropic`).
    ("cacheControl", Field::CacheControl),
    ("cacheControl.ttl", Field::CacheTtl),
    ("cachePoint", Field::CacheControl),
    ("cachePoint.ttl", Field::CacheTtl),
];

/// What only describes: schemas, and what callers note for themselves. Nothing in it is read by a model as
/// more than its bytes.
pub(crate) const SKIPPED: &[&str] = &[
    "tools[].function.parameters",
    "tools[].parameters",
    "tools[].input_schema",
    "tools[].functionDeclarations[].parameters",
    "tools[].functionDeclarations[].parametersJsonSchema",
    "tools[].functionDeclarations[].response",
    "tools[].function_declarations[].parameters",
    "tools[].function_declarations[].parameters_json_schema",
    "tools[].function_declarations[].response",
    "toolConfig.tools[].toolSpec.inputSchema",
    "metadata",
    "labels",
    "requestMetadata",
    "response_format.json_schema",
    "text.format.schema",
    "generationConfig.responseSchema",
    "generationConfig.response_schema",
    "generationConfig.responseJsonSchema",
];

/// What tools have that the caller runs itself, besides their schemas and what counts anywhere. What is not
/// here, and is an object or a list, is a tool of the provider's.
///
/// Sources: OpenAI (chat completions and responses: function, custom, computer use, shell, `apply_patch`),
/// Anthropic (tool use; client tools), Google (`Tool`: function declarations, computer use), Amazon Bedrock
/// (`Tool`), Cohere (v1 `parameter_definitions`), the AI SDK's protocol and the Model Context Protocol's
/// `Tool`, whose form some clients pass on. As client libraries have them, 2026-11-29; not read in the
/// references anew.
const OWN_TOOLS: &[&str] = &[
    "tools[].name",
    "tools[].description",
    "tools[].strict",
    "tools[].custom",
    "tools[].format",
    "tools[].output_schema",
    "tools[].allowed_callers",
    "tools[].input_examples",
    "tools[].parameter_definitions",
    "tools[].inputSchema",
    "tools[].outputSchema",
    "tools[].inputExamples",
    "tools[].annotations",
    "tools[]._meta",
    "tools[].icons",
    "tools[].examples",
    "tools[].computerUse",
    "tools[].computer_use",
    "tools[].toolSpec.inputSchema",
];

/// Kinds of tools that the caller runs itself, without their day: OpenAI's and Anthropic's. A shell is the
/// caller's own unless its environment says otherwise. Known from client libraries, 2026-11-29; not read in
/// the references anew.
const CLIENT_TOOLS: &[&str] = &[
    "function",
    "custom",
    "computer",
    "computer_use_preview",
    "computer-preview",
    "bash",
    "text_editor",
    "memory",
    "local_shell",
    "shell",
    "apply_patch",
];

/// Where the tools run that a caller runs itself.
const OWN_PLACES: &[&str] = &["local", "browser", "mac", "windows", "ubuntu", "linux"];
/// So much of a value tells an address; as much as is kept of a long one.
const HEAD_BYTES: usize = 16;
/// An address that has in it what it names.
const DATA: &[u8] = b"\"data:";
/// Other models that are kept, and the longest name of one.
const MODELS_MAX: usize = 8;
const MODEL_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests;
