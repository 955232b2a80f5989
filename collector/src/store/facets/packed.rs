//! Runs of hours that are over, in one piece an hour: what a list of many runs is read from.
//!
//! A run is a row, and a row for each hour and what it called; finding each of them was most of the time. So
//! the runs that began in an hour are stored once more, one behind the other. Triggers of the database remove
//! a piece with any change of a run in it, and it is made again a little later. Where no piece is, the same
//! bytes are made of the rows while somebody waits.
//!
//! A piece is, for each run in the order of their starts: its id, its starter's id plus 1, milliseconds of
//! its first call in the hour, its length, tokens of its first and last prompt, and the number of its parts;
//! of each part its dimensions' id, its counts and its cost. An id that may be less than the one before is
//! written as an amount.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Transaction, params};
use tollgate_core::money::Picodollars;
use tollgate_core::record::Totals;

use super::Facet;
use crate::model::clock::{MS_PER_HOUR, signed};
use crate::model::run::{Run, RunTotals};
use crate::store::database::error::StoreError;
use crate::store::database::numbers::{Reader, put_count, put_money};
use crate::store::rollups::sums::{InRow as _, SumsError};

/// Hands over the runs that began in these milliseconds, the last exclusive, in the order of their starts:
/// without agent and totals, and then what each did by dimensions.
pub(super) fn each(
    connection: &Connection,
    (from_ms, to_ms): (i64, i64),
    mut take: impl FnMut(&mut Run, &[(i64, RunTotals)]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut parts = Vec::new();
    let mut read = |hour: i64, bytes: &[u8]| {
        let mut piece = Piece::of(hour, bytes);
        while let Some(mut run) = piece.next(&mut parts)? {
            if (from_ms..to_ms).contains(&run.first_ms) {
                take(&mut run, &parts)?;
            }
        }
        Ok::<_, StoreError>(())
    };
    let mut statement = connection
        .prepare_cached("SELECT hour, runs FROM runs_packed WHERE hour >= ?1 AND hour <= ?2 ORDER BY hour")?;
    let mut pieces = statement
        .query([from_ms.div_euclid(MS_PER_HOUR), to_ms.saturating_sub(1).div_euclid(MS_PER_HOUR)])?;
    let mut at_ms = from_ms;
    while let Some(piece) = pieces.next()? {
        let hour: i64 = piece.get(0)?;
        each_of_rows(connection, (at_ms, hour.saturating_mul(MS_PER_HOUR)), &mut read)?;
        read(hour, piece.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
        at_ms = hour.saturating_add(1).saturating_mul(MS_PER_HOUR);
    }
    each_of_rows(connection, (at_ms, to_ms), &mut read)
}

/// Hands over pieces that are made of rows, of each hour in this time in which a run began.
fn each_of_rows(
    connection: &Connection,
    (from_ms, to_ms): (i64, i64),
    take: &mut impl FnMut(i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut at_ms = from_ms;
    while let Some(hour) = next_hour(connection, at_ms, to_ms)? {
        take(hour, &piece(connection, hour)?)?;
        at_ms = hour.saturating_add(1).saturating_mul(MS_PER_HOUR);
    }
    Ok(())
}

/// The first hour in this time in which a run began.
fn next_hour(connection: &Connection, from_ms: i64, to_ms: i64) -> Result<Option<i64>, StoreError> {
    if from_ms >= to_ms {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(
        "SELECT min(first_ms) FROM facet_values WHERE facet = ?1 AND first_ms >= ?2 AND first_ms < ?3",
    )?;
    let first: Option<i64> = statement.query_row([Facet::Run as i64, from_ms, to_ms], |row| row.get(0))?;
    Ok(first.map(|first| first.div_euclid(MS_PER_HOUR)))
}

/// Packs hours that are over and not packed, the newest first, as much as a transaction is to do; true where
/// more is left.
pub(in crate::store) fn pack_some(transaction: &Transaction<'_>, now_ms: u64) -> Result<bool, StoreError> {
    let end = signed(now_ms).div_euclid(MS_PER_HOUR).saturating_sub(LATE_HOURS);
    let oldest = end.saturating_sub(HOURS_MAX);
    let known: BTreeSet<i64> = transaction
        .prepare_cached("SELECT hour FROM runs_packed WHERE hour >= ?1 AND hour < ?2")?
        .query_map([oldest, end], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut insert = transaction.prepare_cached("INSERT INTO runs_packed (hour, runs) VALUES (?1, ?2)")?;
    let mut last_before = transaction
        .prepare_cached("SELECT max(first_ms) FROM facet_values WHERE facet = ?1 AND first_ms < ?2")?;
    let (mut at, mut bytes) = (end, 0usize);
    while at > oldest {
        if !known.contains(&at.saturating_sub(1)) {
            let before = at.saturating_mul(MS_PER_HOUR);
            let last: Option<i64> = last_before.query_row([Facet::Run as i64, before], |row| row.get(0))?;
            let Some(last) = last else { break };
            at = last.div_euclid(MS_PER_HOUR).saturating_add(1);
        }
        at = at.saturating_sub(1);
        if at < oldest || known.contains(&at) {
            continue;
        }
        if bytes >= BYTES_AT_A_TIME {
            return Ok(true);
        }
        let piece = piece(transaction, at)?;
        insert.execute(params![at, piece])?;
        bytes = bytes.saturating_add(piece.len());
    }
    Ok(false)
}

/// What a run is made of on its way into a piece.
struct Found {
    run: Run,
    parts: BTreeMap<i64, RunTotals>,
}

/// The piece of an hour, made of rows.
fn piece(connection: &Connection, hour: i64) -> Result<Vec<u8>, StoreError> {
    let start_ms = hour.saturating_mul(MS_PER_HOUR);
    let mut statement = connection.prepare_cached(
        "SELECT id, parent, first_ms, last_ms, first_tokens, last_tokens FROM facet_values
         WHERE facet = ?1 AND first_ms >= ?2 AND first_ms < ?3 ORDER BY first_ms, id",
    )?;
    let found = statement
        .query_map([Facet::Run as i64, start_ms, start_ms.saturating_add(MS_PER_HOUR)], super::runs::read)?;
    let mut found: Vec<Found> = found
        .map(|run| Ok(Found { run: run?, parts: BTreeMap::new() }))
        .collect::<Result<_, rusqlite::Error>>()?;
    let places: BTreeMap<i64, usize> = found.iter().enumerate().map(|(at, one)| (one.run.id, at)).collect();
    super::each(connection, Facet::Run, (hour, hour.saturating_add(1)), |row| {
        match places.get(&row.value).and_then(|at| found.get_mut(*at)) {
            Some(one) => add(&mut one.parts, row.dims, row.sums),
            None => Ok(()),
        }
    })?;
    for one in found.iter_mut().filter(|one| one.run.last_ms.div_euclid(MS_PER_HOUR) > hour) {
        let later = (hour.saturating_add(1), one.run.last_ms.div_euclid(MS_PER_HOUR));
        super::runs::each_of(connection, one.run.id, later, |dims, sums| add(&mut one.parts, dims, sums))?;
    }
    let mut bytes = Vec::new();
    let mut before = 0i64;
    for Found { run, parts } in &found {
        put_signed(&mut bytes, run.id.saturating_sub(before));
        before = run.id;
        put_count(&mut bytes, run.parent.map_or(0, |parent| parent.unsigned_abs().saturating_add(1)));
        put_count(&mut bytes, run.first_ms.saturating_sub(start_ms).max(0).unsigned_abs());
        put_signed(&mut bytes, run.last_ms.saturating_sub(run.first_ms));
        put_count(&mut bytes, run.first_tokens);
        put_count(&mut bytes, run.last_tokens);
        put_count(&mut bytes, u64::try_from(parts.len()).unwrap_or(u64::MAX));
        for (dims, totals) in parts {
            put_count(&mut bytes, dims.unsigned_abs());
            for count in totals.calls() {
                put_count(&mut bytes, count.into());
            }
            put_count(&mut bytes, totals.input_tokens);
            put_count(&mut bytes, totals.output_tokens);
            put_money(&mut bytes, totals.cost);
        }
    }
    Ok(bytes)
}

fn add(parts: &mut BTreeMap<i64, RunTotals>, dims: i64, sums: &[u8]) -> Result<(), StoreError> {
    let totals = RunTotals::from(&Totals::decode(sums)?);
    Ok(parts.entry(dims).or_default().add(&totals)?)
}

fn put_signed(bytes: &mut Vec<u8>, value: i64) {
    put_money(bytes, Picodollars::from_pico(value.into()));
}

/// A piece that is read.
struct Piece<'a> {
    reader: Reader<'a>,
    start_ms: i64,
    before: i64,
}

impl<'a> Piece<'a> {
    const fn of(hour: i64, bytes: &'a [u8]) -> Self {
        Self { reader: Reader { bytes }, start_ms: hour.saturating_mul(MS_PER_HOUR), before: 0 }
    }

    /// The next run, with what it did in place of what is in `parts`.
    fn next(&mut self, parts: &mut Vec<(i64, RunTotals)>) -> Result<Option<Run>, SumsError> {
        parts.clear();
        if self.reader.bytes.is_empty() {
            return Ok(None);
        }
        let id = self.before.saturating_add(self.signed()?);
        self.before = id;
        let parent = self.reader.count()?.checked_sub(1).map(signed);
        let first_ms = self.start_ms.saturating_add(signed(self.reader.count()?));
        let last_ms = first_ms.saturating_add(self.signed()?);
        let (first_tokens, last_tokens) = (self.reader.count()?, self.reader.count()?);
        for _ in 0..self.reader.count()? {
            let dims = signed(self.reader.count()?);
            let mut totals = RunTotals::default();
            for count in totals.calls_mut() {
                *count = u32::try_from(self.reader.count()?).map_err(|_| SumsError::Damaged)?;
            }
            totals.input_tokens = self.reader.count()?;
            totals.output_tokens = self.reader.count()?;
            totals.cost = self.reader.money()?;
            parts.push((dims, totals));
        }
        Ok(Some(Run { id, parent, first_ms, last_ms, first_tokens, last_tokens, ..Run::default() }))
    }

    fn signed(&mut self) -> Result<i64, SumsError> {
        i64::try_from(self.reader.money()?.as_pico()).map_err(|_| SumsError::Damaged)
    }
}

/// Bytes that one transaction packs: gateways wait for it.
const BYTES_AT_A_TIME: usize = 200_000;
/// Packed this long after the end: gateways may be a little late.
const LATE_HOURS: i64 = 2;
/// What is older than this is read by rows: a little more than two years.
const HOURS_MAX: i64 = 110 * 7 * 24;
