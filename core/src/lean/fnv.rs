//! FNV-1a: a hash for small keys, quick in wasm, that is the same in every process. For tables that are
//! bounded, so that keys which were chosen to collide gain little, and for names of content.

use std::hash::{BuildHasherDefault, Hasher};

/// FNV-1a of these bytes.
pub fn fnv(bytes: &[u8]) -> u64 {
    let mut fnv = Fnv::default();
    fnv.write(bytes);
    fnv.finish()
}

/// FNV-1a, 64 bits.
#[derive(Clone, Debug)]
pub struct Fnv(u64);

/// Makes tables hash with [`Fnv`].
pub type ByFnv = BuildHasherDefault<Fnv>;

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }

    /// A number at once: tables of one process need not hash it by its bytes.
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(PRIME);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

const PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::fnv;

    #[test]
    fn known_hashes() {
        for (text, expected) in
            [("", 0xcbf2_9ce4_8422_2325_u64), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv(text.as_bytes()), expected, "{text}");
        }
    }
}
