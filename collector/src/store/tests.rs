//! The store as a whole: nothing double, nothing lost, both rollups equal to their records.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use tollgate_core::money::Picodollars;
use tollgate_core::record::{Charge, CostStatus, Outcome};
use tollgate_core::usage::{Kind, Usage};

use super::open::open_writer;
use super::writer::{HOURS_PER_DAY, MS_PER_HOUR};
use super::*;

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
        id: format!("01890a5d-ac96-774b-8000-{number:012x}"),
        time_ms: START_MS,
        gateway: "edge".into(),
        provider: "openai".into(),
        operation: "chat".into(),
        request_model: Some("gpt-x".into()),
        ..UsageRecord::default()
    };
    record.attribution.agent = "bot".into();
    record.attribution.team = "support".into();
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
            record.time_ms += later_ms;
            record.attribution.agent = ["a", "b", "c"][agent].into();
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
                first.entry(record.id.clone()).or_insert_with(|| record.clone());
            }
            let stored = test.ingest(batch);
            prop_assert_eq!(stored.stored, first.len() as u64 - before);
            prop_assert_eq!(stored.duplicates, batch.len() as u64 - stored.stored);
        }
        let mut hours: BTreeMap<(i64, String), Sums> = BTreeMap::new();
        let mut days: BTreeMap<(i64, String), Sums> = BTreeMap::new();
        let mut total = Totals::default();
        for record in first.values() {
            let hour = record.time_ms as i64 / MS_PER_HOUR;
            let agent = record.attribution.agent.clone();
            hours.entry((hour, agent.clone())).or_default().add(&Sums::of(record)).unwrap();
            days.entry((hour / HOURS_PER_DAY, agent)).or_default().add(&Sums::of(record)).unwrap();
            total.add(&Sums::of(record).totals).unwrap();
        }
        prop_assert_eq!(test.rollup("SELECT hour, agent, sums FROM rollup_hour JOIN dims ON id = dims"), hours);
        prop_assert_eq!(test.rollup("SELECT day, agent, sums FROM rollup_day JOIN dims ON id = dims"), days);
        for every in [Every::Period, Every::Day, Every::Hour] {
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
                record.id = self::record(at as u64).id;
                record.time_ms = START_MS + ms;
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
        prop_assert!(seen.is_sorted_by(|a, b| a.time_ms >= b.time_ms));
        let by_id = |records: &[UsageRecord]| {
            records.iter().map(|record| (record.id.clone(), record.clone())).collect::<Vec<_>>()
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
    full.attribution.run = Some("r".into());
    full.attribution.tags = [("k".into(), "v".into())].into();
    full.response_model = Some("gpt-x-2025-01-01".into());
    full.provider_cost_usd = Some(Picodollars::from_pico(-1));
    full.status = Some(200);
    test.ingest(&[full.clone()]);
    let id = full.id.parse().unwrap();
    let read = test.runtime.block_on(test.store.record(id)).unwrap();
    assert_eq!(read, Some(full));
    let missing = record(2).id.parse().unwrap();
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
    let sum = Sums::of(&fee).kinds[&Kind::Request];
    assert_eq!((sum.quantity, sum.cost.as_pico()), (1, 9));
}

#[test]
fn filters_and_times_choose_records_and_sums() {
    let test = TestStore::new();
    let records: Vec<_> = (0..12u64)
        .map(|number| {
            let mut record = charged(record(number), 10, 1, 1);
            record.time_ms += number * 3_600_000;
            record.attribution.agent = if number % 2 == 0 { "even" } else { "odd" }.into();
            record.outcome = if number % 3 == 0 { Outcome::Denied } else { Outcome::Ok };
            record
        })
        .collect();
    test.ingest(&records);
    let mut filters = Filters::default();
    filters.accept(Dimension::Agent, "even".into());
    let page = test.page(RecordsQuery {
        from_ms: Some(records[2].time_ms as i64),
        to_ms: Some(records[8].time_ms as i64),
        filters: filters.clone(),
        outcomes: vec![Outcome::Ok],
        limit: 100,
        ..RecordsQuery::default()
    });
    let ids: Vec<_> = page.records.iter().map(|record| &record.id).collect();
    assert_eq!(ids, [&records[4].id, &records[2].id]);
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
    let mut writer = Writer::new(connection, Arc::new(AtomicU64::new(u64::MAX))).unwrap();
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
    assert!(writer.store(std::slice::from_ref(&batch)).is_err());
    let rows = |table: &str| -> i64 {
        other.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("records"), rows("dims"), rows("rollup_day")), (0, 0, 0));
    other.execute("DELETE FROM rollup_hour", []).unwrap();
    assert_eq!(writer.store(&[batch]).unwrap()[0].stored, 1);
    assert_eq!((rows("records"), rows("dims"), rows("rollup_day")), (1, 1, 1));
}

