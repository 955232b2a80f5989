//! A collector in a process of its own, and its commands.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::{Client, TOKEN};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

/// A collector in a process of its own; killed with the test.
pub(crate) struct Process {
    pub child: Child,
    pub client: Client,
    /// The rest of its log is read, so that it never waits for a reader.
    _log: std::thread::JoinHandle<()>,
}

impl Process {
    pub(crate) fn start(dir: &Path) -> Self {
        Self::with(dir, "")
    }

    /// With these lines of configuration, of which sections come last.
    pub(crate) fn with(dir: &Path, more: &str) -> Self {
        Self::launch(dir, more, tollgate())
    }

    /// By this command, to which arguments are added.
    pub(crate) fn launch(dir: &Path, more: &str, mut command: Command) -> Self {
        std::fs::write(dir.join("token"), TOKEN).unwrap();
        let config = dir.join("tollgate.toml");
        let text = format!(
            "listen = '127.0.0.1:0'\ndata_dir = '{0}/data'\n[ingest]\ntoken_file = '{0}/token'\n{more}",
            dir.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = command
            .args(["serve", "--log-format", "json", "--config"])
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "the collector ended: {said}");
            said.push_str(&line);
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = event["address"].as_str() {
                break address.parse().unwrap();
            }
        };
        let rest = std::thread::spawn(move || {
            let _ = log.read_to_end(&mut Vec::new());
        });
        Self { child, client: Client { address }, _log: rest }
    }

    pub(crate) fn calls(&self) -> u64 {
        let answer = self.client.get("/api/v1/summary?from=2026-11-01&to=2026-12-01").json();
        answer["total"]["calls"].as_u64().unwrap()
    }

    /// A command that asks this collector.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        let url = format!("http://{}", self.client.address);
        tollgate().args(arguments).env("TOLLGATE_URL", url).output().unwrap()
    }

    pub(crate) fn asked(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn signal(&mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, without the environment's settings.
pub(crate) fn tollgate() -> Command {
    let mut command = Command::new(BINARY);
    command.env_remove("TOLLGATE_URL").env_remove("TOLLGATE_TOKEN");
    command
}
