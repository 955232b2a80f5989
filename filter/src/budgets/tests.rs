//! Decisions of one VM: admission, reservations, settlement, and what is asked of a collector.

use serde_json::{Value, json};
use tollgate_core::budget::ledger::Want;
use tollgate_core::budget::policy::OTHER;
use tollgate_core::money::Picodollars;
use tollgate_core::price::CostStatus;

use super::*;
use crate::fixture::{
    AMPLE, COST, MODEL, NOW_MS, alone, chat, counter, counters, gateway, grant, grant_wanted,
};
use crate::gateway::Gateway;
use crate::host::simulated;

/// What a chat of the fixture holds on a budget in dollars.
const HOLD: i128 = 16_140;

fn decide(gateway: &Gateway, call: &Call) -> Decision {
    gateway.decide(call, Waited::No, simulated::with(|world| world.now_ms))
}

fn went(decision: Decision) -> Ticket {
    match decision {
        Decision::Go(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn refused_for(decision: Decision) -> Refused {
    match decision {
        Decision::Refuse(refused) => refused,
        other => panic!("{other:?}"),
    }
}

fn all(limit_usd: &str) -> Value {
    json!([{"name": "all", "limit_usd": limit_usd, "window": "day"}])
}

/// A gateway whose counters were granted so much.
fn granted(budgets: &Value, amount: i128) -> Gateway {
    simulated::begin(NOW_MS);
    let gateway = gateway(1, budgets);
    assert!(matches!(decide(&gateway, &chat("first", MODEL)), Decision::Wait));
    grant_wanted(&gateway, amount);
    gateway
}

/// Has a call end that cost [`COST`].
fn settle(gateway: &Gateway, ticket: Ticket) {
    let record = UsageRecord {
        cost_usd: Picodollars::from_pico(COST),
        cost_status: CostStatus::Measured,
        status: Some(200),
        ..UsageRecord::default()
    };
    let ended = gateway.budgets.settle(ticket, Some(&record)).unwrap_or_default();
    gateway.budgets.finish(ended, NOW_MS);
}

mod policies {
    use super::*;

    #[test]
    fn a_call_waits_until_a_collector_has_said_what_budgets_there_are() {
        simulated::begin(NOW_MS);
        let gateway = Gateway::new(crate::fixture::config(), 1, Vec::new());
        assert!(matches!(decide(&gateway, &chat("a", MODEL)), Decision::Wait));
    }

    #[test]
    fn it_goes_on_where_no_collector_answers_and_nothing_is_denied_until_then() {
        simulated::begin(NOW_MS);
        let gateway = Gateway::new(crate::fixture::config(), 1, Vec::new());
        let call = chat("a", MODEL);
        went(gateway.decide(&call, Waited::Answered, NOW_MS));
        went(gateway.decide(&call, Waited::InVain, NOW_MS));
        gateway.budgets.lose_link(NOW_MS);
        went(decide(&gateway, &call));
    }

    #[test]
    fn it_is_refused_where_calls_are_denied_until_then() {
        simulated::begin(NOW_MS);
        let mut json = crate::fixture::configuration();
        json["until_policy"] = "deny".into();
        let config = GatewayConfig::parse(json.to_string().as_bytes()).unwrap();
        let gateway = Gateway::new(config, 1, Vec::new());
        let refused = refused_for(gateway.decide(&chat("a", MODEL), Waited::InVain, NOW_MS));
        assert_eq!((refused.reason, refused.budget), (Reason::CollectorAway, None));
    }

    #[test]
    fn without_budgets_nothing_is_held() {
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &json!([]));
        assert!(gateway.budgets.is_idle());
        assert!(went(decide(&gateway, &chat("a", MODEL))).held.is_empty());
        assert!(counters().is_empty());
    }

    #[test]
    fn a_policy_in_shared_data_is_taken_over_by_every_vm() {
        simulated::begin(NOW_MS);
        let other = Gateway::new(crate::fixture::config(), 3, Vec::new());
        gateway(1, &all("1"));
        assert!(other.budgets.policy().is_none());
        other.budgets.ensure_policy(&other.config, NOW_MS);
        assert_eq!(other.budgets.policy().unwrap().budgets.len(), 1);
    }

    #[test]
    fn a_policy_that_cannot_be_read_leaves_the_one_that_holds() {
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &all("1"));
        host::set_shared(layout::POLICY, b"{").unwrap();
        host::set_shared(layout::POLICY_EDITION, b"p2").unwrap();
        gateway.budgets.refresh(&gateway.config, NOW_MS);
        assert_eq!(gateway.budgets.policy().unwrap().version, "p1");
        assert!(simulated::with(|world| world.log.iter().any(|line| line.contains("cannot be read"))));
    }

    #[test]
    fn a_gateway_alone_has_its_own_windows_and_opens_the_next() {
        simulated::begin(NOW_MS);
        let gateway = alone(&all("1"));
        let span = || gateway.budgets.policy().unwrap().budgets[0].spans[0];
        let first = span();
        assert!(first.start_ms <= NOW_MS && NOW_MS < first.end_ms);
        gateway.budgets.refresh(&gateway.config, first.end_ms);
        assert_eq!(span().start_ms, first.end_ms);
    }

    #[test]
    fn the_collectors_clock_is_what_windows_go_by() {
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &all("1"));
        Link { ahead_ms: -5_000, ..Link::load() }.store();
        gateway.budgets.refresh(&gateway.config, NOW_MS);
        assert_eq!(gateway.budgets.now(NOW_MS), NOW_MS - 5_000);
    }
}

