//! Load: `wrk` against one Envoy, and what it cost that Envoy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tollgate_tests::envoy::Envoy;

use super::setup;

/// A kind of call.
#[derive(Clone, Copy)]
pub(super) enum Load {
    /// A JSON answer.
    Json,
    /// A stream of 200 events.
    Sse,
}

impl Load {
    /// Every kind.
    pub(super) const ALL: [Self; 2] = [Self::Json, Self::Sse];

    /// Its name in `bench.json`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Sse => "sse",
        }
    }

    /// Its heading.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Json => "JSON call: about 1 kB there, 1.2 kB back",
            Self::Sse => "SSE call of 200 events, 50 kB",
        }
    }

    /// Writes what `wrk` sends.
    pub(super) fn script(self, directory: &Path) -> Result<PathBuf> {
        let stream = matches!(self, Self::Sse);
        let accept = if stream { "text/event-stream" } else { "application/json" };
        let body = setup::request(stream);
        let file = directory.join(format!("{}.lua", self.name()));
        let script = format!(
            r#"wrk.method = "POST"
wrk.path = "/openai/v1/chat/completions"
wrk.body = [==[{body}]==]
wrk.headers["content-type"] = "application/json"
wrk.headers["accept"] = "{accept}"
wrk.headers["authorization"] = "Bearer sk-bench"
wrk.headers["x-tollgate-agent"] = "bench"
wrk.headers["x-tollgate-team"] = "bench"
wrk.headers["x-tollgate-environment"] = "bench"
done = function(summary, latency, requests)
  local errors = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  print(string.format('{{"requests": %d, "errors": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d}}',
    summary.requests, errors, summary.duration, latency:percentile(50), latency:percentile(99)))
end
"#
        );
        fs::write(&file, script)?;
        Ok(file)
    }
}

/// One round of one Envoy.
pub(super) struct Measured {
    /// Answered requests a second.
    pub requests_per_second: f64,
    /// Processor time of Envoy for a request, microseconds.
    pub cpu_us: f64,
    /// The same of each tenth of a second.
    pub slices_us: Vec<f64>,
    /// The part of it that worker threads used.
    pub worker_us: f64,
    /// The part of it that V8's own threads used, which compile.
    pub compiler_us: f64,
    /// Half of the answers were there after this, milliseconds.
    pub p50_ms: f64,
    /// All but one in a hundred were there after this, milliseconds.
    pub p99_ms: f64,
}

/// The load generator, installed where this is possible.
pub(super) fn wrk() -> Result<PathBuf> {
    if let Some(found) = on_path("wrk") {
        return Ok(found);
    }
    let advice = "the load generator wrk is missing: `apt-get install wrk`";
    let _ = Command::new("apt-get").args(["install", "--yes", "--quiet", "wrk"]).status();
    on_path("wrk").context(advice)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|path| path.join(name)).find(|path| path.is_file())
}

/// Loads one Envoy for `time`; `given` says how many answers its upstream has given.
#[allow(clippy::cast_precision_loss)] // counts of a few seconds
pub(super) fn run(
    wrk: &Path,
    script: &Path,
    envoy: &mut Envoy,
    given: impl Fn() -> u64,
    time: Duration,
) -> Result<Measured> {
    let id = envoy.process().id();
    let before = Cpu::of(id)?;
    let mut load = Command::new(wrk)
        .args(["--threads", "1", "--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &format!("{}s", time.as_secs()), "--latency", "--script"])
        .arg(script)
        .arg(format!("http://{}", envoy.address()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut samples = Vec::new();
    while load.try_wait()?.is_none() {
        samples.push((Cpu::of(id)?.all, given()));
        std::thread::sleep(SLICE);
    }
    let output = load.wait_with_output()?;
    let after = Cpu::of(id)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|line| line.starts_with('{'));
    let line = line.with_context(|| format!("wrk says {said}{}", String::from_utf8_lossy(&output.stderr)))?;
    let result: Value = serde_json::from_str(line)?;
    let number = |key: &str| result.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    if number("errors") > 0.0 || number("requests") < 1.0 {
        bail!("the load met errors: {line}; {}", envoy.process().log_tail());
    }
    let per_request =
        |before: u64, after: u64| after.saturating_sub(before) as f64 / 1e3 / number("requests");
    Ok(Measured {
        requests_per_second: number("requests") / number("duration_us") * 1e6,
        cpu_us: per_request(before.all, after.all),
        slices_us: slices(&samples),
        worker_us: per_request(before.workers, after.workers),
        compiler_us: per_request(before.compilers, after.compilers),
        p50_ms: number("p50_us") / 1e3,
        p99_ms: number("p99_us") / 1e3,
    })
}

/// Microseconds of processor time for an answer between two samples of both. The load's begin and end are
/// left out.
#[allow(clippy::cast_precision_loss)] // nanoseconds and counts of a tenth of a second
fn slices(samples: &[(u64, u64)]) -> Vec<f64> {
    let inner = samples.get(1..samples.len().saturating_sub(1)).unwrap_or_default();
    let each = inner.windows(2).filter_map(|pair| match pair {
        [(cpu, given), (later_cpu, later_given)] if later_given > given => {
            Some(later_cpu.saturating_sub(*cpu) as f64 / 1e3 / (later_given - given) as f64)
        }
        _ => None,
    });
    each.collect()
}

/// What a request takes while nothing else slows this machine down: the mean of the quickest tenth of the
/// slices. On a host that others use too the same work takes up to twice as long for most of the time.
#[allow(clippy::cast_precision_loss)] // some hundred slices
pub(super) fn quiet_us(mut slices_us: Vec<f64>) -> f64 {
    slices_us.sort_by(f64::total_cmp);
    slices_us.truncate(slices_us.len().div_ceil(10));
    slices_us.iter().sum::<f64>() / slices_us.len().max(1) as f64
}

/// Processor time of a process, nanoseconds.
#[derive(Clone, Copy, Default)]
struct Cpu {
    all: u64,
    workers: u64,
    compilers: u64,
}

impl Cpu {
    /// What all threads of a process have used so far.
    fn of(process: u32) -> Result<Self> {
        let mut cpu = Self::default();
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let task = task?.path();
            let Ok(stat) = fs::read_to_string(task.join("schedstat")) else { continue };
            let time = stat.split_whitespace().next().and_then(|time| time.parse::<u64>().ok());
            let time = time.context("/proc/…/schedstat holds no number")?;
            let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
            cpu.all += time;
            if name.starts_with("wrk:") {
                cpu.workers += time;
            } else if name.starts_with("V8") {
                cpu.compilers += time;
            }
        }
        Ok(cpu)
    }
}

/// Resident memory of a process, KiB.
pub(super) fn resident_kib(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.context("/proc/…/status has no VmRSS")
}

/// Connections of `wrk`.
pub(super) const CONNECTIONS: u32 = 16;
/// Between two samples of a load: others leave the machine alone for a few tenths of a second at a time.
const SLICE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_is_the_quickest_tenth_of_the_inner_slices() {
        let samples = [(0, 0), (1_000, 1), (3_000, 2), (3_000, 2), (9_000, 4), (900_000, 5)];
        let slices = slices(&samples);
        assert_eq!(slices, [2.0, 3.0]);
        assert!((quiet_us(slices) - 2.0).abs() < 1e-9);
        assert!((quiet_us((1..=20).map(f64::from).collect()) - 1.5).abs() < 1e-9);
        assert!(quiet_us(Vec::new()).abs() < 1e-9);
    }
}
