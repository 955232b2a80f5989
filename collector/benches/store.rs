//! How fast the store takes records and answers summaries: `cargo bench -p tollgate-collector`.
//!
//! `RECORDS` (default 1,000,000) of a cube of 200 agents × 4 features × 5 models × 3 environments over 90
//! days, in batches of `BATCH` (default 500), one at a time; then `LIVE` (default 500,000) of now, as four
//! gateways send them that report fifty thousand a second and, once a second, what they used of each counter
//! of three budgets: one for all, one for each team, one for each agent; then a summary by every two
//! dimensions over 30 days. With `DATA_DIR` only summaries, of the database there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use serde_json::json;
use tollgate_collector::model::calendar::span;
use tollgate_collector::model::dimension::Dimension;
use tollgate_collector::store::{Batch, Every, Filters, RecordsQuery, Sender, Store, SummaryQuery};
use tollgate_core::budget::ledger::Report;
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::{Amount, define};
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Charge, CostStatus};
use tollgate_core::protocol::sync::CounterReport;
use tollgate_core::record::{Head, UsageRecord};
use tollgate_core::usage::Usage;

const END_HOUR: u64 = 490_000;
const DAYS: u64 = 90;
const GATEWAYS: usize = 4;
const MADE_AT_A_TIME: usize = 40;
const LIVE_MS: u64 = END_HOUR * 3_600_000;
/// Records a second, by the records' own clock.
const LIVE_RATE: u64 = 50_000;

fn main() {
    if let Some(dir) = std::env::var_os("DATA_DIR") {
        return summarise(dir.as_ref());
    }
    let records = setting("RECORDS", 1_000_000);
    let batch = setting("BATCH", 500);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    runtime.block_on(async {
        let spent = fill(&store, records, batch).await;
        let rate = u128::from(records) * 1000 / spent.as_millis().max(1);
        println!("ingest   {records} records in batches of {batch}: {spent:.1?}, {rate} records/s");
        let live = setting("LIVE", 500_000);
        let counters = budgets(&store).await;
        let started = Instant::now();
        let sender =
            Sender { gateway: "edge-0".into(), instance: "one".into(), received_ms: LIVE_MS, ..Sender::default() };
        let mut first = Batch::new(sender);
        first.counters = reports(&counters, 0);
        store.ingest(first).await.unwrap();
        println!("counters {} made, with what records say was spent before: {:.1?}", counters.len(), started.elapsed());
        let before = cpu(is_writer);
        let spent = fill_live(&store, live, batch, records, &counters).await;
        let rate = u128::from(live) * 1000 / spent.as_millis().max(1);
        let keys = counters.len();
        println!("live     {live} records in batches of {batch} by {GATEWAYS} gateways at once, with {keys} counters: {spent:.1?}, {rate} records/s");
        let busy = cpu(is_writer).saturating_sub(before);
        let each = busy.as_nanos() / u128::from(live.max(1));
        println!("writer   {busy:.1?} of processor time, {each} ns a record");
        let started = Instant::now();
        let mut pieces = 1;
        while store.pack(None, LIVE_MS).await.unwrap() {
            pieces += 1;
        }
        let each = started.elapsed() / pieces;
        println!("pack     what is over, as a collector does by itself: {pieces} transactions of {each:.1?}");
        for (every, name) in [(Every::Period, "whole"), (Every::Day, "by day")] {
            ask(&store, END_HOUR, every, name).await;
        }
        compare(&store, END_HOUR).await;
    });
    let size = std::fs::metadata(dir.path().join("tollgate.db")).unwrap().len();
    println!("database {} MB, {} bytes a record", size >> 20, size / records);
    println!("memory   {}", memory());
    store.close().unwrap();
    let started = Instant::now();
    let store = Store::open(dir.path()).unwrap();
    runtime.block_on(store.ready()).unwrap();
    println!("start    {:.1?}", started.elapsed());
    store.close().unwrap();
}

/// Summaries of a database that is there already, over the thirty days before its newest record.
fn summarise(dir: &Path) {
    let store = Store::open(dir).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let newest = RecordsQuery { limit: 1, ..RecordsQuery::default() };
        let newest = store.records(newest).await.unwrap().records.pop().unwrap();
        let end_hour = newest.head.time_ms / 3_600_000;
        while store.pack(None, newest.head.time_ms).await.unwrap() {}
        for (every, name) in [(Every::Period, "whole"), (Every::Day, "by day")] {
            ask(&store, end_hour, every, name).await;
        }
        compare(&store, end_hour).await;
    });
    println!("memory   {}", memory());
}

