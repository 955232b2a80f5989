use serde_json::{Value, json};

use super::*;
use crate::budget::rules::StepDown;
use crate::price::{Price, PricedModel, Rates, Sheet};
use crate::usage::Kind;

const NOW_MS: u64 = 1_000;

fn policy() -> Policy {
    let budgets = json!([{"budget": define::read_one(&json!({
        "name": "support", "scope": {"team": "support"}, "limit_usd": "5", "window": "prepaid", "default_output_tokens": 7,
    }), None).unwrap(), "generation": 1, "spans": [{"start_ms": 0, "end_ms": u64::MAX}]}]);
    let rules = json!({
        "agents": [{"name": "triage", "team": "support"}],
        "keys": [{"id": "5bdcc146bf60754e", "agent": "triage"}],
        "unknown": [{"environment": "production", "action": "deny"}],
        "require": [{"environment": "production", "fields": ["feature"], "shadow": true}],
        "allow": [
            {"name": "old", "scope": {}, "models": ["m"], "until_ms": 500},
            {"name": "trial", "scope": {"team": ["support"]}, "models": ["m"], "shadow": true},
            {"name": "others", "scope": {"team": ["search"]}, "models": ["m"]},
        ],
        "limits": [{"name": "small", "scope": {}, "max_cost": "2000"}],
    });
    serde_json::from_value(json!({"version": "p", "budgets": budgets, "rules": rules})).unwrap()
}

fn book() -> PriceBook {
    let rates =
        Rates([(Kind::Input, Picodollars::from_pico(1)), (Kind::Output, Picodollars::from_pico(100))].into());
    let price = Price { standard: Sheet { rates, tiers: vec![] }, ..Price::default() };
    let model = |id: &str| PricedModel {
        provider: "openai".into(),
        id: id.into(),
        prices: vec![price.clone()],
        ..PricedModel::default()
    };
    PriceBook::new("v1".into(), vec![model("m"), model("n")])
}

fn described(call: Value) -> Described {
    Described::read(&call).unwrap()
}

/// Each rule that is for the call: name, whether it is enforced, whether it has something against it.
fn rules(call: Value) -> Vec<String> {
    let (policy, book) = (policy(), book());
    let explained = described(call).explained(&policy, &book, &|_| 0, NOW_MS);
    let said = explained.rules(&policy, &book, NOW_MS).into_iter();
    said.map(|said| {
        let against = said.against.map_or("lets", |(reason, _)| reason.name());
        format!("{} {:?} {against}", said.rule, said.state)
    })
    .collect()
}

#[test]
fn each_rule_that_is_for_a_call_says_what_it_would_do_alone() {
    let call = json!({"agent": "triage", "environment": "production", "provider": "openai", "model": "n",
        "prompt": "hello", "max_output_tokens": 30});
    assert_eq!(
        rules(call),
        [
            "unknown_agents Enforced lets",
            "require Shadow attribution_missing",
            "old Expired model_not_allowed",
            "trial Shadow model_not_allowed",
            "small Enforced call_too_large",
        ]
    );
    let stranger = json!({"agent": "x", "environment": "production", "feature": "f", "provider": "openai", "model": "m",
        "prompt": "hello", "max_output_tokens": 3});
    assert_eq!(
        rules(stranger),
        [
            "unknown_agents Enforced agent_not_allowed",
            "require Shadow lets",
            "old Expired lets",
            "small Enforced lets"
        ]
    );
}

#[test]
fn the_whole_call_is_decided_by_the_rules_together() {
    let (policy, book, learned) = (policy(), book(), Learned::default());
    let decided = |call: Value| {
        let explained = described(call).explained(&policy, &book, &|_| 0, NOW_MS);
        match explained.admission(&policy, &book, &learned, NOW_MS) {
            Admission::Hold(holds) => {
                let hold = |hold: &super::super::admission::Hold<'_>| {
                    format!("{}={}", hold.touched.budget.name, hold.amount.0)
                };
                holds.iter().map(hold).collect::<Vec<_>>().join(" ")
            }
            Admission::Refuse(reason, ..) => reason.name().to_owned(),
            Admission::WantPrice(wanted) => wanted.model,
        }
    };
    let call = |agent: &str, model: &str, tokens: u64| {
        json!({"agent": agent, "environment": "production", "provider": "openai", "model": model, "prompt": "hello",
            "max_output_tokens": tokens})
    };
    let held = |tokens: u64| -> i128 {
        decided(call("triage", "m", tokens)).strip_prefix("support=").unwrap().parse().unwrap()
    };
    assert_eq!(held(3) - held(1), 200, "two tokens of output more");
    assert_eq!(decided(call("triage", "m", 30)), "call_too_large");
    assert_eq!(decided(call("x", "m", 1)), "agent_not_allowed");
    let mut open = call("triage", "m", 1);
    open.as_object_mut().unwrap().remove("max_output_tokens");
    let explained = described(open).explained(&policy, &book, &|_| 0, NOW_MS);
    assert_eq!(explained.written_output_tokens, Some(7));
    let most = explained.most(&book, NOW_MS);
    let asked = explained.admission(&policy, &book, &learned, NOW_MS);
    let Admission::Hold(holds) = asked else { panic!("{asked:?}") };
    assert_eq!(most.cost.map(Picodollars::as_pico), Some(holds[0].amount.0), "what budgets hold is the most");
    let unpriced = described(call("triage", "unknown", 3)).explained(&policy, &book, &|_| 0, NOW_MS);
    assert_eq!(unpriced.most(&book, NOW_MS).cost, None);
}

