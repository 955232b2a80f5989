//! Simulated providers, collector and gateway together, from `envoy/envoy.yaml`.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use tollgate_simulator::Simulator;

use crate::artifacts::{self, Workspace};
use crate::collector::{Api, Collector};
use crate::envoy::{Envoy, Start};
use crate::http::{Call, Reply, local};
use crate::lossy::Lossy;
use crate::ports;
use crate::render::{self, Replace};

/// What is started, where, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Directory for configuration, data and logs.
    pub directory: PathBuf,
    /// The filter's module.
    pub module: PathBuf,
    /// The collector's binary.
    pub tollgate: PathBuf,
    /// Port of the gateway.
    pub gateway_port: u16,
    /// Port of Envoy's admin interface.
    pub admin_port: u16,
    /// Port of the collector.
    pub collector_port: u16,
    /// Worker threads of Envoy.
    pub workers: u32,
    /// Where the providers are; none leaves them where `envoy.yaml` has them.
    pub providers: Option<SocketAddr>,
    /// Set in the filter's plugin configuration.
    pub plugin: Map<String, Value>,
    /// More providers to give a route `/PROVIDER/`.
    pub more_providers: Vec<String>,
    /// More of the collector's configuration.
    pub collector_config: String,
    /// Gateways reach the collector by this address, if not its own.
    pub collector_via: Option<SocketAddr>,
    /// Port of a second collector on the same data; gateways take turns between the two.
    pub second_collector_port: Option<u16>,
}

/// A collector and the gateway that reports to it. Dropping it stops the gateway first.
#[derive(Debug)]
pub struct Product {
    /// The gateway.
    pub envoy: Envoy,
    /// The collector.
    pub collector: Collector,
    /// A second one on the same data.
    pub second: Option<Collector>,
    /// Envoy's access log.
    pub access_log: PathBuf,
}

impl Product {
    /// Starts the collector, then the gateway, and waits until the gateway has the collector's prices.
    ///
    /// # Errors
    /// One of them does not start.
    pub fn start(plan: &Plan) -> Result<Self> {
        let workspace = Workspace::find()?;
        fs::create_dir_all(&plan.directory)?;
        let collector =
            Collector::start(&plan.tollgate, &plan.directory, plan.collector_port, &plan.collector_config)?;
        let second = plan.second_collector_port;
        let second = second.map(|port| collector.start_beside(port, &plan.collector_config)).transpose()?;
        let access_log = plan.directory.join("access.log");
        let envoy = gateway(plan, workspace, &collector, "gateway")?;
        Ok(Self { envoy, collector, second, access_log })
    }
}

/// Starts a gateway that reports to `collector`, and waits until it has the collector's prices.
fn gateway(plan: &Plan, workspace: &Workspace, collector: &Collector, name: &str) -> Result<Envoy> {
    let secret = plan.directory.join("collector-token.json");
    let token = BTreeMap::from([("/etc/envoy/ingest.bearer".to_owned(), collector.header_file())]);
    let secret_file = render::with_files(&workspace.file("envoy/collector-token.yaml"), &token)?;
    fs::write(&secret, serde_json::to_vec_pretty(&secret_file)?)?;
    let mut clusters = BTreeMap::from([(
        "tollgate-collector".to_owned(),
        plan.collector_via.unwrap_or_else(|| collector.address()),
    )]);
    if let Some(providers) = plan.providers {
        clusters.extend(PROVIDERS.map(|name| (name.to_owned(), providers)));
    }
    let log = if name == "gateway" { "access.log".to_owned() } else { format!("access-{name}.log") };
    let replace = Replace {
        listener_port: plan.gateway_port,
        admin_port: plan.admin_port,
        module: Some(plan.module.clone()),
        access_log: Some(plan.directory.join(log)),
        clusters,
        more_endpoints: plan
            .second_collector_port
            .map(|port| ("tollgate-collector".to_owned(), local(port)))
            .into_iter()
            .collect(),
        files: BTreeMap::from([("/etc/envoy/collector-token.yaml".to_owned(), secret)]),
        plugin: plan.plugin.clone(),
        more_providers: plan.more_providers.clone(),
    };
    let config = render::render(&workspace.file("envoy/envoy.yaml"), &replace)?;
    let mut envoy = Envoy::start(&Start {
        config: &config,
        directory: &plan.directory,
        name,
        listener_port: plan.gateway_port,
        admin_port: plan.admin_port,
        workers: plan.workers,
        key_secret: Some(KEY_SECRET),
    })?;
    if plan.plugin.get("collector") != Some(&Value::Null) {
        // The first answer brings the prices; the second sync is sent with them in place.
        envoy.wait_for_syncs(2)?;
    }
    Ok(envoy)
}

