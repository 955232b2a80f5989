//! What a gateway is told of budgets: the budgets, their windows that hold now and next, and what it may
//! name.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rules::Rules;
use super::scope::{CounterKey, Dimension, Subject, is_nobody, write_key};
use super::window::{Span, Window};
use super::{Amount, Budget};
use crate::price::charge::Unpriced;

/// All budgets, as one gateway needs them.
///
/// ```
/// use tollgate_core::attribution::{Attribution, TrustedFields};
/// use tollgate_core::budget::define;
/// use tollgate_core::budget::policy::{Policy, PolicyBudget};
/// use tollgate_core::budget::scope::Subject;
/// use tollgate_core::budget::window::Span;
///
/// let rule = r#"{"name":"support","scope":{"team":"support"},"limit_usd":"250","window":"prepaid"}"#;
/// let budget = define::read_one(&serde_json::from_str(rule).unwrap(), None).unwrap();
/// let spans = vec![Span { start_ms: 0, end_ms: u64::MAX }];
/// let policy = Policy {
///     version: "1".into(),
///     budgets: vec![PolicyBudget { budget, generation: 0, spans, quarantine: false }],
///     ..Policy::default()
/// };
/// let attribution = Attribution { team: "support".into(), ..Attribution::default() };
/// let subject = Subject {
///     attribution: &attribution,
///     provider: "openai",
///     model: Some("gpt-5-mini"),
///     row: None,
///     others: &[],
///     any_model: false,
///     key_id: None,
///     trusted: TrustedFields::default(),
/// };
/// let touched = policy.touched(&subject, 1_000);
/// let names: Vec<&str> = touched.map(|touched| touched.budget.name.as_str()).collect();
/// assert_eq!(names, ["support"]);
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Policy {
    /// Names this state; shown in records.
    pub version: String,
    /// The budgets, by name.
    pub budgets: Vec<PolicyBudget>,
    /// Names that have counters of their own where a budget has one for `each`, though the caller's word is
    /// all that stands for them. Empty: any name, up to [`VALUES_MAX`] for each budget.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub registered: BTreeSet<String>,
    /// What becomes of calls whose model has no price.
    #[serde(default)]
    pub unpriced: Unpriced,
    /// Who may call what.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub rules: Rules,
}

/// A budget, and its windows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PolicyBudget {
    /// The budget.
    pub budget: Budget,
    /// Its generation: see [`CounterKey::generation`].
    pub generation: u64,
    /// The windows that hold now and next, by the collector's clock.
    pub spans: Vec<Span>,
    /// It is for calls of unknown agents alone, where rules put these in quarantine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantine: bool,
}

/// A counter that a call touches.
#[derive(Clone, Debug, PartialEq)]
pub struct Touched<'p> {
    /// Its place among the policy's budgets.
    pub index: usize,
    /// The budget.
    pub budget: &'p Budget,
    /// Its generation: see [`CounterKey::generation`].
    pub generation: u64,
    /// The value under which the call counts; empty without `each`.
    pub value: Cow<'p, str>,
    /// The window.
    pub span: Span,
}

impl Touched<'_> {
    /// Which counter it is.
    pub fn key(&self) -> CounterKey {
        let Self { budget, generation, value, span, .. } = self;
        CounterKey {
            budget: budget.name.clone(),
            generation: *generation,
            value: value.clone().into_owned(),
            span: *span,
        }
    }

    /// Writes [`CounterKey::to_bytes`] of it over what stands in `bytes`.
    pub fn write_key(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        write_key(&self.budget.name, self.generation, &self.value, self.span, bytes);
    }
}

impl Policy {
    /// The counters that a call touches, one for each budget that is for it.
    pub fn touched<'p>(&'p self, subject: &Subject<'p>, now_ms: u64) -> impl Iterator<Item = Touched<'p>> {
        self.budgets.iter().enumerate().filter_map(move |(index, entry)| {
            if !entry.budget.scope.holds(subject)
                || entry.quarantine
                    && !self.rules.is_quarantined(subject.attribution, now_ms, &entry.budget.name)
            {
                return None;
            }
            let value = match &entry.budget.each {
                None => Cow::Borrowed(""),
                Some(each) => counted_as(subject, each, &self.registered),
            };
            let span = entry.span(now_ms)?;
            Some(Touched { index, budget: &entry.budget, generation: entry.generation, value, span })
        })
    }

