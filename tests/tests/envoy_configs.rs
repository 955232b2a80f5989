//! Every file of `envoy/` is valid for the real Envoy, and does what its comments say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tollgate_tests::artifacts::{self, Workspace};
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

fn secret_file(shipped: &std::path::Path, directory: &std::path::Path) -> PathBuf {
    let value = directory.join("ingest.bearer");
    fs::write(&value, "Bearer 0123456789abcdef").unwrap();
    let files = BTreeMap::from([("/etc/envoy/ingest.bearer".to_owned(), value)]);
    let secret = directory.join("collector-token.json");
    fs::write(&secret, render::with_files(shipped, &files).unwrap().to_string()).unwrap();
    secret
}
