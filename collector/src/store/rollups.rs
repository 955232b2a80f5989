//! Rollups: sums by hour and by day, changed in the transaction that stores what they sum.
//!
//! A row of a rollup costs as much to change as a record to store, and records of a busy second are of as
//! many rows. So what much at once adds is stored in one piece, in `rollup_recent`, and added to the rows
//! when there is much of it: each of them changes once then. A rollup is its rows and what is recent.

pub(super) mod attributed;
pub(super) mod baseline;
pub(super) mod bound;
pub(super) mod compare;
pub(super) mod detail;
pub(super) mod dims;
pub(super) mod months;
mod operations;
pub(super) mod packed;
pub(super) mod recount;
pub(super) mod reports;
pub(super) mod spans;
pub(super) mod summary;
pub(super) mod sums;

use std::borrow::Cow;

use rusqlite::{Connection, Transaction, params};

use crate::model::clock::signed;
use crate::store::database::error::StoreError;
use crate::store::rollups::spans::Grain;
use crate::store::rollups::sums::{AsRow, InRow, Sums};

/// What a transaction adds to the rollups, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Additions {
    /// For each, the hour and the id of the dimensions, eight bytes, and the length of the sums, two, all
    /// little endian; then the sums.
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

    /// All of them, as [`each_of`] reads them.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many they are.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Stores them: in the rows where they are few or much is recent, else as they are.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        if self.count == 0 {
            return Ok(());
        }
        let (rows, recent): (u64, u64) = transaction
            .prepare_cached("SELECT count(*), ifnull(sum(count), 0) FROM rollup_recent")?
            .query_row([], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?;
        let are_few = rows == 0 && self.count <= FEW;
        if are_few || rows >= ROWS_MAX || recent.saturating_add(self.count) >= RECENT_MAX {
            return settle_with(transaction, &self.bytes);
        }
        transaction
            .prepare_cached("INSERT INTO rollup_recent (count, additions) VALUES (?1, ?2)")?
            .execute(params![signed(self.count), self.bytes])?;
        Ok(())
    }
}

/// Adds to the rows what is recent, so that they are all there is.
pub(super) fn settle(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    settle_with(transaction, &[])
}

/// Removes the rows of an hour and its day that have nothing in them any more.
pub(super) fn forget_nothing(transaction: &Transaction<'_>, hour: i64, dims: i64) -> Result<(), StoreError> {
    let nothing = Sums::default().encode();
    for (sql, time) in [
        ("DELETE FROM rollup_hour WHERE hour = ?1 AND dims = ?2 AND sums = ?3", hour),
        ("DELETE FROM rollup_day WHERE day = ?1 AND dims = ?2 AND sums = ?3", Grain::Day.of(hour)),
    ] {
        transaction.prepare_cached(sql)?.execute(params![time, dims, nothing])?;
    }
    Ok(())
}

/// Hands over what is recent: hour, id of the dimensions and encoded sums of each addition, in no order.
pub(super) fn each_recent(
    connection: &Connection,
    mut take: impl FnMut(i64, i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("SELECT additions FROM rollup_recent")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each_of(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?, &mut take)?;
    }
    Ok(())
}

/// Hands over what is stored in one piece: time, id of the dimensions and encoded sums of each addition, in
/// its order.
pub(super) fn each_of(
    piece: &[u8],
    mut take: impl FnMut(i64, i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for addition in Reader(piece) {
        let Addition { time, dims, sums } = addition?;
        take(time, dims, sums)?;
    }
    Ok(())
}

fn settle_with(transaction: &Transaction<'_>, more: &[u8]) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached("SELECT additions FROM rollup_recent")?;
    let recent = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<Vec<u8>>, _>>()?;
    let mut additions = Vec::new();
    for bytes in recent.iter().map(Vec::as_slice).chain([more]) {
        for addition in Reader(bytes) {
            additions.push(addition?);
        }
    }
    if !recent.is_empty() {
        transaction.prepare_cached("DELETE FROM rollup_recent")?.execute([])?;
    }
    packed::change(transaction, additions.iter().map(|one| one.time))?;
    let hours = merged(&mut additions)?;
    upsert(
        transaction,
        "INSERT INTO rollup_hour (hour, dims, sums) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET sums = sums_add(sums, excluded.sums)",
        &hours,
    )?;
    let of_days =
        hours.iter().map(|one| Addition { time: Grain::Day.of(one.time), dims: one.dims, sums: &one.sums });
    upsert(
        transaction,
        "INSERT INTO rollup_day (day, dims, sums) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET sums = sums_add(sums, excluded.sums)",
        &merged(&mut of_days.collect::<Vec<_>>())?,
    )
}

/// One for each time and dimensions, in the order of the tables.
fn merged<'a>(additions: &mut [Addition<'a>]) -> Result<Vec<Merged<'a>>, StoreError> {
    additions.sort_unstable_by_key(|one| (one.time, one.dims));
    let of_one_row = additions.chunk_by(|one, next| (one.time, one.dims) == (next.time, next.dims));
    let mut all = Vec::new();
    for same in of_one_row {
        let [Addition { time, dims, sums }, more @ ..] = same else { continue };
        let sums = if more.is_empty() {
            Cow::Borrowed(*sums)
        } else {
            let mut sum = Sums::decode(sums)?;
            more.iter().try_for_each(|one| sum.add_encoded(one.sums))?;
            Cow::Owned(sum.encode())
        };
        all.push(Merged { time: *time, dims: *dims, sums });
    }
    Ok(all)
}

fn upsert(transaction: &Transaction<'_>, sql: &str, rows: &[Merged<'_>]) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(sql)?;
    for Merged { time, dims, sums } in rows {
        statement.execute(params![time, dims, &**sums])?;
    }
    Ok(())
}

/// Encoded sums that come to a row: of an hour as they are stored.
struct Addition<'a> {
    time: i64,
    dims: i64,
    sums: &'a [u8],
}

struct Merged<'a> {
    time: i64,
    dims: i64,
    sums: Cow<'a, [u8]>,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn read(&mut self) -> Option<Addition<'a>> {
        let (time, rest) = self.0.split_first_chunk()?;
        let (dims, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (sums, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        self.0 = rest;
        Some(Addition { time: i64::from_le_bytes(*time), dims: i64::from_le_bytes(*dims), sums })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn additions_read_back_and_a_part_of_them_is_damaged(
            all in proptest::collection::vec((any::<i64>(), any::<i64>(), proptest::collection::vec(any::<u8>(), 0..40)), 1..20),
            less in 1usize..18,
        ) {
            let mut additions = Additions::default();
            for (hour, dims, sums) in &all {
                additions.add(*hour, *dims, sums).unwrap();
            }
            let read = Reader(&additions.bytes).map(|one| one.map(|one| (one.time, one.dims, one.sums.to_vec())));
            prop_assert_eq!(read.collect::<Result<Vec<_>, _>>().unwrap(), all);
            // What is cut off is never a whole one.
            let cut = &additions.bytes[..additions.bytes.len() - less];
            prop_assert!(Reader(cut).any(|one| one.is_err()));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reader(&bytes).count();
        }
    }
}