    /// Whether no call is ever held or refused.
    pub fn is_idle(&self) -> bool {
        self.budgets.is_empty() && self.unpriced != Unpriced::Deny && self.rules.is_empty()
    }

    /// The budget with this name.
    pub fn budget(&self, name: &str) -> Option<&Budget> {
        self.budgets.iter().map(|entry| &entry.budget).find(|budget| budget.name == name)
    }

    /// The smallest output limit that budgets which are for this call write into requests without one.
    pub fn default_output_tokens(&self, subject: &Subject<'_>) -> Option<u64> {
        let defaults = self.budgets.iter().filter(|entry| entry.budget.scope.holds(subject));
        defaults.filter_map(|entry| entry.budget.written_output_tokens()).min()
    }

    /// Whether a budget is for some models only.
    pub fn scopes_models(&self) -> bool {
        let scopes = |entry: &PolicyBudget| !entry.budget.scope.values(&Dimension::Model).is_empty();
        self.budgets.iter().any(scopes) || !self.rules.is_empty() && self.rules.scopes_models()
    }

    /// Whether something of it may change requests: an output limit of a budget, or a rule.
    pub fn changes_requests(&self) -> bool {
        self.budgets.iter().any(|entry| entry.budget.written_output_tokens().is_some())
            || self.rules.limits.iter().any(|limit| limit.clamp)
            || !self.rules.step_down.is_empty()
    }
}

/// The value under which a call counts: what is missing or malformed is one value, what only the caller says
/// and nobody registered is another.
pub fn counted_as<'v>(
    subject: &Subject<'v>,
    each: &Dimension,
    registered: &BTreeSet<String>,
) -> Cow<'v, str> {
    let Some(value) = subject.value(each).filter(|value| !value.is_empty() && !is_nobody(value)) else {
        return UNKNOWN.into();
    };
    if !(subject.is_vouched_for(each) || registered.is_empty() || registered.contains(value)) {
        return OTHER.into();
    }
    if value.len() <= VALUE_CHARS_MAX && !value.as_bytes().contains(&0) {
        return value.into();
    }
    value.chars().take(VALUE_CHARS_MAX).filter(|character| *character != '\0').collect()
}

impl PolicyBudget {
    /// The window that holds now. Where none of those known does, as the policy is old, the last one known
    /// stays until a collector says otherwise: nothing is spent that was not granted for it.
    fn span(&self, now_ms: u64) -> Option<Span> {
        self.spans.iter().find(|span| span.contains(now_ms)).or_else(|| self.spans.last()).copied()
    }
}

/// A refusal by a budget, for its text.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Short {
    /// Name of the budget.
    pub budget: String,
    /// Whose counter it is, where each value has one; else empty.
    pub value: String,
    /// Its limit in this window, in words.
    pub limit: String,
    /// What is spent and settled of it, in words.
    pub spent: String,
    /// The most that the call may cost, in words, where something is left, but not so much.
    pub asks: Option<String>,
    /// When it counts anew, in words: see [`resets`].
    pub reset: String,
    /// What holds the rest, in words.
    pub holds: Holds,
}

/// What of a limit is neither free nor spent, each in words; empty where there is nothing of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holds {
    /// Held by calls under way, on all gateways.
    pub calls: String,
    /// Granted to other gateways, and not used by them.
    pub leased: String,
    /// When the last lease ends of a gateway that is not heard of any more.
    pub leased_until: String,
    /// The part of what is spent that is kept above the records' costs.
    pub kept: String,
}

impl Holds {
    fn text(&self) -> String {
        let Self { calls, leased, leased_until, .. } = self;
        let leased = match (leased.is_empty(), leased_until.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!("{leased} is leased to other gateways"),
            (false, false) => {
                format!(
                    "{leased} is leased to other gateways, of which one is silent until {leased_until} at most"
                )
            }
        };
        let calls =
            if calls.is_empty() { String::new() } else { format!("{calls} is held by calls under way") };
        let parts: Vec<String> = [calls, leased].into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { "the rest is held".to_owned() } else { parts.join(", ") }
    }

