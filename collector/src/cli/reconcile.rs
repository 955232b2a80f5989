//! `tollgate reconcile`.

use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::client::{self, Collector};
use super::output::{self, Look, Page};
use crate::model::answers::reconcile::{ReconciledRow, Reconciliation};
use crate::model::answers::summary::{By, SummaryAnswer};
use crate::model::decimal::Decimal;
use crate::model::dimension::Dimension;
use crate::work::reconcile::split::{Seen, Sums, reconcile};
use crate::work::reconcile::{Bill, read};

/// Arguments of `tollgate reconcile`.
#[derive(Args, Debug)]
pub(super) struct ReconcileArgs {
    /// Cost exports as CSV or JSON: of OpenAI, Anthropic, AWS, Google, or FOCUS of anyone
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only this provider's lines
    #[arg(long)]
    provider: Option<String>,
    /// Time zone of days, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    tz: String,
    /// Exit with 1 where the gap of a provider is more than so many percent of its bill
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    max_gap: Option<Decimal>,
    #[command(flatten)]
    collector: Collector,
    #[command(flatten)]
    look: Look,
}

impl ReconcileArgs {
    /// Reads, asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let bill = self.bill()?;
        let seen = self.seen(&bill)?;
        let answer = Reconciliation { tz: self.tz.clone(), ..reconcile(&bill, &seen) };
        if self.look.is_json() {
            output::print(&serde_json::to_string(&answer)?)?;
        } else if let Some(export) = self.look.export() {
            output::print_export(export, &answer.table())?;
        } else {
            shown(&answer, Page::new(self.look.screen())).print()?;
        }
        let wide = |max: &Decimal| answer.totals.iter().find(|total| is_wider(total, *max));
        match self.max_gap.and_then(|max| Some((max, wide(&max)?))) {
            Some((max, total)) => bail!(
                "the gap of `{}` is {} of a bill of {} dollars, which is more than {max} %",
                total.provider,
                total.gap_usd,
                total.bill_usd
            ),
            None => Ok(()),
        }
    }

    fn bill(&self) -> anyhow::Result<Bill> {
        let zone = TimeZone::get(&self.tz)
            .with_context(|| format!("`--tz {}` is no time zone such as `Europe/Berlin`", self.tz))?;
        let mut bill = Bill::default();
        for path in &self.files {
            let shown = path.display().to_string();
            let file = std::fs::File::open(path).with_context(|| format!("`{shown}` cannot be read"))?;
            read::read(&mut bill, &shown, BufReader::new(file), &zone, self.provider.as_deref())
                .map_err(anyhow::Error::msg)?;
        }
        if bill.rows.is_empty() {
            bail!(
                "{} lines were read, and none is about a provider that is known here{}",
                bill.lines,
                self.provider.as_ref().map(|id| format!(" as `{id}`")).unwrap_or_default()
            );
        }
        Ok(bill)
    }

    /// What gateways saw of the bill's days and providers.
    fn seen(&self, bill: &Bill) -> anyhow::Result<Vec<Seen>> {
        let days = || bill.rows.keys().map(|(day, ..)| *day);
        let (Some(first), Some(last)) = (days().min(), days().max()) else { return Ok(Vec::new()) };
        let (from, to) =
            (first.to_string(), last.tomorrow().context("the last day of all days")?.to_string());
        let providers: BTreeSet<&str> = bill.rows.keys().map(|(_, provider, _)| provider.as_str()).collect();
        let mut asked = vec![
            ("by", "day,provider,model"),
            ("from", from.as_str()),
            ("to", to.as_str()),
            ("tz", &self.tz),
        ];
        asked.extend(providers.into_iter().map(|provider| ("provider", provider)));
        let answer: SummaryAnswer = client::read(&self.collector.get("/api/v1/summary", &asked)?)?;
        answer
            .rows
            .iter()
            .map(|row| {
                let key = |by| row.keys.value(by).unwrap_or_default();
                let day = key(By::Day);
                let day: Date = day.parse().with_context(|| format!("the collector's day `{day}`"))?;
                let of = &row.numbers;
                Ok(Seen {
                    day,
                    provider: key(By::Dimension(Dimension::Provider)).to_owned(),
                    model: key(By::Dimension(Dimension::Model)).to_owned(),
                    sums: Sums {
                        calls: of.calls,
                        unpriced: of.unpriced,
                        cost: of.cost_usd,
                        estimated: of.estimated_cost_usd,
                        tokens: i128::from(of.input_tokens).saturating_add(of.output_tokens.into()),
                    },
                })
            })
            .collect()
    }
}

/// Rows, totals, and what is to be known of the reading.
fn shown(answer: &Reconciliation, page: Page) -> Page {
    let page = page.table(&answer.table()).gap().table(&answer.totals_table()).gap();
    page.note(&format!(
        "{} lines read, {} passed over, {} amounts rounded; days of {}",
        answer.lines, answer.passed_over_lines, answer.rounded_amounts, answer.tz
    ))
}

/// Whether the gap is more than so many percent of the bill; any gap is, of a bill of nothing.
fn is_wider(total: &ReconciledRow, max: Decimal) -> bool {
    let scale = 10_i128.checked_pow(max.places().into()).unwrap_or(i128::MAX);
    let gap = total.gap_usd.as_pico().saturating_abs().saturating_mul(100).saturating_mul(scale);
    gap > total.bill_usd.as_pico().saturating_abs().saturating_mul(max.units())
}

fn percent(text: &str) -> Result<Decimal, String> {
    let number: Decimal = text.trim_end_matches('%').parse().map_err(|error| format!("{error}"))?;
    if number.units() < 0 || number.places() > 6 {
        return Err(
            "a number of percent from 0 on with at most six decimals, such as `2.5`, is right".to_owned()
        );
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::super::output::Screen;
    use super::*;

    #[test]
    fn a_gap_is_wider_only_above_the_limit() {
        let total = |gap: &str| ReconciledRow {
            gap_usd: gap.parse().unwrap(),
            bill_usd: "100".parse().unwrap(),
            ..ReconciledRow::default()
        };
        let max = percent("2.5%").unwrap();
        assert!(!is_wider(&total("2.5"), max) && !is_wider(&total("-2.5"), max));
        assert!(is_wider(&total("2.500000000001"), max) && is_wider(&total("-3"), max));
        assert!(percent("-1").is_err() && percent("many").is_err());
    }

    #[test]
    fn a_page_fits_eighty_columns() {
        let row = ReconciledRow {
            day: "2026-11-01".into(),
            provider: "anthropic".into(),
            model: "claude-sonnet-4-5-20250929".into(),
            bill_usd: "1234.5".parse().unwrap(),
            gap_usd: "1234.5".parse().unwrap(),
            ..ReconciledRow::default()
        };
        let answer =
            Reconciliation { rows: vec![row.clone()], totals: vec![row], ..Reconciliation::default() };
        let page = shown(&answer, Page::new(Screen::plain(80)));
        assert!(page.text().contains("1,234.5") || page.text().contains("1234.5"), "{}", page.text());
        page.assert_fits(80);
    }
}
