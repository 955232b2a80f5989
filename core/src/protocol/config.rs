//! The filter's configuration: JSON in Envoy's plugin configuration, strict, all mistakes reported at once.

use serde_json::Value;

use crate::attribution::presets::{PORTKEY, PRESETS};
use crate::attribution::{AttributionRules, AttributionSource, Field};
use crate::budget::window::{Offset, Window};
use crate::budget::{Amount, Budget, Unit, define};
pub use crate::keys::ConfigError;
#[cfg(feature = "book")]
use crate::keys::{Asked, Kind};
use crate::keys::{Found, Keys, note};
use crate::price::PriceBook;
use crate::price::charge::Unpriced;

/// Configuration of one gateway's filter, checked.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// `gateway`: name of this gateway in records.
    pub gateway: String,
    /// `collector`: where records go; without it they stand in the access log only.
    pub collector: Option<CollectorConfig>,
    /// `attribution.aliases` and `attribution.baggage`.
    pub attribution: AttributionRules,
    /// `attribution.trusted`: values that win over headers, the first that is there for each field.
    pub trusted: Vec<TrustedValue>,
    /// `outbox_records`: records that each worker keeps while the collector is away.
    pub outbox_records: u64,
    /// `include_usage`: whether usage is asked for where a provider reports it only then. A route switches it
    /// off by its metadata `tollgate: {include_usage: "off"}`.
    pub include_usage: bool,
    /// `pause_headers`: Envoy's filter has `allow_on_headers_stop_iteration`, so a request may wait in its
    /// headers. A rewritten request then has its exact length; without this it goes on chunked.
    pub pause_headers: bool,
    /// `budget_headers`: answers say what is left of the tightest budget, and when its window ends.
    pub budget_headers: bool,
    /// `charge_retries`: the routes retry after a provider may have begun to work, so that each attempt that
    /// the filter did not see is charged as its estimated input. The shipped routes retry only what never got
    /// there.
    pub charge_retries: bool,
    /// `access_log`: values of each call that access loggers can show; each costs a host call. All by
    /// default.
    pub access_log: Vec<AccessLogValue>,
    /// `prices`: a price book that holds until a collector hands out its own.
    pub prices: Option<PriceBook>,
    /// `budgets`: budgets of this gateway alone, where it has no collector.
    pub budgets: Vec<Budget>,
    /// `unpriced`: what becomes of calls whose model has no price, where it has no collector.
    pub unpriced: Unpriced,
    /// `until_policy`: whether calls go on (`allow`) or are refused (`deny`) while no collector has ever said
    /// what budgets there are, and none can be reached.
    pub denies_until_policy: bool,
}

/// Where records go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CollectorConfig {
    /// `cluster`: Envoy's cluster of the collector.
    pub cluster: String,
    /// `authority`: the `:authority` of sync calls.
    pub authority: String,
    /// `interval_ms`: longest time between two syncs.
    pub interval_ms: u64,
    /// `timeout_ms`: how long a sync may take.
    pub timeout_ms: u64,
}

/// A value that Envoy vouches for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustedValue {
    /// `field`: what it says.
    pub field: Field,
    /// `property`: path of the Envoy attribute, such as `["connection", "uri_san_peer_certificate"]`.
    pub property: Vec<String>,
    /// `source`: `verified`, `key` or `route`, as records show it.
    pub source: AttributionSource,
}

