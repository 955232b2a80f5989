use std::collections::BTreeMap;

use proptest::prelude::*;
use rusqlite::Connection;
use tollgate_core::money::Picodollars;
use tollgate_core::record::{Note, Outcome, PromptShape, UsageRecord};
use tollgate_core::usage::Usage;

use super::of_record::{Value, facets_of, sums_of};
use super::*;
use crate::model::audit::Entry;
use crate::model::dimension::Dimension;
use crate::model::run::Run;
use crate::store::records::adjust::Correction;
use crate::store::records::batch::{Batch, Sender};
use crate::store::rollups::dims::Filters;
use crate::store::rollups::sums::{AsRow as _, InRow as _, Sums};
use crate::store::several::{record, runtime};
use crate::store::{Every, RecordsQuery, RunFound, RunsQuery, Store, SummaryQuery, SummaryRow};

const HOUR_MS: u64 = 3_600_000;
const START_MS: u64 = 490_000 * HOUR_MS;

/// Sums of each facet, value and hour.
type Rows = BTreeMap<(Facet, String, i64), Sums>;

fn call(n: u64, (run, parent): (u64, u64), outcome: Outcome, input: u64, hour: u64) -> UsageRecord {
    let mut call = record(n, &format!("agent-{}", n % 3));
    call.head.time_ms = START_MS + hour * HOUR_MS + n;
    call.outcome = outcome;
    call.usage = Usage { input_tokens: Some(input), output_tokens: Some(n % 700), ..Usage::default() };
    call.head.attribution.run = (run > 0).then(|| format!("run-{run}"));
    call.head.attribution.parent_run = (parent > 0).then(|| format!("run-{parent}"));
    call.head.attribution.tags.insert("customer".into(), format!("c{}", n % 4));
    call.refused_by = (outcome == Outcome::Denied).then(|| format!("rule-{}", n % 3));
    call.noted_by = if n % 5 < 2 { vec!["rule-0".into(), format!("rule-{}", n % 4)] } else { Vec::new() };
    call.saved_usd = n.is_multiple_of(3).then(|| Picodollars::from_pico(i128::from(n) * 7 - 20));
    call.prompt = n.is_multiple_of(2).then(|| PromptShape {
        system_hash: Some(format!("print-{}", n % 5)),
        system_bytes: Some(4_000),
        bytes_by_role: [("user".to_owned(), 900)].into(),
        ..PromptShape::default()
    });
    call
}

fn store(records: &[UsageRecord]) -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    ingest(&store, records);
    (store, dir)
}

fn ingest(store: &Store, records: &[UsageRecord]) {
    let mut batch = Batch::new(Sender { gateway: "edge".into(), ..Sender::default() });
    for record in records {
        batch.push(record).unwrap();
    }
    runtime().block_on(store.ingest(batch)).unwrap();
}

fn follow(store: &Store) {
    while runtime().block_on(store.follow(None)).unwrap() {}
    assert_eq!(runtime().block_on(store.unfollowed()).unwrap(), 0);
}

fn runs_of(store: &Store, query: RunsQuery) -> Vec<Run> {
    runtime().block_on(store.runs(query, Vec::new(), |all, run| all.push(run.clone()))).unwrap().found
}

fn pack(store: &Store) {
    while runtime().block_on(store.pack(None, START_MS + 100 * HOUR_MS)).unwrap() {}
}

fn connection(dir: &tempfile::TempDir) -> Connection {
    Connection::open(dir.path().join("tollgate.db")).unwrap()
}

fn stored(connection: &Connection) -> Rows {
    let mut all = Rows::new();
    for facet in
        [Facet::Apart, Facet::Tag, Facet::Run, Facet::Prompt, Facet::Retry, Facet::Rule, Facet::Saved]
    {
        each(connection, facet, (0, 1_000_000), |row| {
            let value = match facet {
                Facet::Apart | Facet::Retry | Facet::Saved => row.value.to_string(),
                _ => name(connection, row.value)?,
            };
            all.entry((facet, value, row.hour)).or_default().add(&Sums::decode(row.sums)?)?;
            Ok(())
        })
        .unwrap();
    }
    all
}

