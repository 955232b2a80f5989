//! What a request body says: the model, and what decides the price.
//!
//! Long: the places of a request and what each does, read in one pass.

pub(crate) mod bounds;
mod content;
pub mod include_usage;
pub mod model_name;
mod multipart;
pub mod output_limit;
pub mod prints;
mod rewrite;
mod session;

use std::sync::OnceLock;

use crate::decode::json::{self, Action, Scanner, Shape, Sink};
use crate::estimate::TextCounter;
use crate::record::PromptShape;
use bounds::RequestBounds;
pub use content::Content;
use multipart::Multipart;
use prints::{Part, PrintKey, Prints};
pub(crate) use session::AsksFor;
use session::Said as Session;

/// Reads a request body as it streams by, in any pieces; holds a bounded amount of it.
///
/// ```
/// use tollgate_core::request::RequestMeter;
///
/// let mut meter = RequestMeter::default();
/// for piece in [&br#"{"model":"gpt-5-m"#[..], br#"ini","stream":true}"#] {
///     meter.feed(piece);
/// }
/// assert_eq!((meter.model(), meter.stream()), (Some("gpt-5-mini"), true));
/// ```
#[derive(Debug)]
pub struct RequestMeter {
    json: Json,
    framing: Framing,
    unread: bool,
    body_bytes: u64,
}

/// What reads the request as JSON.
#[derive(Debug)]
struct Json {
    scanner: Scanner<Field>,
    reading: Reading,
}

/// How the body is framed, as its first byte tells.
#[derive(Debug)]
enum Framing {
    Undecided,
    Json,
    Multipart(Box<Multipart>),
    /// What a caller says in a session.
    WebSocket(Box<Session>),
}

#[derive(Debug, Default)]
struct Reading {
    model: Option<String>,
    service_tier: Option<String>,
    stream: bool,
    background: bool,
    /// Something was read beside text whose tokens its bytes do not tell.
    has_media: bool,
    text: TextCounter,
    /// Of the prompt, where they are counted.
    characters: Option<u64>,
    /// Of a session's message: what it is, and the model that it sets the session up with.
    event: Option<String>,
    session_model: Option<String>,
    transcription_model: Option<String>,
    /// The message asks for a turn, at Google.
    asks: bool,
    /// Made only where the operator gave a secret.
    prints: Option<Box<Prints>>,
    /// Read only where a budget may be for the call.
    bounds: Option<Box<RequestBounds>>,
}

/// What stands at a place: for the meter, and for what bounds the call.
#[derive(Clone, Copy, Debug, Default)]
struct Field {
    said: Option<Said>,
    bound: Option<bounds::Field>,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Model,
    Stream,
    Background,
    ServiceTier,
    Media,
    Event,
    Asks,
    SessionModel,
    TranscriptionModel,
    Text(Part),
    Role,
    Message,
}

impl From<Said> for Field {
    fn from(said: Said) -> Self {
        Self { said: Some(said), bound: None }
    }
}

impl Default for RequestMeter {
    fn default() -> Self {
        Self {
            json: Json { scanner: Scanner::new(shape()), reading: Reading::default() },
            framing: Framing::Undecided,
            unread: false,
            body_bytes: 0,
        }
    }
}

impl RequestMeter {
    /// Do not read the body, or no more of it: it is neither JSON nor a form, or encoded, or a piece is
    /// missing.
    pub fn unread(&mut self) {
        self.unread = true;
        if self.body_bytes > 0 {
            self.json.reading.prints = None;
        }
    }

    /// Counts the characters of the text that is to be spoken. To be said before the first piece.
    pub const fn count_characters(&mut self) {
        self.json.reading.characters = Some(0);
    }

    /// Characters (Unicode scalar values) of the text that is to be spoken, where they are counted and there
    /// are any.
    pub fn characters(&self) -> Option<u64> {
        self.json.reading.characters.filter(|characters| *characters > 0)
    }

    /// Bytes for a millisecond of the sound that is sent, as its file's beginning tells.
    pub(crate) fn sound_bytes_per_ms(&self) -> u64 {
        match &self.framing {
            Framing::Multipart(form) => form.sound_bytes_per_ms(),
            _ => 2,
        }
    }

    /// Makes prints of the request under this key. To be said before the first piece.
    pub fn print(&mut self, key: PrintKey) {
        self.json.reading.prints = Some(Box::new(Prints::new(key)));
    }

