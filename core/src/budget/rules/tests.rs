use super::*;
use crate::attribution::{Attribution, INVALID, TrustedFields, UNATTRIBUTED};
use crate::budget::scope::Subject;

fn rules(json: serde_json::Value) -> Rules {
    serde_json::from_value(json).unwrap()
}

fn who(agent: &str, team: &str, environment: &str) -> Attribution {
    Attribution {
        agent: agent.into(),
        team: team.into(),
        environment: environment.into(),
        ..Attribution::default()
    }
}

fn subject<'a>(attribution: &'a Attribution, provider: &'a str, model: Option<&'a str>) -> Subject<'a> {
    Subject {
        attribution,
        provider,
        model,
        row: None,
        others: &[],
        any_model: false,
        key_id: None,
        trusted: TrustedFields::default(),
    }
}

const NO_MODELS: Models<'static> =
    Models { named: &[], row: &|_| None, any: false, is_deferred: false, is_unmetered: false };

fn of_models(rules: &Rules, subject: &Subject<'_>, models: &Models<'_>) -> Rulings {
    let mut rulings = Rulings::default();
    rules.for_call(subject, 5).of_models(subject.provider, models, &mut rulings);
    rulings
}

#[test]
fn agents_call_where_they_are_approved() {
    let rules = rules(serde_json::json!({
        "agents": [
            {"name": "triage", "team": "support", "environments": ["production", "test-*"]},
            {"name": "old", "status": "retired"},
            {"name": "new", "status": "proposed"},
            {"name": "trial", "until_ms": 100},
        ],
        "unknown": [
            {"environment": "production", "action": "deny"},
            {"environment": "staging", "action": "flag"},
            {"environment": "*", "action": "allow"},
        ],
    }));
    // Whether it is refused, and whether it is noted.
    for (agent, environment, now_ms, expected) in [
        ("triage", "production", 5, (false, false)),
        ("triage", "test-7", 5, (false, false)),
        ("triage", "staging", 5, (false, true)),
        ("triage", UNATTRIBUTED, 5, (true, false)),
        ("old", "production", 5, (true, false)),
        ("new", "production", 5, (true, false)),
        ("trial", "production", 99, (false, false)),
        ("trial", "production", 100, (true, false)),
        ("stranger", "production", 5, (true, false)),
        ("stranger", "staging", 5, (false, true)),
        ("stranger", "laptop", 5, (false, false)),
        // Who hides where it comes from gets the strictest.
        ("stranger", UNATTRIBUTED, 5, (true, false)),
        ("stranger", INVALID, 5, (true, false)),
        (INVALID, "production", 5, (true, false)),
        ("Triage", "production", 5, (true, false)),
    ] {
        let mut rulings = Rulings::default();
        rules.of_caller(&who(agent, "support", environment), now_ms, &mut rulings);
        let found = (rulings.refused.is_some(), !rulings.noted.is_empty());
        assert_eq!(found, expected, "{agent} in {environment} at {now_ms}");
    }
}

#[test]
fn calls_say_who_makes_them_where_they_must() {
    let rules = rules(serde_json::json!({"require": [
        {"environment": "production", "fields": ["agent", "team", "run"]},
        {"environment": "*", "fields": ["environment"], "shadow": true},
    ]}));
    for (who, expected) in [
        (Attribution { run: Some("r".into()), ..who("a", "t", "production") }, ""),
        (who("a", "t", "production"), "x-tollgate-run"),
        (who("a", INVALID, "production"), "x-tollgate-team`, `x-tollgate-run"),
        (who("a", "t", "staging"), ""),
        // Hides its environment, so each rule is for it.
        (who("a", "t", UNATTRIBUTED), "x-tollgate-run"),
    ] {
        let mut rulings = Rulings::default();
        rules.of_caller(&who, 5, &mut rulings);
        let said = rulings.refused.map(|ruling| ruling.message).unwrap_or_default();
        assert!(said.contains(expected), "{who:?}: {said}");
        assert_eq!(said.is_empty(), expected.is_empty(), "{who:?}: {said}");
    }
}

