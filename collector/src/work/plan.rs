//! What an agent will cost: a plan priced call by call, at several models side by side.
//!
//! Each call of a conversation is priced by itself, with all questions and answers before it in its prompt.
//! So prices that change with a prompt's length hold where they do.

use tollgate_core::money::Picodollars;
use tollgate_core::price::{Facts, PriceBook, PricedModel};
use tollgate_core::usage::Usage;

use crate::model::answers::plan::{Plan, Planned, PlannedRow};
use crate::model::decimal::{Decimal, divided};
use crate::work::estimate::{Question, estimate};
use crate::work::prices::rows_named;

/// Prices a plan. `now_ms` chooses the prices.
///
/// # Errors
/// A sentence that names the key, its value and what would be right.
pub fn plan(book: &PriceBook, plan: &Plan, now_ms: u64) -> Result<Planned, String> {
    let checked = Checked::of(plan)?;
    let mut rows = plan
        .models
        .iter()
        .map(|name| row(book, plan, &checked, name, now_ms))
        .collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|row| (row.cost_per_call_usd.is_none(), row.cost_per_call_usd));
    let mut assumptions = vec![
        "a month has 30 days".to_owned(),
        "prices are those that hold now; what is written to caches costs as much as the model charges for \
         reading text anew"
            .to_owned(),
    ];
    if checked.turns > 1 {
        assumptions.push(format!(
            "each of the {} calls of a conversation sends the prompt, and the questions of {} tokens and answers \
             before it",
            checked.turns, checked.question_tokens
        ));
    }
    Ok(Planned { rows, price_version: book.version().to_owned(), assumptions })
}

/// A plan whose values can be used.
struct Checked {
    /// Calls of a month of 30 days.
    calls_a_month: u64,
    turns: u64,
    question_tokens: u64,
    /// The part that is read from caches, as a fraction.
    cached: (i128, i128),
}

impl Checked {
    fn of(plan: &Plan) -> Result<Self, String> {
        if plan.models.is_empty() {
            return Err("`models` is empty; name one or more, such as `gpt-4o-mini`".into());
        }
        if plan.prompt.is_some() == plan.prompt_tokens.is_some() {
            return Err("give `prompt`, the text, or `prompt_tokens`, one of them".into());
        }
        let turns = plan.history_turns.unwrap_or(1);
        if !(1..=TURNS_MAX).contains(&turns) {
            return Err(format!("`history_turns` is {turns}, not a number from 1 to {TURNS_MAX}"));
        }
        let cached = plan.cache_share.map_or((0, 1), |share| {
            (share.units(), 10_i128.checked_pow(share.places().into()).unwrap_or(i128::MAX))
        });
        if cached.0 < 0 || cached.0 > cached.1 {
            let share = plan.cache_share.map(|share| share.to_string()).unwrap_or_default();
            return Err(format!("`cache_share` is {share}, not a part from 0 to 1, such as `0.8`"));
        }
        Ok(Self {
            calls_a_month: calls_a_month(&plan.calls)?,
            turns,
            question_tokens: plan.question_tokens.unwrap_or(QUESTION_TOKENS),
            cached,
        })
    }
}

/// Calls of a month of 30 days.
///
/// # Errors
/// Says what would be right.
pub fn calls_a_month(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!("`calls` is `{text}`, not calls in a time such as `100000/month`, `5000/day` or `200/hour`")
    };
    let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
    let number: Option<u64> = number.replace(['_', ','], "").parse().ok();
    let number = number.filter(|number| *number > 0).ok_or_else(wrong)?;
    let times = match unit {
        "hour" => 24 * MONTH_DAYS,
        "day" => MONTH_DAYS,
        "week" => return number.checked_mul(MONTH_DAYS).map(|calls| calls / 7).ok_or_else(wrong),
        "month" => 1,
        _ => return Err(wrong()),
    };
    number.checked_mul(times).ok_or_else(wrong)
}

