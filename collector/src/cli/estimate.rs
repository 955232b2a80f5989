//! `tollgate estimate`.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use tollgate_core::price::{EMBEDDED, PriceBook};

use super::client::{self, Collector};
use super::output::{self, Column, ColumnKind, Format};
use crate::model::clock::now_ms;
use crate::work::estimate::{Question, estimate};

/// Arguments of `tollgate estimate`.
#[derive(Args, Debug)]
pub(super) struct EstimateArgs {
    /// A request's body as JSON, `-` for standard input; with --text left out
    #[arg(required_unless_present = "text", conflicts_with = "text")]
    file: Option<PathBuf>,
    /// A prompt's text in place of a body
    #[arg(long)]
    text: Option<String>,
    /// Path of the API, such as /v1/messages; by default the one that the body looks like
    #[arg(long)]
    path: Option<String>,
    /// Output tokens to put into the cost
    #[arg(long, value_name = "N")]
    output_tokens: Option<u64>,
    /// Ask no collector: with the prices that come with Tollgate
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    collector: Collector,
    /// Provider id, such as openai
    #[arg(long)]
    provider: String,
    /// The model, where the body does not name it
    #[arg(long)]
    model: Option<String>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl EstimateArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let question = self.question()?;
        let answer = if self.offline {
            let book = PriceBook::from_files(EMBEDDED).map_err(|errors| {
                anyhow::anyhow!("{} mistakes in the prices that come with Tollgate", errors.len())
            })?;
            let answer = estimate(&book, &question, now_ms()).map_err(anyhow::Error::msg)?;
            serde_json::to_string(&answer)?
        } else {
            self.collector.send("POST", "/api/v1/estimate", &serde_json::to_value(&question)?)?
        };
        output::print(&match self.format {
            Format::Json => answer,
            format => shown(&client::json(&answer)?, format)?,
        })
    }

    fn question(&self) -> anyhow::Result<Question> {
        let body = self.file.as_ref().map(|file| {
            let mut text = String::new();
            if file.as_os_str() == "-" {
                std::io::stdin().read_to_string(&mut text).context("standard input")?;
            } else {
                text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            }
            serde_json::from_str::<Value>(&text).with_context(|| format!("{} is not JSON", file.display()))
        });
        Ok(Question {
            provider: self.provider.clone(),
            path: self.path.clone(),
            model: self.model.clone(),
            body: body.transpose()?,
            text: self.text.clone(),
            output_tokens: self.output_tokens,
        })
    }
}

/// Two lines, what is expected and what it comes to at most, and the notes below them.
fn shown(answer: &Value, format: Format) -> anyhow::Result<String> {
    let worst = answer.get("worst").cloned().unwrap_or_default();
    let line = |what: &str, of: &Value, counted: String| -> Vec<String> {
        let cost = client::field(of, "cost_usd");
        let cost = if cost.is_empty() { "unpriced".to_owned() } else { cost };
        vec![
            client::field(answer, "provider"),
            client::field(answer, "model"),
            what.to_owned(),
            client::field(of, "input_tokens"),
            counted,
            client::field(of, "output_tokens"),
            cost,
        ]
    };
    let unbounded: Vec<&str> = worst
        .get("unbounded")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let exact = answer.get("exact") == Some(&Value::Bool(true));
    let by = client::field(answer, "counted_by");
    let by = if exact || by == "estimated" { by } else { format!("{by}, in part") };
    let bounded = if unbounded.is_empty() {
        "bounded".to_owned()
    } else {
        format!("not bounded: {}", unbounded.join(", "))
    };
    let rows = [line("this call", answer, by), line("at most", &worst, bounded)];
    let columns = COLUMNS.map(|(name, kind)| Column::new(name, kind));
    if format == Format::Csv {
        return output::csv(&columns, &rows);
    }
    let notes = answer.get("notes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let notes: Vec<String> = notes.map(|note| format!("note: {note}")).collect();
    Ok([vec![output::table(&columns, &rows, None)], notes].concat().join("\n"))
}

const COLUMNS: [(&str, ColumnKind); 7] = [
    ("provider", ColumnKind::Text),
    ("model", ColumnKind::Text),
    ("what", ColumnKind::Text),
    ("input_tokens", ColumnKind::Count),
    ("counted_by", ColumnKind::Text),
    ("output_tokens", ColumnKind::Count),
    ("cost_usd", ColumnKind::Money),
];
