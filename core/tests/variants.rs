//! What providers may write otherwise and mean the same: every fixture in every framing variant that its
//! documents allow gives the same usage, and cut behind any event none that calls itself measured and is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use serde_json::Value;
use tollgate_core::call::{Call, End, Ending, ResponseHead};
use tollgate_core::estimate::Learned;
use tollgate_core::provider::Target;
use tollgate_core::record::UsageRecord;

/// An exchange: its name, provider, path, framing, request, status, headers and answer.
struct Exchange {
    name: String,
    url: String,
    path: String,
    framing: String,
    request: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn exchanges() -> Vec<Exchange> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Another corpus in the same format, such as one that is not in the repository.
    files.extend(std::env::var_os("TOLLGATE_CORPUS").map(Into::into));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut exchanges = Vec::new();
    for file in files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let fixture: Value = serde_json::from_str(line).unwrap();
            if fixture["transport"] != "http" {
                continue;
            }
            let text = |name: &str| fixture[name].as_str().unwrap_or_default().to_owned();
            let headers = fixture["response_headers"].as_object().unwrap().iter();
            exchanges.push(Exchange {
                name: text("id"),
                url: text("url"),
                path: text("path"),
                framing: text("framing"),
                request: match &fixture["request_body"] {
                    Value::String(body) => body.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                },
                status: u16::try_from(fixture["response_status"].as_u64().unwrap()).unwrap(),
                headers: headers
                    .filter_map(|(name, values)| Some((name.to_lowercase(), values[0].as_str()?.to_owned())))
                    .collect(),
                body: base64::engine::general_purpose::STANDARD.decode(text("response_body_base64")).unwrap(),
            });
        }
    }
    exchanges
}

impl Exchange {
    /// The record of this exchange with another body and, where it says so, another encoding or content type.
    fn settle(&self, body: &[u8], instead: Option<(&str, &str)>, cut: usize) -> UsageRecord {
        let host = self.url.split("://").nth(1).unwrap_or(&self.url).split('/').next().unwrap();
        let target = Target::recognise(None, host, &self.path);
        let mut call = Call::begin("id".into(), 1_795_600_000_000, target, &self.path);
        call.request().feed(self.request.as_bytes());
        let header = |name: &str| {
            if let Some((_, value)) = instead.filter(|(known, _)| *known == name) {
                return Some(value.to_owned());
            }
            self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        let (content_type, content_encoding) = (header("content-type"), header("content-encoding"));
        let head = ResponseHead {
            status: self.status,
            content_type: content_type.as_deref(),
            content_encoding: content_encoding.as_deref(),
            header: &header,
        };
        call.response_head(&head, 1_795_600_000_001);
        body.chunks(cut.max(1)).for_each(|piece| call.response_body(piece));
        let end = End {
            ending: Ending::Complete,
            now_ms: 1_795_600_000_002,
            attempts: None,
            charge_retries: false,
        };
        call.settle(end, "g", None, &mut Learned::default())
    }

    fn is_encoded(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == "content-encoding")
    }
}

/// What must be the same.
fn counted(record: &UsageRecord) -> (String, bool, Option<String>) {
    (format!("{:?}", record.usage), record.usage_estimated, record.head.response_model.clone())
}

/// Events of a stream, each with its end.
fn events(text: &str) -> Vec<String> {
    text.replace("\r\n", "\n").split_inclusive("\n\n").map(str::to_owned).collect()
}

fn sse_variants(text: &str) -> Vec<(&'static str, String)> {
    let text = text.replace("\r\n", "\n");
    let trimmed = text.trim_end_matches('\n').to_owned();
    let each =
        |change: &dyn Fn(&str) -> String| events(&text).iter().map(|event| change(event)).collect::<String>();
    vec![
        ("line feeds", text.clone()),
        ("returns and line feeds", text.replace('\n', "\r\n")),
        ("returns", text.replace('\n', "\r")),
        ("a byte order mark", format!("\u{feff}{text}")),
        ("no last empty line", format!("{trimmed}\n")),
        ("no last line end", trimmed),
        ("no space behind data:", text.replace("\ndata: ", "\ndata:").replacen("data: ", "data:", 1)),
        ("comments between", each(&|event| format!(": OPENROUTER PROCESSING\n\n{event}"))),
        ("comments inside", each(&|event| format!(":\n{event}"))),
        ("ids and retries", each(&|event| format!("id: 7\nretry: 100\n{event}"))),
        ("pings", each(&|event| format!("event: ping\ndata: {{\"type\": \"ping\"}}\n\n{event}"))),
        ("empty lines", each(&|event| format!("\n\n{event}"))),
        ("unknown fields", each(&|event| event.replace("\n\n", "\nx-vendor: {\"usage\":1}\n\n"))),
    ]
}

