//! `cargo xtask chaos`: bursts, kills, losses and outages against a budget, judged by the providers' own
//! ledger.
//!
//! Each scenario is bounded in calls and time. It passes where nothing above the limit was spent, what the
//! budget says is used is what records say and what was kept, and what is left can still be had.
#![allow(clippy::indexing_slicing)] // of JSON: what is not there is null

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tollgate_tests::burst::{self, Burst, Outcome};
use tollgate_tests::envoy::Envoy;
use tollgate_tests::http::Call;
use tollgate_tests::stack::{Setup, Stack};

/// What happens while a burst goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mishap {
    Nothing,
    /// The collector is killed and started again, so many times.
    CollectorKilled(usize),
    /// The last gateway is killed.
    GatewayKilled,
    /// Two gateways are drained, end and begin, one after the other, so many times.
    RollingRestarts(usize),
    /// The last gateway is killed, and nobody releases what it was granted: its lease ends.
    GatewayKilledLeaseEnds,
    /// Of two collectors on one database the second is killed and started again, so many times.
    SecondCollectorKilled(usize),
}

struct Scenario {
    name: &'static str,
    /// Calls of each gateway.
    shares: &'static [usize],
    /// The budget is worth so many calls.
    worth: i128,
    mishap: Mishap,
    hang_up_percent: usize,
    lost_percent: u64,
    /// More orders to the simulated providers.
    orders: &'static str,
    /// Output limit of each request.
    max_tokens: u64,
    /// More keys of the budget.
    budget: &'static str,
}

/// Runs every scenario, or those whose name has `only` in it, and prints the table; fails if one of them did
/// not hold.
pub(crate) fn chaos(only: Option<&str>) -> Result<()> {
    let chosen: Vec<&Scenario> =
        SCENARIOS.iter().filter(|scenario| only.is_none_or(|only| scenario.name.contains(only))).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        bail!("no scenario has `{}` in its name; they are {}", only.unwrap_or_default(), names.join(", "));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!("{HEAD}");
    let mut broken = Vec::new();
    for scenario in chosen {
        let start = Instant::now();
        match runtime.block_on(scenario.run()) {
            Ok(row) => println!("{row} {:>5}s", start.elapsed().as_secs()),
            Err(error) => {
                println!("{:<34} {error:#}", scenario.name);
                broken.push(scenario.name);
            }
        }
    }
    if !broken.is_empty() {
        bail!("these did not hold: {}", broken.join(", "));
    }
    println!("every limit held, every account is what records say, and nothing is refused for ever");
    Ok(())
}

impl Scenario {
    async fn run(&self) -> Result<String> {
        let limit = self.worth * COST;
        let budgets = format!(
            "[[budgets]]\nname = 'b'\nlimit_usd = '{}.{:012}'\nwindow = 'prepaid'\n{}\n",
            limit / PICO,
            limit % PICO,
            self.budget,
        );
        let setup = Setup {
            name: "chaos",
            collector_config: budgets,
            lost_percent: self.lost_percent,
            // A gateway that has just begun knows no budgets.
            plugin: match self.mishap {
                Mishap::RollingRestarts(_) => json!({"until_policy": "deny"}),
                _ => Value::Null,
            },
            second_collector: matches!(self.mishap, Mishap::SecondCollectorKilled(_)),
            ..Setup::default()
        };
        let stack = Arc::new(Stack::set_up(&setup)?);
        let mut others = Vec::new();
        for number in 1..self.shares.len() {
            others.push(stack.add_gateway(&format!("gateway-{}", number + 1))?);
        }
        let addresses = std::iter::once(stack.gateway()).chain(others.iter().map(Envoy::address));
        let gateways: Vec<(SocketAddr, usize)> = addresses.zip(self.shares.iter().copied()).collect();
        let burst = Burst {
            gateways: gateways.clone(),
            orders: format!("{ORDERS}{}", self.orders),
            max_tokens: self.max_tokens,
            hang_up_percent: self.hang_up_percent,
            name: "chaos".into(),
            gateways_may_die: self.loses_gateways(),
            gateways_return: matches!(self.mishap, Mishap::RollingRestarts(_)),
            refused_rounds: if self.mishap == Mishap::Nothing && self.lost_percent == 0 { 4 } else { 12 },
        };
        let calls = tokio::spawn(async move { burst.run().await });
        let killed = self.happen(&stack, &mut others).await?;
        let outcome = calls.await??;
        if let Some(instance) = killed.filter(|_| self.mishap == Mishap::GatewayKilled) {
            release(&stack, &instance).await?;
        }
        if matches!(self.mishap, Mishap::GatewayKilledLeaseEnds | Mishap::RollingRestarts(_)) {
            tokio::time::sleep(LEASE + Duration::from_secs(1)).await;
        }
        let row = self.settled(&stack, &outcome, limit).await?;
        self.is_not_refused_for_ever(&stack, &gateways, &row, limit).await?;
        Ok(row.text)
    }

