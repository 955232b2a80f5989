//! How far the estimate of an answer that broke off is from the truth, on recorded streams.
//!
//! Truth is the visible output that the provider reported for the whole answer, times the share of its o200k
//! tokens that stand before the cut. Each stream is cut behind one of its events, chosen by its id.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where
#![allow(clippy::cast_precision_loss)] // errors in percent

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tiktoken_rs::CoreBPE;
use tollgate_core::estimate::Learned;
use tollgate_core::json::{Scanner, Sink};
use tollgate_core::meter::Meter;
use tollgate_core::provider::Target;
use tollgate_core::sse::{Events, SseDecoder};
use tollgate_core::wire::{Family, Field};

#[test]
fn estimates_of_answers_that_broke_off_are_within_the_stated_error() {
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/dev.jsonl");
    let Ok(lines) = fs::read_to_string(recordings) else {
        println!("no recordings at hand");
        return;
    };
    let bpe = tiktoken_rs::o200k_base().unwrap();
    let mut errors: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in lines.lines() {
        let exchange: Value = serde_json::from_str(line).unwrap();
        if let Some((group, error)) = error_of(&exchange, &bpe) {
            errors.entry(group).or_default().push(error);
        }
    }
    for (group, errors) in &mut errors {
        errors.sort_by(f64::total_cmp);
        println!("{group}: {} streams, median error {:.1} %", errors.len(), 100.0 * median(errors));
    }
    // Few recordings are long enough and have a public encoding; ARCHITECTURE.md has their number and error.
    assert!(median(&errors["public encoding"]) <= 0.10);
    assert!(median(&errors["other encodings"]) <= 0.15);
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// The group that a recording belongs to, and the relative error of its estimate; `None` where it has no measure.
fn error_of(exchange: &Value, bpe: &CoreBPE) -> Option<(String, f64)> {
    let expected = &exchange["expected"];
    if exchange["framing"] != "sse"
        || expected["status"] != "usage"
        || exchange["response_headers"].get("content-encoding").is_some()
    {
        return None;
    }
    let visible = expected["output"].as_u64()?.checked_sub(expected["reasoning"].as_u64().unwrap_or(0))?;
    let host = exchange["url"].as_str()?.split("://").nth(1)?.split('/').next()?;
    let target = Target::recognise(None, host, exchange["path"].as_str()?);
    let body = STANDARD.decode(exchange["response_body_base64"].as_str()?).ok()?;
    let ends = event_ends(&body);
    let seed = u64::from_str_radix(exchange["id"].as_str()?, 16).ok()?;
    let cut = ends[usize::try_from(seed).ok()? % ends.len()];
    let (before, whole) = (visible_text(&target, &body[..cut]), visible_text(&target, &body));
    let tokens = |text: &str| bpe.encode_ordinary(text).len() as f64;
    // Before the first text there is nothing to measure.
    if visible < 50 || before.is_empty() {
        return None;
    }
    let truth = visible as f64 * tokens(&before) / tokens(&whole);
    let mut meter = Meter::new(&target.provider, target.api);
    meter.feed(&body[..cut]);
    let model =
        expected["response_model"].as_str().or(exchange["request_model"].as_str()).unwrap_or_default();
    let estimate = Learned::default().tokens(model, meter.reading().visible()) as f64;
    let public = ["gpt-", "o1", "o3", "o4"].iter().any(|name| model.contains(name));
    let group = match (expected["reasoning"].as_u64(), public) {
        (Some(1..), _) => "hidden reasoning",
        (_, true) => "public encoding",
        (_, false) => "other encodings",
    };
    Some((group.to_owned(), (estimate - truth).abs() / truth))
}

/// Where events end in the body.
fn event_ends(body: &[u8]) -> Vec<usize> {
    let mut ends: Vec<usize> = (1..body.len())
        .filter(|at| body[..*at].ends_with(b"\n\n") || body[..*at].ends_with(b"\r\n\r\n"))
        .collect();
    ends.push(body.len());
    ends
}

fn visible_text(target: &Target, body: &[u8]) -> String {
    let mut decoder = SseDecoder::default();
    let mut events =
        TextOfEvents { scanner: Scanner::new(Family::of(target.api).shape()), text: Text::default() };
    decoder.feed(body, &mut events);
    String::from_utf8_lossy(&events.text.0).into_owned()
}

struct TextOfEvents {
    scanner: Scanner<Field>,
    text: Text,
}

#[derive(Default)]
struct Text(Vec<u8>);

impl Events for TextOfEvents {
    fn data(&mut self, piece: &[u8]) {
        self.scanner.feed(piece, &mut self.text);
    }
    fn event_end(&mut self) {
        self.scanner.reset();
    }
}

impl Sink<Field> for Text {
    fn value(&mut self, _field: Field, _raw: Option<&[u8]>) {}
    fn text(&mut self, field: Field, piece: &[u8]) {
        if field == Field::Output {
            self.0.extend_from_slice(piece);
        }
    }
    fn document_end(&mut self) {}
}
