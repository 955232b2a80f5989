//! Budgets and agents in the collector: which hold now, their windows on the calendar of a time zone, and
//! what gateways are told.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use tollgate_core::budget::policy::{Policy, PolicyBudget};
use tollgate_core::budget::scope::{Dimension, Scope};
use tollgate_core::price::PriceBook;
use tollgate_core::provider::recognised_ids;

use crate::config::{AllowList, BudgetsConfig, Config, RulesConfig};
use crate::model::agent::{Agent, Status};
use crate::model::calendar::spans;
use crate::store::{Defined, Store, StoreError, StoredAgent, StoredBudget};
use crate::work::prices::Held;
use crate::work::rules;

/// The budgets that hold now, shared by all handlers. Memory of what the store holds, replaced after each
/// change of it.
#[derive(Debug, Default)]
pub struct Budgets {
    state: RwLock<Arc<State>>,
}

/// Budgets, agents, and what the configuration file says besides.
#[derive(Clone, Debug, Default)]
struct State {
    budgets: Vec<StoredBudget>,
    /// Agents of the registry.
    agents: Vec<StoredAgent>,
    /// Names that may have counters of their own, as the file has them.
    registered: BTreeSet<String>,
    rules: Arc<RulesConfig>,
    /// The number of the store's state that they were read from; 0 where that is not known.
    seen: u64,
}

impl State {
    /// Agents of the registry and of the file, by name, each with its source; of two of one name the file's.
    fn agents_with_sources(&self) -> BTreeMap<&str, (&Agent, &str)> {
        let stored = self.agents.iter().map(|stored| (&stored.agent, stored.source.as_str()));
        let all = stored.chain(self.rules.agents.iter().map(|agent| (agent, "file")));
        // The last of a name stays.
        all.map(|(agent, source)| (agent.name.as_str(), (agent, source))).collect()
    }
}

impl Budgets {
    /// Puts in place what is defined now, and what a configuration says besides.
    pub fn configure(&self, defined: Defined, config: &Config) {
        let Defined { budgets, agents } = defined;
        let (registered, rules) = (config.budgets.registered.clone(), Arc::new(config.rules.clone()));
        self.put(State { budgets, agents, registered, rules, seen: 0 });
    }

    /// Puts other budgets in place.
    pub fn replace_budgets(&self, budgets: Vec<StoredBudget>) {
        self.put(State { budgets, seen: 0, ..State::clone(&self.state()) });
    }

    /// Puts other agents of the registry in place.
    pub fn replace_agents(&self, agents: Vec<StoredAgent>) {
        self.put(State { agents, seen: 0, ..State::clone(&self.state()) });
    }

    fn put(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }

