//! `[[alerts]]` and `[channels.NAME]`: what is told, when, and to whom.

use std::collections::BTreeMap;

use clap::ValueEnum;
use jiff::tz::TimeZone;
use tollgate_core::money::Picodollars;

use super::channels::{self, Channel};
use super::document::{Document, Section};
use crate::model::dimension::Dimension;

/// Rules and channels.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AlertsConfig {
    /// Rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// Channels by their names.
    pub channels: BTreeMap<String, Channel>,
}

/// `[[alerts]]`: one rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Its name, which alerts carry.
    pub name: String,
    /// What it looks at.
    pub when: When,
    /// What it counts: each dimension named must have the value.
    pub scope: Vec<(Dimension, String)>,
    /// A scope of its own for each value of this dimension.
    pub each: Option<Dimension>,
    /// Only this budget; of a rule on budgets.
    pub budget: Option<String>,
    /// The period that it counts over.
    pub window: WindowKind,
    /// Where days, weeks and months begin.
    pub zone: TimeZone,
    /// The zone of times in its texts: its own, else that of its first channel.
    pub shown_in: TimeZone,
    /// When it tells, the lowest first; none for a rule on budgets means those of the budget.
    pub thresholds: Vec<Threshold>,
    /// Also when the highest threshold will be passed within the window at this rate.
    pub forecast: bool,
    /// How long a gateway may say nothing, in minutes; of a rule on silent gateways.
    pub silent_minutes: u64,
    /// How grave.
    pub severity: Severity,
    /// Names of the channels that hear it.
    pub channels: Vec<String>,
}

impl Rule {
    /// Name of [`Rule::passed_budget`], which no other rule may have.
    pub const PASSED_BUDGET: &str = "passed-budget";

    /// Name of the rule that opens reviews of new agents, which no other rule may have.
    pub const NEW_AGENT: &str = "new-agent";

    /// The rule that every budget has without being told: its whole limit, heard by nobody.
    pub fn passed_budget() -> Self {
        Self {
            name: Self::PASSED_BUDGET.to_owned(),
            when: When::Budget,
            scope: Vec::new(),
            each: None,
            budget: None,
            window: WindowKind::default(),
            zone: TimeZone::UTC,
            shown_in: TimeZone::UTC,
            thresholds: vec![Threshold::Percent(100)],
            forecast: false,
            silent_minutes: 0,
            severity: Severity::Warning,
            channels: Vec::new(),
        }
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum When {
    /// What is used of a budget.
    Budget,
    /// What is spent.
    Spend,
    /// Calls that were refused.
    Denied,
    /// Calls that have no price.
    Unpriced,
    /// Calls of an agent that nobody knows: `unattributed` or `invalid`.
    UnknownAgent,
    /// A gateway that does not report any more.
    SilentGateway,
    /// A gateway that has no counter left for another value of a budget's `each`.
    FullValues,
    /// Rows of the price book that are off what providers themselves say that calls cost.
    PriceDrift,
    /// What the detector of anomalies finds.
    Anomaly,
}

/// The period that a rule counts over.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum WindowKind {
    /// An hour, UTC.
    Hour,
    /// A calendar day.
    #[default]
    Day,
    /// A calendar week, from Monday.
    Week,
    /// A calendar month.
    Month,
}

/// When a rule tells.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Threshold {
    /// At this part of the limit, in percent.
    Percent(u32),
    /// At this amount.
    Dollars(Picodollars),
    /// At this many calls.
    Calls(u64),
}

/// How grave an alert is. PagerDuty's words.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, clap::ValueEnum)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Someone should look.
    #[default]
    Warning,
    /// Something fails.
    Error,
    /// Someone must act now, at night too.
    Critical,
}

impl When {
    /// The name in configuration.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Severity {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Dollars(dollars) => write!(f, "${}", dollars.short()),
            Self::Calls(calls) => write!(f, "{calls} calls"),
        }
    }
}

/// Dollars as people read them.
pub trait Short {
    /// Without the zeros at the end, with two decimals at least.
    fn short(&self) -> String;
}

