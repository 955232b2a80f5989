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
use super::output::{self, Look, Page};
use crate::model::answers::prices::{
    self as answers, DriftRow, MissingPrices, MissingRow, PricedModelRow, Prices,
};
use crate::model::table::{Cell, Column, Kind as Holds, Table};

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
    #[command(flatten)]
    look: Look,
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
    #[command(flatten)]
    look: Look,
}

#[derive(Args, Debug)]
struct Missing {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    look: Look,
}

#[derive(Args, Debug)]
struct Drifting {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    look: Look,
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
        if self.look.is_json() {
            return output::print(&body);
        }
        let answer: Prices = client::read(&body)?;
        self.look.print(&Table::new(prices()).with(answer.rows.iter().filter_map(listed)))
    }
}

fn listed(row: &PricedModelRow) -> Option<Vec<Cell>> {
    let price = row.prices.last()?;
    let rate = |kind: Kind| Cell::said(price.rates.0.get(&kind).map(|rate| for_a_million(*rate)));
    let further: Vec<String> = [(price.tiers.len(), "context tiers"), (price.variants.len(), "variants")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    Some(vec![
        row.provider.clone().into(),
        row.model.clone().into(),
        rate(Kind::Input),
        rate(Kind::CacheRead),
        rate(Kind::CacheWrite),
        rate(Kind::Output),
        further.join(", ").into(),
    ])
}

impl Show {
    fn run(self) -> anyhow::Result<()> {
        let more = [("provider", self.of.as_str()), ("model", self.name.as_str()), ("history", "1")];
        let body = self.ask.get("/api/v1/prices", &more)?;
        if !self.look.is_table() {
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
        Page::new(self.look.screen()).words(&shown(row, &answer.version)).print()
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
        let body = self.ask.get("/api/v1/prices/missing", client::NONE)?;
        if self.look.is_json() {
            return output::print(&body);
        }
        let answer: MissingPrices = client::read(&body)?;
        let rows = answer.rows.into_iter().map(missing).collect();
        print_rows(rows, without_price(), self.look, "every recorded call has a price")
    }
}

impl Drifting {
    fn run(self) -> anyhow::Result<()> {
        let body = self.ask.get("/api/v1/prices/drift", client::NONE)?;
        if self.look.is_json() {
            return output::print(&body);
        }
        let answer: answers::Drifting = client::read(&body)?;
        let rows = answer.rows.into_iter().map(drift).collect();
        print_rows(rows, drifting(), self.look, "no row is off by more than 1 % of what providers say")
    }
}

fn missing(row: MissingRow) -> Vec<Cell> {
    vec![
        row.provider.into(),
        row.request_model.into(),
        row.response_model.into(),
        row.service_tier.into(),
        row.unpriced_calls.into(),
        row.input_tokens.into(),
        row.output_tokens.into(),
        row.why.into(),
    ]
}

fn drift(row: DriftRow) -> Vec<Cell> {
    vec![
        row.provider.into(),
        row.model.into(),
        row.calls.into(),
        row.off_calls.into(),
        row.doubted_calls.into(),
        row.without_price.into(),
        row.book_usd.into(),
        row.provider_usd.into(),
        row.difference_usd.into(),
        row.difference_percent.into(),
    ]
}

/// Prints rows under these columns; where there is none, what that means.
fn print_rows(rows: Vec<Vec<Cell>>, columns: Vec<Column>, look: Look, nothing: &str) -> anyhow::Result<()> {
    if rows.is_empty() && look.is_table() {
        return output::print(nothing);
    }
    look.print(&Table::new(columns).with(rows))
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

fn prices() -> Vec<Column> {
    let rate = |name: &str| Column::new(name, Holds::Right).whole();
    vec![
        Column::text("provider").weight(200),
        Column::text("model").kept(),
        rate("input").weight(190),
        rate("cache_read").weight(150),
        rate("cache_write").weight(140),
        rate("output").weight(180),
        Column::text("further").weight(50).if_any(),
    ]
}

fn drifting() -> Vec<Column> {
    vec![
        Column::text("provider").weight(160),
        Column::text("model").kept(),
        Column::count("calls").weight(110),
        Column::count("off_calls").weight(120),
        Column::count("doubted_calls").titled("doubted").weight(70).if_any(),
        Column::count("without_price").weight(60).if_any(),
        Column::money("book_usd").weight(150),
        Column::money("provider_usd").weight(155),
        Column::money("difference_usd").weight(200),
        Column::new("difference_percent", Holds::Right).weight(190).whole(),
    ]
}

fn without_price() -> Vec<Column> {
    vec![
        Column::text("provider").weight(180),
        Column::text("request_model").kept(),
        Column::text("response_model").weight(120).if_any(),
        Column::text("service_tier").weight(110).if_any(),
        Column::count("unpriced_calls").titled("calls").weight(190),
        Column::count("input_tokens").titled("tokens in").weight(90),
        Column::count("output_tokens").titled("tokens out").weight(85),
        Column::text("why").weight(150),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::output::Screen;
    use super::*;

    #[test]
    fn lists_fit_eighty_columns() {
        let price = json!({
            "source": "https://example.com", "checked": "2026-11-01", "rates": {"input": "0.000001250000",
            "cache_read": "0.000000125000", "output": "0.000010000000"}, "tiers": [], "variants": [],
        });
        let model = json!({
            "provider": "bedrock", "model": "anthropic.claude-sonnet-4-5-20250929-v1:0", "names": [], "snapshots_of": [],
            "prices": [price],
        });
        let missing_row = json!({
            "provider": "openrouter", "request_model": "mystery-model-of-somebody-2026-01-01",
            "response_model": "mystery-model-of-somebody-2026-01-01-answered", "service_tier": "priority",
            "unpriced_calls": 12_345, "input_tokens": 1_234_567_890, "output_tokens": 123_456, "why": "no row names it",
        });
        let drift_row = json!({
            "provider": "openrouter", "model": "anthropic/claude-sonnet-4.5", "calls": 12_345, "off_calls": 123,
            "doubted_calls": 3, "without_price": 1, "book_usd": "1234.500000000000", "provider_usd": "1300.000000000000",
            "difference_usd": "65.500000000000", "difference_percent": "5.31",
        });
        let mut tables = vec![
            Table::new(without_price()).with([missing(serde_json::from_value(missing_row).unwrap())]),
            Table::new(drifting()).with([drift(serde_json::from_value(drift_row).unwrap())]),
        ];
        tables.push(Table::new(prices()).with(listed(&serde_json::from_value(model).unwrap())));
        for table in tables {
            let page = Page::new(Screen::plain(80)).table(&table);
            assert_eq!(
                page.text().lines().filter(|line| !line.starts_with("not shown")).count(),
                2,
                "{}",
                page.text()
            );
            page.assert_fits(80);
        }
    }
}
