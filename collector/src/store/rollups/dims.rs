//! Dimensions: what a summary may be grouped and filtered by, interned so that a rollup row stays small.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use tollgate_core::attribution::{INVALID, UNATTRIBUTED};
use tollgate_core::record::Head;

use crate::model::dimension::Dimension;
use crate::store::database::error::StoreError;

/// The values of one record in every dimension; empty where it has none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dims {
    /// Of all values, made by who makes these, so that the writer need not.
    hash: u64,
    /// Where each value ends in `text`, in the order of [`Column`].
    ends: [usize; COLUMNS],
    text: Box<str>,
}

/// What is stored of a record's dimensions, in the order of the table's columns.
#[derive(Clone, Copy)]
enum Column {
    Gateway,
    Agent,
    Team,
    Feature,
    Environment,
    AttributionSource,
    KeyId,
    Provider,
    Operation,
    RequestModel,
    ResponseModel,
    ServiceTier,
}

impl Hash for Dims {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Dims {
    /// The dimensions of a record, or of a total that a gateway has folded.
    pub fn of(head: &Head) -> Self {
        Self::new([
            &head.gateway,
            &head.attribution.agent,
            &head.attribution.team,
            &head.attribution.feature,
            &head.attribution.environment,
            head.attribution_source.name(),
            head.key_id.as_deref().unwrap_or_default(),
            &head.provider,
            &head.operation,
            head.request_model.as_deref().unwrap_or_default(),
            head.response_model.as_deref().unwrap_or_default(),
            head.service_tier.as_deref().unwrap_or_default(),
        ])
    }

    /// Of values in the order of [`Column`].
    fn new(values: [&str; COLUMNS]) -> Self {
        let mut ends = [0; COLUMNS];
        let mut text = String::with_capacity(values.iter().map(|value| value.len()).sum());
        for (end, value) in ends.iter_mut().zip(values) {
            text.push_str(value);
            *end = text.len();
        }
        Self { hash: KEYS.hash_one((ends, &text)), ends, text: text.into_boxed_str() }
    }

    fn column(&self, column: Column) -> &str {
        self.at(column as usize)
    }

    fn at(&self, column: usize) -> &str {
        let start = column.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(column).and_then(|end| self.text.get(start..*end)).unwrap_or_default()
    }

    /// The value in this dimension, if there is one.
    pub fn value(&self, dimension: Dimension) -> Option<&str> {
        let value = match dimension {
            Dimension::Gateway => self.column(Column::Gateway),
            Dimension::Agent => self.column(Column::Agent),
            Dimension::Team => self.column(Column::Team),
            Dimension::Feature => self.column(Column::Feature),
            Dimension::Environment => self.column(Column::Environment),
            Dimension::AttributionSource => self.column(Column::AttributionSource),
            Dimension::KeyId => self.column(Column::KeyId),
            Dimension::Provider => self.column(Column::Provider),
            Dimension::Operation => self.column(Column::Operation),
            Dimension::Model => match self.column(Column::ResponseModel) {
                "" => self.column(Column::RequestModel),
                answered => answered,
            },
            Dimension::ResponseModel => self.column(Column::ResponseModel),
            Dimension::RequestModel => self.column(Column::RequestModel),
            Dimension::ServiceTier => self.column(Column::ServiceTier),
            // Not dimensions of a record: the sums by facet have them.
            Dimension::Outcome | Dimension::Run | Dimension::Tag | Dimension::Rule => "",
        };
        (!value.is_empty()).then_some(value)
    }

    /// The same with `other` in place of all that a caller chooses.
    #[must_use]
    pub fn other(&self) -> Self {
        Self::new([
            self.column(Column::Gateway),
            OTHER,
            OTHER,
            OTHER,
            OTHER,
            self.column(Column::AttributionSource),
            "",
            self.column(Column::Provider),
            self.column(Column::Operation),
            OTHER,
            "",
            "",
        ])
    }

    /// Writes these dimensions and gives their id.
    pub(in crate::store) fn insert(&self, connection: &Connection) -> Result<i64, StoreError> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO dims (gateway, agent, team, feature, environment, attribution_source, key_id,
                 provider, operation, request_model, response_model, service_tier)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        Ok(statement.insert(params_from_iter((0..COLUMNS).map(|column| self.at(column))))?)
    }