    /// Takes what another collector on the same database changed meanwhile.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        if let Some((seen, Defined { budgets, agents })) = store.defined_since(self.state().seen).await? {
            self.put(State { budgets, agents, seen, ..State::clone(&self.state()) });
        }
        Ok(())
    }

    /// Budgets that hold now.
    pub fn all(&self) -> Vec<StoredBudget> {
        self.state().budgets.clone()
    }

    /// All agents that are registered or proposed, by name: those of the file, and those of the registry that
    /// the file does not have. Each with its source: `file`, `api` or `seen`.
    pub fn agents(&self) -> BTreeMap<String, (Agent, String)> {
        let state = self.state();
        let of_name =
            |(agent, source): (&Agent, &str)| (agent.name.clone(), (agent.clone(), source.to_owned()));
        state.agents_with_sources().into_values().map(of_name).collect()
    }

    /// Lists of models that hold, with those that agents have: for whom they are, and what is written of
    /// them. What they mean by words stands among their models, as gateways have it.
    pub fn lists(&self, book: &PriceBook, now_ms: u64) -> Vec<AllowList> {
        let state = self.state();
        let of_agents =
            rules::lists_of(state.agents_with_sources().into_values().map(|(agent, _)| agent.clone()));
        let plain = |list: AllowList| AllowList { rule: rules::words::plain(&list, book, now_ms), ..list };
        state.rules.allow.iter().cloned().chain(of_agents).map(plain).collect()
    }

    /// Whether anybody registers agents, or asks for it.
    pub fn has_registry(&self) -> bool {
        let state = self.state();
        !(state.agents.is_empty() && state.rules.agents.is_empty() && state.rules.unknown.is_empty())
    }

    /// What gateways are to hold now. Its version changes with every budget, with every rule, and whenever a
    /// window begins, and says since when the newest of its budgets counts: see
    /// [`knows_until`](crate::model::calendar::knows_until).
    pub fn policy(&self, prices: &Held, now_ms: u64) -> Policy {
        let state = self.state();
        let budgets: Vec<PolicyBudget> = state
            .budgets
            .iter()
            .map(|stored| PolicyBudget {
                budget: stored.budget.clone(),
                generation: stored.generation,
                spans: spans(&stored.budget, now_ms),
                quarantine: stored.is_quarantine,
            })
            .collect();
        let mut registered = state.registered.clone();
        if !registered.is_empty() {
            let approved = state.agents.iter().filter(|stored| stored.agent.status == Status::Approved);
            registered.extend(approved.map(|stored| stored.agent.name.clone()));
        }
        let rules = rules::rules(
            &state.rules,
            state.agents_with_sources().into_values().map(|(agent, _)| agent).collect(),
            &prices.book,
            now_ms,
        );
        let unpriced = prices.unpriced;
        let mut policy = Policy { version: String::new(), budgets, registered, unpriced, rules };
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(&policy).unwrap_or_default().hash(&mut hasher);
        let newest_ms = state.budgets.iter().map(|stored| stored.since_ms).max().unwrap_or(0);
        policy.version = format!("{newest_ms:x}-{:016x}", hasher.finish());
        policy
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is wrong with the budgets of a configuration in `file` that only its prices can tell.
///
/// # Errors
/// For each budget with a provider that is not known.
pub fn check(file: &str, config: &BudgetsConfig, book: &PriceBook) -> Result<(), Vec<String>> {
    let budgets = config.budgets.iter().enumerate();
    let wrong: Vec<String> = budgets
        .filter_map(|(index, budget)| {
            let problem = unknown_provider(&budget.scope, &config.providers, book)?;
            Some(format!("{file}: `budgets[{index}].scope.provider` {problem}"))
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// What is wrong with the providers that a budget or a rule is for: one that neither hosts nor prices nor
/// `own` know is misspelled.
pub fn unknown_provider(scope: &Scope, own: &BTreeSet<String>, book: &PriceBook) -> Option<String> {
    let named = scope.values(&Dimension::Provider);
    if named.is_empty() {
        return None;
    }
    let known: BTreeSet<&str> = recognised_ids()
        .map(|id| -> &str { id })
        .chain(own.iter().map(String::as_str))
        .chain(book.models().iter().map(|model| model.provider.as_str()))
        .chain(book.maps().iter().map(|map| map.provider.as_str()))
        .collect();
    let wrong = named.iter().find(|value| match value.strip_suffix('*') {
        Some(start) => !known.iter().any(|id| id.starts_with(start)),
        None => !known.contains(value.as_str()),
    })?;
    let known: Vec<&str> = known.into_iter().collect();
    Some(format!(
        "is `{wrong}`, which no call's provider can be: known are {}; one that only your routes name stands in \
         `registry.providers`",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use tollgate_core::budget::{Budget, define};
    use tollgate_core::price::{PricedModel, Unpriced};

    use super::*;
    use crate::work::prices::Prices;

    fn budget(window: &str, zone: &str) -> Budget {
        let json = json!({"name": "b", "limit_usd": "1", "window": window, "time_zone": zone});
        define::read_one(&json, None).unwrap()
    }

    fn ms(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    #[test]
    fn the_policy_has_a_new_version_when_a_window_begins() {
        let budgets = Budgets::default();
        let stored = StoredBudget {
            budget: budget("day", "UTC"),
            generation: 1,
            source: "file".into(),
            created_ms: 0,
            since_ms: 0,
            is_quarantine: false,
        };
        budgets.replace_budgets(vec![stored]);
        let prices = Prices::new(PriceBook::new("v".into(), Vec::new()), Unpriced::Allow).held();
        let noon = budgets.policy(&prices, ms("2026-11-25T12:00:00Z"));
        assert_eq!(noon.version, budgets.policy(&prices, ms("2026-11-25T13:00:00Z")).version);
        assert_ne!(noon.version, budgets.policy(&prices, ms("2026-11-26T12:00:00Z")).version);
        assert_eq!(noon.budgets[0].spans.len(), 2);
    }

    #[test]
    fn a_provider_is_known_by_its_host_its_prices_or_the_configuration() {
        let model = PricedModel { provider: "acme".into(), id: "m".into(), ..PricedModel::default() };
        let book = PriceBook::new("v".into(), vec![model]);
        let own = BTreeSet::from(["house".to_owned()]);
        let said = |value: &str| {
            let json = json!({"name": "b", "limit_usd": "1", "window": "day", "scope": {"provider": value}});
            unknown_provider(&define::read_one(&json, None).unwrap().scope, &own, &book)
        };
        for known in ["openai", "acme", "house", "unknown", "open*", "*"] {
            assert_eq!(said(known), None, "{known}");
        }
        let misspelled = said("opnai").unwrap();
        assert!(misspelled.contains("is `opnai`") && misspelled.contains(" openai, "), "{misspelled}");
        assert!(said("zzz*").unwrap().contains("is `zzz*`"));
    }
}
