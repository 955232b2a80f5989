//! Fetched work is one record, for who started it, whatever comes first.

use tollgate_core::budget::define;
use tollgate_core::price::CostStatus;
use tollgate_core::record::{Note, Output, Work, work_id};

use super::*;
use crate::model::dimension::Dimension;
use crate::store::records::batch::Recharge;

fn start(number: u64, agent: &str, id: &str) -> UsageRecord {
    let mut record = charged(record(number), 0, 0, 0);
    record.head.attribution.agent = agent.into();
    record.work = Some(Box::new(Work { started: vec![id.into()], ..Work::default() }));
    record
}

fn fetch(number: u64, agent: &str, (id, of): (&str, Option<&str>)) -> UsageRecord {
    let mut record = charged(record(number), 100, 10, 7);
    record.head.id = work_id(&record.head.provider, id);
    record.provider_cost_usd = Some(record.cost_usd);
    record.head.attribution.agent = agent.into();
    record.work =
        Some(Box::new(Work { fetched: Some(id.into()), of: of.map(Into::into), ..Work::default() }));
    record
}

/// A start that is paid at once.
fn paid(number: u64, agent: &str, id: &str) -> UsageRecord {
    let mut record = charged(record(number), 100, 10, 7);
    record.head.attribution.agent = agent.into();
    record.work = Some(Box::new(Work { started: vec![id.into()], paid: true, ..Work::default() }));
    record
}

/// A provider names a file as the result of a batch.
fn poll(number: u64, (batch, file): (&str, &str)) -> UsageRecord {
    let mut record = charged(record(number), 0, 0, 0);
    record.head.attribution.agent = "poller".into();
    let output = Output { file: file.into(), of: batch.into() };
    record.work = Some(Box::new(Work { outputs: vec![output], ..Work::default() }));
    record
}

/// A read of which the provider does not say that it is of work which went on without its caller.
fn silent(number: u64, agent: &str, id: &str) -> UsageRecord {
    let mut record = fetch(number, agent, (id, None));
    record.leave_unpaid(Note::PaidAtStart);
    record.cost_status = CostStatus::Free;
    record
}

/// The same where it says that it is not.
fn read(number: u64, agent: &str, id: &str) -> UsageRecord {
    let mut record = silent(number, agent, id);
    record.read_again();
    record
}

/// As ingest hands it over.
fn push(batch: &mut Batch, record: &UsageRecord) {
    let has_something = record.is_uncharged_fetch() && !record.usage.is_empty();
    let if_known = has_something.then(|| {
        let mut known = fetch(1, &record.head.attribution.agent, ("any", None));
        known.head.id.clone_from(&record.head.id);
        known.head.time_ms = record.head.time_ms;
        known.work.clone_from(&record.work);
        known
    });
    batch.push_known(record, Recharge::default(), if_known).unwrap();
}

fn in_every_order(all: &[UsageRecord], expected: &[(String, i128)]) {
    for order in orders(all.len()) {
        let arrivals: Vec<UsageRecord> = order.iter().map(|at| all[*at].clone()).collect();
        assert_eq!(charged_after(&arrivals), expected, "{order:?}");
    }
}

fn cost() -> i128 {
    fetch(1, "a", ("any", None)).cost_usd.as_pico()
}

fn unknown(number: u64, agent: &str, id: &str) -> UsageRecord {
    let mut record = fetch(number, agent, (id, None));
    record.leave_unpaid(Note::UnknownWork);
    record
}

