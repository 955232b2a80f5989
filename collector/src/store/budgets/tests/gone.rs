//! Gateways that are not heard of any more: what stays of their grants, and what their access log says later.

use serde_json::json;

use super::*;

const LEASE: u64 = 600_000;

/// What a run of a gateway reports that was granted this much.
fn told(granted: i128, used: i128, held: i128, in_flight: u32, version: u64) -> Report {
    Report {
        granted: dollars(granted),
        used: dollars(used),
        held: dollars(held),
        in_flight,
        version,
        ..Report::default()
    }
}

#[tokio::test]
async fn what_calls_of_a_killed_gateway_held_is_spent_by_nobody_else() {
    let fixture = Fixture::new();
    fixture.put(daily("50"), NOON).await;
    let key = fixture.key("", NOON).await;
    let first = Report { want: dollars(40), ..Report::default() };
    let granted = fixture.sync("one", &key, first, NOON + 1).await.unwrap().grant.granted;
    assert!(granted >= dollars(40));
    let held = Report { granted, ..told(0, 39, 38, 4, 1) };
    fixture.sync("one", &key, held, NOON + 1_000).await.unwrap();
    for later in [LEASE + LEASE / 100 + 1_000, LEASE * 2, LEASE * 3] {
        let now = NOON + 1_000 + later;
        let all = Report { version: later, ..report(0, 50, 1) };
        let other = fixture.sync(&format!("at-{later}"), &key, all, now).await.unwrap().grant;
        assert!(other.granted <= dollars(11), "{later}: {other:?}");
        let ledger = fixture.ledger(now).await;
        assert_eq!((ledger.held(), ledger.used()), (Amount::ZERO, dollars(1)), "{later}");
        assert!(ledger.presumed(now) >= dollars(38), "{later}");
        assert_eq!(ledger.accounts.values().map(Account::calls_under_way).sum::<u32>(), 0);
        // The next one is to find what this one would have.
        fixture.store.release(format!("at-{later}"), true, "test".into(), now).await.unwrap();
    }
}

#[tokio::test]
async fn an_access_log_counts_each_call_of_a_killed_gateway_once() {
    for after_its_lease in [false, true] {
        let fixture = Fixture::new();
        fixture.put(daily("50"), NOON).await;
        let key = fixture.key("", NOON).await;
        let first = Report { want: dollars(20), ..Report::default() };
        let granted = fixture.sync("i", &key, first, NOON + 1).await.unwrap().grant.granted;
        let reported = |report| vec![CounterReport { key: key.clone(), report }];
        // Two calls are charged, of which one is recorded, and two are under way.
        let last = Report { granted, ..told(0, 3 + 10, 10, 2, 5) };
        fixture.record_and_report(1, NOON + 500, "bot", 2, reported(last)).await;
        let killed = NOON + 500;
        let now = killed + if after_its_lease { 2 * LEASE } else { 60_000 };
        if after_its_lease {
            // Somebody else is heard, so that leases are looked at.
            fixture.sync("two", &key, Report::default(), now - 1_000).await.unwrap();
        }
        let import = async |calls: &[(u64, u64)]| {
            let mut batch = Batch::of_import(now);
            for (n, cost) in calls {
                let record =
                    record(*n, NOON + 400, "bot", *cost, &json!({"policy_version": "fffffffffff-0"}));
                batch.push(&serde_json::from_value(record).unwrap()).unwrap();
            }
            fixture.store.ingest(batch).await.unwrap();
        };
        let standing = async || {
            let ledger = fixture.ledger(now).await;
            let presumed = ledger.presumed(now).plus(ledger.held());
            (ledger.used().minus(ledger.held()), presumed)
        };
        let (used, before) = standing().await;
        assert_eq!(used, dollars(3));
        assert!(before >= dollars(10), "{before:?}");
        // The one that is known, that which was charged, and one of those under way.
        import(&[(1, 2), (2, 1), (3, 4)]).await;
        let (used, after) = standing().await;
        assert_eq!((used, before.minus(after)), (dollars(7), dollars(5)), "{after_its_lease}");
        import(&[(3, 4), (4, 3)]).await;
        let (used, after) = standing().await;
        assert_eq!((used, before.minus(after)), (dollars(10), dollars(10)), "{after_its_lease}");
        // Done again it changes nothing.
        import(&[(1, 2), (2, 1), (3, 4), (4, 3)]).await;
        assert_eq!(standing().await, (used, after), "{after_its_lease}");
    }
}

