//! `cargo xtask bench`: what Tollgate costs an Envoy, beside a bare one and the two smallest filters there
//! are.
//!
//! All of them run at once, in front of the same upstream, and are loaded in turn, so that what else happens
//! on the machine meets them alike. The processor time of a request is Envoy's own (`/proc`), so it holds
//! although load generator and upstream share the machine; requests a second and latencies are those of a
//! saturated worker.
#![allow(clippy::indexing_slicing)] // JSON objects made here

mod load;
mod memory;
mod setup;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tollgate_tests::artifacts::{self, Workspace};

use load::{Load, Measured};
use setup::{Bench, VARIANTS};

/// Runs `rounds` rounds of `seconds` for each variant and call, then `pairs` rounds with and without budgets;
/// prints the table, writes `target/bench.json`.
pub(crate) fn bench(rounds: u32, seconds: u32, pairs: u32) -> Result<()> {
    let wrk = load::wrk()?;
    let mut bench = Bench::start()?;
    println!(
        "{rounds} rounds of {seconds} s, {} connections, one Envoy worker, alternating: {}",
        load::CONNECTIONS,
        VARIANTS.map(|variant| variant.name).join(", ")
    );
    let mut calls = Vec::new();
    for load in Load::ALL {
        let script = load.script(&bench.directory)?;
        let mut measured: [Vec<Measured>; VARIANTS.len()] = Default::default();
        // The first round warms up what compiles late; it does not count.
        for round in 0..=rounds {
            for step in 0..VARIANTS.len() {
                // Another one goes first in each round.
                let index = (step + usize::try_from(round)?) % VARIANTS.len();
                let Bench { envoys, upstream, .. } = &mut bench;
                let Some((envoy, results)) = envoys.get_mut(index).zip(measured.get_mut(index)) else {
                    continue;
                };
                let time = if round == 0 { WARM_UP_SECONDS } else { seconds };
                let result =
                    load::run(&wrk, &script, envoy, || upstream.given(), Duration::from_secs(time.into()))?;
                if round > 0 {
                    results.push(result);
                }
            }
            eprint!("\r{}: round {round} of {rounds} ", load.name());
        }
        eprintln!();
        calls.push((load, measured));
    }
    let budgets = in_pairs(&mut bench, &wrk, pairs, seconds)?;
    let mut report =
        json!({"rounds": rounds, "seconds": seconds, "pairs": pairs, "connections": load::CONNECTIONS});
    for (load, measured) in &calls {
        report[load.name()] = summarise(*load, measured);
    }
    let Pairs { differences, without_us, with_us } = budgets;
    println!(
        "\nthree budgets that are for a JSON call add {:+.1} µs in the quickest tenth of the time ({without_us:.1} to {with_us:.1} \
         µs); by all of {pairs} pairs {:+.1} ({:+.1} to {:+.1})",
        with_us - without_us,
        differences.median,
        differences.low,
        differences.high
    );
    report["budgets_us_per_request"] = differences.json();
    report["quiet_us_without_and_with_budgets"] = json!([without_us, with_us]);
    report["memory"] = memory::growth(&wrk, &mut bench)?;
    report["wasm_bytes"] = json!(fs::metadata(Workspace::find()?.filter())?.len());
    println!("\nmodule: {} KiB", report["wasm_bytes"].as_u64().unwrap_or(0) / 1024);
    let file = Workspace::find()?.target.join("bench.json");
    fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
    println!("{}", file.display());
    Ok(())
}

/// What budgets add to a JSON call: one Envoy loaded with and without them, in turn. Two Envoys with the same
/// module differ by more than that. Few pairs tell little: the quickest tenth of one state may be from slower
/// minutes than the other's.
fn in_pairs(bench: &mut Bench, wrk: &Path, pairs: u32, seconds: u32) -> Result<Pairs> {
    let script = Load::Json.script(&bench.directory)?;
    let index = VARIANTS.iter().position(|variant| variant.budgets).context("a variant has budgets")?;
    let mut differences = Vec::new();
    let mut slices: [Vec<f64>; 2] = Default::default();
    for round in 0..=pairs {
        let mut cpu_us = [0.0; 2];
        for step in 0..2 {
            // Another state goes first in each round.
            let on = (step + round) % 2 == 0;
            bench.switch_budgets(on)?;
            let Bench { envoys, upstream, .. } = &mut *bench;
            let envoy = envoys.get_mut(index).context("an Envoy for each variant")?;
            let time = Duration::from_secs(seconds.into());
            let measured = load::run(wrk, &script, envoy, || upstream.given(), time)?;
            cpu_us[usize::from(on)] = measured.cpu_us;
            if round > 0 {
                slices[usize::from(on)].extend(measured.slices_us);
            }
        }
        if round > 0 {
            differences.push(cpu_us[1] - cpu_us[0]);
        }
        eprint!("\rbudgets: pair {round} of {pairs} ");
    }
    eprintln!();
    bench.switch_budgets(true)?;
    let [without_us, with_us] = slices.map(load::quiet_us);
    Ok(Pairs { differences: Spread::of(differences), without_us, with_us })
}