    fn kept_text(&self) -> String {
        match self.kept.as_str() {
            "" => String::new(),
            kept => format!(
                " {kept} of that is kept for calls of which nobody knows the cost: `tollgate budgets release-kept` gives it back."
            ),
        }
    }
}

impl Short {
    /// The text of the refusal: the budget's own, or one that names all of it. `soon`: of one that clears
    /// shortly, which the budget's own is not for.
    pub fn message(&self, own: Option<&str>, soon: bool) -> String {
        let Self { budget, value, limit, spent, asks, reset, holds } = self;
        if let Some(own) = own.filter(|_| !soon) {
            return own
                .replace("{budget}", budget)
                .replace("{limit}", limit)
                .replace("{spent}", spent)
                .replace("{reset}", reset);
        }
        let whose = if value.is_empty() { String::new() } else { format!(" for `{value}`") };
        let budget = format!("Budget `{budget}`{whose}");
        if soon {
            let (held, kept) = (holds.text(), holds.kept_text());
            return format!(
                "{budget} has nothing free right now: {spent} of {limit} is spent, {held}.{kept} Try again shortly."
            );
        }
        let kept = holds.kept_text();
        match asks {
            None => format!("{budget} is spent: {spent} of {limit}.{kept} It resets {reset}."),
            Some(asks) => format!(
                "{budget} does not cover this call, which may come to {asks}: {spent} of {limit} is spent.{kept} A lower output \
                 limit in the request asks for less. It resets {reset}."
            ),
        }
    }
}

/// When a budget counts anew whose window this is, in words.
pub fn resets(window: Window, span: Option<Span>) -> String {
    match (window, span) {
        (Window::Rolling(_), _) => format!("bit by bit, as what was spent leaves its window ({window})"),
        (Window::Prepaid, _) | (_, None) => "when it is topped up or its limit is raised".to_owned(),
        (_, Some(span)) => rfc3339(span.end_ms),
    }
}

/// RFC 3339, UTC, to the second.
pub fn rfc3339(ms: u64) -> String {
    use super::window::{Offset, Zone};
    let civil = Offset::default().civil(ms);
    let seconds = ms / 1_000 % 60;
    let minutes = ms / 60_000 % 60;
    format!(
        "{:04}-{:02}-{:02}T{:02}:{minutes:02}:{seconds:02}Z",
        civil.year, civil.month, civil.day, civil.hour
    )
}

/// Counts what is missing or malformed.
pub const UNKNOWN: &str = "(unknown)";
/// Counts names that have no counter of their own.
pub const OTHER: &str = "(other)";
/// Counters that a budget for `each` has in one gateway and window; what comes after them shares [`OTHER`].
pub const VALUES_MAX: usize = 256;
/// What is longer than this is cut.
pub(super) const VALUE_CHARS_MAX: usize = 128;

/// How far `spent` is, in percent of `limit`.
pub fn percent(spent: Amount, limit: Amount) -> u16 {
    if limit <= Amount::ZERO {
        return u16::MAX;
    }
    u16::try_from(spent.or_nothing().0.saturating_mul(100) / limit.0).unwrap_or(u16::MAX)
}

