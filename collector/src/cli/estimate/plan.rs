//! `tollgate estimate --calls` and `--check`: what an agent will cost, and how what it does compares.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tollgate_core::price::{EMBEDDED, PriceBook};

use super::EstimateArgs;
use crate::cli::client::{self, segment};
use crate::cli::output::{self, Page};
use crate::model::answers::plan::{CheckedPlan, Plan, Planned, PlannedRow, SavedPlan, side_by_side};
use crate::model::clock::now_ms;
use crate::model::decimal::Decimal;
use crate::work::estimate::plan;

/// What makes a plan of an estimate.
#[derive(Args, Debug)]
#[command(next_help_heading = "Before a launch")]
pub(super) struct PlanArgs {
    /// How many calls in which time, such as 100000/month, 5000/day or 200/hour
    #[arg(long, value_name = "N/TIME", requires = "model", requires = "output_tokens")]
    pub(super) calls: Option<String>,
    /// A file with the prompt's text, `-` for standard input
    #[arg(long, value_name = "FILE", requires = "calls", conflicts_with_all = ["text", "prompt_tokens"])]
    prompt: Option<PathBuf>,
    /// Tokens of the prompt, in place of its text
    #[arg(long, value_name = "N", requires = "calls", conflicts_with = "text")]
    prompt_tokens: Option<u64>,
    /// The part of a prompt that is read from caches, such as 0.8
    #[arg(long, value_name = "PART", requires = "calls")]
    cache_share: Option<Decimal>,
    /// Calls of a conversation, of which each sends all questions and answers before
    #[arg(long, value_name = "N", requires = "calls")]
    history_turns: Option<u64>,
    /// Tokens that a further question of a conversation adds [default: 50]
    #[arg(long, value_name = "N", requires = "history_turns")]
    question_tokens: Option<u64>,
    /// Keep the plan with this agent
    #[arg(long, value_name = "AGENT", requires = "calls", conflicts_with = "offline")]
    save: Option<String>,
    /// Compare the plan that was kept for this agent with what it does
    #[arg(long, value_name = "AGENT", conflicts_with_all = ["calls", "text", "offline"])]
    check: Option<String>,
}

impl PlanArgs {
    /// Whether this is not about one call.
    pub(super) const fn is_asked(&self) -> bool {
        self.calls.is_some() || self.check.is_some()
    }
}

/// Asks and prints.
pub(super) fn run(args: &EstimateArgs) -> anyhow::Result<()> {
    match &args.plan.check {
        Some(agent) => check(args, agent),
        None => price(args),
    }
}

fn price(args: &EstimateArgs) -> anyhow::Result<()> {
    let asked = asked(args)?;
    let answer = if args.offline {
        let book = PriceBook::from_files(EMBEDDED).map_err(|errors| {
            anyhow::anyhow!("{} mistakes in the prices that come with Tollgate", errors.len())
        })?;
        serde_json::to_string(&plan(&book, &asked, now_ms()).map_err(anyhow::Error::msg)?)?
    } else {
        args.collector.send("POST", "/api/v1/estimate/plan", &serde_json::to_value(&asked)?)?
    };
    if let Some(agent) = &args.plan.save {
        let path = format!("/api/v1/plans/{}", segment(agent));
        let saved: SavedPlan =
            client::read(&args.collector.send("PUT", &path, &serde_json::to_value(&asked)?)?)?;
        output::say(&format!("kept with {}; compare it later with --check {}", saved.agent, saved.agent));
    }
    if args.look.is_json() {
        return output::print(&answer);
    }
    let answer: Planned = client::read(&answer)?;
    match args.look.export() {
        Some(export) => output::print_export(export, &side_by_side(&answer)),
        None => shown(&answer, Page::new(args.look.screen())).print(),
    }
}

fn check(args: &EstimateArgs, agent: &str) -> anyhow::Result<()> {
    let body = args.collector.get(&format!("/api/v1/plans/{}/check", segment(agent)), &[])?;
    if args.look.is_json() {
        return output::print(&body);
    }
    let answer: CheckedPlan = client::read(&body)?;
    match args.look.export() {
        Some(export) => output::print_export(export, &answer.table()),
        None => compared(&answer, Page::new(args.look.screen())).print(),
    }
}

fn asked(args: &EstimateArgs) -> anyhow::Result<Plan> {
    let PlanArgs { calls, prompt, prompt_tokens, cache_share, history_turns, question_tokens, .. } =
        &args.plan;
    let text = match prompt {
        None => args.text.clone(),
        Some(file) if file.as_os_str() == "-" => {
            Some(std::io::read_to_string(std::io::stdin()).context("standard input cannot be read")?)
        }
        Some(file) => Some(
            std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))?,
        ),
    };
    let models = args.model.as_deref().unwrap_or_default().split(',').map(str::trim);
    let models = models.filter(|model| !model.is_empty()).map(|model| match &args.provider {
        Some(provider) if !model.contains('/') => format!("{provider}/{model}"),
        _ => model.to_owned(),
    });
    Ok(Plan {
        models: models.collect(),
        prompt: text,
        prompt_tokens: *prompt_tokens,
        output_tokens: args.output_tokens.unwrap_or(0),
        calls: calls.clone().unwrap_or_default(),
        cache_share: *cache_share,
        history_turns: *history_turns,
        question_tokens: *question_tokens,
    })
}

fn shown(answer: &Planned, page: Page) -> Page {
    let page = page.table(&side_by_side(answer)).gap();
    let note = |page: Page, row: &PlannedRow| {
        row.notes.iter().fold(page, |page, note| page.words(&format!("{}: {note}", row.model)))
    };
    let page = answer.rows.iter().fold(page, note);
    answer.assumptions.iter().fold(page, |page, one| page.words(&format!("- {one}")))
}

fn compared(answer: &CheckedPlan, page: Page) -> Page {
    let plan = &answer.plan;
    let first = plan.rows.first().map_or("", |row| row.model.as_str());
    let at = plan.saved_at.as_deref().unwrap_or("an unknown time");
    let page = page
        .words(&format!("{}: planned at {at} by {} with {first}", plan.agent, plan.saved_by))
        .words(&format!(
            "what it does from {} to {}, with {}",
            answer.from,
            answer.to,
            answer.models.join(", ")
        ))
        .gap()
        .table(&answer.table());
    answer.notes.iter().fold(page, |page, note| page.words(&format!("note: {note}")))
}
