//! `tollgate budgets`: what is left, proposals, top-ups, releases.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use tollgate_core::attribution::NAME_BYTES_MAX;
use tollgate_core::money::Picodollars;

use super::client::{self, Collector, Filters};
use super::output::{self, Look, Page};
use crate::model::answers::budgets::{BudgetRow, Budgets, Quantity};
use crate::model::answers::summary::{By, SummaryAnswer, SummaryRow};
use crate::model::clock::now;
use crate::model::dimension::Dimension;
use crate::model::table::{Cell, Column, Table};

/// Arguments of `tollgate budgets`.
#[derive(Args, Debug)]
pub(super) struct BudgetsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
    #[command(flatten)]
    collector: Collector,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show limit, spend and what is left (this is what happens without a command)
    List(List),
    /// Propose a limit for each agent from what it spent in the last seven days
    Suggest {
        /// Multiply what was spent by this
        #[arg(long, default_value = "1.3", allow_hyphen_values = true, value_parser = factor)]
        factor: Picodollars,
        /// For which window
        #[arg(long, value_enum, default_value_t)]
        window: Per,
        #[command(flatten)]
        filters: Filters,
    },
    /// Show how a budget is defined, as `put` takes it
    Show {
        /// Name of the budget
        name: String,
    },
    /// Make or change a budget, all of it, from a JSON file with the keys of `[[budgets]]`
    Put {
        /// Name of the budget
        name: String,
        /// The file
        file: PathBuf,
    },
    /// Remove a budget; what was spent stays recorded
    Remove {
        /// Name of the budget
        name: String,
    },
    /// Add to a limit in the window that holds now
    TopUp {
        /// Name of the budget
        name: String,
        /// Dollars such as 5.00, or tokens or calls; below 0 to take back what was added
        #[arg(allow_negative_numbers = true)]
        amount: String,
        /// Value of the budget's `each`
        #[arg(long, default_value = "")]
        value: String,
    },
    /// Give back what stays charged for calls of unknown cost (`on_unknown = "worst"`)
    ReleaseKept {
        /// Name of the budget
        name: String,
        /// Only of this value of the budget's `each`
        #[arg(long)]
        value: Option<String>,
    },
    /// Take back what a gateway that is gone was granted and did not use
    Release {
        /// The instance, as `tollgate budgets --format json` shows it
        instance: String,
        /// Release it even if it still reports; it may go on spending what it was granted
        #[arg(long)]
        force: bool,
    },
}

#[derive(Args, Debug, Default)]
struct List {
    /// Only the budget of this name; repeat for several
    #[arg(long, value_name = "NAME")]
    budget: Vec<String>,
}

/// Window of a proposal.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Per {
    Day,
    #[default]
    Week,
    Month,
}

impl BudgetsArgs {
    /// Asks and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let ask = &self.collector;
        let command = self.command.unwrap_or(Command::List(List::default()));
        ensure!(
            self.list.budget.is_empty() || matches!(command, Command::List(_)),
            "--budget is for the list of budgets; leave it out here"
        );
        match command {
            Command::List(more) => {
                let names = self.list.budget.iter().chain(&more.budget);
                let only: Vec<(&str, &str)> = names.map(|name| ("budget", name.as_str())).collect();
                list(&ask.get("/api/v1/budgets", &only)?, self.look)
            }
            Command::Suggest { factor, window, filters } => {
                let asked = [vec![("by", "agent"), ("since", "7d")], filters.parameters()].concat();
                let agents: SummaryAnswer = client::read(&ask.get("/api/v1/summary", &asked)?)?;
                let asked = [vec![("by", "hour"), ("since", "4w")], filters.parameters()].concat();
                let by_hour: SummaryAnswer = client::read(&ask.get("/api/v1/summary", &asked)?)?;
                let hours = hours_recorded(&by_hour.rows, now());
                propose(&agents.rows, hours, factor, window, self.look)?;
                if hours < WEEK_HOURS && !self.look.is_json() {
                    output::say(&format!(
                        "\nwarning: {}; it is taken for a whole week, so these limits are too low. Ask again when a \
                         week is recorded",
                        recorded(hours)
                    ));
                }
                Ok(())
            }
            Command::Show { name } => {
                let body = ask.get(&path(&name), &[])?;
                match self.look.is_json() {
                    true => output::print(&body),
                    false => output::print(&serde_json::to_string_pretty(&client::read::<Value>(&body)?)?),
                }
            }
            Command::Put { name, file } => {
                let text = std::fs::read_to_string(&file)
                    .with_context(|| format!("`{}` cannot be read", file.display()))?;
                let budget = serde_json::from_str(&text)
                    .with_context(|| format!("`{}` is not JSON", file.display()))?;
                output::print(&ask.send("PUT", &path(&name), &budget)?)
            }
            Command::Remove { name } => output::print(&ask.send("DELETE", &path(&name), &Value::Null)?),
            Command::TopUp { name, amount, value } => {
                let body = json!({ "amount": amount, "value": value });
                output::print(&ask.send("POST", &format!("{}/top-up", path(&name)), &body)?)
            }
            Command::ReleaseKept { name, value } => {
                let value = value.map(|value| format!("?value={}", client::segment(&value)));
                let path = format!("{}/release-kept{}", path(&name), value.unwrap_or_default());
                output::print(&ask.send("POST", &path, &Value::Null)?)
            }
            Command::Release { instance, force } => output::print(&ask.send(
                "POST",
                &format!("/api/v1/budgets/release/{}?force={force}", client::segment(&instance)),
                &Value::Null,
            )?),
        }
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/budgets/{}", client::segment(name))
}

