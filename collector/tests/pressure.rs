//! Back-pressure: whoever comes while all places are taken hears so in time, and loses nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::process::Process;
use support::{TOKEN, message, record};

/// Sync requests that are read and stored at one time (`app::SYNCS_MAX`).
const PLACES: u64 = 16;

/// A sync request of which all but the last byte is sent.
fn begun(collector: &Process, number: u64) -> (TcpStream, u8) {
    let body = message(number, vec![record(number)]).to_string();
    let mut stream = TcpStream::connect(collector.client.address).unwrap();
    let (last, rest) = body.as_bytes().split_last().unwrap();
    let head = format!(
        "POST /v1/sync HTTP/1.1\r\nhost: c\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(rest).unwrap();
    (stream, *last)
}

fn metric(collector: &Process, name: &str) -> u64 {
    let text = collector.client.get("/metrics").text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
}

#[test]
fn a_gateway_that_finds_no_place_is_told_to_come_again_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let mut slow: Vec<(TcpStream, u8)> = (0..PLACES).map(|number| begun(&collector, number)).collect();
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    let busy = collector.client.sync(&message(100, vec![record(100)]));
    let waited = asked.elapsed();
    assert_eq!((busy.status, busy.error_code().as_str()), (503, "busy"), "{}", busy.text);
    assert_eq!(busy.retry_after.as_deref(), Some("1"));
    assert!((Duration::from_secs(2)..Duration::from_secs(15)).contains(&waited), "{waited:?}");
    assert_eq!(metric(&collector, "tollgate_collector_sync_requests_total{result=\"busy\"}"), 1);
    // Others are answered meanwhile.
    assert_eq!(collector.client.get("/healthz").status, 200);

    for (stream, last) in &mut slow {
        stream.write_all(&[*last]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"stored\":1"), "{answer}");
    }
    assert_eq!(collector.client.sync(&message(100, vec![record(100)])).json()["stored"], 1);
    assert_eq!(collector.calls(), PLACES + 1);
    let accounts = collector.client.get("/api/v1/accounts").json();
    assert_eq!(accounts["balanced"], true, "{accounts}");
    assert_eq!(accounts["dropped"].as_object().map(|dropped| dropped.len()), Some(0), "{accounts}");
}
