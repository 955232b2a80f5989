//! Totals with their kinds, for exports and statements: by dimension and time, from the rollups.
//!
//! A correction of a closed month is booked in an open hour, so that hour's rollup has its money among that
//! of its own calls. Here the two are told apart, by the adjustments.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rusqlite::Connection;
use tollgate_core::money::Picodollars;
use tollgate_core::price::Charge;
use tollgate_core::record::KindTotal;
use tollgate_core::usage::Kind;

use super::dims::DimsTable;
use super::packed;
use super::summary::{Groups, SummaryQuery, spans};
use super::sums::{InRow, Sums};
use crate::model::answers::explain::Reason;
use crate::model::clock::MS_PER_HOUR;
use crate::store::database::error::StoreError;
use crate::store::records::adjust::{self, Booked};
use crate::store::records::bills;
use crate::store::rollups;

/// One group of one period.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetailRow {
    /// Start of its day or hour, in hours since the Unix epoch; `None` where times are not told apart.
    pub hour: Option<i64>,
    /// Its values in the dimensions asked for.
    pub values: Vec<Option<String>>,
    /// What its calls came to, without `corrected`.
    pub sums: Sums,
    /// What corrections of prices, and bills, of months that were closed added; less than zero where they
    /// took away.
    pub corrected: Picodollars,
    /// The part of `sums` of calls whose records came after their month was closed.
    pub late: Picodollars,
    /// The part of `sums` that bills of providers corrected.
    pub billed: Picodollars,
}

/// Place of a row: its period, and its group.
type Place = (Option<i64>, usize);

/// What was booked in a row for a closed month.
#[derive(Debug, Default)]
struct Corrected {
    amount: Picodollars,
    late: Picodollars,
    billed: Picodollars,
    kinds: BTreeMap<Kind, Picodollars>,
}

/// Hands over the rows of a query, by period and then by values.
pub(in crate::store) fn each_detail(
    connection: &Connection,
    dims: &DimsTable,
    query: &SummaryQuery,
    take: impl FnMut(DetailRow) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let groups = Groups::of(dims, query);
    let mut order: Vec<usize> = (0..groups.values.len()).collect();
    order.sort_by_key(|group| groups.values.get(*group));
    let mut ranks = vec![0; order.len()];
    for (rank, group) in order.iter().enumerate() {
        if let Some(slot) = ranks.get_mut(*group) {
            *slot = rank;
        }
    }
    let rank_of = |dims: i64| groups.of_dims(dims).and_then(|group| ranks.get(group)).copied();
    let mut rows =
        Rows { groups: &groups, order: &order, waiting: BTreeMap::new(), corrected: BTreeMap::new(), take };
    rollups::each_recent(connection, |hour, dims, sums| {
        let is_asked = (query.from_hour..query.to_hour).contains(&hour);
        let Some(rank) = rank_of(dims).filter(|_| is_asked) else { return Ok(()) };
        Ok(rows.waiting.entry((query.period_of(hour), rank)).or_default().add_encoded(sums)?)
    })?;
    adjust::each_booked(connection, (query.from_hour, query.to_hour), |booked| {
        if let Some(rank) = rank_of(booked.dims) {
            rows.corrected.entry((query.period_of(booked.hour), rank)).or_default().add(&booked);
        }
    })?;
    note_bills(connection, query, rank_of, &mut rows.corrected)?;
    let mut current = None;
    for span in spans(connection, query)? {
        let mut is_enough = false;
        packed::each(connection, span, |time, dims, sums| {
            let Some(rank) = rank_of(dims).filter(|_| !is_enough) else { return Ok(()) };
            let known = current.filter(|(grain, known, _)| (*grain, *known) == (span.grain, time));
            let (_, _, start) = match known {
                Some(known) => known,
                None => {
                    let start = query.period_of(span.grain.first_hour(time));
                    is_enough = rows.hand_over(Some(start)).is_break();
                    *current.insert((span.grain, time, start))
                }
            };
            Ok(rows.waiting.entry((start, rank)).or_default().add_encoded(sums)?)
        })?;
        if is_enough {
            return Ok(());
        }
    }
    // Whether it was enough does not matter any more.
    let _ = rows.hand_over(None);
    Ok(())
}

