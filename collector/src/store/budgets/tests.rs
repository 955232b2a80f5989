use std::collections::BTreeSet;

mod counted;
mod gone;
mod top_ups;

use serde_json::json;
use tollgate_core::budget::define;
use tollgate_core::budget::ledger::{Report, Want};
use tollgate_core::budget::window::Span;

use super::super::Store;
use super::*;
use crate::model::calendar::span;
use crate::store::records::batch::{Batch, Recharge, Sender};

const HOUR: u64 = 3_600_000;
/// 2026-11-25T12:00:00Z.
const NOON: u64 = 1_795_608_000_000;

fn budget(value: serde_json::Value) -> Budget {
    define::read_one(&value, None).unwrap()
}

fn daily(limit: &str) -> Budget {
    budget(json!({"name": "b", "limit_usd": limit, "window": "day"}))
}

struct Fixture {
    store: Store,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { store: Store::open(dir.path()).unwrap(), _dir: dir }
    }

    async fn put(&self, budget: Budget, now_ms: u64) -> Put {
        self.store.put_budget(budget, "test".into(), now_ms).await.unwrap().0
    }

    /// What an instance reports and wants, and what it is told.
    async fn sync(
        &self,
        instance: &str,
        key: &CounterKey,
        report: Report,
        now_ms: u64,
    ) -> Option<CounterGrant> {
        let reports = vec![CounterReport { key: key.clone(), report }];
        self.store.sync_counters("edge".into(), instance.into(), reports, now_ms).await.unwrap().pop()
    }

    async fn key(&self, value: &str, now_ms: u64) -> CounterKey {
        let stored = self.store.budgets().await.unwrap().pop().unwrap();
        let span = span(&stored.budget, now_ms);
        CounterKey { budget: stored.budget.name, generation: stored.generation, value: value.into(), span }
    }

    async fn ledger(&self, now_ms: u64) -> Ledger {
        let states = self.store.budget_states(now_ms).await.unwrap();
        states[0].1[0].ledger.clone()
    }

    /// A record of this many dollars, of a call whose gateway knew every budget.
    async fn record(&self, n: u64, time_ms: u64, agent: &str, dollars: u64) {
        self.record_and_report(n, time_ms, agent, dollars, vec![]).await;
    }

    async fn record_and_report(
        &self,
        n: u64,
        time_ms: u64,
        agent: &str,
        dollars: u64,
        counters: Vec<CounterReport>,
    ) {
        let more = json!({"policy_version": "fffffffffff-0"});
        self.ingest(time_ms, vec![record(n, time_ms, agent, dollars, &more)], counters).await;
    }

    async fn ingest(&self, received_ms: u64, records: Vec<serde_json::Value>, counters: Vec<CounterReport>) {
        let mut batch = Batch::new(Sender {
            gateway: "edge".into(),
            instance: "i".into(),
            received_ms,
            ..Sender::default()
        });
        for record in records {
            batch.push(&serde_json::from_value(record).unwrap()).unwrap();
        }
        batch.counters = counters;
        self.store.ingest(batch).await.unwrap();
    }
}

/// A record of this many dollars, with more members.
fn record(n: u64, time_ms: u64, agent: &str, dollars: u64, more: &serde_json::Value) -> serde_json::Value {
    let cost = format!("{dollars}.000000000000");
    let mut record = json!({
        "id": format!("01890a5d-ac96-774b-8000-{n:012x}"), "time_ms": time_ms, "gateway": "edge", "agent": agent,
        "team": "support", "tags": {"customer": "acme"}, "provider": "openai", "operation": "chat",
        "request_model": "gpt-x", "status": 200, "outcome": "ok", "cost_status": "measured", "cost_usd": cost,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        "charges": [{"model": "gpt-x", "kind": "input", "quantity": 1, "rate": cost, "cost_usd": cost}],
    });
    record.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    record
}

const fn dollars(amount: i128) -> Amount {
    Amount(amount * 1_000_000_000_000)
}

fn report(used: i128, want: i128, version: u64) -> Report {
    Report { granted: dollars(used), used: dollars(used), want: dollars(want), version, ..Report::default() }
}

