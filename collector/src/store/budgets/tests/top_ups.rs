//! Top-ups, and what is carried over.

use super::*;

#[tokio::test]
async fn what_is_left_is_carried_over_up_to_its_bound() {
    let fixture = Fixture::new();
    let with = |carry: &str| {
        budget(json!({"name": "b", "limit_usd": "10", "window": "day", "carry_over_usd": carry}))
    };
    fixture.put(with("4"), NOON).await;
    let today = fixture.key("", NOON).await;
    fixture.sync("one", &today, report(0, 7, 1), NOON).await.unwrap();
    let granted = fixture.sync("one", &today, report(7, 0, 2), NOON).await.unwrap().grant.granted;
    let returned = granted.minus(dollars(7));
    let last = Report { granted, returned, used: dollars(7), version: 3, ..Report::default() };
    fixture.sync("one", &today, last, NOON + 12 * HOUR).await.unwrap();
    let tomorrow_ms = NOON + 24 * HOUR;
    let tomorrow = fixture.key("", tomorrow_ms).await;
    fixture.sync("one", &tomorrow, report(0, 0, 1), tomorrow_ms).await.unwrap();
    assert_eq!(fixture.ledger(tomorrow_ms).await.limit, dollars(13), "three were left");
    let after_ms = tomorrow_ms + 24 * HOUR;
    let after = fixture.key("", after_ms).await;
    fixture.sync("one", &after, report(0, 0, 1), after_ms).await.unwrap();
    assert_eq!(fixture.ledger(after_ms).await.limit, dollars(14), "four at most");
}

#[tokio::test]
async fn a_top_up_raises_the_limit_of_the_window_and_is_audited() {
    let fixture = Fixture::new();
    fixture.put(budget(json!({"name": "b", "limit_usd": "10", "window": "prepaid"})), NOON).await;
    let limit =
        fixture.store.top_up("b".into(), String::new(), dollars(5), "ann".into(), NOON).await.unwrap();
    assert_eq!(limit, ToppedUp::Limit(dollars(15)));
    assert_eq!(
        fixture.store.top_up("c".into(), String::new(), dollars(5), "ann".into(), NOON).await.unwrap(),
        ToppedUp::NoBudget
    );
    assert_eq!(fixture.ledger(NOON).await.limit, dollars(15));
    let entries = fixture.store.audited_after(0, 10).await.unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["budget.put", "budget.top_up"]);
    assert_eq!(entries[1].actor, "ann");
}

