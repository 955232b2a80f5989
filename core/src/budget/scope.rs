//! Scopes: which calls a budget is for, and which of its counters a call touches.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::window::Span;
use crate::attribution::{Attribution, Field, INVALID, TrustedFields, UNATTRIBUTED};
use crate::lean::small_map;
use crate::price::names;

/// Something of a call that a budget can be for.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Dimension {
    /// `agent`.
    Agent,
    /// `team`.
    Team,
    /// `feature`.
    Feature,
    /// `environment`.
    Environment,
    /// `model`: the one asked for.
    Model,
    /// `provider`.
    Provider,
    /// `key`: the keyed hash of the provider key.
    Key,
    /// `tag:NAME`.
    Tag(String),
}

/// What must hold of a call: for each dimension one of its values, each once and in order, so that equal
/// scopes hold for the same calls. A value may end in `*`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(from = "BTreeMap<Dimension, Vec<String>>")]
pub struct Scope(Vec<(Dimension, Vec<String>)>);

/// What is known of a call when it is admitted.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Who makes it.
    pub attribution: &'a Attribution,
    /// Provider id.
    pub provider: &'a str,
    /// The model asked for.
    pub model: Option<&'a str>,
    /// Id of the price book's row that this means, where it is known.
    pub row: Option<&'a str>,
    /// Other models that may answer, by any of their names.
    pub others: &'a [String],
    /// Models may answer that nobody names, or the name is the customer's own and says nothing.
    pub any_model: bool,
    /// Keyed hash of the provider key.
    pub key_id: Option<&'a str>,
    /// Which fields of the attribution stand on more than the caller's word.
    pub trusted: TrustedFields,
}

impl<'a> Subject<'a> {
    /// The call's value of a dimension.
    pub fn value(&self, dimension: &Dimension) -> Option<&'a str> {
        match dimension {
            Dimension::Agent => Some(self.attribution.agent.as_str()),
            Dimension::Team => Some(self.attribution.team.as_str()),
            Dimension::Feature => Some(self.attribution.feature.as_str()),
            Dimension::Environment => Some(self.attribution.environment.as_str()),
            Dimension::Model => self.model,
            Dimension::Provider => Some(self.provider),
            Dimension::Key => self.key_id,
            Dimension::Tag(name) => self.attribution.tags.get(name).map(String::as_str),
        }
    }
}

impl Subject<'_> {
    /// Whether its value of a dimension is more than the caller's word, or one of few that mean something.
    pub const fn is_vouched_for(&self, dimension: &Dimension) -> bool {
        let field = match dimension {
            Dimension::Agent => Field::Agent,
            Dimension::Team => Field::Team,
            Dimension::Feature => Field::Feature,
            Dimension::Environment => Field::Environment,
            Dimension::Tag(_) => Field::Tags,
            Dimension::Model | Dimension::Provider | Dimension::Key => return true,
        };
        self.trusted.contains(field)
    }
}

impl From<BTreeMap<Dimension, Vec<String>>> for Scope {
    fn from(values: BTreeMap<Dimension, Vec<String>>) -> Self {
        Self(values.into_iter().map(|(dimension, values)| (dimension, small_map::in_order(values))).collect())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(dimension, values)| (dimension, values)))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Scope {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scope".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "What must hold of a call: for each dimension one of its values. A value may end in `*`.",
            "type": "object",
            "propertyNames": generator.subschema_for::<Dimension>(),
            "additionalProperties": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        })
    }
}

impl Scope {
    /// What it asks about, each once.
    pub fn dimensions(&self) -> impl Iterator<Item = &Dimension> {
        self.0.iter().map(|(dimension, _)| dimension)
    }

    /// The values that it has for a dimension; none where it asks nothing about it.
    pub fn values(&self, dimension: &Dimension) -> &[String] {
        self.0.iter().find(|(own, _)| own == dimension).map_or(&[], |(_, values)| values.as_slice())
    }

    /// Whether a call with this value of a dimension may be in it.
    pub(super) fn may_have(&self, dimension: &Dimension, value: &str) -> bool {
        let mut asked = self.0.iter().filter(|(asked, _)| asked == dimension);
        asked.all(|(_, values)| values.iter().any(|pattern| matches(pattern, value)))
    }

