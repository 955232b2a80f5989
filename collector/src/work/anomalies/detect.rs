//! The detector: one agent's last hour against its baseline. Pure: no clock, no store.
//!
//! Every test asks for two things at once: that a value is a multiple of what is usual, and that chance does
//! not explain it. Short windows find what is large within a minute, long ones what is smaller.

use super::baseline::{Baseline, as_f64, median};
use crate::model::anomaly::{Finding, Kind};
use crate::model::minute::Minute;

/// What an agent did in the last minutes, the last complete one at the end, and what is usual for it.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// At most an hour of minutes.
    pub minutes: &'a [Minute],
    /// What is usual now.
    pub baseline: &'a Baseline,
}

/// Looks at one kind in a window of so many minutes, of which this is the sum.
type Test = fn(&Look<'_>, usize, &Minute) -> Option<Finding>;

/// What is unusual.
pub fn detect(look: Look<'_>) -> Vec<Finding> {
    // An agent that is new has nothing usual yet; that it is new is told elsewhere. What no agent does is
    // told at once.
    if look.baseline.hours < HOURS_MIN {
        let window = NEW_WINDOW.min(look.minutes.len());
        let most = look.sum(window).requests.most();
        let usual = look.baseline.busiest_request;
        return repeated(Kind::RetryLoop, window, most, usual, 2 * REPEATS_MIN).into_iter().collect();
    }
    let sums: Vec<(usize, Minute)> = WINDOWS
        .iter()
        .filter(|window| **window <= look.minutes.len())
        .map(|window| (*window, look.sum(*window)))
        .collect();
    let tests: [Test; 7] = [cost, errors, denied, input_tokens, output_tokens, calls_per_run, retry_loop];
    // The shortest window that finds a kind tells it.
    tests.iter().filter_map(|test| sums.iter().find_map(|(window, sum)| test(&look, *window, sum))).collect()
}

impl Look<'_> {
    fn sum(&self, window: usize) -> Minute {
        let mut sum = Minute::default();
        for minute in self.minutes.iter().rev().take(window) {
            sum.add(minute);
        }
        sum
    }

    /// How much the dollars of single minutes vary beyond what chance does to evenly priced calls: the mean
    /// cost of a call that matters for the variance. From the minutes before the window, which may themselves
    /// be unusual: the middle of them counts.
    fn call_weight(&self, window: usize) -> f64 {
        let before = self.minutes.len().saturating_sub(window);
        let minutes = || self.minutes.iter().take(before).filter(|minute| minute.calls > 0);
        let usual = self.baseline.dollars / self.baseline.calls.max(1.0);
        let squares = minutes().map(|minute| {
            let calls = as_f64(minute.calls);
            let excess = minute.cost.to_dollars_lossy() - usual * calls;
            excess * excess / calls
        });
        let squares: Vec<f64> = squares.collect();
        let mean = squares.iter().sum::<f64>() / as_f64(u64::try_from(squares.len().max(1)).unwrap_or(1));
        // Rare dear calls show in the mean and hardly in the median.
        let noise = mean.min(median(squares.into_iter()) * RARE_MAX).sqrt();
        usual.max(noise)
    }
}

/// Whether dollars are a multiple of what is usual at this hour of the week.
fn cost(look: &Look<'_>, window: usize, sum: &Minute) -> Option<Finding> {
    let usual = look.baseline;
    let minutes = as_f64(u64::try_from(window).unwrap_or(1));
    let (value, expected) = (sum.cost.to_dollars_lossy(), usual.dollars * minutes / 60.0);
    let calls = usual.calls * minutes / 60.0;
    let weight = look.call_weight(window);
    // Chance by calls and their prices, and what one week differs from another.
    let chance = weight * calls.max(1.0).sqrt() * CLUSTERED;
    let deviation = (chance * chance + (usual.spread.max(SPREAD_MIN) * expected).powi(2)).sqrt();
    let score = (value - expected) / deviation.max(DOLLARS_MIN);
    let (multiple, deviations) = limits(window);
    // Before it was seen on every day of the week, an agent may well do several times as much as yesterday.
    let multiple = if usual.hours < WEEK_HOURS { 2.0 * multiple } else { multiple };
    (value > multiple * expected
        && score > deviations
        && value - expected > DOLLARS_MIN
        && sum.calls >= CALLS_MIN)
        .then(|| finding(Kind::Cost, window, value, expected, score))
}

fn errors(look: &Look<'_>, window: usize, sum: &Minute) -> Option<Finding> {
    share(Kind::Errors, window, sum.errors, sum.calls, look.baseline.error_share)
}

fn denied(look: &Look<'_>, window: usize, sum: &Minute) -> Option<Finding> {
    let all = sum.calls.saturating_add(sum.denied);
    share(Kind::Denied, window, sum.denied, all, look.baseline.denied_share)
}

