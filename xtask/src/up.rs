//! `cargo xtask up`: the whole product on loopback.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Map;
use tollgate_simulator::Simulator;
use tollgate_tests::artifacts::{self, Workspace};
use tollgate_tests::stack::{Plan, Product};
use tollgate_tests::{envoy, ports};

use crate::ask::COLLECTOR;
use crate::{demo, estimator};

/// Starts everything; `with_demo` against simulated providers and with traffic, and then `exit`s or stays.
pub(crate) fn up(with_demo: bool, exit: bool) -> Result<()> {
    if exit && !with_demo {
        bail!("--exit is for `up --demo`: without the demo there is nothing to wait for");
    }
    for (what, port) in [("gateway", GATEWAY), ("Envoy's admin interface", ADMIN), ("collector", COLLECTOR)] {
        if !ports::is_free(port) {
            bail!(
                "port {port} is taken, and the {what} is to listen there: stop what does (`ss -ltnp sport = :{port}`)"
            );
        }
    }
    println!("building the filter and the collector");
    let module = artifacts::build_filter()?;
    estimator::build()?;
    let tollgate = artifacts::build_collector()?;
    envoy::find()?;
    let simulator = with_demo.then(|| Simulator::start(demo::SEED)).transpose()?;
    let directory = directory(with_demo)?;
    println!("starting the collector and Envoy");
    let mut product = Product::start(&Plan {
        directory: directory.clone(),
        module,
        tollgate: tollgate.clone(),
        gateway_port: GATEWAY,
        admin_port: ADMIN,
        collector_port: COLLECTOR,
        workers: 2,
        providers: simulator.as_ref().map(Simulator::address),
        plugin: Map::new(),
        more_providers: Vec::new(),
        collector_via: None,
        second_collector_port: None,
        collector_config: if with_demo { demo::BUDGETS.to_owned() } else { String::new() },
    })?;
    print_addresses(&directory, simulator.as_ref());
    if let Some(simulator) = &simulator {
        demo::run(&product, simulator, &tollgate)?;
    }
    if exit {
        return Ok(());
    }
    println!("\nCtrl-C stops everything.");
    loop {
        std::thread::sleep(Duration::from_millis(200));
        for (name, child) in
            [("Envoy", product.envoy.process()), ("the collector", product.collector.process())]
        {
            if let Some(status) = child.ended()? {
                bail!("{name} ended ({status}):\n{}", child.log_tail());
            }
        }
    }
}

/// Where this run keeps its files: the demo starts from nothing, `up` from what it had.
fn directory(demo: bool) -> Result<PathBuf> {
    let target = &Workspace::find()?.target;
    let directory = target.join(if demo { "up-demo" } else { "up" });
    if demo && directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    Ok(directory)
}

fn print_addresses(directory: &std::path::Path, simulator: Option<&Simulator>) {
    println!();
    println!("  gateway     http://127.0.0.1:{GATEWAY}");
    println!("                OpenAI     base URL http://127.0.0.1:{GATEWAY}/openai/v1");
    println!("                Anthropic  base URL http://127.0.0.1:{GATEWAY}/anthropic");
    println!("                Gemini     base URL http://127.0.0.1:{GATEWAY}/gemini");
    println!("  Envoy       http://127.0.0.1:{ADMIN}");
    println!("  collector   http://127.0.0.1:{COLLECTOR}");
    if let Some(simulator) = simulator {
        println!("  providers   simulated on http://{}", simulator.address());
    }
    println!("  files       {}", directory.display());
    println!();
}

const GATEWAY: u16 = 10_000;
const ADMIN: u16 = 9_901;
