//! What of a gap is booked, and where.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tollgate_core::money::Picodollars;

use super::models::{ALL, Models};
use super::split::Pairs;
use crate::model::answers::reconcile::{Attribution, BookedRow, LeftRow, NotBooked};
use crate::model::clock::MS_PER_HOUR;
use crate::model::split::split;
use crate::store::{BillLine, BilledTo, Place, SeenDays};

/// What is to be booked.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) lines: Vec<BillLine>,
    pub(super) rows: Vec<BookedRow>,
    pub(super) left: Vec<LeftRow>,
}

/// Decides what of each gap is booked. A gap goes to those whose calls were seen, by what they cost; what
/// went past the gateway to nobody.
pub(super) fn plan(pairs: &Pairs, models: &mut Models<'_>, seen: &SeenDays, zone: &TimeZone) -> Plan {
    let mut places: BTreeMap<(String, String, Date), Vec<&Place>> = BTreeMap::new();
    for place in &seen.places {
        let model = models.named(&place.provider, &place.model);
        places.entry((place.provider.clone(), model, place.day)).or_default().push(place);
    }
    let known = Known::of(pairs);
    let mut plan = Plan::default();
    for (key, (sums, billed)) in pairs {
        let amount = billed.cost - sums.cost;
        if amount == Picodollars::ZERO {
            continue;
        }
        let (provider, model, day) = key;
        if let Some(why) = known.why_not(key, sums.calls > 0, billed.lines > 0) {
            plan.left.push(LeftRow {
                day: day.to_string(),
                provider: provider.clone(),
                model: model.clone(),
                gap_usd: amount,
                why,
            });
            continue;
        }
        let found = places.get(key).map(Vec::as_slice).unwrap_or_default();
        let lines = spread(amount, found);
        let attribution = if lines.is_empty() { Attribution::Unattributed } else { Attribution::Calls };
        let lines = if lines.is_empty() { vec![unattributed(amount, key, zone)] } else { lines };
        plan.rows.push(BookedRow {
            day: day.to_string(),
            provider: provider.clone(),
            model: model.clone(),
            amount_usd: amount,
            attribution,
            month_was_closed: lines.iter().any(|line| line.hour < seen.end_hour),
        });
        plan.lines.extend(lines);
    }
    plan.rows.sort_by(|one, other| (&one.day, &one.provider).cmp(&(&other.day, &other.provider)));
    plan.left.sort_by(|one, other| (&one.day, &one.provider).cmp(&(&other.day, &other.provider)));
    plan
}

/// Parts by what was seen to cost, exactly; where nothing cost anything, by number of calls.
fn spread(amount: Picodollars, places: &[&Place]) -> Vec<BillLine> {
    let costs: Vec<u128> =
        places.iter().map(|place| u128::try_from(place.cost.as_pico()).unwrap_or(0)).collect();
    let calls = || places.iter().map(|place| u128::from(place.calls)).collect();
    let weights = if costs.iter().any(|cost| *cost > 0) { costs } else { calls() };
    let parts = split(amount, &weights).into_iter().zip(places);
    let parts = parts.filter(|(part, _)| *part != Picodollars::ZERO);
    parts
        .map(|(amount, place)| BillLine { hour: place.hour, of: BilledTo::Calls(place.dims), amount })
        .collect()
}

/// An amount at noon of its day, of nobody.
fn unattributed(
    amount: Picodollars,
    (provider, model, day): &(String, String, Date),
    zone: &TimeZone,
) -> BillLine {
    let noon = day.at(12, 0, 0, 0).to_zoned_datetime(zone.clone());
    let hour = noon.map_or(0, |noon| noon.timestamp().as_millisecond().div_euclid(MS_PER_HOUR));
    let model = if model == ALL { String::new() } else { model.clone() };
    BillLine { hour, of: BilledTo::Nobody { provider: provider.clone(), model }, amount }
}

/// What is known of each provider's days.
#[derive(Debug, Default)]
struct Known {
    /// Days that the bill has lines of.
    billed: BTreeSet<(String, Date)>,
    /// Days with models that the bill alone has, and days with such that gateways alone have.
    only_billed: BTreeSet<(String, Date)>,
    only_seen: BTreeSet<(String, Date)>,
}

impl Known {
    fn of(pairs: &Pairs) -> Self {
        let mut known = Self::default();
        for ((provider, _, day), (sums, billed)) in pairs {
            let of = (provider.clone(), *day);
            match (billed.lines > 0, sums.calls > 0) {
                (true, false) if billed.cost != Picodollars::ZERO => {
                    known.only_billed.insert(of.clone());
                }
                (false, true) if sums.cost != Picodollars::ZERO => {
                    known.only_seen.insert(of.clone());
                }
                _ => {}
            }
            if billed.lines > 0 {
                known.billed.insert(of);
            }
        }
        known
    }

    fn why_not(
        &self,
        (provider, _, day): &(String, String, Date),
        is_seen: bool,
        is_billed: bool,
    ) -> Option<NotBooked> {
        let of = (provider.clone(), *day);
        if !self.billed.contains(&of) {
            return Some(NotBooked::DayNotInBill);
        }
        let are_unlike = self.only_billed.contains(&of) && self.only_seen.contains(&of);
        (are_unlike && is_seen != is_billed).then_some(NotBooked::ModelNotMatched)
    }
}
