//! What is over, in one piece: the rollup of each hour, day and week that has ended.
//!
//! A summary of a month by two dimensions is some hundred thousand rows, and most of its time went to finding
//! each of them. So the rows of what is over are stored once more, one behind the other; a week's are summed
//! first. A piece is removed with the next change of one of its rows, and made again a little later. Whoever
//! reads takes the pieces that are there, and rows for the rest.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Transaction, params};

use super::spans::{Grain, Span};
use super::sums::{AsRow, InRow, Sums};
use crate::model::clock::{MS_PER_HOUR, signed};
use crate::store::database::error::StoreError;
use crate::store::rollups::{self, Additions};

/// Notes that these hours change: the pieces that they are in are not what their rows are any more.
pub(in crate::store) fn change(
    transaction: &Transaction<'_>,
    hours: impl Iterator<Item = i64>,
) -> Result<(), StoreError> {
    let mut statement =
        transaction.prepare_cached("DELETE FROM rollup_packed WHERE hours = ?1 AND time = ?2")?;
    let hours: BTreeSet<i64> = hours.collect();
    for grain in Grain::ALL {
        let times: BTreeSet<i64> = hours.iter().map(|hour| grain.of(*hour)).collect();
        for time in times {
            statement.execute([grain.hours(), time])?;
        }
    }
    Ok(())
}

