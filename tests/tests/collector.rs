//! The collector seen by tools that are not ours: a mail server, a library for webhooks, an API tester,
//! Prometheus' own checker; and a canary that must not be found anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_simulator::Recorded;
use tollgate_tests::artifacts::{self, Workspace};
use tollgate_tests::collector::Collector;
use tollgate_tests::http::{Call, send_blocking};
use tollgate_tests::stack::{Setup, Stack};
use tollgate_tests::{burst, ports, sdk};

/// A script of `tests/tools` under way; killed with the test.
struct Tool {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Tool {
    fn start(script: &str, arguments: &[&str]) -> Self {
        let script = Workspace::find().unwrap().file("tests/tools").join(script);
        let mut command = Command::new(sdk::tools().unwrap());
        command.arg(script).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut tool = Self { child, lines };
        assert_eq!(tool.line(), "ready");
        tool
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn directory(name: &str) -> PathBuf {
    let directory = Workspace::find().unwrap().target.join("e2e").join(format!("collector-{name}"));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn collector(directory: &Path, more: &str) -> Collector {
    Collector::start(&artifacts::build_collector().unwrap(), directory, ports::free().unwrap(), more).unwrap()
}

/// Sends a test message by the channel, as an operator does; says what came of it.
fn test_channel(collector: &Collector, channel: &str) -> String {
    let token = format!("Bearer {}", collector.admin_token().unwrap());
    let path = format!("/api/v1/alerts/test/{channel}");
    let call = Call::post(&path, &json!({})).header("authorization", token);
    send_blocking(call, collector.address()).unwrap().text()
}

#[test]
fn mail_arrives_at_a_real_server_plain_and_encrypted() {
    let directory = directory("mail");
    let port = ports::free().unwrap();
    let mut server = Tool::start("smtp_server.py", &[&port.to_string()]);
    let tls_port = ports::free().unwrap();
    let (certificate, key) = (directory.join("mail.pem"), directory.join("mail.key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:false",
        ])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let arguments = [tls_port.to_string(), certificate.display().to_string(), key.display().to_string()];
    let mut encrypted = Tool::start("smtp_server.py", &arguments.each_ref().map(String::as_str));
    let channel = |name: &str, port: u16, more: &str| {
        format!(
            "[channels.{name}]\ntype = 'email'\nhost = 'localhost'\nport = {port}\nfrom = 'Tollgate <tollgate@example.com>'\n\
             to = ['finops@example.com', 'on-call@example.com']\n{more}\n"
        )
    };
    let config = channel("plain", port, "encryption = 'none'")
        + &channel("starttls", tls_port, &format!("ca = '{}'", certificate.display()))
        + &channel("distrusted", tls_port, "");
    let collector = collector(&directory, &config);
    for (name, server, is_encrypted) in [("plain", &mut server, false), ("starttls", &mut encrypted, true)] {
        let answer = test_channel(&collector, name);
        assert!(answer.contains("\"delivered\":true"), "{name}: {answer}");
        let mail = server.json();
        assert_eq!(mail["to"], json!(["finops@example.com", "on-call@example.com"]));
        assert_eq!(mail["encrypted"], is_encrypted);
        assert_eq!(mail["types"], json!(["text/plain", "text/html"]));
        assert!(mail["subject"].as_str().unwrap().contains("this is a test of channel"));
        assert!(mail["message_id"].as_str().unwrap().starts_with("<tollgate-"), "{mail}");
        assert!(mail["date"].is_string() && mail["text"].as_str().unwrap().contains("/api/v1/alerts"));
    }
    assert!(
        test_channel(&collector, "distrusted").contains("not_delivered"),
        "an unknown authority is not trusted"
    );
}

#[test]
fn a_library_that_is_not_ours_accepts_the_webhooks_signature() {
    let directory = directory("webhook");
    let port = ports::free().unwrap();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mut receiver = Tool::start("webhook_receiver.py", &[&port.to_string(), secret]);
    let config = format!(
        "[channels.hook]\ntype = 'webhook'\nurl = 'http://127.0.0.1:{port}/'\nsecret = '{secret}'\nallow_private = true\n"
    );
    let collector = collector(&directory, &config);
    let answer = test_channel(&collector, "hook");
    assert!(answer.contains("\"delivered\":true"), "{answer}");
    let came = receiver.json();
    assert_eq!(came["verdict"], "good", "{came}");
    assert_eq!(came["data"]["data"]["alerts"][0]["rule"], "test");
}

#[test]
fn the_api_withstands_schemathesis() {
    let directory = directory("schemathesis");
    let collector = collector(&directory, "");
    let admin = collector.admin_token().unwrap();
    let ingest = fs::read_to_string(collector.token_file()).unwrap();
    for (token, more) in
        [(admin.trim(), ["--exclude-path", "/v1/sync"]), (ingest.trim(), ["--include-path", "/v1/sync"])]
    {
        let tester = sdk::tools().unwrap().with_file_name("schemathesis");
        let output = Command::new(tester)
            .args(["run", &format!("http://{}/openapi.json", collector.address())])
            .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
            .args([
                "--max-examples",
                "25",
                "--seed",
                "1",
                "--no-color",
                "-H",
                &format!("Authorization: Bearer {token}"),
            ])
            .args(more)
            .current_dir(&directory)
            .env("NO_PROXY", "*")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        println!("{}", said.lines().rev().take(12).collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn promtool_finds_nothing_in_the_metrics() {
    let directory = directory("promtool");
    let collector = collector(&directory, "[metrics]\ngen_ai = true\n");
    let record = json!({"id": "01890a5d-ac96-774b-8000-000000000001", "time_ms": 1_795_170_600_000u64, "gateway": "edge",
        "provider": "bedrock", "operation": "chat", "request_model": "m", "duration_ms": 1200,
        "usage": {"input_tokens": 300, "output_tokens": 20}, "cost_status": "unpriced"});
    let sync = json!({"protocol": 1, "gateway": "edge", "instance": "i", "sequence": 1, "sent_at_ms": 1, "records": [record]});
    let token = fs::read_to_string(collector.token_file()).unwrap();
    let call = Call::post("/v1/sync", &sync).header("authorization", format!("Bearer {}", token.trim()));
    assert_eq!(send_blocking(call, collector.address()).unwrap().status, 200);
    let metrics = send_blocking(Call::get("/metrics"), collector.address()).unwrap();
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    for line in [
        "tollgate_records_received_total 1",
        "tollgate_records_stored_total 1",
        "gen_ai_client_token_usage_sum{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"aws.bedrock\",\
         gen_ai_token_type=\"input\",gen_ai_request_model=\"m\",gen_ai_response_model=\"\"} 300.0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    let checker = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut checker) = checker else {
        println!("skipped: there is no promtool here; it is in Debian's package `prometheus`");
        return;
    };
    checker.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = checker.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// A provider's answer with this text, whole or as a stream.
fn answer(text: &str, stream: bool) -> Recorded {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14});
    let model = "gpt-5-mini-2025-08-07";
    let whole = json!({"id": "c", "object": "chat.completion", "model": model, "usage": usage, "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]});
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "model": model, "choices": [
        {"index": 0, "delta": {"content": text}}]});
    let end =
        json!({"id": "c", "object": "chat.completion.chunk", "model": model, "choices": [], "usage": usage});
    let (content_type, body) = if stream {
        ("text/event-stream", format!("data: {chunk}\n\ndata: {end}\n\ndata: [DONE]\n\n"))
    } else {
        ("application/json", whole.to_string())
    };
    let headers = vec![("content-type".to_owned(), content_type.to_owned())];
    Recorded { status: 200, headers, body: body.into_bytes(), write_bytes: 0 }
}

/// Files below a directory that hold these bytes.
fn holding(directory: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
        } else if fs::read(&path).unwrap_or_default().windows(needle.len()).any(|window| window == needle) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_canary_in_prompts_answers_and_keys_is_found_nowhere() {
    const CANARY: &str = "canary-7f3a9c51d2";
    let config = "[[alerts]]\nname = 'spend'\nwhen = 'spend'\nthresholds = ['0.000001']\n".to_owned();
    let setup = Setup { name: "canary", collector_config: config, ..Default::default() };
    let stack = Stack::set_up(&setup).unwrap();
    for stream in [false, true] {
        let body = json!({"model": "gpt-5-mini", "stream": stream, "user": CANARY, "messages": [
            {"role": "system", "content": format!("system {CANARY}")},
            {"role": "user", "content": format!("hello {CANARY}, say {CANARY}")},
        ]});
        let call = Call::post("/openai/v1/chat/completions", &body)
            .header("authorization", format!("Bearer sk-{CANARY}"))
            .header("x-api-key", CANARY)
            .header("x-sim-call", "canary")
            .header("x-tollgate-agent", "bot");
        stack.simulator.replay("canary", answer(CANARY, stream));
        let reply = stack.send(call).await.unwrap();
        assert_eq!(reply.status, 200);
        assert!(reply.text().contains(CANARY), "the caller gets it");
    }
    stack.api().wait_for_records(2).unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    let alerts = stack.api().get("/api/v1/alerts").unwrap();
    assert!(!alerts["rows"].as_array().unwrap().is_empty(), "an alert was decided");
    for path in [
        "/api/v1/alerts",
        "/api/v1/audit",
        "/api/v1/records",
        "/api/v1/anomalies",
        "/api/v1/summary?by=agent,key_id",
    ] {
        assert!(!stack.api().get(path).unwrap().to_string().contains(CANARY), "{path}");
    }
    let home = stack.with(|product| product.collector.config_file()).parent().unwrap().to_owned();
    assert!(home.join("data/tollgate.db").exists());
    assert_eq!(
        holding(&home, CANARY.as_bytes()),
        Vec::<PathBuf>::new(),
        "databases and logs of collector and gateway"
    );
}

#[tokio::test]
async fn an_access_log_fills_what_a_lost_gateway_could_not_report() {
    let budget =
        "[[budgets]]\nname = 'bot'\nscope = { agent = 'bot' }\nlimit_usd = '100'\nwindow = 'month'\n";
    let setup = Setup { name: "import", collector_config: budget.into(), ..Setup::default() };
    let stack = Stack::set_up(&setup).unwrap();
    let body = json!({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]});
    let send = async || {
        let call = Call::post("/openai/v1/chat/completions", &body).header("x-tollgate-agent", "bot");
        assert_eq!(stack.send(call).await.unwrap().status, 200);
    };
    for _ in 0..5 {
        send().await;
    }
    stack.api().wait_for_records(5).unwrap();
    stack.with(|product| product.collector.stop());
    for _ in 0..7 {
        send().await;
    }
    // Envoy writes its access log every ten seconds.
    let log = stack.with(|product| product.access_log.clone());
    for _ in 0..200 {
        if fs::read_to_string(&log).unwrap_or_default().lines().count() >= 12 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let token = stack.with(|product| {
        product.envoy.process().kill();
        product.collector.restart().unwrap();
        product.collector.admin_token().unwrap()
    });
    assert_eq!(stack.api().records().unwrap().len(), 5, "the gateway took them with it");
    let address = stack.with(|product| product.collector.address());
    for expected in
        ["12 records: 7 stored, 5 known before, 0 refused", "12 records: 0 stored, 12 known before"]
    {
        let output = Command::new(artifacts::build_collector().unwrap())
            .args(["import", "access-log"])
            .arg(&log)
            .args(["--url", &format!("http://{address}"), "--token", token.trim()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.starts_with(expected), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
    let accounts = stack.api().get("/api/v1/accounts").unwrap();
    assert_eq!((&accounts["stored"], &accounts["balanced"]), (&json!(12), &json!(true)), "{accounts}");
    let summary = stack.api().get("/api/v1/summary?by=agent&since=1d").unwrap();
    assert_eq!(summary["total"]["calls"], 12);
    let row = burst::budget(&stack.api(), "bot", |_| true).unwrap();
    assert_eq!(
        row["used"], summary["total"]["cost_usd"],
        "the import counts where a counter was before: {row}"
    );
}
