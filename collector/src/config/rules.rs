//! `[[agents]]`, `[[keys]]`, `[identity]`, `[[unknown_agents]]`, `[[require]]`, `[[allow]]`, `[[limits]]`,
//! `[[run_limits]]` and `[[step_down]]`: who may call what.

mod contradictions;
mod runs;
mod step_down;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_core::attribution::{Field, is_name};
use tollgate_core::budget::rules::{
    Allow, CallLimit, FieldName, Key, Require, RunLimit, StepDown, Unknown, UnknownAction,
};
use tollgate_core::budget::scope::Scope;
use tollgate_core::budget::{Amount, Budget, define};
use tollgate_core::keys::{Asked, general};

use super::document::{Document, Section};
use super::mistake::ConfigError;
use crate::model::agent::{Agent, Day, STATUSES, not_environment, not_model};
use crate::model::nearest::{listed, or_rather};
pub use words::{FRONTIER_OUTPUT, ModelWords};

/// Who may call what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RulesConfig {
    /// `[[agents]]`.
    pub agents: Vec<Agent>,
    /// `[[keys]]`: whose calls have a provider's key.
    pub keys: Vec<Key>,
    /// `[identity] contradictions = "reject"`: calls are refused whose headers say otherwise than a trusted
    /// source.
    pub rejects_contradictions: bool,
    /// `[identity] contradictions = "accept"`: what headers say holds.
    pub accepts_contradictions: bool,
    /// `[[unknown_agents]]`, in the order of the file.
    pub unknown: Vec<UnknownAgents>,
    /// `[[require]]`, in the order of the file.
    pub require: Vec<Require>,
    /// `[[allow]]`.
    pub allow: Vec<AllowList>,
    /// `[[limits]]`.
    pub limits: Vec<CallLimit>,
    /// `[[run_limits]]`.
    pub runs: Vec<RunLimit>,
    /// `[[step_down]]`.
    pub step_down: Vec<StepDown>,
}

/// What becomes of calls of agents that are not registered.
#[derive(Clone, Debug, PartialEq)]
pub struct UnknownAgents {
    /// As gateways know it.
    pub rule: Unknown,
    /// The budget that such calls count on, where they are in quarantine.
    pub budget: Option<String>,
}

/// A list of models.
#[derive(Clone, Debug, PartialEq)]
pub struct AllowList {
    /// As gateways know it.
    pub rule: Allow,
    /// Models that it means by words.
    pub words: ModelWords,
    /// Who approved it; empty where nobody says.
    pub approved_by: String,
    /// Why it is there.
    pub reason: String,
    /// Its last day, UTC.
    pub expires: Option<Day>,
}

impl RulesConfig {
    /// Budgets of `[[budgets]]` that are for calls of unknown agents alone.
    pub fn quarantine(&self) -> BTreeSet<String> {
        self.unknown.iter().filter_map(|one| one.budget.clone()).collect()
    }

    /// The agent of this name, where the file has it.
    pub fn agent(&self, name: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.name == name)
    }
}

/// A rule that was read, with what its mistakes are told by.
struct Told<T> {
    rule: T,
    /// Its name in messages, such as `allow[0]`.
    place: String,
    line: usize,
}

/// Reads all of them.
pub(super) fn read<'t>(
    document: &mut Document<'t>,
    root: &mut Section<'t>,
    budgets: &[Budget],
) -> RulesConfig {
    let agents = each(document, root, "agents", agent);
    let keys = each(document, root, "keys", key);
    report_twice(document, &keys);
    let mut identity = document.section(root, "identity");
    let (rejects_contradictions, accepts_contradictions) =
        document.word(&mut identity, "contradictions", CONTRADICTIONS).unwrap_or_default();
    document.finish(identity);
    let unknown =
        each(document, root, "unknown_agents", |document, table| unknown_agents(document, table, budgets));
    let require = each(document, root, "require", require);
    let allow = each(document, root, "allow", allow);
    let limits = each(document, root, "limits", limit);
    let runs = each(document, root, "run_limits", runs::read);
    let step_down =
        each(document, root, "step_down", |document, table| step_down::read(document, table, budgets));
    contradictions::report(document, &agents, (&unknown, &require), (&allow, &limits), (&runs, &step_down));
    RulesConfig {
        agents: agents.into_iter().map(|told| told.rule).collect(),
        keys: keys.into_iter().map(|told| told.rule).collect(),
        rejects_contradictions,
        accepts_contradictions,
        unknown: unknown.into_iter().map(|told| told.rule).collect(),
        require: require.into_iter().map(|told| told.rule).collect(),
        allow: allow.into_iter().map(|told| told.rule).collect(),
        limits: limits.into_iter().map(|told| told.rule).collect(),
        runs: runs.into_iter().map(|told| told.rule).collect(),
        step_down: step_down.into_iter().map(|told| told.rule).collect(),
    }
}

