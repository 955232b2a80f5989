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
use tollgate_core::estimate::{Learned, TextCounter};
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
    let (mut one, mut all) = (Errors::default(), Errors::default());
    for line in lines.lines() {
        let exchange: Value = serde_json::from_str(line).unwrap();
        let Some(stream) = Stream::of(&exchange) else { continue };
        let id = u64::from_str_radix(exchange["id"].as_str().unwrap(), 16).unwrap();
        let chosen = usize::try_from(id).unwrap() % stream.ends.len();
        for (at, end) in stream.ends.iter().enumerate() {
            let Some(error) = stream.error_behind(*end, &bpe) else { continue };
            if std::env::var_os("TOLLGATE_SHOW").is_some() && at == chosen {
                println!("{} {} {} {:+.1} %", exchange["id"], stream.group, stream.model, 100.0 * error);
            }
            for group in [stream.group.to_owned(), format!("{} / {}", stream.group, stream.maker())] {
                if at == chosen {
                    one.add(&group, error);
                }
                all.add(&group, error);
            }
        }
    }
    one.print("one cut each");
    all.print("every cut");
    assert!(one.median("public encoding") <= 0.05);
    assert!(one.median("other encodings") <= 0.15);
}

/// Whole texts, against o200k: this project's own, and those of `TOLLGATE_TEXTS`, a file of `{"kind","text"}` a line.
#[test]
fn texts_are_counted_as_the_encoding_counts_them() {
    let bpe = tiktoken_rs::o200k_base().unwrap();
    let mut errors = Errors::default();
    let mut look = |kind: &str, text: &str| {
        let truth = bpe.encode_ordinary(text).len() as f64;
        let mut counter = TextCounter::default();
        counter.feed(text.as_bytes());
        if truth >= 50.0 {
            errors.add(kind, (counter.tokens() as f64 - truth) / truth);
        }
    };
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")) {
        let kind = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_owned();
        look(&kind, &fs::read_to_string(&path).unwrap());
    }
    if let Some(path) = std::env::var_os("TOLLGATE_TEXTS") {
        for line in fs::read_to_string(path).unwrap().lines() {
            let one: Value = serde_json::from_str(line).unwrap();
            look(one["kind"].as_str().unwrap(), one["text"].as_str().unwrap());
        }
    }
    errors.print("texts");
    for (kind, most) in [("md", 0.03), ("rs", 0.05), ("py", 0.05), ("toml", 0.10)] {
        assert!(errors.median(kind) <= most, "{kind}: {}", errors.median(kind));
    }
}

/// Texts of the project.
fn files(root: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for folder in [
        "",
        "core/src",
        "core/src/wire",
        "collector/src",
        "collector/src/store",
        "filter/src",
        "core/testdata",
    ] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let known = ["md", "rs", "py", "sql", "toml"].map(std::ffi::OsStr::new);
            if path.extension().is_some_and(|extension| known.contains(&extension)) {
                found.push(path);
            }
        }
    }
    found
}

/// Relative errors by group.
#[derive(Default)]
struct Errors(BTreeMap<String, Vec<f64>>);

impl Errors {
    fn add(&mut self, group: &str, error: f64) {
        self.0.entry(group.to_owned()).or_default().push(error);
    }

    fn quantile(&self, group: &str, of: f64) -> f64 {
        let mut sizes: Vec<f64> = self.0[group].iter().map(|error| error.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the list
        let at = (of * (sizes.len() - 1) as f64).round() as usize;
        sizes[at]
    }

    fn median(&self, group: &str) -> f64 {
        self.quantile(group, 0.5)
    }

    fn print(&self, what: &str) {
        for (group, errors) in &self.0 {
            let percent = |of: f64| 100.0 * self.quantile(group, of);
            println!(
                "{what}, {group}: {} measured, error {:.1} % (median), {:.1} % (75th), {:.1} % (90th), {:.1} % (worst), mean {:+.1} %",
                errors.len(),
                percent(0.5),
                percent(0.75),
                percent(0.9),
                percent(1.0),
                100.0 * errors.iter().sum::<f64>() / errors.len() as f64
            );
        }
    }
}

/// A recorded stream whose visible output is known.
struct Stream {
    target: Target,
    model: String,
    group: &'static str,
    visible: f64,
    body: Vec<u8>,
    ends: Vec<usize>,
}

impl Stream {
    /// `None` where it has no measure.
    fn of(exchange: &Value) -> Option<Self> {
        let expected = &exchange["expected"];
        if exchange["framing"] != "sse"
            || expected["status"] != "usage"
            || exchange["response_headers"].get("content-encoding").is_some()
        {
            return None;
        }
        let visible =
            expected["output"].as_u64()?.checked_sub(expected["reasoning"].as_u64().unwrap_or(0))?;
        if visible < 50 {
            return None;
        }
        let host = exchange["url"].as_str()?.split("://").nth(1)?.split('/').next()?;
        let target = Target::recognise(None, host, exchange["path"].as_str()?);
        let body = STANDARD.decode(exchange["response_body_base64"].as_str()?).ok()?;
        let model =
            expected["response_model"].as_str().or(exchange["request_model"].as_str()).unwrap_or_default();
        let public = ["gpt-", "o1", "o3", "o4"].iter().any(|name| model.contains(name));
        let group = match (expected["reasoning"].as_u64(), public) {
            (Some(1..), _) => "hidden reasoning",
            (_, true) => "public encoding",
            (_, false) => "other encodings",
        };
        let ends = event_ends(&body);
        Some(Self { target, model: model.to_owned(), group, visible: visible as f64, body, ends })
    }

    /// The relative error of the estimate of what passed before `end`; `None` where no text did.
    fn error_behind(&self, end: usize, bpe: &CoreBPE) -> Option<f64> {
        let before = visible_text(&self.target, &self.body[..end]);
        if before.is_empty() {
            return None;
        }
        let tokens = |text: &str| bpe.encode_ordinary(text).len() as f64;
        let truth = self.visible * tokens(&before) / tokens(&visible_text(&self.target, &self.body));
        let mut meter = Meter::new(&self.target.provider, self.target.api);
        meter.feed(&self.body[..end]);
        let estimate = Learned::default().tokens(&self.model, meter.reading().passed()) as f64;
        Some((estimate - truth) / truth)
    }

    /// Whose model it is.
    fn maker(&self) -> &'static str {
        let model = self.model.to_ascii_lowercase();
        let makers = [
            "claude", "gemini", "gpt-oss", "gpt", "grok", "llama", "stral", "deepseek", "command", "qwen",
            "nova", "kimi", "glm", "sonar", "gemma",
        ];
        makers.into_iter().find(|maker| model.contains(maker)).unwrap_or("another")
    }
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
