//! `/api/v1/budgets`: what is left of each budget, and changes of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use tollgate_core::budget::ledger::{Account, LIVE_MS};
use tollgate_core::budget::policy::{self, percent};
use tollgate_core::budget::window::Window;
use tollgate_core::budget::{Amount, Unit, define};
use tollgate_core::money::Picodollars;

use super::error::ApiError;
use super::extract::{Segment, TextBody};
use super::params::Params;
use crate::model::answers::budgets::{
    self as answers, BudgetChange, BudgetChanged, BudgetRow, Budgets, GatewayAccount, InstanceReleased,
    Quantity,
};
use crate::model::calendar::{span, zone};
use crate::model::clock::{MINUTE_MS, now_ms, rfc3339};
use crate::store::{CounterState, KeptReleased, Put, Released, StoredBudget, ToppedUp};
use crate::work::access::Caller;
use crate::work::app::App;
use crate::work::policy::unknown_provider;

/// `GET /api/v1/budgets`: one row for each counter of the windows that hold now, also for those that no call
/// has used yet where something is to be said of them; of a budget for `each` value that nobody has used one
/// whose `value` is null.
///
/// # Errors
/// For parameters that nobody asked for, and when the store fails.
pub async fn list(State(app): State<Arc<App>>, mut params: Params) -> Result<Response, ApiError> {
    let only = params.all("budget");
    params.finish()?;
    let now = now_ms();
    let mut rows = Vec::new();
    for (stored, states) in app.store.budget_outlook(now).await? {
        if !only.is_empty() && !only.contains(&stored.budget.name) {
            continue;
        }
        if states.is_empty() {
            rows.push(row(&stored, None, now));
        }
        rows.extend(states.iter().map(|state| row(&stored, Some(state), now)));
    }
    Ok(Json(Budgets { now: rfc3339(now), rows }).into_response())
}

/// `GET /api/v1/budgets/{name}`: its definition, as `PUT` takes it.
///
/// # Errors
/// For a budget that is not there, for parameters, and when the store fails.
pub async fn one(
    State(app): State<Arc<App>>,
    Segment(name): Segment,
    params: Params,
) -> Result<Response, ApiError> {
    params.finish()?;
    app.budgets.refresh(&app.store).await?;
    let stored = app.budgets.all().into_iter().find(|stored| stored.budget.name == name);
    Ok(Json(define::write(&stored.ok_or_else(|| no_such(&name))?.budget)).into_response())
}

/// `PUT /api/v1/budgets/{name}`: makes or changes a budget; its keys are those of `[[budgets]]` in
/// `tollgate.toml`.
///
/// # Errors
/// Without the right token, for a budget that is not one, for one that the configuration file has, and when
/// the store fails.
pub async fn put(
    State(app): State<Arc<App>>,
    Segment(name): Segment,
    caller: Caller,
    TextBody(body): TextBody,
) -> Result<Response, ApiError> {
    let value: Value = serde_json::from_str(&body)
        .map_err(|error| ApiError::parameter(format!("the body is not JSON: {error}")))?;
    let budget = define::read_one(&value, Some(&name)).map_err(|errors| {
        let all: Vec<String> =
            errors.iter().map(|error| format!("`{}` {}", error.key, error.problem)).collect();
        ApiError::parameter(all.join("; "))
    })?;
    if zone(&budget.time_zone).is_none() {
        let text = format!("`time_zone` is `{}`, not a time zone such as `Europe/Zurich`", budget.time_zone);
        return Err(ApiError::parameter(text));
    }
    if let Some(problem) =
        unknown_provider(&budget.scope, &app.config().budgets.providers, &app.prices.book())
    {
        return Err(ApiError::parameter(format!("`scope.provider` {problem}")));
    }
    not_in_file(&app, &name).await?;
    let (done, all) = app.store.put_budget(budget, caller.name.clone(), now_ms()).await?;
    app.budgets.replace_budgets(all);
    let result = match done {
        Put::Created => BudgetChange::Created,
        Put::Changed => BudgetChange::Changed,
        Put::CountsOtherwise => BudgetChange::CountsOtherwise,
        Put::Same => BudgetChange::Same,
    };
    Ok(Json(BudgetChanged { budget: name, result }).into_response())
}

