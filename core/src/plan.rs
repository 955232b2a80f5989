//! What calls and agents will cost, before they are made.
//!
//! | module | does |
//! | --- | --- |
//! | `call` | counts and prices one call, with the most that it can come to |
//! | `named` | rows of the book by what people call a model |
//! | [`nearest`] | names that were probably meant |
//! | [`prices`] | a book as a page takes it |
//!
//! A plan is priced call by call, at several models side by side. Each call of a conversation is priced by
//! itself, with all questions and answers before it in its prompt. So prices that change with a prompt's
//! length hold where they do. Who counts by an encoding is given: the collector and the command line have all
//! vocabularies, a page those that it was asked to load.

mod call;
mod named;
pub mod nearest;
pub mod prices;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use call::{Estimate, Question, Worst, estimate};
pub use named::rows_named;

use crate::money::Picodollars;
use crate::money::decimal::{Decimal, divided};
use crate::price::{Bound, Facts, PriceBook, PricedModel};
use crate::usage::Usage;

/// Who counts texts by the public encodings of models.
pub trait Encodings {
    /// What a model's texts are counted by.
    fn of(&self, model: &str) -> Encoding<'_>;
}

/// What a model's texts are counted by.
pub enum Encoding<'e> {
    /// By the encoding of this name: the tokens of a text.
    Counts(&'e str, Box<dyn Fn(&str) -> u64 + 'e>),
    /// By the encoding of this name, whose vocabulary is not here.
    Elsewhere(&'e str),
    /// Its encoding is not public.
    Unknown,
}

impl fmt::Debug for Encoding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counts(name, _) => f.debug_tuple("Counts").field(name).finish(),
            Self::Elsewhere(name) => f.debug_tuple("Elsewhere").field(name).finish(),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}

/// How an agent will call.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Models to compare, such as `gpt-4o-mini` or `openai/gpt-4o-mini`.
    pub models: Vec<String>,
    /// The prompt's text; in place of `prompt_tokens`. It is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Tokens of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of an answer.
    pub output_tokens: u64,
    /// Calls in a time: `100000/month`, `5000/day`, `200/hour`. A month has 30 days.
    pub calls: String,
    /// The part of a prompt that is read from caches, from 0 to 1, such as `0.8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_share: Option<Decimal>,
    /// Calls of a conversation, of which each sends all questions and answers before; 1 without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_turns: Option<u64>,
    /// Tokens that a further question of a conversation adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question_tokens: Option<u64>,
}

/// What a plan costs at each of its models.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Planned {
    /// One for each model, the cheapest first.
    pub rows: Vec<PlannedRow>,
    /// Version of the price book.
    pub price_version: String,
    /// What these numbers take for granted.
    pub assumptions: Vec<String>,
}

/// What a plan costs at one model.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedRow {
    /// Provider id.
    pub provider: String,
    /// The model, as the book names it.
    pub model: String,
    /// Tokens of the first prompt of a conversation.
    pub prompt_tokens: u64,
    /// How they were counted: the encoding's name, `estimated`, or `given`.
    pub counted_by: String,
    /// Tokens of a prompt, on average over a conversation.
    pub input_tokens_per_call: Decimal,
    /// Tokens of an answer.
    pub output_tokens_per_call: u64,
    /// What a call costs, on average over a conversation; null without a price for all of it.
    pub cost_per_call_usd: Option<Picodollars>,
    /// What a day costs.
    pub cost_per_day_usd: Option<Picodollars>,
    /// What a month of 30 days costs.
    pub cost_per_month_usd: Option<Picodollars>,
    /// The most that one of the calls can come to: the last of a conversation, every byte of the prompt a
    /// token, with the longest answer that the model gives; null without a price.
    #[serde(default)]
    pub at_most_per_call_usd: Option<Picodollars>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Prices a plan. `now_ms` chooses the prices.
