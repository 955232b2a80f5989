//! What an answer says: its bytes in, its usage out.

pub mod meter;
pub mod wire;