impl GatewayConfig {
    /// Reads a plugin configuration.
    ///
    /// # Errors
    /// Every mistake in it, in the order of the keys below.
    pub fn parse(json: &[u8]) -> Result<Self, Vec<ConfigError>> {
        let problem = |problem: String| vec![ConfigError { key: "plugin configuration".into(), problem }];
        let value: Value =
            serde_json::from_slice(json).map_err(|error| problem(format!("is not JSON: {error}")))?;
        let Value::Object(object) = value else {
            return Err(problem(r#"is not an object such as {"gateway":"edge-1"}"#.into()));
        };
        let mut found = Found::default();
        let config = Self::from_object(&mut Keys::new("", &object, &mut found));
        if found.errors.is_empty() { Ok(config) } else { Err(found.errors) }
    }

    /// The keys that reading this configuration asks for; what is wrong with it is no matter.
    #[cfg(feature = "book")]
    #[must_use]
    pub fn asked(object: &serde_json::Map<String, Value>) -> Vec<Asked> {
        let mut found = Found::default();
        Self::from_object(&mut Keys::new("", object, &mut found));
        found.asked
    }

    fn from_object(keys: &mut Keys<'_>) -> Self {
        let gateway = keys.name("gateway").unwrap_or_else(|| {
            keys.wrong("gateway", "is missing; name this gateway, for example \"edge-1\"");
            String::new()
        });
        keys.must("gateway");
        let collector = keys.object("collector", CollectorConfig::from_object);
        let (attribution, trusted) =
            keys.object("attribution", attribution_rules).unwrap_or_else(|| (default_rules(), Vec::new()));
        let config = Self {
            gateway,
            collector,
            attribution,
            trusted,
            outbox_records: keys.number("outbox_records", 64..=65_536, 4_096),
            include_usage: keys.flag("include_usage", true),
            pause_headers: keys.flag("pause_headers", false),
            budget_headers: keys.flag("budget_headers", false),
            charge_retries: keys.flag("charge_retries", false),
            access_log: access_log(keys),
            prices: prices(keys),
            budgets: budgets(keys),
            unpriced: keys
                .choice(
                    "unpriced",
                    &[("allow", Unpriced::Allow), ("ceiling", Unpriced::Ceiling), ("deny", Unpriced::Deny)],
                )
                .unwrap_or_default(),
            denies_until_policy: keys
                .choice("until_policy", &[("allow", false), ("deny", true)])
                .unwrap_or(false),
        };
        if config.collector.is_some() && !config.budgets.is_empty() {
            keys.wrong(
                "budgets",
                "stand here only where there is no collector; put them into its tollgate.toml",
            );
        }
        let dollars =
            config.budgets.iter().find(|budget| budget.unit == Unit::Dollars && budget.is_enforced());
        if let (None, Some(budget)) = (&config.prices, dollars) {
            let problem = format!(
                "of dollars (`{}`) hold nothing without `prices`, and there is no collector to give them; add `prices`, or \
                 count tokens or calls",
                budget.name
            );
            keys.wrong("budgets", &problem);
        }
        keys.nothing_else();
        config
    }
}

/// A value of a call in filter state, as `%FILTER_STATE(wasm.tollgate.<name>:PLAIN)%` shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccessLogValue {
    /// The call id.
    Call,
    /// Who spent.
    Agent,
    /// The team.
    Team,
    /// The feature.
    Feature,
    /// The environment.
    Environment,
    /// The model that answered, else the one asked for.
    Model,
    /// Input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Dollars, decimal.
    Cost,
    /// How far that can be trusted.
    CostStatus,
    /// The whole record as JSON.
    Record,
}

impl AccessLogValue {
    /// Every value.
    pub const ALL: [Self; 11] = [
        Self::Call,
        Self::Agent,
        Self::Team,
        Self::Feature,
        Self::Environment,
        Self::Model,
        Self::InputTokens,
        Self::OutputTokens,
        Self::Cost,
        Self::CostStatus,
        Self::Record,
    ];

    /// The name in filter state, behind `wasm.`.
    pub const fn filter_state(self) -> &'static str {
        match self {
            Self::Call => "tollgate.call",
            Self::Agent => "tollgate.agent",
            Self::Team => "tollgate.team",
            Self::Feature => "tollgate.feature",
            Self::Environment => "tollgate.environment",
            Self::Model => "tollgate.model",
            Self::InputTokens => "tollgate.input_tokens",
            Self::OutputTokens => "tollgate.output_tokens",
            Self::Cost => "tollgate.cost",
            Self::CostStatus => "tollgate.cost_status",
            Self::Record => "tollgate.record",
        }
    }

    fn name(self) -> &'static str {
        self.filter_state().trim_start_matches("tollgate.")
    }
}

fn access_log(keys: &mut Keys<'_>) -> Vec<AccessLogValue> {
    note!(keys, "access_log", Kind::list(Kind::word(AccessLogValue::ALL.map(AccessLogValue::name))));
    let Some(given) = keys.get("access_log") else { return AccessLogValue::ALL.to_vec() };
    let known = |value: &Value| {
        let name = value.as_str()?;
        AccessLogValue::ALL.into_iter().find(|known| known.name() == name)
    };
    let values: Option<Vec<AccessLogValue>> =
        given.as_array().and_then(|names| names.iter().map(known).collect());
    values.unwrap_or_else(|| {
        let names = AccessLogValue::ALL.map(AccessLogValue::name).join(", ");
        keys.wrong("access_log", &format!("is not a list of {names}"));
        Vec::new()
    })
}