    const fn loses_gateways(&self) -> bool {
        matches!(
            self.mishap,
            Mishap::GatewayKilled | Mishap::GatewayKilledLeaseEnds | Mishap::RollingRestarts(_)
        )
    }

    /// What happens; gives the instance of a gateway that was killed.
    async fn happen(&self, stack: &Arc<Stack>, others: &mut Vec<Envoy>) -> Result<Option<String>> {
        match self.mishap {
            Mishap::Nothing => {}
            Mishap::CollectorKilled(times) | Mishap::SecondCollectorKilled(times) => {
                for _ in 0..times {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    let stack = Arc::clone(stack);
                    let outage = move || {
                        stack.with(|product| {
                            let collector = product.second.as_mut().unwrap_or(&mut product.collector);
                            collector.kill();
                            std::thread::sleep(Duration::from_millis(200));
                            collector.restart()
                        })
                    };
                    tokio::task::spawn_blocking(outage).await??;
                }
            }
            Mishap::RollingRestarts(times) => {
                for number in 0..times {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    restart_one(stack, others, number).await?;
                }
            }
            Mishap::GatewayKilled | Mishap::GatewayKilledLeaseEnds => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                let row = burst::budget(&stack.api(), "b", |_| true)?;
                let mut envoy = others.pop().context("a gateway to kill")?;
                envoy.process().kill();
                let name = format!("gateway-{}", self.shares.len());
                let accounts = row["gateways"].as_array().context("no gateways")?;
                let account = accounts.iter().find(|account| account["gateway"] == name.as_str());
                let instance = account.and_then(|account| account["instance"].as_str());
                return Ok(Some(instance.context("the gateway that was killed had no account")?.to_owned()));
            }
        }
        Ok(None)
    }

    async fn settled(&self, stack: &Stack, outcome: &Outcome, limit: i128) -> Result<Row> {
        let spent = burst::charged(&stack.simulator, "chaos");
        let killed = matches!(self.mishap, Mishap::GatewayKilled | Mishap::GatewayKilledLeaseEnds);
        let row = burst::budget(&stack.api(), "b", |row| {
            let live = row["gateways"].as_array().into_iter().flatten();
            let held = live
                .filter(|account| account["live"] == true || !killed)
                .any(|account| burst::pico(&account["held"]).is_ok_and(|held| held != 0));
            !held
        })?;
        let summary = stack.api().get("/api/v1/summary?by=team&since=1d")?;
        let recorded = burst::pico(&summary["total"]["cost_usd"])?;
        let (used, kept) = (burst::pico(&row["used"])?, burst::pico(&row["kept"])?);
        if spent > limit {
            bail!("{spent} spent of {limit}: {row:#}");
        }
        if used > limit {
            bail!("{used} used of {limit}: {row:#}");
        }
        if !killed && used != recorded + kept {
            bail!("{used} used, {recorded} recorded and {kept} kept: {row:#}");
        }
        if self.mishap == Mishap::Nothing
            && self.hang_up_percent == 0
            && self.orders.is_empty()
            && limit - spent >= HOLD
        {
            bail!("{} left of {limit}, and calls were refused: {row:#}", limit - spent);
        }
        let dollars = |pico: i128| format!("{}.{:06}", pico / PICO, pico % PICO / 1_000_000);
        let text = format!(
            "{:<34} {:>8} {:>6} {:>7} {:>7} {:>6} {:>9} {:>9} {:>9} {:>9}",
            self.name,
            self.shares.len(),
            self.shares.iter().sum::<usize>(),
            outcome.passed,
            outcome.refused,
            outcome.rounds,
            dollars(limit),
            dollars(spent),
            dollars(used),
            dollars(kept),
        );
        // The gateway that was killed may have spent what it had left.
        let name = format!("gateway-{}", self.shares.len());
        let accounts = row["gateways"].as_array().into_iter().flatten();
        let gone = accounts.filter(|account| killed && account["gateway"] == name.as_str());
        let left = |account: &Value| Ok(burst::pico(&account["granted"])? - burst::pico(&account["used"])?);
        let presumed = gone.map(left).sum::<Result<i128>>()?;
        Ok(Row { text, used, presumed })
    }

    /// A call fits as long as one worst case is left, beside what a gateway that is gone may have spent
    /// unseen.
    async fn is_not_refused_for_ever(
        &self,
        stack: &Stack,
        gateways: &[(SocketAddr, usize)],
        row: &Row,
        limit: i128,
    ) -> Result<()> {
        if limit - row.used - row.presumed < HOLD {
            return Ok(());
        }
        let (gateway, _) = *gateways.first().context("no gateway")?;
        let more = Burst {
            gateways: vec![(gateway, 1)],
            orders: ORDERS.into(),
            max_tokens: 200,
            name: "more".into(),
            refused_rounds: 20,
            ..Burst::default()
        };
        let outcome = more.run().await?;
        if outcome.passed == 0 {
            let row = burst::budget(&stack.api(), "b", |_| true)?;
            bail!("{} is left and refused for ever: {row:#}", limit - row_used(&row)?);
        }
        Ok(())
    }
}

