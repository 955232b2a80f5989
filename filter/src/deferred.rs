//! Who started work that is done later (batches, background answers), by the id under which it is fetched.
//!
//! Shared data has a fixed number of slots, chosen by a hash of the id. A newer id takes an older one's slot; work
//! that is not remembered is charged to who fetches it, and what was charged is remembered so that a second fetch
//! costs nothing.

use serde::{Deserialize, Serialize};
use tollgate_core::attribution::{Attribution, AttributionSource};
use tollgate_core::fnv::fnv;

use crate::host;
use crate::shared;

/// Work that is remembered at the same time, at most.
const SLOTS: u64 = 4_096;

/// What is known of an id.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Work {
    id: String,
    /// Who started it.
    pub attribution: Attribution,
    /// How far that can be trusted.
    pub source: AttributionSource,
    /// Its result has been fetched, and charged.
    pub charged: bool,
}

/// What is known of `id`.
pub fn recall(id: &str) -> Option<Work> {
    let (value, _) = host::shared(shared::deferred(slot(id))).ok()?;
    serde_json::from_slice::<Work>(&value).ok().filter(|work| work.id == id)
}

/// Remembers who started the work with this id. What is known already stays.
pub fn remember(id: &str, attribution: &Attribution, source: AttributionSource) {
    if recall(id).is_none() {
        write(&Work { id: id.to_owned(), attribution: attribution.clone(), source, charged: false });
    }
}

/// Takes the right to charge the work with this id: true once.
pub fn claim(id: &str, attribution: &Attribution, source: AttributionSource) -> bool {
    match recall(id) {
        Some(work) if work.charged => false,
        Some(work) => write(&Work { charged: true, ..work }),
        None => write(&Work { id: id.to_owned(), attribution: attribution.clone(), source, charged: true }),
    }
}

fn write(work: &Work) -> bool {
    serde_json::to_vec(work)
        .is_ok_and(|json| host::set_shared(shared::deferred(slot(&work.id)), &json).is_ok())
}

fn slot(id: &str) -> u64 {
    fnv(id.as_bytes()) % SLOTS
}
