//! What holds for any bytes, as plain functions: the fuzz targets and `core/tests/cuts.rs` call the same
//! ones.
//!
//! Of an input the first byte chooses (an API, an encoding), the second how the rest is cut; the rest is the
//! body. Each function panics where a decoder gives another answer for pieces than for the whole.

use std::fmt::Debug;
use std::sync::LazyLock;

use tollgate_core::answer::meter::Meter;
use tollgate_core::call::{Call, End, Ending, ResponseHead};
use tollgate_core::decode::eventstream::EventStreamDecoder;
use tollgate_core::decode::inflate::Inflate;
use tollgate_core::decode::json::{Action, Scanner, Shape, Sink};
use tollgate_core::decode::sse::{Events, SseDecoder};
use tollgate_core::decode::websocket::WebSocketDecoder;
use tollgate_core::estimate::Learned;
use tollgate_core::price::{Bound, ModelSize};
use tollgate_core::provider::{Api, Target};
use tollgate_core::record::UsageRecord;
use tollgate_core::request::include_usage::{self, UsageChunkFilter};
use tollgate_core::request::prints::PrintKey;
use tollgate_core::request::{RequestMeter, output_limit};

/// Server-Sent Events, and the filter that takes a usage chunk out of them.
pub fn sse(data: &[u8]) {
    cut_alike(data, |_, pieces| {
        let mut found = Found::default();
        let mut decoder = SseDecoder::default();
        pieces.iter().for_each(|piece| decoder.feed(piece, &mut found));
        let open = decoder.is_open();
        decoder.finish(&mut found);
        let mut filter = UsageChunkFilter::default();
        let mut passed: Vec<u8> = pieces.iter().flat_map(|piece| filter.feed(piece)).collect();
        passed.extend(filter.finish());
        (found, open, decoder.events(), passed)
    });
}

/// JSON, one document or several.
pub fn json(data: &[u8]) {
    cut_alike(data, |_, pieces| {
        let mut found = Found::default();
        let mut scanner = Scanner::new(&SHAPE);
        pieces.iter().for_each(|piece| scanner.feed(piece, &mut found));
        scanner.finish(&mut found);
        (found, scanner.is_broken())
    });
}

/// AWS event streams.
pub fn eventstream(data: &[u8]) {
    cut_alike(data, |_, pieces| {
        let mut found = Found::default();
        let mut decoder = EventStreamDecoder::default();
        pieces.iter().for_each(|piece| decoder.feed(piece, &mut found));
        (found, decoder.is_broken(), decoder.is_open(), decoder.exceptions())
    });
}

/// Websocket frames.
pub fn websocket(data: &[u8]) {
    cut_alike(data, |_, pieces| {
        let mut found = Found::default();
        let mut decoder = WebSocketDecoder::default();
        pieces.iter().for_each(|piece| decoder.feed(piece, &mut found));
        (found, decoder.messages(), decoder.unread(), decoder.is_open())
    });
}

/// Compressed bodies. What has been inflated before damage is found may depend on the cuts; where none is
/// found, all of it is the same.
pub fn inflate(data: &[u8]) {
    cut_alike(data, |choice, pieces| {
        let mut inflate =
            Inflate::of(ENCODINGS[usize::from(choice) % ENCODINGS.len()]).expect("a known encoding");
        let mut plain = Vec::new();
        for piece in pieces {
            inflate.feed(piece, &mut |bytes| {
                plain.extend_from_slice(&bytes[..bytes.len().min(PLAIN_MAX.saturating_sub(plain.len()))]);
            });
        }
        (!inflate.is_broken()).then_some(plain)
    });
}

