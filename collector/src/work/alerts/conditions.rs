//! Conditions: from what is observed to what is decided. Pure: the same observations give the same decisions.

use jiff::tz::TimeZone;
use tollgate_core::money::Picodollars;

use super::window::Window;
use crate::config::{Rule, Severity, Threshold, When};
use crate::model::alert::{Alert, GatewaySeen};
use crate::model::anomaly::{Episode, Kind};
use crate::model::clock::{DAY_MS, instant};
use crate::model::dimension::Dimension;
use crate::model::drift::{Drift, percent};

/// What is used of a budget's counter in its window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BudgetStatus {
    /// The budget.
    pub name: String,
    /// Which of its counters, where it has one for each value; empty for the only one.
    pub counter: String,
    /// The window, by a name that does not repeat.
    pub window_id: String,
    /// Its start, Unix milliseconds UTC.
    pub window_start_ms: u64,
    /// Its end, exclusive; the largest number for none.
    pub window_end_ms: u64,
    /// The limit, in pico-dollars or units.
    pub limit_pico: i128,
    /// What is spent of it: what calls under way hold counts only where nothing else is left.
    pub used_pico: i128,
    /// Whether both are money; else they are counts.
    pub is_money: bool,
    /// Calls that it refused in this window, as each may cost more than is left: it is reached then, though
    /// what is used is less than its limit. Refusals for other reasons are not among them.
    pub denied: u64,
    /// The budget's own thresholds in percent, for rules that have none.
    pub thresholds: Vec<u16>,
}

/// What a rule counted in one scope and window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Observed {
    /// The scope, such as `team=support`, or `all`.
    pub scope: String,
    /// Cost in the window so far, or number of calls: see `value_of`.
    pub cost: Picodollars,
    /// Calls of the kind that the rule counts.
    pub calls: u64,
    /// The same over the window before.
    pub previous_cost: Picodollars,
    /// The same over the window before.
    pub previous_calls: u64,
    /// Query of the summary that shows it.
    pub link: String,
}

/// What a budget rule decides.
// Long: what is passed, refused and foreseen share the facts of one budget.
pub fn budget(rule: &Rule, status: &BudgetStatus, now_ms: u64) -> Vec<Alert> {
    let own = status.thresholds.iter().map(|percent| Threshold::Percent(u32::from(*percent)));
    let thresholds: Vec<Threshold> =
        if rule.thresholds.is_empty() { own.collect() } else { rule.thresholds.clone() };
    let scope = match status.counter.as_str() {
        "" => format!("budget={}", status.name),
        counter => format!("budget={} {counter}", status.name),
    };
    // As people call it.
    let named = match status.counter.as_str() {
        "" => format!("budget {}", status.name),
        counter => format!("budget {} for {counter}", status.name),
    };
    let (used, limit) = (status.used_pico, status.limit_pico);
    let shown = |amount: i128| amount_of(amount, status.is_money);
    let base = |threshold: String, title: String| Alert {
        rule: rule.name.clone(),
        scope: scope.clone(),
        window: status.window_id.clone(),
        threshold,
        severity: rule.severity.name().into(),
        title,
        facts: vec![
            ("Budget".into(), status.name.clone()),
            ("Used".into(), shown(used)),
            ("Limit".into(), shown(limit)),
            ("Window since".into(), time(status.window_start_ms, &rule.shown_in)),
        ],
        since_ms: status.window_start_ms,
        link: format!("/api/v1/budgets?budget={}", status.name),
        ..Alert::default()
    };
    let mut alerts = Vec::new();
    for threshold in &thresholds {
        let is_passed = match threshold {
            Threshold::Percent(percent) => {
                limit > 0 && used.saturating_mul(100) >= limit.saturating_mul(i128::from(*percent))
            }
            Threshold::Dollars(dollars) => status.is_money && used >= dollars.as_pico(),
            Threshold::Calls(_) => false,
        };
        // What is refused is not spent: nobody would hear of a budget that refuses below its thresholds.
        let is_reached = status.denied > 0
            && match threshold {
                Threshold::Percent(percent) => *percent <= 100,
                Threshold::Dollars(dollars) => status.is_money && dollars.as_pico() <= limit,
                Threshold::Calls(_) => false,
            };
        if is_passed || is_reached {
            let title = match is_passed {
                true => {
                    let percent = used.saturating_mul(100).checked_div(limit).unwrap_or(0);
                    let passed = match threshold {
                        Threshold::Percent(100..) => threshold.to_string(),
                        _ if used >= limit => "its whole limit".into(),
                        _ => threshold.to_string(),
                    };
                    format!(
                        "{named} has used {} of {}, {percent} % ({passed} passed)",
                        shown(used),
                        shown(limit)
                    )
                }
                false => {
                    refused_at(&named, status, shown(used), shown(limit), shown(limit.saturating_sub(used)))
                }
            };
            let is_whole = matches!(threshold, Threshold::Percent(percent) if *percent >= 100)
                || used >= limit
                || is_reached;
            let mut alert = base(threshold.to_string(), title);
            if is_whole {
                // Calls are refused, or would be: nobody is to sleep over that.
                alert.severity = Severity::Critical.name().into();
                alert.passed_budget = Some(status.name.clone());
            }
            alerts.push(alert.with_id());
        }
    }
    let window = (status.window_start_ms, status.window_end_ms);
    if rule.forecast
        && used < limit
        && let Some(at) = reached(used, limit, window, now_ms)
    {
        let at = time(at, &rule.shown_in);
        let title = format!("{named} will pass its limit of {} on {at} at this rate", shown(limit));
        let mut alert = base("forecast".into(), title);
        alert.facts.push(("Will pass".into(), at));
        alerts.push(alert.with_id());
    }
    alerts
}

