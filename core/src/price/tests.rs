//! The rules of pricing and of finding a row.

use super::*;
use crate::price::charge::Step;
use proptest::prelude::*;

fn rate(pico: i128) -> Picodollars {
    Picodollars::from_pico(pico)
}

fn rates(input: i128, output: i128) -> Rates {
    Rates([(Kind::Input, rate(input)), (Kind::Output, rate(output))].into())
}

fn sheet(input: i128, output: i128) -> Sheet {
    Sheet { rates: rates(input, output), tiers: vec![] }
}

fn variant(when: &[(&str, &str)], input: i128) -> Variant {
    let when = when.iter().map(|(fact, value)| ((*fact).to_owned(), (*value).to_owned())).collect();
    Variant { when, sheet: sheet(input, input), ..Variant::default() }
}

fn model(provider: &str, id: &str, price: Price) -> PricedModel {
    PricedModel { provider: provider.into(), id: id.into(), prices: vec![price], ..PricedModel::default() }
}

fn book() -> PriceBook {
    let mut price = Price {
        from_ms: 1_000,
        standard: Sheet {
            rates: rates(10, 20),
            tiers: vec![Tier { input_above: 100, rates: rates(30, 40) }],
        },
        variants: vec![
            variant(&[("service_tier", "flex")], 5),
            variant(&[("service_tier", "priority|fast")], 50),
            variant(&[("geo", "us")], 11),
            variant(&[("geo", "us"), ("service_tier", "flex")], 6),
        ],
        ..Price::default()
    };
    price.order_variants();
    PriceBook::new(
        "v1".into(),
        vec![PricedModel {
            aliases: vec!["gpt-x-latest".into()],
            dated: vec!["gpt-x".into()],
            ..model("openai", "gpt-x", price)
        }],
    )
}

