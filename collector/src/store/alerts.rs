//! Decisions of alerts and their deliveries.
//!
//! A decision is made once: its key is unique, and what is to be sent is written in the same transaction.

pub(super) mod operations;
pub(super) mod reviews;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, Row, Transaction, params};

use crate::model::alert::{Alert, Event};
use crate::model::answers::alerts::{Delivery, DeliveryState};
use crate::model::clock::signed;
use crate::store::database::error::StoreError;
use crate::store::records::NotACursor;

/// What a rule says now: every decision of it that holds.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// The rule.
    pub rule: String,
    /// Decisions that hold; those that were made before are known.
    pub alerts: Vec<Alert>,
    /// Channels that hear new ones.
    pub channels: Vec<String>,
}

/// A delivery that is due.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its number.
    pub seq: i64,
    /// The alert.
    pub alert: Alert,
    /// What is told of it.
    pub event: Event,
    /// Name of the channel.
    pub channel: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it was decided, Unix milliseconds UTC.
    pub created_ms: u64,
}

/// What became of an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attempt {
    /// The receiver has it.
    Delivered,
    /// It failed, and comes again at this time.
    Again(u64, String),
    /// It is given up.
    GivenUp(String),
    /// It was not its time; it comes at this one.
    NotYet(u64),
}

/// A decision as the API shows it.
#[derive(Clone, Debug)]
pub struct StoredAlert {
    /// The decision.
    pub alert: Alert,
    /// When it was made, Unix milliseconds UTC.
    pub decided_ms: u64,
    /// When it ceased to hold.
    pub resolved_ms: Option<u64>,
    /// What was and is to be sent of it.
    pub deliveries: Vec<Delivery>,
}

/// A decision that a page ended with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AlertCursor {
    decided_ms: i64,
    id: String,
}

impl AlertCursor {
    /// The one after this decision.
    pub fn after(stored: &StoredAlert) -> Self {
        Self { decided_ms: signed(stored.decided_ms), id: stored.alert.id.clone() }
    }
}

impl fmt::Display for AlertCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.decided_ms, self.id)
    }
}

impl FromStr for AlertCursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (time, id) = text.split_once('-').filter(|(_, id)| !id.is_empty()).ok_or(NotACursor)?;
        let decided_ms = i64::from_str_radix(time, 16).ok().filter(|ms| *ms >= 0).ok_or(NotACursor)?;
        Ok(Self { decided_ms, id: id.to_owned() })
    }
}

/// Deliveries by state, for metrics.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outbox {
    /// Those that are still to come.
    pub waiting: u64,
    /// Those that were given up.
    pub given_up: u64,
}