fn list(body: &str, look: Look) -> anyhow::Result<()> {
    if look.is_json() {
        return output::print(body);
    }
    let answer: Budgets = client::read(body)?;
    if answer.rows.is_empty() && look.is_table() {
        return output::print("no budgets; write [[budgets]] into tollgate.toml");
    }
    look.print(&Table::new(columns()).with(answer.rows.into_iter().map(cells)))
}

/// Limits for each agent: what it spent in seven days, scaled to the window, times the factor, rounded up to
/// a cent.
fn propose(rows: &[SummaryRow], hours: u64, factor: Picodollars, per: Per, look: Look) -> anyhow::Result<()> {
    let proposals = proposals(rows, factor, per)?;
    let (window, _) = per.window();
    if look.is_json() {
        let rows: Vec<Value> = proposals.iter().map(|one| one.json(window)).collect();
        return output::print(
            &json!({ "factor": factor, "hours_recorded": hours, "rows": rows }).to_string(),
        );
    }
    match look.export() {
        Some(export) => output::print_export(export, &proposed(&proposals, window)),
        None => suggestion(&proposals, hours, window, Page::new(look.screen())).print(),
    }
}

/// A limit for an agent.
struct Proposal {
    name: String,
    agent: String,
    spent: Picodollars,
    limit: Picodollars,
}

fn proposals(rows: &[SummaryRow], factor: Picodollars, per: Per) -> anyhow::Result<Vec<Proposal>> {
    let (window, days) = per.window();
    let mut proposals = Vec::new();
    let mut names = BTreeSet::new();
    for row in rows {
        let agent = row.keys.value(By::Dimension(Dimension::Agent)).unwrap_or_default();
        let spent = row.numbers.cost_usd;
        if spent <= Picodollars::ZERO || matches!(agent, "" | "unattributed" | "invalid") {
            continue;
        }
        let limit = scaled(spent, factor, days)?;
        let name = budget_name(agent, window, &names);
        names.insert(name.clone());
        proposals.push(Proposal { name, agent: agent.to_owned(), spent, limit });
    }
    if proposals.is_empty() {
        bail!("no agent has spent anything in the last seven days; there is nothing to propose from");
    }
    Ok(proposals)
}

impl Proposal {
    fn json(&self, window: &str) -> Value {
        json!({
            "name": self.name, "agent": self.agent, "spent_7d_usd": self.spent, "limit_usd": self.limit,
            "window": window,
        })
    }

    /// As it stands in the configuration.
    fn toml(&self, window: &str) -> String {
        let (name, agent) = (&self.name, &self.agent);
        let cents = self.limit.to_string();
        let cents = cents.get(..cents.len() - 10).unwrap_or(&cents);
        format!(
            "[[budgets]]\nname = \"{name}\"\nscope = {{ agent = \"{agent}\" }}\nlimit_usd = \"{cents}\"\nwindow = \"{window}\"\n"
        )
    }
}

fn proposed(proposals: &[Proposal], window: &str) -> Table {
    let columns = vec![
        Column::text("agent").kept(),
        Column::money("spent in 7 days $"),
        Column::money("limit $").kept(),
        Column::text("window").whole(),
    ];
    let row =
        |one: &Proposal| vec![one.agent.clone().into(), one.spent.into(), one.limit.into(), window.into()];
    Table::new(columns).with(proposals.iter().map(row))
}

fn suggestion(proposals: &[Proposal], hours: u64, window: &str, page: Page) -> Page {
    let toml: Vec<String> = proposals.iter().map(|one| one.toml(window)).collect();
    let page = page.words(&recorded(hours)).gap().table(&proposed(proposals, window)).gap();
    page.words("for tollgate.toml:").gap().verbatim(toml.join("\n").trim_end())
}

