//! By what reports are grouped and filtered, other than time.

/// A dimension of reports, other than time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dimension {
    /// Name of the gateway.
    Gateway,
    /// The agent or application.
    Agent,
    /// The team that answers for it.
    Team,
    /// The product feature.
    Feature,
    /// Environment, such as `production`.
    Environment,
    /// How far the attribution can be trusted.
    AttributionSource,
    /// Keyed hash of the provider key.
    KeyId,
    /// Provider id.
    Provider,
    /// What was asked of it.
    Operation,
    /// The model that answered, else the one asked for.
    Model,
    /// The model asked for.
    RequestModel,
    /// The model that answered.
    ResponseModel,
    /// Service tier that decided the price.
    ServiceTier,
    /// How calls ended.
    Outcome,
    /// One user's action, or a part of it.
    Run,
    /// A tag, as `key=value`.
    Tag,
    /// A rule that refused calls, or noted them: see [`NOTED`].
    Rule,
}

impl Dimension {
    /// Every dimension, in the order of documentation.
    pub const ALL: [Self; 13] = [
        Self::Agent,
        Self::Team,
        Self::Feature,
        Self::Environment,
        Self::Provider,
        Self::Model,
        Self::RequestModel,
        Self::ResponseModel,
        Self::Operation,
        Self::Gateway,
        Self::ServiceTier,
        Self::KeyId,
        Self::AttributionSource,
    ];

    /// What statements and bills tell apart: who spent, on what, with whom.
    pub const CHARGED: [Self; 6] =
        [Self::Team, Self::Agent, Self::Feature, Self::Environment, Self::Provider, Self::Model];

    /// What summaries tell apart besides: a summary of one of them reads other sums.
    pub const FACETS: [Self; 4] = [Self::Outcome, Self::Run, Self::Tag, Self::Rule];

    /// The name in the API and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Agent => "agent",
            Self::Team => "team",
            Self::Feature => "feature",
            Self::Environment => "environment",
            Self::AttributionSource => "attribution_source",
            Self::KeyId => "key_id",
            Self::Provider => "provider",
            Self::Operation => "operation",
            Self::Model => "model",
            Self::RequestModel => "request_model",
            Self::ResponseModel => "response_model",
            Self::ServiceTier => "service_tier",
            Self::Outcome => "outcome",
            Self::Run => "run",
            Self::Tag => "tag",
            Self::Rule => "rule",
        }
    }

    /// The dimension with this name in a question; `key` stands for `key_id`.
    pub fn asked(name: &str) -> Option<Self> {
        match name {
            "key" => Some(Self::KeyId),
            name => Self::from_name(name),
        }
    }

    /// The dimension or facet with this name.
    pub fn or_facet(name: &str) -> Option<Self> {
        Self::asked(name).or_else(|| Self::FACETS.into_iter().find(|facet| facet.name() == name))
    }

    /// The dimension with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}

/// Stands behind the name of a rule that noted calls and refused none of them: one in shadow would have
/// refused them, and others flagged or corrected them. No rule's name ends so.
pub const NOTED: &str = " (noted)";
