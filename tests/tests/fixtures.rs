//! Every fixture of the project, replayed through Envoy and the module: its record equals `tollgate meter`'s
//! line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use serde_json::Value;
use tollgate_simulator::{Recorded, fingerprint};
use tollgate_tests::artifacts::{self, Workspace};
use tollgate_tests::books;
use tollgate_tests::http::Call;
use tollgate_tests::stack::{PROVIDERS, Setup, Stack};

#[tokio::test]
async fn a_replayed_fixture_is_recorded_as_the_command_line_meters_it() {
    let workspace = Workspace::find().unwrap();
    let mut files = corpora(&workspace.file("core/testdata"));
    // Another corpus in the same format, such as one that is not in the repository.
    files.extend(std::env::var_os("TOLLGATE_CORPUS").map(PathBuf::from));
    assert!(!files.is_empty(), "core/testdata has no fixtures");
    let expected: BTreeMap<String, Value> = files.iter().flat_map(|file| metered(file)).collect();
    let providers: BTreeSet<&str> = expected.values().filter_map(|line| line["provider"].as_str()).collect();
    let routed = providers.iter().filter(|provider| !PROVIDERS.contains(provider));
    let setup = Setup {
        name: "fixtures",
        more_providers: routed.map(|provider| (*provider).to_owned()).collect(),
        ..Setup::default()
    };
    let stack = Stack::set_up(&setup).unwrap();
    let mut replays = Vec::new();
    for fixture in files.iter().flat_map(|file| lines(file)) {
        let id = fixture["id"].as_str().unwrap();
        let expected = expected.get(id).unwrap_or_else(|| panic!("`meter` has no line for {id}"));
        if fixture["transport"].as_str().is_some_and(|transport| transport != "http") {
            continue; // sessions need a client of their own
        }
        let provider = expected["provider"].as_str().unwrap();
        for write_bytes in [0, 13, 1000] {
            let name = format!("{id}-{write_bytes}");
            let is_call = replay(&stack, &fixture, provider, &name, write_bytes).await;
            replays.push(Replay { name, is_call, expected: expected.clone() });
        }
    }
    let calls: Vec<_> = replays.iter().filter(|replay| replay.is_call).collect();
    let all_there = |records: &BTreeMap<String, Value>| {
        let runs: BTreeSet<_> = records.values().filter_map(|record| record["run"].as_str()).collect();
        calls.iter().all(|replay| runs.contains(replay.name.as_str()))
    };
    let records = stack.api().wait_for(all_there).or_else(|_| stack.api().records()).unwrap();
    let mut differences = Vec::new();
    for replay in &calls {
        let found = of_run(&records, &replay.name);
        let expected = &replay.expected;
        // Where the provider gave no count, the gateway's estimate has learned from the calls before it.
        let estimated = found["notes"].as_array().is_some_and(|notes| notes.contains(&"no_usage".into()));
        let fields = if estimated { COMPARED_OF_ESTIMATES } else { COMPARED };
        // Results of work of which this gateway saw neither start nor end are charged to nobody.
        let unknown = found["notes"].as_array().is_some_and(|notes| notes.contains(&"unknown_work".into()));
        assert!(!unknown || replay.name.starts_with("batch-output"), "{}: {found}", replay.name);
        let is_compared = |field: &str| !unknown || !matches!(field, "cost_status" | "cost_usd");
        let fields = fields.iter().filter(|field| is_compared(field));
        let wrong: Vec<_> = fields.filter(|field| found[**field] != expected[**field]).collect();
        if !wrong.is_empty() {
            differences.push(format!(
                "{}: {wrong:?}\n  `meter` says {expected}\n  the record is {found}",
                replay.name
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        calls.len(),
        differences.join("\n")
    );
    println!("{} replays, {} of them calls", replays.len(), calls.len());
}

/// A fixture as it went through the gateway.
struct Replay {
    /// Its name in the simulator's ledger, and its run.
    name: String,
    /// Whether the gateway took it for a call.
    is_call: bool,
    /// What `tollgate meter` says of it.
    expected: Value,
}

/// The record of a run; where one answer has the results of several calls, their sum.
fn of_run(records: &BTreeMap<String, Value>, run: &str) -> Value {
    let mut of_run = records.values().filter(|record| record["run"] == run).cloned();
    let Some(mut sum) = of_run.next() else { return Value::Null };
    for record in of_run {
        for (kind, count) in record["usage"].as_object().unwrap() {
            let total = sum["usage"][kind].as_u64().unwrap_or(0) + count.as_u64().unwrap();
            sum["usage"][kind] = total.into();
        }
        let cost = |record: &Value| books::pico(record["cost_usd"].as_str().unwrap()).unwrap();
        sum["cost_usd"] = books::dollars(cost(&sum) + cost(&record)).into();
    }
    sum
}

/// Serves the fixture's answer to the fixture's request; whether the gateway took it for a call.
async fn replay(stack: &Stack, fixture: &Value, provider: &str, name: &str, write_bytes: usize) -> bool {
    let body = base64::engine::general_purpose::STANDARD
        .decode(fixture["response_body_base64"].as_str().unwrap())
        .unwrap();
    let status = u16::try_from(fixture["response_status"].as_u64().unwrap()).unwrap();
    let sent = body.clone();
    stack.simulator.replay(name, Recorded { status, headers: headers(fixture), body, write_bytes });
    // A batch's results are charged once: each replay fetches those of another batch.
    let batch = format!("batches/{name}-");
    let path = format!(
        "/{provider}{}",
        path_and_query(fixture).replace("batches/", &batch).replace("files/file-", &format!("files/{name}-"))
    );
    let request: String = fixture["request_body"].as_str().unwrap_or_default().to_owned();
    let call = if fixture["method"] == "GET" {
        Call::get(&path)
    } else {
        let form = request.strip_prefix("--").and_then(|rest| rest.split_once("\r\n"));
        let content_type = form.map(|(boundary, _)| format!("multipart/form-data; boundary={boundary}"));
        let content_type = content_type.as_deref().unwrap_or("application/json");
        Call::post_bytes(&path, request.clone()).header("content-type", content_type)
    };
    let reply = stack.send(call.header("x-sim-call", name).header("x-tollgate-run", name)).await.unwrap();
    assert_eq!(reply.status, status, "{name}");
    let received = stack.simulator.ledger().call(name).unwrap().received;
    let asked_as_sent =
        fixture["method"] == "GET" || received.body_fingerprint == fingerprint(request.as_bytes());
    let is_stream = [&b"data:"[..], b":", b"event:"].iter().any(|start| sent.starts_with(start));
    if asked_as_sent || !is_stream {
        assert!(reply.body == sent, "{name}: the answer was changed");
    } else {
        only_the_usage_is_taken_out(name, &reply.body, &sent);
    }
    reply.header("x-tollgate-call").is_some()
}

/// Where the filter asked for a stream's usage in the caller's stead, the caller gets what it would have got:
/// all events but the one that has the usage and no choices.
fn only_the_usage_is_taken_out(name: &str, got: &[u8], sent: &[u8]) {
    let [got, sent] = [got, sent].map(|body| String::from_utf8(body.to_vec()).unwrap().replace("\r\n", "\n"));
    let mut got = got.split_inclusive("\n\n").peekable();
    for event in sent.split_inclusive("\n\n") {
        if got.peek() == Some(&event) {
            got.next();
        } else {
            let extra = event.contains("\"choices\":[]") && event.contains("\"usage\":{");
            assert!(extra, "{name}: this event is not as it was sent: {event}");
        }
    }
    assert_eq!(got.next(), None, "{name}: more than was sent");
}

fn path_and_query(fixture: &Value) -> String {
    let url = fixture["url"].as_str().unwrap_or_default();
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let from_url = after_scheme.find('/').map(|at| after_scheme[at..].to_owned());
    let path = from_url.unwrap_or_else(|| fixture["path"].as_str().unwrap().to_owned());
    // Recordings name scrubbed parts in ways that no request line can have.
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte);
    path.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn headers(fixture: &Value) -> Vec<(String, String)> {
    let Some(headers) = fixture["response_headers"].as_object() else { return Vec::new() };
    let values = |value: &Value| match value {
        Value::Array(values) => values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect(),
        value => value.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>(),
    };
    headers
        .iter()
        .flat_map(|(name, value)| values(value).into_iter().map(|value| (name.clone(), value)))
        .collect()
}

/// What `tollgate meter` prints for each line of the file, by its id, where it is answered now, as the
/// gateway's calls are: some prices depend on the hour.
fn metered(file: &Path) -> BTreeMap<String, Value> {
    let undated = lines(file).into_iter().map(|mut fixture| {
        if let Some(headers) = fixture["response_headers"].as_object_mut() {
            headers.remove("date");
        }
        fixture.to_string()
    });
    let directory = Workspace::find().unwrap().file("target/e2e/undated");
    std::fs::create_dir_all(&directory).unwrap();
    let corpus = directory.join(file.file_name().unwrap());
    std::fs::write(&corpus, undated.collect::<Vec<_>>().join("\n")).unwrap();
    let output = Command::new(artifacts::build_collector().unwrap())
        .args(["meter", "--format", "json", "--corpus"])
        .arg(&corpus)
        .output()
        .unwrap();
    assert!(output.status.success(), "tollgate meter: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["id"].as_str().unwrap().to_owned(), line)).collect()
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn corpora(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

/// Fields of `meter`'s lines that a record has under the same names.
const COMPARED: &[&str] = &[
    "provider",
    "operation",
    "request_model",
    "response_model",
    "outcome",
    "cost_status",
    "usage",
    "cost_usd",
];
/// Those that do not depend on what was estimated.
const COMPARED_OF_ESTIMATES: &[&str] =
    &["provider", "operation", "request_model", "response_model", "outcome", "cost_status"];