impl Per {
    /// Its name, and its days.
    const fn window(self) -> (&'static str, i128) {
        match self {
            Self::Day => ("day", 1),
            Self::Week => ("week", 7),
            Self::Month => ("month", 30),
        }
    }
}

/// For how many of the last seven days' hours there can be records: from the first hour of a summary by hour
/// on.
fn hours_recorded(rows: &[SummaryRow], now: Timestamp) -> u64 {
    let hours = rows.iter().filter_map(|row| row.keys.value(By::Hour)?.parse::<Timestamp>().ok());
    let since_s = hours.min().map_or(0, |first| now.as_second().saturating_sub(first.as_second()));
    u64::try_from(since_s).unwrap_or(0).div_ceil(3_600).min(WEEK_HOURS)
}

fn recorded(hours: u64) -> String {
    match (hours / 24, hours % 24) {
        (7, _) => "all of the last seven days is recorded".to_owned(),
        (0, hours) => format!("of the last seven days {hours} h are recorded"),
        (days, hours) => format!("of the last seven days {days} d {hours} h are recorded"),
    }
}

/// A name for an agent's budget that is no other's.
fn budget_name(agent: &str, window: &str, taken: &BTreeSet<String>) -> String {
    let mut name = String::new();
    for number in 1_usize.. {
        let end = if number == 1 { format!("-{window}") } else { format!("-{window}-{number}") };
        let start = agent.get(..NAME_BYTES_MAX.saturating_sub(end.len())).unwrap_or(agent);
        name = format!("{start}{end}");
        if !taken.contains(&name) {
            break;
        }
    }
    name
}

/// A factor that gives limits which mean something.
fn factor(text: &str) -> Result<Picodollars, String> {
    let hundredth = Picodollars::from_pico(PICO_PER_CENT);
    let factor: Option<Picodollars> = text.parse().ok();
    factor
        .filter(|factor| (hundredth..=hundredth.times(10_000)).contains(factor))
        .ok_or_else(|| "it is not a number from 0.01 to 100, such as 1.3".to_owned())
}

/// `spent` in seven days, for so many days, times `factor`, rounded up to a whole cent.
fn scaled(spent: Picodollars, factor: Picodollars, days: i128) -> anyhow::Result<Picodollars> {
    let out = || "the amount is too large";
    let product =
        spent.as_pico().checked_mul(days).and_then(|all| all.checked_mul(factor.as_pico() / 1_000_000));
    let pico = product.with_context(out)? / 7 / 1_000_000;
    let cents = pico.checked_add(PICO_PER_CENT - 1).with_context(out)? / PICO_PER_CENT;
    Ok(Picodollars::from_pico(cents * PICO_PER_CENT))
}

fn cells(row: BudgetRow) -> Vec<Cell> {
    vec![
        row.budget.into(),
        Cell::said(row.value),
        row.unit.name().into(),
        row.window.into(),
        amount(row.limit),
        amount(row.used),
        amount(row.held),
        amount(row.kept),
        amount(row.granted),
        amount(row.presumed),
        amount(row.remaining),
        Cell::Count(row.percent.into()),
        row.denied.into(),
        amount(row.burn_per_day),
        Cell::said(row.limit_reached),
    ]
}

const fn amount(quantity: Quantity) -> Cell {
    match quantity {
        Quantity::Dollars(dollars) => Cell::Money(dollars),
        Quantity::Count(count) => Cell::Count(count),
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::text("budget").kept(),
        Column::text("of").weight(180).if_any(),
        Column::text("unit").weight(100).whole(),
        Column::text("window").weight(110).whole(),
        Column::money("limit").weight(190),
        Column::money("used").weight(185),
        Column::money("held").weight(45).if_any(),
        Column::money("kept").weight(40).if_any(),
        Column::money("granted").weight(55).if_any(),
        Column::money("presumed").weight(50).if_any(),
        Column::money("remaining").titled("left").weight(170),
        Column::count("%").weight(175),
        Column::count("denied").weight(130).if_any(),
        Column::money("a day").weight(80),
        Column::time("reached").weight(90).if_any(),
    ]
}

const WEEK_HOURS: u64 = 7 * 24;
const PICO_PER_CENT: i128 = 10_000_000_000;

#[cfg(test)]
mod tests {
    use super::super::output::Screen;
    use super::*;
    use crate::model::answers::summary::{Keys, Numbers};

    fn row(by: By, value: &str, cost: &str) -> SummaryRow {
        SummaryRow {
            keys: Keys(vec![(by, Some(value.to_owned()))]),
            numbers: Numbers { cost_usd: cost.parse().unwrap(), ..Numbers::default() },
            ..SummaryRow::default()
        }
    }