#[tokio::test]
async fn an_edited_limit_keeps_what_was_spent() {
    let fixture = Fixture::new();
    assert_eq!(fixture.put(daily("10"), NOON).await, Put::Created);
    let key = fixture.key("", NOON).await;
    let granted = fixture.sync("one", &key, report(0, 6, 1), NOON).await.unwrap().grant;
    assert_eq!((granted.granted, granted.want), (dollars(6), Want::Granted));
    fixture.sync("one", &key, report(6, 0, 2), NOON + 1).await.unwrap();
    assert_eq!(fixture.put(daily("7"), NOON + 3).await, Put::Changed);
    assert_eq!(fixture.put(daily("7"), NOON + 4).await, Put::Same);
    let ledger = fixture.ledger(NOON + 5).await;
    assert_eq!((ledger.limit, ledger.used()), (dollars(7), dollars(6)));
    let short = fixture.sync("two", &key, report(0, 2, 1), NOON + 6).await.unwrap().grant;
    assert_eq!(
        (short.granted, short.want),
        (Amount::ZERO, Want::Recalling),
        "the last dollar is with the first"
    );
}

#[tokio::test]
async fn a_budget_made_later_counts_what_records_say_was_spent_before() {
    let fixture = Fixture::new();
    fixture.record(1, NOON - 13 * HOUR, "bot", 1).await;
    fixture.record(2, NOON - 3 * HOUR, "bot", 2).await;
    fixture.record(3, NOON - HOUR, "other", 4).await;
    fixture.record(4, NOON - 60_000, "bot", 8).await;
    for (definition, expected) in [
        (json!({"name": "b", "limit_usd": "100", "window": "day"}), 14),
        (json!({"name": "b", "limit_usd": "100", "window": "day", "scope": {"agent": "bot"}}), 10),
        (
            json!({"name": "b", "limit_usd": "100", "window": "day", "scope": {"tags": {"customer": "acme"}}}),
            14,
        ),
        (
            json!({"name": "b", "limit_usd": "100", "window": "day", "scope": {"tags": {"customer": "else"}}}),
            0,
        ),
        (json!({"name": "b", "limit_usd": "100", "window": "hour"}), 0),
        (json!({"name": "b", "limit_usd": "100", "window": "prepaid"}), 0),
        (json!({"name": "b", "limit_usd": "100", "window": "day", "time_zone": "+05:30"}), 15),
    ] {
        fixture.put(budget(definition.clone()), NOON).await;
        let key = fixture.key("", NOON).await;
        let grant = fixture.sync("one", &key, report(0, 1, 1), NOON).await.unwrap().grant;
        assert_eq!(grant.elsewhere, dollars(expected), "{definition}");
    }
    let tokens = json!({"name": "b", "limit_tokens": 1000, "window": "day"});
    fixture.put(budget(tokens), NOON).await;
    let key = fixture.key("", NOON).await;
    assert_eq!(fixture.sync("one", &key, Report::default(), NOON).await.unwrap().grant.elsewhere, Amount(45));
}

#[tokio::test]
async fn of_the_hour_in_which_a_budget_is_made_only_what_came_before_it_counts() {
    // Of the records before and after, the fewer are read: once those, once these.
    for after in [1, 3] {
        let fixture = Fixture::new();
        let minute = |minute: u64| NOON + minute * 60_000;
        fixture.record(1, NOON - HOUR, "bot", 16).await;
        fixture.record(2, minute(10), "bot", 1).await;
        fixture.record(3, minute(20), "other", 2).await;
        for number in 0..after {
            fixture.record(4 + number, minute(40 + number), "bot", 4).await;
        }
        let each = budget(json!({"name": "b", "limit_usd": "100", "window": "day", "each": "agent"}));
        fixture.put(each, minute(30)).await;
        for (agent, expected) in [("bot", 17), ("other", 2), ("third", 0)] {
            let key = fixture.key(agent, minute(50)).await;
            let grant = fixture.sync("one", &key, Report::default(), minute(50)).await.unwrap().grant;
            assert_eq!(grant.elsewhere, dollars(expected), "{agent}, {after} records after it");
        }
    }
}

