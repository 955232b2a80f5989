use tollgate_core::budget::rules::{Status, UnknownAction};

use crate::config::Config;

#[test]
fn rules_are_read() {
    let text = "
        [[budgets]]
        name = 'strangers'
        limit_usd = '5'
        window = 'day'
        [[agents]]
        name = 'triage'
        team = 'support'
        owner = 'dana'
        function = 'customer care'
        environments = ['production', 'staging*']
        models = ['gpt-5*', '!gpt-5-pro']
        approved_by = 'lee'
        review = '2027-01-31'
        expires = '2027-06-30'
        notes = 'reads tickets'
        [[agents]]
        name = 'old'
        status = 'retired'
        [[keys]]
        id = '5bdcc146bf60754e'
        agent = 'triage'
        [identity]
        contradictions = 'reject'
        [[unknown_agents]]
        environment = 'production'
        action = 'quarantine'
        budget = 'strangers'
        [[unknown_agents]]
        environment = '*'
        action = 'flag'
        [[require]]
        environment = 'prod*'
        fields = ['agent', 'run']
        shadow = true
        [[allow]]
        name = 'support'
        scope = { team = 'support', tags = { tier = 'gold' } }
        models = ['gpt-5']
        deferred = 'allow'
        expires = '2027-06-30'
        [[limits]]
        name = 'small'
        max_call_usd = '0.50'
        max_input_tokens = 100_000
        [registry]
        teams = ['support']";
    let config = Config::parse("t.toml", text).unwrap();
    let rules = &config.rules;
    assert_eq!(rules.agents.len(), 2);
    assert_eq!((rules.keys[0].agent.as_str(), rules.rejects_contradictions), ("triage", true));
    let triage = rules.agent("triage").unwrap();
    assert_eq!(
        (triage.team.as_str(), triage.owner.as_str(), triage.status),
        ("support", "dana", Status::Approved)
    );
    assert_eq!(triage.expires.unwrap().to_string(), "2027-06-30");
    assert_eq!(rules.agent("old").unwrap().status, Status::Retired);
    let actions: Vec<UnknownAction> = rules.unknown.iter().map(|one| one.rule.action).collect();
    assert_eq!(actions, [UnknownAction::Quarantine, UnknownAction::Flag]);
    assert!(rules.quarantine().contains("strangers"));
    assert!(rules.require[0].shadow && rules.require[0].fields.len() == 2);
    let list = &rules.allow[0].rule;
    assert!(list.deferred && !list.untold && list.until_ms == Some(triage.expires.unwrap().end_ms()));
    assert_eq!(rules.limits[0].max_cost.unwrap().0, 500_000_000_000);
    // Agents of the file are known; one that is retired is not.
    assert!(config.budgets.agents.contains("triage") && !config.budgets.agents.contains("old"));
    assert!(config.budgets.registered.contains("triage"));
    let alone = Config::parse("t.toml", "[[agents]]\nname = 'a'\n").unwrap();
    assert!(alone.budgets.registered.is_empty(), "without names of a registry any name has its counter");
}