#[test]
fn who_calls_is_said_with_its_source() {
    let said = |call: Value| {
        let explained = described(call).explained(&policy(), &book(), &|_| 0, NOW_MS);
        let one = |known: &Known| {
            let source = match known.source {
                Source::Attribution(source) => source.name(),
                Source::Registry => "registry",
            };
            format!("{}={} {source}", known.field as u8, known.value)
        };
        explained.identity.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let to = |mut call: Value| {
        call["provider"] = json!("openai");
        call
    };
    assert_eq!(said(to(json!({"agent": "triage"}))), "0=triage self_declared, 1=support registry");
    assert_eq!(said(to(json!({"key_id": "5bdcc146bf60754e"}))), "0=triage key, 1=support registry");
    assert_eq!(
        said(to(json!({"key_id": "5bdcc146bf60754e", "agent": "x", "team": "y", "run": "r"}))),
        "0=triage key, 1=support registry, 4=r self_declared"
    );
    let trusted = json!({"trusted": {"team": "search"}, "trusted_source": "route", "team": "support", "agent": "triage"});
    assert_eq!(said(to(trusted)), "0=invalid none, 1=search route");
    let gateway = json!({"gateway": "g", "attribution": {"aliases": {"x-bot": "agent"},
        "trusted": [{"field": "team", "property": ["a"], "source": "verified"}]}});
    let call =
        json!({"headers": {"X-Bot": "b"}, "gateway": gateway, "trusted": {"team": "t"}, "tags": {"a": "b"}});
    assert_eq!(said(to(call)), "0=b self_declared, 1=t verified, 6=a=b self_declared");
}

#[test]
fn every_mistake_of_a_description_is_named() {
    let mistakes = |call: Value| -> Vec<String> {
        let errors = Described::read(&call).unwrap_err();
        errors.into_iter().map(|error| error.to_string()).collect()
    };
    let found = mistakes(json!({
        "agnet": "x", "team": 7, "tags": [], "key_id": "sk-live", "headers": {"Authorization": "Bearer x", "a": 1},
        "trusted": {"taem": "x"}, "trusted_source": "me", "model": "m", "body": {}, "stream": 1, "path": "v1",
        "input_tokens": 0, "gateway": {},
    }));
    for expected in [
        "agnet: is not a key here",
        "team: `7` is not a text",
        "tags: `[]` is not an object",
        "key_id: is not a key's hash",
        "headers.Authorization: holds a key",
        "headers.a: `1` is neither a text nor a list",
        "trusted.taem: is not a key here",
        "trusted_source: `me` is not one of",
        "model: is given beside `body`",
        "stream: `1` is neither true nor false",
        "path: is `v1`, not a path",
        "provider: is missing",
        "input_tokens: `0` is not a whole number",
        "gateway.gateway: is missing",
    ] {
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected} in {found:#?}");
    }
    let unknown =
        json!({"provider": "openai", "path": "/v1/images/generations", "model": "m", "prompt": "x"});
    assert!(mistakes(unknown)[0].starts_with("body: is missing"));
    assert!(mistakes(json!([]))[0].contains("is not an object"));
}

#[test]
fn a_prompt_of_so_many_tokens_is_made_up_and_said() {
    let call = described(
        json!({"provider": "anthropic", "model": "c", "input_tokens": 5_000, "max_output_tokens": 9}),
    );
    let explained = call.explained(&policy(), &book(), &|_| 0, NOW_MS);
    let body: Value = serde_json::from_slice(call.body.as_deref().unwrap()).unwrap();
    assert_eq!((&body["model"], &body["max_tokens"]), (&json!("c"), &json!(9)));
    assert!(explained.notes[0].contains("made up"), "{:?}", explained.notes);
    let tokens = {
        let mut meter = crate::request::RequestMeter::default();
        meter.feed(call.body.as_deref().unwrap());
        meter.input_estimate().unwrap()
    };
    assert!((4_900..=5_100).contains(&tokens), "{tokens}");
}

#[test]
fn a_cheaper_model_takes_the_place_of_the_one_asked_for_from_where_its_rule_says() {
    let call = json!({"agent": "triage", "provider": "openai", "model": "m", "prompt": "hi"});
    for (used, shadow, expected) in
        [(79, false, ("m", None, "")), (80, false, ("n", Some("m"), "late")), (80, true, ("m", None, "late"))]
    {
        let mut policy = policy();
        policy.rules.step_down = vec![StepDown {
            name: "late".into(),
            budget: "support".into(),
            percent: 80,
            models: [("m".to_owned(), "n".to_owned())].into(),
            shadow,
            ..StepDown::default()
        }];
        let explained = described(call.clone()).explained(&policy, &book(), &|_| used, NOW_MS);
        let record = explained.call.denied("g", 200, NOW_MS);
        let found = explained.call.request_model().unwrap();
        assert_eq!(
            (found, record.stepped_down_from.as_deref(), record.noted_by.join(",").as_str()),
            expected,
            "{used} % {shadow}"
        );
        let said = explained.rules(&policy, &book(), NOW_MS);
        assert!(said.iter().any(|one| one.rule == "late"), "it is named with either model");
    }
}
