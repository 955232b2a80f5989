//! Alerts at work: rules are judged by what the store has, and what was decided is delivered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::conditions::{self};
use super::deliver::{Outcome, deliver};
use super::message::{Item, Message};
use super::observe::{alerts_of, statuses};
use super::schedule::{Rate, quiet_until_ms, wait_ms};
use crate::config::{AlertsConfig, Channel, Config, Rule, Severity, Target};
use crate::model::alert::{Alert, Event};
use crate::model::clock::now_ms;
use crate::store::{Attempt, Due, Judged, Lead, StoreError};
use crate::work::app::App;

/// Judges the rules again and again while this collector leads, until it ends. One judges at a time: what one
/// saw earlier must not end what another saw later.
pub async fn judge_forever(app: Arc<App>) {
    loop {
        let begun = Instant::now();
        let now = now_ms();
        let lead = app.store.lead(now);
        if lead.is_some()
            && let Err(error) = judge(&app, lead, now).await
        {
            error!(%error, "Alerts could not be judged; it is tried again");
        }
        // Many rules over large books take a while; others come first.
        tokio::time::sleep(JUDGED_EVERY.max(begun.elapsed().saturating_mul(REST))).await;
    }
}

/// Delivers what is due again and again while this collector leads, until it ends: rates of channels hold
/// over all.
pub async fn deliver_forever(app: Arc<App>) {
    let mut rates = HashMap::new();
    let mut begun = None;
    loop {
        let now = now_ms();
        let lead = app.store.lead(now);
        if lead != begun {
            rates.clear();
            // What the one before had taken is for this one now.
            begun = if lead.is_some() && app.store.unclaim(lead).await.is_ok() { lead } else { None };
        }
        if begun.is_some()
            && let Err(error) = deliver_due(&app, begun, &mut rates, now).await
        {
            error!(%error, "Deliveries of alerts could not be read or noted; it is tried again");
        }
        tokio::time::sleep(DELIVERED_EVERY).await;
    }
}

/// Judges every rule at this time; gives how many decisions are new.
///
/// # Errors
/// When the store fails; nothing is decided then.
pub async fn judge(app: &App, lead: Option<Lead>, now_ms: u64) -> Result<u64, StoreError> {
    let config = app.config();
    let AlertsConfig { rules, channels } = &config.alerts;
    let (mut judged, mut unjudged) = (Vec::new(), Vec::new());
    for rule in rules {
        match alerts_of(app, rule, now_ms).await {
            Ok(alerts) => {
                judged.push(Judged { rule: rule.name.clone(), alerts, channels: rule.channels.clone() });
            }
            // It keeps what it said, and holds up no other.
            Err(error) => {
                error!(%error, "Alert rule `{}` could not be judged; it is tried again", rule.name);
                unjudged.push(&rule.name);
            }
        }
    }
    judged.extend(unwatched(app, &judged, now_ms).await?);
    // What a rule said that is gone does not hold any more.
    for rule in app.store.open_rules().await? {
        if !judged.iter().any(|known| known.rule == rule) && !unjudged.contains(&&rule) {
            judged.push(Judged { rule, ..Judged::default() });
        }
    }
    if judged.is_empty() {
        return Ok(0);
    }
    let new = app.store.decide(lead, judged, resolving(channels), now_ms).await?;
    if new > 0 {
        info!(new, "Decided {new} alerts");
        app.metrics.alerts_decided.inc_by(new);
    }
    Ok(new)
}

