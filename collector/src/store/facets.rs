//! Facets: what calls are told apart by beside their dimensions, with sums by hour.
//!
//! Rollups know the attribution and the model of calls. Reports also ask for runs and tags, for calls that
//! did not end well or had long prompts, for repeats, and for what prompts are made of. These sums are made
//! of the records themselves, in the order in which they were stored and a moment later ([`follow`]), so that
//! ingest does not wait for them. Whoever reads has the rest followed first.
//!
//! A call is in as many facets as it has. What is in none of a facet is what the rollups have more.

pub(super) mod aside;
pub(super) mod counts;
pub(super) mod follow;
mod of_record;
mod operations;
pub(super) mod packed;
pub(super) mod prompts;
pub(super) mod refused;
pub(super) mod runs;
pub(super) mod spend;
pub(super) mod summary;
#[cfg(test)]
mod tests;

use rusqlite::Connection;
use tollgate_core::record::Outcome;

#[cfg(doc)]
use crate::model::dimension::NOTED;
use crate::model::prompt::PromptCounts;
use crate::model::sizes;
use crate::store::database::error::StoreError;
use crate::store::records::batch::outcome_code;

/// What values of a facet tell apart. The numbers are those in the database, and never change.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::store) enum Facet {
    /// Calls with another outcome than `ok`, or with a prompt that is not of the first class by length. The
    /// value is made of both: see [`Apart`].
    Apart = 1,
    /// Calls with a tag; the value's name is `key=value`.
    Tag = 2,
    /// Calls of a run, by its id.
    Run = 3,
    /// Calls with a prompt whose parts are known; the name is the prints of system prompt and tools.
    Prompt = 4,
    /// Calls that repeat another one, or that Envoy tried more than once. The value is 0.
    Retry = 5,
    /// Calls that a rule refused, by its name, or noted, by its name with [`NOTED`] behind it.
    Rule = 6,
    /// Calls that a rule gave a cheaper model, where it is known what that saved: their sums have what was
    /// saved in the place of what they cost, and nothing else but their number. The value is 0.
    Saved = 7,
}

/// What a value of [`Facet::Apart`] says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) struct Apart {
    /// How the calls ended.
    pub(in crate::store) outcome: Outcome,
    /// The class of their prompts by length: [`sizes`].
    pub(in crate::store) size: u8,
}

impl Apart {
    /// Of a call; none for one that ended well and had a prompt of the first class.
    pub(in crate::store) fn of(outcome: Outcome, input_tokens: u64) -> Option<Self> {
        let size = sizes::class_of(input_tokens);
        (outcome != Outcome::Ok || size > 0).then_some(Self { outcome, size })
    }

    fn value(self) -> i64 {
        i64::from(outcome_code(self.outcome)) * SIZES_MAX + i64::from(self.size)
    }

    pub(in crate::store) fn from_value(value: i64) -> Option<Self> {
        let outcome = OUTCOMES.into_iter().find(|one| i64::from(outcome_code(*one)) == value / SIZES_MAX)?;
        Some(Self { outcome, size: u8::try_from(value % SIZES_MAX).ok()? })
    }
}

/// A row of a facet, as it is read.
pub(in crate::store) struct Row<'a> {
    /// In hours since the Unix epoch.
    pub(in crate::store) hour: i64,
    /// The value, or the id of its name.
    pub(in crate::store) value: i64,
    /// Id of the dimensions.
    pub(in crate::store) dims: i64,
    /// Encoded.
    pub(in crate::store) sums: &'a [u8],
    counts: &'a [u8],
}

impl Row<'_> {
    /// What its prompts are made of.
    pub(in crate::store) fn counts(&self) -> Result<PromptCounts, StoreError> {
        counts::decode(self.counts).ok_or(StoreError::Damaged("facet_hour"))
    }
}

/// Hands over the rows of a facet in these hours, the last exclusive, in the order of time.
pub(in crate::store) fn each(
    connection: &Connection,
    facet: Facet,
    (from_hour, to_hour): (i64, i64),
    mut take: impl FnMut(Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT hour, value, dims, sums, counts FROM facet_hour WHERE facet = ?1 AND hour >= ?2 AND hour < ?3",
    )?;
    let mut rows = statement.query([facet as i64, from_hour, to_hour])?;
    while let Some(row) = rows.next()? {
        let blob =
            |at: usize| Ok::<_, StoreError>(row.get_ref(at)?.as_blob().map_err(rusqlite::Error::from)?);
        take(Row {
            hour: row.get(0)?,
            value: row.get(1)?,
            dims: row.get(2)?,
            sums: blob(3)?,
            counts: blob(4)?,
        })?;
    }
    Ok(())
}

/// The name of a value.
pub(in crate::store) fn name(connection: &Connection, id: i64) -> Result<String, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name FROM facet_values WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0))?)
}

/// The id of a name; none where no call had it.
pub(in crate::store) fn id(
    connection: &Connection,
    facet: Facet,
    name: &str,
) -> Result<Option<i64>, StoreError> {
    use rusqlite::OptionalExtension as _;
    let mut statement =
        connection.prepare_cached("SELECT id FROM facet_values WHERE facet = ?1 AND name = ?2")?;
    Ok(statement.query_row(rusqlite::params![facet as i64, name], |row| row.get(0)).optional()?)
}

/// Every outcome.
const OUTCOMES: [Outcome; 5] =
    [Outcome::Ok, Outcome::Error, Outcome::ClientAbort, Outcome::UpstreamAbort, Outcome::Denied];
/// More than there are classes by length.
const SIZES_MAX: i64 = 100;
