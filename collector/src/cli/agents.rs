//! `tollgate agents`: the inventory, and the registry.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{self, Collector};
use super::output::{self, Look};
use crate::model::agent::{Agent, Day, STATUSES, Status};
use crate::model::answers::List;
use crate::model::answers::agents::{AgentChange, AgentChanged, AgentRow, COLUMNS, inventory, register};
use crate::model::nearest::or_rather;
use crate::model::table::export::Export;
use crate::model::text::printable;

/// Arguments of `tollgate agents`.
#[derive(Args, Debug)]
pub(super) struct AgentsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: Listed,
    #[command(flatten)]
    collector: Collector,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show every agent that is registered or was seen (this is what happens without a command)
    List(Listed),
    /// Show all that is known of an agent
    Show {
        /// Its name
        name: String,
    },
    /// Ask for an agent: it may not call before somebody approves it
    Propose(Box<Change>),
    /// Approve an agent, a proposed or a new one
    Approve(Box<Change>),
    /// Retire an agent: where unknown ones may not call, neither may it
    Retire {
        /// Its name
        name: String,
        /// Why, for its notes
        #[arg(long)]
        notes: Option<String>,
    },
    /// Register all agents of a file, or none: CSV or JSON, as `export` writes it
    Import {
        /// The file
        file: PathBuf,
    },
    /// Write what is registered, as CSV, or as JSON with `--format json`
    Export,
}

#[derive(Args, Debug, Default)]
struct Listed {
    /// Only those of this status
    #[arg(long, value_enum)]
    status: Option<State>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Proposed,
    Approved,
    Expired,
    Retired,
    Unregistered,
}

/// What is to be written of an agent; what is left out stays.
#[derive(Args, Debug)]
struct Change {
    /// Its name, as its calls say it
    name: String,
    /// The team that its calls are for, whatever they say
    #[arg(long)]
    team: Option<String>,
    /// Who answers for it
    #[arg(long)]
    owner: Option<String>,
    /// The business function that it serves
    #[arg(long)]
    function: Option<String>,
    /// An environment that it may call from, such as production or staging*; repeat for several
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Vec<String>,
    /// A model that it may call, such as gpt-5* or !gpt-5-pro; repeat for several
    #[arg(long, value_name = "MODEL")]
    model: Vec<String>,
    /// Who approves it; the token's name without it
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// The day on which somebody is to look at it again
    #[arg(long, value_name = "DAY")]
    review: Option<Day>,
    /// The last day of the approval, UTC
    #[arg(long, value_name = "DAY")]
    expires: Option<Day>,
    /// What else is to be known
    #[arg(long)]
    notes: Option<String>,
}

impl AgentsArgs {
    /// Does what is asked.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (ask, look) = (&self.collector, self.look);
        let command = self.command.unwrap_or(Command::List(Listed::default()));
        ensure!(
            self.list.status.is_none() || matches!(command, Command::List(_)),
            "--status is for the list of agents; leave it out here"
        );
        match command {
            Command::List(more) => list(ask, more.status.or(self.list.status), look),
            Command::Show { name } => show(ask, &name, look),
            Command::Propose(change) => {
                ensure!(change.by.is_none(), "--by is for an approval; leave it out here");
                put(ask, change.on(known(ask, &change.name)?, Status::Proposed), look)
            }
            Command::Approve(change) => {
                put(ask, change.on(known(ask, &change.name)?, Status::Approved), look)
            }
            Command::Retire { name, notes } => {
                let Some(agent) = known(ask, &name)? else {
                    bail!(
                        "agent `{name}` is not registered; `tollgate agents approve` or `propose` registers it"
                    );
                };
                let notes = notes.unwrap_or_else(|| agent.notes.clone());
                put(ask, Agent { status: Status::Retired, notes, ..agent }, look)
            }
            Command::Import { file } => import(ask, &file, look),
            Command::Export => export(ask, look),
        }
    }
}

