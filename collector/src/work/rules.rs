//! Who may call what: rules as gateways get them, made of the configuration file and the registry; and what
//! is wrong with them that only prices and the calendar tell.

pub mod tried;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::attribution::{Attribution, TrustedFields};
use tollgate_core::budget::rules::{self, Allow, Rules, Status};
use tollgate_core::budget::scope::{Dimension, Scope, Subject};
use tollgate_core::price::{PriceBook, PricedModel, names};
use tollgate_core::usage::Kind;

use crate::config::{AllowList, Config, ModelWords, RulesConfig};
use crate::model::agent::{Agent, Day, matches};
use crate::model::nearest::nearest;
use crate::store::Configured;
use crate::work::policy::unknown_provider;
use words::{plain, unknown_families};

/// The rules that gateways get: of agents only what they need, and no proposals, which callers can make. What
/// lists mean by words is told by prices.
pub fn rules(config: &RulesConfig, agents: Vec<&Agent>, book: &PriceBook, now_ms: u64) -> Rules {
    let agents: Vec<&Agent> = agents.into_iter().filter(|agent| agent.status != Status::Proposed).collect();
    let lists = lists_of(agents.iter().copied().cloned());
    let known = |agent: &Agent| {
        let Agent { name, team, environments, status, expires, .. } = agent.clone();
        rules::Agent { name, team, environments, status, until_ms: expires.map(Day::end_ms) }
    };
    Rules {
        keys: config.keys.clone(),
        rejects_contradictions: config.rejects_contradictions,
        accepts_contradictions: config.accepts_contradictions,
        unknown: config.unknown.iter().map(|one| one.rule.clone()).collect(),
        require: config.require.clone(),
        allow: config.allow.iter().cloned().chain(lists).map(|list| plain(&list, book, now_ms)).collect(),
        limits: config.limits.clone(),
        runs: config.runs.clone(),
        step_down: config.step_down.clone(),
        agents: agents.into_iter().map(known).collect(),
        ..Rules::default()
    }
}

/// The lists that the models of agents make. One that is retired keeps its own: it may still be let through
/// as an unknown one, and no more than before.
pub fn lists_of(agents: impl Iterator<Item = Agent>) -> impl Iterator<Item = AllowList> {
    agents.filter(|agent| !agent.models.is_empty() && agent.status != Status::Proposed).map(|agent| {
        let scope = Scope::from(BTreeMap::from([(Dimension::Agent, vec![agent.name.clone()])]));
        AllowList {
            rule: Allow { name: agent.list_name(), scope, models: agent.models, ..Allow::default() },
            words: ModelWords::default(),
            approved_by: agent.approved_by,
            reason: String::new(),
            expires: None,
        }
    })
}

/// What the store keeps of a configuration.
pub fn configured(config: &Config) -> Configured {
    let teams = config.rules.agents.iter().filter(|agent| !agent.team.is_empty());
    Configured {
        budgets: config.budgets.budgets.clone(),
        registered: config.budgets.registered.clone(),
        quarantine: config.rules.quarantine(),
        teams: teams.map(|agent| (agent.name.clone(), agent.team.clone())).collect(),
    }
}