    /// Whether a call is in it. A call that does not say its environment, or says it wrongly, is in every
    /// one: it gets the strictest policy that there is. So is one whose model, or whose key, nobody knows. A
    /// model is meant by each of its names, and a call is in the scope of each model that may answer it.
    pub fn holds(&self, subject: &Subject<'_>) -> bool {
        self.0.iter().all(|(dimension, values)| {
            if *dimension == Dimension::Model {
                return is_model(subject, values);
            }
            let value = subject.value(dimension);
            let any = match dimension {
                Dimension::Environment => value.is_none_or(is_nobody),
                Dimension::Key => value.is_none(),
                _ => false,
            };
            any || value.is_some_and(|value| values.iter().any(|pattern| matches(pattern, value)))
        })
    }
}

/// Whether a scope's values name a model that may answer: as it is written, as its price's row, or as one of
/// the names that it has at its provider. A call whose model nobody knows is in every scope.
fn is_model(subject: &Subject<'_>, values: &[String]) -> bool {
    let others = subject.others.iter().map(String::as_str);
    let said = || subject.model.into_iter().chain(others.clone()).chain(subject.row);
    // Several may stand in one, with commas between them.
    let names =
        || said().flat_map(|names| names.split(',')).map(str::trim_ascii).filter(|one| !one.is_empty());
    if subject.any_model || names().next().is_none() {
        return true;
    }
    let is_written = |name: &str| values.iter().any(|pattern| matches(pattern, name));
    names().any(is_written) || {
        let values: Vec<ScopedModel> =
            values.iter().map(|value| ScopedModel::of(subject.provider, value)).collect();
        names().any(|name| {
            let spellings = names::spellings(subject.provider, name);
            values.iter().any(|value| value.is_one_of(&spellings))
        })
    }
}

/// Whether a model is meant, by one of its names at this provider or by that of its row in the price book.
pub(super) fn is_named(provider: &str, pattern: &str, model: &str, row: Option<&str>) -> bool {
    let is = |name: &str| {
        matches(pattern, name)
            || ScopedModel::of(provider, pattern).is_one_of(&names::spellings(provider, name))
    };
    is(model) || row.is_some_and(is)
}

/// A model in a scope, as its provider's other names for it are compared with.
struct ScopedModel {
    name: String,
    /// Its name without a date, where the provider calls no other model so.
    undated: Option<String>,
    is_start: bool,
}

impl ScopedModel {
    fn of(provider: &str, value: &str) -> Self {
        if let Some(start) = value.strip_suffix('*') {
            return Self { name: start.to_ascii_lowercase(), undated: None, is_start: true };
        }
        let name = names::scoped(provider, value);
        let undated = names::family(&name).filter(|_| provider == "bedrock").map(str::to_owned);
        Self { name, undated, is_start: false }
    }

    fn is_one_of(&self, spellings: &[String]) -> bool {
        let is = |name: &str| if self.is_start { name.starts_with(&self.name) } else { name == self.name };
        spellings.iter().any(|name| {
            is(name) || names::family(name).is_some_and(is) || self.undated.as_ref() == Some(name)
        })
    }
}

/// Whether this value is meant: it is the same, or begins as one that ends in `*` does.
pub(super) fn matches(pattern: &str, value: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => value.starts_with(start),
        None => pattern == value,
    }
}

/// Whether a name stands for one that is missing or malformed.
pub fn is_nobody(name: &str) -> bool {
    matches!(name, UNATTRIBUTED | INVALID)
}

/// Which counter of a budget: name, generation, the value of `each` (empty without one), and the window.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CounterKey {
    /// The budget.
    pub budget: String,
    /// Grows when the budget begins to count otherwise, with counters of its own.
    pub generation: u64,
    /// Value of `each`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The window.
    pub span: Span,
}

impl CounterKey {
    /// As bytes, for a slot of shared data.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.budget.len() + self.value.len() + 18);
        write_key(&self.budget, self.generation, &self.value, self.span, &mut bytes);
        bytes
    }

    /// The key in these bytes, of a counter with this span.
    pub fn from_bytes(bytes: &[u8], span: Span) -> Option<Self> {
        let (names, numbers) = bytes.split_at_checked(bytes.len().checked_sub(16)?)?;
        let generation = u64::from_le_bytes(*numbers.first_chunk()?);
        let mut names = names.split(|byte| *byte == 0);
        let budget = String::from_utf8(names.next()?.to_vec()).ok()?;
        let value = String::from_utf8(names.next()?.to_vec()).ok()?;
        Some(Self { budget, generation, value, span })
    }
}