/// `DELETE /api/v1/budgets/{name}`: removes a budget; what was spent stays recorded.
///
/// # Errors
/// Without the right token, for a budget that is not there or stands in the configuration file.
pub async fn remove(
    State(app): State<Arc<App>>,
    Segment(name): Segment,
    caller: Caller,
) -> Result<Response, ApiError> {
    not_in_file(&app, &name).await?;
    let (removed, all) = app.store.remove_budget(name.clone(), caller.name.clone(), now_ms()).await?;
    app.budgets.replace_budgets(all);
    match removed {
        true => Ok(Json(BudgetChanged { budget: name, result: BudgetChange::Removed }).into_response()),
        false => Err(no_such(&name)),
    }
}

/// What `POST /api/v1/budgets/{name}/top-up` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TopUp {
    /// Dollars as a decimal string, or tokens or calls as digits.
    amount: String,
    /// Value of the budget's `each`.
    #[serde(default)]
    value: String,
}

/// `POST /api/v1/budgets/{name}/top-up`: adds to the limit of the window that holds now; below 0 it takes
/// back what was added there.
///
/// # Errors
/// Without the right token, for an amount that is none or takes more than was added, for a counter that the
/// budget cannot have, and for a budget that is not there.
pub async fn top_up(
    State(app): State<Arc<App>>,
    Segment(name): Segment,
    caller: Caller,
    TextBody(body): TextBody,
) -> Result<Response, ApiError> {
    let asked: TopUp = serde_json::from_str(&body)
        .map_err(|error| ApiError::parameter(format!("the body is not {{\"amount\":\"5.00\"}}: {error}")))?;
    app.budgets.refresh(&app.store).await?;
    let stored = app.budgets.all().into_iter().find(|stored| stored.budget.name == name);
    let budget = stored.ok_or_else(|| no_such(&name))?.budget;
    let unit = budget.unit;
    let more = more(&asked.amount, unit).map_err(ApiError::parameter)?;
    define::check_value(&budget, &asked.value)
        .map_err(|problem| ApiError::parameter(format!("`value` {problem}")))?;
    match app.store.top_up(name.clone(), asked.value, more, caller.name.clone(), now_ms()).await? {
        ToppedUp::Limit(limit) => {
            Ok(Json(answers::ToppedUp { budget: name, limit: Quantity::of(unit, limit) }).into_response())
        }
        ToppedUp::NoBudget => Err(no_such(&name)),
        ToppedUp::TooMuch(topped_up) => Err(ApiError::parameter(format!(
            "`amount` is `{}`, and below 0 it only takes back what was topped up in this window, which is {}; for a \
             lower limit change the budget",
            asked.amount,
            unit.show(topped_up),
        ))),
    }
}

/// What a top-up adds, above or below 0.
fn more(text: &str, unit: Unit) -> Result<Amount, String> {
    let (more, right) = match unit {
        Unit::Dollars => {
            (text.parse::<Picodollars>().ok().map(Picodollars::as_pico), "dollars such as `5.00`")
        }
        Unit::Tokens => (text.parse::<i64>().ok().map(i128::from), "tokens, a whole number such as `5000`"),
        Unit::Calls => (text.parse::<i64>().ok().map(i128::from), "calls, a whole number such as `5`"),
    };
    match more {
        None => Err(format!("`amount` is `{text}`, not {right}")),
        Some(0) => {
            Err(format!("`amount` is `{text}`, which changes nothing; give {right}, below 0 to take back"))
        }
        Some(more) => Ok(Amount(more)),
    }
}

