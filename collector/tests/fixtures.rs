//! Every fixture is metered as its author worked it out, however its bytes are cut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // a test that cannot go on should say where

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use tollgate_collector::work::meter::{Cut, Metered, Report, meter};
use tollgate_core::price::{CostStatus, EMBEDDED, PriceBook};
use tollgate_core::record::Outcome;

const CUTS: [Cut; 4] = [Cut::Whole, Cut::Every(1), Cut::Every(13), Cut::Random(7)];

#[test]
fn every_fixture_is_metered_as_expected_at_every_cut() {
    check(&fixtures(), CUTS.as_slice());
}

/// The recordings are not in the repository; where they are at hand, they count.
#[test]
fn every_recording_is_metered_as_expected() {
    let recordings = workspace().join("../shared/corpus/dev.jsonl");
    if recordings.exists() {
        check(&[recordings], &[Cut::Whole, Cut::Random(7)]);
    } else {
        println!("no recordings at hand");
    }
}

#[test]
fn nothing_is_called_measured_where_the_provider_said_nothing() {
    for (name, status) in [
        ("chat-stream-without-usage", CostStatus::Estimated),
        ("chat-error-in-stream", CostStatus::Estimated),
        ("chat-not-what-it-says", CostStatus::Estimated),
        ("chat-cut-in-the-middle", CostStatus::Estimated),
        ("chat-unknown-model", CostStatus::Unpriced),
        ("chat-rate-limited", CostStatus::Free),
        ("messages-count-tokens", CostStatus::Free),
        ("chat-json", CostStatus::Measured),
        ("chat-usage-null", CostStatus::Estimated),
        ("chat-scale-tier", CostStatus::Free),
        // An error before any output, in an answer of status 200: nobody charges for it.
        ("responses-error-event", CostStatus::Free),
        ("responses-image-tool", CostStatus::Unpriced),
        ("runs-started", CostStatus::Free),
        ("runs-stream", CostStatus::Measured),
        // It goes on without its caller: who fetches the run's result shows what it cost.
        ("runs-stream-cut", CostStatus::Free),
        ("speech-bytes", CostStatus::Estimated),
        ("chat-perplexity-research", CostStatus::Measured),
    ] {
        assert_eq!(find(name).cost_status, status, "{name}");
    }
    assert_eq!(find("chat-error-in-stream").outcome, Outcome::Error);
}

#[test]
fn what_the_provider_says_it_costs_is_kept_beside_our_price() {
    for (name, dollars) in [
        ("chat-openrouter-cost", "0.000020000000"),
        ("chat-vercel-reasoning-beside", "0.001250000000"),
        ("chat-xai-reasoning-beside", "0.001500000000"),
        ("chat-perplexity-every-chunk", "0.005007000000"),
        ("chat-perplexity-research", "0.147566000000"),
        ("chat-litellm-cost-in-header", "0.000042500000"),
    ] {
        let cost = find(name).provider_cost_usd.unwrap_or_else(|| panic!("{name} has no provider cost"));
        assert_eq!(cost.to_string(), dollars, "{name}");
    }
}

/// Worked out by hand from the rates of 2026-11-25 in the book, in dollars a million tokens.
#[test]
fn what_stands_beside_the_counts_decides_the_price() {
    for (name, dollars) in [
        // 0.30 and 2.50, halved by the tier that only a header names.
        ("generate-tier-in-header", "0.000026500000"),
        // 1.25 and 10, doubled.
        ("chat-priority-tier", "0.000125000000"),
        // 0.006 dollars a minute.
        ("transcription-part-of-a-second", "0.000325000000"),
        // 2 and 8, halved in a batch.
        ("batch-output-lines", "0.000079000000"),
        // 2 and 8.
        ("runs-stream", "0.000606000000"),
        // 2, 8 and 3 for reasoning, 2 for what is cited, and 28 searches at 0.005 dollars: as the provider
        // says.
        ("chat-perplexity-research", "0.147566000000"),
        // 20 characters at 15 dollars a million.
        ("speech-bytes", "0.000300000000"),
    ] {
        assert_eq!(find(name).cost_usd.to_string(), dollars, "{name}");
    }
}

fn check(files: &[PathBuf], cuts: &[Cut]) {
    let mut whole: Option<Vec<Metered>> = None;
    for cut in cuts {
        let mut report = Report::default();
        let mut lines = Vec::new();
        for file in files {
            meter(reader(file), *cut, &book(), |exchange, metered| {
                report.add(exchange, metered);
                lines.push(metered.clone());
                Ok(())
            })
            .unwrap();
        }
        println!("{cut:?}\n{}", report.print());
        assert!(report.is_right(false), "{cut:?}");
        assert!(!lines.is_empty());
        match &whole {
            None => whole = Some(lines),
            Some(whole) => assert_eq!(&lines, whole, "{cut:?} differs from the whole"),
        }
    }
}

fn find(name: &str) -> Metered {
    let mut found = None;
    for file in fixtures() {
        meter(reader(&file), Cut::Whole, &book(), |_, metered| {
            if metered.id == name {
                found = Some(metered.clone());
            }
            Ok(())
        })
        .unwrap();
    }
    found.unwrap_or_else(|| panic!("no fixture {name}"))
}

fn fixtures() -> Vec<PathBuf> {
    let folder = fs::read_dir(workspace().join("core/testdata")).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn reader(path: &Path) -> BufReader<File> {
    BufReader::new(File::open(path).unwrap())
}

fn book() -> PriceBook {
    PriceBook::from_files(EMBEDDED).unwrap()
}