fn facts(model: &'static str) -> Facts<'static> {
    Facts { provider: "openai", response_model: Some(model), time_ms: 1_000, ..Facts::default() }
}

fn priced(facts: &Facts<'_>, input: u64) -> Priced {
    let usage = Usage { input_tokens: Some(input), output_tokens: Some(1), ..Usage::default() };
    let priced = book().price(facts, &usage);
    assert_eq!(priced.cost, priced.charges.iter().map(|charge| charge.cost_usd).sum());
    priced
}

fn cost(facts: &Facts<'_>, input: u64) -> Option<i128> {
    let priced = priced(facts, input);
    priced.complete.then_some(priced.cost.as_pico())
}

#[test]
fn tier_applies_strictly_above_its_threshold() {
    assert_eq!(cost(&facts("gpt-x"), 100), Some(100 * 10 + 20));
    assert_eq!(cost(&facts("gpt-x"), 101), Some(101 * 30 + 40));
    assert_eq!(priced(&facts("gpt-x"), 101).basis[0].input_above, Some(100));
}

#[test]
fn names_match_whole_or_with_a_snapshot_only() {
    for name in ["gpt-x", "GPT-X", "gpt-x-latest", "gpt-x-2025-08-07", "gpt-x-20250807", "gpt-x-0807"] {
        assert!(cost(&facts(name), 1).is_some(), "{name}");
    }
    for name in ["gpt-x-mini", "gpt-x-mini-2025-08-07", "gpt", "gpt-x-latest-2025-08-07", "gpt-x-25"] {
        assert_eq!(cost(&facts(name), 1), None, "{name}");
    }
}

#[test]
fn a_price_holds_from_its_day_on() {
    assert_eq!(cost(&Facts { time_ms: 999, ..facts("gpt-x") }, 1), None);
}

#[test]
fn a_condition_chooses_its_variant_and_an_unknown_one_the_dearest_that_may_be_for_it() {
    type Conditions = &'static [(&'static str, &'static str)];
    let table: &[(Conditions, Option<i128>)] = &[
        (&[("service_tier", "flex")], Some(10)),
        (&[("service_tier", "FAST")], Some(100)),
        (&[("service_tier", "priority"), ("speed", "standard")], Some(100)),
        (&[("service_tier", "default")], Some(30)),
        (&[("service_tier", "auto"), ("geo", "global")], Some(30)),
        (&[("traffic_type", "ON_DEMAND")], Some(30)),
        (&[("traffic_type", "ON_DEMAND_FLEX")], Some(10)),
        (&[("geo", "us")], Some(22)),
        (&[("geo", "us"), ("service_tier", "flex")], Some(12)),
        (&[("service_tier", "balanced")], Some(100)),
        // Of a sort that the row has no price for: twice as much.
        (&[("speed", "fast")], Some(200)),
        // What waits is no dearer than a plain call, and a batch half of it where that is known.
        (&[("service_tier", "batch")], Some(15)),
        (&[("service_tier", "batch"), ("geo", "us")], Some(12)),
        (&[("geo", "eu")], Some(100)),
        (&[("geo", "us"), ("service_tier", "priority")], Some(100)),
        (&[("requested_service_tier", "flex")], Some(10)),
        (&[("requested_service_tier", "nonsense")], Some(30)),
        (&[("requested_service_tier", "scale")], Some(30)),
        (&[("requested_service_tier", "flex"), ("service_tier", "priority")], Some(100)),
    ];
    for (conditions, expected) in table {
        assert_eq!(cost(&Facts { conditions, ..facts("gpt-x") }, 1), *expected, "{conditions:?}");
    }
}

#[test]
fn a_word_that_no_row_prices_makes_an_estimate_and_never_a_free_call() {
    for (conditions, expected) in [
        (&[("service_tier", "balanced")][..], (100, CostStatus::Estimated, true)),
        (&[("speed", "fast")], (200, CostStatus::Estimated, true)),
        // What a tool costs that the row does not name is missing, and the tokens are charged.
        (&[("tool", "image_generation")], (100, CostStatus::Unpriced, false)),
        (&[("service_tier", "flex")], (10, CostStatus::Measured, false)),
    ] {
        let priced = priced(&Facts { conditions, ..facts("gpt-x") }, 1);
        let cost = priced.cost.as_pico();
        assert_eq!((cost, priced.status(true), priced.guessed), expected, "{conditions:?}");
        let (fact, word) = conditions[0];
        assert_eq!(priced.basis[0].facts[fact], word);
    }
}

#[test]
fn tokens_of_reserved_capacity_are_free_and_its_searches_are_not() {
    for word in ["scale", "reserved", "PROVISIONED_THROUGHPUT"] {
        let conditions = &[("service_tier", word)];
        let facts = Facts { conditions, ..facts("gpt-x") };
        assert_eq!(priced(&facts, 7).status(true), CostStatus::Free, "{word}");
        let usage = Usage { input_tokens: Some(1), web_searches: Some(2), ..Usage::default() };
        assert_eq!(book().price(&facts, &usage).status(true), CostStatus::Unpriced, "{word}");
    }
}

#[test]
fn a_routers_own_capacity_costs_its_caller_the_plain_rates() {
    let usage = Usage { input_tokens: Some(1), ..Usage::default() };
    let conditions = &[("service_tier", "provisioned")];
    let response_model = Some("openai/gpt-4o-mini");
    let facts = Facts { provider: "openrouter", response_model, conditions, ..Facts::default() };
    assert_eq!(catalogue().price(&facts, &usage).status(true), CostStatus::Measured);
}

#[test]
fn a_daily_window_holds_by_the_clock_of_utc() {
    let night = Daily { from_minute: 16 * 60 + 30, to_minute: 30, weekdays: false };
    for (minute, holds) in [(0, true), (29, true), (30, false), (989, false), (990, true), (1_439, true)] {
        assert_eq!(night.holds_at(minute * 60_000 + 86_400_000), holds, "{minute}");
    }
    let work = Daily { from_minute: 60, to_minute: 240, weekdays: true };
    for (day, holds) in [(0, true), (1, true), (2, false), (3, false), (4, true)] {
        assert_eq!(work.holds_at(day * 86_400_000 + 2 * 3_600_000), holds, "day {day}, a Thursday being 0");
    }
    let price = Price {
        standard: sheet(10, 10),
        variants: vec![Variant { daily: Some(night), sheet: sheet(5, 5), ..Variant::default() }],
        ..Price::default()
    };
    let book = PriceBook::new("v".into(), vec![model("openai", "gpt-x", price)]);
    let usage = Usage { input_tokens: Some(1), ..Usage::default() };
    let at = |time_ms| book.price(&Facts { time_ms, ..facts("gpt-x") }, &usage).cost.as_pico();
    assert_eq!((at(0), at(12 * 3_600_000)), (5, 10));
}

#[test]
fn a_rate_left_out_is_inherited_and_never_zero() {
    let rates = rates(10, 20);
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_input()) {
        assert_eq!(rates.of(kind), Some(rate(10)), "{kind}");
    }
    assert_eq!(rates.of(Kind::Reasoning), Some(rate(20)));
    assert_eq!(rates.of(Kind::WebSearch), None);
}