/// `POST /api/v1/budgets/release/{instance}`: takes back what a run of a gateway that is gone was granted and
/// has not used; with `force=true` also of one that still reports.
///
/// # Errors
/// Without the right token, for an instance that never reported or still does, and when the store fails.
pub async fn release(
    State(app): State<Arc<App>>,
    Segment(instance): Segment,
    caller: Caller,
    mut params: Params,
) -> Result<Response, ApiError> {
    let force = match params.one("force")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            return Err(ApiError::parameter(format!("`force` is `{other}`, not `true` or `false`")));
        }
    };
    params.finish()?;
    match app.store.release(instance.clone(), force, caller.name.clone(), now_ms()).await? {
        Released::Counters(counters) => {
            Ok(Json(InstanceReleased { instance, released_counters: counters }).into_response())
        }
        Released::Unknown(known) if known.is_empty() => Err(ApiError::not_found(format!(
            "there is no gateway instance `{instance}`; none has reported yet"
        ))),
        Released::Unknown(known) => Err(ApiError::not_found(format!(
            "there is no gateway instance `{instance}`; those that reported last are `{}`",
            known.join("`, `")
        ))),
        Released::Live { seen_ms } => Err(ApiError::conflict(format!(
            "gateway instance `{instance}` reported at {} and may go on spending what it was granted; if it is silent, it \
             counts as gone from {} on: release it then, or now with `force=true` (`--force`) if you know that it is gone",
            policy::rfc3339(seen_ms),
            policy::rfc3339(seen_ms.saturating_add(LIVE_MS).saturating_add(1_000)),
        ))),
    }
}

/// `POST /api/v1/budgets/{name}/release-kept`: gives back what is kept above the records' costs, in the
/// window that holds now; with `value` on the counter of one value of the budget's `each`.
///
/// # Errors
/// Without the right token, for a budget that is not there or a value that it cannot have, and when the store
/// fails.
pub async fn release_kept(
    State(app): State<Arc<App>>,
    Segment(name): Segment,
    caller: Caller,
    mut params: Params,
) -> Result<Response, ApiError> {
    let value = params.one("value")?;
    params.finish()?;
    app.budgets.refresh(&app.store).await?;
    let stored = app.budgets.all().into_iter().find(|stored| stored.budget.name == name);
    let budget = stored.ok_or_else(|| no_such(&name))?.budget;
    if let Some(value) = &value {
        define::check_value(&budget, value)
            .map_err(|problem| ApiError::parameter(format!("`value` {problem}")))?;
    }
    match app.store.release_kept(name.clone(), value, caller.name.clone(), now_ms()).await? {
        KeptReleased::Amount(released) => {
            let released = Quantity::of(budget.unit, released);
            Ok(Json(answers::KeptReleased { budget: name, released }).into_response())
        }
        KeptReleased::NoBudget => Err(no_such(&name)),
    }
}

async fn not_in_file(app: &App, name: &str) -> Result<(), ApiError> {
    app.budgets.refresh(&app.store).await?;
    let stored = app.budgets.all().into_iter().find(|stored| stored.budget.name == name);
    if stored.is_some_and(|stored| stored.source == "file") {
        let text = format!("budget `{name}` stands in the configuration file; change it there");
        return Err(ApiError::conflict(text));
    }
    Ok(())
}

fn no_such(name: &str) -> ApiError {
    ApiError::not_found(format!("there is no budget `{name}`"))
}

