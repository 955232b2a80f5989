//! Nothing lost, nothing double: kills at any point, a full disk, backups, and access logs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use support::process::{BINARY, Process, tollgate};
use support::{message, record};

/// Sends batches until the collector is killed under it, at a point that `random` chooses; gives the numbers of the
/// batches that were acknowledged and of the one that was not.
fn run_until_killed(mut collector: Process, first: u64, size: u64, after: Duration) -> (Vec<u64>, u64) {
    let client = support::Client { address: collector.client.address };
    let stop = AtomicBool::new(false);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut batch = first;
            while !stop.load(Ordering::Relaxed) {
                let acknowledged = client.try_sync(&batch_of(batch, size)).is_some();
                tell.send((batch, acknowledged)).unwrap();
                if !acknowledged {
                    return;
                }
                batch += 1;
            }
        });
        std::thread::sleep(after);
        assert_eq!(collector.signal("-KILL"), None);
        stop.store(true, Ordering::Relaxed);
    });
    drop(tell);
    let mut acknowledged = Vec::new();
    let mut lost = first;
    for (batch, was) in told {
        if was {
            acknowledged.push(batch);
            lost = batch + 1;
        } else {
            lost = batch;
        }
    }
    (acknowledged, lost)
}

fn batch_of(batch: u64, size: u64) -> Value {
    // Hours repeat, so that rollup rows are changed again and again.
    let records = (batch * size..(batch + 1) * size).map(|n| {
        let mut record = record(n);
        record["time_ms"] = json!(support::START_MS + n % 48 * 3_600_000);
        record
    });
    message(batch, records.collect())
}

fn kills(points: u64, size: u64, within_us: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut stored: BTreeSet<u64> = BTreeSet::new();
    let mut next = 0;
    let mut seed = 0x5eed_u64;
    for point in 0..points {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_micros(2_000 + (seed >> 33) % within_us);
        let (acknowledged, lost) = run_until_killed(Process::start(dir.path()), next, size, after);
        stored.extend(acknowledged);
        next = lost;

        // What was acknowledged is there; the batch that was not is there as a whole or not at all.
        let collector = Process::start(dir.path());
        let calls = collector.calls();
        let sure = stored.len() as u64 * size;
        assert!(calls == sure || calls == sure + size, "point {point}: {calls} calls, {sure} acknowledged");
        let answer = collector.client.sync(&batch_of(next, size)).json();
        assert_eq!(answer["stored"].as_u64().unwrap() + answer["duplicates"].as_u64().unwrap(), size);
        stored.insert(next);
        next += 1;
        assert_eq!(collector.calls(), stored.len() as u64 * size, "point {point}");
        let accounts = collector.client.get("/api/v1/accounts").json();
        assert_eq!(accounts["balanced"], true, "point {point}: {accounts}");
    }
    println!("{points} kills, {} records, nothing lost and nothing double", stored.len() as u64 * size);
}

#[test]
fn a_kill_at_any_point_loses_nothing_acknowledged_and_doubles_nothing() {
    kills(4, 40, 150_000);
}

#[test]
#[ignore = "takes minutes: the bar of 50 points and 200,000 records, with --release"]
fn fifty_kills_lose_nothing() {
    kills(50, 500, 2_000_000);
}

/// A limit on the size of files stands for a full disk: writes fail in the same place, and no privilege is needed.
#[test]
fn a_full_disk_is_refused_whole_and_work_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut shell = Command::new("bash");
    // The signal of the limit is ignored, as there is none when a disk is full; blocks of 1 KiB.
    shell.args(["-c", "trap '' XFSZ; ulimit -S -f 1500; exec \"$0\" \"$@\"", BINARY]);
    let collector = Process::launch(dir.path(), "", shell);
    let mut sent = 0;
    let send = |from: u64, size: u64| {
        collector.client.sync(&message(from, (from..from + size).map(record).collect()))
    };
    // Ever smaller, until there is room for nothing.
    for size in [400, 40, 4, 1] {
        let refused = loop {
            let answer = send(sent, size);
            if answer.status != 200 {
                break answer;
            }
            sent += size;
            assert!(sent < 50_000, "the limit was never met");
        };
        assert_eq!((refused.status, refused.error_code().as_str()), (503, "unavailable"));
        assert_eq!(refused.retry_after.as_deref(), Some("1"));
        assert_eq!(collector.client.get("/api/v1/accounts").json()["kept"], sent, "nothing half written");
    }
    let ready = collector.client.get("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.text);
    assert_eq!(collector.client.get("/healthz").status, 200);

    let id = collector.child.id().to_string();
    let room = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited:unlimited"]).status().unwrap();
    assert!(room.success());
    assert_eq!(send(sent, 400).json()["stored"], 400);
    assert_eq!(collector.client.get("/readyz").status, 200);
    assert_eq!(collector.client.get("/api/v1/accounts").json()["kept"], sent + 400);
    assert_eq!(collector.client.get("/api/v1/accounts").json()["balanced"], true);
}

#[test]
fn a_backup_of_a_running_collector_is_restored_whole_and_what_came_after_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let (config, file) = (dir.path().join("tollgate.toml"), dir.path().join("backup.db"));
    let mut collector = Process::start(dir.path());
    collector.client.sync(&message(1, (0..30).map(record).collect()));
    let command = |name: &str| tollgate().arg(name).arg(&file).arg("--config").arg(&config).output().unwrap();
    let made = command("backup");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(!command("backup").status.success(), "an older backup is not overwritten");
    collector.client.sync(&message(2, (30..40).map(record).collect()));
    let refused = command("restore");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in use by another"));
    collector.signal("-TERM");

    let restored = command("restore");
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let collector = Process::start(dir.path());
    assert_eq!(collector.calls(), 30);
    let answer = collector.client.sync(&message(3, (20..40).map(record).collect())).json();
    assert_eq!((&answer["stored"], &answer["duplicates"]), (&json!(10), &json!(10)));
    let verified = collector.asked(&["audit", "verify"]);
    assert!(verified.contains("the trail is whole") && verified.contains("stored 40"), "{verified}");
    assert!(collector.asked(&["audit", "list"]).contains("backup.restore"));

    std::fs::write(&file, "not a database").unwrap();
    drop(collector);
    assert!(!command("restore").status.success());
    assert_eq!(Process::start(dir.path()).calls(), 40, "a bad file changes nothing");
}

#[test]
fn an_access_log_fills_what_was_lost_and_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    collector.client.sync(&message(1, (0..5).map(record).collect()));
    let mut log = String::from("{\"status\":200,\"record\":\"-\"}\nnot json at all\n");
    for n in 0..12 {
        log.push_str(&format!("{}\n", json!({"status": 200, "record": record(n).to_string()})));
    }
    log.push_str("{\"record\":{\"id\":\"no uuid\",\"time_ms\":1}}\n");
    let path = dir.path().join("access.log");
    std::fs::write(&path, log).unwrap();
    let admin = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let import = |token: &str| {
        let path = path.to_str().unwrap();
        collector.ask(&["import", "access-log", path, "--token", token])
    };
    assert!(!import("wrong").status.success());
    for (round, stored) in [(1, 7), (2, 0)] {
        let output = import(admin.trim());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected =
            format!("13 records: {stored} stored, {} known before, 1 refused; 2 lines", 12 - stored);
        assert!(said.starts_with(&expected), "round {round}: {said}");
        assert_eq!(output.status.code(), Some(1), "a refused record is told");
    }
    assert_eq!(collector.calls(), 12);
    assert_eq!(collector.client.get("/api/v1/accounts").json()["dropped"]["id"], 2);
}
