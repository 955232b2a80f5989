//! What would become of a call: decided by the code that gateways use, on what the collector knows of
//! budgets.

use tollgate_core::budget::counter::Counter;
use tollgate_core::budget::ledger::Ledger;
use tollgate_core::budget::policy::{Policy, Touched, percent};
use tollgate_core::budget::{Amount, HoldRule};
use tollgate_core::call::admission::{Admission, Hold};
use tollgate_core::call::explained::{Described, Explained, Known, RuleState, Said, Source};
use tollgate_core::call::refusal::{Reason, refusal, short_of};
use tollgate_core::estimate::Learned;
use tollgate_core::price::PriceBook;

use crate::model::answers::budgets::Quantity;
use crate::model::answers::explained::{ExplainedBudget, ExplainedCall, ExplainedField, ExplainedRule};
use crate::store::{CounterState, StoredBudget};

/// Budgets, and their counters in the windows that hold now.
pub type Outlook = Vec<(StoredBudget, Vec<CounterState>)>;

/// What the collector decides by.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// Rules and budgets.
    pub policy: &'a Policy,
    /// Prices.
    pub book: &'a PriceBook,
    /// What is left of budgets.
    pub outlook: &'a Outlook,
    /// Our clock, Unix milliseconds UTC.
    pub now_ms: u64,
}

/// Why a call is refused.
struct Refused {
    reason: Reason,
    status: Option<u16>,
    budget: Option<String>,
    message: String,
}

/// Says what would become of a call.
// Long: one line for each field of the answer.
pub fn explain(described: &Described, by: Basis<'_>) -> ExplainedCall {
    let Basis { policy, book, now_ms, .. } = by;
    let used = |touched: &Touched<'_>| percent_used(touched, by);
    let explained = described.explained(policy, book, &used, now_ms);
    let call = &explained.call;
    let learned = Learned::default();
    let admission = explained.admission(policy, book, &learned, now_ms);
    // Before rules are asked one by one, which the call would remember.
    let record = call.denied("", 0, now_ms);
    let mut notes = explained.notes.clone();
    let (budgets, refused) = match admission {
        Admission::Hold(holds) => of_counters(&holds, by, &mut notes),
        Admission::Refuse(reason, budget, message) => {
            let status = None;
            (untold(&explained, by), Some(Refused { reason, status, budget, message }))
        }
        Admission::WantPrice(wanted) => {
            notes.push(format!("a gateway would ask for the price of `{}` first", wanted.model));
            (untold(&explained, by), None)
        }
    };
    if call.target().fetches.is_some() {
        notes.push("it fetches what another call started, and is attributed as that one was".to_owned());
    }
    if let Some(asked) = &record.stepped_down_from {
        let model = call.request_model().unwrap_or_default();
        notes.push(format!("a budget is used so far that `{model}` takes the place of `{asked}`"));
    }
    let answer = refused.as_ref().map(|refused| {
        let Refused { reason, status, message, .. } = refused;
        let body = refusal(call.target(), *reason, *status, message, "").body;
        serde_json::from_slice(&body).unwrap_or_default()
    });
    let most = explained.most(book, now_ms);
    ExplainedCall {
        passes: refused.is_none(),
        status: refused.as_ref().map(|one| one.status.unwrap_or_else(|| one.reason.status())),
        reason: refused.as_ref().map(|one| one.reason.name().to_owned()),
        refused_by: record.refused_by,
        budget: refused.as_ref().and_then(|one| one.budget.clone()),
        message: refused.map(|one| one.message),
        answer,
        noted_by: record.noted_by,
        provider: call.target().provider.to_string(),
        operation: (!explained.is_no_call).then(|| call.target().api.operation().to_owned()),
        model: call.request_model().map(str::to_owned),
        most_usd: most.cost,
        most_tokens: most.tokens,
        written_output_tokens: explained.written_output_tokens,
        attribution_source: call.attribution().1,
        identity: explained.identity.iter().map(field).collect(),
        rules: match explained.is_no_call {
            true => Vec::new(),
            false => explained.rules(policy, book, now_ms).into_iter().map(rule).collect(),
        },
        budgets,
        policy_version: policy.version.clone(),
        price_version: book.version().to_owned(),
        notes,
    }
}