#[tokio::test]
async fn restarts_within_a_lease_leave_room_for_a_call_as_large_as_theirs() {
    let fixture = Fixture::new();
    fixture.put(daily("50"), NOON).await;
    let key = fixture.key("", NOON).await;
    let mut now = NOON;
    for round in 0..5 {
        let instance = format!("run-{round}");
        let want = Report { want: dollars(10), version: 1, ..Report::default() };
        let granted = fixture.sync(&instance, &key, want, now + 1).await.unwrap().grant.granted;
        assert!(granted >= dollars(10), "round {round}");
        let spent = Report { granted, ..told(0, 1, 0, 0, 2) };
        let granted = fixture.sync(&instance, &key, spent.clone(), now + 1_000).await.unwrap().grant.granted;
        let returned = granted.minus(dollars(1));
        let idle = Report { granted, returned, idle: true, version: 3, ..spent };
        for seconds in 4..8 {
            let grant =
                fixture.sync(&instance, &key, idle.clone(), now + seconds * 1_000).await.unwrap().grant;
            assert_eq!(grant.granted.minus(grant.returned), dollars(1), "it is granted nothing while idle");
        }
        now += 12_000;
    }
    let ledger = fixture.ledger(now).await;
    assert_eq!((ledger.committed(), ledger.used()), (dollars(5), dollars(5)));
    let later = now + 2 * LEASE;
    let ledger = fixture.ledger(later).await;
    assert_eq!((ledger.committed(), ledger.presumed(later)), (dollars(5), Amount::ZERO));
}

#[tokio::test]
async fn one_run_of_a_gateway_makes_a_few_times_the_values_that_its_envoy_has_room_for() {
    let fixture = Fixture::new();
    fixture.put(budget(json!({"name": "b", "limit_usd": "50", "window": "day", "each": "team"})), NOON).await;
    let send = async |instance: &str, from: u64, count: u64, report: Report| {
        let mut reports = Vec::new();
        for n in from..from + count {
            let key = fixture.key(&format!("team-{n}"), NOON).await;
            reports.push(CounterReport { key, report: report.clone() });
        }
        let sent = fixture.store.sync_counters("edge".into(), instance.into(), reports, NOON + 5).await;
        sent.unwrap().len()
    };
    let used = Report { used: Amount(1), version: 1, ..Report::default() };
    assert_eq!(send("one", 0, 1_500, used.clone()).await, 1_024);
    assert_eq!(send("one", 2_000, 10, used.clone()).await, 0);
    assert_eq!(send("one", 0, 10, used.clone()).await, 10, "what it has it keeps");
    assert_eq!(send("two", 3_000, 1_100, used.clone()).await, 1_024, "another run has its own");
    // The rest shares one, and what never spent makes room for others.
    for value in ["(other)", "(unknown)"] {
        let key = fixture.key(value, NOON).await;
        assert!(fixture.sync("one", &key, used.clone(), NOON + 6).await.is_some(), "{value}");
    }
    let quiet = async |from| {
        for n in from..from + 700 {
            let key = fixture.key(&format!("quiet-{n}"), NOON).await;
            let grant = fixture.sync("three", &key, Report::default(), NOON + 7).await.unwrap().grant;
            let gave =
                Report { granted: grant.granted, returned: grant.granted, version: 1, ..Report::default() };
            let gave = Report { idle: true, ..gave };
            fixture.sync("three", &key, gave, NOON + 8).await.unwrap();
        }
    };
    quiet(0).await;
    quiet(1_000).await;
}

