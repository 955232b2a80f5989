//! The store as a whole: nothing double, nothing lost, both rollups equal to their records.

mod audit_trail;
mod bounds_of_what_is_kept;
mod corrected;
mod recent;
mod started;

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Charge, CostStatus};
use tollgate_core::record::{Head, Outcome};
use tollgate_core::usage::{Kind, Usage};

use super::*;
use crate::model::clock::{HOURS_PER_DAY, MS_PER_HOUR};
use crate::model::dimension::Dimension;
use crate::store::database::migrations;
use crate::store::database::open::{open_reader, open_writer};
use crate::store::rollups::sums::{AsRow as _, InRow as _};

const START_MS: u64 = 1_763_900_000_000;

struct TestStore {
    store: Store,
    path: PathBuf,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl TestStore {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(dir.path()).unwrap(),
            path: dir.path().join(DATABASE),
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap(),
            _dir: dir,
        }
    }

    fn ingest(&self, records: &[UsageRecord]) -> Stored {
        let mut batch = Batch::new(Sender::default());
        for record in records {
            batch.push(record).unwrap();
        }
        self.runtime.block_on(self.store.ingest(batch)).unwrap()
    }

    fn note(&self, sender: Sender) {
        self.runtime.block_on(self.store.ingest(Batch::new(sender))).unwrap();
    }

    fn page(&self, query: RecordsQuery) -> Page {
        self.runtime.block_on(self.store.records(query)).unwrap()
    }

    fn summary(&self, query: SummaryQuery) -> Summary {
        self.runtime.block_on(self.store.summary(query)).unwrap()
    }

    /// A rollup table by time and agent.
    fn rollup(&self, sql: &str) -> BTreeMap<(i64, String), Sums> {
        let connection = open_reader(&self.path).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let mut sums: BTreeMap<(i64, String), Sums> = BTreeMap::new();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let bytes: Vec<u8> = row.get(2).unwrap();
            sums.entry((row.get(0).unwrap(), row.get(1).unwrap()))
                .or_default()
                .add(&Sums::decode(&bytes).unwrap())
                .unwrap();
        }
        sums
    }
}

fn record(number: u64) -> UsageRecord {
    let mut record = UsageRecord {
        head: Head {
            id: format!("01890a5d-ac96-774b-8000-{number:012x}"),
            time_ms: START_MS,
            gateway: "edge".into(),
            provider: "openai".into(),
            operation: "chat".into(),
            request_model: Some("gpt-x".into()),
            ..Head::default()
        },
        ..UsageRecord::default()
    };
    record.head.attribution.agent = "bot".into();
    record.head.attribution.team = "support".into();
    record
}

fn charged(mut record: UsageRecord, input: u64, output: u64, rate: i128) -> UsageRecord {
    record.usage = Usage {
        input_tokens: Some(input),
        output_tokens: Some(output),
        cache_read_tokens: Some(input / 3),
        ..Usage::default()
    };
    let rate = Picodollars::from_pico(rate);
    record.charges = record
        .usage
        .parts()
        .quantities
        .into_iter()
        .map(|(kind, quantity)| Charge {
            model: "gpt-x".into(),
            kind,
            quantity,
            rate,
            cost_usd: rate.times(quantity),
        })
        .collect();
    record.cost_usd = record.charges.iter().map(|charge| charge.cost_usd).sum();
    record
}

/// An audit entry of this time.
fn entry(time_ms: u64) -> Entry {
    Entry { time_ms, actor: "test".into(), ..Entry::default() }
}

fn any_record() -> impl Strategy<Value = UsageRecord> {
    let outcomes = [Outcome::Ok, Outcome::Error, Outcome::Denied, Outcome::ClientAbort];
    let statuses = [CostStatus::Measured, CostStatus::Estimated, CostStatus::Unpriced];
    (
        (0u64..60, 0u64..4 * 86_400_000, 0usize..3),
        (0u64..5000, 0u64..5000, 0i128..1 << 62),
        proptest::sample::select(outcomes.to_vec()),
        proptest::sample::select(statuses.to_vec()),
    )
        .prop_map(|((number, later_ms, agent), (input, output, rate), outcome, status)| {
            let mut record = charged(record(number), input, output, rate);
            record.head.time_ms += later_ms;
            record.head.attribution.agent = ["a", "b", "c"][agent].into();
            record.outcome = outcome;
            record.cost_status = status;
            record
        })
}

