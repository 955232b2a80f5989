//! `tollgate prices import`: the two public price lists, turned into rows.
//!
//! Both formats are read as data: LiteLLM's flat JSON of floats per token, and genai-prices' `data.json` of
//! decimals per million (`core/prices/genai_json.py` makes it of their Python package). A float is read by
//! its text, so nothing is rounded that the list does not round. A rate that differs from the book's becomes
//! a new row from `--from` on, so that history stays; a new model becomes a row without a date.

mod compare;
mod genai;
mod litellm;
mod sizes;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;
use tollgate_core::price::{Origin, Price, PriceBook, PricedModel, Sheet, Variant, day_ms};

use super::{diff, output};

#[derive(Args, Debug)]
pub(super) struct Import {
    /// genai-prices' data.json or LiteLLM's model_prices_and_context_window.json
    file: PathBuf,
    /// Provider id of this book
    #[arg(long)]
    provider: String,
    /// The list's own words for it, where they differ: x-ai, vertex_ai-language-models, …
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    theirs: Vec<String>,
    /// Day on which the list was read
    #[arg(long, value_name = "DAY")]
    checked: String,
    /// Day from which changed prices hold; by default that of --checked
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Files or a directory that the rows are for; left out: the prices that come with Tollgate
    #[arg(long, value_name = "PATH")]
    into: Option<PathBuf>,
    /// Take context windows and longest answers only, and leave prices and everything else of the file as
    /// they stand
    #[arg(long)]
    sizes: bool,
    /// Print what the list says of these models, for a comparison that is kept, and nothing else
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "write")]
    compare: Vec<String>,
    /// Write PROVIDER.toml in --into instead of only printing what would change
    #[arg(long, requires = "into")]
    write: bool,
}

/// A model as a public list has it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Listed {
    id: String,
    aliases: Vec<String>,
    source: Option<String>,
    standard: Sheet,
    variants: Vec<Variant>,
    context_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<()> {
        for (name, text) in [("checked", Some(&self.checked)), ("from", self.from.as_ref())] {
            if let Some(text) = text.filter(|text| day_ms(text).is_none()) {
                bail!("--{name} is `{text}`, not a day such as 2026-10-14");
            }
        }
        let text = std::fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())?;
        let listed = read(&text, self.words())?;
        if listed.is_empty() {
            bail!(
                "{} has no model of `{}`; give the list's own word for this provider with --theirs",
                self.file.display(),
                self.provider
            );
        }
        let old = match &self.into {
            Some(path) if path.exists() => super::book(&super::read(std::slice::from_ref(path))?)?,
            _ => diff::embedded()?,
        };
        if !self.compare.is_empty() {
            let list = if text.trim_start().starts_with('[') { "genai-prices" } else { "litellm" };
            let lines = compare::lines(&old, &self.provider, &self.compare, list, &listed);
            return output::print(&output::lines(&lines));
        }
        let new = if self.sizes { self.sized(&old, &listed) } else { self.merged(&old, listed) };
        let mut lines = diff::lines(&old, &new);
        // A list that lacks a model says nothing of it.
        lines.retain(|line| !line.starts_with("- "));
        output::print(&if lines.is_empty() { "nothing changes".to_owned() } else { output::lines(&lines) })?;
        if let (true, Some(dir)) = (self.write, &self.into) {
            let path = if dir.is_dir() { dir.join(format!("{}.toml", self.provider)) } else { dir.clone() };
            let text = if self.sizes {
                let old = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                sizes::written(&old, new.models())
            } else {
                let comment = format!("Prices of {}. Imported from {}.", self.provider, self.file.display());
                new.to_file(&self.provider, &comment)
            };
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
            output::say(&format!("wrote {}", path.display()));
        }
        Ok(())
    }

    /// The list's words for the provider.
    fn words(&self) -> &[String] {
        if self.theirs.is_empty() { std::slice::from_ref(&self.provider) } else { &self.theirs }
    }

    /// The book's rows of the provider with the sizes that the list gives.
    fn sized(&self, old: &PriceBook, listed: &[Listed]) -> PriceBook {
        let mut models: Vec<PricedModel> =
            old.models().iter().filter(|model| model.provider == self.provider).cloned().collect();
        for listed in listed {
            let found = old.find(&self.provider, &listed.id, u64::MAX);
            let Some(row) =
                found.filter(|found| found.model.provider == self.provider && !found.step.is_estimate())
            else {
                continue;
            };
            if let Some(model) = models.iter_mut().find(|model| model.id == row.model.id) {
                let sizes = (listed.context_tokens, listed.output_tokens);
                (model.context_tokens, model.output_tokens) = larger(model, sizes);
            }
        }
        PriceBook::of_models(models, Vec::new())
    }

    /// The book's rows of the provider with what the list says.
    fn merged(&self, old: &PriceBook, listed: Vec<Listed>) -> PriceBook {
        let mut models: Vec<PricedModel> =
            old.models().iter().filter(|model| model.provider == self.provider).cloned().collect();
        let from_ms = day_ms(self.from.as_ref().unwrap_or(&self.checked)).unwrap_or(0);
        for listed in listed {
            let found = old.find(&self.provider, &listed.id, u64::MAX).map(|found| found.model.id.clone());
            let known = found.and_then(|id| {
                models.iter_mut().find(|model| model.provider == self.provider && model.id == id)
            });
            let mut price = Price {
                standard: listed.standard,
                variants: listed.variants,
                origin: Origin {
                    source: listed.source.unwrap_or_else(|| self.file.display().to_string()),
                    checked: self.checked.clone(),
                    note: None,
                },
                ..Price::default()
            };
            price.order_variants();
            let sizes = (listed.context_tokens, listed.output_tokens);
            match known {
                None => models.push(PricedModel {
                    provider: self.provider.clone(),
                    id: listed.id,
                    aliases: listed.aliases,
                    prices: vec![price],
                    context_tokens: listed.context_tokens,
                    output_tokens: listed.output_tokens,
                    ..PricedModel::default()
                }),
                Some(model) => {
                    (model.context_tokens, model.output_tokens) = larger(model, sizes);
                    let now = model.price_at(from_ms);
                    if now.is_some_and(|now| adds_nothing(now, &price)) {
                        continue;
                    }
                    if let Some(now) = now {
                        complete(now, &mut price);
                    }
                    price.from_ms = from_ms;
                    // A price that is announced for later stays.
                    price.until_ms =
                        model.prices.iter().map(|later| later.from_ms).filter(|later| *later > from_ms).min();
                    model.set_price(price);
                }
            }
        }
        PriceBook::of_models(models, Vec::new())
    }
}