impl Change {
    fn on(&self, known: Option<Agent>, status: Status) -> Agent {
        let agent = known.unwrap_or_default();
        let text = |new: &Option<String>, old: String| new.clone().unwrap_or(old);
        let list = |new: &Vec<String>, old: Vec<String>| if new.is_empty() { old } else { new.clone() };
        // An approval is of who gives it now.
        let approved_by = match status {
            Status::Approved => self.by.clone().unwrap_or_default(),
            _ => agent.approved_by,
        };
        Agent {
            name: self.name.clone(),
            team: text(&self.team, agent.team),
            owner: text(&self.owner, agent.owner),
            function: text(&self.function, agent.function),
            environments: list(&self.environment, agent.environments),
            models: list(&self.model, agent.models),
            status,
            approved_by,
            review: self.review.or(agent.review),
            expires: self.expires.or(agent.expires),
            notes: text(&self.notes, agent.notes),
        }
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/agents/{}", client::segment(name))
}

fn rows(ask: &Collector) -> anyhow::Result<Vec<AgentRow>> {
    Ok(client::read::<List<AgentRow>>(&ask.get("/api/v1/agents", &[])?)?.rows)
}

/// What is registered of an agent, if anything is.
fn known(ask: &Collector, name: &str) -> anyhow::Result<Option<Agent>> {
    Ok(rows(ask)?.into_iter().find(|row| row.agent == name).and_then(|row| row.registered))
}

fn list(ask: &Collector, status: Option<State>, look: Look) -> anyhow::Result<()> {
    let status = status.and_then(|status| status.to_possible_value());
    let asked: Vec<(&str, &str)> = status.iter().map(|status| ("status", status.get_name())).collect();
    let body = ask.get("/api/v1/agents", &asked)?;
    if look.is_json() {
        return output::print(&body);
    }
    let answer: List<AgentRow> = client::read(&body)?;
    if answer.rows.is_empty() && look.is_table() {
        return output::print("no agents: none is registered, and none was seen");
    }
    look.print(&inventory(&answer.rows))
}

fn show(ask: &Collector, name: &str, look: Look) -> anyhow::Result<()> {
    let body = ask.get(&path(name), &[])?;
    let row: AgentRow = client::read(&body)?;
    match look.is_table() {
        false if look.is_json() => output::print(&body),
        false => look.print(&inventory(&[row])),
        true => output::print(&printable_rows(&facts(&row))),
    }
}

/// Each fact a line, where there is one.
fn facts(row: &AgentRow) -> Vec<(&'static str, String)> {
    let agent = row.registered.clone().unwrap_or_default();
    let day = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
    let list = |list: &[String]| list.join(", ");
    let cost = |cost: Option<tollgate_core::money::Picodollars>| cost.map(dollars).unwrap_or_default();
    let all = vec![
        ("agent", row.agent.clone()),
        ("status", row.status.name().to_owned()),
        ("registered by", row.source.clone().unwrap_or_default()),
        ("team", agent.team),
        ("owner", agent.owner),
        ("function", agent.function),
        ("environments", list(&agent.environments)),
        ("models", list(&agent.models)),
        ("lists", list(&row.lists)),
        ("approved by", agent.approved_by),
        ("review", day(agent.review) + if row.is_review_due { " (due)" } else { "" }),
        ("expires", day(agent.expires)),
        ("notes", agent.notes),
        ("first seen", row.first_seen.clone().unwrap_or_default()),
        ("last seen", row.last_seen.clone().unwrap_or_default()),
        ("teams seen", list(&row.teams_seen)),
        ("environments seen", list(&row.environments_seen)),
        ("models seen", list(&row.models_seen)),
        ("30 days", format!("{} in {} calls", dollars(row.cost_usd), row.calls)),
        ("planned a month", cost(row.planned_per_month_usd)),
        ("first week a day", cost(row.baseline_per_day_usd)),
    ];
    all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

fn dollars(amount: tollgate_core::money::Picodollars) -> String {
    let text = amount.to_string();
    // Four decimals are enough for people.
    let end = text.find('.').map_or(text.len(), |point| point.saturating_add(5));
    format!("${}", text.get(..end).unwrap_or(&text))
}

fn printable_rows(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> =
        facts.iter().map(|(name, text)| format!("{name:width$}  {}", printable(text))).collect();
    lines.join("\n")
}

fn put(ask: &Collector, agent: Agent, look: Look) -> anyhow::Result<()> {
    let body = ask.send("PUT", &path(&agent.name), &serde_json::to_value(&agent)?)?;
    if look.is_json() {
        return output::print(&body);
    }
    let changed: AgentChanged = client::read(&body)?;
    let status = STATUSES.iter().find(|(_, known)| *known == agent.status).map_or("", |(name, _)| name);
    output::print(&printable(&format!("agent `{}` {}: {status}", changed.agent, changed.result.said())))
}

fn export(ask: &Collector, look: Look) -> anyhow::Result<()> {
    let agents: Vec<Agent> = rows(ask)?.into_iter().filter_map(|row| row.registered).collect();
    match look.export() {
        None if look.is_json() => {
            output::print_exactly(&serde_json::to_string_pretty(&json!({ "agents": agents }))?)
        }
        other => output::print_export(other.unwrap_or(Export::Csv), &register(&agents)),
    }
}

fn import(ask: &Collector, file: &Path, look: Look) -> anyhow::Result<()> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("`{shown}` cannot be read"))?;
    let agents: Value = match text.trim_start().starts_with(['{', '[']) {
        true => of_json(&text).with_context(|| format!("`{shown}` cannot be used"))?,
        false => serde_json::to_value(of_csv(&text).with_context(|| format!("`{shown}` cannot be used"))?)?,
    };
    let body = ask.send("PUT", "/api/v1/agents", &json!({ "agents": agents }))?;
    if look.is_json() {
        return output::print(&body);
    }
    let changed: List<AgentChanged> = client::read(&body)?;
    let count = |of: AgentChange| changed.rows.iter().filter(|row| row.result == of).count();
    output::print(&format!(
        "{} agents: {} are new, {} have changed, {} were so before",
        changed.rows.len(),
        count(AgentChange::Created),
        count(AgentChange::Changed),
        count(AgentChange::Same)
    ))
}