/// Hands over the rollup of some hours, in which times are not told apart: the dimensions' id and encoded
/// sums, each as often as there are units in it. What is recent is not among them.
pub(in crate::store) fn between(
    connection: &Connection,
    from_hour: i64,
    to_hour: i64,
    mut take: impl FnMut(i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for span in Span::hours(from_hour, to_hour).with_days() {
        for span in with_weeks(connection, span)? {
            each(connection, span, |_, dims, sums| take(dims, sums))?;
        }
    }
    Ok(())
}

/// The same time with the weeks that are there.
pub(in crate::store) fn with_weeks(connection: &Connection, span: Span) -> Result<Vec<Span>, StoreError> {
    let (from, to) = span.whole_weeks();
    Ok(span.with_weeks(&packed(connection, Grain::Week, from, to)?))
}

/// Hands over the rollup of a span, in the order of time: time, the dimensions' id and encoded sums of each
/// row. Weeks have to be there.
pub(in crate::store) fn each(
    connection: &Connection,
    span: Span,
    mut take: impl FnMut(i64, i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Span { grain, mut from, to } = span;
    let mut statement = connection.prepare_cached(
        "SELECT time, additions FROM rollup_packed WHERE hours = ?1 AND time >= ?2 AND time < ?3 ORDER BY time",
    )?;
    let mut pieces = statement.query([grain.hours(), from, to])?;
    while let Some(piece) = pieces.next()? {
        let time: i64 = piece.get(0)?;
        each_row(connection, Span { grain, from, to: time }, &mut take)?;
        rollups::each_of(piece.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?, |_, dims, sums| {
            take(time, dims, sums)
        })?;
        from = time.saturating_add(1);
    }
    each_row(connection, Span { grain, from, to }, &mut take)
}

/// The same of rows alone, pieces left aside.
pub(in crate::store) fn each_row(
    connection: &Connection,
    Span { grain, from, to }: Span,
    take: &mut impl FnMut(i64, i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = match grain {
        _ if from >= to => return Ok(()),
        Grain::Hour => "SELECT hour, dims, sums FROM rollup_hour WHERE hour >= ?1 AND hour < ?2",
        Grain::Day => "SELECT day, dims, sums FROM rollup_day WHERE day >= ?1 AND day < ?2",
        // Has no rows.
        Grain::Week => return Err(StoreError::Damaged("rollup_packed")),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([from, to])?;
    while let Some(row) = rows.next()? {
        take(row.get(0)?, row.get(1)?, row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
    }
    Ok(())
}

/// Those that are there, in order.
fn packed(connection: &Connection, grain: Grain, from: i64, to: i64) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT time FROM rollup_packed WHERE hours = ?1 AND time >= ?2 AND time < ?3 ORDER BY time";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_map([grain.hours(), from, to], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Packs what is over and not packed, the newest first, as much as a transaction is to do; true where more is
/// left.
pub(super) fn pack_some(transaction: &Transaction<'_>, now_ms: u64) -> Result<bool, StoreError> {
    rollups::settle(transaction)?;
    let now_hour = signed(now_ms).div_euclid(MS_PER_HOUR);
    let first: Option<i64> =
        transaction.query_row("SELECT min(hour) FROM rollup_hour", [], |row| row.get(0))?;
    let Some(first_hour) = first else { return Ok(false) };
    let mut insert = transaction
        .prepare_cached("INSERT INTO rollup_packed (hours, time, additions) VALUES (?1, ?2, ?3)")?;
    let mut rows = 0u64;
    for grain in Grain::ALL {
        let end = grain.of(now_hour.saturating_sub(LATE_HOURS));
        let oldest = grain.of(first_hour).max(end.saturating_sub(PACKED_HOURS_MAX / grain.hours()));
        let known: BTreeSet<i64> = packed(transaction, grain, oldest, end)?.into_iter().collect();
        for time in (oldest..end).rev().filter(|time| !known.contains(time)) {
            if rows >= ROWS_AT_A_TIME {
                return Ok(true);
            }
            let piece = piece(transaction, grain, time)?;
            insert.execute(params![grain.hours(), time, piece.bytes()])?;
            rows = rows.saturating_add(piece.count()).saturating_add(1);
        }
    }
    Ok(false)
}

fn piece(connection: &Connection, grain: Grain, time: i64) -> Result<Additions, StoreError> {
    let mut piece = Additions::default();
    if grain != Grain::Week {
        let span = Span { grain, from: time, to: time.saturating_add(1) };
        each(connection, span, |time, dims, sums| piece.add(time, dims, sums))?;
        return Ok(piece);
    }
    let mut all: BTreeMap<i64, Sums> = BTreeMap::new();
    let first = grain.first_hour(time);
    for span in Span::hours(first, first.saturating_add(grain.hours())).with_days() {
        each(connection, span, |_, dims, sums| Ok(all.entry(dims).or_default().add_encoded(sums)?))?;
    }
    for (dims, sums) in &all {
        piece.add(time, *dims, &sums.encode())?;
    }
    Ok(piece)
}

/// Rows that one transaction packs: gateways wait for it.
const ROWS_AT_A_TIME: u64 = 20_000;
/// Packed this long after the end: gateways may be a little late.
const LATE_HOURS: i64 = 2;
/// What is older than this is read by rows: a little more than two years.
const PACKED_HOURS_MAX: i64 = 110 * 7 * 24;

#[cfg(test)]
mod tests {
    use super::super::summary::Every;
    use crate::store::Store;
    use crate::store::records::batch::{Batch, Sender};
    use crate::store::several::{everything, record, runtime};

    #[test]
    fn summaries_are_the_same_from_pieces_and_from_rows_also_after_a_late_record() {
        const HOUR_MS: u64 = 3_600_000;
        const START_HOUR: u64 = 168 * 2_900 - 50;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let ingest = |numbers: std::ops::Range<u64>, hour: fn(u64) -> u64| {
            let mut batch = Batch::new(Sender::default());
            for n in numbers {
                let mut record = record(n, &format!("agent-{}", n % 3));
                record.head.time_ms = (START_HOUR + hour(n)) * HOUR_MS;
                batch.push(&record).unwrap();
            }
            runtime().block_on(store.ingest(batch)).unwrap();
        };
        let summaries = || {
            let from = i64::try_from(START_HOUR).unwrap();
            let spans = [(0, 1_000), (3, 900), (51, 600), (240, 460)];
            let all = spans.into_iter().flat_map(|span| {
                [Every::Period, Every::Month, Every::Week, Every::Day, Every::Hour].map(|every| (span, every))
            });
            let summary = |((first, end), every)| {
                let query = crate::store::rollups::summary::SummaryQuery {
                    from_hour: from + first,
                    to_hour: from + end,
                    every,
                    ..everything()
                };
                let mut summary = runtime().block_on(store.summary(query)).unwrap();
                summary.rows.sort_by(|a, b| (a.hour, &a.values).cmp(&(b.hour, &b.values)));
                summary
            };
            all.map(summary).collect::<Vec<_>>()
        };
        let now_ms = (START_HOUR + 1_100) * HOUR_MS;
        let pack = || runtime().block_on(store.pack(None, now_ms)).unwrap();
        let there = || {
            let connection =
                crate::store::database::open::open_reader(&dir.path().join(crate::store::DATABASE)).unwrap();
            [1, 24, 168].map(|hours| -> i64 {
                let sql = "SELECT count(*) FROM rollup_packed WHERE hours = ?1";
                connection.query_row(sql, [hours], |row| row.get(0)).unwrap()
            })
        };
        ingest(0..2_000, |n| n / 2);
        let by_rows = summaries();
        // The first of them are in days and weeks that began before.
        assert_eq!((pack(), there()), (false, [1_098, 46, 7]));
        assert_eq!(summaries(), by_rows);
        assert!(runtime().block_on(store.accounts()).unwrap().balanced);
        // A late record: what it is in is read by rows until it is packed again.
        ingest(5_000..5_001, |_| 300);
        let late = summaries();
        assert_eq!(there(), [1_097, 45, 6]);
        assert_eq!(late[0].total.calls, 2_001);
        assert!(runtime().block_on(store.accounts()).unwrap().balanced);
        assert_eq!((pack(), there()), (false, [1_098, 46, 7]));
        assert_eq!(summaries(), late);
    }
}