impl Short for Picodollars {
    fn short(&self) -> String {
        let text = self.to_string();
        let Some((whole, decimals)) = text.split_once('.') else { return text };
        let kept = decimals.trim_end_matches('0').len().max(2);
        format!("{whole}.{}", decimals.get(..kept).unwrap_or(decimals))
    }
}

/// Reads rules and channels.
pub(super) fn read<'t>(document: &mut Document<'t>, root: &mut Section<'t>) -> AlertsConfig {
    let mut named = BTreeMap::new();
    for (name, mut section) in document.named(root, "channels") {
        named.extend(channels::read(document, &mut section).map(|channel| (name, channel)));
        document.finish(section);
    }
    let mut rules: Vec<Rule> = Vec::new();
    for mut section in document.tables(root, "alerts") {
        if let Some(rule) = rule(document, &mut section, &named) {
            if rules.iter().any(|other| other.name == rule.name) {
                let message = format!("`{}`: another rule has the name `{}`", section.name(), rule.name);
                document.at(&section, &message);
            }
            rules.push(rule);
        }
        document.finish(section);
    }
    AlertsConfig { rules, channels: named }
}

// Long: one statement for each key, so that one reading finds every mistake.
fn rule<'t>(
    document: &mut Document<'t>,
    section: &mut Section<'t>,
    known: &BTreeMap<String, Channel>,
) -> Option<Rule> {
    let given = KEYS_OF_SOME.map(|key| section.has(key));
    let name = document.needed(section, "name", "a name such as `support-daily`");
    if let Some(name) = name.as_deref().filter(|name| [Rule::PASSED_BUDGET, Rule::NEW_AGENT].contains(name)) {
        let message =
            format!("`{}.name` is `{name}`, the name of a rule that is always there", section.name());
        document.at(section, &message);
    }
    let when: Option<When> = document.choice(section, "when");
    document.must(section, "when");
    let scope = scope(document, section);
    let each = document.text(section, "each", "a dimension such as `agent`").and_then(|name| {
        let found = Dimension::from_name(&name);
        if found.is_none() {
            document.at(
                section,
                &format!("`{}.each` is `{name}`, not a dimension such as `agent`", section.name()),
            );
        }
        found
    });
    let budget = document.text(section, "budget", "the name of a budget");
    let window = document.choice(section, "window").unwrap_or_default();
    let own_zone = channels::zone(document, section);
    let texts =
        document.list(section, "thresholds", "a list such as `[\"80%\", \"$250\"]`").unwrap_or_default();
    let forecast = document.flag(section, "forecast").unwrap_or_default();
    let silent_minutes = document.count(section, "silent_minutes").unwrap_or(SILENT_MINUTES);
    let severity = document.choice(section, "severity").unwrap_or_default();
    let channels = document.list(section, "channels", "a list of channels").unwrap_or_default();
    let zone_of_channel =
        || channels.first().and_then(|name| known.get(name)).map(|channel| channel.zone.clone());
    let shown_in = own_zone.clone().or_else(zone_of_channel).unwrap_or(TimeZone::UTC);
    let zone = own_zone.unwrap_or(TimeZone::UTC);
    for channel in channels.iter().filter(|name| !known.contains_key(*name)) {
        document.at(section, &format!(
                "`{}.channels` has `{channel}`, and there is no `[channels.{channel}]`; add it, or leave the name out",
                section.name()
            ));
    }
    let Some(when) = when else {
        document.at(section, &format!("`{}` needs a `when`, such as `spend`", section.name()));
        return None;
    };
    let unused = KEYS_OF_SOME.iter().zip(given).filter(|(key, given)| *given && !uses(when, key));
    for (key, _) in unused {
        let users = When::value_variants().iter().filter(|when| uses(**when, key));
        let users: Vec<String> = users.map(|when| format!("`{}`", when.name())).collect();
        let message = format!(
            "`{}.{key}` changes nothing in a rule with `when = \"{}\"`; it is for {}",
            section.name(),
            when.name(),
            users.join(", ")
        );
        document.at(section, &message);
    }
    let mut thresholds = Vec::new();
    for text in texts {
        match threshold(when, &text) {
            Some(threshold) => thresholds.push(threshold),
            None if when == When::Budget && text.parse::<f64>().is_ok() => document.at(
                section,
                &format!(
                    "`{}.thresholds` has `{text}` without a unit; write \"{text}%\" for a part of the limit, \"${text}\" for dollars",
                    section.name()
                ),
            ),
            None => document
                .at(section, &format!("`{}.thresholds` has `{text}`, not {}", section.name(), right(when))),
        }
    }
    if thresholds.is_empty() && matches!(when, When::Spend) {
        document.at(section, &format!("`{}` needs `thresholds`, such as `[\"$250.00\"]`", section.name()));
    }
    if thresholds.is_empty() && matches!(when, When::Denied | When::Unpriced | When::UnknownAgent) {
        thresholds.push(Threshold::Calls(1));
    }
    if thresholds.is_empty() && when == When::PriceDrift {
        thresholds.push(Threshold::Percent(1));
    }
    thresholds.sort_unstable();
    let name = name?;
    Some(Rule {
        name,
        when,
        scope,
        each,
        budget,
        window,
        zone,
        shown_in,
        thresholds,
        forecast,
        silent_minutes,
        severity,
        channels,
    })
}

