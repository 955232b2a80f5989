//! `tollgate prices`.

mod diff;
mod import;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::Value;
use tollgate_core::price::{PriceBook, PriceFile, Wanted};

use super::client::{self, Ask};
use super::output::{self, Column, ColumnKind, Format};

/// Arguments of `tollgate prices`.
#[derive(Args, Debug)]
pub(super) struct PricesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List models with their rates today, dollars for a million tokens
    List(List),
    /// Show everything about one model's price
    Show(Show),
    /// List models of recorded calls that have no price
    Missing(Missing),
    /// List rows whose charges and the providers' own reports of cost differ by more than 1 %; the last 7
    /// days unless told
    Drift(Drifting),
    /// Check price files, offline
    Check(Check),
    /// Compare two sets of price files, offline
    Diff(diff::Diff),
    /// Print rows as JSON, for `prices` in the configuration of a filter that has no collector
    Export(Export),
    /// Read genai-prices' or LiteLLM's data, and print what would change; with --write, write it
    Import(import::Import),
}

#[derive(Args, Debug)]
struct List {
    #[command(flatten)]
    ask: Ask,
    /// As of this day, such as 2026-03-01
    #[arg(long)]
    at: Option<String>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Args, Debug)]
struct Show {
    /// Provider id
    #[arg(value_name = "PROVIDER")]
    of: String,
    /// Any name of the model
    #[arg(value_name = "MODEL")]
    name: String,
    #[command(flatten)]
    ask: Ask,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Args, Debug)]
struct Missing {
    #[command(flatten)]
    ask: Ask,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Args, Debug)]
struct Drifting {
    #[command(flatten)]
    ask: Ask,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Args, Debug)]
struct Check {
    /// Price files, or directories of them
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
struct Export {
    /// Models as PROVIDER:NAME, such as openai:gpt-5
    #[arg(required = true, value_name = "PROVIDER:NAME")]
    models: Vec<String>,
    /// The collector's configuration, for prices of your own
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl PricesArgs {
    /// Does what is asked.
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Show(show) => show.run(),
            Command::Missing(missing) => missing.run(),
            Command::Drift(drift) => drift.run(),
            Command::Check(check) => check.run(),
            Command::Diff(diff) => diff.run(),
            Command::Export(export) => export.run(),
            Command::Import(import) => import.run(),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let at = self.at.as_deref().map(|at| ("at", at));
        let body = self.ask.get("/api/v1/prices", at.as_slice())?;
        if self.format == Format::Json {
            return output::print(&body);
        }
        let answer = client::json(&body)?;
        let columns: Vec<Column> =
            ["provider", "model", "input", "cache_read", "cache_write", "output", "further"]
                .into_iter()
                .map(|name| Column::new(name, ColumnKind::Text))
                .collect();
        let rows: Vec<Vec<String>> = rows(&answer)?.iter().filter_map(listed).collect();
        output::print(&match self.format {
            Format::Csv => output::csv(&columns, &rows)?,
            _ => output::table(&columns, &rows, None),
        })
    }
}

fn listed(row: &Value) -> Option<Vec<String>> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let price = row.get("prices")?.as_array()?.last()?;
    let rate = |kind: &str| {
        let rate = price.pointer(&format!("/rates/{kind}")).and_then(Value::as_str);
        rate.map(for_a_million).unwrap_or_default()
    };
    let count = |name: &str| price.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    let further: Vec<String> = [("tiers", "context tiers"), ("variants", "variants")]
        .into_iter()
        .filter(|(name, _)| count(name) > 0)
        .map(|(name, words)| format!("{} {words}", count(name)))
        .collect();
    Some(vec![
        text("provider"),
        text("model"),
        rate("input"),
        rate("cache_read"),
        rate("cache_write"),
        rate("output"),
        further.join(", "),
    ])
}

