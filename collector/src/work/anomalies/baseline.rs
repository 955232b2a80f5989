//! What is usual for an agent at an hour of the week, from the hours before. Pure.

use std::collections::BTreeMap;

use crate::model::minute::Hour;

/// What an agent usually does in an hour like this one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Baseline {
    /// Hours that it is made of; with few there is nothing usual.
    pub hours: usize,
    /// Dollars of an hour.
    pub dollars: f64,
    /// Calls of an hour.
    pub calls: f64,
    /// Deviation of an hour's dollars, relative.
    pub spread: f64,
    /// Share of calls that fail.
    pub error_share: f64,
    /// Share of calls that are refused.
    pub denied_share: f64,
    /// Tokens of a prompt.
    pub input_per_call: f64,
    /// Deviation of that from hour to hour, relative.
    pub input_spread: f64,
    /// Tokens of an answer.
    pub output_per_call: f64,
    /// Deviation of that from hour to hour, relative.
    pub output_spread: f64,
    /// Calls of one run in the busiest minute of a busy hour.
    pub busiest_run: f64,
    /// How often one request comes in the busiest minute of a busy hour.
    pub busiest_request: f64,
}

impl Baseline {
    /// The baseline of `hour`, in hours since the Unix epoch, from the finished hours before it.
    pub fn at(hour: i64, hours: &BTreeMap<i64, Hour>) -> Self {
        let before = || hours.range(hour.saturating_sub(HOURS)..hour);
        let week: Vec<&Hour> = hours.range(hour.saturating_sub(WEEK)..hour).map(|(_, hour)| hour).collect();
        let dollars = |hour: &Hour| hour.dollars;
        let calls = |hour: &Hour| as_f64(hour.calls);
        let growth = growth(hour, hours);
        let likes = alike(hour, hours);
        let level = median(likes.iter().map(|hour| dollars(hour)));
        let deviations = likes.iter().map(|hour| (dollars(hour) - level).abs());
        let (input_per_call, input_spread) =
            per_call(before().map(|(_, hour)| (hour.input_tokens, hour.calls)));
        let (output_per_call, output_spread) =
            per_call(before().map(|(_, hour)| (hour.output_tokens, hour.calls)));
        let sum = |of: fn(&Hour) -> u64| as_f64(week.iter().map(|hour| of(hour)).sum());
        let all_calls = sum(|hour| hour.calls);
        Self {
            hours: before().count(),
            dollars: level * growth,
            calls: median(likes.iter().map(|hour| calls(hour))) * growth,
            spread: if level > 0.0 { TO_DEVIATION * median(deviations) / level } else { 0.0 },
            error_share: share(sum(|hour| hour.errors), all_calls),
            denied_share: share(sum(|hour| hour.denied), all_calls + sum(|hour| hour.denied)),
            input_per_call,
            input_spread,
            output_per_call,
            output_spread,
            busiest_run: high(before().filter_map(|(_, hour)| hour.busiest_run)),
            busiest_request: high(before().filter_map(|(_, hour)| hour.busiest_request)),
        }
    }
}

/// Hours like this one: the same hour of the week and its neighbours, over four weeks. Before there are two
/// weeks, the same hour of the days before.
fn alike(hour: i64, hours: &BTreeMap<i64, Hour>) -> Vec<&Hour> {
    let reach = hours.keys().next().map_or(0, |first| hour.saturating_sub(*first));
    let (step, times) = if reach > 2 * WEEK { (WEEK, 4) } else { (24, 7) };
    let mut found = Vec::new();
    for back in 1..=times {
        for near in [-1, 0, 1] {
            let at = hour.saturating_sub(step * back).saturating_add(near);
            found.extend(hours.get(&at).filter(|_| at < hour));
        }
    }
    if found.is_empty() {
        found = hours.range(hour.saturating_sub(24)..hour).map(|(_, hour)| hour).collect();
    }
    found
}

/// How the last day compares with the same hours before, within bounds: an agent that grows is not unusual.
fn growth(hour: i64, hours: &BTreeMap<i64, Hour>) -> f64 {
    let ratios = (1..=24).filter_map(|back| {
        let at = hour.saturating_sub(back);
        let now = hours.get(&at)?.dollars;
        let usual = median(alike(at, hours).iter().map(|hour| hour.dollars));
        (usual > 0.0 && now > 0.0).then(|| now / usual)
    });
    let ratio = median(ratios);
    if ratio > 0.0 { ratio.clamp(0.5, 2.0) } else { 1.0 }
}

/// Median of the hours' means, and its relative deviation.
fn per_call(hours: impl Iterator<Item = (u64, u64)>) -> (f64, f64) {
    let means: Vec<f64> = hours
        .filter(|(_, calls)| *calls >= CALLS_MIN)
        .map(|(tokens, calls)| as_f64(tokens) / as_f64(calls))
        .collect();
    let middle = median(means.iter().copied());
    if middle <= 0.0 {
        return (0.0, 0.0);
    }
    (middle, TO_DEVIATION * median(means.iter().map(|mean| (mean - middle).abs())) / middle)
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// A high value that is still usual: nine of ten are not above it; 0 for none.
fn high(values: impl Iterator<Item = u64>) -> f64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len().saturating_mul(9) / 10).copied().map_or(0.0, as_f64)
}

/// The middle value; 0 for none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0.0;
    }
    let (_, median, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    *median
}

#[allow(clippy::cast_precision_loss)] // statistics
pub(super) const fn as_f64(count: u64) -> f64 {
    count as f64
}

/// From the median of absolute deviations to a standard deviation, for a normal distribution.
const TO_DEVIATION: f64 = 1.482_6;
const WEEK: i64 = 7 * 24;
/// How far back the baseline looks, in hours.
pub const HOURS: i64 = 4 * WEEK + 2;
/// Hours with fewer calls have no mean worth keeping.
const CALLS_MIN: u64 = 5;