/// The whole meter, for every API.
pub fn meter(data: &[u8]) {
    cut_alike(data, |choice, pieces| {
        let (provider, api, _) = APIS[usize::from(choice) % APIS.len()];
        let mut meter = Meter::new(provider, api);
        if api.is_session() {
            meter.upgraded();
        }
        pieces.iter().for_each(|piece| meter.feed(piece));
        meter.finish();
        let reading = meter.reading();
        let told = (
            reading.model().map(str::to_owned),
            reading.service_tier().map(str::to_owned),
            reading.has_error(),
        );
        let counted = (format!("{:?}", reading.visible()), reading.reasoning_estimate(), meter.reported());
        if let Some(reported) = meter.reported() {
            let sum = |is_part: fn(tollgate_core::usage::Kind) -> bool| -> u64 {
                let parts = reported.usage.parts().quantities;
                parts.iter().filter(|(kind, _)| is_part(*kind)).map(|(_, quantity)| quantity).sum()
            };
            assert_eq!(sum(tollgate_core::usage::Kind::is_input), reported.usage.input_tokens.unwrap_or(0));
            assert_eq!(sum(tollgate_core::usage::Kind::is_output), reported.usage.output_tokens.unwrap_or(0));
        }
        (
            told,
            counted,
            meter.body(),
            meter.is_cut(),
            meter.is_partial(),
            meter.is_unread(),
            meter.body_bytes(),
        )
    });
}

/// The request side: what it says, what bounds it, and what is written into it.
pub fn request(data: &[u8]) {
    cut_alike(data, |choice, pieces| {
        let (provider, api, path) = APIS[usize::from(choice) % APIS.len()];
        let mut meter = RequestMeter::default();
        meter.watch_bounds();
        if api == Api::Speech {
            meter.count_characters();
        }
        meter.print(PrintKey::of(b"secret").expect("a key"));
        pieces.iter().for_each(|piece| meter.feed(piece));
        let bounds = meter.bounds().expect("they are watched");
        let size = ModelSize { context_tokens: Some(1_000), ..ModelSize::default() };
        let target = Target::recognise(Some(provider), "", path);
        let bound = Bound::of(bounds, &target, meter.body_bytes(), size);
        let whole = pieces.concat();
        let target = Target::recognise(Some(provider), "", path);
        let rewritten = [include_usage::asked(&whole), output_limit::limited(&whole, &target, 7)];
        if serde_json::from_slice::<serde_json::Value>(&whole).is_ok() {
            for body in rewritten.iter().flatten() {
                let parsed = serde_json::from_slice::<serde_json::Value>(body);
                assert!(parsed.is_ok(), "what was JSON is none any more: {}", String::from_utf8_lossy(body));
            }
        }
        let said =
            (meter.model().map(str::to_owned), meter.service_tier().map(str::to_owned), meter.stream());
        let judged = (
            bounds.ambiguous(),
            meter.is_unreadable(),
            bounds.output_limit(&target).is_some(),
            bounds.is_background(),
        );
        let prints = (meter.hash(), meter.prompt());
        (said, (meter.input_estimate(), meter.characters()), prints, judged, bound, rewritten)
    });
}

/// A whole call, aborted or not: its record is what serde reads and writes, and its charges add up.
pub fn call(data: &[u8]) {
    cut_alike(data, |choice, pieces| {
        let (provider, _, path) = APIS[usize::from(choice) % APIS.len()];
        let target = Target::recognise(Some(provider), "", path);
        let mut call = Call::begin("id".into(), 1, target, path);
        let body = pieces.concat();
        call.request().feed(&body[..body.len().min(64)]);
        let head = ResponseHead {
            status: if choice & 1 == 0 { 200 } else { 500 },
            content_type: Some("application/json"),
            content_encoding: None,
            header: &|_| None,
        };
        call.response_head(&head, 2);
        pieces.iter().for_each(|piece| call.response_body(piece));
        let endings = [Ending::Complete, Ending::ClientAbort, Ending::UpstreamAbort];
        let ending = endings[usize::from(choice) % endings.len()];
        let end = End { ending, now_ms: 3, attempts: Some(2), charge_retries: choice & 2 == 0 };
        let mut learned = Learned::default();
        let turns = call.take_turns("g", None, 3, || "turn".into());
        let record = call.settle(end, "g", None, &mut learned);
        let json = record.to_json();
        assert_eq!(serde_json::from_slice::<UsageRecord>(&json).expect("a record"), record);
        (turns, record)
    });
}

/// Gives `read` the body whole and in pieces, and compares the answers.
fn cut_alike<T: Debug + PartialEq>(data: &[u8], read: impl Fn(u8, &[&[u8]]) -> T) {
    let [choice, cut, body @ ..] = data else { return };
    let whole = read(*choice, &[body]);
    let pieces = pieces(body, *cut);
    assert_eq!(read(*choice, &pieces), whole, "in {} pieces", pieces.len());
}