/// Ends one of two gateways as an operator does, and begins it again where callers look for it.
async fn restart_one(stack: &Arc<Stack>, others: &mut [Envoy], number: usize) -> Result<()> {
    let stack = Arc::clone(stack);
    if number % 2 == 1 {
        let other = others.first_mut().context("two gateways")?;
        return tokio::task::block_in_place(|| other.drain_and_restart(DRAIN));
    }
    tokio::task::spawn_blocking(move || stack.with(|product| product.envoy.drain_and_restart(DRAIN))).await?
}

/// A line of the table, and what the budget says is used, and may be.
struct Row {
    text: String,
    used: i128,
    presumed: i128,
}

fn row_used(row: &Value) -> Result<i128> {
    burst::pico(&row["used"])
}

/// Takes back what a gateway that was killed had not used, as an operator does.
async fn release(stack: &Stack, instance: &str) -> Result<()> {
    let (address, token) =
        stack.with(|product| (product.collector.address(), product.collector.admin_token()));
    let call = Call::post(&format!("/api/v1/budgets/release/{instance}?force=true"), &Value::Null)
        .header("authorization", format!("Bearer {}", token?));
    let reply = call.send(address).await?;
    if reply.status != 200 {
        bail!("the release was answered {} {}", reply.status, reply.text());
    }
    Ok(())
}

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "burst", shares: &[1_000], worth: 300, ..PLAIN },
    Scenario { name: "three gateways", shares: &[340, 330, 330], worth: 300, ..PLAIN },
    Scenario { name: "very unequal load", shares: &[900, 80, 20], worth: 300, ..PLAIN },
    Scenario { name: "two calls for three gateways", shares: &[60, 60, 60], worth: 2, ..PLAIN },
    // While there is ample room, workers take it ahead.
    Scenario { name: "ample at first", shares: &[1_800, 1_800], worth: 3_000, ..PLAIN },
    Scenario {
        name: "ample at first, hang-ups, kills",
        shares: &[1_800, 1_800],
        worth: 3_000,
        mishap: Mishap::CollectorKilled(5),
        hang_up_percent: 10,
        budget: WORST,
        ..PLAIN
    },
    Scenario {
        name: "collector killed",
        shares: &[300, 300],
        worth: 200,
        mishap: Mishap::CollectorKilled(5),
        ..PLAIN
    },
    Scenario {
        name: "one of two collectors killed",
        shares: &[300, 300],
        worth: 200,
        mishap: Mishap::SecondCollectorKilled(5),
        ..PLAIN
    },
    Scenario { name: "answers lost", shares: &[200, 200, 200], worth: 200, lost_percent: 30, ..PLAIN },
    Scenario {
        name: "callers hang up",
        shares: &[300, 300],
        worth: 200,
        hang_up_percent: 20,
        budget: WORST,
        ..PLAIN
    },
    Scenario { name: "providers fail", shares: &[200, 200], worth: 100, orders: ";fault=500", ..PLAIN },
    Scenario {
        name: "providers break off",
        shares: &[200, 200],
        worth: 100,
        orders: ";fault=reset",
        budget: WORST,
        ..PLAIN
    },
    Scenario {
        name: "gateway killed, then released",
        shares: &[200, 200],
        worth: 150,
        mishap: Mishap::GatewayKilled,
        ..PLAIN
    },
    Scenario {
        name: "dear streams that callers leave",
        shares: &[100, 100],
        worth: 800,
        hang_up_percent: 50,
        max_tokens: 64_000,
        ..PLAIN
    },
    Scenario {
        name: "errors within answers",
        shares: &[100, 100],
        worth: 100,
        orders: ";fault=error-in-stream",
        ..PLAIN
    },
    Scenario {
        name: "ten rolling restarts",
        shares: &[300, 300],
        worth: 400,
        mishap: Mishap::RollingRestarts(10),
        budget: "lease = '4s'",
        ..PLAIN
    },
    Scenario {
        name: "gateway killed, its lease ends",
        shares: &[200, 200],
        worth: 150,
        mishap: Mishap::GatewayKilledLeaseEnds,
        budget: "lease = '4s'",
        ..PLAIN
    },
    Scenario {
        name: "all of it at once",
        shares: &[250, 150, 100],
        worth: 150,
        mishap: Mishap::CollectorKilled(4),
        hang_up_percent: 10,
        lost_percent: 20,
        budget: WORST,
        ..PLAIN
    },
];

/// Where providers finish what nobody hears, only worst cases that are kept cover what they charge.
const WORST: &str = "on_unknown = 'worst'";

const PLAIN: Scenario = Scenario {
    name: "",
    shares: &[],
    worth: 0,
    mishap: Mishap::Nothing,
    hang_up_percent: 0,
    lost_percent: 0,
    orders: "",
    max_tokens: 200,
    budget: "",
};

const HEAD: &str = "scenario                           gateways  calls  passed refused rounds   limit $   spent $    used $    kept $  time";
const ORDERS: &str = "input=400;output=150;events=4;delay_ms=20";
/// What such a call costs: `gpt-5-mini` at $0.25 and $2 for a million tokens.
const COST: i128 = 400 * 250_000 + 150 * 2_000_000;
/// What it holds at most.
const HOLD: i128 = 1_500 * 250_000 + 200 * 2_000_000;
const PICO: i128 = 1_000_000_000_000;
/// A gateway that is drained has so long for the calls that it has.
const DRAIN: Duration = Duration::from_millis(2_500);
/// That of the scenarios in which it ends.
const LEASE: Duration = Duration::from_secs(4);
