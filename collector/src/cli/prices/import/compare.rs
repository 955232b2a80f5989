//! `tollgate prices import --compare`: what a list says of some models, one JSON object a line, as
//! `collector/tests/price_lists.jsonl` keeps it; its test holds the book to what the lists said.

use std::collections::BTreeMap;

use serde_json::json;
use tollgate_core::price::{PriceBook, Rates, Sheet};

use super::Listed;

/// Lines for these models, of a list with this name.
pub(super) fn lines(
    book: &PriceBook,
    provider: &str,
    names: &[String],
    list: &str,
    listed: &[Listed],
) -> Vec<String> {
    let row = |name: &str| book.find(provider, name, u64::MAX).map(|found| &found.model.id);
    let of_name = |name: &&String| {
        let exact = listed.iter().find(|one| one.id == **name || one.aliases.contains(name));
        exact.or_else(|| listed.iter().find(|one| row(&one.id).is_some() && row(&one.id) == row(name)))
    };
    names
        .iter()
        .filter_map(|name| Some((name, of_name(&name)?)))
        .map(|(name, found)| {
            let rates = rates(&found.standard, found);
            json!({"provider": provider, "model": name, "list": list, "rates": rates}).to_string()
        })
        .collect()
}

/// Dollars for a million tokens, or for a million calls, by service tier, threshold and kind.
fn rates(standard: &Sheet, listed: &Listed) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    put(&mut all, "", standard);
    for variant in &listed.variants {
        if let (1, Some(tier)) = (variant.when.len(), variant.when.get("service_tier")) {
            put(&mut all, tier, &variant.sheet);
        }
    }
    all
}

fn put(all: &mut BTreeMap<String, String>, tier: &str, sheet: &Sheet) {
    let mut of = |above: u64, rates: &Rates| {
        for (kind, rate) in &rates.0 {
            let amount = rate.times(1_000_000).to_string();
            let amount = amount.trim_end_matches('0').trim_end_matches('.').to_owned();
            all.insert(format!("{tier}>{above}:{kind}"), amount);
        }
    };
    of(0, &sheet.rates);
    sheet.tiers.iter().for_each(|tier| of(tier.input_above, &tier.rates));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use tollgate_core::price::{EMBEDDED, Price, day_ms};
    use tollgate_core::usage::Kind;

    use super::*;

    const LISTS: &str = include_str!("../../../../tests/price_lists.jsonl");

    /// The book's rate at a place such as `batch>200000:input`.
    fn ours(price: &Price, place: &str) -> Option<String> {
        let (tier, rest) = place.split_once('>')?;
        let (above, kind) = rest.split_once(':')?;
        let above: u64 = above.parse().ok()?;
        let sheet = match tier {
            "" => &price.standard,
            tier => {
                let is_tier = |words: &String| words.split('|').any(|word| word == tier);
                let mut variants = price.variants.iter();
                &variants
                    .find(|one| one.when.len() == 1 && one.when.get("service_tier").is_some_and(is_tier))?
                    .sheet
            }
        };
        // What a prompt of one token more than the threshold costs; xAI's tiers begin at theirs.
        let of_tier = sheet.tiers.iter().find(|tier| above.saturating_add(1) > tier.input_above);
        let rates = of_tier.map_or(&sheet.rates, |tier| &tier.rates);
        let amount = rates.of(Kind::from_name(kind)?)?.times(1_000_000).to_string();
        Some(amount.trim_end_matches('0').trim_end_matches('.').to_owned())
    }

    #[test]
    fn sixty_well_known_models_cost_what_one_of_the_lists_says() {
        let book = PriceBook::from_files(EMBEDDED).unwrap();
        let time_ms = day_ms("2026-11-25").unwrap();
        // What each list says, by model and place; and the notes.
        let mut said: BTreeMap<(String, String), BTreeMap<String, BTreeMap<String, String>>> =
            BTreeMap::new();
        let mut notes: BTreeMap<(String, String), BTreeMap<String, String>> = BTreeMap::new();
        for line in LISTS.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            let model = (text("provider"), text("model"));
            if line["note"].is_string() {
                notes.entry(model).or_default().insert(text("places"), text("note"));
                continue;
            }
            for (place, rate) in line["rates"].as_object().unwrap() {
                let of_place = said.entry(model.clone()).or_default().entry(place.clone()).or_default();
                of_place.insert(text("list"), rate.as_str().unwrap().to_owned());
            }
        }
        assert!(said.len() >= 60, "{} models", said.len());
        let providers: BTreeSet<&String> = said.keys().map(|(provider, _)| provider).collect();
        assert!(providers.len() >= 8, "{providers:?}");
        let (mut wrong, mut compared) = (Vec::new(), 0);
        let mut used = BTreeSet::new();
        for (model, places) in &said {
            let found =
                book.find(&model.0, &model.1, time_ms).unwrap_or_else(|| panic!("no row for {model:?}"));
            let price = found.model.price_at(time_ms).unwrap();
            for (place, lists) in places {
                compared += 1;
                let ours = ours(price, place);
                let agrees = lists.values().any(|theirs| Some(theirs) == ours.as_ref());
                let differs = lists.values().any(|theirs| Some(theirs) != ours.as_ref());
                let note = notes.get(model).and_then(|notes| {
                    notes.keys().find(|places| places.split(' ').any(|one| place.starts_with(one)))
                });
                used.extend(note.map(|places| (model.clone(), places.clone())));
                if differs && note.is_none() || !agrees && note.is_none() {
                    wrong.push(format!("{} {} {place}: ours {ours:?}, {lists:?}", model.0, model.1));
                }
            }
        }
        assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
        assert!(compared > 500, "{compared}");
        let kept: BTreeSet<_> = notes
            .iter()
            .flat_map(|(model, notes)| notes.keys().map(|places| (model.clone(), places.clone())))
            .collect();
        assert_eq!(kept, used, "a note without a place that it is for");
    }
}
