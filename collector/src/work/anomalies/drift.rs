//! Agents that crept away from their baseline: what costs a little more each week is usual to the detector of
//! minutes, which learns from the last weeks. Pure.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use tollgate_core::money::Picodollars;

use super::baseline::as_f64;
use crate::config::AnomaliesConfig;
use crate::model::anomaly::{Finding, Kind};
use crate::model::clock::{HOURS_PER_DAY, MINUTE_MS, MS_PER_HOUR, signed};
use crate::model::dimension::Dimension;
use crate::store::{Every, Filters, FirstDays, StoreError, SummaryQuery, Totals};
use crate::work::baseline::{self, Begun, per_day};

/// An agent that costs more than its baseline, and the hours of that baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The agent.
    pub agent: String,
    /// What it costs a day, and what it cost in its baseline.
    pub finding: Finding,
    /// Start and end, exclusive, of the baseline, in hours since the Unix epoch.
    pub baseline: (i64, i64),
}

/// What to ask the store for: where baselines begin, and the last days.
pub fn queries(config: AnomaliesConfig, now_ms: u64) -> (SummaryQuery, SummaryQuery) {
    let from = config.baseline_from.and_then(|day| day.to_zoned_datetime(TimeZone::UTC).ok());
    let first = from.map_or(0, |day| day.timestamp().as_millisecond().div_euclid(MS_PER_HOUR));
    let now = signed(now_ms) / MS_PER_HOUR;
    let query = |from_hour| SummaryQuery {
        from_hour,
        to_hour: now,
        by: vec![Dimension::Agent],
        every: Every::Period,
        zone: TimeZone::UTC,
        filters: Filters::default(),
        tag_key: None,
    };
    (query(first), query(now.saturating_sub(HOURS)))
}

/// Agents of which the last seven days cost more a day than `drift_percent` above their baseline, those of
/// which it is most dollars first. A baseline must be over, and lie before those days.
///
/// # Errors
/// When sums pass their bounds.
pub fn drifts(
    config: AnomaliesConfig,
    first: Vec<FirstDays>,
    last: &HashMap<Option<String>, Totals>,
    now_ms: u64,
) -> Result<Vec<Drift>, StoreError> {
    let Some(percent) = config.drift_percent else { return Ok(Vec::new()) };
    let recent = signed(now_ms) / MS_PER_HOUR - HOURS;
    let mut found = Vec::new();
    for one in first {
        let begun = Begun::of(&one, baseline::DAYS, now_ms)?;
        let deviation = deviation(&one);
        let Some(Some(agent)) = one.values.into_iter().next() else { continue };
        if !begun.is_whole || begun.to_hour > recent {
            continue;
        }
        let cost = last.get(&Some(agent.clone())).map(|totals| totals.cost).unwrap_or_default();
        let dollars = |cost: Option<Picodollars>| cost.unwrap_or_default().to_dollars_lossy();
        let value = dollars(per_day(cost, HOURS.unsigned_abs()));
        let expected = dollars(begun.cost_per_day());
        let score = (value - expected) / deviation.max(SPREAD_MIN * expected).max(DOLLARS_MIN);
        let is_far = value > expected * (1.0 + as_f64(percent) / 100.0);
        if is_far && score > DEVIATIONS && value - expected > DOLLARS_MIN {
            let window_minutes = u32::try_from(HOURS * 60).unwrap_or(u32::MAX);
            let detail = String::new();
            let finding = Finding { kind: Kind::Drift, window_minutes, value, expected, score, detail };
            found.push(Drift { agent, finding, baseline: (begun.from_hour, begun.to_hour) });
        }
    }
    let more = |drift: &Drift| drift.finding.value - drift.finding.expected;
    found.sort_by(|one, other| more(other).total_cmp(&more(one)));
    found.truncate(MOST);
    Ok(found)
}

