//! `cargo xtask attack`: callers who try to pass a budget, or to close it for others, judged by the
//! providers' own ledger.

use anyhow::{Result, bail};
use tollgate_tests::attack::{self, HEAD, Row, Size};

/// Tries every class and prints the table; fails if a row did not hold.
pub(crate) fn attack() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!("{HEAD}");
    let mut rows = runtime.block_on(attack::budgets(Size::FULL, |row| println!("{row}")))?;
    let names = runtime.block_on(attack::names(Size::FULL))?;
    println!("{names}");
    rows.push(names);
    for row in runtime.block_on(attack::trust(Size::FULL))? {
        println!("{row}");
        rows.push(row);
    }
    let broken: Vec<&str> = rows.iter().filter(|row| !row.broken.is_empty()).map(Row::class).collect();
    if !broken.is_empty() {
        bail!("these did not hold: {}", broken.join(", "));
    }
    println!("every limit held, every call has a record, and nobody was refused for others");
    Ok(())
}
