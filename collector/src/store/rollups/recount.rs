//! Recounting: what summaries should say by the records that are kept, beside what they say. Whoever changes
//! a record, its team, a correction or a summary in the database makes the two differ.
//!
//! Each record's body is compared with the digest that it was stored with, so that what is in no sum and no
//! dimension is covered too; budgets, reviews and closed months are compared with the audit trail, and what
//! counters charged with their records. One difference does not end it.
//!
//! What has expired cannot be recounted: hours from before the retention's horizon are only compared with
//! their days and pieces. Records from before there were digests have none, which is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension};
use tollgate_core::record::UsageRecord;

use super::dims::Dims;
use super::packed;
use super::reports::{self, Place};
use super::spans::{Grain, Span};
use super::sums::{InRow, Sums};
use crate::model::answers::audit::Recount;
use crate::model::clock::{HOURS_PER_DAY, MS_PER_HOUR};
use crate::model::drift::Reported;
use crate::store::agents::registry;
use crate::store::alerts::reviews;
use crate::store::budgets;
use crate::store::database::error::StoreError;
use crate::store::records::adjust::{self, Adjustment};
use crate::store::records::batch::{cost_status_code, digest_of, outcome_code};
use crate::store::records::bills;
use crate::store::records::id::RecordId;
use crate::store::records::retention;
use crate::store::rollups;

/// Sums by hour (or another unit of time) and the dimensions' id.
type Rows = BTreeMap<(i64, i64), Sums>;

/// Reads all records, and compares what they add up to with the rollups.
pub(in crate::store) fn recount(connection: &Connection, now_ms: u64) -> Result<Recount, StoreError> {
    let mut counting = Counting {
        found: Recount::default(),
        first_digest: first_digest(connection)?,
        dims: Dims::load(connection, 0)?.into_iter().collect(),
        adjustments: adjust::all(connection)?,
        elsewhere: Rows::new(),
        reports: BTreeMap::new(),
    };
    let mut recent = Rows::new();
    rollups::each_recent(connection, |hour, dims, sums| {
        Ok(recent.entry((hour, dims)).or_default().add(&Sums::decode(sums)?)?)
    })?;
    let horizon = retention::horizon(connection)?;
    let first_whole = horizon.saturating_add(MS_PER_HOUR - 1).div_euclid(MS_PER_HOUR);
    let (first, last) = bounds(connection, &recent)?;
    for day in Grain::Day.of(first)..=Grain::Day.of(last) {
        let (from, to) = (Grain::Day.first_hour(day), Grain::Day.first_hour(day.saturating_add(1)));
        let mut expected = counting.expected(connection, from, to)?;
        let stored = stored(connection, Span { grain: Grain::Hour, from, to })?;
        let mut of_day = Rows::new();
        for ((_, dims), sums) in &stored {
            of_day.entry((day, *dims)).or_default().add(sums)?;
        }
        let days =
            self::stored(connection, Span { grain: Grain::Day, from: day, to: day.saturating_add(1) })?;
        counting.compare("the day's sums by its hours'", &of_day, &days);
        let mut counted = stored;
        for ((hour, dims), sums) in recent.range((from, i64::MIN)..(to, i64::MIN)) {
            counted.entry((*hour, *dims)).or_default().add(sums)?;
        }
        expected.retain(|(hour, _), _| *hour >= first_whole);
        counted.retain(|(hour, _), _| *hour >= first_whole);
        counting.compare("an hour's sums by its records'", &expected, &counted);
        counting.compare_reports(connection, (from.max(first_whole), to))?;
    }
    pieces(connection, &mut counting)?;
    folded_counts(connection, &mut counting)?;
    let counters = budgets::compare_counters(connection, now_ms)?;
    counting.found.counters = counters.counters;
    let unlike = [
        budgets::unlike_trail(connection)?,
        reviews::unlike_trail(connection)?,
        registry::unlike_trail(connection)?,
        bills::unlike_trail(connection)?,
    ];
    unlike.into_iter().flatten().chain(counters.wrong).for_each(|what| counting.wrong(what));
    if let Some(what) = retention::impossible(connection)? {
        counting.wrong(what);
    }
    closed_months(connection, &mut counting)?;
    Ok(counting.found)
}