    /// The keyed hash of the whole body, where it is made and there is one.
    pub fn hash(&self) -> Option<String> {
        self.json.reading.prints.as_ref().filter(|_| self.body_bytes > 0).map(|prints| prints.request())
    }

    /// The shape of the prompt, where prints are made.
    pub fn prompt(&self) -> Option<PromptShape> {
        self.json.reading.prints.as_ref().and_then(|prints| prints.shape())
    }

    /// Reads a piece of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.body_bytes = self.body_bytes.saturating_add(bytes.len() as u64);
        if let Some(prints) = &mut self.json.reading.prints {
            prints.body(bytes);
        }
        if self.unread {
            return;
        }
        let mut bytes = bytes;
        if let Framing::Undecided = self.framing {
            // The space of JSON belongs to no framing, whichever piece it comes in.
            let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
            let Some(at) = bytes.iter().position(|byte| !is_space(byte)) else { return };
            bytes = bytes.get(at..).unwrap_or_default();
            let is_form = bytes.starts_with(b"-");
            self.framing = if is_form { Framing::Multipart(Box::default()) } else { Framing::Json };
        }
        match &mut self.framing {
            Framing::Multipart(form) => form.feed(bytes, &mut |json| self.json.feed(json)),
            Framing::Undecided | Framing::Json => self.json.feed(bytes),
            Framing::WebSocket(session) => session.feed(bytes),
        }
    }

    /// The body is a form, as its content type says. To be said before the first piece.
    pub fn form(&mut self, content_type: &[u8]) {
        let form = Multipart::of(&String::from_utf8_lossy(content_type));
        self.framing = Framing::Multipart(Box::new(form));
    }

    /// The body is a websocket's frames. To be said before the first piece.
    pub(crate) fn session(&mut self, asks_for: AsksFor) {
        let watches = self.json.reading.bounds.is_some();
        self.framing = Framing::WebSocket(Box::new(Session::new(watches, asks_for)));
    }

    /// Takes how many turns were asked for in a session since, where they are no calls of their own.
    pub const fn take_turns(&mut self) -> u32 {
        match &mut self.framing {
            Framing::WebSocket(session) => session.take_turns(),
            _ => 0,
        }
    }

    /// Takes the requests for an answer that have come whole in a session since; `None` where there were too
    /// many at once.
    pub fn take_asked(&mut self) -> Option<Vec<Self>> {
        match &mut self.framing {
            Framing::WebSocket(session) => session.take_asked(),
            _ => Some(Vec::new()),
        }
    }

    /// Whether the body is a websocket's, and a message of it has come whole.
    pub const fn has_spoken(&self) -> bool {
        matches!(&self.framing, Framing::WebSocket(session) if session.has_spoken())
    }

    /// Whether the body is a websocket's, and a frame of it cannot be read.
    pub const fn has_unread_frames(&self) -> bool {
        matches!(&self.framing, Framing::WebSocket(session) if session.has_unread())
    }

    /// Whether the body is a websocket's, and no message of it has only come in part.
    pub fn is_between_messages(&self) -> bool {
        !self.unread && matches!(&self.framing, Framing::WebSocket(session) if !session.is_open())
    }

    /// Reads, besides, what bounds the call's cost. To be said before the first piece.
    pub fn watch_bounds(&mut self) {
        self.json.scanner = Scanner::new(bounded_shape());
        self.json.reading.bounds = Some(Box::default());
        if let Framing::WebSocket(session) = &mut self.framing {
            session.watch();
        }
    }

    /// What bounds its cost, where that is read.
    pub fn bounds(&self) -> Option<&RequestBounds> {
        self.json.reading.bounds.as_deref()
    }

    /// Another model is put into its body.
    pub(crate) fn rename(&mut self, model: &str) {
        self.json.reading.model = Some(model.to_owned());
    }

    /// A limit is written into the request, in the place of the one that it may have; none was.
    pub fn limit_output(&mut self, tokens: Option<u64>) {
        if let Some(bounds) = &mut self.json.reading.bounds {
            bounds.limit_output(tokens);
        }
    }

    /// Whether the body is not read.
    pub const fn is_unread(&self) -> bool {
        self.unread
    }

    /// Whether its body may ask for an answer: it names a model, has a prompt, or cannot be read.
    pub(crate) fn asks_for_an_answer(&self) -> bool {
        let is_blank = !self.unread && matches!(self.framing, Framing::Undecided);
        let has_images = || self.bounds().is_some_and(|bounds| bounds.images > 0);
        let asks = || self.model().is_some() || self.stream() || self.input_estimate().is_some();
        self.body_bytes > 0
            && !is_blank
            && (self.unread || self.is_unreadable() || asks() || self.has_media() || has_images())
    }

    /// Whether what has passed is not a whole JSON document, nor a form that can be read in one way alone.
    pub fn is_unreadable(&self) -> bool {
        let is_odd = matches!(&self.framing, Framing::Multipart(form) if !form.is_plain());
        is_odd || self.json.scanner.is_broken() || self.json.scanner.documents() == 0
    }

    /// Whether a whole JSON document has passed, and nothing behind it.
    pub fn is_whole(&self) -> bool {
        !self.unread && self.json.scanner.documents() > 0 && self.json.scanner.is_outside()
    }

    /// The model asked for, once it has been read.
    pub fn model(&self) -> Option<&str> {
        if let Framing::WebSocket(session) = &self.framing {
            return session.model();
        }
        self.json.reading.model.as_deref()
    }

    /// The model that a session's caller wants to have its words written down by.
    #[must_use]
    pub fn transcription_model(&self) -> Option<&str> {
        match &self.framing {
            Framing::WebSocket(session) => session.transcription_model(),
            _ => None,
        }
    }

    /// The service tier asked for.
    pub fn service_tier(&self) -> Option<&str> {
        self.json.reading.service_tier.as_deref()
    }

    /// Headers that decide a price, by their lower-case name: Bedrock's, whose bodies have no place for it
    /// (Amazon Bedrock, API reference, `InvokeModel`, known from its client libraries; not read anew).
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        let word = || {
            std::str::from_utf8(value).ok().filter(|word| !word.is_empty() && word.len() <= NAME_BYTES_MAX)
        };
        match name {
            b"x-amzn-bedrock-service-tier" => self.json.reading.service_tier = word().map(str::to_owned),
            b"x-amzn-bedrock-performanceconfig-latency" => {
                if let Some(bounds) = &mut self.json.reading.bounds {
                    bounds.latency = word().map(str::to_owned);
                }
            }
            _ => {}
        }
    }

    /// Whether a streamed answer was asked for.
    pub const fn stream(&self) -> bool {
        self.json.reading.stream
    }

    /// Whether the work is to go on without the caller, who fetches its result later.
    #[must_use]
    pub const fn background(&self) -> bool {
        self.json.reading.background
    }

    /// Input tokens, estimated from the text of the prompt; `None` when none was read.
    pub fn input_estimate(&self) -> Option<u64> {
        let tokens = match &self.framing {
            Framing::WebSocket(session) => session.text_tokens(),
            _ => self.json.reading.text.tokens(),
        };
        (tokens > 0).then_some(tokens)
    }

    /// Whether a picture or a file came beside the text, at Google: its bytes do not tell its tokens.
    #[must_use]
    pub const fn has_media(&self) -> bool {
        self.json.reading.has_media
    }

    /// Bytes of the body so far.
    pub const fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

