//! A bill from its reading to an answer, and to what is booked of it.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use ring::digest::{SHA256, digest};
use serde_json::json;
use tollgate_core::money::Picodollars;

use super::split::{Seen, Sums, answer, models, pairs};
use super::{Bill, book};
use crate::model::answers::reconcile::{BillBooking, ReconciledRow, Reconciliation};
use crate::model::audit::Entry;
use crate::model::decimal::Decimal;
use crate::store::{NewBill, SeenDays, SeenQuery, StoreError};
use crate::work::app::App;

/// What is asked about a bill.
#[derive(Debug)]
pub struct Ask {
    /// Name of the time zone.
    pub tz: String,
    /// The time zone of days.
    pub zone: TimeZone,
    /// A gap of so many percent of a provider's bill is too wide.
    pub max_gap: Option<Decimal>,
    /// What the bill is called.
    pub name: String,
    /// Whether and how corrected totals are booked.
    pub booking: Booking,
}

/// Whether corrected totals are booked.
#[derive(Debug)]
pub enum Booking {
    /// They are not.
    No,
    /// They are only shown.
    Shown(Option<String>),
    /// They are, for this reason, with this entry of the audit trail.
    Written(String, Box<Entry>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NotReconciled {
    /// The bill cannot be used; why.
    #[error("{0}")]
    Bill(String),
    /// Another bill was booked meanwhile.
    #[error("another bill was booked meanwhile; nothing of this one was, send it again")]
    Meanwhile,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts a bill beside what the collector knows, and books what is wanted.
///
/// # Errors
/// Nothing is booked then.
pub async fn run(app: &App, bill: &Bill, ask: Ask) -> Result<Reconciliation, NotReconciled> {
    let is_written = matches!(ask.booking, Booking::Written(..));
    // Two bills after each other: each knows what the one before booked.
    let _alone = if is_written { Some(app.repricing.lock().await) } else { None };
    let (first, last) = bill.days().ok_or_else(|| NotReconciled::Bill(bill.nothing_known()))?;
    let query = SeenQuery {
        first,
        last,
        zone: ask.zone.clone(),
        providers: bill.rows.keys().map(|(_, provider, _)| provider.clone()).collect::<BTreeSet<_>>(),
        with_places: !matches!(ask.booking, Booking::No),
    };
    let known = app.store.seen_days(query).await?;
    let seen = seen(&known);
    let prices = app.prices.book();
    let mut models = models(bill, &seen, &prices);
    let pairs = pairs(bill, &seen, &mut models);
    let mut answer = Reconciliation { tz: ask.tz.clone(), ..answer(bill, &pairs) };
    answer.too_wide = too_wide(&answer, ask.max_gap);
    let (reason, entry) = match ask.booking {
        Booking::No => return Ok(answer),
        Booking::Shown(reason) => (reason, None),
        Booking::Written(reason, entry) => (Some(reason), Some(*entry)),
    };
    let plan = book::plan(&pairs, &mut models, &known, &ask.zone);
    if plan.lines.len() > LINES_MAX {
        return Err(NotReconciled::Bill(format!(
            "the bill's gaps are of {} hours of callers, and at most {LINES_MAX} are booked at a time; book the bill of \
             one provider (`provider`), or of fewer days",
            plan.lines.len()
        )));
    }
    let mut booking = BillBooking {
        written: false,
        name: ask.name,
        reason,
        digest: bill.digest(&ask.tz),
        amount_usd: plan.rows.iter().map(|row| row.amount_usd).sum::<Picodollars>(),
        rows: plan.rows,
        left: plan.left,
    };
    if let Some(mut entry) = entry.filter(|_| !plan.lines.is_empty()) {
        let kept = json!({
            "name": booking.name, "digest": booking.digest, "reason": booking.reason, "tz": ask.tz,
            "first_day": first.to_string(), "last_day": last.to_string(), "rows": booking.rows.len(),
        });
        entry.subject.clone_from(&booking.name);
        entry.after = Some(kept.clone());
        let new = NewBill { after: known.last_bill, lines: plan.lines, body: kept };
        app.store.book_bill(new, entry).await?.ok_or(NotReconciled::Meanwhile)?;
        booking.written = true;
    }
    answer.booking = Some(booking);
    Ok(answer)
}

/// Providers whose gap is more than so many percent of their bill.
fn too_wide(answer: &Reconciliation, max: Option<Decimal>) -> Vec<String> {
    let wide = answer.totals.iter().filter(|total| max.is_some_and(|max| is_wider(total, max)));
    wide.map(|total| total.provider.clone()).collect()
}

fn seen(known: &SeenDays) -> Vec<Seen> {
    let rows = known.days.iter().map(|((day, provider, model), of)| Seen {
        day: *day,
        provider: provider.clone(),
        model: model.clone(),
        sums: Sums {
            calls: of.calls,
            unpriced: of.unpriced_calls,
            cost: of.cost,
            estimated: of.estimated_cost,
            tokens: i128::from(of.input_tokens).saturating_add(of.output_tokens.into()),
        },
    });
    rows.collect()
}

impl Bill {
    /// The first and the last day; none of a bill without rows.
    fn days(&self) -> Option<(jiff::civil::Date, jiff::civil::Date)> {
        let days = || self.rows.keys().map(|(day, ..)| *day);
        days().min().zip(days().max())
    }

    fn nothing_known(&self) -> String {
        format!("{} lines were read, and none is about a provider that is known here", self.lines)
    }

    /// A hash of what it says, whatever its files look like; hexadecimal.
    fn digest(&self, tz: &str) -> String {
        let mut text = format!("{tz}\n");
        for ((day, provider, model), of) in &self.rows {
            text.push_str(&json!([day.to_string(), provider, model, of.cost]).to_string());
            text.push('\n');
        }
        digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether the gap is more than so many percent of the bill; any gap is, of a bill of nothing.
fn is_wider(total: &ReconciledRow, max: Decimal) -> bool {
    let scale = 10_i128.checked_pow(max.places().into()).unwrap_or(i128::MAX);
    let gap = total.gap_usd.as_pico().saturating_abs().saturating_mul(100).saturating_mul(scale);
    gap > total.bill_usd.as_pico().saturating_abs().saturating_mul(max.units())
}

/// A number of percent such as `2.5` or `2.5%`.
///
/// # Errors
/// What would be right.
pub fn percent(text: &str) -> Result<Decimal, String> {
    let number: Decimal = text.trim_end_matches('%').parse().map_err(|error| format!("{error}"))?;
    if number.units() < 0 || number.places() > 6 {
        return Err(
            "a number of percent from 0 on with at most six decimals, such as `2.5`, is right".to_owned()
        );
    }
    Ok(number)
}

/// Most hours of callers that one bill may change, so that gateways do not wait long for the database.
const LINES_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
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
}
