//! Compares the product's books with the simulated providers' own.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tollgate_simulator::Served;

/// Whether a record says what the provider served and charges: every token count and the cost.
///
/// # Errors
/// Every field that differs, with both values.
pub fn same(record: &Value, served: &Served) -> Result<()> {
    let mut differences = Vec::new();
    let tokens = &served.tokens;
    let write_of = |ttl: &str| record.pointer(&format!("/usage/cache_write_by_ttl/{ttl}"));
    let counts = [
        ("input_tokens", tokens.input),
        ("cache_read_tokens", tokens.cache_read),
        ("cache_write_tokens", tokens.cache_write_5m + tokens.cache_write_1h),
        ("output_tokens", tokens.output),
        ("reasoning_tokens", tokens.reasoning),
    ];
    for (name, expected) in counts {
        let found = record.pointer(&format!("/usage/{name}")).and_then(Value::as_u64).unwrap_or(0);
        if found != expected {
            differences.push(format!("{name} is {found}, the provider says {expected}"));
        }
    }
    let long_write = write_of("1h").and_then(Value::as_u64).unwrap_or(0);
    if long_write != tokens.cache_write_1h {
        differences.push(format!(
            "cache writes of 1h are {long_write}, the provider says {}",
            tokens.cache_write_1h
        ));
    }
    let cost = record.get("cost_usd").and_then(Value::as_str).context("a record without cost_usd")?;
    let expected = served.cost_pico.unwrap_or(0);
    if pico(cost)? != expected {
        differences.push(format!("cost_usd is {cost}, the provider charges {}", dollars(expected)));
    }
    let texts = [("request_model", &served.request_model), ("response_model", &served.response_model)];
    for (name, expected) in texts {
        let found = record.get(name).and_then(Value::as_str).unwrap_or_default();
        if found != expected.as_str() {
            differences.push(format!("{name} is `{found}`, at the provider it was `{expected}`"));
        }
    }
    if !differences.is_empty() {
        bail!("{}\nin {record}", differences.join("\n"));
    }
    Ok(())
}

/// Pico-dollars of a decimal string of dollars: not the product's own reading of it.
///
/// # Errors
/// It is not an amount.
pub fn pico(amount: &str) -> Result<i128> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if fraction.len() > 12 {
        bail!("`{amount}` has more than twelve decimals");
    }
    let digits = format!("{whole}{fraction:0<12}");
    digits.parse().with_context(|| format!("`{amount}` is not an amount"))
}

/// A decimal string of dollars.
pub fn dollars(pico: i128) -> String {
    format!("{}.{:012}", pico / 1_000_000_000_000, pico % 1_000_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_alike() {
        assert_eq!(pico("0.001234500000").unwrap(), 1_234_500_000);
        assert_eq!(pico("12").unwrap(), 12_000_000_000_000);
        assert_eq!(dollars(1_234_500_000), "0.001234500000");
        assert!(pico("0.0000000000001").is_err());
    }
}