mod admission {
    use super::*;

    #[test]
    fn a_call_waits_for_what_a_collector_may_have_and_says_how_much() {
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &all("1"));
        assert!(matches!(decide(&gateway, &chat("a", MODEL)), Decision::Wait));
        assert!(matches!(decide(&gateway, &chat("b", MODEL)), Decision::Wait));
        let (wanted, models) = gateway.budgets.take_wanted();
        assert_eq!(wanted.len(), 1);
        assert_eq!(wanted[0].report.want, Amount(2 * HOLD), "what both of them want");
        assert!(models.is_empty() && !gateway.budgets.wants());
    }

    #[test]
    fn a_call_is_held_for_on_each_of_its_budgets() {
        let gateway = granted(&crate::fixture::budgets(), AMPLE);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        let held: Vec<i128> = ticket.held.iter().map(|held| held.amount.0).collect();
        assert_eq!(held, [HOLD, 1]);
        assert_eq!(ticket.policy_version, "p1");
    }

    #[test]
    fn a_call_that_one_budget_has_no_room_for_is_held_for_on_none() {
        let budgets = json!([{"name": "all", "limit_usd": "1", "window": "day"},
            {"name": "few", "limit_calls": 1, "window": "day"}]);
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &budgets);
        decide(&gateway, &chat("first", MODEL));
        let (wanted, _) = gateway.budgets.take_wanted();
        let grants: Vec<_> = wanted
            .iter()
            .map(|report| {
                grant(
                    report,
                    if report.key.budget == "few" { Amount(1) } else { Amount(10 * HOLD) },
                    Want::Granted,
                )
            })
            .collect();
        gateway.budgets.granted(&grants, &wanted);
        went(decide(&gateway, &chat("a", MODEL)));
        let refused = refused_for(gateway.decide(&chat("b", MODEL), Waited::Enough, NOW_MS));
        assert_eq!((refused.reason, refused.budget.as_deref()), (Reason::BudgetBusy, Some("few")));
        assert_eq!(counter("all").held, Amount(HOLD), "what was held on it is taken back");
        assert_eq!(counter("all").in_flight, 1);
    }

    #[test]
    fn what_is_spent_is_told_from_what_is_only_held() {
        let gateway = granted(&all("1"), HOLD);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        let expired = |id| refused_for(gateway.decide(&chat(id, MODEL), Waited::Enough, NOW_MS));
        assert_eq!(expired("b").reason, Reason::BudgetBusy);
        settle(&gateway, ticket);
        gateway.budgets.settle_due(NOW_MS);
        assert_eq!(expired("c").reason, Reason::BudgetSpent);
    }

    #[test]
    fn a_collector_that_has_no_more_is_not_asked_again() {
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &all("1"));
        decide(&gateway, &chat("a", MODEL));
        let (wanted, _) = gateway.budgets.take_wanted();
        let grants: Vec<_> =
            wanted.iter().map(|report| grant(report, Amount::ZERO, Want::Exhausted)).collect();
        gateway.budgets.granted(&grants, &wanted);
        assert_eq!(refused_for(decide(&gateway, &chat("b", MODEL))).reason, Reason::BudgetSpent);
        assert!(!gateway.budgets.wants());
    }

    #[test]
    fn a_budget_that_warns_lets_everything_pass() {
        let budgets = json!([{"name": "all", "limit_usd": "0.00000001", "window": "day", "action": "warn"}]);
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &budgets);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        assert!(ticket.warning.unwrap().starts_with("budget=all; percent="));
    }

    #[test]
    fn a_shadow_budget_says_nothing_and_counts_what_it_would_refuse() {
        let budgets =
            json!([{"name": "all", "limit_usd": "0.00000001", "window": "day", "action": "shadow"}]);
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &budgets);
        let mut metrics = Metrics::default();
        let learned = Learned::default();
        let book = gateway.book();
        let given =
            DecisionInput { book: book.as_deref(), learned: &learned, now_ms: NOW_MS, waited: Waited::No };
        let ticket = went(gateway.budgets.decide(&chat("a", MODEL), given, &mut metrics));
        assert_eq!(ticket.warning, None);
        metrics.flush();
        assert_eq!(simulated::with(|world| world.metrics["tollgate_shadow_denied_total"]), 1);
    }

    #[test]
    fn a_call_is_warned_once_a_threshold_is_passed() {
        let budgets =
            json!([{"name": "all", "limit_usd": "0.00000002", "window": "day", "thresholds": ["80%"]}]);
        let gateway = granted(&budgets, 20_000);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        assert_eq!(ticket.warning.as_deref(), Some("budget=all; percent=80"));
    }

    #[test]
    fn a_model_without_a_price_here_is_asked_for() {
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &all("1"));
        crate::gateway::adopt(
            &gateway,
            Some(&crate::fixture::raw(&crate::fixture::part(MODEL))),
            None,
            NOW_MS,
        );
        assert!(matches!(decide(&gateway, &chat("a", "gpt-n")), Decision::Wait));
        let (_, models) = gateway.budgets.take_wanted();
        assert_eq!(models, [Wanted { provider: "openai".into(), model: "gpt-n".into() }]);
    }

    #[test]
    fn a_price_that_another_vm_has_got_since_is_not_asked_for() {
        simulated::begin(NOW_MS);
        let (one, other) = (gateway(1, &all("1")), gateway(3, &all("1")));
        assert!(matches!(decide(&one, &chat("a", MODEL)), Decision::Wait));
        grant_wanted(&one, HOLD * 4);
        let adopt = |gateway: &Gateway, model: &str| {
            let part = crate::fixture::raw(&crate::fixture::part(model));
            crate::gateway::adopt(gateway, Some(&part), None, NOW_MS);
        };
        adopt(&one, MODEL);
        adopt(&other, "gpt-n");
        went(decide(&one, &chat("b", "gpt-n")));
        assert_eq!(one.book().unwrap().models().len(), 2);
    }

    #[test]
    fn each_value_has_a_counter_of_its_own() {
        let budgets = json!([{"name": "agents", "each": "agent", "limit_calls": 10, "window": "day"}]);
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &budgets);
        decide(&gateway, &chat("a", MODEL));
        assert!(counter("agents").key.windows(7).any(|part| part == b"planner"));
    }

    #[test]
    fn values_beyond_those_that_there_may_be_share_one_counter() {
        let budgets = json!([{"name": "agents", "each": "agent", "limit_calls": 10, "window": "day"}]);
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &budgets);
        let call = chat("a", MODEL);
        let policy = gateway.budgets.policy().unwrap();
        let touched = policy.touched(&call.subject(), NOW_MS).next().unwrap();
        let values = crate::shared::values::Values::of(&touched.key().to_bytes(), touched.span);
        (0..tollgate_core::budget::policy::VALUES_MAX).for_each(|_| values.count(1, NOW_MS));
        assert!(matches!(decide(&gateway, &call), Decision::Wait));
        let (wanted, _) = gateway.budgets.take_wanted();
        assert_eq!(wanted[0].key.value, OTHER);
        assert!(layout::number(layout::VALUES_SHARED) > 0, "and so many calls did");
    }

    #[test]
    fn a_counter_that_cannot_be_changed_refuses_as_busy() {
        let gateway = granted(&all("1"), HOLD * 4);
        simulated::with(|world| world.is_contended = true);
        let refused = refused_for(decide(&gateway, &chat("a", MODEL)));
        assert_eq!(refused.reason, Reason::BudgetBusy);
    }

    #[test]
    fn a_refusal_counts_on_the_counter_that_refused() {
        let gateway = granted(&all("1"), HOLD / 2);
        let call = chat("a", MODEL);
        let refused = refused_for(gateway.decide(&call, Waited::Enough, NOW_MS));
        gateway.budgets.note_refusal(&call, &refused, NOW_MS);
        assert_eq!(counter("all").denied, 1);
    }

    #[test]
    fn a_refusal_for_another_reason_than_what_is_left_does_not_reach_the_budget() {
        let gateway = granted(&all("1"), HOLD);
        let call = chat("a", MODEL);
        let ticket = went(decide(&gateway, &call));
        let told = |reason| {
            let refused = refused_for(gateway.decide(&call, Waited::Enough, NOW_MS));
            gateway.budgets.note_refusal(&call, &refused, NOW_MS);
            assert_eq!((refused.reason, refused.budget.as_deref()), (reason, Some("all")));
            counter("all").denied
        };
        assert_eq!(told(Reason::BudgetBusy), 0, "a call under way holds what is left");
        gateway.budgets.lose_link(NOW_MS);
        assert_eq!(told(Reason::CollectorAway), 0, "nobody can grant more of it");
        settle(&gateway, ticket);
        let charge = |counter: &mut Counter| counter.charge(counter.limit);
        gateway.budgets.counters.borrow_mut().update_known(&counter("all").key, charge).unwrap();
        assert_eq!(told(Reason::BudgetSpent), 1, "it is spent");
    }

    #[test]
    fn what_nothing_is_left_of_is_refused_before_the_body_has_come() {
        let gateway = granted(&all("1"), 20_000);
        assert_eq!(gateway.budgets.spent_already(&chat("a", MODEL), NOW_MS), None);
        let charged = gateway.budgets.counters.borrow_mut().update_known(&counter("all").key, |counter| {
            counter.charge(Amount(20_000));
        });
        assert_eq!(charged, Ok(()));
        let refused = gateway.budgets.spent_already(&chat("a", MODEL), NOW_MS).unwrap();
        assert_eq!(refused.reason, Reason::BudgetSpent);
    }
}