/// The larger of what the book and a list give: what a budget holds for a call must not be too small.
fn larger(model: &PricedModel, listed: (Option<u64>, Option<u64>)) -> (Option<u64>, Option<u64>) {
    (model.context_tokens.max(listed.0), model.output_tokens.max(listed.1))
}

/// Whether a list's price says nothing that the book's does not say.
fn adds_nothing(ours: &Price, theirs: &Price) -> bool {
    let covers = |ours: &Sheet, theirs: &Sheet| {
        let rates = |ours: &tollgate_core::price::Rates, theirs: &tollgate_core::price::Rates| {
            theirs.0.iter().all(|(kind, rate)| ours.of(*kind) == Some(*rate))
        };
        rates(&ours.rates, &theirs.rates)
            && theirs.tiers.iter().all(|tier| {
                let mine = ours.tiers.iter().find(|mine| mine.input_above == tier.input_above);
                mine.is_some_and(|mine| rates(&mine.rates, &tier.rates))
            })
    };
    covers(&ours.standard, &theirs.standard)
        && theirs.variants.iter().all(|variant| {
            let mine = ours.variants.iter().find(|mine| same_when(mine, variant));
            mine.is_some_and(|mine| covers(&mine.sheet, &variant.sheet))
        })
}

/// Keeps what the book knows and the list does not speak of: other kinds, and other variants where the plain
/// rates stay as they are. Beside changed ones an old batch rate would be a guess; without it such calls are
/// unpriced.
fn complete(ours: &Price, theirs: &mut Price) {
    for (kind, rate) in &ours.standard.rates.0 {
        theirs.standard.rates.0.entry(*kind).or_insert(*rate);
    }
    let unchanged = ours.standard.rates == theirs.standard.rates;
    for variant in ours.variants.iter().filter(|_| unchanged) {
        if !theirs.variants.iter().any(|their| same_when(variant, their)) {
            theirs.variants.push(variant.clone());
        }
    }
    let standard = theirs.standard.clone();
    for variant in &mut theirs.variants {
        for (kind, rate) in &standard.rates.0 {
            variant.sheet.rates.0.entry(*kind).or_insert(*rate);
        }
        if variant.sheet.tiers.is_empty() {
            variant.sheet.tiers.clone_from(&standard.tiers);
        }
    }
    theirs.order_variants();
}

