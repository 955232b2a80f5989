//! Ids of calls.

/// Makes UUIDv7s (RFC 9562): milliseconds first, then 74 bits that no other maker with another seed repeats.
#[derive(Clone, Debug)]
pub struct CallIds {
    seed: u64,
    made: u64,
}

impl CallIds {
    /// A maker; `seed` must be random and its own.
    pub const fn new(seed: u64) -> Self {
        Self { seed: mixed(seed), made: 0 }
    }

    /// The next id, at `now_ms` Unix milliseconds UTC.
    pub fn next(&mut self, now_ms: u64) -> String {
        self.made = self.made.wrapping_add(1);
        let high = mixed(self.seed.wrapping_add(self.made.rotate_left(32)));
        let low = mixed(self.seed ^ self.made);
        let time = now_ms & 0xFFFF_FFFF_FFFF;
        let variant = 0x8000 | (low >> 48 & 0x3FFF);
        let groups = [
            (time >> 16, 8),
            (time & 0xFFFF, 4),
            (0x7000 | high & 0xFFF, 4),
            (variant, 4),
            (low & 0xFFFF_FFFF_FFFF, 12),
        ];
        let mut id = String::with_capacity(36);
        for (group, digits) in groups {
            if !id.is_empty() {
                id.push('-');
            }
            for digit in (0..digits).rev() {
                let digit = u32::try_from(group >> (digit * 4) & 0xF).unwrap_or_default();
                id.push(char::from_digit(digit, 16).unwrap_or('0'));
            }
        }
        id
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection, so one maker's inputs never collide.
const fn mixed(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_uuids_of_version_seven_and_never_repeat() {
        let mut seen = HashSet::new();
        for seed in [1, 2, u64::MAX] {
            let mut ids = CallIds::new(seed);
            for _ in 0..10_000 {
                let id = ids.next(1_700_000_000_123);
                assert!(id.starts_with("018bcfe5-687b-7"), "{id}");
                assert_eq!(id.len(), 36);
                assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
                assert!(seen.insert(id));
            }
        }
    }
}
