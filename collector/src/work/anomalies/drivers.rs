//! Drivers: which feature, model or change of the system prompt explains how much of a finding. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::record::UsageRecord;

use super::baseline::as_f64;
use crate::model::anomaly::{Driver, Kind};
use crate::store::Totals;

/// What one value of a dimension did now and usually does in the same time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// The value.
    pub value: String,
    /// Now.
    pub now: f64,
    /// Usually.
    pub usual: f64,
}

/// The number that a finding of this kind is about.
pub fn measure(kind: Kind, totals: &Totals) -> f64 {
    match kind {
        Kind::Errors => as_f64(totals.errors.saturating_add(totals.upstream_aborts)),
        Kind::Denied => as_f64(totals.denied),
        Kind::InputTokens => as_f64(totals.input_tokens),
        Kind::OutputTokens => as_f64(totals.output_tokens),
        Kind::CallsPerRun | Kind::RetryLoop => as_f64(totals.calls),
        Kind::Cost | Kind::Drift | Kind::NewModel | Kind::NewAgent => totals.cost.to_dollars_lossy(),
    }
}

/// The values of a dimension that explain most of what is more than usual.
pub fn of_dimension(dimension: &str, parts: &[Part]) -> Vec<Driver> {
    let excess: f64 = parts.iter().map(|part| part.now - part.usual).sum();
    if excess <= 0.0 {
        return Vec::new();
    }
    let usual: f64 = parts.iter().map(|part| part.usual).sum();
    let driver = |part: &Part| {
        let percent = percent((part.now - part.usual) / excess);
        // What always has the same part explains nothing.
        let usually = if usual > 0.0 { self::percent(part.usual / usual) } else { 0 };
        (percent >= usually.saturating_add(PERCENT_MIN)).then(|| Driver {
            dimension: dimension.to_owned(),
            value: part.value.clone(),
            percent,
        })
    };
    let mut drivers: Vec<Driver> = parts.iter().filter_map(driver).collect();
    drivers.sort_by(|a, b| b.percent.cmp(&a.percent).then_with(|| a.value.cmp(&b.value)));
    drivers.truncate(DRIVERS_MAX);
    drivers
}

/// A system prompt that calls did not have before `start_ms`, and the part of the calls since then that have
/// it.
pub fn of_system_prompt(records: &[UsageRecord], start_ms: u64) -> Option<Driver> {
    let hash = |record: &UsageRecord| record.prompt.as_ref().and_then(|prompt| prompt.system_hash.clone());
    let (before, since): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.head.time_ms < start_ms);
    let known: BTreeSet<String> = before.into_iter().filter_map(hash).collect();
    if known.is_empty() || since.is_empty() {
        return None;
    }
    let mut new: BTreeMap<String, u64> = BTreeMap::new();
    for record in &since {
        if let Some(hash) = hash(record).filter(|hash| !known.contains(hash)) {
            let count = new.entry(hash).or_default();
            *count = count.saturating_add(1);
        }
    }
    let (value, count) = new.into_iter().max_by_key(|(_, count)| *count)?;
    let all = u64::try_from(since.len()).unwrap_or(u64::MAX);
    let percent = percent(as_f64(count) / as_f64(all));
    (percent >= PERCENT_MIN).then(|| Driver { dimension: "system_prompt".into(), value, percent })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 0 to 100
fn percent(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * 100.0).round() as u32
}

/// What explains less is not worth a word.
const PERCENT_MIN: u32 = 20;
/// Values of one dimension.
const DRIVERS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::record::{Head, PromptShape};

    #[test]
    fn the_value_that_grew_explains_its_part_of_the_excess() {
        let part = |value: &str, now, usual| Part { value: value.into(), now, usual };
        let drivers =
            of_dimension("model", &[part("a", 10.0, 9.0), part("b", 95.0, 5.0), part("c", 1.0, 2.0)]);
        assert_eq!(drivers.len(), 1);
        assert_eq!((drivers[0].value.as_str(), drivers[0].percent), ("b", 100));
        assert_eq!(of_dimension("model", &[part("a", 1.0, 2.0)]), []);
        assert_eq!(of_dimension("model", &[part("only", 90.0, 2.0)]), [], "the only one is no explanation");
    }

    #[test]
    fn a_new_system_prompt_is_named_by_its_hash() {
        let record = |time_ms, hash: &str| UsageRecord {
            head: Head { time_ms, ..Head::default() },
            prompt: Some(PromptShape { system_hash: Some(hash.into()), ..PromptShape::default() }),
            ..UsageRecord::default()
        };
        let records = [record(1, "old"), record(5, "new"), record(6, "new"), record(7, "old")];
        let driver = of_system_prompt(&records, 5).unwrap();
        assert_eq!((driver.value.as_str(), driver.percent), ("new", 67));
        assert_eq!(of_system_prompt(&records[..1], 5), None);
        assert_eq!(of_system_prompt(&records[1..], 0), None, "with nothing before there is no change");
    }
}