/// Budgets that are passed though no rule watches their whole limit: a decision that no channel hears, so
/// that each has its review. Nothing where there is none.
async fn unwatched(app: &App, judged: &[Judged], now_ms: u64) -> Result<Option<Judged>, StoreError> {
    let rule = Rule::passed_budget();
    let is_watched = |alert: &Alert| {
        let passed = judged.iter().flat_map(|rule| &rule.alerts).filter(|one| one.passed_budget.is_some());
        passed.into_iter().any(|one| one.scope == alert.scope && one.window == alert.window)
    };
    let statuses = statuses(app, now_ms).await?;
    let alerts: Vec<Alert> = statuses
        .iter()
        .filter(|status| status.limit_pico > 0)
        .flat_map(|status| conditions::budget(&rule, status, now_ms))
        .filter(|alert| alert.passed_budget.is_some() && !is_watched(alert))
        .collect();
    Ok((!alerts.is_empty()).then(|| Judged { rule: rule.name, alerts, channels: Vec::new() }))
}

/// Channels that hear when an alert does not hold any more: machines, which keep its state.
fn resolving(channels: &BTreeMap<String, Channel>) -> BTreeSet<String> {
    let hears =
        |channel: &Channel| matches!(channel.target, Target::PagerDuty { .. } | Target::Webhook { .. });
    channels.iter().filter(|(_, channel)| hears(channel)).map(|(name, _)| name.clone()).collect()
}

/// Delivers what is due at this time.
///
/// # Errors
/// When the store fails; what was sent and could not be noted is sent again, under the same id.
pub async fn deliver_due(
    app: &App,
    lead: Option<Lead>,
    rates: &mut HashMap<String, Rate>,
    now_ms: u64,
) -> Result<(), StoreError> {
    let due = app.store.claim_due(lead, now_ms, DUE_AT_A_TIME).await?;
    if due.is_empty() {
        return Ok(());
    }
    let config = app.config();
    let mut by_channel: BTreeMap<String, Vec<Due>> = BTreeMap::new();
    for one in due {
        by_channel.entry(one.channel.clone()).or_default().push(one);
    }
    let mut sending = tokio::task::JoinSet::new();
    let mut attempts = Vec::new();
    for (name, due) in by_channel {
        let Some(channel) = config.alerts.channels.get(&name) else {
            let gone = || Attempt::GivenUp(format!("there is no channel `{name}` any more"));
            attempts.extend(due.iter().map(|one| (one.seq, gone())));
            continue;
        };
        let (ready, later) = ready(channel, due, rates.entry(name).or_default(), now_ms);
        attempts.extend(later);
        let (channel, base_url) = (channel.clone(), base_url(&config));
        for group in ready {
            let (channel, base_url) = (channel.clone(), base_url.clone());
            sending.spawn_blocking(move || send(&channel, &group, base_url, now_ms));
        }
    }
    let mut noted = app.store.note_attempts(lead, attempts, now_ms).await;
    // Noted as they end: what one receiver has is not sent again because this collector dies while another
    // hangs.
    while let Some(sent) = sending.join_next().await {
        let sent = std::iter::once(sent).chain(std::iter::from_fn(|| sending.try_join_next()));
        let attempts: Vec<(i64, Attempt)> = sent.flat_map(Result::unwrap_or_default).collect();
        attempts.iter().for_each(|(_, attempt)| app.metrics.count_delivery(attempt));
        noted = noted.and(app.store.note_attempts(lead, attempts, now_ms).await);
    }
    noted
}

