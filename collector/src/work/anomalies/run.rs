//! The detector at work: each minute over every agent that did something in the last hour.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::tz::TimeZone;
use tracing::{debug, error, warn};

use super::baseline::{Baseline, HOURS, as_f64};
use super::detect::{Look, detect};
use super::drift::{self, Drift};
use super::drivers::{self, Part};
use super::newcomers::{is_enough_known, newcomer, news_since_ms};
use crate::model::anomaly::{Driver, Episode, Finding, Kind};
use crate::model::clock::{HOUR_MS, MINUTE_MS, now_ms, signed};
use crate::model::dimension::Dimension;
use crate::model::minute::{Hour, Minute};
use crate::store::{Every, Filters, Lead, RecordsQuery, StoreError, SummaryQuery};
use crate::work::app::App;
use crate::work::baseline::{DAYS, used};

/// Watches while this collector leads, until it ends.
pub async fn run(app: Arc<App>) {
    let mut watch = Watch::default();
    loop {
        let now = now_ms();
        let lead = app.store.lead(now);
        if lead.is_none() {
            // One that ends before the minute is over leaves the look at it to this one.
            tokio::time::sleep(LED_EVERY).await;
            continue;
        }
        if let Err(error) = watch.look(&app, lead, now).await {
            error!(%error, "Anomalies could not be looked for; it is tried again");
        }
        let into = now_ms() % MINUTE_MS;
        // Shortly after the minute is over, when its calls have come.
        tokio::time::sleep(Duration::from_millis(MINUTE_MS - into + GRACE_MS)).await;
    }
}

/// The hours before, by agent: what is usual is made of them.
#[derive(Debug, Default)]
pub struct Watch {
    hours: BTreeMap<String, BTreeMap<i64, Hour>>,
    loaded: BTreeSet<i64>,
    /// Imports that these hours have.
    imports: u64,
    /// When agents are compared with their baselines next, Unix milliseconds UTC.
    compares_ms: u64,
}

