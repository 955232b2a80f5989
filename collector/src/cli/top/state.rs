//! What the view knows: answers of the last minute, and what the user chose.

use std::cmp::Reverse;
use std::collections::VecDeque;

use jiff::Timestamp;
use tollgate_core::money::Picodollars;

use crate::model::answers::budgets::{BudgetRow, Budgets};
use crate::model::answers::summary::{Numbers, SummaryAnswer};
use crate::model::text::printable;

/// What the collector said at one time.
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) spent: SummaryAnswer,
    pub(super) budgets: Budgets,
}

/// The view.
pub(super) struct State {
    pub(super) by: String,
    pub(super) sort: Sort,
    pub(super) filter: String,
    pub(super) is_typing: bool,
    pub(super) selected: usize,
    /// Why the last question had no answer.
    pub(super) failure: Option<String>,
    /// Of the last minute, the oldest first.
    samples: VecDeque<Sample>,
}

/// A row of the view.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    /// Today, in UTC.
    pub(super) today: Numbers,
    /// Of a minute, by the last samples; none before there are two.
    pub(super) minute: Option<Minute>,
}

/// What happens in a minute.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Minute {
    pub(super) cost: Picodollars,
    pub(super) calls: u64,
    pub(super) denied: u64,
}

/// What rows are ordered by, the largest first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Sort {
    #[default]
    Rate,
    Today,
    Calls,
    Refused,
    Name,
}

impl Sort {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Rate => Self::Today,
            Self::Today => Self::Calls,
            Self::Calls => Self::Refused,
            Self::Refused => Self::Name,
            Self::Name => Self::Rate,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rate => "$/min",
            Self::Today => "$ today",
            Self::Calls => "calls",
            Self::Refused => "refused",
            Self::Name => "name",
        }
    }
}

impl State {
    pub(super) fn new(by: &str) -> Self {
        Self {
            by: printable(by),
            sort: Sort::default(),
            filter: String::new(),
            is_typing: false,
            selected: 0,
            failure: None,
            samples: VecDeque::new(),
        }
    }

    /// Takes an answer. What is older than a minute goes, and what is of another day.
    pub(super) fn take(&mut self, sample: Sample) {
        self.failure = None;
        let is_of = |old: &Sample| old.spent.from == sample.spent.from;
        let is_last_minute =
            |old: &Sample| sample.at.as_second().saturating_sub(old.at.as_second()) <= MINUTE_S;
        self.samples.retain(|old| is_of(old) && is_last_minute(old));
        self.samples.push_back(sample);
    }

    /// Notes that there was no answer; the last numbers stay.
    pub(super) fn fail(&mut self, why: &str) {
        self.failure = Some(printable(why));
    }

    pub(super) fn at(&self) -> Option<Timestamp> {
        self.samples.back().map(|sample| sample.at)
    }

    /// Rows that pass the filter, in their order.
    pub(super) fn rows(&self) -> Vec<Row> {
        let Some(last) = self.samples.back() else { return Vec::new() };
        let wanted = self.filter.to_lowercase();
        let row = |row: &crate::model::answers::summary::SummaryRow| {
            let values = row.keys.0.iter().map(|(_, value)| value.as_deref().unwrap_or("(none)"));
            let minute = self.minute(&row.numbers, |first| {
                first.rows.iter().find(|one| one.keys == row.keys).map(|one| one.numbers.clone())
            });
            Row { name: printable(&values.collect::<Vec<_>>().join(" ")), today: row.numbers.clone(), minute }
        };
        let mut rows: Vec<Row> =
            last.spent.rows.iter().map(row).filter(|row| row.name.to_lowercase().contains(&wanted)).collect();
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        let rate = |row: &Row| row.minute.map(|minute| minute.cost);
        match self.sort {
            Sort::Rate => rows.sort_by_key(|row| Reverse((rate(row), row.today.cost_usd))),
            Sort::Today => rows.sort_by_key(|row| Reverse(row.today.cost_usd)),
            Sort::Calls => rows.sort_by_key(|row| Reverse(row.today.calls)),
            Sort::Refused => rows.sort_by_key(|row| Reverse(row.today.denied)),
            Sort::Name => {}
        }
        rows
    }

    /// All of it.
    pub(super) fn total(&self) -> Row {
        let Some(last) = self.samples.back() else { return Row::default() };
        let today = last.spent.total.numbers.clone();
        let minute = self.minute(&today, |first| Some(first.total.numbers.clone()));
        Row { name: String::new(), today, minute }
    }

    /// Counters of budgets that pass the filter, the fullest first.
    pub(super) fn budgets(&self) -> Vec<&BudgetRow> {
        let Some(last) = self.samples.back() else { return Vec::new() };
        let wanted = self.filter.to_lowercase();
        let is_wanted = |row: &&BudgetRow| {
            wanted.is_empty()
                || row.budget.to_lowercase().contains(&wanted)
                || row.value.as_ref().is_some_and(|value| value.to_lowercase().contains(&wanted))
        };
        let mut rows: Vec<&BudgetRow> = last.budgets.rows.iter().filter(is_wanted).collect();
        rows.sort_by_key(|row| Reverse(row.percent));
        rows
    }