mod outages {
    use super::*;

    fn outage(mode: &str) -> Value {
        json!([{"name": "all", "limit_usd": "1", "window": "day", "on_outage": mode}])
    }

    #[test]
    fn what_was_granted_is_used_up_while_the_collector_is_away() {
        let gateway = granted(&outage("lease"), HOLD);
        gateway.budgets.lose_link(NOW_MS);
        went(decide(&gateway, &chat("a", MODEL)));
        let refused = refused_for(decide(&gateway, &chat("b", MODEL)));
        assert_eq!(refused.reason, Reason::CollectorAway);
        assert!(refused.message.contains("nothing left that was granted"), "{}", refused.message);
    }

    #[test]
    fn a_budget_may_deny_everything_then() {
        let gateway = granted(&outage("deny"), AMPLE);
        gateway.budgets.lose_link(NOW_MS);
        let refused = refused_for(decide(&gateway, &chat("a", MODEL)));
        assert!(refused.message.contains("lets nothing through"), "{}", refused.message);
    }

    #[test]
    fn or_allow_everything() {
        let gateway = granted(&outage("allow"), 0);
        gateway.budgets.lose_link(NOW_MS);
        went(decide(&gateway, &chat("a", MODEL)));
        assert_eq!(counter("all").held, Amount(HOLD), "it is counted all the same");
    }