#[test]
fn a_store_is_ready_while_its_writer_lives() {
    let test = TestStore::new();
    test.runtime.block_on(test.store.ready()).unwrap();
}

/// Corrections and closed months.
mod corrected {
    use super::*;

    const OCTOBER_MS: u64 = 1_761_000_000_000; // 2025-10-20
    const NOVEMBER_MS: u64 = START_MS; // 2025-11-23

    fn with_cost(record: &UsageRecord, rate: i128, status: CostStatus) -> UsageRecord {
        let (input, output) =
            (record.usage.input_tokens.unwrap_or(0), record.usage.output_tokens.unwrap_or(0));
        UsageRecord { cost_status: status, ..charged(record.clone(), input, output, rate) }
    }

    fn measured(number: u64, time_ms: u64, rate: i128) -> UsageRecord {
        let mut record = charged(record(number), 9, 5, rate);
        record.time_ms = time_ms;
        record.cost_status = CostStatus::Measured;
        record
    }

    impl TestStore {
        fn all_counted(&self) -> Vec<Counted> {
            let query = RecordsQuery { limit: 1000, ..RecordsQuery::default() };
            self.runtime.block_on(self.store.counted(query)).unwrap().0
        }

        fn reprice(&self, rate: i128, now_ms: u64) -> u64 {
            let corrections = self
                .all_counted()
                .into_iter()
                .map(|Counted { record, base }| Correction {
                    after: with_cost(&record, rate, CostStatus::Measured),
                    before: record,
                    base,
                })
                .collect();
            self.runtime.block_on(self.store.correct(corrections, entry(now_ms))).unwrap()
        }

        fn close_month(&self, month: &str, now_ms: u64) -> Closing {
            self.runtime.block_on(self.store.close_month(month.parse().unwrap(), entry(now_ms))).unwrap()
        }

        fn totals(&self, from_ms: u64, to_ms: u64) -> Totals {
            self.summary(SummaryQuery {
                from_hour: from_ms as i64 / MS_PER_HOUR,
                to_hour: to_ms as i64 / MS_PER_HOUR,
                by: vec![],
                every: Every::Period,
                zone: TimeZone::UTC,
                filters: Filters::default(),
            })
            .total
        }

        fn adjusted(&self, number: u64) -> Vec<Adjustment> {
            let id = record(number).id.parse().unwrap();
            self.runtime.block_on(self.store.adjustments(id)).unwrap()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_old_total_plus_the_adjustments_is_the_new_total_exactly(
            records in proptest::collection::vec(any_record(), 1..20),
            rates in proptest::collection::vec(0i128..1 << 62, 1..4),
            closes in any::<bool>(),
        ) {
            let test = TestStore::new();
            test.ingest(&records);
            let far = START_MS + 60 * 86_400_000;
            let before = test.totals(0, far * 2);
            if closes {
                prop_assert_eq!(test.close_month("2025-11", far), Closing::Done);
            }
            let kept = test.page(RecordsQuery { limit: 1000, ..RecordsQuery::default() }).records;
            for rate in &rates {
                prop_assert_eq!(test.reprice(*rate, far), kept.len() as u64);
            }
            let adjustments: Picodollars =
                (0..60).flat_map(|number| test.adjusted(number)).map(|one| one.amount_usd).sum();
            let after = test.totals(0, far * 2);
            prop_assert_eq!(before.cost + adjustments, after.cost);
            let counted: Picodollars = test.all_counted().iter().map(|one| one.record.cost_usd).sum();
            prop_assert_eq!(counted, after.cost);
            prop_assert_eq!(test.page(RecordsQuery { limit: 1000, ..RecordsQuery::default() }).records, kept);
            if !closes {
                let mut sums = Totals::default();
                for one in test.all_counted() {
                    sums.add(&Sums::of(&one.record).totals).unwrap();
                }
                prop_assert_eq!(after, sums);
            }
        }
    }

