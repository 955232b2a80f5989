//! How budgets stand that a call touches: what rules ask for that change its request, and what its caller may
//! be told.

use tollgate_core::budget::Unit;
use tollgate_core::budget::policy::{Touched, percent, rfc3339};
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::call::Call;
use tollgate_core::call::admission::AdmissionInput;
use tollgate_core::money::Picodollars;

use super::{Budgets, DecisionInput, Ticket};

impl Budgets {
    /// How many percent of a counter are spent or held.
    pub(crate) fn percent_used(&self, touched: &Touched<'_>) -> u16 {
        let counter = self.counters.borrow_mut().get(&touched.key().to_bytes());
        counter.map_or(0, |counter| percent(counter.spent(), counter.limit))
    }

    /// The output limit that rules want written into a call's request, and the rule.
    pub(crate) fn clamp(&self, call: &mut Call, given: DecisionInput<'_>) -> Option<(u64, String)> {
        let policy = self.policy()?;
        let input = AdmissionInput {
            policy: &policy,
            book: given.book,
            unpriced: policy.unpriced,
            learned: given.learned,
            now_ms: self.now(given.now_ms),
            may_ask: false,
        };
        call.clamped_output_tokens(&input)
    }

    /// What is left of the budget of a call of which the smallest part is, and when its window ends: texts of
    /// `x-tollgate-budget-remaining` and `-reset`. Of a budget with a counter for each caller it is the
    /// caller's own.
    pub(crate) fn tightest(&self, ticket: &Ticket) -> Option<(String, String)> {
        let standing = ticket.held.iter().filter_map(|held| {
            let counter = self.counters.borrow_mut().get(&held.key)?;
            Some((percent(counter.spent(), counter.limit), counter, held))
        });
        let (_, counter, held) = standing.max_by_key(|(used, ..)| *used)?;
        let left = counter.limit.minus(counter.spent()).or_nothing();
        let (left, unit) = match held.unit {
            Unit::Dollars => (Picodollars::from_pico(left.0).to_string(), "usd"),
            Unit::Tokens => (left.0.to_string(), "tokens"),
            Unit::Calls => (left.0.to_string(), "calls"),
        };
        let name = CounterKey::from_bytes(&held.key, held.span)?.budget;
        let reset = if held.span.end_ms == u64::MAX { "never".to_owned() } else { rfc3339(held.span.end_ms) };
        Some((format!("{left}; unit={unit}; budget={name}"), reset))
    }
}