/// Whether `spent` has come to so many percent of `limit`: [`percent`] without a division.
pub fn has_passed(spent: Amount, limit: Amount, percent: u16) -> bool {
    limit <= Amount::ZERO
        || spent.or_nothing().0.saturating_mul(100) >= limit.0.saturating_mul(percent.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{Attribution, Field, TrustedFields};
    use crate::budget::define;

    #[test]
    fn a_threshold_is_passed_when_the_percentage_says_so() {
        for (spent, limit) in [(-1, 7), (0, 7), (5, 7), (6, 7), (7, 7), (80, 100), (79, 100), (1, 0), (0, -1)]
        {
            let (spent, limit) = (Amount(spent), Amount(limit));
            for threshold in [0, 1, 71, 72, 80, 85, 86, 100, 101] {
                let expected = percent(spent, limit) >= threshold;
                assert_eq!(has_passed(spent, limit, threshold), expected, "{spent} of {limit}: {threshold}");
            }
        }
    }

    fn policy(json: &str, registered: &[&str]) -> Policy {
        let budgets = define::read(&serde_json::from_str(json).unwrap()).unwrap();
        let spans = vec![Span { start_ms: 0, end_ms: 100 }, Span { start_ms: 100, end_ms: 200 }];
        Policy {
            version: "1".into(),
            budgets: budgets
                .into_iter()
                .map(|budget| PolicyBudget { budget, generation: 1, spans: spans.clone(), quarantine: false })
                .collect(),
            registered: registered.iter().map(|name| (*name).to_owned()).collect(),
            ..Policy::default()
        }
    }

    fn values(policy: &Policy, agent: &str, trusted: bool) -> Vec<String> {
        let attribution = Attribution { agent: agent.into(), ..Attribution::default() };
        let mut fields = TrustedFields::default();
        // One trusted field does not vouch for another.
        fields.insert(if trusted { Field::Agent } else { Field::Team });
        let trusted = fields;
        let subject = Subject {
            attribution: &attribution,
            provider: "openai",
            model: None,
            row: None,
            others: &[],
            any_model: false,
            key_id: None,
            trusted,
        };
        policy.touched(&subject, 150).map(|touched| touched.value.into_owned()).collect()
    }

    const EACH: &str = r#"[{"name":"b","each":"agent","limit_usd":"1","window":"day"}]"#;

    #[test]
    fn invented_names_share_one_counter() {
        let policy = policy(EACH, &["triage"]);
        for (agent, trusted, expected) in [
            ("triage", false, "triage"),
            ("invented", false, OTHER),
            ("verified", true, "verified"),
            ("unattributed", false, UNKNOWN),
            ("invalid", true, UNKNOWN),
        ] {
            assert_eq!(values(&policy, agent, trusted), [expected], "{agent}");
        }
    }

    #[test]
    fn a_call_counts_in_the_window_of_its_admission() {
        let policy = policy(EACH, &[]);
        let attribution = Attribution::default();
        let subject = Subject {
            attribution: &attribution,
            provider: "p",
            model: None,
            row: None,
            others: &[],
            any_model: false,
            key_id: None,
            trusted: TrustedFields::default(),
        };
        for (now_ms, start_ms) in [(0, 0), (99, 0), (100, 100), (999, 100)] {
            let touched = policy.touched(&subject, now_ms).next().unwrap();
            assert_eq!(touched.span.start_ms, start_ms);
        }
    }

    #[test]
    fn a_refusal_says_budget_limit_spent_and_reset() {
        let short = Short {
            budget: "support".into(),
            limit: "$5.00".into(),
            spent: "$4.99".into(),
            reset: "2025-12-01T00:00:00Z".into(),
            ..Short::default()
        };
        assert_eq!(
            short.message(None, false),
            "Budget `support` is spent: $4.99 of $5.00. It resets 2025-12-01T00:00:00Z."
        );
        assert_eq!(short.message(Some("{budget}: {spent}/{limit}"), false), "support: $4.99/$5.00");
        let holds = Holds {
            calls: "$0.01".into(),
            leased: "$0.20".into(),
            leased_until: "2025-11-03T10:00:00Z".into(),
            kept: "$1.00".into(),
        };
        let busy = "Budget `support` has nothing free right now: $4.99 of $5.00 is spent, $0.01 is held by calls under way, \
                    $0.20 is leased to other gateways, of which one is silent until 2025-11-03T10:00:00Z at most. $1.00 of \
                    that is kept for calls of which nobody knows the cost: `tollgate budgets release-kept` gives it back. \
                    Try again shortly.";
        assert_eq!(Short { holds, ..short.clone() }.message(Some("gone until {reset}"), true), busy);
        let large = Short { value: "bob".into(), asks: Some("$1.20".into()), ..short };
        assert_eq!(
            large.message(None, false),
            "Budget `support` for `bob` does not cover this call, which may come to $1.20: $4.99 of $5.00 is spent. A lower \
             output limit in the request asks for less. It resets 2025-12-01T00:00:00Z."
        );
    }

    #[test]
    fn a_budget_resets_when_its_window_does() {
        let span = Some(Span { start_ms: 0, end_ms: 1_764_547_200_000 });
        for (window, text) in [
            ("day", "2025-12-01T00:00:00Z"),
            ("prepaid", "when it is topped up or its limit is raised"),
            ("rolling 24h", "bit by bit, as what was spent leaves its window (rolling 1d)"),
        ] {
            assert_eq!(resets(Window::parse(window).unwrap(), span), text);
        }
    }
}
