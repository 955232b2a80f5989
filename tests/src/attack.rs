//! Callers who try to pass a budget, or to close it for others, judged by the providers' own ledger.
//!
//! A class is a kind of fault with its neighbours. Each has a team with a budget of its own; behind one
//! gateway all of them are tried one after the other, while an ordinary caller goes on calling. A row holds
//! where no more than the limit was spent, whatever reached a provider has a record, the budget says what
//! records say, and a call that fits passes.
#![allow(clippy::indexing_slicing)] // of JSON: what is not there is null

mod names;
mod sessions;
mod shots;
mod trust;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tollgate_simulator::Served;

use crate::burst::{self, pico};
use crate::stack::{Setup, Stack};
use shots::{Class, Shot};

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Each request is sent so many times.
    pub repeat: usize,
    /// Names are invented for so long.
    pub names: Duration,
}

impl Size {
    /// For the end-to-end tests.
    pub const SMALL: Self = Self { repeat: 2, names: Duration::from_secs(3) };
    /// For `cargo xtask attack`.
    pub const FULL: Self = Self { repeat: 12, names: Duration::from_secs(10) };
}

/// What became of a class.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The class.
    pub class: String,
    /// Requests and turns that were tried.
    pub calls: usize,
    /// Those that reached the provider.
    pub passed: usize,
    /// The budget's limit, pico-dollars.
    pub limit: i128,
    /// What the provider charges, pico-dollars.
    pub spent: i128,
    /// What the budget says is used, pico-dollars.
    pub used: i128,
    /// Calls that reached the provider and have no record.
    pub missing: usize,
    /// Seconds.
    pub seconds: u64,
    /// Why it does not hold.
    pub broken: Vec<String>,
}

/// The table's first line.
pub const HEAD: &str = "class                                  calls  passed refused   limit $   spent $    used $ missing  time";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<37} {:>6} {:>7} {:>7} {:>9} {:>9} {:>9} {:>7} {:>4}s",
            self.class,
            self.calls,
            self.passed,
            self.calls.saturating_sub(self.passed),
            dollars(self.limit),
            dollars(self.spent),
            dollars(self.used),
            self.missing,
            self.seconds
        )?;
        self.broken.iter().try_for_each(|why| write!(f, "\n    {why}"))
    }
}

/// Tries what passes one gateway; each row is given to `tell` as soon as it is known.
///
/// # Errors
/// The product does not start, or does not answer.
pub async fn budgets(size: Size, mut tell: impl FnMut(&Row)) -> Result<Vec<Row>> {
    let classes = shots::classes();
    let mut config = String::new();
    for (team, limit, more) in classes
        .iter()
        .map(|class| (class.team, class.limit, class.budget))
        .chain(sessions::BUDGETS.iter().copied())
        .chain([("large", "50", "")])
    {
        config.push_str(&format!(
            "[[budgets]]\nname = '{team}'\nscope = {{ team = '{team}' }}\nlimit_usd = '{limit}'\nwindow = 'prepaid'\n{more}\n"
        ));
    }
    config.push_str(
        "[[budgets]]\nname = 'roomy'\nscope = { team = 'roomy' }\nlimit_usd = '50'\nwindow = 'prepaid'\n",
    );
    let providers = ["bedrock", "azure", "openrouter", "mistral"].map(str::to_owned).to_vec();
    let setup =
        Setup { name: "attack", collector_config: config, more_providers: providers, ..Setup::default() };
    let stack = Arc::new(Stack::set_up(&setup)?);
    let ordinary = Ordinary::start(&stack);
    let mut rows = Vec::new();
    for class in &classes {
        let row = class.run(&stack, size).await?;
        tell(&row);
        rows.push(row);
    }
    for row in sessions::run(&stack, size).await? {
        tell(&row);
        rows.push(row);
    }
    for row in [large(&stack).await?, ordinary.stop().await?] {
        tell(&row);
        rows.push(row);
    }
    Ok(rows)
}

/// What fits passes, however large it is.
async fn large(stack: &Arc<Stack>) -> Result<Row> {
    let start = Instant::now();
    let mut row = Row { class: "ten megabytes in chunks".into(), calls: 2, ..Row::default() };
    for number in 0..row.calls {
        let (status, said) =
            shots::large().raw("large", &format!("large-{number}")).send(stack.gateway()).await?;
        if status != 200 {
            row.broken.push(format!("answered {status}: {}", said.chars().take(600).collect::<String>()));
        }
    }
    settle(stack, "large", &mut row).await?;
    row.seconds = start.elapsed().as_secs();
    Ok(row)
}

