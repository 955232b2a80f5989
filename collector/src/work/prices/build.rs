//! A book out of files and configuration.

use std::path::Path;

use tollgate_core::price::{
    EMBEDDED, NameMap, Price, PriceBook, PriceFile, PriceFileError, PricedModel, names, quoted,
};

use crate::config::{Discount, Meaning, Override, OwnModel, Place, PricesConfig};

/// The book of a configuration in `file`.
///
/// # Errors
/// Everything that is wrong, with the file and place of each.
pub fn book(file: &str, config: &PricesConfig) -> Result<PriceBook, Vec<String>> {
    let mut errors = Vec::new();
    let mut models = match base(config) {
        Ok(book) => book.into_models(),
        Err(mistakes) => return Err(mistakes),
    };
    let mut report = |place: &Place, problem: &str| {
        errors.push(format!("{file}:{}: `{}`: {problem}", place.line, place.name));
    };
    for own in &config.overrides {
        match price(own.provider.as_str(), &own.model, &own.price) {
            Ok(prices) => set(&mut models, own, prices),
            Err(problems) => problems.iter().for_each(|problem| report(&own.place, problem)),
        }
    }
    let mut maps = Vec::new();
    for own in &config.models {
        if let Meaning::Price(keys) = &own.meaning {
            match price(&own.provider, &own.name, keys) {
                Ok(prices) => maps.extend(add(&mut models, own, prices)),
                Err(problems) => problems.iter().for_each(|problem| report(&own.place, problem)),
            }
        }
    }
    if config.models.iter().any(|own| matches!(own.meaning, Meaning::Model(..))) {
        let rows = PriceBook::new(String::new(), models.clone());
        for own in &config.models {
            let Meaning::Model(provider, model) = &own.meaning else { continue };
            match rows.find(provider, model, u64::MAX) {
                Some(_) => maps.push(map(own, provider, model)),
                None => report(&own.place, &no_model(provider, model)),
            }
        }
    }
    for discount in &config.discounts {
        if let Err(problem) = reduce(&mut models, discount) {
            report(&discount.place, &problem);
        }
    }
    if errors.is_empty() { Ok(PriceBook::of_models(models, maps)) } else { Err(errors) }
}

/// The same book without the operator's discounts: list prices.
///
/// # Errors
/// As [`book`].
pub fn list_book(file: &str, config: &PricesConfig) -> Result<PriceBook, Vec<String>> {
    book(file, &PricesConfig { discounts: Vec::new(), ..config.clone() })
}

/// The book of what comes with Tollgate and the operator's files.
fn base(config: &PricesConfig) -> Result<PriceBook, Vec<String>> {
    let own = match &config.dir {
        None => Vec::new(),
        Some(dir) => files(dir).map_err(|problem| vec![problem])?,
    };
    let own: Vec<PriceFile<'_>> = own.iter().map(|(name, text)| PriceFile { name, text }).collect();
    let kept = EMBEDDED.iter().filter(|file| own.iter().all(|own| own.name != file.name));
    let files: Vec<PriceFile<'_>> = kept.copied().chain(own.iter().copied()).collect();
    PriceBook::from_files(&files).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// Name and text of every `.toml` file in a directory, by name.
///
/// # Errors
/// When one cannot be read.
pub fn files(dir: &Path) -> Result<Vec<(String, String)>, String> {
    let failed = |path: &Path, error: &std::io::Error| format!("{}: cannot be read: {error}", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| failed(dir, &error))? {
        let path = entry.map_err(|error| failed(dir, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, text));
        }
    }
    files.sort();
    Ok(files)
}

/// Prices in the words of a price file, read by its reader.
fn price(provider: &str, model: &str, keys: &str) -> Result<Vec<Price>, Vec<String>> {
    let text = format!(
        "provider = {}\nsource = \"tollgate.toml\"\nchecked = \"2000-01-01\"\n[[model]]\nid = {}\n[[model.price]]\n{keys}",
        quoted(provider),
        quoted(model),
    );
    let read = PriceBook::from_files(&[PriceFile { name: "tollgate.toml", text: &text }]);
    let read = read.map_err(|errors| errors.iter().map(problem).collect::<Vec<_>>())?;
    Ok(read.into_models().into_iter().flat_map(|model| model.prices).collect())
}

