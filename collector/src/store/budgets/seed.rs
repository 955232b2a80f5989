//! What was spent before a budget began to count, from records: so that no edit loses spend.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, Transaction};
use tollgate_core::attribution::{Attribution, AttributionSource, TrustedFields};
use tollgate_core::budget::policy::counted_as;
use tollgate_core::budget::scope::{CounterKey, Dimension as BudgetDimension, Subject};
use tollgate_core::budget::window::{Span, Window};
use tollgate_core::budget::{Amount, Budget, Unit};
use tollgate_core::record::UsageRecord;

use super::super::{records, rollups};
use super::{StoreError, StoredBudget, known, make};
use crate::model::calendar::span;
use crate::model::clock::{MS_PER_HOUR, signed};
use crate::model::dimension::Dimension;
use crate::store::records::folded;
use crate::store::rollups::dims::Dims;
use crate::store::rollups::packed;
use crate::store::rollups::sums::{InRow, Sums};

/// What records say, as far as a transaction has asked: counters of one budget are made in numbers.
#[derive(Default)]
pub(super) struct Seeds {
    registered: Option<Arc<BTreeSet<String>>>,
    dims: Option<Vec<(i64, Counted)>>,
    /// By budget, generation and start of the window: what each value of `each` has spent.
    spent: HashMap<(String, u64, u64), BTreeMap<String, Amount>>,
    /// The same for whole windows, as far as they have passed; `None` where that was too much to read.
    recorded: HashMap<(String, u64, u64), Option<BTreeMap<String, Amount>>>,
}

/// The part of dimensions that budgets look at.
struct Counted {
    attribution: Attribution,
    is_trusted: bool,
    provider: String,
    model: Option<String>,
    answered: Option<String>,
    key_id: Option<String>,
}

impl Seeds {
    /// What records say was spent in a counter's window before its budget began to count: from the rollups,
    /// and for what is not a whole hour, and whatever a tag decides, from the records themselves.
    pub(super) fn spent_before(
        &mut self,
        connection: &Connection,
        stored: &StoredBudget,
        key: &CounterKey,
    ) -> Result<Amount, StoreError> {
        // A prepaid budget pays for what comes after it.
        let start_ms = match stored.budget.window {
            Window::Prepaid => stored.created_ms,
            _ => key.span.start_ms,
        };
        let (from, to) = (signed(start_ms), signed(stored.since_ms.min(key.span.end_ms)));
        if from >= to || stored.is_quarantine {
            return Ok(Amount::ZERO);
        }
        let id = (key.budget.clone(), key.generation, key.span.start_ms);
        if !self.spent.contains_key(&id) {
            let spent = self.between(connection, &stored.budget, from, to)?;
            self.spent.insert(id.clone(), spent);
        }
        Ok(self.spent.get(&id).and_then(|spent| spent.get(&key.value)).copied().unwrap_or(Amount::ZERO))
    }

    /// What all records say was spent in a counter's window, up to now. `None` where that could only be read
    /// from more records than the writer may stand still for.
    pub(super) fn recorded(
        &mut self,
        connection: &Connection,
        stored: &StoredBudget,
        key: &CounterKey,
        now_ms: u64,
    ) -> Result<Option<Amount>, StoreError> {
        let start_ms = match stored.budget.window {
            Window::Prepaid => stored.created_ms,
            _ => key.span.start_ms,
        };
        let id = (key.budget.clone(), key.generation, key.span.start_ms);
        if !self.recorded.contains_key(&id) {
            // Whole hours stand in rollups; a record may be of a clock that is ahead.
            let soon = signed(now_ms).div_euclid(MS_PER_HOUR).saturating_add(HOURS_AHEAD) * MS_PER_HOUR;
            let (from, to) = (signed(start_ms), signed(key.span.end_ms).min(soon));
            let may_read =
                !is_tagged(&stored.budget) || records::count_between(connection, from, to)? <= TAGGED_MAX;
            let spent = match may_read {
                true if from < to => Some(self.between(connection, &stored.budget, from, to)?),
                true => Some(BTreeMap::new()),
                false => None,
            };
            self.recorded.insert(id.clone(), spent);
        }
        let spent = self.recorded.get(&id).and_then(Option::as_ref);
        Ok(spent.map(|spent| spent.get(&key.value).copied().unwrap_or(Amount::ZERO)))
    }