fn row(
    book: &PriceBook,
    plan: &Plan,
    checked: &Checked,
    name: &str,
    now_ms: u64,
) -> Result<PlannedRow, String> {
    let rows = rows_named(book, "models", name, now_ms)?;
    let model = rows.first().ok_or("`models` names nothing")?;
    let mut notes = Vec::new();
    let (prompt_tokens, counted_by) = prompt_tokens(book, plan, model, now_ms, &mut notes)?;
    let conversation = conversation(book, plan, checked, (model, prompt_tokens), now_ms);
    notes.extend(conversation.too_long.map(|turn| {
        let context = model.context_tokens.unwrap_or(0);
        format!("call {turn} and those after it have prompts above its context of {context} tokens")
    }));
    let of_calls = |calls: u64, days: u64| -> Option<Picodollars> {
        let all = conversation.cost?.as_pico().checked_mul(calls.into())?;
        divided(all, i128::from(checked.turns).checked_mul(days.into())?).map(Picodollars::from_pico)
    };
    let input = Decimal::ratio(conversation.input_tokens.into(), checked.turns.into(), 1);
    Ok(PlannedRow {
        provider: model.provider.clone(),
        model: model.id.clone(),
        prompt_tokens,
        counted_by,
        input_tokens_per_call: input.ok_or("tokens are out of range")?,
        output_tokens_per_call: plan.output_tokens,
        cost_per_call_usd: of_calls(1, 1),
        cost_per_day_usd: of_calls(checked.calls_a_month, MONTH_DAYS),
        cost_per_month_usd: of_calls(checked.calls_a_month, 1),
        notes,
    })
}

/// Tokens of the prompt at a model, and how they were counted.
fn prompt_tokens(
    book: &PriceBook,
    plan: &Plan,
    model: &PricedModel,
    now_ms: u64,
    notes: &mut Vec<String>,
) -> Result<(u64, String), String> {
    let Some(text) = &plan.prompt else { return Ok((plan.prompt_tokens.unwrap_or(0), "given".to_owned())) };
    let question = Question {
        provider: model.provider.clone(),
        model: Some(model.id.clone()),
        path: Some("/v1/chat/completions".into()),
        text: Some(text.clone()),
        ..Question::default()
    };
    let counted = estimate(book, &question, now_ms)?;
    if !counted.exact {
        notes.push("tokens of the prompt are estimated: the model's encoding is not public".to_owned());
    }
    Ok((counted.input_tokens, counted.counted_by))
}

/// What all calls of a conversation come to.
struct Conversation {
    /// None without a price for all of it.
    cost: Option<Picodollars>,
    input_tokens: u64,
    /// The first call whose prompt is longer than the model's context, from 1.
    too_long: Option<u64>,
}

fn conversation(
    book: &PriceBook,
    plan: &Plan,
    checked: &Checked,
    (model, prompt_tokens): (&PricedModel, u64),
    now_ms: u64,
) -> Conversation {
    let facts = Facts {
        provider: &model.provider,
        request_model: Some(&model.id),
        time_ms: now_ms,
        ..Facts::default()
    };
    let more = checked.question_tokens.saturating_add(plan.output_tokens);
    let mut all = Conversation { cost: Some(Picodollars::ZERO), input_tokens: 0, too_long: None };
    for turn in 0..checked.turns {
        let input = prompt_tokens.saturating_add(more.saturating_mul(turn));
        let cached = divided(i128::from(input).saturating_mul(checked.cached.0), checked.cached.1);
        let usage = Usage {
            input_tokens: Some(input),
            cache_read_tokens: cached.and_then(|cached| u64::try_from(cached).ok()),
            output_tokens: Some(plan.output_tokens),
            ..Usage::default()
        };
        let priced = book.price(&facts, &usage);
        all.cost = all.cost.filter(|_| priced.complete).map(|cost| cost + priced.cost);
        all.input_tokens = all.input_tokens.saturating_add(input);
        if model.context_tokens.is_some_and(|context| input > context) {
            all.too_long = all.too_long.or(Some(turn.saturating_add(1)));
        }
    }
    all
}