#[test]
fn seconds_and_tokens_of_sound_are_charged_once_and_never_as_nothing() {
    let heard = |kinds: &[(Kind, i128)], usage: &Usage| {
        let rates = Rates(kinds.iter().map(|(kind, pico)| (*kind, rate(*pico))).collect());
        let price = Price { standard: Sheet { rates, tiers: vec![] }, ..Price::default() };
        let priced = PriceBook::new("v".into(), vec![model("p", "voice", price)])
            .price(&Facts { provider: "p", response_model: Some("voice"), ..Facts::default() }, usage);
        priced.complete.then(|| priced.cost.as_pico())
    };
    let tokens = Usage {
        input_tokens: Some(10),
        input_audio_tokens: Some(8),
        output_tokens: Some(5),
        ..Usage::default()
    };
    let both = Usage { audio_ms: Some(1_000), ..tokens.clone() };
    let (time, input, output) = ((Kind::AudioMillisecond, 7), (Kind::Input, 2), (Kind::Output, 3));
    assert_eq!(heard(&[time], &both), Some(7_000));
    assert_eq!(heard(&[time], &tokens), None, "no seconds were told");
    assert_eq!(heard(&[input, output], &both), Some(35));
    assert_eq!(heard(&[input, output, time], &both), Some(7_000 + 2 * 2 + 15), "sound by its seconds alone");
    assert_eq!(heard(&[input, output, time, (Kind::InputAudio, 9)], &both), Some(7_000 + 2 * 2 + 8 * 9 + 15));
    assert_eq!(heard(&[input], &both), None, "what was said has no rate");
    assert_eq!(heard(&[(Kind::Image, 1)], &Usage { audio_ms: Some(1), ..Usage::default() }), None);
}

#[test]
fn citation_tokens_have_a_rate_of_their_own_or_none() {
    let used = Usage {
        output_tokens: Some(9),
        citation_tokens: Some(4),
        reasoning_tokens: Some(2),
        ..Usage::default()
    };
    let mut rates = rates(10, 20);
    let mut priced = |citation: Option<i128>| {
        rates.0.extend(citation.map(|pico| (Kind::Citation, rate(pico))));
        let price = Price { standard: Sheet { rates: rates.clone(), tiers: vec![] }, ..Price::default() };
        let book = PriceBook::new("v".into(), vec![model("openai", "m", price)]);
        let priced = book.price(&facts("m"), &used);
        (priced.cost.as_pico(), priced.status(true))
    };
    assert_eq!(priced(None), (5 * 20, CostStatus::Unpriced));
    assert_eq!(priced(Some(3)), (5 * 20 + 4 * 3, CostStatus::Measured));
}

#[test]
fn a_book_reads_back_as_written() {
    let json = serde_json::to_string(&book()).unwrap();
    let read: PriceBook = serde_json::from_str(&json).unwrap();
    assert_eq!(read.models(), book().models());
    assert!(read.model("openai", "gpt-x-2025-08-07").is_some());
}