fn scope<'t>(document: &mut Document<'t>, section: &mut Section<'t>) -> Vec<(Dimension, String)> {
    let mut scope = Vec::new();
    for (name, value) in document.words(section, "scope") {
        match Dimension::from_name(&name) {
            Some(dimension) => scope.push((dimension, value)),
            None => document.at(
                section,
                &format!("`{}.scope` has `{name}`, not a dimension such as `team`", section.name()),
            ),
        }
    }
    scope
}

fn threshold(when: When, text: &str) -> Option<Threshold> {
    let amount = text.strip_prefix('$').unwrap_or(text);
    let dollars =
        || amount.parse::<Picodollars>().ok().filter(|amount| amount.as_pico() > 0).map(Threshold::Dollars);
    match when {
        When::Budget => match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|percent| *percent > 0).map(Threshold::Percent),
            // A number alone may be either.
            None if !text.starts_with('$') => None,
            None => dollars(),
        },
        When::PriceDrift => {
            let percent = text.strip_suffix('%').and_then(|percent| percent.parse().ok());
            percent.filter(|percent| *percent > 0).map(Threshold::Percent)
        }
        When::Spend => dollars(),
        _ => text.parse().ok().filter(|calls| *calls > 0).map(Threshold::Calls),
    }
}

const fn right(when: When) -> &'static str {
    match when {
        When::Budget => "a part such as `80%` or dollars such as `$250.00`",
        When::Spend => "dollars such as `$250.00`",
        When::PriceDrift => "a part such as `5%`",
        _ => "a number of calls such as `10`",
    }
}

/// Keys that only some rules use.
const KEYS_OF_SOME: [&str; 5] = ["each", "budget", "thresholds", "forecast", "silent_minutes"];

/// Whether a rule looks at a key of [`KEYS_OF_SOME`].
fn uses(when: When, key: &str) -> bool {
    let counts = matches!(when, When::Spend | When::Denied | When::Unpriced | When::UnknownAgent);
    match key {
        "each" => counts,
        "budget" => when == When::Budget,
        "silent_minutes" => when == When::SilentGateway,
        "thresholds" => counts || matches!(when, When::Budget | When::PriceDrift),
        _ => counts || when == When::Budget,
    }
}