    #[test]
    fn a_closed_month_stays_as_it_was_and_what_comes_later_is_booked_in_the_open_one() {
        let test = TestStore::new();
        test.ingest(&[measured(1, OCTOBER_MS, 100), measured(2, NOVEMBER_MS, 100)]);
        assert_eq!(test.close_month("2025-11", NOVEMBER_MS), Closing::NotOver);
        assert_eq!(test.close_month("2025-10", NOVEMBER_MS), Closing::Done);
        assert_eq!(test.close_month("2025-10", NOVEMBER_MS), Closing::Already);
        assert_eq!(test.close_month("2025-09", NOVEMBER_MS), Closing::Already);
        let november = "2025-11".parse::<Month>().unwrap().from_hour() as u64 * MS_PER_HOUR as u64;
        let october = || test.totals(0, november);
        let closed = october();
        assert_eq!((closed.calls, closed.cost.as_pico()), (1, 1_400));

        test.reprice(150, NOVEMBER_MS);
        assert_eq!(october(), closed, "a correction does not touch it");
        let rest = test.totals(november, NOVEMBER_MS * 2);
        assert_eq!(
            (rest.calls, rest.cost.as_pico()),
            (1, 2_100 + 700),
            "the new price and October's difference"
        );

        let mut late = Batch::new(Sender { received_ms: NOVEMBER_MS, ..Sender::default() });
        late.push(&measured(3, OCTOBER_MS, 10)).unwrap();
        test.runtime.block_on(test.store.ingest(late)).unwrap();
        assert_eq!(october(), closed, "a late record does not touch it");
        let rest = test.totals(november, NOVEMBER_MS * 2);
        assert_eq!((rest.calls, rest.cost.as_pico()), (2, 2_800 + 140));
        assert_eq!(test.adjusted(3)[0].reason, Reason::Late);
        let months = test.runtime.block_on(test.store.closed_months()).unwrap();
        assert_eq!((months[0].month.as_str(), months[0].totals.cost), ("2025-10", closed.cost));

        // A late record's own correction stays where the record is counted.
        test.reprice(20, NOVEMBER_MS);
        assert_eq!(october(), closed);
        assert_eq!(test.totals(0, NOVEMBER_MS * 2).cost.as_pico(), 3 * 14 * 20);
    }

    #[test]
    fn a_correction_of_what_was_corrected_meanwhile_is_left_out() {
        let test = TestStore::new();
        test.ingest(&[measured(1, NOVEMBER_MS, 100)]);
        let stale = test.all_counted();
        assert_eq!(test.reprice(150, NOVEMBER_MS), 1);
        let corrections = stale
            .into_iter()
            .map(|Counted { record, base }| Correction {
                after: with_cost(&record, 200, CostStatus::Measured),
                before: record,
                base,
            })
            .collect();
        assert_eq!(test.runtime.block_on(test.store.correct(corrections, entry(NOVEMBER_MS))).unwrap(), 0);
        assert_eq!(test.totals(0, NOVEMBER_MS * 2).cost.as_pico(), 14 * 150);
    }

    #[test]
    fn what_was_unpriced_counts_as_priced_after_its_correction() {
        let test = TestStore::new();
        let mut unpriced = record(1);
        unpriced.usage = Usage { input_tokens: Some(9), output_tokens: Some(5), ..Usage::default() };
        test.ingest(&[unpriced]);
        assert_eq!(test.totals(0, START_MS * 2).unpriced_calls, 1);
        test.reprice(7, START_MS);
        let totals = test.totals(0, START_MS * 2);
        assert_eq!((totals.unpriced_calls, totals.calls, totals.cost.as_pico()), (0, 1, 98));
    }
}

mod audit_trail {
    use super::*;
    use crate::audit::Verifier;

