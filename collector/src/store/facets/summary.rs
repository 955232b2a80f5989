//! Summaries that tell calls apart by a facet, or keep those with one of its values: the sums of the facet,
//! and what the rollups have more.

use std::collections::HashMap;

use rusqlite::Connection;
use tollgate_core::record::{Outcome, Sums, Totals};

use super::{Apart, Facet, Row};
use crate::model::dimension::{Dimension, NOTED};
use crate::store::database::error::StoreError;
use crate::store::rollups::dims::DimsTable;
use crate::store::rollups::summary::{self, Groups, ROWS_MAX, Summary, SummaryQuery, SummaryRow};
use crate::store::rollups::sums::InRow;

/// The facet that a query is about, if there is one: the first of its `by`, else of its filters.
pub(in crate::store) fn facet_of(query: &SummaryQuery) -> Option<Dimension> {
    let filtered = Dimension::FACETS.into_iter().find(|facet| query.filters.wants(*facet).is_some());
    query.by.iter().copied().find(|one| Dimension::FACETS.contains(one)).or(filtered)
}

/// Answers a query about a facet inside one snapshot of the database.
pub(in crate::store) fn summarise(
    connection: &Connection,
    dims: &DimsTable,
    query: &SummaryQuery,
    facet: Dimension,
) -> Result<Summary, StoreError> {
    let place = query.by.iter().position(|one| *one == facet);
    let rest = SummaryQuery {
        by: query.by.iter().copied().filter(|one| *one != facet).collect(),
        filters: query.filters.without(facet),
        ..query.clone()
    };
    let wanted = query.filters.wants(facet);
    let base = summary::summarise(connection, dims, &rest)?;
    let found = Found::read(connection, dims, &rest, (facet, query.tag_key.as_deref()))?;
    let mut left: HashMap<(Option<i64>, &[Option<String>]), Totals> =
        base.rows.iter().map(|row| ((row.hour, row.values.as_slice()), row.totals.clone())).collect();
    let mut kept: HashMap<(Option<i64>, Vec<Option<String>>), Totals> = HashMap::new();
    // A call has several tags, and several rules note it: what is left is of no use then.
    let has_rest = match facet {
        Dimension::Tag => query.tag_key.is_some(),
        facet => facet != Dimension::Rule,
    };
    let is_wanted = |value: Option<&str>| {
        // A rule's name means what it refused and what it noted.
        let bare = value.filter(|_| facet == Dimension::Rule).and_then(|value| value.strip_suffix(NOTED));
        let is_value = |one: &String| Some(one.as_str()) == value || Some(one.as_str()) == bare;
        wanted.is_none_or(|wanted| wanted.iter().any(is_value))
    };
    let with = |values: &[Option<String>], value: Option<&str>| {
        let mut values = values.to_vec();
        if let Some(place) = place {
            values.insert(place.min(values.len()), value.map(str::to_owned));
        }
        values
    };
    for ((hour, group, value), totals) in &found.rows {
        let values = found.groups.values_of(*group);
        let name = found.names.get(value).map_or("", String::as_str);
        if let Some(left) = left.get_mut(&(*hour, values)).filter(|_| has_rest) {
            *left = less(left, totals)?;
        }
        if is_wanted(Some(name)) {
            kept.entry((*hour, with(values, Some(name)))).or_default().add(totals)?;
        }
    }
    let name = (facet == Dimension::Outcome).then(|| Outcome::Ok.name());
    if has_rest && is_wanted(name) {
        for ((hour, values), totals) in left.iter().filter(|(_, totals)| **totals != Totals::default()) {
            kept.entry((*hour, with(values, name))).or_default().add(totals)?;
        }
    }
    let total = (!has_rest && wanted.is_none()).then_some(base.total);
    assembled(kept, total, base.folded)
}