/// Tops up the only budget's counter for a value by this many dollars; gives its limit.
async fn top_up(fixture: &Fixture, value: &str, more: i128, now_ms: u64) -> Amount {
    let (name, actor) = ("b".to_owned(), "test".to_owned());
    match fixture.store.top_up(name, value.to_owned(), dollars(more), actor, now_ms).await.unwrap() {
        ToppedUp::Limit(limit) => limit,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_budget_that_counts_otherwise_keeps_its_top_ups_where_counters_stay_the_same() {
    for (before, after, value, expected) in [
        (json!({"scope": {"agent": "p1"}}), json!({"scope": {"agent": ["p1", "p2"]}}), "", 6),
        (json!({"scope": {"agent": ["a", "b"]}}), json!({"scope": {"agent": ["b", "a"]}}), "", 6),
        (json!({"time_zone": "UTC"}), json!({"time_zone": "+02:00"}), "", 6),
        (json!({"window": "day"}), json!({"window": "day", "time_zone": "Etc/UTC"}), "", 6),
        (json!({"window": "day"}), json!({"window": "day", "scope": {"provider": "openai"}}), "", 6),
        (json!({"each": "agent"}), json!({"each": "agent", "scope": {"provider": "openai"}}), "bot", 6),
        (json!({"each": "agent"}), json!({"each": "team"}), "bot", 1),
        (json!({"window": "day"}), json!({"window": "hour"}), "", 1),
        (json!({"window": "day"}), json!({"window": "day", "time_zone": "+02:00"}), "", 1),
    ] {
        let fixture = Fixture::new();
        let with = |more: &serde_json::Value| {
            let mut all = json!({"name": "b", "limit_usd": "1", "window": "prepaid"});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            budget(all)
        };
        fixture.put(with(&before), NOON).await;
        fixture.record(1, NOON + 1, "p1", 2).await;
        assert_eq!(top_up(&fixture, value, 5, NOON + 2).await, dollars(6));
        fixture.put(with(&after), NOON + 3).await;
        let key = fixture.key(value, NOON + 4).await;
        let grant = fixture.sync("one", &key, Report::default(), NOON + 4).await.unwrap().grant;
        assert_eq!(grant.limit, dollars(expected), "{before} {after}");
        fixture.put(with(&before), NOON + 5).await;
        let key = fixture.key(value, NOON + 6).await;
        let grant = fixture.sync("one", &key, Report::default(), NOON + 6).await.unwrap().grant;
        assert_eq!(grant.limit, dollars(expected), "and back: {before} {after}");
    }
    let fixture = Fixture::new();
    fixture.put(budget(json!({"name": "b", "limit_usd": "1", "window": "prepaid"})), NOON).await;
    top_up(&fixture, "", 5, NOON).await;
    fixture.put(budget(json!({"name": "b", "limit_calls": 1, "window": "prepaid"})), NOON + 1).await;
    let key = fixture.key("", NOON + 2).await;
    let grant = fixture.sync("one", &key, Report::default(), NOON + 2).await.unwrap().grant;
    assert_eq!(grant.limit, Amount(1), "dollars are not calls");
}

#[tokio::test]
async fn what_a_late_gateway_may_still_spend_is_not_carried_over() {
    let fixture = Fixture::new();
    let hourly = json!({"name": "b", "limit_usd": "10", "window": "hour", "carry_over_usd": "10"});
    fixture.put(budget(hourly), NOON).await;
    let first = fixture.key("", NOON).await;
    let granted = fixture.sync("a", &first, report(0, 9, 1), NOON).await.unwrap().grant;
    assert_eq!(granted.granted, dollars(9));
    let second = fixture.key("", NOON + HOUR).await;
    let early = fixture.sync("b", &second, report(0, 100, 1), NOON + HOUR - 1).await.unwrap().grant;
    assert_eq!(early.granted, dollars(10), "while the first window holds, all of it may be spent there");
    let after = NOON + HOUR + 1;
    let both = fixture.sync("b", &second, report(10, 100, 2), after).await.unwrap().grant;
    assert_eq!((both.granted, both.limit), (dollars(11), dollars(11)));
    let late = fixture.sync("a", &first, report(9, 0, 2), after).await.unwrap().grant;
    assert_eq!(late.granted, dollars(9));
    assert_eq!(fixture.ledger(after).await.limit, dollars(11), "20 for both windows, of which 9 are gone");
    // What was not spent after all is carried over when it comes back.
    let returned = Report {
        granted: dollars(9),
        returned: dollars(6),
        used: dollars(3),
        version: 3,
        ..Report::default()
    };
    fixture.sync("a", &first, returned, after).await.unwrap();
    let more = fixture.sync("b", &second, report(11, 100, 3), after).await.unwrap().grant;
    assert_eq!((more.granted, more.limit), (dollars(17), dollars(17)));
    // What was released is carried over too; an edit keeps it.
    let third = fixture.key("", after + HOUR).await;
    assert_eq!(
        fixture.sync("c", &third, report(0, 1, 1), after + HOUR).await.unwrap().grant.limit,
        dollars(10)
    );
    assert_eq!(release(&fixture, "b", false, after + HOUR).await, Released::Counters(1));
    assert_eq!(
        fixture.sync("c", &third, report(1, 1, 2), after + HOUR).await.unwrap().grant.limit,
        dollars(16)
    );
    let edited = json!({
        "name": "b", "limit_usd": "10", "window": "hour", "carry_over_usd": "10", "scope": {"provider": "openai"}
    });
    assert_eq!(fixture.put(budget(edited), after + HOUR).await, Put::CountsOtherwise);
    assert_eq!(fixture.ledger(after + HOUR).await.limit, dollars(16));
}

#[tokio::test]
async fn a_top_up_of_a_rolling_window_lasts_as_long_as_spend_does() {
    let fixture = Fixture::new();
    let rolling = |scope: serde_json::Value| {
        budget(json!({"name": "b", "limit_usd": "10", "window": "rolling 1h", "scope": scope}))
    };
    fixture.put(rolling(json!({})), NOON).await;
    assert_eq!(top_up(&fixture, "", 5, NOON).await, dollars(15));
    let minute = |minutes: u64| NOON + minutes * 60_000;
    assert_eq!(fixture.ledger(minute(1)).await.limit, dollars(15), "no call yet in this part");
    let key = fixture.key("", minute(30)).await;
    let grant = fixture.sync("one", &key, report(0, 100, 1), minute(30)).await.unwrap().grant;
    assert_eq!((grant.limit, grant.granted), (dollars(15), dollars(15)));
    assert_eq!(top_up(&fixture, "", 1, minute(59)).await, dollars(16));
    assert_eq!(fixture.ledger(minute(60)).await.limit, dollars(11), "the first is over");
    let key = fixture.key("", minute(61)).await;
    let grant = fixture.sync("one", &key, report(0, 100, 1), minute(61)).await.unwrap().grant;
    assert_eq!((grant.limit, grant.granted), (dollars(11), Amount::ZERO), "what was granted still counts");
    assert_eq!(fixture.put(rolling(json!({"provider": "openai"})), minute(62)).await, Put::CountsOtherwise);
    assert_eq!(fixture.ledger(minute(63)).await.limit, dollars(11));
    assert_eq!(fixture.ledger(minute(118)).await.limit, dollars(11));
    let key = fixture.key("", minute(119)).await;
    let grant = fixture.sync("two", &key, Report::default(), minute(119)).await.unwrap().grant;
    assert_eq!(grant.limit, dollars(10), "the second is over");
}

#[tokio::test]
async fn a_top_up_below_nothing_takes_back_what_was_added_and_no_more() {
    for window in ["prepaid", "day", "rolling 1h"] {
        let fixture = Fixture::new();
        fixture.put(budget(json!({"name": "b", "limit_usd": "10", "window": window})), NOON).await;
        top_up(&fixture, "", 5, NOON).await;
        let later = NOON + 30 * 60_000;
        top_up(&fixture, "", 2, later).await;
        assert_eq!(top_up(&fixture, "", -4, later).await, dollars(13), "{window}");
        let refused = fixture.store.top_up("b".into(), String::new(), dollars(-4), "ann".into(), later).await;
        assert_eq!(refused.unwrap(), ToppedUp::TooMuch(dollars(3)), "{window}");
        assert_eq!(fixture.ledger(later).await.limit, dollars(13), "{window}: nothing changed");
        assert_eq!(top_up(&fixture, "", -3, later).await, dollars(10), "{window}");
        let entries = fixture.store.audited_after(0, 10).await.unwrap();
        assert_eq!(entries.len(), 5, "{window}: what was refused did nothing");
    }
}
