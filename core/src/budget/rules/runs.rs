//! Limits of one run: what a run may do together with all runs that it starts. Whoever keeps the sums of runs
//! asks here whether one more call fits: a gateway for its own calls, the collector for those of all.

use serde::Serialize;

use super::{Breach, Ruling, Rulings, dollars};
use crate::budget::Amount;
use crate::budget::scope::Scope;
use crate::lean::fnv::fnv;

/// What one run may do, with all that it starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunLimit {
    /// Its name.
    pub name: String,
    /// The calls that it is for.
    pub scope: Scope,
    /// What a run may cost at most, in pico-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Amount>,
    /// Calls that a run may make at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// How deep runs may start others: 1 is a run that none started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_depth: Option<u64>,
    /// How often the same request may come within a minute, in a run or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_repeats: Option<u64>,
    /// Only notes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// What a run did so far, with all that belongs to it, before the call that is judged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RunSoFar {
    /// How deep it is: 1 is a run that none started, 0 a call that names none.
    pub depth: u64,
    /// Calls.
    pub calls: u64,
    /// What they cost, and what calls under way hold.
    pub cost: Amount,
    /// The [`RunLimit::id`] of the limit that it passed on all gateways together; 0 for none.
    pub stopped_by: u64,
    /// How often this request came within a minute.
    pub repeats: u64,
}

impl RunLimit {
    /// A short name of it, never 0: which limit stopped a run.
    pub fn id(&self) -> u64 {
        fnv(self.name.as_bytes()).max(1)
    }

    /// What one more call, which may cost so much, would pass: in words, for the caller.
    pub fn passed(&self, run: &str, so_far: &RunSoFar, cost: Amount) -> Option<(Breach, String)> {
        let name = &self.name;
        if self.max_repeats.is_some_and(|most| so_far.repeats >= most) {
            let count = so_far.repeats;
            let text =
                format!("the same request came {count} times within a minute, as many as `{name}` allows");
            return Some((Breach::Repeated, text));
        }
        let text = if so_far.depth == 0 {
            return None;
        } else if so_far.stopped_by == self.id() {
            format!("it passed `{name}` on all gateways together")
        } else if self.max_depth.is_some_and(|most| so_far.depth > most) {
            format!("runs started it {} deep, deeper than `{name}` allows", so_far.depth)
        } else if self.max_calls.is_some_and(|most| so_far.calls >= most) {
            format!("it made {} calls with those that it started, as many as `{name}` allows", so_far.calls)
        } else if let Some(most) = self.max_cost.filter(|most| so_far.cost.plus(cost) > *most) {
            format!(
                "it used ${} with those that it started, this call may cost ${}, and `{name}` allows ${}",
                dollars(so_far.cost),
                dollars(cost),
                dollars(most)
            )
        } else {
            return None;
        };
        Some((Breach::RunTooLarge, format!("the run `{run}` is stopped: {text}")))
    }
}

/// What limits say of one more call of a run.
pub fn judge(limits: &[&RunLimit], (run, so_far): (&str, &RunSoFar), cost: Amount, rulings: &mut Rulings) {
    for limit in limits {
        if let Some((breach, message)) = limit.passed(run, so_far, cost) {
            rulings.add(limit.shadow, Ruling { rule: limit.name.clone(), breach, message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> RunLimit {
        RunLimit {
            name: "loops".into(),
            max_cost: Some(Amount(100)),
            max_calls: Some(3),
            max_depth: Some(2),
            max_repeats: Some(4),
            ..RunLimit::default()
        }
    }

    #[test]
    fn a_call_fits_until_its_run_has_as_much_as_it_may() {
        let fits = RunSoFar { depth: 2, calls: 2, cost: Amount(90), repeats: 3, stopped_by: 7 };
        for (so_far, cost, expected) in [
            (fits, 10, None),
            (fits, 11, Some(Breach::RunTooLarge)),
            (RunSoFar { calls: 3, ..fits }, 1, Some(Breach::RunTooLarge)),
            (RunSoFar { depth: 3, ..fits }, 1, Some(Breach::RunTooLarge)),
            (RunSoFar { stopped_by: limit().id(), ..fits }, 1, Some(Breach::RunTooLarge)),
            (RunSoFar { repeats: 4, ..fits }, 1, Some(Breach::Repeated)),
            // A call that names no run can only be repeated.
            (RunSoFar { depth: 0, calls: 9, ..fits }, 999, None),
            (RunSoFar { depth: 0, repeats: 4, ..fits }, 1, Some(Breach::Repeated)),
        ] {
            let found = limit().passed("r", &so_far, Amount(cost)).map(|(breach, _)| breach);
            assert_eq!(found, expected, "{so_far:?} {cost}");
        }
    }

    #[test]
    fn a_limit_in_shadow_only_notes() {
        let shadow = RunLimit { shadow: true, ..limit() };
        let so_far = RunSoFar { depth: 1, calls: 3, ..RunSoFar::default() };
        let mut rulings = Rulings::default();
        judge(&[&shadow], ("r", &so_far), Amount(0), &mut rulings);
        assert_eq!((rulings.refused.is_some(), rulings.noted.len()), (false, 1));
        judge(&[&shadow, &limit()], ("r", &so_far), Amount(0), &mut rulings);
        let refused = rulings.refused.unwrap();
        assert_eq!((refused.rule.as_str(), refused.breach), ("loops", Breach::RunTooLarge));
        assert_eq!(
            refused.message,
            "the run `r` is stopped: it made 3 calls with those that it started, as many as `loops` allows"
        );
    }
}
