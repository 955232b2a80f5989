//! What a list of models would have refused, by sums of what was called.

use std::collections::BTreeMap;

use tollgate_core::attribution::{Attribution, AttributionSource, INVALID, TrustedFields, UNATTRIBUTED};
use tollgate_core::budget::rules::{Allow, Models, Rules, Rulings};
use tollgate_core::budget::scope::Subject;
use tollgate_core::price::PriceBook;

use crate::model::answers::allow::TriedRow;
use crate::model::dimension::Dimension;
use crate::store::{Summary, SummaryRow, SumsError, Totals};

/// By what sums are told apart to try a list.
pub const BY: [Dimension; 8] = [
    Dimension::Agent,
    Dimension::Team,
    Dimension::Feature,
    Dimension::Environment,
    Dimension::Provider,
    Dimension::RequestModel,
    Dimension::KeyId,
    Dimension::AttributionSource,
];

/// What a list would have refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tried {
    /// By agent, provider and model, the dearest first.
    pub rows: Vec<TriedRow>,
    /// Sum of these.
    pub refused: Totals,
    /// Sum of all calls that the list is for.
    pub all: Totals,
}

/// Tries a list on a summary by [`BY`]: each row is judged as a call is, by the model asked for and its row
/// in the price book.
///
/// # Errors
/// When sums are out of range.
pub fn tried(list: &Allow, book: &PriceBook, summary: &Summary) -> Result<Tried, SumsError> {
    // It is tried as if it held.
    let list = Allow { shadow: false, until_ms: None, ..list.clone() };
    let rules = Rules { allow: vec![list], ..Rules::default() };
    let mut tried = Tried::default();
    let mut by_call: BTreeMap<[Option<String>; 3], (String, Totals)> = BTreeMap::new();
    for row in &summary.rows {
        let call = Call::of(row);
        let Some(reason) = call.judged(&rules, book) else { continue };
        tried.all.add(&row.totals)?;
        let Some(reason) = reason else { continue };
        if row.totals.calls == 0 && row.totals.cost.as_pico() == 0 {
            continue;
        }
        tried.refused.add(&row.totals)?;
        let key = [call.agent, call.provider, call.model].map(|value| value.map(str::to_owned));
        let (_, totals) = by_call.entry(key).or_insert_with(|| (reason, Totals::default()));
        totals.add(&row.totals)?;
    }
    let row = |([agent, provider, model], (reason, totals)): ([Option<String>; 3], (String, Totals))| {
        TriedRow { agent, provider, model, reason, calls: totals.calls, cost_usd: totals.cost }
    };
    tried.rows = by_call.into_iter().map(row).collect();
    tried.rows.sort_by(|one, other| other.cost_usd.cmp(&one.cost_usd).then(other.calls.cmp(&one.calls)));
    Ok(tried)
}

/// What sums tell of calls that are alike.
struct Call<'a> {
    agent: Option<&'a str>,
    provider: Option<&'a str>,
    model: Option<&'a str>,
    attribution: Attribution,
    key_id: Option<&'a str>,
    is_trusted: bool,
}

impl<'a> Call<'a> {
    fn of(row: &'a SummaryRow) -> Self {
        let value = |dimension: Dimension| {
            let at = BY.iter().position(|known| *known == dimension)?;
            row.values.get(at)?.as_deref()
        };
        let name = |dimension| value(dimension).unwrap_or(UNATTRIBUTED).to_owned();
        let agent = value(Dimension::Agent);
        Self {
            agent: agent.filter(|name| ![UNATTRIBUTED, INVALID].contains(name)),
            provider: value(Dimension::Provider),
            model: value(Dimension::RequestModel),
            attribution: Attribution {
                agent: name(Dimension::Agent),
                team: name(Dimension::Team),
                feature: name(Dimension::Feature),
                environment: name(Dimension::Environment),
                ..Attribution::default()
            },
            key_id: value(Dimension::KeyId),
            is_trusted: value(Dimension::AttributionSource)
                .and_then(AttributionSource::from_name)
                .is_some_and(AttributionSource::is_trusted),
        }
    }

    /// Why the rules refuse it, where they do; none where no list is for it.
    fn judged(&self, rules: &Rules, book: &PriceBook) -> Option<Option<String>> {
        let provider = self.provider.unwrap_or_default();
        let row = self.model.and_then(|model| book.model(provider, model)).map(|model| model.id.clone());
        let subject = Subject {
            attribution: &self.attribution,
            provider,
            model: self.model,
            row: row.as_deref(),
            others: &[],
            any_model: self.model.is_none(),
            key_id: self.key_id,
            trusted: if self.is_trusted { TrustedFields::ALL } else { TrustedFields::default() },
        };
        let for_call = rules.for_call(&subject, 0);
        if for_call.allow.is_empty() {
            return None;
        }
        let models = Models {
            named: self.model.as_slice(),
            row: &|_| row.clone(),
            any: false,
            is_deferred: false,
            is_unmetered: false,
        };
        let mut rulings = Rulings::default();
        for_call.of_models(provider, &models, &mut rulings);
        Some(rulings.refused.map(|ruling| ruling.message))
    }
}