    #[test]
    fn entries_follow_each_other_and_stay() {
        let test = TestStore::new();
        for n in 0..5 {
            let head = test.runtime.block_on(test.store.audit(entry(n))).unwrap();
            assert_eq!(head.seq, n + 1);
        }
        let head = test.runtime.block_on(test.store.audit_head()).unwrap();
        let mut verifier = Verifier::new(Some(head.clone()));
        for page in [0, 2, 4] {
            for entry in test.runtime.block_on(test.store.audited_after(page, 2)).unwrap() {
                verifier.next(&entry).unwrap();
            }
        }
        assert_eq!(verifier.finish(), Ok(head));
        let connection = Connection::open(&test.path).unwrap();
        for sql in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"] {
            let error = connection.execute(sql, []).unwrap_err().to_string();
            assert!(error.contains("append-only"), "{error}");
        }
    }

    #[test]
    fn a_closed_month_and_its_entry_are_written_together() {
        let test = TestStore::new();
        let close = |month: &str| test.store.close_month(month.parse().unwrap(), entry(START_MS));
        assert_eq!(test.runtime.block_on(close("2025-10")).unwrap(), Closing::Done);
        assert_eq!(test.runtime.block_on(close("2025-10")).unwrap(), Closing::Already);
        let entries = test.runtime.block_on(test.store.audited_after(0, 10)).unwrap();
        assert_eq!(entries.len(), 1, "what changed nothing leaves no entry");
        assert!(entries[0].after.as_ref().unwrap().get().contains("cost_usd"));
    }
}

mod bounds_of_what_is_kept {
    use super::*;

    fn accounts(test: &TestStore) -> Accounts {
        test.runtime.block_on(test.store.accounts()).unwrap()
    }

    #[test]
    fn invented_names_beyond_the_bound_are_counted_under_other_and_no_money_is_lost() {
        let test = TestStore::new();
        test.store.set_rows_per_hour(5);
        let records: Vec<UsageRecord> = (0..60)
            .map(|n| {
                let mut record = charged(record(n), 10, 1, 1000);
                record.attribution.agent = format!("agent-{n}");
                record
            })
            .collect();
        for records in records.chunks(7) {
            test.ingest(records);
        }
        test.ingest(&records[50..]);
        let rows = test.rollup("SELECT hour, agent, sums FROM rollup_hour JOIN dims ON dims.id = dims");
        let names: Vec<&str> = rows.keys().map(|(_, agent)| agent.as_str()).collect();
        assert_eq!(names, ["agent-0", "agent-1", "agent-2", "agent-3", "agent-4", "other"]);
        let accounts = accounts(&test);
        assert!(accounts.balanced, "{accounts:?}");
        assert_eq!((accounts.stored, accounts.duplicate, accounts.under_other), (60, 10, 55));
        let total = test.summary(everything(Every::Period, TimeZone::UTC)).total;
        assert_eq!(total.cost, records.iter().map(|record| record.cost_usd).sum());
        let known: i64 = open_reader(&test.path)
            .unwrap()
            .query_row("SELECT count(*) FROM dims", [], |row| row.get(0))
            .unwrap();
        assert_eq!(known, 6, "names beyond the bound are not interned either");
    }

    #[test]
    fn records_leave_by_age_summaries_stay_and_a_late_repeat_is_not_counted_twice() {
        const DAY_MS: u64 = 86_400_000;
        let test = TestStore::new();
        let records: Vec<UsageRecord> = (0..10)
            .map(|n| UsageRecord { time_ms: START_MS + n * DAY_MS, ..charged(record(n), 10, 1, 1000) })
            .collect();
        test.ingest(&records);
        let all = || test.summary(everything(Every::Day, TimeZone::UTC));
        let before = all();
        let now = START_MS + 9 * DAY_MS;
        let expire = |now| test.runtime.block_on(test.store.expire(None, now, 3 * DAY_MS)).unwrap();
        assert_eq!(expire(now), 6);
        assert_eq!(expire(now), 0);
        assert_eq!(expire(now + 900 * DAY_MS), 0, "a clock that jumps ahead removes nothing");
        assert_eq!(test.page(RecordsQuery { limit: 20, ..RecordsQuery::default() }).records.len(), 4);
        assert_eq!(all(), before);

        let again = test.ingest(&records);
        assert_eq!((again.stored, again.duplicates), (0, 4));
        assert_eq!(again.too_late, [0, 1, 2, 3, 4, 5]);
        assert_eq!(all(), before);
        let accounts = accounts(&test);
        assert_eq!((accounts.expired, accounts.dropped.get("too_late")), (6, Some(&6)));
        assert!(accounts.balanced, "{accounts:?}");
    }
}