#[test]
fn mistakes_name_the_key_and_what_would_be_right() {
    let agent = "[[agents]]\nname = 'a'\nteam = 't'\nenvironments = ['prod*']\n";
    let retired = "[[agents]]\nname = 'a'\nstatus = 'retired'\n";
    for (text, expected) in [
        ("[[agents]]\nteam = 'x'\n", "t.toml:1: `agents[0].name` is missing"),
        (
            "[[agents]]\nname = 'a'\nstatus = 'aproved'\n",
            "t.toml:3: `agents[0].status` is `aproved`, not one of `approved`, `proposed`, `retired`; did you mean `approved`?",
        ),
        (
            "[[agents]]\nname = 'a'\nowners = 'x'\n",
            "t.toml:3: `agents[0].owners` is not a key; did you mean `owner`?",
        ),
        ("[[agents]]\nname = 'a b'\n", "t.toml:2: `agents[0].name` `a b` cannot be the name of an agent"),
        ("[[agents]]\nname = 'unattributed'\n", "cannot be the name of an agent"),
        (
            "[[agents]]\nname = 'a'\nenvironments = ['p*d']\n",
            "t.toml:3: `agents[0].environments` `p*d` cannot be an environment",
        ),
        ("[[agents]]\nname = 'a'\nmodels = ['!']\n", "t.toml:3: `agents[0].models` `!` cannot be a model"),
        (
            "[[agents]]\nname = 'a'\nexpires = 2027-01-01\n",
            "t.toml:3: `agents[0].expires` is `2027-01-01`, not a day in quotes such as",
        ),
        ("[[agents]]\nname = 'a'\nreview = '2027-02-30'\n", "`agents[0].review` is `2027-02-30`, not a day"),
        (
            "[[agents]]\nname = 'a'\nteam = 'x'\n[[agents]]\nname = 'a'\nteam = 'y'\n",
            "t.toml:4: `agents[1].name` is `a`, which `agents[0]` has; names are unique; it has one team, and here stand `x` and `y`",
        ),
        ("[[unknown_agents]]\naction = 'deny'\n", "`unknown_agents[0].environment` is missing"),
        (
            "[[unknown_agents]]\nenvironment = '*'\n",
            "`unknown_agents[0].action` is missing or wrong; give one of `allow`, `flag`",
        ),
        (
            "[[unknown_agents]]\nenvironment = '*'\naction = 'denny'\n",
            "is `denny`, not one of `allow`, `flag`, `quarantine`, `deny`; did you mean `deny`?",
        ),
        (
            "[[unknown_agents]]\nenvironment = '*'\naction = 'quarantine'\n",
            "without a budget; name one of `[[budgets]]`",
        ),
        (
            "[[unknown_agents]]\nenvironment = '*'\naction = 'quarantine'\nbudget = 'x'\n",
            "t.toml:4: `unknown_agents[0].budget` is `x`, not one of `[[budgets]]`",
        ),
        (
            "[[unknown_agents]]\nenvironment = '*'\naction = 'deny'\nbudget = 'x'\n",
            "is read only with `action = \"quarantine\"`",
        ),
        (
            "[[unknown_agents]]\nenvironment = 'prod*'\naction = 'deny'\n[[unknown_agents]]\nenvironment = 'prod-eu'\naction = 'flag'\n",
            "t.toml:4: `unknown_agents[1].environment` is `prod-eu`, and never matches: `unknown_agents[0]` is for `prod*`",
        ),
        (
            "[[require]]\nenvironment = '*'\n",
            "`require[0].fields` asks for nothing; give one or more of `agent`",
        ),
        (
            "[[require]]\nenvironment = '*'\nfields = ['agnt']\n",
            "t.toml:3: `require[0].fields` has `agnt`, not one of `agent`, `team`, `feature`, `environment`, `run`; did you mean `agent`?",
        ),
        (
            "[[require]]\nenvironment = '*'\nfields = ['agent']\n[[require]]\nenvironment = 'x'\nfields = ['team']\n",
            "`require[1].environment` is `x`, and never matches",
        ),
        ("[[allow]]\nname = 'l'\n", "`allow[0].models` names no model"),
        ("[[allow]]\nname = 'agent:x'\nmodels = ['*']\n", "`allow[0].name` is `agent:x`, not a name"),
        (
            "[[allow]]\nname = 'l'\nmodels = ['*']\nuntold = 'yes'\n",
            "`allow[0].untold` is `yes`, not one of `deny`, `allow`",
        ),
        (
            "[[allow]]\nname = 'l'\nmodels = ['*']\nscope = { teem = 'x' }\n",
            "t.toml:4: `allow[0].scope.teem` is not one of agent, team",
        ),
        (
            "[[allow]]\nname = 'l'\nmodels = ['*']\n[[allow]]\nname = 'l'\nmodels = ['*']\n",
            "`allow[1].name` is `l`, which `allow[0]` has",
        ),
        (
            &format!("{retired}[[allow]]\nname = 'l'\nmodels = ['*']\nscope = {{ agent = 'a' }}\n"),
            "`allow[0].scope` never matches: the agent `a` is retired",
        ),
        (
            &format!(
                "{agent}[[allow]]\nname = 'l'\nmodels = ['*']\nscope = {{ agent = 'a', environment = 'staging' }}\n"
            ),
            "`allow[0].scope` never matches: the agent `a` calls from prod* only",
        ),
        (
            &format!(
                "{agent}[[limits]]\nname = 'l'\nmax_call_usd = 1\nscope = {{ agent = 'a', team = 'u' }}\n"
            ),
            "`limits[0].scope` never matches: the agent `a` is of the team `t`",
        ),
        ("[[limits]]\nname = 'l'\n", "`limits[0]` limits nothing; give `max_call_usd` or `max_input_tokens`"),
        (
            "[[limits]]\nname = 'l'\nmax_call_usd = '-1'\n",
            "t.toml:3: `limits[0].max_call_usd` is `-1`, not dollars above 0",
        ),
        (
            "[[limits]]\nname = 'l'\nmax_input_tokens = 0\n",
            "`limits[0].max_input_tokens` is `0`, not a whole number above 0",
        ),
        (
            "[[step_down]]\nname = 's'\nat = '80'\nmodels = { a = 'b' }\n",
            "t.toml:3: `step_down[0].at` is `80`, not a percent from 1% to 1000%, such as `80%`",
        ),
        ("[[step_down]]\nname = 's'\nat = '80%'\n", "`step_down[0].models` names no model"),
        (
            "[[step_down]]\nname = 's'\nat = '80%'\nmodels = { a = 'b', b = 'c', c = 'a' }\n",
            "`step_down[0].models` goes in a circle: a -> b -> c -> a",
        ),
        (
            "[[step_down]]\nname = 's'\nat = '80%'\nbudget = 'x'\nmodels = { a = 'b' }\n",
            "`step_down[0].budget` is `x`, not one of `[[budgets]]`",
        ),
        (
            "[[limits]]\nname = 'l'\nmax_input_tokens = 5\nclamp = true\n",
            "`limits[0].clamp` is read only with `max_call_usd`",
        ),
        (
            "[[run_limits]]\nname = 'l'\n",
            "`run_limits[0]` limits nothing; give one or more of `max_run_usd`, `max_run_calls`, `max_depth`, `max_repeats`",
        ),
        (
            "[[run_limits]]\nname = 'l'\nmax_depth = 0\n",
            "`run_limits[0].max_depth` is `0`, not a whole number above 0",
        ),
        (
            "[[run_limits]]\nname = 'l'\nmax_depth = 2\n[[run_limits]]\nname = 'l'\nmax_depth = 3\n",
            "`run_limits[1].name` is `l`, which `run_limits[0]` has; names are unique",
        ),
        (
            &format!(
                "{agent}[[run_limits]]\nname = 'l'\nmax_run_usd = 1\nscope = {{ agent = 'a', team = 'u' }}\n"
            ),
            "`run_limits[0].scope` never matches: the agent `a` is of the team `t`",
        ),
    ] {
        let said = Config::parse("t.toml", text).unwrap_err().to_string();
        assert!(said.contains(expected), "{text}\nno `{expected}` in\n{said}");
        assert!(said.lines().all(|line| line.starts_with("t.toml:")), "{said}");
    }
    for good in [
        format!("{agent}[[allow]]\nname = 'l'\nmodels = ['*']\nscope = {{ agent = ['a', 'b'], environment = 'staging' }}\n"),
        format!("{agent}[[allow]]\nname = 'l'\nmodels = ['*']\nscope = {{ agent = 'a', environment = 'production' }}\n"),
        "[[require]]\nenvironment = 'prod'\nfields = ['agent']\n[[require]]\nenvironment = 'prod*'\nfields = ['team']\n".to_owned(),
    ] {
        Config::parse("t.toml", &good).unwrap();
    }
}