fn json_variants(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut variants = vec![
        ("a byte order mark", [b"\xEF\xBB\xBF".as_slice(), body].concat()),
        ("space around", [b" \r\n\t", body, b"\n\n"].concat()),
    ];
    if let Ok(text) = std::str::from_utf8(body) {
        let escaped =
            text.replace("\"usage\"", "\"\\u0075s\\u0061ge\"").replace("\"model\"", "\"mod\\u0065l\"");
        variants.push(("escaped keys", escaped.into_bytes()));
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        variants.push(("pretty", serde_json::to_vec_pretty(&value).unwrap()));
    }
    variants
}

fn gzipped(pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(piece).unwrap();
        out.extend(encoder.finish().unwrap());
    }
    out
}

#[test]
fn every_way_to_frame_an_answer_gives_the_same_usage() {
    let (mut variants, mut wrong) = (0, Vec::new());
    for exchange in exchanges() {
        let whole = exchange.settle(&exchange.body, None, usize::MAX);
        let mut look = |what: &str, body: &[u8], instead: Option<(&str, &str)>| {
            for cut in [usize::MAX, 7] {
                variants += 1;
                let other = exchange.settle(body, instead, cut);
                if counted(&other) != counted(&whole) {
                    wrong.push(format!(
                        "{} with {what}: {:?}, else {:?}",
                        exchange.name,
                        counted(&other),
                        counted(&whole)
                    ));
                    return;
                }
            }
        };
        if exchange.is_encoded() {
            continue;
        }
        let text = String::from_utf8_lossy(&exchange.body).into_owned();
        match exchange.framing.as_str() {
            "sse" if text.trim_start().starts_with(['d', 'e', ':', 'i']) => {
                for (what, body) in sse_variants(&text) {
                    look(what, body.as_bytes(), None);
                }
            }
            "json" if exchange.body.starts_with(b"{") => {
                for (what, body) in json_variants(&exchange.body) {
                    look(what, &body, None);
                }
            }
            _ => {}
        }
        let middle = exchange.body.len() / 2;
        let (head, tail) = exchange.body.split_at(middle);
        look("gzip", &gzipped(&[&exchange.body]), Some(("content-encoding", "gzip")));
        look("two gzip members", &gzipped(&[head, tail]), Some(("content-encoding", "gzip")));
        look("x-gzip", &gzipped(&[&exchange.body]), Some(("content-encoding", "x-gzip")));
        look("identity", &exchange.body, Some(("content-encoding", "identity")));
        if !exchange.body.is_empty() {
            look("another content type", &exchange.body, Some(("content-type", "application/octet-stream")));
        }
    }
    println!("{variants} variants");
    assert!(variants > 500, "{variants}");
    assert!(wrong.is_empty(), "{} of {variants} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_stream_cut_behind_any_event_is_not_called_measured_unless_it_is() {
    let (mut cuts, mut wrong) = (0, Vec::new());
    for exchange in exchanges() {
        let text = String::from_utf8_lossy(&exchange.body).into_owned();
        if exchange.framing != "sse" || exchange.is_encoded() {
            continue;
        }
        let whole = exchange.settle(&exchange.body, None, usize::MAX);
        let events = events(&text);
        for count in 0..events.len() {
            cuts += 1;
            let body = events[..count].concat();
            let record = exchange.settle(body.as_bytes(), None, usize::MAX);
            let is_empty = record.usage.input_tokens.is_none() && record.usage.output_tokens.is_none();
            if !record.usage_estimated && !is_empty && record.usage != whole.usage {
                wrong.push(format!(
                    "{} behind event {count}: {:?}, in all {:?}",
                    exchange.name, record.usage, whole.usage
                ));
            }
        }
    }
    println!("{cuts} cuts");
    assert!(cuts > 30 && wrong.is_empty(), "{} of {cuts}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_body_in_another_character_set_is_not_measured() {
    for exchange in exchanges().iter().filter(|exchange| exchange.framing == "json" && !exchange.is_encoded())
    {
        let text = String::from_utf8_lossy(&exchange.body).into_owned();
        for body in [
            text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
            [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect(),
        ] {
            let record = exchange.settle(&body, None, usize::MAX);
            let headers_count = exchange
                .headers
                .iter()
                .any(|(name, _)| name.ends_with("-token-count") || name.ends_with("-tokens"));
            assert!(
                record.usage_estimated || record.usage.is_empty() || headers_count,
                "{}: {record:?}",
                exchange.name
            );
        }
    }
}
