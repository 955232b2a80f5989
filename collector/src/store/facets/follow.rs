//! Following the records: each is read once, after it was stored, and added to the sums of its facets.
//!
//! What is read in a snapshot is written in a transaction of the writer's that first looks whether the place
//! is still the same: a record is added once, whatever fails in between. Records that change later, and
//! corrections of prices, change these sums in their own transaction ([`moved`], [`corrected`]).

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tollgate_core::record::UsageRecord;

use super::Facet;
use super::counts;
use super::of_record::{Seen, Value, corrected_sums_of, counts_of, prompt_of, sums_of, with_retry};
use crate::model::clock::MS_PER_HOUR;
use crate::model::prompt::{CACHED_MS, PromptCounts};
use crate::store::database::error::StoreError;
use crate::store::records::adjust;
use crate::store::rollups::sums::{AsRow, InRow, Sums};

/// What is remembered from one step to the next: only to know repeats, and to bound names.
#[derive(Debug, Default)]
pub(in crate::store) struct Memory {
    /// When a model was last asked with this system prompt and these tools, by gateway, agent and model.
    prefixes: HashMap<(i64, String), u64>,
    /// When an agent last sent this request.
    requests: HashMap<(String, String), u64>,
    /// New names of each facet and UTC day.
    names: HashMap<(i64, i64), u64>,
}

/// A step: the sums of some records, to be written.
#[derive(Debug, Default)]
pub(in crate::store) struct Step {
    /// The last record before it, and its last.
    after: i64,
    upto: i64,
    rows: BTreeMap<(Facet, i64, Value, i64), (Sums, PromptCounts)>,
    seen: BTreeMap<(Facet, String), Seen>,
    /// Records that are retries, and how.
    retried: Vec<(i64, i64)>,
}

impl Step {
    /// Whether there was nothing to follow.
    pub(in crate::store) const fn is_empty(&self) -> bool {
        self.after == self.upto
    }

    fn add(
        &mut self,
        place: (Facet, i64, Value, i64),
        sums: &Sums,
        counts: &PromptCounts,
    ) -> Result<(), StoreError> {
        let (all, parts) = self.rows.entry(place).or_default();
        parts.add(counts);
        Ok(all.add(sums)?)
    }
}

/// Reads the records that come next.
pub(in crate::store) fn read(connection: &Connection, memory: &mut Memory) -> Result<Step, StoreError> {
    let after = place(connection)?;
    let mut step = Step { after, upto: after, ..Step::default() };
    let mut statement = connection.prepare_cached(
        "SELECT seq, dims, time_ms, body FROM records WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query([after, AT_A_TIME])?;
    while let Some(row) = rows.next()? {
        step.upto = row.get(0)?;
        let (dims, time_ms): (i64, i64) = (row.get(1)?, row.get(2)?);
        let body = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
        // A record that was damaged is found by the recount; reports go on without it.
        let Ok(record) = serde_json::from_str::<UsageRecord>(body) else { continue };
        let retry = memory.retry_of(&record);
        step.retried.extend(retry.map(|how| (step.upto, how)));
        take(connection, &mut step, memory, (&record, retry), dims, time_ms)?;
    }
    memory.forget_some();
    Ok(step)
}

fn take(
    connection: &Connection,
    step: &mut Step,
    memory: &mut Memory,
    (record, retry): (&UsageRecord, Option<i64>),
    dims: i64,
    time_ms: i64,
) -> Result<(), StoreError> {
    let facets = with_retry(record, retry);
    if facets.is_empty() {
        return Ok(());
    }
    let id = record.head.id.parse().map_err(|_| StoreError::Damaged("id"))?;
    let bookings =
        adjust::bookings(record, time_ms.div_euclid(MS_PER_HOUR), adjust::of_record(connection, id)?)?;
    for (facet, value) in facets {
        let mut counts = counts_of(facet, record);
        if facet == Facet::Prompt && memory.repeats_prefix(record, dims) {
            counts.note_repeat(record.usage.cache_read_tokens.unwrap_or(0));
        }
        if let Value::Name(name) = &value {
            let seen = Seen::of(record);
            match step.seen.entry((facet, name.clone())) {
                std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().add(seen),
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(seen);
                }
            }
        }
        for (at, (hour, sums)) in bookings.iter().enumerate() {
            let sums = match at {
                0 => sums_of(facet, record, sums),
                _ => corrected_sums_of(facet, sums),
            };
            step.add((facet, *hour, value.clone(), dims), &sums, &counts)?;
            counts = PromptCounts::default();
        }
    }
    Ok(())
}