/// Stores these, each of another gateway and in a transaction of its own, and says who was charged what: by
/// records, by summaries and by budgets.
fn charged_after(arrivals: &[UsageRecord]) -> Vec<(String, i128)> {
    let test = TestStore::new();
    let per_agent = serde_json::json!({"name": "b", "limit_usd": "5", "window": "month", "each": "agent"});
    let budget = define::read_one(&per_agent, None).unwrap();
    test.runtime.block_on(test.store.put_budget(budget, "test".into(), 1)).unwrap();
    for (at, record) in arrivals.iter().enumerate() {
        let sender = Sender {
            gateway: format!("g{at}"),
            instance: "i".into(),
            received_ms: record.head.time_ms,
            ..Sender::default()
        };
        let mut batch = Batch::new(sender);
        push(&mut batch, record);
        test.runtime.block_on(test.store.ingest(batch)).unwrap();
    }
    let found = test.runtime.block_on(test.store.recount(4_000_000_000_000)).unwrap();
    assert_eq!((found.wrong, &found.examples), (0, &vec![]));
    assert!(test.runtime.block_on(test.store.accounts()).unwrap().balanced);
    let now_ms = arrivals[0].head.time_ms;
    let states = test.runtime.block_on(test.store.budget_states(now_ms)).unwrap();
    let query = RecordsQuery { limit: 99, ..RecordsQuery::default() };
    let page = test.page(query);
    let mut by_agent: std::collections::BTreeMap<String, i128> = std::collections::BTreeMap::new();
    for record in &page.records {
        *by_agent.entry(record.head.attribution.agent.clone()).or_default() += record.cost_usd.as_pico();
    }
    let by_agent: Vec<(String, i128)> = by_agent.into_iter().filter(|(_, cost)| *cost != 0).collect();
    let summary = SummaryQuery { by: vec![Dimension::Agent], ..crate::store::several::everything() };
    let summary = test.summary(summary);
    let mut summed: Vec<(String, i128)> = summary
        .rows
        .iter()
        .map(|row| (row.values[0].clone().unwrap_or_default(), row.totals.cost.as_pico()))
        .filter(|(_, cost)| *cost != 0)
        .collect();
    summed.sort();
    let mut counted: Vec<(String, i128)> = states
        .iter()
        .flat_map(|(_, counters)| counters)
        .map(|state| (state.key.value.clone(), state.ledger.used().0))
        .filter(|(_, used)| *used != 0)
        .collect();
    counted.sort();
    assert_eq!(summed, by_agent, "summaries say what records do");
    assert_eq!(counted, by_agent, "budgets count what records say");
    by_agent
}

#[test]
fn a_result_is_charged_once_to_who_started_it_in_every_order_of_arrival() {
    let cost = fetch(1, "a", ("resp_1", None)).cost_usd.as_pico();
    let all = [
        start(1, "starter", "resp_1"),
        fetch(2, "fetcher", ("resp_1", None)),
        fetch(3, "another", ("resp_1", None)),
        start(4, "copycat", "resp_2"),
    ];
    for order in orders(all.len()) {
        let arrivals: Vec<UsageRecord> = order.iter().map(|at| all[*at].clone()).collect();
        assert_eq!(charged_after(&arrivals), [("starter".to_owned(), cost)], "{order:?}");
    }
}

#[test]
fn the_output_of_a_batch_is_for_who_started_the_batch_also_where_a_gateway_did_not_know_it() {
    let cost = fetch(1, "a", ("file_1", None)).cost_usd.as_pico();
    let all = [
        start(1, "starter", "batch_1"),
        fetch(2, "fetcher", ("file_1", Some("batch_1"))),
        unknown(3, "stranger", "file_1"),
    ];
    for order in orders(all.len()) {
        let arrivals: Vec<UsageRecord> = order.iter().map(|at| all[*at].clone()).collect();
        assert_eq!(charged_after(&arrivals), [("starter".to_owned(), cost)], "{order:?}");
    }
    assert_eq!(charged_after(&[unknown(3, "stranger", "file_2")]), []);
}

#[test]
fn a_result_whose_start_nobody_saw_is_for_who_fetched_it_first() {
    let cost = fetch(1, "a", ("resp_1", None)).cost_usd.as_pico();
    let arrivals = [fetch(1, "first", ("resp_1", None)), fetch(2, "second", ("resp_1", None))];
    assert_eq!(charged_after(&arrivals), [("first".to_owned(), cost)]);
}