fn budgets(keys: &mut Keys<'_>) -> Vec<Budget> {
    let budgets = define::from_keys(keys);
    for (index, budget) in budgets.iter().enumerate() {
        let key = |name: &str| format!("budgets[{index}].{name}");
        if Offset::parse(&budget.time_zone).is_none() {
            let problem = format!(
                "`{}` is not `UTC` or an offset such as `+01:00`; time zones need a collector",
                budget.time_zone
            );
            keys.wrong(&key("time_zone"), &problem);
        }
        if matches!(budget.window, Window::Rolling(_)) {
            keys.wrong(&key("window"), "is rolling, which needs a collector");
        }
        if budget.carry_over > Amount::ZERO {
            keys.wrong(&key(&define::unit_key("carry_over", budget.unit)), "needs a collector");
        }
    }
    budgets
}

fn prices(keys: &mut Keys<'_>) -> Option<PriceBook> {
    note!(keys, "prices", Kind::Other);
    let value = keys.get("prices")?;
    // By its text, as books are read elsewhere too: reading them from a `Value` would take a second reader.
    let book = serde_json::from_slice(value.to_string().as_bytes());
    book.map_err(|error| keys.wrong("prices", &format!("is not a price book: {error}"))).ok()
}

impl CollectorConfig {
    fn from_object(keys: &mut Keys<'_>) -> Self {
        let cluster = keys.text("cluster").unwrap_or_else(|| {
            keys.wrong("cluster", "is missing; name Envoy's cluster of the collector");
            String::new()
        });
        keys.must("cluster");
        let config = Self {
            cluster,
            authority: keys.text("authority").unwrap_or_else(|| "tollgate-collector".into()),
            interval_ms: keys.number("interval_ms", 100..=60_000, 1_000),
            timeout_ms: keys.number("timeout_ms", 100..=60_000, 5_000),
        };
        keys.nothing_else();
        config
    }
}

const fn default_rules() -> AttributionRules {
    AttributionRules { aliases: Vec::new(), portkey: false, baggage: true }
}

fn attribution_rules(keys: &mut Keys<'_>) -> (AttributionRules, Vec<TrustedValue>) {
    let mut rules = AttributionRules { baggage: keys.flag("baggage", true), ..default_rules() };
    rules.aliases = keys.object("aliases", aliases).unwrap_or_default();
    note!(keys, "aliases", Kind::Map(Vec::new(), Box::new(Kind::word(Field::ALL.map(|(_, name, _)| name)))));
    presets(keys, &mut rules);
    let trusted = keys.list("trusted", trusted_value);
    keys.nothing_else();
    (rules, trusted)
}

/// Adds the aliases of other products; one that is given by itself wins.
fn presets(keys: &mut Keys<'_>, rules: &mut AttributionRules) {
    for product in keys.texts("presets") {
        let mut is_known = false;
        for (of, header, field) in PRESETS {
            if *of == product {
                rules.aliases.push(((*header).to_owned(), *field));
                is_known = true;
            }
        }
        rules.portkey |= product == PORTKEY;
        if !is_known {
            keys.wrong("presets", "has another word than litellm, helicone, portkey, langfuse");
        }
    }
    note!(keys, "presets", Kind::list(Kind::word(["litellm", "helicone", "portkey", "langfuse"])));
}

fn aliases(keys: &mut Keys<'_>) -> Vec<(String, Field)> {
    let mut aliases = Vec::new();
    for header in keys.all() {
        let is_header =
            header.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if header.is_empty() || !is_header || header.starts_with("x-tollgate-") {
            keys.wrong(&header, "is not a lower-case header name outside `x-tollgate-*`");
        } else if let Some(field) = keys.field(&header) {
            aliases.push((header, field));
        }
    }
    aliases
}