/// Writes a step; false where another one was written since it was read.
pub(in crate::store) fn write(
    transaction: &Transaction<'_>,
    memory: &mut Memory,
    step: &Step,
) -> Result<bool, StoreError> {
    if place(transaction)? != step.after {
        return Ok(false);
    }
    let mut ids = HashMap::new();
    for ((facet, name), seen) in &step.seen {
        ids.insert((*facet, name.as_str()), intern(transaction, memory, *facet, name, seen)?);
    }
    let mut statement = transaction.prepare_cached(
        "INSERT INTO facet_hour (facet, hour, value, dims, sums, counts) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET sums = sums_add(sums, excluded.sums),
             counts = prompt_counts_add(counts, excluded.counts)",
    )?;
    for ((facet, hour, value, dims), (sums, parts)) in &step.rows {
        let value = match value {
            Value::Number(number) => *number,
            Value::Name(name) => {
                *ids.get(&(*facet, name.as_str())).ok_or(StoreError::Damaged("facet_values"))?
            }
        };
        statement.execute(params![*facet as i64, hour, value, dims, sums.encode(), counts::encode(parts)])?;
    }
    let mut statement = transaction.prepare_cached("UPDATE records SET retry = ?2 WHERE seq = ?1")?;
    for (seq, how) in &step.retried {
        statement.execute([seq, how])?;
    }
    transaction.prepare_cached("UPDATE facets_state SET seq = ?1")?.execute([step.upto])?;
    Ok(true)
}

/// The last record that was followed.
pub(in crate::store) fn place(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.prepare_cached("SELECT seq FROM facets_state")?.query_row([], |row| row.get(0))?)
}

/// How many records are not followed yet.
pub(in crate::store) fn behind(connection: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT ifnull(max(seq), 0) FROM records";
    let newest: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(newest.saturating_sub(place(connection)?).max(0).unsigned_abs())
}

/// Gives a record that was followed its new attribution and numbers.
pub(in crate::store) fn moved(
    transaction: &Transaction<'_>,
    (dims_before, before): (i64, &UsageRecord),
    (dims, after): (i64, &UsageRecord),
    hour: i64,
) -> Result<(), StoreError> {
    let Some(retry) = followed(transaction, after)? else { return Ok(()) };
    let mut memory = Memory::default();
    for (facet, value) in with_retry(before, retry) {
        let counted = adjust::counted(transaction, before.clone())?.record;
        let place = (facet, hour, known(transaction, facet, &value)?, dims_before);
        change(transaction, place, |sums, parts| {
            parts.subtract(&counts_of(facet, before));
            Ok(sums.subtract(&sums_of(facet, before, &Sums::of(&counted)))?)
        })?;
    }
    for (facet, value) in with_retry(after, retry) {
        let counted = adjust::counted(transaction, after.clone())?.record;
        let id = match &value {
            Value::Number(number) => Some(*number),
            Value::Name(name) => Some(intern(transaction, &mut memory, facet, name, &Seen::of(after))?),
        };
        change(transaction, (facet, hour, id, dims), |sums, parts| {
            parts.add(&counts_of(facet, after));
            Ok(sums.add(&sums_of(facet, after, &Sums::of(&counted)))?)
        })?;
    }
    Ok(())
}

/// Corrects the price of a record that was followed: takes sums from its rows of an hour, and adds others.
pub(in crate::store) fn corrected(
    transaction: &Transaction<'_>,
    record: &UsageRecord,
    (hour, dims): (i64, i64),
    minus: &Sums,
    plus: &Sums,
) -> Result<(), StoreError> {
    let Some(retry) = followed(transaction, record)? else { return Ok(()) };
    for (facet, value) in with_retry(record, retry) {
        let place = (facet, hour, known(transaction, facet, &value)?, dims);
        change(transaction, place, |sums, _| {
            sums.add(&corrected_sums_of(facet, plus))?;
            Ok(sums.subtract(&corrected_sums_of(facet, minus))?)
        })?;
    }
    Ok(())
}