/// Tries to close budgets for others with invented names.
///
/// # Errors
/// As [`budgets`].
pub async fn names(size: Size) -> Result<Row> {
    names::run(size).await
}

/// Tries to pass as somebody else.
///
/// # Errors
/// As [`budgets`].
pub async fn trust(size: Size) -> Result<Vec<Row>> {
    trust::run(size).await
}

impl Class {
    async fn run(&self, stack: &Arc<Stack>, size: Size) -> Result<Row> {
        let start = Instant::now();
        let mut tasks = Vec::new();
        let places = Arc::new(Semaphore::new(self.at_once));
        if self.collector_killed {
            with_product(stack, |product| {
                product.collector.kill();
                Ok(())
            })
            .await?;
        }
        // The requests take turns, so that one's trace is there when the next comes.
        for round in 0..size.repeat {
            for (number, shot) in self.shots.iter().enumerate() {
                let raw = shot.raw(self.team, &format!("{}-{number}-{round}", self.team));
                let (places, gateway) = (Arc::clone(&places), stack.gateway());
                let place = places.acquire_owned().await?;
                tasks.push(tokio::spawn(async move {
                    let answer = raw.send(gateway).await;
                    drop(place);
                    answer
                }));
            }
        }
        let calls = tasks.len();
        let mut row = Row { class: self.name.into(), calls, ..Row::default() };
        for task in tasks {
            task.await??;
        }
        if self.collector_killed {
            with_product(stack, |product| product.collector.restart()).await?;
        }
        settle(stack, self.team, &mut row).await?;
        if let Some(fits) = &self.fits {
            row.may_still_call(stack, self.team, fits, self.fits_pico).await?;
        }
        if let Some(check) = self.check {
            for line in lines(stack, self.team) {
                row.broken.extend(check(&line));
            }
        }
        row.seconds = start.elapsed().as_secs();
        Ok(row)
    }
}

async fn with_product<T: Send + 'static>(
    stack: &Arc<Stack>,
    change: impl FnOnce(&mut crate::stack::Product) -> Result<T> + Send + 'static,
) -> Result<T> {
    let stack = Arc::clone(stack);
    tokio::task::spawn_blocking(move || stack.with(change)).await?
}

/// Lines of the providers' ledger whose call is of this team.
fn lines(stack: &Stack, team: &str) -> Vec<Served> {
    let start = format!("{team}-");
    let is_ours = |line: &Served| line.call.as_ref().is_some_and(|call| call.starts_with(&start));
    stack.simulator.ledger().lines().into_iter().filter(is_ours).collect()
}

/// What the provider charges for a call: all of it, or, of a stream that was cut, for as much as it sent.
fn charge(line: &Served) -> i128 {
    let cost = line.cost_pico.unwrap_or(0);
    if line.finished || line.body_bytes == 0 || !line.stream {
        return cost;
    }
    let share = |bytes: usize| i128::try_from(bytes).unwrap_or(0);
    cost * share(line.sent_bytes) / share(line.body_bytes)
}

/// Fills the row once the calls of a team have ended, and says what does not hold.
async fn settle(stack: &Arc<Stack>, team: &'static str, row: &mut Row) -> Result<()> {
    let stack = Arc::clone(stack);
    let settled = tokio::task::spawn_blocking(move || account(&stack, team)).await??;
    let mut broken = std::mem::take(&mut row.broken);
    broken.extend(settled.broken);
    let (class, calls) = (std::mem::take(&mut row.class), row.calls);
    *row = Row { class, calls, broken, ..settled };
    Ok(())
}

/// What ledger, records and budget say of a team once they agree, or after [`SETTLED`].
fn account(stack: &Stack, team: &str) -> Result<Row> {
    let deadline = Instant::now() + SETTLED;
    loop {
        let ours = lines(stack, team);
        let (recorded, runs) = recorded(stack, team)?;
        let mut left = runs;
        // Each turn of a session has a record with the session's run.
        let missing: Vec<String> = ours
            .iter()
            .filter_map(|line| line.call.clone())
            .filter(|call| {
                let is_of = |run: &String| {
                    call == run || call.rsplit_once('-').is_some_and(|(session, _)| session == run)
                };
                left.iter().position(is_of).map(|at| left.swap_remove(at)).is_none()
            })
            .collect();
        let budget = burst::budget(&stack.api(), team, |_| true)?;
        let (used, held) = (pico(&budget["used"])?, pico(&budget["held"])?);
        let agrees = missing.is_empty() && held == 0 && used == recorded;
        if !agrees && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        }
        let mut row = Row {
            passed: ours.len(),
            limit: pico(&budget["limit"])?,
            spent: ours.iter().map(charge).sum(),
            used,
            missing: missing.len(),
            ..Row::default()
        };
        row.judge(&ours, recorded, held, &missing);
        return Ok(row);
    }
}