#[test]
fn a_book_of_the_first_filters_is_still_read() {
    let json =
        r#"{"version":"v","models":[{"provider":"p","id":"m","prices":[{"rates":{"input":"0.000001"}}]}]}"#;
    let book: PriceBook = serde_json::from_str(json).unwrap();
    assert!(book.model("p", "m").is_some());
}

/// Rows as the providers name them, for the matching table.
fn catalogue() -> PriceBook {
    let price = || Price { standard: sheet(1, 1), ..Price::default() };
    let row =
        |provider: &str, id: &str| PricedModel { dated: vec![id.into()], ..model(provider, id, price()) };
    let only = |provider: &str, id: &str| model(provider, id, price());
    let moving =
        |from_ms, until_ms| vec![MovingAlias { name: "mistral-large-latest".into(), from_ms, until_ms }];
    PriceBook::new(
        "v".into(),
        vec![
            row("openai", "gpt-4o"),
            only("openai", "gpt-4o-2024-05-13"),
            row("openai", "gpt-4o-mini"),
            row("openai", "ft:gpt-4o-mini"),
            row("openai", "gpt-3.5-turbo-instruct"),
            only("openai", "davinci-002"),
            row("openai", "text-embedding-ada-002"),
            row("openai", "gpt-5"),
            row("azure", "gpt-3.5-turbo"),
            row("anthropic", "claude-haiku-4-5"),
            row("anthropic", "claude-3-7-sonnet"),
            only("bedrock", "anthropic.claude-sonnet-4-5-20250929"),
            only("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2"),
            only("bedrock", "amazon.nova-lite"),
            only("bedrock", "amazon.titan-embed-text-v2"),
            row("gemini", "gemini-2.0-flash"),
            row("openrouter", "anthropic/claude-haiku-4.5"),
            row("openrouter", "openai/gpt-4o-mini"),
            only("openrouter", "deepseek/deepseek-r1:free"),
            only("huggingface", "openai/gpt-oss-20b:groq"),
            only("fireworks", "accounts/fireworks/models/deepseek-v3p1"),
            PricedModel { moving: moving(0, Some(500)), ..only("mistral", "mistral-large-2411") },
            PricedModel { moving: moving(500, None), ..only("mistral", "mistral-large-2512") },
        ],
    )
}