    #[test]
    fn a_lease_ends_by_the_gateways_own_clock() {
        let gateway = granted(&outage("lease"), AMPLE);
        let lease_ms = tollgate_core::budget::DEFAULT_LEASE_MS;
        gateway.budgets.lose_link(NOW_MS);
        went(gateway.decide(&chat("a", MODEL), Waited::No, NOW_MS + lease_ms));
        let late = gateway.decide(&chat("b", MODEL), Waited::No, NOW_MS + lease_ms + 1);
        assert!(refused_for(late).message.contains("has a lease of 600 s"));
    }

    #[test]
    fn a_gateway_that_was_asleep_asks_first() {
        let gateway = granted(&outage("lease"), AMPLE);
        let late_ms = NOW_MS + tollgate_core::budget::DEFAULT_LEASE_MS + 1;
        assert!(matches!(gateway.decide(&chat("a", MODEL), Waited::No, late_ms), Decision::Wait));
        assert!(gateway.budgets.wants());
        gateway.budgets.acknowledged(late_ms - 1);
        went(gateway.decide(&chat("a", MODEL), Waited::No, late_ms));
    }

    #[test]
    fn what_was_acknowledged_last_does_not_go_back() {
        let gateway = granted(&outage("lease"), AMPLE);
        gateway.budgets.acknowledged(NOW_MS + 5);
        gateway.budgets.acknowledged(NOW_MS + 1);
        assert_eq!(Link::load().acknowledged_ms, NOW_MS + 5);
    }