impl Watch {
    /// Looks at the minutes that are over at this time; gives how many findings there are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look(&mut self, app: &App, lead: Option<Lead>, now_ms: u64) -> Result<usize, StoreError> {
        let minute = signed(now_ms / MINUTE_MS);
        let hour = minute.div_euclid(60);
        self.load(app, hour).await?;
        let mut agents: BTreeMap<String, Vec<Minute>> = BTreeMap::new();
        for (at, agent, did) in app.store.agent_minutes(minute.saturating_sub(60), minute).await? {
            if agents.len() >= AGENTS_MAX && !agents.contains_key(&agent) {
                continue;
            }
            let minutes = agents.entry(agent).or_insert_with(|| vec![Minute::default(); 60]);
            let index = usize::try_from(at.saturating_sub(minute).saturating_add(60)).unwrap_or(usize::MAX);
            if let Some(place) = minutes.get_mut(index) {
                *place = did;
            }
        }
        let mut found = self.compare(app, lead, now_ms).await?;
        for (agent, minutes) in &agents {
            let none = BTreeMap::new();
            let baseline = Baseline::at(hour, self.hours.get(agent).unwrap_or(&none));
            for finding in detect(Look { minutes, baseline: &baseline }) {
                found = found.saturating_add(1);
                note(app, lead, agent, Unusual::Minutes(finding), now_ms).await?;
            }
        }
        Ok(found.saturating_add(newcomers(app, lead, now_ms).await?))
    }

    /// Compares the last week of agents with their baselines, from time to time: neither changes within
    /// minutes.
    async fn compare(&mut self, app: &App, lead: Option<Lead>, now_ms: u64) -> Result<usize, StoreError> {
        let config = app.config().anomalies;
        if config.drift_percent.is_none() || now_ms < self.compares_ms {
            return Ok(0);
        }
        let (first, last) = drift::queries(config, now_ms);
        let (first, last) = tokio::try_join!(app.store.first_days(first, DAYS), used(&app.store, last))?;
        let drifts = drift::drifts(config, first, &last, now_ms)?;
        let found = drifts.len();
        for drift in drifts {
            let agent = drift.agent.clone();
            note(app, lead, &agent, Unusual::Drift(drift), now_ms).await?;
        }
        self.compares_ms = now_ms.saturating_add(drift::EVERY_MS);
        Ok(found)
    }

    /// Takes in hours that are over, and forgets those that are too old. Newest first, so that there is
    /// something usual soon after the start; one at a time, so that nobody waits for long.
    async fn load(&mut self, app: &App, hour: i64) -> Result<(), StoreError> {
        let imports = app.imports.load(Ordering::Relaxed);
        if imports != self.imports {
            (self.imports, self.loaded) = (imports, BTreeSet::new());
        }
        let oldest = hour.saturating_sub(HOURS);
        for at in (oldest..hour).rev() {
            if self.loaded.contains(&at) {
                continue;
            }
            let summary =
                app.store.summary(by_agent(at, at.saturating_add(1), Dimension::Agent, None)).await?;
            let mut busiest: BTreeMap<String, (u64, u64)> = BTreeMap::new();
            if hour.saturating_sub(at) <= MINUTES_KEPT_HOURS {
                for (_, agent, did) in app.store.agent_minutes(at * 60, (at + 1) * 60).await? {
                    let (run, request) = busiest.entry(agent).or_default();
                    *run = did.runs.most().max(*run);
                    *request = did.requests.most().max(*request);
                }
            }
            for row in summary.rows {
                let Some(Some(agent)) = row.values.into_iter().next() else { continue };
                if self.hours.len() >= AGENTS_MAX && !self.hours.contains_key(&agent) {
                    continue;
                }
                let did = busiest.get(&agent);
                let known = Hour {
                    calls: row.totals.calls,
                    errors: row.totals.errors.saturating_add(row.totals.upstream_aborts),
                    denied: row.totals.denied,
                    input_tokens: row.totals.input_tokens,
                    output_tokens: row.totals.output_tokens,
                    dollars: row.totals.cost.to_dollars_lossy(),
                    busiest_run: did.map(|(run, _)| *run),
                    busiest_request: did.map(|(_, request)| *request),
                };
                self.hours.entry(agent).or_default().insert(at, known);
            }
            self.loaded.insert(at);
        }
        self.loaded.retain(|at| *at >= oldest);
        self.hours.retain(|_, hours| {
            hours.retain(|at, _| *at >= oldest);
            !hours.is_empty()
        });
        Ok(())
    }
}

/// What was found, and with it what it is explained by.
enum Unusual {
    /// In the last minutes.
    Minutes(Finding),
    /// In the last week.
    Drift(Drift),
}

/// Writes a finding: as an episode that begins, or as one that goes on.
async fn note(
    app: &App,
    lead: Option<Lead>,
    agent: &str,
    unusual: Unusual,
    now_ms: u64,
) -> Result<(), StoreError> {
    let finding = match &unusual {
        Unusual::Minutes(finding) => finding.clone(),
        Unusual::Drift(drift) => drift.finding.clone(),
    };
    let kind = finding.kind;
    let lasting = app.store.lasting(agent.to_owned(), kind.name(), now_ms.saturating_sub(LASTS_MS)).await?;
    let episode = match lasting {
        Some(mut episode) => {
            episode.last_ms = now_ms;
            if finding.score > episode.finding.score {
                episode.finding = finding;
            }
            episode
        }
        None => {
            let drivers = match &unusual {
                Unusual::Minutes(finding) => explain(app, agent, finding, now_ms).await?,
                Unusual::Drift(drift) => explain_drift(app, drift, now_ms).await?,
            };
            warn!(
                agent,
                kind = kind.name(),
                value = finding.value,
                expected = finding.expected,
                "Something unusual"
            );
            app.metrics.anomalies_found.inc();
            Episode { seq: 0, agent: agent.to_owned(), start_ms: now_ms, last_ms: now_ms, finding, drivers }
        }
    };
    app.store.put_episode(lead, episode).await?;
    Ok(())
}