#[test]
fn names_find_their_rows_by_the_eight_steps() {
    type Expected = Option<(&'static str, Step)>;
    let table: &[(&str, &str, Expected)] = &[
        // 1: case, paths, escapes, ARNs.
        ("openai", "GPT-4o", Some(("gpt-4o", Step::Exact))),
        ("gemini", "models/gemini-2.0-flash", Some(("gemini-2.0-flash", Step::Exact))),
        (
            "vertex",
            "publishers/google/models/gemini-2.0-flash-001",
            Some(("gemini-2.0-flash", Step::Relative)),
        ),
        (
            "fireworks",
            "accounts/fireworks/models/deepseek-v3p1",
            Some(("accounts/fireworks/models/deepseek-v3p1", Step::Exact)),
        ),
        (
            "bedrock",
            "anthropic.claude-3-5-sonnet-20241022-v2%3A0",
            Some(("anthropic.claude-3-5-sonnet-20241022-v2", Step::Bedrock)),
        ),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            Some(("anthropic.claude-sonnet-4-5-20250929", Step::Bedrock)),
        ),
        ("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", None),
        // 3: exact, and names that move.
        ("openai", "gpt-4o-2024-05-13", Some(("gpt-4o-2024-05-13", Step::Exact))),
        ("mistral", "mistral-large-latest", Some(("mistral-large-2512", Step::Moving))),
        // 4: Bedrock.
        (
            "bedrock",
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            Some(("anthropic.claude-sonnet-4-5-20250929", Step::Bedrock)),
        ),
        (
            "bedrock",
            "claude-sonnet-4-5-20250929",
            Some(("anthropic.claude-sonnet-4-5-20250929", Step::Bedrock)),
        ),
        (
            "bedrock",
            "anthropic.claude-3-5-sonnet-20241022-v2-0",
            Some(("anthropic.claude-3-5-sonnet-20241022-v2", Step::Bedrock)),
        ),
        ("bedrock", "us.amazon.nova-lite-v1:0:300k", Some(("amazon.nova-lite", Step::Bedrock))),
        ("bedrock", "amazon.titan-embed-text-v2:0", Some(("amazon.titan-embed-text-v2", Step::Bedrock))),
        ("bedrock", "amazon.nova-lite-v2:0", None),
        ("bedrock", "fr.amazon.nova-lite-v1:0", None),
        // 5: snapshots.
        ("openai", "gpt-4o-2024-11-20", Some(("gpt-4o", Step::Snapshot))),
        ("vertex", "claude-3-7-sonnet@20250219", Some(("claude-3-7-sonnet", Step::Relative))),
        ("anthropic", "claude-haiku-4-5-20251001", Some(("claude-haiku-4-5", Step::Snapshot))),
        (
            "openrouter",
            "anthropic/claude-4.5-haiku-20251001",
            Some(("anthropic/claude-haiku-4.5", Step::Router)),
        ),
        // 6: fine-tunes and spellings.
        ("openai", "ft:gpt-4o-mini-2024-07-18:org::id", Some(("ft:gpt-4o-mini", Step::FineTune))),
        ("openai", "ft:gpt-4o-2024-08-06:org::id", None),
        ("openai", "davinci:ft-org-2023", None),
        ("openai", "davinci:2023-07-21-v2", Some(("davinci-002", Step::Respelled))),
        ("openai", "gpt-3.5-turbo-instruct:20230824-v2", Some(("gpt-3.5-turbo-instruct", Step::Respelled))),
        ("openai", "text-embedding-ada-002-v2", Some(("text-embedding-ada-002", Step::Respelled))),
        ("azure", "gpt-35-turbo", Some(("gpt-3.5-turbo", Step::Respelled))),
        ("azure", "gpt-35-turbo-0613", Some(("gpt-3.5-turbo", Step::Respelled))),
        ("azure", "gpt-4o-mini-2024-07-18.ft-abc", None),
        // 7: routers.
        ("openrouter", "openai/gpt-4o-mini:nitro", Some(("openai/gpt-4o-mini", Step::Router))),
        ("openrouter", "openai/gpt-5", Some(("gpt-5", Step::Vendor))),
        ("openrouter", "deepseek/deepseek-r1:free", Some(("deepseek/deepseek-r1:free", Step::Exact))),
        ("openrouter", "openai/gpt-4o-mini:free", None),
        ("vercel-gateway", "anthropic/claude-haiku-4.5", Some(("claude-haiku-4-5", Step::Vendor))),
        ("huggingface", "openai/gpt-oss-20b:groq", Some(("openai/gpt-oss-20b:groq", Step::Exact))),
        ("azure", "gpt-5", Some(("gpt-5", Step::Relative))),
        // 8: nothing by its beginning.
        ("openai", "gpt-4o-audio-preview", None),
        ("openai", "gpt-5-mini", None),
        ("openai", "gpt-5-pro-2025-10-06", None),
        ("openai", "", None),
        ("nowhere", "gpt-5", None),
        ("local", "openai/gpt-5", None),
    ];
    let book = catalogue();
    for (provider, name, expected) in table {
        let found = book.find(provider, name, 1_000).map(|found| (found.model.id.as_str(), found.step));
        assert_eq!(found, *expected, "{provider} {name}");
    }
}

#[test]
fn a_moving_name_means_what_it_meant_then() {
    let book = catalogue();
    let at =
        |time_ms| book.find("mistral", "mistral-large-latest", time_ms).map(|found| found.model.id.clone());
    assert_eq!(at(499).as_deref(), Some("mistral-large-2411"));
    assert_eq!(at(500).as_deref(), Some("mistral-large-2512"));
}