    #[test]
    fn an_acknowledgement_ends_an_outage() {
        let gateway = granted(&outage("lease"), AMPLE);
        gateway.budgets.lose_link(NOW_MS);
        assert!(gateway.budgets.is_away());
        gateway.budgets.acknowledged(NOW_MS + 1);
        assert!(!gateway.budgets.is_away());
    }
}

mod reservations {
    use super::*;

    #[test]
    fn a_counter_with_ample_room_is_reserved_on_for_calls_to_come() {
        let gateway = granted(&all("1"), AMPLE);
        went(decide(&gateway, &chat("a", MODEL)));
        assert_eq!((counter("all").held, counter("all").in_flight), (Amount(32 * HOLD), 32));
    }

    #[test]
    fn a_counter_without_is_not() {
        let gateway = granted(&all("1"), 100 * HOLD);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        assert!(ticket.held[0].reserved_from.is_none());
        assert_eq!((counter("all").held, counter("all").in_flight), (Amount(HOLD), 1));
    }

    #[test]
    fn calls_in_a_reservation_do_not_change_the_counter() {
        let gateway = granted(&all("1"), AMPLE);
        went(decide(&gateway, &chat("a", MODEL)));
        let before = counter("all");
        let ticket = went(decide(&gateway, &chat("b", MODEL)));
        assert!(ticket.held[0].reserved_from.is_some());
        assert_eq!(counter("all"), before);
    }

    #[test]
    fn it_is_for_so_many_calls_and_another_follows() {
        let gateway = granted(&all("1"), AMPLE);
        for call in 0..32 {
            went(decide(&gateway, &chat(&format!("{call}"), MODEL)));
        }
        assert_eq!(counter("all").in_flight, 32);
        went(decide(&gateway, &chat("one more", MODEL)));
        assert_eq!(counter("all").in_flight, 32 + 32);
    }

