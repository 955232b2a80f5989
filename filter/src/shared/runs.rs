//! What each run did so far in this Envoy, and how often each request came: what limits of one run ask for.
//!
//! Shared data has [`BUCKETS`] of [`ENTRIES_MAX`] entries, chosen by a hash. Where a bucket is full, one that
//! was idle makes room, else the one with fewest calls: who invents runs pushes out what it invented. What a
//! run that started others did counts with the run that none started, its root.

use tollgate_core::budget::Amount;
use tollgate_core::budget::rules::runs::RunSoFar;
use tollgate_core::call::OfRun;
use tollgate_core::lean::fnv::fnv;

use crate::host::{self, Error};
use crate::shared::layout;

/// A call that was admitted, counted with its run until it ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    /// The run that it counts with; 0 for none.
    root: u64,
    /// What it holds there.
    held: Amount,
    /// Its request, where repeats are counted; 0 else.
    request: u64,
}

/// A run, or a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Entry {
    id: u64,
    /// The run that none started, above this one.
    root: u64,
    depth: u64,
    /// When it was used last; of a request, when its minute began. Unix milliseconds UTC.
    used_ms: u64,
    calls: u64,
    /// Pico-dollars, as is `held`.
    spent: u64,
    held: u64,
    stopped_by: u64,
}

/// Counts a call with its run, unless `judge` says otherwise of what that did so far.
///
/// # Errors
/// What `judge` says.
pub(crate) fn begin<T>(
    of: &OfRun<'_>,
    agent: &str,
    now_ms: u64,
    mut judge: impl FnMut(&RunSoFar) -> Option<T>,
) -> Result<Counted, T> {
    let request = of.request.as_deref().map_or(0, |print| id(agent, print));
    let repeats = peek(request, now_ms, MINUTE_MS).map_or(0, |entry| entry.calls);
    let placed = of.run.map(|run| place(run, of.parent, now_ms));
    let (root, depth, stopped_by) = placed.map_or((0, 0, 0), |run| (run.root, run.depth, run.stopped_by));
    let held = Amount(of.cost.0.max(0));
    let mut count = |entry: &mut Entry| {
        let stopped_by = if stopped_by == 0 { entry.stopped_by } else { stopped_by };
        let cost = Amount(i128::from(entry.spent) + i128::from(entry.held));
        let refused = judge(&RunSoFar { depth, calls: entry.calls, cost, stopped_by, repeats });
        if refused.is_none() {
            entry.calls = entry.calls.saturating_add(1);
            entry.held = entry.held.saturating_add(pico(held));
        }
        refused
    };
    let refused = match root {
        0 => count(&mut Entry::default()),
        // Where the host refuses, the call goes on.
        _ => change(root, now_ms, true, &mut count).flatten(),
    };
    if let Some(refused) = refused {
        return Err(refused);
    }
    if request > 0 {
        change(request, now_ms, false, &mut |entry| {
            if entry.calls == 0 {
                entry.used_ms = now_ms;
            }
            entry.calls = entry.calls.saturating_add(1);
        });
    }
    Ok(Counted { root, held, request })
}

impl Counted {
    /// Whether it counts anywhere.
    pub(crate) const fn is_somewhere(&self) -> bool {
        self.root > 0
    }

    /// The call has ended: what it cost takes the place of what it held.
    pub(crate) fn settle(&self, cost: Amount, now_ms: u64) {
        self.change_root(now_ms, |entry| entry.spent = entry.spent.saturating_add(pico(cost)));
    }

    /// The call was not made.
    pub(crate) fn take_back(&self, now_ms: u64) {
        self.change_root(now_ms, |entry| entry.calls = entry.calls.saturating_sub(1));
        if self.request > 0 {
            change(self.request, now_ms, false, &mut |entry| entry.calls = entry.calls.saturating_sub(1));
        }
    }

    fn change_root(&self, now_ms: u64, act: impl Fn(&mut Entry)) {
        if self.root > 0 {
            change(self.root, now_ms, true, &mut |entry| {
                entry.held = entry.held.saturating_sub(pico(self.held));
                act(entry);
            });
        }
    }
}

/// Stops a run: it passed this limit on all gateways together.
pub(crate) fn stop(run: &str, limit: u64, now_ms: u64) {
    place(run, None, now_ms);
    change(id("", run), now_ms, true, &mut |entry| entry.stopped_by = limit);
}

