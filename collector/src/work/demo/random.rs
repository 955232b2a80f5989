//! Numbers that look random and are the same in every run.

/// SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Of this seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }

    /// A number below `end`; 0 where that is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// A number from `first` to `last`.
    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first.saturating_add(self.below(last.saturating_sub(first).saturating_add(1)))
    }

    /// True so many times of a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// A number around `mean`: mostly less, seldom much more, at least 1.
    pub(super) fn around(&mut self, mean: u64) -> u64 {
        let percent = self.between(20, 180).saturating_mul(self.between(20, 180));
        mean.saturating_mul(percent).checked_div(10_000).unwrap_or(0).max(1)
    }

    /// A place in a list of so many, the first ones much more often.
    pub(super) fn early(&mut self, of: usize) -> usize {
        let of = u64::try_from(of).unwrap_or(u64::MAX);
        let place = self.below(of).saturating_mul(self.below(of)).checked_div(of).unwrap_or(0);
        usize::try_from(place).unwrap_or(0)
    }

    /// A place by weights.
    pub(super) fn weighed(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (place, weight) in weights.iter().enumerate() {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return place,
            }
        }
        0
    }
}

/// A number that looks random, made of this one.
pub(super) const fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A keyed print of a text, as a gateway writes them: 32 hexadecimal digits.
pub(super) fn print_of(text: &str) -> String {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    format!("{:016x}{:016x}", mixed(hash), mixed(hash ^ 0x5555))
}