    #[test]
    fn closing_gives_back_what_is_left_and_settles_what_ended() {
        let gateway = granted(&all("1"), AMPLE);
        let tickets: Vec<Ticket> =
            (0..3).map(|call| went(decide(&gateway, &chat(&format!("{call}"), MODEL)))).collect();
        for ticket in tickets {
            settle(&gateway, ticket);
        }
        gateway.budgets.settle_due(NOW_MS);
        let counter = counter("all");
        assert_eq!((counter.used, counter.held, counter.in_flight), (Amount(3 * COST), Amount::ZERO, 0));
    }

    #[test]
    fn what_a_running_call_holds_stays_when_its_reservation_is_closed() {
        let gateway = granted(&all("1"), AMPLE);
        went(decide(&gateway, &chat("a", MODEL)));
        gateway.budgets.settle_due(NOW_MS);
        assert_eq!((counter("all").held, counter("all").in_flight), (Amount(HOLD), 1));
    }

    #[test]
    fn a_call_whose_reservation_was_closed_is_settled_by_itself() {
        let gateway = granted(&all("1"), AMPLE);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        gateway.budgets.settle_due(NOW_MS);
        settle(&gateway, ticket);
        assert_eq!((counter("all").used, counter("all").held), (Amount(COST), Amount::ZERO));
    }

    #[test]
    fn without_a_journal_entry_nothing_waits() {
        let gateway = granted(&all("1"), AMPLE);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        // It was not noted: nothing would say what is to be settled, should this VM die.
        settle(&gateway, ticket);
        assert_eq!((counter("all").used, counter("all").held), (Amount(COST), Amount::ZERO));
    }

    #[test]
    fn its_lane_names_it_while_it_is_open() {
        let gateway = granted(&all("1"), AMPLE);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        let id = ticket.held[0].reserved_from.as_ref().unwrap().0.id.unwrap();
        let listed = crate::shared::lane::listed(0, id.slot);
        assert_eq!(listed.key, counter("all").key);
        assert_eq!((listed.held.amount, listed.held.calls), (Amount(32 * HOLD), 32));
        gateway.budgets.settle_due(NOW_MS);
        assert!(crate::shared::lane::listed(0, id.slot).key.is_empty());
    }

    #[test]
    fn a_vm_that_lost_its_lane_leaves_its_reservations_to_who_recovers_it() {
        let gateway = granted(&all("1"), AMPLE);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        let (owner, version) = crate::shared::lane::Owner::of(0).unwrap();
        crate::shared::lane::Owner { vm: 9, ..owner }.swap(0, version).unwrap();
        let later_ms = NOW_MS + crate::shared::lane::HEARTBEAT_MS;
        gateway.budgets.settle_due(later_ms);
        assert!(ticket.held[0].reserved_from.as_ref().unwrap().0.is_closed());
        assert_eq!(counter("all").in_flight, 32, "nothing of it is settled here");
    }

    #[test]
    fn what_could_not_be_settled_is_settled_with_the_next_tick() {
        let gateway = granted(&all("1"), AMPLE);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        gateway.budgets.settle_due(NOW_MS);
        simulated::with(|world| world.is_contended = true);
        settle(&gateway, ticket);
        simulated::with(|world| world.is_contended = false);
        assert_eq!(counter("all").held, Amount(HOLD));
        gateway.budgets.settle_due(NOW_MS);
        assert_eq!((counter("all").used, counter("all").held), (Amount(COST), Amount::ZERO));
    }

    #[test]
    fn a_gateway_alone_reserves_without_a_lane() {
        simulated::begin(NOW_MS);
        let gateway = alone(&all("1"));
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        assert_eq!(ticket.held[0].reserved_from.as_ref().unwrap().0.id, None);
        settle(&gateway, ticket);
        assert_eq!(counter("all").in_flight, 32, "it waits for the tick");
        gateway.budgets.settle_due(NOW_MS);
        assert_eq!((counter("all").used, counter("all").in_flight), (Amount(COST), 0));
    }

