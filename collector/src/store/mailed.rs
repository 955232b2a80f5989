//! Reports by mail: which are due, who sends one now, and what became of it.
//!
//! A mail is claimed before it is sent, in a transaction, so that two collectors do not send it both. One
//! that dies between claim and note leaves it uncertain whether the mail went out. It is then sent again
//! under the same `Message-ID`, as alerts are, and how often that happened is counted.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::model::answers::reports::{MailRow, MailState};
use crate::model::audit::Entry;
use crate::model::clock::{rfc3339, signed};
use crate::store::alerts::Attempt;
use crate::store::database::error::StoreError;
use crate::store::database::lead::Lead;
use crate::store::{Store, audit};

/// The newest period of a report whose time has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Planned {
    /// The report.
    pub report: String,
    /// `day`, `week` or `month`.
    pub every: String,
    /// The period; none where none has come in the calendar.
    pub period: Option<String>,
    /// When its time came, Unix milliseconds UTC.
    pub due_ms: u64,
}

/// A mail that is to be sent now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DueMail {
    /// The report.
    pub report: String,
    /// The period.
    pub period: String,
    /// When its time came, Unix milliseconds UTC.
    pub due_ms: u64,
    /// Attempts so far.
    pub attempts: u32,
}

/// Whether a mail may be sent by hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ByHand {
    /// It is taken: nobody else sends it until it is noted, or for some minutes.
    Taken,
    /// Somebody sends it now.
    Sending,
    /// It was sent, at this time in Unix milliseconds UTC.
    Sent(u64),
}

impl Store {
    /// Writes which periods are to be sent. What is planned for the first time counts from now on: its time
    /// must come later. Reports that are not among these are forgotten, but not their mails.
    ///
    /// # Errors
    /// Nothing is planned then.
    pub async fn plan_mails(
        &self,
        lead: Option<Lead>,
        planned: Vec<Planned>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.write_led(lead, move |transaction| plan(transaction, &planned, now_ms)).await
    }

    /// Mails that are due, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_mails(&self, now_ms: u64) -> Result<Vec<DueMail>, StoreError> {
        self.read(move |connection, _| due(connection, now_ms)).await
    }

    /// Takes a mail that is about to be sent, if it is still due. Nobody else is given it until
    /// [`note_mail`](Self::note_mail), or for some minutes.
    ///
    /// # Errors
    /// It is not taken then.
    pub async fn claim_mail(
        &self,
        lead: Option<Lead>,
        mail: DueMail,
        now_ms: u64,
    ) -> Result<Option<DueMail>, StoreError> {
        self.write_led(lead, move |transaction| claim(transaction, &mail, now_ms)).await
    }

    /// Lets go of mails that a schedule had taken and not noted: for a collector that begins to lead, as no
    /// other schedule sends then. Whether they were sent is not certain.
    ///
    /// # Errors
    /// They come again when their time is over.
    pub async fn unclaim_mails(&self, lead: Option<Lead>) -> Result<(), StoreError> {
        self.write_led(lead, |transaction| {
            let sql =
                "UPDATE mailed SET claimed_until_ms = 0, uncertain = uncertain + 1, attempts = attempts + 1
                       WHERE claimed_until_ms > 0 AND claimed_by_hand = 0";
            transaction.execute(sql, [])?;
            Ok(())
        })
        .await
    }

    /// Notes what became of an attempt.
    ///
    /// # Errors
    /// It is made again then, under the same id.
    pub async fn note_mail(
        &self,
        lead: Option<Lead>,
        mail: DueMail,
        attempt: Attempt,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.write_led(lead, move |transaction| note(transaction, &mail, &attempt, now_ms)).await
    }

    /// Takes a mail to be sent by hand; one that was sent only `again`.
    ///
    /// # Errors
    /// It is not taken then.
    pub async fn claim_by_hand(
        &self,
        planned: Planned,
        is_again: bool,
        now_ms: u64,
    ) -> Result<ByHand, StoreError> {
        self.write(move |transaction| claim_by_hand(transaction, &planned, is_again, now_ms)).await
    }

    /// Notes how sending by hand ended, `None` for well, with its entry of the audit trail.
    ///
    /// # Errors
    /// It stays taken for some minutes, and is uncertain then.
    pub async fn note_by_hand(
        &self,
        report: String,
        period: String,
        error: Option<String>,
        entry: Entry,
    ) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let now = signed(entry.time_ms);
            let sql = "UPDATE mailed SET claimed_until_ms = 0, claimed_by_hand = 0, attempts = attempts + 1,
                       last_error = ?3, state = iif(?3 IS NULL, 1, state), sent_ms = iif(?3 IS NULL, ?4, sent_ms)
                       WHERE report = ?1 AND period = ?2";
            transaction.prepare_cached(sql)?.execute(params![report, period, error, now])?;
            audit::append(transaction, &entry)?;
            Ok(())
        })
        .await
    }

    /// The newest mails of a report, the newest period first: at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mails(&self, report: String, limit: usize, now_ms: u64) -> Result<Vec<MailRow>, StoreError> {
        self.read(move |connection, _| list(connection, &report, limit, now_ms)).await
    }
}