/// The first and the last hour of which there is anything.
fn bounds(connection: &Connection, recent: &Rows) -> Result<(i64, i64), StoreError> {
    let (first, last): (Option<i64>, Option<i64>) = connection.query_row(
        "SELECT min(hour), max(hour) FROM (SELECT hour FROM rollup_hour UNION ALL SELECT day * 24 FROM rollup_day
             UNION ALL SELECT min(time_ms) / 3600000 FROM records UNION ALL SELECT max(time_ms) / 3600000 FROM records
             UNION ALL SELECT hour FROM folded UNION ALL SELECT booked_hour FROM adjustments
             UNION ALL SELECT booked_hour FROM bill_lines)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let of_recent = || recent.keys().map(|(hour, _)| *hour);
    let first = first.into_iter().chain(of_recent()).min().unwrap_or(0);
    let last = last.into_iter().chain(of_recent()).max().unwrap_or(first.saturating_sub(HOURS_PER_DAY));
    Ok((first, last))
}

/// The rows of a rollup, without pieces.
fn stored(connection: &Connection, span: Span) -> Result<Rows, StoreError> {
    let mut rows = Rows::new();
    packed::each_row(connection, span, &mut |time, dims, sums| {
        rows.insert((time, dims), Sums::decode(sums)?);
        Ok(())
    })?;
    Ok(rows)
}

/// The first record that was stored with a digest: all after it were.
fn first_digest(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement =
        connection.prepare("SELECT seq FROM records WHERE digest IS NOT NULL ORDER BY seq LIMIT 1")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?.unwrap_or(i64::MAX))
}

/// Compares how many records totals say that they stand for with the calls in them.
fn folded_counts(connection: &Connection, counting: &mut Counting) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT id, records, sums FROM folded")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let sums = Sums::decode(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let calls = sums.totals.calls.saturating_add(sums.totals.denied);
        if i64::try_from(calls) != Ok(row.get(1)?) {
            counting
                .wrong(format!("total {} does not stand for the {calls} calls in it", RecordId(row.get(0)?)));
        }
    }
    Ok(())
}

/// Compares the months that are closed with the entries of the audit trail that closed them.
fn closed_months(connection: &Connection, counting: &mut Counting) -> Result<(), StoreError> {
    let names = |sql: &str| -> Result<BTreeSet<String>, StoreError> {
        let mut statement = connection.prepare(sql)?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    };
    let closed = names("SELECT month FROM closed_months")?;
    let told = names("SELECT subject FROM audit WHERE action = 'month.close'")?;
    for month in closed.symmetric_difference(&told) {
        let (is, was) = if closed.contains(month) { ("closed", "not") } else { ("open", "closed") };
        counting.wrong(format!("month {month} is {is}, but by the audit trail it was {was}"));
    }
    Ok(())
}

/// Compares the pieces that stand for rows with these.
fn pieces(connection: &Connection, counting: &mut Counting) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT hours, time, additions FROM rollup_packed")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (hours, time): (i64, i64) = (row.get(0)?, row.get(1)?);
        let Some(grain) = Grain::ALL.into_iter().find(|grain| grain.hours() == hours) else { continue };
        let mut piece = Rows::new();
        rollups::each_of(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?, |_, dims, sums| {
            Ok(piece.entry((time, dims)).or_default().add(&Sums::decode(sums)?)?)
        })?;
        let first = grain.first_hour(time);
        let span = match grain {
            Grain::Hour => Span { grain, from: time, to: time.saturating_add(1) },
            _ => Span {
                grain: Grain::Day,
                from: Grain::Day.of(first),
                to: Grain::Day.of(first.saturating_add(grain.hours())),
            },
        };
        let mut expected = Rows::new();
        for ((_, dims), sums) in stored(connection, span)? {
            expected.entry((time, dims)).or_default().add(&sums)?;
        }
        counting.compare("a piece by its rows", &expected, &piece);
    }
    Ok(())
}

