//! Picks a few values out of JSON as its bytes stream by, holding a bounded amount of them.
//!
//! A [`Shape`] names the places of interest; a [`Scanner`] is fed bytes in any pieces and hands what stands
//! at those places to a [`Sink`]. Everything else is skipped at memory speed and never kept. The input is a
//! sequence of documents: one JSON answer, newline-delimited JSON, or one JSON array, whose elements count as
//! documents of their own (Google's streams without `alt=sse` are such an array).

mod scanner;
mod shape;

pub use scanner::{Scanner, Sink};
pub use shape::{Action, Shape};

/// Longest value that is kept, in bytes; a longer one is passed over and reported as such.
pub const CAPTURE_BYTES_MAX: usize = 16 * 1024;
/// Longest key that can match, in bytes.
pub const KEY_BYTES_MAX: usize = 64;

/// The text of a captured JSON string, or `None` when the captured value is not a string.
pub fn text(raw: &[u8]) -> Option<String> {
    serde_json::from_slice(raw).ok()
}

/// A captured non-negative whole number; a float without a fraction counts (Cohere writes `12.0`).
pub fn count(raw: &[u8]) -> Option<u64> {
    digits(raw).or_else(|| serde_json::from_slice(raw).ok().as_ref().and_then(value_count))
}

/// A whole number as nearly all are written: digits, none of them a leading zero.
fn digits(raw: &[u8]) -> Option<u64> {
    let is_plain = (1..=DIGITS_MAX).contains(&raw.len()) && raw.iter().all(u8::is_ascii_digit);
    if !is_plain || raw.first() == Some(&b'0') && raw.len() > 1 {
        return None;
    }
    Some(raw.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// So many digits always fit.
const DIGITS_MAX: usize = 19;

/// The same of a parsed value; a string of digits counts (Google writes 64-bit numbers so).
pub fn value_count(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| whole(value.as_f64()?)).or_else(|| value.as_str()?.parse().ok())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range and whole, by the test before
fn whole(number: f64) -> Option<u64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&number)).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_digits_count_as_json_does() {
        for raw in
            ["0", "7", "400", "007", "9999999999999999999", "18446744073709551615", "99999999999999999999"]
                .into_iter()
                .chain(["", "-1", "1.0", "1e2", "1.5", "\"12\"", " 12", "12 ", "null", "1x"])
        {
            let parsed = serde_json::from_slice(raw.as_bytes()).ok().as_ref().and_then(value_count);
            assert_eq!(count(raw.as_bytes()), parsed, "{raw:?}");
        }
    }
}
