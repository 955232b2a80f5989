//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// A port that nobody listens on. Each is given once to this process.
///
/// They lie below the range from which the system takes ports for outgoing connections, so that none of those
/// is in the way a moment later.
///
/// # Errors
/// None is free.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..SPAN {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // Processes start at different places.
        let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(SPAN)).unwrap_or(0);
        let port = FIRST + start.wrapping_add(step) % SPAN;
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + SPAN)
}

/// Whether a listener on this loopback port would start.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

const FIRST: u16 = 20_000;
const SPAN: u16 = 10_000;
