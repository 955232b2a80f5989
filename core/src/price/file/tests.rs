//! Price files: what they say, what is refused, and that they read back as written.

use super::*;
use crate::price::{Facts, Priced};
use crate::usage::Usage;
use proptest::prelude::*;

const GOOD: &str = r#"
    provider = "openai"
    source = "https://example.com/pricing"
    checked = "2026-10-14"
    [[model]]
    id = "gpt-x"
    dated = ["gpt-x"]
    moving = [{ name = "gpt-latest", from = "2026-08-21" }]
    [[model.price]]
    tokens = { input = "1.25", output = "10", cache_read = "0.125" }
    calls = { web_search = "0.01" }
    tier = [{ input_above = 100, tokens = { input = "2.5" } }]
    [[model.price.variant]]
    when = { service_tier = "flex" }
    tokens = { input = "0.625" }
    tier = [{ input_above = 100, tokens = { output = "7" } }]
    [[model.price.variant]]
    when = { service_tier = "batch" }
    multiply = "0.5"
    [[model.price.variant]]
    when = { speed = "fast" }
    daily = "16:30-00:30"
    multiply = "3"
    [[model.price.factor]]
    when = { geo = "us" }
    multiply = "1.1"
    [[model.price.factor]]
    when = { location = "*" }
    calls = { web_search = "0.025" }
    [[model.price]]
    from = "2026-03-01"
    tokens = { input = "1", output = "2" }
"#;

