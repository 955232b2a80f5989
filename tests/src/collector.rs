//! A running collector and its API.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::http::{Call, get_blocking, local, send_blocking};
use crate::process::Process;

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    process: Process,
    address: SocketAddr,
    binary: PathBuf,
    directory: PathBuf,
    config: String,
}

impl Collector {
    /// Starts `tollgate serve` with its data below `directory` and `more` in its configuration, and waits
    /// until it is ready.
    ///
    /// # Errors
    /// It does not start; with the end of its log.
    pub fn start(binary: &Path, directory: &Path, port: u16, more: &str) -> Result<Self> {
        let data = directory.join("data");
        fs::create_dir_all(&data)?;
        Self::start_as("tollgate.toml", binary, directory, port, more)
    }

    /// Starts another on the same data, with the same `more` in its configuration.
    ///
    /// # Errors
    /// It does not start; with the end of its log.
    pub fn start_beside(&self, port: u16, more: &str) -> Result<Self> {
        Self::start_as(&format!("tollgate-{port}.toml"), &self.binary, &self.directory, port, more)
    }

    fn start_as(config: &str, binary: &Path, directory: &Path, port: u16, more: &str) -> Result<Self> {
        // Literal TOML strings: paths are not to be unescaped.
        let data = directory.join("data");
        let text = format!("listen = \"127.0.0.1:{port}\"\ndata_dir = '{}'\n{more}", data.display());
        fs::write(directory.join(config), text)?;
        let mut collector = Self {
            process: Self::launch(binary, directory, config)?,
            address: local(port),
            binary: binary.to_owned(),
            directory: directory.to_owned(),
            config: config.to_owned(),
        };
        collector.wait_until_ready()?;
        Ok(collector)
    }

    fn launch(binary: &Path, directory: &Path, config: &str) -> Result<Process> {
        let mut command = Command::new(binary);
        command.current_dir(directory).args(["serve", "--config", config]);
        let number = fs::read_dir(directory)?.count();
        Process::start("the collector", &mut command, &directory.join(format!("collector-{number}.log")))
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let address = self.address;
        self.process.wait_until("ready", READY, || get_blocking(address, "/readyz").is_ok())
    }

    /// Starts it again, on the same data and port, after [`Collector::stop`] or [`Collector::kill`].
    ///
    /// # Errors
    /// It does not start; with the end of its log.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        self.process = Self::launch(&self.binary, &self.directory, &self.config)?;
        self.wait_until_ready()
    }

    /// Stops it as an operator does.
    pub fn stop(&mut self) {
        self.process.stop(Duration::from_secs(10));
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes its configuration anew.
    ///
    /// # Errors
    /// There is no `kill`, or the process is gone.
    pub fn reload(&self) -> Result<()> {
        let id = self.process.id().to_string();
        let status = Command::new("kill").args(["-HUP", &id]).status()?;
        if !status.success() {
            bail!("the collector is gone");
        }
        Ok(())
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.directory.join(&self.config)
    }

    /// The token for requests that change something.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn admin_token(&self) -> Result<String> {
        Ok(fs::read_to_string(self.directory.join("data/admin.token"))?.trim().to_owned())
    }

    /// The file with the token for gateways.
    pub fn token_file(&self) -> PathBuf {
        self.directory.join("data/ingest.token")
    }

    /// The file that Envoy's secret names: the header's value with that token.
    pub fn header_file(&self) -> PathBuf {
        self.directory.join("data/ingest.bearer")
    }

    /// Its API.
    pub const fn api(&self) -> Api {
        Api(self.address)
    }
}

/// The API of a collector.
#[derive(Clone, Copy, Debug)]
pub struct Api(SocketAddr);

impl Api {
    /// A `GET` of its API.
    ///
    /// # Errors
    /// No answer, not 200, or not JSON.
    pub fn get(&self, path: &str) -> Result<Value> {
        let body = get_blocking(self.0, path)?;
        serde_json::from_str(&body).with_context(|| format!("{path} answers what is not JSON: {body}"))
    }

    /// A `POST` of JSON to its API.
    ///
    /// # Errors
    /// No answer, not 200, or not JSON.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let reply = send_blocking(Call::post(path, body), self.0)?;
        if reply.status != 200 {
            bail!("{path} answers {}: {}", reply.status, reply.text());
        }
        reply.json()
    }

    /// A `GET` whose answer is no JSON.
    ///
    /// # Errors
    /// No answer, or not 200.
    pub fn text(&self, path: &str) -> Result<String> {
        get_blocking(self.0, path)
    }

    /// Every record, by its id.
    ///
    /// # Errors
    /// The API does not answer.
    pub fn records(&self) -> Result<BTreeMap<String, Value>> {
        let mut records = BTreeMap::new();
        let mut path = "/api/v1/records?limit=500".to_owned();
        loop {
            let page = self.get(&path)?;
            let rows = page.get("rows").or_else(|| page.get("records")).and_then(Value::as_array);
            for row in rows.with_context(|| format!("{path} has no rows: {page}"))? {
                let id = row.get("id").and_then(Value::as_str).context("a record without an id")?;
                if records.insert(id.to_owned(), row.clone()).is_some() {
                    bail!("record {id} is listed twice");
                }
            }
            let next = page.get("next_cursor").or_else(|| page.get("cursor")).and_then(Value::as_str);
            match next {
                Some(cursor) => path = format!("/api/v1/records?limit=500&cursor={cursor}"),
                None => return Ok(records),
            }
        }
    }

    /// The record of this call, once it has arrived.
    ///
    /// # Errors
    /// It does not arrive within fifteen seconds.
    pub fn record(&self, call: &str) -> Result<Value> {
        let records = self.wait_for(|records| records.contains_key(call));
        let records = records.with_context(|| format!("no record of call {call}"))?;
        records.get(call).cloned().context("a record that was there")
    }

    /// The record of the call that the run `run` consists of, once it has arrived.
    ///
    /// # Errors
    /// It does not arrive within fifteen seconds, or it is not alone.
    pub fn record_of_run(&self, run: &str) -> Result<Value> {
        let of_run = |record: &&Value| record.get("run").is_some_and(|known| known == run);
        let records = self.wait_for(|records| records.values().any(|record| of_run(&record)));
        let records = records.with_context(|| format!("no record of run {run}"))?;
        let mut records = records.values().filter(of_run);
        let record = records.next().cloned().context("a record that was there")?;
        if records.next().is_some() {
            bail!("several records of run {run}");
        }
        Ok(record)
    }

    /// All records, once there are at least `count`.
    ///
    /// # Errors
    /// They do not arrive within fifteen seconds.
    pub fn wait_for_records(&self, count: usize) -> Result<BTreeMap<String, Value>> {
        self.wait_for(|records| records.len() >= count)
            .with_context(|| format!("there are not {count} records"))
    }

    /// All records, once `enough` says so.
    ///
    /// # Errors
    /// Not within fifteen seconds; with how many there are.
    pub fn wait_for(
        &self,
        enough: impl Fn(&BTreeMap<String, Value>) -> bool,
    ) -> Result<BTreeMap<String, Value>> {
        let start = Instant::now();
        loop {
            let records = self.records()?;
            if enough(&records) {
                return Ok(records);
            }
            if start.elapsed() > ARRIVED {
                bail!("{} records after {ARRIVED:?}", records.len());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

const READY: Duration = Duration::from_secs(30);
const ARRIVED: Duration = Duration::from_secs(15);
