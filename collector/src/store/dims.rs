//! Dimensions: what a summary may be grouped and filtered by, interned so that a rollup row stays small.

use rusqlite::{Connection, Row, params};
use tollgate_core::record::{Folded, UsageRecord};

use super::StoreError;

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

    /// The name in the API and in records.
    #[must_use]
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
        }
    }

    /// The dimension with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}

/// The values of one record in every dimension; empty where it has none.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Dims {
    gateway: String,
    agent: String,
    team: String,
    feature: String,
    environment: String,
    attribution_source: String,
    key_id: String,
    provider: String,
    operation: String,
    request_model: String,
    response_model: String,
    service_tier: String,
}

impl Dims {
    /// The dimensions of a record.
    #[must_use]
    pub fn of(record: &UsageRecord) -> Self {
        let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            gateway: record.gateway.clone(),
            agent: record.attribution.agent.clone(),
            team: record.attribution.team.clone(),
            feature: record.attribution.feature.clone(),
            environment: record.attribution.environment.clone(),
            attribution_source: record.attribution_source.name().to_owned(),
            key_id: or_empty(&record.key_id),
            provider: record.provider.clone(),
            operation: record.operation.clone(),
            request_model: or_empty(&record.request_model),
            response_model: or_empty(&record.response_model),
            service_tier: or_empty(&record.service_tier),
        }
    }

    /// The dimensions of a total that a gateway has folded.
    #[must_use]
    pub fn of_folded(folded: &Folded) -> Self {
        let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            gateway: folded.gateway.clone(),
            agent: folded.attribution.agent.clone(),
            team: folded.attribution.team.clone(),
            feature: folded.attribution.feature.clone(),
            environment: folded.attribution.environment.clone(),
            attribution_source: folded.attribution_source.name().to_owned(),
            key_id: or_empty(&folded.key_id),
            provider: folded.provider.clone(),
            operation: folded.operation.clone(),
            request_model: or_empty(&folded.request_model),
            response_model: or_empty(&folded.response_model),
            service_tier: or_empty(&folded.service_tier),
        }
    }

    /// The value in this dimension, if there is one.
    #[must_use]
    pub fn value(&self, dimension: Dimension) -> Option<&str> {
        let value = match dimension {
            Dimension::Gateway => &self.gateway,
            Dimension::Agent => &self.agent,
            Dimension::Team => &self.team,
            Dimension::Feature => &self.feature,
            Dimension::Environment => &self.environment,
            Dimension::AttributionSource => &self.attribution_source,
            Dimension::KeyId => &self.key_id,
            Dimension::Provider => &self.provider,
            Dimension::Operation => &self.operation,
            Dimension::Model if self.response_model.is_empty() => &self.request_model,
            Dimension::Model | Dimension::ResponseModel => &self.response_model,
            Dimension::RequestModel => &self.request_model,
            Dimension::ServiceTier => &self.service_tier,
        };
        (!value.is_empty()).then_some(value)
    }

    /// The same with `other` in place of all that a caller chooses.
    #[must_use]
    pub fn other(&self) -> Self {
        let other = || OTHER.to_owned();
        Self {
            gateway: self.gateway.clone(),
            agent: other(),
            team: other(),
            feature: other(),
            environment: other(),
            attribution_source: self.attribution_source.clone(),
            key_id: String::new(),
            provider: self.provider.clone(),
            operation: self.operation.clone(),
            request_model: other(),
            response_model: String::new(),
            service_tier: String::new(),
        }
    }

    /// Writes these dimensions and gives their id.
    pub(super) fn insert(&self, connection: &Connection) -> Result<i64, StoreError> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO dims (gateway, agent, team, feature, environment, attribution_source, key_id,
                 provider, operation, request_model, response_model, service_tier)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        Ok(statement.insert(params![
            self.gateway,
            self.agent,
            self.team,
            self.feature,
            self.environment,
            self.attribution_source,
            self.key_id,
            self.provider,
            self.operation,
            self.request_model,
            self.response_model,
            self.service_tier,
        ])?)
    }

    /// All dimensions with an id above `after`, in the order of their ids.
    pub(super) fn load(connection: &Connection, after: i64) -> Result<Vec<(i64, Self)>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT id, gateway, agent, team, feature, environment, attribution_source, key_id,
                 provider, operation, request_model, response_model, service_tier
             FROM dims WHERE id > ?1 ORDER BY id",
        )?;
        let rows = statement.query_map([after], |row| Ok((row.get(0)?, Self::read(row)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            gateway: row.get(1)?,
            agent: row.get(2)?,
            team: row.get(3)?,
            feature: row.get(4)?,
            environment: row.get(5)?,
            attribution_source: row.get(6)?,
            key_id: row.get(7)?,
            provider: row.get(8)?,
            operation: row.get(9)?,
            request_model: row.get(10)?,
            response_model: row.get(11)?,
            service_tier: row.get(12)?,
        })
    }
}

/// All dimensions by id, as a reader holds them.
#[derive(Clone, Debug, Default)]
pub(super) struct DimsTable {
    rows: Vec<Dims>,
}

impl DimsTable {
    /// Reads what was added since the last time.
    ///
    /// Ids are dense from 1: the one writer gives them in order, and rows are never removed.
    pub(super) fn refresh(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let known = i64::try_from(self.rows.len()).map_err(|_| StoreError::Damaged("dims"))?;
        for (id, dims) in Dims::load(connection, known)? {
            self.rows.push(dims);
            if usize::try_from(id) != Ok(self.rows.len()) {
                return Err(StoreError::Damaged("dims"));
            }
        }
        Ok(())
    }

    /// The dimensions with this id.
    pub(super) fn get(&self, id: i64) -> Option<&Dims> {
        self.rows.get(usize::try_from(id).ok()?.checked_sub(1)?)
    }

    /// Dimensions in the order of their ids, from 1.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Dims> {
        self.rows.iter()
    }
}

/// Values to keep: each dimension named must have one of its values. No filter keeps everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filters {
    wanted: Vec<(Dimension, Vec<String>)>,
}

impl Filters {
    /// Also accepts `value` in `dimension`.
    pub fn accept(&mut self, dimension: Dimension, value: String) {
        match self.wanted.iter_mut().find(|(known, _)| *known == dimension) {
            Some((_, values)) => values.push(value),
            None => self.wanted.push((dimension, vec![value])),
        }
    }

    /// Whether these dimensions pass.
    #[must_use]
    pub fn keep(&self, dims: &Dims) -> bool {
        self.wanted.iter().all(|(dimension, values)| {
            let value = dims.value(*dimension).unwrap_or_default();
            values.iter().any(|wanted| wanted == value)
        })
    }
}

/// Stands for what has no row of its own.
pub(super) const OTHER: &str = "other";