/// Time that the store took; making the records is not counted.
async fn fill(store: &Store, records: u64, size: u64) -> Duration {
    let mut random = Random(7);
    let mut spent = Duration::ZERO;
    let mut number = 0;
    while number < records {
        let mut batch = Batch::new(Sender::default());
        for _ in 0..size {
            batch.push(&record(number, records, &mut random)).unwrap();
            number += 1;
        }
        let started = Instant::now();
        store.ingest(batch).await.unwrap();
        spent += started.elapsed();
    }
    spent
}

/// Three budgets, and every counter of theirs that the records touch.
async fn budgets(store: &Store) -> Vec<CounterKey> {
    let each = |each: &str, many: u64| (each.to_owned(), (0..many).map(|n| format!("{each}-{n}")).collect());
    let all: [(String, Vec<String>); 3] =
        [(String::new(), vec![String::new()]), each("team", 12), each("agent", 200)];
    let mut keys = Vec::new();
    for (each, values) in all {
        let name = format!("by-{each}");
        let mut budget = json!({"name": name, "limit_usd": "1000000", "window": "day"});
        if !each.is_empty() {
            budget["each"] = each.into();
        }
        let budget = define::read_one(&budget, None).unwrap();
        let span = span(&budget, LIVE_MS);
        store.put_budget(budget, "bench".into(), LIVE_MS).await.unwrap();
        let key = |value| CounterKey { budget: name.clone(), generation: 1, value, span };
        keys.extend(values.into_iter().map(key));
    }
    keys
}

/// What a gateway reports of its counters the `version`th time.
fn reports(keys: &[CounterKey], version: u64) -> Vec<CounterReport> {
    let report = |key: &CounterKey| {
        let used = Amount(i128::from(version) * 1_000_000_000);
        CounterReport { key: key.clone(), report: Report { used, version, ..Report::default() } }
    };
    keys.iter().map(report).collect()
}

/// Records of now, fifty in a millisecond, from gateways that each wait for their answer before they go on.
async fn fill_live(store: &Store, records: u64, size: u64, known: u64, counters: &[CounterKey]) -> Duration {
    let mut random = Random(11);
    let mut spent = Duration::ZERO;
    let mut at = 0;
    while at < records / size {
        // Some are made at a time, so that little memory is theirs; making them is not counted.
        let mut gateways: Vec<Vec<Batch>> = vec![Vec::new(); GATEWAYS];
        for _ in 0..MADE_AT_A_TIME {
            let mut batch = Batch::new(Sender {
                gateway: format!("edge-{}", at % 4),
                instance: "one".into(),
                sequence: at,
                received_ms: LIVE_MS + (at + 1) * size / 50,
                ..Sender::default()
            });
            for number in at * size..(at + 1) * size {
                let mut record = record(known + number, known, &mut random);
                record.head.time_ms = LIVE_MS + number / 50;
                // As gateways write them that hold these budgets.
                record.policy_version = Some(format!("{LIVE_MS:x}-0123456789abcdef"));
                batch.push(&record).unwrap();
            }
            gateways[usize::try_from(at).unwrap() % GATEWAYS].push(batch);
            at += 1;
        }
        let started = Instant::now();
        let send = async |batches: Vec<Batch>| {
            for mut batch in batches {
                let number = batch.sender.sequence * size / GATEWAYS as u64;
                if number % (LIVE_RATE / GATEWAYS as u64) < size {
                    batch.counters = reports(counters, batch.sender.sequence);
                }
                let reported = batch.counters.len();
                assert_eq!(store.ingest(batch).await.unwrap().grants.len(), reported);
            }
        };
        let mut gateways = gateways.into_iter();
        let mut next = || send(gateways.next().unwrap());
        tokio::join!(next(), next(), next(), next());
        spent += started.elapsed();
    }
    spent
}

