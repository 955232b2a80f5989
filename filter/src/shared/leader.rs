//! Leadership: at most one VM of an Envoy talks to the collector, by a lease in shared data.

use crate::host::{self, Error};
use crate::shared::layout;

/// A lease not renewed for this long is free.
const LEASE_MS: u64 = 5_000;

/// Takes or renews the lease for this VM; false while another has it.
pub(crate) fn lead(vm: u64, now_ms: u64) -> bool {
    let mut mine = [0; 16];
    for (slot, number) in mine.chunks_exact_mut(8).zip([vm, now_ms + LEASE_MS]) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
    match host::shared(layout::LEADER) {
        Ok((value, version)) => {
            let holder = layout::read_number(&value).unwrap_or(0);
            let until_ms = value.get(8..).and_then(layout::read_number).unwrap_or(0);
            let free = holder == vm || now_ms >= until_ms || until_ms > now_ms + 2 * LEASE_MS;
            free && host::swap_shared(layout::LEADER, &mine, version).is_ok()
        }
        Err(Error::NOT_FOUND) => host::create_shared(layout::LEADER, &mine).is_ok(),
        Err(_) => false,
    }
}

/// Gives the lease up, where this VM has it.
pub(crate) fn resign(vm: u64) {
    if let Ok((value, version)) = host::shared(layout::LEADER)
        && layout::read_number(&value) == Some(vm)
    {
        let _ = host::swap_shared(layout::LEADER, &[0; 16], version);
    }
}

/// Random id of this Envoy process's shared data, made by whoever asks first.
pub(crate) fn instance(candidate: u64) -> String {
    let _ = host::create_shared(layout::INSTANCE, format!("{candidate:016x}").as_bytes());
    host::shared(layout::INSTANCE)
        .ok()
        .and_then(|(value, _)| String::from_utf8(value).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
