//! What recorded calls would cost at other models: for one model that is named, or for the smaller relatives
//! of those that are used.
//!
//! Tokens stay as they were counted, and answers as long as they were. Whether another model's answers are
//! as good, nobody knows from records; what else is not known is said with each row.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::money::Picodollars;
use tollgate_core::price::{Alike, PriceBook, PricedModel};
use tollgate_core::record::{KindTotal, Sums, Totals};
use tollgate_core::usage::Kind;

use crate::model::decimal::Decimal;
use crate::model::dimension::Dimension;
use crate::model::sizes::{BOUNDS, bounds_of};
use crate::store::Spend;
use crate::work::prices::rows_named;

/// Calls of one agent at one model, and what they would cost at another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tried {
    /// The agent.
    pub agent: String,
    /// Provider and model of the calls, as the book names them, else as the answers do.
    pub from: (String, String),
    /// Provider and model that are tried.
    pub to: (String, String),
    /// What the calls come to.
    pub totals: Totals,
    /// The same calls that repeat others, or were tried more than once.
    pub retried: u64,
    /// Those that failed or were broken off.
    pub failed: u64,
    /// The part of what they cost that is of no call of the time: bills, and corrections of closed months. It
    /// stays.
    pub beside: Picodollars,
    /// What they would cost.
    pub would_cost: Picodollars,
    /// The part of that which stays as it was recorded, as the other model has no price for it or its context
    /// is too short.
    pub kept: Picodollars,
    /// What is kept, or not known, in words.
    pub notes: BTreeSet<String>,
}

impl Tried {
    /// What the calls cost less.
    pub fn saving(&self) -> Picodollars {
        self.totals.cost - self.would_cost
    }

    /// Why these calls may do with a smaller model: what is seen of their shape. Nothing where nothing speaks
    /// for it.
    pub fn reasons(&self) -> Vec<String> {
        let Totals { calls, input_tokens, output_tokens, reasoning_tokens, .. } = self.totals;
        let each = |sum: u64| sum.checked_div(calls).unwrap_or(0);
        let (prompt, answer) = (each(input_tokens), each(output_tokens.saturating_sub(reasoning_tokens)));
        let share =
            |part: u64| Decimal::percent(part, calls).filter(|share| share.units() >= MUCH_HUNDREDTHS);
        let mut reasons = Vec::new();
        if calls > 0 && answer <= SHORT_ANSWER {
            reasons.push(format!("short answers: {answer} tokens a call"));
        }
        if calls > 0 && prompt <= SMALL_PROMPT {
            reasons.push(format!("small prompts: {prompt} tokens a call"));
        }
        if reasoning_tokens == 0 && reasons.len() == 2 {
            reasons.push("a simple shape for a model of this price".to_owned());
        }
        if let Some(share) = share(self.retried) {
            reasons.push(format!("{}% of its calls are repeats", share.rounded(0)));
        }
        if let Some(share) = share(self.failed.saturating_add(self.totals.denied)) {
            reasons.push(format!("{}% of its calls fail or are refused", share.rounded(0)));
        }
        reasons
    }
}

/// Prices calls at one model that is named, as `gpt-4o-mini` or `openai/gpt-4o-mini`.
///
/// # Errors
/// Says which models there are like it, where the book has none of that name.
pub fn at_model(book: &PriceBook, spend: &[Spend], name: &str, at_ms: u64) -> Result<Vec<Tried>, String> {
    let mut all: BTreeMap<(String, String, String), Tried> = BTreeMap::new();
    let anywhere = rows_named(book, "to_model", name, at_ms)?;
    let answers = |row: &&PricedModel| {
        row.price_at(at_ms).is_none_or(|price| price.standard.rates.of(Kind::Output).is_some())
    };
    if !anywhere.iter().any(answers) && spend.iter().any(|one| one.all.totals.output_tokens > 0) {
        return Err(format!(
            "`to_model` is `{name}`, which has no price for answers, and these calls have answers: name a model \
             for the same purpose, or ask for other calls"
        ));
    }
    for one in spend {
        let from = own_row(book, one, at_ms);
        // The provider of the calls comes first, then the one whose model it is.
        let provider = from.0.clone();
        let row = anywhere.iter().find(|row| row.provider == provider).or(anywhere.first());
        if let Some(row) = row {
            add(&mut all, one, from, row, at_ms);
        }
    }
    Ok(all.into_values().collect())
}

