//! Several stores on one database, as several collectors have it: nothing double, nothing lost, one chain,
//! one limit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

use jiff::tz::TimeZone;
use serde_json::json;
use tollgate_core::budget::ledger::Report;
use tollgate_core::budget::scope::CounterKey;
use tollgate_core::budget::{Amount, define};
use tollgate_core::money::Picodollars;
use tollgate_core::protocol::sync::CounterReport;
use tollgate_core::record::Head;

use super::*;
use crate::model::alert::Alert;
use crate::model::audit::Verifier;
use crate::model::calendar::span;
use crate::model::dimension::Dimension;
use crate::work::policy::Budgets;

/// 2026-11-25T12:00:00Z.
const NOON: u64 = 1_795_608_000_000;
const ROUNDS: u64 = 60;
const SIZE: u64 = 25;

/// Two stores on one directory, and what runs each in a thread of its own at the same time.
struct Pair {
    stores: [Store; 2],
    dir: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { stores: [0, 1].map(|_| Store::open(dir.path()).unwrap()), dir }
    }

    fn both<T: Send>(&self, work: impl AsyncFn(u64, &Store) -> T + Sync) -> Vec<T> {
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0u64..)
                .zip(&self.stores)
                .map(|(number, store)| {
                    let (start, work) = (&start, &work);
                    scope.spawn(move || {
                        let runtime = runtime();
                        start.wait();
                        runtime.block_on(work(number, store))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// A record that costs its number in pico-dollars.
pub(super) fn record(number: u64, agent: &str) -> UsageRecord {
    let mut record = UsageRecord {
        head: Head {
            id: format!("01890a5d-ac96-774b-8000-{number:012x}"),
            time_ms: NOON,
            gateway: "edge".into(),
            provider: "openai".into(),
            operation: "chat".into(),
            request_model: Some("gpt-x".into()),
            ..Head::default()
        },
        cost_usd: Picodollars::from_pico(i128::from(number)),
        ..UsageRecord::default()
    };
    record.head.attribution.agent = agent.into();
    record
}

pub(super) fn everything() -> SummaryQuery {
    SummaryQuery {
        from_hour: 0,
        to_hour: 1_000_000,
        by: vec![Dimension::Agent],
        every: Every::Period,
        zone: TimeZone::UTC,
        filters: Filters::default(),
        tag_key: None,
    }
}

fn entry(action: &str) -> Entry {
    Entry { time_ms: NOON, actor: "test".into(), action: action.into(), ..Entry::default() }
}

#[test]
fn two_that_write_at_once_double_nothing_lose_nothing_and_keep_one_chain() {
    let pair = Pair::new();
    // Every second record of one is a record of the other too, and both meet new names all the time.
    let counts = pair.both(async |number, store| {
        let mut counts = (0, 0);
        for round in 0..ROUNDS {
            let mut batch = Batch::new(Sender::default());
            for place in 0..SIZE {
                let shared = place % 2 == 0;
                let n = (round * SIZE + place) * 4 + if shared { 0 } else { 1 + number };
                batch.push(&record(n, &format!("agent-{}", n % 97))).unwrap();
            }
            let stored = store.ingest(batch).await.unwrap();
            counts = (counts.0 + stored.stored, counts.1 + stored.duplicates);
            store.audit(entry("test")).await.unwrap();
        }
        counts
    });
    let shared = ROUNDS * SIZE.div_ceil(2);
    let own = ROUNDS * (SIZE / 2);
    let (stored, duplicates) = (counts[0].0 + counts[1].0, counts[0].1 + counts[1].1);
    assert_eq!((stored, duplicates), (shared + 2 * own, shared), "{counts:?}");

    let expected =
        |n: u64| (0..ROUNDS * SIZE).filter(move |at| at % SIZE % 2 == n.min(1)).map(move |at| at * 4 + n);
    let numbers: Vec<u64> = (0..3).flat_map(expected).collect();
    let mut by_agent: BTreeMap<String, (u64, i128)> = BTreeMap::new();
    for n in &numbers {
        let sum = by_agent.entry(format!("agent-{}", n % 97)).or_default();
        *sum = (sum.0 + 1, sum.1 + i128::from(*n));
    }
    for store in &pair.stores {
        let summary = runtime().block_on(store.summary(everything())).unwrap();
        let seen: BTreeMap<String, (u64, i128)> = summary
            .rows
            .into_iter()
            .map(|row| (row.values[0].clone().unwrap(), (row.totals.calls, row.totals.cost.as_pico())))
            .collect();
        assert_eq!(seen, by_agent);
        let accounts = runtime().block_on(store.accounts()).unwrap();
        assert!(accounts.balanced, "{accounts:?}");
        assert_eq!((accounts.received, accounts.stored), (2 * ROUNDS * SIZE, stored));

        let head = runtime().block_on(store.audit_head()).unwrap();
        assert_eq!(head.seq, 2 * ROUNDS);
        let mut verifier = Verifier::new(Some(head.clone()));
        for entry in runtime().block_on(store.audited_after(0, 1_000)).unwrap() {
            verifier.next(&entry).unwrap();
        }
        assert_eq!(verifier.finish(), Ok(head));
    }
}

#[test]
fn gateways_that_ask_two_collectors_are_never_granted_more_than_the_limit() {
    let pair = Pair::new();
    let budget = json!({"name": "b", "limit_calls": 1_000, "window": "day"});
    let budget = define::read_one(&budget, None).unwrap();
    runtime().block_on(pair.stores[0].put_budget(budget.clone(), "test".into(), NOON)).unwrap();
    let stored = runtime().block_on(pair.stores[1].budgets()).unwrap().pop().unwrap();
    let key = CounterKey {
        budget: "b".into(),
        generation: stored.generation,
        value: String::new(),
        span: span(&budget, NOON),
    };
    // Both speak for the same four gateways, whose use only grows, and for one more each.
    pair.both(async |number, store| {
        for round in 0..ROUNDS {
            for gateway in [round % 4, 4 + number] {
                let report = Report { want: Amount(9), version: round, ..Report::default() };
                let reports = vec![CounterReport { key: key.clone(), report }];
                let name = format!("gateway-{gateway}");
                store.sync_counters(name.clone(), name, reports, NOON + round).await.unwrap();
                let states = store.budget_states(NOON + round).await.unwrap();
                let committed = states[0].1[0].ledger.committed();
                assert!(committed <= Amount(1_000), "{committed:?} committed");
            }
        }
    });
    let states = runtime().block_on(pair.stores[0].budget_states(NOON)).unwrap();
    let ledger = &states[0].1[0].ledger;
    assert_eq!(
        (states[0].1.len(), ledger.accounts.len()),
        (1, 6),
        "one counter, one account for each gateway"
    );
    assert!(ledger.committed() > Amount(0) && ledger.committed() <= Amount(1_000));
}

#[test]
fn the_bound_on_rows_of_an_hour_holds_over_both() {
    let pair = Pair::new();
    pair.stores.iter().for_each(|store| store.set_rows_per_hour(20));
    pair.both(async |number, store| {
        for n in 0..40 {
            let n = n * 2 + number;
            let mut batch = Batch::new(Sender::default());
            batch.push(&record(n, &format!("agent-{n}"))).unwrap();
            store.ingest(batch).await.unwrap();
        }
    });
    let summary = runtime().block_on(pair.stores[0].summary(everything())).unwrap();
    assert_eq!((summary.rows.len(), summary.total.calls), (21, 80), "twenty names and `other`");
}

#[test]
fn a_month_that_one_closes_takes_nothing_more_from_the_other() {
    let pair = Pair::new();
    let month: Month = "2026-11".parse().unwrap();
    const DECEMBER: u64 = 1_796_200_000_000;
    pair.both(async |number, store| {
        for round in 0..ROUNDS {
            let mut batch = Batch::new(Sender { received_ms: DECEMBER, ..Sender::default() });
            batch.push(&record(round * 2 + number, "bot")).unwrap();
            store.ingest(batch).await.unwrap();
            if round == ROUNDS / 2 {
                store.close_month(month, Entry { time_ms: DECEMBER, ..entry("month.close") }).await.unwrap();
            }
        }
    });
    let closed = runtime().block_on(pair.stores[0].closed_months()).unwrap();
    let query = SummaryQuery { from_hour: month.from_hour(), to_hour: month.end_hour(), ..everything() };
    let november = runtime().block_on(pair.stores[1].summary(query)).unwrap().total;
    assert_eq!((closed.len(), &closed[0].totals), (1, &november));
    let all = runtime().block_on(pair.stores[1].summary(everything())).unwrap().total;
    assert_eq!(all.calls, 2 * ROUNDS);
    assert!(november.calls >= ROUNDS / 2 && november.calls < all.calls, "{}", november.calls);
    let closings = runtime().block_on(pair.stores[1].audited_after(0, 10)).unwrap();
    assert_eq!(closings.len(), 1, "closed once");
}

#[test]
fn an_alert_is_decided_once_and_each_delivery_taken_by_one() {
    let pair = Pair::new();
    let alerts: Vec<Alert> = (0..20)
        .map(|n| Alert { rule: "r".into(), threshold: n.to_string(), ..Alert::default() }.with_id())
        .collect();
    let judged = vec![Judged { rule: "r".into(), alerts, channels: vec!["a".into(), "b".into()] }];
    let decided =
        pair.both(async |_, store| store.decide(None, judged.clone(), BTreeSet::new(), NOON).await.unwrap());
    assert_eq!(decided.iter().sum::<u64>(), 20);
    let taken = pair.both(async |_, store| {
        let mut taken = Vec::new();
        loop {
            let due = store.claim_due(None, NOON, 3).await.unwrap();
            if due.is_empty() {
                return taken;
            }
            taken.extend(due.into_iter().map(|one| one.seq));
        }
    });
    let all: BTreeSet<i64> = taken.iter().flatten().copied().collect();
    assert_eq!((taken[0].len() + taken[1].len(), all.len()), (40, 40), "{taken:?}");

    // What was taken and not noted comes again: at once to who begins to lead, else after some minutes.
    let [one, two] = &pair.stores;
    runtime().block_on(async {
        let first = *all.first().unwrap();
        one.note_attempts(None, vec![(first, Attempt::Delivered)], NOON).await.unwrap();
        assert!(two.claim_due(None, NOON + 60_000, 64).await.unwrap().is_empty());
        assert_eq!(two.claim_due(None, NOON + 600_000, 64).await.unwrap().len(), 39);
        two.unclaim(None).await.unwrap();
        assert_eq!(one.claim_due(None, NOON + 600_000, 64).await.unwrap().len(), 39);
    });
}

#[test]
fn what_one_is_told_of_budgets_the_other_knows() {
    let pair = Pair::new();
    let [one, two] = &pair.stores;
    let held = Budgets::default();
    runtime().block_on(async {
        held.refresh(two).await.unwrap();
        assert!(held.all().is_empty());
        let budget = json!({"name": "b", "limit_calls": 5, "window": "day"});
        one.put_budget(define::read_one(&budget, None).unwrap(), "test".into(), NOON).await.unwrap();
        held.refresh(two).await.unwrap();
        assert_eq!(held.all().len(), 1);
        one.remove_budget("b".into(), "test".into(), NOON).await.unwrap();
        held.refresh(two).await.unwrap();
        assert!(held.all().is_empty());
    });
}

#[test]
fn one_leads_and_another_takes_its_place() {
    let Pair { stores: [one, two], dir } = Pair::new();
    let keep = |store: &Store, now_ms| runtime().block_on(store.keep_lead(now_ms)).unwrap();
    let first = keep(&one, NOON);
    assert!(first.is_some() && keep(&one, NOON + 9_000) == first && keep(&two, NOON + 9_500).is_none());
    one.close().unwrap();
    let second = keep(&two, NOON + 9_500);
    assert!(second.is_some() && second != first, "at once, as the lock of the first is free");
    let three = Store::open(dir.path()).unwrap();
    assert!(keep(&three, NOON + 19_000).is_none());
}

#[test]
fn one_that_hangs_loses_the_lead_and_writes_nothing_under_it_when_it_wakes_up() {
    let Pair { stores: [one, two], dir: _dir } = Pair::new();
    let keep = |store: &Store, now_ms| runtime().block_on(store.keep_lead(now_ms)).unwrap();
    let old = keep(&one, NOON);
    // It has its lock still, and its time is over.
    let late = NOON + 10_000;
    assert!(one.lead(late - 1) == old && one.lead(late).is_none());
    let new = keep(&two, late);
    assert!(new.is_some() && keep(&one, late + 1).is_none() && two.lead(late + 1) == new);
    let judged = || {
        vec![Judged {
            rule: "r".into(),
            alerts: vec![Alert::default().with_id()],
            channels: vec!["a".into()],
        }]
    };
    let refused =
        |done: Result<(), StoreError>| assert!(matches!(done, Err(StoreError::LeadLost)), "{done:?}");
    runtime().block_on(async {
        two.decide(new, judged(), BTreeSet::new(), late).await.unwrap();
        refused(one.decide(old, vec![], BTreeSet::new(), late).await.map(|_| ()));
        refused(one.claim_due(old, late, 9).await.map(|_| ()));
        refused(one.unclaim(old).await);
        refused(one.note_attempts(old, vec![], late).await);
        refused(one.forget_minutes(old, late).await.map(|_| ()));
        refused(one.expire(old, late, 1).await.map(|_| ()));
        refused(one.pack(old, late).await.map(|_| ()));
        assert_eq!(
            two.claim_due(new, late, 9).await.unwrap().len(),
            1,
            "what the new one decided still holds"
        );
        // A clock that is set back far makes nobody wait for its old end.
        assert!(one.keep_lead(NOON - 60_000).await.unwrap().is_some());
        refused(two.unclaim(new).await);
    });
}

#[test]
fn a_lead_is_kept_by_one_that_could_not_say_so_for_a_while_where_nobody_took_it() {
    let Pair { stores: [one, _two], dir: _dir } = Pair::new();
    let keep = |store: &Store, now_ms| runtime().block_on(store.keep_lead(now_ms)).unwrap();
    let lead = keep(&one, NOON);
    assert_eq!(keep(&one, NOON + 3_600_000), lead);
    runtime().block_on(one.unclaim(lead)).unwrap();
}

#[test]
fn many_that_open_a_new_directory_at_once_all_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    std::thread::scope(|scope| {
        let opened: Vec<_> = (0..6).map(|_| scope.spawn(move || Store::open(path))).collect();
        let stores: Vec<_> = opened.into_iter().map(|one| one.join().unwrap().unwrap()).collect();
        let leads = |store: &&Store| runtime().block_on(store.keep_lead(NOON)).unwrap().is_some();
        assert_eq!(stores.iter().filter(leads).count(), 1);
    });
}

#[test]
fn a_newer_schema_and_a_restore_need_the_directory_alone() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    let backup = dir.path().join("backup.db");
    crate::store::backup(dir.path(), &backup).unwrap();
    assert!(matches!(restore(dir.path(), &backup, NOON), Err(StoreError::InUse { .. })));
    let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
    let newest: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    connection.pragma_update(None, "user_version", newest - 1).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::InUse { .. })));
    connection.pragma_update(None, "user_version", newest).unwrap();
    Store::open(dir.path()).unwrap().close().unwrap();
    first.close().unwrap();
    restore(dir.path(), &backup, NOON).unwrap();
}