fn each<'t, T>(
    document: &mut Document<'t>,
    root: &mut Section<'t>,
    key: &'static str,
    mut read: impl FnMut(&mut Document<'t>, &mut Section<'t>) -> Option<T>,
) -> Vec<Told<T>> {
    let mut all = Vec::new();
    for mut table in document.tables(root, key) {
        let (place, line) = (table.name().to_owned(), table.line());
        if let Some(rule) = read(document, &mut table) {
            all.push(Told { rule, place, line });
        }
        document.finish(table);
    }
    all
}

fn agent<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<Agent> {
    let keys = ["name", "team", "owner", "function", "environments", "models", "approved_by", "notes"];
    let lines = keys.map(|key| (key, table.line_of(key)));
    let name = document.needed(table, "name", "the agent's name, as its calls say it");
    let mut text = |document: &mut Document<'t>, key: &'static str, right: &str| {
        document.text(table, key, right).unwrap_or_default()
    };
    let mut agent = Agent {
        name: name.unwrap_or_default(),
        team: text(document, "team", "the name of a team"),
        owner: text(document, "owner", "who answers for it"),
        function: text(document, "function", "the business function that it serves"),
        approved_by: text(document, "approved_by", "who approved it"),
        notes: text(document, "notes", "a text"),
        ..Agent::default()
    };
    let right = "a list of environments such as `[\"production\", \"staging*\"]`";
    agent.environments = document.list(table, "environments", right).unwrap_or_default();
    agent.models = document.list(table, "models", MODELS).unwrap_or_default();
    agent.status = document.word(table, "status", STATUSES).unwrap_or_default();
    agent.review = document.parsed(table, "review", DAY);
    agent.expires = document.parsed(table, "expires", DAY);
    if agent.name.is_empty() {
        return None;
    }
    let mistakes = agent.mistakes();
    for (key, problem) in &mistakes {
        let line = lines.iter().find(|(known, _)| known == key).and_then(|(_, line)| *line);
        let message = format!("`{}.{key}` {problem}", table.name());
        document.report(ConfigError { line: line.or(Some(table.line())), message });
    }
    mistakes.is_empty().then_some(agent)
}

fn key<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<Key> {
    let line = table.line_of("id");
    let id = document.needed(table, "id", "the key's hash, as `tollgate keys hash` prints it");
    let mut name = |key: &'static str| {
        let line = table.line_of(key);
        let name = document.text(table, key, "a name").unwrap_or_default();
        if !name.is_empty() && !is_name(&name) {
            let message =
                format!("`{}.{key}` is `{name}`, not a name: names are 1 to 64 of {NAME}", table.name());
            document.report(ConfigError { line, message });
        }
        name
    };
    let (agent, team) = (name("agent"), name("team"));
    let (feature, environment) = (name("feature"), name("environment"));
    let id = id?;
    if id.len() != ID_DIGITS || !id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        let message = format!(
            "`{}.id` is not {ID_DIGITS} lower-case hexadecimal digits; `tollgate keys hash` makes them of a key, which \
             itself does not belong here",
            table.name()
        );
        document.report(ConfigError { line, message });
        return None;
    }
    if [&agent, &team, &feature, &environment].iter().all(|name| name.is_empty()) {
        let text = format!(
            "`{}` says nothing of its calls; give `agent`, `team`, `feature` or `environment`",
            table.name()
        );
        document.at(table, &text);
        return None;
    }
    Some(Key { id, agent, team, feature, environment })
}

/// Says which keys stand in the file twice: nobody could tell whose calls they make.
fn report_twice(document: &mut Document<'_>, keys: &[Told<Key>]) {
    for (at, told) in keys.iter().enumerate() {
        if let Some(first) = keys.iter().take(at).find(|first| first.rule.id == told.rule.id) {
            let message =
                format!("`{}.id` is `{}`, as `{}.id` is already", told.place, told.rule.id, first.place);
            document.report(ConfigError { line: Some(told.line), message });
        }
    }
}

