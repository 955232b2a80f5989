//! Folding: what becomes of records that a gateway has no room for.
//!
//! Records that have attribution, model and minute in common become one total: counts and money stay exact,
//! what is told of single calls is gone. A total is sent like a record: it has an id, that of its first call,
//! and does not grow any more once it is on its way, so that a repeat of it changes nothing.

use std::mem::take;

use serde::{Deserialize, Serialize};

use super::json::{list, money, number, object, word};
use super::totals::{Sums, Totals};
use super::{Head, UsageRecord};
use crate::attribution::Attribution;

/// The total of some calls.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Folded {
    /// Records that it stands for. It is the first member of the JSON: see [`Folded::is_json_of_one`].
    pub folded: u64,
    /// What its calls have in common, without run and tags. The id is that of its first call, and the time
    /// the start of the minute or hour in which its calls were admitted.
    #[serde(flatten)]
    pub head: Head,
    /// Length of that time: a minute, or an hour where there was no room for minutes.
    pub span_ms: u64,
    /// Counts and money.
    #[serde(flatten)]
    pub sums: Sums,
}

impl Folded {
    /// Whether this is the JSON of a total, and not that of a record.
    pub fn is_json_of_one(json: &str) -> bool {
        json.starts_with(r#"{"folded":"#)
    }

    /// The total of one record.
    fn of(record: &UsageRecord, grain: Grain) -> Self {
        let span_ms = if grain == Grain::Minute { MINUTE_MS } else { HOUR_MS };
        let mut head = record.head.clone();
        head.time_ms -= head.time_ms % span_ms;
        (head.attribution.run, head.attribution.parent_run) = (None, None);
        head.attribution.tags.clear();
        if grain == Grain::Other {
            let Attribution { agent, team, feature, environment, .. } = &mut head.attribution;
            for name in [agent, team, feature, environment] {
                OTHER.clone_into(name);
            }
            head.request_model = Some(OTHER.to_owned());
            (head.key_id, head.response_model, head.service_tier) = (None, None, None);
        }
        Self { folded: 1, head, span_ms, sums: Sums::of(record) }
    }

    /// Adds a total of the same calls in every respect that is told apart; false, and nothing is added, where
    /// it is of others or the sum would be out of range.
    fn add(&mut self, more: &mut Self) -> bool {
        if !self.is_of_the_same(more) {
            return false;
        }
        let mut sums = self.sums.clone();
        if sums.add(&more.sums).is_err() {
            return false;
        }
        self.sums = sums;
        self.folded = self.folded.saturating_add(more.folded);
        true
    }

    /// Whether the other one is of the same calls in every respect that is told apart: all but the id.
    fn is_of_the_same(&mut self, other: &mut Self) -> bool {
        let ids = (take(&mut self.head.id), take(&mut other.head.id));
        let is_same = self.span_ms == other.span_ms && self.head == other.head;
        (self.head.id, other.head.id) = ids;
        is_same
    }

    /// This total as a JSON object, as `serde_json` writes it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = String::with_capacity(JSON_BYTES);
        out.push('{');
        number(&mut out, "folded", self.folded);
        self.head.write(&mut out);
        number(&mut out, "span_ms", self.span_ms);
        object(&mut out, "totals", |out| {
            Totals::COUNTS
                .into_iter()
                .zip(self.sums.totals.counts())
                .for_each(|(name, count)| number(out, name, count));
            Totals::MONEY
                .into_iter()
                .zip(self.sums.totals.money())
                .for_each(|(name, amount)| money(out, name, amount));
        });
        list(&mut out, "kinds", &self.sums.kinds, |out, one| {
            out.push('{');
            word(out, "kind", one.kind.name());
            number(out, "quantity", one.quantity);
            money(out, "cost_usd", one.cost_usd);
            out.push('}');
        });
        out.push('}');
        out.into_bytes()
    }
}

/// Totals that are not sent yet, each in a slot with a number.
///
/// At most [`FOLDS_MAX`]: minutes are told apart while half of that suffices, then hours; in the end the
/// calls of an hour to a provider are one total of `other`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folds {
    /// Those that are `None` do not grow any more: what they are stands where they are kept.
    slots: Vec<Option<Folded>>,
}