/// How a record that was followed is a retry, if it is one; `None` where it was not followed yet.
fn followed(transaction: &Transaction<'_>, record: &UsageRecord) -> Result<Option<Option<i64>>, StoreError> {
    let id: crate::store::RecordId = record.head.id.parse().map_err(|_| StoreError::Damaged("id"))?;
    let mut statement = transaction.prepare_cached("SELECT seq, retry FROM records WHERE id = ?1")?;
    let found: Option<(i64, Option<i64>)> =
        statement.query_row([id.0.as_slice()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let place = place(transaction)?;
    Ok(found.filter(|(seq, _)| *seq <= place).map(|(_, retry)| retry))
}

fn known(connection: &Connection, facet: Facet, value: &Value) -> Result<Option<i64>, StoreError> {
    match value {
        Value::Number(number) => Ok(Some(*number)),
        Value::Name(name) => match super::id(connection, facet, name)? {
            Some(id) => Ok(Some(id)),
            None => super::id(connection, facet, OTHERS),
        },
    }
}

/// Changes a row; one that is to be nothing goes.
fn change(
    transaction: &Transaction<'_>,
    (facet, hour, value, dims): (Facet, i64, Option<i64>, i64),
    edit: impl FnOnce(&mut Sums, &mut PromptCounts) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some(value) = value else { return Ok(()) };
    let key = params![facet as i64, hour, value, dims];
    let found: Option<(Vec<u8>, Vec<u8>)> = transaction
        .prepare_cached(
            "SELECT sums, counts FROM facet_hour WHERE facet = ?1 AND hour = ?2 AND value = ?3 AND dims = ?4",
        )?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (mut sums, mut parts) = match found {
        None => Default::default(),
        Some((sums, parts)) => {
            (Sums::decode(&sums)?, counts::decode(&parts).ok_or(StoreError::Damaged("facet_hour"))?)
        }
    };
    edit(&mut sums, &mut parts)?;
    sums.forget_nothing();
    if sums == Sums::default() {
        transaction
            .prepare_cached(
                "DELETE FROM facet_hour WHERE facet = ?1 AND hour = ?2 AND value = ?3 AND dims = ?4",
            )?
            .execute(key)?;
    } else {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO facet_hour VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![facet as i64, hour, value, dims, sums.encode(), counts::encode(&parts)])?;
    }
    Ok(())
}

/// The id of a name, which is stored where it is new. Names that callers can make up without end are bounded
/// by day: what is beyond counts under [`OTHERS`].
fn intern(
    transaction: &Transaction<'_>,
    memory: &mut Memory,
    facet: Facet,
    name: &str,
    seen: &Seen,
) -> Result<i64, StoreError> {
    let starter = seen.parent.as_deref().filter(|parent| facet == Facet::Run && *parent != name);
    let parent = starter.map(|starter| intern_starter(transaction, starter, seen.first_ms)).transpose()?;
    let known = super::id(transaction, facet, name)?;
    let name = match known {
        None if !memory.may_be_new(transaction, facet, seen.first_ms)? => OTHERS,
        _ => name,
    };
    let id = transaction
        .prepare_cached(
            "INSERT INTO facet_values (facet, name, parent, first_ms, last_ms, first_tokens, last_tokens)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET parent = ifnull(parent, excluded.parent),
                 first_tokens =
                     iif(first_tokens < 0 OR excluded.first_ms < first_ms, excluded.first_tokens, first_tokens),
                 first_ms = iif(first_tokens < 0, excluded.first_ms, min(first_ms, excluded.first_ms)),
                 last_tokens =
                     iif(last_tokens < 0 OR excluded.last_ms >= last_ms, excluded.last_tokens, last_tokens),
                 last_ms = iif(last_tokens < 0, excluded.last_ms, max(last_ms, excluded.last_ms))
             RETURNING id",
        )?
        .query_row(
            params![
                facet as i64,
                name,
                parent,
                seen.first_ms,
                seen.last_ms,
                seen.first_tokens,
                seen.last_tokens
            ],
            |row| row.get(0),
        )?;
    Ok(id)
}

/// The id of a run that started another one, at this time or earlier. As long as it makes no call itself, its
/// tokens are -1 and its times those of the runs that it started.
fn intern_starter(transaction: &Transaction<'_>, name: &str, first_ms: i64) -> Result<i64, StoreError> {
    let id = transaction
        .prepare_cached(
            "INSERT INTO facet_values (facet, name, first_ms, last_ms, first_tokens, last_tokens)
             VALUES (?1, ?2, ?3, ?3, -1, -1)
             ON CONFLICT DO UPDATE SET
                 first_ms = iif(first_tokens < 0, min(first_ms, excluded.first_ms), first_ms)
             RETURNING id",
        )?
        .query_row(params![Facet::Run as i64, name, first_ms], |row| row.get(0))?;
    Ok(id)
}

/// Forgets the runs of the oldest hour that is before this time, and of no later one.
pub(in crate::store) fn expire(transaction: &Transaction<'_>, horizon_ms: i64) -> Result<(), StoreError> {
    let hour = horizon_ms.div_euclid(MS_PER_HOUR);
    let sql = "SELECT min(hour) FROM facet_hour WHERE facet = ?1";
    let first: Option<i64> = transaction.query_row(sql, [Facet::Run as i64], |row| row.get(0))?;
    if let Some(first) = first.filter(|first| *first < hour) {
        // An hour at a time, so that gateways do not wait long.
        transaction
            .prepare_cached("DELETE FROM facet_hour WHERE facet = ?1 AND hour = ?2")?
            .execute([Facet::Run as i64, first])?;
        transaction
            .prepare_cached("DELETE FROM facet_values WHERE facet = ?1 AND first_ms < ?2 AND last_ms < ?3")?
            .execute([Facet::Run as i64, first.saturating_add(1).saturating_mul(MS_PER_HOUR), horizon_ms])?;
    }
    // A number that the newest record had may be given again once it is removed.
    transaction
        .execute("UPDATE facets_state SET seq = min(seq, (SELECT ifnull(max(seq), 0) FROM records))", [])?;
    Ok(())
}

impl Memory {
    /// How a record is a retry, if it is one.
    fn retry_of(&mut self, record: &UsageRecord) -> Option<i64> {
        let is_repeat = self.is_repeat(record).then_some(REPEATED);
        is_repeat.or_else(|| record.attempts.is_some_and(|attempts| attempts > 1).then_some(TRIED_AGAIN))
    }

    /// Whether the agent sent the same request shortly before.
    fn is_repeat(&mut self, record: &UsageRecord) -> bool {
        let Some(print) = record.request_hash.clone() else { return false };
        let key = (record.head.attribution.agent.clone(), print);
        let last = self.requests.insert(key, record.head.time_ms);
        last.is_some_and(|last| record.head.time_ms.abs_diff(last) <= REPEATED_MS)
    }

    /// Whether the same model was asked with the same system prompt and tools shortly before.
    fn repeats_prefix(&mut self, record: &UsageRecord, dims: i64) -> bool {
        let has_print = record
            .prompt
            .as_ref()
            .is_some_and(|shape| shape.system_hash.is_some() || shape.tools_hash.is_some());
        let Some(prompt) = prompt_of(record).filter(|_| has_print) else { return false };
        let last = self.prefixes.insert((dims, prompt), record.head.time_ms);
        last.is_some_and(|last| record.head.time_ms.abs_diff(last) <= CACHED_MS)
    }

    /// Whether one more name of this facet may be new on this day.
    fn may_be_new(
        &mut self,
        connection: &Connection,
        facet: Facet,
        first_ms: i64,
    ) -> Result<bool, StoreError> {
        if facet == Facet::Run {
            return Ok(true); // they go with their records
        }
        let day = first_ms.div_euclid(DAY_MS);
        let known = match self.names.get(&(facet as i64, day)) {
            Some(known) => *known,
            None => {
                let sql =
                    "SELECT count(*) FROM facet_values WHERE facet = ?1 AND first_ms >= ?2 AND first_ms < ?3";
                let (from, to) = (day.saturating_mul(DAY_MS), day.saturating_add(1).saturating_mul(DAY_MS));
                let count: i64 =
                    connection.prepare_cached(sql)?.query_row([facet as i64, from, to], |row| row.get(0))?;
                count.unsigned_abs()
            }
        };
        self.names.insert((facet as i64, day), known.saturating_add(1));
        Ok(known < NAMES_A_DAY_MAX)
    }

    /// Keeps what may still be repeated.
    fn forget_some(&mut self) {
        fn newest<K>(times: &HashMap<K, u64>) -> u64 {
            times.values().copied().max().unwrap_or(0)
        }
        if self.requests.len() > REMEMBERED_MAX {
            let since = newest(&self.requests).saturating_sub(REPEATED_MS);
            self.requests.retain(|_, time| *time >= since);
        }
        if self.prefixes.len() > REMEMBERED_MAX {
            let since = newest(&self.prefixes).saturating_sub(CACHED_MS);
            self.prefixes.retain(|_, time| *time >= since);
        }
        if self.requests.len() > 2 * REMEMBERED_MAX {
            self.requests.clear();
        }
        if self.prefixes.len() > 2 * REMEMBERED_MAX {
            self.prefixes.clear();
        }
        if self.names.len() > REMEMBERED_MAX {
            self.names.clear();
        }
    }
}

/// A retry: the agent sent the same request shortly before.
pub(in crate::store) const REPEATED: i64 = 1;
/// A retry: Envoy tried it more than once.
const TRIED_AGAIN: i64 = 2;
/// Stands for names beyond the bound. No tag and no pair of prints is written like this.
pub(in crate::store) const OTHERS: &str = "(others)";
/// Records of one step: gateways wait while it is written.
const AT_A_TIME: i64 = 1_000;
/// New names of a facet on one day; runs have no such bound.
const NAMES_A_DAY_MAX: u64 = 5_000;
/// The same request of an agent within this time is a repeat.
const REPEATED_MS: u64 = 60_000;
/// Entries that are remembered before old ones are looked for.
const REMEMBERED_MAX: usize = 50_000;
const DAY_MS: i64 = 24 * MS_PER_HOUR;
