//! Back-pressure: whoever comes while all places are taken hears so in time, and loses nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use support::process::Process;
use support::{Client, message, record};

/// Sync requests that are read and stored at one time (`app::SYNCS_MAX`).
const PLACES: u64 = 16;

fn metric(collector: &Process, name: &str) -> u64 {
    let text = collector.client.get("/metrics").text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
}

#[test]
fn a_gateway_that_finds_no_place_is_told_to_come_again_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    // While another writes, nobody's request is done.
    let database = rusqlite::Connection::open(dir.path().join("data/tollgate.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let address = collector.client.address;
    let slow: Vec<_> = (0..PLACES)
        .map(|number| {
            std::thread::spawn(move || Client { address }.sync(&message(number, vec![record(number)])))
        })
        .collect();
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

    database.execute_batch("ROLLBACK").unwrap();
    for one in slow {
        let answer = one.join().unwrap();
        assert_eq!((answer.status, &answer.json()["stored"]), (200, &1.into()), "{}", answer.text);
    }
    assert_eq!(collector.client.sync(&message(100, vec![record(100)])).json()["stored"], 1);
    assert_eq!(collector.calls(), PLACES + 1);
    let accounts = collector.client.get("/api/v1/accounts").json();
    assert_eq!(accounts["balanced"], true, "{accounts}");
    assert_eq!(accounts["dropped"].as_object().map(|dropped| dropped.len()), Some(0), "{accounts}");
}