/// Notes what bills corrected: in their own hours, and in open hours for closed months.
fn note_bills(
    connection: &Connection,
    query: &SummaryQuery,
    rank_of: impl Fn(i64) -> Option<usize>,
    corrected: &mut BTreeMap<Place, Corrected>,
) -> Result<(), StoreError> {
    bills::each_booked(connection, (query.from_hour, query.to_hour), |line| {
        let Some(rank) = rank_of(line.dims) else { return };
        let of = corrected.entry((query.period_of(line.booked_hour), rank)).or_default();
        match line.booked_hour == line.hour {
            true => of.billed += line.amount,
            false => of.amount += line.amount,
        }
    })
}

struct Rows<'a, T> {
    groups: &'a Groups,
    /// Groups by rank, which is the order of their values.
    order: &'a [usize],
    waiting: BTreeMap<Place, Sums>,
    corrected: BTreeMap<Place, Corrected>,
    take: T,
}

impl<T: FnMut(DetailRow) -> ControlFlow<()>> Rows<'_, T> {
    /// Hands over what is before this period; all where there is none.
    fn hand_over(&mut self, before: Option<Option<i64>>) -> ControlFlow<()> {
        while let Some(first) = self.waiting.first_entry() {
            if before.is_some_and(|before| first.key().0 >= before) {
                break;
            }
            let (place, mut sums) = first.remove_entry();
            let corrected = self.corrected.remove(&place).unwrap_or_default();
            corrected.take_from(&mut sums);
            let values = self.order.get(place.1).and_then(|group| self.groups.values.get(*group));
            (self.take)(DetailRow {
                hour: place.0,
                values: values.cloned().unwrap_or_default(),
                sums,
                corrected: corrected.amount,
                late: corrected.late,
                billed: corrected.billed,
            })?;
        }
        ControlFlow::Continue(())
    }
}

impl Corrected {
    fn add(&mut self, booked: &Booked) {
        if booked.reason == Reason::Late {
            self.late += booked.amount;
            return;
        }
        self.amount += booked.amount;
        let mut charge = |charges: &[Charge], sign: i128| {
            for one in charges {
                let amount = Picodollars::from_pico(one.cost_usd.as_pico().saturating_mul(sign));
                *self.kinds.entry(one.kind).or_default() += amount;
            }
        };
        charge(&booked.before, -1);
        charge(&booked.after, 1);
    }

    /// Takes it out of the sums that it was booked in.
    fn take_from(&self, sums: &mut Sums) {
        sums.totals.cost = sums.totals.cost - self.amount;
        for one in &mut sums.kinds {
            if let Some(amount) = self.kinds.get(&one.kind) {
                one.cost_usd = one.cost_usd - *amount;
            }
        }
        sums.kinds.retain(|one| one.quantity > 0 || one.cost_usd != Picodollars::ZERO);
    }
}

/// Hands over the money in these hours' rollups that is of no call of theirs, by hour and dimensions: what
/// bills corrected, and what corrections of closed months added.
pub(in crate::store) fn each_beside(
    connection: &Connection,
    hours: (i64, i64),
    mut take: impl FnMut(i64, i64, Sums),
) -> Result<(), StoreError> {
    adjust::each_booked(connection, hours, |booked| {
        let mut of = Corrected::default();
        of.add(&booked);
        // The call of a record that came late is counted in the hour that it is booked in.
        if of.late == Picodollars::ZERO {
            let mut sums = bills::of_money(of.amount);
            let kinds = of.kinds.into_iter();
            sums.kinds = kinds.map(|(kind, cost_usd)| KindTotal { kind, quantity: 0, cost_usd }).collect();
            take(booked.hour, booked.dims, sums);
        }
    })?;
    bills::each_booked(connection, hours, |line| {
        take(line.booked_hour, line.dims, bills::of_money(line.amount));
    })
}

/// Whether an adjustment was booked elsewhere than in the hour of its record.
pub(in crate::store) fn is_elsewhere(booked_hour: i64, made_ms: i64, record_ms: Option<i64>) -> bool {
    match record_ms {
        Some(record_ms) => record_ms.div_euclid(MS_PER_HOUR) != booked_hour,
        // Its record is not kept any more. What is booked where it belongs is booked in the past.
        None => booked_hour >= made_ms.div_euclid(MS_PER_HOUR),
    }
}
