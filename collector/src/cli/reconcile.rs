//! `tollgate reconcile`.

use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use jiff::tz::TimeZone;

use super::client::{self, Collector};
use super::output::{self, Look, Page};
use crate::model::answers::reconcile::{BillBooking, NotBooked, Reconciliation};
use crate::model::clock::now;
use crate::work::reconcile::run::percent;
use crate::work::reconcile::{Asked, Bill, read};

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
    #[arg(long, value_name = "PERCENT", value_parser = checked)]
    max_gap: Option<String>,
    /// Book corrected totals as adjustments; needs a token that writes
    #[arg(long, requires = "reason")]
    book: bool,
    /// Only show what would be booked
    #[arg(long)]
    dry_run: bool,
    /// Why the bill is booked, such as `invoice 2026-10`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    collector: Collector,
    #[command(flatten)]
    look: Look,
}

impl ReconcileArgs {
    /// Reads the files, asks what the collector knows of their sums, and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.reason.is_some() && !self.book && !self.dry_run {
            bail!("--reason is given without --book; nothing is booked without it");
        }
        let bill = self.bill()?;
        let names: Vec<String> = self.files.iter().map(|path| name_of(path)).collect();
        let name = match names.as_slice() {
            [only] => only.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
            [] => String::new(),
        };
        let mut asked = vec![("tz", self.tz.as_str()), ("name", name.as_str())];
        asked.extend(self.max_gap.as_deref().map(|max| ("max_gap", max)));
        asked.extend(self.book.then_some(("book", "true")));
        asked.extend(self.dry_run.then_some(("dry_run", "true")));
        asked.extend(self.reason.as_deref().map(|reason| ("reason", reason)));
        let body = self.collector.post_about("/api/v1/reconcile", &asked, &bill.to_document())?;
        let answer: Reconciliation = client::read(&body)?;
        if self.look.is_json() {
            output::print(&body)?;
        } else if let Some(export) = self.look.export() {
            output::print_export(export, &answer.table())?;
        } else {
            shown(&answer, Page::new(self.look.screen())).print()?;
        }
        let wide = answer.totals.iter().find(|total| answer.too_wide.contains(&total.provider));
        match wide {
            Some(total) => bail!(
                "the gap of `{}` is {} of a bill of {} dollars, which is more than {} %",
                total.provider,
                total.gap_usd,
                total.bill_usd,
                self.max_gap.as_deref().unwrap_or_default().trim_end_matches('%')
            ),
            None => Ok(()),
        }
    }

    fn bill(&self) -> anyhow::Result<Bill> {
        let zone = TimeZone::get(&self.tz)
            .with_context(|| format!("`--tz {}` is no time zone such as `Europe/Berlin`", self.tz))?;
        let today = TimeZone::UTC.to_datetime(now()).date();
        let asked = Asked { zone: &zone, only: self.provider.as_deref(), today };
        let mut bill = Bill::default();
        for path in &self.files {
            let shown = path.display().to_string();
            let file = std::fs::File::open(path).with_context(|| format!("`{shown}` cannot be read"))?;
            read::read(&mut bill, &shown, BufReader::new(file), &asked).map_err(anyhow::Error::msg)?;
        }
        bill.whole().map_err(anyhow::Error::msg)?;
        if bill.rows.is_empty() {
            bail!(
                "{} lines were read, and none is about a provider that is known here{}",
                bill.lines,
                self.provider.as_ref().map(|id| format!(" as `{id}`")).unwrap_or_default()
            );
        }
        Ok(bill)
    }
}

/// Rows, totals, and what is to be known of the reading.
fn shown(answer: &Reconciliation, page: Page) -> Page {
    let page = page.table(&answer.table()).gap().table(&answer.totals_table()).gap();
    let page = page.note(&format!(
        "{} lines read, {} passed over, {} amounts rounded; days of {}",
        answer.lines, answer.passed_over_lines, answer.rounded_amounts, answer.tz
    ));
    match &answer.booking {
        Some(booking) => booked(answer, booking, page.gap()),
        None => page,
    }
}

/// What is booked, and what is left.
fn booked(answer: &Reconciliation, booking: &BillBooking, page: Page) -> Page {
    let amount = booking.amount_usd;
    let page = match (booking.written, booking.rows.is_empty()) {
        (_, true) => page.words("nothing is to be booked"),
        (true, false) => page.words(&format!("booked as adjustments: {amount} dollars")).gap(),
        (false, false) => page.words(&format!("would be booked: {amount} dollars")).gap(),
    };
    let page = if booking.rows.is_empty() { page } else { page.table(&answer.booked_table()) };
    let page = match booking.rows.iter().any(|row| row.month_was_closed) {
        true => page.note("days of closed months are booked in the first open hour"),
        false => page,
    };
    let count = |why: NotBooked| booking.left.iter().filter(|row| row.why == why).count();
    let (unmatched, outside) = (count(NotBooked::ModelNotMatched), count(NotBooked::DayNotInBill));
    let page = match unmatched {
        0 => page,
        count => page.note(&format!(
            "{count} gaps are left: the bill and the gateways name other models, which may be the same; give the price \
             book the bill's name as another name of the model"
        )),
    };
    match outside {
        0 => page,
        count => page.note(&format!("{count} gaps are left of days of which the bill has no line")),
    }
}

fn name_of(path: &std::path::Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn checked(text: &str) -> Result<String, String> {
    percent(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::output::Screen;
    use super::*;
    use crate::model::answers::reconcile::ReconciledRow;

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