/// Writes what rules say now: new decisions with their deliveries, and the end of those that do not hold any
/// more. Gives how many are new. `resolving` are the channels that hear of an end.
pub(super) fn decide(
    transaction: &Transaction<'_>,
    judged: &[Judged],
    resolving: &BTreeSet<String>,
    now_ms: u64,
) -> Result<u64, StoreError> {
    let mut new = 0u64;
    for rule in judged {
        for alert in &rule.alerts {
            if open(transaction, alert, &rule.channels, now_ms)? {
                new = new.saturating_add(1);
            }
        }
        let holding: BTreeSet<&str> = rule.alerts.iter().map(|alert| alert.id.as_str()).collect();
        let mut statement = transaction.prepare_cached(
            "SELECT id FROM alerts INDEXED BY alerts_open WHERE rule = ?1 AND resolved_ms IS NULL",
        )?;
        let known: Vec<String> =
            statement.query_map([&rule.rule], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for id in known.iter().filter(|id| !holding.contains(id.as_str())) {
            resolve(transaction, id, resolving, now_ms)?;
        }
    }
    Ok(new)
}

/// Rules with decisions that hold.
pub(super) fn open_rules(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT DISTINCT rule FROM alerts WHERE resolved_ms IS NULL")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

pub(super) fn open(
    transaction: &Transaction<'_>,
    alert: &Alert,
    channels: &[String],
    now_ms: u64,
) -> Result<bool, StoreError> {
    let body = serde_json::to_string(alert).map_err(|_| StoreError::Damaged("alert"))?;
    let is_new = transaction
        .prepare_cached(
            "INSERT INTO alerts (id, rule, scope, window, threshold, decided_ms, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            alert.id,
            alert.rule,
            alert.scope,
            alert.window,
            alert.threshold,
            signed(now_ms),
            body
        ])?;
    // What was decided at half of a budget is in its review once all of it is used.
    if let Some(budget) = &alert.passed_budget {
        reviews::open(transaction, alert, budget, now_ms)?;
    }
    if is_new == 0 {
        return Ok(false);
    }
    for channel in channels {
        post(transaction, &alert.id, channel, Event::Opened, now_ms)?;
    }
    Ok(true)
}

fn resolve(
    transaction: &Transaction<'_>,
    id: &str,
    resolving: &BTreeSet<String>,
    now_ms: u64,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached("UPDATE alerts SET resolved_ms = ?2 WHERE id = ?1 AND resolved_ms IS NULL")?
        .execute(params![id, signed(now_ms)])?;
    let mut statement =
        transaction.prepare_cached("SELECT channel FROM outbox WHERE alert = ?1 AND event = 0")?;
    let channels: Vec<String> = statement.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for channel in channels.iter().filter(|channel| resolving.contains(*channel)) {
        post(transaction, id, channel, Event::Resolved, now_ms)?;
    }
    Ok(())
}

fn post(
    transaction: &Transaction<'_>,
    id: &str,
    channel: &str,
    event: Event,
    now_ms: u64,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO outbox (alert, channel, event, created_ms, next_ms) VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![id, channel, code(event), signed(now_ms)])?;
    Ok(())
}

/// Takes deliveries that are due, the oldest first, so that nobody else begins them before they are noted or
/// [`CLAIM_MS`] are over. An end waits until its beginning was delivered or given up.
pub(super) fn claim(
    transaction: &Transaction<'_>,
    now_ms: u64,
    limit: usize,
) -> Result<Vec<Due>, StoreError> {
    let due = due(transaction, now_ms, limit)?;
    let mut statement =
        transaction.prepare_cached("UPDATE outbox SET claimed_until_ms = ?2 WHERE seq = ?1")?;
    for one in &due {
        statement.execute(params![one.seq, signed(now_ms.saturating_add(CLAIM_MS))])?;
    }
    Ok(due)
}

/// Lets go of every delivery, when whoever had begun it is surely gone.
pub(super) fn unclaim(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    transaction
        .execute("UPDATE outbox SET claimed_until_ms = 0 WHERE state = 0 AND claimed_until_ms > 0", [])?;
    Ok(())
}

/// Whether a delivery is due that nobody has begun.
pub(super) fn is_any_due(connection: &Connection, now_ms: u64) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM outbox WHERE state = 0 AND next_ms <= ?1 AND claimed_until_ms <= ?1 LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.exists([signed(now_ms)])?)
}

fn due(connection: &Connection, now_ms: u64, limit: usize) -> Result<Vec<Due>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT o.seq, o.channel, o.event, o.attempts, o.created_ms, a.body
         FROM outbox o JOIN alerts a ON a.id = o.alert
         WHERE o.state = 0 AND o.next_ms <= ?1 AND o.claimed_until_ms <= ?1 AND (o.event = 0 OR NOT EXISTS (
             SELECT 1 FROM outbox f WHERE f.alert = o.alert AND f.channel = o.channel AND f.event = 0 AND f.state = 0))
         ORDER BY o.next_ms, o.seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![signed(now_ms), signed(limit)])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        due.push(Due {
            seq: row.get(0)?,
            channel: row.get(1)?,
            event: if row.get::<_, i64>(2)? == 0 { Event::Opened } else { Event::Resolved },
            attempts: row.get(3)?,
            created_ms: row.get::<_, i64>(4)?.unsigned_abs(),
            alert: parse(&row.get::<_, String>(5)?)?,
        });
    }
    Ok(due)
}

