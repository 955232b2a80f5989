//! Sums of whole weeks, so that a month is few rows: made of days when a week is over, thrown away with the next change
//! of one of its days, and made again. A summary uses those that are there.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Transaction, params};

use super::rollups;
use super::sums::Sums;
use super::writer::{HOURS_PER_DAY, MS_PER_HOUR};
use super::{Lead, Store, StoreError};

/// Notes that these hours change: their weeks are not what is stored of them any more.
pub(super) fn change(
    transaction: &Transaction<'_>,
    hours: impl Iterator<Item = i64>,
) -> Result<(), StoreError> {
    let weeks: BTreeSet<i64> = hours.map(|hour| hour.div_euclid(HOURS_PER_WEEK)).collect();
    let mut statement = transaction.prepare_cached("DELETE FROM summed_weeks WHERE week = ?1")?;
    for week in weeks {
        statement.execute([week])?;
    }
    Ok(())
}

/// Weeks from `from` until before `to` whose sums are there, in their order.
pub(super) fn summed(connection: &Connection, from: i64, to: i64) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT week FROM summed_weeks WHERE week >= ?1 AND week < ?2 ORDER BY week";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_map([from, to], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Sums the newest week that is over and not summed; false where there is none.
fn sum_one(transaction: &Transaction<'_>, now_ms: u64) -> Result<bool, StoreError> {
    rollups::settle(transaction)?;
    let now = i64::try_from(now_ms).unwrap_or(i64::MAX).div_euclid(MS_PER_HOUR);
    let first: Option<i64> =
        transaction.query_row("SELECT min(day) FROM rollup_day", [], |row| row.get(0))?;
    let Some(first) = first.map(|day| day.div_euclid(DAYS_PER_WEEK)) else { return Ok(false) };
    // Gateways may be a little late.
    let end = now.saturating_sub(LATE_HOURS).div_euclid(HOURS_PER_WEEK);
    let known: BTreeSet<i64> = summed(transaction, i64::MIN, i64::MAX)?.into_iter().collect();
    let oldest = first.max(end.saturating_sub(WEEKS_MAX));
    let Some(week) = (oldest..end).rev().find(|week| !known.contains(week)) else { return Ok(false) };
    let mut sums: BTreeMap<i64, Sums> = BTreeMap::new();
    {
        let mut statement =
            transaction.prepare_cached("SELECT dims, sums FROM rollup_day WHERE day >= ?1 AND day < ?2")?;
        let from = week.saturating_mul(DAYS_PER_WEEK);
        let mut rows = statement.query([from, from.saturating_add(DAYS_PER_WEEK)])?;
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            sums.entry(row.get(0)?).or_default().add_encoded(bytes)?;
        }
    }
    transaction.execute("DELETE FROM rollup_week WHERE week = ?1", [week])?;
    let mut insert =
        transaction.prepare_cached("INSERT INTO rollup_week (week, dims, sums) VALUES (?1, ?2, ?3)")?;
    for (dims, sums) in &sums {
        insert.execute(params![week, dims, sums.encode()])?;
    }
    transaction.execute("INSERT INTO summed_weeks (week) VALUES (?1)", [week])?;
    Ok(true)
}

impl Store {
    /// Sums one week that is over, the newest first; false where all are summed.
    ///
    /// # Errors
    /// Nothing changes then.
    pub async fn sum_week(&self, lead: Option<Lead>, now_ms: u64) -> Result<bool, StoreError> {
        self.write_led(lead, move |transaction| sum_one(transaction, now_ms)).await
    }
}

/// Days in a week; weeks are counted from the Unix epoch, so they begin on Thursdays.
pub(super) const DAYS_PER_WEEK: i64 = 7;
const HOURS_PER_WEEK: i64 = DAYS_PER_WEEK * HOURS_PER_DAY;
/// A week is summed this long after its end.
const LATE_HOURS: i64 = 2;
/// Weeks before these are read by day.
const WEEKS_MAX: i64 = 110;

#[cfg(test)]
mod tests {
    use super::super::several::{everything, record, runtime};
    use super::super::{Batch, Sender, Store};

    #[test]
    fn summaries_are_the_same_with_weeks_and_without_also_after_a_late_record() {
        const HOUR_MS: u64 = 3_600_000;
        const START_HOUR: u64 = 168 * 2_900 - 50;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let ingest = |numbers: std::ops::Range<u64>, hour: fn(u64) -> u64| {
            let mut batch = Batch::new(Sender::default());
            for n in numbers {
                let mut record = record(n, &format!("agent-{}", n % 3));
                record.time_ms = (START_HOUR + hour(n)) * HOUR_MS;
                batch.push(&record).unwrap();
            }
            runtime().block_on(store.ingest(batch)).unwrap();
        };
        let summaries = || {
            let from = i64::try_from(START_HOUR).unwrap();
            [(0, 1_000), (3, 900), (51, 600), (240, 460)].map(|(first, end)| {
                let query = crate::store::SummaryQuery {
                    from_hour: from + first,
                    to_hour: from + end,
                    ..everything()
                };
                let mut summary = runtime().block_on(store.summary(query)).unwrap();
                summary.rows.sort_by(|a, b| a.values.cmp(&b.values));
                summary
            })
        };
        let sum = || {
            let now_ms = (START_HOUR + 1_100) * HOUR_MS;
            let mut weeks = 0;
            while runtime().block_on(store.sum_week(None, now_ms)).unwrap() {
                weeks += 1;
            }
            weeks
        };
        let check = || {
            let connection =
                crate::store::open::open_reader(&dir.path().join(crate::store::DATABASE)).unwrap();
            let used: i64 =
                connection.query_row("SELECT count(*) FROM summed_weeks", [], |row| row.get(0)).unwrap();
            used
        };
        ingest(0..2_000, |n| n / 2);
        let by_days = summaries();
        assert_eq!((sum(), sum(), check()), (7, 0, 7));
        assert_eq!(summaries(), by_days);
        // A late record: its week is read by day until it is summed again.
        ingest(5_000..5_001, |_| 300);
        assert_eq!(check(), 6);
        let late = summaries();
        assert_eq!(late[0].total.calls, 2_001);
        assert_eq!((sum(), check()), (1, 7));
        assert_eq!(summaries(), late);
    }
}