fn trusted_value(keys: &mut Keys<'_>) -> TrustedValue {
    let field = keys.field("field").unwrap_or(Field::Agent);
    keys.must("field");
    let property = keys.texts("property");
    if property.is_empty() {
        keys.wrong("property", "is not a path such as [\"connection\", \"uri_san_peer_certificate\"]");
    }
    keys.must("property");
    let source = match keys.text("source").as_deref() {
        Some("verified") => AttributionSource::Verified,
        Some("key") => AttributionSource::Key,
        Some("route") => AttributionSource::Route,
        _ => {
            keys.wrong("source", "is not one of `verified`, `key`, `route`");
            AttributionSource::None
        }
    };
    note!(keys, "source", Kind::word(["verified", "key", "route"]));
    keys.must("source");
    keys.nothing_else();
    TrustedValue { field, property, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(json: &str) -> Vec<String> {
        let errors = GatewayConfig::parse(json.as_bytes()).err().unwrap_or_default();
        errors.into_iter().map(|error| error.to_string()).collect()
    }

    #[test]
    fn a_gateway_needs_only_a_name() {
        let config = GatewayConfig::parse(br#"{"gateway":"edge-1"}"#).unwrap();
        assert_eq!(
            (config.gateway.as_str(), config.collector, config.outbox_records),
            ("edge-1", None, 4_096)
        );
        assert!(config.attribution.baggage);
    }

    #[test]
    fn everything_can_be_said() {
        let config = GatewayConfig::parse(
            br#"{"gateway":"g","collector":{"cluster":"c","authority":"a","interval_ms":200,"timeout_ms":300},
                "attribution":{"aliases":{"x-litellm-tags":"tags"},"baggage":false,
                "trusted":[{"field":"team","property":["connection","uri_san_peer_certificate"],"source":"verified"}]},
                "outbox_records":64,"prices":{"version":"v","models":[]}}"#,
        )
        .unwrap();
        assert_eq!(config.attribution.aliases, [("x-litellm-tags".to_owned(), Field::Tags)]);
        assert_eq!(config.trusted.len(), 1);
        assert_eq!(config.collector.map(|collector| collector.interval_ms), Some(200));
    }

    #[test]
    fn presets_are_aliases_behind_those_that_are_given() {
        let json = r#"{"gateway":"g","attribution":{"aliases":{"helicone-session-id":"feature"},
            "presets":["helicone","portkey"]}}"#;
        let rules = GatewayConfig::parse(json.as_bytes()).unwrap().attribution;
        let field =
            |name: &str| rules.aliases.iter().find(|(alias, _)| alias == name).map(|(_, field)| *field);
        assert_eq!(field("helicone-session-id"), Some(Field::Feature));
        assert_eq!(field("helicone-property-team"), Some(Field::Team));
        assert_eq!((field("x-portkey-trace-id"), field("x-litellm-tags")), (Some(Field::Run), None));
        assert!(rules.portkey);
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let found = mistakes(
            r#"{"gatway":"x","gateway":"a b","collector":{"interval_ms":5,"clustr":"c"},
                "attribution":{"aliases":{"X-Up":"agent","x-ok":"agnt"},"presets":["lite"],"baggage":"yes","trusted":[{"field":"team"},3]},
                "outbox_records":-1,"access_log":["costs"],"prices":7}"#,
        );
        for expected in [
            "gatway: is not a key here",
            "gateway: `a b` is not a name",
            "collector.cluster: is missing",
            "collector.interval_ms: `5` is not a whole number from 100 to 60000",
            "collector.clustr: is not a key here",
            "attribution.aliases.X-Up: is not a lower-case header name",
            "attribution.aliases.x-ok: is not one of agent",
            "attribution.baggage: `\"yes\"` is neither true nor false",
            "attribution.presets: has another word than litellm",
            "attribution.trusted[0].property: is not a path",
            "attribution.trusted[0].source: is not one of",
            "attribution.trusted[1]: `3` is not an object",
            "outbox_records: `-1` is not a whole number",
            "access_log: is not a list of call, agent",
            "prices: is not a price book",
        ] {
            assert_eq!(
                found.iter().filter(|line| line.starts_with(expected)).count(),
                1,
                "{expected} in {found:#?}"
            );
        }
        assert_eq!(found.len(), 15, "{found:#?}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in ["", "[]", "7", "{", "\u{0}"] {
            assert_eq!(mistakes(json).len(), 1, "{json}");
        }
    }
}
