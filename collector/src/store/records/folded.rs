//! Totals of records that gateways folded: kept once each, so that a repeat is known, and to say how many
//! calls have no record of their own.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::id::RecordId;
use crate::model::clock::signed;
use crate::store::database::error::StoreError;
use crate::store::rollups::dims::{DimsTable, Filters};
use crate::store::rollups::sums::{InRow, Sums};

/// What a row of a batch is, where it is a total.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Span {
    /// Records that it stands for.
    pub(in crate::store) records: u64,
    /// Length of the time in which they were admitted, in milliseconds.
    pub(in crate::store) span_ms: i64,
}

/// Whether the total is new.
pub(in crate::store) fn insert(
    transaction: &Transaction<'_>,
    id: RecordId,
    (time_ms, hour): (i64, i64),
    span: Span,
    dims: i64,
    sums: &[u8],
) -> Result<bool, StoreError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO folded (id, time_ms, span_ms, hour, dims, records, sums)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
    )?;
    let records = signed(span.records);
    let values = params![id.0.as_slice(), time_ms, span.span_ms, hour, dims, records, sums];
    Ok(statement.execute(values)? == 1)
}

/// Whether a total is there.
pub(in crate::store) fn is_kept(connection: &Connection, id: RecordId) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM folded WHERE id = ?1")?;
    Ok(statement.query_row([id.0.as_slice()], |_| Ok(())).optional()?.is_some())
}

/// Whether a call of one of these dimensions, admitted at this time, may be in a total already.
pub(in crate::store) fn may_have(
    connection: &Connection,
    time_ms: i64,
    dims: &[i64],
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM folded WHERE time_ms > ?1 - 3600000 AND time_ms <= ?1 AND dims = ?2
             AND time_ms + span_ms > ?1 LIMIT 1",
    )?;
    for dims in dims {
        if statement.query_row([time_ms, *dims], |_| Ok(())).optional()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Records in totals that the rollups of these hours count.
pub(in crate::store) fn records_in(
    connection: &Connection,
    dims: &DimsTable,
    filters: &Filters,
    from_hour: i64,
    to_hour: i64,
) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT dims, sum(records) FROM folded WHERE hour >= ?1 AND hour < ?2 GROUP BY dims",
    )?;
    let mut rows = statement.query([from_hour, to_hour])?;
    let mut sum = 0u64;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if dims.get(id).is_some_and(|dims| filters.keep(dims)) {
            sum = sum.saturating_add(row.get::<_, i64>(1)?.unsigned_abs());
        }
    }
    Ok(sum)
}

/// Hands over the totals whose time begins in this one, start inclusive and end exclusive, Unix milliseconds
/// UTC.
pub(in crate::store) fn each_between(
    connection: &Connection,
    from_ms: i64,
    to_ms: i64,
    mut take: impl FnMut(i64, &Sums),
) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT dims, sums FROM folded WHERE time_ms >= ?1 AND time_ms < ?2")?;
    let mut rows = statement.query([from_ms, to_ms])?;
    while let Some(row) = rows.next()? {
        let sums = Sums::decode(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
        take(row.get(0)?, &sums);
    }
    Ok(())
}

