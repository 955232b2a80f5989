//! Models that a list means by words: families, and what is not frontier. The price book turns them into
//! plain names, so that gateways need to know nothing of them.

use std::collections::BTreeSet;

use tollgate_core::budget::rules::Allow;
use tollgate_core::budget::scope::{Dimension, Scope};
use tollgate_core::money::Picodollars;
use tollgate_core::price::{PriceBook, PricedModel, names};
use tollgate_core::usage::Kind;

use crate::config::{AllowList, FRONTIER_OUTPUT, ModelWords};
use crate::model::agent::matches;

/// The list with its words as names, by the prices of this time, Unix milliseconds UTC.
pub fn plain(list: &AllowList, book: &PriceBook, now_ms: u64) -> Allow {
    let AllowList { rule, words, .. } = list;
    if words.is_empty() {
        return rule.clone();
    }
    let rows = || book.models().iter().filter(|model| is_of(&rule.scope, model));
    let of_family =
        |model: &&PricedModel| words.families.iter().any(|family| is_of_family(family, &model.id));
    let members: BTreeSet<&str> = rows().filter(of_family).map(|model| model.id.as_str()).collect();
    let dear: BTreeSet<&str> = rows()
        .filter(|model| output_of(model, now_ms).is_some_and(|price| is_too_dear(words, price)))
        .map(|model| model.id.as_str())
        .collect();
    let dear = dear.into_iter().map(|id| format!("!{id}"));
    let models = rule.models.iter().cloned().chain(members.into_iter().map(str::to_owned)).chain(dear);
    let mut models: Vec<String> = models.collect();
    if !words.families.is_empty() && models.iter().all(|model| model.starts_with('!')) {
        // A family whose last row went from the book means no model, not every one.
        models.extend(words.families.iter().cloned());
    }
    Allow { models, ..rule.clone() }
}

/// Families of a list that no row of the book is of.
pub fn unknown_families<'a>(words: &'a ModelWords, scope: &Scope, book: &PriceBook) -> Vec<&'a str> {
    let is_known = |family: &str| {
        let mut rows = book.models().iter().filter(|model| is_of(scope, model));
        rows.any(|model| is_of_family(family, &model.id))
    };
    words.families.iter().map(String::as_str).filter(|family| !is_known(family)).collect()
}

/// Whether a row is of a provider that a scope is for.
fn is_of(scope: &Scope, model: &PricedModel) -> bool {
    let providers = scope.values(&Dimension::Provider);
    providers.is_empty() || providers.iter().any(|one| matches(one, &model.provider))
}

/// Whether a model's name begins with the words of a family. A version may stand between them, as in
/// `claude-3-5-haiku`; another word may not: `gpt-5` is no family of `gpt-oss-5`.
fn is_of_family(family: &str, id: &str) -> bool {
    let bare = names::bare(id);
    let mut name = bare.rsplit('/').next().unwrap_or(&bare);
    // What stands before a dot is the vendor or a region, but in a version such as `gpt-5.1`.
    while let Some((vendor, rest)) = name.split_once('.')
        && vendor.bytes().all(|byte| byte.is_ascii_alphabetic())
    {
        name = rest;
    }
    let mut words = name.split(['-', '@', ':']).peekable();
    family.split('-').all(|wanted| {
        if !is_version(wanted) {
            while words.next_if(|word| is_version(word) && !word.eq_ignore_ascii_case(wanted)).is_some() {}
        }
        words.next().is_some_and(|word| word.eq_ignore_ascii_case(wanted))
    })
}

fn is_version(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// What a million tokens of a model's plain output cost at a time.
fn output_of(model: &PricedModel, now_ms: u64) -> Option<Picodollars> {
    let price = model.prices.iter().find(|price| price.holds_at(now_ms))?;
    let rate = price.standard.rates.0.get(&Kind::Output)?;
    Some(Picodollars::from_pico(rate.as_pico().saturating_mul(MILLION)))
}

fn is_too_dear(words: &ModelWords, price: Picodollars) -> bool {
    words.not_frontier && price >= FRONTIER_OUTPUT || words.max_output.is_some_and(|most| price > most)
}

const MILLION: i128 = 1_000_000;

#[cfg(test)]
mod tests {
    use tollgate_core::price::EMBEDDED;

    use super::*;
    use crate::config::Config;

    const NOW_MS: u64 = 1_796_000_000_000;

    fn list(keys: &str) -> AllowList {
        let text = format!("[[allow]]\nname = 'l'\n{keys}\n");
        Config::parse("t.toml", &text).unwrap().rules.allow.remove(0)
    }

    fn book() -> PriceBook {
        PriceBook::from_files(EMBEDDED).unwrap()
    }

    #[test]
    fn a_family_is_told_by_its_words() {
        for (family, id, expected) in [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5-mini", true),
            ("gpt-5", "GPT-5-Mini", true),
            ("gpt-5", "gpt-5.1", false),
            ("gpt-5", "gpt-50", false),
            ("gpt-5", "gpt-oss-5", false),
            ("gpt-5.1", "gpt-5.1-codex", true),
            ("gpt", "gpt-oss-120b", true),
            ("claude-haiku", "claude-haiku-4-5", true),
            ("claude-haiku", "claude-3-5-haiku", true),
            ("claude-haiku", "claude-opus-4-5", false),
            ("claude-5", "claude-opus-5", false),
            ("claude-haiku", "anthropic/claude-haiku-4.5", true),
            ("claude-haiku", "anthropic.claude-haiku-4-5-20251001-v1:0", true),
            ("gemini-flash", "gemini-2.5-flash-lite", true),
        ] {
            assert_eq!(is_of_family(family, id), expected, "{family} {id}");
        }
    }

    #[test]
    fn words_become_the_names_of_the_book() {
        let book = book();
        let found =
            plain(&list("families = ['gpt-5']\nscope = { provider = 'openai' }"), &book, NOW_MS).models;
        assert!(["gpt-5", "gpt-5-mini"].iter().all(|id| found.iter().any(|one| one == id)), "{found:?}");
        assert!(found.iter().all(|id| id.starts_with("gpt-5")), "{found:?}");

        let found =
            plain(&list("not_frontier = true\nscope = { provider = 'anthropic' }"), &book, NOW_MS).models;
        assert!(found.iter().any(|one| one == "!claude-opus-4-5"), "{found:?}");
        assert!(!found.iter().any(|one| one.contains("haiku-4-5")), "{found:?}");
        assert!(found.iter().all(|one| one.starts_with('!')), "{found:?}");

        let keys = "models = ['gpt-5*']\nmax_output_usd_per_million = '2'\nscope = { provider = 'openai' }";
        let found = plain(&list(keys), &book, NOW_MS).models;
        assert!(found.contains(&"gpt-5*".to_owned()) && found.contains(&"!gpt-5".to_owned()), "{found:?}");
        assert!(!found.contains(&"!gpt-5-mini".to_owned()), "it costs 2, which is not more: {found:?}");
    }

    #[test]
    fn a_family_without_a_row_means_no_model() {
        let list = list("families = ['gpt-5']");
        let found = plain(&list, &PriceBook::new("v".into(), Vec::new()), NOW_MS).models;
        assert_eq!(found, ["gpt-5"]);
        assert_eq!(
            unknown_families(&list.words, &list.rule.scope, &PriceBook::new("v".into(), Vec::new())),
            ["gpt-5"]
        );
        assert_eq!(unknown_families(&list.words, &list.rule.scope, &book()), [""; 0]);
    }
}
