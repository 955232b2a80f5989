//! Bench.
use anyhow::Result;
pub fn bench(_rounds: u32, _seconds: u32) -> Result<()> {
    Ok(())
}