    #[test]
    fn another_policy_is_not_met_with_reservations_of_the_last() {
        let gateway = granted(&all("1"), AMPLE);
        went(decide(&gateway, &chat("a", MODEL)));
        let other = json!([{"name": "other", "limit_calls": 5, "window": "day"}]);
        let policy = Policy { version: "p2".into(), ..crate::fixture::policy(&other) };
        crate::gateway::adopt(&gateway, None, Some(&crate::fixture::raw(&policy)), NOW_MS);
        assert!(matches!(decide(&gateway, &chat("b", MODEL)), Decision::Wait));
        let (wanted, _) = gateway.budgets.take_wanted();
        assert_eq!(wanted[0].key.budget, "other");
    }
}

mod settlement {
    use super::*;

    #[test]
    fn a_call_without_a_record_of_its_own_cost_nothing() {
        let gateway = granted(&all("1"), 100 * HOLD);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        let ended = gateway.budgets.settle(ticket, None).unwrap_or_default();
        gateway.budgets.finish(ended, NOW_MS);
        assert_eq!((counter("all").used, counter("all").held), (Amount::ZERO, Amount::ZERO));
    }

    #[test]
    fn what_a_lost_lane_names_is_settled_by_who_recovers_it() {
        let gateway = granted(&all("1"), 100 * HOLD);
        let call = chat("a", MODEL);
        let ticket = went(decide(&gateway, &call));
        let slot = gateway.note(&call, &ticket, NOW_MS);
        let (owner, version) = crate::shared::lane::Owner::of(0).unwrap();
        crate::shared::lane::Owner { vm: 9, ..owner }.swap(0, version).unwrap();
        let ended = gateway.budgets.settle(ticket, None).unwrap_or_default();
        gateway.forget(slot, Some(ended), NOW_MS + crate::shared::lane::HEARTBEAT_MS);
        assert_eq!(counter("all").held, Amount(HOLD));
    }

    #[test]
    fn work_that_was_not_held_is_charged_on_each_budget() {
        let gateway = granted(&crate::fixture::budgets(), AMPLE);
        let record = UsageRecord {
            cost_usd: Picodollars::from_pico(COST),
            cost_status: CostStatus::Measured,
            status: Some(200),
            ..UsageRecord::default()
        };
        let version = gateway.budgets.charge(&chat("a", MODEL), &record, NOW_MS);
        assert_eq!(version.as_deref(), Some("p1"));
        assert_eq!((counter("all").used, counter("calls").used), (Amount(COST), Amount(1)));
    }

    #[test]
    fn where_there_are_no_budgets_nothing_is_charged() {
        simulated::begin(NOW_MS);
        let gateway = gateway(1, &json!([]));
        assert_eq!(gateway.budgets.charge(&chat("a", MODEL), &UsageRecord::default(), NOW_MS), None);
    }

    #[test]
    fn a_call_without_a_price_says_what_the_worst_case_charged() {
        let worst = json!([{"name": "all", "limit_usd": "1", "window": "day", "on_unknown": "worst"}]);
        for (budgets, charged) in [(worst, HOLD), (all("1"), 0)] {
            let gateway = granted(&budgets, 100 * HOLD);
            let ticket = went(decide(&gateway, &chat("a", MODEL)));
            let mut record = UsageRecord { cost_status: CostStatus::Unpriced, ..UsageRecord::default() };
            gateway.budgets.note_charged(&ticket, &mut record);
            assert_eq!(record.charged_usd, Some(Picodollars::from_pico(charged)), "{budgets}");
        }
    }

    #[test]
    fn a_call_with_a_price_says_nothing_of_the_kind() {
        let gateway = granted(&all("1"), 100 * HOLD);
        let ticket = went(decide(&gateway, &chat("a", MODEL)));
        let mut record = UsageRecord { cost_status: CostStatus::Measured, ..UsageRecord::default() };
        gateway.budgets.note_charged(&ticket, &mut record);
        assert_eq!(record.charged_usd, None);
    }
}

mod covers {
    use super::*;

    fn ending() -> Value {
        json!([{"name": "all", "limit_usd": "1", "window": "day", "end_streams": true}])
    }

