//! What a budget says to a call that it has no room for.

use super::Reason;
use crate::budget::counter::Counter;
use crate::budget::policy::{Holds, Short, resets, rfc3339};
use crate::budget::scope::CounterKey;
use crate::budget::{Amount, Budget};

/// The status that the budget names, where it does, and the text for the caller of a call that is to hold so
/// much.
pub fn short_of(
    budget: &Budget,
    counter: Option<&Counter>,
    hold: Amount,
    reason: Reason,
) -> (Option<u16>, String) {
    let limit = counter.map_or(budget.limit, |counter| counter.limit);
    let spent = counter.map(Counter::spent);
    let is_left = spent.is_some_and(|spent| spent < limit && spent.plus(hold) > limit);
    let key = counter.and_then(|counter| CounterKey::from_bytes(&counter.key, counter.span));
    let short = Short {
        budget: budget.name.clone(),
        value: key.map(|key| key.value).unwrap_or_default(),
        limit: budget.unit.show(limit),
        spent: spent.map_or_else(|| "an unknown part".into(), |spent| budget.unit.show(spent)),
        asks: is_left.then(|| budget.unit.show(hold)),
        reset: resets(budget.window, counter.map(|counter| counter.span)),
        holds: counter.map(|counter| holds(budget, counter)).unwrap_or_default(),
    };
    let status = budget.status.filter(|_| reason == Reason::BudgetSpent);
    (status, short.message(budget.message.as_deref(), reason == Reason::BudgetBusy))
}

/// What holds what is neither free nor spent of a counter.
fn holds(budget: &Budget, counter: &Counter) -> Holds {
    let show = |amount: Amount| match amount > Amount::ZERO {
        true => budget.unit.show(amount),
        false => String::new(),
    };
    Holds {
        calls: show(counter.held.plus(counter.elsewhere_held)),
        leased: show(counter.leased_elsewhere),
        leased_until: match counter.leased_until_ms {
            0 => String::new(),
            until_ms => rfc3339(until_ms),
        },
        kept: show(counter.kept.plus(counter.kept_elsewhere)),
    }
}