/// Rows in order, with this total, else their sum.
fn assembled(
    kept: HashMap<(Option<i64>, Vec<Option<String>>), Totals>,
    total: Option<Totals>,
    folded: u64,
) -> Result<Summary, StoreError> {
    if kept.len() > ROWS_MAX {
        return Err(StoreError::TooManyRows { most: ROWS_MAX });
    }
    let row = |((hour, values), totals)| SummaryRow { hour, values, totals };
    let mut rows: Vec<SummaryRow> = kept.into_iter().map(row).collect();
    rows.sort_by(|one, other| (one.hour, &one.values).cmp(&(other.hour, &other.values)));
    let mut sum = Totals::default();
    for row in &rows {
        sum.add(&row.totals)?;
    }
    Ok(Summary { rows, total: total.unwrap_or(sum), folded })
}

/// What a facet has, by time, group of dimensions and value.
struct Found {
    groups: Groups,
    rows: HashMap<(Option<i64>, usize, i64), Totals>,
    names: HashMap<i64, String>,
}

impl Found {
    fn read(
        connection: &Connection,
        dims: &DimsTable,
        query: &SummaryQuery,
        (facet, tag_key): (Dimension, Option<&str>),
    ) -> Result<Self, StoreError> {
        let groups = Groups::of(dims, query);
        let mut found = Self { groups, rows: HashMap::new(), names: HashMap::new() };
        let table = match facet {
            Dimension::Run => Facet::Run,
            Dimension::Tag => Facet::Tag,
            Dimension::Rule => Facet::Rule,
            _ => Facet::Apart,
        };
        let tags = match tag_key {
            Some(key) => Some(tags_of(connection, key)?),
            None => None,
        };
        let mut last = None;
        super::each(connection, table, (query.from_hour, query.to_hour), |row| {
            let Some(group) = found.groups.of_dims(row.dims) else { return Ok(()) };
            let Some(value) = value_of(table, &row)
                .filter(|value| tags.as_ref().is_none_or(|tags| tags.contains_key(value)))
            else {
                return Ok(());
            };
            // Rows come by the hour.
            let (_, start) = *last.insert(
                last.filter(|(known, _)| *known == row.hour)
                    .unwrap_or_else(|| (row.hour, query.period_of(row.hour))),
            );
            Ok(found.rows.entry((start, group, value)).or_default().add_encoded(row.sums)?)
        })?;
        match (table, tags) {
            (_, Some(tags)) => found.names = tags,
            (Facet::Apart, None) => {
                let outcomes = super::OUTCOMES.into_iter();
                found.names = outcomes.map(|one| (code(one), one.name().to_owned())).collect();
            }
            (_, None) => {
                for (_, _, value) in found.rows.keys() {
                    if !found.names.contains_key(value) {
                        found.names.insert(*value, super::name(connection, *value)?);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// Tags with this key: their ids, and the value of each.
fn tags_of(connection: &Connection, key: &str) -> Result<HashMap<i64, String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id, name FROM facet_values WHERE facet = ?1")?;
    let mut rows = statement.query([Facet::Tag as i64])?;
    let mut tags = HashMap::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        if let Some((_, value)) = name.split_once('=').filter(|(own, _)| *own == key) {
            tags.insert(row.get(0)?, value.to_owned());
        }
    }
    Ok(tags)
}

/// The value that a row is told apart by; none for one that is not: calls that ended well.
fn value_of(table: Facet, row: &Row<'_>) -> Option<i64> {
    match table {
        Facet::Apart => {
            let apart = Apart::from_value(row.value)?;
            (apart.outcome != Outcome::Ok).then(|| code(apart.outcome))
        }
        _ => Some(row.value),
    }
}

fn code(outcome: Outcome) -> i64 {
    crate::store::records::batch::outcome_code(outcome).into()
}

fn less(all: &Totals, part: &Totals) -> Result<Totals, StoreError> {
    let mut left = Sums { totals: all.clone(), kinds: Vec::new() };
    left.subtract(&Sums { totals: part.clone(), kinds: Vec::new() })?;
    Ok(left.totals)
}

impl SummaryQuery {
    /// Whether it tells calls apart by more than one facet, or keeps values of another than it tells apart.
    pub fn has_several_facets(&self) -> bool {
        let by = |facet: &Dimension| self.by.contains(facet);
        let filtered = |facet: &Dimension| self.filters.wants(*facet).is_some();
        Dimension::FACETS.iter().filter(|facet| by(facet) || filtered(facet)).count() > 1
    }
}