#[test]
fn a_list_lets_the_models_be_called_that_it_names() {
    let list = |models: &[&str]| {
        rules(serde_json::json!({"allow": [{"name": "list", "scope": {"agent": ["a"]}, "models": models}]}))
    };
    let who = who("a", "t", "production");
    for (models, provider, named, expected) in [
        (&["gpt-4o-mini"][..], "openai", &["gpt-4o-mini"][..], true),
        (&["gpt-4o-mini"], "openai", &["GPT-4o-mini"], true),
        (&["gpt-4o"], "openai", &["gpt-4o-2024-08-06"], true),
        (&["gpt-4o"], "openai", &["gpt-4o-mini"], false),
        (&["gpt-4*"], "openai", &["gpt-4o-mini"], true),
        // Each model that may answer must be one.
        (&["gpt-4o-mini"], "openai", &["gpt-4o-mini", "gpt-5"], false),
        (&["!gpt-5*"], "openai", &["gpt-4o"], true),
        (&["!gpt-5*"], "openai", &["gpt-5.1"], false),
        (&["gpt-*", "!gpt-5*"], "openai", &["gpt-5-mini"], false),
        (&["gpt-*", "!gpt-5*"], "openai", &["gpt-4o"], true),
        (&["gpt-*", "!gpt-5*"], "openai", &["o3"], false),
        (&["claude-haiku-4-5"], "bedrock", &["us.anthropic.claude-haiku-4-5-20251001-v1:0"], true),
        (&["claude-haiku-4-5"], "bedrock", &["us.anthropic.claude-sonnet-4-5-20250929-v1:0"], false),
        // Nobody knows which one it is.
        (&["gpt-4o-mini"], "openai", &[], false),
        (&["*"], "openai", &[], true),
        (&["*", "!gpt-5*"], "openai", &[], false),
    ] {
        let rules = list(models);
        let subject = subject(&who, provider, named.first().copied());
        let rulings = of_models(&rules, &subject, &Models { named, ..NO_MODELS });
        assert_eq!(rulings.refused.is_none(), expected, "{models:?} {named:?}: {rulings:?}");
    }
    let row = |_: &str| Some("gpt-4o-mini".to_owned());
    let deployment = Models { named: &["my-deployment"], row: &row, ..NO_MODELS };
    let subject = subject(&who, "azure", None);
    let rulings = of_models(&list(&["gpt-4o-mini"]), &subject, &deployment);
    assert_eq!(rulings, Rulings::default(), "a deployment is the model that its row says");
    assert!(of_models(&list(&["!gpt-4o-mini"]), &subject, &deployment).refused.is_some());
}

#[test]
fn a_list_that_has_ended_or_is_in_shadow_refuses_nothing() {
    let rules = rules(serde_json::json!({"allow": [
        {"name": "ended", "models": ["x"], "until_ms": 5},
        {"name": "shadow", "models": ["x"], "shadow": true},
        {"name": "of-others", "scope": {"team": ["others"]}, "models": ["x"]},
    ]}));
    let who = who("a", "t", "production");
    let subject = subject(&who, "openai", Some("gpt-5"));
    let rulings = of_models(&rules, &subject, &Models { named: &["gpt-5"], ..NO_MODELS });
    assert_eq!(rulings.refused, None);
    assert_eq!(rulings.noted.iter().map(|ruling| ruling.rule.as_str()).collect::<Vec<_>>(), ["shadow"]);
}

#[test]
fn deferred_work_and_unknown_paths_need_a_word_of_the_list() {
    let who = who("a", "t", "production");
    let said = |more: serde_json::Value, of: &Models<'_>| {
        let mut list = serde_json::json!({"name": "list", "models": ["m"]});
        list.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let rules = rules(serde_json::json!({"allow": [list]}));
        of_models(&rules, &subject(&who, "p", None), of).refused.map(|ruling| ruling.breach)
    };
    let deferred = Models { named: &["m"], is_deferred: true, ..NO_MODELS };
    assert_eq!(said(serde_json::json!({}), &deferred), Some(Breach::DeferredNotAllowed));
    assert_eq!(said(serde_json::json!({"deferred": true}), &deferred), None);
    let unknown = Models { is_unmetered: true, ..NO_MODELS };
    assert_eq!(said(serde_json::json!({}), &unknown), Some(Breach::NotMetered));
    assert_eq!(said(serde_json::json!({"untold": true}), &unknown), None);
}

#[test]
fn one_call_stays_below_what_one_call_may_be() {
    let rules = rules(serde_json::json!({"limits": [
        {"name": "dear", "scope": {"agent": ["a"]}, "max_cost": "100"},
        {"name": "long", "scope": {}, "max_input_tokens": 50},
        {"name": "watched", "scope": {}, "max_cost": "10", "shadow": true},
        {"name": "open", "scope": {}, "max_cost": "200", "unpriced": true},
    ]}));
    let of = |agent: &str, cost: Option<i128>, input: u64| {
        let who = who(agent, "t", "production");
        let mut rulings = Rulings::default();
        rules.for_call(&subject(&who, "p", None), 5).of_size(cost.map(Amount), input, &mut rulings);
        let noted: Vec<String> = rulings.noted.into_iter().map(|ruling| ruling.rule).collect();
        (rulings.refused.map(|ruling| ruling.rule), noted)
    };
    let watched = || vec!["watched".to_owned()];
    assert_eq!(of("a", Some(100), 50), (None, watched()));
    assert_eq!(of("a", Some(101), 50), (Some("dear".into()), watched()));
    assert_eq!(of("b", Some(101), 50), (None, watched()));
    assert_eq!(of("b", Some(9), 51), (Some("long".into()), vec![]));
    assert_eq!(of("b", Some(201), 50), (Some("open".into()), watched()));
    // What it may cost is not known: only `open` lets it pass, and `watched` notes it.
    assert_eq!(of("a", None, 0), (Some("dear".into()), watched()));
    assert_eq!(of("b", None, 0), (None, watched()));
}