/// Found from outside: after a kill `used` stayed below the records, as a gateway reports what its workers
/// hold ahead as held until it closes that, and ships records at once.
#[tokio::test]
async fn records_that_a_killed_gateway_had_shipped_are_used_once_its_lease_has_ended() {
    for settled_elsewhere in [0, 7] {
        let fixture = Fixture::new();
        fixture.put(daily("50"), NOON).await;
        let key = fixture.key("", NOON).await;
        let first = Report { want: dollars(20), ..Report::default() };
        let granted = fixture.sync("i", &key, first, NOON + 1).await.unwrap().grant.granted;
        let last =
            vec![CounterReport { key: key.clone(), report: Report { granted, ..told(0, 10, 8, 4, 5) } }];
        fixture.record_and_report(1, NOON + 500, "bot", 2, last).await;
        fixture.record(2, NOON + 510, "bot", 3).await;
        fixture.record(3, NOON + 520, "bot", 1).await;
        let now = NOON + 2 * LEASE;
        // Another gateway, whose calls have records too, or not yet.
        if settled_elsewhere > 0 {
            let instance = "two".to_owned();
            let mut batch = Batch::new(Sender {
                instance,
                gateway: "edge".into(),
                received_ms: now,
                ..Sender::default()
            });
            let record = record(4, now - 10, "bot", 7, &json!({"policy_version": "fffffffffff-0"}));
            batch.push(&serde_json::from_value(record).unwrap()).unwrap();
            fixture.store.ingest(batch).await.unwrap();
        }
        let other = Report { granted: dollars(9), ..told(0, settled_elsewhere, 0, 0, 1) };
        fixture.sync("two", &key, other, now).await.unwrap();
        let ledger = fixture.ledger(now).await;
        assert_eq!(ledger.used(), dollars(6 + settled_elsewhere), "{ledger:?}");
        assert_eq!(ledger.accounts["i"].adrift, dollars(4));
        // Should it come back, its own word counts.
        fixture.sync("i", &key, Report { granted, ..told(0, 9, 1, 1, 6) }, now + 1).await.unwrap();
        let ledger = fixture.ledger(now + 1).await;
        assert_eq!((ledger.used(), ledger.held()), (dollars(9 + settled_elsewhere), dollars(1)));
    }
}

#[tokio::test]
async fn they_are_told_apart_from_what_others_hold_once_those_are_at_rest() {
    let fixture = Fixture::new();
    fixture.put(daily("50"), NOON).await;
    let key = fixture.key("", NOON).await;
    let first = Report { want: dollars(20), ..Report::default() };
    let granted = fixture.sync("i", &key, first, NOON + 1).await.unwrap().grant.granted;
    let last = vec![CounterReport { key: key.clone(), report: Report { granted, ..told(0, 10, 8, 4, 5) } }];
    fixture.record_and_report(1, NOON + 500, "bot", 2, last).await;
    fixture.record(2, NOON + 510, "bot", 3).await;
    // Its lease ends while another one is busy.
    let now = NOON + 2 * LEASE;
    fixture.sync("two", &key, Report { granted: dollars(9), ..told(0, 6, 6, 2, 1) }, now).await.unwrap();
    assert_eq!(fixture.ledger(now).await.accounts["i"].adrift, dollars(8));
    fixture.sync("two", &key, Report { granted: dollars(9), ..told(0, 0, 0, 0, 2) }, now + 1).await.unwrap();
    let ledger = fixture.ledger(now + 1).await;
    assert_eq!((ledger.used(), ledger.accounts["i"].adrift), (dollars(5), dollars(5)), "{ledger:?}");
    // More than it held: it had been granted that, too.
    fixture.record(3, NOON + 520, "bot", 7).await;
    for (used, version) in [(4, 3), (0, 4)] {
        let report = Report { granted: dollars(9), ..told(0, used, used, 2, version) };
        fixture.sync("two", &key, report, now + version).await.unwrap();
    }
    let ledger = fixture.ledger(now + 4).await;
    assert_eq!((ledger.used(), ledger.accounts["i"].adrift), (dollars(12), Amount::ZERO), "{ledger:?}");
}
