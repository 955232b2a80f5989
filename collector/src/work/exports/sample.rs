//! A store with something of all that costs: every kind of token, fees, words of providers, totals of
//! gateways, calls without a price, closed months with late records and corrections, which take away too.

use jiff::tz::TimeZone;
use tempfile::TempDir;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Charge, CostStatus, PriceBook};
use tollgate_core::record::id::CallIds;
use tollgate_core::record::{CostSource, Folds, Outcome, UsageRecord};
use tollgate_core::usage::{CacheTtl, Usage};

use crate::config::PricesConfig;
use crate::model::audit::Entry;
use crate::model::clock::{DAY_MS, HOUR_MS, MS_PER_HOUR, signed};
use crate::model::dimension::Dimension;
use crate::store::{
    Batch, Correction, Counted, DetailRow, Every, Filters, RecordsQuery, Store, Summary, SummaryQuery,
};
use crate::work::prices;

/// 2026-09-01T00:00Z.
pub(crate) const SEPTEMBER_MS: u64 = 1_788_220_800_000;
/// 2026-11-20T00:00Z.
const NOW_MS: u64 = SEPTEMBER_MS + 80 * DAY_MS;

/// The store, and what is in it.
pub(crate) struct Sample {
    pub(crate) store: Store,
    pub(crate) runtime: tokio::runtime::Runtime,
    /// What all records cost as they are counted, and totals of gateways.
    pub(crate) paid: Picodollars,
    _dir: TempDir,
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)) % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    fn maybe(&mut self, most: u64) -> Option<u64> {
        (self.below(3) == 0).then(|| self.below(most))
    }
}

pub(crate) fn book() -> PriceBook {
    prices::book("", &PricesConfig::default()).unwrap()
}