/// Days of a month in plans.
pub const MONTH_DAYS: u64 = 30;
/// Tokens of a further question where the plan does not say.
const QUESTION_TOKENS: u64 = 50;
/// Longest conversation.
const TURNS_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use tollgate_core::price::EMBEDDED;

    use super::*;

    fn planned(change: impl FnOnce(&mut Plan)) -> Result<Planned, String> {
        let mut asked = Plan {
            models: vec!["gpt-4o".into(), "gpt-4o-mini".into()],
            prompt_tokens: Some(1_000),
            output_tokens: 300,
            calls: "100000/month".into(),
            ..Plan::default()
        };
        change(&mut asked);
        let book = PriceBook::from_files(EMBEDDED).map_err(|_| "prices")?;
        plan(&book, &asked, tollgate_core::price::day_ms("2026-11-20").unwrap())
    }

    fn usd(text: &str) -> Option<Picodollars> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn models_stand_side_by_side_the_cheapest_first() {
        let found = planned(|_| {}).unwrap();
        let [mini, large] = &found.rows[..] else { panic!("{found:?}") };
        assert_eq!(mini.model, "gpt-4o-mini");
        // 1,000 at $2.50 and 300 at $10 a million.
        assert_eq!(large.cost_per_call_usd, usd("0.0055"));
        assert_eq!((large.cost_per_month_usd, large.cost_per_day_usd), (usd("550"), usd("18.333333333333")));
        let cached = planned(|plan| plan.cache_share = Some("0.8".parse().unwrap())).unwrap();
        // 800 of the 1,000 at half.
        assert_eq!(cached.rows[1].cost_per_call_usd, usd("0.0045"));
    }

    #[test]
    fn history_grows_with_each_call_of_a_conversation() {
        let found = planned(|plan| {
            plan.history_turns = Some(20);
            plan.question_tokens = Some(100);
        })
        .unwrap();
        // 1,000 and 400 more with each call: 4,800 on average.
        assert_eq!(found.rows[1].input_tokens_per_call.to_string(), "4800.0");
        assert_eq!(found.rows[1].cost_per_call_usd, usd("0.015"));
        // Long conversations are priced where they are long.
        let long = planned(|plan| {
            plan.models = vec!["gemini/gemini-2.5-pro".into()];
            plan.prompt_tokens = Some(200_000);
            plan.output_tokens = 0;
            plan.history_turns = Some(2);
            plan.question_tokens = Some(1);
        })
        .unwrap();
        // 200,000 at $1.25 and 200,001 at $2.50 a million.
        assert_eq!(long.rows[0].cost_per_call_usd, usd("0.37500125"));
    }

    #[test]
    fn a_text_is_counted_for_each_model() {
        let found = planned(|plan| {
            plan.models = vec!["gpt-4o".into(), "claude-sonnet-4-5".into()];
            plan.prompt_tokens = None;
            plan.prompt = Some("You are a helpful assistant. ".repeat(10));
        })
        .unwrap();
        let by = |model: &str| found.rows.iter().find(|row| row.model == model).unwrap();
        assert_eq!(by("gpt-4o").counted_by, "o200k_base");
        assert_eq!(by("claude-sonnet-4-5").counted_by, "estimated");
        assert!(!by("claude-sonnet-4-5").notes.is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        type Change = fn(&mut Plan);
        let cases: [(Change, &str); 7] = [
            (|plan| plan.models.clear(), "`models`"),
            (|plan| plan.models = vec!["gpt-4o-minni".into()], "did you mean `gpt-4o-mini`?"),
            (|plan| plan.calls = "many".into(), "`100000/month`"),
            (|plan| plan.calls = "5/year".into(), "`calls` is `5/year`"),
            (|plan| plan.cache_share = Some("80".parse().unwrap()), "`cache_share` is 80"),
            (|plan| plan.history_turns = Some(0), "`history_turns` is 0"),
            (|plan| plan.prompt = Some("x".into()), "one of them"),
        ];
        for (change, named) in cases {
            let error = planned(change).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        assert_eq!(calls_a_month("7/week"), Ok(30));
        assert_eq!(calls_a_month("2/hour"), Ok(1_440));
    }
}