/// A recount under way.
struct Counting {
    found: Recount,
    first_digest: i64,
    dims: HashMap<i64, Dims>,
    adjustments: HashMap<RecordId, Vec<Adjustment>>,
    /// What records of earlier hours add to later ones.
    elsewhere: Rows,
    /// What providers said in the records that were read since these were compared.
    reports: BTreeMap<Place, Reported>,
}

impl Counting {
    /// What records and totals add to these hours.
    fn expected(&mut self, connection: &Connection, from: i64, to: i64) -> Result<Rows, StoreError> {
        let mut rows = Rows::new();
        let ms = |hour: i64| hour.saturating_mul(MS_PER_HOUR);
        let mut statement = connection.prepare_cached(
            "SELECT id, time_ms, dims, outcome, cost_status, body, digest, seq FROM records INDEXED BY records_by_time
             WHERE time_ms >= ?1 AND time_ms < ?2",
        )?;
        let mut found = statement.query([ms(from), ms(to)])?;
        while let Some(row) = found.next()? {
            let stored = Stored {
                id: RecordId(row.get(0)?),
                hour: row.get::<_, i64>(1)?.div_euclid(MS_PER_HOUR),
                dims: row.get(2)?,
            };
            self.found.records = self.found.records.saturating_add(1);
            let body = String::from_utf8_lossy(row.get_ref(5)?.as_bytes().map_err(rusqlite::Error::from)?);
            self.digest(&stored, &body, (row.get(6)?, row.get(7)?));
            let Ok(record) = serde_json::from_str::<UsageRecord>(&body) else {
                self.wrong(format!("record {} is no record any more", stored.id));
                continue;
            };
            let columns = (row.get::<_, i64>(1)?, row.get::<_, u8>(3)?, row.get::<_, u8>(4)?);
            self.columns(&record, &stored, columns);
            // Records from before there were such sums are in none, and do not say whose word their cost is.
            if let Some((row, reported)) = Reported::of(&record).filter(|_| body.contains(SAYS_WHOSE_WORD)) {
                let place = (stored.hour, stored.dims, row.to_owned());
                self.reports.entry(place).or_default().add(&reported);
            }
            self.add(&mut rows, &record, &stored)?;
        }
        let mut totals = connection
            .prepare_cached("SELECT hour, dims, sums FROM folded WHERE hour >= ?1 AND hour < ?2")?;
        let mut found = totals.query([from, to])?;
        while let Some(row) = found.next()? {
            let sums = Sums::decode(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
            rows.entry((row.get(0)?, row.get(1)?)).or_default().add(&sums)?;
        }
        bills::each_booked(connection, (from, to), |line| {
            rows.entry((line.booked_hour, line.dims)).or_default().totals.cost += line.amount;
        })?;
        let later = self.elsewhere.split_off(&(to, i64::MIN));
        for (place, sums) in std::mem::replace(&mut self.elsewhere, later) {
            rows.entry(place).or_default().add(&sums)?;
        }
        Ok(rows)
    }

    /// Whether a record's body is the one that was stored.
    fn digest(&mut self, stored: &Stored, body: &str, (digest, seq): (Option<Vec<u8>>, i64)) {
        match digest {
            Some(digest) if digest != digest_of(body) => {
                self.wrong(format!("record {} was changed since it was stored", stored.id));
            }
            None if seq >= self.first_digest => {
                self.wrong(format!("record {} has no digest any more", stored.id));
            }
            None => self.found.without_digest = self.found.without_digest.saturating_add(1),
            Some(_) => {}
        }
    }

    /// Whether a record's body says what the columns do by which it is found.
    fn columns(&mut self, record: &UsageRecord, stored: &Stored, (time, outcome, status): (i64, u8, u8)) {
        let own = Dims::of(&record.head);
        let dims = self.dims.get(&stored.dims);
        let is_same = record.head.id.parse() == Ok(stored.id)
            && i64::try_from(record.head.time_ms) == Ok(time)
            && (outcome_code(record.outcome), cost_status_code(record.cost_status)) == (outcome, status)
            && dims.is_some_and(|dims| *dims == own || *dims == own.other());
        if !is_same {
            self.wrong(format!("record {} is not what it was stored as", stored.id));
        }
        if !record.is_cost_sound() {
            self.wrong(format!(
                "record {} costs ${}, which is neither its charges nor a word of its provider's that is believed",
                stored.id, record.cost_usd
            ));
        }
    }

    /// Adds a record where it is counted, and its corrections where they are.
    fn add(&mut self, rows: &mut Rows, record: &UsageRecord, stored: &Stored) -> Result<(), StoreError> {
        let adjustments = self.adjustments.remove(&stored.id).unwrap_or_default();
        for (hour, sums) in adjust::bookings(record, stored.hour, adjustments)? {
            let rows = if hour == stored.hour { &mut *rows } else { &mut self.elsewhere };
            rows.entry((hour, stored.dims)).or_default().add(&sums)?;
        }
        Ok(())
    }

    fn compare(&mut self, what: &str, expected: &Rows, found: &Rows) {
        let nothing = Sums::default();
        let places: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
        for place in places {
            self.found.sums = self.found.sums.saturating_add(1);
            let should = without_nothing(expected.get(place).unwrap_or(&nothing));
            let does = without_nothing(found.get(place).unwrap_or(&nothing));
            if should != does {
                let (time, dims) = place;
                self.wrong(format!(
                    "{what}: at {time}, dimensions {dims}: {} calls and ${} instead of {} and ${}",
                    does.totals.calls, does.totals.cost, should.totals.calls, should.totals.cost
                ));
            }
        }
    }

    /// Compares what providers said in the records of these hours with the sums of it.
    fn compare_reports(&mut self, connection: &Connection, hours: (i64, i64)) -> Result<(), StoreError> {
        let mut expected = std::mem::take(&mut self.reports);
        expected.retain(|(hour, ..), _| *hour >= hours.0);
        let mut found = BTreeMap::new();
        reports::each_between(connection, hours, |place, reported| {
            found.insert(place, reported);
        })?;
        for place in expected.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
            self.found.sums = self.found.sums.saturating_add(1);
            let (should, does) = (expected.get(place), found.get(place));
            if should != does {
                let (hour, dims, row) = place;
                let said = |of: Option<&Reported>| of.map_or(0, |reported| reported.calls);
                let (does, should) = (said(does), said(should));
                self.wrong(format!(
                    "what providers said: at {hour}, dimensions {dims}, row {row}: {does} calls instead of {should}, or \
                     other amounts"
                ));
            }
        }
        Ok(())
    }