#[test]
fn keys_that_cannot_be_meant_are_told() {
    let text = "
        [[keys]]
        id = 'sk-live-1234567890'
        agent = 'a'
        [[keys]]
        id = '5bdcc146bf60754e'
        [[keys]]
        id = '00dcc146bf60754e'
        team = 'two words'
        [[keys]]
        id = '11dcc146bf60754e'
        team = 'x'
        [[keys]]
        id = '11dcc146bf60754e'
        team = 'y'
        [identity]
        contradictions = 'ask'
        ";
    let told = Config::parse("t.toml", text).unwrap_err();
    let told = told.to_string();
    for expected in [
        "`keys[0].id` is not 16 lower-case hexadecimal digits",
        "`keys[1]` says nothing of its calls",
        "`keys[2].team` is `two words`, not a name",
        "`keys[4].id` is `11dcc146bf60754e`, as `keys[3].id` is already",
        "`identity.contradictions` is `ask`",
    ] {
        assert!(told.contains(expected), "no `{expected}` in {told}");
    }
    assert!(!told.contains("sk-live"), "a key is not repeated: {told}");
}

#[test]
fn lists_may_mean_models_by_words_and_limits_may_let_unpriced_calls_pass() {
    let text = "
        [identity]
        contradictions = 'accept'
        [[allow]]
        name = 'small'
        families = ['gpt-5', 'claude-haiku']
        not_frontier = true
        [[allow]]
        name = 'cheap'
        models = ['gpt-5*']
        max_output_usd_per_million = '2.50'
        [[limits]]
        name = 'open'
        max_call_usd = '1'
        unpriced = 'allow'
        ";
    let rules = Config::parse("t.toml", text).unwrap().rules;
    assert!(rules.accepts_contradictions && !rules.rejects_contradictions);
    assert_eq!(rules.allow[0].words.said(), ["family gpt-5", "family claude-haiku", "not frontier"]);
    assert_eq!(rules.allow[1].words.said(), ["output at most $2.50 a million"]);
    assert!(rules.limits[0].unpriced);
    for (text, expected) in [
        ("[[allow]]\nname = 'l'\nfamilies = []\n", "`allow[0].models` names no model"),
        ("[[allow]]\nname = 'l'\nfamilies = ['gpt-*']\n", "`allow[0].families` `gpt-*` cannot be a family"),
        ("[[allow]]\nname = 'l'\nmodels = []\nnot_frontier = true\n", "`allow[0].models` names no model"),
        (
            "[[limits]]\nname = 'l'\nmax_input_tokens = 5\nunpriced = 'allow'\n",
            "`limits[0].unpriced` is read only with `max_call_usd`",
        ),
    ] {
        let told = Config::parse("t.toml", text).unwrap_err().to_string();
        assert!(told.contains(expected), "no `{expected}` in {told}");
    }
}