/// Whether a share is far above the usual one: by the binomial distribution, and by eye.
fn share(kind: Kind, window: usize, part: u64, whole: u64, usual: f64) -> Option<Finding> {
    let usual = usual.max(SHARE_MIN);
    let (part_of, all) = (as_f64(part), as_f64(whole).max(1.0));
    let value = part_of / all;
    let deviation = (all * usual * (1.0 - usual)).sqrt() * CLUSTERED;
    let score = (part_of - all * usual) / deviation;
    // Of many calls a smaller part is far, too.
    let far = if score > SHARE_PLAIN { SHARE_FAR / 2.0 } else { SHARE_FAR };
    let is_far = value > (3.0 * usual).max(far) && value > usual + far / 2.0;
    (part >= PART_MIN && is_far && score > SHARE_DEVIATIONS)
        .then(|| finding(kind, window, value, usual, score))
}

fn input_tokens(look: &Look<'_>, window: usize, sum: &Minute) -> Option<Finding> {
    let usual = (look.baseline.input_per_call, look.baseline.input_spread);
    per_call(Kind::InputTokens, window, sum.input_tokens, sum.calls, usual)
}

fn output_tokens(look: &Look<'_>, window: usize, sum: &Minute) -> Option<Finding> {
    let usual = (look.baseline.output_per_call, look.baseline.output_spread);
    per_call(Kind::OutputTokens, window, sum.output_tokens, sum.calls, usual)
}

/// Whether calls are longer than usual. Single calls vary about as much as they are long.
fn per_call(
    kind: Kind,
    window: usize,
    tokens: u64,
    calls: u64,
    (usual, spread): (f64, f64),
) -> Option<Finding> {
    if calls < CALLS_MIN || usual <= 0.0 {
        return None;
    }
    let value = as_f64(tokens) / as_f64(calls);
    let relative = (CALL_VARIES * CALL_VARIES / as_f64(calls) + spread * spread).sqrt();
    let score = (value / usual - 1.0) / relative;
    (value > LONGER * usual && score > LONGER_DEVIATIONS).then(|| finding(kind, window, value, usual, score))
}

fn calls_per_run(look: &Look<'_>, window: usize, sum: &Minute) -> Option<Finding> {
    repeated(Kind::CallsPerRun, window, sum.runs.most(), look.baseline.busiest_run, RUN_CALLS_MIN)
}

fn retry_loop(look: &Look<'_>, window: usize, sum: &Minute) -> Option<Finding> {
    repeated(Kind::RetryLoop, window, sum.requests.most(), look.baseline.busiest_request, REPEATS_MIN)
}

/// Whether one run or request comes far more often than in the busiest minute of a busy hour.
fn repeated(kind: Kind, window: usize, most: u64, usual: f64, least: u64) -> Option<Finding> {
    let value = as_f64(most);
    let usual = usual.max(1.0);
    // What goes on for longer comes to more without being odd.
    let longer = if window <= 2 { 1 } else { 3 };
    (most >= least.saturating_mul(longer) && value > BUSIER * usual * as_f64(longer))
        .then(|| finding(kind, window, value, usual, value / usual))
}

fn finding(kind: Kind, window: usize, value: f64, expected: f64, score: f64) -> Finding {
    let window_minutes = u32::try_from(window).unwrap_or(60);
    Finding { kind, window_minutes, value, expected, score, detail: String::new() }
}

/// Multiple of what is usual, and deviations from it, that a window must pass.
const fn limits(window: usize) -> (f64, f64) {
    match window {
        0..=2 => (3.0, 9.0),
        3..=5 => (3.0, 8.0),
        _ => (3.0, 6.0),
    }
}