impl Folds {
    /// So many totals that somebody else has left behind.
    pub fn left(slots: usize) -> Self {
        Self { slots: vec![None; slots] }
    }

    /// How many there are; their slots are the numbers below.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds a record to a total; gives its slot and what it is now. `None` where there is no room for a
    /// further total.
    pub fn fold(&mut self, record: &UsageRecord) -> Option<(usize, &Folded)> {
        for (grain, room) in GRAINS {
            let mut one = Folded::of(record, grain);
            let grown =
                self.slots.iter_mut().position(|slot| slot.as_mut().is_some_and(|slot| slot.add(&mut one)));
            let slot = match grown {
                Some(slot) => slot,
                None if self.slots.len() < room => {
                    self.slots.push(Some(one));
                    self.slots.len() - 1
                }
                None => continue,
            };
            return self.slots.get(slot)?.as_ref().map(|folded| (slot, folded));
        }
        None
    }

    /// The total in this slot does not grow any more.
    pub fn seal(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = None;
        }
    }

    /// Takes out the total of the last slot.
    pub fn pop(&mut self) {
        self.slots.pop();
    }
}

/// What a total tells apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Grain {
    Minute,
    Hour,
    /// Hours and providers only.
    Other,
}

/// Most totals of a lane.
pub const FOLDS_MAX: usize = 1_024;
/// Each with the number of totals from which on there is room for coarser ones only.
const GRAINS: [(Grain, usize); 3] =
    [(Grain::Minute, FOLDS_MAX / 2), (Grain::Hour, FOLDS_MAX - FOLDS_MAX / 16), (Grain::Other, FOLDS_MAX)];