    /// The id of these dimensions, if they are known.
    pub(in crate::store) fn find(&self, connection: &Connection) -> Result<Option<i64>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT id FROM dims WHERE gateway = ?1 AND agent = ?2 AND team = ?3 AND feature = ?4 AND environment = ?5
                 AND attribution_source = ?6 AND key_id = ?7 AND provider = ?8 AND operation = ?9
                 AND request_model = ?10 AND response_model = ?11 AND service_tier = ?12",
        )?;
        let values = params_from_iter((0..COLUMNS).map(|column| self.at(column)));
        Ok(statement.query_row(values, |row| row.get(0)).optional()?)
    }

    /// All dimensions with an id above `after`, in the order of their ids.
    pub(in crate::store) fn load(
        connection: &Connection,
        after: i64,
    ) -> Result<Vec<(i64, Self)>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT id, gateway, agent, team, feature, environment, attribution_source, key_id,
                 provider, operation, request_model, response_model, service_tier
             FROM dims WHERE id > ?1 ORDER BY id",
        )?;
        let rows = statement.query_map([after], |row| Ok((row.get(0)?, Self::read(row)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut values = [""; COLUMNS];
        for (at, value) in (1..).zip(&mut values) {
            *value = row.get_ref(at)?.as_str()?;
        }
        Ok(Self::new(values))
    }
}

/// All dimensions by id, as a reader holds them.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct DimsTable {
    rows: Vec<Dims>,
}

impl DimsTable {
    /// Reads what was added since the last time.
    ///
    /// Ids are dense from 1: the one writer gives them in order, and rows are never removed.
    pub(in crate::store) fn refresh(&mut self, connection: &Connection) -> Result<(), StoreError> {
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
    pub(in crate::store) fn get(&self, id: i64) -> Option<&Dims> {
        self.rows.get(usize::try_from(id).ok()?.checked_sub(1)?)
    }

    /// Dimensions in the order of their ids, from 1.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = &Dims> {
        self.rows.iter()
    }
}

/// Values to keep: each dimension named must have one of its values, and none that is refused. No filter
/// keeps everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filters {
    wanted: Vec<(Dimension, Vec<String>)>,
    refused: Vec<(Dimension, BTreeSet<String>)>,
    is_unattributed: bool,
}

impl Filters {
    /// Also accepts `value` in `dimension`.
    pub fn accept(&mut self, dimension: Dimension, value: String) {
        match self.wanted.iter_mut().find(|(known, _)| *known == dimension) {
            Some((_, values)) => values.push(value),
            None => self.wanted.push((dimension, vec![value])),
        }
    }

    /// Leaves out these values of a dimension.
    pub fn refuse(&mut self, dimension: Dimension, values: BTreeSet<String>) {
        self.refused.push((dimension, values));
    }

    /// Keeps only what has no agent or no team: nobody named one, or not as a name.
    pub fn only_unattributed(&mut self) {
        self.is_unattributed = true;
    }

    /// The values that are accepted of a dimension; none where all are.
    pub fn wants(&self, dimension: Dimension) -> Option<&[String]> {
        self.wanted.iter().find(|(known, _)| *known == dimension).map(|(_, values)| values.as_slice())
    }

    /// The same for all values of a dimension.
    #[must_use]
    pub fn without(&self, dimension: Dimension) -> Self {
        let mut rest = self.clone();
        rest.wanted.retain(|(known, _)| *known != dimension);
        rest
    }

    /// What is to be accepted, by dimension.
    pub fn accepted(&self) -> &[(Dimension, Vec<String>)] {
        &self.wanted
    }

    /// What is left out, by dimension.
    pub fn refused(&self) -> &[(Dimension, BTreeSet<String>)] {
        &self.refused
    }

    /// Whether only what has no agent or no team is kept.
    pub const fn is_unattributed(&self) -> bool {
        self.is_unattributed
    }

    /// Whether these dimensions pass.
    pub fn keep(&self, dims: &Dims) -> bool {
        let value = |dimension: Dimension| dims.value(dimension).unwrap_or_default();
        let is_nobody = |dimension: Dimension| matches!(value(dimension), "" | UNATTRIBUTED | INVALID);
        if self.is_unattributed && !is_nobody(Dimension::Agent) && !is_nobody(Dimension::Team) {
            return false;
        }
        self.wanted.iter().all(|(dimension, values)| values.iter().any(|wanted| wanted == value(*dimension)))
            && self.refused.iter().all(|(dimension, values)| !values.contains(value(*dimension)))
    }
}

/// Stands for what has no row of its own.
pub(in crate::store) const OTHER: &str = "other";
/// Columns of dimensions.
const COLUMNS: usize = 12;
/// Nobody outside can choose names whose hashes are alike.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