fn problem(error: &PriceFileError) -> String {
    let key = error.place.rsplit_once(", ").map_or(error.place.as_str(), |(_, key)| key);
    format!("{key} {}", error.problem)
}

fn set(models: &mut Vec<PricedModel>, own: &Override, prices: Vec<Price>) {
    let index = position(models, &own.provider, &own.model).unwrap_or_else(|| {
        models.push(PricedModel {
            provider: own.provider.clone(),
            id: own.model.clone(),
            ..PricedModel::default()
        });
        models.len().saturating_sub(1)
    });
    if let Some(model) = models.get_mut(index) {
        prices.into_iter().for_each(|price| model.set_price(price));
    }
}

/// The row that a name means by itself: no snapshot, no other seller.
fn position(models: &[PricedModel], provider: &str, name: &str) -> Option<usize> {
    let name = names::bare(name);
    models
        .iter()
        .position(|model| model.provider == provider && model.names().any(|known| names::bare(known) == name))
}

/// Adds a row of one's own, first, so that its name is its own.
fn add(models: &mut Vec<PricedModel>, own: &OwnModel, prices: Vec<Price>) -> Option<NameMap> {
    models.retain(|model| !(model.provider == own.provider && model.id == own.name));
    let (provider, id) = (own.provider.clone(), own.name.clone());
    models.insert(0, PricedModel { provider, id, prices, ..PricedModel::default() });
    (!own.facts.is_empty()).then(|| map(own, &own.provider, &own.name))
}

fn map(own: &OwnModel, provider: &str, model: &str) -> NameMap {
    NameMap {
        provider: own.provider.clone(),
        name: names::bare(&own.name).into_owned(),
        to_provider: provider.to_owned(),
        to_model: model.to_owned(),
        facts: own.facts.clone(),
    }
}

fn no_model(provider: &str, model: &str) -> String {
    format!("`{provider}` has no model `{model}`; see `tollgate prices list`")
}