fn plan(transaction: &Transaction<'_>, planned: &[Planned], now_ms: u64) -> Result<(), StoreError> {
    forget(transaction, planned)?;
    for one in planned {
        let sql = "INSERT INTO mailed_since VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        transaction.prepare_cached(sql)?.execute(params![one.report, one.every, signed(now_ms)])?;
        let Some(period) = &one.period else { continue };
        let sql = "SELECT since_ms FROM mailed_since WHERE report = ?1 AND every = ?2";
        let since: i64 =
            transaction.prepare_cached(sql)?.query_row(params![one.report, one.every], |row| row.get(0))?;
        if signed(one.due_ms) < since {
            continue;
        }
        // One that failed by hand before its time came is still to be sent.
        let sql = "INSERT INTO mailed (report, period, state, due_ms, next_ms) VALUES (?1, ?2, 0, ?3, ?3)
                   ON CONFLICT DO UPDATE SET state = iif(state = 2, 0, state), is_by_hand = 0, due_ms = ?3, next_ms = ?3
                   WHERE is_by_hand = 1";
        transaction.prepare_cached(sql)?.execute(params![one.report, period, signed(one.due_ms)])?;
        // Nobody waits for what is older.
        let sql = "UPDATE mailed SET state = 2, last_error = 'a newer period was due before it could be sent'
                   WHERE report = ?1 AND state = 0 AND due_ms < ?2 AND claimed_until_ms = 0";
        transaction.prepare_cached(sql)?.execute(params![one.report, signed(one.due_ms)])?;
    }
    Ok(())
}

/// Forgets reports that are not planned any more: one that comes back is new. What they had to send is not.
fn forget(transaction: &Transaction<'_>, planned: &[Planned]) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached("SELECT report, every FROM mailed_since")?;
    let known: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (report, every) in known {
        if planned.iter().any(|one| one.report == report && one.every == every) {
            continue;
        }
        transaction
            .prepare_cached("DELETE FROM mailed_since WHERE report = ?1 AND every = ?2")?
            .execute(params![report, every])?;
        let sql = "UPDATE mailed SET state = 2, last_error = 'the configuration has this report no more'
                   WHERE report = ?1 AND state = 0 AND claimed_until_ms = 0";
        transaction.prepare_cached(sql)?.execute([report])?;
    }
    Ok(())
}

fn due(connection: &Connection, now_ms: u64) -> Result<Vec<DueMail>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT report, period, due_ms, attempts + (claimed_until_ms > 0) FROM mailed
         WHERE state = 0 AND next_ms <= ?1 AND claimed_until_ms <= ?1 ORDER BY next_ms, report",
    )?;
    let one = |row: &Row<'_>| {
        Ok(DueMail {
            report: row.get(0)?,
            period: row.get(1)?,
            due_ms: row.get::<_, i64>(2)?.unsigned_abs(),
            attempts: row.get(3)?,
        })
    };
    Ok(statement.query_map([signed(now_ms)], one)?.collect::<Result<_, _>>()?)
}