/// A budget that refuses calls before it is spent: what they may cost at worst does not fit any more.
fn refused_at(named: &str, status: &BudgetStatus, used: String, limit: String, left: String) -> String {
    let percent = status.used_pico.saturating_mul(100).checked_div(status.limit_pico).unwrap_or(0);
    format!(
        "{named} refused {} at {percent} % ({used} of {limit}), because each may cost more than the {left} that is left",
        calls(status.denied)
    )
}

/// What a rule on spend or on a number of calls decides in one scope.
pub fn counted(rule: &Rule, window: &Window, observed: &Observed, now_ms: u64) -> Vec<Alert> {
    let is_money = rule.when == When::Spend;
    let (value, previous) = if is_money {
        (observed.cost.as_pico(), observed.previous_cost.as_pico())
    } else {
        (i128::from(observed.calls), i128::from(observed.previous_calls))
    };
    let what = match rule.when {
        When::Denied => " refused calls",
        When::Unpriced => " calls without a price",
        When::UnknownAgent => " calls of unknown agents",
        _ => "",
    };
    let shown = |amount: i128| format!("{}{what}", amount_of(amount, is_money));
    let base = |threshold: String, title: String| Alert {
        rule: rule.name.clone(),
        scope: observed.scope.clone(),
        window: window.id.clone(),
        threshold,
        severity: rule.severity.name().into(),
        title,
        facts: vec![
            ("Now".into(), shown(value)),
            ("Window before".into(), shown(previous)),
            ("Since".into(), time(window.start_ms, &rule.shown_in)),
        ],
        since_ms: window.start_ms,
        link: observed.link.clone(),
        ..Alert::default()
    };
    let mut alerts = Vec::new();
    for threshold in &rule.thresholds {
        let limit = limit_of(threshold);
        if value >= limit {
            let title = format!("{}: {} in {} ({threshold} passed)", observed.scope, shown(value), window.id);
            alerts.push(base(threshold.to_string(), title).with_id());
        }
    }
    let highest = rule.thresholds.last().map(limit_of);
    if rule.forecast
        && let Some(limit) = highest.filter(|limit| value < *limit)
        && let Some(at) = reached(value, limit, (window.start_ms, window.end_ms), now_ms)
    {
        let at = time(at, &rule.shown_in);
        let title = format!("{} will pass {} on {at} at this rate", observed.scope, shown(limit));
        alerts.push(base("forecast".into(), title).with_id());
    }
    alerts
}

/// Whether a rule may have something to tell about these: only then what they are compared with is needed.
pub fn is_near(rule: &Rule, cost: Picodollars, calls: u64) -> bool {
    let value = if rule.when == When::Spend { cost.as_pico() } else { i128::from(calls) };
    rule.forecast || rule.thresholds.iter().any(|threshold| value >= limit_of(threshold))
}