/// Writes [`CounterKey::to_bytes`] of these parts.
pub(super) fn write_key(budget: &str, generation: u64, value: &str, span: Span, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(budget.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&span.start_ms.to_le_bytes());
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent => f.write_str("agent"),
            Self::Team => f.write_str("team"),
            Self::Feature => f.write_str("feature"),
            Self::Environment => f.write_str("environment"),
            Self::Model => f.write_str("model"),
            Self::Provider => f.write_str("provider"),
            Self::Key => f.write_str("key"),
            Self::Tag(name) => write!(f, "tag:{name}"),
        }
    }
}

impl Dimension {
    /// The dimension with this name in configuration.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "agent" => Self::Agent,
            "team" => Self::Team,
            "feature" => Self::Feature,
            "environment" => Self::Environment,
            "model" => Self::Model,
            "provider" => Self::Provider,
            "key" => Self::Key,
            tag => Self::Tag(tag.strip_prefix("tag:").filter(|name| !name.is_empty())?.to_owned()),
        })
    }

    /// What configuration can say.
    pub const NAMES: &'static str = "agent, team, feature, environment, model, provider, key, tag:NAME";
}

impl Serialize for Dimension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Dimension {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BudgetDimension".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": format!("Something of a call that a budget can be for: {}.", Self::NAMES),
            "type": "string",
            "pattern": "^(agent|team|feature|environment|model|provider|key|tag:.+)$",
        })
    }
}