fn claim(transaction: &Transaction<'_>, mail: &DueMail, now_ms: u64) -> Result<Option<DueMail>, StoreError> {
    let is_it = |due: &DueMail| (&due.report, &due.period) == (&mail.report, &mail.period);
    let Some(due) = due(transaction, now_ms)?.into_iter().find(is_it) else { return Ok(None) };
    // Whoever had taken one and did not note it in time may have sent it.
    let mut statement = transaction.prepare_cached(
        "UPDATE mailed SET uncertain = uncertain + (claimed_until_ms > 0),
         attempts = attempts + (claimed_until_ms > 0), claimed_until_ms = ?3, claimed_by_hand = 0
         WHERE report = ?1 AND period = ?2",
    )?;
    statement.execute(params![due.report, due.period, signed(now_ms.saturating_add(CLAIM_MS))])?;
    Ok(Some(due))
}

fn note(
    transaction: &Transaction<'_>,
    mail: &DueMail,
    attempt: &Attempt,
    now_ms: u64,
) -> Result<(), StoreError> {
    let (state, next, error) = match attempt {
        Attempt::Delivered => (1, None, None),
        Attempt::Again(next_ms, error) => (0, Some(*next_ms), Some(error)),
        Attempt::GivenUp(error) => (2, None, Some(error)),
        Attempt::NotYet(next_ms) => (0, Some(*next_ms), None),
    };
    let is_attempt = !matches!(attempt, Attempt::NotYet(_));
    let sent = matches!(attempt, Attempt::Delivered).then_some(signed(now_ms));
    let sql = "UPDATE mailed SET claimed_until_ms = 0, state = ?3, next_ms = coalesce(?4, next_ms),
               attempts = attempts + ?5, sent_ms = coalesce(?6, sent_ms), last_error = iif(?5, ?7, last_error)
               WHERE report = ?1 AND period = ?2";
    transaction.prepare_cached(sql)?.execute(params![
        mail.report,
        mail.period,
        state,
        next.map(signed),
        is_attempt,
        sent,
        error
    ])?;
    Ok(())
}

fn claim_by_hand(
    transaction: &Transaction<'_>,
    planned: &Planned,
    is_again: bool,
    now_ms: u64,
) -> Result<ByHand, StoreError> {
    let Planned { report, period, due_ms, .. } = planned;
    let period = period.as_deref().unwrap_or_default();
    let now = signed(now_ms);
    let sql = "SELECT claimed_until_ms, sent_ms FROM mailed WHERE report = ?1 AND period = ?2";
    let known: Option<(i64, Option<i64>)> = transaction
        .prepare_cached(sql)?
        .query_row(params![report, period], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match known {
        Some((until, _)) if until > now => return Ok(ByHand::Sending),
        Some((_, Some(sent))) if !is_again => return Ok(ByHand::Sent(sent.unsigned_abs())),
        _ => {}
    }
    let sql = "INSERT INTO mailed (report, period, state, is_by_hand, due_ms, next_ms, claimed_until_ms, claimed_by_hand)
               VALUES (?1, ?2, 2, 1, ?3, ?3, ?4, 1)
               ON CONFLICT DO UPDATE SET uncertain = uncertain + (claimed_until_ms > 0),
               attempts = attempts + (claimed_until_ms > 0), claimed_until_ms = ?4, claimed_by_hand = 1";
    let until = signed(now_ms.saturating_add(CLAIM_MS));
    transaction.prepare_cached(sql)?.execute(params![report, period, signed(*due_ms), until])?;
    Ok(ByHand::Taken)
}

fn list(
    connection: &Connection,
    report: &str,
    limit: usize,
    now_ms: u64,
) -> Result<Vec<MailRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT period, state, attempts, uncertain, sent_ms, next_ms, last_error, claimed_until_ms
         FROM mailed WHERE report = ?1 ORDER BY due_ms DESC, period DESC LIMIT ?2",
    )?;
    let now = signed(now_ms);
    let one = |row: &Row<'_>| {
        let (state, uncertain, until): (i64, u32, i64) = (row.get(1)?, row.get(3)?, row.get(7)?);
        let state = match state {
            _ if until > now => MailState::Sending,
            _ if until > 0 => MailState::Uncertain,
            0 if uncertain > 0 => MailState::Uncertain,
            0 => MailState::Due,
            1 => MailState::Sent,
            _ => MailState::Failed,
        };
        let ms = |at: i64| rfc3339(at.unsigned_abs());
        let next: i64 = row.get(5)?;
        Ok(MailRow {
            period: row.get(0)?,
            state,
            attempts: row.get(2)?,
            uncertain,
            sent: row.get::<_, Option<i64>>(4)?.and_then(ms),
            next_attempt: matches!(state, MailState::Due | MailState::Uncertain).then(|| ms(next)).flatten(),
            last_error: row.get(6)?,
        })
    };
    Ok(statement.query_map(params![report, signed(limit)], one)?.collect::<Result<_, _>>()?)
}

