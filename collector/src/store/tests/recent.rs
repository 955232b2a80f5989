//! What is stored of the rollups in one piece, before it is added to their rows.

use super::super::rollups;
use super::*;

/// Enough for a transaction that is not added to the rows at once.
const MANY: u64 = 300;

/// Records of this many agents, all of one day.
fn many(first: u64, agents: u64) -> Vec<UsageRecord> {
    (first..first + MANY)
        .map(|n| {
            let mut record = charged(record(n), 10 + n % 7, 1, 1000);
            record.head.time_ms += n % 5 * 3_600_000;
            record.head.attribution.agent = format!("agent-{:03}", n % agents);
            record
        })
        .collect()
}

fn settle(test: &TestStore) {
    test.runtime.block_on(test.store.write(rollups::settle)).unwrap();
}

fn count(test: &TestStore, sql: &str) -> i64 {
    open_reader(&test.path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn waiting(test: &TestStore) -> i64 {
    count(test, "SELECT count(*) FROM rollup_recent")
}

fn accounts(test: &TestStore) -> Accounts {
    test.runtime.block_on(test.store.accounts()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn summaries_are_the_same_before_and_after_it_is_added(
        batches in proptest::collection::vec(proptest::collection::vec(any_record(), 1..300), 1..4),
        early in proptest::collection::vec(any_record(), 0..20),
    ) {
        let test = TestStore::new();
        test.ingest(&early);
        // Ids that are all different, so that there are enough records.
        let mut number = 100;
        let mut all: BTreeMap<String, UsageRecord> = BTreeMap::new();
        for record in early {
            all.entry(record.head.id.clone()).or_insert(record);
        }
        for mut batch in batches {
            batch.extend(many(0, 3));
            for record in &mut batch {
                record.head.id = self::record(number).head.id;
                number += 1;
            }
            test.ingest(&batch);
            all.extend(batch.into_iter().map(|record| (record.head.id.clone(), record)));
        }
        prop_assert!(waiting(&test) > 0);
        let mut total = Totals::default();
        all.values().for_each(|record| total.add(&Totals::of(record)).unwrap());
        let hour = START_MS as i64 / MS_PER_HOUR;
        let summaries = || {
            let mut summaries = Vec::new();
            for (every, zone) in
                [
                    (Every::Period, "UTC"),
                    (Every::Month, "UTC"),
                    (Every::Week, "America/St_Johns"),
                    (Every::Day, "UTC"),
                    (Every::Day, "America/St_Johns"),
                    (Every::Hour, "UTC"),
                ]
            {
                for part in [false, true] {
                    let mut query = everything(every, TimeZone::get(zone).unwrap());
                    if part {
                        (query.from_hour, query.to_hour) = (hour + 1, hour + 40);
                    }
                    let mut summary = test.summary(query);
                    assert!(summary.rows.is_sorted_by_key(|row| row.hour), "by time");
                    summary.rows.sort_by(|a, b| (a.hour, &a.values).cmp(&(b.hour, &b.values)));
                    summaries.push(summary);
                }
            }
            summaries
        };
        let before = summaries();
        prop_assert_eq!(&before[0].total, &total);
        prop_assert!(accounts(&test).balanced);
        settle(&test);
        prop_assert_eq!(waiting(&test), 0);
        prop_assert_eq!(summaries(), before);
        prop_assert!(accounts(&test).balanced);
        for (table, unit) in [("hour", 1), ("day", HOURS_PER_DAY)] {
            let mut expected: BTreeMap<(i64, String), Sums> = BTreeMap::new();
            for record in all.values() {
                let time = (record.head.time_ms as i64 / MS_PER_HOUR).div_euclid(unit);
                let sums = expected.entry((time, record.head.attribution.agent.clone())).or_default();
                sums.add(&Sums::of(record)).unwrap();
            }
            let sql = format!("SELECT {table}, agent, sums FROM rollup_{table} JOIN dims ON id = dims");
            prop_assert_eq!(test.rollup(&sql), expected);
        }
    }
}

#[test]
fn there_is_never_much_of_it() {
    let test = TestStore::new();
    let mut most = 0;
    for n in 0..70 {
        let stored = test.ingest(&many(n * MANY, 3));
        assert_eq!(stored.stored, MANY);
        most = most.max(waiting(&test));
    }
    assert_eq!((most, waiting(&test)), (64, 5), "all were added to the rows once, and five wait");
    assert!(accounts(&test).balanced);
    assert_eq!(test.summary(everything(Every::Period, TimeZone::UTC)).total.calls, 70 * MANY);
}

#[test]
fn the_bound_on_rows_knows_of_it_also_after_a_restart() {
    let mut test = TestStore::new();
    test.store.set_rows_per_hour(4);
    test.ingest(&many(0, 3));
    assert!(waiting(&test) > 0);
    let dir = test.path.parent().unwrap().to_owned();
    test.store = Store::open(&dir).unwrap();
    test.store.set_rows_per_hour(4);
    // Ten agents, seven of them new, where there is room for one more.
    test.ingest(&many(MANY, 10));
    settle(&test);
    let rows = count(&test, "SELECT max(rows) FROM (SELECT count(*) AS rows FROM rollup_hour GROUP BY hour)");
    assert_eq!(rows, 5, "four, and `other`");
    assert!(accounts(&test).balanced);
}

#[test]
fn a_correction_takes_from_it_and_a_closed_month_has_it() {
    let test = TestStore::new();
    let records = many(0, 3);
    test.ingest(&records);
    assert!(waiting(&test) > 0);
    let before = records[0].clone();
    let mut after = before.clone();
    after.cost_usd = Picodollars::ZERO;
    after.charges = Vec::new();
    let correction = Correction { before, after, base: 0 };
    let written = test.runtime.block_on(test.store.correct(vec![correction], entry(START_MS))).unwrap();
    assert_eq!(written, 1);
    let cost: Picodollars = records[1..].iter().map(|record| record.cost_usd).sum();
    assert_eq!(test.summary(everything(Every::Period, TimeZone::UTC)).total.cost, cost);

    let more = many(MANY, 3);
    test.ingest(&more);
    assert!(waiting(&test) > 0);
    let month: Month = "2025-11".parse().unwrap();
    let now_ms = START_MS + 60 * 86_400_000;
    test.runtime.block_on(test.store.close_month(month, entry(now_ms))).unwrap();
    let closed = test.runtime.block_on(test.store.closed_months()).unwrap();
    assert_eq!(closed[0].totals.calls, 2 * MANY);
    assert_eq!(closed[0].totals.cost, cost + more.iter().map(|record| record.cost_usd).sum());
}

#[test]
fn a_budget_begins_with_it() {
    use tollgate_core::budget::ledger::Report;
    use tollgate_core::budget::scope::CounterKey;
    use tollgate_core::protocol::sync::CounterReport;

    let test = TestStore::new();
    test.ingest(&many(0, 3));
    assert!(waiting(&test) > 0);
    let now_ms = START_MS + 6 * 3_600_000;
    let budget = serde_json::json!({"name": "b", "limit_calls": 1000, "window": "month"});
    let budget = tollgate_core::budget::define::read_one(&budget, None).unwrap();
    let span = crate::model::calendar::span(&budget, now_ms);
    let key = CounterKey { budget: "b".into(), generation: 1, value: String::new(), span };
    let reports = vec![CounterReport { key, report: Report::default() }];
    let used = test.runtime.block_on(async {
        test.store.put_budget(budget, "test".into(), now_ms).await.unwrap();
        test.store.sync_counters("edge".into(), "one".into(), reports, now_ms).await.unwrap();
        test.store.budget_states(now_ms).await.unwrap()[0].1[0].ledger.used()
    });
    assert!(waiting(&test) > 0);
    assert_eq!(used.0, i128::from(MANY));
}

#[test]
fn an_agent_is_as_old_as_its_oldest_call_whatever_comes_first() {
    let test = TestStore::new();
    let at = |number: u64, days_ago: u64| {
        let mut record = charged(record(number), 10, 1, 1000);
        record.head.time_ms -= days_ago * 86_400_000;
        record
    };
    let known = || {
        let calls = test.runtime.block_on(test.store.first_calls_since(0)).unwrap();
        calls.into_iter().map(|call| (call.first_ms, call.agent_since_ms)).collect::<Vec<_>>()
    };
    test.ingest(&[at(1, 0)]);
    assert_eq!(known(), [(START_MS, START_MS)]);
    // Imported afterwards, in any order.
    for (number, days_ago, oldest) in [(2, 3, 3), (3, 9, 9), (4, 5, 9)] {
        test.ingest(&[at(number, days_ago)]);
        let first_ms = START_MS - oldest * 86_400_000;
        assert_eq!(known(), [(first_ms, first_ms)], "{days_ago} days ago");
    }
}