fn reduce(models: &mut [PricedModel], discount: &Discount) -> Result<(), String> {
    let only = match (&discount.provider, &discount.model) {
        (Some(provider), Some(model)) => {
            let found = position(models, provider, model);
            Some(found.ok_or_else(|| no_model(provider, model))?)
        }
        (None, Some(model)) => return Err(format!("`model` is `{model}`, but there is no `provider`")),
        _ => None,
    };
    if let Some(provider) = &discount.provider
        && !models.iter().any(|model| model.provider == *provider)
    {
        return Err(format!("`provider` is `{provider}`, which has no prices"));
    }
    let is_meant = |(index, model): &(usize, &mut PricedModel)| match only {
        Some(only) => *index == only,
        None => discount.provider.as_ref().is_none_or(|provider| model.provider == *provider),
    };
    for (_, model) in models.iter_mut().enumerate().filter(is_meant) {
        let period = (discount.from_ms, discount.until_ms);
        model.discount(period, discount.route.as_deref(), &discount.multiply, &discount.label)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use tollgate_core::price::{Facts, day_ms};
    use tollgate_core::usage::Usage;

    fn built(text: &str) -> Result<PriceBook, Vec<String>> {
        let config = Config::parse("t.toml", text).map_err(|errors| vec![errors.to_string()])?;
        book("t.toml", &config.prices)
    }

    fn cost(book: &PriceBook, provider: &str, model: &str, day: &str) -> Option<String> {
        let usage = Usage { input_tokens: Some(1_000_000), ..Usage::default() };
        let time_ms = day_ms(day).unwrap();
        let facts = Facts { provider, request_model: Some(model), time_ms, ..Facts::default() };
        let priced = book.price(&facts, &usage);
        priced
            .complete
            .then(|| priced.cost.to_string().trim_end_matches('0').trim_end_matches('.').to_owned())
    }

    #[test]
    fn the_operators_prices_names_and_discounts_hold() {
        let book = built(
            "[[prices.override]]
             provider = 'openai'
             model = 'gpt-4.1'
             from = '2026-01-01'
             until = '2026-02-01'
             tokens = { input = '1.5', output = '6' }
             [[prices.override]]
             provider = 'openai'
             model = 'my-own'
             tokens = { input = '7' }
             [[prices.model]]
             provider = 'azure'
             name = 'prod-EU'
             model = 'gpt-4.1'
             facts = { geo = 'eu' }
             [[prices.model]]
             provider = 'vllm'
             name = 'llama-70b'
             gpu_hour = '2.50'
             gpus = 4
             tokens_per_hour = 3_600_000
             [[prices.model]]
             provider = 'vllm'
             name = 'tiny'
             tokens = { input = '0', output = '0' }
             [[prices.discount]]
             provider = 'openai'
             model = 'gpt-4.1'
             from = '2026-03-01'
             multiply = '0.85'
             name = 'contract 7'",
        )
        .unwrap();
        for (provider, model, day, expected) in [
            ("openai", "gpt-4.1", "2025-12-31", Some("2")),
            ("openai", "gpt-4.1", "2026-01-31", Some("1.5")),
            ("openai", "gpt-4.1", "2026-02-01", Some("2")),
            ("openai", "gpt-4.1", "2026-03-01", Some("1.7")),
            ("openai", "my-own", "2026-03-01", Some("7")),
            ("azure", "prod-eu", "2026-03-01", Some("2.2")),
            ("vllm", "llama-70b", "2026-03-01", Some("2.777778")),
            ("vllm", "tiny", "2026-03-01", Some("0")),
            ("vllm", "other", "2026-03-01", None),
        ] {
            assert_eq!(cost(&book, provider, model, day).as_deref(), expected, "{provider} {model} {day}");
        }
        assert_ne!(book.version(), built("").unwrap().version());
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let errors = built(
            "[prices]
             unpriced = 'shrug'
             [[prices.override]]
             provider = 'openai'
             tokens = { input = '1' }
             [[prices.discount]]
             multiplier = '2'
             [[prices.model]]
             provider = 'vllm'
             name = 'x'
             gpu_hour = '2'
             [[prices.model]]
             provider = 'vllm'
             name = 'y'",
        )
        .unwrap_err()
        .join("\n");
        for expected in [
            "t.toml:2: `prices.unpriced` is `shrug`, not one of `allow`, `ceiling`, `deny`",
            "`prices.override[0].model` is missing",
            "`prices.discount[0].multiplier` is not a key",
            "`prices.discount[0].multiply` is missing",
            "`prices.model[0]` has a `gpu_hour` but no `tokens_per_hour`",
            "`prices.model[1]` needs one of `model`",
        ] {
            assert!(errors.contains(expected), "{expected} in\n{errors}");
        }
        let errors = built(
            "[[prices.override]]
             provider = 'openai'
             model = 'gpt-4.1'
             tokens = { input = '-1', outptu = '0.0000001' }
             [[prices.model]]
             provider = 'azure'
             name = 'x'
             model = 'no-such'
             [[prices.discount]]
             provider = 'openai'
             model = 'no-such'
             multiply = '0.5'
             [[prices.discount]]
             multiply = 'half'",
        )
        .unwrap_err()
        .join("\n");
        for expected in [
            "t.toml:1: `prices.override[0]`: tokens.input `-1` is negative",
            "tokens.outptu is no kind of usage",
            "`prices.model[0]`: `azure` has no model `no-such`",
            "`prices.discount[0]`: `openai` has no model `no-such`",
            "`prices.discount[1]`: `half` is not a multiplier",
        ] {
            assert!(errors.contains(expected), "{expected} in\n{errors}");
        }
    }

    #[test]
    fn an_own_file_takes_the_place_of_the_one_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let text = "provider = 'openai'\nsource = 's'\nchecked = '2026-01-01'\n[[model]]\nid = 'm'\n\
                    [[model.price]]\ntokens = { input = '3' }\n";
        std::fs::write(dir.path().join("openai.toml"), text).unwrap();
        let config = PricesConfig { dir: Some(dir.path().to_owned()), ..PricesConfig::default() };
        let read = book("t.toml", &config).unwrap();
        assert!(read.model("openai", "m").is_some() && read.model("openai", "gpt-5").is_none());
        assert!(read.model("anthropic", "claude-sonnet-4-5").is_some());
        std::fs::write(dir.path().join("openai.toml"), text.replace("'3'", "'x'")).unwrap();
        let errors = book("t.toml", &config).unwrap_err().join("\n");
        assert!(
            errors.contains("openai.toml: model m, price 1, tokens.input: `x` is not an amount"),
            "{errors}"
        );
    }
}
