//! The command line: `tollgate serve` and the commands that ask a running collector.

mod agents;
mod alerts;
mod allow;
mod anomalies;
mod audit;
mod backup;
mod baseline;
mod budgets;
mod chargeback;
mod check;
mod client;
mod compare;
mod demo;
mod estimate;
mod explain;
mod explain_call;
mod export;
mod help;
mod import;
mod interrupt;
mod keys;
mod logging;
mod meter;
mod output;
mod prices;
mod prompts;
mod reconcile;
mod records;
mod reports;
mod reprice;
mod runs;
mod schema;
mod serve;
mod summary;
mod token;
mod top;
mod what_if;

use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

/// Meters, prices and controls LLM calls at the gateway.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector: keep records, answer the API
    Serve(serve::Serve),
    /// Check configuration files, offline
    Check(check::Check),
    /// Print a JSON Schema of tollgate.toml, for editors
    Schema(schema::SchemaArgs),
    /// Show who spent what
    Summary(summary::SummaryArgs),
    /// Show where a change of cost comes from, by the rows that explain most of it
    Compare(Box<compare::CompareArgs>),
    /// Show what agents used in their first week, and what they use now
    Baseline(baseline::BaselineArgs),
    /// Watch who spends now, and how full budgets are
    Top(top::TopArgs),
    /// Show budgets and what is left of them, propose limits, top up, release
    Budgets(budgets::BudgetsArgs),
    /// Show every agent, who answers for it and what it costs; propose, approve, retire
    Agents(Box<agents::AgentsArgs>),
    /// Show lists of models, and try what one would have refused
    Allow(allow::AllowArgs),
    /// Say what a gateway would do with a call, and why; or explain a record's price
    Explain(explain_call::ExplainArgs),
    /// Say whose calls a provider's key makes, by its hash
    Keys(keys::KeysArgs),
    /// Show what users' actions cost, with all the runs that they started
    Runs(runs::RunsArgs),
    /// Price recorded calls at another model
    WhatIf(what_if::WhatIfArgs),
    /// Show what prompts are made of, what that costs, and when it changed
    Prompts(prompts::PromptsArgs),
    /// List calls, newest first
    Records(records::RecordsArgs),
    /// Show, export and check the trail of what was changed, and by whom
    Audit(audit::AuditArgs),
    /// Copy the database to a file, also while a collector runs on it
    Backup(backup::BackupArgs),
    /// Put a backup in the place of the database
    Restore(backup::RestoreArgs),
    /// Store records that a gateway could not report
    Import(import::ImportArgs),
    /// Show what a month is charged to whom
    Chargeback(chargeback::ChargebackArgs),
    /// Compare bills of providers with what gateways saw
    Reconcile(reconcile::ReconcileArgs),
    /// Write what is kept for other systems: rows of FOCUS, calls, sums
    Export(export::ExportArgs),
    /// Make sample data: records of a company with five agents
    DemoData(demo::DemoArgs),
    /// Show alerts, test channels, and look into budgets that were passed
    Alerts(Box<alerts::AlertsArgs>),
    /// Show reports that are mailed, see what one says, send one by hand
    Reports(reports::ReportsArgs),
    /// Show what agents did that they usually do not, and why
    Anomalies(anomalies::AnomaliesArgs),
    /// Make a token for a role
    Token(token::TokenArgs),
    /// Meter recorded exchanges, offline
    Meter(meter::MeterArgs),
    /// Count and price a call before it is made
    Estimate(estimate::EstimateArgs),
    /// Look at prices, find what has none, check and import price files
    Prices(prices::PricesArgs),
    /// Price recorded calls again after a correction, as adjustments
    Reprice(reprice::RepriceArgs),
    /// Lock a month: what comes later is booked in the open one
    CloseMonth(reprice::CloseMonthArgs),
    /// Print completions for a shell: `source <(tollgate completions bash)`
    Completions(help::CompletionsArgs),
    /// Write man pages into a directory
    Man(help::ManArgs),
}

/// Why a command failed, as its exit code tells.
#[derive(Debug)]
enum Failure {
    /// A configuration is wrong: 2.
    Configuration(String),
    /// The call that was asked about is refused, which is said already: 3.
    Refused,
    /// Anything else: 1.
    Other(anyhow::Error),
}