/// Agents and models that are new, once what was there before is known well enough.
async fn newcomers(app: &App, lead: Option<Lead>, now_ms: u64) -> Result<usize, StoreError> {
    let since = app.store.known_since().await?;
    if !is_enough_known(since, now_ms) {
        debug!("Too little is known to call anything new");
        return Ok(0);
    }
    let mut found = 0usize;
    for first in app.store.first_calls_since(news_since_ms(now_ms)).await? {
        let Some(kind) = newcomer(&first, since, now_ms) else { continue };
        let detail = first.model.clone();
        let finding = Finding { kind, window_minutes: 60, value: 1.0, expected: 0.0, score: 0.0, detail };
        note(app, lead, &first.agent, Unusual::Minutes(finding), now_ms).await?;
        found = found.saturating_add(1);
    }
    Ok(found)
}

/// What explains a finding, of the features, models and system prompts of the agent.
async fn explain(app: &App, agent: &str, finding: &Finding, now_ms: u64) -> Result<Vec<Driver>, StoreError> {
    let hour = signed(now_ms / HOUR_MS);
    let into = as_f64(now_ms % HOUR_MS) / as_f64(HOUR_MS);
    let mut found = Vec::new();
    for dimension in [Dimension::Feature, Dimension::Model] {
        let now = (hour, hour.saturating_add(1));
        let week = (hour.saturating_sub(168), hour);
        let parts = parts(app, (agent, finding.kind, dimension), now, (week, into / 168.0)).await?;
        found.extend(drivers::of_dimension(dimension.name(), &parts));
    }
    let mut filters = Filters::default();
    filters.accept(Dimension::Agent, agent.to_owned());
    let hours = signed(now_ms.saturating_sub(2 * HOUR_MS));
    let query = RecordsQuery { from_ms: Some(hours), filters, limit: RECORDS_MAX, ..RecordsQuery::default() };
    let records = app.store.records(query).await?.records;
    let start =
        now_ms.saturating_sub(u64::from(finding.window_minutes).saturating_add(1).saturating_mul(MINUTE_MS));
    found.extend(drivers::of_system_prompt(&records, start));
    found.sort_by_key(|driver| std::cmp::Reverse(driver.percent));
    Ok(found)
}

/// What explains that an agent drifted, of its features and models.
async fn explain_drift(app: &App, drift: &Drift, now_ms: u64) -> Result<Vec<Driver>, StoreError> {
    let hour = signed(now_ms / HOUR_MS);
    let (from, to) = drift.baseline;
    let scale = f64::from(u32::try_from(drift::HOURS).unwrap_or_default())
        / f64::from(u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX).max(1));
    let mut found = Vec::new();
    for dimension in [Dimension::Feature, Dimension::Model] {
        let about = (drift.agent.as_str(), drift.finding.kind, dimension);
        let parts = parts(app, about, (hour.saturating_sub(drift::HOURS), hour), ((from, to), scale)).await?;
        found.extend(drivers::of_dimension(dimension.name(), &parts));
    }
    found.sort_by_key(|driver| std::cmp::Reverse(driver.percent));
    Ok(found)
}