#[test]
fn the_region_of_a_bedrock_name_chooses_its_rates_also_where_the_answer_names_the_plain_model() {
    let mut price = Price { standard: sheet(10, 10), ..Price::default() };
    price.variants = vec![variant(&[("geo", "us|eu")], 11)];
    let book = PriceBook::new("v".into(), vec![model("bedrock", "anthropic.claude-x", price)]);
    let usage = Usage { input_tokens: Some(1), ..Usage::default() };
    let cost = |response_model, request_model| {
        let facts = Facts { provider: "bedrock", response_model, request_model, ..Facts::default() };
        let priced = book.price(&facts, &usage);
        priced.complete.then_some(priced.cost.as_pico())
    };
    assert_eq!(cost(None, Some("anthropic.claude-x-v1:0")), Some(10));
    assert_eq!(cost(None, Some("us.anthropic.claude-x-v1:0")), Some(11));
    assert_eq!(cost(None, Some("global.anthropic.claude-x-v1:0")), Some(10));
    assert_eq!(cost(Some("claude-x"), Some("us.anthropic.claude-x-v1:0")), Some(11));
    // A region that the row does not name costs no less than the dearest that it does.
    assert_eq!(cost(None, Some("jp.anthropic.claude-x-v1:0")), Some(11));
}

#[test]
fn the_operators_name_means_the_row_and_says_what_the_answer_does_not() {
    let price =
        Price { standard: sheet(10, 10), variants: vec![variant(&[("geo", "eu")], 11)], ..Price::default() };
    let map = |provider: &str, name: &str, geo: Option<&str>| NameMap {
        provider: provider.into(),
        name: name.into(),
        to_provider: "azure".into(),
        to_model: "gpt-x".into(),
        facts: geo.map(|geo| ("geo".to_owned(), geo.to_owned())).into_iter().collect(),
    };
    let other = Price { standard: sheet(7, 7), ..Price::default() };
    let book =
        PriceBook::new("v".into(), vec![model("azure", "gpt-x", price), model("azure", "gpt-y", other)])
            .with_maps(vec![map("azure", "prod-eu", Some("eu")), map("vllm", "llama", None)]);
    let read: PriceBook = serde_json::from_str(&serde_json::to_string(&book).unwrap()).unwrap();
    let usage = Usage { input_tokens: Some(1), ..Usage::default() };
    for (provider, request_model, response_model, expected) in [
        ("azure", Some("prod-eu"), None, Some(11)),
        ("azure", Some("Prod-EU"), Some("gpt-x"), Some(11)),
        ("azure", Some("gpt-x"), Some("gpt-x"), Some(10)),
        ("azure", Some("prod-eu"), Some("gpt-y"), Some(7)),
        ("azure", Some("prod-eu"), Some("gpt-z"), Some(11)),
        ("vllm", Some("llama"), Some("llama"), Some(10)),
        ("vllm", Some("prod-eu"), None, None),
    ] {
        let facts = Facts { provider, request_model, response_model, ..Facts::default() };
        let priced = read.price(&facts, &usage);
        let found = priced.complete.then_some(priced.cost.as_pico());
        assert_eq!(found, expected, "{provider} {request_model:?} {response_model:?}");
    }
}

#[test]
fn another_sellers_row_is_an_estimate() {
    let usage = Usage { input_tokens: Some(1), ..Usage::default() };
    let facts = Facts { provider: "openrouter", response_model: Some("openai/gpt-5"), ..Facts::default() };
    assert_eq!(catalogue().price(&facts, &usage).status(true), CostStatus::Estimated);
}

#[test]
fn a_proxys_calls_are_estimated_at_the_price_of_whom_it_called() {
    let at = |provider: &'static str, seller: &'static str, model: &'static str| {
        let conditions = [("seller", seller)];
        let facts = Facts { provider, conditions: &conditions, ..facts(model) };
        let priced = book().price(&facts, &Usage { input_tokens: Some(7), ..Usage::default() });
        (
            priced.complete,
            priced.estimated,
            priced.charges.iter().map(|charge| charge.cost_usd.as_pico()).sum(),
        )
    };
    assert_eq!(at("litellm", "openai", "gpt-x-2026-01-01"), (true, true, 70_i128));
    assert_eq!(at("litellm", "groq", "gpt-x"), (false, false, 0));
    assert_eq!(at("litellm", "openai", "gpt-y"), (false, false, 0));
    assert_eq!(at("openai", "groq", "gpt-x"), (true, false, 70));
}