impl Sample {
    pub(crate) fn new(seed: u64, records: u64) -> Self {
        let (runtime, dir) = (tokio::runtime::Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(dir.path()).unwrap();
        let (mut random, mut ids, book) = (Random(seed), CallIds::new(seed), book());
        let mut folded = Picodollars::ZERO;
        let mut ingest = |random: &mut Random, of: u64, days: (u64, u64), imported: bool| {
            let mut batch = if imported { Batch::of_import(NOW_MS) } else { Batch::default() };
            batch.sender.received_ms = NOW_MS;
            for _ in 0..of {
                let time_ms = SEPTEMBER_MS + days.0 * DAY_MS + random.below((days.1 - days.0) * DAY_MS);
                let one = record(random, &book, ids.next(time_ms), time_ms);
                if random.below(8) == 0 {
                    let mut folds = Folds::default();
                    let total = folds.fold(&one).unwrap().1;
                    folded += total.sums.totals.cost;
                    batch.push_folded(total).unwrap();
                } else {
                    batch.push(&one).unwrap();
                }
            }
            runtime.block_on(store.ingest(batch)).unwrap();
        };
        ingest(&mut random, records, (0, 80), false);
        let entry = |time_ms| Entry {
            time_ms,
            actor: "t".into(),
            action: "a".into(),
            subject: "s".into(),
            before: None,
            after: None,
        };
        runtime.block_on(store.close_month("2026-10".parse().unwrap(), entry(NOW_MS))).unwrap();
        ingest(&mut random, records / 10, (20, 60), true);
        for _ in 0..2 {
            let query = RecordsQuery { limit: 10_000, ..RecordsQuery::default() };
            let (counted, _) = runtime.block_on(store.counted(query)).unwrap();
            let corrections = counted.into_iter().filter_map(|one| corrected(&mut random, one)).collect();
            runtime.block_on(store.correct(corrections, entry(NOW_MS + HOUR_MS))).unwrap();
        }
        let query = RecordsQuery { limit: 10_000, ..RecordsQuery::default() };
        let (counted, _) = runtime.block_on(store.counted(query)).unwrap();
        let records: Picodollars = counted.iter().map(|one| one.record.cost_usd).sum();
        Self { store, runtime, paid: records + folded, _dir: dir }
    }

    pub(crate) fn summary(&self, (from_hour, to_hour): (i64, i64), by: &[Dimension]) -> Summary {
        self.runtime.block_on(self.store.summary(query((from_hour, to_hour), by, Every::Period))).unwrap()
    }

    pub(crate) fn details(&self, hours: (i64, i64), by: &[Dimension], every: Every) -> Vec<DetailRow> {
        let query = query(hours, by, every);
        let take = |rows: &mut Vec<DetailRow>, row| {
            rows.push(row);
            std::ops::ControlFlow::Continue(())
        };
        self.runtime.block_on(self.store.details(query, Vec::new(), take)).unwrap()
    }
}

/// Some spans of hours, the first with all there is: whole months, and parts that begin within a day.
pub(crate) fn spans() -> [(i64, i64); 5] {
    let start = signed(SEPTEMBER_MS) / MS_PER_HOUR;
    let day = |day: i64| start + day * 24;
    [(0, day(200)), (day(0), day(30)), (day(30), day(61)), (day(61), day(91)), (day(3) + 5, day(80) + 2)]
}

fn query((from_hour, to_hour): (i64, i64), by: &[Dimension], every: Every) -> SummaryQuery {
    let (zone, filters) = (TimeZone::UTC, Filters::default());
    SummaryQuery { from_hour, to_hour, by: by.to_vec(), every, zone, filters, tag_key: None }
}

fn record(random: &mut Random, book: &PriceBook, id: String, time_ms: u64) -> UsageRecord {
    let models = [
        ("openai", "gpt-4o"),
        ("openai", "gpt-4o-mini"),
        ("anthropic", "claude-sonnet-4-5"),
        ("gemini", "gemini-2.5-pro"),
        ("perplexity", "sonar-deep-research"),
        ("openrouter", "openai/gpt-4o"),
        ("openai", "no-such-model"),
    ];
    let (provider, model) = random.of(&models);
    let mut record = UsageRecord::default();
    (record.head.id, record.head.time_ms) = (id, time_ms);
    (record.head.gateway, record.head.provider) = ("edge".into(), provider.into());
    (record.head.operation, record.head.request_model) = ("chat".into(), Some(model.into()));
    if random.below(6) == 0 {
        record.head.service_tier = Some("batch".into());
    }
    let who = &mut record.head.attribution;
    if random.below(9) > 0 {
        (who.team, who.agent) = (random.of(&["a", "b", "c"]).into(), random.of(&["x", "y"]).into());
        (who.feature, who.environment) =
            (random.of(&["f", "g"]).into(), random.of(&["prod", "stage"]).into());
    }
    if random.below(12) == 0 {
        (record.outcome, record.cost_status) = (Outcome::Denied, CostStatus::Free);
        return record;
    }
    record.usage = usage(random);
    record.usage_estimated = random.below(10) == 0;
    let word = (random.below(4) == 0).then(|| Picodollars::from_pico(i128::from(random.below(1 << 40))));
    if let Some((priced, status)) = book.price_again(&record) {
        priced.owed(word, status == CostStatus::Measured).put(&mut record);
        (record.charges, record.price_basis) = (priced.charges, priced.basis);
    }
    record
}

fn usage(random: &mut Random) -> Usage {
    Usage {
        input_tokens: Some(random.below(300_000)),
        cache_read_tokens: random.maybe(9_000),
        cache_write_tokens: random.maybe(9_000),
        cache_write_by_ttl: [(random.of(&[CacheTtl::FiveMinutes, CacheTtl::OneHour]), random.below(4_000))]
            .into(),
        output_tokens: Some(random.below(9_000)),
        reasoning_tokens: random.maybe(3_000),
        citation_tokens: random.maybe(3_000),
        input_audio_tokens: random.maybe(3_000),
        cache_read_audio_tokens: random.maybe(3_000),
        output_audio_tokens: random.maybe(3_000),
        input_image_tokens: random.maybe(3_000),
        cache_read_image_tokens: random.maybe(3_000),
        output_image_tokens: random.maybe(3_000),
        input_video_tokens: random.maybe(3_000),
        input_tool_tokens: random.maybe(3_000),
        web_searches: random.maybe(5),
        web_fetches: random.maybe(5),
        file_searches: random.maybe(5),
        images: random.maybe(5),
        audio_ms: random.maybe(50_000),
        pages: random.maybe(5),
        search_units: random.maybe(5),
        characters: random.maybe(5_000),
        code_sessions: random.maybe(3),
    }
}

/// Some records at a multiple of their rates: none, twice or three times as much.
fn corrected(random: &mut Random, Counted { record, base }: Counted) -> Option<Correction> {
    if record.charges.is_empty() || random.below(4) > 0 {
        return None;
    }
    let by = random.of(&[0, 2, 3]);
    let mut after = record.clone();
    for Charge { rate, cost_usd, quantity, .. } in &mut after.charges {
        *rate = rate.times(by);
        *cost_usd = rate.times(*quantity);
    }
    (after.cost_usd, after.cost_source) = (after.book_cost(), CostSource::Book);
    Some(Correction { before: record, after, base })
}