/// What an agent's features or models did in some hours, and in others that are scaled to be as long.
async fn parts(
    app: &App,
    (agent, kind, dimension): (&str, Kind, Dimension),
    (from, to): (i64, i64),
    ((usual_from, usual_to), scale): ((i64, i64), f64),
) -> Result<Vec<Part>, StoreError> {
    let now = app.store.summary(by_agent(from, to, dimension, Some(agent))).await?;
    let usual = app.store.summary(by_agent(usual_from, usual_to, dimension, Some(agent))).await?;
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for (rows, is_now) in [(now.rows, true), (usual.rows, false)] {
        for row in rows {
            let value = row.values.into_iter().next().flatten().unwrap_or_default();
            let part = parts.entry(value.clone()).or_insert_with(|| Part { value, ..Part::default() });
            let measure = drivers::measure(kind, &row.totals);
            if is_now {
                part.now = measure;
            } else {
                part.usual = measure * scale;
            }
        }
    }
    Ok(parts.into_values().collect())
}

fn by_agent(from_hour: i64, to_hour: i64, by: Dimension, agent: Option<&str>) -> SummaryQuery {
    let mut filters = Filters::default();
    if let Some(agent) = agent {
        filters.accept(Dimension::Agent, agent.to_owned());
    }
    SummaryQuery {
        from_hour,
        to_hour,
        by: vec![by],
        every: Every::Period,
        zone: TimeZone::UTC,
        filters,
        tag_key: None,
    }
}