/// By how many dollars the whole days of a baseline differ: an agent that works on Mondays is no other one on
/// a Monday. The first day may have begun within it.
fn deviation(one: &FirstDays) -> f64 {
    let first = one.first_hour.div_euclid(HOURS_PER_DAY);
    let of = |day: i64| {
        let totals = one.days.iter().find(|(at, _)| *at == day).map(|(_, totals)| totals.cost);
        totals.unwrap_or_default().to_dollars_lossy()
    };
    let days: Vec<f64> = (first.saturating_add(1)..first.saturating_add(baseline::DAYS)).map(of).collect();
    let count = as_f64(u64::try_from(days.len().max(1)).unwrap_or(1));
    let mean = days.iter().sum::<f64>() / count;
    let variance = days.iter().map(|day| (day - mean).powi(2)).sum::<f64>() / count;
    // The mean of as many days varies less than one of them.
    (variance / count).sqrt()
}

/// The time after which agents are compared with their baselines again: less than a finding lasts.
pub const EVERY_MS: u64 = 10 * MINUTE_MS;
/// Hours of the last seven days.
pub const HOURS: i64 = 7 * HOURS_PER_DAY;
/// A dollar a day: what is less is not worth a word.
const DOLLARS_MIN: f64 = 1.0;
/// Weeks differ at least by this part.
const SPREAD_MIN: f64 = 0.15;
/// Deviations of the baseline's mean that are far.
const DEVIATIONS: f64 = 3.0;
/// Agents that are told at once.
const MOST: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 20_000;
    const NOW_MS: u64 = (20_040 * 24) * 3_600_000 + 5;

    fn cost(cents: u64) -> Totals {
        Totals { calls: 1, cost: Picodollars::from_pico(10_000_000_000).times(cents), ..Totals::default() }
    }

    fn found(first_hour: i64, days: &[u64], recent: u64, config: AnomaliesConfig) -> Vec<(f64, f64)> {
        let day = first_hour.div_euclid(24);
        let days = (day..).zip(days.iter().map(|cents| cost(*cents))).collect();
        let first = vec![FirstDays { values: vec![Some("bot".into())], first_hour, days }];
        let last = HashMap::from([(Some("bot".to_owned()), cost(recent))]);
        let found = drifts(config, first, &last, NOW_MS).unwrap();
        found.into_iter().map(|drift| (drift.finding.value, drift.finding.expected)).collect()
    }

    #[test]
    fn an_agent_that_costs_more_than_twice_its_first_week_has_drifted() {
        let even = [1_000; 7];
        let find = |recent| found(DAY * 24, &even, recent, AnomaliesConfig::default());
        assert_eq!(find(7 * 2_001), [(20.01, 10.0)]);
        assert_eq!(find(7 * 2_000), []);
        assert_eq!(find(0), []);
    }

    #[test]
    fn the_percent_is_the_operators_and_none_finds_nothing() {
        let config = |percent| AnomaliesConfig { drift_percent: percent, ..AnomaliesConfig::default() };
        let find = |percent| found(DAY * 24, &[1_000; 7], 7 * 1_600, config(percent)).len();
        assert_eq!((find(Some(50)), find(Some(60)), find(None)), (1, 0, 0));
    }

    #[test]
    fn uneven_days_cents_and_a_baseline_that_is_not_over_are_no_drift() {
        let config = AnomaliesConfig::default();
        // One day of seven has all: two such days in a week are chance.
        assert_eq!(found(DAY * 24, &[0, 0, 7_000], 7 * 2_100, config), []);
        assert_eq!(found(DAY * 24, &[10; 7], 7 * 100, config), []);
        let now = signed(NOW_MS) / MS_PER_HOUR;
        assert_eq!(found(now - 13 * 24, &[1_000; 7], 7 * 9_000, config), []);
        assert_eq!(found(now - 14 * 24, &[1_000; 7], 7 * 9_000, config).len(), 1);
    }

    #[test]
    fn a_baseline_that_began_within_a_day_is_that_much_shorter() {
        let (value, expected) = found(
            DAY * 24 + 12,
            &[500, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000],
            7 * 3_000,
            Default::default(),
        )[0];
        assert_eq!((value, expected), (30.0, 10.0));
    }
}