fn unknown_agents<'t>(
    document: &mut Document<'t>,
    table: &mut Section<'t>,
    budgets: &[Budget],
) -> Option<UnknownAgents> {
    let environment = environment(document, table);
    let action = document.word(table, "action", ACTIONS);
    if action.is_none() && !document.is_asked() {
        document.at(
            table,
            &format!("`{}.action` is missing or wrong; give one of {}", table.name(), listed(names(ACTIONS))),
        );
    }
    document.must(table, "action");
    let line = table.line_of("budget");
    let budget = document.text(table, "budget", "the name of one of `[[budgets]]`");
    let place = table.name().to_owned();
    let known = || budgets.iter().map(|budget| budget.name.as_str());
    let wrong = match (&budget, action) {
        (None, Some(UnknownAction::Quarantine)) => Some(format!(
            "`{place}` puts calls in quarantine without a budget; name one of `[[budgets]]` in `budget`, which is then for \
             these calls alone"
        )),
        (Some(budget), Some(UnknownAction::Quarantine)) if !known().any(|known| known == budget) => {
            Some(format!(
                "`{place}.budget` is `{budget}`, not one of `[[budgets]]`: {}",
                or_rather(budget, known().collect::<Vec<_>>())
            ))
        }
        (Some(_), Some(UnknownAction::Allow | UnknownAction::Flag | UnknownAction::Deny)) => {
            Some(format!("`{place}.budget` is read only with `action = \"quarantine\"`; leave it out"))
        }
        _ => None,
    };
    if let Some(message) = wrong {
        document.report(ConfigError { line: line.or(Some(table.line())), message });
        return None;
    }
    let rule =
        Unknown { environment: environment?, action: action?, budget: budget.clone().unwrap_or_default() };
    Some(UnknownAgents { rule, budget })
}

fn require<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<Require> {
    let environment = environment(document, table);
    let has_fields = table.has("fields");
    let fields = document.word_list(table, "fields", FIELDS);
    document.must(table, "fields");
    if fields.as_ref().is_some_and(Vec::is_empty) || !has_fields && !document.is_asked() {
        document.at(
            table,
            &format!(
                "`{}.fields` asks for nothing; give one or more of {}",
                table.name(),
                listed(names(FIELDS))
            ),
        );
        return None;
    }
    let shadow = document.flag(table, "shadow").unwrap_or_default();
    Some(Require { environment: environment?, fields: fields?.into_iter().map(FieldName).collect(), shadow })
}

fn allow<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<AllowList> {
    let name = name(document, table);
    let scope = scope(document, table);
    let (line, has_models) = (table.line_of("models"), table.has("models"));
    let models = document.list(table, "models", MODELS);
    let place = table.name().to_owned();
    let words = words::read(document, table);
    if models.as_ref().is_some_and(Vec::is_empty) || !has_models && words.is_empty() && !document.is_asked() {
        document.at(
            table,
            &format!(
                "`{place}.models` names no model; give {MODELS}, `families`, `not_frontier` or \
                 `max_output_usd_per_million`; `[\"*\"]` is any"
            ),
        );
    }
    for problem in models.iter().flatten().filter_map(|model| not_model(model)) {
        document.report(ConfigError { line, message: format!("`{place}.models` {problem}") });
    }
    let deferred = document.word(table, "deferred", MAY).unwrap_or_default();
    let untold = document.word(table, "untold", MAY).unwrap_or_default();
    let approved_by = document.text(table, "approved_by", "who approved it").unwrap_or_default();
    let reason = document.text(table, "reason", "a text").unwrap_or_default();
    let expires: Option<Day> = document.parsed(table, "expires", DAY);
    let shadow = document.flag(table, "shadow").unwrap_or_default();
    if has_models && models.as_ref().is_none_or(Vec::is_empty) || !has_models && words.is_empty() {
        return None;
    }
    let models = models.unwrap_or_default();
    let until_ms = expires.map(Day::end_ms);
    let rule = Allow { name: name?, scope: scope?, models, deferred, untold, until_ms, shadow };
    Some(AllowList { rule, words, approved_by, reason, expires })
}

