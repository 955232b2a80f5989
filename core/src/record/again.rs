//! Pricing a record again, from what it keeps: after a correction of the book, or where its gateway had no
//! row.

use std::collections::BTreeMap;

use crate::money::Picodollars;
use crate::price::charge::{CostStatus, PriceBasis};
use crate::price::facts::{Deciding, NAME_GEO, SERVICE_TIER};
use crate::price::{Facts, Fit, PriceBook, Priced};
use crate::record::{Note, Outcome, UsageRecord};
use crate::usage::Kind;

impl PriceBook {
    /// What a record costs by this book, with the status that it then has; `None` where there is nothing to
    /// price: a call that was refused, that is free, whose counts are the caller's own word, or of which none
    /// is known.
    ///
    /// A call that several models worked on is priced by its shares. A record from before shares were kept
    /// has the split of its charges; `None` where these lack a model of it.
    pub fn price_again(&self, record: &UsageRecord) -> Option<(Priced, CostStatus)> {
        let nothing = record.outcome == Outcome::Denied
            || record.cost_status == CostStatus::Free
            || record
                .notes
                .iter()
                .any(|note| matches!(note, Note::Unbilled | Note::UnknownWork | Note::PaidAtStart))
            || record.usage.is_empty();
        if nothing || lacks_shares(record) {
            return None;
        }
        let kept = kept_facts(record);
        let conditions: Vec<(&str, &str)> =
            kept.iter().map(|(fact, word)| (fact.as_str(), word.as_str())).collect();
        let facts = Facts {
            provider: &record.head.provider,
            response_model: record.head.response_model.as_deref(),
            request_model: record.head.request_model.as_deref(),
            time_ms: record.head.time_ms,
            conditions: &conditions,
        };
        let priced = match models(record).as_slice() {
            several @ [_, _, ..] if record.shares.is_empty() => self.price_parts(record, &facts, several),
            _ => self.price_shares(&facts, &record.usage, &record.shares),
        };
        let status = priced.status(is_measured(record));
        Some((priced, status))
    }

    /// What a call saved that a rule gave a cheaper model: what its usage would cost at the model that was
    /// asked for, less its cost. `None` where one of the two is not known.
    pub fn saved(&self, record: &UsageRecord) -> Option<Picodollars> {
        let asked = record.stepped_down_from.as_deref()?;
        let is_priced = matches!(record.cost_status, CostStatus::Measured | CostStatus::Estimated);
        if !is_priced || record.usage.is_empty() {
            return None;
        }
        let kept = kept_facts(record);
        let conditions: Vec<(&str, &str)> =
            kept.iter().map(|(fact, word)| (fact.as_str(), word.as_str())).collect();
        let facts = Facts {
            provider: &record.head.provider,
            request_model: Some(asked),
            response_model: None,
            time_ms: record.head.time_ms,
            conditions: &conditions,
        };
        let priced = self.price(&facts, &record.usage);
        priced.complete.then(|| priced.cost - record.cost_usd)
    }

    /// Prices what a gateway could not, of a call that several models worked on, when it had no row for
    /// exactly one of them: the quantities that no charge is for. `None` where that is not what the record
    /// says.
    pub fn price_rest(&self, record: &UsageRecord) -> Option<(Priced, CostStatus)> {
        let mut missing = record.price_basis.iter().filter(|basis| basis.step.is_none());
        let basis = missing.next().filter(|_| missing.next().is_none() && !record.charges.is_empty())?;
        let charged = |kind: Kind| -> u64 {
            record.charges.iter().filter(|charge| charge.kind == kind).map(|charge| charge.quantity).sum()
        };
        let rest: Vec<(Kind, u64)> = record
            .usage
            .parts()
            .quantities
            .into_iter()
            .map(|(kind, quantity)| (kind, quantity.saturating_sub(charged(kind))))
            .filter(|(_, quantity)| *quantity > 0)
            .collect();
        let conditions: Vec<(&str, &str)> =
            basis.facts.iter().map(|(fact, word)| (fact.as_str(), word.as_str())).collect();
        let deciding = Deciding::of(&record.head.provider, &conditions, None, record.head.time_ms);
        let found = self.find(&record.head.provider, &basis.model, record.head.time_ms)?;
        let input = rest.iter().filter(|(kind, _)| kind.is_input()).map(|(_, quantity)| quantity).sum();
        let chosen = found.model.choose(record.head.time_ms, &deciding, input)?;
        let mut priced = Priced {
            charges: record.charges.clone(),
            cost: record.book_cost(),
            complete: chosen.fit != Fit::Part,
            basis: record.price_basis.clone(),
            estimated: found.step.is_estimate(),
            guessed: chosen.fit == Fit::Guessed,
            ..Priced::default()
        };
        for (kind, quantity) in rest {
            priced.charge(&found.model.id, kind, quantity, chosen.rates.of(kind)?);
        }
        for basis in priced.basis.iter_mut().filter(|basis| basis.step.is_none()) {
            basis.model.clone_from(&found.model.id);
            basis.step = Some(found.step);
            chosen.explain(basis);
        }
        let status = priced.status(is_measured(record));
        Some((priced, status))
    }

