//! The Envoys of the benchmark, each from `envoy/envoy.yaml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use tollgate_simulator::fast::FastUpstream;
use tollgate_tests::artifacts::{self, Workspace};
use tollgate_tests::collector::Collector;
use tollgate_tests::envoy::{Envoy, Start};
use tollgate_tests::ports;
use tollgate_tests::render::{self, Replace};

/// What stands in front of the router.
pub(super) struct Variant {
    /// Its name in the tables.
    pub name: &'static str,
    module: Option<fn() -> Result<PathBuf>>,
    /// Three budgets are for every call.
    pub budgets: bool,
}

/// What is compared; the first is what the others are measured against.
pub(super) const VARIANTS: [Variant; 5] = [
    Variant { name: "bare", module: None, budgets: false },
    Variant { name: "noop", module: Some(|| artifacts::build_bench_filter("noop")), budgets: false },
    Variant { name: "readonly", module: Some(|| artifacts::build_bench_filter("readonly")), budgets: false },
    Variant { name: "tollgate", module: Some(artifacts::build_filter), budgets: false },
    Variant { name: "budgets", module: Some(artifacts::build_filter), budgets: true },
];

/// Budgets that every call of the load is for, and never passes.
const BUDGETS: &str = "
[[budgets]]
name = 'dollars'
limit_usd = '1000000000'
window = 'month'
[[budgets]]
name = 'tokens'
scope = { agent = 'bench' }
limit_tokens = 1000000000000000
window = 'day'
[[budgets]]
name = 'calls'
scope = { team = 'bench' }
each = 'agent'
limit_calls = 1000000000000
window = 'hour'
";

/// Upstream, collector, and one Envoy for each of [`VARIANTS`]. They stop when this is dropped.
pub(super) struct Bench {
    /// In the order of [`VARIANTS`].
    pub envoys: Vec<Envoy>,
    /// Files of this run.
    pub directory: PathBuf,
    /// What answers.
    pub upstream: FastUpstream,
    collector: Collector,
    /// With [`BUDGETS`].
    budgets: Collector,
}

impl Bench {
    /// Builds what is measured and starts it.
    pub(super) fn start() -> Result<Self> {
        pin(std::process::id(), OTHERS);
        let directory = Workspace::find()?.target.join("bench");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        let collector = Collector::start(&artifacts::build_collector()?, &directory, ports::free()?, "")?;
        let below = directory.join("budgets");
        fs::create_dir_all(&below)?;
        let budgets = Collector::start(&artifacts::build_collector()?, &below, ports::free()?, BUDGETS)?;
        let upstream = FastUpstream::start(json_answer().into_bytes(), &sse_answer())?;
        let mut bench = Self { envoys: Vec::new(), directory, upstream, collector, budgets };
        for variant in &VARIANTS {
            let envoy = bench.envoy(variant)?;
            bench.envoys.push(envoy);
        }
        Ok(bench)
    }

    /// One more Envoy of this kind.
    pub(super) fn envoy(&self, variant: &Variant) -> Result<Envoy> {
        let workspace = Workspace::find()?;
        let (listener_port, admin_port) = (ports::free()?, ports::free()?);
        let collector = if variant.budgets { &self.budgets } else { &self.collector };
        let secret = self.directory.join(format!("{}-token.json", variant.name));
        let token = BTreeMap::from([("/etc/envoy/ingest.bearer".to_owned(), collector.header_file())]);
        let secret_file = render::with_files(&workspace.file("envoy/collector-token.yaml"), &token)?;
        fs::write(&secret, secret_file.to_string())?;
        let module = variant.module.map(|build| build()).transpose()?;
        let mut config = render::render(
            &workspace.file("envoy/envoy.yaml"),
            &Replace {
                listener_port,
                admin_port,
                module,
                access_log: Some(PathBuf::from("/dev/null")),
                more_endpoints: BTreeMap::new(),
                clusters: BTreeMap::from([
                    ("openai".to_owned(), self.upstream.address()),
                    ("tollgate-collector".to_owned(), collector.address()),
                ]),
                files: BTreeMap::from([("/etc/envoy/collector-token.yaml".to_owned(), secret)]),
                plugin: Map::new(),
                more_providers: Vec::new(),
            },
        )?;
        if variant.module.is_none() {
            without_wasm(&mut config)?;
        }
        let mut envoy = Envoy::start(&Start {
            config: &config,
            directory: &self.directory,
            name: &format!("{}-{listener_port}", variant.name),
            listener_port,
            admin_port,
            workers: 1,
            key_secret: None,
        })?;
        pin(envoy.process().id(), ENVOYS);
        if matches!(variant.name, "tollgate" | "budgets") {
            envoy.wait_for_syncs(2)?;
        }
        Ok(envoy)
    }
}