/// Prices the calls of each agent and model at the nearest smaller relative of that model at the same
/// provider: of those that share the most of its name, the dearest that saves a good part.
pub fn at_relatives(book: &PriceBook, spend: &[Spend], at_ms: u64) -> Vec<Tried> {
    let mut groups: BTreeMap<(String, String, String), Vec<&Spend>> = BTreeMap::new();
    for one in spend {
        let (provider, model) = own_row(book, one, at_ms);
        let agent = one.dims.value(Dimension::Agent).unwrap_or_default().to_owned();
        groups.entry((agent, provider, model)).or_default().push(one);
    }
    let mut all = Vec::new();
    for ((_, provider, model), spend) in groups {
        let Some(own) = book.find(&provider, &model, at_ms).map(|found| found.model) else { continue };
        let tried = relatives(book, own, at_ms).into_iter().filter_map(|row| {
            let mut one = BTreeMap::new();
            for spend in &spend {
                add(&mut one, spend, (provider.clone(), model.clone()), row, at_ms);
            }
            one.into_values().next()
        });
        let worth = tried.filter(|tried| saves(tried, SAVING_PERCENT_MIN) && tried.kept == tried.beside);
        all.extend(worth.max_by_key(|tried| tried.would_cost));
    }
    all
}

/// Provider and row of the calls, else their own word for the model.
fn own_row(book: &PriceBook, spend: &Spend, at_ms: u64) -> (String, String) {
    let value = |dimension| spend.dims.value(dimension).unwrap_or_default();
    let (provider, model) = (value(Dimension::Provider), value(Dimension::Model));
    match book.find(provider, model, at_ms) {
        Some(found) => (found.model.provider.clone(), found.model.id.clone()),
        None => (provider.to_owned(), model.to_owned()),
    }
}

/// Rows of the same provider whose names are the most like a row's: they share the most words, and have the
/// fewest of their own. Models for another purpose are none.
fn relatives<'b>(book: &'b PriceBook, own: &PricedModel, at_ms: u64) -> Vec<&'b PricedModel> {
    let words =
        |id: &str| -> BTreeSet<String> { id.split(['-', '.', '/', ':', '@']).map(str::to_owned).collect() };
    let mine = words(&own.id);
    let is_chat = |row: &PricedModel| {
        row.price_at(at_ms).is_some_and(|price| {
            let rates = &price.standard.rates;
            rates.of(Kind::Input).is_some() && rates.of(Kind::Output).is_some()
        })
    };
    let others =
        book.models().iter().filter(|row| row.provider == own.provider && row.id != own.id && is_chat(row));
    let likeness = |row: &PricedModel| {
        let theirs = words(&row.id);
        let is_other_purpose = theirs.difference(&mine).any(|word| PURPOSES.contains(&word.as_str()));
        let shared = theirs.intersection(&mine).count();
        let more = theirs.len().saturating_sub(shared);
        (shared > 0 && !is_other_purpose).then_some((shared, std::cmp::Reverse(more)))
    };
    let all: Vec<_> = others.filter_map(|row| Some((likeness(row)?, row))).collect();
    let most = all.iter().map(|(likeness, _)| *likeness).max();
    all.into_iter().filter(|(likeness, _)| Some(*likeness) == most).map(|(_, row)| row).collect()
}

fn saves(tried: &Tried, percent: i128) -> bool {
    let cost = (tried.totals.cost - tried.beside).as_pico();
    tried.saving().as_pico().saturating_mul(100) >= cost.saturating_mul(percent) && cost > 0
}

