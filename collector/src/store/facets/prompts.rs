//! What prompts are made of, as the sums by facet have it.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;
use tollgate_core::record::Sums;

use super::Facet;
use crate::model::clock::HOURS_PER_DAY;
use crate::model::dimension::Dimension;
use crate::model::prompt::PromptCounts;
use crate::store::database::error::StoreError;
use crate::store::rollups::dims::{DimsTable, Filters};
use crate::store::rollups::sums::InRow;

/// Which prompts are asked for.
#[derive(Clone, Debug, Default)]
pub struct PromptsQuery {
    /// Start, in hours since the Unix epoch.
    pub from_hour: i64,
    /// End, exclusive, in hours since the Unix epoch.
    pub to_hour: i64,
    /// By dimension.
    pub filters: Filters,
}

/// Calls of one agent, feature and model with the same system prompt and tools on one UTC day.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptSum {
    /// The agent.
    pub agent: String,
    /// The feature.
    pub feature: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Service tier in the provider's word; empty for the plain one.
    pub service_tier: String,
    /// Print of the system prompt; none without one, or where the gateway has no secret for prints.
    pub system: Option<String>,
    /// Print of the tools, likewise.
    pub tools: Option<String>,
    /// In days since the Unix epoch, UTC.
    pub day: i64,
    /// When the pair of prints was first seen in any call, Unix milliseconds UTC.
    pub first_ms: i64,
    /// What the calls used and cost.
    pub sums: Sums,
    /// What their prompts are made of.
    pub counts: PromptCounts,
}

/// What prompts are made of, in the order of days.
pub(in crate::store) fn read(
    connection: &Connection,
    dims: &DimsTable,
    query: &PromptsQuery,
) -> Result<Vec<PromptSum>, StoreError> {
    let mut found: BTreeMap<(i64, i64, i64), (Sums, PromptCounts)> = BTreeMap::new();
    let kept: Vec<bool> = dims.iter().map(|one| query.filters.keep(one)).collect();
    super::each(connection, Facet::Prompt, (query.from_hour, query.to_hour), |row| {
        let at = usize::try_from(row.dims).ok().and_then(|id| id.checked_sub(1));
        if at.and_then(|at| kept.get(at)) == Some(&true) {
            let key = (row.hour.div_euclid(HOURS_PER_DAY), row.dims, row.value);
            let (sums, counts) = found.entry(key).or_default();
            sums.add_encoded(row.sums)?;
            counts.add(&row.counts()?);
        }
        Ok(())
    })?;
    let mut names: HashMap<i64, (String, i64)> = HashMap::new();
    let mut statement = connection.prepare_cached("SELECT name, first_ms FROM facet_values WHERE id = ?1")?;
    for (_, _, value) in found.keys() {
        if !names.contains_key(value) {
            names.insert(*value, statement.query_row([value], |row| Ok((row.get(0)?, row.get(1)?)))?);
        }
    }
    let sum = |((day, id, value), (sums, counts)): ((i64, i64, i64), (Sums, PromptCounts))| {
        let of = dims.get(id).ok_or(StoreError::Damaged("dims"))?;
        let (name, first_ms) = names.get(&value).ok_or(StoreError::Damaged("facet_values"))?;
        let (system, tools) = name.split_once(' ').unwrap_or((name, NO_PRINT));
        let print = |print: &str| (print != NO_PRINT).then(|| print.to_owned());
        let value = |dimension| of.value(dimension).unwrap_or_default().to_owned();
        Ok(PromptSum {
            agent: value(Dimension::Agent),
            feature: value(Dimension::Feature),
            provider: value(Dimension::Provider),
            model: value(Dimension::Model),
            service_tier: value(Dimension::ServiceTier),
            system: print(system),
            tools: print(tools),
            day,
            first_ms: *first_ms,
            sums,
            counts,
        })
    };
    found.into_iter().map(sum).collect()
}

/// Stands where there is no print.
const NO_PRINT: &str = "-";