/// What a rule on silent gateways decides. A gateway that comes back and falls silent again is told anew;
/// while this collector was not there, which it is since `started_ms`, nobody could report.
pub fn silent(rule: &Rule, gateway: &GatewaySeen, started_ms: u64, now_ms: u64) -> Option<Alert> {
    let silent_ms = now_ms.saturating_sub(gateway.last_seen_ms);
    let heard_ms = now_ms.saturating_sub(started_ms);
    let limit_ms = rule.silent_minutes.saturating_mul(60_000);
    // What was silent for long when this collector began to look is gone, not silent.
    let is_silent = silent_ms.min(heard_ms) >= limit_ms && silent_ms < limit_ms.saturating_add(GONE_MS);
    is_silent.then(|| {
        let since = time(gateway.last_seen_ms, &rule.shown_in);
        Alert {
            rule: rule.name.clone(),
            scope: format!("gateway={}", gateway.gateway),
            window: format!("silent since {}", gateway.last_seen_ms),
            threshold: format!("{} minutes", rule.silent_minutes),
            severity: rule.severity.name().into(),
            title: format!("gateway {} has not reported since {since}", gateway.gateway),
            facts: vec![("Last report".into(), since)],
            since_ms: gateway.last_seen_ms,
            link: format!("/api/v1/summary?by=gateway&gateway={}", gateway.gateway),
            ..Alert::default()
        }
        .with_id()
    })
}

/// What a rule on prices decides of one row: how far the book is off what providers said over the window so
/// far. A word that is not believed passes every threshold.
pub fn price_drift(rule: &Rule, window: &Window, row: &Drift) -> Vec<Alert> {
    let Drift { provider, model, reported } = row;
    let off = reported.off_by();
    let (book, said) = (for_people(reported.book), for_people(reported.provider));
    let passed = |threshold: &&Threshold| match threshold {
        Threshold::Percent(parts) => {
            off.saturating_abs() > i128::from(*parts).saturating_mul(100) || reported.doubted_calls > 0
        }
        Threshold::Dollars(_) | Threshold::Calls(_) => false,
    };
    let alert = |threshold: &Threshold| {
        let alert = Alert {
            rule: rule.name.clone(),
            scope: format!("price={provider}/{model}"),
            window: window.id.clone(),
            threshold: threshold.to_string(),
            severity: rule.severity.name().into(),
            title: format!(
                "the price of {model} ({provider}) is off by {} %: {book} by the book, {said} by the provider, in {}",
                percent(off),
                calls(reported.calls)
            ),
            facts: vec![
                ("By the book".into(), book.clone()),
                ("By the provider".into(), said.clone()),
                ("Calls".into(), reported.calls.to_string()),
                ("Words not believed".into(), reported.doubted_calls.to_string()),
                ("Calls without a price in the book".into(), reported.without_price.to_string()),
                ("Since".into(), time(window.start_ms, &rule.shown_in)),
            ],
            since_ms: window.start_ms,
            link: format!("/api/v1/prices/drift?provider={provider}"),
            ..Alert::default()
        };
        alert.with_id()
    };
    rule.thresholds.iter().filter(passed).map(alert).collect()
}

/// What a rule on full budgets decides: a gateway has no counter left for another value of a budget's `each`,
/// so that callers, who may have invented their names, share one. Told once a day for each gateway.
pub fn full_values(rule: &Rule, gateway: &GatewaySeen, now_ms: u64) -> Option<Alert> {
    let GatewaySeen { gateway: name, values_shared, values_shared_ms: last_ms, .. } = gateway;
    let is_new = *last_ms > 0 && now_ms.saturating_sub(*last_ms) < FULL_LASTS_MS;
    is_new.then(|| {
        let last = time(*last_ms, &rule.shown_in);
        Alert {
            rule: rule.name.clone(),
            scope: format!("gateway={name}"),
            window: format!("day {}", last_ms / DAY_MS),
            threshold: "full".into(),
            severity: rule.severity.name().into(),
            title: format!(
                "gateway {name} counts calls under (other): a budget has as many values of its `each` as there may be"
            ),
            facts: vec![
                ("Calls so far".into(), values_shared.to_string()),
                ("Last one".into(), last),
                ("What to do".into(), "name those that count under [registry], or trust their source".into()),
            ],
            since_ms: *last_ms,
            link: format!("/api/v1/summary?by=agent&gateway={name}&since=1d"),
            ..Alert::default()
        }
        .with_id()
    })
}