    /// What counters that nobody has made yet would begin with in this window, by value: where it is rolling
    /// with all its earlier parts.
    pub(super) fn unseen(
        &mut self,
        connection: &Connection,
        stored: &StoredBudget,
        now: Span,
    ) -> Result<BTreeMap<String, Amount>, StoreError> {
        let start_ms = match stored.budget.window {
            Window::Prepaid => stored.created_ms,
            window => now.start_ms.saturating_sub(window.reach_ms()),
        };
        let (from, to) = (signed(start_ms), signed(stored.since_ms.min(now.end_ms)));
        if from >= to || stored.is_quarantine {
            return Ok(BTreeMap::new());
        }
        self.between(connection, &stored.budget, from, to)
    }

    /// Names that have counters of their own.
    pub(super) fn registered(
        &mut self,
        connection: &Connection,
    ) -> Result<Arc<BTreeSet<String>>, StoreError> {
        if let Some(registered) = &self.registered {
            return Ok(Arc::clone(registered));
        }
        let registered = Arc::new(super::registered(connection)?);
        Ok(Arc::clone(self.registered.insert(registered)))
    }

    fn between(
        &mut self,
        connection: &Connection,
        budget: &Budget,
        from: i64,
        to: i64,
    ) -> Result<BTreeMap<String, Amount>, StoreError> {
        let registered = self.registered(connection)?;
        let mut spent = Spent { budget, registered, by_value: BTreeMap::new(), takes_away: false };
        let tagged = is_tagged(budget);
        let (first_hour, last_hour) =
            ((from + MS_PER_HOUR - 1).div_euclid(MS_PER_HOUR), to.div_euclid(MS_PER_HOUR));
        if tagged || first_hour > last_hour {
            self.records_between(connection, &mut spent, from, to)?;
        } else {
            self.records_between(connection, &mut spent, from, first_hour * MS_PER_HOUR)?;
            self.rollups_between(connection, &mut spent, first_hour, last_hour)?;
            self.hour_until(connection, &mut spent, last_hour, to)?;
        }
        Ok(spent.by_value)
    }

    /// The part of an hour before `to`: of the records before and after it, only the fewer are read. A budget
    /// that was just made has hardly any after it, and the writer must not stand still for an hour's records.
    fn hour_until(
        &mut self,
        connection: &Connection,
        spent: &mut Spent<'_>,
        hour: i64,
        to: i64,
    ) -> Result<(), StoreError> {
        let (start, end) = (hour * MS_PER_HOUR, (hour + 1) * MS_PER_HOUR);
        if records::count_between(connection, to, end)? >= records::count_between(connection, start, to)? {
            return self.records_between(connection, spent, start, to);
        }
        self.rollups_between(connection, spent, hour, hour + 1)?;
        spent.takes_away = true;
        let read = self.records_between(connection, spent, to, end);
        spent.takes_away = false;
        read
    }

    fn records_between(
        &mut self,
        connection: &Connection,
        spent: &mut Spent<'_>,
        from: i64,
        to: i64,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        records::each_between(connection, from, to, |record: &UsageRecord| {
            if let Some(value) = spent.value(&subject_of(record)) {
                spent.add(value, &Sums::of(record));
            }
        })?;
        // Totals tell no tags: on a budget for each value of one they count as unknown.
        let values = self.values(connection, spent)?;
        folded::each_between(connection, from, to, |dims, sums| {
            if let Some(value) = values.get(&dims) {
                spent.add(value.clone(), sums);
            }
        })
    }

    fn rollups_between(
        &mut self,
        connection: &Connection,
        spent: &mut Spent<'_>,
        first_hour: i64,
        last_hour: i64,
    ) -> Result<(), StoreError> {
        let values = self.values(connection, spent)?;
        rollups::each_recent(connection, |hour, dims, sums| {
            if (first_hour..last_hour).contains(&hour)
                && let Some(value) = values.get(&dims)
            {
                spent.add(value.clone(), &Sums::decode(sums)?);
            }
            Ok(())
        })?;
        packed::between(connection, first_hour, last_hour, |dims, sums| {
            if let Some(value) = values.get(&dims) {
                spent.add(value.clone(), &Sums::decode(sums)?);
            }
            Ok(())
        })
    }

    /// The value of each of the dimensions that count.
    fn values(
        &mut self,
        connection: &Connection,
        spent: &Spent<'_>,
    ) -> Result<HashMap<i64, String>, StoreError> {
        if self.dims.is_none() {
            let all = Dims::load(connection, 0)?.into_iter();
            self.dims = Some(all.map(|(id, dims)| (id, Counted::of(&dims))).collect());
        }
        let all = self.dims.iter().flatten();
        Ok(all.filter_map(|(id, counted)| Some((*id, spent.value(&counted.subject())?))).collect())
    }
}

/// What was spent on a budget, by the value of its `each`.
struct Spent<'b> {
    budget: &'b Budget,
    registered: Arc<BTreeSet<String>>,
    by_value: BTreeMap<String, Amount>,
    /// What comes is not to be in it.
    takes_away: bool,
}