impl Show {
    fn run(self) -> anyhow::Result<()> {
        let more = [("provider", self.of.as_str()), ("model", self.name.as_str()), ("history", "1")];
        let body = self.ask.get("/api/v1/prices", &more)?;
        if self.format != Format::Table {
            return output::print(&body);
        }
        let answer = client::json(&body)?;
        let rows = rows(&answer)?;
        let Some(row) = rows.first() else {
            bail!(
                "`{}` has no price for `{}`; see `tollgate prices list` and `prices missing`",
                self.of,
                self.name
            )
        };
        output::print(&shown(row, answer.get("version").and_then(Value::as_str).unwrap_or_default()))
    }
}

fn shown(row: &Value, version: &str) -> String {
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut lines = vec![format!("{} {}  (book {version})", text(row, "provider"), text(row, "model"))];
    let names: Vec<&str> =
        row.get("names").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if !names.is_empty() {
        lines.push(format!("also {}", names.join(", ")));
    }
    for price in row.get("prices").and_then(Value::as_array).into_iter().flatten() {
        let (from, until) = (text(price, "from"), text(price, "until"));
        lines.push(String::new());
        lines.push(match (from.as_str(), until.as_str()) {
            ("", "") => "as long as is known".to_owned(),
            ("", until) => format!("until {until}"),
            (from, "") => format!("from {from}"),
            (from, until) => format!("from {from} until {until}"),
        });
        lines.push(format!("  source {} (checked {})", text(price, "source"), text(price, "checked")));
        for name in ["note", "discount"] {
            let value = text(price, name);
            if !value.is_empty() {
                lines.push(format!("  {name}: {value}"));
            }
        }
        sheet(&mut lines, "  plain", price);
        for variant in price.get("variants").and_then(Value::as_array).into_iter().flatten() {
            sheet(&mut lines, &format!("  {}", text(variant, "when")), variant);
        }
    }
    output::lines(&lines)
}

fn sheet(lines: &mut Vec<String>, title: &str, sheet: &Value) {
    lines.push(format!("{title}: {}", rates(sheet.get("rates"))));
    let tiers = sheet.get("tiers").and_then(Value::as_array);
    for tier in tiers.into_iter().flatten() {
        let above = tier.get("input_above").and_then(Value::as_u64).unwrap_or(0);
        lines.push(format!("    prompt above {above}: {}", rates(tier.get("rates"))));
    }
}

fn rates(rates: Option<&Value>) -> String {
    let rates = rates.and_then(Value::as_object).into_iter().flatten();
    let shown = |(kind, rate): (&String, &Value)| {
        let rate = rate.as_str().unwrap_or_default();
        let is_token = tollgate_core::usage::Kind::from_name(kind)
            .is_some_and(|kind| kind.is_input() || kind.is_output());
        if is_token {
            format!("{kind} {}", for_a_million(rate))
        } else {
            format!("{kind} {} each", trimmed(rate))
        }
    };
    rates.map(shown).collect::<Vec<_>>().join(", ")
}

impl Missing {
    fn run(self) -> anyhow::Result<()> {
        let body = self.ask.get("/api/v1/prices/missing", &[])?;
        if self.format == Format::Json {
            return output::print(&body);
        }
        print_rows(&body, &MISSING, self.format, "every recorded call has a price")
    }
}

impl Drifting {
    fn run(self) -> anyhow::Result<()> {
        let body = self.ask.get("/api/v1/prices/drift", &[])?;
        if self.format == Format::Json {
            return output::print(&body);
        }
        print_rows(&body, &DRIFT, self.format, "no row is off by more than 1 % of what providers say")
    }
}