async fn ask(store: &Store, end_hour: u64, every: Every, name: &str) {
    let dimensions = [
        Dimension::Agent,
        Dimension::Team,
        Dimension::Feature,
        Dimension::Environment,
        Dimension::Model,
        Dimension::Provider,
    ];
    let (mut times, mut most) = (Vec::new(), 0);
    let before = cpu(|_| true);
    for (at, one) in dimensions.iter().enumerate() {
        for two in &dimensions[at + 1..] {
            let query = SummaryQuery {
                from_hour: i64::try_from(end_hour - 30 * 24 - 5).unwrap(),
                to_hour: i64::try_from(end_hour - 5).unwrap(),
                by: vec![*one, *two],
                every,
                zone: TimeZone::UTC,
                filters: Filters::default(),
                tag_key: None,
            };
            let started = Instant::now();
            most = most.max(store.summary(query).await.unwrap().rows.len());
            times.push(started.elapsed());
        }
    }
    let busy = (cpu(|_| true).saturating_sub(before)) / u32::try_from(times.len()).unwrap();
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "summary  30 days by two dimensions, {name}: median {median:.1?}, worst {worst:.1?}, {busy:.1?} of processor time each, {most} rows"
    );
}

/// Thirty days against the thirty before, by all that a comparison without names needs.
async fn compare(store: &Store, end_hour: u64) {
    let end = i64::try_from(end_hour - 5).unwrap();
    let by = vec![
        Dimension::Agent,
        Dimension::Feature,
        Dimension::Model,
        Dimension::Environment,
        Dimension::Provider,
        Dimension::ServiceTier,
    ];
    let (every, zone, filters) = (Every::Period, TimeZone::UTC, Filters::default());
    let query =
        SummaryQuery { from_hour: end - 30 * 24, to_hour: end, by, every, zone, filters, tag_key: None };
    let started = Instant::now();
    let rows = store.compare(query, (end - 60 * 24, end - 30 * 24)).await.unwrap().len();
    println!("compare  30 days with 30 days: {:.1?}, {rows} rows", started.elapsed());
}

/// Record `number` of `records`, which come in the order of their time.
fn record(number: u64, records: u64, random: &mut Random) -> UsageRecord {
    let ms = DAYS * 86_400_000;
    let agent = random.below(200);
    let mut record = UsageRecord {
        head: Head {
            id: format!("01890a5d-ac96-7000-8000-{number:012x}"),
            time_ms: END_HOUR * 3_600_000 - ms + number * ms / records,
            gateway: "edge".into(),
            provider: "openai".into(),
            operation: "chat".into(),
            request_model: Some(format!("model-{}", random.below(5))),
            ..Head::default()
        },
        status: Some(200),
        usage: Usage {
            input_tokens: Some(random.below(20_000)),
            cache_read_tokens: Some(random.below(1_000)),
            output_tokens: Some(random.below(2_000)),
            reasoning_tokens: Some(random.below(500)),
            ..Usage::default()
        },
        cost_status: CostStatus::Measured,
        price_version: Some("2026-11-01".into()),
        duration_ms: Some(random.below(60_000)),
        request_bytes: Some(random.below(100_000)),
        ..UsageRecord::default()
    };
    record.head.attribution.agent = format!("agent-{agent}");
    record.head.attribution.team = format!("team-{}", agent % 12);
    record.head.attribution.feature = format!("feature-{}", random.below(4));
    record.head.attribution.environment = format!("environment-{}", random.below(3));
    let rate = Picodollars::from_pico(1_250_000);
    let parts = record.usage.parts().quantities.into_iter();
    record.charges = parts
        .map(|(kind, quantity)| Charge {
            model: "model".into(),
            kind,
            quantity,
            rate,
            cost_usd: rate.times(quantity),
        })
        .collect();
    record.cost_usd = record.charges.iter().map(|charge| charge.cost_usd).sum();
    record
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Processor time of the threads with such names: what depends less on who else uses the machine.
fn cpu(is_one: fn(&str) -> bool) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let read = |task: &std::fs::DirEntry, name: &str| std::fs::read_to_string(task.path().join(name)).ok();
    let ours = tasks.filter(|task| read(task, "comm").is_some_and(|name| is_one(name.trim())));
    let ns = ours.filter_map(|task| read(&task, "schedstat")?.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(ns.sum())
}

fn is_writer(thread: &str) -> bool {
    thread == "store-writer"
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    peak.unwrap_or("peak unknown").replace('\t', " ")
}

/// SplitMix64, so that every run has the same records.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
