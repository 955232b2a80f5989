//! How far the estimate of an answer that broke off is from the truth, on every recorded stream, five cuts
//! each.
//!
//! Truth is the output that the provider reported for the whole answer, times the share of its text (in
//! o200k's tokens: what is said, what is thought aloud, names and arguments of calls) that stands before the
//! cut. That holds where the text explains what was reported; streams of which less than 60 % was seen
//! (hidden reasoning, short calls that are mostly framing) are apart. What is measured is the whole path of
//! `tollgate meter`. `docs/measurements.md` has the figures, and how to get them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // errors in percent

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tiktoken_rs::CoreBPE;
use tollgate_collector::work::meter::{Cut, Exchange};
use tollgate_core::answer::wire::{Family, Field};
use tollgate_core::decode::eventstream::EventStreamDecoder;
use tollgate_core::decode::json::{Scanner, Sink};
use tollgate_core::decode::sse::{Events, SseDecoder};
use tollgate_core::price::{EMBEDDED, PriceBook};
use tollgate_core::provider::Target;

const CUTS: u64 = 5;
/// Below this an error in percent says little.
const TOKENS_MIN: f64 = 10.0;
/// Share of the reported output that has to be seen.
const EXPLAINED: f64 = 0.6;

#[test]
fn answers_that_broke_off_are_estimated_within_the_stated_error() {
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/dev.jsonl");
    let Ok(lines) = fs::read_to_string(recordings) else {
        println!("no recordings at hand");
        return;
    };
    let bpe = tiktoken_rs::o200k_base().unwrap();
    let book = PriceBook::from_files(EMBEDDED).unwrap();
    let show = std::env::var_os("TOLLGATE_SHOW").is_some();
    let mut errors = Errors::default();
    for line in lines.lines() {
        let Some(stream) = Stream::of(serde_json::from_str(line).unwrap(), &bpe) else { continue };
        for cut in 0..CUTS {
            let Some((error, truth)) = stream.error_at(cut, &bpe, &book) else { continue };
            if show {
                println!(
                    "{} {cut} {} {} of {truth:.0}: {:+.1} %",
                    stream.id,
                    stream.group(),
                    stream.model,
                    100.0 * error
                );
            }
            errors.add(stream.group(), &stream.id, error);
            errors.add(&format!("{}, {}", stream.group(), stream.provider), &stream.id, error);
        }
    }
    errors.print();
    for (group, median, ninetieth) in [(PUBLIC, 0.05, 0.30), (OTHERS, 0.08, 0.30)] {
        assert!(errors.quantile(group, 0.5) <= median, "{group}: median");
        assert!(errors.quantile(group, 0.9) <= ninetieth, "{group}: 90th");
    }
}

const PUBLIC: &str = "public encoding";
const OTHERS: &str = "other encodings";
const HIDDEN: &str = "little of it seen";

/// Relative errors by group, and of how many streams.
#[derive(Default)]
struct Errors(BTreeMap<String, (Vec<String>, Vec<f64>)>);

impl Errors {
    fn add(&mut self, group: &str, stream: &str, error: f64) {
        let (streams, errors) = self.0.entry(group.to_owned()).or_default();
        if streams.last().is_none_or(|last| last != stream) {
            streams.push(stream.to_owned());
        }
        errors.push(error);
    }

    fn quantile(&self, group: &str, of: f64) -> f64 {
        let mut sizes: Vec<f64> = self.0[group].1.iter().map(|error| error.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        sizes[(of * (sizes.len() - 1) as f64).round() as usize]
    }

    fn print(&self) {
        println!(
            "| group | streams | cuts | median % | 90th % | mean % |\n| --- | ---: | ---: | ---: | ---: | ---: |"
        );
        for (group, (streams, errors)) in &self.0 {
            let percent = |of: f64| 100.0 * self.quantile(group, of);
            let mean = 100.0 * errors.iter().sum::<f64>() / errors.len() as f64;
            let (streams, cuts) = (streams.len(), errors.len());
            println!(
                "| {group} | {streams} | {cuts} | {:.1} | {:.1} | {mean:+.1} |",
                percent(0.5),
                percent(0.9)
            );
        }
    }
}

/// A recorded stream with what its provider reported of it.
struct Stream {
    exchange: Value,
    id: String,
    provider: String,
    model: String,
    framing: String,
    target: Target,
    body: Vec<u8>,
    reported: f64,
    tokens: f64,
}

impl Stream {
    /// `None` where it has no measure.
    fn of(exchange: Value, bpe: &CoreBPE) -> Option<Self> {
        let of = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let expected = &exchange["expected"];
        let framing = of(&exchange, "framing");
        let is_read = ["sse", "eventstream", "ndjson", "json-array"].contains(&framing.as_str());
        let encoded = exchange["response_headers"].get("content-encoding").is_some();
        if !is_read || encoded || exchange["streaming"] != true || expected["status"] != "usage" {
            return None;
        }
        let reported = expected["output"].as_u64().filter(|output| *output >= 20)? as f64;
        let host = exchange["url"].as_str()?.split("://").nth(1)?.split('/').next()?;
        let target = Target::recognise(None, host, exchange["path"].as_str()?);
        let body = STANDARD.decode(exchange["response_body_base64"].as_str()?).ok()?;
        let named = expected["response_model"].as_str().or(exchange["request_model"].as_str());
        let model = named.unwrap_or_default().to_owned();
        let (id, provider) = (of(&exchange, "id"), of(&exchange, "provider"));
        let mut stream = Self { model, id, provider, framing, target, body, reported, tokens: 0.0, exchange };
        stream.tokens = tokens(bpe, &stream.text(stream.body.len()));
        (stream.tokens > 0.0).then_some(stream)
    }