    fn spent(agent: &str, cost: &str) -> SummaryRow {
        row(By::Dimension(Dimension::Agent), agent, cost)
    }

    fn suggested(rows: &[SummaryRow], hours: u64, times: &str, per: Per) -> Page {
        let proposals = proposals(rows, factor(times).unwrap(), per).unwrap();
        suggestion(&proposals, hours, per.window().0, Page::new(Screen::plain(80)))
    }

    #[test]
    fn the_list_fits_eighty_columns_and_shows_what_is_left() {
        let row = |unit: &str, amount: Value| {
            let row = json!({
                "budget": "support-production-monthly", "value": "support-inbox-triage", "scope": {}, "each": "agent",
                "unit": unit, "action": "deny", "source": "file", "window": "rolling 24h", "time_zone": "UTC", "from": null,
                "to": null, "limit": amount, "used": amount, "held": amount, "kept": amount, "granted": amount,
                "presumed": amount, "remaining": amount, "over_granted": false, "percent": 81, "denied": 12,
                "in_flight": 0, "burn_per_day": amount, "limit_reached": "2026-11-20T10:00:00Z", "gateways": [],
            });
            cells(serde_json::from_value(row).unwrap())
        };
        let rows = [row("dollars", json!("1234.560000000000")), row("tokens", json!(1_200_000_000))];
        let page = Page::new(Screen::plain(80)).table(&Table::new(columns()).with(rows));
        for text in ["1,234.56", "1,200,000,000", "81", "left"] {
            assert!(page.text().contains(text), "{text} in\n{}", page.text());
        }
        page.assert_fits(80);
    }

    #[test]
    fn a_proposal_is_what_was_spent_times_the_factor_rounded_up_to_a_cent() {
        let money = |text: &str| text.parse::<Picodollars>().unwrap();
        for (spent, factor, days, expected) in [
            ("10", "1.3", 7, "13.00"),
            ("7", "1", 1, "1.00"),
            ("0.001", "1.3", 7, "0.01"),
            ("70", "1.5", 30, "450.00"),
        ] {
            assert_eq!(
                scaled(money(spent), money(factor), days).unwrap(),
                money(expected),
                "{spent} {factor} {days}"
            );
        }
    }

    #[test]
    fn a_factor_is_from_a_hundredth_to_a_hundred() {
        for (text, is_one) in [
            ("0.01", true),
            ("1.3", true),
            ("100", true),
            ("-1", false),
            ("0", false),
            ("0.0000001", false),
            ("100.01", false),
            ("much", false),
        ] {
            assert_eq!(factor(text).is_ok(), is_one, "{text}");
        }
    }

    #[test]
    fn proposals_are_made_for_agents_that_spent_something() {
        let rows = [spent("triage", "10"), spent("unattributed", "3")];
        let page = suggested(&rows, 30, "1.3", Per::Week);
        page.assert_fits(80);
        let text = page.text();
        assert!(text.contains("limit_usd = \"13.00\"") && !text.contains("unattributed"), "{text}");
        assert!(text.starts_with("of the last seven days 1 d 6 h are recorded\n"), "{text}");
    }

    #[test]
    fn what_is_proposed_can_be_put_into_the_configuration_whatever_agents_are_called() {
        let long = "a".repeat(64);
        let rows = [format!("{}b", &long[1..]), long, "bot".into()].map(|agent| spent(&agent, "1"));
        for per in [Per::Day, Per::Week, Per::Month] {
            let page = suggested(&rows, WEEK_HOURS, "1", per);
            let (_, toml) = page.text().split_once("for tollgate.toml:\n").unwrap();
            let config = crate::config::Config::parse("t", toml).unwrap();
            assert_eq!(config.budgets.budgets.len(), 3);
        }
    }

    #[test]
    fn of_a_week_as_much_is_recorded_as_lies_behind_its_first_hour() {
        let now: Timestamp = "2026-11-25T12:20:00Z".parse().unwrap();
        for (hours, expected) in [
            (&[] as &[&str], 0),
            (&["2026-11-25T12:00:00Z"], 1),
            (&["2026-11-25T11:00:00Z", "2026-11-24T12:00:00Z"], 25),
            (&["2026-11-18T13:00:00Z"], 168),
            (&["2026-11-01T00:00:00Z"], 168),
        ] {
            let rows: Vec<SummaryRow> = hours.iter().map(|hour| row(By::Hour, hour, "0")).collect();
            assert_eq!(hours_recorded(&rows, now), expected, "{hours:?}");
        }
    }
}
