//! `tollgate import access-log`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{self, Collector};
use super::output;
use crate::model::answers::collector::Imported;
use crate::model::text::printable;

/// Arguments of `tollgate import`.
#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Store the records in Envoy's access log that the collector does not have yet
    AccessLog(AccessLog),
}

#[derive(Args, Debug)]
struct AccessLog {
    /// Access log whose lines have `%FILTER_STATE(wasm.tollgate.record:PLAIN)%`; `-` for standard input
    file: PathBuf,
    #[command(flatten)]
    collector: Collector,
}

impl ImportArgs {
    /// Does what is asked.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Command::AccessLog(import) = self.command;
        import.run()
    }
}

impl AccessLog {
    fn run(self) -> anyhow::Result<()> {
        let file: Box<dyn Read> = if self.file.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            Box::new(
                File::open(&self.file)
                    .with_context(|| format!("`{}` cannot be opened", self.file.display()))?,
            )
        };
        let mut reader = BufReader::new(file);
        super::interrupt::explain("what was imported stays, and may be imported again: it counts once");
        let mut done = Done::default();
        let mut batch = String::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            // A line is cut where it is too long for a record; the rest of it has none.
            let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
            if read > 0 {
                match record(&String::from_utf8_lossy(&line)) {
                    Some(record) => {
                        batch.push_str(&record);
                        batch.push('\n');
                    }
                    None => done.without = done.without.saturating_add(1),
                }
            }
            if batch.len() > BATCH_BYTES || (read == 0 && !batch.is_empty()) {
                done.add(&self.collector.post_body("/api/v1/records", &batch)?)?;
                batch.clear();
            }
            if read == 0 {
                break;
            }
        }
        done.report()
    }
}

/// What became of the lines.
#[derive(Debug, Default)]
pub(super) struct Done {
    received: u64,
    stored: u64,
    duplicates: u64,
    rejected: Vec<String>,
    without: u64,
}

impl Done {
    /// Adds what a collector answered.
    pub(super) fn add(&mut self, answer: &str) -> anyhow::Result<()> {
        let answer: Imported = client::read(answer)?;
        self.received = self.received.saturating_add(answer.received);
        self.stored = self.stored.saturating_add(answer.stored);
        self.duplicates = self.duplicates.saturating_add(answer.duplicates);
        self.rejected.extend(answer.rejected.into_iter().map(|one| printable(&one.reason)));
        Ok(())
    }

    /// Says it; fails where something was refused.
    pub(super) fn report(self) -> anyhow::Result<()> {
        output::print(&format!(
            "{} records: {} stored, {} known before, {} refused; {} lines without a record",
            self.received,
            self.stored,
            self.duplicates,
            self.rejected.len(),
            self.without
        ))?;
        match self.rejected.first() {
            None => Ok(()),
            Some(first) => bail!("{} records were refused, the first because: {first}", self.rejected.len()),
        }
    }
}

/// The record in a line, as JSON on one line: a member of a JSON log, as text or as an object, or JSON within
/// text.
fn record(line: &str) -> Option<String> {
    match serde_json::from_str::<Value>(line) {
        Ok(value) => within(&value),
        Err(_) => line.match_indices('{').find_map(|(at, _)| {
            let rest = line.get(at..)?;
            let value = serde_json::Deserializer::from_str(rest).into_iter::<Value>().next()?.ok()?;
            within(&value)
        }),
    }
}

fn within(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) if members.contains_key("id") && members.contains_key("time_ms") => {
            Some(value.to_string())
        }
        Value::Object(members) => members.values().find_map(within),
        Value::String(text) if text.starts_with('{') => within(&serde_json::from_str(text).ok()?),
        _ => None,
    }
}

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// A request is sent when it is longer than this; the collector takes four times as much.
pub(super) const BATCH_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_in_json_and_in_text_logs() {
        let inner = r#"{"id":"a","time_ms":1,"agent":"b"}"#;
        let quoted = Value::String(inner.into());
        for line in [
            inner.to_owned(),
            format!(r#"{{"status":200,"record":{quoted}}}"#),
            format!(r#"{{"status":200,"record":{inner}}}"#),
            format!("[2026-11-25T00:00:00Z] \"POST /v1\" {{odd}} 200 {inner} done"),
        ] {
            let found: Value = serde_json::from_str(&record(&line).unwrap()).unwrap();
            assert_eq!(found["agent"], "b", "{line}");
        }
        for line in ["", "-", "{", r#"{"record":"-"}"#, r#"{"id":"x"}"#, "GET {a} {\"id\":1} -"] {
            assert_eq!(record(line), None, "{line}");
        }
    }
}