/// The body in pieces: single bytes for every fourth `cut`, else of random lengths.
fn pieces(body: &[u8], cut: u8) -> Vec<&[u8]> {
    let longest = 1usize << (cut % 9);
    let mut state = u32::from(cut) | 0x9e00;
    let mut rest = body;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let length = if cut.is_multiple_of(4) { 1 } else { 1 + state as usize % longest };
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Everything that a decoder told.
#[derive(Debug, Default, PartialEq)]
struct Found {
    text: Vec<u8>,
    ends: Vec<usize>,
    values: Vec<(u8, Option<Vec<u8>>)>,
    open: Option<u8>,
}

impl Events for Found {
    fn data(&mut self, piece: &[u8]) {
        self.text.extend_from_slice(piece);
    }

    fn event_end(&mut self) {
        self.ends.push(self.text.len());
    }
}

impl Sink<u8> for Found {
    fn value(&mut self, field: u8, raw: Option<&[u8]>) {
        self.values.push((field, raw.map(<[u8]>::to_vec)));
        self.open = None;
    }

    fn text(&mut self, field: u8, piece: &[u8]) {
        // Pieces of one value follow each other.
        if self.open != Some(field) {
            self.text.push(field);
            self.open = Some(field);
        }
        self.text.extend_from_slice(piece);
    }

    fn document_end(&mut self) {
        self.ends.push(self.text.len());
        self.open = None;
    }
}

static SHAPE: LazyLock<Shape<u8>> = LazyLock::new(|| {
    Shape::new(&[
        ("model", Action::Capture, 0),
        ("usage", Action::Capture, 1),
        ("choices[].delta.content", Action::Text, 2),
        ("content[].text", Action::Text, 3),
    ])
});

const ENCODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];
/// Bytes of an inflated body that are compared.
const PLAIN_MAX: usize = 1 << 20;

/// Every API, at a provider that has it and a path that leads to it.
pub const APIS: [(&str, Api, &str); 28] = [
    ("openai", Api::ChatCompletions, "/v1/chat/completions"),
    ("openai", Api::Completions, "/v1/completions"),
    ("openai", Api::Responses, "/v1/responses"),
    ("openai", Api::Embeddings, "/v1/embeddings"),
    ("openai", Api::Images, "/v1/images/generations"),
    ("openai", Api::Transcription, "/v1/audio/transcriptions"),
    ("openai", Api::Realtime, "/v1/realtime"),
    ("openai", Api::Voice, "/v1/live/sessions"),
    ("openai", Api::ResponsesSession, "/v1/responses"),
    ("openai", Api::BatchOutput, "/v1/files/file-1/content"),
    ("openai", Api::Deferred, "/v1/batches"),
    ("anthropic", Api::Messages, "/v1/messages"),
    ("anthropic", Api::MessageBatchResults, "/v1/messages/batches/b/results"),
    ("gemini", Api::GenerateContent, "/v1beta/models/m:streamGenerateContent"),
    ("gemini", Api::EmbedContent, "/v1beta/models/m:embedContent"),
    ("gemini", Api::Interactions, "/v1beta/interactions"),
    ("gemini", Api::Live, "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"),
    ("vertex", Api::Predict, "/v1/projects/p/locations/l/publishers/google/models/m:predict"),
    ("bedrock", Api::Converse, "/model/m/converse-stream"),
    ("bedrock", Api::Invoke, "/model/m/invoke-with-response-stream"),
    ("cohere", Api::CohereChat, "/v2/chat"),
    ("cohere", Api::Rerank, "/v2/rerank"),
    ("ollama", Api::OllamaChat, "/api/chat"),
    ("mistral", Api::Ocr, "/v1/ocr"),
    ("openrouter", Api::ChatCompletions, "/api/v1/chat/completions"),
    ("perplexity", Api::Other, "/v1/elsewhere"),
    ("perplexity", Api::ChatCompletions, "/chat/completions"),
    ("openai", Api::Speech, "/v1/audio/speech"),
];
