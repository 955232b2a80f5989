//! Reviews: opened once when a budget's window is passed, or when a new agent is seen; somebody says why, and
//! closes it.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use serde_json::Value;

use crate::model::alert::Alert;
use crate::model::audit::Entry;
use crate::model::clock::signed;
use crate::store::audit;
use crate::store::database::error::StoreError;
use crate::store::records::Cursor;

/// A review of a budget that was passed, or of an agent that is new.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Review {
    /// Its number.
    pub id: i64,
    /// The budget; empty where it is about an agent.
    pub budget: String,
    /// The agent, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The window that was passed.
    pub window: String,
    /// What the alert said.
    pub title: String,
    /// When it was opened, Unix milliseconds UTC.
    pub opened_ms: u64,
    /// Who looks into it.
    pub owner: String,
    /// What was found.
    pub note: String,
    /// When it was closed.
    pub closed_ms: Option<u64>,
    /// By whom.
    pub closed_by: Option<String>,
}

/// What is to change of a review.
#[derive(Clone, Debug, Default)]
pub struct ReviewChange {
    /// Who looks into it.
    pub owner: Option<String>,
    /// What was found.
    pub note: Option<String>,
    /// Whether it is closed or opened again.
    pub closed: Option<bool>,
}

/// Opens the review of a budget's window, unless there is one.
pub(in crate::store) fn open(
    transaction: &Transaction<'_>,
    alert: &Alert,
    budget: &str,
    now_ms: u64,
) -> Result<(), StoreError> {
    let opened = transaction
        .prepare_cached(
            "INSERT INTO reviews (alert, budget, scope, window, title, opened_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![alert.id, budget, alert.scope, alert.window, alert.title, signed(now_ms)])?;
    if opened > 0 {
        let entry = Entry {
            time_ms: now_ms,
            actor: "collector".into(),
            action: "review.open".into(),
            subject: alert.scope.clone(),
            before: None,
            after: Some(serde_json::json!({"window": alert.window, "title": alert.title})),
        };
        audit::append(transaction, &entry)?;
    }
    Ok(())
}

/// Closes the review of an agent, where one is open: it was decided on, and is `what` now.
pub(in crate::store) fn close_of_agent(
    transaction: &Transaction<'_>,
    agent: &str,
    what: &str,
    (actor, now_ms): (&str, u64),
) -> Result<(), StoreError> {
    let found = transaction
        .prepare_cached(
            "SELECT id, note FROM reviews WHERE scope = ?1 AND budget = '' AND closed_ms IS NULL",
        )?
        .query_row([format!("{ABOUT_AGENT}{agent}")], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    let Some((id, note)) = found else { return Ok(()) };
    let note = note.is_empty().then(|| what.to_owned());
    let wanted = ReviewChange { owner: None, note, closed: Some(true) };
    let entry = Entry {
        time_ms: now_ms,
        actor: actor.to_owned(),
        action: "review.change".into(),
        subject: id.to_string(),
        before: None,
        after: None,
    };
    change(transaction, id, &wanted, entry)?;
    Ok(())
}

/// Reviews, open ones first, then the newest: at most `limit`, and where the next page starts, unless this
/// was the last.
pub(in crate::store) fn list(
    connection: &Connection,
    limit: usize,
    after: Option<Cursor>,
) -> Result<(Vec<Review>, Option<Cursor>), StoreError> {
    let sql = format!(
        "{REVIEWS} WHERE (closed_ms IS NOT NULL, -id) > (?1, -?2) ORDER BY closed_ms IS NOT NULL, id DESC LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let (closed, id) = after.map_or((-1, 0), |after| (after.time_ms, after.seq));
    // One more tells whether there is another page.
    let one_more = signed(limit.saturating_add(1));
    let found = statement.query_map([closed, id, one_more], review)?;
    let mut found: Vec<Review> = found.collect::<Result<_, _>>()?;
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let next = found.last().filter(|_| !is_last);
    let next = next.map(|last| Cursor { time_ms: last.closed_ms.is_some().into(), seq: last.id });
    Ok((found, next))
}

/// Changes a review; gives it as it is then, unless there is none with this number.
pub(in crate::store) fn change(
    transaction: &Transaction<'_>,
    id: i64,
    change: &ReviewChange,
    mut entry: Entry,
) -> Result<Option<Review>, StoreError> {
    let sql = format!("{REVIEWS} WHERE id = ?1");
    let found = transaction.query_row(&sql, [id], review).optional()?;
    let Some(before) = found else { return Ok(None) };
    let mut after = before.clone();
    after.owner = change.owner.clone().unwrap_or(after.owner);
    after.note = change.note.clone().unwrap_or(after.note);
    match change.closed {
        Some(true) if after.closed_ms.is_none() => {
            after.closed_ms = Some(entry.time_ms);
            after.closed_by = Some(entry.actor.clone());
        }
        Some(false) => (after.closed_ms, after.closed_by) = (None, None),
        _ => {}
    }
    if after == before {
        return Ok(Some(after));
    }
    transaction.execute(
        "UPDATE reviews SET owner = ?2, note = ?3, closed_ms = ?4, closed_by = ?5 WHERE id = ?1",
        params![id, after.owner, after.note, after.closed_ms.map(signed), after.closed_by],
    )?;
    entry.before = serde_json::to_value(&before).ok();
    entry.after = serde_json::to_value(&after).ok();
    audit::append(transaction, &entry)?;
    Ok(Some(after))
}

/// What reviews in the database are and should not be by the audit trail, in words: each that is opened or
/// changed is an entry of it.
pub(in crate::store) fn unlike_trail(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut opened: BTreeMap<(String, String), Option<String>> = BTreeMap::new();
    let mut changed: BTreeMap<i64, Value> = BTreeMap::new();
    let mut statement = connection.prepare(
        "SELECT action, subject, after FROM audit WHERE action IN ('review.open', 'review.change') ORDER BY seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (action, subject): (String, String) = (row.get(0)?, row.get(1)?);
        let after = serde_json::from_str(&row.get::<_, Option<String>>(2)?.unwrap_or_default());
        let after: Value = after.unwrap_or_default();
        let text = |name: &str| after.get(name).and_then(Value::as_str).map(str::to_owned);
        if action == "review.open" {
            opened.insert((subject, text("window").unwrap_or_default()), text("title"));
        } else if let Some(id) = after.get("id").and_then(Value::as_i64) {
            changed.insert(id, after);
        }
    }
    let mut wrong = Vec::new();
    let mut statement = connection.prepare(&format!("{REVIEWS} ORDER BY id"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (is, scope) = (review(row)?, row.get::<_, String>(9)?);
        let was = opened.remove(&(scope.clone(), is.window.clone()));
        if was.is_none_or(|title| title.is_some_and(|title| title != is.title)) {
            wrong.push(format!("review {} of {scope} was opened by no entry of the audit trail", is.id));
        }
        let untouched = || {
            let is = is.clone();
            serde_json::to_value(Review {
                owner: String::new(),
                note: String::new(),
                closed_ms: None,
                closed_by: None,
                ..is
            })
        };
        let should = changed.remove(&is.id).map_or_else(untouched, Ok).unwrap_or_default();
        if serde_json::to_value(&is).unwrap_or_default() != should {
            wrong.push(format!(
                "review {} of {scope} is not what the audit trail says it became: {should}",
                is.id
            ));
        }
    }
    let gone = opened.into_keys().map(|(scope, window)| {
        format!("the review of {scope} in window {window} is not there, but by the audit trail it was opened")
    });
    wrong.extend(gone);
    Ok(wrong)
}

fn review(row: &Row<'_>) -> rusqlite::Result<Review> {
    let (budget, scope): (String, String) = (row.get(1)?, row.get(9)?);
    let about = scope.strip_prefix(ABOUT_AGENT).filter(|_| budget.is_empty());
    Ok(Review {
        id: row.get(0)?,
        agent: about.map(str::to_owned),
        budget,
        window: row.get(2)?,
        title: row.get(3)?,
        opened_ms: row.get::<_, i64>(4)?.unsigned_abs(),
        owner: row.get(5)?,
        note: row.get(6)?,
        closed_ms: row.get::<_, Option<i64>>(7)?.map(i64::unsigned_abs),
        closed_by: row.get(8)?,
    })
}

/// Begins the scope of a review that is about an agent.
pub(in crate::store) const ABOUT_AGENT: &str = "agent=";

const REVIEWS: &str =
    "SELECT id, budget, window, title, opened_ms, owner, note, closed_ms, closed_by, scope FROM reviews";

#[cfg(test)]
mod tests {
    use super::super::Judged;
    use super::*;
    use crate::model::alert::Alert;
    use crate::store::Store;
    use crate::store::several::runtime;

    #[test]
    fn reviews_are_listed_in_pages_open_ones_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let alerts = (1..=7).map(|n| {
            Alert {
                rule: "r".into(),
                scope: format!("s{n}"),
                passed_budget: Some("b".into()),
                ..Alert::default()
            }
            .with_id()
        });
        let judged = vec![Judged { rule: "r".into(), alerts: alerts.collect(), channels: vec![] }];
        runtime().block_on(store.decide(None, judged, Default::default(), 5)).unwrap();
        for id in [3, 6] {
            let change = ReviewChange { closed: Some(true), ..ReviewChange::default() };
            let entry = Entry { time_ms: 6, ..Entry::default() };
            runtime().block_on(store.change_review(id, change, entry)).unwrap();
        }
        for limit in [1, 2, 3, 7, 100] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let (some, next) = runtime().block_on(store.reviews(limit, after)).unwrap();
                seen.extend(some.into_iter().map(|review| review.id));
                match next {
                    Some(_) => after = next,
                    None => break,
                }
            }
            assert_eq!(seen, [7, 5, 4, 2, 1, 6, 3], "{limit}");
        }
    }
}