#[tokio::test]
async fn a_rolling_window_forgets_its_parts_as_they_leave() {
    let fixture = Fixture::new();
    fixture.record(1, NOON - 90 * 60_000, "bot", 1).await;
    fixture.record(2, NOON - 30 * 60_000, "bot", 2).await;
    fixture.put(budget(json!({"name": "b", "limit_usd": "10", "window": "rolling 1h"})), NOON).await;
    let key = fixture.key("", NOON).await;
    let grant = fixture.sync("one", &key, report(0, 10, 1), NOON).await.unwrap().grant;
    assert_eq!((grant.elsewhere, grant.granted), (dollars(2), dollars(8)), "an hour back, not more");
    let after = NOON + 60_000;
    let over = fixture.sync("one", &key, report(3, 0, 2), after).await.unwrap().grant;
    assert_eq!((over.granted, over.keep), (dollars(8), Some(Amount::ZERO)), "the part is over");
    let returned = Report {
        granted: dollars(8),
        returned: dollars(5),
        used: dollars(3),
        version: 3,
        ..Report::default()
    };
    fixture.sync("one", &key, returned, after).await.unwrap();
    let later = NOON + 40 * 60_000;
    let key = fixture.key("", later).await;
    let grant = fixture.sync("one", &key, report(0, 10, 1), later).await.unwrap().grant;
    assert_eq!(
        (grant.elsewhere, grant.granted),
        (dollars(3), dollars(7)),
        "the record left, the part at noon did not"
    );
    let states = fixture.store.budget_states(later).await.unwrap();
    assert_eq!(states[0].1[0].first_ms, NOON, "what counts begins there");
}

#[tokio::test]
async fn a_released_gateway_hears_of_it_when_it_comes_back() {
    let fixture = Fixture::new();
    fixture.put(daily("10"), NOON).await;
    let key = fixture.key("", NOON).await;
    fixture.sync("gone", &key, report(0, 10, 1), NOON).await.unwrap();
    assert_eq!(release(&fixture, "gone", false, NOON + LIVE_MS).await, Released::Live { seen_ms: NOON });
    let gone_ms = NOON + LIVE_MS + 1;
    assert_eq!(release(&fixture, "gone", false, gone_ms).await, Released::Counters(1));
    assert_eq!(release(&fixture, "gone", false, gone_ms).await, Released::Counters(0));
    let other = fixture.sync("other", &key, report(0, 10, 1), NOON).await.unwrap().grant;
    assert_eq!(other.granted, dollars(10));
    let back = fixture.sync("gone", &key, report(0, 0, 2), NOON).await.unwrap().grant;
    assert_eq!(back.returned, dollars(10), "nothing is left of its grant");
}

#[tokio::test]
async fn windows_and_generations_that_a_budget_does_not_have_get_nothing() {
    let fixture = Fixture::new();
    fixture.put(daily("10"), NOON).await;
    let key = fixture.key("", NOON).await;
    let made_up = CounterKey { span: Span { start_ms: 5, end_ms: 6 }, ..key.clone() };
    assert_eq!(fixture.sync("one", &made_up, report(0, 1, 1), NOON).await, None);
    let future = CounterKey { span: span(&daily("10"), NOON + 72 * HOUR), ..key.clone() };
    assert_eq!(fixture.sync("one", &future, report(0, 1, 1), NOON).await, None);
    fixture.sync("one", &key, report(0, 4, 1), NOON).await.unwrap();
    let scoped = budget(json!({"name": "b", "limit_usd": "10", "window": "day", "scope": {"agent": "x"}}));
    assert_eq!(fixture.put(scoped, NOON + 1).await, Put::CountsOtherwise);
    let late = fixture.sync("one", &key, report(4, 4, 2), NOON + 2).await.unwrap().grant;
    assert_eq!(
        (late.granted, late.want),
        (dollars(4), Want::Exhausted),
        "its report is taken, nothing more is granted"
    );
}

