//! Reports by mail: what one says, and which there are.

pub mod html;
mod look;
pub mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::money::Picodollars;

use super::budgets::Quantity;
use super::compare::{ComparisonRow, Difference};
use super::summary::{By, SummaryRow, SummaryTotal};
use crate::model::compare::words::signed_dollars;
use crate::model::decimal::Decimal;
use crate::model::text::printable;

/// What a report says of its period. All numbers but those of `budgets` are those of summaries and
/// comparisons.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct MailReport {
    /// Name of the report.
    pub name: String,
    /// What it is about: the last whole `day`, `week` or `month`.
    pub every: String,
    /// The period, such as `2026-W46`.
    pub period: String,
    /// Its days as people read them, such as `2026-11-09 to 2026-11-15`.
    pub days: String,
    /// Start of the period.
    pub from: String,
    /// End of the period, exclusive.
    pub to: String,
    /// Where days begin.
    pub time_zone: String,
    /// Which calls count, such as `team=search`; `all calls` where all do.
    pub scope: String,
    /// Sums of the period.
    pub total: SummaryTotal,
    /// How many of a hundred dollars are estimated; null where nothing was spent.
    pub estimated_percent: Option<Decimal>,
    /// Of a hundred calls, how many have no price; null without calls.
    pub unpriced_percent: Option<Decimal>,
    /// What calls cost that name no agent or no team.
    pub unattributed_usd: Picodollars,
    /// How many of a hundred dollars that is; null where nothing was spent.
    pub unattributed_percent: Option<Decimal>,
    /// What changed against the period before.
    pub change: Difference,
    /// The rows that explain most of the change, the largest first.
    pub drivers: Vec<ComparisonRow>,
    /// Who and what spent most.
    pub tops: Vec<TopRows>,
    /// Unit of `costs`: `day`, or `hour` in a report of a day.
    pub costs_by: String,
    /// What each part of the period cost, in order, without gaps.
    pub costs: Vec<PartCost>,
    /// Budgets of these calls, in the windows that held when the period ended.
    pub budgets: Vec<BudgetUse>,
    /// What someone should look at, in words, the gravest first.
    pub look_at: Vec<String>,
    /// Where there were no calls in the period and the one before: what was looked for, and what there is;
    /// absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The rows that spent most.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct TopRows {
    /// What they are told apart by.
    pub by: By,
    /// The rows, the largest first, and one for the others.
    pub rows: Vec<SummaryRow>,
}

/// What a part of the period cost.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct PartCost {
    /// The day, or the hour by the local clock.
    pub label: String,
    /// Its cost.
    pub cost_usd: Picodollars,
}

/// How far a budget is used.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct BudgetUse {
    /// Name of the budget.
    pub budget: String,
    /// Value of the budget's `each`; empty where it has none.
    pub value: String,
    /// How long its limit lasts.
    pub window: String,
    /// How much may be spent in the window.
    pub limit: Quantity,
    /// What counts as spent in it until now.
    pub used: Quantity,
    /// `used` in percent of `limit`, rounded down, at most 65535.
    pub percent: u16,
    /// Calls refused in the window as each may have cost more than was left.
    pub denied: u64,
}

/// A report of the configuration, and how far it is.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Report")]
pub struct ReportRow {
    /// Its name.
    pub name: String,
    /// `day`, `week` or `month`.
    pub every: String,
    /// Which calls count.
    pub scope: String,
    /// Name of its channel.
    pub channel: String,
    /// Who gets it.
    pub to: Vec<String>,
    /// The hour of the day at which it is sent.
    pub hour: u8,
    /// Where that is meant.
    pub time_zone: String,
    /// The period that is sent next; null beyond the calendar.
    pub next_period: Option<String>,
    /// When that is; null beyond the calendar.
    pub next: Option<String>,
    /// When one arrived last; null where none did.
    pub last_sent: Option<String>,
    /// The newest mails, the newest period first.
    pub mails: Vec<MailRow>,
}

/// A report's mail about one period.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "ReportMail")]
pub struct MailRow {
    /// The period.
    pub period: String,
    /// How far it is.
    pub state: MailState,
    /// Attempts so far.
    pub attempts: u32,
    /// Attempts of which nobody knows how they ended, as the collector died meanwhile: where there are any,
    /// receivers may have it twice, under one `Message-ID`.
    pub uncertain: u32,
    /// When it arrived at the mail server; null where it did not.
    pub sent: Option<String>,
    /// When it is tried next; null where it is not.
    pub next_attempt: Option<String>,
    /// Why the last attempt failed; null where none did.
    pub last_error: Option<String>,
}