    /// Moves the selection; it stays on a row.
    pub(super) fn move_by(&mut self, rows: isize) {
        let last = self.rows().len().saturating_sub(1);
        self.selected = self.selected.min(last).saturating_add_signed(rows).min(last);
    }

    /// What happened since the oldest sample, of a minute.
    fn minute(&self, now: &Numbers, then: impl Fn(&SummaryAnswer) -> Option<Numbers>) -> Option<Minute> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let ms = last.at.as_millisecond().checked_sub(first.at.as_millisecond()).filter(|ms| *ms > 0)?;
        let then = then(&first.spent).unwrap_or_default();
        let of_minute =
            |more: i128| more.saturating_mul(MINUTE_S.saturating_mul(1_000).into()).div_euclid(ms.into());
        let count = |now: u64, then: u64| {
            u64::try_from(of_minute(now.saturating_sub(then).into())).unwrap_or(u64::MAX)
        };
        let cost = now.cost_usd.as_pico().saturating_sub(then.cost_usd.as_pico());
        Some(Minute {
            cost: Picodollars::from_pico(of_minute(cost)),
            calls: count(now.calls, then.calls),
            denied: count(now.denied, then.denied),
        })
    }
}

/// Seconds in a minute.
const MINUTE_S: i64 = 60;

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    fn numbers(calls: u64, denied: u64, cost: &str) -> serde_json::Value {
        json!({
            "calls": calls, "denied": denied, "errors": 0, "unpriced": 0, "input_tokens": 10, "cache_read_tokens": 0,
            "cache_write_tokens": 0, "output_tokens": 1, "reasoning_tokens": 0, "cost_usd": cost,
            "estimated_cost_usd": "0",
        })
    }

    fn row(agent: &str, numbers: serde_json::Value) -> serde_json::Value {
        let mut numbers = numbers;
        numbers["agent"] = json!(agent);
        numbers
    }

    fn sample(at: &str, triage: (u64, u64, &str), total: (u64, u64, &str)) -> Sample {
        let spent = json!({
            "from": format!("{}T00:00:00Z", &at[..10]), "to": "2026-12-01T00:00:00Z", "by": ["agent"],
            "rows": [
                row("writer", numbers(40, 0, "9")),
                row("triage", numbers(triage.0, triage.1, triage.2)),
            ],
            "total": numbers(total.0, total.1, total.2), "folded_calls": 0,
        });
        let budget = json!({
            "budget": "support-month", "value": "", "scope": {}, "each": null, "unit": "dollars", "action": "deny",
            "source": "file", "window": "month", "time_zone": "UTC", "from": null, "to": null, "limit": "10.0",
            "used": "8.0", "held": "0", "kept": "0", "granted": "0", "presumed": "0", "remaining": "2.0",
            "over_granted": false, "percent": 80, "denied": 2, "in_flight": 0, "burn_per_day": "1", "limit_reached": null,
            "gateways": [],
        });
        Sample {
            at: at.parse().unwrap(),
            spent: serde_json::from_value(spent).unwrap(),
            budgets: serde_json::from_value(json!({"now": at, "rows": [budget]})).unwrap(),
        }
    }

    /// Ten seconds apart: triage spends five cents in them.
    pub(in crate::cli::top) fn two_samples() -> State {
        let mut state = State::new("agent");
        state.take(sample("2026-11-30T10:00:00Z", (5, 1, "1"), (45, 1, "10")));
        state.take(sample("2026-11-30T10:00:10Z", (7, 2, "1.05"), (47, 2, "10.05")));
        state
    }

    #[test]
    fn a_minute_is_what_happened_between_samples_scaled() {
        let state = two_samples();
        let minute = Minute { cost: "0.3".parse().unwrap(), calls: 12, denied: 6 };
        assert_eq!(state.total().minute, Some(minute));
        let rows = state.rows();
        assert_eq!((rows[0].name.as_str(), rows[0].minute), ("triage", Some(minute)));
        assert_eq!(rows[1].minute, Some(Minute::default()));
    }

    #[test]
    fn a_new_day_begins_anew_and_samples_of_before_the_last_minute_go() {
        let mut state = two_samples();
        state.take(sample("2026-11-30T10:01:05Z", (9, 2, "1.6"), (49, 2, "10.6")));
        assert_eq!(state.total().minute.unwrap().cost, "0.6".parse().unwrap());
        state.take(sample("2026-12-01T00:00:01Z", (1, 0, "0.1"), (1, 0, "0.1")));
        assert_eq!(state.total().minute, None);
    }
}