/// Adds some calls to the row of their agent and model.
fn add(
    all: &mut BTreeMap<(String, String, String), Tried>,
    spend: &Spend,
    from: (String, String),
    row: &PricedModel,
    at_ms: u64,
) {
    let value = |dimension| spend.dims.value(dimension).unwrap_or_default();
    let agent = value(Dimension::Agent).to_owned();
    let is_same = (row.provider.as_str(), row.id.as_str()) == (from.0.as_str(), from.1.as_str());
    let tried = all.entry((agent.clone(), from.0.clone(), from.1.clone())).or_insert_with(|| Tried {
        agent,
        from,
        to: (row.provider.clone(), row.id.clone()),
        ..Tried::default()
    });
    // Sums of parts of a sum that is in range.
    let _ = tried.totals.add(&spend.all.totals);
    tried.retried = tried.retried.saturating_add(spend.retried.calls);
    tried.failed = tried.failed.saturating_add(spend.failed.calls);
    if is_same {
        tried.would_cost += spend.all.totals.cost;
        return;
    }
    if spend.beside != Picodollars::ZERO {
        tried.beside += spend.beside;
        tried.keep(
            spend.beside,
            "what bills and corrections of closed months added is of no call here, and stays".to_owned(),
        );
    }
    if spend.all.totals.unpriced_calls > 0 {
        tried.notes.insert("some calls have no recorded price for all that they used".to_owned());
    }
    let tier = value(Dimension::ServiceTier);
    for (size, sums) in &spend.by_size {
        price(tried, row, (*size, sums), tier, at_ms);
    }
}

/// Adds what calls of one class by length would cost.
fn price(tried: &mut Tried, row: &PricedModel, (size, sums): (u8, &Sums), service_tier: &str, at_ms: u64) {
    let (shortest, longest) = bounds_of(size);
    let context = row.context_tokens.unwrap_or(u64::MAX);
    if shortest > context {
        tried.keep(
            sums.totals.cost,
            format!("prompts above its context of {context} tokens stay where they are"),
        );
        return;
    }
    if size > 0 && longest.is_none_or(|longest| longest > context) && context != u64::MAX {
        tried.notes.insert(format!("some prompts may be above its context of {context} tokens"));
    }
    let quantities: Vec<(Kind, u64)> = sums.kinds.iter().map(|one| (one.kind, one.quantity)).collect();
    let alike =
        Alike { calls: sums.totals.calls, input_tokens: shortest, service_tier, quantities: &quantities };
    let Some(would) = row.would_cost(at_ms, &alike) else {
        return tried.keep(sums.totals.cost, "it has no price at the end of this time".to_owned());
    };
    tried.would_cost += would.cost;
    if would.guessed {
        tried
            .notes
            .insert(format!("it has no price for the tier `{service_tier}`: another of its rates is taken"));
    }
    let sheets = row.price_at(at_ms).into_iter().flat_map(|price| price.sheets());
    if sheets.flat_map(|sheet| &sheet.tiers).any(|tier| !BOUNDS.contains(&tier.input_above)) {
        tried
            .notes
            .insert("its price changes at a length that calls are not told apart by: an estimate".to_owned());
    }
    for kind in would.without_rate {
        let KindTotal { quantity, cost_usd, .. } = sums.kind(kind);
        if quantity == 0 && cost_usd == Picodollars::ZERO {
            continue;
        }
        tried.keep(cost_usd, format!("{} is not priced there and stays as recorded", kind.name()));
    }
}

impl Tried {
    fn keep(&mut self, cost: Picodollars, why: String) {
        self.would_cost += cost;
        self.kept += cost;
        self.notes.insert(why);
    }
}

/// Words in the names of models that do something else than answer, or are for a while only.
const PURPOSES: [&str; 16] = [
    "audio",
    "codex",
    "computer",
    "embedding",
    "exp",
    "guard",
    "image",
    "live",
    "ocr",
    "preview",
    "realtime",
    "research",
    "search",
    "transcribe",
    "tts",
    "vision",
];
/// A relative that saves less is not worth a try, in per cent.
const SAVING_PERCENT_MIN: i128 = 30;
/// Answers of at most so many tokens are short.
const SHORT_ANSWER: u64 = 150;
/// Prompts of at most so many tokens are small.
const SMALL_PROMPT: u64 = 1_500;
/// A share from which failures or repeats are named, in hundredths of a per cent.
const MUCH_HUNDREDTHS: i128 = 500;
