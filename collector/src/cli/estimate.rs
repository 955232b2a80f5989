//! `tollgate estimate`.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{EMBEDDED, PriceBook};

use super::client::{self, Collector};
use super::output::{self, Column, ColumnKind, Format};
use crate::model::answers::estimate::Estimate;
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
            format => shown(&client::read(&answer)?, format)?,
        })
    }

    fn question(&self) -> anyhow::Result<Question> {
        let body = self.file.as_ref().map(|file| {
            let mut text = String::new();
            if file.as_os_str() == "-" {
                std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
            } else {
                text = std::fs::read_to_string(file)
                    .with_context(|| format!("`{}` cannot be read", file.display()))?;
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
fn shown(answer: &Estimate, format: Format) -> anyhow::Result<String> {
    let worst = &answer.worst;
    let line = |what: &str, input: u64, counted: String, output: u64, cost: Option<Picodollars>| {
        vec![
            answer.provider.clone(),
            answer.model.clone(),
            what.to_owned(),
            input.to_string(),
            counted,
            output.to_string(),
            cost.map_or_else(|| "unpriced".to_owned(), |cost| cost.to_string()),
        ]
    };
    let by = answer.counted_by.clone();
    let by = if answer.exact || by == "estimated" { by } else { format!("{by}, in part") };
    let bounded = if worst.unbounded.is_empty() {
        "bounded".to_owned()
    } else {
        format!("not bounded: {}", worst.unbounded.join(", "))
    };
    let rows = [
        line("this call", answer.input_tokens, by, answer.output_tokens, answer.cost_usd),
        line("at most", worst.input_tokens, bounded, worst.output_tokens, worst.cost_usd),
    ];
    let columns = COLUMNS.map(|(name, kind)| Column::new(name, kind));
    if format == Format::Csv {
        return output::csv(&columns, &rows);
    }
    let notes: Vec<String> = answer.notes.iter().map(|note| format!("note: {note}")).collect();
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