/// What records of a team cost together, and the runs of those that were not refused.
fn recorded(stack: &Stack, team: &str) -> Result<(i128, Vec<String>)> {
    let (mut cost, mut runs) = (0, Vec::new());
    let mut path = format!("/api/v1/records?team={team}&limit=500");
    loop {
        let page = stack.api().get(&path)?;
        for record in page["rows"].as_array().context("no rows")? {
            cost += pico(&record["cost_usd"]).unwrap_or(0);
            if record["outcome"] != "denied" || record["cost_usd"] != "0.000000000000" {
                runs.push(record["run"].as_str().unwrap_or_default().to_owned());
            }
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/records?team={team}&limit=500&cursor={cursor}"),
            None => return Ok((cost, runs)),
        }
    }
}

impl Row {
    /// The class.
    pub fn class(&self) -> &str {
        &self.class
    }

    fn judge(&mut self, ours: &[Served], recorded: i128, held: i128, missing: &[String]) {
        if self.spent > self.limit {
            let mut dear: Vec<&Served> = ours.iter().filter(|line| charge(line) > 0).collect();
            dear.sort_by_key(|line| std::cmp::Reverse(charge(line)));
            let dear = dear.into_iter().take(6);
            let dear: Vec<String> = dear
                .map(|line| {
                    format!(
                        "{} {} ${}",
                        line.call.as_deref().unwrap_or_default(),
                        line.received.path,
                        dollars(charge(line))
                    )
                })
                .collect();
            self.broken.push(format!("more than the limit was spent: {}", dear.join(", ")));
        }
        if !missing.is_empty() {
            self.broken.push(format!(
                "no record of {}",
                missing.iter().take(6).cloned().collect::<Vec<_>>().join(", ")
            ));
        }
        if self.used - held != recorded {
            self.broken.push(format!("{} used and {held} held, records say {recorded}", self.used));
        }
        if held != 0 {
            self.broken.push(format!("{held} is still held after {SETTLED:?}"));
        }
    }

    /// A call that fits into what is left passes, at the latest when grants have come and gone.
    async fn may_still_call(&mut self, stack: &Stack, team: &str, fits: &Shot, needs: i128) -> Result<()> {
        if self.limit - self.used < needs {
            return Ok(());
        }
        let mut answer = (0, String::new());
        for attempt in 0..20 {
            answer = fits.raw(team, &format!("{team}-fits-{attempt}")).send(stack.gateway()).await?;
            if answer.0 == 200 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let said: String = answer.1.chars().rev().take(240).collect::<Vec<_>>().into_iter().rev().collect();
        self.broken.push(format!(
            "{} is left, and a call that fits is refused: {said}",
            dollars(self.limit - self.used)
        ));
        Ok(())
    }
}

/// A caller within its budget, who calls all the time.
struct Ordinary {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Row>>,
}

impl Ordinary {
    fn start(stack: &Arc<Stack>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, gateway) = (Arc::clone(&stop), stack.gateway());
        let stack = Arc::clone(stack);
        let task = tokio::spawn(async move {
            let mut row = Row { class: "the ordinary caller beside all that".into(), ..Row::default() };
            let mut refused = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let raw = shots::small().raw("roomy", &format!("roomy-{}", row.calls));
                let (status, said) = raw.send(gateway).await?;
                row.calls += 1;
                if status != 200 {
                    refused.push(format!("{status}: {}", said.chars().take(300).collect::<String>()));
                }
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
            settle(&stack, "roomy", &mut row).await?;
            if let Some(first) = refused.first() {
                row.broken.push(format!("{} calls were refused, the first: {first}", refused.len()));
            }
            Ok(row)
        });
        Self { stop, task }
    }

    async fn stop(self) -> Result<Row> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

fn dollars(pico: i128) -> String {
    format!("{}.{:06}", pico / 1_000_000_000_000, pico % 1_000_000_000_000 / 1_000_000)
}

/// A chat of a small model, that costs little.
fn small_body() -> Value {
    json!({"model": "gpt-5-mini", "max_completion_tokens": 16, "messages": [{"role": "user", "content": "hi"}]})
}

/// Until records have arrived and nothing is held.
const SETTLED: Duration = Duration::from_secs(12);