impl Spent<'_> {
    /// The value under which a call counts, if it does.
    fn value(&self, subject: &Subject<'_>) -> Option<String> {
        value_in(self.budget, subject, &self.registered)
    }

    fn add(&mut self, value: String, sums: &Sums) {
        let sum = self.by_value.entry(value).or_insert(Amount::ZERO);
        let amount = spent(self.budget.unit, sums);
        *sum = if self.takes_away { sum.minus(amount) } else { sum.plus(amount) };
    }
}

impl Counted {
    fn of(dims: &Dims) -> Self {
        let text = |dimension| dims.value(dimension).map(str::to_owned);
        let name = |dimension| text(dimension).unwrap_or_default();
        Self {
            attribution: Attribution {
                agent: name(Dimension::Agent),
                team: name(Dimension::Team),
                feature: name(Dimension::Feature),
                environment: name(Dimension::Environment),
                ..Attribution::default()
            },
            is_trusted: dims
                .value(Dimension::AttributionSource)
                .and_then(AttributionSource::from_name)
                .is_some_and(AttributionSource::is_trusted),
            provider: name(Dimension::Provider),
            model: text(Dimension::RequestModel),
            answered: text(Dimension::ResponseModel),
            key_id: text(Dimension::KeyId),
        }
    }

    /// Tags are not among them, nor which fields were trusted: where one was, all count as such.
    fn subject(&self) -> Subject<'_> {
        Subject {
            attribution: &self.attribution,
            provider: &self.provider,
            model: self.model.as_deref(),
            row: None,
            others: self.answered.as_slice(),
            any_model: self.model.is_none(),
            key_id: self.key_id.as_deref(),
            trusted: if self.is_trusted { TrustedFields::ALL } else { TrustedFields::default() },
        }
    }
}

/// Whether a tag decides what counts, which only records tell.
pub(super) fn is_tagged(budget: &Budget) -> bool {
    budget.scope.dimensions().chain(&budget.each).any(|one| matches!(one, BudgetDimension::Tag(_)))
}

pub(super) fn spent(unit: Unit, sums: &Sums) -> Amount {
    let totals = &sums.totals;
    match unit {
        Unit::Dollars => Amount(totals.cost.as_pico()),
        Unit::Tokens => Amount(i128::from(totals.input_tokens) + i128::from(totals.output_tokens)),
        Unit::Calls => Amount(i128::from(totals.calls)),
    }
}

pub(super) fn subject_of(record: &UsageRecord) -> Subject<'_> {
    // Older gateways do not say which fields they trust.
    let is_old = record.head.attribution.trusted.is_empty() && record.head.attribution_source.is_trusted();
    Subject {
        trusted: if is_old { TrustedFields::ALL } else { record.head.attribution.trusted },
        attribution: &record.head.attribution,
        provider: &record.head.provider,
        model: record.head.request_model.as_deref(),
        row: None,
        others: record.head.response_model.as_slice(),
        any_model: record.head.request_model.is_none(),
        key_id: record.head.key_id.as_deref(),
    }
}

/// The value under which a call counts on a budget, if it does: the same that gateways count it under.
pub(super) fn value_in(
    budget: &Budget,
    subject: &Subject<'_>,
    registered: &BTreeSet<String>,
) -> Option<String> {
    let value = || match &budget.each {
        None => String::new(),
        Some(each) => counted_as(subject, each, registered).into_owned(),
    };
    budget.scope.holds(subject).then(value)
}

/// Counters of the earlier parts of a rolling window that its budget did not see: what records say was spent
/// in them.
pub(super) fn earlier_parts_unseen(
    transaction: &Transaction<'_>,
    seeds: &mut Seeds,
    stored: &StoredBudget,
    key: &CounterKey,
) -> Result<(), StoreError> {
    let from = key.span.start_ms.saturating_sub(stored.budget.window.reach_ms());
    let mut part = span(&stored.budget, from);
    while part.start_ms < key.span.start_ms.min(stored.since_ms) {
        let earlier = CounterKey { span: part, ..key.clone() };
        if known(transaction, &earlier)?.is_none() {
            let seed = seeds.spent_before(transaction, stored, &earlier)?;
            if seed > Amount::ZERO {
                make(transaction, &earlier, (Amount::ZERO, seed), false)?;
            }
        }
        part = span(&stored.budget, part.end_ms);
    }
    Ok(())
}

/// Hours from now on in which records may lie.
const HOURS_AHEAD: i64 = 2;
/// Records that are read where a tag decides.
const TAGGED_MAX: i64 = 100_000;