#[test]
fn quarantine_is_for_unknown_agents() {
    let rules = rules(serde_json::json!({
        "agents": [{"name": "known"}],
        "unknown": [
            {"environment": "prod*", "action": "quarantine", "budget": "b"},
            {"environment": "test", "action": "quarantine", "budget": "c"},
            {"environment": "old", "action": "quarantine"},
        ],
    }));
    for (agent, environment, expected) in [
        ("stranger", "production", "b"),
        ("stranger", "test", "c"),
        ("known", "production", ""),
        ("stranger", "staging", ""),
        // Of an older collector, which does not say which.
        ("stranger", "old", "bc"),
        // Who hides where it calls from counts on each.
        ("stranger", UNATTRIBUTED, "bc"),
    ] {
        let who = who(agent, "t", environment);
        let on = ["b", "c"].into_iter().filter(|budget| rules.is_quarantined(&who, 5, budget));
        assert_eq!(on.collect::<String>(), expected, "{agent} {environment}");
    }
}

/// The index finds the rules that a look at each of them finds.
#[test]
fn rules_are_found_by_agent_and_team() {
    let mut all = Vec::new();
    for n in 0..60 {
        let scope = match n % 6 {
            0 => serde_json::json!({"agent": [format!("a{}", n % 5), format!("a{}", n % 7)]}),
            1 => serde_json::json!({"team": [format!("t{}", n % 4)]}),
            2 => serde_json::json!({"agent": ["a*"]}),
            3 => serde_json::json!({"agent": [format!("a{}", n % 3)], "team": [format!("t{}", n % 4)]}),
            4 => serde_json::json!({"environment": ["production"]}),
            _ => serde_json::json!({}),
        };
        all.push(serde_json::json!({"name": format!("l{n}"), "scope": scope, "max_input_tokens": 1, "shadow": true}));
    }
    let rules = rules(serde_json::json!({ "limits": all }));
    for agent in 0..8 {
        for team in 0..5 {
            let who = who(&format!("a{agent}"), &format!("t{team}"), "production");
            let subject = subject(&who, "p", None);
            let mut rulings = Rulings::default();
            rules.for_call(&subject, 5).of_size(None, 9, &mut rulings);
            let mut found: Vec<String> = rulings.noted.into_iter().map(|ruling| ruling.rule).collect();
            let mut expected: Vec<String> = rules
                .limits
                .iter()
                .filter(|limit| limit.scope.holds(&subject))
                .map(|limit| limit.name.clone())
                .collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{who:?}");
        }
    }
}

#[test]
fn rules_are_read_as_they_are_written() {
    let all = rules(serde_json::json!({
        "agents": [{"name": "a", "team": "t", "environments": ["p"], "until_ms": 7}, {"name": "b", "status": "retired"}],
        "unknown": [{"environment": "*", "action": "quarantine"}],
        "require": [{"environment": "p", "fields": ["agent", "tags"], "shadow": true}],
        "allow": [{"name": "l", "scope": {"tag:x": ["1"]}, "models": ["!m"], "deferred": true, "untold": true,
            "until_ms": 9, "shadow": true}],
        "limits": [{"name": "c", "scope": {"team": ["t"]}, "max_cost": "12", "unpriced": true,
            "max_input_tokens": 3, "shadow": true}],
        "accepts_contradictions": true,
    }));
    assert_eq!(rules(serde_json::to_value(&all).unwrap()), all);
    for wrong in [
        serde_json::json!([]),
        serde_json::json!({"agents": [{"name": "a", "status": "paused"}]}),
        serde_json::json!({"unknown": [{"environment": "*", "action": "ask"}]}),
        serde_json::json!({"allow": [{"name": "l", "scope": {"planet": ["x"]}}]}),
        serde_json::json!({"limits": [{"name": "l", "max_cost": "1e3"}]}),
    ] {
        assert!(serde_json::from_value::<Rules>(wrong.clone()).is_err(), "{wrong}");
    }
}
