//! Whole numbers as decimal text, without the machinery of `fmt`: a record has some thirty of them.

/// The decimal digits of a number.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    bytes: [u8; DIGITS_MAX],
    from: usize,
}

impl Digits {
    /// Those of `number`, at least so many, with zeros before it.
    pub fn of(number: u64, at_least: usize) -> Self {
        let mut digits = Self { bytes: [b'0'; DIGITS_MAX], from: DIGITS_MAX };
        let mut rest = number;
        for (at, slot) in digits.bytes.iter_mut().enumerate().rev() {
            if rest == 0 && DIGITS_MAX - digits.from >= at_least {
                break;
            }
            *slot = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
            digits.from = at;
        }
        digits
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// As ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }
}

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_that_fmt_writes() {
        for number in [0, 1, 9, 10, 99, 100, 1_234_567_890, u64::MAX / 10, u64::MAX - 1, u64::MAX] {
            assert_eq!(Digits::of(number, 1).as_str(), number.to_string());
            assert_eq!(Digits::of(number, 12).as_str(), format!("{number:012}"));
            assert_eq!(Digits::of(number, 40).as_str(), format!("{number:020}"));
        }
    }
}