fn everything(every: Every, zone: TimeZone) -> SummaryQuery {
    let hour = START_MS as i64 / MS_PER_HOUR;
    SummaryQuery {
        from_hour: hour - 5,
        to_hour: hour + 5 * HOURS_PER_DAY,
        by: vec![Dimension::Agent],
        every,
        zone,
        filters: Filters::default(),
        tag_key: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rollups_equal_their_records_over_batches_with_repeats(
        batches in proptest::collection::vec(proptest::collection::vec(any_record(), 0..30), 1..8)
    ) {
        let test = TestStore::new();
        // The first of an id counts, whatever comes later under the same id.
        let mut first: BTreeMap<String, UsageRecord> = BTreeMap::new();
        for batch in &batches {
            let before = first.len() as u64;
            for record in batch {
                first.entry(record.head.id.clone()).or_insert_with(|| record.clone());
            }
            let stored = test.ingest(batch);
            prop_assert_eq!(stored.stored, first.len() as u64 - before);
            prop_assert_eq!(stored.duplicates, batch.len() as u64 - stored.stored);
        }
        let mut hours: BTreeMap<(i64, String), Sums> = BTreeMap::new();
        let mut days: BTreeMap<(i64, String), Sums> = BTreeMap::new();
        let mut total = Totals::default();
        for record in first.values() {
            let hour = record.head.time_ms as i64 / MS_PER_HOUR;
            let agent = record.head.attribution.agent.clone();
            hours.entry((hour, agent.clone())).or_default().add(&Sums::of(record)).unwrap();
            days.entry((hour / HOURS_PER_DAY, agent)).or_default().add(&Sums::of(record)).unwrap();
            total.add(&Sums::of(record).totals).unwrap();
        }
        prop_assert_eq!(test.rollup("SELECT hour, agent, sums FROM rollup_hour JOIN dims ON id = dims"), hours);
        prop_assert_eq!(test.rollup("SELECT day, agent, sums FROM rollup_day JOIN dims ON id = dims"), days);
        for every in [Every::Period, Every::Month, Every::Week, Every::Day, Every::Hour] {
            for zone in ["UTC", "America/St_Johns"] {
                let summary = test.summary(everything(every, TimeZone::get(zone).unwrap()));
                prop_assert_eq!(&summary.total, &total);
                let mut sum = Totals::default();
                for row in &summary.rows {
                    sum.add(&row.totals).unwrap();
                }
                prop_assert_eq!(&sum, &total);
            }
        }
    }

    #[test]
    fn pages_give_every_record_exactly_once_and_newest_first(
        records in proptest::collection::vec((any_record(), 0u64..3), 0..40),
        limit in 1usize..9,
    ) {
        let test = TestStore::new();
        // Many records share a millisecond.
        let records: Vec<_> = records
            .into_iter()
            .enumerate()
            .map(|(at, (mut record, ms))| {
                record.head.id = self::record(at as u64).head.id;
                record.head.time_ms = START_MS + ms;
                record
            })
            .collect();
        test.ingest(&records);
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = test.page(RecordsQuery { limit, after, ..RecordsQuery::default() });
            prop_assert!(page.records.len() <= limit);
            seen.extend(page.records);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        prop_assert!(seen.is_sorted_by(|a, b| a.head.time_ms >= b.head.time_ms));
        let by_id = |records: &[UsageRecord]| {
            records.iter().map(|record| (record.head.id.clone(), record.clone())).collect::<Vec<_>>()
        };
        let mut seen = by_id(&seen);
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        prop_assert_eq!(seen, by_id(&records));
    }
}

#[test]
fn a_record_reads_back_with_every_field() {
    let test = TestStore::new();
    let mut full = charged(record(1), 30, 20, 7);
    full.head.attribution.run = Some("r".into());
    full.head.attribution.tags = [("k".into(), "v".into())].into();
    full.head.response_model = Some("gpt-x-2025-01-01".into());
    full.provider_cost_usd = Some(Picodollars::from_pico(-1));
    full.status = Some(200);
    test.ingest(&[full.clone()]);
    let id = full.head.id.parse().unwrap();
    let read = test.runtime.block_on(test.store.record(id)).unwrap();
    assert_eq!(read, Some(full));
    let missing = record(2).head.id.parse().unwrap();
    assert_eq!(test.runtime.block_on(test.store.record(missing)).unwrap(), None);
}

#[test]
fn a_kind_without_a_count_takes_its_quantity_from_the_charge() {
    let mut fee = record(1);
    fee.charges = vec![Charge {
        model: "gpt-x".into(),
        kind: Kind::Request,
        quantity: 1,
        rate: Picodollars::from_pico(9),
        cost_usd: Picodollars::from_pico(9),
    }];
    let sum = Sums::of(&fee).kind(Kind::Request);
    assert_eq!((sum.quantity, sum.cost_usd.as_pico()), (1, 9));
}

#[test]
fn filters_and_times_choose_records_and_sums() {
    let test = TestStore::new();
    let records: Vec<_> = (0..12u64)
        .map(|number| {
            let mut record = charged(record(number), 10, 1, 1);
            record.head.time_ms += number * 3_600_000;
            record.head.attribution.agent = if number % 2 == 0 { "even" } else { "odd" }.into();
            record.outcome = if number % 3 == 0 { Outcome::Denied } else { Outcome::Ok };
            record
        })
        .collect();
    test.ingest(&records);
    let mut filters = Filters::default();
    filters.accept(Dimension::Agent, "even".into());
    let page = test.page(RecordsQuery {
        from_ms: Some(records[2].head.time_ms as i64),
        to_ms: Some(records[8].head.time_ms as i64),
        filters: filters.clone(),
        outcomes: vec![Outcome::Ok],
        limit: 100,
        ..RecordsQuery::default()
    });
    let ids: Vec<_> = page.records.iter().map(|record| &record.head.id).collect();
    assert_eq!(ids, [&records[4].head.id, &records[2].head.id]);
    let summary = test.summary(SummaryQuery { filters, ..everything(Every::Period, TimeZone::UTC) });
    assert_eq!((summary.total.calls, summary.total.denied), (4, 2));
    assert_eq!(summary.rows.len(), 1);
}

#[test]
fn drop_totals_are_the_newest_of_each_instance() {
    let test = TestStore::new();
    let sender = |instance: &str, sequence, dropped: u64| Sender {
        gateway: "edge".into(),
        instance: instance.into(),
        sequence,
        dropped: [("ring_full".to_owned(), dropped)].into(),
        received_ms: START_MS,
        ..Sender::default()
    };
    test.note(sender("one", 1, 5));
    test.note(sender("one", 3, 8));
    test.note(sender("one", 3, 8)); // repeated
    test.note(sender("one", 2, 6)); // late: older totals change nothing
    test.note(sender("two", 1, 2));
    let dropped = test.runtime.block_on(test.store.dropped()).unwrap();
    assert_eq!(dropped, [("ring_full".to_owned(), 10)]);
    let seen = |since| test.runtime.block_on(test.store.instances_seen_since(since)).unwrap();
    assert_eq!((seen(START_MS as i64), seen(START_MS as i64 + 1)), (2, 0));
}

#[test]
fn what_was_acknowledged_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for round in 0..3 {
        let store = Store::open(dir.path()).unwrap();
        let mut batch = Batch::new(Sender::default());
        batch.push(&charged(record(1), 10, 1, 1)).unwrap();
        let stored = runtime.block_on(store.ingest(batch)).unwrap();
        assert_eq!(stored.stored, u64::from(round == 0));
        let query = everything(Every::Period, TimeZone::UTC);
        let summary = runtime.block_on(store.summary(query)).unwrap();
        assert_eq!(summary.total.calls, 1);
        store.close().unwrap();
    }
}