/// Prints these members of each row; where there is none, what that means.
fn print_rows(
    body: &str,
    members: &[(&'static str, ColumnKind)],
    format: Format,
    nothing: &str,
) -> anyhow::Result<()> {
    let columns: Vec<Column> = members.iter().map(|(name, kind)| Column::new(*name, *kind)).collect();
    let answer = client::json(body)?;
    let field = |row: &Value, name: &str| match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(value) => value.to_string(),
    };
    let rows: Vec<Vec<String>> =
        rows(&answer)?.iter().map(|row| members.iter().map(|(name, _)| field(row, name)).collect()).collect();
    if rows.is_empty() && format == Format::Table {
        return output::print(nothing);
    }
    output::print(&match format {
        Format::Csv => output::csv(&columns, &rows)?,
        _ => output::table(&columns, &rows, None),
    })
}

impl Check {
    fn run(self) -> anyhow::Result<()> {
        let files = read(&self.files)?;
        let book = book(&files)?;
        output::print(&format!(
            "{} files, {} models: good (version {})",
            files.len(),
            book.models().len(),
            book.version()
        ))
    }
}

impl Export {
    fn run(self) -> anyhow::Result<()> {
        let (name, config) = match &self.config {
            None => (String::new(), crate::config::PricesConfig::default()),
            Some(path) => {
                let config =
                    crate::config::Config::load(path).map_err(|errors| anyhow::anyhow!("{errors}"))?;
                (path.display().to_string(), config.prices)
            }
        };
        let book =
            crate::work::prices::book(&name, &config).map_err(|errors| anyhow::anyhow!(errors.join("\n")))?;
        let mut wanted = Vec::new();
        for model in &self.models {
            let Some((provider, name)) = model.split_once(':') else {
                bail!("`{model}` is not PROVIDER:NAME, such as openai:gpt-5")
            };
            if book.find(provider, name, u64::MAX).is_none() {
                bail!("`{provider}` has no price for `{name}`");
            }
            wanted.push(Wanted { provider: provider.to_owned(), model: name.to_owned() });
        }
        // Its filter has nobody to ask.
        let part = book.subset(&wanted, crate::model::clock::now_ms(), usize::MAX).on_its_own();
        output::print(&serde_json::to_string(&part)?)
    }
}

/// Name and text of each file; directories stand for their `.toml` files.
fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(crate::work::prices::files(path).map_err(anyhow::Error::msg)?);
        } else {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            files.push((path.display().to_string(), text));
        }
    }
    Ok(files)
}

/// The book of files, or all that is wrong with them.
fn book(files: &[(String, String)]) -> anyhow::Result<PriceBook> {
    let files: Vec<PriceFile<'_>> = files.iter().map(|(name, text)| PriceFile { name, text }).collect();
    PriceBook::from_files(&files).map_err(|errors| {
        anyhow::anyhow!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn rows(answer: &Value) -> anyhow::Result<&Vec<Value>> {
    answer
        .get("rows")
        .and_then(Value::as_array)
        .context("the answer has no rows; is this a Tollgate collector?")
}

/// Dollars for one as dollars for a million.
fn for_a_million(rate: &str) -> String {
    let rate: Option<tollgate_core::money::Picodollars> = rate.parse().ok();
    rate.map_or_else(String::new, |rate| trimmed(&rate.times(1_000_000).to_string()))
}

fn trimmed(amount: &str) -> String {
    amount.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const DRIFT: [(&str, ColumnKind); 10] = [
    ("provider", ColumnKind::Text),
    ("model", ColumnKind::Text),
    ("calls", ColumnKind::Count),
    ("off_calls", ColumnKind::Count),
    ("doubted_calls", ColumnKind::Count),
    ("without_price", ColumnKind::Count),
    ("book_usd", ColumnKind::Money),
    ("provider_usd", ColumnKind::Money),
    ("difference_usd", ColumnKind::Money),
    ("difference_percent", ColumnKind::Text),
];
const MISSING: [(&str, ColumnKind); 8] = [
    ("provider", ColumnKind::Text),
    ("request_model", ColumnKind::Text),
    ("response_model", ColumnKind::Text),
    ("service_tier", ColumnKind::Text),
    ("unpriced_calls", ColumnKind::Count),
    ("input_tokens", ColumnKind::Count),
    ("output_tokens", ColumnKind::Count),
    ("why", ColumnKind::Text),
];