/// The row of a counter, or of a budget that nobody has used.
// Long: one line for each field of the answer.
pub(super) fn row(stored: &StoredBudget, state: Option<&CounterState>, now: u64) -> BudgetRow {
    let budget = &stored.budget;
    let show = |amount: Amount| Quantity::of(budget.unit, amount);
    let window = span(budget, now);
    let (value, ledger) = match state {
        Some(state) => (Some(state.key.value.clone()), state.ledger.clone()),
        None => {
            let empty = tollgate_core::budget::ledger::Ledger { limit: budget.limit, ..Default::default() };
            (None, empty)
        }
    };
    let sum = |of: fn(&Account) -> Amount| ledger.accounts.values().map(of).fold(Amount::ZERO, Amount::plus);
    let used = ledger.used();
    let remaining = ledger.limit.minus(used);
    // What was spent before the budget was made is in it too, unless it is prepaid.
    let since = match budget.window {
        Window::Prepaid => stored.created_ms,
        _ => state.map_or(window.start_ms, |state| state.first_ms),
    };
    let burn = per_day(ledger.spent(), now.saturating_sub(since));
    // What was spent first leaves a rolling window then; from there on it fills no further at this rate.
    let until = match budget.window {
        Window::Rolling(minutes) => since.saturating_add(minutes.saturating_mul(MINUTE_MS)),
        _ => window.end_ms,
    };
    let is_rolling = matches!(budget.window, Window::Rolling(_));
    let reached = reached(remaining, burn, now).filter(|at| *at < until);
    let account = |state: &CounterState, instance: &String, account: &Account| GatewayAccount {
        gateway: state.gateways.get(instance).cloned(),
        instance: instance.clone(),
        granted: show(account.granted.minus(account.returned)),
        used: show(account.used),
        held: show(account.held),
        live: account.is_live(now),
        last_seen: rfc3339(account.seen_ms),
        lease_ends: rfc3339(account.lease_ends_ms(budget.lease_ms)),
    };
    let accounts = |state| ledger.accounts.iter().map(move |(instance, one)| account(state, instance, one));
    BudgetRow {
        budget: budget.name.clone(),
        value,
        scope: budget.scope.clone(),
        each: budget.each.clone(),
        unit: budget.unit,
        action: budget.action,
        source: stored.source.clone(),
        window: budget.window.to_string(),
        time_zone: budget.time_zone.clone(),
        from: rfc3339(window.start_ms.saturating_sub(budget.window.reach_ms())),
        to: Some(window.end_ms).filter(|end| *end < u64::MAX && !is_rolling).and_then(rfc3339),
        limit: show(ledger.limit),
        used: show(used),
        held: show(ledger.held()),
        kept: show(ledger.kept_in_all()),
        granted: show(sum(|account| account.granted.minus(account.returned))),
        presumed: show(ledger.presumed(now)),
        remaining: show(remaining),
        over_granted: ledger.committed() > ledger.limit && budget.is_enforced(),
        percent: percent(used, ledger.limit),
        denied: ledger.accounts.values().map(|account| account.denied).sum::<u64>(),
        in_flight: ledger.accounts.values().map(|account| u64::from(account.calls_under_way())).sum::<u64>(),
        burn_per_day: show(burn),
        limit_reached: reached.and_then(rfc3339),
        gateways: state.into_iter().flat_map(accounts).collect(),
    }
}

/// What that is in a day, of at least a minute: the first call of a window is no rate yet.
fn per_day(used: Amount, elapsed_ms: u64) -> Amount {
    Amount(used.0.saturating_mul(MS_PER_DAY) / i128::from(elapsed_ms.max(MINUTE_MS)))
}

/// When nothing will be left at this rate, Unix milliseconds UTC. `None` where nothing is left: nobody noted
/// since when.
fn reached(remaining: Amount, burn: Amount, now: u64) -> Option<u64> {
    if remaining <= Amount::ZERO {
        return None;
    }
    let in_ms = remaining.0.checked_mul(MS_PER_DAY)?.checked_div(burn.0)?;
    u64::try_from(in_ms).ok()?.checked_add(now)
}

const MS_PER_DAY: i128 = 86_400_000;

#[cfg(test)]
mod tests {
    use tollgate_core::budget::ledger::Ledger;
    use tollgate_core::budget::scope::CounterKey;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_top_up_is_an_amount_of_the_budgets_unit_other_than_nothing() {
        for (text, unit, expected) in [
            ("5.5", Unit::Dollars, Some(5_500_000_000_000)),
            ("-2", Unit::Dollars, Some(-2_000_000_000_000)),
            ("0.00", Unit::Dollars, None),
            ("five", Unit::Dollars, None),
            ("5", Unit::Calls, Some(5)),
            ("-5", Unit::Tokens, Some(-5)),
            ("0", Unit::Tokens, None),
            ("1.5", Unit::Calls, None),
        ] {
            let more = more(text, unit);
            assert_eq!(more.clone().ok(), expected.map(Amount), "{text}");
            assert!(more.is_ok() || more.unwrap_err().contains(&format!("`{text}`")), "{text}");
        }
    }

