//! What providers said that calls cost, beside the book's charges: sums by hour, dimensions and row of the
//! book, so that a question about days reads no record. They are kept as long as records are.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tollgate_core::money::Picodollars;
use tollgate_core::record::UsageRecord;

use super::dims::{DimsTable, Filters};
use crate::model::clock::{MS_PER_HOUR, signed};
use crate::model::dimension::Dimension;
use crate::model::drift::{Drift, Reported};
use crate::store::database::error::StoreError;

/// Hour, dimensions and row of the book.
pub(in crate::store) type Place = (i64, i64, String);

/// Sums that a transaction adds to.
#[derive(Debug, Default)]
pub(in crate::store) struct Reports(BTreeMap<Place, Reported>);

/// What one record adds to a row.
pub(in crate::store) type Report = (String, Reported);

/// What a record adds, if anything.
pub(in crate::store) fn of(record: &UsageRecord) -> Option<Report> {
    Reported::of(record).map(|(row, reported)| (row.to_owned(), reported))
}

impl Reports {
    /// Adds what a call of this time and these dimensions said.
    pub(in crate::store) fn add(&mut self, time_ms: i64, dims: i64, (row, more): &Report) {
        let place = (time_ms.div_euclid(MS_PER_HOUR), dims, row.clone());
        self.0.entry(place).or_default().add(more);
    }

    /// Adds all to the table.
    pub(in crate::store) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        for (place, more) in &self.0 {
            change(transaction, place, |sum| sum.add(more))?;
        }
        Ok(())
    }
}

/// Changes a row of the table; one without calls goes.
fn change(
    transaction: &Transaction<'_>,
    (hour, dims, model): &Place,
    edit: impl FnOnce(&mut Reported),
) -> Result<(), StoreError> {
    let mut sum = transaction
        .prepare_cached(
            "SELECT calls, off_calls, doubted_calls, without_price, book, provider FROM price_reports
             WHERE hour = ?1 AND dims = ?2 AND model = ?3",
        )?
        .query_row(params![hour, dims, model], |row| read(row, 0))
        .optional()?
        .unwrap_or_default();
    edit(&mut sum);
    if sum.calls == 0 {
        transaction
            .prepare_cached("DELETE FROM price_reports WHERE hour = ?1 AND dims = ?2 AND model = ?3")?
            .execute(params![hour, dims, model])?;
        return Ok(());
    }
    transaction
        .prepare_cached("INSERT OR REPLACE INTO price_reports VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            hour,
            dims,
            model,
            signed(sum.calls),
            signed(sum.off_calls),
            signed(sum.doubted_calls),
            signed(sum.without_price),
            sum.book.as_pico().to_be_bytes(),
            sum.provider.as_pico().to_be_bytes(),
        ])?;
    Ok(())
}

/// Takes out what a record said, and adds what it says now.
pub(in crate::store) fn moved(
    transaction: &Transaction<'_>,
    (dims_before, before): (i64, &UsageRecord),
    (dims, after): (i64, &UsageRecord),
) -> Result<(), StoreError> {
    let place = |record: &UsageRecord, dims, row: &str| -> Place {
        let hour = signed(record.head.time_ms).div_euclid(MS_PER_HOUR);
        (hour, dims, row.to_owned())
    };
    if let Some((row, less)) = Reported::of(before) {
        change(transaction, &place(before, dims_before, row), |sum| sum.take(&less))?;
    }
    if let Some((row, more)) = Reported::of(after) {
        change(transaction, &place(after, dims, row), |sum| sum.add(&more))?;
    }
    Ok(())
}

/// Hands over every row of these hours, the last exclusive.
pub(in crate::store) fn each_between(
    connection: &Connection,
    (from_hour, to_hour): (i64, i64),
    mut take: impl FnMut(Place, Reported),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT hour, dims, model, calls, off_calls, doubted_calls, without_price, book, provider FROM price_reports
         WHERE hour >= ?1 AND hour < ?2",
    )?;
    let mut rows = statement.query([from_hour, to_hour])?;
    while let Some(row) = rows.next()? {
        take((row.get(0)?, row.get(1)?, row.get(2)?), read(row, 3)?);
    }
    Ok(())
}

/// Removes the hours that end before this time.
pub(in crate::store) fn expire(transaction: &Transaction<'_>, horizon_ms: i64) -> Result<(), StoreError> {
    let first = horizon_ms.div_euclid(MS_PER_HOUR);
    transaction.prepare_cached("DELETE FROM price_reports WHERE hour < ?1")?.execute([first])?;
    Ok(())
}

