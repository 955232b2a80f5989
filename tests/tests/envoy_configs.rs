//! Every file of `envoy/` is valid for the real Envoy, and does what its comments say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tollgate_simulator::Simulator;
use tollgate_tests::artifacts::{self, Workspace};
use tollgate_tests::collector::Collector;
use tollgate_tests::envoy::{self, Envoy, Start};
use tollgate_tests::http::Call;
use tollgate_tests::ports;
use tollgate_tests::render::{self, Replace};
use tollgate_tests::stack::Stack;

/// A directory for the files of one test.
fn directory(name: &str) -> PathBuf {
    let directory = Workspace::find().unwrap().target.join("e2e").join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn the_gateway_file_is_valid_as_it_stands() {
    let workspace = Workspace::find().unwrap();
    let directory = directory("validate-gateway");
    let secret = secret_file(&workspace.file("envoy/collector-token.yaml"), &directory);
    // Only paths are other than in the file: TLS, upstreams and plugin configuration are what is shipped.
    let files = BTreeMap::from([
        ("/etc/envoy/tollgate.wasm".to_owned(), artifacts::build_filter().unwrap()),
        ("/etc/envoy/collector-token.yaml".to_owned(), secret),
    ]);
    let config = render::with_files(&workspace.file("envoy/envoy.yaml"), &files).unwrap();
    envoy::validate(&config, &directory.join("envoy.json")).unwrap();
}

#[test]
fn the_edge_file_is_valid_as_it_stands() {
    let workspace = Workspace::find().unwrap();
    let keys = workspace.file("tests/data/edge/jwks.json");
    let files = BTreeMap::from([("/etc/envoy/jwks.json".to_owned(), keys)]);
    let config = render::with_files(&workspace.file("envoy/edge.yaml"), &files).unwrap();
    envoy::validate(&config, &directory("validate-edge").join("edge.json")).unwrap();
}

#[test]
fn providers_are_reached_by_verified_tls_and_are_never_cut_off_or_tried_twice() {
    let config = render::read(&Workspace::find().unwrap().file("envoy/envoy.yaml")).unwrap();
    let clusters = config["static_resources"]["clusters"].as_array().unwrap();
    for name in ["openai", "anthropic", "gemini"] {
        let cluster = clusters.iter().find(|cluster| cluster["name"] == name).unwrap();
        let tls = &cluster["transport_socket"]["typed_config"];
        let host = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
            ["address"];
        assert_eq!(&tls["sni"], host, "{name}");
        assert_eq!(tls["auto_sni_san_validation"], true, "{name}");
        assert!(tls["common_tls_context"]["validation_context"]["trusted_ca"].is_object(), "{name}");
        assert!(
            cluster["circuit_breakers"]["thresholds"][0]["max_requests"].as_u64().unwrap() > 1024,
            "{name}"
        );
    }
    let text = config.to_string();
    let manager =
        &config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let host = &manager["route_config"]["virtual_hosts"][0];
    assert_eq!(host["retry_policy"]["retry_on"], "connect-failure,refused-stream");
    assert_eq!(text.matches("\"retry_on\"").count(), 1);
    for route in host["routes"].as_array().unwrap() {
        assert_eq!(route["route"]["timeout"], "0s", "{route}");
        assert_eq!(route["metadata"]["filter_metadata"]["tollgate"]["provider"], route["name"]);
    }
}

#[tokio::test]
async fn the_edge_stamps_who_it_verified_and_drops_what_the_caller_said() {
    let stack = Stack::start("edge").unwrap();
    let workspace = Workspace::find().unwrap();
    let directory = directory("edge-gateway");
    let (listener_port, admin_port) = (ports::free().unwrap(), ports::free().unwrap());
    let config = render::render(
        &workspace.file("envoy/edge.yaml"),
        &Replace {
            listener_port,
            admin_port,
            clusters: BTreeMap::from([("gateway".to_owned(), stack.gateway())]),
            files: BTreeMap::from([(
                "/etc/envoy/jwks.json".to_owned(),
                workspace.file("tests/data/edge/jwks.json"),
            )]),
            ..Replace::default()
        },
    );
    let config = config.unwrap();
    let start = Start {
        config: &config,
        directory: &directory,
        name: "edge",
        listener_port,
        admin_port,
        workers: 1,
        key_secret: None,
    };
    let edge = Envoy::start(&start).unwrap();
    let token = fs::read_to_string(workspace.file("tests/data/edge/token.jwt")).unwrap();
    let body = json!({"model": "gpt-5-mini", "messages": []});
    let forged = || {
        Call::post("/openai/v1/chat/completions", &body)
            .header("x-tollgate-team", "somebody-else")
            .header("x-tollgate-agent", "somebody-else")
            .header("x-tollgate-feature", "forged")
            .header("x-tollgate-tags", "forged=yes")
            .header("baggage", "team=somebody-else,tollgate.team=somebody-else")
            .header("x-sim-call", "edge")
    };

    let reply = forged().header("x-agent-token", token.trim()).send(edge.address()).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let record = stack.record_of(&reply).unwrap();
    assert_eq!(record["team"], "support");
    assert_eq!(record["agent"], "triage");
    assert_eq!(record["environment"], "production");
    assert_eq!(record["feature"], "unattributed");
    assert!(record.get("tags").is_none_or(|tags| tags.is_null() || *tags == json!({})), "{record}");
    let received = stack.simulator.ledger().call("edge").unwrap().received;
    assert_eq!(received.header("x-agent-token"), None, "the token stays at the edge");
    assert_eq!(received.header("baggage"), None, "the gateway may read who spends from it");

    let calls = stack.simulator.ledger().len();
    for wrong in [forged(), forged().header("x-agent-token", "not-a-token")] {
        let reply = wrong.send(edge.address()).await.unwrap();
        assert_eq!(reply.status, 401);
    }
    assert_eq!(stack.simulator.ledger().len(), calls, "who is not known reaches no provider");
}

#[test]
fn a_wrong_plugin_configuration_is_refused_with_every_mistake_named() {
    let workspace = Workspace::find().unwrap();
    let directory = directory("wrong-plugin");
    let (listener_port, admin_port) = (ports::free().unwrap(), ports::free().unwrap());
    let wrong: Value =
        json!({"gateway": "", "collector": {"cluster": "", "interval_ms": 0}, "colour": "red"});
    let config = render::render(
        &workspace.file("envoy/envoy.yaml"),
        &Replace {
            listener_port,
            admin_port,
            module: Some(artifacts::build_filter().unwrap()),
            plugin: wrong.as_object().unwrap().clone(),
            clusters: BTreeMap::from([("tollgate-collector".to_owned(), tollgate_tests::http::local(1))]),
            files: BTreeMap::from([(
                "/etc/envoy/collector-token.yaml".to_owned(),
                secret_file(&workspace.file("envoy/collector-token.yaml"), &directory),
            )]),
            ..Replace::default()
        },
    )
    .unwrap();
    let start = Start {
        config: &config,
        directory: &directory,
        name: "wrong",
        listener_port,
        admin_port,
        workers: 1,
        key_secret: None,
    };
    let said = format!("{:#}", Envoy::start(&start).expect_err("a wrong configuration must not load"));
    for mistake in ["gateway", "cluster", "interval_ms", "colour"] {
        assert!(said.contains(mistake), "`{mistake}` is not named in:\n{said}");
    }
}

/// What a gateway with this secret and plugin configuration logs of its syncs with who listens at
/// `collector`.
fn said_of_syncs(
    name: &str,
    value: &str,
    plugin: &Value,
    collector: std::net::SocketAddr,
    words: &str,
) -> String {
    let workspace = Workspace::find().unwrap();
    let directory = directory(&format!("words-{name}"));
    let (listener_port, admin_port) = (ports::free().unwrap(), ports::free().unwrap());
    let secret = secret_with(&workspace.file("envoy/collector-token.yaml"), &directory, value);
    let replace = Replace {
        listener_port,
        admin_port,
        module: Some(artifacts::build_filter().unwrap()),
        plugin: plugin.as_object().unwrap().clone(),
        clusters: BTreeMap::from([("tollgate-collector".to_owned(), collector)]),
        files: BTreeMap::from([("/etc/envoy/collector-token.yaml".to_owned(), secret)]),
        ..Replace::default()
    };
    let config = render::render(&workspace.file("envoy/envoy.yaml"), &replace).unwrap();
    let start = Start {
        config: &config,
        directory: &directory,
        name,
        listener_port,
        admin_port,
        workers: 1,
        key_secret: None,
    };
    let mut envoy = Envoy::start(&start).unwrap();
    let begun = std::time::Instant::now();
    loop {
        let log = fs::read_to_string(directory.join(format!("{name}.log"))).unwrap_or_default();
        if log.contains(words) || begun.elapsed() > std::time::Duration::from_secs(20) {
            envoy.process().kill();
            return log;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_gateway_without_a_collector_says_why_and_what_to_do() {
    let collector_directory = directory("words-collector");
    let _ = fs::remove_dir_all(collector_directory.join("data"));
    let binary = artifacts::build_collector().unwrap();
    let collector = Collector::start(&binary, &collector_directory, ports::free().unwrap(), "").unwrap();
    let other = Simulator::start(1).unwrap();
    let good = fs::read_to_string(collector.header_file()).unwrap();
    let nobody = tollgate_tests::http::local(ports::free().unwrap());
    let elsewhere = json!({"collector": {"cluster": "nowhere"}});
    for (name, value, plugin, address, words) in [
        ("cluster", good.as_str(), &elsewhere, collector.address(), "Envoy has no cluster `nowhere`"),
        (
            "token",
            "Bearer 0123456789abcdef",
            &json!({}),
            collector.address(),
            "401, the collector does not know the token",
        ),
        ("nobody", &good, &json!({}), nobody, "503, Envoy reaches no collector"),
        ("other", &good, &json!({}), other.address(), "what answered is no collector"),
    ] {
        let said = said_of_syncs(name, value, plugin, address, words);
        assert!(said.contains(words), "{name}: `{words}` is not said in:\n{said}");
        assert_eq!(
            said.matches("sync with the collector failed").count(),
            1,
            "{name}: once a minute:\n{said}"
        );
    }
    // Versions that refuse a newline in the value of a header say so with advice; the others take it.
    if matches!(std::env::var(envoy::VERSION).as_deref(), Ok("1.37.0" | "1.39.3")) {
        let words = "the token has white space";
        let said = said_of_syncs("newline", &format!("{good}\n"), &json!({}), collector.address(), words);
        assert!(said.contains(words) && said.contains("invalid header value"), "{said}");
    }
    let metrics = collector.api().text("/metrics").unwrap();
    let wrong = metrics.lines().find_map(|line| line.strip_prefix("tollgate_collector_wrong_tokens_total "));
    assert!(wrong.is_some_and(|count| count.parse::<u64>().unwrap() > 0), "{metrics}");
}

#[tokio::test]
async fn providers_and_the_access_log_get_no_more_than_they_need() {
    let stack = Stack::start("private").unwrap();
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let path = "/gemini/v1beta/models/gemini-2.5-flash:generateContent?key=AIza-secret-of-a-caller&alt=json";
    let mut call = Call::post(path, &body).header("x-sim-call", "private");
    for (name, value) in [
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-host", "inside.example"),
        ("x-envoy-original-path", "/inside"),
        ("x-envoy-external-address", "10.1.2.3"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-invented", "yes"),
        ("forwarded", "for=10.1.2.3"),
        ("x-real-ip", "10.1.2.3"),
    ] {
        call = call.header(name, value);
    }
    let reply = stack.send(call).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    stack.record_of(&reply).unwrap();
    let received = stack.simulator.ledger().call("private").unwrap().received;
    for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "x-real-ip"] {
        assert_eq!(received.header(name), None, "{name}");
    }
    for name in [
        "original-path",
        "external-address",
        "retry-on",
        "invented",
        "internal",
        "attempt-count",
        "expected-rq-timeout-ms",
        "decorator-operation",
    ] {
        assert_eq!(received.header(&format!("x-envoy-{name}")), None, "{name}");
    }
    let log = stack.with(|product| product.access_log.clone());
    let begun = std::time::Instant::now();
    let written = loop {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if text.contains("generateContent") || begun.elapsed() > std::time::Duration::from_secs(15) {
            break text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert!(written.contains("\"path\":\"/v1beta/models/gemini-2.5-flash:generateContent\""), "{written}");
    assert!(written.contains("\"route\":\"gemini\"") && !written.contains("AIza"), "{written}");
}

fn secret_with(shipped: &std::path::Path, directory: &std::path::Path, held: &str) -> PathBuf {
    let value = directory.join("ingest.bearer");
    fs::write(&value, held).unwrap();
    let files = BTreeMap::from([("/etc/envoy/ingest.bearer".to_owned(), value)]);
    let secret = directory.join("collector-token.json");
    fs::write(&secret, render::with_files(shipped, &files).unwrap().to_string()).unwrap();
    secret
}

fn secret_file(shipped: &std::path::Path, directory: &std::path::Path) -> PathBuf {
    secret_with(shipped, directory, "Bearer 0123456789abcdef")
}