impl<'de> Deserialize<'de> for Dimension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| serde::de::Error::custom("is not a dimension"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(entries: &[(&str, &str)]) -> Scope {
        let entry = |(dimension, values): &(&str, &str)| {
            (Dimension::parse(dimension).unwrap(), values.split('|').map(str::to_owned).collect())
        };
        entries.iter().map(entry).collect::<BTreeMap<_, _>>().into()
    }

    #[test]
    fn a_scope_holds_where_all_of_it_does() {
        let attribution = Attribution {
            agent: "triage".into(),
            environment: "production".into(),
            tags: [("customer".to_owned(), "acme".to_owned())].into(),
            ..Attribution::default()
        };
        let subject = Subject {
            attribution: &attribution,
            provider: "openai",
            model: Some("gpt-5-mini"),
            row: None,
            others: &[],
            any_model: false,
            key_id: None,
            trusted: TrustedFields::default(),
        };
        for (entries, expected) in [
            (&[][..], true),
            (&[("agent", "triage")], true),
            (&[("agent", "other|triage"), ("model", "gpt-5*")], true),
            (&[("agent", "triage"), ("model", "gpt-4*")], false),
            (&[("tag:customer", "acme"), ("provider", "openai")], true),
            (&[("tag:other", "acme")], false),
            (&[("key", "abc")], true),
            (&[("team", "unattributed")], true),
        ] {
            assert_eq!(scope(entries).holds(&subject), expected, "{entries:?}");
        }
    }

    #[test]
    fn a_model_is_in_a_scope_by_each_of_its_names() {
        let attribution = Attribution::default();
        for (provider, model, row, scoped, expected) in [
            ("openai", "GPT-4o", None, "gpt-4o", true),
            ("openai", "gpt-4o-2024-08-06", None, "gpt-4o", true),
            ("openai", "models/gpt-4o", None, "gpt-4o", true),
            ("openai", "gpt-4o-mini", None, "gpt-4o", false),
            ("openai", "gpt-4o", None, "GPT-4O*", true),
            ("azure", "my-deployment", Some("gpt-4o"), "gpt-4o", true),
            ("azure", "my-deployment", None, "gpt-4o", false),
            (
                "bedrock",
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                None,
                "anthropic.claude-sonnet-4-5",
                true,
            ),
            ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", None, "anthropic.claude-*", true),
            ("vertex", "claude-sonnet-4-5@20250929", None, "claude-sonnet-4-5", true),
            ("openrouter", "openai/gpt-4o:nitro", None, "gpt-4o", true),
            ("openrouter", "anthropic/claude-4.5-sonnet", None, "anthropic/claude-sonnet-4.5", true),
            ("openrouter", "anthropic/claude-4.5-haiku-20251001", None, "anthropic/claude-haiku-4.5", true),
            ("openrouter", "anthropic/claude-haiku-4.5", None, "claude-haiku-4-5", true),
            ("openai", "gpt-4o-2024-11-20", None, "gpt-4o-2024-08-06", false),
            ("openai", "gpt-4o", None, "gpt-4o-2024-08-06", false),
            ("openai", "gpt-4o-mini, gpt-4o", None, "gpt-4o", true),
            ("openai", "gpt-4o-mini, gpt-4.1", None, "gpt-4o", false),
            ("openai", ",", None, "gpt-4o", true),
        ] {
            let subject = Subject {
                attribution: &attribution,
                provider,
                model: Some(model),
                row,
                others: &[],
                any_model: false,
                key_id: None,
                trusted: TrustedFields::default(),
            };
            assert_eq!(scope(&[("model", scoped)]).holds(&subject), expected, "{provider} {model} {scoped}");
        }
        let subject = Subject {
            attribution: &attribution,
            provider: "p",
            model: None,
            row: None,
            others: &[],
            any_model: false,
            key_id: None,
            trusted: TrustedFields::default(),
        };
        assert!(scope(&[("model", "gpt-4o")]).holds(&subject), "nobody knows which model it is");
    }

    /// A Bedrock model has a name for each region, one for each of its profiles, and one without either.
    #[test]
    fn a_model_of_bedrock_is_in_a_scope_whatever_region_or_profile_it_is_called_by() {
        const HAIKU: &[&str] = &[
            "anthropic.claude-haiku-4-5-20251001-v1:0",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0",
            "ARN:aws:bedrock:us-east-1::foundation-model/Anthropic.Claude-Haiku-4-5-20251001-v1%3A0",
            "anthropic.claude-haiku-4-5-20251001",
            "anthropic.claude-haiku-4-5",
            "claude-haiku-4-5-20251001",
        ];
        let attribution = Attribution::default();
        let holds = |scoped: &str, model: &str, others: &[String], any_model: bool| {
            let subject = Subject {
                attribution: &attribution,
                provider: "bedrock",
                model: Some(model),
                row: None,
                others,
                any_model,
                key_id: None,
                trusted: TrustedFields::default(),
            };
            scope(&[("model", scoped)]).holds(&subject)
        };
        for model in HAIKU {
            for scoped in [
                "anthropic.claude-haiku-4-5-20251001-v1:0",
                "anthropic.claude-haiku-4-5-20251001",
                "anthropic.claude-haiku-4-5",
                "anthropic.claude-haiku*",
                "claude-haiku-4-5",
                "claude-*",
            ] {
                assert!(holds(scoped, model, &[], false), "{scoped} {model}");
            }
            for scoped in [
                "anthropic.claude-sonnet-4-5-20250929-v1:0",
                "anthropic.claude-haiku-5-5",
                "claude-haiku-4",
                "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
            ] {
                assert!(!holds(scoped, model, &[], false), "{scoped} {model}");
            }
            // It may be answered by another one, or by whichever.
            let other = ["cheap".to_owned(), (*model).to_owned()];
            assert!(holds("anthropic.claude-haiku-4-5", "other", &other, false), "{model}");
            assert!(holds("anthropic.claude-sonnet-4-5", model, &[], true));
        }
        assert!(holds("us.anthropic.claude-haiku-4-5-20251001-v1:0", HAIKU[1], &[], false));
        let (old, new) =
            ("anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet-20241022-v2:0");
        assert!(!holds(old, new, &[], false) && !holds(new, old, &[], false));
    }

    #[test]
    fn who_hides_its_environment_is_in_every_one() {
        for environment in [UNATTRIBUTED, INVALID] {
            let attribution = Attribution { environment: environment.into(), ..Attribution::default() };
            let subject = Subject {
                attribution: &attribution,
                provider: "p",
                model: None,
                row: None,
                others: &[],
                any_model: false,
                key_id: None,
                trusted: TrustedFields::default(),
            };
            assert!(scope(&[("environment", "production")]).holds(&subject));
            assert!(!scope(&[("environment", "production"), ("team", "x")]).holds(&subject));
        }
    }

    #[test]
    fn keys_read_back_as_written() {
        let key = CounterKey {
            budget: "b".into(),
            generation: 3,
            value: "agent/x".into(),
            span: Span { start_ms: 7, end_ms: 9 },
        };
        assert_eq!(CounterKey::from_bytes(&key.to_bytes(), key.span), Some(key));
        assert_eq!(CounterKey::from_bytes(b"short", Span::default()), None);
    }
}