    #[test]
    fn an_answer_within_what_is_held_needs_no_more() {
        let gateway = granted(&ending(), 100 * HOLD);
        let mut ticket = went(decide(&gateway, &chat("a", MODEL)));
        let covered = ticket.covers[0].1.output_tokens;
        assert_eq!(gateway.budgets.cover(&mut ticket, covered), None);
        assert_eq!(counter("all").held, Amount(HOLD));
    }

    #[test]
    fn a_longer_one_is_held_for_in_steps() {
        let gateway = granted(&ending(), 100 * HOLD);
        let mut ticket = went(decide(&gateway, &chat("a", MODEL)));
        let (_, cover) = ticket.covers[0];
        assert_eq!(gateway.budgets.cover(&mut ticket, cover.output_tokens + 1), None);
        let more = cover.per_token.0 * 256;
        assert_eq!(counter("all").held, Amount(HOLD + more));
        assert_eq!(ticket.held[0].amount, Amount(HOLD + more));
        assert_eq!(gateway.budgets.cover(&mut ticket, cover.output_tokens + 256), None);
        assert_eq!(counter("all").held, Amount(HOLD + more), "that is covered already");
    }

    #[test]
    fn one_that_the_budget_has_nothing_for_is_ended() {
        let gateway = granted(&ending(), HOLD);
        let mut ticket = went(decide(&gateway, &chat("a", MODEL)));
        let tokens = ticket.covers[0].1.output_tokens + 1;
        let refused = gateway.budgets.cover(&mut ticket, tokens).unwrap();
        assert_eq!((refused.reason, refused.budget.as_deref()), (Reason::BudgetSpent, Some("all")));
    }
}

mod reports_to_a_collector {
    use super::*;
    use crate::shared::counters::OccupiedSlots;

    #[test]
    fn only_what_changed_is_told() {
        let gateway = granted(&all("1"), AMPLE);
        let mut slots = OccupiedSlots::default();
        assert!(reports(&mut slots, NOW_MS, false).is_empty(), "the collector knows all of it");
        went(decide(&gateway, &chat("a", MODEL)));
        let told = reports(&mut slots, NOW_MS, false);
        assert_eq!(told.len(), 1);
        let grants: Vec<_> = told.iter().map(|report| grant(report, Amount(AMPLE), Want::Granted)).collect();
        gateway.budgets.granted(&grants, &told);
        assert!(reports(&mut slots, NOW_MS, false).is_empty());
        assert_eq!(reports(&mut slots, NOW_MS, true).len(), 1, "all are told where that is asked for");
    }

    #[test]
    fn a_grant_of_a_counter_that_is_gone_changes_nothing() {
        let gateway = granted(&all("1"), AMPLE);
        let mut told = reports(&mut OccupiedSlots::default(), NOW_MS, true);
        told[0].key.budget = "gone".into();
        let grants: Vec<_> = told.iter().map(|report| grant(report, Amount(1), Want::Granted)).collect();
        assert!(!gateway.budgets.granted(&grants, &told));
        assert_eq!(counters().len(), 1);
    }

    #[test]
    fn what_is_given_back_is_told_to_those_who_wait() {
        let gateway = granted(&all("1"), AMPLE);
        let told = reports(&mut OccupiedSlots::default(), NOW_MS, true);
        let mut recalled = grant(&told[0], Amount(AMPLE), Want::Granted);
        recalled.grant.keep = Some(Amount(HOLD));
        assert!(gateway.budgets.granted(&[recalled], &told));
        assert_eq!(counter("all").free(), Amount(HOLD));
    }

    #[test]
    fn what_is_asked_already_is_not_asked_besides() {
        let gateway = granted(&all("1"), 0);
        decide(&gateway, &chat("a", MODEL));
        let told = reports(&mut OccupiedSlots::default(), NOW_MS, true);
        assert!(gateway.budgets.wants_besides(&[], &[]));
        assert!(!gateway.budgets.wants_besides(&told, &[]));
        gateway.budgets.forget_wanted();
        assert!(!gateway.budgets.wants());
    }
}