#[test]
fn what_was_paid_as_it_was_started_is_read_again_for_nothing_in_every_order_of_arrival() {
    let all = [
        paid(1, "starter", "v1_1"),
        fetch(2, "fetcher", ("v1_1", None)),
        fetch(3, "another", ("v1_1", None)),
        start(4, "copycat", "v1_2"),
    ];
    in_every_order(&all, &[("starter".to_owned(), cost())]);
}

#[test]
fn a_run_whose_end_its_caller_heard_is_paid_then_and_not_as_it_is_fetched() {
    let all =
        [start(1, "starter", "run_1"), paid(2, "starter", "run_1"), fetch(3, "fetcher", ("run_1", None))];
    in_every_order(&all, &[("starter".to_owned(), cost())]);
}

#[test]
fn an_answer_of_which_nobody_says_that_it_went_on_alone_costs_what_its_start_says() {
    let reads = [silent(2, "fetcher", "resp_1"), silent(3, "another", "resp_1")];
    in_every_order(&reads, &[]);
    // Its start was work that goes on: its starter owes for it.
    let [one, other] = reads;
    let all = [start(1, "starter", "resp_1"), one.clone(), other.clone()];
    in_every_order(&all, &[("starter".to_owned(), cost())]);
    // A gateway that knew that.
    let all = [start(1, "starter", "resp_1"), one, fetch(3, "another", ("resp_1", None))];
    in_every_order(&all, &[("starter".to_owned(), cost())]);
    // It was paid.
    in_every_order(&[paid(1, "starter", "resp_1"), other], &[("starter".to_owned(), cost())]);
}

#[test]
fn a_provider_that_says_that_an_answer_was_waited_for_is_believed() {
    in_every_order(&[read(1, "fetcher", "resp_1"), read(2, "another", "resp_1")], &[]);
    let older_gateways = fetch(2, "another", ("resp_1", None));
    assert_eq!(charged_after(&[read(1, "fetcher", "resp_1"), older_gateways]), []);
}

#[test]
fn a_file_is_charged_to_who_started_its_batch_whenever_that_is_named() {
    let all = [
        start(1, "starter", "batch_1"),
        unknown(2, "fetcher", "file_1"),
        poll(3, ("batch_1", "file_1")),
        poll(4, ("batch_2", "file_2")),
    ];
    in_every_order(&all, &[("starter".to_owned(), cost())]);
    let all = [
        start(1, "starter", "batch_1"),
        fetch(2, "fetcher", ("file_1", None)),
        unknown(3, "another", "file_1"),
        poll(4, ("batch_1", "file_1")),
    ];
    in_every_order(&all, &[("starter".to_owned(), cost())]);
}

#[test]
fn a_file_of_a_batch_whose_start_nobody_saw_is_for_who_asked_after_it() {
    in_every_order(
        &[unknown(1, "fetcher", "file_1"), poll(2, ("batch_1", "file_1"))],
        &[("poller".to_owned(), cost())],
    );
    assert_eq!(charged_after(&[poll(2, ("batch_1", "file_2")), unknown(1, "fetcher", "file_1")]), []);
}

#[test]
fn each_result_of_a_page_is_for_who_started_the_batch_and_counts_once() {
    let result = |number, agent: &str, id: &str| fetch(number, agent, (id, Some("K")));
    let all = [
        start(1, "starter", "K"),
        result(2, "fetcher", "K/1"),
        result(3, "another", "K/1"),
        result(4, "fetcher", "K/2"),
    ];
    in_every_order(&all, &[("starter".to_owned(), 2 * cost())]);
}

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let with_last = |order: Vec<usize>| {
        (0..count).map(move |at| {
            let mut order = order.clone();
            order.insert(at, last);
            order
        })
    };
    orders(last).into_iter().flat_map(with_last).collect()
}