#[tokio::test]
async fn the_files_budgets_come_and_go_with_the_file() {
    let fixture = Fixture::new();
    let names = |stored: Vec<StoredBudget>| -> Vec<String> {
        stored.into_iter().map(|stored| stored.budget.name).collect()
    };
    fixture.put(budget(json!({"name": "api", "limit_usd": "1", "window": "day"})), NOON).await;
    let configured = fixture.store.configure_budgets(vec![daily("1")], BTreeSet::new(), NOON).await.unwrap();
    assert_eq!(names(configured), ["api", "b"]);
    assert_eq!(names(fixture.store.configure_budgets(vec![], BTreeSet::new(), NOON).await.unwrap()), ["api"]);
    let again = fixture.store.configure_budgets(vec![daily("1")], BTreeSet::new(), NOON + 5).await.unwrap();
    assert_eq!(again[1].generation, 2, "a budget that was removed and comes back begins anew");
}

#[tokio::test]
async fn what_comes_with_the_first_report_is_not_taken_from_what_was_spent_before() {
    let fixture = Fixture::new();
    for n in 0..3 {
        fixture.record(n, NOON + n, "a", 2).await;
    }
    fixture.put(daily("100"), NOON + 1_000).await;
    let key = fixture.key("", NOON + 2_000).await;
    let counters = vec![CounterReport { key, report: report(5, 0, 1) }];
    fixture.record_and_report(9, NOON + 2_000, "a", 5, counters).await;
    assert_eq!(fixture.ledger(NOON + 2_000).await.seed, dollars(6));
}

/// A policy takes a moment to arrive: what a gateway admitted meanwhile it has not charged.
#[tokio::test]
async fn a_call_whose_price_was_found_here_counts_as_what_it_cost_once() {
    let fixture = Fixture::new();
    let kept = json!({"name": "b", "limit_usd": "10", "window": "day", "on_unknown": "worst"});
    fixture.put(budget(kept), NOON).await;
    let key = fixture.key("", NOON).await;
    // The gateway keeps what it held for one call, six dollars, and held nothing for another.
    let reported = Report {
        granted: dollars(6),
        used: dollars(6),
        kept: dollars(6),
        want: dollars(4),
        version: 1,
        ..Report::default()
    };
    fixture.sync("i", &key, reported, NOON + 1).await.unwrap();
    let send = async || {
        let mut batch = Batch::new(Sender {
            gateway: "edge".into(),
            instance: "i".into(),
            received_ms: NOON + 9,
            ..Sender::default()
        });
        for (n, cost, used, kept) in [(1, 2, -4, -6), (2, 3, 3, 0)] {
            let record = record(n, NOON + 2, "bot", cost, &json!({"policy_version": "fffffffffff-0"}));
            let recharge =
                Recharge { used: dollars(used), worst_used: dollars(used), worst_kept: dollars(kept) };
            batch.push_recharged(&serde_json::from_value(record).unwrap(), recharge).unwrap();
        }
        fixture.store.ingest(batch).await.unwrap();
    };
    send().await;
    send().await;
    let ledger = fixture.ledger(NOON + 10).await;
    let kept = ledger.accounts.values().map(|account| account.kept).fold(ledger.kept, Amount::plus);
    assert_eq!((ledger.used(), kept), (dollars(5), Amount::ZERO), "{ledger:?}");
    // The gateway was granted all ten; the dollar by which it was charged too much is there for others.
    let more = fixture.sync("two", &key, report(0, 5, 1), NOON + 11).await.unwrap().grant;
    assert_eq!((more.granted, more.want), (dollars(1), Want::Recalling));
}