impl Json {
    fn feed(&mut self, bytes: &[u8]) {
        self.scanner.feed(bytes, &mut self.reading);
    }
}

impl Sink<Field> for Reading {
    fn value(&mut self, field: Field, raw: Option<&[u8]>) {
        if let (Some(bound), Some(bounds)) = (field.bound, &mut self.bounds) {
            bounds.value(bound, raw);
        }
        let Some(said) = field.said else { return };
        if let (Said::Message, Some(prints)) = (said, &mut self.prints) {
            prints.message_end();
        }
        let Some(raw) = raw else { return };
        match said {
            Said::Asks => {
                self.asks |= !matches!(raw, b"false" | b"null");
                if raw.starts_with(b"\"") {
                    self.text.feed(raw);
                }
            }
            Said::Model => self.model = short(raw),
            Said::ServiceTier => self.service_tier = short(raw),
            Said::Event => {
                let event = short(raw);
                if self.event.is_some()
                    && let Some(bounds) = &mut self.bounds
                {
                    bounds.stands_twice("type");
                }
                // Who reads the first would answer, who reads the last would not: it is an ask if either is.
                if !self.event.as_deref().is_some_and(session::asks) {
                    self.event = event;
                }
            }
            Said::SessionModel => self.session_model = short(raw),
            Said::TranscriptionModel => self.transcription_model = short(raw),
            Said::Stream => self.stream = raw == b"true",
            Said::Background => self.background |= raw == b"true",
            Said::Media => self.has_media = true,
            Said::Role => {
                if let Some(prints) = &mut self.prints {
                    prints.role(json::text(raw).filter(|role| role.len() <= ROLE_BYTES_MAX));
                }
            }
            Said::Text(_) | Said::Message => {}
        }
    }