/// Longer than an attempt takes.
const CLAIM_MS: u64 = 5 * 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(period: &str, due_ms: u64) -> Vec<Planned> {
        let (report, every) = ("r".to_owned(), "week".to_owned());
        vec![Planned { report, every, period: Some(period.into()), due_ms }]
    }

    /// Takes all that is due.
    async fn claimed(store: &Store, now_ms: u64) -> Vec<DueMail> {
        let mut claimed = Vec::new();
        for mail in store.due_mails(now_ms).await.unwrap() {
            claimed.extend(store.claim_mail(None, mail, now_ms).await.unwrap());
        }
        claimed
    }

    #[tokio::test]
    async fn what_was_not_begun_is_not_uncertain() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let other = Planned { report: "other".into(), ..planned("2026-W02", 10).remove(0) };
        store.plan_mails(None, [planned("2026-W02", 10), vec![other]].concat(), 10).await.unwrap();
        let due = store.due_mails(20).await.unwrap();
        assert_eq!(due.len(), 2);
        let first = due.iter().find(|one| one.report == "r").unwrap().clone();
        store.claim_mail(None, first.clone(), 20).await.unwrap().unwrap();
        assert_eq!(store.claim_mail(None, first, 20).await.unwrap(), None, "it is taken");
        // Another collector leads.
        store.unclaim_mails(None).await.unwrap();
        assert_eq!(states(&store, 30).await, [row("2026-W02", "uncertain", 1, 1)]);
        let other = store.mails("other".into(), 1, 30).await.unwrap().remove(0);
        assert_eq!((other.state.name(), other.attempts, other.uncertain), ("due", 0, 0));
    }

    async fn states(store: &Store, now_ms: u64) -> Vec<(String, &'static str, u32, u32)> {
        let mails = store.mails("r".into(), 10, now_ms).await.unwrap();
        mails.into_iter().map(|one| (one.period, one.state.name(), one.attempts, one.uncertain)).collect()
    }

    fn row(
        period: &str,
        state: &'static str,
        attempts: u32,
        uncertain: u32,
    ) -> (String, &'static str, u32, u32) {
        (period.to_owned(), state, attempts, uncertain)
    }

    #[tokio::test]
    async fn a_new_report_waits_for_its_next_time_and_only_the_newest_period_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.plan_mails(None, planned("2026-W01", 1_000), 5_000).await.unwrap();
        assert_eq!(states(&store, 5_000).await, [], "its time was before the report");
        store.plan_mails(None, planned("2026-W02", 6_000), 6_000).await.unwrap();
        assert_eq!(states(&store, 6_000).await, [row("2026-W02", "due", 0, 0)]);
        // The collector was down for weeks.
        store.plan_mails(None, planned("2026-W09", 60_000), 61_000).await.unwrap();
        let expected = [row("2026-W09", "due", 0, 0), row("2026-W02", "failed", 0, 0)];
        assert_eq!(states(&store, 61_000).await, expected);
        // Gone from the configuration, and back: it is new again.
        store.plan_mails(None, vec![], 61_000).await.unwrap();
        assert_eq!(states(&store, 61_000).await[0], row("2026-W09", "failed", 0, 0));
        store.plan_mails(None, planned("2026-W10", 70_000), 71_000).await.unwrap();
        assert_eq!(states(&store, 71_000).await.len(), 2);
    }

    #[tokio::test]
    async fn a_mail_is_given_to_one_and_one_whose_end_nobody_knows_is_uncertain() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.plan_mails(None, planned("2026-W02", 10), 10).await.unwrap();
        let mail = claimed(&store, 20).await.pop().unwrap();
        assert_eq!(claimed(&store, 20).await, []);
        assert_eq!(
            store.claim_by_hand(planned("2026-W02", 10).remove(0), true, 20).await.unwrap(),
            ByHand::Sending
        );
        assert_eq!(states(&store, 20).await, [row("2026-W02", "sending", 0, 0)]);
        let again = Attempt::Again(500, "it is away".into());
        store.note_mail(None, mail, again, 20).await.unwrap();
        assert_eq!(claimed(&store, 499).await, []);
        claimed(&store, 500).await.pop().unwrap();
        // Nobody notes it: another one takes it when its time is over, or when it begins to lead.
        let later = 500 + CLAIM_MS;
        assert_eq!(states(&store, later).await, [row("2026-W02", "uncertain", 1, 0)]);
        claimed(&store, later).await.pop().unwrap();
        assert_eq!(states(&store, later).await, [row("2026-W02", "sending", 2, 1)]);
        store.unclaim_mails(None).await.unwrap();
        assert_eq!(states(&store, later).await, [row("2026-W02", "uncertain", 3, 2)]);
        let mail = claimed(&store, later).await.pop().unwrap();
        assert_eq!(mail.attempts, 3);
        store.note_mail(None, mail, Attempt::Delivered, later).await.unwrap();
        assert_eq!(states(&store, later).await, [row("2026-W02", "sent", 4, 2)]);
        assert_eq!(claimed(&store, later * 2).await, []);
        store.plan_mails(None, planned("2026-W02", 10), later * 2).await.unwrap();
        assert_eq!(states(&store, later).await, [row("2026-W02", "sent", 4, 2)]);
    }

    #[tokio::test]
    async fn what_was_sent_by_hand_is_not_sent_again_and_what_failed_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.plan_mails(None, planned("2026-W01", 1), 5).await.unwrap();
        let claim = |again| store.claim_by_hand(planned("2026-W02", 9).remove(0), again, 6);
        let note = |error: Option<&str>| {
            let entry =
                Entry { time_ms: 7, actor: "a".into(), action: "report.send".into(), ..Entry::default() };
            store.note_by_hand("r".into(), "2026-W02".into(), error.map(str::to_owned), entry)
        };
        assert_eq!(claim(false).await.unwrap(), ByHand::Taken);
        note(Some("no")).await.unwrap();
        assert_eq!(states(&store, 8).await, [row("2026-W02", "failed", 1, 0)]);
        store.plan_mails(None, planned("2026-W02", 9), 9).await.unwrap();
        assert_eq!(states(&store, 9).await, [row("2026-W02", "due", 1, 0)]);
        assert_eq!(claim(false).await.unwrap(), ByHand::Taken);
        note(None).await.unwrap();
        assert_eq!(claim(false).await.unwrap(), ByHand::Sent(7));
        assert_eq!(claim(true).await.unwrap(), ByHand::Taken);
        note(Some("no")).await.unwrap();
        store.plan_mails(None, planned("2026-W02", 9), 9).await.unwrap();
        assert_eq!(states(&store, 9).await, [row("2026-W02", "sent", 3, 0)]);
        assert_eq!(store.audited_after(0, 10).await.unwrap().len(), 3);
    }
}
