//! Callers who try to pass a budget or to close it for others: `cargo xtask attack`, in a smaller form.
#![allow(clippy::unwrap_used, missing_docs)] // a test that cannot go on should say where

use tollgate_tests::attack::{self, HEAD, Row, Size};

fn hold(rows: &[Row]) {
    let table: Vec<String> = rows.iter().map(ToString::to_string).collect();
    let broken = rows.iter().any(|row| !row.broken.is_empty());
    assert!(!broken, "\n{HEAD}\n{}", table.join("\n"));
}

#[tokio::test]
async fn no_request_passes_its_budget_goes_unrecorded_or_closes_it() {
    hold(&attack::budgets(Size::SMALL, |_| {}).await.unwrap());
}

#[tokio::test]
async fn invented_names_refuse_nobody_else() {
    hold(&[attack::names(Size::SMALL).await.unwrap()]);
}

#[tokio::test]
async fn nobody_passes_as_somebody_else() {
    hold(&attack::trust(Size::SMALL).await.unwrap());
}