impl Failure {
    /// Of these mistakes, each one line.
    fn of_mistakes(mistakes: &[String]) -> Self {
        Self::Configuration(output::lines(mistakes))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let parsed = Cli::from_arg_matches(&help::command().get_matches()).unwrap_or_else(|error| error.exit());
    let done = match parsed.command {
        Command::Serve(serve) => serve.run(),
        Command::Check(check) => check.run(),
        Command::Schema(schema) => schema.run().map_err(Failure::from),
        Command::Summary(summary) => summary.run().map_err(Failure::from),
        Command::Compare(compare) => compare.run().map_err(Failure::from),
        Command::Baseline(baseline) => baseline.run().map_err(Failure::from),
        Command::Top(top) => top.run().map_err(Failure::from),
        Command::Budgets(budgets) => budgets.run().map_err(Failure::from),
        Command::Agents(agents) => agents.run().map_err(Failure::from),
        Command::Allow(allow) => allow.run().map_err(Failure::from),
        Command::Explain(explain) => explain.run(),
        Command::Keys(keys) => keys.run().map_err(Failure::from),
        Command::Runs(runs) => runs.run().map_err(Failure::from),
        Command::WhatIf(what_if) => what_if.run().map_err(Failure::from),
        Command::Prompts(prompts) => prompts.run().map_err(Failure::from),
        Command::Records(records) => records.run().map_err(Failure::from),
        Command::Audit(audit) => audit.run().map_err(Failure::from),
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
        Command::Import(import) => import.run().map_err(Failure::from),
        Command::Chargeback(chargeback) => chargeback.run().map_err(Failure::from),
        Command::Reconcile(reconcile) => reconcile.run().map_err(Failure::from),
        Command::Export(export) => export.run().map_err(Failure::from),
        Command::DemoData(demo) => demo.run(),
        Command::Alerts(alerts) => alerts.run().map_err(Failure::from),
        Command::Reports(reports) => reports.run().map_err(Failure::from),
        Command::Anomalies(anomalies) => anomalies.run().map_err(Failure::from),
        Command::Token(token) => token.run().map_err(Failure::from),
        Command::Meter(meter) => meter.run().map_err(Failure::from),
        Command::Estimate(estimate) => estimate.run().map_err(Failure::from),
        Command::Prices(prices) => prices.run().map_err(Failure::from),
        Command::Reprice(reprice) => reprice.run().map_err(Failure::from),
        Command::CloseMonth(close) => close.run().map_err(Failure::from),
        Command::Completions(completions) => completions.run().map_err(Failure::from),
        Command::Man(man) => man.run().map_err(Failure::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Configuration(errors)) => {
            output::say(&errors);
            ExitCode::from(2)
        }
        Err(Failure::Refused) => ExitCode::from(3),
        Err(Failure::Other(error)) => {
            output::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn read(command: &str) -> Result<(), ErrorKind> {
        let words = std::iter::once("tollgate").chain(command.split(' '));
        Cli::try_parse_from(words).map(drop).map_err(|error| error.kind())
    }

    #[test]
    fn the_collector_is_named_before_or_after_a_subcommand_and_filters_only_where_they_act() {
        for command in [
            "budgets --url http://x --token t",
            "budgets --url http://x list --budget b --format json",
            "budgets list --url http://x",
            "budgets suggest --url http://x --team support --factor 2",
            "budgets top-up b 5 --token t",
            "agents --url http://x --status proposed",
            "agents approve a --team t --expires 2027-06-30 --token t",
            "allow try --models gpt-5,!gpt-5-pro --scope team=a --since 1d --url http://x",
            "alerts --url http://x test ops",
            "alerts reviews --token t --format csv",
            "reports preview x --format html --period 2026-W47",
            "audit --url http://x list",
            "audit verify --url http://x",
            "explain --call - --filter plugin.json --url http://x",
            "explain 01890a5d-ac96-774b-bcce-b302099a8057 --format json",
            "import access-log --url http://x -",
            "summary --since 1d --agent bob",
            "estimate --provider openai --model m --text hi",
        ] {
            assert_eq!(read(command), Ok(()), "{command}");
        }
        for (command, kind) in [
            ("budgets --team support", ErrorKind::UnknownArgument),
            ("budgets --since 1d", ErrorKind::UnknownArgument),
            ("budgets suggest --since 30d", ErrorKind::UnknownArgument),
            ("budgets suggest --factor -1", ErrorKind::ValueValidation),
            ("alerts --agent bob", ErrorKind::UnknownArgument),
            ("agents approve a --expires soon", ErrorKind::ValueValidation),
            ("explain", ErrorKind::MissingRequiredArgument),
            ("explain x --call -", ErrorKind::ArgumentConflict),
            ("allow try", ErrorKind::MissingRequiredArgument),
            ("allow try list --models gpt-5", ErrorKind::ArgumentConflict),
            ("close-month 2026-01 --team x", ErrorKind::UnknownArgument),
            ("estimate --text hi", ErrorKind::MissingRequiredArgument),
        ] {
            assert_eq!(read(command), Err(kind), "{command}");
        }
    }
}