///
/// # Errors
/// A sentence that names the key, its value and what would be right.
pub fn plan(
    book: &PriceBook,
    encodings: &impl Encodings,
    plan: &Plan,
    now_ms: u64,
) -> Result<Planned, String> {
    let checked = Checked::of(plan)?;
    let mut rows = plan
        .models
        .iter()
        .map(|name| row(book, encodings, (plan, &checked), name, now_ms))
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

    /// Tokens that each call of a conversation has more than the one before: a question and an answer.
    const fn more(&self, plan: &Plan) -> u64 {
        self.question_tokens.saturating_add(plan.output_tokens)
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
    encodings: &impl Encodings,
    (plan, checked): (&Plan, &Checked),
    name: &str,
    now_ms: u64,
) -> Result<PlannedRow, String> {
    let rows = rows_named(book, "models", name, now_ms)?;
    let model = rows.first().ok_or("`models` names nothing")?;
    let mut notes = Vec::new();
    let prompt = prompt(book, encodings, plan, model, now_ms)?;
    notes.extend(prompt.note);
    let conversation = conversation(book, plan, checked, (model, prompt.tokens), now_ms);
    notes.extend(conversation.too_long.map(|turn| {
        let context = model.context_tokens.unwrap_or(0);
        format!("call {turn} and those after it have prompts above its context of {context} tokens")
    }));
    if !prompt.worst.unbounded.is_empty() {
        notes.push(format!("no request bounds its calls: {}", prompt.worst.unbounded.join(", ")));
    }
    let of_calls = |calls: u64, days: u64| -> Option<Picodollars> {
        let all = conversation.cost?.as_pico().checked_mul(calls.into())?;
        divided(all, i128::from(checked.turns).checked_mul(days.into())?).map(Picodollars::from_pico)
    };
    let before = checked.more(plan).saturating_mul(checked.turns.saturating_sub(1));
    let input = Decimal::ratio(conversation.input_tokens.into(), checked.turns.into(), 1);
    Ok(PlannedRow {
        provider: model.provider.clone(),
        model: model.id.clone(),
        prompt_tokens: prompt.tokens,
        counted_by: prompt.counted_by,
        input_tokens_per_call: input.ok_or("tokens are out of range")?,
        output_tokens_per_call: plan.output_tokens,
        cost_per_call_usd: of_calls(1, 1),
        cost_per_day_usd: of_calls(checked.calls_a_month, MONTH_DAYS),
        cost_per_month_usd: of_calls(checked.calls_a_month, 1),
        at_most_per_call_usd: at_most(book, model, (&prompt.worst, before), now_ms),
        notes,
    })
}

/// The most that a call can come to whose prompt is at most that of `worst` and `before` tokens.
fn at_most(
    book: &PriceBook,
    model: &PricedModel,
    (worst, before): (&Worst, u64),
    now_ms: u64,
) -> Option<Picodollars> {
    let input = worst.input_tokens.saturating_add(before);
    let bound = Bound {
        input_tokens: model.context_tokens.map_or(input, |context| input.min(context)),
        output_tokens: worst.output_tokens,
        ..Bound::default()
    };
    book.worst_case(facts(model, now_ms))?.of(&bound)
}

const fn facts(model: &PricedModel, now_ms: u64) -> Facts<'_> {
    Facts {
        provider: model.provider.as_str(),
        response_model: None,
        request_model: Some(model.id.as_str()),
        time_ms: now_ms,
        conditions: &[],
    }
}

/// The first prompt of a conversation.
struct Prompt {
    tokens: u64,
    counted_by: String,
    /// The most that its call can come to.
    worst: Worst,
    note: Option<String>,
}

fn prompt(
    book: &PriceBook,
    encodings: &impl Encodings,
    plan: &Plan,
    model: &PricedModel,
    now_ms: u64,
) -> Result<Prompt, String> {
    let question = Question {
        provider: model.provider.clone(),
        model: Some(model.id.clone()),
        path: Some("/v1/chat/completions".into()),
        text: Some(plan.prompt.clone().unwrap_or_default()),
        ..Question::default()
    };
    let found = estimate(book, encodings, &question, now_ms)?;
    if let Some(tokens) = plan.prompt_tokens {
        let worst = Worst { input_tokens: tokens, ..found.worst };
        return Ok(Prompt { tokens, counted_by: "given".to_owned(), worst, note: None });
    }
    let note = match encodings.of(&model.id) {
        Encoding::Counts(..) => None,
        Encoding::Elsewhere(name) => {
            Some(format!("tokens of the prompt are estimated; `{name}` would count them exactly"))
        }
        Encoding::Unknown => {
            Some("tokens of the prompt are estimated: the model's encoding is not public".to_owned())
        }
    };
    Ok(Prompt { tokens: found.input_tokens, counted_by: found.counted_by, worst: found.worst, note })
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
    let facts = facts(model, now_ms);
    let more = checked.more(plan);
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