#[test]
fn a_part_of_a_book_has_the_rows_asked_for_within_its_bytes() {
    let book = catalogue();
    let wanted = |names: &[(&str, &str)]| -> Vec<Wanted> {
        let wanted = |(provider, model): &(&str, &str)| Wanted {
            provider: (*provider).into(),
            model: (*model).into(),
        };
        names.iter().map(wanted).collect()
    };
    let names = wanted(&[
        ("openai", "gpt-4o-2024-11-20"),
        ("openai", "gpt-4o"),
        ("openai", "x"),
        ("openai", "gpt-5"),
    ]);
    let part = book.subset(&names, 1_000, 10_000);
    let ids: Vec<&str> = part.models().iter().map(|model| model.id.as_str()).collect();
    assert_eq!((ids, part.version()), (vec!["gpt-4o", "gpt-5"], "v"));
    let size = serde_json::to_vec(&part).unwrap().len();
    assert!(serde_json::to_vec(&book.subset(&names, 1_000, size - 1)).unwrap().len() < size);
}

proptest! {
    #[test]
    fn no_name_panics(name in ".{0,40}", provider in "(openai|azure|bedrock|vertex|openrouter|anthropic)") {
        let _ = catalogue().find(&provider, &name, 0);
    }

    #[test]
    fn the_charges_of_a_call_add_up_to_its_cost(
        input in 0u64..1 << 40, cached in 0u64..1 << 40, output in 0u64..1 << 40, searches in 0u64..100,
    ) {
        let usage = Usage {
            input_tokens: Some(input), cache_read_tokens: Some(cached), output_tokens: Some(output),
            web_searches: Some(searches), ..Usage::default()
        };
        let priced = book().price(&facts("gpt-x"), &usage);
        prop_assert_eq!(priced.cost, priced.charges.iter().map(|charge| charge.cost_usd).sum());
        prop_assert_eq!(priced.complete, searches == 0);
        for charge in &priced.charges {
            prop_assert_eq!(charge.cost_usd, charge.rate.times(charge.quantity));
        }
    }
}

#[cfg(feature = "book")]
mod over_time {
    use super::*;
    use crate::record::{Head, UsageRecord};

    fn dated(prices: &[(u64, i128)]) -> PricedModel {
        let mut model = PricedModel { provider: "p".into(), id: "m".into(), ..PricedModel::default() };
        for (from_ms, input) in prices {
            model.set_price(Price { from_ms: *from_ms, standard: sheet(*input, *input), ..Price::default() });
        }
        model
    }

    fn at(model: &PricedModel, time_ms: u64) -> Option<i128> {
        model.price_at(time_ms)?.standard.rates.of(Kind::Input).map(Picodollars::as_pico)
    }

    #[test]
    fn an_override_holds_in_its_period_and_the_rest_stays() {
        let mut model = dated(&[(0, 10), (1_000, 20)]);
        let own = Price { from_ms: 500, until_ms: Some(1_500), standard: sheet(5, 5), ..Price::default() };
        model.set_price(own);
        let found: Vec<_> = [0, 499, 500, 1_499, 1_500, 9_999].map(|time| at(&model, time)).to_vec();
        assert_eq!(found, [Some(10), Some(10), Some(5), Some(5), Some(20), Some(20)]);
    }

    #[test]
    fn a_discount_scales_its_period_and_is_named() {
        let mut model = dated(&[(0, 100)]);
        model.discount((500, Some(800)), None, "0.85", "0.85 (contract)").unwrap();
        model.discount((600, None), None, "0.5", "0.5 (trial)").unwrap();
        let found: Vec<_> = [499, 500, 600, 800].map(|time| at(&model, time)).to_vec();
        assert_eq!(found, [Some(100), Some(85), Some(43), Some(50)]);
        assert_eq!(model.price_at(700).unwrap().discount.as_deref(), Some("0.85 (contract) × 0.5 (trial)"));
        assert!(model.discount((0, None), None, "-1", "x").is_err());
    }