/// How far a mail is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ReportMailState")]
pub enum MailState {
    /// It is to be sent, for the first time or again.
    Due,
    /// It is being sent.
    Sending,
    /// A collector died while it was being sent; it is sent again.
    Uncertain,
    /// The mail server has it.
    Sent,
    /// It was given up; `tollgate reports send` sends it by hand.
    Failed,
}

impl MailState {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Sending => "sending",
            Self::Uncertain => "uncertain",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// A report that was sent by hand.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ReportSent {
    /// Name of the report.
    pub name: String,
    /// The period that it is about.
    pub period: String,
    /// Who got it.
    pub to: Vec<String>,
    /// Its subject.
    pub subject: String,
}

impl MailReport {
    /// The subject of its mail: one line, without what would break it.
    #[must_use]
    pub fn subject(&self) -> String {
        let change = match self.change.change_percent {
            Some(percent) if percent.units() >= 0 => format!(", +{percent}%"),
            Some(percent) => format!(", {percent}%"),
            None => String::new(),
        };
        let cost = dollars(self.total.numbers.cost_usd);
        printable(&format!("[Tollgate] {}, {}: {cost}{change}", self.name, self.period))
    }

    /// Says what someone should look at.
    #[must_use]
    pub fn with_look_at(mut self) -> Self {
        self.look_at = look::at(&self);
        self
    }

    /// How the period before is called.
    fn before(&self) -> String {
        format!("the {} before", self.every)
    }

    /// Numbers of the whole period: name and value.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let (numbers, change) = (&self.total.numbers, &self.change);
        let percent =
            |part: Option<Decimal>| part.map_or_else(|| "none".to_owned(), |part| format!("{part}%"));
        let against = match change.change_percent {
            Some(of) => format!(
                "{} ({}{of}%) against {} ({})",
                signed_dollars(change.change_usd),
                if of.units() >= 0 { "+" } else { "" },
                self.before(),
                dollars(change.before_usd)
            ),
            None => format!("{} cost nothing", self.before()),
        };
        let each = self.total.derived.cost_per_call_usd.map_or_else(|| "none".to_owned(), dollars);
        vec![
            ("Cost", dollars(numbers.cost_usd)),
            ("Change", against),
            ("Calls", format!("{}; {} failed", counted(numbers.calls), counted(numbers.errors))),
            ("A call", each),
            ("Refused", counted(numbers.denied)),
            ("Estimated", format!("{} of the cost", percent(self.estimated_percent))),
            ("Unpriced", format!("{}, {}", calls(numbers.unpriced), percent(self.unpriced_percent))),
            (
                "Unattributed",
                format!(
                    "{}, {} of the cost",
                    dollars(self.unattributed_usd),
                    percent(self.unattributed_percent)
                ),
            ),
        ]
    }

    /// What the change is made of: name, amount; nothing where nothing changed.
    fn parts(&self) -> Vec<(&'static str, String)> {
        let words = |name| match name {
            "volume" => "More or fewer calls",
            "mix" => "Other models, providers, tiers",
            "input" => "Longer or shorter prompts",
            "output" => "Longer or shorter answers",
            "cache" => "What caches served",
            "price" => "Prices",
            _ => "Fees and corrections",
        };
        let parts = self.change.parts.all();
        if parts.iter().all(|(_, amount)| *amount == Picodollars::ZERO) {
            return Vec::new();
        }
        parts.iter().map(|(name, amount)| (words(name), signed_dollars(*amount))).collect()
    }

    /// The longest bar of the costs.
    fn most(&self) -> i128 {
        self.costs.iter().map(|part| part.cost_usd.as_pico()).max().unwrap_or(0)
    }

    /// What stands below all.
    fn foot(&self) -> String {
        format!(
            "Tollgate sends this once for each {}. Costs are those recorded when it was sent; later corrections \
             are not in it. Times are {}.",
            self.every, self.time_zone
        )
    }
}

impl PartCost {
    /// How long its bar is, of one as long as `longest` for `most`.
    fn bar(&self, most: i128, longest: i128) -> usize {
        let cost = self.cost_usd.as_pico().max(0);
        let long = cost.checked_mul(longest).and_then(|long| long.checked_div(most)).unwrap_or(0);
        // What cost anything is seen.
        let least = i128::from(cost > 0);
        usize::try_from(long.max(least)).unwrap_or(0)
    }
}

impl TopRows {
    /// The name of a row.
    fn name(&self, row: &SummaryRow) -> String {
        match (row.others, row.keys.value(self.by)) {
            (Some(others), _) => format!("({others} others)"),
            (None, Some(name)) => printable(name),
            (None, None) => "(none)".to_owned(),
        }
    }
}

impl BudgetUse {
    /// Its name, with that of its counter.
    fn title(&self) -> String {
        match self.value.as_str() {
            "" => printable(&self.budget),
            value => printable(&format!("{} ({value})", self.budget)),
        }
    }