/// What budgets add to a call.
struct Pairs {
    /// By all rounds: with them less without.
    differences: Spread,
    /// What a call takes without them while the machine is quiet.
    without_us: f64,
    /// What it takes with them.
    with_us: f64,
}

/// Runs the detector of anomalies over weeks that a generator makes of this seed; fails below the bars.
pub(crate) fn backtest(seed: u32) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&Workspace::find()?.root).args(["run", "--quiet", "--release"]);
    command.args(["--package", "tollgate-collector", "--example", "backtest", "--", "--seed"]);
    artifacts::run(command.arg(seed.to_string()), "recall or precision is below its bar")
}

/// Prints the table of one kind of call and gives it as JSON: medians, spread, and what each adds to a bare
/// Envoy.
// Long: one table and its JSON, column by column.
fn summarise(load: Load, measured: &[Vec<Measured>]) -> Value {
    println!("\n{}", load.title());
    println!(
        "{:>10}  {:>10}  {:>22}  {:>10}  {:>8}  {:>10}  {:>8}  {:>8}  {:>8}  {:>8}",
        "",
        "requests/s",
        "CPU µs/request (range)",
        "over bare",
        "quiet",
        "over bare",
        "worker",
        "compiler",
        "p50 ms",
        "p99 ms"
    );
    let column = |rows: &[Measured], of: fn(&Measured) -> f64| Spread::of(rows.iter().map(of).collect());
    let quiet = |rows: &[Measured]| {
        load::quiet_us(rows.iter().flat_map(|row| row.slices_us.iter().copied()).collect())
    };
    let bare = measured.first().map_or(0.0, |rows| column(rows, |row| row.cpu_us).median);
    let bare_quiet = measured.first().map_or(0.0, |rows| quiet(rows));
    let mut variants = json!({});
    let mut added = Vec::new();
    for (variant, rows) in VARIANTS.iter().zip(measured) {
        let rate = column(rows, |row| row.requests_per_second);
        let cpu = column(rows, |row| row.cpu_us);
        let worker = column(rows, |row| row.worker_us);
        let compiler = column(rows, |row| row.compiler_us);
        let (p50, p99) = (column(rows, |row| row.p50_ms), column(rows, |row| row.p99_ms));
        println!(
            "{:>10}  {:>10.0}  {:>9.1} ({:>4.1}–{:>5.1})  {:>+10.1}  {:>8.1}  {:>+10.1}  {:>8.1}  {:>8.1}  {:>8.2}  {:>8.2}",
            variant.name,
            rate.median,
            cpu.median,
            cpu.low,
            cpu.high,
            cpu.median - bare,
            quiet(rows),
            quiet(rows) - bare_quiet,
            worker.median,
            compiler.median,
            p50.median,
            p99.median
        );
        added.push(quiet(rows) - bare_quiet);
        variants[variant.name] = json!({
            "requests_per_second": rate.json(),
            "cpu_us_per_request": cpu.json(),
            "cpu_us_over_bare": cpu.median - bare,
            "quiet_cpu_us_per_request": quiet(rows),
            "cpu_us_of_workers": worker.json(),
            "cpu_us_of_compilers": compiler.json(),
            "p50_ms": p50.json(),
            "p99_ms": p99.json(),
        });
    }
    if let [_, _, readonly, tollgate, _] = added.as_slice() {
        let ratio = tollgate / readonly;
        println!("what Tollgate adds is {ratio:.2} times what the filter adds that only reads both bodies");
        variants["tollgate_over_readonly"] = json!(ratio);
    }
    variants
}

/// V8 compiles anew what turns out to be hot; this is done with by then.
const WARM_UP_SECONDS: u32 = 5;

/// Median and range of several rounds.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
        let last = values.len().saturating_sub(1);
        Self { low: at(0), median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), high: at(last) }
    }

    fn json(&self) -> Value {
        json!({"low": self.low, "median": self.median, "high": self.high})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert!((spread.median - 2.5).abs() < 1e-9);
        assert!((Spread::of(vec![5.0, 1.0, 2.0]).median - 2.0).abs() < 1e-9);
    }
}
