//! `tollgate prices`.

mod diff;
mod import;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use tollgate_core::money::Picodollars;
use tollgate_core::price::{PriceBook, PriceFile, Rates, Tier, Wanted};
use tollgate_core::usage::Kind;

use super::client::{self, Ask};
use super::output::{self, Column, ColumnKind, Format};
use crate::model::answers::prices::{
    self as answers, DriftRow, MissingPrices, MissingRow, PricedModelRow, Prices,
};

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
        let answer: Prices = client::read(&body)?;
        let columns: Vec<Column> =
            ["provider", "model", "input", "cache_read", "cache_write", "output", "further"]
                .into_iter()
                .map(|name| Column::new(name, ColumnKind::Text))
                .collect();
        let rows: Vec<Vec<String>> = answer.rows.iter().filter_map(listed).collect();
        output::print(&match self.format {
            Format::Csv => output::csv(&columns, &rows)?,
            _ => output::table(&columns, &rows, None),
        })
    }
}

fn listed(row: &PricedModelRow) -> Option<Vec<String>> {
    let price = row.prices.last()?;
    let rate = |kind: Kind| price.rates.0.get(&kind).map(|rate| for_a_million(*rate)).unwrap_or_default();
    let further: Vec<String> = [(price.tiers.len(), "context tiers"), (price.variants.len(), "variants")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    Some(vec![
        row.provider.clone(),
        row.model.clone(),
        rate(Kind::Input),
        rate(Kind::CacheRead),
        rate(Kind::CacheWrite),
        rate(Kind::Output),
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
        let answer: Prices = client::read(&body)?;
        let Some(row) = answer.rows.first() else {
            bail!(
                "`{}` has no price for `{}`; see `tollgate prices list` and `prices missing`",
                self.of,
                self.name
            )
        };
        output::print(&shown(row, &answer.version))
    }
}

fn shown(row: &PricedModelRow, version: &str) -> String {
    let mut lines = vec![format!("{} {}  (book {version})", row.provider, row.model)];
    if !row.names.is_empty() {
        lines.push(format!("also {}", row.names.join(", ")));
    }
    for price in &row.prices {
        lines.push(String::new());
        lines.push(match (&price.from, &price.until) {
            (None, None) => "as long as is known".to_owned(),
            (None, Some(until)) => format!("until {until}"),
            (Some(from), None) => format!("from {from}"),
            (Some(from), Some(until)) => format!("from {from} until {until}"),
        });
        lines.push(format!("  source {} (checked {})", price.source, price.checked));
        for (name, text) in [("note", &price.note), ("discount", &price.discount)] {
            lines.extend(text.as_ref().map(|text| format!("  {name}: {text}")));
        }
        sheet(&mut lines, "  plain", &price.rates, &price.tiers);
        for variant in &price.variants {
            sheet(&mut lines, &format!("  {}", variant.when), &variant.rates, &variant.tiers);
        }
    }
    output::lines(&lines)
}

fn sheet(lines: &mut Vec<String>, title: &str, plain: &Rates, tiers: &[Tier]) {
    lines.push(format!("{title}: {}", rates(plain)));
    for tier in tiers {
        lines.push(format!("    prompt above {}: {}", tier.input_above, rates(&tier.rates)));
    }
}

/// In the order of their names, as the API has them.
fn rates(rates: &Rates) -> String {
    let mut rates: Vec<(&str, Kind, Picodollars)> =
        rates.0.iter().map(|(kind, rate)| (kind.name(), *kind, *rate)).collect();
    rates.sort_unstable_by_key(|(name, ..)| *name);
    let shown = |(name, kind, rate): (&str, Kind, Picodollars)| {
        if kind.is_input() || kind.is_output() {
            format!("{name} {}", for_a_million(rate))
        } else {
            format!("{name} {} each", trimmed(&rate.to_string()))
        }
    };
    rates.into_iter().map(shown).collect::<Vec<_>>().join(", ")
}

impl Missing {
    fn run(self) -> anyhow::Result<()> {
        let body = self.ask.get("/api/v1/prices/missing", &[])?;
        if self.format == Format::Json {
            return output::print(&body);
        }
        let answer: MissingPrices = client::read(&body)?;
        let rows = answer.rows.into_iter().map(missing).collect();
        print_rows(rows, &MISSING, self.format, "every recorded call has a price")
    }
}

impl Drifting {
    fn run(self) -> anyhow::Result<()> {
        let body = self.ask.get("/api/v1/prices/drift", &[])?;
        if self.format == Format::Json {
            return output::print(&body);
        }
        let answer: answers::Drifting = client::read(&body)?;
        let rows = answer.rows.into_iter().map(drift).collect();
        print_rows(rows, &DRIFT, self.format, "no row is off by more than 1 % of what providers say")
    }
}

fn missing(row: MissingRow) -> Vec<String> {
    vec![
        row.provider,
        row.request_model,
        row.response_model,
        row.service_tier,
        row.unpriced_calls.to_string(),
        row.input_tokens.to_string(),
        row.output_tokens.to_string(),
        row.why,
    ]
}

fn drift(row: DriftRow) -> Vec<String> {
    vec![
        row.provider,
        row.model,
        row.calls.to_string(),
        row.off_calls.to_string(),
        row.doubted_calls.to_string(),
        row.without_price.to_string(),
        row.book_usd.to_string(),
        row.provider_usd.to_string(),
        row.difference_usd.to_string(),
        row.difference_percent,
    ]
}

/// Prints rows under these columns; where there is none, what that means.
fn print_rows(
    rows: Vec<Vec<String>>,
    columns: &[(&'static str, ColumnKind)],
    format: Format,
    nothing: &str,
) -> anyhow::Result<()> {
    let columns: Vec<Column> = columns.iter().map(|(name, kind)| Column::new(*name, *kind)).collect();
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

/// Dollars for one as dollars for a million.
fn for_a_million(rate: Picodollars) -> String {
    trimmed(&rate.times(1_000_000).to_string())
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