    fn text(&mut self, field: Field, piece: &[u8]) {
        if field.said.is_none() {
            if let (Some(bound), Some(bounds)) = (field.bound, &mut self.bounds) {
                bounds.piece(bound, piece.len());
            }
            return;
        }
        self.text.feed(piece);
        let part = if let Some(Said::Text(part)) = field.said { part } else { Part::Prompt };
        if let (Some(characters), Part::Prompt) = (&mut self.characters, part) {
            let begins = |byte: &&u8| **byte & 0xC0 != 0x80;
            *characters = characters.saturating_add(piece.iter().filter(begins).count() as u64);
        }
        if let Some(prints) = &mut self.prints {
            prints.text(part, piece);
        }
    }

    fn document_end(&mut self) {}

    fn begins(&mut self, field: Field, first: u8) {
        if let (Some(bound), Some(bounds)) = (field.bound, &mut self.bounds) {
            bounds.begins(bound, first);
        }
        // An object at any place is looked into, and not kept.
        self.asks |= matches!(field.said, Some(Said::Asks)) && first == b'{';
    }

    fn long(&mut self, field: Field, head: &[u8]) {
        if let (Some(bound), Some(bounds)) = (field.bound, &mut self.bounds) {
            bounds.long(bound, head);
        }
        if let Some(Said::Asks) = field.said {
            self.asks = true;
            self.text.feed(head);
        }
    }

    fn too_deep(&mut self) {
        if let Some(bounds) = &mut self.bounds {
            bounds.too_deep();
        }
    }
}

fn short(raw: &[u8]) -> Option<String> {
    json::text(raw).filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)
}

fn shape() -> &'static Shape<Field> {
    static SHAPE: OnceLock<Shape<Field>> = OnceLock::new();
    SHAPE.get_or_init(|| Shape::new(&places()))
}

/// With the places that bound a call.
fn bounded_shape() -> &'static Shape<Field> {
    static SHAPE: OnceLock<Shape<Field>> = OnceLock::new();
    SHAPE.get_or_init(|| bounded(&[]))
}