/// What is known of a run. One that is new is one deeper than the run that it says started it, and stopped
/// where that is.
fn place(run: &str, parent: Option<&str>, now_ms: u64) -> Entry {
    let own = id("", run);
    if let Some(known) = peek(own, now_ms, FORGOTTEN_MS) {
        return known;
    }
    let parent = parent.map(|parent| (id("", parent), parent)).filter(|(parent, _)| *parent != own);
    let above = parent
        .map(|(id, parent)| peek(id, now_ms, FORGOTTEN_MS).unwrap_or_else(|| place(parent, None, now_ms)));
    let new = Entry {
        id: own,
        root: above.map_or(own, |above| above.root),
        depth: above.map_or(1, |above| above.depth.saturating_add(1)),
        stopped_by: above.map_or(0, |above| above.stopped_by),
        used_ms: now_ms,
        ..Entry::default()
    };
    change(own, now_ms, true, &mut |entry| {
        if entry.root == 0 {
            *entry = new;
        }
        *entry
    })
    .unwrap_or(new)
}

/// The entry with this id, if it was used of late.
fn peek(id: u64, now_ms: u64, within_ms: u64) -> Option<Entry> {
    if id == 0 {
        return None;
    }
    let (bytes, _) = host::shared(layout::run(id % BUCKETS)).ok()?;
    read(&bytes).into_iter().find(|entry| entry.id == id && now_ms.saturating_sub(entry.used_ms) < within_ms)
}

/// Changes the entry with this id, which is made where it is missing; none where the host refuses. `act` may
/// be called again where another VM was faster.
fn change<T>(id: u64, now_ms: u64, is_run: bool, act: &mut dyn FnMut(&mut Entry) -> T) -> Option<T> {
    let key = layout::run(id % BUCKETS);
    let lasts_ms = if is_run { FORGOTTEN_MS } else { MINUTE_MS };
    for _ in 0..TRIES {
        let (mut entries, version) = match host::shared(key) {
            Ok((bytes, version)) => (read(&bytes), Some(version)),
            Err(Error::NOT_FOUND) => (Vec::new(), None),
            Err(_) => return None,
        };
        let at =
            entries.iter().position(|entry| entry.id == id).unwrap_or_else(|| room(&mut entries, now_ms));
        let entry = entries.get_mut(at)?;
        if entry.id != id || now_ms.saturating_sub(entry.used_ms) >= lasts_ms {
            *entry = Entry { id, used_ms: now_ms, ..Entry::default() };
        }
        let done = act(entry);
        if is_run {
            entry.used_ms = now_ms;
        }
        let bytes: Vec<u8> =
            entries.iter().flat_map(|entry| entry.numbers()).flat_map(u64::to_le_bytes).collect();
        let written = match version {
            Some(version) => host::swap_shared(key, &bytes, version),
            None => host::create_shared(key, &bytes),
        };
        match written {
            Ok(()) => return Some(done),
            Err(Error::CAS_MISMATCH) => {}
            Err(_) => return None,
        }
    }
    None
}

/// A place for one more entry.
fn room(entries: &mut Vec<Entry>, now_ms: u64) -> usize {
    if entries.len() < ENTRIES_MAX {
        entries.push(Entry::default());
        return entries.len() - 1;
    }
    let worth = |entry: &Entry| {
        let is_idle = now_ms.saturating_sub(entry.used_ms) >= IDLE_MS;
        (!is_idle, if is_idle { 0 } else { entry.calls }, entry.used_ms)
    };
    entries.iter().enumerate().min_by_key(|(_, entry)| worth(entry)).map_or(0, |(at, _)| at)
}

impl Entry {
    const fn numbers(&self) -> [u64; NUMBERS] {
        let Self { id, root, depth, used_ms, calls, spent, held, stopped_by } = *self;
        [id, root, depth, used_ms, calls, spent, held, stopped_by]
    }
}

fn read(bytes: &[u8]) -> Vec<Entry> {
    let numbers: Vec<u64> = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let entry = |numbers: &[u64; NUMBERS]| {
        let [id, root, depth, used_ms, calls, spent, held, stopped_by] = *numbers;
        Entry { id, root, depth, used_ms, calls, spent, held, stopped_by }
    };
    numbers.as_chunks().0.iter().map(entry).collect()
}

/// The id of a run, or of an agent's request; never 0.
fn id(agent: &str, name: &str) -> u64 {
    fnv(&[agent.as_bytes(), b"\0", name.as_bytes()].concat()).max(1)
}

/// Millions of dollars have room.
fn pico(amount: Amount) -> u64 {
    u64::try_from(amount.0.max(0)).unwrap_or(u64::MAX)
}

const NUMBERS: usize = 8;
/// Buckets: half a megabyte where all are full.
const BUCKETS: u64 = 1_024;
/// Entries of a bucket.
const ENTRIES_MAX: usize = 8;
/// Repeats are counted for so long, from the first on.
const MINUTE_MS: u64 = 60_000;
/// A run that was idle for so long makes room.
const IDLE_MS: u64 = 600_000;
/// A run that was idle for so long begins anew.
const FORGOTTEN_MS: u64 = 86_400_000;
/// Tries of a compare-and-swap.
const TRIES: u32 = 64;

#[cfg(test)]
mod tests;
