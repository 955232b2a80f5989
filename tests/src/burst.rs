//! Bursts of calls against a budget, judged by the providers' own ledger.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tollgate_simulator::Simulator;

use crate::collector::Api;
use crate::http::{Call, Reply};

/// How calls of a burst are made.
#[derive(Clone, Debug, Default)]
pub struct Burst {
    /// Gateways, each with its share of the calls.
    pub gateways: Vec<(SocketAddr, usize)>,
    /// Orders to the simulator; see its `orders`.
    pub orders: String,
    /// Output limit in the request.
    pub max_tokens: u64,
    /// Of a hundred callers so many hang up in the middle.
    pub hang_up_percent: usize,
    /// Begins the names of its calls.
    pub name: String,
    /// A connection that fails is a gateway that was killed, not a mistake.
    pub gateways_may_die: bool,
    /// Such a gateway comes back: its calls are tried again.
    pub gateways_return: bool,
    /// So many rounds in a row must be refused whole before calls are given up.
    pub refused_rounds: usize,
}

/// What became of a burst.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Calls that went through.
    pub passed: usize,
    /// Calls that were refused to the end.
    pub refused: usize,
    /// Calls that broke as their gateway was gone.
    pub lost: usize,
    /// Rounds of trying refused calls again.
    pub rounds: usize,
    /// Answers by status.
    pub statuses: std::collections::BTreeMap<u16, usize>,
}

impl Burst {
    /// Sends all calls at once, and those that are refused again, until whole rounds are refused.
    ///
    /// # Errors
    /// An answer that is neither the provider's nor a refusal by a budget.
    pub async fn run(&self) -> Result<Outcome> {
        let mut waiting: Vec<(SocketAddr, usize)> = Vec::new();
        for (gateway, calls) in &self.gateways {
            waiting.extend((0..*calls).map(|number| (*gateway, number)));
        }
        let mut outcome = Outcome::default();
        let this = Arc::new(self.clone());
        let mut refused_rounds = 0;
        loop {
            outcome.rounds += 1;
            let round = outcome.rounds;
            let calls: Vec<_> = waiting
                .drain(..)
                .map(|(gateway, number)| {
                    let this = Arc::clone(&this);
                    tokio::spawn(async move { (gateway, number, this.one(gateway, number, round).await) })
                })
                .collect();
            let mut passed = 0;
            for call in calls {
                let (gateway, number, status) = call.await?;
                let status = status?;
                *outcome.statuses.entry(status).or_default() += 1;
                match status {
                    402 | 429 => waiting.push((gateway, number)),
                    GONE if self.gateways_return => waiting.push((gateway, number)),
                    GONE => outcome.lost += 1,
                    _ => passed += 1,
                }
            }
            outcome.passed += passed;
            refused_rounds = if passed == 0 { refused_rounds + 1 } else { 0 };
            if waiting.is_empty() || refused_rounds >= self.refused_rounds {
                outcome.refused = waiting.len();
                return Ok(outcome);
            }
            if round > ROUNDS_MAX {
                bail!("{} calls are still let through after {round} rounds", waiting.len());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn one(&self, gateway: SocketAddr, number: usize, round: usize) -> Result<u16> {
        let name = format!("{}-{}-{number}-{round}", self.name, gateway.port());
        let body = json!({
            "model": "gpt-5-mini", "max_completion_tokens": self.max_tokens, "stream": number.is_multiple_of(2),
            "messages": [{"role": "user", "content": "How much is left of the budget?"}],
        });
        let call = Call::post("/openai/v1/chat/completions", &body)
            .header("x-sim-call", &name)
            .header("x-sim", &self.orders)
            .header("x-tollgate-agent", format!("agent-{}", number % 7))
            .header("x-tollgate-team", "burst");
        if number % 100 < self.hang_up_percent {
            let opened = match call.open(gateway).await {
                Ok(opened) => opened,
                Err(_) if self.gateways_may_die => return Ok(GONE),
                Err(error) => return Err(error),
            };
            let status = opened.status;
            // Its body is not read.
            drop(opened);
            return Ok(status);
        }
        let reply: Reply = match call.send(gateway).await {
            Ok(reply) => reply,
            // Its gateway is gone.
            Err(_) if self.gateways_may_die => return Ok(GONE),
            Err(error) => return Err(error),
        };
        if !matches!(reply.status, 200 | 402 | 429 | 500 | 502 | 503 | 504) {
            bail!("{name}: {} {}", reply.status, reply.text());
        }
        Ok(reply.status)
    }
}

/// What the providers charge for calls whose name begins so, in pico-dollars: those that reached their end.
pub fn charged(simulator: &Simulator, name: &str) -> i128 {
    let lines = simulator.ledger().lines();
    let ours = lines.iter().filter(|line| line.call.as_ref().is_some_and(|call| call.starts_with(name)));
    ours.filter(|line| line.reported).filter_map(|line| line.cost_pico).sum()
}

/// The row of a budget without `each`, once `enough` says so.
///
/// # Errors
/// Not within fifteen seconds.
pub fn budget(api: &Api, name: &str, enough: impl Fn(&Value) -> bool) -> Result<Value> {
    let start = Instant::now();
    loop {
        let answer = api.get(&format!("/api/v1/budgets?budget={name}"))?;
        let row = answer.pointer("/rows/0").cloned().with_context(|| format!("no budget `{name}`"))?;
        if enough(&row) {
            return Ok(row);
        }
        if start.elapsed() > Duration::from_secs(15) {
            bail!("budget `{name}` after fifteen seconds: {row:#}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An amount of dollars in JSON, in pico-dollars.
///
/// # Errors
/// It is none.
pub fn pico(value: &Value) -> Result<i128> {
    let text = value.as_str().context("not a text")?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').context("no decimals")?;
    Ok(sign * (whole.parse::<i128>()? * 1_000_000_000_000 + format!("{fraction:0<12}").parse::<i128>()?))
}

const ROUNDS_MAX: usize = 60;
/// In the place of a status: no answer, as the gateway was gone.
const GONE: u16 = 0;
/// Between rounds: a second is what refusals ask for, but tests sync ten times as often.
const PAUSE: Duration = Duration::from_millis(300);