/// A list of agents, or an object that has one.
fn of_json(text: &str) -> anyhow::Result<Value> {
    let value: Value = serde_json::from_str(text).context("it is not JSON")?;
    match value {
        Value::Object(mut object) => object
            .remove("agents")
            .context("it has no `agents`; `tollgate agents export --format json` shows the form"),
        list => Ok(list),
    }
}

fn of_csv(text: &str) -> anyhow::Result<Vec<Agent>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers()?.iter().map(|name| name.trim().to_owned()).collect();
    for name in &header {
        if !COLUMNS.contains(&name.as_str()) {
            bail!("`{name}` is not a column of agents; there are {}", or_rather(name, COLUMNS));
        }
    }
    ensure!(header.iter().any(|name| name == "name"), "it has no column `name`");
    let mut agents = Vec::new();
    for (at, row) in reader.records().enumerate() {
        let line = at.saturating_add(2);
        let row = row.with_context(|| format!("line {line} cannot be read"))?;
        let value = |name: &str| {
            let place = header.iter().position(|known| known == name)?;
            row.get(place).map(|value| armed(value.trim())).filter(|value| !value.is_empty())
        };
        agents.push(of_row(value).with_context(|| format!("line {line}"))?);
    }
    Ok(agents)
}

/// Without the apostrophe that files for sheets have before what a sheet would run.
fn armed(value: &str) -> &str {
    value.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@'])).unwrap_or(value)
}

fn of_row<'r>(value: impl Fn(&str) -> Option<&'r str>) -> anyhow::Result<Agent> {
    let text = |name: &str| value(name).unwrap_or_default().to_owned();
    let list = |name: &str| -> Vec<String> {
        let parts = value(name).into_iter().flat_map(|list| list.split(';'));
        parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    let day = |name: &str| -> anyhow::Result<Option<Day>> {
        let Some(text) = value(name) else { return Ok(None) };
        let day = text.parse().ok();
        Ok(Some(day.with_context(|| format!("`{name}` is `{text}`, not a day such as `2026-12-31`"))?))
    };
    let status = match value("status") {
        None => Status::default(),
        Some(said) => {
            let names = STATUSES.iter().map(|(name, _)| *name);
            let found = STATUSES.iter().find(|(name, _)| *name == said).map(|(_, status)| *status);
            found.with_context(|| format!("`status` is `{said}`, not one of {}", or_rather(said, names)))?
        }
    };
    Ok(Agent {
        name: text("name"),
        team: text("team"),
        owner: text("owner"),
        function: text("function"),
        environments: list("environments"),
        models: list("models"),
        status,
        approved_by: text("approved_by"),
        review: day("review")?,
        expires: day("expires")?,
        notes: text("notes"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_agents_reads_back_as_it_was_written() {
        let agents = vec![
            Agent {
                name: "triage".into(),
                team: "support".into(),
                owner: "Dana, of \"support\"".into(),
                function: "customer care".into(),
                environments: vec!["production".into(), "staging*".into()],
                models: vec!["gpt-5*".into(), "!gpt-5-pro".into()],
                approved_by: "lee".into(),
                review: "2027-01-31".parse().ok(),
                expires: "2027-06-30".parse().ok(),
                notes: "=1, äöü".into(),
                ..Agent::default()
            },
            Agent { name: "old".into(), status: Status::Retired, ..Agent::default() },
        ];
        let csv = Export::Csv.write(&register(&agents)).unwrap();
        assert_eq!(of_csv(std::str::from_utf8(&csv).unwrap()).unwrap(), agents);
        let json = json!({ "agents": agents }).to_string();
        assert_eq!(serde_json::from_value::<Vec<Agent>>(of_json(&json).unwrap()).unwrap(), agents);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named_with_its_line() {
        for (csv, expected) in [
            ("name,teem\n", "`teem` is not a column of agents"),
            ("team\nx\n", "it has no column `name`"),
            ("name,status\na,approved\nb,aproved\n", "line 3: `status` is `aproved`, not one of `approved`"),
            ("name,expires\na,soon\n", "line 2: `expires` is `soon`, not a day"),
        ] {
            let said = format!("{:#}", of_csv(csv).unwrap_err());
            assert!(said.contains(expected), "{csv}: {said}");
        }
    }
}