pub(super) fn drifting(
    connection: &Connection,
    dims: &DimsTable,
    hours: (i64, i64),
    filters: &Filters,
) -> Result<Vec<Drift>, StoreError> {
    let mut rows: BTreeMap<(String, String), Reported> = BTreeMap::new();
    each_between(connection, hours, |(_, id, model), reported| {
        if let Some(of) = dims.get(id).filter(|of| filters.keep(of)) {
            let provider = of.value(Dimension::Provider).unwrap_or_default().to_owned();
            rows.entry((provider, model)).or_default().add(&reported);
        }
    })?;
    let all = rows.into_iter().map(|((provider, model), reported)| Drift { provider, model, reported });
    let mut drifting: Vec<Drift> = all.filter(|row| row.reported.is_drift()).collect();
    let difference = |row: &Drift| (row.reported.book - row.reported.provider).as_pico().saturating_abs();
    drifting.sort_by_key(|row| std::cmp::Reverse(difference(row)));
    Ok(drifting)
}

fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Reported> {
    let count = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, i64>(first + at)?.unsigned_abs());
    let amount = |at: usize| {
        let bytes: [u8; 16] = row.get(first + at)?;
        Ok::<_, rusqlite::Error>(Picodollars::from_pico(i128::from_be_bytes(bytes)))
    };
    Ok(Reported {
        calls: count(0)?,
        off_calls: count(1)?,
        doubted_calls: count(2)?,
        without_price: count(3)?,
        book: amount(4)?,
        provider: amount(5)?,
    })
}

#[cfg(test)]
mod tests {
    use crate::store::Store;
    use tollgate_core::price::Step;
    use tollgate_core::price::{Charge, PriceBasis};
    use tollgate_core::record::CostSource;
    use tollgate_core::usage::Kind;

    use super::*;
    use crate::store::records::batch::{Batch, Sender};
    use crate::store::several::{record, runtime};

    fn told(n: u64, agent: &str, (book, word): (i128, i128)) -> UsageRecord {
        let mut record = record(n, agent);
        let pico = Picodollars::from_pico;
        record.charges = vec![Charge {
            model: "m".into(),
            kind: Kind::Input,
            quantity: 1,
            rate: pico(book),
            cost_usd: pico(book),
        }];
        record.price_basis =
            vec![PriceBasis { model: "m".into(), step: Some(Step::Exact), ..PriceBasis::default() }];
        (record.cost_usd, record.provider_cost_usd) = (pico(word), Some(pico(word)));
        record.cost_source = CostSource::Provider;
        record
    }

    #[test]
    fn drift_is_what_records_said_once_each_by_hour_and_dimension_and_the_recount_knows_it() {
        let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
        let store = Store::open(dir.path()).unwrap();
        let mut batch = Batch::new(Sender { gateway: "g".into(), instance: "i".into(), ..Sender::default() });
        for n in 0..10 {
            batch.push(&told(n, "near", (1_000, 1_000))).unwrap();
            batch.push(&told(100 + n, "far", (1_000, 5_000))).unwrap();
        }
        batch.push(&record(200, "silent")).unwrap();
        let again = batch.clone();
        runtime.block_on(store.ingest(batch)).unwrap();
        runtime.block_on(store.ingest(again)).unwrap();
        let drift = |filters: Filters| runtime.block_on(store.drift(0, i64::MAX, filters)).unwrap();
        let all = drift(Filters::default());
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!((all[0].model.as_str(), all[0].reported.calls, all[0].reported.off_calls), ("m", 20, 10));
        assert_eq!((all[0].reported.book.as_pico(), all[0].reported.provider.as_pico()), (20_000, 60_000));
        let mut near = Filters::default();
        near.accept(Dimension::Agent, "near".into());
        assert_eq!(drift(near), []);
        let found = runtime.block_on(store.recount(4_000_000_000_000)).unwrap();
        assert_eq!((found.wrong, found.examples), (0, vec![]));
        let database = Connection::open(dir.path().join("tollgate.db")).unwrap();
        database.execute("UPDATE price_reports SET calls = calls + 1", []).unwrap();
        assert!(runtime.block_on(store.recount(4_000_000_000_000)).unwrap().wrong > 0);
    }

    #[test]
    fn what_is_said_goes_with_the_records() {
        let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
        let store = Store::open(dir.path()).unwrap();
        let mut batch = Batch::new(Sender { gateway: "g".into(), instance: "i".into(), ..Sender::default() });
        let old = told(1, "far", (1_000, 5_000));
        let mut new = told(2, "silent", (1_000, 1_000));
        new.head.time_ms = old.head.time_ms + 10 * 3_600_000;
        let now = new.head.time_ms;
        batch.push(&old).unwrap();
        batch.push(&new).unwrap();
        runtime.block_on(store.ingest(batch)).unwrap();
        let count = || runtime.block_on(store.drift(0, i64::MAX, Filters::default())).unwrap().len();
        assert_eq!(count(), 1);
        runtime.block_on(store.expire(None, now, 3_600_000)).unwrap();
        assert_eq!(count(), 0);
    }
}