impl Bench {
    /// Takes the budgets away from the Envoy that has them, or gives them back; there when this returns.
    pub(super) fn switch_budgets(&self, on: bool) -> Result<()> {
        let file = self.budgets.config_file();
        let text = fs::read_to_string(&file)?;
        let start = text.split("[[budgets]]").next().unwrap_or_default();
        fs::write(&file, format!("{}{}", start.trim_end(), if on { BUDGETS } else { "\n" }))?;
        self.budgets.reload()?;
        std::thread::sleep(POLICY_ARRIVES);
        Ok(())
    }
}

/// So long after the collector took its configuration all gateways hold it: two of their syncs, and a tick.
const POLICY_ARRIVES: Duration = Duration::from_millis(2_250);

/// Takes the filter and its keeper out.
fn without_wasm(config: &mut Value) -> Result<()> {
    let top = config.as_object_mut().context("a configuration is an object")?;
    top.remove("bootstrap_extensions");
    let filters = config
        .pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters")
        .and_then(Value::as_array_mut)
        .context("envoy.yaml has no HTTP filters")?;
    filters.retain(|filter| filter.get("name").is_none_or(|name| name != "tollgate"));
    Ok(())
}

/// Keeps the Envoys on one processor and all else off it, where there are two and `taskset` is to be had.
fn pin(process: u32, processors: fn(usize) -> String) {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if count > 1 {
        let _ = Command::new("taskset")
            .args(["--all-tasks", "--cpu-list", "--pid", &processors(count), &process.to_string()])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
    }
}

const ENVOYS: fn(usize) -> String = |_| "0".into();
const OTHERS: fn(usize) -> String = |count| format!("1-{}", count - 1);

/// A chat completion of some 1.2 kB.
fn json_answer() -> String {
    let text = "Spending by team and by model. ".repeat(20);
    format!(
        "{{\n  \"id\": \"chatcmpl-bench\",\n  \"object\": \"chat.completion\",\n  \"created\": 1795400000,\n  \"model\": \"gpt-5-mini-2025-08-07\",\n  \"choices\": [\n    {{\n      \"index\": 0,\n      \"message\": {{\n        \"role\": \"assistant\",\n        \"content\": \"{text}\",\n        \"refusal\": null\n      }},\n      \"finish_reason\": \"stop\"\n    }}\n  ],\n  \"usage\": {USAGE},\n  \"service_tier\": \"default\"\n}}\n"
    )
}

/// A chat completion in 200 events.
fn sse_answer() -> Vec<Vec<u8>> {
    let chunk = |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1795400000,\"model\":\"gpt-5-mini-2025-08-07\",\"service_tier\":\"default\",\"system_fingerprint\":null,\"choices\":[{choices}],\"usage\":{usage},\"obfuscation\":\"a1b2c3\"}}\n\n"
        )
        .into_bytes()
    };
    let delta = "{\"index\":0,\"delta\":{\"content\":\" team\"},\"finish_reason\":null}";
    let mut events = vec![chunk(delta, "null"); SSE_EVENTS - 2];
    events.push(chunk("", USAGE));
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}

/// A request of some 1 kB, as an SDK writes it.
pub(super) fn request(stream: bool) -> String {
    let question = "How much did each team spend on which model, and why? ".repeat(16);
    let messages = json!([
        {"role": "system", "content": "You answer in one paragraph."},
        {"role": "user", "content": question},
    ]);
    let mut body = json!({"model": "gpt-5-mini", "messages": messages, "max_completion_tokens": 500});
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    body.to_string()
}

const SSE_EVENTS: usize = 200;
const USAGE: &str = "{\"prompt_tokens\":230,\"completion_tokens\":198,\"total_tokens\":428,\"prompt_tokens_details\":{\"cached_tokens\":128,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":64,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}";
