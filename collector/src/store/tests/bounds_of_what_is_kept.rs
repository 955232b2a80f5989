//! Bounds: rollup rows of an hour, and records by age.

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
            record.head.attribution.agent = format!("agent-{n}");
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
        .map(|n| {
            let mut record = charged(record(n), 10, 1, 1000);
            record.head.time_ms = START_MS + n * DAY_MS;
            record
        })
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
    let places: Vec<usize> = again.too_late.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [0, 1, 2, 3, 4, 5]);
    assert!(again.too_late.iter().all(|(_, time_ms)| *time_ms < again.kept_since_ms));
    assert_eq!(all(), before);
    let accounts = accounts(&test);
    assert_eq!((accounts.expired, accounts.dropped.get("too_late")), (6, Some(&6)));
    assert!(accounts.balanced, "{accounts:?}");
}