/// The product of a test, on free ports, in front of simulated providers.
#[derive(Debug)]
pub struct Stack {
    /// Collector and gateway.
    pub product: Mutex<Product>,
    /// The providers.
    pub simulator: Simulator,
    /// The way to the collector, where it loses answers.
    pub lossy: Option<Lossy>,
    gateway: SocketAddr,
    api: Api,
    plan: Plan,
}

/// What is special about a stack.
#[derive(Clone, Debug, Default)]
pub struct Setup<'a> {
    /// Name of its directory below `target/e2e`.
    pub name: &'a str,
    /// The filter's module, if not the one that is shipped.
    pub module: Option<PathBuf>,
    /// Keys to set in the filter's configuration, an object.
    pub plugin: Value,
    /// Providers to give a route `/PROVIDER/` besides those of `envoy.yaml`; `unknown` stands for none
    /// configured.
    pub more_providers: Vec<String>,
    /// More of the collector's configuration.
    pub collector_config: String,
    /// Of a hundred of the collector's answers so many are lost on their way.
    pub lost_percent: u64,
    /// The collector's answers are so long on their way.
    pub late: Duration,
    /// Whether there is a second collector on the same data.
    pub second_collector: bool,
}

impl Stack {
    /// Builds what is missing and starts everything; `name` is the name of its directory below `target/e2e`.
    ///
    /// # Errors
    /// A step fails.
    pub fn start(name: &str) -> Result<Self> {
        Self::set_up(&Setup { name, ..Setup::default() })
    }

    /// The same, with what is special about this one.
    ///
    /// # Errors
    /// A step fails.
    pub fn set_up(setup: &Setup<'_>) -> Result<Self> {
        let module = match &setup.module {
            Some(module) => module.clone(),
            None => artifacts::build_filter()?,
        };
        let tollgate = artifacts::build_collector()?;
        let workspace = Workspace::find()?;
        let simulator = Simulator::start(SEED)?;
        let gateway_port = ports::free()?;
        let directory = workspace.target.join("e2e").join(format!("{}-{gateway_port}", setup.name));
        let _ = fs::remove_dir_all(&directory);
        let mut plugin = setup.plugin.as_object().cloned().unwrap_or_default();
        let collector = plugin.entry("collector").or_insert_with(|| json!({}));
        if let Some(collector) = collector.as_object_mut() {
            collector.entry("interval_ms").or_insert_with(|| json!(SYNC_INTERVAL_MS));
        }
        let collector_port = ports::free()?;
        let lossy = match (setup.lost_percent, setup.late) {
            (0, Duration::ZERO) => None,
            (percent, late) => Some(Lossy::start(local(collector_port), percent, late)?),
        };
        let plan = Plan {
            directory,
            module,
            tollgate,
            gateway_port,
            admin_port: ports::free()?,
            collector_port,
            workers: 2,
            providers: Some(simulator.address()),
            plugin,
            more_providers: setup.more_providers.clone(),
            collector_config: setup.collector_config.clone(),
            collector_via: lossy.as_ref().map(Lossy::address),
            second_collector_port: setup.second_collector.then(ports::free).transpose()?,
        };
        let product = Product::start(&plan)?;
        let gateway = product.envoy.address();
        let api = product.collector.api();
        Ok(Self { product: Mutex::new(product), simulator, lossy, gateway, api, plan })
    }

