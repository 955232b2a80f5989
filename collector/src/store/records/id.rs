//! Record ids: UUIDs, sixteen bytes in the database.

use std::fmt;
use std::str::FromStr;

/// Id of a record. Text form: a UUID with hyphens, printed in lower case.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RecordId(pub(in crate::store) [u8; 16]);

/// Text that is not a record id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a UUID such as `01890a5d-ac96-774b-bcce-b302099a8057`")]
pub struct NotAnId;

impl FromStr for RecordId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let groups = text.split('-').map(str::len);
        if text.len() != 36 || !groups.eq([8, 4, 4, 4, 12]) {
            return Err(NotAnId);
        }
        let mut bytes = [0; 16];
        let mut digits = text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16));
        for byte in &mut bytes {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(NotAnId);
            };
            *byte = u8::try_from(high << 4 | low).map_err(|_| NotAnId)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn printing_and_parsing_give_the_same_id(bytes: [u8; 16]) {
            prop_assert_eq!(RecordId(bytes).to_string().parse(), Ok(RecordId(bytes)));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<RecordId>();
        }
    }

    #[test]
    fn what_is_not_a_uuid_is_refused() {
        for text in [
            "",
            "01890a5dac96774bbcceb302099a8057",
            "01890a5d-ac96-774b-bcce-b302099a805",
            "01890a5d-ac96-774b-bcce-b302099a80577",
            "01890a5d-ac96-774b-bcceb-302099a8057",
            "g1890a5d-ac96-774b-bcce-b302099a8057",
            "+1890a5d-ac96-774b-bcce-b302099a8057",
        ] {
            assert_eq!(text.parse::<RecordId>(), Err(NotAnId), "{text}");
        }
    }
}
