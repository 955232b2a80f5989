//! Rollups: sums by hour and by day, changed in the transaction that stores what they sum.
//!
//! A row of a rollup costs as much to change as a record to store, and records of a busy second are of as many rows. So
//! what much at once adds is stored in one piece, in `rollup_recent`, and added to the rows when there is much of it:
//! each of them changes once then. A rollup is its rows and what is recent.

use rusqlite::{Connection, Transaction, params};

use super::StoreError;
use super::sums::Sums;
use super::weeks;
use super::writer::HOURS_PER_DAY;

/// What a transaction adds to the rollups, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Additions {
    /// For each, the hour and the id of the dimensions, eight bytes, and the length of the sums, two, all little endian;
    /// then the sums.
    bytes: Vec<u8>,
    count: u64,
}

impl Additions {
    /// Adds the encoded sums of a record.
    pub(super) fn add(&mut self, hour: i64, dims: i64, sums: &[u8]) -> Result<(), StoreError> {
        let length = u16::try_from(sums.len()).map_err(|_| StoreError::Damaged("sums"))?;
        self.bytes.extend_from_slice(&hour.to_le_bytes());
        self.bytes.extend_from_slice(&dims.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(sums);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Stores them: in the rows where they are few or much is recent, else as they are.
    pub(super) fn write(self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        if self.count == 0 {
            return Ok(());
        }
        let (rows, recent): (u64, u64) = transaction
            .prepare_cached("SELECT count(*), ifnull(sum(count), 0) FROM rollup_recent")?
            .query_row([], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?;
        let are_few = rows == 0 && self.count <= FEW;
        if are_few || rows >= ROWS_MAX || recent.saturating_add(self.count) >= RECENT_MAX {
            return settle_with(transaction, self);
        }
        transaction
            .prepare_cached("INSERT INTO rollup_recent (count, additions) VALUES (?1, ?2)")?
            .execute(params![i64::try_from(self.count).unwrap_or(i64::MAX), self.bytes])?;
        Ok(())
    }
}

/// Adds to the rows what is recent, so that they are all there is.
pub(super) fn settle(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    settle_with(transaction, Additions::default())
}

/// Hands over what is recent: hour, id of the dimensions and encoded sums of each addition, in no order.
pub(super) fn each_recent(
    connection: &Connection,
    mut take: impl FnMut(i64, i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("SELECT additions FROM rollup_recent")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        for addition in Reader(bytes) {
            let Addition { hour, dims, sums } = addition?;
            take(hour, dims, sums)?;
        }
    }
    Ok(())
}

fn settle_with(transaction: &Transaction<'_>, more: Additions) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached("SELECT additions FROM rollup_recent")?;
    let recent = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<Vec<u8>>, _>>()?;
    let mut additions = Vec::new();
    for bytes in recent.iter().chain(std::iter::once(&more.bytes)) {
        for addition in Reader(bytes) {
            additions.push(addition?);
        }
    }
    if !recent.is_empty() {
        transaction.prepare_cached("DELETE FROM rollup_recent")?.execute([])?;
    }
    // In the order of the tables.
    additions.sort_unstable_by_key(|one| (one.hour, one.dims));
    weeks::change(transaction, additions.iter().map(|one| one.hour))?;
    upsert(
        transaction,
        "INSERT INTO rollup_hour (hour, dims, sums) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET sums = sums_add(sums, excluded.sums)",
        &additions,
        |one| one.hour,
    )?;
    additions.sort_unstable_by_key(|one| (one.day(), one.dims));
    upsert(
        transaction,
        "INSERT INTO rollup_day (day, dims, sums) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET sums = sums_add(sums, excluded.sums)",
        &additions,
        |one| one.day(),
    )
}

/// Adds each run of additions to one row.
fn upsert(
    transaction: &Transaction<'_>,
    sql: &str,
    additions: &[Addition<'_>],
    time: impl Fn(&Addition<'_>) -> i64,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(sql)?;
    for of_one in additions.chunk_by(|one, next| one.dims == next.dims && time(one) == time(next)) {
        match of_one {
            [] => {}
            [one] => _ = statement.execute(params![time(one), one.dims, one.sums])?,
            [one, rest @ ..] => {
                let mut sums = Sums::decode(one.sums)?;
                for more in rest {
                    sums.add_encoded(more.sums)?;
                }
                statement.execute(params![time(one), one.dims, sums.encode()])?;
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Addition<'a> {
    hour: i64,
    dims: i64,
    sums: &'a [u8],
}

impl Addition<'_> {
    const fn day(&self) -> i64 {
        self.hour.div_euclid(HOURS_PER_DAY)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn read(&mut self) -> Option<Addition<'a>> {
        let (hour, rest) = self.0.split_first_chunk()?;
        let (dims, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (sums, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        self.0 = rest;
        Some(Addition { hour: i64::from_le_bytes(*hour), dims: i64::from_le_bytes(*dims), sums })
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Addition<'a>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.0 = &[];
        }
        Some(read.ok_or(StoreError::Damaged("rollup_recent")))
    }
}

fn unsigned(count: i64) -> u64 {
    count.unsigned_abs()
}

/// So many additions go to the rows at once, where nothing else is recent.
const FEW: u64 = 256;
/// Most additions that are recent: a summary reads them all.
const RECENT_MAX: u64 = 65_536;
/// Most transactions whose additions are recent.
const ROWS_MAX: u64 = 64;
