//! The demo: five agents of three teams call three providers through the gateway, one of them until its
//! budget is spent, and both sides' books are compared.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tollgate_simulator::{Random, Served, Simulator};
use tollgate_tests::books::{dollars, pico};
use tollgate_tests::burst;
use tollgate_tests::http::Call;
use tollgate_tests::stack::Product;

use crate::ask;

/// Sends the traffic, prints the summaries, and compares them with the providers' ledger.
pub(crate) fn run(product: &Product, simulator: &Simulator, tollgate: &Path) -> Result<()> {
    println!(
        "traffic: {} agents, {CALLS_PER_AGENT} calls each, compressed to about half a minute",
        AGENTS.len()
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let gateway = product.envoy.address();
    let refused = runtime.block_on(async {
        let agents: Vec<_> = AGENTS.iter().map(|agent| tokio::spawn(agent.work(gateway))).collect();
        let mut refused = 0;
        for agent in agents {
            refused += agent.await.context("an agent panicked")??;
        }
        anyhow::Ok(refused)
    })?;
    let served = simulator.ledger().lines();
    wait_until_stored(product, served.len(), refused)?;
    println!();
    ask::tollgate(tollgate, &["summary", "--by", "team"])?;
    println!();
    ask::tollgate(tollgate, &["summary", "--by", "agent"])?;
    println!();
    ask::tollgate(tollgate, &["budgets"])?;
    println!();
    let mut differences = simulator.ledger().violations();
    for by in DIMENSIONS {
        let summary = product.collector.api().get(&format!("/api/v1/summary?by={by}&since=1d"))?;
        compare(by, &summary, &served, &mut differences)?;
    }
    check_budget(product, &served, refused, &mut differences)?;
    if !differences.is_empty() {
        bail!("the summary and the providers' ledger disagree:\n  {}", differences.join("\n  "));
    }
    let total = served.iter().filter_map(|line| line.cost_pico).sum();
    println!(
        "agent `{SPENDTHRIFT}` was refused {refused} calls when its budget was spent, and passed it by nothing"
    );
    println!(
        "agreed: {} calls, ${} by the providers' own ledger, equal by {} to the last pico-dollar",
        served.len(),
        dollars(total),
        DIMENSIONS.join(", ")
    );
    Ok(())
}

/// An agent of the demo.
struct Agent {
    name: &'static str,
    team: &'static str,
    environment: &'static str,
    feature: &'static str,
    habits: &'static [Habit],
}

/// A kind of call that an agent makes.
enum Habit {
    /// OpenAI chat completions, maybe streamed.
    Chat { model: &'static str, stream: bool },
    /// OpenAI responses, maybe streamed.
    Responses { model: &'static str, stream: bool },
    /// OpenAI embeddings.
    Embeddings,
    /// Anthropic messages, maybe streamed.
    Messages { model: &'static str, stream: bool },
    /// Gemini: `generateContent`, `streamGenerateContent?alt=sse`, or the array of `streamGenerateContent`.
    Gemini { model: &'static str, verb: &'static str },
}

impl Agent {
    /// Makes its calls; gives how many a budget refused.
    async fn work(&'static self, gateway: SocketAddr) -> Result<u64> {
        let mut random = Random::named(SEED, self.name);
        let mut refused = 0;
        for number in 0..CALLS_PER_AGENT {
            let habit = random.pick(self.habits);
            let call = habit
                .call(&mut random)
                .header("x-sim-call", format!("{}-{number}", self.name))
                .header("x-tollgate-agent", self.name)
                .header("x-tollgate-team", self.team)
                .header("x-tollgate-environment", self.environment)
                .header("x-tollgate-feature", self.feature)
                .header("x-tollgate-run", format!("{}-run-{}", self.name, number / 5))
                .header("x-tollgate-tags", "source=demo")
                .header("authorization", "Bearer sk-demo");
            let reply = call.send(gateway).await?;
            if !reply.complete {
                bail!("{}: the answer to call {number} broke off", self.name);
            }
            refused += u64::from(reply.header("x-tollgate-budget").is_some());
            tokio::time::sleep(Duration::from_millis(random.between(60, 340))).await;
        }
        Ok(refused)
    }

    fn of(call: &str) -> Option<&'static Self> {
        let (name, _) = call.rsplit_once('-')?;
        AGENTS.iter().find(|agent| agent.name == name)
    }
}

impl Habit {
    fn call(&self, random: &mut Random) -> Call {
        let question = "How much did we spend, and on what? "
            .repeat(usize::try_from(random.between(1, 40)).unwrap_or(1));
        let messages = json!([{"role": "user", "content": question}]);
        let call = match self {
            Self::Chat { model, stream: false } => {
                Call::post("/openai/v1/chat/completions", &json!({"model": model, "messages": messages}))
            }
            Self::Chat { model, stream: true } => Call::post(
                "/openai/v1/chat/completions",
                &json!({"model": model, "messages": messages, "stream": true, "stream_options": {"include_usage": true}}),
            ),
            Self::Responses { model, stream } => Call::post(
                "/openai/v1/responses",
                &json!({"model": model, "instructions": "Be brief.", "input": question, "stream": stream}),
            ),
            Self::Embeddings => Call::post(
                "/openai/v1/embeddings",
                &json!({"model": "text-embedding-3-small", "input": question}),
            ),
            Self::Messages { model, stream } => Call::post(
                "/anthropic/v1/messages",
                &json!({"model": model, "max_tokens": 1024, "messages": messages, "stream": stream}),
            )
            .header("anthropic-version", "2023-06-01"),
            Self::Gemini { model, verb } => Call::post(
                &format!("/gemini/v1beta/models/{model}:{verb}"),
                &json!({"contents": [{"role": "user", "parts": [{"text": question}]}]}),
            ),
        };
        match (random.between(0, 99), self) {
            (0..3, _) => call.header("x-sim", "fault=429"),
            (3..4, _) => call.header("x-sim", "fault=500"),
            // Above 200,000 tokens another price holds.
            (4..9, Self::Gemini { model: "gemini-2.5-pro", .. }) => {
                call.header("x-sim", "input=204800;output=900")
            }
            _ => call,
        }
    }
}

/// The spendthrift stayed within its budget by the providers' own ledger, and what the budget says is what
/// they charge.
fn check_budget(
    product: &Product,
    served: &[Served],
    refused: u64,
    differences: &mut Vec<String>,
) -> Result<()> {
    let row =
        burst::budget(&product.collector.api(), SPENDTHRIFT, |row| row.get("in_flight") == Some(&json!(0)))?;
    let amount = |field: &str| pico(row.get(field).and_then(Value::as_str).unwrap_or_default());
    let denied = row.get("denied").and_then(Value::as_u64).unwrap_or(0);
    let of_spendthrift =
        |line: &&Served| line.call.as_deref().is_some_and(|call| call.starts_with(SPENDTHRIFT));
    let spent: i128 = served.iter().filter(of_spendthrift).filter_map(|line| line.cost_pico).sum();
    let (limit, used) = (amount("limit")?, amount("used")?);
    if spent > limit {
        differences.push(format!("budget `{SPENDTHRIFT}`: {spent} spent of {limit}"));
    }
    if used != spent {
        differences
            .push(format!("budget `{SPENDTHRIFT}`: used is {used}, the providers' ledger has {spent}"));
    }
    if refused == 0 || denied != refused {
        differences.push(format!("budget `{SPENDTHRIFT}`: denied is {denied}, {refused} calls were refused"));
    }
    Ok(())
}

fn wait_until_stored(product: &Product, calls: usize, refused: u64) -> Result<()> {
    let start = Instant::now();
    loop {
        let summary = product.collector.api().get("/api/v1/summary?by=team&since=1d")?;
        let total =
            |field: &str| summary.pointer(&format!("/total/{field}")).and_then(Value::as_u64).unwrap_or(0);
        let (stored, denied) = (total("calls"), total("denied"));
        if stored >= calls as u64 && denied >= refused {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(20) {
            bail!(
                "the providers served {calls} calls and {refused} were refused, and the collector has only {stored} and \
                 {denied} of them after 20 s"
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What both books say of one value of a dimension.
type Row = BTreeMap<&'static str, i128>;

fn compare(by: &str, summary: &Value, served: &[Served], differences: &mut Vec<String>) -> Result<()> {
    let expected = by_ledger(by, served);
    let mut found = by_summary(by, summary)?;
    for (name, expected) in expected {
        let found = found.remove(&name).unwrap_or_default();
        for (field, expected) in expected {
            let found = found.get(field).copied().unwrap_or(0);
            if found != expected {
                differences
                    .push(format!("{by} `{name}`: {field} is {found}, the providers' ledger has {expected}"));
            }
        }
    }
    // What was refused is in the summary alone.
    found.retain(|_, row| row.values().any(|number| *number != 0));
    for name in found.keys() {
        differences.push(format!("{by} `{name}`: in the summary, and unknown to the providers' ledger"));
    }
    Ok(())
}

fn by_ledger(by: &str, served: &[Served]) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for line in served {
        let agent = line.call.as_deref().and_then(Agent::of);
        let named = |field: fn(&Agent) -> &'static str| agent.map_or("unknown", field).to_owned();
        let name = match by {
            "team" => named(|agent| agent.team),
            "agent" => named(|agent| agent.name),
            "environment" => named(|agent| agent.environment),
            "feature" => named(|agent| agent.feature),
            "provider" => line.provider.to_owned(),
            _ if line.response_model.is_empty() => line.request_model.clone(),
            _ => line.response_model.clone(),
        };
        let row = rows.entry(name).or_default();
        let tokens = &line.tokens;
        let numbers = [
            1,
            i128::from(line.status >= 400),
            i128::from(tokens.input),
            i128::from(tokens.cache_read),
            i128::from(tokens.cache_write_5m + tokens.cache_write_1h),
            i128::from(tokens.output),
            i128::from(tokens.reasoning),
            line.cost_pico.unwrap_or(0),
        ];
        for (field, number) in FIELDS.into_iter().zip(numbers) {
            *row.entry(field).or_default() += number;
        }
    }
    rows
}

fn by_summary(by: &str, summary: &Value) -> Result<BTreeMap<String, Row>> {
    let rows = summary.get("rows").and_then(Value::as_array).context("the summary has no rows")?;
    let mut named = BTreeMap::new();
    for row in rows {
        let name =
            row.get(by).and_then(Value::as_str).with_context(|| format!("a row without `{by}`: {row}"))?;
        let mut numbers = Row::new();
        for field in FIELDS {
            let value = row.get(field).with_context(|| format!("a row without `{field}`: {row}"))?;
            let number = match value {
                Value::String(amount) => pico(amount)?,
                value => i128::from(value.as_u64().with_context(|| format!("`{field}` is {value}"))?),
            };
            numbers.insert(field, number);
        }
        named.insert(name.to_owned(), numbers);
    }
    Ok(named)
}

/// The agent that runs over its budget, and the budget's name.
const SPENDTHRIFT: &str = "planner";

/// Its budget, in the collector's configuration.
pub(crate) const BUDGETS: &str = r#"
[[budgets]]
name = "planner"
scope = { agent = "planner" }
limit_usd = "0.50"
window = "month"
default_output_tokens = 4000
"#;

/// Seed of the demo's traffic and of the simulator's answers.
pub(crate) const SEED: u64 = 7;
const CALLS_PER_AGENT: usize = 120;

/// What is compared, for each value of which dimension.
const DIMENSIONS: [&str; 6] = ["team", "agent", "environment", "feature", "provider", "model"];
const FIELDS: [&str; 8] = [
    "calls",
    "errors",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_usd",
];

const AGENTS: [Agent; 5] = [
    Agent {
        name: "triage",
        team: "support",
        environment: "production",
        feature: "inbox",
        habits: &[
            Habit::Chat { model: "gpt-5-mini", stream: true },
            Habit::Chat { model: "gpt-5-mini", stream: false },
            Habit::Embeddings,
        ],
    },
    Agent {
        name: "answers",
        team: "support",
        environment: "production",
        feature: "help-centre",
        habits: &[
            Habit::Messages { model: "claude-haiku-4-5", stream: true },
            Habit::Messages { model: "claude-haiku-4-5", stream: false },
        ],
    },
    Agent {
        name: "planner",
        team: "research",
        environment: "production",
        feature: "reports",
        habits: &[
            Habit::Responses { model: "gpt-5.1", stream: true },
            Habit::Responses { model: "gpt-5.1", stream: false },
        ],
    },
    Agent {
        name: "reader",
        team: "research",
        environment: "staging",
        feature: "reports",
        habits: &[
            Habit::Gemini { model: "gemini-2.5-flash", verb: "generateContent" },
            Habit::Gemini { model: "gemini-2.5-flash", verb: "streamGenerateContent?alt=sse" },
            Habit::Gemini { model: "gemini-2.5-pro", verb: "streamGenerateContent" },
            Habit::Gemini { model: "gemini-2.5-pro", verb: "generateContent" },
        ],
    },
    Agent {
        name: "copywriter",
        team: "growth",
        environment: "staging",
        feature: "campaigns",
        habits: &[
            Habit::Messages { model: "claude-sonnet-4-6", stream: true },
            Habit::Chat { model: "gpt-4.1-mini", stream: false },
            Habit::Chat { model: "gpt-4.1-mini", stream: true },
        ],
    },
];
