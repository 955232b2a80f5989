//! Names and keys that are somebody else's.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::shots::{self, Shot};
use super::{Row, Size, settle};
use crate::burst::{self, pico};
use crate::stack::{Setup, Stack};

pub(super) async fn run(size: Size) -> Result<Vec<Row>> {
    // RFC 4231, test case 2, is the hash of this key.
    let config = "[[budgets]]\nname = 'keyed'\nscope = { key = '5bdcc146bf60754e' }\nlimit_usd = '0.000001'\nwindow = 'prepaid'\n\
                  [[budgets]]\nname = 'victim'\nscope = { agent = 'victim' }\nlimit_usd = '0.05'\nwindow = 'prepaid'\n";
    let trusted = json!([{"field": "agent", "property": ["connection", "uri_san_peer_certificate"], "source": "verified"}]);
    let setup = Setup {
        name: "attack-trust",
        collector_config: config.into(),
        plugin: json!({"attribution": {"trusted": trusted, "aliases": {"x-who": "agent"}, "baggage": true}}),
        ..Setup::default()
    };
    let stack = Arc::new(Stack::set_up(&setup)?);
    Ok(vec![keys(&stack, size).await?, names(&stack, size).await?])
}

/// However a key that is spent is given.
async fn keys(stack: &Arc<Stack>, size: Size) -> Result<Row> {
    let start = Instant::now();
    let key = "what do ya want for nothing?";
    let bearer = format!("Bearer {key}");
    let shot = || shots::small();
    let variants: Vec<Shot> = vec![
        shot().with("authorization", &bearer),
        shot().with("authorization", &format!("Bearer\t{key}")),
        shot().with("authorization", &format!("bearer   {key} ")),
        shot().with("authorization", &bearer).with("x-api-key", "sk-other"),
        shot().with("authorization", &bearer).with("api-key", "sk-other"),
        shot().with("x-goog-api-key", "sk-other").with("authorization", &bearer),
        shot().with("authorization", "Bearer sk-other").with("authorization", &bearer),
        shot().with("authorization", &bearer).with("authorization", "Bearer sk-other"),
        shot().with("authorization", &format!("Basic {key}")),
        shot(),
    ];
    let mut row = Row { class: "keys of others beside a spent one".into(), ..Row::default() };
    for round in 0..size.repeat {
        for (number, shot) in variants.iter().enumerate() {
            row.calls += 1;
            shot.raw("keyed", &format!("keyed-{number}-{round}")).send(stack.gateway()).await?;
        }
    }
    settle(stack, "keyed", &mut row).await?;
    let other = shot().with("authorization", "Bearer sk-other").raw("other", "other-key");
    let (status, said) = other.send(stack.gateway()).await?;
    if status != 200 {
        row.broken.push(format!("a caller with another key was refused: {said}"));
    }
    row.seconds = start.elapsed().as_secs();
    Ok(row)
}

/// A field that has a trusted source takes nobody's word.
async fn names(stack: &Arc<Stack>, size: Size) -> Result<Row> {
    let start = Instant::now();
    let mut row = Row { class: "forged names where a source is trusted".into(), ..Row::default() };
    let shot = || shots::small().with("authorization", "Bearer sk-other");
    let forged = [
        shot().with("x-who", "victim"),
        shot().with("x-tollgate-agent", "victim"),
        shot().with("X-Tollgate-Agent", "victim"),
        shot().with("baggage", "tollgate.agent=victim,agent=victim"),
        shot().with("x-tollgate-tags", "agent=victim"),
    ];
    for round in 0..size.repeat {
        for (number, shot) in forged.iter().enumerate() {
            row.calls += 1;
            let mut raw = shot.raw("forger", &format!("forger-{number}-{round}"));
            raw.headers.retain(|(name, value)| name != "x-tollgate-agent" || value != "somebody");
            let (status, said) = raw.send(stack.gateway()).await?;
            row.passed += usize::from(status == 200);
            if status != 200 {
                row.broken.push(format!("a small call was refused: {said}"));
            }
        }
    }
    let (api, calls) = (stack.api(), row.calls);
    let (budget, records) = tokio::task::spawn_blocking(move || {
        let records = api.wait_for_records(calls);
        (burst::budget(&api, "victim", |_| true), records)
    })
    .await?;
    let (budget, records) = (budget?, records?);
    (row.limit, row.used) = (pico(&budget["limit"])?, pico(&budget["used"])?);
    let blamed = records.values().filter(|record| record["agent"] == "victim").count();
    if row.used != 0 || blamed > 0 {
        row.broken.push(format!("{blamed} records name the victim, whose budget says {}", row.used));
    }
    row.seconds = start.elapsed().as_secs();
    Ok(row)
}
