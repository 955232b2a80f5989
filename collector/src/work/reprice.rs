//! Pricing records again after a correction of the book: shown first, then written as adjustments.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::json;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{CostStatus, PriceBook};
use tollgate_core::record::{CostSource, Note, UsageRecord};

use crate::model::answers::corrections::{Repriced, RepricedRow};
use crate::model::audit::Entry;
use crate::model::clock::instant;
use crate::store::{Correction, Counted, RecordsQuery, Store, StoreError};

/// Prices the records that a query wants again. With `audit`, differences become adjustments, and each
/// transaction of them leaves this entry in the audit trail.
///
/// # Errors
/// When the store fails; what was written before stays, and the next run does the rest.
pub async fn reprice(
    store: &Store,
    book: &PriceBook,
    mut query: RecordsQuery,
    audit: Option<Entry>,
) -> Result<Repriced, StoreError> {
    let mut groups: BTreeMap<(String, String, String), RepricedRow> = BTreeMap::new();
    query.limit = PAGE;
    loop {
        let (page, next) = store.counted(query.clone()).await?;
        let corrections: Vec<Correction> =
            page.into_iter().filter_map(|counted| correction(book, counted)).collect();
        for correction in &corrections {
            let who = &correction.before.head.attribution;
            let key = (day(correction.before.head.time_ms), who.team.clone(), who.agent.clone());
            groups.entry(key).or_default().add(correction);
        }
        if let Some(entry) = &audit
            && !corrections.is_empty()
        {
            let difference: Picodollars =
                corrections.iter().map(|one| one.after.cost_usd - one.before.cost_usd).sum();
            let after = json!({"price_version": book.version(), "difference_usd": difference});
            store.correct(corrections, Entry { after: Some(after), ..entry.clone() }).await?;
        }
        match next {
            Some(cursor) => query.after = Some(cursor),
            None => break,
        }
    }
    let mut answer = Repriced {
        price_version: book.version().to_owned(),
        written: audit.is_some(),
        ..Repriced::default()
    };
    for ((day, team, agent), row) in groups {
        answer.total.calls = answer.total.calls.saturating_add(row.calls);
        answer.total.unpriced_before = answer.total.unpriced_before.saturating_add(row.unpriced_before);
        answer.total.old_cost_usd += row.old_cost_usd;
        answer.total.new_cost_usd += row.new_cost_usd;
        answer.total.difference_usd += row.difference_usd;
        answer.rows.push(RepricedRow { day, team, agent, ..row });
    }
    Ok(answer)
}

impl RepricedRow {
    fn add(&mut self, correction: &Correction) {
        let (old, new) = (correction.before.cost_usd, correction.after.cost_usd);
        self.calls = self.calls.saturating_add(1);
        let was_unpriced = correction.before.cost_status == CostStatus::Unpriced;
        self.unpriced_before = self.unpriced_before.saturating_add(u64::from(was_unpriced));
        self.old_cost_usd += old;
        self.new_cost_usd += new;
        self.difference_usd += new - old;
    }
}

/// The correction that a book makes of a record, if it makes one. A call that was priced does not become
/// unpriced: a row that the book lost is a mistake of the book, not of the record.
fn correction(book: &PriceBook, counted: Counted) -> Option<Correction> {
    let Counted { record: before, base } = counted;
    let (priced, status) = book.price_again(&before)?;
    // A word that was judged is judged by this book again. One from before words counted stays beside the
    // cost.
    let is_judged =
        before.cost_source == CostSource::Provider || before.notes.contains(&Note::ProviderCostDoubted);
    let measured = status == CostStatus::Measured
        || before.cost_source == CostSource::Provider && before.cost_status == CostStatus::Measured;
    let owed = priced.owed(before.provider_cost_usd.filter(|_| is_judged), measured);
    let lost = owed.status == CostStatus::Unpriced && before.cost_status != CostStatus::Unpriced;
    let same = owed.cost == before.cost_usd && owed.status == before.cost_status;
    if lost || same {
        return None;
    }
    let after = UsageRecord {
        cost_usd: owed.cost,
        cost_status: owed.status,
        cost_source: owed.source,
        charges: priced.charges,
        price_basis: priced.basis,
        price_version: Some(book.version().to_owned()),
        ..before.clone()
    };
    Some(Correction { before, after, base })
}

fn day(time_ms: u64) -> String {
    let time = instant(time_ms);
    time.map_or_else(String::new, |time| time.to_zoned_datetime(TimeZone::UTC).date().to_string())
}

/// Records that are read and corrected at a time.
const PAGE: usize = 1000;
