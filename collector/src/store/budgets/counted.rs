//! Whether counters have charged what the records of their windows cost: what is compared when the trail is
//! verified. Who sets back what an account has used, takes one out, or changes what a counter began with,
//! opens a budget again, and makes the two differ.
//!
//! Compared are the counters that a budget has now, of windows whose records are all kept. A counter's
//! charges are `seed` and what its accounts have used, without what is kept above the records' costs. What is
//! under way may stand in only one of the two: what calls hold, what was reported in the last minute, and
//! records of calls that ended in it. What a counter began with was read from summaries, where these may say
//! something else than records: corrected prices, names under `other`, totals. There the two sides are
//! bounds.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, params};
use tollgate_core::attribution::TrustedFields;
use tollgate_core::budget::ledger::Ledger;
use tollgate_core::budget::policy::OTHER;
use tollgate_core::budget::scope::{Dimension, Subject};
use tollgate_core::budget::window::Window;
use tollgate_core::budget::{Amount, Unit};
use tollgate_core::record::UsageRecord;

use super::late_budgets::spent_by;
use super::seed::{Seeds, is_tagged, spent, subject_of, value_in};
use super::{StoreError, StoredBudget, accounts, all, amount};
use crate::model::calendar::span;
use crate::model::clock::{HOUR_MS, signed};
use crate::store::records::adjust;
use crate::store::records::bills;
use crate::store::records::id::RecordId;
use crate::store::records::retention;
use crate::store::rollups::sums::{InRow, Sums};

/// What was compared.
#[derive(Debug, Default)]
pub(in crate::store) struct Compared {
    /// Counters that were compared.
    pub(in crate::store) counters: u64,
    /// What differs, in words.
    pub(in crate::store) wrong: Vec<String>,
}

/// What records say was spent under one value: no less, and no more.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    least: Amount,
    most: Amount,
    /// The part of `least` of calls that began before the budget counted: no counter is made for it alone.
    least_before: Amount,
    /// The part of `least` of calls that ended in the last minute: their gateway may not have told yet.
    just_now: Amount,
}

/// What a counter says.
#[derive(Clone, Copy, Debug, Default)]
struct Charged {
    /// With what calls under way hold.
    used: Amount,
    /// Without.
    settled: Amount,
    /// What its gateways spent in their last minute, where that is not over.
    just_now: Amount,
}

/// A window of a budget: its records and its counters.
#[derive(Debug, Default)]
struct Both {
    said: BTreeMap<String, Said>,
    charged: BTreeMap<String, Charged>,
    /// Totals are in it, so that nobody knows all values.
    has_totals: bool,
    /// Counters began with summaries that may have said more than records do.
    may_have_more: bool,
}

/// On which counters the values of a budget's `each` are counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Values {
    /// Each on its own.
    Own,
    /// On its own, or on the one that the rest shares.
    Shared,
    /// Not known any more.
    Unknown,
}

/// Compares every counter that counts with its records.
pub(in crate::store) fn compare(connection: &Connection, now_ms: u64) -> Result<Compared, StoreError> {
    let reading = Reading {
        horizon: retention::horizon(connection)?,
        now_ms,
        registered: Seeds::default().registered(connection)?,
        corrected: adjust::all(connection)?.into_keys().collect(),
        losses: losses(connection)?,
    };
    let mut compared = Compared::default();
    for stored in
        all(connection)?.iter().filter(|stored| stored.budget.is_enforced() && !stored.is_quarantine)
    {
        for (start_ms, both) in reading.windows(connection, stored)? {
            let span = span(&stored.budget, start_ms);
            let is_now = now_ms < span.end_ms.saturating_add(stored.budget.window.reach_ms());
            let values = match both.has_totals || !reading.registered.is_empty() {
                true => Values::Unknown,
                false if both.charged.contains_key(OTHER) => Values::Shared,
                false => Values::Own,
            };
            let is_bounded = !both.may_have_more && !reading.losses.are_known && !has_models(stored);
            both.compare(stored, (values, is_now, is_bounded), &mut compared);
        }
    }
    Ok(compared)
}

/// What is read beside counters and records.
struct Reading {
    horizon: i64,
    now_ms: u64,
    registered: Arc<BTreeSet<String>>,
    corrected: HashSet<RecordId>,
    losses: Losses,
}