/// What a rule on anomalies decides about an episode that lasts. Of a scope only the agent is known.
pub fn anomaly(rule: &Rule, episode: &Episode) -> Option<Alert> {
    let is_wanted =
        rule.scope.iter().all(|(dimension, value)| *dimension == Dimension::Agent && *value == episode.agent);
    if !is_wanted {
        return None;
    }
    let finding = &episode.finding;
    let kind = finding.kind.name();
    let drivers: Vec<String> = episode
        .drivers
        .iter()
        .map(|driver| format!("{} {} explains {}%", driver.dimension, driver.value, driver.percent))
        .collect();
    let title = match finding.kind {
        Kind::NewAgent => format!("agent {} is new, with model {}", episode.agent, finding.detail),
        Kind::NewModel => {
            format!("agent {} calls model {} for the first time", episode.agent, finding.detail)
        }
        Kind::Drift => format!(
            "agent {} costs ${} a day, ${} in its first week",
            episode.agent,
            rounded(finding.value),
            rounded(finding.expected)
        ),
        _ => format!(
            "agent {}: {kind} {} in {} minutes, usually {}",
            episode.agent,
            rounded(finding.value),
            finding.window_minutes,
            rounded(finding.expected)
        ),
    };
    let mut facts = vec![
        ("Agent".into(), episode.agent.clone()),
        ("Now".into(), rounded(finding.value)),
        ("Usually".into(), rounded(finding.expected)),
        ("Since".into(), time(episode.start_ms, &rule.shown_in)),
    ];
    if !drivers.is_empty() {
        facts.push(("Because".into(), drivers.join("; ")));
    }
    Some(
        Alert {
            rule: rule.name.clone(),
            scope: format!("agent={}", episode.agent),
            window: format!("since {}", episode.start_ms),
            threshold: kind.into(),
            severity: rule.severity.name().into(),
            title,
            facts,
            since_ms: episode.start_ms,
            link: format!("/api/v1/anomalies?agent={}", episode.agent),
            ..Alert::default()
        }
        .with_id(),
    )
}

fn calls(count: u64) -> String {
    if count == 1 { "1 call".into() } else { format!("{count} calls") }
}