    /// The stack that the tests of one file share: started by the first, stopped after the last that holds
    /// it.
    ///
    /// # Panics
    /// It does not start: no test of this file can say anything.
    pub fn shared(slot: &Slot, name: &str) -> Held {
        Self::shared_as(slot, &Setup { name, ..Setup::default() })
    }

    /// The same, with what is special about it.
    ///
    /// # Panics
    /// It does not start.
    #[allow(clippy::expect_used, clippy::panic)]
    pub fn shared_as(slot: &Slot, setup: &Setup<'_>) -> Held {
        let mut weak = slot.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(stack) = weak.upgrade() {
            return Held(stack);
        }
        let stack = Self::set_up(setup).map(Arc::new).unwrap_or_else(|error| panic!("{error:?}"));
        *weak = Arc::downgrade(&stack);
        Held(stack)
    }

    /// Starts another gateway in front of the same providers, which reports to the same collector.
    ///
    /// # Errors
    /// It does not start.
    pub fn add_gateway(&self, name: &str) -> Result<Envoy> {
        self.add_gateway_that_reports_every(name, None)
    }

    /// The same of a gateway that reports this often, in milliseconds.
    ///
    /// # Errors
    /// It does not start.
    pub fn add_gateway_that_reports_every(&self, name: &str, interval_ms: Option<u64>) -> Result<Envoy> {
        let mut plan = self.plan.clone();
        let collector = plan.plugin.get_mut("collector").and_then(Value::as_object_mut);
        if let Some((collector, interval_ms)) = collector.zip(interval_ms) {
            collector.insert("interval_ms".into(), json!(interval_ms));
        }
        plan.gateway_port = ports::free()?;
        plan.admin_port = ports::free()?;
        plan.plugin.insert("gateway".into(), json!(name));
        let workspace = Workspace::find()?;
        self.with(|product| gateway(&plan, workspace, &product.collector, name))
    }

    /// Where callers connect to.
    pub const fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// The collector's API.
    pub const fn api(&self) -> Api {
        self.api
    }

    /// Sends a call through the gateway.
    ///
    /// # Errors
    /// As [`Call::send`].
    pub async fn send(&self, call: Call) -> Result<Reply> {
        call.send(self.gateway).await
    }

    /// The record of an answered call, by the call id in the answer.
    ///
    /// # Errors
    /// The answer has no call id, or the record does not arrive.
    pub fn record_of(&self, reply: &Reply) -> Result<Value> {
        let call = reply.header("x-tollgate-call").context("the answer has no x-tollgate-call")?;
        self.api.record(&call)
    }

    /// Looks at collector and gateway.
    pub fn with<T>(&self, look: impl FnOnce(&mut Product) -> T) -> T {
        let mut product = self.product.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        look(&mut product)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Keep the directories of failures only.
            let _ = fs::remove_dir_all(&self.plan.directory);
        }
    }
}

/// A shared stack in the hands of one test; a test that fails prints what the processes logged.
#[derive(Debug)]
pub struct Held(Arc<Stack>);

impl std::ops::Deref for Held {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.with(|product| {
                eprintln!(
                    "{}\n{}",
                    product.envoy.process().log_tail(),
                    product.collector.process().log_tail()
                );
            });
        }
    }
}

/// Where a file of tests keeps its shared stack.
#[derive(Debug, Default)]
pub struct Slot(Mutex<Weak<Stack>>);

impl Slot {
    /// An empty one, for a `static`.
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }
}

/// Clusters of `envoy.yaml` that are providers.
pub const PROVIDERS: [&str; 3] = ["openai", "anthropic", "gemini"];

/// Secret under which tests' provider keys are hashed.
pub const KEY_SECRET: &str = "Jefe";
const SEED: u64 = 20_261_123;
/// Tests do not wait a second for every record.
const SYNC_INTERVAL_MS: u64 = 100;