/// What is wrong with the rules of a configuration in `file` that only its prices can tell.
///
/// # Errors
/// For each provider and each model that nobody knows.
pub fn check(file: &str, config: &Config, book: &PriceBook, now_ms: u64) -> Result<(), Vec<String>> {
    let rules = &config.rules;
    let own = &config.budgets.providers;
    let mut wrong = Vec::new();
    for (at, agent) in rules.agents.iter().enumerate() {
        let problems = unknown_models(&agent.models, &Scope::default(), book);
        wrong.extend(problems.into_iter().map(|problem| format!("{file}: `agents[{at}].models` {problem}")));
    }
    for (at, AllowList { rule, words, .. }) in rules.allow.iter().enumerate() {
        for family in unknown_families(words, &rule.scope, book) {
            wrong.push(format!(
                "{file}: `allow[{at}].families` has `{family}`, and the price book knows no model of this family{}",
                at_providers(&rule.scope)
            ));
        }
        let problems = unknown_models(&rule.models, &rule.scope, book);
        wrong.extend(problems.into_iter().map(|problem| format!("{file}: `allow[{at}].models` {problem}")));
    }
    for (at, rule) in rules.step_down.iter().enumerate() {
        let names: Vec<String> = rule.models.iter().flat_map(|(from, to)| [from, to]).cloned().collect();
        let problems = unknown_models(&names, &rule.scope, book);
        wrong.extend(
            problems.into_iter().map(|problem| format!("{file}: `step_down[{at}].models` {problem}")),
        );
        let strangers =
            rule.models.iter().filter(|(from, to)| !share_a_provider(from, to, &rule.scope, book));
        wrong.extend(strangers.map(|(from, to)| {
            format!(
                "{file}: `step_down[{at}].models` puts `{to}` in the place of `{from}`, and no provider has both: a call \
                 stays at its provider"
            )
        }));
        for (from, to) in &rule.models {
            for problem in worse(from, to, &rule.scope, book, now_ms) {
                wrong.push(format!("{file}: `step_down[{at}].models` {problem}"));
            }
        }
    }
    let scopes = rules.allow.iter().enumerate().map(|(at, list)| (format!("allow[{at}]"), &list.rule.scope));
    let limits = rules.limits.iter().enumerate().map(|(at, one)| (format!("limits[{at}]"), &one.scope));
    let runs = rules.runs.iter().enumerate().map(|(at, one)| (format!("run_limits[{at}]"), &one.scope));
    let steps = rules.step_down.iter().enumerate().map(|(at, one)| (format!("step_down[{at}]"), &one.scope));
    for (place, scope) in scopes.chain(limits).chain(runs).chain(steps) {
        let problem = unknown_provider(scope, own, book);
        wrong.extend(problem.map(|problem| format!("{file}: `{place}.scope.provider` {problem}")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// What of a configuration in `file` has ended at this time, Unix milliseconds UTC.
///
/// # Errors
/// For each approval and each list that has.
pub fn check_ends(file: &str, rules: &RulesConfig, now_ms: u64) -> Result<(), Vec<String>> {
    let ended = |day: Option<Day>| day.filter(|day| day.is_over(now_ms));
    let agents = rules.agents.iter().enumerate().filter(|(_, agent)| agent.status == Status::Approved);
    let agents = agents.filter_map(|(at, agent)| {
        let (day, name) = (ended(agent.expires)?, &agent.name);
        Some(format!(
            "{file}: `agents[{at}].expires` is `{day}`, which is over: the approval of `{name}` has ended; approve it anew, or \
             give it `status = \"retired\"`"
        ))
    });
    let lists = rules.allow.iter().enumerate().filter_map(|(at, list)| {
        let (day, name) = (ended(list.expires)?, &list.rule.name);
        Some(format!(
            "{file}: `allow[{at}].expires` is `{day}`, which is over: the list `{name}` has ended; take it out, or give it a \
             later day"
        ))
    });
    let wrong: Vec<String> = agents.chain(lists).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// What is wrong with models of a list: each that the price book knows no model for, at the providers of the
/// list's scope.
pub fn unknown_models(patterns: &[String], scope: &Scope, book: &PriceBook) -> Vec<String> {
    let unknown = patterns.iter().filter(|pattern| !is_known(pattern.trim_start_matches('!'), scope, book));
    unknown
        .map(|pattern| {
            let name = pattern.trim_start_matches('!');
            let names = book.models().iter().flat_map(|model| model.names());
            let meant = match nearest(name.trim_end_matches('*'), names) {
                Some(meant) => format!("; did you mean `{meant}`?"),
                None => String::new(),
            };
            let at = at_providers(scope);
            format!(
                "has `{pattern}`, and the price book knows no such model{at}{meant}; one of your own gets a price in \
                 `[[prices.model]]`"
            )
        })
        .collect()
}

/// Whether a provider of a scope has both models, or one of them is known of none, which is told elsewhere.
fn share_a_provider(one: &str, other: &str, scope: &Scope, book: &PriceBook) -> bool {
    if !is_known(one, scope, book) || !is_known(other, scope, book) {
        return true;
    }
    let models = book.models().iter().map(|model| model.provider.as_str());
    let providers: BTreeSet<&str> =
        models.chain(book.maps().iter().map(|map| map.provider.as_str())).collect();
    providers.into_iter().any(|provider| {
        let only = Scope::from(BTreeMap::from([(Dimension::Provider, vec![provider.to_owned()])]));
        is_known(one, &only, book) && is_known(other, &only, book)
    })
}

/// Why the second model cannot take the place of the first at a provider that has the first by this very
/// name: it is not there, or costs more.
fn worse(from: &str, to: &str, scope: &Scope, book: &PriceBook, now_ms: u64) -> Vec<String> {
    let providers = scope.values(&Dimension::Provider);
    let is_of_scope =
        |provider: &str| providers.is_empty() || providers.iter().any(|one| matches(one, provider));
    let rates =
        |model: &PricedModel, kind| model.price_at(now_ms).and_then(|price| price.standard.rates.of(kind));
    let mut problems = Vec::new();
    for dear in book.models().iter().filter(|model| model.id == from && is_of_scope(&model.provider)) {
        let provider = &dear.provider;
        match book.find(provider, to, now_ms) {
            None => problems.push(format!(
                "puts `{to}` in the place of `{from}`, and `{provider}` has no `{to}`; name the providers that have \
                 both in `scope.provider`"
            )),
            Some(found) => {
                let is_dearer = |kind| rates(found.model, kind) > rates(dear, kind);
                if is_dearer(Kind::Input) && is_dearer(Kind::Output) {
                    problems.push(format!(
                        "puts `{to}` in the place of `{from}`, and it costs more at `{provider}`; the cheaper one \
                         stands second"
                    ));
                }
            }
        }
    }
    problems
}

fn at_providers(scope: &Scope) -> String {
    match scope.values(&Dimension::Provider) {
        [] => String::new(),
        providers => format!(" at {}", providers.join(", ")),
    }
}

fn is_known(pattern: &str, scope: &Scope, book: &PriceBook) -> bool {
    let providers = scope.values(&Dimension::Provider);
    let is_of_scope =
        |provider: &str| providers.is_empty() || providers.iter().any(|one| matches(one, provider));
    let models = || book.models().iter().filter(|model| is_of_scope(&model.provider));
    // Most lists name models as the book does: comparing texts is much less than asking what a pattern means.
    if models().any(|model| model.names().any(|name| name == pattern)) {
        return true;
    }
    let means = Scope::from(BTreeMap::from([(Dimension::Model, vec![pattern.to_owned()])]));
    let nobody = Attribution::default();
    let is_meant = |provider: &str, name: &str| {
        pattern == name
            || provider == "bedrock" && names::bedrock(pattern) == names::bedrock(name)
            || means.holds(&Subject {
                attribution: &nobody,
                provider,
                model: Some(name),
                row: None,
                others: &[],
                any_model: false,
                key_id: None,
                trusted: TrustedFields::default(),
            })
    };
    models().any(|model| is_meant(&model.provider, &model.id))
        || models().any(|model| model.names().any(|name| is_meant(&model.provider, name)))
        || book.maps().iter().any(|map| is_of_scope(&map.provider) && is_meant(&map.provider, &map.name))
}

#[cfg(test)]
mod tests {
    use tollgate_core::price::PricedModel;

    use super::*;
    use crate::store::{Defined, StoredAgent};
    use crate::work::policy::Budgets;
    use crate::work::prices::Prices;

    fn book() -> PriceBook {
        let model = |provider: &str, id: &str| PricedModel {
            provider: provider.into(),
            id: id.into(),
            ..PricedModel::default()
        };
        PriceBook::new("v".into(), vec![model("openai", "gpt-5"), model("anthropic", "claude-sonnet-4-5")])
    }

    #[test]
    fn models_that_no_row_is_for_are_named_with_the_nearest() {
        let said = |models: &[&str], providers: &[&str]| {
            let models: Vec<String> = models.iter().map(|one| (*one).to_owned()).collect();
            let mut scope = BTreeMap::new();
            if !providers.is_empty() {
                let providers = providers.iter().map(|one| (*one).to_owned()).collect();
                scope.insert(Dimension::Provider, providers);
            }
            unknown_models(&models, &Scope::from(scope), &book())
        };
        for known in ["gpt-5", "!gpt-5", "gpt-5*", "gpt*", "*", "claude-sonnet-4-5", "claude-*"] {
            assert_eq!(said(&[known], &[]), [""; 0], "{known}");
        }
        let wrong = said(&["gtp-5", "!mystery"], &[]);
        assert!(wrong[0].contains("has `gtp-5`") && wrong[0].contains("did you mean `gpt-5`?"), "{wrong:?}");
        assert!(wrong[1].contains("has `!mystery`") && !wrong[1].contains("did you mean"), "{wrong:?}");
        assert!(said(&["gpt-5"], &["anthropic"])[0].contains("at anthropic"));
        assert_eq!(said(&["gpt-5"], &["open*"]), [""; 0]);
    }

    #[test]
    fn what_has_ended_is_told() {
        let text = "[[agents]]\nname = 'a'\nexpires = '2026-01-31'\n[[agents]]\nname = 'b'\nstatus = 'retired'\n\
                    expires = '2026-01-31'\n[[allow]]\nname = 'l'\nmodels = ['*']\nexpires = '2026-02-28'\n";
        let rules = Config::parse("t.toml", text).unwrap().rules;
        let day = |text: &str| text.parse::<Day>().unwrap().end_ms();
        assert_eq!(check_ends("f", &rules, day("2026-01-31") - 1), Ok(()));
        let one = check_ends("f", &rules, day("2026-01-31")).unwrap_err();
        assert!(one.len() == 1 && one[0].contains("`agents[0].expires` is `2026-01-31`"), "{one:?}");
        assert_eq!(check_ends("f", &rules, day("2026-03-01")).unwrap_err().len(), 2);
    }

    #[test]
    fn a_policy_has_the_rules_and_another_version_when_an_agent_changes() {
        let text = "[[agents]]\nname = 'filed'\nteam = 'support'\nmodels = ['gpt-5']\nexpires = '2027-01-31'\n\
                    [[unknown_agents]]\nenvironment = '*'\naction = 'deny'\n[registry]\nteams = ['support']\n";
        let config = Config::parse("t.toml", text).unwrap();
        let budgets = Budgets::default();
        let stored = |name: &str, status| StoredAgent {
            agent: Agent { name: name.into(), team: "other".into(), status, ..Agent::default() },
            source: "api".into(),
            created_ms: 0,
        };
        let agents = vec![stored("proposed", Status::Proposed), stored("filed", Status::Retired)];
        budgets.configure(Defined { budgets: Vec::new(), agents: agents.clone() }, &config);
        let prices = Prices::new(book(), tollgate_core::price::Unpriced::Allow).held();
        let policy = || budgets.policy(&prices, 0);
        let before = policy();
        let names: Vec<&String> = before.rules.agents.iter().map(|agent| &agent.name).collect();
        assert_eq!(names, ["filed"], "proposals are left out");
        let filed = before.rules.agent("filed").unwrap();
        assert_eq!((filed.team.as_str(), filed.status), ("support", Status::Approved), "the file wins");
        assert_eq!(filed.until_ms, Some("2027-01-31".parse::<Day>().unwrap().end_ms()));
        assert_eq!(
            (before.rules.allow[0].name.as_str(), before.rules.allow[0].models.len()),
            ("agent:filed", 1)
        );
        assert!(before.registered.contains("filed") && !before.registered.contains("proposed"));
        let approved = agents.into_iter().chain([stored("proposed", Status::Approved)]).collect();
        budgets.replace_agents(approved);
        let after = policy();
        assert_ne!(before.version, after.version);
        assert!(after.rules.agent("proposed").is_some() && after.registered.contains("proposed"));
        assert_eq!(after.version, policy().version);
    }
}