    fn wrong(&mut self, what: String) {
        self.found.wrong = self.found.wrong.saturating_add(1);
        if self.found.examples.len() < EXAMPLES_MAX {
            self.found.examples.push(what);
        }
    }
}

/// A record as its columns have it.
struct Stored {
    id: RecordId,
    hour: i64,
    dims: i64,
}

fn without_nothing(sums: &Sums) -> Sums {
    let mut sums = sums.clone();
    sums.forget_nothing();
    sums
}

/// Stands in every record that says whose word its cost is.
const SAYS_WHOSE_WORD: &str = "\"cost_source\":";
/// Differences that are told in words.
const EXAMPLES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use crate::store::Store;
    use crate::store::records::batch::{Batch, Sender};
    use crate::store::several::{record, runtime};

    type Spoil = (&'static str, &'static str);

    /// Beyond the windows of the records.
    const NOW_MS: u64 = 4_000_000_000_000;

    #[test]
    fn what_is_changed_behind_the_collectors_back_is_found() {
        let cases: &[Spoil] = &[
            ("a body", "UPDATE records SET body = replace(body, '\"cost_usd\":\"0.0', '\"cost_usd\":\"1.0')"),
            ("a cost status", "UPDATE records SET cost_status = 3"),
            ("whose word a cost is", "UPDATE records SET body = replace(body, '\"book\"', '\"provider\"')"),
            ("a team", "UPDATE dims SET team = 'elsewhere'"),
            (
                "a record's dimensions",
                "UPDATE records SET dims = (SELECT max(id) FROM dims) WHERE dims = (SELECT min(id) FROM dims)",
            ),
            (
                "a duration",
                r#"UPDATE records SET body = replace(body, '{"id"', '{"duration_ms":99999,"id"')"#,
            ),
            (
                "a status",
                r#"UPDATE records SET body = replace(body, '{"id"', '{"status":500,"id"') WHERE seq = 7"#,
            ),
            (
                "a member more",
                "UPDATE records SET body = replace(body, '{\"id\"', '{\"run\":\"x\",\"id\"') WHERE seq = 3",
            ),
            ("white space", "UPDATE records SET body = body || ' ' WHERE seq = 40"),
            ("a digest taken out", "UPDATE records SET digest = NULL WHERE seq = 9"),
            (
                "a body that is no text any more",
                "UPDATE records SET body = CAST(x'ff' AS TEXT) WHERE seq = 5",
            ),
            ("a limit", "UPDATE budgets SET definition = replace(definition, '20000000000', '99000000000')"),
            ("a budget's begin", "UPDATE budgets SET since_ms = since_ms + 1"),
            ("a budget's source", "UPDATE budgets SET source = 'file'"),
            ("a budget", "DELETE FROM budgets"),
            ("a budget that is removed", "UPDATE budgets SET removed_ms = 5"),
            (
                "a budget that nobody made",
                "INSERT INTO budgets SELECT 'other', generation, definition, source, created_ms, since_ms, removed_ms, quarantine FROM budgets",
            ),
            (
                "a top-up",
                "INSERT INTO counters (budget, generation, value, start_ms, end_ms, extra, seed, kept, carried_from, recall_for, recall_until_ms) SELECT 'b', 1, '', 0, 9, x'00000000000000000000000000000009', zeroblob(16), zeroblob(16), zeroblob(16), '', 0",
            ),
            ("a closed month", "INSERT INTO closed_months VALUES ('2020-01', 1, 1, x'')"),
            ("records taken out", "DELETE FROM records WHERE seq = (SELECT min(seq) FROM records)"),
            ("hours", "DELETE FROM rollup_hour"),
            ("days", "DELETE FROM rollup_day"),
            (
                "an hour's sums",
                "UPDATE rollup_hour SET sums = (SELECT sums FROM rollup_day ORDER BY length(sums) DESC LIMIT 1)",
            ),
        ];
        let runtime = runtime();
        for (what, sql) in cases {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let mut batch =
                Batch::new(Sender { gateway: "g".into(), instance: "i".into(), ..Sender::default() });
            for n in 0..40 {
                batch.push(&record(n, ["bot", "rob"][usize::try_from(n % 2).unwrap()])).unwrap();
            }
            runtime.block_on(store.ingest(batch)).unwrap();
            let budget = serde_json::json!({"name": "b", "limit_usd": "0.02", "window": "day"});
            let budget = tollgate_core::budget::define::read_one(&budget, None).unwrap();
            runtime.block_on(store.put_budget(budget, "somebody".into(), 7)).unwrap();
            let whole = runtime.block_on(store.recount(NOW_MS)).unwrap();
            assert_eq!((whole.wrong, whole.records), (0, 40), "{:?}", whole.examples);
            assert!(whole.sums > 0);
            let database = rusqlite::Connection::open(dir.path().join("tollgate.db")).unwrap();
            assert!(database.execute(sql, []).unwrap() > 0, "{what}: nothing to spoil");
            let found = runtime.block_on(store.recount(NOW_MS)).unwrap();
            assert!(found.wrong > 0, "{what}");
            assert_eq!(found.examples.len() as u64, found.wrong.min(100), "{what}");
        }
    }
}