#[tokio::test]
async fn what_was_admitted_without_a_budget_counts_on_it_once() {
    let fixture = Fixture::new();
    let made = NOON + HOUR;
    let send = async |calls: &[(u64, u64, &serde_json::Value)]| {
        let one = |(n, time_ms, more): &(u64, u64, &serde_json::Value)| {
            let agent = if *n == 12 { "new" } else { "bot" };
            record(*n, *time_ms, agent, 1 << n, more)
        };
        fixture.ingest(made + 9_000, calls.iter().map(one).collect(), vec![]).await;
    };
    let (old, new) = (json!({"policy_version": "5-0"}), json!({"policy_version": format!("{made:x}-0")}));
    fixture.put(daily("100000"), NOON).await;
    let each = json!({"name": "b", "limit_usd": "100000", "window": "day", "each": "agent"});
    assert_eq!(fixture.put(budget(each), made).await, Put::CountsOtherwise);
    let key = fixture.key("bot", made).await;
    // The first makes its counter, which begins with what began before the budget: all of one batch.
    send(&[(1, made + 1, &old), (0, made - 1, &old), (2, made + 2, &new), (3, made + 3, &json!({}))]).await;
    fixture.sync("i", &key, report(4, 0, 1), made + 4).await.unwrap();
    let expected = |sent: &[u32]| dollars(4 + sent.iter().map(|n| 1_i128 << n).sum::<i128>());
    assert_eq!(fixture.ledger(made + 5).await.used(), expected(&[0, 1, 3]));
    // Now that it is there: whatever began before or after, also where another sends it again.
    send(&[(4, made - 2, &old), (5, made + 3, &old), (6, made - 3, &new)]).await;
    send(&[(4, made - 2, &old)]).await;
    send(&[
        (7, made + 3, &json!({"policy_version": "5-0", "notes": ["recovered"]})),
        (8, made + 3, &json!({"policy_version": "5-0", "outcome": "denied"})),
        (9, made + 3, &json!({"policy_version": "of another make"})),
        (10, made - 30 * HOUR, &old),
    ])
    .await;
    assert_eq!(fixture.ledger(made + 9_000).await.used(), expected(&[0, 1, 3, 4, 5]));
    // A value that nobody has reported.
    send(&[(12, made + 3, &old)]).await;
    let states = fixture.store.budget_states(made + 9_000).await.unwrap();
    let new = states[0].1.iter().find(|state| state.key.value == "new").unwrap();
    assert_eq!(new.ledger.used(), dollars(1 << 12));
}

async fn release(fixture: &Fixture, instance: &str, force: bool, now_ms: u64) -> Released {
    fixture.store.release(instance.into(), force, "ann".into(), now_ms).await.unwrap()
}

/// What a gateway counts under names of its own is found under them.
#[tokio::test]
async fn an_edit_keeps_what_nobody_and_others_spent() {
    let fixture = Fixture::new();
    let registered = BTreeSet::from(["reg".to_owned()]);
    fixture.store.configure_budgets(vec![], registered, NOON).await.unwrap();
    let (early, late) = (NOON - 2 * HOUR, NOON - 60_000);
    for (n, agent) in ["unattributed", "invalid", "made-up", "else", "reg"].into_iter().enumerate() {
        let n = u64::try_from(n).unwrap();
        fixture.record(10 + n, early, agent, 1).await;
        fixture.record(20 + n, late, agent, 1).await;
    }
    let verified = json!({"policy_version": "fffffffffff-0", "attribution_source": "verified"});
    let tagged = json!({"policy_version": "fffffffffff-0", "tags": {"other": "x"}});
    fixture.ingest(early, vec![record(30, early, "sure", 1, &verified)], vec![]).await;
    fixture.ingest(late, vec![record(31, late, "sure", 1, &verified)], vec![]).await;
    fixture.ingest(late, vec![record(32, late, "reg", 1, &tagged)], vec![]).await;
    for (each, value, expected) in [
        ("agent", "(unknown)", 4),
        ("agent", "(other)", 4),
        ("agent", "made-up", 0),
        ("agent", "reg", 3),
        ("agent", "sure", 2),
        ("tag:customer", "(unknown)", 1),
        ("tag:customer", "(other)", 10),
    ] {
        fixture
            .put(budget(json!({"name": "b", "limit_usd": "100", "window": "day", "each": each})), NOON)
            .await;
        let key = fixture.key(value, NOON).await;
        let grant = fixture.sync("one", &key, Report::default(), NOON).await.unwrap().grant;
        assert_eq!(grant.elsewhere, dollars(expected), "{each} {value}");
    }
}