/// What of a channel's deliveries goes now, by message, and when the others come.
fn ready(
    channel: &Channel,
    due: Vec<Due>,
    rate: &mut Rate,
    now_ms: u64,
) -> (Vec<Vec<Due>>, Vec<(i64, Attempt)>) {
    let quiet = channel.quiet.as_ref().and_then(|quiet| quiet_until_ms(quiet, now_ms));
    let is_critical = |due: &Due| due.alert.severity == Severity::Critical.name();
    let (due, quieted): (Vec<Due>, Vec<Due>) =
        due.into_iter().partition(|one| quiet.is_none() || is_critical(one));
    let mut later: Vec<(i64, Attempt)> = quieted
        .iter()
        .zip(quiet.into_iter().cycle())
        .map(|(one, until)| (one.seq, Attempt::NotYet(until)))
        .collect();
    let (single, gathered): (Vec<Due>, Vec<Due>) =
        due.into_iter().partition(|one| channel.digest_minutes == 0 || is_critical(one));
    let mut groups = together(channel, single);
    let oldest = gathered.iter().map(|one| one.created_ms).min();
    if let Some(oldest) = oldest {
        let at = oldest.saturating_add(channel.digest_minutes.saturating_mul(60_000));
        if at <= now_ms {
            groups.push(gathered);
        } else {
            later.extend(gathered.iter().map(|one| (one.seq, Attempt::NotYet(at))));
        }
    }
    let mut ready = Vec::new();
    for group in groups {
        match rate.admit(channel, now_ms) {
            Ok(()) => ready.push(group),
            Err(next) => later.extend(group.iter().map(|one| (one.seq, Attempt::NotYet(next)))),
        }
    }
    (ready, later)
}

/// Sends a group as one message. Blocks.
fn send(channel: &Channel, group: &[Due], base_url: String, now_ms: u64) -> Vec<(i64, Attempt)> {
    let message = Message { id: message_id(group), items: items(group, channel), base_url };
    let outcome = deliver(channel, &message, now_ms);
    let attempt = |due: &Due| match &outcome {
        Outcome::Delivered => Attempt::Delivered,
        Outcome::Never(error) => {
            warn!(
                alert = due.alert.id,
                channel = due.channel,
                error,
                "An alert cannot be delivered and is given up"
            );
            Attempt::GivenUp(error.clone())
        }
        Outcome::Later(error, wait_s) => {
            let attempt = due.attempts.saturating_add(1);
            let spread = due.seq.unsigned_abs().wrapping_mul(SPREAD) >> 40;
            match wait_ms(attempt, spread) {
                Some(wait) => {
                    let asked = wait_s.map_or(0, |seconds| seconds.min(ASKED_MAX_S).saturating_mul(1_000));
                    Attempt::Again(now_ms.saturating_add(wait.max(asked)), error.clone())
                }
                None => Attempt::GivenUp(error.clone()),
            }
        }
    };
    group.iter().map(|due| (due.seq, attempt(due))).collect()
}

/// What is told of a group: each alert, or the last of thresholds of one thing, which says it all.
fn items(group: &[Due], channel: &Channel) -> Vec<Item> {
    let item = |due: &Due, alert: Alert| Item {
        alert,
        event: due.event,
        at_ms: due.created_ms,
        zone: channel.zone.clone(),
    };
    if let [first, .., last] = group
        && is_for_people(channel)
        && group.iter().all(|due| is_of_one(first, due))
    {
        let passed: Vec<&str> = group.iter().map(|due| due.alert.threshold.as_str()).collect();
        let mut alert = last.alert.clone();
        alert.facts.push(("Passed".into(), passed.join(", ")));
        return vec![item(last, alert)];
    }
    group.iter().map(|due| item(due, due.alert.clone())).collect()
}

