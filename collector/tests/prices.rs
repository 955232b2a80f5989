//! The price book as an operator meets it: against recorded costs, by command, and in a running collector.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Output};

use tollgate_collector::work::meter::{Cut, Report, meter};
use tollgate_core::price::{EMBEDDED, Facts, PriceBook};
use tollgate_core::usage::{CacheTtl, Usage};

fn book() -> PriceBook {
    PriceBook::from_files(EMBEDDED).unwrap()
}

/// Recordings that do not tell their day, of a model whose price at its router has moved since: the book has
/// the catalogue's.
const OF_ANOTHER_DAY: [&str; 2] = ["30b7ad8f401088c2", "82b40d2d6408d0da"];

/// The recordings are not in the repository; where they are at hand, they count.
#[test]
fn nineteen_of_twenty_recorded_costs_are_within_one_percent() {
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/dev.jsonl");
    let Ok(file) = File::open(recordings) else {
        println!("no recordings at hand");
        return;
    };
    let mut report = Report::default();
    meter(BufReader::new(file), Cut::Whole, &book(), |exchange, metered| {
        if !OF_ANOTHER_DAY.contains(&exchange.id.as_str()) {
            report.add(exchange, metered);
        }
        Ok(())
    })
    .unwrap();
    assert!(report.prices_are_near(), "{}", report.print());
}

/// Dollars of a million tokens by kind, as genai-prices 0.2.3 or LiteLLM 1.109.1 have them.
#[test]
fn well_known_prices_are_what_one_of_the_two_sources_says() {
    let million = 1_000_000;
    let input = Usage { input_tokens: Some(million), ..Usage::default() };
    let output = Usage { output_tokens: Some(million), ..Usage::default() };
    let read = Usage { input_tokens: Some(million), cache_read_tokens: Some(million), ..Usage::default() };
    let write = |ttl| Usage {
        input_tokens: Some(million),
        cache_write_tokens: Some(million),
        cache_write_by_ttl: [(ttl, million)].into(),
        ..Usage::default()
    };
    let short = Usage { input_tokens: Some(100_000), ..Usage::default() };
    let flex: &[(&str, &str)] = &[("service_tier", "flex")];
    let batch: &[(&str, &str)] = &[("service_tier", "batch")];
    let priority: &[(&str, &str)] = &[("service_tier", "priority")];
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a Usage, &'a str);
    let (five_minutes, one_hour) = (write(CacheTtl::FiveMinutes), write(CacheTtl::OneHour));
    let cases: &[Case<'_>] = &[
        ("openai", "gpt-4o-mini-2024-07-18", &[], &input, "0.15"),
        ("openai", "gpt-5.4", &[], &short, "0.25"),
        ("openai", "gpt-5.4", &[], &input, "5"),
        ("openai", "gpt-5.4", flex, &short, "0.125"),
        ("openai", "gpt-5.4", priority, &short, "0.5"),
        ("openai", "gpt-5.4", batch, &input, "2.5"),
        ("openai", "gpt-5.4", &[], &read, "0.5"),
        ("openai", "text-embedding-3-small", batch, &input, "0.01"),
        ("anthropic", "claude-sonnet-4-5-20250929", &[], &output, "15"),
        ("anthropic", "claude-sonnet-4-5", &[], &five_minutes, "3.75"),
        ("anthropic", "claude-sonnet-4-5", &[], &one_hour, "6"),
        ("anthropic", "claude-opus-4-8", &[("speed", "fast")], &input, "10"),
        ("anthropic", "claude-opus-4-8", &[("geo", "us")], &input, "5.5"),
        ("anthropic", "claude-opus-4-8", &[("geo", "us"), ("service_tier", "batch")], &input, "2.75"),
        ("anthropic", "claude-haiku-5-5", &[], &short, "0.01"),
        ("anthropic", "claude-haiku-5-5", &[], &input, "0.5"),
        ("gemini", "models/gemini-2.5-flash", &[], &output, "2.5"),
        ("gemini", "gemini-2.5-flash", priority, &input, "0.54"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", &[], &input, "6.6"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", &[], &short, "0.33"),
        ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", &[], &short, "0.3"),
        ("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", &[], &short, "0.3"),
        ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0", &[], &input, "0.25"),
        ("mistral", "mistral-large-latest", &[], &input, "0.5"),
        ("xai", "grok-4.3", &[], &short, "0.125"),
        ("deepseek", "deepseek-v4-flash", &[], &input, "0.3"),
        ("groq", "openai/gpt-oss-120b", &[], &output, "0.6"),
        ("openrouter", "anthropic/claude-4.5-haiku-20251001", &[], &output, "5"),
    ];
    // 2026-11-23T09:00:00Z, a Monday in DeepSeek's peak hours.
    let time_ms = 1_795_424_400_000;
    let book = book();
    for (provider, name, conditions, usage, expected) in cases {
        let facts = Facts { provider, response_model: Some(name), time_ms, conditions, ..Facts::default() };
        let priced = book.price(&facts, usage);
        assert!(priced.complete, "{provider} {name} {conditions:?} is unpriced");
        let cost = priced.cost.to_string();
        assert_eq!(
            cost.trim_end_matches('0').trim_end_matches('.'),
            *expected,
            "{provider} {name} {conditions:?}"
        );
    }
    let unknown = Facts {
        provider: "anthropic",
        response_model: Some("claude-sonnet-4-5"),
        time_ms,
        conditions: &[("speed", "fast")],
        ..Facts::default()
    };
    let guessed = book.price(&unknown, &input);
    assert!(
        guessed.guessed && guessed.cost > "3".parse().unwrap(),
        "a speed without a price is a guess above the plain rate"
    );
}

