//! Numbers as bytes in the database: seven bits a byte, the low ones first, and amounts with their sign last.

use tollgate_core::money::Picodollars;

use crate::store::rollups::sums::SumsError;

/// Reads numbers from the front of some bytes.
pub(in crate::store) struct Reader<'a> {
    /// What is not read yet.
    pub(in crate::store) bytes: &'a [u8],
}

impl Reader<'_> {
    /// A count.
    ///
    /// # Errors
    /// [`SumsError::Damaged`] where there is none.
    pub(in crate::store) fn count(&mut self) -> Result<u64, SumsError> {
        match self.narrow() {
            Some(value) => Ok(value),
            None => u64::try_from(self.wide()?).map_err(|_| SumsError::Damaged),
        }
    }

    /// A number below 2⁶³, as nearly all are, read without wide arithmetic; nothing is read of a larger one.
    fn narrow(&mut self) -> Option<u64> {
        // Most numbers are one byte.
        if let Some((byte, rest)) = self.bytes.split_first()
            && byte & 0x80 == 0
        {
            self.bytes = rest;
            return Some(u64::from(*byte));
        }
        let mut value = 0u64;
        for (at, byte) in self.bytes.iter().enumerate().take(9) {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.bytes = self.bytes.get(at.saturating_add(1)..).unwrap_or_default();
                return Some(value);
            }
        }
        None
    }

    /// An amount.
    ///
    /// # Errors
    /// [`SumsError::Damaged`] where there is none.
    pub(in crate::store) fn money(&mut self) -> Result<Picodollars, SumsError> {
        if let Some(value) = self.narrow() {
            let magnitude = i128::from(value >> 1);
            return Ok(Picodollars::from_pico(if value & 1 == 1 { !magnitude } else { magnitude }));
        }
        let value = self.wide()?;
        let magnitude = i128::try_from(value >> 1).map_err(|_| SumsError::Damaged)?;
        let pico = if value & 1 == 1 { !magnitude } else { magnitude };
        Ok(Picodollars::from_pico(pico))
    }

    fn wide(&mut self) -> Result<u128, SumsError> {
        let mut value = 0u128;
        for (at, byte) in self.bytes.iter().enumerate().take(19) {
            let part = u128::from(byte & 0x7f);
            if at == 18 && part > 0b11 {
                return Err(SumsError::Damaged);
            }
            value |= part << (7 * at);
            if byte & 0x80 == 0 {
                self.bytes = self.bytes.get(at.saturating_add(1)..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(SumsError::Damaged)
    }
}

/// The same bytes as [`put`] writes, without wide arithmetic.
pub(in crate::store) fn put_count(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8; // seven bits fit
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn put(bytes: &mut Vec<u8>, mut value: u128) {
    if let Ok(narrow) = u64::try_from(value) {
        return put_count(bytes, narrow);
    }
    loop {
        let low = (value & 0x7f) as u8; // seven bits fit
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// Writes an amount.
pub(in crate::store) fn put_money(bytes: &mut Vec<u8>, amount: Picodollars) {
    put(bytes, zigzag(amount.as_pico()));
}

/// Small amounts of either sign become small numbers.
const fn zigzag(value: i128) -> u128 {
    ((value << 1) ^ (value >> 127)).cast_unsigned()
}