    #[test]
    fn a_burn_rate_tells_when_the_limit_is_reached() {
        let burn = per_day(Amount(500), 43_200_000);
        assert_eq!(burn, Amount(1_000));
        assert_eq!(reached(Amount(500), burn, 7), Some(7 + 43_200_000));
        assert_eq!(reached(Amount(500), Amount::ZERO, 7), None);
        assert_eq!(reached(Amount(0), burn, 7), None, "it is spent, nobody knows since when");
        assert_eq!(per_day(Amount(1), 0), Amount(1_440), "one call is a minute's");
    }

    /// 2026-11-26T00:00:00Z, the twenty-fifth day of its month over.
    const NOW: u64 = 1_795_651_200_000;
    const DAY: u64 = 86_400_000;

    /// The row of a budget that was made `age_ms` ago, of which so much was spent since `first_ms`.
    fn shown_of(window: &str, limit: u64, age_ms: u64, first_ms: Option<u64>, spent: i128) -> Value {
        let json = json!({"name": "b", "limit_calls": limit, "window": window});
        let budget = define::read_one(&json, None).unwrap();
        let window = span(&budget, NOW);
        let made_ms = NOW - age_ms;
        let stored = StoredBudget {
            budget,
            generation: 1,
            source: "api".into(),
            created_ms: made_ms,
            since_ms: made_ms,
            is_quarantine: false,
        };
        let limit = Amount(limit.into());
        let state = CounterState {
            key: CounterKey { budget: "b".into(), generation: 1, value: String::new(), span: window },
            ledger: Ledger { limit, seed: Amount(spent), ..Ledger::default() },
            gateways: Default::default(),
            first_ms: first_ms.unwrap_or(window.start_ms),
        };
        serde_json::to_value(row(&stored, Some(&state), NOW)).unwrap()
    }

    #[test]
    fn a_rolling_window_begins_as_long_ago_as_it_is_and_has_no_end() {
        let row = shown_of("rolling 1h", 100, DAY, None, 1);
        assert_eq!((&row["from"], &row["to"]), (&json!("2026-11-25T23:01:00Z"), &json!(null)));
        let row = shown_of("day", 100, DAY, None, 1);
        let day = (&json!("2026-11-26T00:00:00Z"), &json!("2026-11-27T00:00:00Z"));
        assert_eq!((&row["from"], &row["to"]), day);
    }

    #[test]
    fn a_burn_rate_is_what_was_spent_in_the_window_by_the_time_that_it_was_spent_in() {
        let minute = MINUTE_MS;
        for (row, burn, reached) in [
            // Made a minute ago: what was spent in the month before that is in it.
            (shown_of("month", 100, minute, None, 50), 2, json!(null)),
            (shown_of("month", 60, minute, None, 50), 2, json!(null)),
            (shown_of("month", 58, minute, None, 50), 2, json!("2026-11-30T00:00:00Z")),
            // The part that is filled now is only a minute of the hour.
            (shown_of("rolling 1h", 100, 30 * DAY, Some(NOW - 59 * minute), 59), 1_440, json!(null)),
            (
                shown_of("rolling 1h", 100, 10 * minute, Some(NOW - 10 * minute), 30),
                4_320,
                json!("2026-11-26T00:23:20Z"),
            ),
            (shown_of("prepaid", 100, 2 * DAY, None, 50), 25, json!("2026-11-28T00:00:00Z")),
            (shown_of("month", 50, minute, None, 50), 2, json!(null)),
        ] {
            assert_eq!((&row["burn_per_day"], &row["limit_reached"]), (&json!(burn), &reached), "{row}");
        }
    }
}