#[test]
fn a_price_file_is_checked_and_compared_by_command() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("acme.toml");
    let text = "provider = 'acme'\nsource = 's'\nchecked = '2026-01-01'\n[[model]]\nid = 'm'\n[[model.price]]\n\
                tokens = { input = '1' }\n";
    fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    assert!(said(&tollgate(&["prices", "check", path])).contains("1 files, 1 models: good"));
    assert_eq!(said(&tollgate(&["prices", "diff", path])).trim(), "+ acme m");
    fs::write(&file, text.replace("'1'", "'-1'").replace("source = 's'", "source = ''")).unwrap();
    let wrong = tollgate(&["prices", "check", path]);
    assert!(!wrong.status.success());
    let errors = String::from_utf8_lossy(&wrong.stderr).into_owned();
    for expected in ["source: is empty", "model m, price 1, tokens.input: `-1` is negative"] {
        assert!(errors.contains(expected), "{expected} in {errors}");
    }
}

#[test]
fn rows_for_a_filter_without_a_collector_are_printed_as_it_reads_them() {
    let text = said(&tollgate(&["prices", "export", "openai:gpt-5", "anthropic:claude-sonnet-4-5-20250929"]));
    let read: PriceBook = serde_json::from_str(&text).unwrap();
    assert_eq!(read.models().len(), 2);
    assert!(read.model("openai", "gpt-5-2025-08-07").is_some());
    assert!(!tollgate(&["prices", "export", "openai:no-such"]).status.success());
}

#[test]
fn an_import_prints_before_it_writes() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.json");
    fs::write(&list, r#"{"acme/m": {"litellm_provider": "acme", "input_cost_per_token": 1e-06}}"#).unwrap();
    let into = dir.path().join("prices");
    fs::create_dir(&into).unwrap();
    let (list, into) = (list.to_str().unwrap(), into.to_str().unwrap());
    let common = ["prices", "import", list, "--provider", "acme", "--checked", "2026-11-23", "--into", into];
    assert_eq!(said(&tollgate(&common)).trim(), "+ acme m");
    assert_eq!(fs::read_dir(into).unwrap().count(), 0);
    assert_eq!(said(&tollgate(&[&common[..], &["--write"]].concat())).trim(), "+ acme m");
    assert_eq!(said(&tollgate(&common)).trim(), "nothing changes");
    assert!(said(&tollgate(&["prices", "check", into])).contains("good"));
}

fn tollgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}