/// A number as people read it: whole where it is large.
fn rounded(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// When a value that grows at the mean rate of its window so far reaches a limit, if that is within the
/// window. A tenth of the window must be over, so that the first calls of a day foretell nothing.
fn reached(value: i128, limit: i128, (start, end): (u64, u64), now_ms: u64) -> Option<u64> {
    let (length, elapsed) = (end.checked_sub(start)?, now_ms.checked_sub(start)?);
    if value <= 0 || end == u64::MAX || elapsed < length / 10 {
        return None;
    }
    let needed = i128::from(elapsed).checked_mul(limit)?.checked_div(value)?;
    let at = start.checked_add(u64::try_from(needed).ok()?)?;
    (at > now_ms && at < end).then_some(at)
}

const fn limit_of(threshold: &Threshold) -> i128 {
    match threshold {
        Threshold::Percent(percent) => *percent as i128,
        Threshold::Dollars(dollars) => dollars.as_pico(),
        Threshold::Calls(calls) => *calls as i128,
    }
}

fn amount_of(amount: i128, is_money: bool) -> String {
    if is_money { for_people(Picodollars::from_pico(amount)) } else { amount.to_string() }
}

/// Dollars to the cent, and below one cent to two digits; what is less is cut. The numbers behind the link
/// are exact.
fn for_people(amount: Picodollars) -> String {
    let text = amount.to_string();
    let Some((whole, decimals)) = text.split_once('.') else { return format!("${text}") };
    let is_cents = whole.trim_start_matches('-') != "0" || !decimals.starts_with("00");
    let first = decimals.find(|digit| digit != '0');
    let kept = if is_cents { 2 } else { first.map_or(2, |at| at + 2) };
    format!("${whole}.{}", decimals.get(..kept).unwrap_or(decimals))
}

/// A time as people read it.
pub(crate) fn time(ms: u64, zone: &TimeZone) -> String {
    let instant = instant(ms);
    instant.map_or_else(String::new, |instant| {
        instant.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
    })
}

/// A budget counts as full for so long after the last call that it had no counter for.
const FULL_LASTS_MS: u64 = 3_600_000;
/// A gateway that says nothing for a week longer is not there any more.
const GONE_MS: u64 = 7 * DAY_MS;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::drift::Reported;

    #[test]
    fn amounts_are_told_to_the_cent() {
        for (pico, expected) in [
            (950_012_345_678, "$0.95"),
            (1_000_000_000_000, "$1.00"),
            (1_234_567_890_000_000_i128, "$1234.56"),
            (9_999_000_000, "$0.0099"),
            (450_000_000, "$0.00045"),
            (1, "$0.000000000001"),
            (0, "$0.00"),
            (-950_012_345_678, "$-0.95"),
        ] {
            assert_eq!(amount_of(pico, true), expected, "{pico}");
        }
        assert_eq!(amount_of(12_000, false), "12000");
    }

    const NOON: u64 = 1_795_608_000_000; // 2026-11-25T12:00:00Z

    fn rule(text: &str) -> Rule {
        Config::parse("t", &format!("[[alerts]]\nname = 'r'\n{text}")).unwrap().alerts.rules.remove(0)
    }

    fn status(used: i128) -> BudgetStatus {
        BudgetStatus {
            name: "team-a".into(),
            window_id: "month 2026-11".into(),
            window_start_ms: NOON - 10 * DAY_MS,
            window_end_ms: NOON + 20 * DAY_MS,
            limit_pico: 100_000_000_000_000,
            used_pico: used * 1_000_000_000_000,
            is_money: true,
            thresholds: vec![50, 100],
            ..BudgetStatus::default()
        }
    }

    #[test]
    fn a_budget_that_refuses_below_its_thresholds_is_reached_and_says_why() {
        let rule = rule("when = 'budget'\nthresholds = ['80%', '100%', '120%']\nchannels = []");
        let quiet = status(75);
        assert_eq!(budget(&rule, &quiet, NOON), []);
        let alerts = budget(&rule, &BudgetStatus { denied: 3, ..quiet }, NOON);
        assert_eq!(thresholds(&alerts), ["80%", "100%"]);
        for alert in &alerts {
            assert!(alert.title.contains("refused 3 calls at 75 % ($75"), "{}", alert.title);
            assert!(alert.title.contains("more than the $25"), "{}", alert.title);
            assert_eq!(alert.passed_budget.as_deref(), Some("team-a"), "its review opens");
        }
    }

    fn thresholds(alerts: &[Alert]) -> Vec<&str> {
        alerts.iter().map(|alert| alert.threshold.as_str()).collect()
    }

    #[test]
    fn a_budget_tells_each_threshold_that_is_passed_and_what_it_will_pass() {
        let rule = rule("when = 'budget'\nthresholds = ['80%', '$60.00', '100%']\nforecast = true");
        for (used, expected) in [
            (0, &[][..]),
            (20, &[]),
            (34, &["forecast"]),
            (79, &["$60.00", "forecast"]),
            (80, &["80%", "$60.00", "forecast"]),
            (100, &["80%", "100%", "$60.00"]),
        ] {
            let alerts = budget(&rule, &status(used), NOON);
            assert_eq!(thresholds(&alerts), expected, "{used}");
        }
        let forecast = &budget(&rule, &status(50), NOON)[0];
        assert!(
            forecast.title.contains("will pass its limit of $100.00 on 2026-12-05 12:00"),
            "{}",
            forecast.title
        );
    }

    #[test]
    fn only_a_budget_that_is_used_up_opens_a_review_and_its_own_thresholds_hold_by_default() {
        let rule = rule("when = 'budget'");
        let alerts = budget(&rule, &status(101), NOON);
        let reviews: Vec<_> =
            alerts.iter().map(|alert| (alert.threshold.as_str(), alert.passed_budget.is_some())).collect();
        assert_eq!(reviews, [("50%", true), ("100%", true)], "the store opens one for the window");
        assert_eq!(budget(&rule, &status(60), NOON)[0].passed_budget, None);
    }

    #[test]
    fn spend_and_calls_are_told_by_scope_and_compared_with_the_window_before() {
        let window = Window::at(crate::config::WindowKind::Day, &TimeZone::UTC, NOON).unwrap();
        let observed = Observed {
            scope: "team=a".into(),
            cost: "12.5".parse().unwrap(),
            calls: 3,
            previous_cost: "4".parse().unwrap(),
            ..Observed::default()
        };
        let alerts = counted(
            &rule("when = 'spend'\nthresholds = ['10', '20']\nforecast = true"),
            &window,
            &observed,
            NOON,
        );
        assert_eq!(thresholds(&alerts), ["$10.00", "forecast"]);
        assert_eq!(alerts[0].facts[1], ("Window before".into(), "$4.00".into()));
        let alerts = counted(&rule("when = 'denied'\nthresholds = ['3', '4']"), &window, &observed, NOON);
        assert_eq!(thresholds(&alerts), ["3 calls"]);
    }

    #[test]
    fn the_id_is_the_same_for_the_same_decision_and_another_for_another() {
        let rule = rule("when = 'budget'");
        let first = budget(&rule, &status(60), NOON);
        let later = budget(&rule, &status(70), NOON + 1000);
        assert_eq!(first[0].id, later[0].id);
        let next = BudgetStatus { window_id: "month 2026-12".into(), ..status(60) };
        assert_ne!(budget(&rule, &next, NOON)[0].id, first[0].id);
    }

    #[test]
    fn a_price_that_is_off_is_told_once_in_a_window_at_each_threshold_and_a_doubted_word_at_all() {
        let rule = rule("when = 'price_drift'\nthresholds = ['5%', '25%']");
        let window = Window::at(rule.window, &rule.zone, NOON).unwrap();
        let row = |book: i128, said: i128, doubted_calls: u64| {
            let reported = Reported {
                calls: 7,
                doubted_calls,
                book: Picodollars::from_pico(book * 1_000_000_000_000),
                provider: Picodollars::from_pico(said * 1_000_000_000_000),
                ..Reported::default()
            };
            let row = Drift { provider: "openrouter".into(), model: "perplexity/sonar".into(), reported };
            price_drift(&rule, &window, &row)
        };
        assert_eq!(row(104, 100, 0), []);
        assert_eq!(thresholds(&row(110, 100, 0)), ["5%"]);
        assert_eq!(thresholds(&row(3, 100, 0)), ["5%", "25%"], "the book charges too little");
        assert_eq!(thresholds(&row(100, 100, 1)), ["5%", "25%"]);
        let alert = row(110, 100, 0).remove(0);
        assert_eq!(alert.scope, "price=openrouter/perplexity/sonar");
        assert!(alert.title.contains("off by 10.00 %: $110.00 by the book, $100.00"), "{}", alert.title);
        assert_eq!(alert.id, row(120, 100, 0)[0].id, "the same decision");
    }

    #[test]
    fn a_budget_without_room_for_more_values_is_told_once_a_day() {
        let rule = rule("when = 'full_values'");
        let at = |ago_ms: u64, values_shared| {
            let seen = GatewaySeen {
                gateway: "edge".into(),
                values_shared,
                values_shared_ms: NOON - ago_ms,
                ..GatewaySeen::default()
            };
            full_values(&rule, &seen, NOON)
        };
        let first = at(60_000, 3).unwrap();
        assert_eq!(at(1_000, 90).unwrap().id, first.id);
        assert!(first.title.contains("edge"), "{}", first.title);
        assert_eq!(at(2 * 3_600_000, 3), None);
        assert_eq!(full_values(&rule, &GatewaySeen::default(), NOON), None, "it never was");
    }

    #[test]
    fn a_gateway_is_silent_after_its_time_and_gone_after_a_week() {
        let rule = rule("when = 'silent_gateway'\nsilent_minutes = 3");
        let at = |ago_ms: u64| {
            let seen =
                GatewaySeen { gateway: "edge".into(), last_seen_ms: NOON - ago_ms, ..GatewaySeen::default() };
            silent(&rule, &seen, NOON - 30 * DAY_MS, NOON)
        };
        assert_eq!(at(179_999), None);
        assert!(at(180_000).is_some());
        assert_eq!(at(8 * DAY_MS), None);
        let seen =
            GatewaySeen { gateway: "edge".into(), last_seen_ms: NOON - 900_000, ..GatewaySeen::default() };
        assert_eq!(silent(&rule, &seen, NOON - 60_000, NOON), None, "the collector was away itself");
        assert_ne!(at(180_000).unwrap().id, at(180_001).unwrap().id, "another silence is another alert");
    }
}
