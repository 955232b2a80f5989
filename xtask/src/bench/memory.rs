//! Memory: what an Envoy holds after ten thousand calls, and after a hundred thousand.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::load::{self, Load};
use super::setup::{Bench, VARIANTS};

/// Resident memory of fresh Envoys, bare and with Tollgate, after so many calls.
pub(super) fn growth(wrk: &Path, bench: &mut Bench) -> Result<Value> {
    println!("\nresident memory, MiB");
    println!("{:>10}  {:>8}  {:>14}  {:>15}", "", "at start", "10,000 calls", "100,000 calls");
    let script = Load::Json.script(&bench.directory)?;
    let mut report = json!({});
    for variant in VARIANTS.iter().filter(|variant| ["bare", "tollgate"].contains(&variant.name)) {
        let mut envoy = bench.envoy(variant)?;
        let id = envoy.process().id();
        let start = load::resident_kib(id)?;
        let mut after = Vec::new();
        for calls in CALLS {
            while envoy.stat("http.gateway.downstream_rq_total")? < calls {
                load::run(wrk, &script, &mut envoy, || bench.upstream.given(), Duration::from_secs(1))?;
            }
            after.push(load::resident_kib(id)?);
        }
        let mib = |kib: Option<&u64>| kib.copied().unwrap_or(0) / 1024;
        println!(
            "{:>10}  {:>8}  {:>14}  {:>15}",
            variant.name,
            mib(Some(&start)),
            mib(after.first()),
            mib(after.last())
        );
        report[variant.name] = json!({
            "start_kib": start,
            "after_10000_kib": after.first(),
            "after_100000_kib": after.last(),
        });
    }
    Ok(report)
}

const CALLS: [u64; 2] = [10_000, 100_000];