/// A finding that comes again within this time goes on.
pub const LASTS_MS: u64 = 30 * MINUTE_MS;
/// How often one that does not lead asks.
const LED_EVERY: Duration = Duration::from_secs(1);
/// Gateways report at least once a second.
const GRACE_MS: u64 = 3_000;
/// Agents that are watched.
const AGENTS_MAX: usize = 2_000;
/// Hours whose minutes are kept.
const MINUTES_KEPT_HOURS: i64 = 25;
/// Records that are read to explain a finding.
const RECORDS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store::{Batch, Sender, Store};
    use crate::work::access::Access;
    use crate::work::prices::Prices;
    use tollgate_core::money::Picodollars;
    use tollgate_core::price::PriceBook;
    use tollgate_core::record::{Head, UsageRecord};

    const START_MS: u64 = 1_795_564_800_000; // 2026-11-25T00:00:00Z

    /// Ten calls in a minute, of which each costs so many cents.
    async fn minute(app: &App, at: u64, agent: &str, feature: &str, cents: u64) {
        let sender = Sender { received_ms: START_MS + (at + 1) * MINUTE_MS, ..Sender::default() };
        let mut batch = Batch::new(sender);
        for call in 0..10 {
            let mut record = UsageRecord {
                head: Head {
                    id: format!(
                        "01890a5d-ac96-774b-{:04x}-{at:06x}{call:06x}",
                        agent.len() + feature.len() + 0x8000
                    ),
                    time_ms: START_MS + at * MINUTE_MS + call * 5_000,
                    gateway: "edge".into(),
                    provider: "openai".into(),
                    operation: "chat".into(),
                    request_model: Some("gpt-x".into()),
                    ..Head::default()
                },
                cost_usd: Picodollars::from_pico(10_000_000_000).times(cents),
                ..UsageRecord::default()
            };
            record.head.attribution.agent = agent.into();
            record.head.attribution.feature = feature.into();
            batch.push(&record).unwrap();
        }
        app.store.ingest(batch).await.unwrap();
    }

    /// A collector with a rule on anomalies, and the directory that it keeps its data in.
    fn app(more: &str) -> (App, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "data_dir = '{}'\n{more}\n[[alerts]]\nname = 'odd'\nwhen = 'anomaly'\n",
            dir.path().display()
        );
        let config = Config::parse("t", &text).unwrap();
        let store = Store::open(&config.data_dir).unwrap();
        let access = Access::load(&config).unwrap();
        let prices = Arc::new(Prices::new(PriceBook::default(), Default::default()));
        (App::new(config, store, prices, access), dir)
    }

    #[tokio::test]
    async fn an_incident_is_found_when_its_first_minute_is_over_with_its_driver_and_is_told_once() {
        let (app, _dir) = app("");
        let now = |minute: u64| START_MS + minute * MINUTE_MS + GRACE_MS;

        let begin = 30 * 60;
        for at in 0..begin {
            minute(&app, at, "bot", "chat", 1).await;
        }
        let mut watch = Watch::default();
        assert_eq!(watch.look(&app, None, now(begin)).await.unwrap(), 0, "a usual day is not unusual");

        minute(&app, begin, "bot", "chat", 1).await;
        minute(&app, begin, "bot", "reports", 30).await;
        minute(&app, begin, "newcomer", "chat", 1).await;
        let found = watch.look(&app, None, now(begin + 1)).await.unwrap();
        assert!(found >= 2, "{found}");
        let episodes = app.store.episodes_since(0, 10).await.unwrap();
        let cost = episodes.iter().find(|episode| episode.finding.kind == Kind::Cost).unwrap();
        assert_eq!((cost.agent.as_str(), cost.start_ms), ("bot", now(begin + 1)));
        assert_eq!(
            (cost.drivers[0].dimension.as_str(), cost.drivers[0].value.as_str()),
            ("feature", "reports")
        );
        assert!(cost.drivers[0].percent >= 90, "{:?}", cost.drivers);
        assert!(episodes.iter().any(|one| one.finding.kind == Kind::NewAgent && one.agent == "newcomer"));

        let told = crate::work::alerts::run::judge(&app, None, now(begin + 1)).await.unwrap();
        assert_eq!(told, episodes.len() as u64);
        // The hour still holds it: the same episodes go on, and nothing is told again.
        watch.look(&app, None, now(begin + 2)).await.unwrap();
        assert_eq!(app.store.episodes_since(0, 10).await.unwrap().len(), episodes.len());
        assert_eq!(crate::work::alerts::run::judge(&app, None, now(begin + 2)).await.unwrap(), 0);
    }

    const DAY: u64 = 24 * 60;

    /// Three weeks of $1.20 a day, of which the last week has $12 of reports a day as well; what was found
    /// at its end.
    async fn after_three_weeks(config: &str) -> (Vec<Episode>, u64) {
        let (app, _dir) = app(config);
        for day in 0..21 {
            for hour in 0..12 {
                minute(&app, day * DAY + hour * 120, "bot", "chat", 1).await;
                if day >= 14 {
                    minute(&app, day * DAY + hour * 120 + 1, "bot", "reports", 10).await;
                }
            }
        }
        let mut watch = Watch::default();
        let end = START_MS + 21 * DAY * MINUTE_MS + GRACE_MS;
        watch.look(&app, None, end).await.unwrap();
        watch.look(&app, None, end + 20 * MINUTE_MS).await.unwrap();
        let told = crate::work::alerts::run::judge(&app, None, end + 20 * MINUTE_MS).await.unwrap();
        let episodes = app.store.episodes_since(0, 10).await.unwrap();
        (episodes.into_iter().filter(|one| one.finding.kind == Kind::Drift).collect(), told)
    }

    #[tokio::test]
    async fn an_agent_that_left_its_baseline_is_found_with_what_grew_and_is_told_once() {
        let (found, told) = after_three_weeks("").await;
        let drift = &found[0];
        assert_eq!((found.len(), told), (1, 1), "{found:?}");
        assert!((drift.finding.value - 13.2).abs() < 0.001, "{drift:?}");
        assert!((drift.finding.expected - 1.2).abs() < 0.001, "{drift:?}");
        let first = &drift.drivers[0];
        assert_eq!(
            (first.dimension.as_str(), first.value.as_str(), first.percent),
            ("feature", "reports", 100)
        );
    }

    #[tokio::test]
    async fn a_baseline_that_was_agreed_on_anew_is_the_one_that_counts() {
        assert_eq!(after_three_weeks("[anomalies]\nbaseline_from = '2026-12-09'").await.0, []);
        assert_eq!(after_three_weeks("[anomalies]\ndrift = false").await.0, []);
    }
}