fn limit<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<CallLimit> {
    let name = name(document, table);
    let scope = scope(document, table);
    let limits_something = table.has("max_call_usd") || table.has("max_input_tokens");
    let max_cost = document.dollars(table, "max_call_usd").map(|dollars| Amount(dollars.as_pico()));
    let max_input_tokens = document.count(table, "max_input_tokens");
    let clamp = document.flag(table, "clamp").unwrap_or_default();
    let line = table.line_of("unpriced");
    let unpriced = document.word(table, "unpriced", MAY);
    if unpriced.is_some() && max_cost.is_none() && !document.is_asked() {
        let message = format!("`{}.unpriced` is read only with `max_call_usd`; leave it out", table.name());
        document.report(ConfigError { line, message });
    }
    let unpriced = unpriced.unwrap_or_default();
    let shadow = document.flag(table, "shadow").unwrap_or_default();
    if clamp && max_cost.is_none() && !document.is_asked() {
        let text = format!("`{}.clamp` is read only with `max_call_usd`; leave it out", table.name());
        document.at(table, &text);
    }
    if !limits_something && !document.is_asked() {
        let text = format!("`{}` limits nothing; give `max_call_usd` or `max_input_tokens`", table.name());
        document.at(table, &text);
        return None;
    }
    Some(CallLimit { name: name?, scope: scope?, max_cost, unpriced, max_input_tokens, clamp, shadow })
}

fn name<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<String> {
    let line = table.line_of("name");
    let name = document.needed(table, "name", "a name, such as `support-models`")?;
    let problem = match RESERVED.contains(&name.as_str()) {
        true => format!("and {} stand for other rules in records: give it another name", listed(RESERVED)),
        false if is_name(&name) => return Some(name),
        false => format!("not a name: names are 1 to 64 of {NAME}"),
    };
    let message = format!("`{}.name` is `{name}`, {problem}", table.name());
    document.report(ConfigError { line, message });
    None
}

/// What records call rules that have no name of their own.
const RESERVED: [&str; 4] = ["unknown_agents", "require", "identity", "team"];

fn environment<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<String> {
    let line = table.line_of("environment");
    let pattern =
        document.needed(table, "environment", "an environment such as `production`, or `*` for all")?;
    match not_environment(&pattern) {
        None => Some(pattern),
        Some(problem) => {
            let message = format!("`{}.environment` {problem}", table.name());
            document.report(ConfigError { line, message });
            None
        }
    }
}

/// Which calls a rule is for, in the words of budgets.
fn scope<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<Scope> {
    let found = document.json(table, "scope");
    let (line, value) = found.unwrap_or_else(|| (table.line(), json!({})));
    let place = table.name().to_owned();
    if document.is_asked() {
        let asked = define::asked(&json!([{"scope": value}])).into_iter();
        let own = general(&format!("{place}.scope."));
        let inner = asked.filter_map(|asked| {
            let key = asked.path.strip_prefix("budgets.scope.")?;
            Some(Asked { path: format!("{own}{key}"), ..asked })
        });
        document.ask(inner);
    }
    match scope_of(value) {
        Ok(scope) => Some(scope),
        Err(problems) => {
            for (key, problem) in problems {
                document
                    .report(ConfigError { line: Some(line), message: format!("`{place}.{key}` {problem}") });
            }
            None
        }
    }
}

/// A scope in the words of budgets.
///
/// # Errors
/// Its mistakes: key and problem.
fn scope_of(value: Value) -> Result<Scope, Vec<(String, String)>> {
    let budget = json!({"name": "x", "limit_calls": 1, "window": "day", "scope": value});
    define::read_one(&budget, None)
        .map(|budget| budget.scope)
        .map_err(|errors| errors.into_iter().map(|error| (error.key, error.problem)).collect())
}

fn names<T>(words: &[(&'static str, T)]) -> Vec<&'static str> {
    words.iter().map(|(name, _)| *name).collect()
}

const MODELS: &str = "a list of models such as `[\"gpt-5*\", \"!gpt-5-pro\"]`";
const DAY: &str = "a day in quotes such as `\"2026-12-31\"`";
const NAME: &str = "A-Z a-z 0-9 . _ / -";
/// Digits of a key's hash.
const ID_DIGITS: usize = 16;
/// Whether headers that say otherwise are refused, and whether they hold.
const CONTRADICTIONS: &[(&str, (bool, bool))] =
    &[("overwrite", (false, false)), ("reject", (true, false)), ("accept", (false, true))];
const MAY: &[(&str, bool)] = &[("deny", false), ("allow", true)];
const ACTIONS: &[(&str, UnknownAction)] = &[
    ("allow", UnknownAction::Allow),
    ("flag", UnknownAction::Flag),
    ("quarantine", UnknownAction::Quarantine),
    ("deny", UnknownAction::Deny),
];
const FIELDS: &[(&str, Field)] = &[
    ("agent", Field::Agent),
    ("team", Field::Team),
    ("feature", Field::Feature),
    ("environment", Field::Environment),
    ("run", Field::Run),
];