    fn group(&self) -> &'static str {
        let model = self.model.rsplit('/').next().unwrap_or_default();
        let public = ["gpt-", "o1", "o3", "o4", "chatgpt"].iter().any(|name| model.starts_with(name));
        match (self.tokens >= EXPLAINED * self.reported, public) {
            (false, _) => HIDDEN,
            (true, true) => PUBLIC,
            (true, false) => OTHERS,
        }
    }

    /// The relative error of the estimate, and the truth; `None` where nearly nothing has passed before the
    /// cut.
    fn error_at(&self, cut: u64, bpe: &CoreBPE, book: &PriceBook) -> Option<(f64, f64)> {
        let seed = u64::from_str_radix(&self.id, 16).unwrap() ^ (cut + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let at = 1 + (seed.wrapping_mul(6_364_136_223_846_793_005) >> 16) as usize % (self.body.len() - 1);
        let truth = self.reported * tokens(bpe, &self.text(at)) / self.tokens;
        if truth < TOKENS_MIN {
            return None;
        }
        let mut exchange = self.exchange.clone();
        exchange["response_body_base64"] = STANDARD.encode(&self.body[..at]).into();
        let exchange: Exchange = serde_json::from_value(exchange).unwrap();
        let metered = exchange.meter(Cut::Whole, book).unwrap();
        let estimate = metered.usage.output_tokens.unwrap_or(0) as f64;
        Some(((estimate - truth) / truth, truth))
    }

    /// All text that stands before `end`.
    fn text(&self, end: usize) -> String {
        let body = &self.body[..end];
        let mut scanner = Scanner::new(Family::of(self.target.api).shape());
        let mut text = Text::default();
        match self.framing.as_str() {
            "sse" => SseDecoder::default().feed(body, &mut TextOfEvents { scanner, text: &mut text }),
            "eventstream" => {
                let mut payloads = Payloads::default();
                EventStreamDecoder::default().feed(body, &mut payloads);
                for payload in payloads.whole.iter().chain([&payloads.passing]) {
                    scanner.feed(&inner(payload), &mut text);
                    scanner.reset();
                }
            }
            _ => scanner.feed(body, &mut text),
        }
        let pieces = if text.pieces.is_empty() { text.whole } else { text.pieces };
        String::from_utf8_lossy(&pieces).into_owned()
    }
}

fn tokens(bpe: &CoreBPE, text: &str) -> f64 {
    bpe.encode_ordinary(text).len() as f64
}

/// What Bedrock's InvokeModel wraps in base64.
fn inner(payload: &[u8]) -> Vec<u8> {
    let document: Value = serde_json::from_slice(payload).unwrap_or_default();
    let bytes = document["bytes"].as_str().and_then(|bytes| STANDARD.decode(bytes).ok());
    bytes.unwrap_or_else(|| payload.to_vec())
}

#[derive(Default)]
struct Payloads {
    whole: Vec<Vec<u8>>,
    passing: Vec<u8>,
}

impl Events for Payloads {
    fn data(&mut self, piece: &[u8]) {
        self.passing.extend_from_slice(piece);
    }
    fn event_end(&mut self) {
        self.whole.push(std::mem::take(&mut self.passing));
    }
}

struct TextOfEvents<'a> {
    scanner: Scanner<Field>,
    text: &'a mut Text,
}

impl Events for TextOfEvents<'_> {
    fn data(&mut self, piece: &[u8]) {
        self.scanner.feed(piece, self.text);
    }
    fn event_end(&mut self) {
        self.scanner.reset();
        self.text.event.clear();
    }
}

/// Text that came in pieces, and that of the last document that has it as a whole.
#[derive(Default)]
struct Text {
    pieces: Vec<u8>,
    whole: Vec<u8>,
    whole_passes: bool,
    event: Vec<u8>,
}

impl Sink<Field> for Text {
    fn value(&mut self, field: Field, raw: Option<&[u8]>) {
        let raw = raw.unwrap_or_default();
        match field {
            Field::Event => self.event = raw.to_vec(),
            // The end of a call in a stream of Responses repeats its name.
            Field::ToolName if !self.event.ends_with(b".done\"") && raw != b"null" => {
                self.pieces.extend_from_slice(raw.strip_prefix(b"\"").unwrap_or(raw));
            }
            _ => {}
        }
    }
    fn text(&mut self, field: Field, piece: &[u8]) {
        match field {
            Field::Output | Field::OutputTwin | Field::Reasoning | Field::ReasoningTwin => {
                self.pieces.extend_from_slice(piece);
            }
            Field::WholeOutput | Field::WholeReasoning | Field::WholeReasoningTwin => {
                if !std::mem::replace(&mut self.whole_passes, true) {
                    self.whole.clear();
                }
                self.whole.extend_from_slice(piece);
            }
            _ => {}
        }
    }
    fn document_end(&mut self) {
        self.whole_passes = false;
    }
}