fn expected(records: &[(UsageRecord, i64)]) -> Rows {
    let mut all = Rows::new();
    for (record, hour) in records {
        for (facet, value) in facets_of(record) {
            let value = match value {
                Value::Number(number) => number.to_string(),
                Value::Name(name) => name,
            };
            all.entry((facet, value, *hour))
                .or_default()
                .add(&sums_of(facet, record, &Sums::of(record)))
                .unwrap();
        }
    }
    all
}

fn hour_of(record: &UsageRecord) -> i64 {
    i64::try_from(record.head.time_ms / HOUR_MS).unwrap()
}

fn any_call() -> impl Strategy<Value = (u64, u64, Outcome, u64, u64)> {
    let outcome = prop_oneof![Just(Outcome::Ok), Just(Outcome::Error), Just(Outcome::Denied)];
    (0u64..6, 0u64..6, outcome, prop_oneof![0u64..30_000, 0u64..900_000], 0u64..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn each_record_is_in_the_sums_of_its_facets_once(
        calls in proptest::collection::vec(any_call(), 1..40),
        cut in 0usize..40,
        changed in proptest::collection::vec((0usize..40, -500i128..500), 0..4),
    ) {
        let calls: Vec<_> = (1..).zip(calls).map(|(n, (run, parent, outcome, input, hour))| {
            call(n, (run, parent), outcome, input, hour)
        }).collect();
        let (first, second) = calls.split_at(cut.min(calls.len()));
        let (store, dir) = store(first);
        follow(&store);
        pack(&store);
        // Sent twice, as gateways do when an answer was lost.
        ingest(&store, first);
        ingest(&store, second);
        let mut counted: Vec<_> = calls.iter().map(|one| (one.clone(), hour_of(one))).collect();
        // A price is corrected before or after its record was followed.
        for (at, amount) in changed {
            let at = at % calls.len();
            let before = counted[at].0.clone();
            let mut after = before.clone();
            after.cost_usd += Picodollars::from_pico(amount);
            let id: crate::store::RecordId = before.head.id.parse().unwrap();
            let query = crate::store::RecordsQuery { limit: 1_000, ..Default::default() };
            let (page, _) = runtime().block_on(store.counted(query)).unwrap();
            let base = page.iter().find(|one| one.record.head.id.parse() == Ok(id)).unwrap().base;
            let correction = Correction { before, after: after.clone(), base };
            let entry = Entry { time_ms: START_MS, ..Entry::default() };
            prop_assert_eq!(runtime().block_on(store.correct(vec![correction], entry)).unwrap(), 1);
            counted[at].0 = after;
            // As much as it costs more, it saved less.
            let saved = &mut counted[at].0.saved_usd;
            *saved = saved.map(|saved| saved - Picodollars::from_pico(amount));
            if amount % 2 == 0 {
                follow(&store);
            }
        }
        follow(&store);
        prop_assert_eq!(stored(&connection(&dir)), expected(&counted));
        // Pieces that are left, rows where a piece went, and pieces of all hours give the same runs.
        let all = || runs_of(&store, RunsQuery { to_ms: i64::MAX, ..RunsQuery::default() });
        let some_packed = all();
        pack(&store);
        prop_assert_eq!(&all(), &some_packed);
        connection(&dir).execute("DELETE FROM runs_packed", []).unwrap();
        prop_assert_eq!(&all(), &some_packed);
        prop_assert_eq!(runtime().block_on(store.recount(START_MS)).unwrap().wrong, 0);
    }
}

#[test]
fn a_run_has_its_calls_its_times_and_what_it_started() {
    let calls = [
        call(1, (1, 0), Outcome::Ok, 100, 0),
        call(2, (2, 1), Outcome::Ok, 200, 0),
        call(3, (1, 0), Outcome::Error, 300, 1),
        call(4, (3, 2), Outcome::Denied, 0, 1),
        call(5, (7, 9), Outcome::Ok, 10, 1),
    ];
    let (store, _dir) = store(&calls);
    follow(&store);
    let all = || RunsQuery { to_ms: i64::MAX, ..RunsQuery::default() };
    let runs = runs_of(&store, all());
    let names = runtime().block_on(store.run_names(runs.iter().map(|run| run.id).collect())).unwrap();
    // The one that started run-7 made no call itself.
    assert_eq!(names, ["run-1", "run-2", "run-3", "run-9", "run-7"].map(str::to_owned));
    let first = &runs[0];
    assert_eq!((first.own.calls, first.own.errors, first.own.cost.as_pico()), (2, 1, 4));
    assert_eq!((first.first_tokens, first.last_tokens), (100, 300));
    let start = i64::try_from(START_MS).unwrap();
    assert_eq!((first.first_ms, first.last_ms), (start + 1, start + 3_600_003));
    let RunFound { nodes, started_by } = runtime().block_on(store.run_tree("run-1".into())).unwrap().unwrap();
    let of: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.run.own.cost.as_pico())).collect();
    assert_eq!((of, started_by), (vec![("run-1", 4), ("run-2", 2), ("run-3", 4)], vec![]));
    assert_eq!(nodes[0].parts.len(), 2, "two agents called in it");
    let calls_of = |run: &str| {
        let query = RecordsQuery { run: Some(run.into()), limit: 10, ..RecordsQuery::default() };
        let page = runtime().block_on(store.records(query)).unwrap();
        page.records.into_iter().map(|one| one.head.id).collect::<Vec<_>>()
    };
    assert_eq!(calls_of("run-1"), [&calls[2], &calls[0]].map(|one| one.head.id.clone()));
    assert_eq!(calls_of("no"), [""; 0]);
    let found = runtime().block_on(store.run_tree("run-3".into())).unwrap().unwrap();
    assert_eq!(found.started_by, ["run-2", "run-1"]);
    assert_eq!(runtime().block_on(store.run_tree("no".into())).unwrap(), None);
    let mut filters = Filters::default();
    filters.accept(crate::model::dimension::Dimension::Agent, "agent-0".into());
    let some = runs_of(&store, RunsQuery { filters, ..all() });
    assert_eq!(some.iter().map(|run| run.own.calls).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_runs_prompts_are_its_own_and_only_runs_have_starters() {
    // Its children call before its first call and after its last, in batches of their own.
    let calls = [
        call(1, (2, 1), Outcome::Ok, 7_000, 0),
        call(2, (1, 0), Outcome::Ok, 300, 2),
        call(3, (1, 0), Outcome::Ok, 100, 1),
        call(4, (3, 1), Outcome::Ok, 9_000, 3),
    ];
    let (store, dir) = store(&[]);
    for one in &calls {
        ingest(&store, std::slice::from_ref(one));
        follow(&store);
    }
    let RunFound { nodes, .. } = runtime().block_on(store.run_tree("run-1".into())).unwrap().unwrap();
    assert_eq!((nodes[0].run.first_tokens, nodes[0].run.last_tokens), (100, 300));
    let start = i64::try_from(START_MS + HOUR_MS).unwrap();
    assert_eq!((nodes[0].run.first_ms, nodes[0].run.last_ms), (start + 3, start + 3_600_002));
    let sql =
        "SELECT count(*) FROM facet_values WHERE facet <> 3 AND (parent IS NOT NULL OR name LIKE 'run-%')";
    let others: i64 = connection(&dir).query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(others, 0);
}

#[test]
fn repeats_are_told_and_what_they_could_have_read_from_caches() {
    let mut calls: Vec<_> = (1..=4).map(|n| call(2 * n, (0, 0), Outcome::Ok, 10_000, 0)).collect();
    for (at, one) in calls.iter_mut().enumerate() {
        one.head.attribution.agent = "a".into();
        one.prompt.as_mut().unwrap().system_hash = Some("print".into());
        // The last comes after the provider has forgotten the prefix.
        one.head.time_ms = START_MS + [0, 60_000, 70_000, 900_000][at];
        one.request_hash = Some(["x", "y", "y", "y"][at].into());
        one.usage.cache_read_tokens = Some(if at == 2 { 8_000 } else { 0 });
    }
    let (store, dir) = store(&calls);
    follow(&store);
    let connection = connection(&dir);
    let mut counts = PromptCounts::default();
    each(&connection, Facet::Prompt, (0, 1_000_000), |row| {
        counts.add(&row.counts()?);
        Ok(())
    })
    .unwrap();
    let system = 10_000 * 4_000 / 4_900;
    assert_eq!((counts.calls, counts.repeats), (4, 2));
    assert_eq!((counts.cacheable_tokens, counts.repeats_read_tokens), (2 * system, 8_000));
    let retries = stored(&connection).remove(&(Facet::Retry, "0".into(), 490_000)).unwrap();
    assert_eq!(retries.totals.calls, 1);
    let query = RecordsQuery { retried: true, limit: 10, ..RecordsQuery::default() };
    let page = runtime().block_on(store.records(query)).unwrap();
    let found: Vec<_> = page.records.iter().map(|one| (&one.head.id, one.notes.as_slice())).collect();
    assert_eq!(found, [(&calls[2].head.id, &[Note::Repeated][..])]);
}

#[test]
fn retries_and_savings_stand_beside_a_summary_and_follow_corrections() {
    let mut calls: Vec<_> = (1..=4).map(|n| call(n, (0, 0), Outcome::Ok, 100, 0)).collect();
    for (at, one) in calls.iter_mut().enumerate() {
        one.head.attribution.agent = ["a", "a", "b", "b"][at].into();
        one.request_hash = Some("same".into());
        one.attempts = (at == 2).then_some(3);
        one.saved_usd = [None, Some(70), None, Some(-5)][at].map(Picodollars::from_pico);
    }
    let (store, _dir) = store(&calls);
    follow(&store);
    let asides = || {
        let query = SummaryQuery {
            from_hour: 490_000,
            to_hour: 490_001,
            by: vec![Dimension::Agent],
            every: Every::Period,
            zone: jiff::tz::TimeZone::UTC,
            filters: Filters::default(),
            tag_key: None,
        };
        let found = runtime().block_on(store.asides(query)).unwrap();
        let of = |((_, values), one): (&(_, Vec<Option<String>>), &crate::store::Aside)| {
            let saved = one.saved_usd().map(Picodollars::as_pico);
            (values[0].clone().unwrap(), (one.retried.calls, one.retried.cost.as_pico(), saved))
        };
        found.iter().map(of).collect::<BTreeMap<_, _>>()
    };
    // Each call costs its number. Of b's, Envoy tried the first more than once, and the second repeats it.
    assert_eq!(asides(), [("a".into(), (1, 2, Some(70))), ("b".into(), (2, 7, Some(-5)))].into());
    let before = calls[1].clone();
    let after = UsageRecord { cost_usd: Picodollars::from_pico(12), ..before.clone() };
    let query = RecordsQuery { limit: 10, ..RecordsQuery::default() };
    let (page, _) = runtime().block_on(store.counted(query)).unwrap();
    let base = page.iter().find(|one| one.record.head.id == before.head.id).unwrap().base;
    let correction = Correction { before, after, base };
    let entry = Entry { time_ms: START_MS, ..Entry::default() };
    runtime().block_on(store.correct(vec![correction], entry)).unwrap();
    assert_eq!(asides()["a"], (1, 12, Some(60)), "ten dearer, and so ten less are saved");
}

#[test]
fn rules_are_told_apart_by_what_they_refused_and_what_they_noted() {
    let ruled = |n: u64, refused_by: Option<&str>, noted_by: &[&str]| {
        let mut one = record(n, "triage");
        one.head.time_ms = START_MS;
        one.outcome = if refused_by.is_some() { Outcome::Denied } else { Outcome::Ok };
        one.status = Some(200);
        one.cost_usd = Picodollars::from_pico(if refused_by.is_some() { 0 } else { 5 });
        one.refused_by = refused_by.map(str::to_owned);
        one.noted_by = noted_by.iter().map(|rule| (*rule).to_owned()).collect();
        one
    };
    let (store, _dir) = store(&[
        ruled(1, Some("models"), &[]),
        ruled(2, Some("models"), &["trial", "models"]),
        ruled(3, None, &["trial"]),
        ruled(4, None, &["trial", "team"]),
        ruled(5, None, &[]),
    ]);
    follow(&store);
    let asked = |rule: Option<&str>, by: &[Dimension]| {
        let mut filters = Filters::default();
        rule.into_iter().for_each(|rule| filters.accept(Dimension::Rule, rule.to_owned()));
        let query = SummaryQuery {
            from_hour: 0,
            to_hour: 1_000_000,
            by: by.to_vec(),
            every: Every::Period,
            zone: jiff::tz::TimeZone::UTC,
            filters,
            tag_key: None,
        };
        let summary = runtime().block_on(store.summary(query)).unwrap();
        let row = |row: &SummaryRow| {
            let (name, totals) = (row.values[0].clone().unwrap_or_default(), &row.totals);
            format!("{name}: {} {} {}", totals.calls, totals.denied, totals.cost.as_pico())
        };
        let total = format!("{} {}", summary.total.calls, summary.total.denied);
        (summary.rows.iter().map(row).collect::<Vec<_>>(), total)
    };
    let (rows, total) = asked(None, &[Dimension::Rule]);
    assert_eq!(rows, ["models: 0 2 0", "team (noted): 1 0 5", "trial (noted): 2 1 10"]);
    assert_eq!(total, "3 2", "the total is that of all calls");
    let (rows, total) = asked(Some("trial"), &[Dimension::Agent]);
    assert_eq!((rows, total.as_str()), (vec!["triage: 2 1 10".to_owned()], "2 1"));
    assert_eq!(asked(Some("models"), &[Dimension::Rule]).0, ["models: 0 2 0"]);
    assert_eq!(asked(Some("nobody's"), &[Dimension::Rule]).0, [""; 0]);
    let refused = |hours| runtime().block_on(store.refused(hours)).unwrap();
    let all = refused((0, 1_000_000));
    assert_eq!(all.iter().map(|one| (one.rule.as_str(), one.calls)).collect::<Vec<_>>(), [("models", 2)]);
    assert_eq!(refused((0, 490_000)), [], "the end is not in it");
}

#[test]
fn names_that_a_caller_makes_up_are_bounded_by_day_and_runs_go_with_their_records() {
    let mut calls: Vec<_> = (1..=6_000).map(|n| call(n, (n, 0), Outcome::Ok, 1, 0)).collect();
    for (n, one) in (0..).zip(&mut calls) {
        one.head.attribution.tags = [("k".to_owned(), format!("v{n}"))].into();
        one.prompt = None;
    }
    let mut late = call(9_000, (9_000, 0), Outcome::Ok, 1, 200);
    late.prompt = None;
    let (store, dir) = store(&calls);
    follow(&store);
    let connection = connection(&dir);
    let found = stored(&connection);
    let others = found.get(&(Facet::Tag, follow::OTHERS.into(), 490_000)).unwrap();
    assert_eq!(others.totals.calls, 1_000);
    let runs = |connection: &Connection| {
        let sql = "SELECT count(*) FROM facet_values WHERE facet = 3";
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(runs(&connection), 6_000);
    ingest(&store, &[late]);
    let now_ms = START_MS + 201 * HOUR_MS;
    while runtime().block_on(store.expire(None, now_ms, 48 * HOUR_MS)).unwrap() > 0 {}
    follow(&store);
    assert_eq!(runs(&connection), 1);
    assert!(!stored(&connection).keys().any(|(facet, _, hour)| *facet == Facet::Run && *hour == 490_000));
    // The sums of a row are bytes that the rollups read.
    assert!(Sums::decode(&Sums::of(&calls[0]).encode()).is_ok());
}

#[test]
fn what_stands_apart_reads_back_from_its_value() {
    for outcome in OUTCOMES {
        for input in [0, 40_000, 10_000_000] {
            if let Some(apart) = Apart::of(outcome, input) {
                assert_eq!(Apart::from_value(apart.value()), Some(apart));
            } else {
                assert_eq!((outcome, input), (Outcome::Ok, 0));
            }
        }
    }
}
