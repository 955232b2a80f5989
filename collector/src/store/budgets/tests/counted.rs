//! Counters and their records, compared when the trail is verified: what was edited to open a budget again is
//! found, and nothing else is.

use serde_json::json;

use super::*;
use crate::model::alert::Alert;
use crate::model::audit::Entry;
use crate::store::ReviewChange;
use crate::store::alerts::Judged;

/// Long after what is reported and recorded.
const LATER: u64 = NOON + 2 * HOUR;

fn used(dollars_used: i128, dollars_held: i128, version: u64) -> Report {
    Report { held: dollars(dollars_held), ..report(dollars_used, dollars_used, version) }
}

impl Fixture {
    async fn wrong(&self, now_ms: u64) -> Vec<String> {
        let found = self.store.recount(now_ms).await.unwrap();
        assert_eq!(found.wrong, found.examples.len() as u64);
        found.examples
    }

    fn edit(&self, sql: &str) {
        let database = rusqlite::Connection::open(self._dir.path().join("tollgate.db")).unwrap();
        assert!(database.execute(sql, []).unwrap() > 0, "{sql}: nothing to edit");
    }

    /// Two agents with a counter each, the first of which spent before the budget was there too.
    async fn two_agents() -> Self {
        let fixture = Self::new();
        fixture.record(1, NOON - HOUR, "bot", 2).await;
        fixture
            .put(budget(json!({"name": "b", "limit_usd": "50", "window": "day", "each": "agent"})), NOON)
            .await;
        for (n, agent, spent) in [(2, "bot", 3), (3, "rob", 4)] {
            let key = fixture.key(agent, NOON).await;
            let counters = vec![CounterReport { key, report: used(i128::from(spent), 0, 1) }];
            fixture.record_and_report(n, NOON + 1_000, agent, spent, counters).await;
        }
        fixture
    }
}

#[tokio::test]
async fn whoever_sets_back_what_was_spent_is_found() {
    for sql in [
        "UPDATE accounts SET used = zeroblob(16)",
        "UPDATE accounts SET used = zeroblob(16) WHERE counter = (SELECT max(counter) FROM accounts)",
        "UPDATE counters SET seed = zeroblob(16), kept = x'FFFFFFFFFFFFFFFFFFFFFE2D6B57C000'",
        "DELETE FROM accounts",
        "UPDATE counters SET seed = zeroblob(16)",
        "UPDATE counters SET seed = x'000000000000000000000000000000FF'",
        "UPDATE counters SET kept = x'000000000000000000000E8D4A510000'",
        "UPDATE counters SET value = 'nobody' WHERE value = 'rob'",
        "UPDATE counters SET generation = 7",
        "UPDATE retention SET horizon_ms = 9999999999999",
    ] {
        let fixture = Fixture::two_agents().await;
        assert_eq!(fixture.wrong(LATER).await, Vec::<String>::new(), "{sql}");
        assert!(fixture.store.recount(LATER).await.unwrap().counters == 2);
        fixture.edit(sql);
        assert_ne!(fixture.wrong(LATER).await, Vec::<String>::new(), "{sql}");
    }
}

#[tokio::test]
async fn whoever_moves_what_was_spent_to_another_counter_is_found_where_values_share_one() {
    let fixture = Fixture::two_agents().await;
    let key = fixture.key(tollgate_core::budget::policy::OTHER, NOON).await;
    let counters = vec![CounterReport { key, report: used(5, 0, 1) }];
    fixture.record_and_report(4, NOON + 1_000, "eve", 5, counters).await;
    assert_eq!(fixture.wrong(LATER).await, Vec::<String>::new());
    // A dollar from one to the other.
    for (value, seed) in [("bot", "1"), ("rob", "-1")] {
        let seed =
            dollars(seed.parse().unwrap()).plus(if value == "bot" { dollars(2) } else { Amount::ZERO });
        let hex: String = bytes(seed).iter().map(|byte| format!("{byte:02X}")).collect();
        fixture.edit(&format!("UPDATE counters SET seed = x'{hex}' WHERE value = '{value}'"));
    }
    let wrong = fixture.wrong(LATER).await;
    assert!(wrong.len() == 1 && wrong[0].contains("`bot`"), "{wrong:?}");
}

#[tokio::test]
async fn what_is_under_way_is_no_difference_and_for_ever_it_is_not_under_way() {
    let fixture = Fixture::new();
    fixture.put(daily("50"), NOON).await;
    let key = fixture.key("", NOON).await;
    // A call is under way; one was charged and its record is not here; one was recorded and is still held.
    let counters = vec![CounterReport { key: key.clone(), report: used(10, 6, 1) }];
    fixture.record_and_report(1, NOON + 1_000, "bot", 2, counters).await;
    assert_eq!(fixture.wrong(NOON + 2_000).await, Vec::<String>::new());
    let later = fixture.wrong(LATER).await;
    assert!(
        later.len() == 1 && later[0].contains("$4") && later[0].contains("import access-log"),
        "{later:?}"
    );
    fixture.record(2, NOON + 1_000, "bot", 2).await;
    assert_eq!(fixture.wrong(LATER).await, Vec::<String>::new());
    // Recorded, and not charged, nor held.
    fixture.record(3, NOON + 3_000, "bot", 9).await;
    assert_eq!(fixture.wrong(NOON + 4_000).await, Vec::<String>::new());
    assert_eq!(fixture.wrong(LATER).await.len(), 1);
}

#[tokio::test]
async fn whoever_closes_or_takes_out_a_review_is_found() {
    for sql in [
        "UPDATE reviews SET closed_ms = 1, closed_by = 'x'",
        "UPDATE reviews SET note = 'fine' WHERE id = 1",
        "UPDATE reviews SET closed_ms = NULL WHERE id = 2",
        "DELETE FROM reviews WHERE id = 2",
        "UPDATE reviews SET title = 'nothing' WHERE id = 1",
        "INSERT INTO reviews SELECT 9, alert, budget, 'other', window, title, opened_ms, '', '', NULL, NULL FROM reviews WHERE id = 1",
    ] {
        let fixture = Fixture::new();
        let alerts = (1..=2).map(|n| {
            Alert { scope: format!("s{n}"), passed_budget: Some("b".into()), ..Alert::default() }.with_id()
        });
        let judged = vec![Judged { rule: String::new(), alerts: alerts.collect(), channels: vec![] }];
        fixture.store.decide(None, judged, Default::default(), 5).await.unwrap();
        let change =
            ReviewChange { closed: Some(true), note: Some("a loop".into()), ..ReviewChange::default() };
        let entry =
            Entry { action: "review.change".into(), subject: "2".into(), time_ms: 6, ..Entry::default() };
        fixture.store.change_review(2, change, entry).await.unwrap();
        assert_eq!(fixture.wrong(LATER).await, Vec::<String>::new(), "{sql}");
        fixture.edit(sql);
        assert_ne!(fixture.wrong(LATER).await, Vec::<String>::new(), "{sql}");
    }
}
