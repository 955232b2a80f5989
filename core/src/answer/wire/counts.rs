//! Numbers out of a provider's usage object.

use serde_json::{Map, Value};

use crate::decode::json::value_count;
use crate::money::Picodollars;

/// The first count that is not nothing; nothing where that is all that is told.
fn more_than_nothing(counts: impl Iterator<Item = u64>) -> Option<u64> {
    let mut nothing = None;
    for count in counts {
        if count > 0 {
            return Some(count);
        }
        nothing = Some(0);
    }
    nothing
}

/// A usage object, read by dotted paths. What is missing, null or no count is `None`.
///
/// Its few members are asked for again and again under names that mostly are not there, so they stand in a
/// list: a map orders names by all of their bytes.
#[derive(Debug)]
pub(super) struct Counts<'a>(Vec<(&'a str, &'a Value)>);

impl<'a> Counts<'a> {
    pub(super) fn new(object: &'a Map<String, Value>) -> Self {
        Self(object.iter().map(|(name, value)| (name.as_str(), value)).collect())
    }

    /// The value at `path`, such as `prompt_tokens_details.cached_tokens`.
    pub(super) fn value(&self, path: &str) -> Option<&'a Value> {
        self.0.iter().find_map(|(name, value)| of_member(name, value, path)).filter(|value| !value.is_null())
    }

    /// The count at `path`.
    pub(super) fn at(&self, path: &str) -> Option<u64> {
        value_count(self.value(path)?)
    }

    /// The first count that is there, and not nothing where another is more.
    pub(super) fn first(&self, paths: &[&str]) -> Option<u64> {
        more_than_nothing(paths.iter().filter_map(|path| self.at(path)))
    }

    /// The first count `name` in one of the objects at `paths`.
    pub(super) fn first_in(&self, paths: &[&str], name: &str) -> Option<u64> {
        more_than_nothing(paths.iter().filter_map(|path| value_count(within(self.value(path)?, name)?)))
    }

    /// The sum of the counts that are there; `None` when none is.
    pub(super) fn sum(&self, paths: &[&str]) -> Option<u64> {
        paths.iter().filter_map(|path| self.at(path)).reduce(u64::saturating_add)
    }

    /// The text at `path`.
    pub(super) fn text(&self, path: &str) -> Option<&'a str> {
        self.value(path)?.as_str()
    }

    /// The objects of the array at `path`.
    pub(super) fn objects(&self, path: &str) -> Vec<Counts<'a>> {
        let items = self.value(path).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_object).map(Counts::new).collect()
    }

    /// Dollars at `path`, written as a JSON number, to the pico-dollar (the rest is cut).
    pub(super) fn dollars(&self, path: &str) -> Option<Picodollars> {
        let number = self.value(path)?.as_number()?;
        decimal(&number.to_string())
    }

    /// Thousandths of the first number that is there, which may have a fraction; what is less is cut.
    pub(super) fn thousandths(&self, paths: &[&str]) -> Option<u64> {
        const PICO_PER_THOUSANDTH: i128 = 1_000_000_000;
        let number = paths.iter().find_map(|path| self.dollars(path))?;
        u64::try_from(number.as_pico() / PICO_PER_THOUSANDTH).ok()
    }
}

/// The value at `path`, if that begins with this member.
fn of_member<'a>(name: &str, value: &'a Value, path: &str) -> Option<&'a Value> {
    // Most names differ in their length or first byte: nothing else is looked at then.
    let ends = path.as_bytes().get(name.len());
    if !matches!(ends, None | Some(b'.'))
        || name.len() > path.len()
        || name.as_bytes().first() != path.as_bytes().first()
    {
        return None;
    }
    let rest = path.strip_prefix(name)?;
    rest.strip_prefix('.').map_or(Some(value), |rest| within(value, rest))
}

/// The value at `path` in another.
fn within<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.bytes().all(|byte| byte != b'.') {
        return value.get(path);
    }
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// A JSON number in any notation as pico-dollars, without going through a float.
pub(super) fn decimal(number: &str) -> Option<Picodollars> {
    let end = number.bytes().position(|byte| byte | 0x20 == b'e');
    let (mantissa, exponent) = number.split_at(end.unwrap_or(number.len()));
    let mut shift = PLACES;
    if let Some(exponent) = exponent.get(1..) {
        shift = shift.checked_add(exponent.parse().ok()?)?;
    }
    let (mut pico, mut is_fraction) = (0i64, false);
    for byte in mantissa.bytes() {
        match byte {
            b'-' | b'+' => {}
            b'.' => is_fraction = true,
            // Seventeen digits are more than any price has; the rest of a fraction is cut.
            b'0'..=b'9' if is_fraction && pico >= SEVENTEEN_DIGITS => {}
            b'0'..=b'9' => {
                pico = pico.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
                shift = shift.checked_sub(i32::from(is_fraction))?;
            }
            _ => return None,
        }
    }
    for _ in 0..shift.unsigned_abs().min(DIGITS_MAX) {
        pico = if shift < 0 { pico / 10 } else { pico.checked_mul(10)? };
    }
    Some(Picodollars::from_pico(i128::from(if number.starts_with('-') { -pico } else { pico })))
}

/// Pico-dollars have so many places behind the point.
const PLACES: i32 = 12;
/// No amount has more digits.
const DIGITS_MAX: u32 = 40;
const SEVENTEEN_DIGITS: i64 = 10_000_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_in_every_notation() {
        for (number, pico) in [
            ("0.00001", 10_000_000),
            ("1e-5", 10_000_000),
            ("1.5E-5", 15_000_000),
            ("2", 2_000_000_000_000),
            ("1e-20", 0),
            ("0.0000000000019", 1),
            ("-0.5", -500_000_000_000),
            ("7.099999999999999e-05", 70_999_999),
            ("1e-2147483648", 0),
            ("0.00001234567890123456789012345678901234567890", 12_345_678),
            ("1.2345678901234567890123e1", 12_345_678_901_234),
        ] {
            assert_eq!(decimal(number), Some(Picodollars::from_pico(pico)), "{number}");
        }
        for wrong in ["1e99", "one", "1e", "1e-99999999999"] {
            assert_eq!(decimal(wrong), None, "{wrong}");
        }
    }
}