/// How long a gateway may say nothing by default. Gateways report at least every few seconds.
const SILENT_MINUTES: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn rules_and_channels_are_read() {
        let text = "
            [channels.ops]
            type = 'slack'
            url = 'https://hooks.example/x'
            quiet = '22:00-07:00'
            time_zone = 'Europe/Berlin'
            per_minute = 5
            [[alerts]]
            name = 'support-daily'
            when = 'spend'
            scope = { team = 'support' }
            each = 'agent'
            thresholds = ['250.00', '100']
            forecast = true
            channels = ['ops']
            [[alerts]]
            name = 'budgets'
            when = 'budget'
            thresholds = ['80%', '$1000']
            [[alerts]]
            name = 'strangers'
            when = 'unknown_agent'
            [[alerts]]
            name = 'prices'
            when = 'price_drift'
            [[alerts]]
            name = 'prices-far'
            when = 'price_drift'
            thresholds = ['25%', '5%']";
        let alerts = Config::parse("t", text).unwrap().alerts;
        assert_eq!(alerts.rules.len(), 5);
        let first = &alerts.rules[0];
        assert_eq!((first.each, first.forecast), (Some(Dimension::Agent), true));
        let shown: Vec<String> = first.thresholds.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["$100.00", "$250.00"]);
        assert_eq!(alerts.rules[1].thresholds[0], Threshold::Percent(80));
        assert_eq!(alerts.rules[2].thresholds, [Threshold::Calls(1)]);
        assert_eq!(alerts.rules[3].thresholds, [Threshold::Percent(1)]);
        assert_eq!(alerts.rules[4].thresholds, [Threshold::Percent(5), Threshold::Percent(25)]);
        assert!(alerts.channels["ops"].quiet.is_some());
    }

    #[test]
    fn a_number_that_may_be_percents_or_dollars_is_refused_with_both_spellings() {
        let rule = |threshold: &str| {
            Config::parse(
                "t",
                &format!("[[alerts]]\nname = 'a'\nwhen = 'budget'\nthresholds = [{threshold}]\n"),
            )
        };
        let said = rule("'80'").unwrap_err().to_string();
        assert!(said.contains("\"80%\"") && said.contains("\"$80\""), "{said}");
        assert!(rule("80").unwrap_err().to_string().contains("\"80%\""));
        let read = |threshold| rule(threshold).unwrap().alerts.rules[0].thresholds[0];
        assert_eq!(read("'80%'"), Threshold::Percent(80));
        assert!(rule("'80.00'").unwrap_err().to_string().contains("\"$80.00\""));
    }

    #[test]
    fn every_key_of_some_rules_has_a_rule_that_uses_it_and_one_that_does_not() {
        for key in KEYS_OF_SOME {
            let using = When::value_variants().iter().filter(|when| uses(**when, key)).count();
            assert!(using > 0 && using < When::value_variants().len(), "{key}: {using}");
        }
    }

    #[test]
    fn every_mistake_of_a_rule_is_named() {
        let text = "[[alerts]]\nname = 'a'\nwhen = 'spend'\nthresholds = ['80%']\nchannels = ['nobody']\neach = 'colour'\n\
                    [[alerts]]\nname = 'a'\nwhen = 'denied'\nscope = { colour = 'red' }\n\
                    [[alerts]]\nname = 'p'\nwhen = 'price_drift'\nthresholds = ['5']\n\
                    [[alerts]]\nname = 'q'\nwhen = 'silent_gateway'\nthresholds = ['5']\n\
                    [channels.x]\ntype = 'webhook'\nurl = 'ftp://x'\n\
                    [channels.p]\ntype = 'pagerduty'\nurl = 'events.example'\nrouting_key = 'k'\n\
                    [channels.s]\ntype = 'slack'\nurl = 'hello'\n\
                    [channels.m]\ntype = 'email'\nhost = 'm'\nport = 70000\nfrom = 'a@b.c'\nto = ['a@b.c']\n";
        let said = Config::parse("t", text).unwrap_err().to_string();
        for part in [
            "`alerts[0].thresholds` has `80%`, not dollars",
            "there is no `[channels.nobody]`",
            "`alerts[0].each` is `colour`",
            "another rule has the name `a`",
            "`alerts[1].scope` has `colour`",
            "`alerts[2].thresholds` has `5`, not a part such as `5%`",
            "`alerts[3].thresholds` changes nothing in a rule with `when = \"silent_gateway\"`; it is for `budget`",
            "`channels.x.url` is `ftp://x`, not an address such as",
            "`channels.p.url` is `events.example`, not an address",
            "`channels.s` needs the `url` of an incoming webhook",
            "`channels.m.port` is `70000`, not a port from 1 to 65535",
        ] {
            assert!(said.contains(part), "{part} in\n{said}");
        }
    }
}
