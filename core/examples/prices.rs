//! How fast the whole book loads and a price is found, and what a gateway holds:
//! `cargo run --release -p tollgate-core --features book --example prices`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use tollgate_core::price::{EMBEDDED, Facts, PriceBook, Wanted};
use tollgate_core::usage::Usage;

const NOW_MS: u64 = 1_795_000_000_000;

fn main() {
    let mut loads: Vec<_> = (0..20)
        .map(|_| {
            let started = Instant::now();
            black_box(PriceBook::from_files(EMBEDDED).unwrap());
            started.elapsed()
        })
        .collect();
    loads.sort();
    let book = PriceBook::from_files(EMBEDDED).unwrap();
    println!("load     {} models: median {:.1?}, worst {:.1?}", book.models().len(), loads[10], loads[19]);
    for (provider, name) in [
        ("openai", "gpt-5"),
        ("openai", "gpt-4o-mini-2024-07-18"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("openrouter", "anthropic/claude-4.5-haiku-20251001"),
        ("openai", "no-such-model"),
    ] {
        let started = Instant::now();
        for _ in 0..ROUNDS {
            black_box(book.find(black_box(provider), black_box(name), NOW_MS));
        }
        let find = started.elapsed() / ROUNDS;
        let usage = Usage { input_tokens: Some(7), output_tokens: Some(3), ..Usage::default() };
        let conditions = &[("service_tier", "default")];
        let facts =
            Facts { provider, response_model: Some(name), time_ms: NOW_MS, conditions, ..Facts::default() };
        let started = Instant::now();
        for _ in 0..ROUNDS {
            black_box(book.price(black_box(&facts), black_box(&usage)));
        }
        println!("find     {find:.1?}, price a call {:.1?}: {provider} {name}", started.elapsed() / ROUNDS);
    }
    // The fifty largest rows of the providers that most calls go to.
    let mut sizes: Vec<(usize, Wanted)> = book
        .models()
        .iter()
        .filter(|model| {
            ["openai", "anthropic", "gemini", "bedrock", "azure"].contains(&model.provider.as_str())
        })
        .map(|model| {
            let wanted = Wanted { provider: model.provider.clone(), model: model.id.clone() };
            (serde_json::to_vec(model).unwrap().len(), wanted)
        })
        .collect();
    sizes.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    let fifty: Vec<Wanted> = sizes.into_iter().take(50).map(|(_, wanted)| wanted).collect();
    let part = book.subset(&fifty, NOW_MS, usize::MAX);
    let bytes = serde_json::to_vec(&part).unwrap().len();
    println!("gateway  the {} largest models: {} KiB", part.models().len(), bytes / 1024);
    let whole = serde_json::to_vec(&book).unwrap().len();
    println!("whole    {} KiB as JSON", whole / 1024);
}

const ROUNDS: u32 = 200_000;
