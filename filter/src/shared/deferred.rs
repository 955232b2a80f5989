//! Who started work that is done later (batches, background answers), by its provider and the id under which
//! it is fetched there.
//!
//! This is what one Envoy knows. Its collector knows it of all of them, by the records' `work`: it keeps one
//! record of each work and puts right who started it.
//!
//! Shared data has a fixed number of slots, chosen by a hash of the id. A newer id takes an older one's slot;
//! work that is not remembered is charged to who fetches it, and what was charged is remembered so that a
//! second fetch costs nothing. A file is only charged where a provider named it as the output of a batch:
//! anybody can store a file that says what it likes.

use serde::{Deserialize, Serialize};
use tollgate_core::attribution::{Attribution, AttributionSource};
use tollgate_core::call::Fetched;
use tollgate_core::lean::fnv::fnv;

use crate::host;
use crate::shared::layout;

/// Work that is remembered at the same time, at most.
const SLOTS: u64 = 4_096;

/// What is known of work.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Work {
    /// Its [`name`].
    id: String,
    /// Who started it.
    pub attribution: Attribution,
    /// How far that can be trusted.
    pub source: AttributionSource,
    /// Its result has been fetched, and charged.
    pub charged: bool,
    /// The batch that has it as its output.
    #[serde(default)]
    of: Option<String>,
    /// It was paid as it was started.
    #[serde(default)]
    paid: bool,
    /// A call through here started it, or a provider told of its end. Else only somebody fetched it.
    #[serde(default = "yes")]
    pub is_known: bool,
}

/// Whether a result is charged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Claim {
    /// To who started the work, or fetched it first. With the batch that has it as its output.
    Charged(Option<String>),
    /// Nothing, as its counts are the word of who stored it: it is told of once.
    Unknown,
    /// Nothing, as it was paid when it was started: it is told of once.
    Paid,
    /// It was before.
    Before,
}

/// Who started work, and how far that can be trusted.
type Starter<'a> = (&'a Attribution, AttributionSource);

const fn yes() -> bool {
    true
}

/// What is known of a provider's work with this id.
pub(crate) fn recall(provider: &str, id: &str) -> Option<Work> {
    seen(&name(provider, id)).filter(|work| work.is_known)
}

/// The name under which work is remembered: two providers may give out one id.
fn name(provider: &str, id: &str) -> String {
    format!("{provider}/{id}")
}

fn seen(name: &str) -> Option<Work> {
    let (value, _) = host::shared(layout::deferred(slot(name))).ok()?;
    serde_json::from_slice::<Work>(&value).ok().filter(|work| work.id == name)
}

/// Remembers who started a provider's work with this id, of which batch it is the output, and whether it is
/// paid. What is known already stays; says whether this was not.
pub(crate) fn remember(provider: &str, id: &str, of: Option<&str>, starter: Starter<'_>, paid: bool) -> bool {
    match recall(provider, id) {
        None => {
            let of = of.map(str::to_owned);
            write(&Work { charged: false, of, paid, ..Work::new(name(provider, id), starter) });
            true
        }
        Some(work) if paid && !work.paid => {
            write(&Work { paid, ..work });
            true
        }
        Some(_) => false,
    }
}

/// Takes the right to charge a provider's work with this id, once. What anybody can store, as a file, is
/// charged only where it is known to be a result, and an answer that was waited for only where it is known to
/// be unpaid: as long as that is not so, nobody takes the right away either.
pub(crate) fn claim(provider: &str, id: &str, kind: Fetched, fetcher: Starter<'_>) -> Claim {
    let name = name(provider, id);
    let known = seen(&name);
    let new = || Work::new(name, fetcher);
    match known {
        Some(work) if work.charged => Claim::Before,
        Some(work) if work.is_known => {
            let work = Work { charged: true, ..work };
            let is_written = write(&work);
            if work.paid { Claim::Paid } else { charged(is_written, work.of) }
        }
        Some(_) => Claim::Before,
        None => match kind {
            Fetched::File => told_of(new(), Claim::Unknown),
            Fetched::Answer { .. } => told_of(new(), Claim::Paid),
            Fetched::Result => charged(write(&new()), None),
        },
    }
}

fn told_of(work: Work, claim: Claim) -> Claim {
    write(&Work { charged: false, is_known: false, ..work });
    claim
}

fn charged(is_written: bool, of: Option<String>) -> Claim {
    if is_written { Claim::Charged(of) } else { Claim::Before }
}

impl Work {
    fn new(name: String, (attribution, source): Starter<'_>) -> Self {
        Self {
            id: name,
            attribution: attribution.clone(),
            source,
            charged: true,
            of: None,
            paid: false,
            is_known: true,
        }
    }
}

fn write(work: &Work) -> bool {
    serde_json::to_vec(work)
        .is_ok_and(|json| host::set_shared(layout::deferred(slot(&work.id)), &json).is_ok())
}

fn slot(id: &str) -> u64 {
    fnv(id.as_bytes()) % SLOTS
}

#[cfg(test)]
mod tests;
