//! A recorded exchange, and what metering makes of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::fmt::rfc2822;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_core::call::{Call, End, Ending, ResponseHead};
use tollgate_core::estimate::Learned;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Charge, CostStatus, PriceBasis, PriceBook};
use tollgate_core::provider::Target;
use tollgate_core::record::{CostSource, Note, Outcome, UsageRecord};
use tollgate_core::usage::Usage;

use super::Cut;
use crate::model::clock::{millis, now};

/// One exchange with a provider, as recorded. Members that metering does not need are ignored.
#[derive(Debug, Deserialize)]
pub struct Exchange {
    /// Name of the recording.
    pub id: String,
    /// Who answered; read for websockets only, where the recording has no address.
    #[serde(default)]
    pub provider: String,
    /// Which API, for reports.
    #[serde(default)]
    pub api: String,
    url: String,
    path: String,
    #[serde(default = "http")]
    transport: String,
    #[serde(default)]
    framing: String,
    #[serde(default)]
    request_body: Option<Value>,
    #[serde(default)]
    request_model: Option<String>,
    #[serde(default)]
    request_headers: Value,
    response_status: u16,
    #[serde(default)]
    response_headers: BTreeMap<String, Vec<String>>,
    response_body_base64: String,
    /// What an extractor should find, where the recording says.
    #[serde(default)]
    pub expected: Option<Value>,
}

/// What metering makes of an exchange: the members of a usage record that do not depend on when and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metered {
    /// The exchange's id.
    pub id: String,
    /// Provider id.
    pub provider: String,
    /// What was asked of it.
    pub operation: String,
    /// The model asked for.
    pub request_model: Option<String>,
    /// The model that answered.
    pub response_model: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// What that costs.
    pub cost_usd: Picodollars,
    /// How far that can be trusted.
    pub cost_status: CostStatus,
    /// Whose word it is.
    pub cost_source: CostSource,
    /// What it costs by the book alone, as far as that has prices.
    pub book_cost_usd: Picodollars,
    /// That, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
    /// Which rows of the book were used and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub price_basis: Vec<PriceBasis>,
    /// What the provider said that it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_cost_usd: Option<Picodollars>,
    /// What was odd about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

impl Exchange {
    /// Meters this exchange, with its bodies cut into pieces.
    ///
    /// # Errors
    /// When the body is not base64.
    pub fn meter(&self, cut: Cut, book: &PriceBook) -> Result<Metered> {
        let body = STANDARD
            .decode(&self.response_body_base64)
            .with_context(|| format!("exchange {}: response_body_base64", self.id))?;
        Ok(Metered::from_record(self.id.clone(), self.settle(&body, cut, book)))
    }

    fn settle(&self, body: &[u8], cut: Cut, book: &PriceBook) -> UsageRecord {
        let time_ms = self.time_ms();
        let mut call = Call::begin(self.id.clone(), time_ms, self.target(), &self.path);
        let mut asked = self.request_bytes();
        if self.framing == "ws" && !asked.is_empty() {
            call.opens_session();
            asked = websocket_frames(&asked);
        }
        for piece in cut.pieces(&asked) {
            call.request().feed(piece);
        }
        let header = |name: &str| {
            self.response_headers.get(name).and_then(|values| values.first()).map(String::as_str)
        };
        let head = ResponseHead {
            status: self.response_status,
            content_type: header("content-type"),
            content_encoding: header("content-encoding"),
            header: &|name| header(name).map(str::to_owned),
        };
        call.response_head(&head, time_ms);
        let framed = if self.framing == "ws" { websocket_frames(body) } else { body.to_vec() };
        for piece in cut.pieces(&framed) {
            call.response_body(piece);
        }
        let end = End { ending: Ending::Complete, now_ms: time_ms, attempts: None, charge_retries: false };
        call.settle(end, "meter", Some(book), &mut Learned::default())
    }

    fn target(&self) -> Target {
        let after_scheme = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let host = after_scheme.split(['/', '?']).next().unwrap_or_default();
        if self.transport == "websocket" {
            let mut target = Target::recognise_upgrade(Some(&self.provider), host, &self.path);
            if !target.api.is_session() {
                target = Target::session(&self.provider);
            }
            target.path_model = target.path_model.or_else(|| self.request_model.clone());
            return target;
        }
        let model =
            ["ai-language-model-id", "ai-model-id"].into_iter().find_map(|name| self.request_header(name));
        Target::recognise(None, host, &self.path).named_by_header(&self.path, model.unwrap_or_default())
    }

    /// A header of the request, as a text or the first of a list.
    fn request_header(&self, name: &str) -> Option<&str> {
        let value = self.request_headers.get(name)?;
        value.as_str().or_else(|| value.get(0)?.as_str())
    }

    /// The request body; where the recording lacks it, one that names the recorded model.
    fn request_bytes(&self) -> Vec<u8> {
        match (&self.request_body, &self.request_model) {
            (Some(Value::String(text)), _) if !text.is_empty() => text.clone().into_bytes(),
            (Some(value @ (Value::Object(_) | Value::Array(_))), _) => value.to_string().into_bytes(),
            (_, Some(model)) => serde_json::json!({ "model": model }).to_string().into_bytes(),
            _ => Vec::new(),
        }
    }

    /// When it was answered, so that it is priced as of that day; now where the recording does not say.
    fn time_ms(&self) -> u64 {
        let date = self.response_headers.get("date").and_then(|values| values.first());
        let recorded = date.and_then(|date| rfc2822::parse(date).ok()).map(|zoned| zoned.timestamp());
        millis(recorded.unwrap_or_else(now))
    }
}

impl Metered {
    fn from_record(id: String, record: UsageRecord) -> Self {
        Self {
            id,
            book_cost_usd: record.book_cost(),
            provider: record.head.provider,
            operation: record.head.operation,
            request_model: record.head.request_model,
            response_model: record.head.response_model,
            outcome: record.outcome,
            usage: record.usage,
            cost_usd: record.cost_usd,
            cost_status: record.cost_status,
            cost_source: record.cost_source,
            charges: record.charges,
            price_basis: record.price_basis,
            provider_cost_usd: record.provider_cost_usd,
            notes: record.notes,
        }
    }
}

/// A recorded session has one server message a line; the filter gets them as frames.
fn websocket_frames(lines: &[u8]) -> Vec<u8> {
    let mut frames = Vec::with_capacity(lines.len());
    for message in lines.split(|byte| *byte == b'\n').filter(|message| !message.is_empty()) {
        frames.extend_from_slice(&[0x81, 127]);
        frames.extend_from_slice(&(message.len() as u64).to_be_bytes());
        frames.extend_from_slice(message);
    }
    frames
}

fn http() -> String {
    "http".to_owned()
}