fn mistakes(text: &str) -> String {
    let errors = PriceBook::from_files(&[PriceFile { name: "f.toml", text }]).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn read(text: &str) -> PriceBook {
    PriceBook::from_files(&[PriceFile { name: "f.toml", text }])
        .unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"))
}

fn cost(input: u64, time_ms: u64, conditions: &[(&str, &str)]) -> i128 {
    priced(input, time_ms, conditions).cost.as_pico()
}

fn priced(input: u64, time_ms: u64, conditions: &[(&str, &str)]) -> Priced {
    let usage = Usage { input_tokens: Some(input), output_tokens: Some(1), ..Usage::default() };
    let facts =
        Facts { provider: "openai", response_model: Some("gpt-x"), time_ms, conditions, ..Facts::default() };
    read(GOOD).price(&facts, &usage)
}

#[test]
fn a_price_holds_until_the_next_and_a_tier_overlays_it() {
    let march = day_ms("2026-03-01").unwrap();
    assert_eq!(march, 1_772_323_200_000);
    assert_eq!(cost(1, march - 1, &[]), 1_250_000 + 10_000_000);
    assert_eq!(cost(1, march, &[]), 1_000_000 + 2_000_000);
    assert_eq!(cost(101, 0, &[]), 101 * 2_500_000 + 10_000_000);
    assert_eq!(cost(101, 0, &[("service_tier", "flex")]), 101 * 2_500_000 + 7_000_000);
    assert_eq!(cost(1, 0, &[("service_tier", "flex")]), 625_000 + 10_000_000);
}

#[test]
fn a_multiplier_and_a_factor_scale_every_tier_and_each_other() {
    assert_eq!(cost(1, 0, &[("service_tier", "batch")]), 625_000 + 5_000_000);
    assert_eq!(cost(101, 0, &[("service_tier", "batch")]), 101 * 1_250_000 + 5_000_000);
    assert_eq!(cost(1, 0, &[("geo", "us")]), 1_375_000 + 11_000_000);
    assert_eq!(cost(101, 0, &[("geo", "us"), ("service_tier", "batch")]), 101 * 1_375_000 + 5_500_000);
    let noon = 12 * 3_600_000;
    assert_eq!(cost(1, 0, &[("speed", "fast")]), 3_750_000 + 30_000_000);
    // Nobody knows what it costs outside its window: the dearest of what holds then.
    let outside = priced(1, noon, &[("speed", "fast")]);
    assert!(outside.guessed, "{outside:?}");
    assert_eq!(outside.cost.as_pico(), 1_375_000 + 11_000_000);
}

#[test]
fn a_factor_may_change_what_a_call_of_a_tool_costs_under_every_other_condition() {
    let usage = Usage { web_searches: Some(1), ..Usage::default() };
    let search = |conditions: &[(&str, &str)]| {
        let facts =
            Facts { provider: "openai", response_model: Some("gpt-x"), conditions, ..Facts::default() };
        read(GOOD).price(&facts, &usage).cost.to_string()
    };
    assert_eq!(search(&[]), "0.010000000000");
    assert_eq!(search(&[("location", "global")]), "0.010000000000", "a word for the plain rates");
    for location in ["europe-west1", "eu"] {
        assert_eq!(search(&[("location", location)]), "0.025000000000");
        assert_eq!(search(&[("location", location), ("service_tier", "batch")]), "0.025000000000");
    }
    assert_eq!(cost(1, 0, &[("location", "eu"), ("geo", "us")]), 1_375_000 + 11_000_000);
}

#[test]
fn a_row_that_charges_nothing_says_who_calls_it_free() {
    let book = PriceBook::from_files(EMBEDDED).unwrap_or_else(|errors| panic!("{errors:#?}"));
    for model in book.models() {
        for price in &model.prices {
            let charges = |sheet: &Sheet| {
                sheet.all_rates().all(|rates| rates.0.values().any(|rate| *rate > Picodollars::ZERO))
            };
            let called_free = price.origin.note.as_deref().is_some_and(|note| note.starts_with("free"));
            assert!(called_free || price.sheets().all(charges), "{} {}", model.provider, model.id);
        }
    }
}

#[test]
fn what_a_tier_or_variant_of_the_shipped_book_leaves_out_does_not_keep_the_plain_rate() {
    let mut gaps = Vec::new();
    for file in EMBEDDED {
        let parsed: File = toml::from_str(file.text).unwrap_or_else(|error| panic!("{}: {error}", file.name));
        for model in &parsed.model {
            for price in &model.price {
                let mut gap = |part: &str, own: &Amounts, of: &Amounts| {
                    let left_out = of.keys().filter(|kind| !own.is_empty() && !own.contains_key(*kind));
                    gaps.extend(left_out.map(|kind| format!("{}: {}, {part}: {kind}", file.name, model.id)));
                };
                for tier in &price.tier {
                    gap("tier", &tier.tokens, &price.tokens);
                }
                for variant in price.variant.iter().filter(|variant| variant.multiply.is_none()) {
                    let when = format!("{:?}", variant.when);
                    gap(&when, &variant.tokens, &price.tokens);
                    for tier in &variant.tier {
                        gap(&format!("tier of {when}"), &tier.tokens, &price.tokens);
                    }
                    for tier in &price.tier {
                        let has = variant.tier.iter().any(|own| own.input_above == tier.input_above);
                        assert!(has, "{}: {when} has no tier above {}", model.id, tier.input_above);
                    }
                }
            }
        }
    }
    assert!(gaps.is_empty(), "{gaps:#?}");
}

#[test]
fn a_router_charges_twice_the_input_for_a_cache_of_claude_that_lasts_an_hour() {
    let book = PriceBook::from_files(EMBEDDED).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let hour = Kind::from_name("cache_write_1h").unwrap_or_else(|| panic!("no such kind"));
    let is_routed = |model: &&PricedModel| {
        matches!(model.provider.as_str(), "openrouter" | "vercel-gateway") && model.id.contains("claude")
    };
    let mut seen = 0;
    for model in book.models().iter().filter(is_routed) {
        for rates in model.prices.iter().flat_map(Price::sheets).flat_map(Sheet::all_rates) {
            let writes = rates.0.contains_key(&Kind::CacheWrite);
            let twice = rates.of(Kind::Input).map(|input| input.times(2));
            assert!(!writes || rates.of(hour) == twice, "{} {}", model.provider, model.id);
            seen += usize::from(writes);
        }
    }
    assert!(seen > 80, "{seen}");
}

#[test]
fn each_mistake_has_its_message() {
    for (from, to, expected) in [
        ("\"1.25\"", "\"-1\"", "f.toml: model gpt-x, price 1, tokens.input: `-1` is negative"),
        ("\"1.25\"", "\"0.0000001\"", "more than six decimals"),
        ("\"1.25\"", "\"free\"", "`free` is not an amount of dollars"),
        ("cache_read", "cache_raed", "tokens.cache_raed: is no kind of usage; there are input, cache_read"),
        ("web_search", "input", "calls.input: belongs in `tokens`"),
        ("2026-03-01", "2026-3-1", "`2026-3-1` is not a day"),
        ("2026-03-01", "2026-02-30", "`2026-02-30` is not a day"),
        ("from = \"2026-03-01\"", "", "price 2: overlaps the one before"),
        ("id = \"gpt-x\"", "id = \"GPT\"", "id: `GPT` is not a lower-case name"),
        ("when = { service_tier = \"flex\" }", "when = {}", "has no condition"),
        (
            "when = { service_tier = \"flex\" }",
            "when = { colour = \"red\" }",
            "when.colour: is not a known fact",
        ),
        ("service_tier = \"flex\"", "service_tier = \"batch\"", "`service_tier=batch` is there twice"),
        ("multiply = \"0.5\"", "multiply = \"half\"", "`half` is not a multiplier"),
        ("multiply = \"0.5\"", "multiply = \"0\"", "`0` is not a multiplier"),
        ("calls = { web_search = \"0.025\" }", "", "factor: changes nothing; give `multiply`, or `calls`"),
        (
            "calls = { web_search = \"0.025\" }",
            "calls = { input = \"1\" }",
            "calls.input: belongs in `tokens`",
        ),
        ("16:30-00:30", "16:30-24:30", "`16:30-24:30` is not a window"),
        ("tokens = { input = \"1\", output = \"2\" }", "", "price 2, tokens: is missing"),
        (
            "tokens = { input = \"1\", output = \"2\" }",
            "tokens = { cache_read = \"1\" }",
            "only rates of parts",
        ),
        ("dated", "datd", "f.toml: line 7: unknown field `datd`"),
    ] {
        let found = mistakes(&GOOD.replacen(from, to, 1));
        assert!(found.contains(expected), "{expected} in {found}");
    }
    assert_eq!(mistakes(GOOD), "");
}

#[test]
fn a_file_reads_back_as_written() {
    let book = read(GOOD);
    let again = read(&book.to_file("openai", "Prices.\nRead."));
    assert_eq!(again.models(), book.models());
    assert_eq!(again.version(), book.version());
}

#[test]
fn the_embedded_book_reads_back_as_written() {
    let book = PriceBook::from_files(EMBEDDED).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let mut providers: Vec<&str> = book.models().iter().map(|model| model.provider.as_str()).collect();
    providers.dedup();
    for provider in providers {
        let again = read(&book.to_file(provider, ""));
        let models: Vec<_> =
            book.models().iter().filter(|model| model.provider == provider).cloned().collect();
        assert_eq!(again.models(), models, "{provider}");
    }
}

#[test]
fn no_rate_of_the_embedded_book_is_zero_by_omission() {
    let book = PriceBook::from_files(EMBEDDED).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert!(book.models().len() > 50);
    for model in book.models() {
        for rates in model.prices.iter().flat_map(Price::sheets).flat_map(Sheet::all_rates) {
            assert!(rates.0.keys().any(|kind| kind.inherits().is_none()), "{}", model.id);
            for kind in Kind::ALL {
                let own = rates.0.get(&kind).copied();
                let inherited = kind.inherits().and_then(|parent| rates.of(parent));
                assert_eq!(rates.of(kind), own.or(inherited), "{} {kind}", model.id);
            }
        }
    }
}

#[test]
fn every_name_of_the_embedded_book_means_its_own_row() {
    let book = PriceBook::from_files(EMBEDDED).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let mut taken = Vec::new();
    for model in book.models() {
        for name in std::iter::once(&model.id).chain(&model.aliases) {
            let found = book.find(&model.provider, name, 0).map(|found| found.model.id.as_str());
            if found != Some(&model.id) && !model.moving.iter().any(|moving| moving.name == *name) {
                taken.push(format!("{} {name} of {} means {found:?}", model.provider, model.id));
            }
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
}

fn any_rates() -> impl Strategy<Value = Rates> {
    let amount = || (0i128..1 << 50).prop_map(Picodollars::from_pico);
    let rest = proptest::collection::btree_map(proptest::sample::select(Kind::ALL.to_vec()), amount(), 0..5);
    (amount(), rest).prop_map(|(input, mut rates)| {
        rates.insert(Kind::Input, input);
        Rates(rates)
    })
}

fn any_model() -> impl Strategy<Value = PricedModel> {
    let day = |n: u64| n * 86_400_000;
    let variant = (any_rates(), proptest::option::of(0u16..700), "[a-z\"\\\\ ]{1,6}");
    let price = (any_rates(), proptest::collection::vec(variant, 0..3), 0u64..20_000);
    (proptest::collection::vec(price, 1..3), "[a-z0-9.:/-]{1,12}").prop_map(move |(prices, id)| {
        let prices = (0u64..)
            .zip(prices)
            .map(|(at, (rates, variants, until))| {
                let over = |own: Rates| {
                    let mut all = rates.clone();
                    all.0.extend(own.0);
                    all
                };
                let mut price = Price {
                    from_ms: day(at * 30_000),
                    until_ms: Some(day(at * 30_000 + until + 1)),
                    standard: Sheet { rates: rates.clone(), tiers: vec![] },
                    origin: Origin { source: "s\u{7}".into(), checked: "2026-01-01".into(), note: None },
                    ..Price::default()
                };
                for (number, (own, daily, word)) in variants.into_iter().enumerate() {
                    price.variants.push(Variant {
                        when: [("service_tier".to_owned(), format!("{word}{number}"))].into(),
                        daily: daily.map(|from| Daily {
                            from_minute: from,
                            to_minute: from + 700,
                            weekdays: from % 2 == 0,
                        }),
                        sheet: Sheet { rates: over(own), tiers: vec![] },
                        discount: None,
                    });
                }
                price.order_variants();
                price
            })
            .collect();
        PricedModel { provider: "openai".into(), id, prices, ..PricedModel::default() }
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_equal(model in any_model()) {
        let book = PriceBook::of_models(vec![model], vec![]);
        let again = read(&book.to_file("openai", ""));
        prop_assert_eq!(again.models(), book.models());
    }

    #[test]
    fn days_print_and_parse_alike(days in 0u64..2_000_000) {
        let ms = days * 86_400_000;
        prop_assert_eq!(day_ms(&crate::price::day(ms)), Some(ms));
    }

    #[test]
    fn no_text_panics(text in ".{0,80}") {
        let _ = mistakes(&text);
    }
}