/// Stands for what is not told apart.
const OTHER: &str = "other";
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// A total's usual size and some more.
const JSON_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::money::Picodollars;
    use crate::price::charge::{Charge, CostStatus};
    use crate::record::Outcome;
    use crate::usage::{Kind, Usage};

    prop_compose! {
        fn record()(
            id in any::<u32>(),
            minute in 0u64..300,
            agent in 0u8..40,
            model in 0u8..4,
            outcome in prop::sample::select(&[Outcome::Ok, Outcome::Error, Outcome::Denied, Outcome::ClientAbort][..]),
            cost_status in prop::sample::select(&[CostStatus::Measured, CostStatus::Estimated, CostStatus::Unpriced][..]),
            tokens in (0u64..5_000, 0u64..5_000),
            rate in 0i128..1_000_000,
            tag in any::<bool>(),
        ) -> UsageRecord {
            let charge = |kind, quantity| Charge {
                model: "m".into(),
                kind,
                quantity,
                rate: Picodollars::from_pico(rate),
                cost_usd: Picodollars::from_pico(rate).times(quantity),
            };
            let charges = vec![charge(Kind::Input, tokens.0), charge(Kind::Output, tokens.1), charge(Kind::Request, 1)];
            let head = Head {
                id: format!("{id}"),
                time_ms: 1_000 * HOUR_MS + minute * MINUTE_MS + u64::from(id % 60_000),
                gateway: "edge".into(),
                provider: "openai".into(),
                operation: "chat".into(),
                request_model: Some(format!("m{model}")),
                ..Head::default()
            };
            let mut record = UsageRecord {
                head,
                outcome,
                cost_status,
                usage: Usage { input_tokens: Some(tokens.0), output_tokens: Some(tokens.1), ..Usage::default() },
                cost_usd: charges.iter().map(|charge| charge.cost_usd).sum(),
                charges,
                ..UsageRecord::default()
            };
            record.head.attribution.agent = format!("a{agent}");
            record.head.attribution.run = tag.then(|| format!("r{id}"));
            if tag {
                record.head.attribution.tags = [("k".to_owned(), format!("{id}"))].into();
            }
            record
        }
    }

    /// Sums of everything that totals tell.
    fn sum<'a>(
        all: impl Iterator<Item = &'a Folded>,
    ) -> (u64, Totals, BTreeMap<&'static str, (u64, Picodollars)>) {
        let mut sum = (0, Totals::default(), BTreeMap::new());
        for one in all {
            sum.0 += one.folded;
            sum.1.add(&one.sums.totals).unwrap();
            for kind in &one.sums.kinds {
                let entry: &mut (u64, Picodollars) = sum.2.entry(kind.kind.name()).or_default();
                *entry = (entry.0 + kind.quantity, entry.1 + kind.cost_usd);
            }
        }
        sum
    }

    proptest! {
        #[test]
        fn totals_are_what_their_records_are_together(records in prop::collection::vec(record(), 1..400)) {
            let mut folds = Folds::default();
            for record in &records {
                let before = folds.len();
                let (slot, _) = folds.fold(record).unwrap();
                prop_assert!(slot <= before);
            }
            let singles: Vec<Folded> = records.iter().map(|record| Folded::of(record, Grain::Minute)).collect();
            prop_assert_eq!(sum(folds.slots.iter().flatten()), sum(singles.iter()));
            let keys: std::collections::BTreeSet<_> = records
                .iter()
                .map(|record| &record.head)
                .map(|head| (head.time_ms / MINUTE_MS, &head.attribution.agent, &head.request_model))
                .collect();
            if keys.len() <= FOLDS_MAX / 2 {
                prop_assert_eq!(folds.len(), keys.len(), "one total for each minute, agent and model");
            }
        }

        #[test]
        fn a_total_is_written_as_serde_writes_it_and_reads_back(records in prop::collection::vec(record(), 1..20)) {
            let mut folds = Folds::default();
            for record in &records {
                let (_, folded) = folds.fold(record).unwrap();
                let json = String::from_utf8(folded.to_json()).unwrap();
                prop_assert_eq!(&json, &serde_json::to_string(folded).unwrap());
                prop_assert!(Folded::is_json_of_one(&json));
                prop_assert_eq!(&serde_json::from_str::<Folded>(&json).unwrap(), folded);
            }
        }
    }

    fn of(number: u64, agent: u64, hour: u64) -> UsageRecord {
        let mut record = UsageRecord {
            head: Head {
                id: format!("{number}"),
                time_ms: hour * HOUR_MS + number % 60 * MINUTE_MS,
                ..Head::default()
            },
            cost_usd: Picodollars::from_pico(7),
            ..UsageRecord::default()
        };
        record.head.attribution.agent = format!("a{agent}");
        record
    }

    #[test]
    fn where_room_gets_short_hours_are_told_apart_then_only_others_and_no_money_is_lost() {
        let mut folds = Folds::default();
        let mut fold = |number, agent, hour| u64::from(folds.fold(&of(number, agent, hour)).is_some());
        let folded: u64 = (0..20_000).map(|number| fold(number, number % 700, number / 400)).sum();
        let later: u64 = (50..150).map(|hour| fold(1, 1, hour)).sum();
        let spans = |span_ms, others: bool| {
            let all = folds.slots.iter().flatten();
            all.filter(|one| one.span_ms == span_ms && (one.head.attribution.agent == OTHER) == others)
                .count()
        };
        assert_eq!((spans(MINUTE_MS, false), spans(HOUR_MS, false), spans(HOUR_MS, true)), (512, 448, 64));
        assert_eq!(folded, 20_000, "fifty hours fit");
        assert!(later < 100, "then nothing fits, and that is said");
        let (records, totals, _) = sum(folds.slots.iter().flatten());
        let pico = i128::from(records) * 7;
        assert_eq!((records, totals.cost), (20_000 + later, Picodollars::from_pico(pico)));
    }

    #[test]
    fn a_total_that_was_sealed_or_left_by_another_does_not_grow() {
        let mut folds = Folds::left(2);
        let slot = folds.fold(&of(1, 1, 1)).unwrap().0;
        assert_eq!(slot, 2);
        folds.seal(slot);
        let (next, folded) = folds.fold(&of(61, 1, 1)).unwrap();
        assert_eq!((next, folded.folded, folded.head.id.as_str()), (3, 1, "61"));
        folds.pop();
        assert_eq!(folds.len(), 3);
    }
}