/// Forgets totals from before the horizon, which are not taken any more: the rollups keep what they were.
pub(in crate::store) fn expire(transaction: &Transaction<'_>, horizon_ms: i64) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM folded WHERE time_ms < ?1", [horizon_ms])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use tollgate_core::budget::define;
    use tollgate_core::budget::ledger::Report;
    use tollgate_core::budget::scope::CounterKey;
    use tollgate_core::protocol::sync::CounterReport;
    use tollgate_core::record::{Folded, Folds, Totals, UsageRecord};

    use crate::model::audit::Entry;
    use crate::model::calendar::span;
    use crate::store::Store;
    use crate::store::records::batch::{Batch, Sender};
    use crate::store::several::{everything, record, runtime};
    use crate::store::writer::Stored;

    const HOUR_MS: u64 = 3_600_000;
    const MINUTE_MS: u64 = 60_000;

    fn sender(sequence: u64, received_ms: u64) -> Sender {
        Sender { gateway: "edge".into(), instance: "one".into(), sequence, received_ms, ..Sender::default() }
    }

    fn totals(records: &[UsageRecord]) -> Vec<Folded> {
        let mut folds = Folds::default();
        let mut totals = Vec::new();
        for record in records {
            let (slot, folded) = folds.fold(record).unwrap();
            totals.truncate(totals.len().max(slot));
            match totals.get_mut(slot) {
                Some(total) => *total = folded.clone(),
                None => totals.push(folded.clone()),
            }
        }
        totals
    }

    fn ingest(store: &Store, sender: Sender, records: &[UsageRecord], totals: &[Folded]) -> Stored {
        let mut batch = Batch::new(sender);
        records.iter().for_each(|record| batch.push(record).unwrap());
        totals.iter().for_each(|total| batch.push_folded(total).unwrap());
        runtime().block_on(store.ingest(batch)).unwrap()
    }

    fn accounts(store: &Store) -> crate::model::answers::audit::Accounts {
        let accounts = runtime().block_on(store.accounts()).unwrap();
        assert!(accounts.balanced, "{accounts:?}");
        accounts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Batches of records and totals, in any order, sent again at any time.
        #[test]
        fn each_record_and_each_total_counts_once(
            calls in prop::collection::vec((0u64..4, 0u64..150, any::<bool>()), 1..60),
            sent in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let records: Vec<UsageRecord> = (1..)
                .zip(&calls)
                .map(|(n, (agent, minute, _))| {
                    let mut record = record(n, &format!("agent-{agent}"));
                    record.head.time_ms += minute * MINUTE_MS;
                    record
                })
                .collect();
            let (whole, folded): (Vec<_>, Vec<_>) =
                records.iter().cloned().zip(&calls).partition(|(_, (_, _, is_whole))| *is_whole);
            let whole: Vec<_> = whole.into_iter().map(|(record, _)| record).collect();
            let folded: Vec<_> = folded.into_iter().map(|(record, _)| record).collect();
            let totals = totals(&folded);
            let batches: Vec<(&[UsageRecord], &[Folded])> =
                whole.chunks(7).map(|some| (some, &[][..])).chain(totals.chunks(3).map(|some| (&[][..], some))).collect();
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let any_order = sent.iter().map(|index| index.get(&batches));
            for (sequence, (records, totals)) in (1..).zip(any_order.chain(&batches).chain(batches.first())) {
                ingest(&store, sender(sequence, 0), records, totals);
            }
            let summary = runtime().block_on(store.summary(everything())).unwrap();
            let mut expected = Totals::default();
            records.iter().for_each(|record| expected.add(&Totals::of(record)).unwrap());
            prop_assert_eq!(summary.total, expected);
            let accounts = accounts(&store);
            prop_assert_eq!((accounts.stored, accounts.folded), (whole.len() as u64, folded.len() as u64));
            prop_assert_eq!(summary.folded, folded.len() as u64);
        }
    }

    #[test]
    fn an_access_log_does_not_count_again_what_was_folded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let records: Vec<UsageRecord> = (0..6).map(|n| record(n, &format!("agent-{}", n % 2))).collect();
        // Two are stored, two folded; the last two are of another minute, and were lost.
        let mut lost = records[4..].to_vec();
        lost.iter_mut().for_each(|record| record.head.time_ms += MINUTE_MS);
        ingest(&store, sender(1, 0), &records[..2], &totals(&records[2..4]));
        for stored in [2, 0] {
            let log: Vec<_> = records[..4].iter().chain(&lost).cloned().collect();
            let done = ingest(&store, Sender::default(), &log, &[]);
            assert_eq!((done.stored, done.duplicates), (stored, 6 - stored));
        }
        assert_eq!(runtime().block_on(store.summary(everything())).unwrap().total.calls, 6);
        assert_eq!(accounts(&store).folded, 2);
    }

    #[test]
    fn totals_count_in_a_budgets_beginning_in_open_months_and_after_their_rows_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let first = record(7, "bot");
        let now_ms = first.head.time_ms + 10 * MINUTE_MS;
        let folded = totals(&[first, record(8, "bot"), record(9, "other-bot")]);
        ingest(&store, sender(1, now_ms), &[], &folded);
        let budget = json!({"name": "b", "scope": {"agent": "bot"}, "limit_calls": 100, "window": "day"});
        let budget = define::read_one(&budget, None).unwrap();
        let key = CounterKey {
            budget: "b".into(),
            generation: 1,
            value: String::new(),
            span: span(&budget, now_ms),
        };
        let used = runtime().block_on(async {
            store.put_budget(budget, "test".into(), now_ms).await.unwrap();
            let reports = vec![CounterReport { key, report: Report::default() }];
            store.sync_counters("edge".into(), "one".into(), reports, now_ms).await.unwrap();
            store.budget_states(now_ms).await.unwrap()[0].1[0].ledger.used()
        });
        assert_eq!(used.0, 2);

        // One that comes after its month was closed counts in the hour that is open.
        let december = now_ms + 30 * 24 * HOUR_MS;
        let entry = Entry {
            time_ms: december,
            actor: "test".into(),
            action: "month.close".into(),
            ..Entry::default()
        };
        runtime().block_on(store.close_month("2026-11".parse().unwrap(), entry)).unwrap();
        ingest(&store, sender(2, december), &[], &totals(&[record(20, "bot")]));
        let november = runtime().block_on(store.closed_months()).unwrap();
        assert_eq!(november[0].totals.calls, 3);
        let hour = i64::try_from(december / HOUR_MS).unwrap();
        let query = crate::store::rollups::summary::SummaryQuery {
            from_hour: hour,
            to_hour: hour + 1,
            ..everything()
        };
        let summary = runtime().block_on(store.summary(query)).unwrap();
        assert_eq!((summary.total.calls, summary.folded), (1, 1));

        // Beyond the horizon a repeat is refused, as nobody knows any more whether it is one.
        let mut newest = record(30, "bot");
        newest.head.time_ms = december;
        ingest(&store, sender(3, december), &[newest], &[]);
        while runtime().block_on(store.expire(None, december, HOUR_MS)).unwrap() > 0 {}
        let again = ingest(&store, sender(4, december), &[], &folded);
        assert_eq!((again.folded, again.too_late.len()), (0, 2));
        assert_eq!(accounts(&store).dropped["too_late"], 3);
        assert_eq!(runtime().block_on(store.summary(everything())).unwrap().total.calls, 5);
    }
}