/// What its holds find on their counters, and the refusal of the last budget that has no room, as a gateway
/// says it.
fn of_counters(
    holds: &[Hold<'_>],
    by: Basis<'_>,
    notes: &mut Vec<String>,
) -> (Vec<ExplainedBudget>, Option<Refused>) {
    let (mut rows, mut refused) = (Vec::new(), None);
    for hold in holds {
        let budget = hold.touched.budget;
        let (row, short) = row(&hold.touched, Some(hold.amount), by);
        if let Some((reason, status, message)) = short.filter(|_| budget.is_enforced()) {
            refused = Some(Refused { reason, status, budget: Some(budget.name.clone()), message });
        }
        if budget.hold == HoldRule::Expected {
            notes.push(format!(
                "`{}` holds what such calls cost in the mean, which gateways learn; the most is shown here",
                budget.name
            ));
        }
        rows.push(row);
    }
    if !rows.is_empty() {
        notes.push("what is left of budgets is as gateways last reported".to_owned());
    }
    (rows, refused)
}

/// Its budgets, where it is refused before it holds anything.
fn untold(explained: &Explained, by: Basis<'_>) -> Vec<ExplainedBudget> {
    let subject = explained.call.subject();
    by.policy.touched(&subject, by.now_ms).map(|touched| row(&touched, None, by).0).collect()
}

/// How many percent of a counter are used, as gateways last reported.
fn percent_used(touched: &Touched<'_>, by: Basis<'_>) -> u16 {
    let key = touched.key();
    let states = by.outlook.iter().find(|(stored, _)| stored.budget.name == touched.budget.name);
    let Some(state) = states.and_then(|(_, states)| states.iter().find(|state| state.key == key)) else {
        return 0;
    };
    percent(state.ledger.used(), state.ledger.limit)
}

type Short = (Reason, Option<u16>, String);

fn row(touched: &Touched<'_>, hold: Option<Amount>, by: Basis<'_>) -> (ExplainedBudget, Option<Short>) {
    let (budget, key) = (touched.budget, touched.key());
    let states = by.outlook.iter().find(|(stored, _)| stored.budget.name == budget.name);
    let state = states.and_then(|(_, states)| states.iter().find(|state| state.key == key));
    let unused = Ledger { limit: budget.limit, ..Ledger::default() };
    let ledger = state.map_or(&unused, |state| &state.ledger);
    let mut counter = Counter::new(key.to_bytes(), key.span, ledger.limit);
    counter.merge(&ledger.last_word("", by.now_ms));
    let (used, needed) = (ledger.used(), hold.unwrap_or(Amount::ZERO));
    let fits = used.plus(needed) <= ledger.limit;
    let reason = if counter.may_clear(needed) { Reason::BudgetBusy } else { Reason::BudgetSpent };
    let short = (!fits).then(|| {
        let (status, message) = short_of(budget, Some(&counter), needed, reason);
        (reason, status, message)
    });
    let show = |amount: Amount| Quantity::of(budget.unit, amount);
    let row = ExplainedBudget {
        budget: budget.name.clone(),
        value: key.value,
        action: budget.action,
        unit: budget.unit,
        limit: show(ledger.limit),
        used: show(used),
        left: show(ledger.limit.minus(used)),
        hold: hold.map(show),
        fits,
        message: short.as_ref().map(|(.., message)| message.clone()),
    };
    (row, short)
}

fn field(known: &Known) -> ExplainedField {
    let names = tollgate_core::attribution::Field::ALL.into_iter();
    let name = names.clone().find(|(field, ..)| *field == known.field).map_or("", |(_, name, _)| name);
    ExplainedField {
        field: name.to_owned(),
        value: known.value.clone(),
        source: match known.source {
            Source::Attribution(source) => source.name(),
            Source::Registry => "registry",
        }
        .to_owned(),
        said: known.said.clone(),
    }
}

fn rule(said: Said) -> ExplainedRule {
    let Said { rule, kind, state, against } = said;
    ExplainedRule {
        rule,
        kind: kind.to_owned(),
        state: match state {
            RuleState::Enforced => "enforced",
            RuleState::Shadow => "shadow",
            RuleState::Expired => "expired",
        }
        .to_owned(),
        lets: against.is_none(),
        reason: against.as_ref().map(|(reason, _)| reason.name().to_owned()),
        message: against.map(|(_, message)| message),
    }
}