#[test]
fn a_failed_transaction_leaves_nothing_and_the_next_works() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DATABASE);
    let mut connection = open_writer(&path).unwrap();
    migrations::migrate(&mut connection).unwrap();
    let mut writer = Writer::new(connection, Arc::new(AtomicU64::new(u64::MAX)), Damage::default()).unwrap();
    let mut batch = Batch::new(Sender::default());
    batch.push(&charged(record(1), 10, 1, 1)).unwrap();
    // A rollup that cannot take more stands for any failure after rows were written.
    let mut full = Sums::default();
    full.totals.calls = u64::MAX;
    let hour = START_MS as i64 / MS_PER_HOUR;
    let other = Connection::open(&path).unwrap();
    other
        .execute("INSERT INTO rollup_hour VALUES (?1, 1, ?2)", rusqlite::params![hour, full.encode()])
        .unwrap();
    assert!(writer.store(std::slice::from_mut(&mut batch)).is_err());
    let rows = |table: &str| -> i64 {
        other.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("records"), rows("dims"), rows("rollup_day")), (0, 0, 0));
    other.execute("DELETE FROM rollup_hour", []).unwrap();
    assert_eq!(writer.store(&mut [batch]).unwrap()[0].stored, 1);
    assert_eq!((rows("records"), rows("dims"), rows("rollup_day")), (1, 1, 1));
}

#[test]
fn a_store_is_ready_while_its_writer_lives() {
    let test = TestStore::new();
    test.runtime.block_on(test.store.ready()).unwrap();
}