/// Notes what became of attempts.
pub(super) fn note(
    transaction: &Transaction<'_>,
    attempts: &[(i64, Attempt)],
    now_ms: u64,
) -> Result<(), StoreError> {
    for (seq, attempt) in attempts {
        transaction
            .prepare_cached("UPDATE outbox SET claimed_until_ms = 0 WHERE seq = ?1")?
            .execute([seq])?;
        match attempt {
            Attempt::Delivered => transaction
                .prepare_cached(
                    "UPDATE outbox SET state = 1, attempts = attempts + 1, delivered_ms = ?2, last_error = NULL WHERE seq = ?1",
                )?
                .execute(params![seq, signed(now_ms)])?,
            Attempt::Again(next_ms, error) => transaction
                .prepare_cached("UPDATE outbox SET attempts = attempts + 1, next_ms = ?2, last_error = ?3 WHERE seq = ?1")?
                .execute(params![seq, signed(*next_ms), error])?,
            Attempt::GivenUp(error) => transaction
                .prepare_cached("UPDATE outbox SET state = 2, attempts = attempts + 1, last_error = ?2 WHERE seq = ?1")?
                .execute(params![seq, error])?,
            Attempt::NotYet(next_ms) => transaction
                .prepare_cached("UPDATE outbox SET next_ms = ?2 WHERE seq = ?1")?
                .execute(params![seq, signed(*next_ms)])?,
        };
    }
    Ok(())
}

/// Decisions, the newest first: at most `limit`, those that come after this one.
pub(super) fn list(
    connection: &Connection,
    only_open: bool,
    limit: usize,
    after: Option<&AlertCursor>,
) -> Result<Vec<StoredAlert>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, decided_ms, resolved_ms, body FROM alerts
         WHERE (?1 = 0 OR resolved_ms IS NULL) AND (decided_ms, id) < (?3, ?4)
         ORDER BY decided_ms DESC, id DESC LIMIT ?2",
    )?;
    let limit = signed(limit);
    let (at, id) = after.map_or((i64::MAX, ""), |after| (after.decided_ms, after.id.as_str()));
    let mut rows = statement.query(params![only_open, limit, at, id])?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        alerts.push(StoredAlert {
            decided_ms: row.get::<_, i64>(1)?.unsigned_abs(),
            resolved_ms: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
            alert: parse(&row.get::<_, String>(3)?)?,
            deliveries: deliveries(connection, &id)?,
        });
    }
    Ok(alerts)
}

fn deliveries(connection: &Connection, id: &str) -> Result<Vec<Delivery>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT channel, event, state, attempts, last_error FROM outbox WHERE alert = ?1 ORDER BY seq",
    )?;
    let delivery = |row: &Row<'_>| {
        Ok(Delivery {
            channel: row.get(0)?,
            event: if row.get::<_, i64>(1)? == 0 { Event::Opened } else { Event::Resolved },
            state: match row.get::<_, i64>(2)? {
                0 => DeliveryState::Waiting,
                1 => DeliveryState::Delivered,
                _ => DeliveryState::GivenUp,
            },
            attempts: row.get(3)?,
            last_error: row.get(4)?,
        })
    };
    Ok(statement.query_map([id], delivery)?.collect::<Result<_, _>>()?)
}

/// How many deliveries wait and were given up.
pub(super) fn outbox(connection: &Connection) -> Result<Outbox, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2) FROM outbox",
    )?;
    Ok(statement.query_row([], |row| {
        Ok(Outbox {
            waiting: row.get::<_, i64>(0)?.unsigned_abs(),
            given_up: row.get::<_, i64>(1)?.unsigned_abs(),
        })
    })?)
}

/// Longer than attempts at all deliveries of one round take.
const CLAIM_MS: u64 = 5 * 60_000;

fn parse(body: &str) -> Result<Alert, StoreError> {
    serde_json::from_str(body).map_err(|_| StoreError::Damaged("alert"))
}

const fn code(event: Event) -> u8 {
    match event {
        Event::Opened => 0,
        Event::Resolved => 1,
    }
}