    fn price_parts(&self, record: &UsageRecord, facts: &Facts<'_>, models: &[&str]) -> Priced {
        let mut total = Priced { complete: true, ..Priced::default() };
        for model in models {
            let charges = || record.charges.iter().filter(|charge| charge.model == *model);
            let input = charges().filter(|charge| charge.kind.is_input()).map(|charge| charge.quantity).sum();
            let deciding = Deciding::of(facts.provider, facts.conditions, None, facts.time_ms);
            let found = self.find(facts.provider, model, facts.time_ms);
            let chosen = found.and_then(|found| found.model.choose(facts.time_ms, &deciding, input));
            let mut basis = PriceBasis {
                model: (*model).to_owned(),
                facts: deciding.to_map(),
                step: found.map(|found| found.step),
                ..PriceBasis::default()
            };
            match &chosen {
                Some(chosen) => {
                    chosen.explain(&mut basis);
                    total.guessed |= chosen.fit == Fit::Guessed;
                    total.complete &= chosen.fit != Fit::Part;
                }
                None => total.complete = false,
            }
            for charge in charges() {
                match chosen.as_ref().and_then(|chosen| chosen.rates.of(charge.kind)) {
                    Some(rate) => total.charge(model, charge.kind, charge.quantity, rate),
                    None => total.complete = false,
                }
            }
            total.basis.push(basis);
        }
        total
    }
}

/// What the record keeps of the facts that chose its price; of an older record only the service tier is
/// known.
fn kept_facts(record: &UsageRecord) -> BTreeMap<String, String> {
    let mut kept: BTreeMap<String, String> = BTreeMap::new();
    for (fact, word) in record.price_basis.iter().flat_map(|basis| &basis.facts) {
        // The name says it again, and the operator's map too.
        if fact != NAME_GEO {
            kept.entry(fact.clone()).or_insert_with(|| word.clone());
        }
    }
    if record.price_basis.is_empty()
        && let Some(tier) = &record.head.service_tier
    {
        kept.insert(SERVICE_TIER.to_owned(), tier.clone());
    }
    kept
}

fn models(record: &UsageRecord) -> Vec<&str> {
    let mut models: Vec<&str> = Vec::new();
    for charge in record.charges.iter().filter(|charge| charge.kind != Kind::Request) {
        if !models.contains(&charge.model.as_str()) {
            models.push(&charge.model);
        }
    }
    models
}

/// Whether several models worked on the call and nothing says what each of them used.
fn lacks_shares(record: &UsageRecord) -> bool {
    let mut rows: Vec<&str> = record.price_basis.iter().map(|basis| basis.model.as_str()).collect();
    rows.sort_unstable();
    rows.dedup();
    record.shares.is_empty() && rows.len() > models(record).len().max(1)
}

/// Whether the usage is the provider's own, as the gateway would have said; in doubt it is an estimate.
///
/// A gateway notes `no_usage` where it had to estimate an answer that ended well. Of one that broke off, or
/// failed after it had begun, the record alone does not tell.
fn is_measured(record: &UsageRecord) -> bool {
    match record.cost_status {
        CostStatus::Measured => return true,
        CostStatus::Estimated
            if record.price_basis.iter().all(|basis| basis.step.is_none_or(|step| !step.is_estimate()))
                && !record.notes.contains(&Note::RateGuessed) =>
        {
            return false;
        }
        _ => {}
    }
    let told = match record.outcome {
        Outcome::Ok => true,
        Outcome::Error => record.status.is_some_and(|status| status >= 400),
        Outcome::ClientAbort | Outcome::UpstreamAbort | Outcome::Denied => false,
    };
    told && !record.usage_estimated
        && !record.notes.iter().any(|note| matches!(note, Note::NoUsage | Note::Recovered))
}
