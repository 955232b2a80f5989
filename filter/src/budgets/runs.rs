//! Limits of one run: a call is counted with its run before budgets are charged for it.

use tollgate_core::budget::policy::Policy;
use tollgate_core::call::Call;
use tollgate_core::call::admission::Hold;

use super::{Budgets, Decision, DecisionInput, Refused};
use crate::metrics::Metrics;
use crate::shared::runs::{self, Counted};

impl Budgets {
    /// Counts a call with its run, where rules limit that, and charges its holds. Where it does not go on, it
    /// is not counted either.
    pub(super) fn charge_run(
        &self,
        call: &Call,
        policy: &Policy,
        holds: Vec<Hold<'_>>,
        given: DecisionInput<'_>,
        metrics: &mut Metrics,
    ) -> Decision {
        let counted = match self.count_with_run(call, policy, given.now_ms) {
            Ok(counted) => counted,
            Err(refused) => return Decision::Refuse(refused),
        };
        let mut decision = self.charge_all(policy, holds, given, metrics);
        if let Some(counted) = counted {
            match &mut decision {
                Decision::Go(ticket) => ticket.counted = counted,
                Decision::Refuse(_) | Decision::Wait => counted.take_back(given.now_ms),
            }
        }
        decision
    }

    /// Counts a call with its run; none where no rule limits that.
    #[inline(never)]
    fn count_with_run(&self, call: &Call, policy: &Policy, now_ms: u64) -> Result<Option<Counted>, Refused> {
        let Some(of) = call.of_run(policy, self.now(now_ms)) else { return Ok(None) };
        let agent = &call.attribution().0.agent;
        let counted = runs::begin(&of, agent, now_ms, |so_far| call.ruled_of_run(&of, so_far));
        let refused = |(reason, message)| Refused { reason, budget: None, status: None, message };
        counted.map(Some).map_err(refused)
    }
}