/// What goes as one message: to people, thresholds of one thing that were passed at once; machines keep the
/// state of each.
fn together(channel: &Channel, due: Vec<Due>) -> Vec<Vec<Due>> {
    let mut groups: Vec<Vec<Due>> = Vec::new();
    for one in due {
        let is_same = |group: &&mut Vec<Due>| group.first().is_some_and(|first| is_of_one(first, &one));
        match groups.iter_mut().find(is_same).filter(|_| is_for_people(channel)) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

const fn is_for_people(channel: &Channel) -> bool {
    matches!(channel.target, Target::Slack { .. } | Target::Email(_))
}

/// Whether both are thresholds of one rule in one scope and window.
fn is_of_one(one: &Due, other: &Due) -> bool {
    let (Alert { rule, scope, window, .. }, alert) = (&one.alert, &other.alert);
    one.event == other.event && *rule == alert.rule && *scope == alert.scope && *window == alert.window
}

/// The same for the same group: that of its alert, or one made of all.
fn message_id(group: &[Due]) -> String {
    match group {
        [one] if one.event == Event::Opened => one.alert.id.clone(),
        [one] => format!("{}-resolved", one.alert.id),
        many => {
            let window = many.iter().map(|one| one.seq.to_string()).collect::<Vec<_>>().join(",");
            Alert { rule: "digest".into(), window, ..Alert::default() }.with_id().id
        }
    }
}

/// Where people reach the collector.
pub fn base_url(config: &Config) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let own = || format!("{scheme}://{}", config.listen);
    config.public_url.as_ref().map_or_else(own, |url| url.trim_end_matches('/').to_owned())
}

/// How often rules are judged.
const JUDGED_EVERY: Duration = Duration::from_secs(5);
/// Rests between two judgements, as a multiple of what one took.
const REST: u32 = 20;
/// How often the outbox is looked at.
const DELIVERED_EVERY: Duration = Duration::from_millis(500);
/// Deliveries that are taken at a time.
const DUE_AT_A_TIME: usize = 64;
/// The longest wait that a receiver may ask for, in seconds.
const ASKED_MAX_S: u64 = 3_600;
/// Spreads numbers over the range of a word.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_608_000_000; // 2026-11-25T12:00:00Z

    fn channel(text: &str) -> Channel {
        let text = format!("[channels.c]\ntype = 'slack'\nurl = 'https://x'\n{text}");
        Config::parse("t", &text).unwrap().alerts.channels.remove("c").unwrap()
    }

    fn due(seq: i64, severity: &str, created_ms: u64) -> Due {
        let alert =
            Alert { severity: severity.into(), window: seq.to_string(), ..Alert::default() }.with_id();
        Due { seq, alert, event: Event::Opened, channel: "c".into(), attempts: 0, created_ms }
    }

    fn ready_at(channel: &Channel, due: &[Due], now_ms: u64) -> (Vec<Vec<i64>>, Vec<(i64, Attempt)>) {
        let (groups, later) = ready(channel, due.to_vec(), &mut Rate::default(), now_ms);
        (groups.iter().map(|group| group.iter().map(|one| one.seq).collect()).collect(), later)
    }

    #[test]
    fn quiet_hours_hold_back_all_but_what_is_critical() {
        let channel = channel("quiet = '11:00-13:00'");
        let (groups, later) = ready_at(&channel, &[due(1, "warning", 0), due(2, "critical", 0)], NOON);
        assert_eq!(groups, [[2]]);
        assert_eq!(later, [(1, Attempt::NotYet(NOON + 3_600_000))]);
    }

    #[test]
    fn a_digest_gathers_until_its_time_and_is_one_message() {
        let channel = channel("digest_minutes = 10");
        let waiting = [due(1, "info", NOON), due(2, "info", NOON + 60_000), due(3, "critical", NOON)];
        let (groups, later) = ready_at(&channel, &waiting, NOON + 60_000);
        assert_eq!(groups, [[3]], "what is critical does not wait");
        assert_eq!(later, [1, 2].map(|seq| (seq, Attempt::NotYet(NOON + 600_000))));
        let (groups, later) = ready_at(&channel, &waiting[..2], NOON + 600_000);
        assert_eq!((groups, later), (vec![vec![1, 2]], vec![]));
        assert_eq!(message_id(&waiting[..2]), message_id(&waiting[..2]), "the same at each attempt");
    }

    #[test]
    fn what_is_more_than_the_rate_waits() {
        let channel = channel("per_minute = 2");
        let (groups, later) = ready_at(&channel, &[1, 2, 3].map(|seq| due(seq, "info", NOON)), NOON);
        assert_eq!(groups.len(), 2);
        assert_eq!(later, [(3, Attempt::NotYet(NOON + 60_000))]);
    }
}
