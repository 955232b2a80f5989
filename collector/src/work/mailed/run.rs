//! Reports at work: what is due is claimed, made, sent and noted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::schedule::Period;
use crate::config::{Config, Email, Report};
use crate::model::answers::reports::{MailReport, html, text};
use crate::model::audit::hex;
use crate::model::clock::{instant, now_ms};
use crate::store::{Attempt, DueMail, Lead, Planned, StoreError};
use crate::work::alerts::deliver::Outcome;
use crate::work::alerts::email::{self, Letter};
use crate::work::alerts::run::base_url;
use crate::work::alerts::schedule::wait_ms;
use crate::work::app::App;
use crate::work::following;

/// Makes what a report says of a period.
pub type Make = fn(Arc<App>, Report, Period) -> Making;

/// A report that is being made.
pub type Making = Pin<Box<dyn Future<Output = anyhow::Result<MailReport>> + Send>>;

/// What was planned last, and by whom.
type Known = Option<(Lead, Vec<Planned>)>;

/// Sends what is due again and again while this collector leads, until it ends.
pub async fn run(app: Arc<App>, make: Make) {
    let mut known = None;
    let mut channels: HashMap<String, JoinHandle<()>> = HashMap::new();
    loop {
        let now = now_ms();
        if let Some(lead) = app.store.lead(now)
            && let Err(error) = begin(&app, lead, &mut known, &mut channels, make).await
        {
            error!(%error, "Reports by mail could not be planned; it is tried again");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Plans what is due, and begins to send it: each channel by itself, so that one whose server hangs holds up
/// no other.
async fn begin(
    app: &Arc<App>,
    lead: Lead,
    known: &mut Known,
    channels: &mut HashMap<String, JoinHandle<()>>,
    make: Make,
) -> Result<(), StoreError> {
    let now_ms = now_ms();
    let Some(now) = instant(now_ms) else { return Ok(()) };
    let config = app.config();
    let plan = |report: &Report| Period::planned(Period::due(report, now).as_ref(), report);
    let planned: Vec<Planned> = config.reports.iter().map(plan).collect();
    if known.as_ref().is_none_or(|(before, _)| *before != lead) {
        // Whoever led before may have died while it sent one. What this collector sends under an earlier
        // lead, it cannot note any more.
        channels.drain().for_each(|(_, sending)| sending.abort());
        app.store.unclaim_mails(Some(lead)).await?;
    }
    if known.as_ref().is_none_or(|(before, last)| *before != lead || *last != planned) {
        app.store.plan_mails(Some(lead), planned.clone(), now_ms).await?;
        *known = Some((lead, planned));
    }
    channels.retain(|_, sending| !sending.is_finished());
    let mut due: HashMap<String, Vec<DueMail>> = HashMap::new();
    for mail in app.store.due_mails(now_ms).await? {
        let report = config.reports.iter().find(|report| report.name == mail.report);
        let channel = report.map(|report| report.channel.clone()).unwrap_or_default();
        due.entry(channel).or_default().push(mail);
    }
    for (channel, mails) in due {
        if let Entry::Vacant(free) = channels.entry(channel) {
            let app = Arc::clone(app);
            free.insert(tokio::spawn(async move {
                if let Err(error) = send_due(&app, lead, mails, make).await {
                    error!(%error, "A report by mail could not be noted; it is sent again, under the same id");
                }
            }));
        }
    }
    Ok(())
}

/// Sends the mails of one channel, one after the other. Each is claimed right before: what was not begun when
/// this collector dies was surely not sent.
async fn send_due(app: &Arc<App>, lead: Lead, mails: Vec<DueMail>, make: Make) -> Result<(), StoreError> {
    for mail in mails {
        let now_ms = now_ms();
        let Some(mail) = app.store.claim_mail(Some(lead), mail, now_ms).await? else { continue };
        let attempt = attempt(app, &app.config(), &mail, make, now_ms).await;
        match &attempt {
            Attempt::Delivered => info!(report = mail.report, period = mail.period, "Sent a report by mail"),
            Attempt::GivenUp(error) => {
                warn!(
                    report = mail.report,
                    period = mail.period,
                    error,
                    "A report cannot be sent and is given up"
                );
            }
            Attempt::Again(_, error) => {
                warn!(report = mail.report, period = mail.period, error, "A report is sent later");
            }
            Attempt::NotYet(_) => {}
        }
        app.store.note_mail(Some(lead), mail, attempt, now_ms).await?;
    }
    Ok(())
}

async fn attempt(app: &Arc<App>, config: &Config, mail: &DueMail, make: Make, now_ms: u64) -> Attempt {
    let Some(report) = config.reports.iter().find(|report| report.name == mail.report) else {
        return Attempt::GivenUp(format!("the configuration has no report `{}` any more", mail.report));
    };
    let period = instant(now_ms).ok_or_else(|| "there is no such time".to_owned());
    let period = match period.and_then(|now| Period::named(report, &mail.period, now)) {
        Ok(period) => period,
        Err(error) => return Attempt::GivenUp(error),
    };
    let is_patient = now_ms < mail.due_ms.saturating_add(FOLLOWED_MS);
    if is_patient && !matches!(following::catch_up(app).await, Ok(0)) {
        return Attempt::NotYet(now_ms.saturating_add(FOLLOWING_MS));
    }
    let again = |error| {
        let attempt = mail.attempts.saturating_add(1);
        let wait = wait_ms(attempt, mail.due_ms);
        wait.map_or_else(
            || Attempt::GivenUp(String::clone(&error)),
            |wait| Attempt::Again(now_ms.saturating_add(wait), error.clone()),
        )
    };
    let made = match make(Arc::clone(app), report.clone(), period).await {
        Ok(made) => made,
        Err(error) => return again(format!("it could not be made: {error:#}")),
    };
    let letter = letter(config, &made, "");
    match send(report.email.clone(), letter).await {
        Outcome::Delivered => Attempt::Delivered,
        Outcome::Later(error, _) => again(error),
        Outcome::Never(error) => Attempt::GivenUp(error),
    }
}

/// Sends a letter, on a thread that may wait.
pub async fn send(email: Email, letter: Letter) -> Outcome {
    let sent = tokio::task::spawn_blocking(move || email::post(&email, &letter)).await;
    sent.unwrap_or_else(|_| Outcome::Later("the collector is stopping".to_owned(), None))
}

/// A report as a letter. Its id is the same for each attempt at a period; `salt` makes it another one.
pub fn letter(config: &Config, report: &MailReport, salt: &str) -> Letter {
    let of = [&base_url(config), &report.name, &report.period, salt];
    let key = serde_json::to_vec(&of).unwrap_or_default();
    let mut id = hex(ring::digest::digest(&ring::digest::SHA256, &key).as_ref());
    id.truncate(32);
    Letter {
        id: format!("tollgate-report-{id}"),
        subject: report.subject(),
        text: text::text(report),
        html: html::html(report),
    }
}

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// How long a report waits for records that are not followed yet, after its time.
const FOLLOWED_MS: u64 = 60 * 60_000;
/// When it looks again whether they are.
const FOLLOWING_MS: u64 = 10_000;
