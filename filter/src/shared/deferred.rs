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

use std::collections::BTreeMap;

use tollgate_core::attribution::{Attribution, AttributionSource, TrustedFields};
use tollgate_core::call::Fetched;
use tollgate_core::lean::fnv::fnv;

use crate::host;
use crate::shared::layout;

/// Work that is remembered at the same time, at most.
const SLOTS: u64 = 4_096;

/// What is known of work.
#[derive(Clone, Debug, PartialEq)]
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
    of: Option<String>,
    /// It was paid as it was started.
    paid: bool,
    /// A call through here started it, or a provider told of its end. Else only somebody fetched it.
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
    Work::from_bytes(&value).filter(|work| work.id == name)
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

/// In shared data it is a list of texts, each behind its length in four bytes, little endian: what stands in
/// it in order, and at its end the keys and values of tags. Readers of JSON would take six kilobytes of the
/// module.
impl Work {
    fn to_bytes(&self) -> Vec<u8> {
        let Attribution { agent, team, feature, environment, run, parent_run, tags, trusted } =
            &self.attribution;
        let flags = [self.charged, self.paid, self.is_known].map(|flag| if flag { '+' } else { '-' });
        let flags: String = flags.into_iter().collect();
        let (trusted, none) = (trusted.bits().to_string(), "");
        let [of, run, parent_run] = [&self.of, run, parent_run].map(|text| text.as_deref().unwrap_or(none));
        let source = self.source.name();
        let texts =
            [&self.id, of, &flags, source, agent, team, feature, environment, run, parent_run, &trusted];
        let tags = tags.iter().flat_map(|(key, value)| [key.as_str(), value]);
        let mut bytes = Vec::new();
        for text in texts.into_iter().chain(tags) {
            bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut text = || {
            let (length, behind) = rest.split_first_chunk()?;
            let (text, behind) =
                behind.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
            rest = behind;
            std::str::from_utf8(text).ok().map(str::to_owned)
        };
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let (id, of, flags, source) = (text()?, some(text()?), text()?, text()?);
        let flag = |at: usize| flags.as_bytes().get(at) == Some(&b'+');
        let mut attribution = Attribution {
            agent: text()?,
            team: text()?,
            feature: text()?,
            environment: text()?,
            run: some(text()?),
            parent_run: some(text()?),
            trusted: TrustedFields::of_bits(text()?.parse().ok()?),
            tags: BTreeMap::new(),
        };
        while let Some(key) = text() {
            attribution.tags.insert(key, text()?);
        }
        let source = AttributionSource::from_name(&source)?;
        Some(Self { id, attribution, source, charged: flag(0), of, paid: flag(1), is_known: flag(2) })
    }
}

fn write(work: &Work) -> bool {
    host::set_shared(layout::deferred(slot(&work.id)), &work.to_bytes()).is_ok()
}

fn slot(id: &str) -> u64 {
    fnv(id.as_bytes()) % SLOTS
}

#[cfg(test)]
mod tests;