fn bounded(more: &[(&'static str, Action, Field)]) -> Shape<Field> {
    {
        let mut places = places();
        // Converse has it in an object.
        places.push(("serviceTier.type", Action::Capture, Said::ServiceTier.into()));
        places.extend(more);
        for (path, action, bound) in bounds::places() {
            match places.iter_mut().find(|(known, ..)| *known == path) {
                Some((.., field)) => field.bound = Some(bound),
                None => places.push((path, action, Field { said: None, bound: Some(bound) })),
            }
        }
        let bound = |bound| Field { said: None, bound: Some(bound) };
        let anywhere: Vec<_> =
            bounds::anywhere().map(|(path, action, field)| (path, action, bound(field))).collect();
        let address = bound(bounds::Field::Address);
        let endings: Vec<_> =
            bounds::ENDINGS.iter().map(|ending| (*ending, Action::Capture, address)).collect();
        // What a place says itself is more than what its name says anywhere.
        let both = |own: Field, any: Field| Field { said: own.said, bound: own.bound.or(any.bound) };
        Shape::anywhere(&places, &anywhere, &endings, both)
    }
}

/// The same of a session's messages, with what they are.
fn session_shape() -> &'static Shape<Field> {
    static SHAPE: OnceLock<Shape<Field>> = OnceLock::new();
    SHAPE.get_or_init(|| {
        let asks = |path| (path, Action::Capture, Said::Asks.into());
        let text = |path| (path, Action::Text, Said::Text(Part::Prompt).into());
        bounded(&[
            ("type", Action::Capture, Said::Event.into()),
            // Google reads both spellings of each name.
            asks("clientContent.turnComplete"),
            asks("clientContent.turn_complete"),
            asks("client_content.turnComplete"),
            asks("client_content.turn_complete"),
            asks("realtimeInput.text"),
            asks("realtime_input.text"),
            asks("realtimeInput.activityEnd"),
            asks("realtimeInput.activity_end"),
            asks("realtime_input.activityEnd"),
            asks("realtime_input.activity_end"),
            text("clientContent.turns[].parts[].text"),
            text("client_content.turns[].parts[].text"),
            text("item.content[].text"),
            ("setup.model", Action::Capture, Said::SessionModel.into()),
            ("session.model", Action::Capture, Said::SessionModel.into()),
            ("session.audio.input.transcription.model", Action::Capture, Said::TranscriptionModel.into()),
            ("session.input_audio_transcription.model", Action::Capture, Said::TranscriptionModel.into()),
        ])
    })
}

fn places() -> Vec<(&'static str, Action, Field)> {
    let mut places = vec![
        ("model", Action::Capture, Said::Model.into()),
        ("stream", Action::Capture, Said::Stream.into()),
        ("background", Action::Capture, Said::Background.into()),
        // xAI's word for it.
        ("deferred", Action::Capture, Said::Background.into()),
        ("service_tier", Action::Capture, Said::ServiceTier.into()),
        ("serviceTier", Action::Capture, Said::ServiceTier.into()),
    ];
    places.extend(MEDIA.iter().map(|path| (*path, Action::Capture, Said::Media.into())));
    places.extend(PROMPT_TEXTS.iter().map(|path| {
        // What tools are called bounds a call; the model reads all of them.
        let action = match *path {
            "tools" => Action::Whole,
            // One item may stand in the place of a list.
            "input" => Action::Element,
            _ => Action::Text,
        };
        (*path, action, Said::Text(part(path)).into())
    }));
    for (message, role) in MESSAGES {
        places.extend([
            (*message, Action::Element, Said::Message.into()),
            (*role, Action::Capture, Said::Role.into()),
        ]);
    }
    places
}

/// Where Google's requests say of what kind a picture or a file is.
const MEDIA: [&str; 4] = [
    "contents[].parts[].fileData.mimeType",
    "contents[].parts[].inlineData.mimeType",
    "contents[].parts[].file_data.mime_type",
    "contents[].parts[].inline_data.mime_type",
];

/// Which part of a prompt stands at one of [`PROMPT_TEXTS`].
fn part(path: &str) -> Part {
    match path.split(['.', '[']).next() {
        Some("system" | "instructions" | "systemInstruction" | "system_instruction") => Part::System,
        Some("tools") => Part::Tools,
        Some("messages" | "contents") => Part::Message,
        Some("input") if path.starts_with("input[].") => Part::Message,
        _ => Part::Prompt,
    }
}

/// Where messages stand, and their roles.
const MESSAGES: &[(&str, &str)] =
    &[("messages[]", "messages[].role"), ("contents[]", "contents[].role"), ("input[]", "input[].role")];
const ROLE_BYTES_MAX: usize = 32;

/// Where requests carry text that the model reads. Files and images are left out: their size in bytes says
/// nothing about their tokens.
pub const PROMPT_TEXTS: &[&str] = &[
    // OpenAI chat completions, Anthropic messages, Cohere v2, Mistral, Ollama.
    "messages[].content",
    "messages[].content[].text",
    "messages[].content[].input",
    "messages[].content[].content",
    "messages[].content[].content[].text",
    "messages[].tool_calls[].function",
    "system",
    "system[].text",
    "tools",
    // OpenAI responses, embeddings and completions.
    "instructions",
    "input",
    "input[].content",
    "input[].content[].text",
    "input[].arguments",
    "input[].output",
    "prompt",
    "prompt[]",
    // Google.
    "contents[].parts[].text",
    "contents[].parts[].functionCall",
    "contents[].parts[].functionResponse",
    "systemInstruction.parts[].text",
    "system_instruction.parts[].text",
];

const NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::bound::{Bound, ModelSize};
    use crate::provider::Target;

    #[test]
    fn decision_keys_are_found_behind_the_large_text() {
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":"{}"}}],"stream":true,"model":"gpt-5","service_tier":"flex"}}"#,
            "word ".repeat(10_000)
        );
        for size in [1, 7, body.len()] {
            let mut meter = RequestMeter::default();
            for piece in body.as_bytes().chunks(size) {
                meter.feed(piece);
            }
            assert_eq!(meter.model(), Some("gpt-5"));
            assert_eq!(meter.service_tier(), Some("flex"));
            assert!(meter.stream());
            assert!(meter.input_estimate().is_some_and(|tokens| (9_500..=10_500).contains(&tokens)));
        }
    }

    fn printed(body: &str, size: usize) -> (Option<String>, Option<PromptShape>) {
        let mut meter = RequestMeter::default();
        meter.print(PrintKey::of(b"secret").unwrap());
        body.as_bytes().chunks(size).for_each(|piece| meter.feed(piece));
        (meter.hash(), meter.prompt())
    }

    #[test]
    fn prints_tell_prompts_apart_and_are_the_same_at_every_cut() {
        let chat = |system: &str, question: &str| {
            format!(
                r#"{{"messages":[{{"role":"system","content":"{system}"}},{{"content":[{{"type":"text","text":"{question}"}}],"role":"user"}},{{"role":"assistant","content":"yes"}}],"tools":[{{"type":"function"}}]}}"#
            )
        };
        let body = chat("be brief", "how far?");
        let (hash, shape) = printed(&body, body.len());
        for size in [1, 2, 7] {
            assert_eq!(printed(&body, size), (hash.clone(), shape.clone()));
        }
        let shape = shape.unwrap();
        assert_eq!((shape.system_bytes, shape.tools_bytes), (Some(8), Some(21)));
        let by_role = [("assistant", 3), ("system", 8), ("user", 8)];
        assert_eq!(shape.bytes_by_role, by_role.map(|(role, bytes)| (role.to_owned(), bytes)).into());
        let (other_hash, other) = printed(&chat("be brief", "how long?"), 9);
        assert_ne!(other_hash, hash);
        assert_eq!(other.as_ref().unwrap().system_hash, shape.system_hash);
        assert_ne!(printed(&chat("be long", "how far?"), 9).1.unwrap().system_hash, shape.system_hash);
        assert_eq!(hash.map(|hash| hash.len()), Some(32));
    }

    #[test]
    fn a_system_prompt_is_found_where_each_api_has_it() {
        for (body, system, user) in [
            (r#"{"system":"abc","messages":[{"role":"user","content":"hi"}]}"#, Some(3), Some(2)),
            (r#"{"system":[{"type":"text","text":"abc"}],"messages":[]}"#, Some(3), None),
            (r#"{"instructions":"abc","input":"hello"}"#, Some(3), Some(5)),
            (
                r#"{"input":[{"role":"developer","content":"abcd"},{"role":"user","content":"hi"}]}"#,
                Some(4),
                Some(2),
            ),
            (
                r#"{"systemInstruction":{"parts":[{"text":"abc"}]},"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
                Some(3),
                Some(2),
            ),
            (r#"{"input":["one","two"]}"#, None, Some(6)),
        ] {
            let shape = printed(body, 3).1.unwrap();
            assert_eq!(shape.system_bytes, system, "{body}");
            assert_eq!(shape.bytes_by_role.get("user").copied(), user, "{body}");
        }
        assert_eq!(printed(r#"{"model":"m"}"#, 5).1, None);
        let mut without = RequestMeter::default();
        without.feed(b"{}");
        assert_eq!((without.hash(), without.prompt()), (None, None));
    }

    /// Found by fuzzing: space in a piece of its own was passed over, and in one with a form's first line was
    /// part of it.
    #[test]
    fn space_before_a_form_is_the_same_in_a_piece_of_its_own() {
        let body =
            b"\r\n\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b--\r\n";
        for size in [1, 2, body.len()] {
            let mut meter = RequestMeter::default();
            body.chunks(size).for_each(|piece| meter.feed(piece));
            assert_eq!(meter.model(), Some("whisper-1"), "pieces of {size}");
        }
    }

    /// Found by fuzzing: a form feed in a piece of its own was passed over as space.
    #[test]
    fn what_stands_before_the_body_is_the_same_in_a_piece_of_its_own() {
        for body in [&b"\x0c\"\"{"[..], b" \n{}", b"\xef\xbb\xbf{}"] {
            let read = |size: usize| {
                let mut meter = RequestMeter::default();
                meter.watch_bounds();
                body.chunks(size).for_each(|piece| meter.feed(piece));
                (meter.model().map(str::to_owned), meter.is_unreadable())
            };
            assert_eq!(read(1), read(body.len()), "{body:?}");
        }
    }

    #[test]
    fn a_form_says_what_it_asks_for() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n\u{1}\r\n--\r\n\
            --b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n\
            --b\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n\
            --b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nnames of three planets\r\n--b--\r\n";
        for size in [1, 7, body.len()] {
            let mut meter = RequestMeter::default();
            meter.watch_bounds();
            body.as_bytes().chunks(size).for_each(|piece| meter.feed(piece));
            assert_eq!((meter.model(), meter.stream()), (Some("whisper-1"), true));
            assert!(meter.input_estimate().is_some_and(|tokens| (2..=8).contains(&tokens)));
            assert!(!meter.is_unreadable());
        }
    }

    /// Found by fuzzing: what stands in lists within lists counted once more than it stands there, in one cut
    /// and not in another.
    #[test]
    fn a_prompt_in_lists_within_lists_counts_once_however_it_is_cut() {
        let words = "a few words ".repeat(40);
        let tokens = |prompt: &str, size: usize| {
            let body = format!(r#"{{"prompt":{prompt}}}"#);
            let mut meter = RequestMeter::default();
            meter.watch_bounds();
            body.as_bytes().chunks(size).for_each(|piece| meter.feed(piece));
            meter.input_estimate().unwrap()
        };
        let plain = tokens(&format!("\"{words}\""), 1_000);
        for prompt in [format!("[[\"{words}\",6]]"), format!("[[[[{}]]]]", "6,".repeat(50) + "6")] {
            let whole = tokens(&prompt, 1_000);
            for size in [1, 2, 7] {
                assert_eq!(tokens(&prompt, size), whole, "{prompt} by {size}");
            }
            assert!(whole <= plain + 60, "{prompt}: {whole}");
        }
    }

    #[test]
    fn what_is_said_is_the_same_whether_bounds_are_read_or_not() {
        let tools = r#"[{"type":"function","function":{"name":"f","description":"a \"b\" {"}}, {"type":"web_search"},[1]]"#;
        let body = format!(
            r#"{{"tools":{tools},"model":"m","stream":true,"messages":[{{"role":"user","content":[{{"type":"text","text":"one two"}}]}}]}}"#
        );
        let target = Target::recognise(Some("openai"), "", "/v1/responses");
        let read = |watch: bool, size: usize| {
            let mut meter = RequestMeter::default();
            meter.print(PrintKey::of(b"secret").unwrap());
            if watch {
                meter.watch_bounds();
            }
            body.as_bytes().chunks(size).for_each(|piece| meter.feed(piece));
            let server_tools =
                meter.bounds().map(|bounds| Bound::of(bounds, &target, 0, ModelSize::default()).unbounded);
            (
                meter.input_estimate(),
                meter.prompt(),
                meter.model().map(str::to_owned),
                meter.stream(),
                server_tools,
            )
        };
        let (estimate, prompt, model, stream, _) = read(false, body.len());
        assert_eq!(prompt.as_ref().unwrap().tools_bytes, Some(tools.len() as u64));
        for size in 1..=body.len() {
            let (estimate, prompt, model, stream) = (estimate, prompt.clone(), model.clone(), stream);
            let unbounded = Some(vec!["server_tools", "no_output_limit"]);
            assert_eq!(
                read(true, size),
                (estimate, prompt, model, stream, unbounded),
                "pieces of {size} bytes"
            );
        }
    }

    #[test]
    fn characters_to_be_spoken_are_counted_however_they_are_cut_and_written() {
        let body =
            r#"{"model":"tts-1","instructions":"slowly","input":"h\u00e9 中\ud83d\ude00\n","voice":"alloy"}"#;
        for size in 1..=body.len() {
            let mut meter = RequestMeter::default();
            meter.count_characters();
            body.as_bytes().chunks(size).for_each(|piece| meter.feed(piece));
            assert_eq!(meter.characters(), Some(6), "pieces of {size} bytes");
        }
        let mut without = RequestMeter::default();
        without.feed(body.as_bytes());
        assert_eq!(without.characters(), None);
    }

    #[test]
    fn images_in_a_prompt_are_not_counted_as_text() {
        let mut meter = RequestMeter::default();
        meter.feed(
            br#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:AAAAAAAAAAAA"}}]}]}"#,
        );
        assert_eq!(meter.input_estimate(), None);
    }
}
