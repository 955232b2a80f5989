//! `[[budgets]]` and `[registry]`.

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate_core::budget::{Budget, define};

use super::document::{Document, Lines, Section};
use super::mistake::ConfigError;
use crate::model::agent::Agent;
use crate::model::calendar::zone;

/// `[[budgets]]` and `[registry]`: who may spend how much.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BudgetsConfig {
    /// `[[budgets]]`.
    pub budgets: Vec<Budget>,
    /// `[registry]`: names that have counters of their own where a budget has one for `each`, although only
    /// the caller says them. Empty: any name has, up to a bound.
    pub registered: BTreeSet<String>,
    /// `agents` of `[registry]` alone: all others are unknown, where there are any.
    pub agents: BTreeSet<String>,
    /// `providers` of `[registry]`: providers of the operator's own, which only routes' metadata names.
    pub providers: BTreeSet<String>,
}

impl BudgetsConfig {
    /// Adds agents of `[[agents]]` to those of `[registry]`: they are known; where that has any names, they
    /// have counters of their own.
    pub(super) fn register<'a>(&mut self, agents: impl Iterator<Item = &'a Agent>) {
        let has_names = !self.registered.is_empty();
        for agent in agents {
            self.agents.insert(agent.name.clone());
            if has_names {
                self.registered.insert(agent.name.clone());
            }
        }
    }
}

/// Reads both.
pub(super) fn read<'t>(document: &mut Document<'t>, root: &mut Section<'t>) -> BudgetsConfig {
    let (lines, tables): (Vec<Lines>, Vec<Value>) = document.json_tables(root, "budgets").into_iter().unzip();
    for (index, table) in tables.iter().enumerate() {
        let name = table.get("time_zone").and_then(Value::as_str).unwrap_or("UTC");
        if zone(name).is_none() {
            document.report(ConfigError {
                line: lines.get(index).map(|lines| lines.of("time_zone")),
                message: format!(
                    "`budgets[{index}].time_zone` is `{name}`, not a time zone such as `Europe/Zurich`, `UTC` or `+05:30`"
                ),
            });
        }
    }
    let tables = Value::Array(tables);
    if document.is_asked() {
        document.ask(define::asked(&tables));
    }
    let budgets = define::read(&tables).unwrap_or_else(|errors| {
        for error in errors {
            let line = place(&error.key).and_then(|(index, key)| Some(lines.get(index)?.of(key)));
            document.report(ConfigError { line, message: format!("`{}` {}", error.key, error.problem) });
        }
        Vec::new()
    });
    let mut registry = document.section(root, "registry");
    let agents: BTreeSet<String> = document.names(&mut registry, "agents").into_iter().collect();
    let mut registered = agents.clone();
    for key in ["teams", "features", "environments"] {
        registered.extend(document.names(&mut registry, key));
    }
    let providers = document.names(&mut registry, "providers").into_iter().collect();
    document.finish(registry);
    BudgetsConfig { budgets, registered, agents, providers }
}

/// The place and the key in `budgets[3].limit_usd`.
fn place(key: &str) -> Option<(usize, &str)> {
    let (index, key) = key.strip_prefix("budgets[")?.split_once(']')?;
    Some((index.parse().ok()?, key.strip_prefix('.').unwrap_or(key)))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn budgets_and_names_are_read() {
        let config = Config::parse(
            "t.toml",
            "[[budgets]]
             name = 'support'
             scope = { team = 'support', tags = { customer = ['acme', 'b*'] } }
             limit_usd = '250.00'
             window = 'month'
             time_zone = 'Europe/Zurich'
             [[budgets]]
             name = 'calls'
             limit_calls = 1_000
             window = 'hour'
             [registry]
             agents = ['triage', 'answers']",
        )
        .unwrap();
        let names: Vec<&str> = config.budgets.budgets.iter().map(|budget| budget.name.as_str()).collect();
        assert_eq!(names, ["support", "calls"]);
        assert!(config.budgets.registered.contains("triage"));
    }

    #[test]
    fn mistakes_are_named_with_line_key_and_what_would_be_right() {
        let text = "[[budgets]]\nname = 'a'\nlimit_usd = '-1'\nwindow = 'day'\ntime_zone = 'UTC'\n\
                    [[budgets]]\nname = 'b'\nlimit_usd = '1'\nwindow = 'day'\nlimt = 3\n[registry]\nagents = 'x'\n";
        let said = Config::parse("t.toml", text).unwrap_err().to_string();
        for expected in [
            "t.toml:3: `budgets[0].limit_usd` `\"-1\"` is below zero; a limit is 0 or more",
            "t.toml:10: `budgets[1].limt` is not a key here",
            "t.toml:12: `registry.agents` is `x`, not a list of names such as `[\"triage\"]`",
        ] {
            assert!(said.lines().any(|line| line.starts_with(expected)), "{expected} in {said}");
        }
        let text = "listen = '127.0.0.1:1'\n\n[[budgets]]\nlimit_usd = '1'\nwindow = 'day'\n[budgets.scope]\nteem = 'x'\n\
                    [[budgets]]\nname = \"a\\nb\\u001b[2J\"\nlimit_usd = '1'\nwindow = 'dya'\nthresholds = [\n80, 'x']\n";
        let said = Config::parse("t.toml", text).unwrap_err().to_string();
        for expected in [
            "t.toml:3: ",
            "t.toml:6: `budgets[0].scope",
            "t.toml:9: `budgets[1].name",
            "t.toml:11: `budgets[1].window",
            "t.toml:12: `budgets[1].thresholds",
        ] {
            assert!(said.lines().any(|line| line.starts_with(expected)), "{expected} in {said}");
        }
        assert!(said.lines().all(|line| line.starts_with("t.toml:")), "{said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
        let text = "[[budgets]]\nname = 'a'\nlimit_usd = -inf\nwindow = 'day'\nthresholds = [nan]\n";
        let said = Config::parse("t.toml", text).unwrap_err().to_string();
        assert!(said.contains("`budgets[0].limit_usd` `\"-inf\"` is not an amount such as"), "{said}");
        assert!(said.contains("`budgets[0].thresholds` `[\"nan\"]` is not a list of percents"), "{said}");
        let text = "[[budgets]]\nname = 'a'\nlimit_usd = '1'\nwindow = 'day'\ntime_zone = 'Mars/Olympus'\n";
        let said = Config::parse("t.toml", text).unwrap_err().to_string();
        assert!(said.starts_with("t.toml:5: `budgets[0].time_zone` is `Mars/Olympus`"), "{said}");
    }
}