impl Reading {
    /// The windows of a budget that it has counters or records of, as far as all records are kept.
    fn windows(
        &self,
        connection: &Connection,
        stored: &StoredBudget,
    ) -> Result<BTreeMap<u64, Both>, StoreError> {
        let mut windows = charged(connection, stored, (self.horizon, self.now_ms))?;
        let now = span(&stored.budget, self.now_ms);
        let from = windows.keys().next().copied().unwrap_or(u64::MAX).min(now.start_ms);
        totals(connection, stored, &mut windows, from)?;
        let mut statement = connection
            .prepare_cached("SELECT id, body FROM records INDEXED BY records_by_time WHERE time_ms >= ?1")?;
        let mut rows = statement.query([signed(from)])?;
        while let Some(row) = rows.next()? {
            // What is no record any more is told where records are counted.
            let body = String::from_utf8_lossy(row.get_ref(1)?.as_bytes().map_err(rusqlite::Error::from)?);
            let Ok(record) = serde_json::from_str::<UsageRecord>(&body) else { continue };
            let Some((key, cost)) = spent_by(stored, &record, &self.registered) else { continue };
            if signed(from_of(stored, key.span.start_ms)) < self.horizon {
                continue;
            }
            let is_vague = record.head.time_ms < stored.since_ms
                && (self.corrected.contains(&RecordId(row.get(0)?))
                    || self.losses.under_other
                    || !is_plain(stored, &record, &self.registered));
            let both = windows.entry(key.span.start_ms).or_default();
            both.may_have_more |= is_vague;
            both.said.entry(key.value).or_default().add(stored, &record, cost, (is_vague, self.now_ms));
        }
        // What a counter began with may have amounts of bills, which no record has.
        for start_ms in windows.keys().copied().collect::<Vec<_>>() {
            let hours = [start_ms, stored.since_ms].map(|ms| signed(ms / HOUR_MS));
            if bills::are_booked(connection, hours)? {
                windows.remove(&start_ms);
            }
        }
        Ok(windows)
    }
}

/// Whether models decide what counts: gateways also compare the price book's row, which records do not tell.
fn has_models(stored: &StoredBudget) -> bool {
    stored.budget.scope.dimensions().any(|one| *one == Dimension::Model)
}

/// What is known to be missing from records.
struct Losses {
    /// Gateways could not keep some, or a backup was restored that lacks them.
    are_known: bool,
    /// Summaries count some under `other`.
    under_other: bool,
}

fn losses(connection: &Connection) -> Result<Losses, StoreError> {
    let is = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, bool>(0));
    Ok(Losses {
        are_known: is("SELECT EXISTS (SELECT 1 FROM gateway_drops WHERE dropped > 0)
             OR EXISTS (SELECT 1 FROM audit WHERE action = 'backup.restore')")?,
        under_other: is(
            "SELECT EXISTS (SELECT 1 FROM record_accounts WHERE name = 'under_other' AND records > 0)",
        )?,
    })
}

/// Since when records count in a window.
fn from_of(stored: &StoredBudget, start_ms: u64) -> u64 {
    if stored.budget.window == Window::Prepaid { stored.created_ms } else { start_ms }
}

/// What the counters of a budget say, by the start of their windows, as far as records cover these.
fn charged(
    connection: &Connection,
    stored: &StoredBudget,
    (horizon, now_ms): (i64, u64),
) -> Result<BTreeMap<u64, Both>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, value, start_ms, seed, kept FROM counters WHERE budget = ?1 AND generation = ?2",
    )?;
    let mut rows = statement.query(params![stored.budget.name, signed(stored.generation)])?;
    let mut windows: BTreeMap<u64, Both> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let start_ms = row.get::<_, i64>(2)?.unsigned_abs();
        if signed(from_of(stored, start_ms)) < horizon {
            continue;
        }
        let accounts = accounts(connection, row.get(0)?)?;
        let ledger = Ledger { seed: amount(row, 3)?, kept: amount(row, 4)?, accounts, ..Ledger::default() };
        let used = ledger.used().minus(ledger.kept_in_all().or_nothing());
        let reports = ledger.accounts.values().filter(|one| now_ms < one.seen_ms.saturating_add(LATELY_MS));
        let just_now = reports.fold(Amount::ZERO, |sum, one| sum.plus(one.rate.or_nothing()));
        let charged = Charged { used, settled: used.minus(ledger.held()), just_now };
        windows.entry(start_ms).or_default().charged.insert(row.get(1)?, charged);
    }
    Ok(windows)
}

/// Adds what totals of full outboxes may have spent: who spent is known only in part.
fn totals(
    connection: &Connection,
    stored: &StoredBudget,
    windows: &mut BTreeMap<u64, Both>,
    from: u64,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("SELECT time_ms, sums FROM folded WHERE time_ms >= ?1")?;
    let mut rows = statement.query([signed(from.saturating_sub(HOUR_MS))])?;
    while let Some(row) = rows.next()? {
        let time_ms = row.get::<_, i64>(0)?.unsigned_abs();
        let sums = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let cost = spent(stored.budget.unit, &Sums::decode(sums)?);
        // One of an hour may reach into the next window.
        for time_ms in [time_ms, time_ms.saturating_add(HOUR_MS)] {
            if let Some(both) = windows.get_mut(&span(&stored.budget, time_ms).start_ms) {
                both.has_totals = true;
                let said = both.said.entry(OTHER.to_owned()).or_default();
                said.most = said.most.plus(cost);
            }
        }
    }
    Ok(())
}