#[tokio::test]
async fn a_budget_of_the_file_does_not_take_the_name_of_one_that_the_api_made() {
    let fixture = Fixture::new();
    fixture.put(daily("10"), NOON).await;
    let other = budget(json!({"name": "a", "limit_usd": "1", "window": "day"}));
    let both = vec![other.clone(), daily("1")];
    let error = fixture.store.configure_budgets(both.clone(), BTreeSet::new(), NOON + 1).await.unwrap_err();
    assert!(error.to_string().contains("`b`") && error.to_string().contains("rename"), "{error}");
    let stored = fixture.store.budgets().await.unwrap();
    assert_eq!(stored.len(), 1, "nothing of the file is taken");
    assert_eq!((stored[0].budget.limit, stored[0].source.as_str()), (dollars(10), "api"));
    fixture.store.remove_budget("b".into(), "ann".into(), NOON + 2).await.unwrap();
    assert_eq!(fixture.store.configure_budgets(both, BTreeSet::new(), NOON + 3).await.unwrap().len(), 2);
    // One of the file's may go on as it is.
    assert_eq!(
        fixture.store.configure_budgets(vec![other], BTreeSet::new(), NOON + 4).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn only_a_known_gateway_that_is_silent_is_released_without_force() {
    let fixture = Fixture::new();
    fixture.put(daily("10"), NOON).await;
    assert_eq!(release(&fixture, "typo", false, NOON).await, Released::Unknown(vec![]));
    let key = fixture.key("", NOON).await;
    let counters = vec![CounterReport { key: key.clone(), report: report(0, 10, 1) }];
    fixture.ingest(NOON, vec![], counters).await;
    assert_eq!(release(&fixture, "typo", true, NOON).await, Released::Unknown(vec!["i".into()]));
    assert_eq!(release(&fixture, "i", false, NOON + 1).await, Released::Live { seen_ms: NOON });
    assert_eq!(fixture.ledger(NOON).await.committed(), dollars(10), "nothing changed");
    assert_eq!(release(&fixture, "i", true, NOON + 1).await, Released::Counters(1));
    assert_eq!(fixture.ledger(NOON).await.committed(), Amount::ZERO);
    let entry = fixture.store.audited_after(0, 10).await.unwrap().pop().unwrap();
    assert!(entry.after.unwrap().get().contains(r#""live":true"#));
}

/// Value, limit and use of each counter, in dollars, as it is or would begin.
async fn outlook(fixture: &Fixture, now_ms: u64) -> Vec<(String, i128, i128)> {
    let (_, states) = fixture.store.budget_outlook(now_ms).await.unwrap().pop().unwrap();
    let one = |state: CounterState| (state.key.value, state.ledger.limit.0, state.ledger.used().0);
    let in_dollars = |amount: i128| amount / dollars(1).0;
    states
        .into_iter()
        .map(one)
        .map(|(value, limit, used)| (value, in_dollars(limit), in_dollars(used)))
        .collect()
}

#[tokio::test]
async fn what_a_counter_would_begin_with_is_told_before_its_first_call() {
    let fixture = Fixture::new();
    let with = |more: serde_json::Value| {
        let mut all = json!({"name": "b", "limit_usd": "100", "window": "day"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        budget(all)
    };
    fixture.record(1, NOON - 5 * HOUR, "bot", 1).await;
    fixture.record(2, NOON - 30 * 60_000, "bot", 2).await;
    fixture.record(3, NOON - 60_000, "unattributed", 4).await;
    for (more, expected) in [
        (json!({}), &[("", 100, 7)][..]),
        (json!({"scope": {"agent": "bot"}}), &[("", 100, 3)]),
        (json!({"scope": {"agent": "else"}}), &[("", 100, 0)]),
        (json!({"window": "rolling 1h"}), &[("", 100, 6)]),
        (json!({"window": "prepaid"}), &[("", 100, 0)]),
        (json!({"each": "agent"}), &[("(unknown)", 100, 4), ("bot", 100, 3)]),
        (json!({"each": "agent", "scope": {"agent": "else"}}), &[]),
    ] {
        let fixture_expected: Vec<(String, i128, i128)> =
            expected.iter().map(|(value, limit, used)| ((*value).to_owned(), *limit, *used)).collect();
        fixture.store.remove_budget("b".into(), "test".into(), NOON).await.unwrap();
        fixture.put(with(more.clone()), NOON).await;
        assert_eq!(outlook(&fixture, NOON + 1).await, fixture_expected, "{more}");
        assert!(fixture.store.budget_states(NOON + 1).await.unwrap()[0].1.is_empty(), "nothing is made");
        for (value, limit, used) in fixture_expected {
            let key = fixture.key(&value, NOON + 2).await;
            let grant = fixture.sync("one", &key, Report::default(), NOON + 2).await.unwrap().grant;
            assert_eq!((grant.limit, grant.elsewhere), (dollars(limit), dollars(used)), "{more} {value}");
        }
        assert_eq!(outlook(&fixture, NOON + 3).await.len(), expected.len(), "{more}");
    }
    // What the window before left.
    let carrying = with(json!({"carry_over_usd": "30"}));
    fixture.put(carrying, NOON).await;
    let key = fixture.key("", NOON).await;
    fixture.sync("one", &key, report(0, 80, 1), NOON).await.unwrap();
    assert_eq!(outlook(&fixture, NOON + 24 * HOUR).await, [(String::new(), 113, 0)]);
}

#[tokio::test]
async fn the_audit_trail_says_what_was_removed() {
    let fixture = Fixture::new();
    fixture.put(daily("10"), NOON).await;
    assert!(fixture.store.remove_budget("b".into(), "ann".into(), NOON).await.unwrap().0);
    assert!(!fixture.store.remove_budget("b".into(), "ann".into(), NOON).await.unwrap().0);
    let entries = fixture.store.audited_after(0, 10).await.unwrap();
    assert_eq!(entries.len(), 2);
    let put = entries[0].after.as_ref().unwrap().get();
    let removed = entries[1].before.as_ref().unwrap().get();
    assert_eq!(
        (entries[1].action.as_str(), removed, entries[1].after.is_none()),
        ("budget.remove", put, true)
    );
}

#[tokio::test]
async fn nobody_reports_on_the_account_of_anothers_run() {
    let fixture = Fixture::new();
    fixture.put(daily("100"), NOON).await;
    let key = fixture.key("", NOON).await;
    let say = async |gateway: &str, report: Report, now_ms: u64| {
        let sender = Sender {
            gateway: gateway.into(),
            instance: "i".into(),
            received_ms: now_ms,
            sequence: now_ms,
            ..Sender::default()
        };
        let mut batch = Batch::new(sender);
        batch.counters = vec![CounterReport { key: key.clone(), report }];
        fixture.store.ingest(batch).await.unwrap();
    };
    say("edge", report(0, 40, 1), NOON + 1).await;
    say("edge", report(40, 0, 2), NOON + 2).await;
    let forged = Report { granted: dollars(40), returned: dollars(40), ..report(0, 0, 1 << 62) };
    say("other", forged, NOON + 3).await;
    say("edge", report(41, 0, 3), NOON + 4).await;
    let ledger = fixture.ledger(NOON + 4).await;
    assert_eq!(ledger.used(), dollars(41), "{ledger:?}");
    assert_eq!(ledger.accounts["i"].version, 3);
    assert_eq!(ledger.accounts["i"].returned, Amount::ZERO);
}

#[tokio::test]
async fn on_a_budget_of_a_quarantine_counts_only_what_gateways_charge() {
    let fixture = Fixture::new();
    fixture.record(1, NOON - HOUR, "a", 3).await;
    let configured = |quarantine: &[&str]| Configured {
        budgets: vec![daily("10")],
        quarantine: quarantine.iter().map(|name| (*name).to_owned()).collect(),
        ..Configured::default()
    };
    for (quarantine, expected) in [(&["b"] as &[&str], 0), (&[], 3), (&["b"], 0)] {
        let defined = fixture.store.configure(configured(quarantine), NOON).await.unwrap();
        assert_eq!(defined.budgets[0].is_quarantine, !quarantine.is_empty());
        let outlook = fixture.store.budget_outlook(NOON).await.unwrap();
        assert_eq!(outlook[0].1[0].ledger.used(), dollars(expected), "{quarantine:?}");
    }
}