/// `priority` of one list is `priority|fast` of the book.
fn same_when(one: &Variant, other: &Variant) -> bool {
    let words = |variant: &Variant| -> Vec<(String, String)> {
        let first = |value: &String| value.split('|').next().unwrap_or_default().to_owned();
        variant.when.iter().map(|(fact, value)| (fact.clone(), first(value))).collect()
    };
    one.daily == other.daily && words(one) == words(other)
}

fn read(text: &str, words: &[String]) -> anyhow::Result<Vec<Listed>> {
    let list = serde_json::from_str(text).context("the list is not JSON")?;
    let of_word = |word: &String| match &list {
        Value::Object(entries) => Ok(litellm::read(entries, word)),
        Value::Array(providers) => Ok(genai::read(providers, word)),
        _ => bail!("the list is neither LiteLLM's object nor genai-prices' array"),
    };
    let read: Vec<Vec<Listed>> = words.iter().map(of_word).collect::<Result<_, _>>()?;
    Ok(read.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::price::Facts;
    use tollgate_core::usage::Usage;

    const LITELLM: &str = r#"{
        "sample_spec": {"litellm_provider": "one of …"},
        "acme/m-1": {"litellm_provider": "acme", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
            "cache_read_input_token_cost": 2.5e-07, "input_cost_per_token_above_200k_tokens": 5e-06,
            "input_cost_per_token_batches": 1.25e-06, "output_cost_per_token_batches": 5e-06,
            "input_cost_per_token_priority": 5e-06, "max_input_tokens": 272000, "max_output_tokens": 128000.0,
            "source": "https://acme.example/prices"},
        "other/m-2": {"litellm_provider": "other", "input_cost_per_token": 1e-06}
    }"#;
    const GENAI: &str = r#"[{"id": "acme", "models": [
        {"id": "m-1", "match": {"or": [{"equals": "m-1"}, {"equals": "m-one"}]}, "context_window": 400000,
         "prices": {"input_mtok": {"base": 2.5, "tiers": [{"start": 200000, "price": 5}]}, "output_mtok": 10,
            "cache_read_mtok": 0.25, "web_searches_kcount": 10}},
        {"id": "m-2", "match": {"equals": "m-2"}, "prices": [
            {"prices": {"input_mtok": 9}},
            {"constraint": {"start_date": "2026-08-21"}, "prices": {"input_mtok": 4, "output_mtok": 20}}]}
    ]}]"#;

    fn importer() -> Import {
        Import {
            file: "list.json".into(),
            provider: "acme".into(),
            theirs: Vec::new(),
            checked: "2026-11-23".into(),
            from: None,
            into: None,
            sizes: false,
            compare: Vec::new(),
            write: false,
        }
    }

    fn import(old: &PriceBook, text: &str) -> PriceBook {
        importer().merged(old, read(text, &["acme".into()]).unwrap())
    }

    fn cost(book: &PriceBook, name: &str, day: &str, tier: &str, input: u64) -> String {
        let usage = Usage { input_tokens: Some(input), ..Usage::default() };
        let facts = Facts {
            provider: "acme",
            response_model: Some(name),
            time_ms: day_ms(day).unwrap(),
            conditions: &[("service_tier", tier)],
            ..Facts::default()
        };
        let cost = book.price(&facts, &usage).cost.to_string();
        cost.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    #[test]
    fn both_lists_give_the_same_rates() {
        for text in [LITELLM, GENAI] {
            let book = import(&PriceBook::default(), text);
            assert_eq!(cost(&book, "m-1", "2026-01-01", "", 100_000), "0.25");
            assert_eq!(cost(&book, "m-1", "2026-01-01", "", 1_000_000), "5");
        }
        let book = import(&PriceBook::default(), LITELLM);
        assert_eq!(cost(&book, "m-1", "2026-01-01", "batch", 100_000), "0.125");
        assert_eq!(cost(&book, "m-1", "2026-01-01", "priority", 1_000_000), "10");
        let book = import(&PriceBook::default(), GENAI);
        assert_eq!(cost(&book, "m-one", "2026-01-01", "", 100_000), "0.25");
        assert_eq!(cost(&book, "m-2", "2026-01-01", "", 1_000_000), "4", "the price of today");
    }

    #[test]
    fn a_changed_rate_is_a_new_row_and_the_second_time_nothing_changes() {
        let old = import(&PriceBook::default(), LITELLM);
        let new = import(&old, &LITELLM.replace("2.5e-06", "3e-06"));
        assert_eq!(cost(&new, "m-1", "2026-11-22", "", 100_000), "0.25");
        assert_eq!(cost(&new, "m-1", "2026-11-23", "", 100_000), "0.3");
        assert_eq!(diff::lines(&old, &old), Vec::<String>::new());
        assert_eq!(import(&old, LITELLM).models(), old.models());
        assert!(diff::lines(&old, &new).iter().any(|line| line.contains("from 2026-11-23 input: none -> 3")));
    }

    #[test]
    fn a_price_that_is_announced_for_later_stays() {
        let mut models = import(&PriceBook::default(), LITELLM).into_models();
        let mut later = models[0].prices[0].clone();
        later.from_ms = day_ms("2027-01-01").unwrap();
        later.standard.rates.0.insert(tollgate_core::usage::Kind::Input, "0.00001".parse().unwrap());
        models[0].set_price(later);
        let old = PriceBook::of_models(models, vec![]);
        assert_eq!(import(&old, LITELLM).models(), old.models());
        let new = import(&old, &LITELLM.replace("2.5e-06", "3e-06"));
        assert_eq!(cost(&new, "m-1", "2026-12-31", "", 100_000), "0.3");
        assert_eq!(cost(&new, "m-1", "2027-01-01", "", 100_000), "1");
    }

    #[test]
    fn a_variant_that_the_list_lacks_does_not_outlive_a_changed_price() {
        let old = import(&PriceBook::default(), LITELLM);
        let without = LITELLM.replace("_batches", "_nightly");
        let kept = import(&old, &without);
        assert_eq!(cost(&kept, "m-1", "2026-11-23", "batch", 100_000), "0.125");
        let changed = import(&old, &without.replace("2.5e-06", "3e-06"));
        assert_eq!(
            cost(&changed, "m-1", "2026-11-23", "batch", 100_000),
            "0.3",
            "a guess, at the plain rate"
        );
        assert_eq!(cost(&changed, "m-1", "2026-11-22", "batch", 100_000), "0.125");
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_book() {
        let book = import(&PriceBook::default(), LITELLM);
        let text = book.to_file("acme", "Prices.");
        let read = super::super::book(&[("acme.toml".into(), text)]).unwrap();
        assert_eq!(read.models(), book.models());
    }

    #[test]
    fn sizes_are_the_larger_of_two_lists_and_change_nothing_else() {
        let old = import(&PriceBook::default(), GENAI);
        let importer = |sizes| Import { sizes, ..importer() };
        let dearer = LITELLM.replace("2.5e-06", "7e-06");
        let listed = read(&dearer, &["acme".into()]).unwrap();
        let new = importer(true).sized(&old, &listed);
        let [before, after] = [&old, &new].map(|book| book.model("acme", "m-1").unwrap().clone());
        assert_eq!((before.context_tokens, before.output_tokens), (Some(400_000), None));
        assert_eq!((after.context_tokens, after.output_tokens), (Some(400_000), Some(128_000)));
        assert_eq!(after.prices, before.prices);
        let priced = importer(false).merged(&old, listed);
        assert_eq!(priced.model("acme", "m-1").unwrap().output_tokens, Some(128_000));
        assert_eq!(diff::lines(&old, &new), ["~ acme m-1 output_tokens: none -> 128000"]);
    }

    #[test]
    fn the_book_that_comes_with_tollgate_is_not_changed_by_a_list_without_news() {
        let embedded = diff::embedded().unwrap();
        let text = r#"{"gpt-4.1": {"litellm_provider": "openai", "input_cost_per_token": 2e-06,
            "output_cost_per_token": 8e-06, "input_cost_per_token_batches": 1e-06,
            "output_cost_per_token_batches": 4e-06}}"#;
        let import = Import { provider: "openai".into(), ..importer() };
        let new = import.merged(&embedded, read(text, &["openai".into()]).unwrap());
        let lines: Vec<String> =
            diff::lines(&embedded, &new).into_iter().filter(|line| !line.starts_with("- ")).collect();
        assert_eq!(lines, Vec::<String>::new());
    }
}