/// Whether summaries count a record under the same value as the record itself says.
fn is_plain(stored: &StoredBudget, record: &UsageRecord, registered: &BTreeSet<String>) -> bool {
    let own = subject_of(record);
    let trusted = if record.head.attribution_source.is_trusted() {
        TrustedFields::ALL
    } else {
        TrustedFields::default()
    };
    let told = Subject { trusted, ..subject_of(record) };
    is_tagged(&stored.budget)
        || value_in(&stored.budget, &own, registered) == value_in(&stored.budget, &told, registered)
}

impl Said {
    fn add(
        &mut self,
        stored: &StoredBudget,
        record: &UsageRecord,
        cost: Amount,
        (is_vague, now_ms): (bool, u64),
    ) {
        // Gateways count no call that reached nobody.
        let may_be_none = stored.budget.unit == Unit::Calls && record.status.is_none();
        let least = if may_be_none || is_vague { Amount::ZERO } else { cost };
        self.least = self.least.plus(least);
        self.most = self.most.plus(cost);
        let ended_ms = record.head.time_ms.saturating_add(record.duration_ms.unwrap_or(0));
        if record.head.time_ms < stored.since_ms {
            self.least_before = self.least_before.plus(least);
        } else if now_ms < ended_ms.saturating_add(LATELY_MS) {
            self.just_now = self.just_now.plus(least);
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            least: self.least.plus(other.least),
            most: self.most.plus(other.most),
            least_before: self.least_before.plus(other.least_before),
            just_now: self.just_now.plus(other.just_now),
        }
    }
}

impl Both {
    /// Compares each counter, or where nobody knows all values the sum of them.
    fn compare(
        mut self,
        stored: &StoredBudget,
        (values, is_now, is_bounded): (Values, bool, bool),
        compared: &mut Compared,
    ) {
        compared.counters = compared.counters.saturating_add(self.charged.len() as u64);
        // Nobody makes a counter for what began before its budget counted, or in a window that is over.
        self.said.retain(|value, said| {
            let is_there = self.charged.contains_key(value);
            if !is_there {
                said.least = if is_now { said.least.minus(said.least_before) } else { Amount::ZERO };
            }
            is_there || is_now || values != Values::Own
        });
        if values != Values::Own {
            let said = self.said.values().fold(Said::default(), |sum, one| sum.plus(*one));
            let charged = self.charged.values().fold(Charged::default(), |sum, one| Charged {
                used: sum.used.plus(one.used),
                settled: sum.settled.plus(one.settled),
                just_now: sum.just_now.plus(one.just_now),
            });
            compared.wrong.extend(unlike(stored, "all its counters", (charged, said), is_bounded));
            // What a value spent is on its own counter or on the shared one: no counter has more than that.
            self.charged.retain(|value, _| values == Values::Shared && value != OTHER);
            self.said.retain(|value, _| self.charged.contains_key(value));
            self.said.values_mut().for_each(|said| said.least = Amount(i128::MIN));
        }
        let values: BTreeSet<&String> = self.said.keys().chain(self.charged.keys()).collect();
        for value in values {
            let said = self.said.get(value).copied().unwrap_or_default();
            let charged = self.charged.get(value);
            let what = match (charged, value.as_str()) {
                (None, "") => "no counter".to_owned(),
                (None, value) => format!("no counter for `{value}`"),
                (Some(_), "") => "its counter".to_owned(),
                (Some(_), value) => format!("its counter for `{value}`"),
            };
            let both = (charged.copied().unwrap_or_default(), said);
            compared.wrong.extend(unlike(stored, &what, both, is_bounded && charged.is_some()));
        }
    }
}

/// What differs between charges and records, in words.
fn unlike(
    stored: &StoredBudget,
    what: &str,
    (charged, said): (Charged, Said),
    is_bounded: bool,
) -> Option<String> {
    let (name, show) = (&stored.budget.name, |amount| stored.budget.unit.show(amount));
    if charged.used < said.least.minus(said.just_now) {
        let (used, least) = (show(charged.used), show(said.least));
        return Some(format!(
            "budget `{name}` has {what} with {used} charged, less than the {least} of its records: what was charged was \
             changed, or a gateway reports calls that it charges on no budget"
        ));
    }
    if is_bounded && charged.settled.minus(charged.just_now) > said.most {
        let (settled, most) = (show(charged.settled), show(said.most));
        return Some(format!(
            "budget `{name}` has {what} with {settled} charged, more than the {most} of its records; what a gateway \
             that was killed could not report is in its access log (`tollgate import access-log`)"
        ));
    }
    None
}

/// So long what was reported and what was recorded may be apart, milliseconds.
const LATELY_MS: u64 = 60_000;