/// Windows, in minutes.
const WINDOWS: [usize; 5] = [1, 2, 5, 15, 60];
/// The window of an agent without a baseline.
const NEW_WINDOW: usize = 2;
/// Fewer hours are no baseline.
const HOURS_MIN: usize = 24;
/// Hours of a week.
const WEEK_HOURS: usize = 168;
/// A cent: what is less is not worth a word.
const DOLLARS_MIN: f64 = 0.01;
/// Fewer calls say nothing.
const CALLS_MIN: u64 = 8;
/// Calls come in clusters, so their number varies more than chance alone.
const CLUSTERED: f64 = 1.6;
/// Weeks differ at least by this part.
const SPREAD_MIN: f64 = 0.15;
/// How much rare dear minutes may count, as a multiple of the middle one.
const RARE_MAX: f64 = 20.0;
/// Fewer failures say nothing.
const PART_MIN: u64 = 5;
/// A share that is always to be expected.
const SHARE_MIN: f64 = 0.02;
/// A share that is far, whatever is usual.
const SHARE_FAR: f64 = 0.2;
const SHARE_DEVIATIONS: f64 = 5.0;
/// So many that half as much is far.
const SHARE_PLAIN: f64 = 6.0;
/// A single call's deviation, relative.
const CALL_VARIES: f64 = 1.3;
/// Longer than usual by this multiple.
const LONGER: f64 = 2.0;
const LONGER_DEVIATIONS: f64 = 6.0;
/// Calls of one run that are many, whatever is usual.
const RUN_CALLS_MIN: u64 = 25;
/// Repeats of one request that are many, whatever is usual.
const REPEATS_MIN: u64 = 15;
/// Busier than the busiest minute of a busy hour by this multiple.
const BUSIER: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::money::Picodollars;

    fn usual() -> Baseline {
        Baseline {
            hours: 700,
            dollars: 6.0,
            calls: 600.0,
            spread: 0.2,
            error_share: 0.01,
            input_per_call: 1000.0,
            input_spread: 0.1,
            output_per_call: 200.0,
            output_spread: 0.1,
            busiest_run: 4.0,
            busiest_request: 2.0,
            ..Baseline::default()
        }
    }

    /// A usual minute: 10 calls of a cent.
    fn minute(times: u64) -> Minute {
        Minute {
            calls: 10 * times,
            input_tokens: 10_000 * times,
            output_tokens: 2_000 * times,
            cost: Picodollars::from_pico(100_000_000_000).times(times),
            ..Minute::default()
        }
    }

    fn kinds(last: Minute) -> Vec<Kind> {
        let mut minutes = vec![minute(1); 59];
        minutes.push(last);
        detect(Look { minutes: &minutes, baseline: &usual() })
            .into_iter()
            .map(|finding| finding.kind)
            .collect()
    }

    #[test]
    fn a_usual_hour_and_a_busier_one_are_not_unusual() {
        for times in [0, 1, 2] {
            assert_eq!(kinds(minute(times)), [], "{times}");
        }
    }

    #[test]
    fn each_kind_is_found_in_its_first_minute() {
        assert_eq!(kinds(minute(8)), [Kind::Cost]);
        assert_eq!(kinds(Minute { errors: 7, ..minute(1) }), [Kind::Errors]);
        assert_eq!(kinds(Minute { denied: 15, ..minute(1) }), [Kind::Denied]);
        assert_eq!(kinds(Minute { input_tokens: 60_000, ..minute(1) }), [Kind::InputTokens]);
        assert_eq!(kinds(Minute { output_tokens: 12_000, ..minute(1) }), [Kind::OutputTokens]);
        let mut many = minute(1);
        many.runs.add(1, 40);
        assert_eq!(kinds(many), [Kind::CallsPerRun]);
        let mut again = minute(1);
        again.requests.add(1, 40);
        assert_eq!(kinds(again), [Kind::RetryLoop]);
    }

    #[test]
    fn a_smaller_share_of_failures_is_unusual_among_many_calls() {
        let kinds = |errors: &dyn Fn(u64) -> u64, calls: u64| {
            let usual = Baseline { error_share: 0.02, ..usual() };
            let minutes: Vec<Minute> =
                (0..60).map(|n| Minute { calls, errors: errors(n), ..Minute::default() }).collect();
            let found = detect(Look { minutes: &minutes, baseline: &usual });
            found.into_iter().filter(|finding| finding.kind == Kind::Errors).count()
        };
        // 41 of 290 calls in the last half hour.
        assert_eq!(kinds(&|n| if n < 31 { 0 } else { 1 + u64::from(n % 5 < 2) }, 10), 1);
        // An hour of 300 calls of which 42 fail.
        assert_eq!(kinds(&|n| u64::from(n % 10 < 7), 5), 1);
        // As usual, and twice that.
        assert_eq!(kinds(&|n| u64::from(n % 5 == 0), 10), 0);
        assert_eq!(kinds(&|n| u64::from(n % 5 < 2), 10), 0);
    }

    #[test]
    fn without_a_day_of_hours_nothing_is_unusual() {
        let minutes = vec![minute(50); 60];
        let baseline = Baseline { hours: 5, ..usual() };
        assert_eq!(detect(Look { minutes: &minutes, baseline: &baseline }), []);
    }

    #[test]
    fn an_agent_that_nobody_knows_is_found_in_a_loop() {
        let look = |times: u64| {
            let mut minutes = vec![Minute::default(); 60];
            minutes[58].requests.add(1, times / 3);
            minutes[59].requests.add(1, times - times / 3);
            detect(Look { minutes: &minutes, baseline: &Baseline::default() })
        };
        assert_eq!(look(29), []);
        let found = look(30);
        assert_eq!((found.len(), found[0].kind, found[0].value), (1, Kind::RetryLoop, 30.0));
    }
}