    /// What is used of it.
    fn used_of(&self) -> String {
        let said = |quantity: Quantity| match quantity {
            Quantity::Dollars(amount) => dollars(amount),
            Quantity::Count(_) => quantity.to_string(),
        };
        format!("{} of {}", said(self.used), said(self.limit))
    }
}

/// An amount as people say it: two decimals, or as many as show two digits of it.
fn dollars(amount: Picodollars) -> String {
    signed_dollars(amount).trim_start_matches('+').to_owned()
}

/// A number of a hundred, with its sign, of what was before; empty where there is none.
fn changed(row: &SummaryRow) -> String {
    match row.derived.change_percent {
        Some(percent) if percent.units() >= 0 => format!("+{percent}%"),
        Some(percent) => format!("{percent}%"),
        None if row.derived.previous_cost_usd == Some(Picodollars::ZERO) => "new".to_owned(),
        None => String::new(),
    }
}

/// So many calls, in words.
fn calls(count: u64) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{} calls", counted(count)) }
}

/// A number with commas at thousands.
fn counted(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::answers::compare::Parts;
    use crate::model::answers::summary::{Keys, Numbers};
    use crate::model::dimension::Dimension;

    /// A report with a hostile name wherever one can be.
    pub(crate) fn sample(name: &str) -> MailReport {
        let by = By::Dimension(Dimension::Agent);
        let keys = || Keys(vec![(by, Some(name.to_owned()))]);
        let usd = |cents: i128| Picodollars::from_pico(cents * 10_000_000_000);
        let numbers = Numbers {
            calls: 1_234_567,
            denied: 3,
            unpriced: 2,
            cost_usd: usd(12_345),
            estimated_cost_usd: usd(3_000),
            ..Numbers::default()
        };
        let parts = Parts { volume: usd(2_345), ..Parts::default() };
        let change = Difference {
            parts,
            before_usd: usd(10_000),
            after_usd: usd(12_345),
            change_usd: usd(2_345),
            change_percent: Decimal::change(usd(12_345), usd(10_000)),
            ..Difference::default()
        };
        MailReport {
            name: name.to_owned(),
            every: "week".into(),
            period: "2026-W46".into(),
            days: "2026-11-09 to 2026-11-15".into(),
            from: "2026-11-08T23:00:00Z".into(),
            to: "2026-11-15T23:00:00Z".into(),
            time_zone: "Europe/Berlin".into(),
            scope: format!("team={name}"),
            total: SummaryTotal { numbers: numbers.clone(), ..SummaryTotal::default() },
            estimated_percent: Decimal::percent(3_000, 12_345),
            unpriced_percent: Decimal::percent(2, 1_234_567),
            unattributed_usd: usd(100),
            unattributed_percent: Decimal::percent(100, 12_345),
            drivers: vec![ComparisonRow {
                keys: keys(),
                difference: change.clone(),
                said: Some(format!("calls +12%, more {name}")),
                ..ComparisonRow::default()
            }],
            change,
            tops: vec![TopRows {
                by,
                rows: vec![SummaryRow { keys: keys(), numbers, ..SummaryRow::default() }],
            }],
            costs_by: "day".into(),
            costs: [0, 1, 12_344]
                .iter()
                .zip(9..)
                .map(|(cents, day)| PartCost {
                    label: format!("Mon 2026-11-{day:02}"),
                    cost_usd: usd(*cents),
                })
                .collect(),
            budgets: vec![BudgetUse {
                budget: "b".into(),
                value: name.to_owned(),
                window: "month".into(),
                limit: Quantity::Dollars(usd(10_000)),
                used: Quantity::Dollars(usd(9_000)),
                percent: 90,
                denied: 1,
            }],
            look_at: Vec::new(),
            hint: None,
        }
        .with_look_at()
    }

    /// A name that tries to break out of everything.
    pub(crate) const HOSTILE: &str = "x\r\nBcc: all@example\u{1b}[2J\u{202e}\u{2028}<script>alert('1')</script>&\"<img src=http://evil.example/p>";

    #[test]
    fn no_name_breaks_a_subject() {
        let subject = sample(HOSTILE).subject();
        assert!(
            subject.chars().all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{2028}'),
            "{subject:?}"
        );
        assert_eq!(sample("s").subject(), "[Tollgate] s, 2026-W46: $123.45, +23.45%");
    }

    #[test]
    fn numbers_have_commas_and_bars_their_lengths() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(counted), ["0", "999", "1,000", "1,234,567"]);
        let of = sample("s");
        let bars: Vec<usize> = of.costs.iter().map(|part| part.bar(of.most(), 40)).collect();
        assert_eq!(bars, [0, 1, 40]);
        assert_eq!(of.costs[0].bar(0, 40), 0, "nothing was spent at all");
    }
}
