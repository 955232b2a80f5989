//! Invented names, to fill every counter there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{Ordinary, Row, Size, shots};
use crate::http::Call;
use crate::stack::{Setup, Stack};

pub(super) async fn run(size: Size) -> Result<Row> {
    let config = "[[budgets]]\nname = 'each'\neach = 'agent'\nlimit_usd = '100'\nwindow = 'month'\n\
                  [[budgets]]\nname = 'each-rolling'\neach = 'agent'\nlimit_usd = '100'\nwindow = 'rolling 24h'\n\
                  [[budgets]]\nname = 'each-team'\neach = 'team'\nlimit_usd = '100'\nwindow = 'day'\n\
                  [[budgets]]\nname = 'roomy'\nscope = { team = 'roomy' }\nlimit_usd = '50'\nwindow = 'rolling 24h'\n\
                  [registry]\nagents = ['somebody']\nteams = ['roomy', 'fresh']\n";
    let setup = Setup { name: "attack-names", collector_config: config.into(), ..Setup::default() };
    let stack = Arc::new(Stack::set_up(&setup)?);
    let start = Instant::now();
    let ordinary = Ordinary::start(&stack);
    let sent = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for task in 0..24 {
        let (stack, sent) = (Arc::clone(&stack), Arc::clone(&sent));
        tasks.push(tokio::spawn(async move {
            let mut number = 0;
            while start.elapsed() < size.names && sent.load(Ordering::Relaxed) < NAMES_MAX {
                number += 1;
                sent.fetch_add(1, Ordering::Relaxed);
                let call = Call::post("/openai/v1/chat/completions", &super::small_body())
                    .header("x-sim", "input=10;output=1")
                    .header("x-tollgate-agent", format!("invented-{task}-{number}"))
                    .header("x-tollgate-team", format!("team-{task}-{}", number % 100));
                stack.send(call).await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let mut row = ordinary.stop().await?;
    row.class = format!("{} invented names", sent.load(Ordering::Relaxed));
    fresh(&stack, &mut row).await?;
    row.seconds = start.elapsed().as_secs();
    Ok(row)
}

/// A budget that is made afterwards has room for its callers.
async fn fresh(stack: &Arc<Stack>, row: &mut Row) -> Result<()> {
    let (address, token) =
        stack.with(|product| (product.collector.address(), product.collector.admin_token()));
    let budget: Value = json!({"scope": {"team": "fresh"}, "limit_usd": "1", "window": "rolling 24h"});
    let call =
        Call::put("/api/v1/budgets/fresh", &budget).header("authorization", format!("Bearer {}", token?));
    let reply = call.send(address).await?;
    if reply.status >= 300 {
        bail!("the new budget was answered {} {}", reply.status, reply.text());
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for number in 0..10 {
        let raw = shots::small().raw("fresh", &format!("fresh-{number}"));
        let (status, said) = raw.send(stack.gateway()).await?;
        if status != 200 {
            row.broken.push(format!("a call of a new budget was refused: {said}"));
            break;
        }
    }
    Ok(())
}

const NAMES_MAX: usize = 12_000;