    #[test]
    fn a_discount_by_route_holds_for_that_route_alone() {
        let mut model = dated(&[(0, 100)]);
        model.discount((0, None), Some("internal"), "0.5", "0.5").unwrap();
        let book = PriceBook::new("v".into(), vec![model]);
        let usage = Usage { input_tokens: Some(1), ..Usage::default() };
        for (conditions, cost) in
            [(vec![], 100), (vec![("route", "internal")], 50), (vec![("route", "other")], 100)]
        {
            let facts = Facts {
                provider: "p",
                response_model: Some("m"),
                conditions: &conditions,
                ..Facts::default()
            };
            assert_eq!(book.price(&facts, &usage).cost.as_pico(), cost, "{conditions:?}");
        }
    }

    #[test]
    fn a_record_priced_again_by_its_own_book_costs_the_same() {
        let book = book();
        for (conditions, input) in [
            (vec![], 50),
            (vec![], 500),
            (vec![("service_tier", "flex"), ("geo", "us")], 50),
            (vec![("requested_service_tier", "flex")], 50),
        ] {
            let facts = Facts { conditions: &conditions, ..facts("gpt-x") };
            let usage = Usage { input_tokens: Some(input), output_tokens: Some(2), ..Usage::default() };
            let priced = book.price(&facts, &usage);
            let record = UsageRecord {
                head: Head {
                    provider: "openai".into(),
                    response_model: Some("gpt-x".into()),
                    time_ms: 1_000,
                    ..Head::default()
                },
                usage,
                cost_usd: priced.cost,
                cost_status: priced.status(true),
                charges: priced.charges.clone(),
                price_basis: priced.basis.clone(),
                ..UsageRecord::default()
            };
            let (again, status) = book.price_again(&record).unwrap();
            assert_eq!((again, status), (priced, CostStatus::Measured), "{conditions:?}");
        }
    }

    #[test]
    fn what_was_unpriced_is_priced_once_there_is_a_row() {
        let usage = Usage { input_tokens: Some(3), output_tokens: Some(0), ..Usage::default() };
        let conditions = &[("service_tier", "flex")];
        let facts = Facts { conditions, ..facts("gpt-x") };
        let before = PriceBook::default().price(&facts, &usage);
        assert_eq!((before.complete, before.basis[0].step), (false, None));
        let record = UsageRecord {
            head: Head {
                provider: "openai".into(),
                response_model: Some("gpt-x".into()),
                time_ms: 1_000,
                ..Head::default()
            },
            usage,
            price_basis: before.basis,
            ..UsageRecord::default()
        };
        let (again, status) = book().price_again(&record).unwrap();
        assert_eq!((again.cost.as_pico(), status), (15, CostStatus::Measured));
    }
}

#[cfg(feature = "book")]
#[test]
fn a_part_of_the_book_finds_the_row_of_the_whole_or_none() {
    let whole = PriceBook::from_files(EMBEDDED).unwrap();
    let now_ms = 1_795_000_000_000;
    let names: Vec<Wanted> = whole
        .models()
        .iter()
        .flat_map(|row| {
            row.names().map(|name| Wanted { provider: row.provider.clone(), model: name.to_owned() })
        })
        .collect();
    let wanted: Vec<&Wanted> = names.iter().step_by(97).collect();
    let part = whole.subset(wanted.iter().copied(), now_ms, 240 * 1024);
    let part: PriceBook = serde_json::from_str(&serde_json::to_string(&part).unwrap()).unwrap();
    let mut found = 0;
    for Wanted { provider, model } in &names {
        for spelled in [model.clone(), format!("{model}-2026-01-02"), format!("openai/{model}")] {
            if let Some(row) = part.find(provider, &spelled, now_ms) {
                found += 1;
                let whole = whole.find(provider, &spelled, now_ms).unwrap();
                assert_eq!((&row.model.id, row.step), (&whole.model.id, whole.step), "{provider} {spelled}");
            }
        }
    }
    assert!(found >= wanted.len(), "{found} of {}", wanted.len());
}
